"""Latent worlds of two mazes by the weight of straightening, and planning in them: the cells of
E9.
"""

from __future__ import annotations

from typing import Any

from paracosm.paper.e9_choices import (
    AHEAD,
    FEATURES,
    HELD_OUT,
    HOLD,
    LONG,
    MAZES,
    PLANNERS,
    SHORT,
    SIDE,
    STEPS,
    VARIATIONS,
    VARIED,
    WEIGHTS,
    WIDTH,
)
from paracosm.paper.study import Scale
from paracosm.sweep.cells import Cell

_SIZES: dict[Scale, dict[str, int]] = {
    "quick": {"episodes": 300, "updates": 600, "starts": 16},
    "full": {"episodes": 600, "updates": 1500, "starts": 32},
}
_SEEDS: dict[Scale, int] = {"quick": 2, "full": 8}
_VARIED_SEEDS: dict[Scale, int] = {"quick": 1, "full": 3}
_HERE = "paracosm.paper.e9_cells"


def straightened(
    *,
    maze: str,
    weight: float,
    seed: int,
    episodes: int,
    updates: int,
    starts: int,
    hold: float = HOLD,
    stop_gradient: bool = False,
) -> dict[str, Any]:
    """A latent world that was fitted with a weight of straightening: errors, curvature, brackets,
    bounds and success.

    Args:
        maze: of `MAZES`.
        weight: λ.
        seed: of data, fit, starts and searches; the same for all λ.
        episodes: of random actions to learn from.
        updates: training steps.
        starts: of which planners are judged.
        hold: the chance that a random action is held.
        stop_gradient: whether targets are without derivative.
    """
    import numpy as np

    from paracosm.core.keys import stage_key
    from paracosm.learning.latent.joint import LatentSettings, fit_latent
    from paracosm.paper import e9_measures, e9_worlds

    played, pictures = e9_worlds.recorded(maze, episodes, STEPS, hold, stage_key(seed, "data"))
    settings = LatentSettings(
        features=FEATURES,
        length=1,
        width=WIDTH,
        most_steps=updates,
        straightening=weight,
        stop_gradient=stop_gradient,
    )
    fitted = fit_latent(
        e9_worlds.table(played, pictures),
        e9_worlds.actions_of(maze),
        stage_key(seed, "fit"),
        image=(SIDE, SIDE, 1),
        settings=settings,
    )
    networks = fitted.networks
    played, pictures = e9_worlds.recorded(maze, HELD_OUT, STEPS, hold, stage_key(seed, "held out"))
    seen, actions = e9_measures.features_of(networks, pictures), np.asarray(played.action)
    seen, positions = np.asarray(seen), np.asarray(e9_worlds.positions(played))
    predicted = np.asarray(e9_measures.imagined(networks, seen[:, 0], actions))
    exact = e9_measures.exact_paths(networks, seen[:, 0], actions)
    flat = seen[:, :-1].reshape(-1, FEATURES), actions.reshape(len(seen) * STEPS, -1)
    of_state, of_action = e9_measures.brackets(networks, *flat)
    bounds = of_state.upper, of_action.upper
    world = e9_worlds.latent_world(networks, maze)
    ways, goal = e9_worlds.ways(maze, positions), np.asarray(e9_worlds.goal_of(networks, maze))
    return {
        **e9_measures.errors(seen, predicted, AHEAD),
        "probe": e9_measures.probe(seen.reshape(-1, FEATURES), positions.reshape(-1, 2)),
        "agreement": e9_measures.agreement(seen, goal, ways),
        "smoothness": [of_state.lower, of_state.upper],
        "by_action": [of_action.lower, of_action.upper],
        "positions": e9_measures.turns(positions, actions, *bounds),
        "seen": e9_measures.turns(seen, actions, *bounds),
        "imagined": e9_measures.turns(exact, actions, *bounds),
        "success": _planned(maze, {"": world}, starts, seed, networks),
    }


def known(*, maze: str, starts: int, seed: int) -> dict[str, Any]:
    """What planners reach in the maze itself, by what a step costs, and what random actions reach.

    Args:
        maze: of `MAZES`.
        starts: how many.
        seed: of starts and searches.
    """
    import jax.numpy as jnp

    from paracosm.paper import e9_worlds

    random = e9_worlds.HeldActions(e9_worlds.actions_of(maze), jnp.asarray(HOLD))
    return {
        "random": e9_worlds.attempts(maze, random, starts, seed),
        "success": _planned(maze, e9_worlds.known_worlds(maze), starts, seed),
    }


def _planned(
    maze: str, worlds: dict[str, Any], starts: int, seed: int, networks: Any = None
) -> dict[str, float]:
    """Shares of starts from which the goal is reached, by `row`.

    Args:
        maze: that is played.
        worlds: that are planned in, by name.
        starts: how many.
        seed: of starts and searches.
        networks: of a world of features; positions are planned from if None.
    """
    from paracosm.paper import e9_worlds

    success = {}
    for cost, world in worlds.items():
        for planner in PLANNERS:
            for length in (LONG, SHORT):
                policy: Any = e9_worlds.KINDS[planner](world, steps=length)
                if networks is not None:
                    policy = e9_worlds.seeing(policy, networks, maze)
                name = row(planner, length, cost)
                success[name] = e9_worlds.attempts(maze, policy, starts, seed)
    return success


def row(planner: str, length: int, cost: str = "") -> str:
    """What the results of a planner with plans of this length are known by."""
    return f"{cost}, {planner}, {length}" if cost else f"{planner}, {length}"


def cells(scale: Scale) -> list[Cell]:
    """Every maze and λ with every seed, the choices varied on one maze, and the mazes as they
    are.
    """
    sizes, fitted = _SIZES[scale], f"{_HERE}:straightened"
    jobs = [
        {"maze": maze, "weight": weight, "seed": seed}
        for weight in WEIGHTS
        for maze in reversed(MAZES)
        for seed in range(_SEEDS[scale])
    ]
    jobs += [
        {"maze": VARIED, "weight": weight, "seed": seed, **changed}
        for changed in VARIATIONS.values()
        for weight in (min(WEIGHTS), max(WEIGHTS))
        for seed in range(_VARIED_SEEDS[scale])
    ]
    controls = [{"maze": maze, "starts": sizes["starts"], "seed": 0} for maze in MAZES]
    return [Cell(fitted, {**job, **sizes}) for job in jobs] + [
        Cell(f"{_HERE}:known", control) for control in controls
    ]
