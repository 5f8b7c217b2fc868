"""Where episodes end in rows that only flags divide: one row a step, episodes after another."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from paracosm.core import checks
from paracosm.core.recordings import jumps, rounding

_SHORT = 10  # steps: shorter episodes are multiples of each other by chance
_UNLIKE_A_STEP = (
    3.0  # 99% quantiles; 1.8 is the most within an episode of 11 control tasks with random actions
)
_LEAST_RESETS, _VISIBLE = 3, 0.95  # marked ends, and the share of them after which a reset shows


class FlatNames(NamedTuple):
    """What a file calls observations and flags; our own names if not given."""

    state: str = "state"
    terminated: str = "terminated"
    next_state: str = "next_state"
    truncated: str = "truncated"


class FlatRows(NamedTuple):
    """Steps one after another: observations `[rows, state]` and flags `[rows]`, with the names that
    their file has for them; `next_state` and `truncated` are None where it has none.
    """

    state: np.ndarray
    terminated: np.ndarray
    next_state: np.ndarray | None
    truncated: np.ndarray | None
    names: FlatNames = FlatNames()


def ends(rows: FlatRows, where: str) -> np.ndarray:
    """Whether an episode ends after each row, `[rows]`.

    Episodes end where a flag says so, and where a next observation is not the observation of the
    next row. Without next observations they end, too, where observations jump as no step does; and
    without a flag for time limits only where the observations themselves show every reset. Cuts
    that no flag explains are a Python warning.

    Raises:
        BadData: nothing says where a time limit cut an episode; or an episode goes on past the time
            limit at which others were cut, as where a 1 is missing in `truncated`.
    """
    stops = rows.terminated.copy()
    if rows.truncated is not None:
        stops |= rows.truncated
    stops[-1:] = True
    if rows.next_state is not None:
        torn = jumps(rows.state, rows.next_state, rounding(rows.state, rows.next_state))
        why = f"{rows.names.next_state} leads elsewhere than to the {rows.names.state} of the next"
        return _cut(stops, torn, f"{why} row", rows, where)
    if rows.truncated is None:
        _demand_visible_resets(rows, where)
    elif not stops[:-1].any():
        _demand_one_episode(rows, where)
    else:
        _demand_cut_at_limit(rows, stops, where)
    torn = _sizes(rows.state, stops) > 1
    why = "jump as no step does (three times as far as 99% of the steps go)"
    return _cut(stops, torn, f"the {rows.names.state} {why}", rows, where)


def _cut(stops: np.ndarray, torn: np.ndarray, why: str, rows: FlatRows, where: str) -> np.ndarray:
    """`stops` and the rows `[rows - 1]` that are torn, which are a warning where no flag says so.

    Args:
        stops: Where flags end episodes, `[rows]`.
        torn: Where the rows themselves do, `[rows - 1]`.
        why: How they do, in words.
        rows, where: As for `ends`.
    """
    torn = torn & ~stops[:-1]
    if torn.any():
        names = rows.names
        warnings.warn(
            f"{where}: episodes are cut after {int(torn.sum())} rows that neither"
            f" {names.terminated} nor {names.truncated} mark, the first of them row"
            f" {int(np.argmax(torn))}, because there {why}.",
            stacklevel=2,
        )
    stops[:-1] |= torn
    return stops


def _sizes(state: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Moves of the observations after each row, `[rows - 1]`; from 1 on unlike a step, 0 where an
    episode stops.
    """
    return np.where(stops[:-1], 0, _unlike_steps(state, stops))


def _unlike_steps(state: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Moves of the observations after each row in the unit of those within episodes, `[rows - 1]`;
    from 1 on unlike a step.
    """
    moves = _moves(state)
    within = moves[~stops[:-1]]
    if not within.any():
        return moves * 0
    return moves / max(_UNLIKE_A_STEP * np.quantile(within, 0.99), 1e-300)


def _demand_visible_resets(rows: FlatRows, where: str) -> None:
    """Without a flag for time limits, accept rows only if a reset shows in the observations.

    It does where they jump after nearly every terminal row, as a reset that is not marked would
    too; or where they jump in equal intervals and never elsewhere, as at a time limit.

    Raises:
        BadData: it need not show.
    """
    moves = _unlike_steps(rows.state, rows.terminated)
    marked, torn = rows.terminated[:-1], np.flatnonzero((moves > 1) & ~rows.terminated[:-1])
    if marked.sum() >= _LEAST_RESETS and (moves[marked] > 1).mean() >= _VISIBLE:
        return
    lengths = np.diff(torn, prepend=-1)
    left = len(rows.state) - 1 - (torn[-1] if len(torn) else 0)
    if not marked.any() and len(torn) >= _LEAST_RESETS:
        limit = int(lengths[0])
        if limit >= _SHORT and (lengths == limit).all() and left <= limit:
            return
    names = rows.names
    raise checks.BadData(
        f"{where} has neither {names.truncated} nor {names.next_state}, so nothing says where a"
        f" time limit cut an episode{_widest(rows.state, rows.terminated)[0]}; add a column"
        f" {names.truncated}, all 0 if none was cut."
    )


def _demand_cut_at_limit(rows: FlatRows, stops: np.ndarray, where: str) -> None:
    """Refuse an episode that goes on past the length at which time limits cut most others: a cut is
    not marked.

    An episode twice as long, or more times, is such a one, and one whose observations jump at that
    length. Where many go on, the limit varied.

    Raises:
        BadData: naming the row where such an episode goes on.
    """
    last = np.flatnonzero(stops)
    lengths = np.diff(last, prepend=-1)
    cut = lengths[~rows.terminated[last]]
    if not cut.size:
        return
    limit = int(np.argmax(np.bincount(cut)))
    past = (last - lengths + limit)[
        lengths > limit + 1
    ]  # the rows at the limit; shares of steps differ by one
    joined = (lengths[lengths > limit + 1] % limit == 0) & (limit >= _SHORT)
    past = past[joined | (_sizes(rows.state, stops)[past] > 1 / _UNLIKE_A_STEP)]
    same = int((cut == limit).sum())
    if 0 < past.size <= max(1, same // 3):
        raise checks.BadData(
            f"{where}: the episode of row {past[0]} goes on past step {limit}, at which"
            f" {rows.names.truncated} cut {same} others; mark in {rows.names.truncated} where it"
            f" was cut, or give {rows.names.next_state}."
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


def _demand_one_episode(rows: FlatRows, where: str) -> None:
    """Refuse rows said to be one episode that jump as no step does: several were joined without
    their cuts.
    """
    words, times = _widest(rows.state, np.zeros(len(rows.state), bool))
    if times > _UNLIKE_A_STEP:
        raise checks.BadData(
            f"{where} has no 1 in {rows.names.terminated} and {rows.names.truncated}, and its"
            f" {rows.names.state} jump{words}, {times:.1f} times as far as 99% of the steps go;"
            f" mark where episodes were cut, or give {rows.names.next_state}."
        )
