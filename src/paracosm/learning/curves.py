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
from paracosm.core.precision import in_32_bits
from paracosm.core.records.decisions import Anchor, Bought, Curve
from paracosm.core.types import PRNGKey
from paracosm.learning.fit import fit_each
from paracosm.learning.learn import LEAST_ROWS
from paracosm.learning.part_learner import dynamics_problem, reward_problem
from paracosm.learning.parts import LearnedDynamics, LearnedReward
from paracosm.learning.problem import (
    FitProblem,
    PreparedFit,
    inputs_of_rows,
    predict,
    prepare_fit,
)
from paracosm.learning.scaling import Scaling
from paracosm.learning.settings import LearnSettings
from paracosm.learning.splits import Split, held_out_rows, split

_DEFAULT = LearnSettings()
_ANCHORS, _SPAN = 6, 16  # counts of samples, and the largest over the smallest
_HELD_OUT_SHARE = 0.2
LEAST_ROWS_OF_CURVE = 200  # sixteen times ten in the smallest subset, and the fifth held out

# The states on which a curve is measured, as `Curve.states` names them.
HELD_OUT, VISITED = "held out", "visited by the policy"

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


@in_32_bits
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
        part: Which part.
        data: What was bought.
        spec: The task; errors of the dynamics are in its scaled states.
        visited: Real steps of the policy that the world is for: the error there is the one that
            counts.
        sizes: Counts of samples; if none, six from a sixteenth of what there is, evenly on a
            logarithmic scale.
        seeds: Refits at each count.
        seed: Randomness.
        settings: Settings of the fits, and what is set aside for validation.
        progress: Called after each seed with the number of seeds done and of all.

    Raises:
        BadArgument: a part that is neither dynamics nor reward.
        BadData: too few rows; a reward that is always the same; a fit that diverges.
    """
    checks.one_of("part", part, ("dynamics", "reward"))
    seeds = checks.count("seeds", seeds)
    problem = _problem(part, data, spec, settings)
    if np.ptp(problem.targets, axis=0).max() == 0:
        raise checks.BadData(
            f"the {part} of all rows is the same; there is no learning curve of a constant."
        )
    rows = len(problem.targets)
    sizes = () if sizes is None else tuple(sizes)
    if not sizes and rows < LEAST_ROWS_OF_CURVE:
        raise checks.BadData(
            f"there are {rows} {part} rows; a learning curve needs {LEAST_ROWS_OF_CURVE} of them."
        )
    random = numpy_random(stage_key(seed, f"held out of the curve of {part}"))
    held_out = held_out_rows(problem.episode, _HELD_OUT_SHARE, random)
    pool = np.setdiff1d(np.arange(rows), held_out)
    allowed = checks.Range(LEAST_ROWS, len(pool), integer=True)
    sizes = tuple(
        allowed.check(f"a number of samples of the {part} curve", size)
        for size in sizes or _sizes(len(pool))
    )
    evaluations = {HELD_OUT: _evaluation_rows(problem, spec, held_out)}
    if visited is not None:
        own = _problem(part, visited, spec, settings)
        evaluations[VISITED] = _evaluation_rows(own, spec, np.arange(len(own.targets)))
    refits = []
    for number in range(seeds):
        key = stage_key(seed, f"curve of {part}", number)
        order = pool[numpy_random(key).permutation(len(pool))]
        refits += _refit(
            problem, spec, sizes, order, evaluations, number=number, key=key, settings=settings
        )
        if progress is not None:
            progress(number + 1, seeds)
    curves = {states: _curve(part, refits, states) for states in evaluations}
    counted = HELD_OUT if visited is None else VISITED
    return MeasuredCurve(curve=curves[counted], by_states=curves, refits=tuple(refits))


def _sizes(most: int) -> list[int]:
    """Counts of samples, evenly on a logarithmic scale, of which `most` is the largest."""
    least = max(most / _SPAN, LEAST_ROWS)
    return np.geomspace(least, most, _ANCHORS).round().astype(int).tolist()


class EvaluationRows(NamedTuple):
    """Steps on which refits are measured.

    Attributes:
        problem: What these steps are rows of.
        inputs: What networks see of them, `[rows, inputs]`.
        targets: What networks should predict there, `[rows, outputs]`.
    """

    problem: FitProblem
    inputs: np.ndarray
    targets: np.ndarray

    def error(self, networks: MLP, output_scaling: Scaling) -> float:
        """Root mean square error of the ensemble's mean."""
        center, scale = output_scaling
        predicted = center + scale * predict(networks, self.inputs)
        return float(np.sqrt(np.mean(self.problem.error(predicted.mean(axis=0), self.targets))))


def _evaluation_rows(problem: FitProblem, spec: Spec, rows: np.ndarray) -> EvaluationRows:
    """Rows of a problem, by their numbers, as refits are measured on them."""
    return EvaluationRows(problem, inputs_of_rows(problem, spec)[rows], problem.targets[rows])


def _problem(part: Bought, data: Dataset, spec: Spec, settings: LearnSettings) -> FitProblem:
    """What a part is learned from.

    Args:
        part, data, spec, settings: As in `learning_curve`.
    """
    if part == "dynamics":
        return dynamics_problem(data, spec, settings.margin)
    return reward_problem(data.labels, data.episode[data.has_label], spec)


def _refit(
    problem: FitProblem,
    spec: Spec,
    sizes: Sequence[int],
    order: np.ndarray,
    evaluations: dict[str, EvaluationRows],
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
        evaluations: Rows on which refits are measured, by the states they are of.
        number: The number of the seed.
        key: Randomness of the seed.
        settings: As `learn` gets them.
    """
    inputs = inputs_of_rows(problem, spec)
    keys = [jax.random.fold_in(key, i) for i in range(len(sizes))]
    splits = [
        Split(*(order[side] for side in split(np.arange(size), own_key, settings)))
        for size, own_key in zip(sizes, keys, strict=True)
    ]
    prepared = [
        prepare_fit(
            problem,
            inputs,
            rows,
            spec,
            key=own_key,
            settings=settings.fit,
            capacity=max(sizes),
            validation_rows=max(len(rows.validation) for rows in splits),
        )
        for rows, own_key in zip(splits, keys, strict=True)
    ]
    refits = []
    ensembles = _fit_ensembles(problem, prepared, settings)
    for size, networks, fit in zip(sizes, ensembles, prepared, strict=True):
        errors = {
            states: evaluation.error(networks, fit.output_scaling)
            for states, evaluation in evaluations.items()
        }
        if not np.isfinite([*errors.values()]).all():
            raise checks.BadData(
                f"the fit of the {problem.part} on {size} samples diverged; its data must be"
                " finite."
            )
        part = problem.build(networks, *map(jnp.asarray, fit.output_scaling))
        refits.append(Refit(samples=size, seed=number, part=part, errors=errors))
    return refits


def _fit_ensembles(
    problem: FitProblem, prepared: Sequence[PreparedFit], settings: LearnSettings
) -> list[MLP]:
    """The fitted ensemble of each prepared fit, all of them in one program.

    Members come first, so that every device gets subsets of all sizes.
    """
    members, cells = settings.fit.members, len(prepared)

    def by_member(*leaves: Any) -> Any:
        return jnp.stack(leaves, axis=1).reshape(members * cells, *leaves[0].shape[1:])

    def for_all(*leaves: Any) -> Any:
        stacked = np.stack(leaves)
        return np.broadcast_to(stacked, (members, *stacked.shape)).reshape(
            members * cells, *stacked.shape[1:]
        )

    networks, keys = (
        jax.tree.map(by_member, *column)
        for column in zip(*((fit.networks, fit.keys) for fit in prepared), strict=True)
    )
    train, validation = (
        jax.tree.map(for_all, *column)
        for column in zip(*((fit.train, fit.validation) for fit in prepared), strict=True)
    )
    fitted = fit_each(
        networks, train, validation, keys, loss=problem.loss, settings=settings.fit
    ).networks
    apart = jax.tree.map(
        lambda leaf: np.asarray(leaf).reshape(members, cells, *leaf.shape[1:]), fitted
    )
    return [jax.tree.map(lambda leaf, i=i: leaf[:, i], apart) for i in range(cells)]


def _curve(part: Bought, refits: Sequence[Refit], states: str) -> Curve:
    """The curve of a part on states of this name."""
    anchors = tuple(Anchor(r.samples, r.errors[states], r.seed) for r in refits)
    return Curve(part=part, anchors=anchors, unit="rms", states=states)
