"""Limits: values of single components of a state, beyond which every recorded step ended.

Most tasks end an episode where a component leaves a range: a pole that leans too far, a body too
low, a car at its goal. A network that is fitted to the ends of random falls knows them by the speed
of a fall as well, and misses those that a policy comes to slowly: of a pole that leans over at its
edge it says that the episode goes on. So where limits explain every recorded end, and no step that
goes on lies beyond one, the network is also fitted to recorded steps that are moved to either side
of a limit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

# Ends for each limit, on average: a few lie beyond all other steps in some component by chance.
_ENDS_PER_LIMIT = 3
# Of the distance of a moved step to its limit, the mean, in standard deviations of the component.
_REACH = 0.2


class Limit(NamedTuple):
    """A bound of one component of the next state.

    Attributes:
        component: Its number.
        side: 1 where larger values are beyond, -1 where smaller ones are.
        within: The furthest value of a step that goes on.
        beyond: The nearest value of an end.
    """

    component: int
    side: int
    within: float
    beyond: float


def limits_of(
    next_state: Float[np.ndarray, "rows state"], ended: Bool[np.ndarray, " rows"]
) -> tuple[Limit, ...]:
    """The limits of a task whose ends all lie beyond some value that no step that goes on exceeds.

    They are as few as explain the ends, the one that explains most of those left first. Where two
    explain the same ends neither is known. None are known where an end lies within all values of
    other steps, or where ends are too few for so many limits.

    Args:
        next_state: States after steps.
        ended: Which steps ended their episodes.
    """
    goes_on, ends = next_state[~ended], next_state[ended]
    if not (len(goes_on) and len(ends)):
        return ()
    size = next_state.shape[1]
    signs = np.repeat([1, -1], size)
    values = signs * np.tile(ends, 2)
    within = np.max(signs * np.tile(goes_on, 2), axis=0)
    is_beyond = values > within
    if not is_beyond.any(axis=1).all():
        return ()
    unexplained, chosen = is_beyond, []
    while len(unexplained):
        most = int(np.argmax(unexplained.sum(axis=0)))
        explained = unexplained[:, most]
        if unexplained[explained].all(axis=0).sum() == 1:
            chosen.append(most)
        unexplained = unexplained[~explained]
    if _ENDS_PER_LIMIT * len(chosen) > len(ends):
        return ()
    has_one_cause = is_beyond[:, chosen].sum(axis=1) == 1
    limits = []
    for one in chosen:
        own = values[has_one_cause & is_beyond[:, one], one]
        if len(own):
            furthest, nearest = (float(signs[one] * value) for value in (within[one], own.min()))
            limits.append(Limit(one % size, int(signs[one]), furthest, nearest))
    return tuple(limits)


def steps_moved_to(
    limits: tuple[Limit, ...],
    state: Float[np.ndarray, "rows state"],
    next_state: Float[np.ndarray, "rows state"],
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States, next states and whether the episode ends, of recorded steps that are moved along one
    component: beyond a limit, or within it but no further from it than they were.

    Args:
        limits: One or more.
        state, next_state: Recorded steps, after which the episode goes on.
        random: Draws the limits and the distances to them.
    """
    rows = np.arange(len(state))
    drawn = np.array(limits)[random.integers(len(limits), size=len(rows))]
    component, side, within, beyond = drawn[:, 0].astype(int), *drawn[:, 1:].T
    value = next_state[rows, component]
    ends = random.random(len(rows)) < 0.5
    distance = random.exponential(_REACH * np.std(next_state, axis=0)[component])
    inwards = within - side * np.minimum(distance, side * (within - value))
    move = np.zeros(state.shape)
    move[rows, component] = np.where(ends, beyond + side * distance, inwards) - value
    return state + move, next_state + move, ends
