"""Curvatures of random smooth paths beside the bounds, and examples that attain or escape them: the
cells of E7.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from paracosm.paper import statistics
from paracosm.paper.study import Scale
from paracosm.sweep.cells import Cell

SMOOTHNESS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
"""ε from where both bounds are alike to where the paper's exceeds 2, which no curvature does."""
SIZES = (2, 8, 32)  # state components
STEPS = 50  # of a path, whose sharpest turn is read
BY_ACTION = 0.1  # L_a: with it η is below 1 on most steps of slow actions, on few of others
MEMORY = {"none": 0.0, "anew": 0.0, "slow": 0.999}  # of the action before
ROUNDING = 1e-12  # of curvatures up to 2 in double precision, with room
BLURRED = 1e-6  # the share of a velocity from which rounding may turn it: a curvature of 5e-13
_SYSTEMS: dict[Scale, int] = {"quick": 200, "full": 2000}
"""For each ε, size and kind of actions."""
VARIED = 8  # state components where choices are varied


@functools.cache
def _program(size: int) -> Callable[..., Any]:
    """Curvature and η `[smoothness, systems, STEPS - 1]` of random systems; smoothness and actions
    are not static.

    What rounding can add to a velocity's direction is added to η; where it is as much as `BLURRED`,
    near a fixed point, the curvature is NaN.
    """
    import jax
    import jax.numpy as jnp

    from paracosm.learning import straightness

    def path(smooth: Any, key: Any, smoothness: Any, law: Any) -> tuple[Any, Any]:
        """Curvature and η of a path, `[STEPS - 1]`.

        Args:
            smooth: the system, `z ↦ U tanh(Wz + b)`.
            key: of the rest of the velocity, of start and actions.
            smoothness: ε.
            law: L_a; by what an action is multiplied for the next, before noise is added; by what
                the constant part of the velocity is multiplied.
        """
        by_action, memory, drift = law
        keys = jax.random.split(key, 4)
        constant = smoothness * drift * jax.random.normal(keys[1], (size,))
        noise = jax.random.normal(keys[2], (STEPS, size))

        def step(carry: Any, fresh: Any) -> tuple[Any, Any]:
            state, action = carry
            velocity = (
                smoothness * smooth(state, jnp.zeros(size), keys[3]) + constant + by_action * action
            )
            onward = state + velocity, memory * action + jnp.sqrt(1 - memory**2) * fresh
            return onward, (velocity, action, 1 + jnp.linalg.norm(state))

        start = jax.random.normal(keys[3], (size,)), noise[0]
        velocity, action, reach = jax.lax.scan(step, start, jnp.roll(noise, -1, axis=0))[1]
        change, speed = (
            jnp.linalg.norm(vector, axis=1) for vector in (jnp.diff(action, axis=0), velocity)
        )
        rounding = 64 * size * jnp.finfo(speed.dtype).eps * reach / speed
        rounding_of_turn = rounding[:-1] + rounding[1:]
        curvature = jax.vmap(straightness.curvature)(velocity[:-1], velocity[1:])
        eta = (
            straightness.with_actions(smoothness, by_action, change, speed[:-1]) + rounding_of_turn
        )
        return jnp.where(rounding_of_turn < BLURRED, curvature, jnp.nan), eta

    paths = jax.vmap(path, (0, 0, None, None))
    return jax.jit(
        lambda systems, keys, smoothness, law: jax.lax.map(
            lambda block: paths(block[0], block[1], block[2], law), (systems, keys, smoothness)
        )
    )


def _drawn(keys: Any, size: int) -> Any:
    """The systems of these keys, `[smoothness, systems]`.

    Their matrices are drawn one operation at a time: in one program XLA factorizes batches of them
    side by side, and there some never come to an end (jaxlib 0.10.2, two cores).
    """
    import jax

    from paracosm.real.systems import lipschitz_synthetic

    def system(key: Any) -> Any:
        for_system = jax.random.split(key, 4)[0]
        return lipschitz_synthetic(for_system, dynamics=1.0, state_size=size, action_size=size)[
            0
        ].dynamics

    return jax.vmap(jax.vmap(system))(keys)


def curved(
    *,
    size: int,
    actions: str,
    by_action: float,
    drift: float,
    smoothness: list[float],
    systems: int,
    seed: int,
) -> dict[str, list[Any]]:
    """Paths of random systems `v = ε (U tanh(Wz + b) + d) + L_a a`, `‖W‖ = 1`, beside the bounds; a
    list over ε.

    Steps so small that rounding decides where they go are `blurred` and count in nothing else.
    Actions are standard normal, drawn anew at each step or slow: each is `0.999` times the last
    plus noise. A step is `covered` if its η is below 1; `paper` and `sharp` count the systems one
    of whose covered steps exceeds that bound in η by more than rounding, of `trials` that have one;
    `alone` those that exceed the paper's bound in ε.

    Args:
        size: state components.
        actions: of `MEMORY`.
        by_action: L_a.
        drift: by what d is multiplied.
        smoothness: the ε, each with systems of its own.
        systems: how many for each.
        seed: of all of them.
    """
    import jax

    from paracosm.learning import straightness

    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(seed), (len(smoothness), systems))
        law = (by_action * (actions != "none"), MEMORY[actions], drift)
        drawn = _drawn(keys, size)
        curvature, eta = _program(size)(
            drawn, keys, np.array(smoothness), tuple(map(np.float64, law))
        )
        bounds = {"paper": straightness.paper_bound(eta), "sharp": straightness.sharp_bound(eta)}
        alone = np.asarray(straightness.paper_bound(np.array(smoothness)))[:, None, None]
        revealed = np.asarray(straightness.least_smoothness(np.nanmax(curvature, axis=2)))
    curvature, covered = np.asarray(curvature), (np.asarray(eta) < 1) & np.isfinite(curvature)
    paper, sharp = (np.asarray(bounds[name]) for name in ("paper", "sharp"))
    filled = np.where(covered, curvature / sharp, 0.0)
    over = lambda steps: np.any(steps, axis=2).sum(axis=1).tolist()  # noqa: E731
    blocks = lambda values: [statistics.block_means(row) for row in values]  # noqa: E731
    return {
        "trials": over(covered),
        "paper": over(covered & (curvature > paper + ROUNDING)),
        "sharp": over(covered & (curvature > sharp + ROUNDING)),
        "alone": over(curvature > alone + ROUNDING),
        "covered": blocks(covered.mean(axis=2)),
        "revealed": blocks(revealed / np.array(smoothness)[:, None]),
        "blurred": blocks(np.isnan(curvature).mean(axis=2)),
        "largest": np.nanmax(curvature, axis=(1, 2)).tolist(),
        "filled": filled.max(axis=(1, 2)).tolist(),
        "median": np.nanmedian(curvature, axis=(1, 2)).tolist(),
    }


def examples(*, smoothness: float) -> dict[str, float]:
    """Both bounds; the linear velocity that attains the sharp one; one that never turns; an action
    that turns it back.

    The velocity `ε R z` with R a rotation by `arccos(-ε)` turns by the angle whose sine is ε. The
    velocity `z / ε`, whose constant is 1/ε, keeps its direction. And `v = a` is ε-Lipschitz in z
    for every ε: 1 and -1 reverse it.
    """
    import jax
    import jax.numpy as jnp

    from paracosm.learning import straightness

    with jax.enable_x64(True):
        c, s = -smoothness, math.sqrt(1 - smoothness**2)
        turn = smoothness * jnp.array([[c, -s], [s, c]])
        state = jnp.array([1.0, 0.0])
        velocity, grown = turn @ state, state / smoothness
        return {
            "sharp": float(straightness.sharp_bound(smoothness)),
            "paper": float(straightness.paper_bound(smoothness)),
            "rotation": float(straightness.curvature(velocity, turn @ (state + velocity))),
            "growth": float(straightness.curvature(grown, (state + grown) / smoothness)),
            "reversed": float(straightness.curvature(state, -state)),
        }


def cells(scale: Scale) -> list[Cell]:
    """Random systems of three sizes without actions and with two kinds, choices varied at one size,
    and examples.
    """
    jobs = [(size, kind, BY_ACTION, 1.0) for size in reversed(SIZES) for kind in MEMORY]
    jobs += [
        (VARIED, "none", BY_ACTION, 0.0),
        (VARIED, "anew", 1.0, 1.0),
        (VARIED, "slow", 1.0, 1.0),
    ]
    shared = {"smoothness": list(SMOOTHNESS), "systems": _SYSTEMS[scale]}
    random = [
        {
            "size": size,
            "actions": kind,
            "by_action": by_action,
            "drift": drift,
            "seed": seed,
            **shared,
        }
        for seed, (size, kind, by_action, drift) in enumerate(jobs)
    ]
    return [Cell("paracosm.paper.e7_cells:curved", arguments) for arguments in random] + [
        Cell("paracosm.paper.e7_cells:examples", {"smoothness": e}) for e in SMOOTHNESS
    ]
