"""How much of the real states lies in Gaussian predictive intervals, with intervals over
episodes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float
from scipy import special

from paracosm.auditing.predictive import Prediction
from paracosm.core.estimators import bounded_mean, most_equal, varied_mean
from paracosm.core.records import Estimate

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
HEADLINE = LEVELS.index(0.9)  # the level that is spoken of
# These are the ratios of widths that are tried for the ends of an interval: from 2% on, each is the
# square of the last, up to 28,000.
_FIRST, _DOUBLINGS, _HALVINGS = 0.02, 10, 8


def widths(prediction: Prediction, real: Float[np.ndarray, "*row state"]) -> np.ndarray:
    """How many times as wide the interval of each level would have to be to just hold the real
    state, `[level, *row, state]`.

    Args:
        prediction: Of `real`; what 32 bits round off in a recorded state counts as spread.
        real: Recorded states.
    """
    rounding = np.finfo(np.float32).eps * np.abs(real) + np.finfo(np.float32).tiny
    spread = np.sqrt(prediction.variance + rounding**2)
    off = np.abs(real - prediction.mean) / spread
    upper = (1 + np.array(LEVELS)) / 2
    normal = special.ndtri(upper)
    if np.isinf(prediction.freedom).all():
        return off / normal.reshape(-1, *(1,) * off.ndim)
    student = [special.stdtrit(np.minimum(prediction.freedom, 1e9), level) for level in upper]
    return off / np.stack(student)


def own_means(
    values: Float[np.ndarray, "episode row"], valid: Bool[np.ndarray, "episode row"]
) -> Float[np.ndarray, " with_rows"]:
    """Each episode's mean over its valid rows; an episode without one is left out."""
    counts = valid.sum(axis=1)
    has_rows = counts > 0
    return np.where(valid, values, 0).sum(axis=1)[has_rows] / counts[has_rows]


def shares_held(
    required_widths: Float[np.ndarray, "level episode row state"],
    valid: Bool[np.ndarray, "episode row"],
    judged: Bool[np.ndarray, " state"],
) -> Float[np.ndarray, "level with_rows"]:
    """The share of each episode's real states in the intervals of each level.

    Args:
        required_widths: As `widths` gives them.
        valid: The rows that count.
        judged: The components that count.
    """
    inside = (required_widths[..., judged] <= 1).mean(axis=-1)
    return np.stack([own_means(at_level, valid) for at_level in inside])


def mean_share(samples: Float[np.ndarray, " episode"], level: float = 0.95) -> Estimate:
    """The mean of shares in [0, 1], as sure as their own spread says; equal ones say what so many
    of them exclude.
    """
    if most_equal(samples) == len(samples):
        return bounded_mean(samples, (0, 1), level)
    return varied_mean(samples, level, bounds=(0, 1))


def expected_error(shares: Float[np.ndarray, "level episode"]) -> Estimate:
    """The mean over levels of |observed - nominal|, the signs taken as they were observed.

    Signs that fit the noise make the mean larger than 0 where nothing is wrong. So the interval
    excludes 0 only where that of some level excludes what the level says, of intervals that hold
    for all levels together (Bonferroni).
    """
    off = shares - np.array(LEVELS)[:, None]
    signs = np.sign(off.mean(axis=1, keepdims=True))
    samples = (signs * off).mean(axis=0)
    if most_equal(samples) == len(samples):
        error = bounded_mean(samples, (-0.5, 0.5))
    else:
        error = varied_mean(samples)
    low, high = (float(np.clip(end, 0, 0.5)) for end in (error.low, error.high))
    if not _clearly_off(shares):
        low = 0.0
    return Estimate(error.mean, min(low, error.mean), max(high, error.mean), error.n, error.method)


def _clearly_off(shares: Float[np.ndarray, "level episode"]) -> bool:
    """Whether some level is clearly not held, by intervals that hold for all of them together."""
    together = 1 - 0.05 / len(LEVELS)
    held = (mean_share(at_level, together) for at_level in shares)
    return any(
        not share.low <= level <= share.high for share, level in zip(held, LEVELS, strict=True)
    )


def widening(
    required_widths: Float[np.ndarray, "episode row state"],
    valid: Bool[np.ndarray, "episode row"],
    judged: Bool[np.ndarray, " state"],
) -> Estimate:
    """How many times as wide the intervals of the headline level would have to be to hold as much
    as that level says.

    Its interval holds the widths at which the interval of the coverage holds the level.

    Args:
        required_widths: As `widths` gives them, of that level.
        valid: The rows that count.
        judged: The components that count.
    """
    level = LEVELS[HEADLINE]
    present = valid.any(axis=1)
    required, rows = required_widths[present][..., judged], valid[present]
    weights = np.broadcast_to((rows / rows.sum(axis=1, keepdims=True))[..., None], required.shape)
    order = np.argsort(required, axis=None)
    total = np.cumsum(weights.ravel()[order]) / weights.sum()
    least = order[np.searchsorted(total, level * (1 - 1e-12))]
    factor = float(required.ravel()[least])

    def at(width: float) -> Estimate:
        return mean_share(own_means((required <= width).mean(axis=-1), rows))

    low = factor / _least_ratio(lambda ratio: at(factor / ratio).high < level)
    ratio = _least_ratio(lambda ratio: at(factor * ratio).low > level)
    high = factor * ratio if np.isfinite(ratio) else np.inf
    method = f"width at which {level:.0%} are held, by inverting the coverage's interval"
    return Estimate(factor, low, high, len(rows), method)


def _least_ratio(passes: Callable[[float], bool]) -> float:
    """The smallest ratio above 1 that passes, infinite if none of those tried does."""
    tried = 1.0, *np.exp(_FIRST * 2.0 ** np.arange(_DOUBLINGS))
    for below, above in itertools.pairwise(map(float, tried)):
        if passes(above):
            return _bisected(passes, below, above)
    return np.inf


def _bisected(passes: Callable[[float], bool], below: float, above: float) -> float:
    """The smallest ratio that passes, between one that does not and one that does."""
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(below * above))
        below, above = (below, middle) if passes(middle) else (middle, above)
    return above
