"""What E3 shows of its answers: tables, charts, and what is left open; loads no JAX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from paracosm.core.estimators import median, share
from paracosm.core.records import Estimate
from paracosm.core.records.experiments import Chart, Choice, Series, Table
from paracosm.paper.e3_choices import (
    DIRECTIONS,
    HORIZON,
    PILOT,
    STARTS,
    TIMED_EPISODES,
)

FACTOR = float(np.log(3))  # within a factor of 3, says the paper
EXACT = 1e-4
"""Of a logarithm of ratios, what the search for the best may leave; its last grid is finer."""
_PAPER = {
    "linear": "0",
    "tanh and sin": "0.054",
    "quadratic": "0.684",
    "lqg": "in log 3; global 7.585",
}
WORDS = {
    "main": "as chosen",
    "norms": "the paper's laws, as root mean squares",
    "norms, secant": "the same, sensitivities by steps as large as a pilot's error",
    "norms, learned": "the same, sensitivities in a pilot's world",
    "norms, aside": "the same, in one that is wrong along another direction",
    "printed": "the paper's laws, as printed",
    "secant": "sensitivities by steps as large as a pilot's error",
    "learned": "sensitivities in a pilot's world",
    "aside": "the same, wrong along another direction",
    "waves": "errors that are waves over states",
    "starts": f"mean over {STARTS} starts",
    "signed": "signs as drawn",
    "rms": f"root mean square over {DIRECTIONS} directions",
}


class Group(NamedTuple):
    """What came of a group's systems under one change: arrays `[system]` by name."""

    of: dict[str, np.ndarray]

    def off(self, weights: str) -> np.ndarray:
        """ℓ, `[system]`."""
        return self.of["best"] - self.of[weights]

    def error(self, weights: str = "realised") -> Estimate:
        """Median |ℓ|."""
        return median(np.abs(self.off(weights)))

    def within(self, weights: str = "realised") -> Estimate:
        """The share of systems whose best ratio is predicted within a factor of 3."""
        near = np.abs(self.off(weights)) <= FACTOR
        return share(int(np.sum(near)), len(near))

    def missed(self) -> np.ndarray:
        """The |ℓ| of those systems whose best ratio is not predicted exactly."""
        off = np.abs(self.off("realised"))
        return off[off > EXACT]


GroupsByChange = Mapping[str, Mapping[str, Group]]
"""Groups by name, then by what was changed."""

Timed = Mapping[int, Mapping[str, list[float]]]
"""Seconds of rollouts and passes by the number of state components."""


def together(*groups: Group) -> Group:
    """Several groups as one."""
    return Group(
        {name: np.concatenate([group.of[name] for group in groups]) for name in groups[0].of}
    )


def times(timed: Mapping[str, list[float]]) -> Estimate:
    """Median cost of a pass over that of the rollout before it."""
    return median(np.divide(timed["pass"], timed["rollout"]))


def groups(main: Mapping[str, Group]) -> Table:
    """The groups beside the paper."""
    rows = [
        (
            name,
            str(len(main[name].of["best"])),
            f"{main[name].error():.3g}",
            f"{main[name].error('global'):.3g}",
            paper,
            f"{main[name].within():.2f}",
            *(
                f"{max(0.0, float(np.median(main[name].of[f'regret_{w}']))):.2g}"
                for w in ("realised", "global")
            ),
        )
        for name, paper in _PAPER.items()
    ]
    columns = (
        "group",
        "systems",
        "|ℓ| realised",
        "|ℓ| global",
        "paper",
        "share within a factor 3",
        "regret",
        "regret global",
    )
    note = (
        "Medians and shares with 95% intervals. Regret: excess of the return error over that of"
        " the best split."
    )
    return Table("Best against predicted ratio", columns, tuple(rows), note)


def variations(by_change: GroupsByChange) -> Table:
    """Every group under every change."""
    names = [name for name in by_change if "main" in by_change[name] and "norms" in by_change[name]]

    def row(change: str, words: str) -> tuple[str, ...]:
        groups = {name: by_change[name][change] for name in names}
        realised = {name: f"{group.error().mean:.2g}" for name, group in groups.items()}
        if change == "signed" and len(groups["linear"].missed()):
            realised["linear"] = f"0 or {np.median(groups['linear'].missed()):.2g}"
        return words, *(
            f"{realised[name]} | {group.error('global').mean:.2g}" for name, group in groups.items()
        )

    rows = tuple(row(*change) for change in WORDS.items())
    return Table(
        "Median |ℓ| when one choice is changed",
        ("choice", *names),
        rows,
        "Realised | global constants. With signs as drawn errors cancel"
        f" {_where_errors_cancel(by_change['linear']['signed'])}.",
    )


def _where_errors_cancel(linear: Group) -> str:
    """On how many linear systems errors whose signs were drawn cancel, and what that does to ℓ."""
    missed, systems = linear.missed(), len(linear.of["best"])
    if not len(missed):
        return f"on 0 of {systems} linear systems"
    return (
        f"on {len(missed)} of {systems} linear systems, where the best ratio is the one at which"
        f" they do and the median |ℓ| is {np.median(missed):.2g}, and on the others ℓ is 0"
    )


def prices(passes: Timed) -> Table:
    """What sensitivities cost."""
    rows = [
        (str(size), f"{1e3 * np.median(timed['rollout']):.3g}", f"{times(timed):.3g}")
        for size, timed in sorted(passes.items())
    ]
    columns = ("state components", "rollout, ms", "both sensitivities, rollouts")
    note = (
        f"{TIMED_EPISODES} episodes of {HORIZON} steps, processor time on one thread; the median"
        " ratio of runs in turn"
        " and its interval."
    )
    return Table("What the forward pass costs", columns, tuple(rows), note)


def by_budget(by_change: GroupsByChange, budgets: Mapping[float, str]) -> Chart:
    """|ℓ| against the budget."""
    amounts = tuple(sorted(budgets))

    def series(name: str, group: str, weights: str) -> Series:
        errors = tuple(by_change[group][budgets[amount]].error(weights).mean for amount in amounts)
        return Series(name, amounts, errors, "line" if weights == "realised" else "dashed")

    def ends(weights: str) -> str:
        first, last = (
            by_change["lqg"][budgets[amount]].error(weights).mean
            for amount in (amounts[0], amounts[-1])
        )
        return f"{first:.2g} to {last:.2g}"

    return Chart(
        "budget",
        "ℓ against the budget",
        "budget, samples",
        "median |ℓ|",
        (
            *(series(group, group, "realised") for group in ("tanh", "sin", "quadratic", "lqg")),
            series("lqg, global", "lqg", "global"),
        ),
        f"On linear-quadratic systems, from the least budget to the largest: {ends('realised')}"
        " with realised"
        f" sensitivities, {ends('global')} with global constants.",
        log_x=True,
        log_y=True,
    )


def scatter(at_real: Group, at_pilot: Group) -> Chart:
    """Predicted against best ratios; the two groups are the same systems."""
    best = np.exp(at_real.of["best"])[:100]
    predicted = {
        "realised": at_real.of["realised"],
        "realised, in a pilot's world": at_pilot.of["realised"],
        "global": at_real.of["global"],
    }
    ends = (float(best.min()), float(best.max()))
    above = ", ".join(
        f"{np.mean(np.exp(ratio)[:100] > best):.0%} ({name})" for name, ratio in predicted.items()
    )
    points = [
        Series(name, tuple(best.tolist()), tuple(np.exp(ratio)[:100].tolist()), "points")
        for name, ratio in predicted.items()
    ]
    return Chart(
        "ratios",
        "Predicted against best ratio, linear-quadratic systems",
        "best ratio",
        "predicted ratio",
        (*points, Series("equal", ends, ends, "dashed")),
        "Above the line, where too many transitions would be bought for each label, lie of the"
        f" points shown: {above}.",
        log_x=True,
        log_y=True,
    )


def choices(by_change: GroupsByChange) -> tuple[Choice, ...]:
    """What the paper leaves open."""

    def error(group: str, change: str, weights: str = "realised") -> str:
        return f"{by_change[group][change].error(weights).mean:.2g}"

    return (
        Choice(
            "the laws by which parts learn, and with them the size of errors",
            "N^(-1/2) for both, in the unit of states and rewards",
            f"by the paper's fitted laws as norms the median |ℓ| on LQG is {error('lqg', 'norms')}"
            " realised and"
            f" {error('lqg', 'norms', 'global')} global; steps of a pilot's size bring the first to"
            f" {error('lqg', 'norms, secant')}",
        ),
        Choice(
            "what the best ratio makes least",
            "the error in return of the worst signs, which for errors that are the same everywhere"
            " is the sum of both"
            " parts' own",
            "of the root mean square over directions Theorem 1's ratio is"
            f" {error('linear', 'rms')} off on linear"
            f" systems, and {error('linear', 'rms', 'squares')} with squared weights and doubled"
            " exponents;"
            " with signs as drawn errors cancel"
            f" {_where_errors_cancel(by_change['linear']['signed'])}",
        ),
        Choice(
            "the errors' directions",
            "a constant, for which ℓ is 0 on linear systems by proof",
            f"waves over states give {error('linear', 'waves')} on linear and"
            f" {error('lqg', 'waves')} on LQG",
        ),
        Choice(
            "starts",
            "one a system",
            f"over {STARTS} starts on all sides of the origin: {error('lqg', 'starts')} on LQG",
        ),
        Choice(
            "where and how sensitivities are taken",
            "at the real system, as derivatives",
            f"on LQG {error('lqg', 'main')} becomes {error('lqg', 'learned')} in the world of a"
            f" pilot with {PILOT:,.0f}"
            f" samples, {error('lqg', 'aside')} in one that is wrong along another direction and"
            f" {error('lqg', 'secant')} by steps as large as the pilot's error; on tanh"
            f" {error('tanh', 'main')} becomes"
            f" {error('tanh', 'learned')}, {error('tanh', 'aside')} and {error('tanh', 'secant')}",
        ),
    )
