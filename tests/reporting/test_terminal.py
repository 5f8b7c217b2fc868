"""The terminal summaries: 80 columns, every number, the verdict last, with what follows from it."""

import dataclasses

import pytest
from rich.console import Console

from paracosm.core.records.results import Comparison
from paracosm.reporting import summary, tables
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


def test_markup_in_names_is_text():
    assert "[bold]x[/bold]" in shown(records.run(env="[bold]x[/bold]", warnings=("[red]",)))


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_any_number_of_runs_compares_in_80_columns(count):
    runs = {f"runs/a-rather-long-name-of-a-run-{n}": records.run(seed=n) for n in range(count)}
    text = shown(Comparison(runs))
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("horizon  ") >= -(-count // 3)


def test_comparison_marks_intervals_apart():
    text = shown(records.comparison())
    assert "−612 ≠" in text
    assert "runs/labels has the highest real return" in " ".join(text.split())


def test_records_of_comparisons_survive_json():
    assert Comparison.from_json(records.comparison().to_json()) == records.comparison()
