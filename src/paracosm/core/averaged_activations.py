"""Lipschitz constants of networks in closed form, from the norms of products of their weights.

A neuron whose slopes lie in [α, β] is `M + E` with `M = (α+β)/2` and `|E| ≤ R² = (β-α)/2`.
Multiplied out, a difference of two outputs is a sum over the hidden layers at which E is taken, so
that with `R_0 = R_l = 1`

    S_0 = 1,  S_k = Σ_{j<k} S_j ‖R_k W_k M_{k-1} W_{k-1} … M_{j+1} W_{j+1} R_j‖,  L ≤ S_l

(Combettes & Pesquet 2020, averaged activations). It is never above the product of the norms of the
weights where slopes lie in [0, 1], and of one layer of them that dampens, `s - tanh(s)/2`, it gives
1 where that product gives 3/2. Neurons of slope 1 are `M = 1, R = 0`: a linear map beside the
network enters only the term without any E.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jaxtyping import Float

from paracosm.core.types import Array, Scalar

Norm = Callable[[Array, Array], Scalar]
SlopeRanges = Sequence[tuple[Array, Array]]


def spectral(matrix: Array, size: Array) -> Scalar:
    """The norm of a product of matrices, and what rounding can have taken from it.

    Args:
        matrix: The product, `[outputs, inputs]`.
        size: The product of the absolute values of its factors, `[outputs, inputs]`.
    """
    rounding = 8 * max(matrix.shape) * float(jnp.finfo(matrix.dtype).eps)
    largest = jnp.linalg.eigvalsh(smaller_gram(matrix))[-1]
    return jnp.sqrt(jnp.maximum(largest, 0)) + rounding * jnp.linalg.norm(size)


def smaller_gram(matrix: Float[Array, "rows columns"]) -> Float[Array, "least least"]:
    """`M Mᵀ` or `Mᵀ M`, whichever is smaller: the eigenvalues are the squares of `M`'s singular
    ones.
    """
    return matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix


def averaged_bound(
    weights: Sequence[Float[Array, "_ _"]],
    slopes: SlopeRanges,
    *,
    beside: Float[Array, "outputs inputs"] | None = None,
    norm: Norm = spectral,
) -> Scalar:
    """The bound `S_l` of `x ↦ W_l φ(… φ(W_1 x + b_1) …) + b_l + A x`.

    Args:
        weights: `[outputs, inputs]` each, the first layer's first.
        slopes: The least and the greatest slope of each hidden layer's neurons, `[width]` each.
        beside: `A`, if there is one.
        norm: No less than the norm of a matrix; see `spectral`.
    """
    sums: list[Scalar | float] = [1.0]
    # Of each layer at which an E was taken: the way from there so far, and the size of its factors.
    ways: Sequence[tuple[Array, Array]] = []
    root = jnp.ones(weights[0].shape[1])
    for k, weight in enumerate(weights):
        last = k == len(slopes)
        start = (weight * root, jnp.abs(weight) * root)
        ways = [*((weight @ way, jnp.abs(weight) @ size) for way, size in ways), start]
        if last and beside is not None:
            ways = [(ways[0][0] + beside, ways[0][1] + jnp.abs(beside)), *ways[1:]]
        least, most = (jnp.ones(len(weight)),) * 2 if last else slopes[k]
        middle, half = (least + most)[:, None] / 2, jnp.maximum(most - least, 0) / 2
        root = jnp.ones(len(weight)) if last else jnp.sqrt(half)
        row = root[:, None]
        terms = [s * norm(row * way, row * size) for s, (way, size) in zip(sums, ways, strict=True)]
        sums.append(sum(terms, start=jnp.zeros(())))
        ways = [(middle * way, jnp.abs(middle) * size) for way, size in ways]
    return jnp.asarray(sums[-1])


def with_unit_columns(weights: Sequence[Float[Array, "_ _"]]) -> tuple[Array, ...]:
    """Weights of the same bounds whose last ones have columns of norm 1 or 0; the rows before take
    what these lose.

    Diagonal factors commute with slopes. A clip to a box, whose components have ranges of their
    own, then costs nothing.
    """
    *earlier, before, last = weights
    size = jnp.linalg.norm(jnp.asarray(last), axis=0)
    return (*earlier, size[:, None] * before, last / jnp.where(size > 0, size, 1))
