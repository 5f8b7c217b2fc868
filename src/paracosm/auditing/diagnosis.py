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
from paracosm.auditing.verdict import training_verdict_on, verdict_on
from paracosm.core.data import Trajectory
from paracosm.core.estimators import student_mean
from paracosm.core.mdp import MDP, Box
from paracosm.core.records import (
    LEARNED_CAUSES,
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
_MISS = 0.05  # how often any of the components' intervals may miss


class AuditMeasurements(NamedTuple):
    """All that an audit measured.

    Attributes:
        world: The learned world, of states; its discount is that of training.
        episodes: Real episodes, NumPy arrays `[episode, time, …]`.
        discount: The reporting discount.
        training_horizon: Steps of a rollout in training; None where training is taken to have
            imagined whole episodes.
        imagined: Imagined episodes from the real starts, and their returns.
        predictions: Of the world at each real step.
        terms: The causes of the gap at `discount`.
        terms_training: The causes of the gap at the world's discount.
        plausibility: Whether imagination stays among what was recorded.
        reference: What the bought data say, before any episode of the policy, if there are any.
        dimensions: The dynamics term of `terms` by state component.
        weights: What errors of the parts cost; none for episodes of another policy.
        bounds: Lipschitz brackets, and what they prove.
        shapley: Shapley values; None without the real reward.
        findings: Of the linter.
        importance: Weights of episodes of another policy; None for the policy's own.
        noisy: Whether chance is left in the terms.
        imagination: How often a stochastic world or policy was drawn; None if nothing is noisy.
        finite_differences: The parts whose derivatives are finite differences.
    """

    world: MDP
    episodes: Trajectory
    discount: float
    training_horizon: int | None
    imagined: ImaginedReturns
    predictions: OneStep
    terms: Terms
    terms_training: Terms
    plausibility: Plausibility
    reference: Reference | None
    dimensions: Dimensions
    weights: tuple[Weights, ...]
    bounds: Bounds
    shapley: ShapleyValues | None
    findings: tuple[Finding, ...]
    importance: Importance | None
    noisy: bool
    imagination: Imagination | None
    finite_differences: tuple[str, ...]

    @property
    def reweighted(self) -> bool:
        """Whether the episodes stand for those of another policy than recorded them."""
        return self.importance is not None

    @property
    def partial(self) -> bool:
        """Whether only a subset of the real steps was audited."""
        return bool(self.terms.audited.sum() < self.episodes.alive.sum())


class _EpisodeGaps(NamedTuple):
    """The two returns of each episode at one discount, and the terms of their difference."""

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
        terms = {
            cause: self.average.mean_term(term, cause) for cause, term in self.by_cause.items()
        }
        real, predicted = (
            self.average.mean_return(self.real),
            self.average.mean_return(self.predicted, imagined=True),
        )
        return Gap(
            real, predicted, self.average.mean_term(self.total), **{"horizon": exact, **terms}
        )


def diagnosis_of(measured: AuditMeasurements) -> Diagnosis:
    """The record of what was measured, its texts still empty."""
    world, episodes, imagined = measured.world, measured.episodes, measured.imagined
    terms, reweighted = measured.terms, measured.reweighted
    whole = _episode_gaps(measured, measured.discount, np.asarray(imagined.full), terms)
    gap, gap_training = whole.gap(), _gap_training(measured)
    by_step = {cause: _by_step(getattr(terms, cause)) for cause in LEARNED_CAUSES}
    dimensions = dimensions_of(measured.dimensions, whole.average, world.spec.components)
    parts = None
    if measured.training_horizon is not None:
        parts = _horizon_parts(imagined, _averages(measured, world.discount))
    horizon = episodes.alive.shape[1]
    # Then real and imagined episodes are not each other's copies.
    apart = measured.noisy or reweighted
    shown = 0 if reweighted else min(_OVERLAYS, len(whole.real))
    weight = 1 if measured.importance is None else measured.importance.weights
    undiscounted = _averages(measured, 1.0)
    real_return = undiscounted.mean_return((weight * episodes.reward).sum(axis=1))
    check = _check(whole, measured)
    audited = int(terms.audited.sum())
    subset = audited if measured.partial and not reweighted else 0
    verdict = unfit(check, measured.plausibility, gap) or verdict_on(gap, subset)
    few = 0 if reweighted else _few_steps(gap, terms, check.steps)
    verdict = dataclasses.replace(verdict, few_steps=few or verdict.few_steps)
    training_verdict = None
    if gap_training is not None and not verdict.unfit:
        training_verdict = training_verdict_on(
            verdict, gap_training, parts, world.discount, horizon, subset=subset
        )
    return Diagnosis(
        gap=gap,
        gap_training=gap_training,
        discount=measured.discount,
        training_discount=world.discount,
        horizon=horizon,
        training_horizon=measured.training_horizon or horizon,
        causes=by_step,
        real_return=real_return,
        imagined_return=undiscounted.mean_return(imagined.undiscounted, imagined=True),
        reference=measured.reference,
        plausibility=measured.plausibility,
        mode_versus_sampled=None
        if imagined.sampled is None
        else whole.average.mean_term(_difference(imagined.mode, imagined.sampled)),
        baselines=baselines(world, episodes, measured.predictions),
        informative_horizon=None
        if apart
        else informative_horizon(world, episodes, imagined.episodes),
        data_edge_share=None if imagined.edge_share is None else float(imagined.edge_share),
        closure=_closure(whole),
        missed=check.missed,
        precision="",
        other_actions=check.other_actions,
        real_steps=check.steps,
        audited_steps=audited,
        imagined_steps=terms.imagined_steps,
        imagination=measured.imagination,
        overlays=tuple(overlay(episodes, imagined.episodes, i) for i in range(shown)),
        dynamics_by_dimension=dimensions,
        horizon_parts=parts,
        orders=measured.shapley,
        effective_episodes=None if measured.importance is None else measured.importance.effective,
        weights=measured.weights,
        lipschitz=measured.bounds.lipschitz,
        contraction=measured.bounds.contraction,
        certificates=measured.bounds.certificates,
        findings=measured.findings,
        valid=not verdict.unfit,
        decision=verdict,
        decision_training=training_verdict,
        advice=advise(gap, verdict, by_step, dimensions, measured.findings),
        remarks=dataclasses.replace(
            _remarks(measured, real_return, _widening(whole, gap)),
            unseen_ends=_unseen_ends(measured, gap),
        ),
        verdict="",
        verdict_training="",
        explanation="",
        explanation_training="",
    )


def _remarks(
    measured: AuditMeasurements, real_return: Estimate, unseen_reward: float | None
) -> Remarks:
    """What is said beside the verdict: of the undiscounted `real_return`, and of the
    `unseen_reward` that makes intervals wide.
    """
    return Remarks(
        policy=policy_standing(real_return, measured.reference),
        noisiest=noisiest(measured.imagination),
        sums=_sum_check(measured),
        noise_share=noise_share(measured.imagination),
        finite_differences=measured.finite_differences,
        unseen_reward=unseen_reward,
    )


def _widening(whole: _EpisodeGaps, gap: Gap) -> float | None:
    """The unseen reward that makes the interval of the gap much wider than the episodes differ."""
    if len(whole.total) < 2:
        return None
    usual = student_mean(whole.total)
    wide = gap.total.high - gap.total.low > _WIDE * (usual.high - usual.low)
    return whole.average.unseen_reward if wide else None


def _unseen_ends(measured: AuditMeasurements, gap: Gap) -> bool:
    """Whether the end rule's interval is more than small though no episode ended and the rule never
    said that one does.
    """
    episodes, term, predictions = measured.episodes, gap.termination, measured.predictions
    said = np.asarray(predictions.at_real.ended) | np.asarray(predictions.at_imagined.ended)
    ends = (np.asarray(episodes.terminated) | said) & np.asarray(episodes.alive)
    imagined = np.asarray(measured.imagined.episodes.terminated)
    if measured.reweighted or bool(ends.any() or imagined.any()):
        return False
    return max(abs(term.low), abs(term.high)) > gap.largest_small


def _difference(first: Array, second: Array) -> np.ndarray:
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


def _sum_check(measured: AuditMeasurements) -> SumCheck:
    """What bounds how well the terms sum to the gap."""
    if measured.reweighted:
        return "reweighted"
    if measured.noisy:
        return "stochastic"
    return "subset" if measured.partial else "actions"


def _averages(measured: AuditMeasurements, discount: float) -> Averages:
    """How returns and terms at one discount are averaged."""
    reference = measured.reference
    return averages(
        measured.world,
        measured.episodes,
        measured.predictions,
        measured.imagined.episodes,
        discount=discount,
        extra_rewards=reference.reward if reference else (),
        given=reference.given if reference else (),
        reweighted=measured.reweighted,
    )


def _episode_gaps(
    measured: AuditMeasurements, discount: float, predicted: np.ndarray, terms: Terms
) -> _EpisodeGaps:
    """The two returns of each episode at one discount, and the terms of their difference.

    The real return of episodes that another policy recorded is the sum of the predicted one and the
    weighted terms.

    Args:
        measured: All that was measured.
        discount: Of all returns, in [0, 1].
        predicted: The predicted return, `[episode]`.
        terms: Why that is not the real one, `[episode, time]` each.
    """
    by_cause = {cause: getattr(terms, cause).sum(axis=1) for cause in LEARNED_CAUSES}
    real = measured.episodes.returns(discount)
    if measured.reweighted:
        real = predicted + np.sum([*by_cause.values()], axis=0)
    return _EpisodeGaps(real, predicted, by_cause, _averages(measured, discount))


def _gap_training(measured: AuditMeasurements) -> Gap | None:
    """The gap of what training predicted; None where it is that of whole episodes at the reporting
    discount.
    """
    discount, imagined = measured.world.discount, measured.imagined
    if measured.training_horizon is None and discount == measured.discount:
        return None
    full = np.asarray(imagined.full_training)
    whole = _episode_gaps(measured, discount, full, measured.terms_training)
    if measured.training_horizon is None:
        return whole.gap()
    predicted = np.asarray(imagined.predicted)
    return whole._replace(
        predicted=predicted, by_cause=whole.by_cause | {"horizon": full - predicted}
    ).gap()


def _check(whole: _EpisodeGaps, measured: AuditMeasurements) -> Check:
    """What the conditions of a verdict hang on, by the gaps at the reporting discount."""
    size = np.maximum(np.abs(whole.total), whole.sizes)
    return Check(
        exact=not (measured.noisy or measured.partial or measured.reweighted),
        missed=float(np.mean(np.abs(whole.missed))),
        size=float(np.mean(size)),
        other_actions=int(measured.predictions.other_action.sum()),
        steps=int(measured.episodes.alive.sum()),
        action_difference=_action_difference(measured),
    )


def _action_difference(measured: AuditMeasurements) -> float:
    """The largest difference of recorded actions that count as the policy's from its own, in ranges
    of the box.
    """
    space, episodes, predictions = (
        measured.world.spec.action,
        measured.episodes,
        measured.predictions,
    )
    own = np.asarray(episodes.alive) & ~predictions.other_action
    if not isinstance(space, Box) or not own.any():
        return 0.0
    difference = np.abs(np.asarray(episodes.action) - predictions.action) / np.asarray(
        space.high - space.low
    )
    return float(difference[own].max())


def _closure(whole: _EpisodeGaps) -> float:
    size = np.max([np.abs(whole.real), np.abs(whole.predicted), whole.sizes], axis=0)
    return float(np.max(np.abs(whole.missed) / np.maximum(size, np.finfo(float).tiny)))


def dimensions_of(
    parts: Dimensions, average: Averages, names: tuple[str, ...]
) -> DynamicsByDimension:
    """The split by state component, whose intervals hold for all components together (Bonferroni):
    of many right ones hardly any is called wrong.
    """
    by_episode = parts.terms.sum(axis=1)
    level = 1 - _MISS / max(1, by_episode.shape[1])
    return DynamicsByDimension(
        dimensions=tuple(average.mean_term(column, level=level) for column in by_episode.T),
        by_step=tuple(_by_step(parts.terms[..., i]) for i in range(parts.terms.shape[-1])),
        remainder=average.mean_term(parts.remainder),
        steps=parts.steps,
        components=names if len(names) == by_episode.shape[1] else (),
    )


def _horizon_parts(imagined: ImaginedReturns, average: Averages) -> HorizonParts:
    return HorizonParts(
        bootstrap=average.mean_term(imagined.in_training_world - imagined.predicted),
        edge=average.mean_term(imagined.full_training - imagined.in_training_world),
    )


def _by_step(term: np.ndarray) -> CauseByStep:
    return CauseByStep(
        tuple(map(float, term.mean(axis=0))), tuple(map(float, np.abs(term).mean(axis=0)))
    )
