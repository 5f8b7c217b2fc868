"""What a plan for cheap and gold labels says: its warnings and its verdict, in plain words."""

from __future__ import annotations

from paracosm.core.numerals import grouped
from paracosm.core.records.decisions import MixtureChoice
from paracosm.planning.label_words import number

_WAYS = {"cheap": "cheap labels alone", "gold": "gold labels alone", "mixture": "the mixture"}
_MATTERS = 0.01


def verdict(choices: tuple[MixtureChoice, ...], changes: dict[str, float], first: str) -> str:
    """What to buy, what the other ways would lose, and from which budget on another way wins."""
    ranked = sorted(choices, key=lambda choice: choice.error)
    best, others = ranked[0], ranked[1:]
    error = f"the policy gradient then has squared error {number(best.error)}"
    return " ".join(
        [f"Buy {_bought(best)}: {error}.", *_stakes(best, others), *_budgets(changes, first)]
    )


def _bought(best: MixtureChoice) -> str:
    if best.name == "mixture":
        gold = f"gold labels on {grouped(best.gold)} of them"
        return f"the mixture, {grouped(best.rollouts)} rollouts with cheap labels and {gold}"
    return f"{_WAYS[best.name]}, on {grouped(best.rollouts)} rollouts"


def _stakes(best: MixtureChoice, others: list[MixtureChoice]) -> list[str]:
    if others and others[0].error < (1 + _MATTERS) * best.error:
        return [f"It hardly matters: {_WAYS[others[0].name]} would be within 1% of that."]
    return [_loss(other, other.error / best.error - 1) for other in others]


def _loss(other: MixtureChoice, loss: float) -> str:
    more = f"{number(100 * loss)}% more" if loss < 1 else f"{number(1 + loss)} times that"
    tail = (
        ", most of it bias, which no money removes" if other.squared_bias > other.variance else ""
    )
    return f"{_WAYS[other.name].capitalize()} would have {more}{tail}."


def _budgets(changes: dict[str, float], first: str) -> list[str]:
    if not changes:
        return [f"At any other budget {_WAYS[first]} would win, too."]
    starts = [f"from about {number(start)} on {_WAYS[name]}" for name, start in changes.items()]
    return [f"With a small budget {_WAYS[first]} would win; {', '.join(starts)}."]


def warnings(
    choices: tuple[MixtureChoice, ...], *, correlation: float, fewest_gold: float, bias: float
) -> tuple[str, ...]:
    """What the reader should know before acting on the plan."""
    said = []
    if correlation == 0:
        said.append(
            "Cheap and gold gradients do not correlate: cheap labels can correct nothing, there is"
            " no mixture."
        )
    elif all(choice.name != "mixture" for choice in choices):
        said.append(
            f"The mixture is left out: at a correlation of {correlation:g} its coefficient cannot"
            " be told from "
            f"noise with fewer than {fewest_gold:,.0f} gold labels, which this budget does not buy."
        )
    if bias == 0:
        said.append(
            "The cheap labels were said to have no bias at all; cheap labels alone are only as"
            " good as that."
        )
    return tuple(said)
