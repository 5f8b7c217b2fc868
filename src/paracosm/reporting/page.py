"""One self-contained HTML page from a record."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from paracosm.core.decisions import LabelPlan, Plan
from paracosm.core.files import whole
from paracosm.core.records import Diagnosis
from paracosm.core.results import Comparison, RunResult
from paracosm.reporting import decision_tables, decision_words, tables, words
from paracosm.reporting.decision_terminal import AnyPlan

Renderable = RunResult | Diagnosis | Comparison | AnyPlan


def render(record: Renderable) -> str:
    """The record as one HTML page that needs nothing else: no network, no script, every string escaped."""
    from paracosm.reporting import drawing  # Matplotlib is slow to import, and only a page needs it

    if isinstance(record, RunResult):
        found = record.diagnosis
        drawn = drawing.diagnosis(found) | drawing.run(record)
        return _fill("report.html", run=record, found=found, figures=drawn)
    if isinstance(record, Diagnosis):
        return _fill("report.html", run=None, found=record, figures=drawing.diagnosis(record))
    if isinstance(record, Comparison):
        return _fill("comparison.html", runs=record, figures=drawing.comparison(record))
    if isinstance(record, Plan):
        return _fill("plan.html", plan=record, figures=drawing.plan(record))
    if isinstance(record, LabelPlan):
        return _fill("labels.html", plan=record, figures=drawing.label_plan(record))
    return _fill("mixture.html", plan=record, figures=drawing.mixture_plan(record))


def write(record: Renderable, path: str | Path) -> Path:
    """Write the record's page to `path`, whole or not at all; returns the path.

    Raises:
        BadArgument: the path cannot be written.
    """
    text = render(record)
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")
    return Path(path)


def _fill(template: str, **values: Any) -> str:
    return _templates().get_template(template).render(**values)


@cache
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("paracosm.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "words": words,
        "tables": tables,
        "decision_words": decision_words,
        "decision_tables": decision_tables,
    }
    return made
