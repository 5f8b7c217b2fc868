"""Terminations that the world does not share: time limits, resets, a missing rule, answers of
another kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from paracosm.auditing.linter.data import LEAST_ENDS, SELDOM, SHORTLY, WIDE
from paracosm.auditing.one_step import OneStep
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP
from paracosm.core.records import Finding, FindingForm

_MISSED, _FALSE = 0.9, 0.2  # a rule that is only inaccurate is no finding
# Times that percentile of the one-step errors: a recorded next state that no step reached
_FAR, _USUAL = 5.0, 99.0
_SAME = 1e-5  # scaled states: equal but for rounding


class _Ends(NamedTuple):
    """Steps `[episode, time]` recorded as terminated or cut, and those at which the world ends."""

    alive: Bool[np.ndarray, "episode time"]
    terminated: Bool[np.ndarray, "episode time"]
    cut: Bool[np.ndarray, "episode time"]
    predicted: Bool[np.ndarray, "episode time"]

    @property
    def missed(self) -> Bool[np.ndarray, "episode time"]:
        """Terminations at which the world goes on."""
        return self.terminated & ~self.predicted

    @property
    def elsewhere(self) -> Bool[np.ndarray, "episode time"]:
        """Steps after which the episode went on."""
        return self.alive & ~self.terminated & ~self.cut

    @property
    def false_share(self) -> float:
        """Share of the steps after which the episode went on at which the world ends; 0 if there
        are none.
        """
        return float(self.predicted[self.elsewhere].mean()) if self.elsewhere.any() else 0.0


def end_findings(world: MDP, episodes: Trajectory, predictions: OneStep) -> Iterator[Finding]:
    """What is wrong with ends: a cause is named where its own signature holds and none that
    explains it better.
    """
    alive = np.asarray(episodes.alive)
    flags = (episodes.terminated, episodes.truncated, predictions.at_real.ended)
    ends = _Ends(alive, *(np.asarray(flag, bool) & alive for flag in flags))
    resets = list(_resets(world, episodes, predictions, ends))
    limits = _limits(world, episodes, ends)
    yield from resets
    if limits.any():
        yield _as_terminations(ends, limits)
    if not resets:
        yield from _missing(
            ends._replace(terminated=ends.terminated & ~limits, cut=ends.cut | limits)
        )
    yield from _cuts(ends)
    yield from _false(ends)


def _resets(
    world: MDP, episodes: Trajectory, predictions: OneStep, ends: _Ends
) -> Iterator[Finding]:
    """Next states of last steps that are the first states of other episodes.

    Args:
        world: The learned world.
        episodes, predictions: Real episodes, `[episode, time, …]`, and the world's predictions.
        ends: Where they end.
    """
    last = ends.terminated | ends.cut
    if last.sum() < LEAST_ENDS:
        return
    scale = np.asarray(world.spec.state_scale)
    starts = np.asarray(episodes.state)[:, 0] / scale
    after, imagined = (
        np.asarray(states) / scale for states in (episodes.next_state, predictions.imagined_state)
    )
    error = np.linalg.norm(imagined - after, axis=-1)
    usual = np.percentile(error[ends.elsewhere], _USUAL) if ends.elsewhere.any() else np.inf
    arrived = after[last]
    equal = np.array([np.abs(starts - state).max(axis=1).min() <= _SAME for state in arrived])
    stayed = np.abs(arrived - (np.asarray(episodes.state) / scale)[last]).max(axis=1) <= _SAME
    inside = np.all((arrived >= starts.min(axis=0)) & (arrived <= starts.max(axis=0)), axis=1)
    reset = ~stayed & (equal | inside) & (error[last] > _FAR * max(usual, _SAME))
    if reset.sum() >= max(_MISSED * last.sum(), LEAST_ENDS):
        numbers = {
            "count": float(reset.sum()),
            "last": float(last.sum()),
            "times": float(np.median(error[last][reset]) / max(usual, _SAME)),
        }
        yield Finding("auto-reset observations", "dynamics", numbers)


def _limits(world: MDP, episodes: Trajectory, ends: _Ends) -> Bool[np.ndarray, "episode time"]:
    """Terminations that the world misses on the last step of the longest episodes, where no state
    could say so.

    A time limit leaves no episode at that step that was only cut. The limit is the horizon; or,
    where it is not known, the end states are as wide as any, and hardly an episode ends shortly
    before, as it would by a rule.
    """
    step = int(np.flatnonzero(ends.alive.any(axis=0)).max(initial=0))
    at = np.zeros_like(ends.missed)
    at[:, step] = ends.missed[:, step]
    count, recorded = int(at.sum()), int(ends.terminated[:, step].sum())
    before = ends.terminated[:, max(step - max(step // 10, SHORTLY), 0) : step].sum()
    if count < max(LEAST_ENDS, recorded / 2) or ends.cut[:, step].any():
        return np.zeros_like(at)
    at_horizon = step + 1 == world.spec.horizon
    return at & (at_horizon or (before <= SELDOM * count and _wide(episodes, at)))


def _as_terminations(ends: _Ends, limits: np.ndarray) -> Finding:
    numbers = {
        "count": float(limits.sum()),
        "missed": float(ends.missed.sum()),
        "step": float(np.nonzero(limits)[1][0] + 1),
    }
    return Finding("time limits as terminations", "termination", numbers)


def _wide(episodes: Trajectory, missed: np.ndarray) -> bool:
    """Whether the states in which episodes end are spread about as widely as all states."""
    state = np.asarray(episodes.next_state)
    everywhere = state[np.asarray(episodes.alive)].std(axis=0)
    varies = everywhere > 0
    return (
        bool(np.any(varies))
        and float(np.median(state[missed].std(axis=0)[varies] / everywhere[varies])) > WIDE
    )


def _missing(ends: _Ends) -> Iterator[Finding]:
    """Terminations at many steps at which the world goes on."""
    count, recorded = int(ends.missed.sum()), int(ends.terminated.sum())
    if count < max(_MISSED * recorded, LEAST_ENDS) or ends.false_share > _MISSED:
        return
    times = np.nonzero(ends.terminated)[1] + 1
    early = np.zeros_like(ends.predicted)
    early[:, 1:] = ends.predicted[:, :-1] & ends.alive[:, 1:]
    if (early & ends.terminated).sum() >= _MISSED * recorded:
        numbers = {
            "count": float((early & ends.terminated).sum()),
            "recorded": float(recorded),
        }
        yield Finding("termination timing", "termination", numbers)
        return
    numbers = {
        "count": float(count),
        "recorded": float(recorded),
        "first": float(times.min()),
        "last": float(times.max()),
    }
    form: FindingForm = "" if ends.predicted.any() else "never ends"
    yield Finding("missed terminations", "termination", numbers, form)


def _cuts(ends: _Ends) -> Iterator[Finding]:
    """Truncations at which the world ends, though it does not end everywhere."""
    ending, cut = int((ends.cut & ends.predicted).sum()), int(ends.cut.sum())
    if ending < max(_MISSED * cut, LEAST_ENDS) or ends.false_share > _FALSE:
        return
    form: FindingForm = "time limit" if ends.alive[ends.cut.any(axis=1)].all() else ""
    numbers = {"count": float(ending), "cut": float(cut)}
    yield Finding("truncations as terminations", "termination", numbers, form)


def _false(ends: _Ends) -> Iterator[Finding]:
    """Ends where the episode went on; nearly everywhere, an answer of another kind is the likelier
    cause.
    """
    false, elsewhere = int(ends.predicted[ends.elsewhere].sum()), int(ends.elsewhere.sum())
    if false <= _FALSE * elsewhere:
        return
    form: FindingForm = ""
    if false >= _MISSED * elsewhere:
        recorded = ends.terminated.sum()
        opposite = recorded and ends.missed.sum() >= _MISSED * recorded
        form = "reversed" if opposite else "probability"
    numbers = {"count": float(false), "elsewhere": float(elsewhere)}
    yield Finding("false terminations", "termination", numbers, form)
