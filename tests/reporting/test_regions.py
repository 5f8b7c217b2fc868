"""Where to buy: every number on the page and in 80 columns of the terminal, and nothing of it where
no region is known.
"""

import dataclasses
import html

import pytest

from paracosm.core.records import Estimate
from paracosm.core.records.decisions import Plan
from paracosm.core.records.regions import Placement, StateRegion, StateRegions
from paracosm.reporting import region_tables, region_words, render
from tests.reporting import decision_records as records
from tests.reporting.test_page import Balanced
from tests.reporting.test_terminal import shown


def estimate(mean: float, half: float) -> Estimate:
    return Estimate(mean, mean - half, mean + half, 20, "mean")


def region(number: int, excess: float, contrast=(0.1, 2.5, -3.0)) -> StateRegion:
    return StateRegion(
        center=(0.25, 12_345.0, -number / 7),
        rest=(0.2, 3.5, 6.25),
        contrast=contrast,
        steps=4000 // number,
        owned=1000 * number,
        dynamics=estimate(-1.25 * number, 0.5),
        termination=estimate(0.0, 0.0),
        reward=estimate(0.75, 0.03),
        error=estimate(11.5 * number, 2.5),
        excess=estimate(excess, 1.0),
    )


def placement(excesses=(-3.0, 0.5, 2.5), **changes) -> Placement:
    rows = tuple(region(i + 1, excess) for i, excess in enumerate(excesses))
    shares = tuple(2 * (i + 1) / len(rows) / (len(rows) + 1) for i in range(len(rows)))
    predicted = {"now": 69.0, "regions": 41.5, "visits": 52.25}
    record = Placement(StateRegions(rows, 37, 20, 0.95), 3_500, 0.21, shares, predicted)
    return dataclasses.replace(record, **changes)


def with_places(where: Placement | None) -> Plan:
    return records.plan(placement=where)


@pytest.mark.parametrize("count", [2, 8])
def test_the_terminal_says_every_number_in_80_columns(count):
    where = placement((2.5,) * count)
    text = shown(with_places(where))
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.split())
    for row in region_tables.rows(where):
        assert " ".join(row) in flat
    for name, place in region_tables.places(where):
        assert f"{name}: {place}" in flat
    for sentence in (region_words.predicted_errors, region_words.how_to_buy, region_words.note):
        assert sentence(where) in flat
    assert region_words.TRIED in flat
    assert flat.endswith(with_places(where).verdict)


def test_the_page_says_every_number_and_interval():
    where = placement()
    text = html.unescape(" ".join(" ".join(Balanced(render(with_places(where))).text).split()))
    for row in region_tables.page_rows(where):
        assert " ".join(row) in text
    for _, place in region_tables.places(where):
        assert place in text
    assert region_words.outstanding_regions(where) in text
    assert region_words.predicted_errors(where) in text
    assert region_words.TRIED in text


def test_nothing_is_said_where_no_region_is_known():
    for text in (shown(with_places(None)), render(with_places(None))):
        assert "Where to buy" not in text


def test_only_regions_whose_excess_excludes_zero_stand_out():
    assert region_words.outstanding_regions(placement()).startswith(
        "Region 3 errs clearly more than its"
    )
    two = region_words.outstanding_regions(placement((1.5, 0.5, 2.5)))
    assert two.startswith("Regions 1, 3 err clearly more than their")
    assert region_words.outstanding_regions(placement((-3.0, 0.5))).startswith(
        "No region errs clearly"
    )


def test_a_region_is_described_by_what_sets_it_apart():
    assert region_words.location(region(7, 0.0)) == (
        "component 2 about −1.00 (6.25 elsewhere), component 1 about 12,345 (3.50 elsewhere)"
    )
    alike = region(1, 0.0, contrast=(0.1, 0.3, 0.2))
    assert region_words.location(alike).startswith("component 1 about")
    assert "component 2" not in region_words.location(alike)


def test_shares_of_the_table_sum_to_what_is_bought():
    rows = region_tables.rows(placement())
    assert sum(int(row[-2].replace(",", "")) for row in rows) == 3_500
    assert [row[-1] for row in rows] == ["17%", "33%", "50%"]


@pytest.mark.parametrize("count", [3, 7, 8])
@pytest.mark.parametrize("bought", [1, 526, 750, 4_999])
def test_rounded_shares_sum_to_what_is_bought(count, bought):
    where = placement((1.0,) * count, shares=(1 / count,) * count, transitions=bought)
    counts = [int(row[-2].replace(",", "")) for row in region_tables.rows(where)]
    assert sum(counts) == bought
    assert max(counts) - min(counts) <= 1
