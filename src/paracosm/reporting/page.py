"""One self-contained HTML page from a record."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paracosm.core.checks import Unsupported
from paracosm.core.files import atomic_write
from paracosm.core.film import Film
from paracosm.core.records import Diagnosis, discounted
from paracosm.core.records.benchmarks import Benchmark
from paracosm.core.records.decisions import LabelPlan, MixturePlan, Plan
from paracosm.core.records.deployment import Deployment
from paracosm.core.records.experiments import Experiment
from paracosm.core.records.gate import Gate
from paracosm.core.records.indicators import Indicators
from paracosm.core.records.ranking import Ranking
from paracosm.core.records.results import Comparison, RunResult
from paracosm.reporting import (
    benchmark_words,
    calibration_tables,
    calibration_words,
    chart_tables,
    decision_tables,
    decision_words,
    deployment_words,
    experiment_words,
    film_words,
    fold_words,
    gate_words,
    indicator_words,
    ranking_words,
    references,
    region_tables,
    region_words,
    round_words,
    tables,
    words,
)
from paracosm.reporting.film import on_page
from paracosm.reporting.headline import headline
from paracosm.reporting.planner import planner
from paracosm.reporting.renderable import Renderable

if TYPE_CHECKING:
    import jinja2


def render(record: Renderable, film: Film | str | None = None) -> str:
    """The record as one HTML page that needs nothing else: no network, no script from elsewhere,
    every string escaped.

    Args:
        record: The result.
        film: Of a run or an audit: its first episode in pictures, or why there are none.
    """
    from paracosm.reporting import drawing  # Matplotlib is slow to import, and only a page needs it

    if isinstance(record, RunResult):
        diagnosis = record.diagnosis
        drawn = drawing.diagnosis(diagnosis) | drawing.run(record)
        return _fill(
            "report.html", run=record, diagnosis=diagnosis, figures=drawn, film=on_page(film)
        )
    if isinstance(record, Diagnosis):
        drawn = drawing.diagnosis(record)
        return _fill("report.html", run=None, diagnosis=record, figures=drawn, film=on_page(film))
    if isinstance(record, Gate):
        return _fill("gate.html", gate=record)
    if isinstance(record, Deployment):
        return _fill("deployment.html", record=record)
    if isinstance(record, Indicators):
        return _fill("indicators.html", record=record)
    template, name, draw = {
        Comparison: ("comparison.html", "runs", drawing.comparison),
        Benchmark: ("benchmark.html", "record", drawing.charts),
        Experiment: ("experiment.html", "record", drawing.charts),
        LabelPlan: ("labels.html", "plan", drawing.label_plan),
        MixturePlan: ("mixture.html", "plan", drawing.mixture_plan),
        Plan: ("plan.html", "plan", drawing.plan),
        Ranking: ("ranking.html", "ranking", drawing.ranking),
    }[type(record)]
    return _fill(template, **{name: record, "figures": draw(record)})


def write(
    record: Renderable, path: str | Path = "report.html", *, film: Film | str | None = None
) -> Path:
    """Write the record's page to `path`, whole or not at all; returns the path.

    Args:
        record: The result.
        path: The file to write.
        film: As of `render`.

    Raises:
        Unsupported: no page shows such a thing.
        BadArgument: the path cannot be written.
    """
    if not isinstance(record, Renderable):
        raise Unsupported(
            "a page shows a result, a diagnosis, a comparison, a gate, a deployment, a ranking,"
            " leading indicators, a plan, an experiment or a benchmark, and this is a"
            f" {type(record).__name__}; of a run directory, paracosm.load(path).result is needed."
        )
    text = render(record, film)
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")
    return Path(path)


def publish(record: Experiment | Benchmark, folder: str | Path) -> tuple[Path, ...]:
    """Write an experiment or a benchmark as a page, as Markdown with a picture file for each
    chart, and as JSON; returns the paths.

    Raises:
        BadArgument: the folder cannot be written.
    """
    from paracosm.reporting import drawing

    benchmark = isinstance(record, Benchmark)
    stem = record.suite if benchmark else record.name.lower()
    written = {
        f"{stem}.json": f"{record.to_json()}\n",
        f"{stem}.md": _fill("benchmark.md" if benchmark else "experiment.md", record=record),
        f"{stem}.html": render(record),
        **{f"{stem}-{end}": text for end, text in drawing.chart_files(record).items()},
    }
    for name, text in written.items():
        with atomic_write(Path(folder) / name) as part:
            part.write_text(text, encoding="utf-8")
    return tuple(Path(folder) / name for name in written)


def _fill(template: str, **values: Any) -> str:
    return _templates().get_template(template).render(**values)


@cache
def _templates() -> jinja2.Environment:
    import jinja2  # a terminal's summary needs none

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("paracosm.reporting"),
        autoescape=lambda name: name is None or not name.endswith(".md"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "discounted": discounted,
        "references": references,
        "fold_words": fold_words,
        "film_words": film_words,
        "chart_tables": chart_tables,
        "words": words,
        "calibration_words": calibration_words,
        "calibration_tables": calibration_tables,
        "round_words": round_words,
        "tables": tables,
        "decision_words": decision_words,
        "decision_tables": decision_tables,
        "deployment_words": deployment_words,
        "experiment_words": experiment_words,
        "gate_words": gate_words,
        "indicator_words": indicator_words,
        "ranking_words": ranking_words,
        "region_tables": region_tables,
        "region_words": region_words,
        "benchmark_words": benchmark_words,
        "headline": headline,
        "planner": planner,
    }
    return environment
