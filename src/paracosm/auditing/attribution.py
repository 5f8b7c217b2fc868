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

from typing import NamedTuple

import jax
import numpy as np
from scipy import optimize

from paracosm.auditing.subject import AuditSubject
from paracosm.auditing.values import values_at
from paracosm.core.data import Trajectory
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


def attribute(subject: AuditSubject, *, most_imagined_steps: float = MOST_IMAGINED_STEPS) -> Terms:
    """Split each real episode's gap at the first of the subject's discounts into its causes.

    With a finite horizon the identity holds for every `γ ∈ [0, 1]`, 1 included.

    Args:
        subject: What is audited.
        most_imagined_steps: Every step is audited up to this cost, in imagined steps; beyond, a
            random subset, reweighted.
    """
    rollouts = imagine_rest(subject, most_imagined_steps=most_imagined_steps)
    return terms_of(subject, rollouts)[0]


class AuditRollouts(NamedTuple):
    """The imagined rollouts of an audit, and what makes terms of them.

    Attributes:
        audited: Whether a step is audited, `[episode, time]`.
        weight: How many steps an audited one stands for, times its importance; 0 for other steps,
            `[episode, time]`.
        followed: Whether another recorded step starts at s', so that V̂(s') follows from that step,
            `[episode, time]`.
        step_values: `r̂ + γ (1 − d̂) V̂` of the step to ŝ', `[discount, episode, time]`.
        last_values: V̂ at s' where the step is not `followed`, `[discount, episode, time]`.
        cost: In imagined steps.
    """

    audited: np.ndarray
    weight: np.ndarray
    followed: np.ndarray
    step_values: np.ndarray
    last_values: np.ndarray
    cost: int


def imagine_rest(
    subject: AuditSubject,
    *,
    most_imagined_steps: float = MOST_IMAGINED_STEPS,
    block: int | None = None,
) -> AuditRollouts:
    """Imagine the rest of the episode after every audited step.

    Args:
        subject: What is audited. A random subset of its steps is chosen for the first discount.
        most_imagined_steps: As for `attribute`.
        block: How many rollouts run together, as for `values_at`.
    """
    episodes, predictions = subject.episodes, subject.predictions
    followed = _followed(np.asarray(episodes.alive)) & (subject.importance is None)
    sample = choose_steps(
        episodes,
        subject.discounts[0],
        most_imagined_steps,
        subject.key,
        followed,
        wrong_end=np.asarray(predictions.at_real.ended) != np.asarray(episodes.terminated),
    )
    values, last_values = _values_after_steps(subject, sample.audited, followed, block)
    return AuditRollouts(
        audited=sample.audited,
        weight=np.where(sample.audited, sample.weight * subject.step_weights, 0.0),
        followed=followed,
        step_values=np.stack(
            [
                predictions.at_imagined.step_value(discount, value)
                for discount, value in zip(subject.discounts, values, strict=True)
            ]
        ),
        last_values=last_values,
        cost=sample.cost,
    )


def terms_of(subject: AuditSubject, rollouts: AuditRollouts) -> tuple[Terms, ...]:
    """The terms at each of the subject's discounts."""
    episodes = subject.episodes

    def at_discount(discount: float, step_value: np.ndarray, last_value: np.ndarray) -> Terms:
        next_value = np.where(rollouts.followed, _one_step_later(step_value), last_value)
        at_real = subject.predictions.at_real
        powers = discount ** np.arange(step_value.shape[1])
        weights = rollouts.weight * powers
        end_error = at_real.ended * 1.0 - episodes.terminated
        return Terms(
            reward=subject.step_weights * powers * (episodes.reward - at_real.reward),
            termination=weights * discount * end_error * next_value,
            dynamics=weights * (at_real.step_value(discount, next_value) - step_value),
            audited=rollouts.audited,
            imagined_steps=rollouts.cost,
        )

    columns = subject.discounts, rollouts.step_values, rollouts.last_values
    return tuple(map(at_discount, *columns))


def _one_step_later(column: np.ndarray) -> np.ndarray:
    """The column one step later, `[episode, time]`; zero after the last."""
    return np.concatenate([column[:, 1:], np.zeros_like(column[:, :1])], axis=1)


def _followed(alive: np.ndarray) -> np.ndarray:
    """Whether a step's next state is where another recorded step starts."""
    return alive & _one_step_later(alive)


class StepSample(NamedTuple):
    """Which steps are audited and how many each of them stands for, `[episode, time]` both, and
    what that costs in imagined steps.
    """

    audited: np.ndarray
    weight: np.ndarray
    cost: int


def choose_steps(
    episodes: Trajectory,
    discount: float,
    most: float,
    key: PRNGKey,
    followed: np.ndarray | None = None,
    *,
    wrong_end: np.ndarray | bool = False,
) -> StepSample:
    """Choose the steps to audit, and how many steps each stands for.

    All are audited if that costs at most `most`. Otherwise step t is taken independently with
    probability `p_t = min(1, c γ^t)` and stands for `1/p_t` steps (Horvitz & Thompson 1952). Here γ
    is at least ½, so that late steps can be taken, and c makes the expected cost `most`, or more
    where that would expect less than one step. Steps that end an episode, or whose end the world
    predicts wrongly, are few and have the largest terms: they are always taken, unless they alone
    cost more than half of `most`. An empty subset is drawn again, and weights are multiplied by the
    chance of a non-empty one.

    A step costs a rollout from ŝ' and one for V̂(s'): that from the next step's ŝ' if the step is
    `followed` (run even where the next step is not audited), else one from s'. Without `followed`
    the second is not counted.

    Args:
        episodes: Real episodes, NumPy arrays `[episode, time, …]`.
        discount: γ of the probabilities.
        most: Imagined steps that may be spent; beyond, the steps are a random subset.
        key: Of the subset.
        followed: Whether another recorded step starts at s', `[episode, time]`.
        wrong_end: Whether the world is wrong about the step's end, `[episode, time]`.
    """
    alive, remaining = np.asarray(episodes.alive), episodes.remaining_steps
    alone = np.zeros(alive.shape, bool) if followed is None else alive & ~followed
    shared = np.zeros(alive.shape, bool) if followed is None else followed

    def cost(p: np.ndarray) -> float:
        before = np.concatenate([np.zeros((len(p), 1)), (p * shared)[:, :-1]], axis=1)
        return float(np.sum(remaining * (p + alone * p + before * (1 - p))))

    if cost(alive * 1.0) <= most:
        return StepSample(alive, np.ones(alive.shape), int(cost(alive * 1.0)))

    log_power = np.log(max(discount, 0.5)) * np.arange(alive.shape[1])

    ends = alive & (np.asarray(episodes.terminated) | wrong_end)
    ends &= cost(ends * 1.0) <= most / 2

    def probability(log_c: float) -> np.ndarray:
        by_time = np.where(alive, np.exp(np.minimum(0, log_c + log_power)), 0.0)
        return np.where(ends, 1.0, by_time)

    def excess(log_c: float) -> float:
        p = probability(log_c)
        return min(cost(p) - most, float(p.sum()) - 1)

    p = probability(optimize.root_scalar(excess, bracket=(-50.0, -log_power[-1])).root)
    audited, draw = np.zeros(alive.shape, bool), 1
    while not audited.any():
        audited = np.asarray(jax.random.uniform(jax.random.fold_in(key, draw), alive.shape)) < p
        draw += 1
    drawn = 1 - np.prod(1 - p)  # the chance of a subset that is not empty
    return StepSample(audited, drawn / np.where(audited, p, drawn), int(cost(audited * 1.0)))


def _values_after_steps(
    subject: AuditSubject, audited: np.ndarray, followed: np.ndarray, block: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """`V̂_{H-t-1}` at ŝ' of audited steps and of those that follow them, and at s' of audited steps
    that are not `followed`; 0 elsewhere, `[discount, episode, time]` both.

    Args:
        subject: What is audited; each of its episodes has its own noise.
        audited: Which steps are audited, `[episode, time]`.
        followed: Whether another recorded step starts at s', `[episode, time]`.
        block: How many rollouts run together, as for `values_at`.
    """
    episodes = subject.episodes
    remaining = episodes.remaining_steps
    at_imagined = audited.copy()
    at_imagined[:, 1:] |= (audited & followed)[:, :-1]
    at_real = audited & ~followed & (remaining > 0)

    episode, time = (
        np.concatenate(pair)
        for pair in zip(np.nonzero(at_imagined), np.nonzero(at_real), strict=True)
    )
    values = values_at(
        subject.world,
        subject.played,
        np.concatenate(
            [subject.predictions.imagined_state[at_imagined], episodes.next_state[at_real]]
        ),
        np.concatenate([remaining[at_imagined], remaining[at_real]]),
        jax.random.split(subject.key, len(audited))[episode],
        discounts=subject.discounts,
        since=time + 1,
        block=block,
    )

    imagined, real = np.zeros((2, len(subject.discounts), *audited.shape))
    imagined[:, at_imagined], real[:, at_real] = np.split(values, [at_imagined.sum()], axis=1)
    return imagined, real
