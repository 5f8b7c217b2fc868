"""Rival readings of the learned dynamics: other actions, other observations, changes in place of
states.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from paracosm.auditing.linter import queries
from paracosm.auditing.linter.baselines import blind, standing_still
from paracosm.auditing.linter.fitting import ReadingFit, linear
from paracosm.auditing.linter.inputs import Change, JudgedDynamics
from paracosm.auditing.linter.readings import (
    A_TENTH,
    HALF,
    Explanation,
    Judge,
    MostLeft,
    Reading,
    errors,
)
from paracosm.auditing.linter.steps import SampledSteps
from paracosm.core.mdp import MDP, Box, Discrete
from paracosm.core.records import ComponentChange, Finding, Misreading, MisreadingForm
from paracosm.core.types import PRNGKey

_ACTION_FACTORS = (
    -1.0,
    0.0,
    0.5,
    2.0,
)  # a sign, an unused action, a box of half or twice the width
_STATE_FACTORS = (-1.0, 180 / np.pi, np.pi / 180)  # a sign; degrees and radians
# Of the sum nothing is required: walls and contacts make outliers that no reading mends
_LEFT = MostLeft(0.6, 1.0)
# Of a factor, or of the spread: models of ordinary quality are as far off
_MARGIN = {"action": 0.05, "state": 0.2}
_SAME = 5e-3  # of a factor, or of the spread: too little to be worth a word
_LEFT_OUT = 0.05  # a factor of actions that is as good as none
_MOST_STATES = 32  # components whose units are fitted
_MOST_ORDERS = 4  # choices all of whose orders are tried
_FINEST = 1e-3  # of the mean squared error: smaller ones are as good as none
_ROUNDING = 1e-6  # of the largest state: what 32 bits cannot tell from zero
_FORMS: dict[str, MisreadingForm] = {
    "actions": "other actions",
    "observations": "other observations",
}


def dynamics_findings(world: MDP, steps: SampledSteps, key: PRNGKey) -> tuple[Finding, ...]:
    """The reading of the learned dynamics that explains its errors, if one does."""
    dynamics = _judged(world, steps, key)
    if dynamics is None:
        return ()
    readings = (
        [*_numberings(dynamics)]
        if isinstance(world.spec.action, Discrete)
        else [*_actions(dynamics), *_clipped(dynamics)]
    )
    readings += [*_observations(dynamics), *_changes(dynamics)]
    choice = dynamics.judge.choose(readings)
    if choice is not None and not choice.reading.silent:
        return (_finding(dynamics, choice),)
    return (*blind(dynamics), *standing_still(dynamics))


def _judged(world: MDP, steps: SampledSteps, key: PRNGKey) -> JudgedDynamics | None:
    """The dynamics and the judge of their errors, those of each component in units of its own root
    mean square; None where all are rounding.
    """
    answer = queries.next_states(world, steps.state, steps.action, key, len(steps.state))
    off = answer - steps.next_state
    size = np.abs(steps.next_state).max(axis=0)
    unit = np.maximum(np.sqrt((off**2).mean(axis=0)), _ROUNDING * size + 1e-12)
    own = errors((off / unit) ** 2)
    if not np.isfinite(off).all() or (own.squares.mean(axis=0) < 1 - 1e-9).all():
        return None
    weight = (unit / np.asarray(world.spec.state_scale)) ** 2
    judge = Judge(steps, own, np.full(len(unit), _FINEST), weight, _LEFT)
    return JudgedDynamics(world, judge, unit, key)


def _actions(dynamics: JudgedDynamics) -> Iterator[Reading]:
    """Actions in other units, among them those of the other box."""
    space = dynamics.world.spec.action
    assert isinstance(space, Box)
    low, high = np.asarray(space.low, float), np.asarray(space.high, float)
    half, center = (high - low) / 2, (high + low) / 2
    boxes = [np.concatenate([1 / half, -center / half]), np.concatenate([half, center])]
    change = Change(dynamics, "action", half)
    yield from _affine(change, change.starts(_ACTION_FACTORS, boxes), "actions", np.ones_like(half))


def _clipped(dynamics: JudgedDynamics) -> Iterator[Reading]:
    """Actions that the environment clips to its bounds, and the world does not."""
    steps, space = dynamics.judge.steps, dynamics.world.spec.action
    assert isinstance(space, Box)
    if not space.outside(steps.action).any():
        return
    action = np.clip(steps.action, np.asarray(space.low), np.asarray(space.high))
    squares = dynamics.squares(dynamics.next_states(action))
    yield Reading("action clipping", "clipping", Misreading("clipped actions"), squares)


def _observations(dynamics: JudgedDynamics) -> Iterator[Reading]:
    """Observations in other units, among them standardised ones."""
    state = dynamics.judge.steps.state
    deviation = state.std(axis=0)
    spread = np.where(deviation > 1e-9 * np.abs(state).max(axis=0), deviation, 1.0)
    standard = np.concatenate([1 / spread, -state.mean(axis=0) / spread])
    change = Change(dynamics, "state", spread)
    if change.size > _MOST_STATES:
        residual = change.residuals(standard[None])[0]
        misreading = Misreading("standardised observations")
        yield Reading("observation scale", "observation", misreading, residual**2)
        return
    yield from _affine(change, change.starts(_STATE_FACTORS, [standard]), "observations", deviation)


def _affine(
    change: Change, starts: list[np.ndarray], kind: str, varies: np.ndarray
) -> Iterator[Reading]:
    """Scales, offsets or both, from each start; components that do not vary keep their scale.

    Args:
        change: The world in other units.
        starts: Parameters from which they are fitted, `[parameter]` each.
        kind: "actions" or "observations".
        varies: How much each component varies, `[x]`; 0 where it does not.
    """
    size = change.size
    moves = np.arange(2 * size) >= size
    free = {
        "scale": ~moves & np.tile(varies > 0, 2),
        "offset": moves,
        "offset and scale": moves | np.tile(varies > 0, 2),
    }
    for start, (name, mask) in itertools.product(starts, free.items()):
        if name != "offset and scale" and np.any(start[~mask] != change.faultless[~mask]):
            continue
        fit = change.fitted(start, mask)
        if fit is not None and np.any(_beyond(change, fit)):
            misreading = Misreading(_FORMS[kind], components=_components(change, fit))
            may_leave = A_TENTH if change.of == "state" else HALF  # of many parameters
            yield Reading(
                f"{kind[:-1]} {name}",
                kind,
                misreading,
                fit.residual**2,
                int(mask.sum()),
                may_leave=may_leave,
            )


def _beyond(change: Change, fit: ReadingFit) -> np.ndarray:
    """Which parameters' intervals leave out everything near their faultless values."""
    margin = _MARGIN[change.of] * np.concatenate([np.ones(change.size), change.spread])
    return (fit.low > change.faultless + margin) | (fit.high < change.faultless - margin)


def _components(change: Change, fit: ReadingFit) -> tuple[ComponentChange, ...]:
    """`scale * x + offset`, component by component where they differ from no change."""
    scale, offset = np.split(fit.parameters, 2)
    beyond = _beyond(change, fit).reshape(2, -1).any(axis=0)
    return tuple(
        ComponentChange(
            component=None if change.size == 1 else int(i),
            scale=float(scale[i]) if abs(scale[i] - 1) > _SAME else None,
            offset=float(offset[i]) if abs(offset[i]) > _SAME * change.spread[i] else None,
            left_out=bool(change.of == "action" and abs(scale[i]) < _LEFT_OUT),
        )
        for i in np.flatnonzero(beyond)
    )


def _numberings(dynamics: JudgedDynamics) -> Iterator[Reading]:
    """Discrete actions under other numbers."""
    space = dynamics.world.spec.action
    assert isinstance(space, Discrete)
    n, steps = space.n, dynamics.judge.steps
    numberings = (
        [*itertools.permutations(range(n))][1:]
        if n <= _MOST_ORDERS
        else [tuple(((np.arange(n) + by) % n).tolist()) for by in (1, -1)] + [tuple(range(n))[::-1]]
    )
    for numbering in numberings:
        action = np.asarray(numbering, steps.action.dtype)[steps.action]
        misreading = Misreading("other action numbers", numbering=numbering)
        squares = dynamics.squares(dynamics.next_states(action))
        yield Reading("action order", "actions", misreading, squares)


def _changes(dynamics: JudgedDynamics) -> Iterator[Reading]:
    """Answers that are changes of the state; and, silent, changes that are too small or too large
    by a factor each.

    A model that was fitted too little shrinks all it predicts; no change of what it is given
    explains that better.
    """
    judge, unit = dynamics.judge, dynamics.unit
    steps = judge.steps
    answer = dynamics.next_states(steps.action)
    summed = dynamics.squares(steps.state + answer)
    yield Reading("state change", "output", Misreading("state changes"), summed)
    fits = [
        linear(
            judge._replace(floor=judge.floor[:1], weight=judge.weight[:1]),
            np.stack([answer[:, i] - steps.state[:, i], np.ones(len(answer))], axis=1) / unit[i],
            (steps.next_state - steps.state)[:, i] / unit[i],
            np.array([1.0, 0.0]),
        )
        for i in range(len(unit))
    ]
    residual = np.concatenate([fit.residual for fit in fits], axis=1)
    yield Reading("changes", "shrunk", None, residual**2, 2 * len(unit), silent=True)


def _finding(dynamics: JudgedDynamics, choice: Explanation) -> Finding:
    """The reading that explains the errors, with its rivals, as a finding."""
    judge, unit = dynamics.judge, dynamics.unit
    scale = np.asarray(dynamics.world.spec.state_scale)
    own, left = (
        np.sqrt(np.mean(np.sum(reading.squares * (unit / scale) ** 2, axis=1)))
        for reading in (judge.own, choice.reading)
    )
    numbers = {"left": float(left), "own": float(own)}
    return Finding(choice.reading.kind, "dynamics", numbers, misreadings=choice.misreadings)
