"""How far chance carries a refit of one configuration from the refits before it.

Every quantity of a run has an interval over its episodes (or held-out rows). Refits of the same
configuration differ by more: other data, other initial weights, another policy. K baselines show by
how much. If their values x_1 … x_K and that of a refit y are independent draws of one normal
distribution,

    (y - mean(x)) / (s √(1 + 1/K)) ~ Student's t with K - 1 degrees of freedom,

so that a refit is above `mean(x) + t_{K-1}(1 - α) s √(1 + 1/K)` with probability α: the prediction
interval of one new draw (Hahn & Meeker 1991, *Statistical Intervals*, chapter 4). α is the chance
of a false alarm of the gate, `1 - level`, over the number of quantities checked (Bonferroni):
whatever depends on what, the gate alarms falsely with probability `1 - level` at most.

What the draws are taken to be:

* *Terms and the gap* have a sign, and are worse where they are further from 0. Their signed values
  are taken for normal, and the size of a refit's exceeds `|mean(x)| + t(1 - α/2) s √(1 + 1/K)` with
  probability at most α: then it is further than that from the mean, to one side or the other.
* *Sizes, errors and rank measures (`flips`, `regret`)* are positive and vary in proportion: their
  logarithms are taken for normal, as long as none of them is 0.
* *The real return* is worse where it is lower.

Episodes widen this twice. A candidate that was evaluated on fewer episodes than the baselines
varies by more than they do: the excess of its variance is added to s² (1 + 1/K), which leaves the
chance of an alarm at α or below, since a known part of a variance makes the tails of t lighter. And
baselines may agree by chance, as where an end rule errs in one episode of many: so no limit is
closer than what the intervals over episodes, where there are any, say of baselines and candidate by
themselves, widened from 95% to the level of the gate as Student's t is.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from scipy import special

REFITS = 3  # baselines from which on their spread is used
Worse = Literal["larger", "larger in proportion", "further from 0"]


class RunValues(NamedTuple):
    """A quantity of runs, `[run, …]`, and its standard errors over the runs' episodes, likewise.

    Signed so that larger is worse. Errors are those on the side that matters: of baselines where
    they may be worse than measured, of a candidate, `[…]`, where it may be better. 0 stands for
    unknown.
    """

    value: np.ndarray
    error: np.ndarray


class Reach(NamedTuple):
    """Where the baselines are, and how far refits and how far episodes alone carry a candidate
    above that, `[…]`; `by_refits` is 0 where the baselines are too few.
    """

    center: np.ndarray
    by_refits: np.ndarray
    by_episodes: np.ndarray


def reach_of_chance(
    baselines: RunValues, candidate: RunValues, tail: float, *, degrees: float, worse: Worse
) -> Reach:
    """How far chance carries a candidate above the baselines with probability `tail`.

    Args:
        baselines, candidate: `[run, …]` and `[…]`.
        tail: The chance of a false alarm.
        degrees: Of freedom of the standard errors: the fewest episodes less one.
        worse: Which way is worse, and what refits are taken to do.
    """
    mean, signed = np.mean(baselines.value, axis=0), worse == "further from 0"
    tail = tail / 2 if signed else tail
    by_episodes = _of_episodes(baselines, candidate, tail, degrees)
    if worse != "larger in proportion":
        by_refits = _of_refits(baselines, candidate, tail)
        return Reach(np.abs(mean) if signed else mean, by_refits, by_episodes)
    positive = np.asarray(np.all(baselines.value > 0, axis=0) & (candidate.value > 0))
    logs = _in_shares(baselines, positive), _in_shares(candidate, positive)
    middle = np.exp(np.mean(logs[0].value, axis=0))
    in_proportion = middle * np.expm1(_of_refits(*logs, tail))
    by_refits = np.where(positive, in_proportion, _of_refits(baselines, candidate, tail))
    return Reach(np.where(positive, middle, mean), by_refits, by_episodes)


def _of_refits(baselines: RunValues, candidate: RunValues, tail: float) -> np.ndarray:
    """How far refits carry the candidate, `[…]`:
    `t_{K-1}(1 - tail) √(s² (1 + 1/K) + max(0, excess of the candidate's variance))`.
    """
    runs = len(baselines.value)
    if runs < REFITS:
        return np.zeros_like(candidate.value)
    of_baselines = np.mean(baselines.error**2, axis=0)
    # Where the errors are not finite episodes alone have no limit, and no excess matters.
    finite = np.isfinite(of_baselines)
    excess = np.where(finite, candidate.error**2 - np.where(finite, of_baselines, 0), 0)
    variance = np.var(baselines.value, axis=0, ddof=1) * (1 + 1 / runs) + np.maximum(excess, 0)
    return np.asarray(-special.stdtrit(runs - 1, tail) * np.sqrt(variance))


def _of_episodes(
    baselines: RunValues, candidate: RunValues, tail: float, degrees: float
) -> np.ndarray:
    """How far episodes alone carry the candidate, by its standard error and that of the baselines'
    mean, `[…]`.

    Args:
        baselines, candidate, tail, degrees: As for `reach_of_chance`.
    """
    of_mean = np.sum(baselines.error**2, axis=0) / len(baselines.error) ** 2
    return np.asarray(-special.stdtrit(degrees, tail) * np.sqrt(candidate.error**2 + of_mean))


def _in_shares(values: RunValues, positive: np.ndarray) -> RunValues:
    """Logarithms of positive values, their standard errors to first order; 1 for the others."""
    value = np.where(positive, values.value, 1.0)
    return RunValues(np.log(value), values.error / value)
