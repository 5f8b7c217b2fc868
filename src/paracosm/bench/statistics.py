"""What many runs say together (Agarwal et al. 2021, "Deep reinforcement learning at the edge of the
statistical precipice").
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from paracosm.core.records.base import Estimate

DRAWS = 2000
METHOD = "interquartile mean, 95% stratified bootstrap over seeds"


def interquartile_mean(scores: np.ndarray) -> float:
    """Mean of the middle half of all entries."""
    return float(stats.trim_mean(np.ravel(scores), 0.25))


def interquartile_estimate(scores: np.ndarray, seed: int = 0) -> Estimate:
    """The interquartile mean of scores `[task, seed]`, with the interval of the bootstrap that
    draws every task's seeds anew and keeps the tasks.
    """
    tasks, seeds = scores.shape
    drawn = np.random.default_rng(seed).integers(seeds, size=(DRAWS, tasks, seeds))
    again = np.take_along_axis(np.broadcast_to(scores, drawn.shape), drawn, axis=2)
    means = stats.trim_mean(again.reshape(DRAWS, -1), 0.25, axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(interquartile_mean(scores), float(low), float(high), scores.size, METHOD)
