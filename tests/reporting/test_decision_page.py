"""Pages of plans: every number, the verdict first, safe strings, and plans of which something is
missing.
"""

import dataclasses
import html
import math
import re

import pytest

from paracosm.core.records import Estimate, Weights
from paracosm.core.records.decisions import Anchor, CurveFit, LabelChoice
from paracosm.reporting import decision_tables, decision_words, render, tables, words
from tests.reporting import decision_records as records
from tests.reporting.test_page import HOSTILE, Balanced

NONE_OWNED = Estimate(math.inf, math.inf, math.inf, 2000, "nothing is owned")
SHORT_CURVE = CurveFit(1.0, 0.5, 0.4, 0.6, 0.0, 0.9, 2.0, (Anchor(10, 0.3, 0),) * 3, ())


def text_of(record) -> str:
    return html.unescape(" ".join(" ".join(Balanced(render(record)).text).split()))


def test_plan_page_says_every_number():
    plan = records.plan()
    text = text_of(plan)
    rows = [
        *decision_tables.purchase_rows(plan),
        *decision_tables.owned_rows(plan),
        *decision_tables.error_rows(plan),
        *decision_tables.marginal_rows(plan),
        *(row.cells for row in decision_tables.split_rows(plan)),
        *decision_tables.budget_rows(plan),
        *decision_tables.curve_rows(plan),
        *tables.weight_rows(plan),
    ]
    expected = [cell for row in rows for cell in row]
    expected += [
        decision_words.ratio(plan),
        decision_words.regret(plan),
        decision_words.pilot(plan.next_pilot),
    ]
    expected += [decision_words.marginal(plan), plan.disagreement, plan.verdict, *plan.warnings]
    for phrase in expected:
        assert phrase in text


def test_a_small_price_times_the_units_is_the_total():
    cheap = records.plan(prices={"dynamics": 0.004, "reward": 10.0})
    assert decision_tables.purchase_rows(cheap)[0][2:] == ("0.00400", "14")
    assert "transitions at 0.00400" in text_of(cheap)


def test_label_pages_say_every_number():
    labels, mixture = records.label_plan(), records.mixture_plan()
    of_labels, of_mixture = text_of(labels), text_of(mixture)
    rows = [
        *(row.cells for row in decision_tables.label_rows(labels)),
        *decision_tables.noise_rows(labels),
    ]
    for phrase in [
        *(cell for row in rows for cell in row),
        decision_words.what_decides(labels),
        labels.verdict,
    ]:
        assert phrase in of_labels
    rows = [*decision_tables.mixture_rows(mixture), *decision_words.changes(mixture)]
    for phrase in [
        *(cell for row in rows for cell in row),
        decision_words.correlation(mixture),
        mixture.verdict,
    ]:
        assert phrase in of_mixture


@pytest.mark.parametrize("make", [records.plan, records.label_plan, records.mixture_plan])
def test_verdict_comes_before_every_table_and_figure(make):
    shown = render(make())
    assert shown.index('id="verdict"') < min(shown.index("<table"), shown.index("<svg"))


@pytest.mark.parametrize("make", [records.plan, records.label_plan, records.mixture_plan])
def test_every_figure_has_a_title_a_name_for_screen_readers_and_a_sentence(make):
    figures = re.findall(r"<figure>(.*?)</figure>", render(make()), flags=re.S)
    assert figures
    for figure in figures:
        assert re.match(r"<h3>[^<]+</h3><svg role=\"img\" aria-label=\"[^\"]+\"", figure)
        assert re.search(r"<figcaption>[^<]{60,}", figure)


def hostile_plan():
    fit = dataclasses.replace(records.fit("dynamics"))
    way = dataclasses.replace(records.plan().best, name=HOSTILE, units={HOSTILE: 3, "$x_{": 1})
    return records.plan(
        best=way,
        alternatives=(way,),
        prices={HOSTILE: 1.0},
        curves={"dynamics": fit, "reward": fit},
        weights=(Weights(1.0, 1.0, HOSTILE, 0.9, 3, HOSTILE + "$\\bad$"),),
        disagreement=HOSTILE,
        warnings=(HOSTILE,),
        verdict=HOSTILE,
    )


def test_strings_of_plans_are_escaped():
    choice = LabelChoice(1.0, 3, 1, 0.1, HOSTILE)
    noise = dataclasses.replace(records.noise(), weighting=HOSTILE)
    labels = records.label_plan(
        alternatives=(choice,), regime=HOSTILE, noise=noise, warnings=(HOSTILE,)
    )
    ways = tuple(dataclasses.replace(way, name=HOSTILE) for way in records.mixture_plan().choices)
    mixture = records.mixture_plan(
        choices=ways, winner=HOSTILE, changes={HOSTILE: 1.0}, warnings=(HOSTILE,)
    )
    for record in (hostile_plan(), labels, mixture):
        shown = render(record)
        assert HOSTILE not in shown
        assert "&lt;script&gt;" in shown
        assert "script" not in Balanced(shown).tags


SPARSE = {
    "no pictures": records.plan(across=(), frontier=(), alternatives=()),
    "nothing owned": records.plan(
        owned={},
        predicted_error={"before": NONE_OWNED, "after": records.plan().best.error},
        ratio=math.inf,
    ),
    "no pilot, one route": records.plan(
        next_pilot=None, disagreement="", weights=records.plan().weights[:1]
    ),
    "curves without a band": records.plan(
        curves=dict.fromkeys(("dynamics", "reward"), SHORT_CURVE)
    ),
    "no regret anywhere": records.plan(
        across=tuple(
            dataclasses.replace(way, regret=records.around(0.0, 0)) for way in records.plan().across
        ),
        alternatives=(),
        best=dataclasses.replace(records.plan().best, regret=records.around(0.0, 0)),
        expected_regret=0.0,
    ),
    "some splits impossible": records.plan(
        across=(
            dataclasses.replace(records.plan().across[0], error=NONE_OWNED),
            *records.plan().across[1:],
        )
    ),
    "several sources": records.plan_with_sources(),
    "nothing bought": records.plan(dynamics=0, reward=0, best=records.purchase("none", 0.5, 0.0)),
    "no warnings": records.plan(warnings=(), interval=()),
    "labels without noise": records.label_plan(noise=None, warnings=(), alternatives=()),
    "labels from a table": records.label_plan(table=records.label_plan().table[:2]),
    "labels not attained": records.label_plan(attained=False),
    "labels without error": records.label_plan(
        table=((1.0, 0.0, 0.0), (2.0, 0.0, 0.0)), variance=0.0
    ),
    "labels for nothing": records.label_plan(table=((0.0, 1.0, 0.2),), cost=0.0),
    "the same winner everywhere": records.mixture_plan(changes={}),
    "infinite errors": records.mixture_plan(
        choices=(
            dataclasses.replace(
                records.mixture_plan().choices[0], variance=math.inf, error=math.inf
            ),
        )
    ),
}


@pytest.mark.parametrize("name", SPARSE)
def test_plans_without_some_parts_render(name):
    assert SPARSE[name].verdict in text_of(SPARSE[name])


def test_only_what_is_bought_of_several_offers_is_a_headline():
    text = text_of(records.plan_with_sources())
    assert "Buy labelled transitions 1,000" in text
    assert "Buy labels from crowd 3,166" in text
    assert "Buy transitions" not in text
    assert "as the plain labels that they are worth" in text


def folded_plans(shown: str) -> list[str]:
    """The plans of rounds in a run's page, each up to the next one or the end of its section."""
    parts = re.split(r"<details>\s*<summary>(?:Round \d+|Next): ", shown)[1:]
    return [part.split("</section>")[0] for part in parts]


def test_run_page_says_what_each_round_bought_and_why():
    run = records.run_with_a_budget()
    shown, text = render(run), text_of(run)
    for row in decision_tables.round_rows(run):
        assert all(cell in text for cell in row)
    assert "a plan for 20,000: predicted error in return 0.458 → 0.340" in text
    assert "next 3,500 1,650 what another budget of this size would buy: predicted error" in text
    assert records.PLAN_VERDICT in text
    assert len(folded_plans(shown)) == 2
    assert "Round 2: Buy" in text
    assert "Next: Buy" in text


def test_several_plans_in_one_page_share_no_id_and_no_heading_of_the_page():
    shown = render(records.run_with_a_budget())
    ids = Balanced(shown).ids
    assert len(ids) == len(set(ids))
    assert {"round-1-buy", "round-3-buy"} <= set(ids)
    assert not [plan for plan in folded_plans(shown) if "<h2" in plan]


def test_half_and_double_are_read_off_the_frontier_and_nothing_else():
    rows = decision_tables.budget_rows(records.plan())
    assert [row[0] for row in rows] == ["half", "this budget", "double"]
    assert [row[1] for row in rows] == [
        words.price(records.BUDGET * factor) for factor in (0.5, 1, 2)
    ]
    far = records.plan(frontier=records.plan().frontier[-1:])
    assert decision_tables.budget_rows(far) == []
