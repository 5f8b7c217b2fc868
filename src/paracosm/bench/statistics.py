"""What many runs say together (Agarwal et al. 2021, "Deep reinforcement learning at the edge of the
statistical precipice").
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from paracosm.core.records.base import Estimate

DRAWS = 2000
METHOD = "interquartile mean, 95% stratified bootstrap over seeds, widened by t"
ONE_SEED = "interquartile mean of one seed a task: no interval"


def interquartile_mean(scores: np.ndarray) -> float:
    """Mean of the middle half of all entries."""
    return float(stats.trim_mean(np.ravel(scores), 0.25))


def interquartile_estimate(scores: np.ndarray, seed: int = 0) -> Estimate:
    """The interquartile mean of scores `[task, seed]`, with the interval of the bootstrap that
    draws every task's seeds anew and keeps the tasks.

    A bootstrap of few seeds is too narrow: the variance of S drawn seeds is (S - 1)/S of the true
    one, and is itself not known for sure. So both ends are stretched about the mean by
    `sqrt(S/(S - 1)) t/z`, with the 97.5% quantiles of Student's t with tasks × (S - 1) degrees of
    freedom and of the normal distribution. In simulation (4,000 suites; normal and exponential
    scores, tasks equal, apart or saturated) the interval then holds in

        tasks × seeds    8 × 2        8 × 3        3 × 3        8 × 10
        stretched        90 to 95%    93 to 95%    93 to 95%    94 to 95%
        bootstrap alone  74 to 80%    85 to 87%    81 to 85%    92 to 94%

    One seed tells no spread: the interval is infinite. Seeds whose scores are all equal, as those
    of saturated tasks, have one without width, which is no proof that further ones are equal.
    """
    tasks, seeds = scores.shape
    center = interquartile_mean(scores)
    if seeds == 1:
        return Estimate(center, -np.inf, np.inf, scores.size, ONE_SEED)
    drawn = np.random.default_rng(seed).integers(seeds, size=(DRAWS, tasks, seeds))
    again = np.take_along_axis(np.broadcast_to(scores, drawn.shape), drawn, axis=2)
    means = stats.trim_mean(again.reshape(DRAWS, -1), 0.25, axis=1)
    student = stats.t.ppf(0.975, tasks * (seeds - 1)) / stats.norm.ppf(0.975)
    wider = np.sqrt(seeds / (seeds - 1)) * student
    low, high = center + wider * (np.quantile(means, [0.025, 0.975]) - center)
    return Estimate(center, float(low), float(high), scores.size, METHOD)
