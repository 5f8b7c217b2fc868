"""From which region of states to buy, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from paracosm.core.records.regions import Placement, StateRegion
from paracosm.reporting import words

_COMPONENTS = 2  # named of a region: those in which it differs the most from the rest
_LIKE = 0.5  # standard deviations: components that differ by less tell nothing of a region


def location(region: StateRegion, names: Sequence[str] = ()) -> str:
    """Where a region lies: the components in which its states differ the most from the rest, by
    their `names` if they have any.
    """
    order = sorted(range(len(region.contrast)), key=lambda i: -abs(region.contrast[i]))
    apart = [i for i in order[:_COMPONENTS] if abs(region.contrast[i]) >= _LIKE] or order[:1]
    return ", ".join(
        f"component {words.component(i, names)} about {words.number(region.center[i])}"
        f" ({words.number(region.rest[i])} elsewhere)"
        for i in apart
    )


def outstanding_regions(placement: Placement) -> str:
    """Which regions err clearly more than their share of the visits."""
    rows = placement.regions.regions
    more = [str(i + 1) for i, region in enumerate(rows) if region.excess.low > 0]
    if not more:
        return (
            "No region errs clearly more than its share of the visits: buying by the policy does."
        )
    if len(more) == 1:
        return f"Region {more[0]} errs clearly more than its share of the visits."
    return f"Regions {', '.join(more)} err clearly more than their share of the visits."


def predicted_errors(placement: Placement) -> str:
    """What the shares are predicted to win against buying by the policy's visits."""
    left = {name: words.number(error) for name, error in placement.predicted.items()}
    return (
        f"The sizes of the steps' errors add up to {left['now']} in return; with"
        f" {words.count(placement.transitions)} transitions more they are predicted to be"
        f" {left['regions']} if bought by region and {left['visits']} if bought as the policy"
        " visits."
    )


# Holds until benchmarks/regions.md says otherwise
TRIED = (
    "Buying by these shares is no sure gain: in trials it left no more error than the policy's own"
    " episodes in two tasks of three, and four times as much in the third. Take them for where the"
    " errors lie."
)


def how_to_buy(placement: Placement) -> str:
    """How the transitions can be bought, and what is in none of the regions."""
    none = placement.regions.elsewhere
    outside = (
        f" {words.count(none)} of the owned transitions start in states that the policy does not"
        " visit."
        if none
        else ""
    )
    return (
        "To buy in a region, start in its states where the environment can be put into a state;"
        f" else explore until it is reached.{outside}"
    )


def note(placement: Placement) -> str:
    """How the shares come about."""
    exponent = words.number(placement.exponent)
    return (
        f"Shares minimise the sum of the regions' errors, each falling as n^{words.MINUS}{exponent}"
        " with the transitions in it, above the curve's floor."
    )
