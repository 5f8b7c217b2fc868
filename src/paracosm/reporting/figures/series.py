"""The few numerics that drawing needs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from paracosm.core.records import Estimate
from paracosm.core.records.decisions import Plan, Purchase

Line = tuple[np.ndarray, np.ndarray]


def finite_interval(estimate: Estimate) -> bool:
    """Whether the interval can be drawn."""
    return math.isfinite(estimate.low) and math.isfinite(estimate.high)


def thin(values: Sequence[float], buckets: int = 160) -> Line:
    """At most two points per bucket, its smallest and its largest value: the outline that the eye
    would see.
    """
    y = np.asarray(values, np.float64)
    if len(y) <= 2 * buckets:
        return np.arange(len(y)), y
    edges = np.linspace(0, len(y), buckets + 1).astype(int)
    ends = itertools.pairwise(edges)
    places = sorted(
        {0, len(y) - 1} | {a + int(f(y[a:b])) for a, b in ends for f in (np.argmin, np.argmax)}
    )
    return np.asarray(places), y[places]


def running_sum(values: Sequence[float]) -> Line:
    """Running sum that starts at zero, thinned."""
    return thin([0.0, *np.cumsum(values)])


def outer_limits(values: Sequence[float], margin: float = 0.06) -> tuple[float, float]:
    """Axis limits that hold all finite values, with a margin."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    pad = margin * (high - low) or 0.05 * abs(high) or 1.0
    return low - pad, high + pad


def money_share(way: Purchase, plan: Plan) -> float:
    """The share of the money that goes to transitions; a labelled one's price is shared out by the
    single prices.
    """
    transition, label = (plan.prices.get(part, 1.0) for part in ("dynamics", "reward"))
    counted = {"dynamics": 1.0, "joint": transition / (transition + label)}
    spent = {unit: number * plan.prices.get(unit, 1.0) for unit, number in way.units.items()}
    total = sum(spent.values())
    return (
        sum(counted.get(unit, 0.0) * money for unit, money in spent.items()) / total
        if total > 0
        else math.nan
    )
