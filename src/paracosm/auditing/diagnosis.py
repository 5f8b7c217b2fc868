"""From what an audit measured to the record that it hands on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from paracosm.auditing.attribution import Terms
from paracosm.auditing.averages import Averages, averages
from paracosm.auditing.bounds import Bounds
from paracosm.auditing.conditions import Check, implausible, noise_left, standing_of_policy, unfit
from paracosm.auditing.dimensions import Dimensions
from paracosm.auditing.dreams import Dreams, informative_horizon, overlay
from paracosm.auditing.importance import Importance
from paracosm.auditing.onestep import OneStep, baselines
from paracosm.auditing.verdict import (
    LEARNED,
    Explanation,
    explanation,
    horizon_advice,
    one_step_errors,
    verdict,
    verdict_training,
)
from paracosm.core.data import Trajectory
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
    Orders,
    Plausibility,
    Reference,
    Weights,
)

_OVERLAYS = 3


class Measured(NamedTuple):
    """All that an audit measured; `worth` only of episodes of another policy, `orders` only with
    the real reward.

    `terms` and all that follows from them are at the reporting `discount`, `terms_training` at the
    world's. `noisy` says whether chance is left in the terms, `differences` the parts whose
    derivatives are finite differences.
    """

    discount: float
    dreams: Dreams
    asked: OneStep
    terms: Terms
    terms_training: Terms
    plausibility: Plausibility
    known: Reference | None
    dimensions: Dimensions
    weights: tuple[Weights, ...]
    bounds: Bounds
    orders: Orders | None
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
    world: MDP, episodes: Trajectory, measured: Measured, training_horizon: int | None
) -> Diagnosis:
    """The record; without a training horizon training is taken to have imagined whole episodes."""
    dreams, terms, worth = measured.dreams, measured.terms, measured.worth
    causes = _causes(
        world,
        episodes,
        measured,
        discount=measured.discount,
        predicted=np.asarray(dreams.full),
        terms=terms,
    )
    of_sums = _averages(world, 1.0, episodes, measured)
    gap, gap_training = causes.gap(), _gap_training(world, episodes, measured, training_horizon)
    by_step = {cause: _by_step(getattr(terms, cause)) for cause in LEARNED}
    dimensions = _dimensions(measured.dimensions, causes.average)
    of_training = _averages(world, world.discount, episodes, measured)
    parts = None if training_horizon is None else _horizon_parts(dreams, of_training)
    horizon = episodes.alive.shape[1]
    apart = (
        measured.noisy or worth is not None
    )  # then real and imagined episodes are not each other's copies
    shown = 0 if worth is not None else min(_OVERLAYS, len(causes.real))
    weight = 1 if worth is None else worth.weights
    real_return = of_sums.value((weight * episodes.reward).sum(axis=1))
    errors = baselines(world, episodes, measured.asked)
    check = _check(world, causes, measured, episodes)
    evidence = Explanation(by_step, dimensions, measured.findings, errors)
    horizons = horizon, training_horizon or horizon
    discounts = measured.discount, world.discount
    words = _words(gap, check, measured, real_return, evidence)
    return Diagnosis(
        gap=gap,
        gap_training=gap_training,
        discount=measured.discount,
        training_discount=world.discount,
        horizon=horizon,
        training_horizon=horizons[1],
        causes=by_step,
        real_return=real_return,
        imagined_return=of_sums.value(dreams.undiscounted, imagined=True),
        reference=measured.known,
        plausibility=measured.plausibility,
        mode_versus_sampled=causes.average.term(dreams.mode - dreams.sampled),
        baselines=errors,
        informative_horizon=None
        if apart
        else informative_horizon(world, episodes, dreams.episodes),
        data_edge_share=None if dreams.edge_share is None else float(dreams.edge_share),
        closure=_closure(causes),
        missed=check.missed,
        precision=_precision(measured, episodes),
        other_actions=check.other_actions,
        real_steps=check.steps,
        audited_steps=int(terms.audited.sum()),
        imagined_steps=terms.imagined_steps,
        imagination=measured.imagination,
        overlays=tuple(overlay(episodes, dreams.episodes, i) for i in range(shown)),
        dynamics_by_dimension=dimensions,
        horizon_parts=parts,
        orders=measured.orders,
        effective_episodes=None if worth is None else worth.effective,
        weights=measured.weights,
        lipschitz=measured.bounds.lipschitz,
        contraction=measured.bounds.contraction,
        certificates=measured.bounds.certificates,
        findings=measured.findings,
        valid=not words.unfit,
        verdict=words.verdict,
        verdict_training=""
        if words.unfit
        else verdict_training(gap, gap_training, discounts, horizons, trained=parts is not None),
        explanation=words.explanation,
        explanation_training="" if words.unfit else horizon_advice(gap_training, parts),
    )


class _Words(NamedTuple):
    """The verdict, what explains it, and whether no cause may be named."""

    verdict: str
    explanation: str
    unfit: bool


def _words(
    gap: Gap, check: Check, measured: Measured, real_return: Estimate, evidence: Explanation
) -> _Words:
    """The conditions first: of numbers that explain nothing no cause is named."""
    plausible = measured.plausibility
    broken = unfit(check, plausible, gap)
    if broken:
        return _Words(broken, f"Still valid: {one_step_errors(evidence.baselines)}.", unfit=True)
    unit = "" if measured.discount == 1 else ", not discounted"
    first = [standing_of_policy(real_return, measured.known, unit), verdict(gap, measured.discount)]
    then = [
        implausible(plausible, unit),
        explanation(gap, evidence),
        noise_left(measured.imagination),
    ]
    return _Words(" ".join(filter(None, first)), " ".join(filter(None, then)), unfit=False)


def _averages(world: MDP, discount: float, episodes: Trajectory, measured: Measured) -> Averages:
    return averages(
        world,
        episodes,
        measured.asked,
        measured.dreams.episodes,
        discount=discount,
        rewards=measured.known.reward if measured.known else (),
        reweighted=measured.worth is not None,
    )


def _causes(
    world: MDP,
    episodes: Trajectory,
    measured: Measured,
    *,
    discount: float,
    predicted: np.ndarray,
    terms: Terms,
) -> _Causes:
    """Of another policy's episodes the real return is what imagination and its causes say: the
    terms are weighted.
    """
    by_cause = {cause: getattr(terms, cause).sum(axis=1) for cause in LEARNED}
    real = np.asarray(episodes.reward) @ discount ** np.arange(episodes.alive.shape[1])
    if measured.worth is not None:
        real = predicted + np.sum([*by_cause.values()], axis=0)
    return _Causes(real, predicted, by_cause, _averages(world, discount, episodes, measured))


def _gap_training(
    world: MDP, episodes: Trajectory, measured: Measured, training_horizon: int | None
) -> Gap | None:
    """The gap of what training believed; none where nothing tells it from that of whole
    episodes.
    """
    if training_horizon is None and world.discount == measured.discount:
        return None
    dreams, terms = measured.dreams, measured.terms_training
    causes = _causes(
        world,
        episodes,
        measured,
        discount=world.discount,
        predicted=np.asarray(dreams.full_training),
        terms=terms,
    )
    if training_horizon is None:
        return causes.gap()
    believed = np.asarray(dreams.believed)
    horizon = np.asarray(dreams.full_training) - believed
    return causes._replace(
        predicted=believed, by_cause=causes.by_cause | {"horizon": horizon}
    ).gap()


def _check(world: MDP, causes: _Causes, measured: Measured, episodes: Trajectory) -> Check:
    alive = np.asarray(episodes.alive)
    partial = measured.terms.audited.sum() < alive.sum()
    size = np.maximum(np.abs(causes.total), causes.sizes)
    return Check(
        exact=not (measured.noisy or partial or measured.worth is not None),
        missed=float(np.mean(np.abs(causes.missed))),
        size=float(np.mean(size)),
        other_actions=int(measured.asked.other_action.sum()),
        steps=int(alive.sum()),
        action_difference=_action_difference(world, episodes, measured.asked),
    )


def _action_difference(world: MDP, episodes: Trajectory, asked: OneStep) -> float:
    """The largest difference of recorded actions that count as the policy's from its own, in ranges
    of the box.
    """
    space, own = world.spec.action, np.asarray(episodes.alive) & ~asked.other_action
    if not isinstance(space, Box) or not own.any():
        return 0.0
    difference = np.abs(np.asarray(episodes.action) - asked.action) / np.asarray(
        space.high - space.low
    )
    return float(difference[own].max())


def _closure(causes: _Causes) -> float:
    size = np.max([np.abs(causes.real), np.abs(causes.predicted), causes.sizes], axis=0)
    return float(np.max(np.abs(causes.missed) / np.maximum(size, np.finfo(float).tiny)))


def _precision(found: Measured, episodes: Trajectory) -> str:
    said = _of_terms(found, episodes)
    if not found.differences:
        return said
    parts = ", ".join(found.differences)
    return f"{said}; no derivatives are available of {parts}: finite differences stand for them"


def _of_terms(found: Measured, episodes: Trajectory) -> str:
    if found.worth is not None:
        return "the real return is taken from the terms themselves, so that their sum says nothing"
    if found.noisy:
        return f"the world or the policy is stochastic: {_drawn(found.imagination)}"
    if found.terms.audited.sum() < episodes.alive.sum():
        return (
            "a random subset of steps was audited: the terms sum to the gap on average, not exactly"
        )
    return (
        "the terms sum exactly through the recorded actions; what remains is the policy's"
        " arithmetic: an action"
        " recorded in 32 bits differs from its 64-bit copy by about 1e-7 of its range, as far as"
        " the world amplifies it"
    )


def _drawn(imagination: Imagination | None) -> str:
    shares = (
        [] if imagination is None else [share for share in imagination.share.values() if share >= 0]
    )
    if imagination is None or not shares:
        return "the terms sum to the gap on average, not exactly"
    return (
        f"the terms are means over {imagination.draws} imagined draws, which make at most"
        f" {max(shares):.0%} of the"
        " variance of any; they sum to the gap exactly where the policy's mode plays, else on"
        " average"
    )


def _dimensions(found: Dimensions, average: Averages) -> DynamicsByDimension:
    by_episode = found.terms.sum(axis=1)
    return DynamicsByDimension(
        dimensions=tuple(average.term(column) for column in by_episode.T),
        by_step=tuple(_by_step(found.terms[..., i]) for i in range(found.terms.shape[-1])),
        remainder=average.term(found.remainder),
        steps=found.steps,
    )


def _horizon_parts(dreams: Dreams, average: Averages) -> HorizonParts:
    return HorizonParts(
        bootstrap=average.term(dreams.guarded - dreams.believed),
        edge=average.term(dreams.full_training - dreams.guarded),
    )


def _by_step(term: np.ndarray) -> CauseByStep:
    return CauseByStep(
        tuple(map(float, term.mean(axis=0))), tuple(map(float, np.abs(term).mean(axis=0)))
    )
