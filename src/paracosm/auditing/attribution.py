"""Where the gap between real and imagined return comes from, exactly (theory, section 2).

With real and imagined end flags d, d̂ and `V̂ = V̂_{H-t-1}` the return of the rest of the episode in imagination,

    J_H(π, M) - J_H(π, M̂) = E_real Σ_t γ^t {reward_t + termination_t + dynamics_t},
    reward_t      = r_t - r̂(s, a, s'),
    termination_t = γ (d̂(s, a, s') - d) V̂(s'),
    dynamics_t    = r̂(s, a, s') - r̂(s, a, ŝ') + γ [(1 - d̂(s, a, s')) V̂(s') - (1 - d̂(s, a, ŝ')) V̂(ŝ')],  ŝ' = f̂(s, a).

The value at a real state is taken through the action recorded there, `V̂_k(s) = r̂(s, a, ŝ') + γ (1 - d̂) V̂_{k-1}(ŝ')`,
so that one imagined rollout a step suffices and the sum telescopes to rounding even in chaotic worlds.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np

from paracosm.auditing.values import values
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP
from paracosm.core.policy import Policy
from paracosm.core.types import Array, PRNGKey

MOST_IMAGINED_STEPS = 20_000_000


class Terms(NamedTuple):
    """Discounted contributions by episode and time step, `[episode, time]`, and what they cost.

    Where only a random subset of steps was audited, termination and dynamics hold it reweighted to the whole
    episode and are zero elsewhere.
    """

    reward: np.ndarray
    termination: np.ndarray
    dynamics: np.ndarray
    audited: np.ndarray
    imagined_steps: int


class _Step(NamedTuple):
    """The learned parts at every real step, `[episode, time, …]`."""

    imagined_state: np.ndarray
    reward_at_real: np.ndarray
    reward_at_imagined: np.ndarray
    end_at_real: np.ndarray
    end_at_imagined: np.ndarray


@eqx.filter_jit
def _ask(world: MDP, state: Array, action: Array, next_state: Array, keys: Array) -> tuple[Array, ...]:
    def ask(state: Array, action: Array, next_state: Array, key: Array) -> tuple[Array, ...]:
        imagined = world.dynamics(state, action, key)
        return (
            imagined,
            world.reward(state, action, next_state),
            world.reward(state, action, imagined),
            world.termination(state, action, next_state),
            world.termination(state, action, imagined),
        )

    return jax.vmap(jax.vmap(ask))(state, action, next_state, keys)


def attribute(
    world: MDP, policy: Policy, episodes: Trajectory, *, key: PRNGKey, most_imagined_steps: int = MOST_IMAGINED_STEPS
) -> Terms:
    """Split each real episode's gap into its causes.

    Args:
        world: The learned world, deterministic, in the precision wanted.
        policy: The deterministic policy that recorded `episodes`.
        episodes: Real on-policy episodes, NumPy arrays `[episode, time, …]`.
        key: For the random subset of steps.
        most_imagined_steps: Every step is audited up to this cost; beyond, a random subset, reweighted.
    """
    alive = np.asarray(episodes.alive)
    lengths = alive.sum(axis=1)
    # An episode whose record stops before it ended is one of that horizon.
    ended = np.any(episodes.terminated & alive, axis=1)
    horizons = np.where(ended, alive.shape[1], lengths)
    remaining = np.maximum(horizons[:, None] - 1 - np.arange(alive.shape[1]), 0)

    keys = jax.random.split(key, alive.shape)
    step = _Step(*map(np.asarray, _ask(world, episodes.state, episodes.action, episodes.next_state, keys)))
    audited, weight = _choose(alive, remaining, most_imagined_steps, key)
    at_imagined, at_real, cost = _continuations(world, policy, episodes, step, audited, remaining, key)

    discount = world.discount ** np.arange(alive.shape[1])
    discounted, weighted = np.where(alive, discount, 0.0), np.where(audited, discount * weight, 0.0)
    kept_real, kept_imagined = 1.0 - step.end_at_real, 1.0 - step.end_at_imagined
    dynamics = step.reward_at_real - step.reward_at_imagined
    dynamics = dynamics + world.discount * (kept_real * at_real - kept_imagined * at_imagined)
    termination = world.discount * (step.end_at_real * 1.0 - episodes.terminated) * at_real
    return Terms(
        discounted * (episodes.reward - step.reward_at_real), weighted * termination, weighted * dynamics, audited, cost
    )


def _choose(alive: np.ndarray, remaining: np.ndarray, most: int, key: PRNGKey) -> tuple[np.ndarray, np.ndarray]:
    """Which steps to audit, `[episode, time]`, and what each stands for, `[episode, 1]`."""
    cost = np.where(alive, remaining, 0).sum()
    if cost <= most:
        return alive, np.ones((len(alive), 1))
    lengths = alive.sum(axis=1)
    share = most / (2 * cost)  # a step alone needs two rollouts
    take = np.maximum(1, np.floor(share * lengths)).astype(int)
    rank = np.asarray(jax.random.uniform(jax.random.fold_in(key, 1), alive.shape))
    rank = np.argsort(np.argsort(np.where(alive, rank, 2.0), axis=1), axis=1)
    return rank < take[:, None], (lengths / take)[:, None]


def _continuations(
    world: MDP,
    policy: Policy,
    episodes: Trajectory,
    step: _Step,
    audited: np.ndarray,
    remaining: np.ndarray,
    key: PRNGKey,
) -> tuple[np.ndarray, np.ndarray, int]:
    """`V̂_{H-t-1}` at the imagined and at the real next state of every audited step, and the imagined steps paid."""
    alive = np.asarray(episodes.alive)
    follows = np.zeros_like(alive)  # the next state is where the next recorded step starts
    follows[:, :-1] = alive[:, 1:]
    needed = audited.copy()
    needed[:, 1:] |= audited[:, :-1] & follows[:, :-1]
    outside = audited & ~follows & (remaining > 0)  # real ends: their continuation exists in imagination only

    states = np.concatenate([step.imagined_state[needed], np.asarray(episodes.next_state)[outside]])
    steps = np.concatenate([remaining[needed], remaining[outside]])
    found = values(world, policy, states, steps, jax.random.fold_in(key, 2))

    at_imagined = np.zeros(alive.shape)
    at_imagined[needed] = found[: needed.sum()]
    through_action = step.reward_at_imagined + world.discount * (1 - step.end_at_imagined) * at_imagined
    at_real = np.zeros(alive.shape)
    at_real[:, :-1] = np.where(follows[:, :-1], through_action[:, 1:], 0)
    at_real[outside] = found[needed.sum() :]
    return at_imagined, at_real, int(steps.sum())
