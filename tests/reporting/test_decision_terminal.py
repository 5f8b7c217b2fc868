"""Plans in the terminal: 80 columns, every number, the verdict last."""

import dataclasses

import pytest

from paracosm.core.records.decisions import LabelChoice
from paracosm.reporting import decision_tables
from tests.reporting import decision_records as records
from tests.reporting.test_terminal import shown

MAKERS = [records.plan, records.plan_with_sources, records.label_plan, records.mixture_plan]


@pytest.mark.parametrize("make", MAKERS)
def test_summary_fits_and_ends_with_the_verdict(make):
    text = shown(make())
    assert max(map(len, text.splitlines())) <= 80
    assert " ".join(text.split()).endswith(make().verdict)


def test_plan_says_counts_error_regret_and_alternatives():
    plan, text = records.plan(), shown(records.plan())
    rows = [
        *decision_tables.purchase_rows(plan),
        *decision_tables.error_rows(plan),
        *decision_tables.budget_rows(plan),
    ]
    rows += [
        *decision_tables.curve_rows(plan),
        *(row.cells for row in decision_tables.split_rows(plan)),
    ]
    for cell in (cell for row in rows for cell in row):
        assert cell in text
    flat = " ".join(text.split())
    for sentence in (plan.disagreement, *(f"Warning: {warning}" for warning in plan.warnings)):
        assert sentence in flat


def test_labels_and_mixtures_say_their_choices():
    text = shown(records.label_plan())
    for row in decision_tables.label_rows(records.label_plan()):
        assert all(cell in text for cell in row.cells[1:])
    for row in decision_tables.noise_rows(records.label_plan()):
        assert all(cell in text for cell in row)
    text = shown(records.mixture_plan())
    for row in decision_tables.mixture_rows(records.mixture_plan()):
        assert all(cell in text for cell in row)


@pytest.mark.parametrize(
    ("rollouts", "cell"),
    [
        (4_000_000_000_003, "4,000,000,000,003"),
        (10**15, "1,000,000,000,000,000"),
        (10**300, "1e+300"),
    ],
)
def test_large_counts_stay_on_one_line_and_the_largest_are_short(rollouts, cell):
    long = LabelChoice(0.25, rollouts, 1, 0.125, "a rule with a name of several words")
    text = shown(dataclasses.replace(records.label_plan(), alternatives=(long,)))
    assert f" {cell} " in text
    assert max(map(len, text.splitlines())) <= 80


def test_large_prices_are_short():
    plan = records.plan()
    text = shown(dataclasses.replace(plan, prices=dict.fromkeys(plan.prices, 1e300), budget=3e305))
    assert "1e+300" in text
    assert "Budget 3e+305" in text
    assert "0" * 20 not in text.replace(",", "")


def test_run_summary_says_what_each_round_bought():
    text = shown(records.run_with_a_budget())
    assert max(map(len, text.splitlines())) <= 80
    assert "1,750" in text
    assert "a pilot: as many" in " ".join(text.split())


def test_markup_in_plans_is_text():
    assert "[bold]x[/bold]" in shown(records.plan(verdict="[bold]x[/bold]", warnings=("[red]",)))
    assert "[red]" in shown(records.label_plan(warnings=("[red]",)))
