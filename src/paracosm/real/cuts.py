"""Where episodes end in rows that only flags divide: one row a step, episodes after another."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from paracosm.core import checks
from paracosm.core.recordings import jumps, rounding

_SHORT_EPISODE = 10  # steps: shorter episodes are multiples of each other by chance
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


def episode_ends(rows: FlatRows, where: str) -> np.ndarray:
    """Whether an episode ends after each row, `[rows]`.

    Episodes end where a flag says so, and where a next observation is not the observation of the
    next row. Without next observations they end, too, where observations jump as no step does; and
    without a flag for time limits only where the observations themselves show every reset. Cuts
    that no flag explains are a Python warning.

    Raises:
        BadData: nothing says where a time limit cut an episode; or an episode goes on past the time
            limit at which others were cut, as where a 1 is missing in `truncated`.
    """
    ends = rows.terminated.copy()
    if rows.truncated is not None:
        ends |= rows.truncated
    ends[-1:] = True
    if rows.next_state is not None:
        jumped = jumps(rows.state, rows.next_state, rounding(rows.state, rows.next_state))
        why = f"{rows.names.next_state} leads elsewhere than to the {rows.names.state} of the next"
        return _add_unmarked_ends(ends, jumped, f"{why} row", rows, where)
    if rows.truncated is None:
        _require_visible_resets(rows, where)
    elif not ends[:-1].any():
        _require_one_episode(rows, where)
    else:
        _require_cut_at_limit(rows, ends, where)
    jumped = _jump_sizes(rows.state, ends) > 1
    why = "jump as no step does (three times as far as 99% of the steps go)"
    return _add_unmarked_ends(ends, jumped, f"the {rows.names.state} {why}", rows, where)


def _add_unmarked_ends(
    ends: np.ndarray, jumped: np.ndarray, why: str, rows: FlatRows, where: str
) -> np.ndarray:
    """`ends` and the ends that only the rows show, of which a warning tells.

    Args:
        ends: Where flags end episodes, `[rows]`; changed.
        jumped: Where the rows themselves show an end, `[rows - 1]`.
        why: What shows it, in words.
        rows, where: As for `episode_ends`.
    """
    jumped = jumped & ~ends[:-1]
    if jumped.any():
        names = rows.names
        warnings.warn(
            f"{where}: episodes are cut after {int(jumped.sum())} rows that neither"
            f" {names.terminated} nor {names.truncated} mark, the first of them row"
            f" {int(np.argmax(jumped))}, because there {why}.",
            stacklevel=2,
        )
    ends[:-1] |= jumped
    return ends


def _jump_sizes(state: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """As `_moves_relative_to_steps`, but 0 where an episode ends."""
    return np.where(ends[:-1], 0, _moves_relative_to_steps(state, ends))


def _moves_relative_to_steps(state: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """How far the observation moves after each row, `[rows - 1]`; from 1 on it moves as no step
    does.

    Args:
        state: Observations, `[rows, state]`.
        ends: Whether an episode ends after each row, `[rows]`.
    """
    moves = _moves(state)
    within = moves[~ends[:-1]]
    if not within.any():
        return moves * 0
    return moves / max(_UNLIKE_A_STEP * np.quantile(within, 0.99), 1e-300)


def _require_visible_resets(rows: FlatRows, where: str) -> None:
    """Without a flag for time limits, accept rows only if a reset shows in the observations.

    It does where they jump after nearly every terminal row, as they then would at a reset that is
    not marked; or where they jump in equal intervals and never elsewhere, as at a time limit.

    Raises:
        BadData: a reset may not show.
    """
    moves = _moves_relative_to_steps(rows.state, rows.terminated)
    marked, jumped = rows.terminated[:-1], np.flatnonzero((moves > 1) & ~rows.terminated[:-1])
    if marked.sum() >= _LEAST_RESETS and (moves[marked] > 1).mean() >= _VISIBLE:
        return
    lengths = np.diff(jumped, prepend=-1)
    rows_after_last = len(rows.state) - 1 - (jumped[-1] if len(jumped) else 0)
    if not marked.any() and len(jumped) >= _LEAST_RESETS:
        limit = int(lengths[0])
        if limit >= _SHORT_EPISODE and (lengths == limit).all() and rows_after_last <= limit:
            return
    names = rows.names
    raise checks.BadData(
        f"{where} has neither {names.truncated} nor {names.next_state}, so nothing says where a"
        f" time limit cut an episode{_widest_jump(rows.state, rows.terminated).clause}; add a"
        f" column {names.truncated}, all 0 if none was cut."
    )


def _require_cut_at_limit(rows: FlatRows, ends: np.ndarray, where: str) -> None:
    """Refuse an episode that goes on past the length at which time limits cut most others, where a
    cut may not be marked.

    It may not be if the episode is a multiple of that length, or if its observations jump there.
    Where many episodes go on, the limit varied, and none is refused.

    Raises:
        BadData: naming the row where such an episode goes on.
    """
    last = np.flatnonzero(ends)
    lengths = np.diff(last, prepend=-1)
    cut = lengths[~rows.terminated[last]]
    if not cut.size:
        return
    limit = int(np.argmax(np.bincount(cut)))
    longer = lengths > limit + 1  # shares of the steps of lanes differ by one
    row_at_limit = (last - lengths + limit)[longer]
    is_multiple = (lengths[longer] % limit == 0) & (limit >= _SHORT_EPISODE)
    jumps_there = _jump_sizes(rows.state, ends)[row_at_limit] > 1 / _UNLIKE_A_STEP
    unmarked = row_at_limit[is_multiple | jumps_there]
    same = int((cut == limit).sum())
    if 0 < unmarked.size <= max(1, same // 3):
        raise checks.BadData(
            f"{where}: the episode of row {unmarked[0]} goes on past step {limit}, at which"
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


class _WidestJump(NamedTuple):
    """The widest jump of observations that no terminal explains.

    Attributes:
        clause: Where it is, as a clause of a sentence; empty if nothing moves.
        multiple: Its distance as a multiple of the 99% quantile.
    """

    clause: str
    multiple: float


def _widest_jump(state: np.ndarray, terminated: np.ndarray) -> _WidestJump:
    moves = np.where(terminated[:-1], 0, _moves(state))
    if not moves.size or not moves.max():
        return _WidestJump(clause="", multiple=0.0)
    row = int(np.argmax(moves))
    return _WidestJump(
        clause=f" (the widest jump, {moves[row]:.1f} standard deviations, is from row {row} to row"
        f" {row + 1})",
        multiple=float(moves[row] / max(np.quantile(moves, 0.99), 1e-300)),
    )


def _require_one_episode(rows: FlatRows, where: str) -> None:
    """Refuse rows that are marked as one episode and jump as no step does: several episodes were
    joined without their ends.

    Raises:
        BadData: they are so.
    """
    jump = _widest_jump(rows.state, np.zeros(len(rows.state), bool))
    if jump.multiple > _UNLIKE_A_STEP:
        raise checks.BadData(
            f"{where} has no 1 in {rows.names.terminated} and {rows.names.truncated}, and its"
            f" {rows.names.state} jump{jump.clause}, {jump.multiple:.1f} times as far as 99% of the"
            f" steps go; mark where episodes were cut, or give {rows.names.next_state}."
        )
