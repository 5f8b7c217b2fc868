"""Whether a world's spread is worth anything, in sentences with their intervals."""

from __future__ import annotations

import dataclasses

from paracosm.core.records import Estimate
from paracosm.core.records.calibration import Calibration, ReturnSpread
from paracosm.reporting import words

_JUDGED = {
    "members": "the ensemble's",
    "total": "the ensemble's",
    "drawn": "the stochastic world's",
}
_EXTREME = 0.02  # a share nearer to none or all needs another digit
_BROAD = 10  # from here on a rise is a factor, not a percentage


def with_sentences(calibration: Calibration) -> Calibration:
    """The record with its verdict."""
    return dataclasses.replace(calibration, verdict=verdict(calibration))


def verdict(calibration: Calibration) -> str:
    """What was found of one step, in one sentence; a second one where the model ignores actions."""
    return " ".join(filter(None, [_of_spread(calibration), blindness(calibration)]))


def judged_spread(calibration: Calibration) -> str:
    """Which spread was judged."""
    count = words.count(calibration.count)
    return {
        "none": "This world has one set of networks and predicts no spread.",
        "members": (
            f"Judged: how far the means of {count} members lie apart. They predict no noise, so"
            " that of a stochastic environment is not in it."
        ),
        "total": (
            f"Judged: how far the means of {count} members lie apart, and the noise that they"
            " predict."
            if calibration.count > 1
            else "Judged: the noise that one network predicts; what it does not know is not in it."
        ),
        "drawn": f"Judged: the spread of {count} draws of the world's next state.",
    }[calibration.spread]


def _of_spread(calibration: Calibration) -> str:
    if calibration.spread == "none":
        return "This world predicts no spread, so that nothing says in advance how wrong it may be."
    if calibration.coverage is None or calibration.factor is None:
        return "No component of the state is uncertain, so that there is no spread to judge."
    held = calibration.coverage.observed[-1]
    sentence = (
        f"{words.capital(_JUDGED[calibration.spread])} 90% intervals hold {share(held)} of the real"
        f" next states: {_confidence(calibration, calibration.factor)}."
    )
    return sentence


def _confidence(calibration: Calibration, factor: Estimate) -> str:
    over = f"by a factor of {words.number(max(factor.mean, 1e-300), 1)}"
    under = f"by a factor of {words.number(1 / max(factor.mean, 1e-300), 1)}"
    return {
        "overconfident": f"one step ahead it is overconfident {over}",
        "underconfident": f"one step ahead it is underconfident {under}",
        "calibrated": "one step ahead it is calibrated",
        "undetermined": (
            "whether it is calibrated one step ahead is open after"
            f" {words.episodes(calibration.episodes)}"
        ),
        None: "",
    }[calibration.confidence]


def share(value: Estimate) -> str:
    """A share with its interval, as percentages; near none and near all with a decimal more."""
    decimals = 1 if min(value.mean, 1 - value.mean) < _EXTREME else 0
    mean, low, high = (f"{100 * end:.{decimals}f}" for end in (value.mean, value.low, value.high))
    return f"{mean}% [{low}, {high}]"


def blindness(calibration: Calibration) -> str:
    """That the model's error is the same with other steps' actions, if that was found."""
    actions = calibration.actions
    if actions is None or not actions.blind:
        return ""
    errors = f"{words.number(actions.shuffled.mean)} against {words.number(actions.recorded.mean)}"
    return (
        "It is blind to actions: with the actions of other steps its one-step error is as small"
        f" ({errors} in scaled states), so that it cannot tell a good policy from a bad one."
    )


def actions(calibration: Calibration) -> str:
    """What the error owes to the actions."""
    use = calibration.actions
    if use is None:
        return "The recorded actions never vary, so that what the model makes of them is not known."
    if use.blind is None:
        return (
            f"Whether the model heeds actions is open after {words.episodes(calibration.episodes)}:"
            f" with those of other steps its squared error rises by {rise(use.rise)}."
        )
    if use.blind:
        return blindness(calibration)
    return (
        "The model heeds actions: with those of other steps its squared error rises by"
        f" {rise(use.rise)}."
    )


def rise(value: Estimate) -> str:
    """A rise as a percentage, or as a factor where it is large."""
    if value.mean >= _BROAD:
        mean, low, high = (words.number(1 + end) for end in (value.mean, value.low, value.high))
        return f"a factor of {mean} [{low}, {high}]"
    mean, low, high = (words.number(100 * end, 0) for end in (value.mean, value.low, value.high))
    return f"{mean}% [{low}, {high}]"


def returns(calibration: Calibration) -> str:
    """The spread of the imagined return beside the gap; empty where it is not known."""
    spread = calibration.returns
    if spread is None:
        return ""
    size = words.number(spread.spread)
    return (
        f"Each in its own world, the {words.count(len(spread.members))} members imagine returns"
        f" that lie {size} apart (standard deviation); the gap of {words.mean(spread.gap)} is"
        f" {_in_spreads(spread)}."
    )


def _in_spreads(spread: ReturnSpread) -> str:
    if spread.spread == spread.gap.mean == 0:
        return "0 too: these episodes do not tell whether their disagreement announces one"
    ratio = f"{words.number(spread.ratio.mean, 1)} times that"
    ends = f"[{words.number(spread.ratio.low, 1)}, {words.number(spread.ratio.high, 1)}]"
    return {
        True: f"{ratio} {ends}: the members' disagreement announces a gap of this size",
        False: f"{ratio} {ends}: the members' disagreement does not announce it",
        None: f"{ratio} {ends}: whether their disagreement announces it is open",
    }[spread.inside]


def horizons(calibration: Calibration) -> str:
    """How far the model is better than simple guesses, and from which states that was tried."""
    return " ".join(filter(None, [_lead(calibration), _starts(calibration)]))


def _lead(calibration: Calibration) -> str:
    steps, longest = calibration.informed_steps, calibration.horizons[-1].steps
    model = "the model, given the recorded actions and so without a policy that steers back,"
    if steps == 0:
        first, guesses = calibration.horizons[0].lead, "two simple guesses (no change, mean state)"
        if first.high > 0:
            after = words.episodes(first.n)
            return f"Whether {model} is better than {guesses} is open after {after}."
        return f"Not even one step ahead is {model} better than the better of {guesses}."
    more = ", the longest that was tried," if steps == longest and steps > 1 else ""
    ahead = "One step ahead" if steps == 1 else f"Up to {words.count(steps)} steps ahead{more}"
    return f"{ahead} {model} is clearly better than no change and than the mean state."


def _starts(calibration: Calibration) -> str:
    """Where the listed horizons start; empty where that was not recorded, or is everywhere."""
    if calibration.starts in (0, calibration.steps):
        return ""
    reached, number = calibration.horizons[0].model.n, calibration.episodes
    episodes = words.episodes(number)
    if reached < number:
        episodes = f"{words.count(reached)} of {episodes}, the others being too short"
    return (
        f"All listed horizons start from the same {words.count(calibration.starts)} recorded"
        f" states, drawn all over {episodes}; the other numbers of one step are of all"
        f" {words.count(calibration.steps)} steps."
    )
