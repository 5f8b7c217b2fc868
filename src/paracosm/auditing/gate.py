"""The gate: whether a run is worse than runs before it, beyond what chance explains.

`auditing.refits` says how far chance carries a refit from its baselines. A quantity that is the
same in all baselines and has no interval, such as the term of a part that is known, has no part in
dividing the chance of a false alarm: any difference beyond rounding is a change.

For the rank measures (`flips`, `regret`) a run counts with the low end of its interval, what is
certain: the interval spans what undecided pairs may be, and is no sampling error. The candidate is
worse if that is above the highest value still possible for any baseline, and above what refits may
differ by.

One or two baselines show nothing of refits that a gate could use: with K = 2 the quantile of t is
over a hundred. Then the limit is that of episodes alone, with an allowance on top: that of the gate
file, or a default for what refits may differ by; and false alarms have no stated rate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from paracosm.auditing.refits import REFITS, RunValues, Worse, reach_of_chance
from paracosm.core import checks
from paracosm.core.records import Diagnosis, Estimate
from paracosm.core.records.gate import SHARES, Gate, GateCheck, GateRule, GateRules, GateSection
from paracosm.core.records.ranking import Ranking
from paracosm.core.records.results import RunResult

# Allowances where refits are not known. Errors of refits of small worlds differ by factors of two
# to three, so that one may double: a share of the baseline.
UNKNOWN_ERRORS = 1.0
# What is less than that share of the return, or of the simplest predictor's error, is no matter.
NEGLIGIBLE = 0.01
# Policies trained anew earn as much more or less, and so may terms: a share of the return.
UNKNOWN_RETURNS = 0.25
# Of the return or of the simplest predictor's error: observations of 32 bits move a term that is 0
# by as much.
ROUNDING = 1e-5


class _Gated(NamedTuple):
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
    def worse(self) -> Worse:
        if self.signed:
            return "further from 0"
        return "larger in proportion" if self.rule.section in (*SHARES, "ranks") else "larger"

    @property
    def rounding(self) -> float:
        return ROUNDING * self.unit

    def values_worse_upwards(self) -> tuple[RunValues, RunValues]:
        """Baselines `[run]` and candidate `[]`, turned so that worse is upwards."""
        errors = [_standard_error(estimate, self.sign) for estimate in self.baselines]
        values = self.sign * np.array([estimate.mean for estimate in self.baselines])
        candidate_error = _standard_error(self.candidate, -self.sign)
        return (
            RunValues(values, np.array(errors)),
            RunValues(np.array(self.sign * self.candidate.mean), np.array(candidate_error)),
        )

    @property
    def varies(self) -> bool:
        """Whether chance has any part in the baselines; else any difference is a change."""
        baselines, _ = self.values_worse_upwards()
        spread = np.ptp(baselines.value)
        return bool(max(spread, np.max(baselines.error)) > self.rounding)


def _standard_error(estimate: Estimate, sign: float) -> float:
    """The standard error that the interval has on one side; 0 where the interval has no width."""
    half = estimate.high - estimate.mean if sign > 0 else estimate.mean - estimate.low
    if half <= 0:
        return 0.0
    return float(half / -special.stdtrit(max(estimate.n - 1, 1), 0.025))


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
        named = ", ".join(f"{rule.section} {rule.name}" for rule in rules.rules)
        ranked = any(rule.section == "ranks" for rule in rules.rules)
        raise checks.BadData(
            f"the gate checks nothing that all of these runs have measured, only {named}; a"
            f" quantity that they have is needed{', or paracosm rank RUN of each' * ranked}."
        )
    tail = (1 - rules.level) / max(compared, 1)
    checked = [
        _missing(rule, runs) if quantity is None else _check(quantity, tail)
        for rule, quantity in quantities
    ]
    if all(check.verdict == "not compared" for check in checked):
        raise checks.BadData(
            "the gate can compare nothing: no interval of these runs is finite, as of one"
            " evaluation episode; more --episodes are needed."
        )
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


def _order(check: GateCheck) -> tuple[int, float]:
    """The worse ones first, then those within their limits, by their distance from the baseline in
    units of that of the limit; last what cannot be compared.
    """
    if check.verdict == "not compared":
        return 2, 0.0
    worse = check.verdict == "worse"
    allowed = abs((check.limit or 0.0) - (check.baseline or 0.0))
    if not allowed:
        return (0, -np.inf) if worse else (1, 1.0)
    return (0 if worse else 1), -check.beyond / allowed


def _check(quantity: _Gated, tail: float) -> GateCheck:
    """The limit of one quantity, and whether the candidate is beyond it."""
    baselines, candidate = quantity.values_worse_upwards()
    degrees = max(min(e.n for e in (*quantity.baselines, quantity.candidate)) - 1, 1)
    center, by_refits, by_episodes = map(
        float, reach_of_chance(baselines, candidate, tail, degrees=degrees, worse=quantity.worse)
    )
    if quantity.rule.section == "ranks":
        by_episodes = max(baseline.high for baseline in quantity.baselines) - center
    reach = max(by_refits, by_episodes, quantity.rounding)
    sign = 1.0 if quantity.signed else quantity.sign
    if np.isinf(reach) and np.isfinite(candidate.value):
        return _uncompared(quantity.rule, sign * center, sign * float(candidate.value))
    allowance = _allowance(quantity, center)
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
        reason="refits"
        if reach == by_refits
        else ("episodes" if reach == by_episodes else "neither"),
        named=quantity.rule.allowance is not None,
    )


def _allowance(quantity: _Gated, center: float) -> float:
    """What the gate file grants beyond chance, in the quantity's own unit."""
    granted, in_shares = quantity.rule.allowance, quantity.rule.section in SHARES
    if granted is not None:
        return granted * center if in_shares else granted
    if len(quantity.baselines) >= REFITS or quantity.rule.section == "ranks":
        return 0.0
    if in_shares:
        return UNKNOWN_ERRORS * center + NEGLIGIBLE * quantity.unit
    return UNKNOWN_RETURNS * quantity.unit


def _quantity(rule: GateRule, runs: Sequence[RunResult]) -> _Gated | None:
    """The quantity of all runs, the candidate's last; None if one of them did not measure it."""
    if rule.section == "ranks" and _ranked_apart(runs):
        return None
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
    return _Gated(rule, tuple(present[:-1]), present[-1], unit)


def _ranked_apart(runs: Sequence[RunResult]) -> bool:
    """Whether checkpoints were ranked by returns of other discounts, or other numbers of them."""
    rankings = [run.diagnosis.ranking for run in runs]
    return len({(r.discount, len(r.policies)) for r in rankings if r is not None}) > 1


def _missing(rule: GateRule, runs: Sequence[RunResult]) -> GateCheck:
    """The check of a quantity that a run did not measure."""
    before = [measured(run, rule.section, rule.name) for run in runs[:-1]]
    sizes = [abs(estimate.mean) for estimate in before if estimate is not None]
    after = measured(runs[-1], rule.section, rule.name)
    return _uncompared(
        rule,
        float(np.mean(sizes)) if len(sizes) == len(before) else None,
        None if after is None else abs(after.mean),
    )


def _uncompared(rule: GateRule, baseline: float | None, candidate: float | None) -> GateCheck:
    """The check of a quantity that cannot be compared."""
    named = rule.allowance is not None
    return GateCheck(rule.section, rule.name, "not compared", baseline, candidate, named=named)


def measured(run: RunResult, section: GateSection, name: str) -> Estimate | None:
    """A quantity of a run; None where it was not measured, or where the run's audit does not hold
    the conditions under which terms explain something.
    """
    diagnosis = run.diagnosis
    if section == "errors":
        return run.fits[name].error if name in run.fits else None
    if section == "return":
        return diagnosis.real_return if name == "real" else diagnosis.gap.total
    if section == "ranks":
        return _of_ranking(diagnosis.ranking, name)
    if section == "policy_errors":
        return _without_interval(getattr(diagnosis.baselines, name), diagnosis.gap.total.n)
    return _of_gap(diagnosis, section, name) if diagnosis.valid else None


def _of_gap(diagnosis: Diagnosis, section: GateSection, name: str) -> Estimate | None:
    """A term of an audit that holds, or its size."""
    if section == "sizes":
        size = float(np.sum(diagnosis.causes[name].absolute))
        return _size(size, getattr(diagnosis.gap, name))
    gap = diagnosis.gap_training if name == "horizon" else diagnosis.gap
    return None if gap is None else getattr(gap, name)


def _of_ranking(ranking: Ranking | None, name: str) -> Estimate | None:
    """A rank measure of a run's checkpoints: what is certain, its low end, and all that it may
    be.
    """
    if ranking is None:
        return None
    measure: Estimate = getattr(ranking, name)
    return dataclasses.replace(measure, mean=measure.low)


def _size(value: float, term: Estimate) -> Estimate:
    """The sum of absolute contributions, whose interval is not recorded, with the width of the
    term's: where few steps err, as of an end rule, at most one an episode, `var |x| ≤ var x`.
    """
    half = max(term.high - term.mean, term.mean - term.low)
    return Estimate(value, value - half, value + half, term.n, f"as wide as {term.method}")


def _without_interval(value: float, episodes: int) -> Estimate:
    """A mean over episodes whose interval is not recorded."""
    return Estimate(value, value, value, episodes, "no interval")


def _unit(run: RunResult, rule: GateRule) -> float:
    """What a quantity is large or small against: returns, the error of the simplest predictor, or
    all of the pairs.
    """
    diagnosis, dynamics = run.diagnosis, rule.name == "dynamics"
    if rule.section == "errors":
        return run.fits[rule.name].baseline or 0.0
    if rule.section == "policy_errors":
        simplest = diagnosis.baselines
        return simplest.mean_next_state if dynamics else simplest.zero_reward
    if rule.name == "flips":
        return 1.0
    return max(abs(diagnosis.real_return.mean), abs(diagnosis.imagined_return.mean))


def _require_one_task(runs: Mapping[str, RunResult]) -> None:
    """Numbers of different tasks are in different units."""
    tasks = {name: run.task for name, run in runs.items()}
    first, *others = tasks
    for name in others:
        if tasks[name] != tasks[first]:
            raise checks.BadData(
                f"{first} is of {tasks[first]} and {name} of {tasks[name]}; a gate needs runs of"
                " one task."
            )


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
    """The settings that all runs hold, the seed apart, in which they differ."""
    settings = [{k: v for k, v in run.configuration.items() if k != "seed"} for run in runs]
    # What some do not hold is of another version, or of another learner, which has a name.
    names = [name for name in settings[0] if all(name in own for own in settings)]
    return tuple(name for name in names if len({own[name] for own in settings}) > 1)
