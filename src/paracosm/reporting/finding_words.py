"""What the linter found, one sentence each, with its evidence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from paracosm.core.records import ComponentChange, Finding, Misreading
from paracosm.reporting.words import reading

_MOST_COMPONENTS = 6  # named: a sentence holds no more


def with_sentence(finding: Finding) -> Finding:
    """The finding with its sentence."""
    return dataclasses.replace(finding, sentence=sentence(finding))


def sentence(finding: Finding) -> str:
    """The finding in words."""
    if finding.misreadings:
        return _misread(finding)
    return _SENTENCES[finding.kind](finding)


def _misread(finding: Finding) -> str:
    """That a part is right when it is read otherwise, and what else would do as well."""
    best, *rivals = (_phrase(misreading) for misreading in finding.misreadings)
    left, own = finding.numbers["left"], finding.numbers["own"]
    if finding.part == "reward":
        also = "".join(
            f", or when {rival}, which these steps cannot tell apart" for rival in rivals
        )
        return (
            f"The learned reward fits the real one better when {best}{also}: root mean square error"
            f" {reading(left)} so, {reading(own)} as it is."
        )
    also = "".join(f", or when {rival} (these steps cannot tell which)" for rival in rivals)
    return (
        f"The world predicts next states better when {best}{also} (root mean square error"
        f" {reading(left)} so, {reading(own)} as it is, in scaled states)."
    )


def _phrase(misreading: Misreading) -> str:
    return _PHRASES[misreading.form](misreading)


def _changed(misreading: Misreading, what: str, letter: str) -> str:
    """`scale x + offset`, component by component."""
    parts = [_component(change, letter) for change in misreading.components]
    more = " and so on" if len(parts) > _MOST_COMPONENTS else ""
    return f"it is given other {what}: {', '.join(parts[:_MOST_COMPONENTS])}{more}"


def _component(change: ComponentChange, letter: str) -> str:
    name = letter if change.component is None else f"{letter}[{change.component}]"
    if change.left_out:
        return f"{name} is left out"
    times = name if change.scale is None else f"{reading(change.scale)} {name}"
    sign = "+" if (change.offset or 0.0) > 0 else "-"
    offset = "" if change.offset is None else f" {sign} {reading(abs(change.offset))}"
    return f"{times}{offset} in place of {name}"


def _numbered(misreading: Misreading) -> str:
    listed = ", ".join(
        f"{new} in place of {old}" for old, new in enumerate(misreading.numbering) if new != old
    )
    return f"its actions are numbered otherwise: {listed}"


def _plus(number: float) -> str:
    """`+ 1.5` or `- 1.5`."""
    return f"{'+' if number >= 0 else '-'} {reading(abs(number), 4)}"


def _step(misreading: Misreading) -> str:
    shift, offset = misreading.numbers["shift"], misreading.numbers.get("offset")
    count = f"{abs(shift):.0f} step{'s' if abs(shift) > 1 else ''}"
    zero = "" if offset is None else f" {_plus(offset)}"
    return (
        f"it is compared with the reward paid {count} {'earlier' if shift < 0 else 'later'}"
        f" (rewards are recorded {count} off){zero}"
    )


def _offset(misreading: Misreading) -> str:
    offset = misreading.numbers["offset"]
    trained = f" (it was trained on rewards {_plus(-offset)})" if misreading.only else ""
    return f"it is read {_plus(offset)}{trained}"


def _scale(misreading: Misreading) -> str:
    trained = " (it was trained on rewards divided by that)" if misreading.only else ""
    return f"it is read times {reading(misreading.numbers['scale'], 4)}{trained}"


def _scale_and_offset(misreading: Misreading) -> str:
    scale, offset = misreading.numbers["scale"], misreading.numbers["offset"]
    return f"it is read times {reading(scale, 4)} {_plus(offset)}"


def _clipped(misreading: Misreading) -> str:
    low, high = misreading.numbers.get("low"), misreading.numbers.get("high")
    bounds = [reading(bound, 4) for bound in (low, high) if bound is not None]
    side = "above" if low is None else "below" if high is None else "to"
    where = f"{side} {' to '.join(bounds)}"
    return f"it is compared with the real one clipped {where} (what is beyond was never learned)"


_PHRASES: dict[str, Callable[[Misreading], str]] = {
    "other actions": lambda misreading: _changed(misreading, "actions", "a"),
    "clipped actions": lambda _: (
        "its actions are clipped to their bounds, as the environment does (clip them in the world)"
    ),
    "other observations": lambda misreading: _changed(misreading, "observations", "s"),
    "standardised observations": lambda _: "it is given standardised observations",
    "other action numbers": _numbered,
    "state changes": lambda _: "its answer is added to the state: it gives changes",
    "other step": _step,
    "offset": _offset,
    "scale": _scale,
    "scale and offset": _scale_and_offset,
    "symlog": lambda _: "it is read as symlog of the reward, sign(r) log(1 + |r|)",
    "rising curve": lambda _: (
        "it is read as a rising curve of the reward (a logarithm, a root, a squashing)"
    ),
    "clipped reward": _clipped,
    "curve of the reward": lambda _: (
        "it is compared with a rising curve of the real one (a squashing, a sign)"
    ),
    "other arguments": lambda misreading: (
        f"it is asked at {misreading.arguments} in place of (s, a, s') (it reads another state than"
        " it is given)"
    ),
}


def _unexplained(finding: Finding) -> str:
    floor, own = finding.numbers["floor"], finding.numbers["own"]
    return (
        "The reward needs what the state does not show: steps of different episodes with nearly the"
        " same (s, a, s') were paid differently, so that no model of (s, a, s') gets below an error"
        f" of about {reading(floor)}; the learned reward's is {reading(own)} (root mean square),"
        " and more labels cannot mend that."
    )


def _constant(finding: Finding) -> str:
    learned, real = reading(finding.numbers["learned"]), reading(finding.numbers["real"])
    return (
        f"The learned reward varies by {learned} (standard deviation) where the real reward varies"
        f" by {real}, and no other unit, curve or step explains that: it predicts little more than"
        " a mean."
    )


def _blind(finding: Finding) -> str:
    error = f"no worse ({reading(finding.numbers['times'])} times the error)"
    how = "the same" if finding.form == "the same" else error
    return (
        f"The world's next states are {how} when it is given the actions of other steps: it does"
        " not use the action."
    )


def _persistence(finding: Finding) -> str:
    own, still = finding.numbers["own"], finding.numbers["still"]
    return (
        "The world predicts next states worse than one in which nothing moves (root mean square"
        f" error {reading(own)} against {reading(still)} in scaled states)."
    )


def _resets(finding: Finding) -> str:
    count, last = finding.numbers["count"], finding.numbers["last"]
    times = reading(finding.numbers["times"])
    return (
        f"At {count:.0f} of the {last:.0f} last steps the recorded next state lies among the"
        f" episodes' first states, {times} times as far from the world's as 99% of the other steps'"
        " are: an environment that resets itself gave the next episode's first observation. The"
        " observation before the reset belongs there."
    )


def _limits(finding: Finding) -> str:
    count, missed = finding.numbers["count"], finding.numbers["missed"]
    share = f"All {count:.0f}" if count == missed else f"{count:.0f} of the {missed:.0f}"
    return (
        f"{share} recorded terminations that the world does not share fall on step"
        f" {finding.numbers['step']:.0f}, the last of the longest episodes: these look like time"
        " limits, which are truncations and no ends."
    )


def _early(finding: Finding) -> str:
    count, recorded = finding.numbers["count"], finding.numbers["recorded"]
    return (
        f"The world ends one step before {count:.0f} of the {recorded:.0f} real steps that"
        " terminated, and at none of these itself: its ends are recorded one step off."
    )


def _missed(finding: Finding) -> str:
    numbers = finding.numbers
    how = "never ends" if finding.form == "never ends" else "goes on"
    return (
        f"The world {how} where {numbers['count']:.0f} of the {numbers['recorded']:.0f} real"
        f" episodes terminated, at steps {numbers['first']:.0f} to {numbers['last']:.0f}: its end"
        " rule is missing, it was learned from terminations recorded as truncations, or it was"
        " learned from too few ends of this kind."
    )


def _cut(finding: Finding) -> str:
    where = "time limit" if finding.form == "time limit" else "cut"
    count, cut = finding.numbers["count"], finding.numbers["cut"]
    return (
        f"The world ends at {count:.0f} of the {cut:.0f} real steps that were only truncated: a"
        f" {where} was learned as a termination, or the record calls terminations truncations."
    )


def _false(finding: Finding) -> str:
    causes = {
        "reversed": (
            " and goes on where it terminated: its answers look reversed, those of a probability to"
            " go on (foreign.world takes termination_gives=)"
        ),
        "probability": (
            ": answers between 0 and 1, a probability to end or to go on, taken for yes or no look"
            " like this (foreign.world takes termination_gives=)"
        ),
    }
    count, elsewhere = finding.numbers["count"], finding.numbers["elsewhere"]
    return (
        f"The world ends at {count:.0f} of the {elsewhere:.0f} real steps after which the episode"
        f" went on{causes.get(finding.form, '')}."
    )


_SENTENCES: dict[str, Callable[[Finding], str]] = {
    "unexplained reward": _unexplained,
    "constant reward": _constant,
    "action blindness": _blind,
    "persistence": _persistence,
    "auto-reset observations": _resets,
    "time limits as terminations": _limits,
    "termination timing": _early,
    "missed terminations": _missed,
    "truncations as terminations": _cut,
    "false terminations": _false,
}
