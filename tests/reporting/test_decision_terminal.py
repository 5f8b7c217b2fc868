"""Plans in the terminal: 80 columns, every number, the verdict last."""

import pytest

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
    rows = [*decision_tables.purchase_rows(plan), *decision_tables.error_rows(plan), *decision_tables.budget_rows(plan)]
    rows += [*decision_tables.curve_rows(plan), *(row.cells for row in decision_tables.split_rows(plan))]
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


def test_run_summary_says_what_each_round_bought():
    text = shown(records.run_with_a_budget())
    assert max(map(len, text.splitlines())) <= 80
    assert "1,750" in text
    assert "a pilot: as many" in " ".join(text.split())


def test_markup_in_plans_is_text():
    assert "[bold]x[/bold]" in shown(records.plan(verdict="[bold]x[/bold]", warnings=("[red]",)))
    assert "[red]" in shown(records.label_plan(warnings=("[red]",)))
