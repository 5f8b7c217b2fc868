"""Where the gap between real and imagined return comes from, exactly.

With real and imagined end flags d, d̂ and `V̂ = V̂_{H-t-1}` the return of the rest of the episode
in imagination,

    J_H(π, M) - J_H(π, M̂) = E_real Σ_t γ^t {reward_t + termination_t + dynamics_t},
    reward_t      = r_t - r̂(s, a, s'),
    termination_t = γ (d̂(s, a, s') - d) V̂(s'),
    dynamics_t    = r̂(s, a, s') - r̂(s, a, ŝ')
                    + γ [(1 - d̂(s, a, s')) V̂(s') - (1 - d̂(s, a, ŝ')) V̂(ŝ')],  ŝ' = f̂(s, a).

The value at a real state is taken through the action recorded there, `V̂_k(s) = r̂(s, a, ŝ') + γ (1
- d̂) V̂_{k-1}(ŝ')`, so that one imagined rollout a step suffices and the sum telescopes to rounding
even in chaotic worlds. Where the world or the policy is stochastic, ŝ' and the rollouts are draws,
and every term is unbiased.

Episodes of another policy μ stand for those of π by the importance weights `w_{0:t} = Π_{k≤t}
π(a_k|s_k)/μ(a_k|s_k)` on every term; their actions say nothing of π's value, which is then taken by
a rollout from each real next state. The horizon is finite, so γ may be 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from scipy import optimize

from paracosm.auditing.one_step import OneStep
from paracosm.auditing.values import values_at
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP
from paracosm.core.policy import MarkovPolicy
from paracosm.core.types import PRNGKey

# A quarter of all steps of 20 episodes of 1,000: in a minute or two on two cores
MOST_IMAGINED_STEPS = 2_500_000


class Terms(NamedTuple):
    """Discounted contributions by episode and time step, `[episode, time]`, and what they cost.

    Where only a random subset of steps was audited, termination and dynamics hold it reweighted to
    the whole episode and are zero elsewhere.
    """

    reward: np.ndarray
    termination: np.ndarray
    dynamics: np.ndarray
    audited: np.ndarray
    imagined_steps: int


def attribute(
    world: MDP,
    policy: MarkovPolicy,
    episodes: Trajectory,
    predictions: OneStep,
    *,
    key: PRNGKey,
    most_imagined_steps: float = MOST_IMAGINED_STEPS,
    importance: np.ndarray | None = None,
) -> Terms:
    """Split each real episode's gap into its causes, at the world's discount: see
    `attribute_at`.

    Args:
        world: The learned world; its discount is that of the gap.
        policy, episodes, predictions: As for `attribute_at`.
        key, most_imagined_steps, importance: As for `attribute_at`.
    """
    options = {"key": key, "most_imagined_steps": most_imagined_steps, "importance": importance}
    return attribute_at(
        world, policy, episodes, predictions, discounts=(world.discount,), **options
    )[0]


def attribute_at(
    world: MDP,
    policy: MarkovPolicy,
    episodes: Trajectory,
    predictions: OneStep,
    *,
    discounts: Sequence[float],
    key: PRNGKey,
    most_imagined_steps: float = MOST_IMAGINED_STEPS,
    importance: np.ndarray | None = None,
) -> tuple[Terms, ...]:
    """Split each real episode's gap into its causes at several discounts, from the same rollouts.

    With a finite horizon the identity holds for every `γ ∈ [0, 1]`, 1 included.

    Args:
        world: The learned world, in the precision wanted.
        policy: The policy whose gap it is; without `importance` it recorded `episodes`.
        episodes: Real episodes, NumPy arrays `[episode, time, …]`.
        predictions: Of `world` and `policy` at each of their steps, from `predict_steps`.
        discounts: γ of each gap; a random subset of steps is chosen for the first. The world's is
            not used.
        key: For the random subset of steps, and the noise of stochastic worlds and policies.
        most_imagined_steps: Every step is audited up to this cost, in imagined steps; beyond, a
            random subset, reweighted.
        importance: Weights `w_{0:t}`, `[episode, time]`, of episodes that another policy recorded.
    """
    options = {"key": key, "most_imagined_steps": most_imagined_steps, "importance": importance}
    return terms_of(
        episodes,
        predictions,
        roll(world, policy, episodes, predictions, discounts=discounts, **options),
    )


class AuditRollouts(NamedTuple):
    """The imagined rollouts of an audit at each of `discounts`, and what makes terms of them.

    Steps that are `audited`, `[episode, time]`, stand for `weight` steps each and count by the
    episode's importance, which is in `weight` and `counts` both. `worth` is `r̂ + γ (1 − d̂) V̂` of
    ŝ', `[discount, episode, time]`, and `at_last` the value V̂ at s' where the step is not
    `followed` by another; `cost` is in imagined steps.
    """

    discounts: tuple[float, ...]
    audited: np.ndarray
    weight: np.ndarray
    counts: np.ndarray
    followed: np.ndarray
    worth: np.ndarray
    at_last: np.ndarray
    cost: int


def roll(
    world: MDP,
    policy: MarkovPolicy,
    episodes: Trajectory,
    predictions: OneStep,
    *,
    discounts: Sequence[float],
    key: PRNGKey,
    most_imagined_steps: float = MOST_IMAGINED_STEPS,
    importance: np.ndarray | None = None,
    block: int | None = None,
) -> AuditRollouts:
    """Imagine the rest of the episode after every audited step.

    Args:
        world, policy, episodes, predictions: As for `attribute_at`.
        discounts, key, most_imagined_steps, importance: As for `attribute_at`.
        block: How many rollouts run together, as for `values_at`.
    """
    alive = np.asarray(episodes.alive)
    followed = _followed(alive) & (importance is None)
    called = np.asarray(predictions.real.ended) != np.asarray(episodes.terminated)
    audited, weight, cost = choose(
        episodes, discounts[0], most_imagined_steps, key, followed, miscalled=called
    )
    values = _continue(
        world,
        policy,
        episodes,
        predictions,
        audited,
        discounts=discounts,
        followed=followed,
        key=key,
        block=block,
    )
    worth = np.stack(
        [
            predictions.imagined._replace(value=value).worth(discount)
            for discount, value in zip(discounts, values[0], strict=True)
        ]
    )
    counts = alive * (1.0 if importance is None else importance)
    weight = np.where(audited, weight * counts, 0.0)
    return AuditRollouts(
        tuple(discounts), audited, weight, counts, followed, worth, values[1], cost
    )


def terms_of(
    episodes: Trajectory, predictions: OneStep, rollouts: AuditRollouts
) -> tuple[Terms, ...]:
    """The terms at each of the discounts of `rollouts`."""

    def at(discount: float, worth: np.ndarray, at_last: np.ndarray) -> Terms:
        real = predictions.real._replace(value=np.where(rollouts.followed, _next(worth), at_last))
        powers = discount ** np.arange(worth.shape[1])
        weights = rollouts.weight * powers
        return Terms(
            reward=rollouts.counts * powers * (episodes.reward - real.reward),
            termination=weights * discount * (real.ended * 1.0 - episodes.terminated) * real.value,
            dynamics=weights * (real.worth(discount) - worth),
            audited=rollouts.audited,
            imagined_steps=rollouts.cost,
        )

    return tuple(
        at(*of) for of in zip(rollouts.discounts, rollouts.worth, rollouts.at_last, strict=True)
    )


def _next(column: np.ndarray) -> np.ndarray:
    """The column one step later, `[episode, time]`; zero after the last."""
    return np.concatenate([column[:, 1:], np.zeros_like(column[:, :1])], axis=1)


def _followed(alive: np.ndarray) -> np.ndarray:
    """Whether a step's next state is where another recorded step starts."""
    return alive & _next(alive)


def choose(
    episodes: Trajectory,
    discount: float,
    most: float,
    key: PRNGKey,
    followed: np.ndarray | None = None,
    *,
    miscalled: np.ndarray | bool = False,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Which steps to audit and how many each stands for, `[episode, time]` both, and the imagined
    steps that takes.

    An audited step takes a rollout from ŝ'; for the value at s' it takes one from there or, where
    it is `followed`, the next step's. Without `followed` the first is all. Where all steps take
    more than `most` imagined steps, step t is taken with probability `p_t = min(1, c γ^t)`, apart
    from the others, and stands for `1/p_t` (Horvitz & Thompson 1952); c is such that the expected
    cost is `most`. Below γ = ½ it is ½, so that every step can be taken. Steps that end their
    episodes, and those of which the world says so wrongly, are few and have the largest terms: all
    are taken, unless they alone cost half of `most`.

    Args:
        episodes: Real episodes, NumPy arrays `[episode, time, …]`.
        discount: γ of the probabilities.
        most: Imagined steps that may be spent; beyond, the steps are a random subset.
        key: Of the subset.
        followed: Whether the next step's rollout gives a step its value at s', `[episode, time]`.
        miscalled: Whether the world is wrong about the step's end, `[episode, time]`.
    """
    alive, remaining = np.asarray(episodes.alive), episodes.remaining_steps
    alone = np.zeros(alive.shape, bool) if followed is None else alive & ~followed
    shared = np.zeros(alive.shape, bool) if followed is None else followed

    def cost(p: np.ndarray) -> float:
        before = np.concatenate([np.zeros((len(p), 1)), (p * shared)[:, :-1]], axis=1)
        return float(np.sum(remaining * (p + alone * p + before * (1 - p))))

    if cost(alive * 1.0) <= most:
        return alive, np.ones(alive.shape), int(cost(alive * 1.0))

    fall = np.log(max(discount, 0.5)) * np.arange(alive.shape[1])

    ends = alive & (np.asarray(episodes.terminated) | miscalled)
    ends &= cost(ends * 1.0) <= most / 2

    def probability(log_c: float) -> np.ndarray:
        by_time = np.where(alive, np.exp(np.minimum(0, log_c + fall)), 0.0)
        return np.where(ends, 1.0, by_time)

    p = probability(
        optimize.root_scalar(lambda c: cost(probability(c)) - most, bracket=(-50.0, -fall[-1])).root
    )
    drawn = np.asarray(jax.random.uniform(jax.random.fold_in(key, 1), alive.shape)) < p
    return drawn, 1 / np.where(drawn, p, 1.0), int(cost(drawn * 1.0))


def _continue(
    world: MDP,
    policy: MarkovPolicy,
    episodes: Trajectory,
    predictions: OneStep,
    audited: np.ndarray,
    *,
    discounts: Sequence[float],
    followed: np.ndarray,
    key: PRNGKey,
    block: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """`V̂_{H-t-1}` at ŝ' and, where a step is not `followed`, at s', `[discount, episode, time]`.

    Elsewhere `V̂(s')` follows from the value at the next step's ŝ', which is computed for it.

    Args:
        world, policy, episodes, predictions: As for `attribute_at`.
        audited: Which steps are audited, `[episode, time]`.
        discounts: γ of each value.
        followed: Whether the next recorded step starts at s', `[episode, time]`.
        key: Of the noise; each episode has its own.
        block: How many rollouts run together, as for `values_at`.
    """
    remaining = episodes.remaining_steps
    needed = audited.copy()
    needed[:, 1:] |= (audited & followed)[:, :-1]
    last = audited & ~followed & (remaining > 0)

    states = np.concatenate([predictions.imagined_state[needed], episodes.next_state[last]])
    steps = np.concatenate([remaining[needed], remaining[last]])
    episode, time = (
        np.concatenate(pair) for pair in zip(np.nonzero(needed), np.nonzero(last), strict=True)
    )
    keys = jax.random.split(key, len(audited))[episode]
    options = {"discounts": discounts, "since": time + 1, "block": block}
    worth = values_at(world, policy, states, steps, keys, **options)

    at_imagined, at_last = np.zeros((2, len(discounts), *audited.shape))
    at_imagined[:, needed], at_last[:, last] = np.split(worth, [needed.sum()], axis=1)
    return at_imagined, at_last
