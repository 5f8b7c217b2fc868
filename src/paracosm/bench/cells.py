"""One learner on one task with one seed: what a sweep's workers compute."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from paracosm import adapters
from paracosm.auditing.round_audit import whole_episodes
from paracosm.core.policy import Policy, Uniform
from paracosm.core.records.benchmarks import Point
from paracosm.loop.directory import CONFIG, EVENTS
from paracosm.loop.load import load
from paracosm.loop.run import run
from paracosm.real import registry
from paracosm.real.source import Source
from paracosm.real.verbs import connect

# Points of a curve: enough to see a rise, few enough that each stands on several episodes.
_POINTS = 20


def of_run(
    env: str, *, learner: str, transitions: int, seed: int, episodes: int, out: str
) -> dict[str, Any]:
    """The answer of a cell that runs one of our learners; a run that was killed resumes.

    Args:
        env: The environment.
        learner: As `paracosm run --learner` takes it.
        transitions: Transitions to buy.
        seed: The seed of collection, learning and training.
        episodes: Real episodes of the evaluation.
        out: The run directory.
    """
    options = {"learner": learner, "transitions": transitions, "seed": seed, "episodes": episodes}
    is_there, has_begun = ((Path(out) / name).is_file() for name in (CONFIG, EVENTS))
    # Of a run that was thrown away its settings are left, which may be others than these.
    resume, force = is_there and has_begun, is_there and not has_begun
    result = run(env, out=out, resume=resume, force=force, **options)
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
    """The answer of a cell that trains a learner of Stable-Baselines3 with its defaults.

    A learner that takes whole batches, as `sb3-ppo` its 2,048 transitions, plays on beyond
    `transitions`: `real_steps` counts all of its steps, the curve ends with `transitions`.

    Args:
        env, transitions, seed, episodes: As for `of_run`.
        learner: A name of `peers.PEERS`.
    """
    from paracosm.bench import peers

    start = time.perf_counter()
    made = gymnasium.wrappers.RecordEpisodeStatistics(registry.factory_of(env)(), transitions)
    with contextlib.closing(made) as recorded:
        model = peers.train(learner, recorded, transitions, seed)
        seconds = time.perf_counter() - start
        ends = np.cumsum([int(length) for length in recorded.length_queue])
        totals = np.array([float(total) for total in recorded.return_queue])
    source = connect(env)
    return {
        "returns": _returns(source, adapters.policy(model, source.blank_spec), episodes),
        "curve": curve(ends, totals, transitions),
        "real_steps": int(model.num_timesteps),
        "seconds": seconds,
        "predicted": None,
        "causes": {},
    }


def of_random(env: str, *, episodes: int) -> dict[str, Any]:
    """The answer of a cell that plays uniform actions."""
    source = connect(env)
    return {"returns": _returns(source, Uniform(source.action), episodes, sampled=True)}


def curve(ends: np.ndarray, returns: np.ndarray, total: int) -> list[dict[str, float]]:
    """Mean returns of the whole episodes that ended since the point before, at real steps that are
    the same for every seed; a point at which none ended is left out, and so are episodes that end
    beyond `total`.

    Args:
        ends: Real steps at the end of each episode, `[episode]`.
        returns: Returns of the episodes, `[episode]`.
        total: The real steps that the task allows.
    """
    ends, returns = ends[ends <= total], returns[ends <= total]
    numbers = np.ceil(_POINTS * ends / total).astype(int)
    points = (
        Point(total * int(number) / _POINTS, float(returns[numbers == number].mean()))
        for number in np.unique(numbers)
    )
    return [dataclasses.asdict(point) for point in points]


def _returns(
    source: Source, policy: Policy, episodes: int, *, sampled: bool = False
) -> list[float]:
    """Returns of real episodes, from the starts that every evaluation has.

    Args:
        source: The environment.
        policy: The policy that plays.
        episodes: How many episodes.
        sampled: Whether the policy draws its actions, instead of taking its mode.
    """
    played = source.evaluate(policy, episodes=episodes, sampled=sampled)
    return np.asarray(played.reward).sum(axis=1).tolist()
