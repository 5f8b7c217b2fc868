"""Numbers and findings in words: the digits that the interval supports, one sentence a finding."""

from __future__ import annotations

import math
from collections.abc import Sequence

from paracosm.core import numerals
from paracosm.core.records import Baselines, Diagnosis, Estimate, Reference
from paracosm.core.records.discount import DiscountChoice, DiscountReason
from paracosm.core.records.results import Comparison, RunResult
from paracosm.core.records.stop_reason import StopReason

MINUS = "\u2212"


def number(value: float, decimals: int | None = None) -> str:
    """A number for tables and captions: with as many `decimals`, or else three significant digits;
    a real minus sign, thousands separated.
    """
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    if abs(value) >= 1e9 or (decimals is None and 0 < abs(value) < 1e-4) or (decimals or 0) > 7:
        return f"{value:.2e}".replace("-", MINUS)
    decimals = _decimals(abs(value)) if decimals is None else decimals
    return f"{round(value, decimals) + 0.0:,.{decimals}f}".replace("-", MINUS)


def _decimals(scale: float, digits: int = 3) -> int:
    return max(0, digits - 1 - math.floor(math.log10(scale))) if scale > 0 else 0


def estimate_decimals(value: Estimate) -> int:
    """Decimals that show two significant digits of the half width, at most five of the mean."""
    half = (value.high - value.low) / 2
    size = abs(value.mean) if math.isfinite(value.mean) else 0.0
    if not (math.isfinite(half) and half > 0):
        return _decimals(size, 4)
    return min(_decimals(half, 2), max(_decimals(size, 5), _decimals(half, 1)))


def mean(value: Estimate, decimals: int | None = None) -> str:
    """The mean, to as many `decimals`; without them, to the digits that its interval supports."""
    return number(value.mean, estimate_decimals(value) if decimals is None else decimals)


def interval(value: Estimate, decimals: int | None = None) -> str:
    """The interval as `[low, high]`, to the digits of the mean."""
    decimals = estimate_decimals(value) if decimals is None else decimals
    return f"[{number(value.low, decimals)}, {number(value.high, decimals)}]"


def estimate(value: Estimate) -> str:
    """Mean and interval."""
    return f"{mean(value)} {interval(value)}"


def total_time(run: RunResult) -> str:
    """The time of all stages together."""
    return seconds(math.fsum(run.seconds.values()))


_DISCOUNTS = {
    DiscountReason.GIVEN: "as given",
    DiscountReason.ROLLOUTS: "the default for imagined rollouts of a fixed length",
    DiscountReason.LENGTH: "the default for episodes of {steps:,} steps",
    DiscountReason.SPARSE: (
        "the default for episodes of {steps:,} steps whose first rewards tell no state from another"
    ),
}


def discount(choice: DiscountChoice) -> str:
    """The discount of training, how far it looks, and why it is that one."""
    reason = _DISCOUNTS[choice.reason].format(steps=choice.steps)
    ahead = ""
    if choice.discount < 1:
        ahead = f" (looks about {count_of(round(1 / (1 - choice.discount)), 'step')} ahead)"
    return f"{choice.discount:.10g}{ahead}, {reason}"


def price(amount: float) -> str:
    """An amount of money, or whatever prices count in."""
    return numerals.grouped(amount, ",.2f").removesuffix(".00")


def unit_price(amount: float) -> str:
    """The price of one unit: below 1, where hundredths do not tell it, three significant digits."""
    return price(amount) if amount >= 1 or round(amount, 2) == amount else number(amount)


def money(amount: float) -> str:
    """An amount of money, every digit of it up to 1e15: no power of ten hides what is bought."""
    return numerals.grouped(amount, ",.10g" if amount < 1e9 else ",.2f").removesuffix(".00")


def reading(value: float, digits: int = 3, sign: str = "") -> str:
    """A number for a sentence: so many significant digits, from 1,000 on every digit before the
    point; from there to 1e9 no power of ten is written.

    Args:
        value: The number.
        digits: How many significant digits.
        sign: "+" where a number above zero is to have its sign, too.
    """
    if 1000 - 0.5 * 10 ** (3 - digits) <= abs(value) < 1e9:
        return f"{value:{sign},.0f}"
    return f"{value:{sign}.{digits}g}"


def estimate_reading(value: Estimate, digits: int = 3, sign: str = "") -> str:
    """Mean and interval of an estimate for a sentence, each as `reading` writes it."""
    low, high = (reading(end, digits, sign) for end in (value.low, value.high))
    return f"{reading(value.mean, digits, sign)} [{low}, {high}]"


def count(amount: int) -> str:
    """A whole number of things, every digit of it up to a thousand billions."""
    return numerals.grouped(amount)


def percent(share: float) -> str:
    """A share as a percentage with two significant digits."""
    return f"{number(100 * share, _decimals(100 * abs(share), 2))}%"


def probability(chance: float) -> str:
    """A level or probability as a percentage, as `numerals` has it."""
    return numerals.probability(chance)


def count_of(amount: int, one: str, several: str = "") -> str:
    """A number of things with their name: `one` in the singular, `several` in the plural where
    that takes more than an s.
    """
    return f"{count(amount)} {one if amount == 1 else several or one + 's'}"


def seconds(duration: float) -> str:
    """A duration for reading."""
    if duration < 60:
        return f"{duration:.1f}\u00a0s"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def steps_audited(diagnosis: Diagnosis) -> str:
    """Whether every real step was audited or a subset."""
    cost = f"which took {diagnosis.imagined_steps:,} imagined steps"
    if diagnosis.audited_steps >= diagnosis.real_steps:
        return f"Every one of the {diagnosis.real_steps:,} real steps was audited, {cost}."
    return (
        f"A random subset was audited: {diagnosis.audited_steps:,} of the"
        f" {diagnosis.real_steps:,} real steps, {cost}. The terms are reweighted and their"
        " intervals include the sampling."
    )


def closure(diagnosis: Diagnosis) -> str:
    """How well the terms sum to the gap, and what bounds that."""
    missed = "less than a millionth" if diagnosis.closure < 1e-6 else percent(diagnosis.closure)
    return (
        f"In the worst episode the terms miss the gap by {missed} of the largest quantity "
        f"involved. What bounds this: {diagnosis.precision.rstrip('.')}."
    )


def contraction(diagnosis: Diagnosis) -> str:
    """What the contraction factor means for the growth of errors."""
    if diagnosis.contraction is None:
        return ""
    factor = diagnosis.contraction
    times = "" if diagnosis.discount == 1 else "Discounted, "
    if factor.kind == "estimate":
        sentence = (
            f"{times}a state error was seen to multiply by up to {number(factor.upper)} a step;"
            " more is possible."
        )
        return capital(sentence)
    sentence = (
        f"{times}a state error multiplies by {number(factor.lower)} to {number(factor.upper)} a"
        " step at the most"
    )
    sentence = capital(sentence)
    if factor.upper < 1:
        return (
            f"{sentence}: below 1, errors die out, and from the closed loop on bounds stay finite"
            " in any episode."
        )
    if factor.lower >= 1:
        return (
            f"{sentence}: 1 or more, errors may grow with the episode, and bounds from worst"
            " constants mean little."
        )
    return f"{sentence}: whether errors die out (below 1) or may grow with the episode is open."


def capital(sentence: str) -> str:
    """The sentence with a capital letter; `str.capitalize` would make the rest small."""
    return sentence[0].upper() + sentence[1:]


def component(index: int, names: Sequence[str]) -> str:
    """A component of the state, by its number and its name if it has one: `7 goal[0]`."""
    return f"{index} {names[index]}" if names else str(index)


def dimensions(diagnosis: Diagnosis) -> str:
    """On how many steps the split by state component rests."""
    split_steps = diagnosis.dynamics_by_dimension.steps
    if split_steps >= diagnosis.real_steps:
        return "Every real step was split."
    return (
        f"Split on {split_steps:,} of the {diagnosis.real_steps:,} real steps, chosen at random and"
        " reweighted; the remainder includes that sampling."
    )


def components_shown(diagnosis: Diagnosis, most: int) -> str:
    """That the chart by component leaves some out, where it has room for fewer; else empty."""
    count = len(diagnosis.dynamics_by_dimension.dimensions)
    if count <= most:
        return ""
    return f" Shown: the {most} of {count:,} with the largest shares; its numbers have all."


def off_policy(diagnosis: Diagnosis) -> str:
    """That the episodes are another policy's, and what they are worth."""
    if diagnosis.effective_episodes is None:
        return ""
    return (
        "Another policy recorded these episodes; reweighted they are worth"
        f" {number(diagnosis.effective_episodes)}"
        f" of the {diagnosis.gap.total.n}."
    )


def informative_horizon(diagnosis: Diagnosis) -> str:
    """How long an imagined rollout says more than the mean state."""
    if diagnosis.informative_horizon is None:
        return (
            "Chance parts these real and imagined episodes, so that no informative horizon is"
            " known."
        )
    if diagnosis.informative_horizon == 0:
        return (
            "Already after one step an imagined rollout of the policy is no better a guess of the"
            " state than the mean state."
        )
    return (
        f"For its first {diagnosis.informative_horizon:,} of {diagnosis.horizon:,} steps an"
        " imagined rollout of the policy is a better guess of the state than the mean state."
    )


def steps(amount: int | None) -> str:
    """A number of steps, or a dash where it is not known."""
    return "–" if amount is None else f"{amount:,}"


def data_edge(diagnosis: Diagnosis) -> str:
    """How much of imagination was spent where data ends; empty for a world that has no edge."""
    if diagnosis.data_edge_share is None:
        return ""
    return (
        f"{percent(diagnosis.data_edge_share)} of the imagined steps touched the edge of the"
        " collected data, beyond which the model is not allowed to go."
    )


def edge_share(diagnosis: Diagnosis) -> str:
    """The share of imagined steps at the edge of the data, if the world has one."""
    return "–" if diagnosis.data_edge_share is None else percent(diagnosis.data_edge_share)


def reference(record: Reference) -> str:
    """What acted in the data, as the name of a row."""
    return "random actions" if record.policy == "random actions" else "recorded data"


def baselines(errors: Baselines) -> list[tuple[str, str, str]]:
    """Rows of one-step errors: the predicted quantity, the model's error, and the errors of the
    simplest predictors.
    """
    return [
        (
            "next state, in scaled states",
            number(errors.dynamics),
            f"{number(errors.mean_next_state)} for always the mean next state,"
            f" {number(errors.persistence)} for no change",
        ),
        (
            "reward, in its own unit",
            number(errors.reward),
            f"{number(errors.mean_reward)} for always the mean reward, {number(errors.zero_reward)}"
            " for always zero",
        ),
    ]


def episodes(amount: int) -> str:
    """A number of episodes."""
    return count_of(amount, "episode")


def direction(diagnosis: Diagnosis) -> str:
    """What the sign of the gap means."""
    total = diagnosis.gap.total
    if diagnosis.decision.kind in ("rounding", "unseen"):
        return "The gap is no more than rounding."
    if not total.excludes_zero:
        return (
            "The interval of the total gap holds zero: imagination was neither clearly too hopeful"
            " nor too gloomy."
        )
    if total.mean < 0:
        return "Imagination was too hopeful: it promised more return than the real world paid."
    return "Imagination was too gloomy: the real world paid more return than it promised."


def is_planned(run: RunResult) -> bool:
    """Whether the policy is a planner, which was not trained."""
    return bool(run.trainings) and run.trainings[-1].stop_reason is StopReason.PLANNED


def real_steps_during_imagination(result: RunResult) -> str:
    """Whether imagination stayed imagination."""
    asked = result.real_steps_during_imagination
    return "no real steps" if asked == 0 else f"{asked:,} real steps"


def is_of_one_task(runs: Comparison) -> bool:
    """Whether the runs can be compared."""
    return len({run.task for run in runs.runs.values()}) <= 1


def comparison_notes(runs: Comparison) -> list[str]:
    """What to know below the table of a comparison."""
    names = list(runs.runs)
    sampled = [
        name
        for name, run in runs.runs.items()
        if run.diagnosis.audited_steps < run.diagnosis.real_steps
    ]
    notes = []
    if is_of_one_task(runs) and len(names) > 1:
        notes.append(f"≠: the interval does not overlap that of {names[0]}.")
    if sampled:
        notes.append(
            f"The terms of {', '.join(sampled)} are of a random subset of the steps, reweighted:"
            " they sum to the gap but for that sampling, which their intervals include."
        )
    return notes


def comparison(runs: Comparison) -> str:
    """Which run did best in the real world, and whether the intervals can tell."""
    results = runs.runs
    if len(tasks := dict.fromkeys(run.task for run in results.values())) > 1:
        return (
            f"These runs are of different tasks, {' and '.join(tasks)}: their returns are listed"
            " beside each other, not compared."
        )
    returns = {name: run.diagnosis.real_return for name, run in results.items()}
    best = max(returns, key=lambda name: returns[name].mean)
    rivals = [name for name in returns if name != best and overlap(returns[name], returns[best])]
    lead = f"{best} has the highest real return, {estimate(returns[best])}"
    if len(returns) == 1:
        return f"{best} has the real return {estimate(returns[best])}."
    if rivals:
        return f"{lead}, but its interval overlaps that of {', '.join(rivals)}."
    return f"{lead}, and its interval overlaps no other."


def overlap(first: Estimate, second: Estimate) -> bool:
    """Whether two intervals share a point."""
    return first.low <= second.high and second.low <= first.high
