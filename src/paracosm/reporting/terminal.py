"""Tables for the terminal, readable in 80 columns; the verdict comes last, next to the prompt."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paracosm.core.records import Diagnosis, Estimate, Gap
from paracosm.core.records.benchmarks import Benchmark
from paracosm.core.records.data import DataSummary
from paracosm.core.records.deployment import Deployment
from paracosm.core.records.experiments import Experiment
from paracosm.core.records.gate import Gate
from paracosm.core.records.indicators import Indicators
from paracosm.core.records.ranking import Ranking
from paracosm.core.records.results import Comparison, RunResult
from paracosm.reporting import ranking_words, tables, words
from paracosm.reporting.benchmark_terminal import benchmark
from paracosm.reporting.calibration_terminal import calibration
from paracosm.reporting.data_terminal import data_summary
from paracosm.reporting.decision_terminal import AnyPlan, planned, rounds
from paracosm.reporting.deployment_terminal import deployment
from paracosm.reporting.experiment_terminal import experiment
from paracosm.reporting.gate_terminal import gate
from paracosm.reporting.indicator_terminal import indicators, precursors
from paracosm.reporting.ranking_terminal import ranking
from paracosm.reporting.renderable import Renderable

COLORS = {"reward": "dark_orange", "termination": "green", "dynamics": "blue", "horizon": "yellow"}
RUNS_ABREAST = 3  # as many columns of numbers as fit into 80 characters
HALF_BAR = 9  # characters of a bar on either side of zero


def summary(record: Renderable | DataSummary) -> RenderableType:
    """What a record says, in 80 columns, for any rich console."""
    if isinstance(record, AnyPlan):
        return planned(record)
    if isinstance(record, Diagnosis):
        return Group(
            *_diagnosis(record),
            *(_bounds(record) if record.valid else ()),
            *calibration(record.calibration),
            *_of_checkpoints(record),
            *_verdict(record),
        )
    return _run(record) if isinstance(record, RunResult) else _OWN[type(record)](record)


def _of_checkpoints(diagnosis: Diagnosis) -> list[RenderableType]:
    if diagnosis.ranking is None:
        return []
    return [Text(f"{ranking_words.of_checkpoints(diagnosis.ranking)}\n")]


def _run(run: RunResult) -> Group:
    diagnosis = run.diagnosis
    bought = [rounds(run)] if run.decisions else []
    return Group(
        _bought(run),
        *bought,
        *precursors(run.indicators),
        *_diagnosis(diagnosis),
        *_warnings(run),
        *_verdict(diagnosis),
    )


def _diagnosis(diagnosis: Diagnosis) -> list[RenderableType]:
    head = "Whole episode" + _at(diagnosis.discount)
    shown: list[RenderableType] = [_gap(head, diagnosis.gap, tables.gap_rows(diagnosis))]
    beside = tables.beside_rows(diagnosis)
    if beside:
        shown.append(_estimates("Beside it", beside))
    if diagnosis.gap_training is not None and diagnosis.valid:
        head = ("Training" if diagnosis.horizon_parts else "The world's own") + _at(
            diagnosis.training_discount
        )
        shown.append(_gap(head, diagnosis.gap_training, tables.training_rows_of_gap(diagnosis)))
    sentences = " ".join(filter(None, [diagnosis.verdict_training, diagnosis.explanation_training]))
    if sentences:
        shown.append(Text(sentences + "\n"))
    return [*shown, _trust(diagnosis)]


def _at(discount: float) -> str:
    return "" if discount == 1 else f", discount {discount:g}"


def _bought(run: RunResult) -> Text:
    bought = run.purchases
    parts = [
        f"{run.env}, seed {run.seed}",
        f"{bought.transitions:,} transitions",
        f"{bought.reward_labels:,} reward labels",
        f"price {words.price(bought.spent)}",
        words.total_time(run),
    ]
    shown = Text(" · ".join(parts), style="bold")
    if run.discount is not None:
        name = "Discount" if words.is_planned(run) else "Training discount"
        shown.append(f"\n{name} {words.discount(run.discount)}", style="not bold dim")
    return shown


def _table(*heads: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    table.add_column(heads[0], no_wrap=True)
    table.add_column(heads[1], justify="right", no_wrap=True)
    table.add_column(heads[2], justify="right", no_wrap=True, style="dim")
    table.add_column(heads[3], style="dim")
    return table


def _estimates(head: str, rows: list[tables.Row]) -> Table:
    table = _table(head, "mean", "95% interval", "")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _gap(head: str, gap: Gap, rows: list[tables.Row]) -> Table:
    table = _table(head, "mean", "95% interval", "")
    table.columns[3].header = Text("hopeful ← → gloomy")
    terms = {"gap": gap.total, **{name: getattr(gap, name) for name in COLORS}}
    scale = max(
        (abs(term.mean) for term in terms.values() if math.isfinite(term.mean)), default=0.0
    )
    scale = scale if scale > gap.rounding else 0.0  # then there is nothing to draw
    for row in rows:
        term = terms.get(row.name)
        drawn = _bar(term, scale, COLORS.get(row.name, "")) if term else Text("")
        table.add_row(
            Text(row.name),
            Text(row.value),
            Text(row.interval),
            drawn,
            end_section=row.name == "gap",
        )
    return table


def _bar(term: Estimate, scale: float, style: str) -> Text:
    length = round(HALF_BAR * abs(term.mean) / scale) if scale and math.isfinite(term.mean) else 0
    left, right = ("█" * length, "") if term.mean < 0 else ("", "█" * length)
    return Text(f"{left:>{HALF_BAR}}│{right:<{HALF_BAR}}", style=style)


def _trust(diagnosis: Diagnosis) -> Text:
    lines = [
        words.steps_audited(diagnosis),
        words.closure(diagnosis),
        words.informative_horizon(diagnosis),
        words.data_edge(diagnosis),
    ]
    return Text("\n".join(filter(None, lines)) + "\n", style="dim")


def _warnings(run: RunResult) -> list[Text]:
    return [Text(f"Warning: {warning}", style="yellow") for warning in run.warnings]


def _verdict(diagnosis: Diagnosis) -> list[Text]:
    findings = [
        Text(f"Finding: {finding.sentence}", style="yellow") for finding in diagnosis.findings
    ]
    rest = " ".join(filter(None, [diagnosis.explanation, words.off_policy(diagnosis)]))
    following = [Text(f"\nNext: {diagnosis.next}", style="bold")] if diagnosis.next else []
    return [*findings, Text(diagnosis.verdict, style="bold"), Text(rest), *following]


def _bounds(diagnosis: Diagnosis) -> list[RenderableType]:
    """Certificates and Lipschitz brackets: what only `audit` prints."""
    ladder = _table("Bound on the gap", "at most", "times the gap", "")
    for rung, kind, value, slack, _ in tables.certificate_rows(diagnosis):
        ladder.add_row(rung, value, slack, kind)
    constants = _table("Lipschitz constant", "at least", "at most", "")
    for row in tables.bracket_rows(diagnosis):
        constants.add_row(*row)
    shown = [table for table in (ladder, constants) if table.row_count]
    return [*shown, Text(words.contraction(diagnosis) + "\n", style="dim")] if shown else []


def _comparison(comparison: Comparison) -> Group:
    names = list(comparison.runs)
    starts = range(0, len(names), RUNS_ABREAST)
    blocks = [_side_by_side(comparison, slice(start, start + RUNS_ABREAST)) for start in starts]
    notes = [Text(f"{note}\n", style="dim") for note in words.comparison_notes(comparison)]
    return Group(*blocks, *notes, Text(words.comparison(comparison), style="bold"))


def _side_by_side(comparison: Comparison, which: slice) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("")
    for name in itertools.islice(comparison.runs, which.start, which.stop):
        table.add_column(Text(name, overflow="fold"), justify="right", overflow="fold")
    settings = ("Set differently", tables.differing_settings(comparison))
    for title, rows in [*tables.compared_rows(comparison), settings]:
        table.add_row(Text(title, style="dim"))
        for row in rows:
            table.add_row(Text(f" {row.name}"), *map(_cell, row.cells[which]))
    return table


def _cell(cell: tables.ComparedCell) -> Text:
    text = Text(f"{cell.value}{' ≠' if cell.apart else ''}")
    return text.append(f"\n{cell.interval}", style="dim") if cell.interval else text


# Records that have a file or a function of their own
_OWN: dict[type, Callable[[Any], RenderableType]] = {
    Benchmark: benchmark,
    Comparison: _comparison,
    DataSummary: data_summary,
    Deployment: deployment,
    Experiment: experiment,
    Gate: gate,
    Indicators: indicators,
    Ranking: ranking,
}
