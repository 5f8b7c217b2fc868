"""How far an imagined return of E10 can be off: Lemma 1 and the ladder's rung along the imagined
path, with the real system's constants in closed form.

A policy is `tanh` of a linear map, so that its slope is `D K` with D diagonal and between 0 and 1,
and the norm of a closed loop that is linear in D is largest at a corner.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax.numpy as jnp
from jaxtyping import Float

from paracosm.auditing import ladder
from paracosm.auditing.ladder import Constants, Loop, Residuals
from paracosm.core.mdp import MDP
from paracosm.core.policy import Mode
from paracosm.core.types import Array, Scalar
from paracosm.real.systems import Linear


class _RealConstants(NamedTuple):
    """Constants of the real system that hold everywhere, and those of the loop around a state."""

    constants: Constants
    local: Callable[[Any, Scalar], Loop]


def bounds(
    world: MDP,
    policy: Mode,
    path: tuple[Float[Array, "time state"], Float[Array, "time action"]],
    errors: Float[Array, " time"],
) -> dict[str, Float[Array, " time"]]:
    """Bounds on the size of the gap of one start after every step, by rung.

    `lemma` is the paper's Lemma 1 over a finite horizon, from the error's largest size alone;
    `along` has the errors at the imagined states and the real closed loop's constants around them.

    Args:
        world: A wrong world, linear-quadratic or of `tanh` maps.
        policy: Without a hidden layer.
        path: Imagined states and actions.
        errors: Of the world's dynamics there.
    """
    known = _known(cast(Any, world), _gain(policy))
    worst = ladder.worst(cast(Any, world).dynamics.error.size, 0.0, len(errors))
    here = Residuals(errors, jnp.zeros_like(errors))
    rungs = {
        "lemma": ladder.uniform(worst, ladder.closed(known.constants, "global")),
        "along": ladder.trajectory(here, path, known.local),
    }
    # JSON has no infinity; no return comes near.
    return {name: jnp.minimum(jnp.cumsum(rung.cost), 1e300) for name, rung in rungs.items()}


def _gain(policy: Mode) -> Float[Array, "action state"]:
    """K: the slope of the map inside the policy's `tanh`, in units of the box."""
    network, space = cast(Any, policy).policy.network, cast(Any, policy).policy.space
    half = (space.high - space.low) / 2
    return half[:, None] * network.weights[0].T / network.scale


def _known(world: Any, gain: Array) -> _RealConstants:
    """What is known of the real system under a policy.

    Args:
        world: Which differs from it in the dynamics' planted error.
        gain: Of the policy.
    """
    corners = jnp.array(list(itertools.product((0.0, 1.0), repeat=len(gain))))
    chain = corners[:, :, None] * gain
    linear = isinstance(world.dynamics.real, Linear)
    return (_quadratic if linear else _tanh)(world, chain, _norm(gain))


def _quadratic(world: Any, chain: Array, steepness: Scalar) -> _RealConstants:
    """Of a linear-quadratic system, whose reward is steeper the farther out a state is.

    Args:
        world: As of `_known`.
        chain: `D K` at every corner, `[corner, action, state]`.
        steepness: L_π.
    """
    f, r, high = world.dynamics.real, world.reward, world.spec.action.high
    farthest = jnp.linalg.norm(high)
    steady = (_norm(f.B) * farthest + world.dynamics.error.size) / (1 - _norm(f.A))
    region = jnp.maximum(1.0, steady)  # starts have length 1
    closed = _largest(f.A + f.B @ chain)

    def local(place: tuple[Array, Array], radius: Scalar) -> Loop:
        state, action = (jnp.linalg.norm(part) for part in place)
        outer = jnp.minimum(farthest, action + steepness * radius)
        slope = 2 * _norm(r.Q) * (state + radius) + 2 * _norm(r.R) * outer * steepness
        return Loop(closed, slope, 0.0)

    slopes = 2 * _norm(r.Q) * region, 2 * _norm(r.R) * farthest
    # The closed loop's reward has a constant around a state alone.
    return _RealConstants(
        Constants(_norm(f.A), _norm(f.B), *slopes, 0.0, steepness, closed, jnp.inf), local
    )


def _tanh(world: Any, chain: Array, steepness: Scalar) -> _RealConstants:
    """Of `tanh` maps, whose constants hold everywhere.

    Args:
        world, chain, steepness: As of `_quadratic`.
    """
    f, r = world.dynamics.real.map, world.reward.map
    loop = [part.lipschitz * _largest(part.W + part.V @ chain) for part in (f, r)]
    alone = (f.lipschitz, f.lipschitz, r.lipschitz, r.lipschitz)
    return _RealConstants(
        Constants(*alone, 0.0, steepness, *loop), lambda place, radius: Loop(loop[0], loop[1], 0.0)
    )


def _norm(matrix: Array) -> Scalar:
    return jnp.linalg.norm(matrix, 2)


def _largest(matrices: Float[Array, "corner rows columns"]) -> Scalar:
    return jnp.max(jnp.linalg.norm(matrices, 2, axis=(1, 2)))
