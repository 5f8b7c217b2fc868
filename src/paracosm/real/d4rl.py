"""D4RL's flat layout of recorded steps, one row each, episodes after another."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.recordings import jumps, rounding
from paracosm.real.columns import demand_equal_lengths, flags, from_columns, single

_NEEDED = ("observations", "actions", "rewards", "terminals")
_OPTIONAL = ("timeouts", "next_observations")
_SHORT = 10  # steps: shorter episodes are multiples of each other by chance
_UNLIKE_A_STEP = (
    3.0  # 99% quantiles; 1.8 is the most within an episode of 11 control tasks with random actions
)


def from_d4rl(columns: Mapping[str, np.ndarray], where: str) -> Dataset:
    """A data set of D4RL's columns, every step bought.

    Episodes end at `terminals`, at `timeouts`, and where a next observation is not the observation
    of the next row. Without `next_observations` the last step of each episode is left out: its next
    state is not known; and episodes end, too, where observations jump as no step does. Cuts that no
    flag explains are a Python warning. Without these and `timeouts` nothing says where a time limit
    cut an episode, and steps across the cut would be learned from.

    Raises:
        BadData: columns are missing, do not fit together, or hold what cannot be used; or an
            episode goes on past the time limit at which others were cut, as where a 1 is missing in
            `timeouts`.
    """
    if lacking := [name for name in _NEEDED if name not in columns]:
        raise checks.BadData(
            f"{where} has observations, as D4RL's files do, but lacks {', '.join(lacking)}."
        )
    known = {name: np.asarray(columns[name]) for name in (*_NEEDED, *_OPTIONAL) if name in columns}
    for name, values in known.items():
        if values.ndim == 0:
            raise checks.BadData(
                f"{where}: {name} is a single value; a row for each step is needed."
            )
    demand_equal_lengths(known, where)
    state = known["observations"]
    for name in ("observations", "next_observations"):
        _demand_table(known, name, where)
    terminated = flags(known["terminals"], "terminals", where)
    stops = terminated.copy()
    if "timeouts" in known:
        stops |= flags(known["timeouts"], "timeouts", where)
    stops[-1:] = True
    next_state = known.get("next_observations")
    if next_state is not None:
        torn = jumps(state, next_state, rounding(state, next_state)) & ~stops[:-1]
        _warn_of_cuts(
            torn,
            "next_observations leads elsewhere than to the observations of the next row",
            where,
        )
        stops[:-1] |= torn
    elif "timeouts" not in known:
        raise checks.BadData(
            f"{where} has neither timeouts nor next_observations, so nothing says where a time"
            " limit cut an"
            f" episode{_widest(state, terminated)[0]}; add a column timeouts, all 0 if none was"
            " cut."
        )
    elif not stops[:-1].any():
        _demand_one_episode(state, where)
    else:
        _demand_cut_at_limit(state, terminated, stops, where)
        torn = _sizes(state, stops) > 1  # with their next state unknown, these steps are left out
        _warn_of_cuts(
            torn,
            "the observations jump as no step does (three times as far as 99% of the steps go)",
            where,
        )
        stops[:-1] |= torn
    complete = np.ones(len(state), bool) if next_state is not None else ~stops
    starts = np.flatnonzero(np.append(True, stops[:-1]))[: len(state)]
    episode = np.cumsum(np.append(True, stops[:-1])[: len(state)]) - 1
    lived = {
        "state": state,
        "action": known["actions"],
        "next_state": np.roll(state, -1, axis=0) if next_state is None else next_state,
        "reward": single(known["rewards"], "rewards", where),
        "terminated": terminated,
        "episode": episode,
        "time": np.arange(len(state)) - starts[episode],
    }
    return _bought_whole({name: values[complete] for name, values in lived.items()}, where)


def _demand_table(known: Mapping[str, np.ndarray], name: str, where: str) -> None:
    if name not in known:
        return
    values, shape = known[name], known["observations"].shape
    if values.ndim != 2 or values.shape != shape:
        raise checks.BadData(
            f"{where}: {name} has the shape {values.shape}; (rows, components) is needed."
        )
    if values.dtype.kind not in "biuf":
        raise checks.BadData(
            f"{where}: {name} holds the type {values.dtype}; real numbers are needed."
        )


def _warn_of_cuts(torn: np.ndarray, why: str, where: str) -> None:
    """Say where episodes are cut that neither terminals nor timeouts end."""
    if torn.any():
        warnings.warn(
            f"{where}: episodes are cut after {int(torn.sum())} rows that neither terminals nor"
            " timeouts mark, the"
            f" first of them row {int(np.argmax(torn))}, because there {why}.",
            stacklevel=2,
        )


def _sizes(state: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Moves of the observations after each row, `[rows - 1]`; from 1 on unlike a step."""
    moves = np.where(stops[:-1], 0, _moves(state))
    within = moves[~stops[:-1]]
    return (
        moves / max(_UNLIKE_A_STEP * np.quantile(within, 0.99), 1e-300)
        if within.any()
        else moves * 0
    )


def _demand_cut_at_limit(
    state: np.ndarray, terminated: np.ndarray, stops: np.ndarray, where: str
) -> None:
    """Refuse an episode that goes on past the length at which time limits cut most others: a cut is
    not marked.

    An episode twice as long, or more times, is such a one, and one whose observations jump at that
    length. Where many go on, the limit varied.

    Args:
        state: Observations, `[rows, state]`.
        terminated: Whether a row's step is terminal, `[rows]`.
        stops: Whether an episode ends or is cut after a row, `[rows]`.
        where: What the error message calls the data set.

    Raises:
        BadData: naming the row where such an episode goes on.
    """
    ends = np.flatnonzero(stops)
    lengths = np.diff(ends, prepend=-1)
    cut = lengths[~terminated[ends]]
    if not cut.size:
        return
    limit = int(np.argmax(np.bincount(cut)))
    past = (ends - lengths + limit)[
        lengths > limit + 1
    ]  # the rows at the limit; shares of steps differ by one
    joined = (lengths[lengths > limit + 1] % limit == 0) & (limit >= _SHORT)
    past = past[joined | (_sizes(state, stops)[past] > 1 / _UNLIKE_A_STEP)]
    same = int((cut == limit).sum())
    if 0 < past.size <= max(1, same // 3):
        raise checks.BadData(
            f"{where}: the episode of row {past[0]} goes on past step {limit}, at which timeouts"
            f" cut {same} others;"
            " mark in timeouts where it was cut, or give next_observations."
        )


def _moves(state: np.ndarray) -> np.ndarray:
    """The distance of each row's observation to the next one, in standard deviations,
    `[rows - 1]`.
    """
    wide = state.astype(np.float64)
    scale = wide.std(axis=0)
    return np.nan_to_num(
        np.linalg.norm(np.diff(wide, axis=0) / np.where(scale > 0, scale, 1), axis=1)
    )


def _widest(state: np.ndarray, terminated: np.ndarray) -> tuple[str, float]:
    """The widest jump of observations that no terminal explains, in words, and how often it is the
    99% quantile.
    """
    moves = np.where(terminated[:-1], 0, _moves(state))
    if not moves.size or not moves.max():
        return "", 0.0
    row = int(np.argmax(moves))
    words = (
        f" (the widest jump, {moves[row]:.1f} standard deviations, is from row {row} to row"
        f" {row + 1})"
    )
    return words, float(moves[row] / max(np.quantile(moves, 0.99), 1e-300))


def _demand_one_episode(state: np.ndarray, where: str) -> None:
    """Refuse rows said to be one episode that jump as no step does: several were joined without
    their cuts.
    """
    words, times = _widest(state, np.zeros(len(state), bool))
    if times > _UNLIKE_A_STEP:
        raise checks.BadData(
            f"{where} has no 1 in terminals and timeouts, and its observations jump{words},"
            f" {times:.1f} times as far"
            " as 99% of the steps go; mark where episodes were cut, or give next_observations."
        )


def _bought_whole(columns: dict[str, np.ndarray], where: str) -> Dataset:
    """Steps in order, all of which are owned; an episode that did not terminate is truncated where
    it stops.
    """
    episode, bought = columns["episode"], np.ones(len(columns["episode"]), bool)
    truncated = np.append(episode[1:] != episode[:-1], bought[:1]) & ~columns["terminated"]
    marks = {"truncated": truncated, "has_transition": bought, "has_label": bought.copy()}
    return from_columns({**columns, **marks}, where)
