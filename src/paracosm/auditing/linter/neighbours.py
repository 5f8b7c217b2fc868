"""Whether any function of (s, a, s') explains the real reward, by nearly equal steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from paracosm.auditing.linter.steps import SampledSteps, standardised
from paracosm.core.records import Finding

_MOST_DIMENSIONS, _VARIANCE = 10, 0.999  # beyond so many no step has near neighbours
_SHARE = 0.1  # of the rewards' deviation: smaller errors are a matter of fit
_FLOOR = (0.5, 2.5)  # of the learned reward's squared error; above 1 by the chance of few episodes
_PREDICTED = 0.6  # of a step's error: so much its neighbours' errors must leave of it
_DENSER = 1.5  # a floor does not fall so far when the neighbours are twice as many
_CLOSEST = 0.02  # of a block's steps that err: those with the nearest neighbour in another block
_WRONG = 0.1  # of the mean squared error: steps that err less say nothing
_NEAREST = 0.3  # of the pairs of blocks
# Of the squared error: what the closest pairs differ by, unless they are paid by what they share
_STILL = 0.3
_MANY = 4000  # steps among which pairs are sought
_FEW, _MOST = 0.05, 0.6  # an error that so few steps hold most of is an event that was missed


class _Near(NamedTuple):
    """Each step's neighbours from other episodes `[n, k]`, and coordinates `[n, d]`."""

    points: Float[np.ndarray, "n d"]
    rows: Int[np.ndarray, "n k"]


def unexplained(steps: SampledSteps, all_steps: Callable[[int], SampledSteps]) -> Iterator[Finding]:
    """The floor under the error of any reward r(s, a, s'), where the learned reward stands on it.

    A local linear fit to each step's neighbours of other episodes predicts its reward; what it
    misses is the floor and its own bias. It is no bias if it does not fall when the neighbours come
    nearer, if no step's error can be told from its neighbours', if it is not above what the learned
    function of (s, a, s') misses itself, and if the closest pairs of `all_steps` (at most so many)
    were paid as differently: a reward that bends much between neighbours is no hidden one.
    """
    error = steps.predicted - steps.reward
    own = float(np.mean(error**2))
    ordered = np.sort(error**2)[::-1]
    largest = ordered[: max(int(_FEW * len(ordered)), 1)].sum()
    if own <= (_SHARE * np.std(steps.reward)) ** 2 or largest > _MOST * ordered.sum():
        return
    points = _coordinates(steps)
    if points is None:
        return
    near = _neighbours(points, steps, np.ones(len(points), bool))
    half = _neighbours(points, steps, np.arange(len(points)) % 2 == 0)
    if near is None or half is None:
        return
    floor, sparser = (_missed(neighbours, steps.reward) for neighbours in (near, half))
    left = float(np.mean((error - error[near.rows].mean(axis=1)) ** 2)) / (
        1 + 1 / near.rows.shape[1]
    )
    low, high = _FLOOR
    stands = (
        low * own < floor < high * own and sparser < _DENSER * floor and left > _PREDICTED * own
    )
    if stands and _closest(all_steps(_MANY)) > _STILL:
        numbers = {"floor": float(np.sqrt(min(floor, own))), "own": float(np.sqrt(own))}
        yield Finding("unexplained reward", "reward", numbers)


def _closest(steps: SampledSteps) -> float:
    """Half the squared difference of the closest pairs' rewards, as a share of the squared error; 0
    without pairs.

    The closest steps of two blocks, of the pairs of blocks that come closest: no two episodes that
    run alike are all.
    """
    points, square = _coordinates(steps), (steps.predicted - steps.reward) ** 2
    errs = square > _WRONG * square.mean()
    blocks = np.unique(steps.block)
    if points is None or len(blocks) < 2 or not errs.any():
        return 0.0
    pairs = []
    for block in blocks:
        inside = np.flatnonzero(steps.block == block)
        tree = KDTree(points[inside])
        for rival in np.setdiff1d(steps.block[errs], [block]):
            rows = np.flatnonzero(errs & (steps.block == rival))
            distance, nearest = tree.query(points[rows])
            close = distance <= np.quantile(distance, _CLOSEST)
            apart = steps.reward[rows[close]] - steps.reward[inside[np.asarray(nearest)[close]]]
            pairs.append(
                (distance[close].mean(), np.mean(apart**2) / 2, square[rows[close]].mean())
            )
    away, apart, wrong = np.array(pairs).T
    near = away <= np.quantile(away, _NEAREST)
    return float(apart[near].mean() / wrong[near].mean())


def _coordinates(steps: SampledSteps) -> Float[np.ndarray, "n d"] | None:
    """(s, a, s' - s), the directions that hold nearly all of its variance, each in its own unit."""
    columns = (steps.state, steps.encoded_action, steps.next_state - steps.state)
    values = np.concatenate([standardised(column.astype(float)) for column in columns], axis=1)
    variance = np.maximum(np.linalg.eigvalsh(values.T @ values)[::-1], 0)
    share = np.cumsum(variance) / max(np.sum(variance), np.finfo(float).tiny)
    count = int(np.searchsorted(share, _VARIANCE)) + 1
    if count > _MOST_DIMENSIONS:  # before the directions, which take many times as long
        return None
    left, sizes, _ = np.linalg.svd(values, full_matrices=False)
    return left[:, :count] * sizes[:count]


def _neighbours(points: np.ndarray, steps: SampledSteps, allowed: np.ndarray) -> _Near | None:
    """The nearest steps among those `allowed` and of another block, enough for a local
    linear fit.
    """
    count = 3 * (points.shape[1] + 1)
    squared = np.sum(points**2, axis=1)
    distance = squared[:, None] + squared[None] - 2 * points @ points.T
    distance[(steps.block[:, None] == steps.block[None]) | ~allowed[None]] = np.inf
    if np.isfinite(distance).sum(axis=1).min() < 2 * count:
        return None
    return _Near(points, np.argpartition(distance, count, axis=1)[:, :count])


def _missed(near: _Near, values: Float[np.ndarray, " n"]) -> float:
    """Mean squared error of local linear predictions, less what the fit's own variance adds."""
    inputs = near.points[near.rows] - near.points[:, None]
    design = np.concatenate([np.ones((*inputs.shape[:2], 1)), inputs], axis=2)
    inverse = np.linalg.pinv(design, rcond=1e-6)  # [n, d + 1, k]
    weights = inverse[:, 0]
    predicted = np.sum(weights * values[near.rows], axis=1)
    return float(np.mean((values - predicted) ** 2 / (1 + np.sum(weights**2, axis=1))))
