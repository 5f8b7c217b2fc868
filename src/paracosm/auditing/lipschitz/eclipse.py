"""Upper Lipschitz bounds of `Layered` networks: LipSDP by the ECLipsE recursion.

    X_0 = I,  Y_k = X_{k-1} + W_kᵀ Λ_k P_k W_k,  X_k = Λ_k - Λ_k M_k W_k Y_k⁻¹ W_kᵀ M_k Λ_k,
    L² = λ_max(W_l X_{l-1}⁻¹ W_lᵀ)

for any diagonal multipliers Λ that keep every X and Y positive; `M = (α+β)/2` and `P = αβ` are of
the slopes `[α, β]` of a layer's neurons.

The semidefinite program is Fazlyab et al. 2019, the recursion Xu & Sivaranjani 2024. Every function
works in the precision of its arrays and proves its bound in exact arithmetic; what rounding can do
is added to first order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.linalg import solve_triangular
from jaxtyping import Float

from paracosm.core.averaged_activations import averaged_bound, with_unit_columns
from paracosm.core.compiling import compiled_in_haste
from paracosm.core.layers import Layered, activate, slope_range
from paracosm.core.types import Array, Scalar

_FAR = 1e30  # as good as infinite, and its square is still finite
# Of the steepest slope: a neuron whose slopes differ by less counts as if they differed by this.
_STIFF = 1e-3
_POWER_STEPS = 12  # of a norm that may be off by nearly a factor of two, see `_first_guess`
# Of Adam, in logarithms of multipliers; halved where a step leaves what is feasible.
_RATE = 0.1

Slopes = tuple[tuple[Float[Array, " _"], Float[Array, " _"]], ...]
Logs = tuple[Float[Array, " _"], ...]


class Region(NamedTuple):
    """The convex set of inputs `x` with `‖x - centre‖ ≤ radius` and `|x - centre| ≤ half` in each
    component.
    """

    centre: Float[Array, " inputs"]
    radius: Float[Array, ""]
    half: Float[Array, " inputs"]


def everywhere(inputs: int) -> Region:
    """All inputs."""
    return Region(np.zeros(inputs), np.asarray(_FAR), np.full(inputs, _FAR))


def ball(centre: Float[Array, " inputs"], radius: Float[Array, ""] | float) -> Region:
    """The ball around `centre`; both may be traced."""
    return Region(centre, jnp.asarray(radius, centre.dtype), jnp.full_like(centre, _FAR))


def local(network: Layered, region: Region) -> Scalar:
    """A certified Lipschitz constant over the region, cheap and for small regions close: that of
    interval Jacobians.

    At a single point it is the Jacobian's norm. Can be traced, mapped and scanned over regions.
    """
    return _largest_norm(network, _walk(network, region)[1])


def _largest_norm(network: Layered, jacobian: _Jacobian) -> Scalar:
    """No matrix that the interval holds, after the last layer, has a larger norm."""
    weight = network.weights[-1]
    middle, spread = weight @ jacobian.middle, jnp.abs(weight) @ jacobian.spread
    size = jnp.linalg.norm(middle, 2) + jnp.linalg.norm(spread)
    return size + _rounding(*network.weights) * jnp.linalg.norm(jnp.abs(weight) @ jacobian.size)


def upper(
    network: Layered,
    region: Region | None = None,
    columns: tuple[int, int] | None = None,
    steps: int = 100,
) -> float:
    """A certified Lipschitz constant over the region, improved by `steps` steps of gradient.

    Args:
        network: in 64 bits.
        region: of the inputs; everywhere if not given.
        columns: the first and the end of the inputs that move while the others stay; all if not
            given.
        steps: of Adam on the logarithms of the multipliers.
    """
    with jax.enable_x64(True):
        region = everywhere(network.inputs) if region is None else region
        first, end = (0, network.inputs) if columns is None else columns
        moves = np.zeros(network.inputs)
        moves[first:end] = 1
        return float(_upper(network, region, moves, steps))


@compiled_in_haste
def _upper(network: Layered, region: Region, moves: Array, steps: int) -> Scalar:
    """The least of several bounds; see `upper`.

    Args:
        network, region, steps: As in `upper`.
        moves: `[inputs]`, 1 for the inputs that move, else 0: a number, so that any choice is one
            program.
    """
    slopes, jacobian = _walk(network, region)
    weights = (jnp.asarray(network.weights[0]) * moves, *network.weights[1:])
    moved = _Jacobian(jacobian.middle * moves, jacobian.spread * moves)
    bound = jnp.fmin(_product(weights, slopes), _largest_norm(network, moved))
    if slopes:
        for factors in (weights, with_unit_columns(weights)):
            bound = jnp.fmin(bound, averaged_bound(factors, slopes))
        bound = jnp.fmin(bound, _improved(weights, slopes, _start(weights, slopes), steps))
    return jnp.asarray(bound)


class _Jacobian(NamedTuple):
    """A matrix over a region, somewhere in `middle ± spread`, `[width, inputs]`."""

    middle: Array
    spread: Array

    @property
    def size(self) -> Array:
        """How large each entry can be."""
        return jnp.abs(self.middle) + self.spread


def _walk(network: Layered, region: Region) -> tuple[Slopes, _Jacobian]:
    """Each neuron's slopes over the region, and the Jacobian of the last hidden layer.

    By the mean value theorem a neuron's input is off its value at the centre by at most its largest
    gradient times the radius, or times the half widths; its slopes there then bound the next
    layer's gradients.
    """
    x, radius = jnp.asarray(region.centre), jnp.minimum(region.radius, jnp.linalg.norm(region.half))
    jacobian, slopes = (
        _Jacobian(jnp.eye(len(x), dtype=x.dtype), jnp.zeros((len(x), len(x)), x.dtype)),
        [],
    )
    for weight, bias, neurons in zip(
        network.weights[:-1], network.biases[:-1], network.hidden, strict=True
    ):
        middle = weight @ x + bias
        entering = _Jacobian(weight @ jacobian.middle, jnp.abs(weight) @ jacobian.spread)
        off = jnp.minimum(
            radius * jnp.linalg.norm(entering.size, axis=1), entering.size @ region.half
        )
        off = off + 1e3 * jnp.finfo(x.dtype).eps * (
            1 + off + jnp.abs(weight) @ jnp.abs(x) + jnp.abs(bias)
        )
        slopes.append(slope_range(neurons, middle - off, middle + off))
        least, most = slopes[-1]
        center, half = (most + least)[:, None] / 2, (most - least)[:, None] / 2
        jacobian = _Jacobian(
            center * entering.middle, jnp.abs(center) * entering.spread + half * entering.size
        )
        x = activate(neurons, middle)
    return tuple(slopes), jacobian


def _start(weights: tuple[Array, ...], slopes: Slopes) -> Logs:
    """Multipliers to start from: in the middle of what is feasible, layer by layer."""
    form, logs = jnp.eye(weights[0].shape[1], dtype=weights[0].dtype), []
    for weight, ranges in zip(weights[:-1], slopes, strict=True):
        logs.append(_first_guess(_root(form, weight), ranges))
        form = _next_form(form, jnp.asarray(weight), ranges, jnp.exp(logs[-1]))
    return tuple(logs)


def _first_guess(root: Array, slopes: tuple[Array, Array]) -> Array:
    """`log Λ`, half of the largest multiple of `1/(R max|slope|)` that keeps the form positive, `R
    = (β-α)/2`.

    For one neuron that shape is the optimum. The form stays positive iff `λ_max(R Λ^½ W X⁻¹ Wᵀ Λ^½
    R) < 1`; with slopes in [0, 1] this is `Λ = 2/λ_max(W X⁻¹ Wᵀ) I`. The power iteration may be off
    by less than the half.
    """
    least, most = slopes
    steepest = jnp.maximum(jnp.abs(least), jnp.abs(most))
    steepest = jnp.maximum(steepest, jnp.maximum(1e-2 * jnp.max(steepest), 1e-12))
    spread = (most - least) / 2
    shape = 1 / (jnp.maximum(spread, _STIFF * steepest) * steepest)
    scaled = root * jnp.sqrt(jnp.maximum(spread**2 * shape, 1e-2))

    def power(_: Array, v: Array) -> Array:
        v = scaled.T @ (scaled @ v)
        return v / jnp.maximum(jnp.linalg.norm(v), 1e-30)

    v = jax.lax.fori_loop(0, _POWER_STEPS, power, jnp.linalg.norm(scaled, axis=0))
    return jnp.log(shape / (2 * jnp.maximum(jnp.sum((scaled @ v) ** 2), 1e-30)))


def _root(form: Array, weight: Array) -> Float[Array, "inputs outputs"]:
    """`C` with `CᵀC = W X⁻¹ Wᵀ`; NaN where the form `X` is not positive."""
    return solve_triangular(jnp.linalg.cholesky(form), jnp.asarray(weight).T, lower=True)


def _rounding(*matrices: Array) -> float:
    """Relative rounding error of a product or a Cholesky factor of matrices of these sizes."""
    return (
        8 * max(max(matrix.shape) for matrix in matrices) * float(jnp.finfo(matrices[0].dtype).eps)
    )


def _next_form(form: Array, weight: Array, slopes: tuple[Array, Array], multiplier: Array) -> Array:
    """`X' = Λ - ΛM W Y⁻¹ Wᵀ MΛ`, `Y = X + Wᵀ Λ P W`, `M = (α+β)/2`, `P = αβ`, less what rounding
    can add.

    Args:
        form: `X`, `[inputs, inputs]`.
        weight: `W`, `[outputs, inputs]`.
        slopes: α and β of the outputs, `[outputs]` each.
        multiplier: The diagonal of Λ, `[outputs]`.

    The factor of `Y` is exact for a matrix off by `rounding · diag(Y)`, which moves `X'` by at most
    `rounding · ‖diag(Y)^½ Y⁻¹ WᵀMΛ^½‖² Λ`.
    """
    middle, product = (slopes[0] + slopes[1]) / 2, slopes[0] * slopes[1]
    inner = form + weight.T @ ((multiplier * product)[:, None] * weight)
    size = jnp.diag(form) + jnp.sum((multiplier * jnp.abs(product))[:, None] * weight**2, axis=0)
    factor = jnp.linalg.cholesky(inner)
    half = solve_triangular(factor, weight.T * (middle * multiplier), lower=True)
    solution = solve_triangular(factor, half, lower=True, trans=1)
    growth = jnp.sum(size[:, None] * solution**2 / multiplier)
    return jnp.diag(multiplier * (1 - _rounding(weight) * (1 + growth))) - half.T @ half


def _certified(weights: tuple[Array, ...], slopes: Slopes, logs: Logs) -> Scalar:
    """`L` with `L² = λ_max(W_l X⁻¹ W_lᵀ)`; NaN if the multipliers are not feasible."""
    form = jnp.eye(weights[0].shape[1], dtype=weights[0].dtype)
    for weight, ranges, log in zip(weights[:-1], slopes, logs, strict=True):
        form = _next_form(form, jnp.asarray(weight), ranges, jnp.exp(log))
    factor, last = jnp.linalg.cholesky(form), jnp.asarray(weights[-1])
    half = solve_triangular(factor, last.T, lower=True)
    solution = solve_triangular(factor, half, lower=True, trans=1)
    growth = jnp.sum(jnp.diag(form)[:, None] * solution**2)
    gram = half.T @ half if half.shape[0] > half.shape[1] else half @ half.T
    rounding = _rounding(form, last)
    return jnp.sqrt(jnp.linalg.eigvalsh(gram)[-1] * (1 + rounding) + rounding * growth)


def _improved(weights: tuple[Array, ...], slopes: Slopes, start: Logs, steps: int) -> Scalar:
    """The least bound that Adam meets; a step out of what is feasible goes back to the best with
    half the rate.

    Args:
        weights, slopes: Of the network, layer by layer.
        start: Logarithms of feasible multipliers.
        steps: Of Adam.
    """
    adam = optax.scale_by_adam(b1=0.9, b2=0.99)
    objective = jax.value_and_grad(lambda logs: jnp.log(_certified(weights, slopes, logs)))

    def step(carry: tuple, left: Array) -> tuple[tuple, None]:
        logs, moments, best, least, rate = carry
        value, slope = objective(logs)
        feasible = jnp.isfinite(value) & jnp.all(
            jnp.stack([jnp.all(jnp.isfinite(s)) for s in slope])
        )
        better = feasible & (value < least)
        best, least = _where(better, logs, best), jnp.where(better, value, least)
        direction, moved = adam.update(slope, moments)
        onward = jax.tree.map(lambda log, d: log - rate * left * d, logs, direction)
        logs, moments = _where(feasible, onward, best), _where(feasible, moved, adam.init(best))
        return (logs, moments, best, least, jnp.where(feasible, rate, rate / 2)), None

    number = start[0].dtype
    carry = (
        start,
        adam.init(start),
        start,
        jnp.asarray(jnp.inf, number),
        jnp.asarray(_RATE, number),
    )
    return jnp.exp(jax.lax.scan(step, carry, jnp.linspace(1, 0.02, steps, dtype=number))[0][3])


def _where(condition: Array, yes: Any, no: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def _product(weights: tuple[Array, ...], slopes: Slopes) -> Scalar:
    """The product of the norms of the weights, each row times its neuron's steepest slope."""
    steepest = [jnp.maximum(jnp.abs(least), jnp.abs(most)) for least, most in slopes]
    rows = [s[:, None] * w for s, w in zip(steepest, weights[:-1], strict=True)]
    norms = [
        jnp.linalg.norm(jnp.asarray(matrix), 2) * (1 + _rounding(matrix))
        for matrix in [*rows, weights[-1]]
    ]
    return jnp.prod(jnp.stack(norms))
