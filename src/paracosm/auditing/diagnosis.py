"""From what an audit measured to the record that it hands on."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from paracosm.auditing.advice import advise
from paracosm.auditing.attribution import Terms
from paracosm.auditing.averages import Averages, averages
from paracosm.auditing.bounds import Bounds
from paracosm.auditing.conditions import Check, noise_share, noisiest, policy_standing, unfit
from paracosm.auditing.dimensions import Dimensions
from paracosm.auditing.imagined_returns import ImaginedReturns, informative_horizon, overlay
from paracosm.auditing.importance import Importance
from paracosm.auditing.one_step import OneStep, baselines
from paracosm.auditing.verdict import LEARNED, decide, decide_training
from paracosm.core.data import Trajectory
from paracosm.core.estimators import student_mean
from paracosm.core.mdp import MDP, Box
from paracosm.core.records import (
    CauseByStep,
    Diagnosis,
    DynamicsByDimension,
    Estimate,
    Finding,
    Gap,
    HorizonParts,
    Imagination,
    Plausibility,
    Reference,
    Remarks,
    ShapleyValues,
    SumCheck,
    Weights,
)
from paracosm.core.types import Array

_ROUNDING = 1e-9  # of returns in 64 bits that are added up in another order
_FEW = 4  # times as many steps can still be audited
_WIDTHS = ("total", "reward", "termination", "dynamics")
_WIDE = 2.0  # times another interval: more has another cause than the episodes' difference
_OVERLAYS = 3  # episodes drawn on a page


class AuditMeasurements(NamedTuple):
    """All that an audit measured; `worth` only of episodes of another policy, `orders` (Shapley
    values) only with the real reward.

    `terms` and all that follows from them are at the reporting `discount`, `terms_training` at the
    world's. `noisy` says whether chance is left in the terms, `differences` the parts whose
    derivatives are finite differences.
    """

    discount: float
    imagined: ImaginedReturns
    predictions: OneStep
    terms: Terms
    terms_training: Terms
    plausibility: Plausibility
    known: Reference | None
    dimensions: Dimensions
    weights: tuple[Weights, ...]
    bounds: Bounds
    orders: ShapleyValues | None
    findings: tuple[Finding, ...]
    worth: Importance | None
    noisy: bool
    imagination: Imagination | None
    differences: tuple[str, ...]


class _Causes(NamedTuple):
    """At one discount, `[episode]`: the predicted return, and why that is not the real return."""

    real: np.ndarray
    predicted: np.ndarray
    by_cause: dict[str, np.ndarray]
    average: Averages

    @property
    def total(self) -> np.ndarray:
        return self.real - self.predicted

    @property
    def sizes(self) -> np.ndarray:
        """Sum of the causes' absolute values."""
        return np.sum([np.abs(term) for term in self.by_cause.values()], axis=0)

    @property
    def missed(self) -> np.ndarray:
        """Sum of the causes minus the gap."""
        return np.sum([*self.by_cause.values()], axis=0) - self.total

    def gap(self) -> Gap:
        """Means with intervals; whole episodes have no horizon term."""
        exact = Estimate(
            0.0, 0.0, 0.0, len(self.real), "0 by definition: whole episodes are imagined"
        )
        terms = {cause: self.average.term(term, cause) for cause, term in self.by_cause.items()}
        real, predicted = (
            self.average.value(self.real),
            self.average.value(self.predicted, imagined=True),
        )
        return Gap(real, predicted, self.average.term(self.total), **{"horizon": exact, **terms})


def diagnosis_of(
    world: MDP, episodes: Trajectory, measured: AuditMeasurements, training_horizon: int | None
) -> Diagnosis:
    """The record, its texts still empty.

    Args:
        world: The learned world.
        episodes: Real episodes, NumPy arrays `[episode, time, …]`.
        measured: All that was measured of them.
        training_horizon: Steps of a rollout in training; without it training is taken to have
            imagined whole episodes.
    """
    imagined, terms, worth = measured.imagined, measured.terms, measured.worth
    causes = _causes(
        world,
        episodes,
        measured,
        discount=measured.discount,
        predicted=np.asarray(imagined.full),
        terms=terms,
    )
    of_sums = _averages(world, 1.0, episodes, measured)
    gap, gap_training = causes.gap(), _gap_training(world, episodes, measured, training_horizon)
    by_step = {cause: _by_step(getattr(terms, cause)) for cause in LEARNED}
    dimensions = _dimensions(measured.dimensions, causes.average, world.spec.components)
    of_training = _averages(world, world.discount, episodes, measured)
    parts = None if training_horizon is None else _horizon_parts(imagined, of_training)
    horizon = episodes.alive.shape[1]
    # Then real and imagined episodes are not each other's copies.
    apart = measured.noisy or worth is not None
    shown = 0 if worth is not None else min(_OVERLAYS, len(causes.real))
    weight = 1 if worth is None else worth.weights
    real_return = of_sums.value((weight * episodes.reward).sum(axis=1))
    check = _check(world, causes, measured, episodes)
    decision = dataclasses.replace(
        unfit(check, measured.plausibility, gap) or decide(gap),
        few_steps=0 if worth is not None else _few_steps(gap, terms, check.steps),
    )
    decision_training = None
    if gap_training is not None and not decision.unfit:
        decision_training = decide_training(decision, gap_training, parts, world.discount, horizon)
    return Diagnosis(
        gap=gap,
        gap_training=gap_training,
        discount=measured.discount,
        training_discount=world.discount,
        horizon=horizon,
        training_horizon=training_horizon or horizon,
        causes=by_step,
        real_return=real_return,
        imagined_return=of_sums.value(imagined.undiscounted, imagined=True),
        reference=measured.known,
        plausibility=measured.plausibility,
        mode_versus_sampled=None
        if imagined.sampled is None
        else causes.average.term(_apart(imagined.mode, imagined.sampled)),
        baselines=baselines(world, episodes, measured.predictions),
        informative_horizon=None
        if apart
        else informative_horizon(world, episodes, imagined.episodes),
        data_edge_share=None if imagined.edge_share is None else float(imagined.edge_share),
        closure=_closure(causes),
        missed=check.missed,
        precision="",
        other_actions=check.other_actions,
        real_steps=check.steps,
        audited_steps=int(terms.audited.sum()),
        imagined_steps=terms.imagined_steps,
        imagination=measured.imagination,
        overlays=tuple(overlay(episodes, imagined.episodes, i) for i in range(shown)),
        dynamics_by_dimension=dimensions,
        horizon_parts=parts,
        orders=measured.orders,
        effective_episodes=None if worth is None else worth.effective,
        weights=measured.weights,
        lipschitz=measured.bounds.lipschitz,
        contraction=measured.bounds.contraction,
        certificates=measured.bounds.certificates,
        findings=measured.findings,
        valid=not decision.unfit,
        decision=decision,
        decision_training=decision_training,
        advice=advise(gap, decision, by_step, dimensions, measured.findings),
        remarks=_remarks(measured, episodes, real_return, _widening(causes, gap)),
        verdict="",
        verdict_training="",
        explanation="",
        explanation_training="",
    )


def _remarks(
    measured: AuditMeasurements,
    episodes: Trajectory,
    real_return: Estimate,
    unseen_reward: float | None,
) -> Remarks:
    """What is said beside the verdict.

    Args:
        measured, episodes: As for `diagnosis_of`.
        real_return: Not discounted.
        unseen_reward: What makes intervals wide.
    """
    return Remarks(
        policy=policy_standing(real_return, measured.known),
        noisiest=noisiest(measured.imagination),
        sums=_sum_check(measured, episodes),
        noise_share=noise_share(measured.imagination),
        finite_differences=measured.differences,
        unseen_reward=unseen_reward,
    )


def _widening(causes: _Causes, gap: Gap) -> float | None:
    """The unseen reward that makes the interval of the gap much wider than the episodes differ."""
    if len(causes.total) < 2:
        return None
    usual = student_mean(causes.total)
    wide = gap.total.high - gap.total.low > _WIDE * (usual.high - usual.low)
    return causes.average.unseen_reward if wide else None


def _apart(first: Array, second: Array) -> np.ndarray:
    """The difference of returns, 0 where it is rounding."""
    returns = np.asarray(first), np.asarray(second)
    same = np.isclose(*returns, rtol=_ROUNDING, atol=_ROUNDING)
    return np.where(same, 0.0, returns[0] - returns[1])


def _few_steps(gap: Gap, terms: Terms, real_steps: int) -> int:
    """How many steps were audited, where so few make the terms' intervals much wider than those of
    the gap and of the reward term, which do not depend on them; else 0.
    """
    audited = int(terms.audited.sum())
    widths = {name: getattr(gap, name).high - getattr(gap, name).low for name in _WIDTHS}
    sampled = max(widths["termination"], widths["dynamics"])
    few = _FEW * audited <= real_steps
    return audited if few and sampled > _WIDE * max(widths["total"], widths["reward"]) else 0


def _sum_check(measured: AuditMeasurements, episodes: Trajectory) -> SumCheck:
    """What bounds how well the terms sum to the gap."""
    if measured.worth is not None:
        return "reweighted"
    if measured.noisy:
        return "stochastic"
    return "subset" if measured.terms.audited.sum() < episodes.alive.sum() else "actions"


def _averages(
    world: MDP, discount: float, episodes: Trajectory, measured: AuditMeasurements
) -> Averages:
    """How returns and terms at one discount are averaged.

    Args:
        world, episodes, measured: As for `diagnosis_of`.
        discount: At which returns are added up, in [0, 1].
    """
    return averages(
        world,
        episodes,
        measured.predictions,
        measured.imagined.episodes,
        discount=discount,
        rewards=measured.known.reward if measured.known else (),
        given=measured.known.given if measured.known else (),
        reweighted=measured.worth is not None,
    )


def _causes(
    world: MDP,
    episodes: Trajectory,
    measured: AuditMeasurements,
    *,
    discount: float,
    predicted: np.ndarray,
    terms: Terms,
) -> _Causes:
    """Of another policy's episodes the real return is what imagination and its causes say: the
    terms are weighted.

    Args:
        world, episodes, measured: As for `diagnosis_of`.
        discount: Of all that follows, in [0, 1].
        predicted: The predicted return, `[episode]`.
        terms: Why that is not the real one, `[episode, time]` each.
    """
    by_cause = {cause: getattr(terms, cause).sum(axis=1) for cause in LEARNED}
    real = np.asarray(episodes.reward) @ discount ** np.arange(episodes.alive.shape[1])
    if measured.worth is not None:
        real = predicted + np.sum([*by_cause.values()], axis=0)
    return _Causes(real, predicted, by_cause, _averages(world, discount, episodes, measured))


def _gap_training(
    world: MDP, episodes: Trajectory, measured: AuditMeasurements, training_horizon: int | None
) -> Gap | None:
    """The gap of what training believed; none where nothing tells it from that of whole
    episodes.

    Args:
        world, episodes, measured, training_horizon: As for `diagnosis_of`.
    """
    if training_horizon is None and world.discount == measured.discount:
        return None
    imagined, terms = measured.imagined, measured.terms_training
    causes = _causes(
        world,
        episodes,
        measured,
        discount=world.discount,
        predicted=np.asarray(imagined.full_training),
        terms=terms,
    )
    if training_horizon is None:
        return causes.gap()
    predicted = np.asarray(imagined.predicted)
    horizon = np.asarray(imagined.full_training) - predicted
    return causes._replace(
        predicted=predicted, by_cause=causes.by_cause | {"horizon": horizon}
    ).gap()


def _check(world: MDP, causes: _Causes, measured: AuditMeasurements, episodes: Trajectory) -> Check:
    """What the conditions of a verdict hang on.

    Args:
        world, measured, episodes: As for `diagnosis_of`.
        causes: At the reporting discount.
    """
    alive = np.asarray(episodes.alive)
    partial = measured.terms.audited.sum() < alive.sum()
    size = np.maximum(np.abs(causes.total), causes.sizes)
    return Check(
        exact=not (measured.noisy or partial or measured.worth is not None),
        missed=float(np.mean(np.abs(causes.missed))),
        size=float(np.mean(size)),
        other_actions=int(measured.predictions.other_action.sum()),
        steps=int(alive.sum()),
        action_difference=_action_difference(world, episodes, measured.predictions),
    )


def _action_difference(world: MDP, episodes: Trajectory, predictions: OneStep) -> float:
    """The largest difference of recorded actions that count as the policy's from its own, in ranges
    of the box.
    """
    space, own = world.spec.action, np.asarray(episodes.alive) & ~predictions.other_action
    if not isinstance(space, Box) or not own.any():
        return 0.0
    difference = np.abs(np.asarray(episodes.action) - predictions.action) / np.asarray(
        space.high - space.low
    )
    return float(difference[own].max())


def _closure(causes: _Causes) -> float:
    size = np.max([np.abs(causes.real), np.abs(causes.predicted), causes.sizes], axis=0)
    return float(np.max(np.abs(causes.missed) / np.maximum(size, np.finfo(float).tiny)))


def _dimensions(
    parts: Dimensions, average: Averages, names: tuple[str, ...]
) -> DynamicsByDimension:
    by_episode = parts.terms.sum(axis=1)
    return DynamicsByDimension(
        dimensions=tuple(average.term(column) for column in by_episode.T),
        by_step=tuple(_by_step(parts.terms[..., i]) for i in range(parts.terms.shape[-1])),
        remainder=average.term(parts.remainder),
        steps=parts.steps,
        components=names if len(names) == by_episode.shape[1] else (),
    )


def _horizon_parts(imagined: ImaginedReturns, average: Averages) -> HorizonParts:
    return HorizonParts(
        bootstrap=average.term(imagined.pessimistic - imagined.predicted),
        edge=average.term(imagined.full_training - imagined.pessimistic),
    )


def _by_step(term: np.ndarray) -> CauseByStep:
    return CauseByStep(
        tuple(map(float, term.mean(axis=0))), tuple(map(float, np.abs(term).mean(axis=0)))
    )
