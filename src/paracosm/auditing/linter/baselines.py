"""Worlds that do not look at the action, or predict worse than a state that stands still."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from paracosm.auditing.linter.inputs import JudgedDynamics
from paracosm.auditing.linter.readings import errors
from paracosm.auditing.linter.steps import standardised
from paracosm.core.records import Finding, FindingForm

_NO_LARGER = 1.02  # times the error with the recorded actions
# Of the error of standing still, root mean square: with smaller ones actions may not matter
_MATTERS = 0.1
_WITH_ACTION = 0.9  # what the action must leave of the errors that the state alone explains
_USED = 0.3  # of what the errors make of the action: a world that makes so much of it looks at it
_ROUNDING = 1e-9  # of the largest next state: differences below are none
_SHUFFLE = 0xAC7104  # any seed; fixed, so that one world has one finding


def blind(dynamics: JudgedDynamics) -> Iterator[Finding]:
    """Next states that are no worse with the actions of other steps, though the errors go with the
    action.
    """
    judge = dynamics.judge
    steps = judge.steps
    order = np.random.default_rng(_SHUFFLE).permutation(len(steps.action))
    if len(np.unique(steps.block)) < 2 or not np.any(steps.action[order] != steps.action):
        return
    plain, answer = map(dynamics.next_states, (steps.action, steps.action[order]))
    if not np.isfinite(answer).all() or not _matters(dynamics):
        return
    same = bool(np.all(np.abs(answer - plain) <= _ROUNDING * np.abs(plain).max(axis=0)))
    permuted = errors(dynamics.squares(answer))
    larger = judge.overall(permuted, judge.own)[-1].high > np.log(_NO_LARGER)
    if same or (not larger and _goes_with_action(dynamics, plain, answer)):
        times = float(np.exp(judge.overall(permuted, judge.own)[-1].mean / 2))
        form: FindingForm = "the same" if same else ""
        yield Finding("action blindness", "dynamics", {"times": times}, form)


def _matters(dynamics: JudgedDynamics) -> bool:
    judge = dynamics.judge
    still = dynamics.squares(judge.steps.state)
    return bool(np.any(judge.own.squares.mean(axis=0) > _MATTERS**2 * still.mean(axis=0)))


def _goes_with_action(dynamics: JudgedDynamics, plain: np.ndarray, permuted: np.ndarray) -> bool:
    """Whether errors are explained by the action, beyond the state, and are larger than what the
    world makes of it.

    Args:
        dynamics: The learned dynamics.
        plain: The next states, `[n, state]`.
        permuted: Those with the actions of other steps.
    """
    judge, unit = dynamics.judge, dynamics.unit
    steps = judge.steps
    error = (steps.next_state - plain) / unit
    state, action = standardised(steps.state), standardised(steps.encoded_action)
    alone = np.concatenate([np.ones((len(state), 1)), state, state**2], axis=1)
    joined = np.concatenate([alone, action], axis=1)
    off, off_alone = (_crossed(design, error, steps.block % 2 == 0) for design in (joined, alone))
    readings = [errors(values**2) for values in (off, off_alone)]
    if min(part.high for part in judge.overall(*readings)[:-1]) > np.log(_WITH_ACTION):
        return False
    by_action = np.mean(np.sum((off - off_alone) ** 2, axis=1))
    used = np.mean(np.sum(((permuted - plain) / unit) ** 2, axis=1)) / 2
    return bool(used < _USED**2 * by_action)


def _crossed(
    design: Float[np.ndarray, "n p"], target: Float[np.ndarray, "n k"], half: np.ndarray
) -> Float[np.ndarray, "n k"]:
    """Residuals of each half of the rows by a ridge fit to the other half."""
    residual = np.empty_like(target)
    for inside in (half, ~half):
        matrix = design[inside].T @ design[inside] + 1e-3 * inside.sum() * np.eye(design.shape[1])
        fit = np.linalg.solve(matrix, design[inside].T @ target[inside])
        residual[~inside] = target[~inside] - design[~inside] @ fit
    return residual


def standing_still(dynamics: JudgedDynamics) -> Iterator[Finding]:
    """A world that is clearly worse than the prediction that nothing moves."""
    judge, unit = dynamics.judge, dynamics.unit
    steps, scale = judge.steps, np.asarray(dynamics.world.spec.state_scale)
    still = errors(np.sum(((steps.next_state - steps.state) / scale) ** 2, axis=1, keepdims=True))
    own = errors(np.sum(judge.own.squares * (unit / scale) ** 2, axis=1, keepdims=True))
    summed = judge._replace(own=own, floor=np.full(1, 1e-12), weight=np.ones(1))
    if summed.overall(still, own)[0].high < 0 and summed.everywhere(still, own)[0].mean < 0:
        numbers = {
            "own": float(np.sqrt(own.squares.mean())),
            "still": float(np.sqrt(still.squares.mean())),
        }
        yield Finding("persistence", "dynamics", numbers)
