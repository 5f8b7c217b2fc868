"""One self-contained HTML page from a record."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from paracosm.core.files import whole
from paracosm.core.records import Comparison, Diagnosis, RunResult
from paracosm.reporting import figures, tables, words
from paracosm.reporting.figures.overlay import MOST_DIMENSIONS
from paracosm.reporting.figures.svg import inline

Renderable = RunResult | Diagnosis | Comparison


def render(record: Renderable) -> str:
    """The record as one HTML page that needs nothing else: no network, no script, every string escaped."""
    if isinstance(record, Comparison):
        return _fill("comparison.html", runs=record, figures=_comparison_figures(record))
    run = record if isinstance(record, RunResult) else None
    found = record.diagnosis if isinstance(record, RunResult) else record
    drawn = {**_diagnosis_figures(found), **(_run_figures(run) if run else {})}
    return _fill("report.html", run=run, found=found, figures=drawn, most=MOST_DIMENSIONS)


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
    return _templates().get_template(template).render(words=words, tables=tables, **values)


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("paracosm.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _diagnosis_figures(found: Diagnosis) -> dict[str, Any]:
    overlays = [figures.plot_overlay(found, episode) for episode in range(len(found.overlays))]
    return {
        "returns": _inline(figures.plot_returns(found), "returns", "Real and imagined return with intervals"),
        "gap": _inline(figures.plot_gap(found), "gap", "The total gap and its four causes with intervals"),
        "steps": _inline(figures.plot_steps(found), "steps", "Running sums of the causes over the episode"),
        "dimensions": _inline(figures.plot_dimensions(found), "dimensions", "The dynamics term by state component"),
        "overlays": _all(overlays, "overlay", "Imagined rollout over real episode"),
    }


def _run_figures(run: RunResult) -> dict[str, Any]:
    learned = {name: figures.plot_learning(fit) for name, fit in run.fits.items() if fit.curve}
    trained = any(training.step for training in run.trainings)
    return {
        "training": _inline(figures.plot_training(run), "training", "Imagined return over training") if trained else "",
        "learning": {
            name: _inline(figure, f"learning-{number}", f"Learning of the {run.fits[name].part}")
            for number, (name, figure) in enumerate(learned.items())
        },
    }


def _comparison_figures(runs: Comparison) -> list[Markup]:
    return [
        _inline(figures.plot_comparison_returns(runs), "returns", "Real and imagined return of every run"),
        _inline(figures.plot_comparison_causes(runs), "causes", "The causes of the gap of every run"),
    ]


def _all(drawn: Sequence[Any], name: str, description: str) -> list[Markup]:
    return [_inline(figure, f"{name}-{n}", f"{description} {n + 1}") for n, figure in enumerate(drawn)]


def _inline(figure: Any, name: str, description: str) -> Markup:
    return Markup(inline(figure, name, description))
