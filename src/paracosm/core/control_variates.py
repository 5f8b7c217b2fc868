"""Cheap biased values put right by a few gold ones: an unbiased mean by control variates.

Of N cheap values c, n have gold ones g too. `λ mean_N(c) + mean_n(g - λ c)` has the mean of g for
every λ that does not depend on these rows, whatever the bias of c. Its variance is least at
`λ = tr Cov(g, c)/tr Cov(c)`, `1 - ρ² (1 - n/N)` times that of gold alone, `tr Cov(g)/n`, with
`ρ² = (tr Cov(g, c))²/(tr Cov(g) tr Cov(c))`. This is multi-fidelity Monte Carlo (Peherstorfer,
Willcox & Gunzburger 2016).
"""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple, get_args

import numpy as np

from paracosm.core import checks

Tuning = Literal["leave-one-out", "cross-fit"]


@dataclasses.dataclass(frozen=True, eq=False)
class DebiasedMean:
    """A mean without the cheap values' bias.

    `value` has the shape of one sample. `coefficient` is λ, the mean of those used; `correlation`
    that of gold and cheap over the gold rows; `variance` the estimated variance of `value`, summed
    over its components. `corrected` holds `g − λ (c − mean of the surplus)` of each gold row, `[n,
    *shape]`, whose mean is `value`.
    """

    value: np.ndarray
    coefficient: float
    correlation: float
    variance: float
    corrected: np.ndarray


class _Moments(NamedTuple):
    """Sums of squares and products about the mean, over components.

    They are arrays `[n]` where each row in turn was left out.
    """

    gold: np.ndarray
    cheap: np.ndarray
    product: np.ndarray

    def coefficient(self, rows: int) -> np.ndarray:
        """`tr Cov(g, c) / tr Cov(c)`, or 0 unless `|ρ| > 1/sqrt(rows − 2)`: with fewer it cannot be
        told from noise.
        """
        scale = self.gold * self.cheap
        clear = (self.product**2 * max(rows - 2, 0) > scale) & (scale > 0)
        return np.divide(self.product, self.cheap, out=np.zeros_like(self.product), where=clear)


def debiased_mean(
    gold: np.ndarray, cheap: np.ndarray, *, tuning: Tuning = "leave-one-out"
) -> DebiasedMean:
    """The mean of gold values, sharpened by many cheap ones that may be biased.

    `λ mean_N(cheap) + mean_n(gold − λ cheap)` with each gold row's λ from other gold rows only: all
    others, or the other half. The cheap mean is taken over the rows without gold and λ shrunk by
    (N−n)/N, which for one λ is the same estimate, and which keeps it exactly unbiased for a λ that
    was estimated.

    Args:
        gold: `[n, *shape]`, at least 2 rows: returns, gradients or traces under gold labels.
        cheap: `[N, *shape]`, N ≥ n: the same under cheap labels; its first n rows are those of
            `gold`.
        tuning: Which rows a gold row's coefficient comes from. Leave-one-out has less variance.

    Raises:
        BadArgument: a tuning that is none of the two.
        BadData: shapes do not fit, a value is not finite, or there are fewer than 2 gold rows.
    """
    checks.one_of("tuning", tuning, get_args(Tuning))
    n, rows = len(gold), len(cheap)
    _check(gold, cheap)
    g, c = (np.asarray(sample, np.float64).reshape(len(sample), -1) for sample in (gold, cheap))
    paired, surplus, share = c[:n], c[n:], (rows - n) / rows
    coefficient = share * (
        _left_out(g, paired) if tuning == "leave-one-out" else _halves(g, paired)
    )
    target = surplus.mean(axis=0) if rows > n else paired.mean(axis=0)
    corrected = g - coefficient[:, None] * (paired - target)
    moments = _moments(g, paired)
    scale = float(moments.gold * moments.cheap)
    return DebiasedMean(
        value=corrected.mean(axis=0).reshape(np.shape(gold)[1:]),
        coefficient=float(coefficient.mean() / share) if share else 0.0,
        correlation=float(moments.product / np.sqrt(scale)) if scale > 0 else 0.0,
        variance=_variance(corrected, c, float(coefficient.mean()), rows - n),
        corrected=corrected.reshape(np.shape(gold)),
    )


def _check(gold: np.ndarray, cheap: np.ndarray) -> None:
    if len(gold) < 2:
        raise checks.BadData(f"there are {len(gold)} gold rows; at least 2 are needed.")
    if len(cheap) < len(gold) or np.shape(cheap)[1:] != np.shape(gold)[1:]:
        raise checks.BadData(
            f"cheap values have shape {np.shape(cheap)} and gold ones {np.shape(gold)}; the same"
            " shape per row and a "
            "cheap row for each gold one, in front, are needed."
        )
    checks.finite("the gold values", gold, "row")
    checks.finite("the cheap values", cheap, "row")


def _moments(gold: np.ndarray, cheap: np.ndarray) -> _Moments:
    g, c = gold - gold.mean(axis=0), cheap - cheap.mean(axis=0)
    return _Moments(*(np.asarray(np.sum(left * right)) for left, right in ((g, g), (c, c), (g, c))))


def _left_out(gold: np.ndarray, cheap: np.ndarray) -> np.ndarray:
    """Each row's coefficient from all other rows.

    Leaving row i out lowers a sum of products by `n/(n−1) · g_i c_i`.
    """
    n, moments = len(gold), _moments(gold, cheap)
    g, c = gold - gold.mean(axis=0), cheap - cheap.mean(axis=0)
    moments_without = [
        total - n / (n - 1) * np.sum(left * right, axis=1)
        for total, (left, right) in zip(moments, ((g, g), (c, c), (g, c)), strict=True)
    ]
    return _Moments(*moments_without).coefficient(n - 1)


def _halves(gold: np.ndarray, cheap: np.ndarray) -> np.ndarray:
    """Each row's coefficient from the half that it is not in."""
    n, half = len(gold), len(gold) // 2
    first, second = slice(0, half), slice(half, n)
    of_first = _moments(gold[second], cheap[second]).coefficient(n - half)
    of_second = _moments(gold[first], cheap[first]).coefficient(half)
    return np.repeat([of_first, of_second], [half, n - half])


def _variance(corrected: np.ndarray, cheap: np.ndarray, coefficient: float, surplus: int) -> float:
    """`tr Var(g − λ c)/n + λ² tr Var(c)/(N − n)`, λ shrunk: the parts are independent.

    Args:
        corrected: `g − λ c` of each gold row, `[n, components]`.
        cheap: All cheap values, `[N, components]`.
        coefficient: λ, the mean of those used.
        surplus: `N − n`, the rows without gold.
    """
    own = corrected.var(axis=0, ddof=1).sum() / len(corrected)
    return float(
        own + (coefficient**2 * cheap.var(axis=0, ddof=1).sum() / surplus if surplus else 0.0)
    )
