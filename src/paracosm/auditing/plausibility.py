"""What the bought data say, before any episode of the audited policy, and whether imagination stays
within it.
"""

from __future__ import annotations

import numpy as np

from paracosm.core.data import Dataset, Trajectory
from paracosm.core.estimators import mean
from paracosm.core.mdp import MDP, never
from paracosm.core.records import Estimate, Plausibility, Reference

RANDOM = "random actions"
RECORDED = "the policy that recorded the data"
# Half widths from the middle, a quarter of the range outside of it: new states of the same kind
# often lie a little beyond those that were recorded.
_BEYOND = 1.5
# Of one episode nothing is known but that its return is possible: an interval of all that is.
_LEAST_EPISODES = 2
_MOST_CUT = 1 / 3  # of the recorded steps: what episodes that were cut may hold
_LONGER = 2  # times the longest whole episode: what a cut one may last
_TOLERANCE = 0.01  # of what is allowed: a reward model errs a little at its best states


def reference(
    data: Dataset, horizon: int, policy: str = RANDOM, given: tuple[str, ...] = ()
) -> Reference:
    """What bought data say: the ranges of rewards and states, and the return of what acted in them.

    Args:
        data: Bought real steps; where only some rewards are labelled, an episode's return is the
            mean of its labels times its number of steps.
        horizon: Steps of a full episode.
        policy: What acted: `RANDOM` or `RECORDED`.
        given: The parts of the world that are said to be the real ones.
    """
    rewards, states = data.labels.reward, np.concatenate([data.state, data.next_state])
    span = (float(rewards.min()), float(rewards.max())) if len(rewards) else ()
    low, high = (tuple(map(float, end(states, axis=0))) for end in (np.min, np.max))
    return Reference(policy, _returns(data, horizon), span, low, high, given)


def _returns(data: Dataset, horizon: int) -> Estimate | None:
    """Mean undiscounted return of the episodes that terminated or reached the horizon.

    Purchases cut the last episodes short. Where nothing else was recorded and nothing ever
    terminated, these are carried on to the horizon at their mean reward, unless one may have
    terminated at a last step whose transition was not bought. Where others
    terminated and those that are whole are the ones that end early (`whole_are_short`), the return
    is not known.
    """
    rows = np.unique(data.episode, return_inverse=True)[1]
    steps, labels = np.bincount(rows), np.bincount(rows, data.has_label)
    paid = np.bincount(rows, np.where(data.has_label, data.reward, 0.0))
    ended = np.bincount(rows, data.terminated) > 0
    usable, complete = labels > 0, ended | (steps >= horizon)
    known_last = (data.truncated | data.has_transition)[np.cumsum(steps) - 1]
    never_ends = not ended.any() and known_last.all()
    if never_ends and not (complete & usable).any():
        complete, steps = usable, np.full(len(steps), horizon)
    counted = complete & usable
    if counted.sum() < _LEAST_EPISODES:
        return None
    if not never_ends and whole_are_short(steps[counted], steps[usable & ~complete]):
        return None
    returns = paid[counted] / labels[counted] * steps[counted]
    low, high = _return_range(data, horizon)
    # Episodes of others may be longer, or go on behind an end.
    return mean(returns, bounds=(min(low, returns.min()), max(high, returns.max())))


def whole_are_short(whole: np.ndarray, cut: np.ndarray) -> bool:
    """Whether whole episodes stand for the short ones alone, of episodes that may terminate.

    One that is longer than what was left of a purchase is never whole.

    Args:
        whole, cut: Recorded steps of each whole episode, and of each other one.
    """
    much_cut = cut.sum() > _MOST_CUT * (whole.sum() + cut.sum())
    return bool(much_cut or cut.max(initial=0) > _LONGER * whole.max(initial=0))


def _return_range(data: Dataset, horizon: int) -> tuple[float, float]:
    """The least and the most that recorded rewards make of an episode: what was paid at its end is
    paid once. Where some labels stand for all, any may stand for the whole episode.
    """
    ended = data.terminated & bool(data.has_label.all())
    ends, others = (data.reward[data.has_label & rows] for rows in (ended, ~ended))
    low, high = (float(limit(others, initial=0.0)) for limit in (np.min, np.max))
    if not len(ends):
        return low * horizon, high * horizon
    return (
        min(low * horizon, low * (horizon - 1) + float(ends.min())),
        max(high * horizon, high * (horizon - 1) + float(ends.max())),
    )


def plausibility(
    world: MDP, episodes: Trajectory, imagined: Trajectory, reference: Reference | None
) -> Plausibility:
    """Hold imagined episodes against the rewards and states that were recorded.

    Args:
        world: The learned world.
        episodes: Real episodes of the policy.
        imagined: Imagined ones from the same starts, `[episode, time, …]`.
        reference: What the purchased data say, if there are any; `episodes` add to it.
    """
    low, high = _allowed(world, episodes, reference)
    returns = np.asarray(imagined.reward).sum(axis=1)
    beyond = _TOLERANCE * (high - low)
    distance = _distance(world, episodes, imagined, reference)
    outside = distance > _BEYOND
    farthest = np.unravel_index(int(np.argmax(distance)), distance.shape)
    return Plausibility(
        episodes=len(returns),
        allowed=(float(low), float(high)),
        impossible=int(np.sum((returns > high + beyond) | (returns < low - beyond))),
        left=int(outside.any(axis=1).sum()),
        first_step=int(np.argmax(outside.any(axis=0))) + 1 if outside.any() else None,
        farthest=float(distance[farthest]),
        farthest_step=int(farthest[1]) + 1,
    )


def _allowed(world: MDP, episodes: Trajectory, reference: Reference | None) -> tuple[float, float]:
    """The least and the most return that the recorded rewards allow in the steps of an episode.

    Where an episode can end, that of a single step counts too; unlike in `averages`, 0 is not
    added.
    """
    rewards = np.concatenate(
        [episodes.reward[episodes.alive], reference.reward if reference else ()]
    )
    steps = int(episodes.horizons.max())
    ends = world.termination is not never or bool(episodes.terminated.any())
    low, high = rewards.min() * steps, rewards.max() * steps
    return (min(low, rewards.min()), max(high, rewards.max())) if ends else (low, high)


def _distance(
    world: MDP, episodes: Trajectory, imagined: Trajectory, reference: Reference | None
) -> np.ndarray:
    """How far imagined next states lie from the middle of the recorded range, in its half widths,
    `[episode, time]`.

    Args:
        world, episodes, imagined, reference: As for `plausibility`.
    """
    recorded = [episodes.state[episodes.alive], episodes.next_state[episodes.alive]]
    if reference is not None:
        recorded += [np.array([reference.state_low]), np.array([reference.state_high])]
    states = np.concatenate(recorded)
    low, high = states.min(axis=0), states.max(axis=0)
    middle, half = (
        (low + high) / 2,
        np.maximum((high - low) / 2, np.asarray(world.spec.state_scale)),
    )
    with np.errstate(over="ignore"):
        distance = np.max(np.abs(np.asarray(imagined.next_state) - middle) / half, axis=-1)
    return np.where(np.asarray(imagined.alive), distance, 0.0)
