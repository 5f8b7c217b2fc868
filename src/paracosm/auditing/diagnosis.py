"""From what an audit measured to the record that it hands on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from paracosm.auditing.attribution import Terms
from paracosm.auditing.bounds import Bounds
from paracosm.auditing.dimensions import Dimensions
from paracosm.auditing.dreams import Dreams, informative_horizon, overlay
from paracosm.auditing.importance import Importance
from paracosm.auditing.onestep import OneStep, baselines
from paracosm.auditing.verdict import LEARNED, explanation, verdict
from paracosm.core.data import Trajectory
from paracosm.core.estimators import mean
from paracosm.core.mdp import MDP
from paracosm.core.records import (
    CauseByStep,
    Diagnosis,
    DynamicsByDimension,
    Finding,
    Gap,
    HorizonParts,
    Orders,
    Weights,
)

_OVERLAYS = 3


class Measured(NamedTuple):
    """All that an audit measured; `worth` only of episodes of another policy, `orders` only with the real reward.

    `noisy` says whether chance is left in the terms, `differences` the parts whose derivatives are finite differences.
    """

    dreams: Dreams
    asked: OneStep
    terms: Terms
    dimensions: Dimensions
    weights: tuple[Weights, ...]
    bounds: Bounds
    orders: Orders | None
    findings: tuple[Finding, ...]
    worth: Importance | None
    noisy: bool
    differences: tuple[str, ...]


class _Causes(NamedTuple):
    """Discounted, `[episode]`: what imagination was believed to return, and why that is not the real return."""

    real: np.ndarray
    believed: np.ndarray
    by_cause: dict[str, np.ndarray]

    @property
    def total(self) -> np.ndarray:
        return self.real - self.believed


def diagnosis_of(world: MDP, episodes: Trajectory, found: Measured, training_horizon: int | None) -> Diagnosis:
    """The record; without a training horizon training is taken to have imagined whole episodes."""
    causes, dreams, terms = _causes(world, episodes, found), found.dreams, found.terms
    gap = Gap(
        mean(causes.real),
        mean(causes.believed),
        mean(causes.total),
        **{cause: mean(term) for cause, term in causes.by_cause.items()},
    )
    by_step = {cause: _by_step(getattr(terms, cause)) for cause in LEARNED}
    dimensions = _dimensions(found.dimensions)
    parts = None if training_horizon is None else _horizon_parts(dreams)
    horizon = episodes.alive.shape[1]
    apart = found.noisy or found.worth is not None  # then real and imagined episodes are not each other's copies
    shown = 0 if found.worth is not None else min(_OVERLAYS, len(causes.real))
    weight = 1 if found.worth is None else found.worth.weights
    return Diagnosis(
        gap=gap,
        discount=world.discount,
        horizon=horizon,
        training_horizon=horizon if training_horizon is None else training_horizon,
        causes=by_step,
        real_return=mean((weight * episodes.reward).sum(axis=1)),
        imagined_return=mean(dreams.episodes.reward.sum(axis=1)),
        mode_versus_sampled=mean(dreams.mode - dreams.sampled),
        baselines=baselines(world, episodes, found.asked),
        informative_horizon=None if apart else informative_horizon(world, episodes, dreams.episodes),
        data_edge_share=float(dreams.edge_share),
        closure=_closure(causes),
        precision=_precision(found, episodes),
        real_steps=int(episodes.alive.sum()),
        audited_steps=int(terms.audited.sum()),
        imagined_steps=terms.imagined_steps,
        overlays=tuple(overlay(episodes, dreams.episodes, i) for i in range(shown)),
        dynamics_by_dimension=dimensions,
        horizon_parts=parts,
        orders=found.orders,
        effective_episodes=None if found.worth is None else found.worth.effective,
        weights=found.weights,
        lipschitz=found.bounds.lipschitz,
        contraction=found.bounds.contraction,
        certificates=found.bounds.certificates,
        findings=found.findings,
        verdict=verdict(gap),
        explanation=explanation(gap, by_step, dimensions, parts),
    )


def _causes(world: MDP, episodes: Trajectory, found: Measured) -> _Causes:
    """Of another policy's episodes the real return is what imagination and its causes say: the terms are weighted."""
    by_cause = {cause: getattr(found.terms, cause).sum(axis=1) for cause in LEARNED}
    by_cause["horizon"] = found.dreams.full - found.dreams.believed
    real = np.asarray(episodes.reward) @ world.discount ** np.arange(episodes.alive.shape[1])
    if found.worth is not None:
        real = found.dreams.believed + np.sum([*by_cause.values()], axis=0)
    return _Causes(real, np.asarray(found.dreams.believed), by_cause)


def _closure(causes: _Causes) -> float:
    terms = np.array([*causes.by_cause.values()])
    off, absolute = terms.sum(axis=0) - causes.total, np.abs(terms).sum(axis=0)
    size = np.max([np.abs(causes.real), np.abs(causes.believed), absolute], axis=0)
    return float(np.max(np.abs(off) / np.maximum(size, np.finfo(float).tiny)))


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
        return "the world or the policy is stochastic: the terms sum to the gap on average, not exactly"
    if found.terms.audited.sum() < episodes.alive.sum():
        return "a random subset of steps was audited: the terms sum to the gap on average, not exactly"
    return (
        "the terms sum exactly through the recorded actions; what remains is the policy's arithmetic: an action"
        " recorded in 32 bits differs from its 64-bit copy by about 1e-7 of its range, as far as the world amplifies it"
    )


def _dimensions(found: Dimensions) -> DynamicsByDimension:
    by_episode = found.terms.sum(axis=1)
    return DynamicsByDimension(
        dimensions=tuple(mean(column) for column in by_episode.T),
        by_step=tuple(_by_step(found.terms[..., i]) for i in range(found.terms.shape[-1])),
        remainder=mean(found.remainder),
        steps=found.steps,
    )


def _horizon_parts(dreams: Dreams) -> HorizonParts:
    return HorizonParts(bootstrap=mean(dreams.guarded - dreams.believed), edge=mean(dreams.full - dreams.guarded))


def _by_step(term: np.ndarray) -> CauseByStep:
    return CauseByStep(tuple(map(float, term.mean(axis=0))), tuple(map(float, np.abs(term).mean(axis=0))))
