"""From which region of states to buy, as rows of text for the page and the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from paracosm.core.records.regions import Placement, StateRegion
from paracosm.reporting import region_words, words

HEADS = ("region", "visits", "dynamics", "error", "owned", "buy", "")
PAGE_HEADS = (
    "region",
    "visits",
    "dynamics",
    "ends",
    "reward",
    "error",
    "beyond its visits",
    "owned",
    "buy",
)


def rows(placement: Placement) -> list[tuple[str, ...]]:
    """Number, share of the visits, dynamics term, summed sizes of errors, transitions owned and to
    buy, and their share: see `HEADS`.
    """
    return [
        (
            number,
            visits,
            words.mean(region.dynamics),
            words.mean(region.error),
            words.count(region.owned),
            *bought,
        )
        for number, visits, region, bought in _numbered(placement)
    ]


def page_rows(placement: Placement) -> list[tuple[str, ...]]:
    """Rows of the page's table, with all terms and their intervals: see `PAGE_HEADS`."""
    return [
        (
            number,
            visits,
            *map(
                words.estimate,
                (region.dynamics, region.termination, region.reward, region.error, region.excess),
            ),
            words.count(region.owned),
            " ".join(bought),
        )
        for number, visits, region, bought in _numbered(placement)
    ]


def places(placement: Placement) -> list[tuple[str, str]]:
    """Number of each region, and where it lies."""
    names = placement.regions.components
    return [
        (f"region {number}", region_words.location(region, names))
        for number, _, region, _ in _numbered(placement)
    ]


def _numbered(placement: Placement) -> list[tuple[str, str, StateRegion, tuple[str, str]]]:
    """Number, share of the visits, region, transitions to buy from it and their share."""
    regions = placement.regions.regions
    steps = sum(region.steps for region in regions)
    counts = _whole_counts(placement.shares, placement.transitions)
    return [
        (
            str(i + 1),
            f"{region.steps / steps:.0%}",
            region,
            (words.count(count), f"{share:.0%}"),
        )
        for i, (region, share, count) in enumerate(
            zip(regions, placement.shares, counts, strict=True)
        )
    ]


def _whole_counts(shares: Sequence[float], total: int) -> list[int]:
    """Whole numbers in proportion to shares that add up to 1; they sum to the total: those with the
    largest remainders are rounded up.
    """
    exact = [share * total for share in shares]
    counts = [math.floor(amount) for amount in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: counts[i] - exact[i])
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    return counts
