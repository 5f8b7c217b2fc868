"""One learner on one task with one seed: what a sweep's workers compute."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from paracosm.auditing.round_audit import whole_episodes
from paracosm.core.records.benchmarks import Point
from paracosm.loop.directory import CONFIG
from paracosm.loop.load import load
from paracosm.loop.run import run
from paracosm.real import registry
from paracosm.real.source import FIRST_SEED

# Points of a curve: enough to see a rise, few enough that each stands on several episodes.
_POINTS = 20


def of_run(
    env: str, *, learner: str, transitions: int, seed: int, episodes: int, out: str
) -> dict[str, Any]:
    """A run of ours; one that was killed goes on where it was.

    Args:
        env: The task.
        learner: As `paracosm run --learner` takes it.
        transitions: To buy.
        seed: Of everything.
        episodes: Of the evaluation.
        out: The run directory.
    """
    options = {"learner": learner, "transitions": transitions, "seed": seed, "episodes": episodes}
    result = run(env, out=out, resume=(Path(out) / CONFIG).is_file(), **options)
    finished, gap = load(out, trust=True), result.diagnosis.gap
    data, horizon = finished.data, finished.world.spec.horizon
    whole = whole_episodes(data, horizon)
    return {
        "returns": finished.episodes.reward.sum(axis=1).tolist(),
        "curve": curve(
            np.array([rows[-1] + 1 for rows in whole]),
            np.array([data.reward[rows].sum() for rows in whole]),
            transitions,
        ),
        "real_steps": result.purchases.real_steps,
        "seconds": sum(result.seconds.values()),
        "predicted": gap.predicted.mean,
        "causes": {
            cause: getattr(gap, cause).mean for cause in ("reward", "termination", "dynamics")
        },
    }


def of_peer(
    env: str, *, learner: str, transitions: int, seed: int, episodes: int
) -> dict[str, Any]:
    """A learner of Stable-Baselines3 with its defaults.

    Args:
        env, transitions, seed, episodes: As for `of_run`.
        learner: A name of `peers.PEERS`.
    """
    from paracosm.bench import peers

    began = time.perf_counter()
    task = gymnasium.wrappers.RecordEpisodeStatistics(registry.make(env)(), transitions)
    model = peers.trained(learner, task, transitions, seed)
    seconds = time.perf_counter() - began
    ends = np.cumsum([int(length) for length in task.length_queue])
    act = lambda observation: model.predict(observation, deterministic=True)[0]  # noqa: E731
    return {
        "returns": _play(env, act, episodes),
        "curve": curve(ends, np.array([float(total) for total in task.return_queue]), transitions),
        "real_steps": int(model.num_timesteps),
        "seconds": seconds,
        "predicted": None,
        "causes": {},
    }


def of_random(env: str, *, episodes: int) -> dict[str, Any]:
    """Uniform actions."""
    space = registry.make(env)().action_space
    space.seed(0)
    return {"returns": _play(env, lambda observation: space.sample(), episodes)}


def curve(ends: np.ndarray, returns: np.ndarray, total: int) -> list[dict[str, float]]:
    """Mean returns of the whole episodes that ended since the point before, at real steps that are
    the same for every seed; a point at which none ended is left out.

    Args:
        ends: Real steps at the end of each episode, `[episode]`.
        returns: Of the episodes.
        total: Real steps in all.
    """
    at = np.ceil(_POINTS * ends / total).astype(int)
    points = (
        Point(total * int(place) / _POINTS, float(returns[at == place].mean()))
        for place in np.unique(at)
    )
    return [dataclasses.asdict(point) for point in points]


def _play(env: str, act: Callable[[Any], Any], episodes: int) -> list[float]:
    """Returns of real episodes, from the seeds that every evaluation has.

    Args:
        env: The task.
        act: From an observation to an action.
        episodes: How many.
    """
    task, returns = registry.make(env)(), []
    for number in range(episodes):
        observation, _ = task.reset(seed=FIRST_SEED + number)
        total, over = 0.0, False
        while not over:
            observation, reward, terminated, truncated, _ = task.step(act(observation))
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
    return returns
