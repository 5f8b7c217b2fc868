"""Curvatures of random smooth paths beside the bounds, and examples that attain or escape them: the
cells of E7.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from paracosm.paper import statistics as found_by
from paracosm.paper.study import Scale
from paracosm.sweep.cells import Cell

SMOOTHNESS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
SIZES = (2, 8, 32)
STEPS = 50
BY_ACTION = 0.1
MEMORY = {"none": 0.0, "anew": 0.0, "slow": 0.999}
ROUNDING = 1e-12
BLURRED = 1e-6  # the share of a velocity from which rounding may turn it
_SYSTEMS: dict[Scale, int] = {"quick": 200, "full": 2000}
VARIED = 8


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
    from paracosm.real.systems import lipschitz_synthetic

    def path(key: Any, smoothness: Any, by_action: Any, memory: Any, drift: Any) -> tuple[Any, Any]:
        keys = jax.random.split(key, 4)
        smooth = lipschitz_synthetic(keys[0], dynamics=1.0, state_size=size, action_size=size)[
            0
        ].dynamics
        always = smoothness * drift * jax.random.normal(keys[1], (size,))
        drawn = jax.random.normal(keys[2], (STEPS, size))

        def step(carried: Any, fresh: Any) -> tuple[Any, Any]:
            state, action = carried
            velocity = (
                smoothness * smooth(state, jnp.zeros(size), keys[3]) + always + by_action * action
            )
            onward = state + velocity, memory * action + jnp.sqrt(1 - memory**2) * fresh
            return onward, (velocity, action, 1 + jnp.linalg.norm(state))

        start = jax.random.normal(keys[3], (size,)), drawn[0]
        velocity, action, reach = jax.lax.scan(step, start, jnp.roll(drawn, -1, axis=0))[1]
        change, speed = (
            jnp.linalg.norm(each, axis=1) for each in (jnp.diff(action, axis=0), velocity)
        )
        off = 64 * size * jnp.finfo(speed.dtype).eps * reach / speed
        blurred = off[:-1] + off[1:]
        turned = jax.vmap(straightness.curvature)(velocity[:-1], velocity[1:])
        eta = straightness.with_actions(smoothness, by_action, change, speed[:-1]) + blurred
        return jnp.where(blurred < BLURRED, turned, jnp.nan), eta

    many = jax.vmap(path, (0, None, None, None, None))
    return jax.jit(
        lambda keys, smoothness, *law: jax.lax.map(
            lambda each: many(*each, *law), (keys, smoothness)
        )
    )


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
    """
    import jax

    from paracosm.learning import straightness

    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(seed), (len(smoothness), systems))
        law = (by_action * (actions != "none"), MEMORY[actions], drift)
        turned, eta = _program(size)(keys, np.array(smoothness), *map(np.float64, law))
        bounds = {"paper": straightness.paper_bound(eta), "sharp": straightness.sharp_bound(eta)}
        alone = np.asarray(straightness.paper_bound(np.array(smoothness)))[:, None, None]
        revealed = np.asarray(straightness.least_smoothness(np.nanmax(turned, axis=2)))
    turned, covered = np.asarray(turned), (np.asarray(eta) < 1) & np.isfinite(turned)
    paper, sharp = (np.asarray(bounds[name]) for name in ("paper", "sharp"))
    filled = np.where(covered, turned / sharp, 0.0)
    over = lambda steps: np.any(steps, axis=2).sum(axis=1).tolist()  # noqa: E731
    blocks = lambda values: [found_by.block_means(each) for each in values]  # noqa: E731
    return {
        "trials": over(covered),
        "paper": over(covered & (turned > paper + ROUNDING)),
        "sharp": over(covered & (turned > sharp + ROUNDING)),
        "alone": over(turned > alone + ROUNDING),
        "covered": blocks(covered.mean(axis=2)),
        "revealed": blocks(revealed / np.array(smoothness)[:, None]),
        "blurred": blocks(np.isnan(turned).mean(axis=2)),
        "largest": np.nanmax(turned, axis=(1, 2)).tolist(),
        "filled": filled.max(axis=(1, 2)).tolist(),
        "median": np.nanmedian(turned, axis=(1, 2)).tolist(),
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
    asked = [(size, kind, BY_ACTION, 1.0) for size in reversed(SIZES) for kind in MEMORY]
    asked += [
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
        for seed, (size, kind, by_action, drift) in enumerate(asked)
    ]
    return [Cell("paracosm.paper.e7_cells:curved", each) for each in random] + [
        Cell("paracosm.paper.e7_cells:examples", {"smoothness": each}) for each in SMOOTHNESS
    ]
