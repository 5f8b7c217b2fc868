"""The audit: real and imagined return of one policy from the same states, and the gap explained."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from paracosm.auditing.attribution import MOST_IMAGINED_STEPS, Terms, attribute
from paracosm.auditing.dreams import Dreams, dream, informative_horizon, overlay
from paracosm.auditing.onestep import OneStep, ask, baselines
from paracosm.auditing.verdict import verdict
from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.estimators import mean
from paracosm.core.keys import stage_key
from paracosm.core.mdp import MDP
from paracosm.core.policy import Mode, Policy
from paracosm.core.precision import in_double
from paracosm.core.records import CauseByStep, Diagnosis, Gap
from paracosm.imagination.imagine import Imagined

_OVERLAYS = 3


def audit(
    world: MDP,
    policy: Policy,
    episodes: Trajectory,
    imagined: Imagined | None = None,
    *,
    seed: int = 0,
    most_imagined_steps: int = MOST_IMAGINED_STEPS,
) -> Diagnosis:
    """Explain the gap between the real return of `policy` and the return it was believed to have.

    Everything is computed in 64 bits on a copy of the world, from the recorded states and actions.

    Args:
        world: The learned world.
        policy: The policy; its mode recorded `episodes`.
        episodes: Real episodes of the policy's mode, from `evaluate`.
        imagined: How the policy was trained; it says what training believed. Without it training is taken to
            have believed the imagined return of the full episode.
        seed: For sampled actions and for the random subset of steps.
        most_imagined_steps: Every step is audited up to this cost; beyond, a random subset, reweighted.

    Raises:
        BadData: episodes of no steps, of another state size than the world's, of rewards that are not finite or of
            other actions than the policy's mode; a world that gives states or rewards that are not finite.
    """
    episodes = in_double(jax.tree.map(np.asarray, episodes))
    _check(world, episodes)
    key = stage_key(seed, "audit")
    with jax.enable_x64(True):
        world, policy, imagined = in_double((world, policy, imagined))
        mode = Mode(policy)
        dreams = dream(world, policy, imagined, episodes, key)
        asked = ask(world, mode, episodes, key)
        terms = attribute(world, mode, episodes, asked, key=key, most_imagined_steps=most_imagined_steps)
    training_horizon = episodes.alive.shape[1] if imagined is None else imagined.training.horizon
    return dataclasses.replace(_diagnosis(world, episodes, dreams, asked, terms), training_horizon=training_horizon)


def _check(world: MDP, episodes: Trajectory) -> None:
    if not (episodes.alive.size and episodes.alive.any(axis=1).all()):
        raise checks.BadData("an episode has no steps; the audit needs at least one episode and one step of each.")
    found, needed = episodes.state.shape[-1], world.spec.state_size
    if found != needed:
        raise checks.BadData(f"the episodes' states have {found} components; the world's have {needed}.")
    for what in ("state", "next_state", "action", "reward"):
        bad = ~np.isfinite(getattr(episodes, what)).reshape(*episodes.alive.shape, -1).all(axis=-1) & episodes.alive
        if bad.any():
            episode, time = np.argwhere(bad)[0]
            raise checks.BadData(
                f"the {what.replace('_', ' ')} of step {time} of real episode {episode} is not finite; it must be."
            )


def _diagnosis(world: MDP, episodes: Trajectory, dreams: Dreams, asked: OneStep, terms: Terms) -> Diagnosis:
    """The training horizon is taken to be the episode's."""
    real = np.asarray(episodes.reward) @ world.discount ** np.arange(episodes.alive.shape[1])
    by_cause = {name: getattr(terms, name) for name in ("reward", "termination", "dynamics")}
    causes = {name: term.sum(axis=1) for name, term in by_cause.items()} | {"horizon": dreams.full - dreams.believed}
    total = real - dreams.believed
    absolute = [np.abs(term).sum(axis=1) for term in by_cause.values()] + [np.abs(causes["horizon"])]
    terms_of_gap = {cause: mean(term) for cause, term in causes.items()}
    gap = Gap(mean(real), mean(dreams.believed), mean(total), **terms_of_gap)
    horizon = episodes.alive.shape[1]
    return Diagnosis(
        gap=gap,
        discount=world.discount,
        horizon=horizon,
        training_horizon=horizon,
        causes={name: _by_step(term) for name, term in by_cause.items()},
        real_return=mean(episodes.reward.sum(axis=1)),
        imagined_return=mean(dreams.episodes.reward.sum(axis=1)),
        mode_versus_sampled=mean(dreams.full - dreams.sampled),
        baselines=baselines(world, episodes, asked),
        informative_horizon=informative_horizon(world, episodes, dreams.episodes),
        data_edge_share=float(dreams.edge_share),
        closure=_closure(np.sum([*causes.values(), -total], axis=0), real, dreams.believed, np.sum(absolute, axis=0)),
        precision=_precision(terms, episodes),
        real_steps=int(episodes.alive.sum()),
        audited_steps=int(terms.audited.sum()),
        imagined_steps=terms.imagined_steps,
        overlays=tuple(overlay(episodes, dreams.episodes, i) for i in range(min(_OVERLAYS, len(real)))),
        verdict=verdict(gap),
    )


def _closure(off: np.ndarray, *sizes: np.ndarray) -> float:
    size = np.max(np.abs(sizes), axis=0)
    return float(np.max(np.abs(off) / np.maximum(size, np.finfo(float).tiny)))


def _precision(terms: Terms, episodes: Trajectory) -> str:
    if terms.audited.sum() < episodes.alive.sum():
        return "a random subset of steps was audited: the terms sum to the gap on average, not exactly"
    return (
        "the terms sum exactly through the recorded actions; what remains is the policy's arithmetic: an action"
        " recorded in 32 bits differs from its 64-bit copy by about 1e-7 of its range, as far as the world amplifies it"
    )


def _by_step(term: np.ndarray) -> CauseByStep:
    return CauseByStep(tuple(map(float, term.mean(axis=0))), tuple(map(float, np.abs(term).mean(axis=0))))
