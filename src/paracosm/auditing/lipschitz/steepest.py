"""Lipschitz constants from below: the largest Jacobian norm `max_x ‖∂f/∂x‖₂` that can be found."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.averaged_activations import smaller_gram
from paracosm.core.compiling import compiled_in_haste
from paracosm.core.types import Array, Scalar

ArrayFunction = Callable[[Array], Array]

# So many of the steepest sampled inputs go on by gradient: a slope can have several hills.
_CLIMBERS = 8

_CLIMB_STEPS = 40  # steps from 0.2 to 0.01 of the spread: up to four spreads of way in all
_CLIMB_RATE = 0.1  # of the inputs' spread
_MOST_ROWS = 512  # inputs at which the Jacobian is computed; the climbers go on from the steepest


def lower(
    function: ArrayFunction,
    inputs: Float[Array, "rows inputs"],
    columns: tuple[int, int] | None = None,
    bounds: tuple[Array, Array] | None = None,
) -> float:
    """The largest Jacobian norm seen at `inputs` and, from the steepest of them, climbing by its
    gradient.

    Args:
        function: `[inputs] -> [outputs]`, in 64 bits.
        inputs: where to look; 512 of them at even distances are used if there are more.
        columns: first and end of the inputs that move; all if not given.
        bounds: the box that climbers stay in, `[inputs]` each; nothing holds them if not given.

    A function that calls back to the host is sampled only: it has no second derivative.
    """
    with jax.enable_x64(True):
        inputs = np.asarray(inputs, np.float64)
        checks.at_least("the number of states", len(inputs), 1)
        inputs = inputs[
            np.unique(np.linspace(0, len(inputs) - 1, min(len(inputs), _MOST_ROWS)).astype(int))
        ]
        columns = (0, inputs.shape[1]) if columns is None else columns
        far = np.full(inputs.shape[1], np.inf)
        differentiable = "callback" not in str(jax.make_jaxpr(function)(inputs[0]))
        return float(_largest(function, inputs, columns, bounds or (-far, far), differentiable))


def _norm(
    function: ArrayFunction, x: Array, columns: tuple[int, int], differentiable: bool
) -> Scalar:
    """Spectral norm of the Jacobian in some columns, at one input.

    Args:
        function, columns: As in `lower`.
        x: The input, `[inputs]`.
        differentiable: Whether forward mode serves; of host functions only reverse mode does.
    """
    x = jnp.asarray(x)
    chosen = x[slice(*columns)]

    def moved(part: Array) -> Array:
        return jnp.atleast_1d(function(x.at[slice(*columns)].set(part)))

    jacobian = (jax.jacfwd if differentiable else jax.jacrev)(moved)(chosen)
    return jnp.sqrt(jnp.maximum(jnp.linalg.eigvalsh(smaller_gram(jacobian))[-1], 0))


@compiled_in_haste
def _largest(
    function: ArrayFunction,
    inputs: Array,
    columns: tuple[int, int],
    bounds: tuple[Array, Array],
    differentiable: bool,
) -> Scalar:
    """The search of `lower`.

    Args:
        function, inputs, columns, bounds: As in `lower`, all given.
        differentiable: Whether the function has a second derivative to climb by.
    """

    def norm(x: Array) -> Scalar:
        return _norm(function, x, columns, differentiable)

    norms = jnp.nan_to_num(jax.lax.map(norm, inputs, batch_size=64), posinf=0.0)
    if not differentiable:
        return jnp.max(norms)
    start = jnp.asarray(inputs)[jnp.argsort(-norms)[:_CLIMBERS]]
    spread = jnp.std(inputs, axis=0)
    unit = jnp.where(spread > 0, spread, jnp.maximum(jnp.max(spread), 1.0))
    return jnp.maximum(jnp.max(norms), _climb(norm, start, unit, bounds))


def _climb(
    norm: Callable[[Array], Scalar], start: Array, unit: Array, bounds: tuple[Array, Array]
) -> Scalar:
    """Normalised gradient ascent from each start; the largest norm on the way.

    Args:
        norm: Of the Jacobian at an input.
        start: `[climber, inputs]`.
        unit: `[inputs]`, what a step is measured by.
        bounds: The box that climbers stay in, `[inputs]` each.
    """
    objective = jax.value_and_grad(norm)

    def step(x: Array, rate: Array) -> tuple[Array, Array]:
        value, slope = objective(x)
        direction = jnp.nan_to_num(slope * unit)
        direction = direction / jnp.maximum(jnp.linalg.norm(direction), 1e-30)
        return jnp.clip(x + rate * unit * direction * np.sqrt(x.size), *bounds), value

    def climb(x: Array) -> Array:
        values = jax.lax.scan(step, x, jnp.linspace(2, 0.1, _CLIMB_STEPS) * _CLIMB_RATE)[1]
        return jnp.max(jnp.where(jnp.isfinite(values), values, 0.0))

    return jnp.max(jax.lax.map(climb, start))
