"""What is in a data set, in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from paracosm.core.records.data import DataFinding, DataSummary, ValueRange
from paracosm.reporting import words
from paracosm.reporting.decision_tables import Texts

RANGE_HEADS = ("", "least", "mean", "largest", "deviation")
_MOST_COMPONENTS = 20  # of a table on one screen
_MOST_NAMED = 8  # in a sentence


def with_sentence(finding: DataFinding) -> DataFinding:
    """The finding with its sentence."""
    return dataclasses.replace(finding, sentence=_SENTENCES[finding.kind](finding))


def facts(summary: DataSummary) -> list[Texts]:
    """What there is, a name and a sentence part each."""
    return [
        ("steps", _steps(summary)),
        ("episodes", _episodes(summary)),
        ("states", _states(summary)),
        ("actions", _actions(summary)),
        ("labels", _labels(summary)),
    ]


def _steps(summary: DataSummary) -> str:
    left_out = (
        f" ({words.count(summary.left_out)} more rows are no steps: no next state is recorded)"
        if summary.left_out
        else ""
    )
    missing = (
        f", {words.count(summary.transitions_missing)} of them without their transition"
        if summary.transitions_missing
        else ""
    )
    return f"{words.count(summary.rows)}{missing}{left_out}"


def _episodes(summary: DataSummary) -> str:
    shortest, longest = words.count(summary.shortest), words.count(summary.longest)
    lengths = shortest if shortest == longest else f"{shortest} to {longest}"
    median = "" if shortest == longest else f", median {words.number(summary.median_length)}"
    was = "was" if summary.cut == 1 else "were"
    ends = f"{words.count(summary.terminated)} terminated, {words.count(summary.cut)} {was} cut"
    unknown = (
        f", {words.count(summary.end_unknown)} without the transition that says how they end"
        if summary.end_unknown
        else ""
    )
    return f"{words.count(summary.episodes)} of {lengths} steps{median}; {ends}{unknown}"


def _states(summary: DataSummary) -> str:
    if summary.images:
        return f"images of {words.count(summary.state_size)} bytes"
    return f"each of {_numbers(summary.state_size)}"


def _numbers(size: int) -> str:
    return words.count_of(size, "number")


def _actions(summary: DataSummary) -> str:
    if summary.action_size:
        return f"continuous, each of {_numbers(summary.action_size)}"
    return f"discrete, 0 to {summary.actions[0].high:.0f}"


def _labels(summary: DataSummary) -> str:
    if summary.reward is None:
        return "none: no step has a reward"
    if not summary.labels_missing:
        return "every step has a reward"
    return (
        f"{words.count(summary.rows - summary.labels_missing)} steps have a reward,"
        f" {words.count(summary.labels_missing)} have none"
    )


def ranges(summary: DataSummary) -> list[Texts]:
    """Each column's range, those of returns and rewards first."""
    rows = [
        _range(name, values)
        for name, values in (("return", summary.returns), ("reward", summary.reward))
        if values is not None
    ]
    return (
        rows + _of("s", summary.states) + (_of("a", summary.actions) if summary.action_size else [])
    )


def _of(letter: str, columns: tuple[ValueRange, ...]) -> list[Texts]:
    shown = [_range(f"{letter}[{i}]", values) for i, values in enumerate(columns)]
    hidden = len(shown) - _MOST_COMPONENTS
    if hidden <= 0:
        return shown
    return [*shown[:_MOST_COMPONENTS], (f"and {words.count(hidden)} more", "", "", "", "")]


def _range(name: str, values: ValueRange) -> Texts:
    numbers = (values.low, values.mean, values.high, values.deviation)
    return (name, *map(words.number, numbers))


def verdict(summary: DataSummary) -> str:
    """What is odd, or that nothing was noticed."""
    count = len(summary.findings) + len(summary.remarks)
    if not count:
        return "Nothing odd was noticed."
    return "One thing is odd." if count == 1 else f"{words.count(count)} things are odd."


def _limits(finding: DataFinding) -> str:
    count, ends = finding.numbers["count"], finding.numbers["ends"]
    return (
        f"{count:.0f} of the {ends:.0f} terminations fall on step {finding.numbers['step']:.0f},"
        " the last of the longest episodes, in states that share nothing else: these look like"
        " time limits, which are truncations and no ends."
    )


def _resets(finding: DataFinding) -> str:
    count, ends = finding.numbers["count"], finding.numbers["ends"]
    return (
        f"After {count:.0f} of {ends:.0f} episodes the last next state is the first state of the"
        " following episode: an environment that resets itself gave it. The observation before the"
        " reset belongs there."
    )


def _repeated_episodes(finding: DataFinding) -> str:
    count, first = finding.numbers["count"], finding.numbers["first"]
    which = (
        f"episode {first:.0f} is a copy"
        if count == 1
        else (f"{count:.0f} episodes are copies, the first of them episode {first:.0f},")
    )
    return (
        f"{words.capital(which)} of an earlier one, number for number: it was recorded twice, or a"
        " deterministic policy started in the same state."
    )


def _repeated_rows(finding: DataFinding) -> str:
    count, rows = finding.numbers["count"], finding.numbers["rows"]
    return (
        f"{count:.0f} of {rows:.0f} steps are copies of other steps, in states that otherwise"
        " seldom repeat: validation on held-out steps would look too good."
    )


def _jumps(finding: DataFinding) -> str:
    numbers = finding.numbers
    count = numbers["count"]
    steps = "One step leads" if count == 1 else f"{count:.0f} steps lead"
    return (
        f"{steps} more than five times as far as 99% of the steps, the longest"
        f" {words.number(numbers['times'])} times (episode {numbers['episode']:.0f}, time"
        f" {numbers['time']:.0f}): a reset within an episode, a sensor that failed, or an impact."
    )


def _missing_steps(finding: DataFinding) -> str:
    count, places = finding.numbers["count"], finding.numbers["places"]
    return (
        f"{words.count_of(int(count), 'step is', 'steps are')} missing within episodes, in"
        f" {words.count_of(int(places), 'place')}: an audit, which needs whole episodes, refuses"
        " them, and training does not."
    )


def _unknown_starts(finding: DataFinding) -> str:
    count, episodes = finding.numbers["count"], finding.numbers["episodes"]
    return (
        f"{count:.0f} of {episodes:.0f} episodes {'does' if count == 1 else 'do'} not begin at time"
        " 0: what is recorded first of such an episode is not taken for a state that episodes start"
        " in."
    )


def _still(what: str) -> Callable[[DataFinding], str]:
    def sentence(finding: DataFinding) -> str:
        named, size = finding.components, finding.numbers["size"]
        if len(named) == max(size, 1):
            return f"The {what} never changes."
        listed = ", ".join(f"{what[0]}[{i}]" for i in named[:_MOST_NAMED])
        more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
        verb = "changes" if len(named) == 1 else "change"
        return f"{listed}{more} of {size:.0f} components of the {what} never {verb}."

    # "s" stands for state and "a" for action, as in the tables.
    return sentence


def _constant_reward(finding: DataFinding) -> str:
    return (
        f"Every reward is {words.number(finding.numbers['reward'])}: it says nothing about what is"
        " good but how long an episode lasts."
    )


_SENTENCES: dict[str, Callable[[DataFinding], str]] = {
    "time limits as terminations": _limits,
    "auto-reset observations": _resets,
    "repeated episodes": _repeated_episodes,
    "repeated rows": _repeated_rows,
    "jumps": _jumps,
    "missing steps": _missing_steps,
    "unknown starts": _unknown_starts,
    "constant states": _still("state"),
    "constant actions": _still("action"),
    "constant reward": _constant_reward,
}
