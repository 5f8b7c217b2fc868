"""The audit: real and imagined return of one policy from the same states, and the gap explained."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from paracosm.auditing.attribution import MOST_IMAGINED_STEPS, Terms, attribute
from paracosm.auditing.verdict import verdict
from paracosm.core import checks, estimators
from paracosm.core.data import Trajectory
from paracosm.core.keys import stage_key
from paracosm.core.mdp import MDP
from paracosm.core.policy import Mode, Policy
from paracosm.core.precision import in_double
from paracosm.core.records import Baselines, CauseByStep, Diagnosis, Estimate, Gap, Overlay
from paracosm.core.rollout import returns, rollout
from paracosm.core.types import Array, PRNGKey
from paracosm.imagination.imagine import Imagined

_SAMPLED_ROLLOUTS = 16
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
        BadData: episodes of no steps, or of another state size than the world's.
    """
    episodes = jax.tree.map(np.asarray, episodes)
    _check(world, episodes)
    with jax.enable_x64(True):
        world, policy, imagined = in_double((world, policy, imagined))
        return _audit(world, policy, _wide(episodes), imagined, stage_key(seed, "audit"), most_imagined_steps)


def _check(world: MDP, episodes: Trajectory) -> None:
    if not episodes.alive.any(axis=1).all():
        raise checks.BadData("an episode has no steps; the audit needs at least one step of each.")
    if episodes.state.shape[-1] != world.spec.state_size:
        raise checks.BadData(
            f"the episodes' states have {episodes.state.shape[-1]} components; the world's have {world.spec.state_size}."
        )
    checks.finite("the episodes' rewards, by episode,", episodes.reward)


def _wide(episodes: Trajectory) -> Trajectory:
    def wide(column: np.ndarray) -> np.ndarray:
        return column.astype(np.float64) if np.issubdtype(column.dtype, np.floating) else column

    return jax.tree.map(wide, episodes)


def _audit(
    world: MDP, policy: Policy, episodes: Trajectory, imagined: Imagined | None, key: PRNGKey, most: int
) -> Diagnosis:
    horizon, discount = episodes.alive.shape[1], world.discount
    keys = jax.random.split(key, len(episodes.alive))
    start = episodes.state[:, 0]
    mode = Mode(policy)
    dreamt = jax.tree.map(np.asarray, rollout(world, mode, start, keys, horizon))
    dreamt = _as_long_as(dreamt, episodes)
    terms = attribute(world, mode, episodes, key=key, most_imagined_steps=most)

    real, full = (np.asarray(returns(each.reward, discount)) for each in (episodes, dreamt))
    believed = full if imagined is None else _believed(imagined, start, keys)
    causes = {
        "reward": terms.reward.sum(axis=1),
        "termination": terms.termination.sum(axis=1),
        "dynamics": terms.dynamics.sum(axis=1),
        "horizon": full - believed,
    }
    gap = Gap(
        estimators.mean(real),
        estimators.mean(believed),
        estimators.mean(real - believed),
        **{cause: estimators.mean(term) for cause, term in causes.items()},
    )
    closure = _closure(real, believed, causes, terms)
    undiscounted = estimators.mean(episodes.reward.sum(axis=1)), estimators.mean(dreamt.reward.sum(axis=1))
    edge = (
        0.0
        if world.domain is None
        else float(np.mean(np.asarray(world.domain.at_edge(dreamt.next_state))[dreamt.alive]))
    )
    audited = int(terms.audited.sum())
    found = Diagnosis(
        gap=gap,
        discount=discount,
        horizon=horizon,
        training_horizon=horizon if imagined is None else imagined.training.horizon,
        causes={name: _by_step(getattr(terms, name)) for name in ("reward", "termination", "dynamics")},
        real_return=undiscounted[0],
        imagined_return=undiscounted[1],
        mode_versus_sampled=_mode_versus_sampled(world, policy, start, full, key, horizon),
        baselines=_baselines(world, episodes, keys),
        informative_horizon=_informative_horizon(world, episodes, dreamt),
        data_edge_share=edge,
        closure=closure,
        precision=_precision(terms, episodes),
        real_steps=int(episodes.alive.sum()),
        audited_steps=audited,
        imagined_steps=terms.imagined_steps,
        overlays=tuple(_overlay(episodes, dreamt, i) for i in range(min(_OVERLAYS, len(real)))),
        verdict="",
    )
    return dataclasses.replace(found, verdict=verdict(found))


def _as_long_as(dreamt: Trajectory, episodes: Trajectory) -> Trajectory:
    """Imagined episodes cut where the record of the real one stops without an end."""
    ended = np.any(episodes.terminated, axis=1, keepdims=True)
    keep = dreamt.alive & (ended | episodes.alive)
    return dataclasses.replace(dreamt, reward=np.where(keep, dreamt.reward, 0.0), alive=keep)


def _believed(imagined: Imagined, start: np.ndarray, keys: Array) -> np.ndarray:
    """What training believed of each start: imagined steps as it took them, then the bootstrapped value."""
    world, horizon = imagined.trained_in, imagined.training.horizon
    seen = rollout(world, Mode(imagined.policy), start, keys, horizon)
    short = np.asarray(returns(seen.reward, world.discount))
    if horizon >= world.spec.horizon:
        return short
    lives = np.asarray(seen.alive[:, -1] & ~seen.terminated[:, -1])
    value = np.asarray(jax.vmap(imagined.value, (0, None))(seen.next_state[:, -1], jnp.zeros(())))
    return short + world.discount**horizon * np.where(lives, value, 0.0)


def _closure(real: np.ndarray, believed: np.ndarray, causes: dict[str, np.ndarray], terms: Terms) -> float:
    off = np.abs(sum(causes.values()) - (real - believed))
    absolute = sum(np.abs(term).sum(axis=1) for term in (terms.reward, terms.termination, terms.dynamics))
    size = np.maximum.reduce([np.abs(real), np.abs(believed), absolute + np.abs(causes["horizon"])])
    return float(np.max(off / np.maximum(size, np.finfo(float).tiny)))


def _precision(terms: Terms, episodes: Trajectory) -> str:
    if terms.audited.sum() < episodes.alive.sum():
        return "a random subset of steps was audited: the terms sum to the gap on average, not exactly"
    return (
        "the terms sum exactly through the recorded actions; what remains is the policy's arithmetic: an action recorded"
        " in 32 bits differs from its 64-bit copy by about 1e-7 of its range, as far as the world amplifies that"
    )


def _by_step(term: np.ndarray) -> CauseByStep:
    return CauseByStep(tuple(map(float, term.mean(axis=0))), tuple(map(float, np.abs(term).mean(axis=0))))


def _mode_versus_sampled(
    world: MDP, policy: Policy, start: np.ndarray, mode_returns: np.ndarray, key: PRNGKey, horizon: int
) -> Estimate:
    """Imagined discounted return of the mode less that of the policy as it samples."""
    many = np.repeat(start, _SAMPLED_ROLLOUTS, axis=0)
    sampled = rollout(world, policy, many, jax.random.split(jax.random.fold_in(key, 3), len(many)), horizon)
    by_start = np.asarray(returns(sampled.reward, world.discount)).reshape(len(start), -1).mean(axis=1)
    return estimators.mean(mode_returns - by_start)


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _baselines(world: MDP, episodes: Trajectory, keys: Array) -> Baselines:
    alive = episodes.alive
    rows = [column[alive] for column in (episodes.state, episodes.action, episodes.next_state)]
    predicted = jax.vmap(world.dynamics, (0, 0, None))(rows[0], rows[1], keys[0])
    rewards = jax.vmap(world.reward)(*rows)
    return Baselines(
        dynamics=_root_mean_square(np.asarray(world.spec.norm(predicted - rows[2]))),
        mean_next_state=_root_mean_square(np.asarray(world.spec.norm(rows[2] - rows[2].mean(axis=0)))),
        reward=_root_mean_square(np.asarray(rewards) - episodes.reward[alive]),
        zero_reward=_root_mean_square(episodes.reward[alive]),
    )


def _informative_horizon(world: MDP, episodes: Trajectory, dreamt: Trajectory) -> int:
    """The largest h such that at every k ≤ h the imagined state k steps on is nearer than the mean real state."""
    both = episodes.alive & dreamt.alive
    mean = episodes.next_state[episodes.alive].mean(axis=0)
    off = np.asarray(world.spec.norm(dreamt.next_state - episodes.next_state)) ** 2
    baseline = np.asarray(world.spec.norm(episodes.next_state - mean)) ** 2
    beaten = ~both.any(axis=0) | (np.where(both, off, 0).sum(axis=0) >= np.where(both, baseline, 0).sum(axis=0))
    return int(np.argmax(beaten)) if beaten.any() else int(both.shape[1])


def _overlay(episodes: Trajectory, dreamt: Trajectory, index: int) -> Overlay:
    def path(each: Trajectory) -> tuple[tuple[float, ...], ...]:
        taken = each.alive[index]
        states = np.concatenate([each.state[index, :1], each.next_state[index][taken]])
        return tuple(tuple(map(float, np.float32(state))) for state in states)

    return Overlay(path(episodes), path(dreamt))
