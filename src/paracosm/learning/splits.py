"""Which rows of a part are fitted, which validate, and which are held out to measure its error."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from paracosm.core import checks
from paracosm.core.keys import numpy_random
from paracosm.core.types import PRNGKey
from paracosm.learning.settings import LearnSettings

# Rows of a stretch of a growing split: enough for their ends, which have neighbours that are
# fitted, to be few of them.
_STRETCH = 20
# Rows of a rare kind that are fitted wherever they stand.
_ALWAYS_FITTED = 10


class Split(NamedTuple):
    """Row numbers."""

    train: np.ndarray
    validation: np.ndarray
    held_out: np.ndarray


def split(
    episode: np.ndarray,
    key: PRNGKey,
    settings: LearnSettings,
    rare_kinds: Sequence[np.ndarray] = (),
) -> Split:
    """Rows into training, validation and held out.

    Args:
        episode: Number of each row's episode, `[rows]`; rows of the same one stand together.
        key: Randomness.
        settings: The shares, and whether validation decides anything.
        rare_kinds: As in `growing_split`; where validation decides, they are not asked.

    Raises:
        BadData: no row is left to fit.
    """
    if settings.fit.keep == "last":
        return growing_split(episode, settings.held_out, rare_kinds)
    return drawn_split(episode, key, settings)


def drawn_split(episode: np.ndarray, key: PRNGKey, settings: LearnSettings) -> Split:
    """Rows of whole episodes held out, the rest into training and validation at random.

    Args:
        episode, key, settings: As in `split`.

    Raises:
        BadData: no row is left to fit.
    """
    random = numpy_random(key)
    held_out = held_out_rows(episode, settings.held_out, random)
    rest = random.permutation(np.setdiff1d(np.arange(len(episode)), held_out))
    return split_off_validation(rest, held_out, settings.validation)


def split_off_validation(rest: np.ndarray, held_out: np.ndarray, share: float) -> Split:
    """A split whose validation rows are the first of `rest`.

    Args:
        rest: Rows that are not held out, in random order.
        held_out: Those that are.
        share: The share of all rows that validate.

    Raises:
        BadData: no row is left to fit.
    """
    rows = len(rest) + len(held_out)
    validation = max(1, round(share * rows))
    if len(rest) <= validation:
        raise checks.BadData(
            f"of {rows} rows {len(held_out)} are held out and {validation} are for validation,"
            " which leaves none to fit; more rows or smaller shares are needed."
        )
    return Split(train=rest[validation:], validation=rest[:validation], held_out=held_out)


def growing_split(
    episode: np.ndarray, share: float, rare_kinds: Sequence[np.ndarray] = ()
) -> Split:
    """A split that stays when rows come in: networks that go on from a fit to fewer rows have not
    seen those that are held out.

    Rows are cut into stretches of one episode each, of which `held_out_stretches` says which are
    held out; validation, which decides nothing here, sees the same rows.

    Args:
        episode: Number of each row's episode, `[rows]`; rows of later purchases come last.
        share: About the share of the rows to hold out. Of few rows it is more: the second stretch,
            up to 20 rows, is held out however small a share that is not 0.
        rare_kinds: Of each kind of rows that may be rare, whether a row is one, `[rows]`; the first
            ten of a kind are fitted wherever they stand, for a kind that was held out whole is
            never learned. Where no other row would be left to hold out, they are not asked.
    """
    rows = np.arange(len(episode))
    cut = stretches(episode, _STRETCH)
    chosen = list(compress(cut, held_out_stretches(len(cut), share)))
    held_out = np.concatenate(chosen) if chosen else rows[-1:]
    fitted = [np.flatnonzero(kind)[:_ALWAYS_FITTED] for kind in rare_kinds]
    common = np.setdiff1d(held_out, np.concatenate(fitted)) if fitted else held_out
    held_out = common if len(common) else held_out
    return Split(np.setdiff1d(rows, held_out), validation=held_out, held_out=held_out)


def held_out_stretches(count: int, share: float) -> Bool[np.ndarray, " stretches"]:
    """Which of so many stretches are held out: of each block of `1 / share`, rounded to a whole
    number of two or more, one that is drawn, so that no times of episodes are held out rather than
    others; of the first block it is the second.

    More stretches change nothing for those before.
    """
    held_out = np.zeros(count, bool)
    if share and count:
        block = max(2, round(1 / share))
        drawn = np.random.default_rng(0).integers(block, size=-(-count // block))
        drawn[0] = 1
        numbers = np.arange(len(drawn)) * block + drawn
        held_out[numbers[numbers < count]] = True
    return held_out


def held_out_rows(
    episode: np.ndarray, share: float, random: np.random.Generator
) -> Int[np.ndarray, " held_out"]:
    """Rows of whole episodes drawn at random, about a `share` of all: a row's neighbours in time
    tell what it holds.

    An episode longer than that share is cut into stretches no longer than it, which stand for
    episodes: so a single one can be split too, with no more than a stretch's two ends beside rows
    that are fitted.
    """
    missing = max(1, round(share * len(episode)))
    candidates = stretches(episode, missing)
    held_out: list[np.ndarray] = []
    for i in random.permutation(len(candidates)):
        if abs(missing - len(candidates[i])) < abs(missing):
            held_out.append(candidates[i])
            missing -= len(candidates[i])
    return np.concatenate(held_out)


def stretches(episode: np.ndarray, length: int) -> list[np.ndarray]:
    """Row numbers of each stretch: episodes, cut into pieces of `length` rows from their start on.

    Args:
        episode: Number of each row's episode, `[rows]`; rows of the same one stand together.
        length: Rows of a stretch; the last one of an episode may be shorter.
    """
    starts = np.flatnonzero(np.diff(episode, prepend=episode[:1] - 1))
    lengths = np.diff(np.append(starts, len(episode)))
    time = np.arange(len(episode)) - np.repeat(starts, lengths)
    return np.split(np.arange(len(episode)), np.flatnonzero(time % length == 0)[1:])
