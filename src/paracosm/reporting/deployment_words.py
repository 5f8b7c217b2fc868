"""Whether a new policy may take an old one's place, in rows and sentences."""

from __future__ import annotations

import math
import os
from typing import NamedTuple

from paracosm.core.records import Help
from paracosm.core.records.deployment import BoundedDifference, Deployment, DeploymentVerdict
from paracosm.reporting import assisted_words, words

_UNPROVEN, _LEFT_OUT = "unproven bounds", "bounds were not asked for"
_RUNGS = {"global": "global constants", "split": "split constants"}


class FormRow(NamedTuple):
    """A form of the answer: its name, the difference, its ends, and what it is."""

    form: str
    difference: str
    ends: str
    note: str


def names(record: Deployment) -> tuple[str, str]:
    """What the old and the new run are called: the last part of their paths where that tells them
    apart.
    """
    short = tuple(os.path.basename(os.path.normpath(path)) for path in (record.old, record.new))
    return (short[0], short[1]) if short[0] != short[1] else (record.old, record.new)


def return_rows(record: Deployment) -> list[FormRow]:
    """The real return of either policy over the paired episodes."""
    old, new = names(record)
    note = f"real, {words.episodes(record.pairs)}, not discounted"
    return [
        FormRow(name, words.mean(value), words.interval(value), note)
        for name, value in ((f"old: {old}", record.old_return), (f"new: {new}", record.new_return))
    ]


def rows(record: Deployment) -> list[FormRow]:
    """The difference in every form, the strongest first."""
    return [_certified(record), *_estimates(record), _episodes(record), _next(record)]


def _certified(record: Deployment) -> FormRow:
    if record.certified is None:
        why = "no rung of either ladder is proven" if record.bounded else _LEFT_OUT
        return FormRow("certified", "", "none", why)
    bound = record.certified
    rungs = " and ".join(dict.fromkeys(map(rung, (bound.old_rung, bound.new_rung))))
    return _bound("certified", bound, f"proven bounds on both gaps, {rungs}")


def _estimates(record: Deployment) -> list[FormRow]:
    """By the mean-error form, and by the lowest rung where that is another."""
    bounds = {bound.old_rung: bound for bound in record.bounds}
    if not bounds:
        why = "the audits give no bounds" if record.bounded else _LEFT_OUT
        return [FormRow(_UNPROVEN, "", "none", why)]
    lowest = min(bounds, key=lambda name: bounds[name].old_gap + bounds[name].new_gap)
    shown = dict.fromkeys(name for name in ("mean_error", lowest) if name in bounds)
    return [_bound(_UNPROVEN, bounds[name], f"both gaps by {rung(name)}") for name in shown]


def _bound(form: str, bound: BoundedDifference, note: str) -> FormRow:
    """A row of bounds on both gaps: ends over all starts, and in the note those over the recorded
    ones.
    """
    recorded = f"[{words.number(bound.low)}, {words.number(bound.high)}]"
    if not bound.over_starts:
        note, ends = f"{note}; of the recorded starts alone", recorded
    else:
        low, high = bound.over_starts
        ends = f"[{words.number(low)}, {words.number(high)}]"
        note = f"{note}; {recorded} over the recorded starts"
    return FormRow(form, words.number(bound.imagined), ends, note)


def _episodes(record: Deployment) -> FormRow:
    mean, value = record.episodes, record.episodes.value
    note = words.count(record.pairs) + (" paired" if record.paired else " unpaired")
    note = f"{note} real episodes, {words.probability(record.level)} interval"
    if mean.help is Help.HELPED:
        apart = mean.value.mean - mean.plain.mean
        note = (
            f"{note}; by {mean.fresh} imagined starts, over which the difference is"
            f" {words.number(abs(apart))} {'larger' if apart > 0 else 'smaller'}:"
            f" {assisted_words.gain(mean)}"
        )
    return FormRow("from episodes", words.mean(value), words.interval(value), note)


def _next(record: Deployment) -> FormRow:
    following = record.next_episode
    note = (
        f"with probability {words.probability(following.probability)}, whatever the distribution:"
        " the next pair, not the mean"
    )
    if following.pairs < following.least:
        note = f"{note}; {words.probability(record.level)} needs {following.least} pairs"
    return FormRow("next episode", "", f"≥ {words.number(following.low)}", note)


def rung(name: str) -> str:
    """A rung of the ladder in words."""
    return _RUNGS.get(name, name.replace("_", " "))


def verdict(record: Deployment) -> str:
    """What the forms come to."""
    old, new = names(record)
    level = words.probability(record.level)
    difference = words.estimate(record.episodes.value)
    if record.verdict is DeploymentVerdict.CERTIFIED and record.certified is not None:
        bound = record.certified
        low, over = words.number(bound.low), words.number(bound.over_starts[0])
        return (
            f"Certified for the recorded starts: there the real return of {new} is above that of"
            f" {old} by at least {low}, by proven bounds on both gaps. Over all starts it is above"
            f" by at least {over}, an estimate at {level} from how these starts differ."
        )
    if record.verdict is DeploymentVerdict.NOT_YET:
        return (
            f"Not yet: whether {new} is better than {old} is open, the difference in real"
            f" return is {difference}."
        )
    better = record.verdict is DeploymentVerdict.ESTIMATED
    head = "Estimated" if better else "No"
    word = "better" if better else "worse"
    return f"{head}: {new} is {word} than {old}, {_by(record)}."


def _by(record: Deployment) -> str:
    """The form that a verdict rests on, with its numbers."""
    if record.basis == "episodes":
        level = words.probability(record.level)
        return (
            f"a difference of {words.estimate(record.episodes.value)} over"
            f" {words.count(record.pairs)} real episodes of each; at {level} the sign is right, and"
            " nothing certifies it"
        )
    if record.basis == "certificate":
        level = words.probability(record.level)
        return (
            "by proven bounds on both gaps over the recorded starts; over all starts that is an"
            f" estimate at {level} from how these starts differ"
        )
    return f"by {rung(record.basis)}, bounds that are not proven"


def more_episodes(record: Deployment) -> str:
    """How many more episodes would settle it; empty where it is settled."""
    if record.verdict is not DeploymentVerdict.NOT_YET:
        return ""
    plain = record.episodes.plain
    if not math.isfinite(plain.high - plain.low):
        return (
            "How many more real episodes would settle it cannot be told from"
            f" {words.count(record.pairs)} whose spread is not known; play some with --episodes."
        )
    if record.further is None:
        return "No number of real episodes up to a million would settle it at this spread."
    return (
        f"About {words.count_of(record.further, 'more real episode')} of each, judged a single time"
        " when all are played, would settle it with a chance of four in five, if difference and"
        " spread stay as they are. paracosm rank may stop sooner or later: beyond its first"
        " episodes it judges again after each."
    )
