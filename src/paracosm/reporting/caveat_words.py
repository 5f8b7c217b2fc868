"""A sentence for each kind of caveat."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from paracosm.core.numerals import grouped
from paracosm.core.records.reasons import Caveat, CaveatKind
from paracosm.reporting.decision_words import BOUGHT
from paracosm.reporting.words import money, short


def sentences(caveats: Iterable[Caveat]) -> tuple[str, ...]:
    """Caveats in words, one sentence each."""
    return tuple(sentence(caveat) for caveat in caveats)


def sentence(caveat: Caveat) -> str:
    """A caveat in words."""
    return _SENTENCES[caveat.kind](caveat.part, caveat.numbers)


CaveatNumbers = dict[str, float]


def _far_forecast(part: str, n: CaveatNumbers) -> str:
    return (
        f"The plan takes {part} to {n['reach']:,.0f} samples, {n['reach'] / n['largest']:.0f} times"
        f" the largest size measured; past {n['far']:g} times a forecast leans on the law more than"
        " on data."
    )


def _unsure_weight(part: str, n: CaveatNumbers) -> str:
    return (
        f"The weight of the {part} error, {n['weight']:.3g} with a standard error of"
        f" {n['error']:.3g}, could be zero: more real episodes would settle it."
    )


def _noisier_dearer(_: str, n: CaveatNumbers) -> str:
    return (
        f"In the fidelity table a label of {n['dearer']:g} is noisier than one of"
        f" {n['cheaper']:g} (variance {n['dearer_variance']:g} against"
        f" {n['cheaper_variance']:g}); the table is used as it is."
    )


def _open_choice(_: str, n: CaveatNumbers) -> str:
    return (
        "Within the 95% intervals of the gradient's measured variance and noise coefficient the"
        f" best spending on the labels of a rollout lies between {short(n['low'])} and"
        f" {short(n['high'])}; if the truth is at their edge, another plan would have had"
        f" {short(100 * n['less'])}% less variance."
    )


def _no_mixture(_: str, n: CaveatNumbers) -> str:
    return (
        f"The mixture is left out: at a correlation of {n['correlation']:g} its coefficient cannot"
        f" be told from noise with fewer than {n['fewest']:,.0f} gold labels, which this budget"
        " does not buy."
    )


def _states_part(part: str, n: CaveatNumbers) -> str:
    return (
        f"The {part} error is {n['visited']:.3g} on the states that the policy visits and"
        f" {n['collected']:.3g} on those collected: the plan goes by the former."
    )


_SENTENCES: dict[CaveatKind, Callable[[str, CaveatNumbers], str]] = {
    CaveatKind.MEAN_SQUARES: lambda part, n: (
        f"The {part} errors were mean squares; their square roots are used, which halves the"
        " exponent."
    ),
    CaveatKind.FAR_FORECAST: _far_forecast,
    CaveatKind.EDGE_OF_GRID: lambda part, n: (
        f"The {part} exponent lies at {n['edge']:g}, an edge of the grid, with {n['share']:.0%}"
        " probability."
    ),
    CaveatKind.STEEPENING: lambda part, n: (
        f"The {part} error seems to fall steeper and steeper, as no power law does; forecasts"
        " allow for either, and larger sizes would settle it."
    ),
    CaveatKind.NO_LONGER_FALLING: lambda part, n: (
        f"The {part} error seems to have stopped falling, or to rise, at the largest sizes;"
        " forecasts allow for little gain, and more seeds there would settle it."
    ),
    CaveatKind.ONE_SEED: lambda part, n: (
        f"The {part} curve has one seed at each size, so noise that seeds share passes for their"
        " own."
    ),
    CaveatKind.NOTHING_BOUGHT: lambda part, n: (
        f"The plan buys no {BOUGHT[part]}: money is worth more on the other part down to the last"
        " unit."
    ),
    CaveatKind.MONEY_LEFT: lambda part, n: (
        f"Whole lots leave {money(n['left'])} of the {money(n['budget'])} unspent."
    ),
    CaveatKind.UNSURE_WEIGHT: _unsure_weight,
    CaveatKind.ZERO_WEIGHT: lambda part, n: (
        "One weight is zero: that part's error counts for nothing in this plan."
    ),
    CaveatKind.NOISIER_DEARER: _noisier_dearer,
    CaveatKind.NO_GRADIENT_VARIANCE: lambda part, n: (
        "The gradient was taken not to vary without label noise; rollouts do differ, and with their"
        " variance the plan could buy more rollouts and cheaper labels."
    ),
    CaveatKind.NO_REPEATS: lambda part, n: (
        "Several labels on one rollout were not considered: they need the cost of the cheapest"
        " label that can be bought, since ever more of ever cheaper ones would look best."
    ),
    CaveatKind.SHARED_ERRORS: lambda part, n: (
        f"Averaging {grouped(int(n['repeats']))} labels helps only if their errors are independent;"
        " shared errors stay."
    ),
    CaveatKind.NO_INTERVAL: lambda part, n: (
        "Variance and coefficient of the gradient have no interval; measure them on more rollouts."
    ),
    CaveatKind.OPEN_CHOICE: _open_choice,
    CaveatKind.NO_CORRELATION: lambda part, n: (
        "Cheap and gold gradients do not correlate: cheap labels can correct nothing, there is no"
        " mixture."
    ),
    CaveatKind.NO_MIXTURE: _no_mixture,
    CaveatKind.NO_BIAS: lambda part, n: (
        "The cheap labels were said to have no bias at all; cheap labels alone are only as good as"
        " that."
    ),
    CaveatKind.LITTLE_LEARNED: lambda part, n: (
        f"The learned {part} errs {n['share']:.0%} as much as a constant would:"
        f" {n['rows']:.0f} rows may be too few."
    ),
    CaveatKind.EDGE_OF_DATA: lambda part, n: (
        f"{n['share']:.0%} of the audited imagined steps lie at the edge of the data."
    ),
    CaveatKind.MOST_STEPS: lambda part, n: (
        "Training in imagination reached its most gradient steps before the imagined return"
        " stalled."
    ),
    CaveatKind.STEPS_SAMPLED: lambda part, n: (
        f"The audit attributed a random {n['audited']:.0f} of {n['real']:.0f} real steps,"
        " reweighted."
    ),
    CaveatKind.STATES_PART: _states_part,
}
