"""Least squares in which every cell has one voice, and intervals of what was fitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from paracosm.auditing.linter.readings import Judge, half_width

_ROUNDS = 10  # of least squares, which converge in a few or not at all
_GAIN, _PROMISE = 1e-3, 0.2  # of the objective: less is not worth more calls of the world
_RIDGE, _MOST_DAMPING = 1e-9, 1e6  # of the scaled normal equations: singular ones, and no descent


class ReadingFit(NamedTuple):
    """Parameters `[p]`, their interval, and the residuals `[n, output]` that they leave."""

    parameters: Float[np.ndarray, " p"]
    low: Float[np.ndarray, " p"]
    high: Float[np.ndarray, " p"]
    residual: Float[np.ndarray, "n output"]


class Linearisation(NamedTuple):
    """Residuals `[n, output]` at some parameters, and their Jacobian `[n, output, p]`."""

    residual: np.ndarray
    jacobian: np.ndarray


def fit(
    judge: Judge, start: np.ndarray, at: Callable[[np.ndarray], Linearisation]
) -> ReadingFit | None:
    """Levenberg and Marquardt's descent of the mean over cells of `log mse`, summed over outputs.

    That is least squares with every cell's squared errors divided by their mean, anew in every
    round. None where the first step promises too little to be worth more calls, or where the world
    fails.
    """
    best, value, damping = np.asarray(start, float), np.inf, 1e-3
    local, tried = None, best
    for count in range(_ROUNDS):
        here, gain = at(tried), 0.0
        now = objective(judge, here.residual)
        if now < value:
            gain, best, value, local, damping = value - now, tried, now, here, damping / 10
        else:
            damping *= 30
        if local is None or 0 < gain < _GAIN or damping > _MOST_DAMPING:
            break
        step, promise = _step(judge, local, damping)
        if count == 0 and promise < _PROMISE:
            return None
        tried = best + step
    return None if local is None else _with_interval(judge, best, local)


def linear(
    judge: Judge,
    design: Float[np.ndarray, "n p"],
    target: Float[np.ndarray, " n"],
    start: np.ndarray,
) -> ReadingFit:
    """The fit of `design @ parameters` to one output.

    Args:
        judge: Of the sampled steps.
        design: Inputs, `[n, p]`.
        target: The output, `[n]`.
        start: First parameters, `[p]`.
    """

    def at(parameters: np.ndarray) -> Linearisation:
        return Linearisation((design @ parameters - target)[:, None], design[:, None, :])

    best = np.asarray(start, float)
    for _ in range(_ROUNDS):
        best = best + _step(judge, at(best), 0.0)[0]
    return _with_interval(judge, best, at(best))


def objective(judge: Judge, residual: Float[np.ndarray, "n output"]) -> float:
    """Sum over outputs of the mean over cells of `log mse`; infinite where a residual is."""
    if not np.isfinite(residual).all():
        return np.inf
    return float(np.sum(np.log(_cell_means(judge, residual) + judge.floor).mean(axis=0)))


def _cell_means(judge: Judge, residual: np.ndarray) -> Float[np.ndarray, "cell output"]:
    cell = judge.steps.cell
    sums = np.zeros((cell.max() + 1, residual.shape[1]))
    np.add.at(sums, cell, residual**2)
    return sums / np.bincount(cell)[:, None]


def _weights(judge: Judge, residual: np.ndarray) -> Float[np.ndarray, "n output"]:
    """One over the cell's mean squared error and its number of steps."""
    cell = judge.steps.cell
    return 1 / (
        (_cell_means(judge, residual) + judge.floor)[cell] * np.bincount(cell)[cell][:, None]
    )


def _normal(judge: Judge, local: Linearisation) -> tuple[np.ndarray, np.ndarray]:
    """Normal equations by block: `JᵀWJ` `[block, p, p]` and `JᵀWr` `[block, p]`."""
    weighted = local.jacobian * _weights(judge, local.residual)[..., None]
    block, p = judge.steps.block, local.jacobian.shape[2]
    matrix, right = np.zeros((block.max() + 1, p, p)), np.zeros((block.max() + 1, p))
    np.add.at(matrix, block, np.einsum("njp,njq->npq", weighted, local.jacobian))
    np.add.at(right, block, np.einsum("njp,nj->np", weighted, local.residual))
    return matrix, right


def _step(judge: Judge, local: Linearisation, damping: float) -> tuple[np.ndarray, float]:
    """The step, and what it promises: the share of one output's squared error."""
    matrix, right = (table.sum(axis=0) for table in _normal(judge, local))
    step = -_solve(matrix, right, damping)
    return step, float(-right @ step) / (judge.steps.cell.max() + 1)


def _solve(matrix: np.ndarray, right: np.ndarray, damping: float) -> np.ndarray:
    scale = np.sqrt(np.maximum(np.diag(matrix), np.finfo(float).tiny))
    scaled = matrix / np.outer(scale, scale) + (damping + _RIDGE) * np.eye(len(scale))
    return np.linalg.lstsq(scaled, right / scale, rcond=None)[0] / scale


def _with_interval(judge: Judge, parameters: np.ndarray, local: Linearisation) -> ReadingFit:
    """The jackknife's interval by blocks, each left out by one step of the normal equations."""
    matrix, right = _normal(judge, local)
    blocks = np.unique(judge.steps.block)
    # Without the one block that decides a parameter it may be anything: its interval is infinite.
    with np.errstate(over="ignore", invalid="ignore"):
        left = [
            -_solve(matrix.sum(axis=0) - matrix[b], right.sum(axis=0) - right[b], 0.0)
            for b in blocks
        ]
        half = half_width(left)
    half = np.where(np.isfinite(half), half, np.inf)
    return ReadingFit(parameters, parameters - half, parameters + half, local.residual)
