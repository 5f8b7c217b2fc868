"""Which rows are fitted, and which measure the error, when networks go on from an earlier fit: rows
that it saw stay where they were, so that no row is held out on which the networks were fitted.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.keys import numpy_random
from paracosm.core.learned import Learned
from paracosm.core.records import Part
from paracosm.core.types import PRNGKey
from paracosm.learning.settings import LearnSettings
from paracosm.learning.splits import (
    Split,
    drawn_split,
    growing_split,
    split,
    split_off_validation,
)


def row_ids(data: Dataset, part: Part) -> np.ndarray:
    """An identity of each row that `part` is learned from, `[rows]`, by which the row is recognised
    in a later data set: episode, time and a checksum of the step.
    """
    bought = _bought(data, part)
    rows = int(bought.sum())
    columns = (
        np.ascontiguousarray(column[bought]).reshape(rows, -1).view(np.uint8)
        for column in (data.state, data.action, data.next_state)
    )
    sums = [zlib.crc32(row) for row in np.concatenate([*columns], axis=1)]
    numbers = np.stack([data.episode[bought], data.time[bought], sums], axis=1).astype(np.int64)
    return numbers.view(np.dtype((np.void, numbers.itemsize * 3))).ravel()


def continued_split(
    before: Learned | None,
    part: Part,
    data: Dataset,
    *,
    key: PRNGKey,
    settings: LearnSettings,
) -> Split:
    """The rows of a part, which may go on from the networks of a world before.

    Where that world does not say which rows it saw, as one that was stored, they are taken to have
    been those of a split that stays when rows come in.

    Args:
        before: The world before, None if there is none.
        part: Which part.
        data: What it is learned from.
        key: Randomness.
        settings: The shares, and whether validation decides anything.

    Raises:
        BadData: no row is left on one of the sides.
    """
    episode, rare_kinds = data.episode[_bought(data, part)], _rare_rows(data, part)
    if before is None:
        return split(episode, key, settings, rare_kinds)
    if part not in before.splits:
        return _growing_split_with_validation(episode, key, settings, rare_kinds)
    earlier, fresh = before.splits[part], drawn_split(episode, key, settings)
    ids = row_ids(data, part)
    is_new = ~np.isin(ids, np.concatenate(earlier))
    sides = Split(
        *(
            np.concatenate([np.flatnonzero(np.isin(ids, was)), rows[is_new[rows]]])
            for was, rows in zip(earlier, fresh, strict=True)
        )
    )
    if not all(map(len, sides)):
        raise checks.BadData(
            f"of the {len(ids)} rows of the {part} none is left to be fitted, to validate or to"
            " be held out; where networks go on, rows that the fit before saw stay what they were."
        )
    return sides


def _bought(data: Dataset, part: Part) -> np.ndarray:
    """Whether a part is learned from each row of the data, `[rows]`."""
    return data.has_label if part == "reward" else data.has_transition


def _rare_rows(data: Dataset, part: Part) -> tuple[np.ndarray, ...]:
    """Of each kind of a part's rows that may be rare, whether a row is one: rows that end their
    episodes, and of the reward those with another one than the first row's, a choice that no later
    row changes (of rewards that are all different these are no kind of their own).
    """
    if part == "dynamics":
        return ()
    bought = _bought(data, part)
    ended = (data.terminated & data.has_transition)[bought]
    if part == "termination":
        return (ended,)
    reward = data.reward[bought]
    return ended, reward != reward[:1]


def _growing_split_with_validation(
    episode: np.ndarray, key: PRNGKey, settings: LearnSettings, rare_kinds: Sequence[np.ndarray]
) -> Split:
    """A growing split; where validation decides, it has rows of its own.

    Args:
        episode, rare_kinds: As in `growing_split`.
        key: Randomness of the rows that validate, which may be of a rare kind.
        settings: The shares, and whether validation decides anything.

    Raises:
        BadData: no row is left to fit.
    """
    rows = growing_split(episode, settings.held_out, rare_kinds)
    if settings.fit.keep == "last":
        return rows
    rest = numpy_random(key).permutation(rows.train)
    return split_off_validation(rest, rows.held_out, settings.validation)
