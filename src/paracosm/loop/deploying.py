"""The verb `deploy`: may the policy of one run take the place of another's?"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from paracosm.auditing import deployment
from paracosm.auditing.averages import (
    ReturnRange,
    of_differences,
    rare_bounds,
    return_limits,
    widened_to,
)
from paracosm.auditing.control_variate import assisted_mean
from paracosm.auditing.deployment import ImaginedPair
from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.estimators import mean, varied_mean
from paracosm.core.progress import Progress, silent
from paracosm.core.records import Certificate, Diagnosis, Estimate
from paracosm.core.records.deployment import Deployment
from paracosm.loop.assisting import FRESH_SEED, STARTS, imagined_twice
from paracosm.loop.load import Run, audit_run, load
from paracosm.loop.tasks import require_one_task, same_policy

# Of further episodes: beyond those of any run's evaluation, before those of fresh starts
FURTHER_SEED = 1_000_000
# The audit is made for its bounds and for whose episodes these are; its terms are not looked at
_IMAGINED_STEPS = 20_000


class _RunSide(NamedTuple):
    """A run, real episodes of its policy, and the audit on them."""

    run: Run
    episodes: Trajectory
    diagnosis: Diagnosis

    @property
    def returns(self) -> np.ndarray:
        """Real returns, not discounted, `[episode]`."""
        return np.asarray(self.episodes.reward, np.float64).sum(axis=1)

    @property
    def rewards(self) -> np.ndarray:
        """All rewards that the run knows, bought or of these episodes, `[reward]`."""
        paid = np.asarray(self.episodes.reward)[np.asarray(self.episodes.alive)]
        return np.concatenate([paid, np.asarray(self.run.data.labels.reward)])

    @property
    def ladder(self) -> tuple[Certificate, ...]:
        """Bounds on the gap; none where the audit's own conditions do not hold."""
        return self.diagnosis.certificates if self.diagnosis.valid else ()


def deploy(
    old: Run | str | Path,
    new: Run | str | Path,
    *,
    episodes: int = 0,
    level: float = 0.95,
    certify: bool = True,
    trust: bool = False,
    progress: Progress = silent,
) -> Deployment:
    """Whether the policy of the run `new` is better in the real world than that of `old`.

    The difference of returns, not discounted, in four forms: by proven bounds on both gaps, by
    bounds that are estimates, by real episodes of both policies from the same seeds, and as a
    bound on the next such episode that holds for any distribution. The episodes are those of the
    runs' evaluations, as many as both have, and `episodes` more. Intervals hold for a number of
    episodes that was fixed before: whoever adds some until the verdict pleases errs more often.

    Args:
        old: The run whose policy is deployed, or its directory.
        new: The run whose policy may take its place, or its directory.
        episodes: Real episodes to play with each policy beyond those recorded, at new seeds.
        level: Of the intervals, two-sided, and the probability that is asked of the next episode.
        certify: Whether to bound both gaps, which takes minutes for worlds of wide networks; the
            first two forms need it.
        trust: Whether code that a run names may be imported, if it is given as a directory.
        progress: Told of stages.

    Raises:
        BadArgument: the runs or their policies are one and the same or of different tasks, or a
            number is out of range.
        BadData: recorded episodes are not the run's policy's.
        Missing: a run is not finished.
    """
    checks.count("episodes", episodes, least=0)
    checks.LEVEL.check("level", level)
    runs = _run(old, trust), _run(new, trust)
    _require_two(*runs)
    count = min(len(run.episodes.alive) for run in runs)
    played = [_recorded_and_played(run, count, episodes, progress) for run in runs]
    old_side, new_side = (
        _audited_side(run, its_episodes, certify, progress)
        for run, its_episodes in zip(runs, played, strict=True)
    )
    record = _deployment(old_side, new_side, _imagined(old_side, new_side), level)
    return dataclasses.replace(record, bounded=certify)


def _deployment(old: _RunSide, new: _RunSide, imagined: ImaginedPair, level: float) -> Deployment:
    """The record, of all that was measured.

    Args:
        old, new: Both runs, audited.
        imagined: Imagined returns of both.
        level: Of the intervals.
    """
    differences = new.returns - old.returns
    ladders = old.ladder, new.ladder
    rare = rare_bounds(
        [side.episodes for side in (old, new)],
        [np.asarray(side.run.data.labels.reward) for side in (old, new)],
        [side.run.world for side in (old, new)],
        discount=1.0,
    )
    old_limits, new_limits = _limits(old, new), _limits(new, old)
    limits_of_pairs = None
    if rare is None and old_limits and new_limits:
        limits_of_pairs = new_limits[0] - old_limits[1], new_limits[1] - old_limits[0]
    proven = deployment.certified(imagined, *ladders, level=level)
    bounds = deployment.by_rung(imagined, *ladders, level=level)
    bounds_of_pairs = of_differences(rare, differences)
    assisted = assisted_mean(
        differences,
        imagined.recorded,
        imagined.fresh,
        level=level,
        plain=_mean(differences, level, bounds_of_pairs, limits_of_pairs),
        bounds=limits_of_pairs,
    )
    verdict, basis = deployment.decide(proven, bounds, assisted)
    further = 0  # pairs, of a verdict that has its basis already
    if not basis:
        further = deployment.further_pairs(differences, assisted, level, bounds_of_pairs)
    return Deployment(
        env=new.run.config.env,
        old=os.fspath(old.run.path),
        new=os.fspath(new.run.path),
        level=level,
        pairs=len(differences),
        paired=_same_starts(old, new),
        old_return=_mean(old.returns, level, widened_to(rare, old.returns), old_limits),
        new_return=_mean(new.returns, level, widened_to(rare, new.returns), new_limits),
        certified=proven,
        bounds=bounds,
        episodes=assisted,
        next_episode=deployment.next_episode(differences, level),
        verdict=verdict,
        basis=basis,
        further=further,
    )


def _limits(side: _RunSide, other: _RunSide) -> ReturnRange:
    """What the rewards that either run knows allow of this one's returns."""
    known = np.concatenate([side.rewards, other.rewards])
    return return_limits(side.episodes, known.tolist(), discount=1.0)


def _mean(samples: np.ndarray, level: float, rare: ReturnRange, limits: ReturnRange) -> Estimate:
    """A mean of returns or of their differences, as an audit takes it.

    Args:
        samples: What to average, `[episode]`.
        level: Of the interval.
        rare: Where samples lie as far as rare episodes make them, if these may decide.
        limits: What the known rewards allow, if they bound anything.
    """
    return varied_mean(samples, level, limits) if rare is None else mean(samples, level, rare)


def _run(run: Run | str | Path, trust: bool) -> Run:
    return run if isinstance(run, Run) else load(run, trust=trust)


def _require_two(old: Run, new: Run) -> None:
    """Require two different policies of one task.

    Raises:
        BadArgument: they are one run, of different tasks, or one policy, or name code and are not
            trusted.
    """
    if os.path.realpath(old.path) == os.path.realpath(new.path):
        raise checks.BadArgument(
            f"old and new are one run, {old.path}; two runs of different policies are needed."
        )
    for run in (old, new):  # before a real step is taken, which untrusted code would waste
        run.require_trust()
    require_one_task((old, new))
    if same_policy((old.policy, old.encoder), (new.policy, new.encoder)):
        raise checks.BadArgument(
            f"the policies of {old.path} and {new.path} are one and the same; two different ones"
            " are needed."
        )


def _recorded_and_played(run: Run, count: int, further: int, progress: Progress) -> Trajectory:
    """Episodes that a run recorded, and further ones that are played now.

    Args:
        run: The run.
        count: How many of its recorded episodes are used.
        further: How many are played, at seeds beyond those of any recorded one.
        progress: Told of the stage.
    """
    episodes = jax.tree.map(lambda column: column[:count], run.episodes)
    if not further:
        return episodes
    played = run.source().evaluate(
        run.policy,
        episodes=further,
        first_seed=FURTHER_SEED,
        horizon=episodes.alive.shape[1],
        progress=lambda done, total: progress(f"play {run.path.name}", done, total, ""),
    )
    if episodes.carry is None:  # runs of older versions did not record what a planner carries
        played = dataclasses.replace(played, carry=None)
    return jax.tree.map(lambda *columns: np.concatenate(columns), episodes, played)


def _audited_side(run: Run, episodes: Trajectory, certify: bool, progress: Progress) -> _RunSide:
    """A run, audited on these episodes.

    Args:
        run: The run.
        episodes: Real episodes of its policy.
        certify: Whether its gap is bounded.
        progress: Told of the stage.

    Raises:
        BadData: another policy played the episodes.
    """
    stage = f"audit {run.path.name}"
    progress(stage, 0, 1, "")
    diagnosis = audit_run(
        run,
        episodes,
        # None leaves the choice to the audit, which bounds nothing of layers that it cannot read
        certify=None if certify else False,
        dimensions=False,
        most_imagined_steps=_IMAGINED_STEPS,
    )
    progress(stage, 1, 1, "")
    if diagnosis.decision.kind == "unfit-by-other-actions":
        raise checks.BadData(
            f"the episodes of {run.path} are of another policy: {diagnosis.other_actions} of"
            f" {diagnosis.real_steps} recorded actions are not its own."
        )
    return _RunSide(run, episodes, diagnosis)


def _imagined(old: _RunSide, new: _RunSide) -> ImaginedPair:
    """Both policies imagined from the recorded starts and from fresh ones, which both must have;
    planners from none, for each of their imagined episodes is a search at every step.
    """
    if any(side.run.config.planner for side in (old, new)):
        return ImaginedPair(*(np.empty(0),) * 4)
    recorded, fresh = zip(*(_imagined_of(side) for side in (old, new)), strict=True)
    shared = min(map(len, fresh))  # none where episodes of either were cut at different steps
    return ImaginedPair(*recorded, *(returns[:shared] for returns in fresh))


def _imagined_of(side: _RunSide) -> tuple[np.ndarray, np.ndarray]:
    run = side.run
    fresh = run.source().starts(STARTS, first_seed=FRESH_SEED)
    return imagined_twice(run.world, run.policy, side.episodes, fresh, seed=run.config.seed)


def _same_starts(old: _RunSide, new: _RunSide) -> bool:
    """Whether episodes began in the same states, as far as states are shown: an encoder's beliefs
    of the same observation may differ.
    """
    if any(side.run.config.encoder is not None for side in (old, new)):
        return True
    return bool(np.allclose(old.episodes.state[:, 0], new.episodes.state[:, 0]))
