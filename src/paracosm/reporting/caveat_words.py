"""A sentence for each kind of caveat."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from paracosm.core.numerals import grouped
from paracosm.core.records.reasons import Caveat, CaveatKind
from paracosm.reporting.decision_words import unit_name
from paracosm.reporting.words import money, reading


def sentences(caveats: Iterable[Caveat]) -> tuple[str, ...]:
    """Caveats in words, one sentence each."""
    return tuple(sentence(caveat) for caveat in caveats)


def sentence(caveat: Caveat) -> str:
    """A caveat in words."""
    if caveat.kind in _COMPUTED:
        return _COMPUTED[caveat.kind](caveat.part, caveat.numbers)
    return _SENTENCES[caveat.kind].format(part=caveat.part, **caveat.numbers)


CaveatNumbers = dict[str, float]


def _far_forecast(part: str, n: CaveatNumbers) -> str:
    times = reading(n["reach"] / n["largest"])
    return (
        f"With the plan {part} has {n['reach']:,.0f} samples, {times} times the largest size"
        f" measured; past {n['far']:g} times a forecast leans on the law more than on data."
    )


def _open_choice(_: str, n: CaveatNumbers) -> str:
    return (
        "Within the 95% intervals of the gradient's measured variance and noise coefficient the"
        f" best spending on the labels of a rollout lies between {reading(n['low'])} and"
        f" {reading(n['high'])}; if the truth is at their edge, another plan would have had"
        f" {reading(100 * n['less'])}% less variance."
    )


# Their numbers are computed, or printed by the rules of `reporting.words`
_COMPUTED: dict[CaveatKind, Callable[[str, CaveatNumbers], str]] = {
    CaveatKind.FAR_FORECAST: _far_forecast,
    CaveatKind.NOTHING_BOUGHT: lambda part, _: (
        f"The plan buys no {unit_name(part)}: money is worth more on the other part down to the"
        " last unit."
    ),
    CaveatKind.NO_ROOM: lambda part, _: (
        f"The plan buys no {unit_name(part)}: whole lots of both parts are more than the budget, or"
        " bring less than what is bought."
    ),
    CaveatKind.NOTHING_AFFORDED: lambda part, n: (
        f"The plan buys no {unit_name(part)}: the fewest for sale, {grouped(int(n['units']))}, cost"
        f" {money(n['price'])}, and the budget is {money(n['budget'])}."
    ),
    CaveatKind.MONEY_LEFT: lambda _, n: (
        f"Whole lots leave {money(n['left'])} of the {money(n['budget'])} unspent."
    ),
    CaveatKind.SHARED_ERRORS: lambda _, n: (
        f"Averaging {grouped(int(n['repeats']))} labels helps only if their errors are independent;"
        " shared errors stay."
    ),
    CaveatKind.OPEN_CHOICE: _open_choice,
    CaveatKind.UNSURE_WEIGHT: lambda part, n: (
        f"The weight of the {part} error, {reading(n['weight'])} with a standard error of"
        f" {reading(n['error'])}, could be zero: more real episodes would settle it."
    ),
    CaveatKind.STATES_PART: lambda part, n: (
        f"The {part} error is {reading(n['visited'])} on the states that the policy visits and"
        f" {reading(n['collected'])} on those collected: the plan goes by the former."
    ),
}

# Part and numbers go into these as they are
_SENTENCES: dict[CaveatKind, str] = {
    CaveatKind.MEAN_SQUARES: (
        "The {part} errors were mean squares; their square roots are used, which halves the"
        " exponent."
    ),
    CaveatKind.EDGE_OF_GRID: (
        "The {part} exponent lies at {edge:g}, an edge of the grid, with {share:.0%} probability."
    ),
    CaveatKind.STEEPENING: (
        "The {part} error seems to fall steeper and steeper, as no power law does; forecasts"
        " allow for either, and larger sizes would settle it."
    ),
    CaveatKind.NO_LONGER_FALLING: (
        "The {part} error seems to have stopped falling, or to rise, at the largest sizes;"
        " forecasts allow for little gain, and more seeds there would settle it."
    ),
    CaveatKind.ONE_SEED: (
        "The {part} curve has one seed at each size, so noise that seeds share passes for their"
        " own."
    ),
    CaveatKind.POOR_FIT: (
        "The {part} law explains {share:.0%} of how its measured errors differ, so that what it"
        " predicts is unsure; larger sizes or more seeds would settle it."
    ),
    CaveatKind.BUYS_LITTLE: (
        "The purchase lowers the predicted error by {share:.1%} only: by these curves so much money"
        " buys little."
    ),
    CaveatKind.ZERO_WEIGHT: (
        "One weight is zero: that part's error counts for nothing in this plan."
    ),
    CaveatKind.NOISIER_DEARER: (
        "In the fidelity table a label of {dearer:g} is noisier than one of {cheaper:g}"
        " (variance {dearer_variance:g} against {cheaper_variance:g}); the table is used as it"
        " is."
    ),
    CaveatKind.NO_GRADIENT_VARIANCE: (
        "The gradient was taken not to vary without label noise; rollouts do differ, and with"
        " their variance the plan could buy more rollouts and cheaper labels."
    ),
    CaveatKind.FREE_ROLLOUTS: (
        "A rollout was taken to cost nothing before it is labelled; with its price (--cost-rollout)"
        " fewer rollouts, and labels at least as dear, are best."
    ),
    CaveatKind.NO_REPEATS: (
        "Several labels on one rollout were not considered: they need the cost of the cheapest"
        " label that can be bought, since ever more of ever cheaper ones would look best."
    ),
    CaveatKind.NO_INTERVAL: (
        "Variance and coefficient of the gradient have no interval; measure them on more rollouts."
    ),
    CaveatKind.NO_CORRELATION: (
        "Cheap and gold gradients do not correlate: cheap labels can correct nothing, there is"
        " no mixture."
    ),
    CaveatKind.NO_MIXTURE: (
        "The mixture is left out: at a correlation of {correlation:g} its coefficient cannot be"
        " told from noise with fewer than {fewest:,.0f} gold labels, which this budget does not"
        " buy."
    ),
    CaveatKind.NO_BIAS: (
        "The cheap labels were said to have no bias at all; cheap labels alone are only as good"
        " as that."
    ),
    CaveatKind.LITTLE_LEARNED: (
        "The learned {part} errs {share:.0%} as much as a constant would: {rows:,.0f} rows may be"
        " too few."
    ),
    CaveatKind.EDGE_OF_DATA: (
        "{share:.0%} of the audited imagined steps lie at the edge of the data."
    ),
    CaveatKind.MOST_STEPS: (
        "Training in imagination reached its most gradient steps before the imagined return"
        " stalled."
    ),
    CaveatKind.STEPS_SAMPLED: (
        "The audit attributed a random {audited:,.0f} of {real:,.0f} real steps, reweighted."
    ),
}
