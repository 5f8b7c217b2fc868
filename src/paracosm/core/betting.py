"""Intervals of a mean of bounded samples that hold at every number of samples, whatever the
distribution.

To test whether the mean is below m, a gambler bets on it: `K(m) = Σ_f w_f Π_i (1 + λ_f (m − x_i))`
is the wealth of a fair game if the mean is m, so that it passes `1/α` with probability at most α
(Ville). The interval holds the means that neither side's wealth passes (Waudby-Smith & Ramdas 2023,
section 4). Bets are fixed shares f of the largest that cannot ruin the gambler, mixed, so that the
order of the samples does not matter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

_SHARES = np.array(
    [1, 0.8, 0.6, 0.45, 0.33, 0.25, 0.18, 0.13, 0.09, 0.06, 0.04, 0.025, 0.015, 0.01]
)
_WEIGHTS = np.append(
    0.3, np.full(len(_SHARES) - 1, 0.7 / (len(_SHARES) - 1))
)  # the largest bet settles equal samples
_HALVINGS = 40


def betting_interval(
    samples: ArrayLike, low: float, high: float, level: float = 0.95
) -> tuple[float, float]:
    """Lower and upper end for the mean of independent samples of a known range.

    The interval covers with at least `level` at every n and is never of width zero where
    `low < high`.

    Args:
        samples: `[n]`, in any unit.
        low, high: The range, `low < high`, in the samples' unit.
        level: Of the interval, two-sided.
    """
    inside = (np.asarray(samples, np.float64) - low) / (high - low)
    below, above = _upper(1 - inside, (1 - level) / 2), _upper(inside, (1 - level) / 2)
    return low + (high - low) * (1 - below), low + (high - low) * above


def _upper(inside: np.ndarray, risk: float) -> float:
    """The largest mean of samples `[n]` in [0, 1] that the wealth does not pass `1/risk` for, by
    bisection.
    """
    values, counts = np.unique(inside, return_counts=True)
    below, above = float(np.mean(inside)), 1.0
    for _ in range(_HALVINGS):
        middle = (below + above) / 2
        if middle >= 1:
            break
        gains = np.maximum(_SHARES[:, None] / (1 - middle) * (middle - values), -1)
        with np.errstate(divide="ignore", over="ignore"):
            wealth = _WEIGHTS @ np.exp(np.log1p(gains) @ counts)
        below, above = (below, middle) if wealth >= 1 / risk else (middle, above)
    return above
