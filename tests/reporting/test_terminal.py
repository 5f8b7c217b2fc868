"""The terminal summaries: 80 columns, every number, the verdict last, with what follows from it."""

import dataclasses

import pytest
from rich.console import Console

from paracosm.core.records import Estimate
from paracosm.core.records.results import Comparison
from paracosm.core.records.stop_reason import StopReason
from paracosm.reporting import render, summary, tables
from paracosm.reporting.figures import plot_gap
from tests.auditing.gaps import estimate, gap
from tests.reporting import report_records as records


def shown(record, width=80):
    console = Console(width=width, no_color=True, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(summary(record))
    return capture.get()


@pytest.mark.parametrize("make", [records.run, records.diagnosis])
def test_summary_fits_says_every_number_and_ends_with_the_verdict_and_the_next_step(make):
    text = shown(make())
    assert max(map(len, text.splitlines())) <= 80
    diagnosis = records.diagnosis()
    rows = (
        tables.gap_rows(diagnosis)
        + tables.training_rows_of_gap(diagnosis)
        + tables.beside_rows(diagnosis)
    )
    assert diagnosis.verdict_training in " ".join(text.split())
    for row in rows:
        assert all(value in text for value in (row.name, row.value, row.interval))
    assert " ".join(text.split()).endswith(
        f"{records.VERDICT} {diagnosis.explanation} Next: {diagnosis.next}"
    )


def test_rounding_has_no_bar_and_nothing_beside_it_no_table():
    assert "█" in shown(records.diagnosis())
    assert "Beside it" in shown(records.diagnosis())
    tiny = gap({"reward": (1e-9, 1e-9), "dynamics": (-5e-9, 1e-9)})
    tiny = dataclasses.replace(tiny, total=estimate(-4e-9, 1e-9))
    nothing = {"reference": None, "assisted": None, "mode_versus_sampled": None, "search": None}
    text = shown(records.diagnosis(gap=tiny, gap_training=None, **nothing))
    assert "█" not in text
    assert "Beside it" not in text
    drawn = plot_gap(tiny, "imagined", horizon=False).axes[0]
    assert all(patch.get_width() == 0 for patch in drawn.patches)
    assert drawn.get_xlim()[1] > 1  # of a return of 100


def test_run_summary_says_what_was_bought_and_warns():
    text = shown(records.run())
    assert "Pendulum-v1" in text
    assert "5,000 transitions" in text
    assert "Warning: Only 1,000" in text


def test_no_discount_of_training_is_said_of_a_planner():
    planned = records.training(stop_reason=StopReason.PLANNED)
    text = shown(records.run(trainings=(planned,)))
    assert "Training discount" not in text
    assert "Discount 0.98" in text
    assert "Training discount 0.98" in shown(records.run())


def test_markup_in_names_is_text():
    assert "[bold]x[/bold]" in shown(records.run(env="[bold]x[/bold]", warnings=("[red]",)))


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_any_number_of_runs_compares_in_80_columns(count):
    runs = {f"runs/a-rather-long-name-of-a-run-{n}": records.run(seed=n) for n in range(count)}
    text = shown(Comparison(runs))
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("horizon  ") >= -(-count // 3)


def test_runs_of_different_tasks_are_not_marked_as_apart():
    runs = {**records.comparison().runs, "hopper": records.run(env="Hopper-v5")}
    assert "≠" not in shown(Comparison(runs))


def test_terms_of_a_subset_of_the_steps_are_said_to_be_of_one():
    note = "are of a random subset of the steps, reweighted"
    whole = records.diagnosis()
    sampled = dataclasses.replace(whole, audited_steps=whole.real_steps - 1)
    every = dataclasses.replace(whole, audited_steps=whole.real_steps)
    for diagnosis, expected in ((sampled, True), (every, False)):
        runs = {"a": records.run(diagnosis=diagnosis), "b": records.run(diagnosis=every)}
        for text in (shown(Comparison(runs)), render(Comparison(runs))):
            assert (f"The terms of a {note}" in " ".join(text.split())) == expected


def test_rounding_hides_no_interval_that_excludes_zero():
    """Beside a gap of 300 ± 20 the reward's term is clearly wrong, and is shown to be."""
    whole = records.diagnosis()
    for low, high, shown_interval in (
        (-0.508, -0.0133, "[−0.51, −0.01]"),
        (-1.2, -0.8, "[−1.20, −0.80]"),
        (-0.4, 0.3, "[0, 0]"),
        (1e-7, 290.0, "[0, 290]"),
    ):
        term = Estimate((low + high) / 2, low, high, 20, "mean")
        total = Estimate(300.0, 280.0, 320.0, 20, "mean")
        gap = dataclasses.replace(whole.gap, reward=term, total=total)
        rows = tables.gap_rows(dataclasses.replace(whole, gap=gap))
        row = next(row for row in rows if row.name == "reward")
        assert row.interval == shown_interval


def test_comparison_marks_intervals_apart():
    text = shown(records.comparison())
    assert "−612 ≠" in text
    assert "runs/labels has the highest real return" in " ".join(text.split())


def test_records_of_comparisons_survive_json():
    assert Comparison.from_json(records.comparison().to_json()) == records.comparison()
