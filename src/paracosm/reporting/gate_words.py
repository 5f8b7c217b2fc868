"""What a gate found, in words: one sentence, a row for each quantity, and what the limits are."""

from __future__ import annotations

from typing import NamedTuple

from paracosm.core.records.gate import Gate, GateCheck
from paracosm.reporting.words import number, probability

HEADS = ("quantity", "baseline", "candidate", "limit", "verdict")

_QUANTITIES = {
    "return": "{}",
    "terms": "{} term",
    "sizes": "{}, absolute by step",
    "errors": "{} error, held out",
    "policy_errors": "{} error on the policy's states",
    "ranks": "{}",
}
_NAMES = {
    ("return", "real"): "real return",
    ("return", "gap"): "gap",
    ("ranks", "flips"): "share of checkpoint pairs that certainly flip",
    ("ranks", "regret"): "certain selection regret among checkpoints",
}

_EXACT = (
    " Errors on the policy's states are recorded without an interval: their limits are the"
    " allowance alone."
)


class GateRow(NamedTuple):
    """A row of the table, under `HEADS`."""

    quantity: str
    baseline: str
    candidate: str
    limit: str
    verdict: str


def quantity(check: GateCheck) -> str:
    """What a check is of."""
    name = _NAMES.get((check.section, check.name), check.name)
    return _QUANTITIES[check.section].format(name)


def verdict(gate: Gate) -> str:
    """Whether the candidate is worse, in what most, and by how much beyond what."""
    against = _baselines(gate)
    if not gate.worse and not gate.valid:
        return (
            f"The conditions of {gate.candidate}'s audit do not hold, as those of {against} did:"
            " its terms explain nothing, and the gate is not passed."
        )
    if not gate.worse and gate.lacking:
        return (
            f"{gate.candidate} lacks what the gate file names and {against} measured:"
            f" {', '.join(map(quantity, gate.lacking))}; the gate is not passed."
        )
    if not gate.worse:
        return f"{gate.candidate} is no worse than {against} beyond chance{_passed(gate)}."
    worst, count = gate.worse[0], len(gate.worse)
    most = "in" if count == 1 else f"in {count} quantities, most in"
    return (
        f"{gate.candidate} is worse than {against} {most} the {quantity(worst)}: {_beyond(worst)}."
    )


def _passed(gate: Gate) -> str:
    """In how many quantities, and in which of them an allowance alone kept it within the limit."""
    allowed = [
        check
        for check in gate.checks
        if check.beyond + check.allowance > 0 and check.reason != "neither"
    ]
    if not allowed:
        return f", in {_of_all(gate)}"
    worse = [
        f"the {quantity(check)} ({_number(check.candidate)} after {_number(check.baseline)},"
        f" {number(check.beyond + check.allowance)} of {number(check.allowance)} allowed)"
        for check in allowed
    ]
    return (
        f" and what is allowed on top, in {_of_all(gate)}. Beyond chance alone it is worse in"
        f" {'; '.join(worse)}"
    )


def _baselines(gate: Gate) -> str:
    return gate.baselines[0] if len(gate.baselines) == 1 else f"{len(gate.baselines)} baselines"


def _of_all(gate: Gate) -> str:
    compared = sum(check.verdict != "not compared" for check in gate.checks)
    return "the one quantity compared" if compared == 1 else f"all {compared} quantities compared"


def _beyond(check: GateCheck) -> str:
    """The numbers of a check that failed."""
    if check.candidate is None or check.limit is None or check.baseline is None:
        return "it was not measured"
    side = "below" if (check.section, check.name) == ("return", "real") else "above"
    return (
        f"{number(check.candidate)} after {number(check.baseline)}, {number(check.beyond)} {side}"
        f" the limit of {number(check.limit)}"
    )


def rows(gate: Gate) -> list[GateRow]:
    """The checks, the worst first."""
    return [
        GateRow(
            quantity(check),
            _number(check.baseline),
            _number(check.candidate),
            _number(check.limit),
            check.verdict,
        )
        for check in gate.checks
    ]


def _number(value: float | None) -> str:
    return "–" if value is None else number(value)


def limits(gate: Gate) -> str:
    """What the limits are made of, and what they do not know."""
    if not gate.refits:
        few = "one baseline" if len(gate.baselines) == 1 else f"{len(gate.baselines)} baselines"
        compared = {c.section for c in gate.checks if c.verdict != "not compared"}
        return (
            f"With {few} the differences between refits of one configuration are not known: the"
            " limits are the chance of episodes, and an allowance. A refit may pass them, or"
            " exceed them, for its seed alone; three or more baselines, of other seeds, would say."
            f"{_EXACT if 'policy_errors' in compared else ''}"
        )
    return (
        f"A refit of the {len(gate.baselines)} baselines' configuration, if theirs is one and its"
        f" numbers are near normal, passes all limits together with probability"
        f" {probability(gate.level)}: a limit is where a new run of theirs may be by chance, and"
        " what the gate file allows on top."
    )


def allowances(gate: Gate) -> str:
    """What is allowed on top of chance, by amount; empty where nothing is."""
    names: dict[str, list[str]] = {}
    for check in gate.checks:
        if check.allowance > 0:
            names.setdefault(number(check.allowance), []).append(quantity(check))
    if not names:
        return ""
    amounts = [f"{amount} ({', '.join(of)})" for amount, of in names.items()]
    return f"Allowed on top of chance: {'; '.join(amounts)}."


def notes(gate: Gate) -> list[str]:
    """What is to be known beside the table."""
    shown = [limits(gate)]
    if granted := allowances(gate):
        shown.append(granted)
    if gate.differing:
        shown.append(
            f"The baselines were set differently ({', '.join(gate.differing)}): they are no refits"
            " of one configuration, and the limits are wider than those of refits."
        )
    absent = [quantity(check) for check in gate.checks if check.verdict == "not compared"]
    if absent:
        shown.append(
            "Not measured in every run and alike, or in too few episodes for an interval, and not"
            " compared:"
            f" {', '.join(absent)}."
        )
    if not gate.valid and gate.worse:
        shown.append(
            f"The conditions of {gate.candidate}'s audit do not hold: its terms explain nothing."
        )
    return shown
