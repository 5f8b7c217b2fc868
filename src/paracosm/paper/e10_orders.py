"""Two orders of the same policies, in reality and in a world, where both returns are exact: pairs
that are inverted, Kendall's τ, selection regret and the safe horizon.

`auditing/ranking.py` says the same of sampled episodes, with intervals of every pair. Arrays are
`[…, policy, horizon]` and `[…, pair, horizon]`, pairs in the order of `numpy.triu_indices`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats


def first_and_second(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A column of every policy as those of each pair's first and second."""
    first, second = np.triu_indices(values.shape[-2], 1)
    return values[..., first, :], values[..., second, :]


def differences(returns: np.ndarray) -> Float[np.ndarray, "*batch pair horizon"]:
    """Of the first policy of each pair above the second."""
    first, second = first_and_second(returns)
    return first - second


def inverted(real: np.ndarray, imagined: np.ndarray) -> Bool[np.ndarray, "*batch pair horizon"]:
    """Whether one order has strictly above what the other has strictly below (Bhamidipaty et al.
    2026, arXiv 2605.15960).
    """
    return np.sign(differences(real)) * np.sign(differences(imagined)) < 0


def tau(real: np.ndarray, imagined: np.ndarray) -> Float[np.ndarray, "*batch horizon"]:
    """Kendall's τ; pairs of equal returns count as neither."""
    signs = np.sign(differences(real)) * np.sign(differences(imagined))
    return signs.mean(axis=-2)


def regret(real: np.ndarray, imagined: np.ndarray) -> Float[np.ndarray, "*batch horizon"]:
    """`max_i J(i) - J(argmax Ĵ)`: what is lost by taking the policy that a world has for the
    best.
    """
    chosen = np.argmax(imagined, axis=-2, keepdims=True)
    return real.max(axis=-2) - np.take_along_axis(real, chosen, axis=-2)[..., 0, :]


def safe_horizon(flags: np.ndarray, horizons: Sequence[int]) -> np.ndarray:
    """The largest of the horizons up to which no pair `[…, pair, horizon]` is inverted, 0 if one
    is at the first; `[…]`.
    """
    safe = np.logical_and.accumulate(~flags.any(axis=-2), axis=-1)
    return np.max(np.where(safe, horizons, 0), axis=-1)


def area(score: np.ndarray, flags: np.ndarray) -> float:
    """The chance that an inverted pair has a lower score than one that is not, ties half: 1 where
    the score tells them apart, 0.5 where it says nothing, NaN where there are not both.
    """
    wrong, right = np.count_nonzero(flags), np.count_nonzero(~flags)
    if not wrong or not right:
        return float("nan")
    ranks = stats.rankdata(score)[~flags.ravel()]
    return float((ranks.sum() - right * (right + 1) / 2) / (wrong * right))
