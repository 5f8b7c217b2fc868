"""Intervals of a mean that hold on skewed samples of unknown range.

Student's t knows two moments; what it misses on skewed samples is the tail that they hold too
little of. Here the samples are taken to be log-normal from a threshold on, `X = ±(θ + e^{μ + σ
Z})`, with everything unknown: the sign, the threshold θ, the scale e^μ and the shape σ, which at 0
is the normal distribution. A priori θ and μ are flat (the right Haar prior of shift and scale,
which makes the interval move with both) and σ is half-Cauchy of scale ½ up to 3: most samples are
believed to be near normal, and few are needed to change that belief. Given θ and σ the mean's
posterior is log-normal in closed form; a grid over both is a sum.

Samples need not be of that family. So the interval always holds Student's, and no end is further
from the mean than `_reach` times Student's, a factor that falls to 1 as samples become many.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from scipy import optimize, special, stats

_SHAPES = np.linspace(0.05, 3, 25)
_SHAPE_PRIOR = -np.log1p((_SHAPES / 0.5) ** 2)
_THRESHOLDS = np.linspace(
    -8, 4, 49
)  # logarithm of the distance below the smallest sample, in standard deviations
_LEAST_WEIGHT = 1e-8
_MOST_ROWS = 240


class _SkewedPosterior(NamedTuple):
    """The posterior `[cell]`: probabilities, and of the mean's logarithm above a threshold its mean
    and deviation.
    """

    weight: np.ndarray
    threshold: np.ndarray
    center: np.ndarray
    spread: np.ndarray
    sign: np.ndarray


def student_interval(samples: np.ndarray, level: float) -> tuple[float, float]:
    """Student's t for the mean of samples `[n]`, n at least 2."""
    center, half = float(np.mean(samples)), _deviation(samples) * _student(len(samples), level)
    return center - half, center + half


def skewed_interval(samples: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Lower and upper end for the mean of samples `[n]`, n at least 2 and not all equal."""
    center, deviation, student = (
        np.mean(samples),
        _deviation(samples),
        _student(len(samples), level),
    )
    cells = _posterior((samples - center) / deviation)
    reach = _reach(len(samples)) * student
    low = np.clip(_quantile(cells, (1 - level) / 2, reach), -reach, -student)
    high = np.clip(_quantile(cells, (1 + level) / 2, reach), student, reach)
    return float(center + low * deviation), float(center + high * deviation)


@functools.cache
def _student(n: int, level: float) -> float:
    """Half the width of Student's interval, in standard deviations of the samples."""
    return float(stats.t.ppf((1 + level) / 2, n - 1) / np.sqrt(n))


def _deviation(samples: np.ndarray) -> float:
    """Standard deviation of samples that are not all equal, also where their squares leave the
    floating numbers.
    """
    off = samples - np.mean(samples)
    span = np.max(np.abs(off))
    return float(span * np.std(off / span, ddof=1)) if span > 0 else 0.0


def _reach(n: int) -> float:
    """How far an end may be from the mean, in Student's half widths: 21 at 10 samples, 4 at 100,
    1.1 at 10⁴.
    """
    return 1 + 20 * (10 / n) ** 0.8


def _posterior(standard: np.ndarray) -> _SkewedPosterior:
    """The posterior of standardised samples: all signs, thresholds and shapes that weigh."""
    sides = [_side(np.sort(sign * standard), sign) for sign in (1.0, -1.0)]
    joined = _SkewedPosterior(*(np.concatenate(columns) for columns in zip(*sides, strict=True)))
    weight = np.exp(joined.weight - joined.weight.max())
    mask = weight > _LEAST_WEIGHT * weight.sum()
    cells = _SkewedPosterior(*(column[mask] for column in joined._replace(weight=weight)))
    return cells._replace(weight=cells.weight / cells.weight.sum())


def _side(ordered: np.ndarray, sign: float) -> _SkewedPosterior:
    """Log weights of one sign.

    The scale is integrated out: `log(x − θ)` is normal of flat mean and deviation σ.
    """
    n, gap = len(ordered), np.exp(_THRESHOLDS)
    rows, counts = _thinned(ordered - ordered[0])
    logs = np.log(rows + gap[:, None])
    total = logs @ counts
    center = total / n
    squares = ((logs - center[:, None]) ** 2) @ counts
    weight = (
        (_THRESHOLDS - total)[:, None]
        + _SHAPE_PRIOR
        - (n - 1) * np.log(_SHAPES)
        - squares[:, None] / (2 * _SHAPES**2)
    )
    weight[gap < _least_gap(ordered)] = -np.inf
    shape = np.broadcast_to(_SHAPES, weight.shape)
    columns = (ordered[0] - gap)[:, None], center[:, None] + shape**2 / 2, shape / np.sqrt(n), sign
    return _SkewedPosterior(
        weight.ravel(), *(np.broadcast_to(column, weight.shape).ravel() for column in columns)
    )


def _least_gap(ordered: np.ndarray) -> float:
    """Half the distance to the next sample where the smallest ones are equal, else 0.

    Equal ones say nothing of a threshold that is nearer than that.
    """
    neighbour = ordered[ordered > ordered[0]][0]
    return float(neighbour - ordered[0]) / 2 if ordered[1] == ordered[0] else 0.0


def _thinned(ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples and how many each stands for.

    Of many, those between the outermost are averaged in equal groups.
    """
    edge = _MOST_ROWS // 4
    if len(ordered) <= _MOST_ROWS:
        return ordered, np.ones(len(ordered))
    groups = np.array_split(ordered[edge:-edge], _MOST_ROWS - 2 * edge)
    counts = [1] * edge + [len(group) for group in groups] + [1] * edge
    return np.concatenate(
        [ordered[:edge], [group.mean() for group in groups], ordered[-edge:]]
    ), np.array(counts)


def _quantile(cells: _SkewedPosterior, level: float, reach: float) -> float:
    """The quantile of the mean's posterior at `level`, within `reach` of the sample mean."""

    def excess(mean: float) -> float:
        over = cells.sign * mean - cells.threshold
        with np.errstate(divide="ignore"):
            scaled = (np.log(np.maximum(over, 0)) - cells.center) / cells.spread
        return float(cells.weight @ special.ndtr(cells.sign * scaled)) - level

    if excess(-reach) >= 0:
        return -reach
    if excess(reach) <= 0:
        return reach
    return float(optimize.root_scalar(excess, bracket=(-reach, reach), xtol=1e-9).root)
