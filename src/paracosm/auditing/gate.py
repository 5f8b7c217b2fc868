"""The gate: whether a run is worse than runs before it, beyond what chance explains.

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
* *Sizes and errors* are positive and vary in proportion: their logarithms are taken for normal, as
  long as no baseline is 0.
* *The real return* is worse where it is lower.

Episodes widen this twice. A candidate that was evaluated on fewer episodes than the baselines
varies by more than they do: the excess of its variance is added to s² (1 + 1/K), which leaves the
chance of an alarm at α or below, since a known part of a variance makes the tails of t lighter. And
baselines may agree by chance, as where an end rule errs in one episode of many: so no limit is
closer than what the intervals over episodes say of baselines and candidate by themselves, widened
from 95% to the level of the gate as Student's t is.

One or two baselines show nothing of refits that a gate could use: with K = 2 the quantile of t is
over a hundred. Then the limit is that of episodes alone, with an allowance on top, which is
`UNKNOWN_REFITS` unless the gate file has another, and the false alarms have no stated rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from paracosm.core import checks
from paracosm.core.records import Estimate
from paracosm.core.records.gate import SHARES, Gate, GateCheck, GateRule, GateRules, GateSection
from paracosm.core.records.results import RunResult

REFITS = 3  # baselines from which on their spread is used
# The allowance where refits are not known: of the baseline, or of the return for terms and returns.
UNKNOWN_REFITS = 0.25
# Of the return or of the simplest predictor's error: observations of 32 bits move a term that is 0
# by as much.
ROUNDING = 1e-5


class Chance(NamedTuple):
    """A quantity of runs, `[run, …]`, and its standard errors over the runs' episodes, likewise.

    Errors are those on the side that matters: of baselines where they may be worse than measured,
    of a candidate where it may be better. 0 stands for unknown.
    """

    value: np.ndarray
    error: np.ndarray


def refit_reach(baselines: Chance, candidate: Chance, tail: float) -> np.ndarray:
    """How far above the mean of the baselines a refit is with probability `tail`, `[…]`.

    `t_{K-1}(1 - tail) √(s² (1 + 1/K) + max(0, excess of the candidate's variance over episodes))`.
    """
    runs = len(baselines.value)
    excess = np.maximum(candidate.error**2 - np.mean(baselines.error**2, axis=0), 0)
    variance = np.var(baselines.value, axis=0, ddof=1) * (1 + 1 / runs) + excess
    return stats.t.isf(tail, runs - 1) * np.sqrt(variance)


def episode_reach(baselines: Chance, candidate: Chance, tail: float, degrees: float) -> np.ndarray:
    """How far episodes alone carry a candidate above the mean of the baselines, `[…]`.

    Args:
        baselines, candidate: `[run, …]` and `[…]`.
        tail: The probability that it is further.
        degrees: Of freedom of the standard errors: the fewest episodes less one.
    """
    of_mean = np.sum(baselines.error**2, axis=0) / len(baselines.error) ** 2
    return stats.t.isf(tail, degrees) * np.sqrt(candidate.error**2 + of_mean)


def in_shares(of: Chance) -> Chance:
    """Logarithms of positive values, their standard errors to first order."""
    return Chance(np.log(of.value), of.error / of.value)


class _Quantity(NamedTuple):
    """One quantity of all runs as estimates, and the unit in which rounding is counted."""

    rule: GateRule
    baselines: tuple[Estimate, ...]
    candidate: Estimate
    unit: float

    @property
    def signed(self) -> bool:
        return self.rule.section == "terms" or self.rule.name == "gap"

    @property
    def sign(self) -> float:
        """The direction that is worse: 1 upwards, -1 downwards."""
        if self.signed:
            return 1.0 if self.candidate.mean >= 0 else -1.0
        return -1.0 if self.rule.section == "return" else 1.0

    @property
    def rounding(self) -> float:
        return ROUNDING * self.unit

    def chances(self) -> tuple[Chance, Chance]:
        """Baselines `[run]` and candidate `[]`, turned so that worse is upwards."""
        worse = [_side(estimate, self.sign) for estimate in self.baselines]
        values = self.sign * np.array([estimate.mean for estimate in self.baselines])
        better = _side(self.candidate, -self.sign)
        return (
            Chance(values, np.array(worse)),
            Chance(np.array(self.sign * self.candidate.mean), np.array(better)),
        )

    @property
    def varies(self) -> bool:
        """Whether chance has any part in the baselines; else any difference is a change."""
        baselines, _ = self.chances()
        spread = np.ptp(baselines.value)
        return bool(max(spread, np.max(baselines.error)) > self.rounding)


def _side(estimate: Estimate, sign: float) -> float:
    """The standard error that the interval has on one side; 0 where the interval has no width."""
    half = estimate.high - estimate.mean if sign > 0 else estimate.mean - estimate.low
    if half <= 0:
        return 0.0
    return float(half / stats.t.isf(0.025, max(estimate.n - 1, 1)))


def gate(
    baselines: Mapping[str, RunResult], candidate: tuple[str, RunResult], rules: GateRules
) -> Gate:
    """Hold a run against the runs before it.

    Args:
        baselines: At least one run, by name; refits of one configuration, if there are several.
        candidate: The name of the run in question, and the run.
        rules: What to check.

    Raises:
        BadData: runs of different tasks, baselines that are one and the same fit, a baseline whose
            numbers are not finite, or nothing to check that all runs have.
    """
    name, run = candidate
    runs = [*baselines.values(), run]
    _require_one_task(dict(baselines) | {name: run})
    _require_different(baselines, rules)
    quantities = [(rule, _quantity(rule, runs)) for rule in rules.rules]
    compared = sum(quantity is not None and quantity.varies for _, quantity in quantities)
    if not any(quantity for _, quantity in quantities):
        raise checks.BadData(
            "the gate checks nothing that all of these runs have measured; a quantity that they"
            " have is needed."
        )
    tail = (1 - rules.level) / max(compared, 1)
    checked = [
        _missing(rule, runs) if quantity is None else _check(quantity, tail)
        for rule, quantity in quantities
    ]
    sound = all(baseline.diagnosis.valid for baseline in baselines.values())
    return Gate(
        level=rules.level,
        baselines=tuple(baselines),
        candidate=name,
        refits=len(baselines) >= REFITS,
        compared=compared,
        checks=tuple(sorted(checked, key=_order)),
        differing=_differing(tuple(baselines.values())),
        valid=run.diagnosis.valid or not sound,
    )


def _order(check: GateCheck) -> tuple[bool, float]:
    """The worse ones first, by their distance from the baseline in units of that of the limit."""
    if check.verdict != "worse":
        return True, 0.0
    allowed = abs((check.limit or 0.0) - (check.baseline or 0.0))
    return False, -check.beyond / allowed if allowed else -np.inf


def _check(quantity: _Quantity, tail: float) -> GateCheck:
    """The limit of one quantity, and whether the candidate is beyond it."""
    baselines, candidate = quantity.chances()
    center, refits, episodes = _reaches(quantity, baselines, candidate, tail)
    reach = max(refits, episodes, quantity.rounding)
    allowance, sign = _allowance(quantity, center), 1.0 if quantity.signed else quantity.sign
    limit = center + reach + allowance
    holds = float(candidate.value) <= limit  # false of a candidate that is not a number
    return GateCheck(
        section=quantity.rule.section,
        name=quantity.rule.name,
        verdict="no worse" if holds else "worse",
        baseline=sign * center,
        candidate=sign * float(candidate.value),
        limit=sign * limit,
        reach=reach,
        allowance=allowance,
        reason="refits" if reach == refits else "episodes" if reach == episodes else "neither",
    )


def _reaches(
    quantity: _Quantity, baselines: Chance, candidate: Chance, tail: float
) -> tuple[float, float, float]:
    """Where the baselines are, and how far refits and how far episodes carry a candidate from
    there.

    Args:
        quantity: What is compared.
        baselines, candidate: Its values `[run]` and `[]`, worse upwards.
        tail: The probability of a false alarm of this quantity.
    """
    tail, known = tail / 2 if quantity.signed else tail, len(baselines.value) >= REFITS
    degrees = max(min(e.n for e in (*quantity.baselines, quantity.candidate)) - 1, 1)
    episodes = float(episode_reach(baselines, candidate, tail, degrees))
    center = float(np.mean(baselines.value))
    if quantity.rule.section in SHARES and np.all(baselines.value > 0) and candidate.value > 0:
        middle = float(np.exp(np.mean(np.log(baselines.value))))
        logs = in_shares(baselines), in_shares(candidate)
        refits = middle * np.expm1(float(refit_reach(*logs, tail))) if known else 0.0
        return middle, refits, episodes
    refits = float(refit_reach(baselines, candidate, tail)) if known else 0.0
    return abs(center) if quantity.signed else center, refits, episodes


def _allowance(quantity: _Quantity, center: float) -> float:
    """What the gate file grants beyond chance, in the quantity's own unit."""
    granted = quantity.rule.allowance
    if granted is None:
        granted = 0.0 if len(quantity.baselines) >= REFITS else UNKNOWN_REFITS
        return granted * (center if quantity.rule.section in SHARES else quantity.unit)
    return granted * center if quantity.rule.section in SHARES else granted


def _quantity(rule: GateRule, runs: Sequence[RunResult]) -> _Quantity | None:
    """The quantity of all runs, the candidate's last; None if one of them did not measure it."""
    estimates = [measured(run, rule.section, rule.name) for run in runs]
    present = [estimate for estimate in estimates if estimate is not None]
    if len(present) < len(runs):
        return None
    if not np.all(np.isfinite([estimate.mean for estimate in present[:-1]])):
        raise checks.BadData(
            f"the {rule.section} of a baseline, {rule.name}, is not finite; a gate needs baselines"
            " of finite numbers."
        )
    unit = float(np.mean([_unit(run, rule) for run in runs[:-1]]))
    return _Quantity(rule, tuple(present[:-1]), present[-1], unit)


def _missing(rule: GateRule, runs: Sequence[RunResult]) -> GateCheck:
    """What is said of a quantity that a run did not measure."""
    before = [measured(run, rule.section, rule.name) for run in runs[:-1]]
    known = [abs(estimate.mean) for estimate in before if estimate is not None]
    after = measured(runs[-1], rule.section, rule.name)
    return GateCheck(
        rule.section,
        rule.name,
        "not compared",
        float(np.mean(known)) if len(known) == len(before) else None,
        None if after is None else abs(after.mean),
    )


def measured(run: RunResult, section: GateSection, name: str) -> Estimate | None:
    """A quantity of a run; None where it was not measured, or where the run's audit does not hold
    the conditions under which terms explain something.
    """
    diagnosis = run.diagnosis
    if section == "errors":
        return run.fits[name].error if name in run.fits else None
    if section == "return":
        return diagnosis.real_return if name == "real" else diagnosis.gap.total
    episodes = diagnosis.gap.total.n
    if section == "policy_errors":
        return _exactly(getattr(diagnosis.baselines, name), episodes)
    if not diagnosis.valid:
        return None
    if section == "sizes":
        return _exactly(float(np.sum(diagnosis.causes[name].absolute)), episodes)
    gap = diagnosis.gap_training if name == "horizon" else diagnosis.gap
    return None if gap is None else getattr(gap, name)


def _exactly(value: float, episodes: int) -> Estimate:
    """A mean over episodes whose interval is not recorded."""
    return Estimate(value, value, value, episodes, "no interval")


def _unit(run: RunResult, rule: GateRule) -> float:
    """What a quantity is large or small against: returns, or the error of the simplest
    predictor.
    """
    diagnosis, dynamics = run.diagnosis, rule.name == "dynamics"
    if rule.section == "errors":
        return run.fits[rule.name].baseline or 0.0
    if rule.section == "policy_errors":
        simplest = diagnosis.baselines
        return simplest.mean_next_state if dynamics else simplest.zero_reward
    return max(abs(diagnosis.real_return.mean), abs(diagnosis.imagined_return.mean))


def _require_one_task(runs: Mapping[str, RunResult]) -> None:
    """Numbers of different tasks are in different units."""
    tasks = {name: _task(run) for name, run in runs.items()}
    first, *others = tasks
    for name in others:
        if tasks[name] != tasks[first]:
            raise checks.BadData(
                f"{first} is of {' '.join(tasks[first])} and {name} of {' '.join(tasks[name])}; a"
                " gate needs runs of one task."
            )


def _task(run: RunResult) -> tuple[str, ...]:
    diagnosis, arguments = run.diagnosis, run.configuration.get("env_kwargs", "{}")
    made = () if arguments == "{}" else (f"with {arguments}",)
    steps = (f"({diagnosis.horizon} steps, discount {diagnosis.discount:g})",)
    return (run.env, *made, *steps)


def _require_different(baselines: Mapping[str, RunResult], rules: GateRules) -> None:
    """Copies of one fit would say that refits do not differ."""
    seen: dict[tuple[float | None, ...], str] = {}
    for name, run in baselines.items():
        estimates = [measured(run, rule.section, rule.name) for rule in rules.rules]
        numbers = tuple(estimate and estimate.mean for estimate in estimates)
        numbers += (run.diagnosis.real_return.mean, run.diagnosis.imagined_return.mean)
        if numbers in seen:
            raise checks.BadData(
                f"{seen[numbers]} and {name} have the same numbers: they are one fit, as two runs"
                " of the same seed are; baselines need seeds of their own."
            )
        seen[numbers] = name


def _differing(runs: Sequence[RunResult]) -> tuple[str, ...]:
    """The settings, the seed apart, in which runs differ."""
    settings = [{k: v for k, v in run.configuration.items() if k != "seed"} for run in runs]
    names = dict.fromkeys(name for own in settings for name in own)
    return tuple(n for n in names if len({own.get(n) for own in settings}) > 1)
