"""Learning curves of dynamics and reward, measured on nested subsets of one's own data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.keys import numpy_random, stage_key
from paracosm.core.mdp import Spec
from paracosm.core.networks import MLP
from paracosm.core.records.decisions import Anchor, Bought, Curve
from paracosm.core.types import PRNGKey
from paracosm.learning.fit import fit_each
from paracosm.learning.learn import LEAST_ROWS
from paracosm.learning.part_learner import dynamics_problem, reward_problem
from paracosm.learning.parts import LearnedDynamics, LearnedReward
from paracosm.learning.problem import (
    FitProblem,
    Split,
    Start,
    held_out_rows,
    inputs_of_rows,
    predict,
    split,
    start,
)
from paracosm.learning.settings import LearnSettings

_DEFAULT = LearnSettings()
_ANCHORS, _SPAN = 6, 16  # counts of samples, and the largest over the smallest
_HELD_OUT_SHARE = 0.2
HELD_OUT, VISITED = "held out", "visited by the policy"  # on which states refits are measured
LEAST_ROWS_OF_CURVE = 200  # sixteen times ten in the smallest subset, and the fifth held out

RefitProgress = Callable[[int, int], None]


class Refit(NamedTuple):
    """One point of a learning curve: the part learned from `samples` rows with this seed, and its
    errors by states.
    """

    samples: int
    seed: int
    part: LearnedDynamics | LearnedReward
    errors: dict[str, float]


class MeasuredCurve(NamedTuple):
    """The curve of a part on the states that count, its curves on each kind of states, and the
    refits behind them.
    """

    curve: Curve
    by_states: dict[str, Curve]
    refits: tuple[Refit, ...]


def learning_curve(
    part: Bought,
    data: Dataset,
    spec: Spec,
    *,
    visited: Dataset | None = None,
    sizes: Sequence[int] | None = None,
    seeds: int = 3,
    seed: int = 0,
    settings: LearnSettings = _DEFAULT,
    progress: RefitProgress | None = None,
) -> MeasuredCurve:
    """Refit a part on nested subsets of its rows, and measure it on rows never fitted.

    The networks are those of `settings.fit`, start anew and predict means: what else `learn` can
    have them learn (`probabilistic`, `restoring`, `reward_at_ends`) is left out. A fifth of the
    rows is held out for good, by whole episodes; of the rest each seed draws an order, whose
    beginnings are the subsets. The refits of one seed are one compiled program.

    Args:
        part: Which.
        data: What was bought.
        spec: The task; errors of the dynamics are in its scaled states.
        visited: Real steps of the policy that the world is for: the error there is the one that
            counts.
        sizes: Counts of samples; if none, six from a sixteenth of what there is, evenly on a
            logarithmic scale.
        seeds: Refits at each count.
        seed: Randomness.
        settings: Of the fits, and what is set aside for validation.
        progress: Told of seeds done, of how many.

    Raises:
        BadArgument: a part that is neither dynamics nor reward.
        BadData: too few rows; a reward that is always the same; a fit that diverges.
    """
    checks.one_of("part", part, ("dynamics", "reward"))
    problem = _problem(part, data, spec, settings)
    if np.ptp(problem.targets, axis=0).max() == 0:
        raise checks.BadData(
            f"the {part} of all rows is the same; there is no learning curve of a constant."
        )
    rows = len(problem.targets)
    if sizes is None and rows < LEAST_ROWS_OF_CURVE:
        raise checks.BadData(
            f"there are {rows} {part} rows; a learning curve needs {LEAST_ROWS_OF_CURVE} of them."
        )
    held = held_out_rows(
        problem.episode,
        _HELD_OUT_SHARE,
        numpy_random(stage_key(seed, f"held out of the curve of {part}")),
    )
    pool = np.setdiff1d(np.arange(rows), held)
    sizes = tuple(
        sizes
        or np.geomspace(max(len(pool) / _SPAN, LEAST_ROWS), len(pool), _ANCHORS)
        .round()
        .astype(int)
        .tolist()
    )
    for size in sizes:
        checks.between(f"a number of samples of the {part} curve", size, LEAST_ROWS, len(pool))
    tests = {HELD_OUT: _Test(problem, inputs_of_rows(problem, spec)[held], held)}
    if visited is not None:
        own = _problem(part, visited, spec, settings)
        tests[VISITED] = _Test(own, inputs_of_rows(own, spec), np.arange(len(own.targets)))
    refits = []
    for number in range(seeds):
        key = stage_key(seed, f"curve of {part}", number)
        order = pool[numpy_random(key).permutation(len(pool))]
        refits += _refits(
            problem, spec, sizes, order, tests, number=number, key=key, settings=settings
        )
        if progress is not None:
            progress(number + 1, seeds)
    curves = {states: _curve(part, refits, states) for states in tests}
    return MeasuredCurve(curves[HELD_OUT if visited is None else VISITED], curves, tuple(refits))


class _Test(NamedTuple):
    """Rows `[row]` of a problem on which refits are measured, and what networks see of them."""

    problem: FitProblem
    inputs: np.ndarray
    rows: np.ndarray

    def error(self, networks: MLP, begun: Start) -> float:
        """Root mean square error of the ensemble's mean."""
        predicted = begun.outward.center + begun.outward.scale * predict(networks, self.inputs)
        return float(
            np.sqrt(
                np.mean(self.problem.error(predicted.mean(axis=0), self.problem.targets[self.rows]))
            )
        )


def _problem(part: Bought, data: Dataset, spec: Spec, settings: LearnSettings) -> FitProblem:
    """What a part is learned from.

    Args:
        part, data, spec, settings: As in `learning_curve`.
    """
    if part == "dynamics":
        return dynamics_problem(data, spec, settings.margin)
    return reward_problem(data.labels, data.episode[data.has_label], spec)


def _refits(
    problem: FitProblem,
    spec: Spec,
    sizes: Sequence[int],
    order: np.ndarray,
    tests: dict[str, _Test],
    *,
    number: int,
    key: PRNGKey,
    settings: LearnSettings,
) -> list[Refit]:
    """The refits of one seed, whose subsets are the beginnings of `order`.

    Args:
        problem, spec: What is learned, and the task.
        sizes: Counts of rows.
        order: Row numbers.
        tests: Rows on which refits are measured, by the states they are of.
        number: Of the seed.
        key: The seed's randomness.
        settings: As `learn` gets them.
    """
    inputs, largest = inputs_of_rows(problem, spec), max(sizes)
    begun = []
    for i, size in enumerate(sizes):
        own = jax.random.fold_in(key, i)
        rows = Split(*(order[part] for part in split(np.arange(size), own, settings)))
        begun.append(
            start(problem, inputs, rows, spec, key=own, settings=settings.fit, least=largest)
        )
    refits = []
    fitted = _fitted(problem, begun, settings)
    for size, networks, origin in zip(sizes, fitted, begun, strict=True):
        errors = {states: test.error(networks, origin) for states, test in tests.items()}
        if not np.isfinite([*errors.values()]).all():
            raise checks.BadData(
                f"the fit of the {problem.part} on {size} samples diverged; its data must be"
                " finite."
            )
        part = problem.build(networks, *map(jnp.asarray, origin.outward))
        refits.append(Refit(size, number, part, errors))
    return refits


def _fitted(problem: FitProblem, begun: Sequence[Start], settings: LearnSettings) -> list[MLP]:
    """The fitted ensemble of each start.

    Members come first, so that every device gets subsets of all sizes.
    """
    members, cells = settings.fit.members, len(begun)

    def by_member(*leaves: Any) -> Any:
        return jnp.stack(leaves, axis=1).reshape(members * cells, *leaves[0].shape[1:])

    def for_all(*leaves: Any) -> Any:
        stacked = np.stack(leaves)
        return np.broadcast_to(stacked, (members, *stacked.shape)).reshape(
            members * cells, *stacked.shape[1:]
        )

    networks, keys = (
        jax.tree.map(by_member, *column)
        for column in zip(*((b.networks, b.keys) for b in begun), strict=True)
    )
    train, validation = (
        jax.tree.map(for_all, *column)
        for column in zip(*((b.train, b.validation) for b in begun), strict=True)
    )
    fitted = fit_each(
        networks, train, validation, keys, loss=problem.loss, settings=settings.fit
    ).networks
    apart = jax.tree.map(
        lambda leaf: np.asarray(leaf).reshape(members, cells, *leaf.shape[1:]), fitted
    )
    return [jax.tree.map(lambda leaf, i=i: leaf[:, i], apart) for i in range(cells)]


def _curve(part: Bought, refits: Sequence[Refit], states: str) -> Curve:
    return Curve(
        part, tuple(Anchor(r.samples, r.errors[states], r.seed) for r in refits), "rms", states
    )
