"""The figures of every kind of page as inline SVG; the one way from a page to Matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from paracosm.core.records import Calibration, Diagnosis
from paracosm.core.records.benchmarks import Benchmark
from paracosm.core.records.decisions import LabelPlan, MixturePlan, Plan
from paracosm.core.records.experiments import Chart, Experiment
from paracosm.core.records.ranking import Ranking
from paracosm.core.records.results import Comparison, RunResult
from paracosm.reporting import benchmark_words, figures
from paracosm.reporting.figures.dimensions import MOST_COMPONENTS
from paracosm.reporting.figures.overlay import MOST_DIMENSIONS, parted_most
from paracosm.reporting.figures.svg import alone, inline


def diagnosis(record: Diagnosis) -> dict[str, Any]:
    """The figures of an audit; `most` is how many state dimensions its overlays can show,
    `components` which ones they do, `most_components` how many the dynamics term by component.
    """
    overlays = [figures.plot_overlay(record, number) for number in range(len(record.overlays))]
    training = record.gap_training and figures.plot_gap(
        record.gap_training, "predicted", horizon=record.horizon_parts is not None
    )
    episode = figures.plot_gap(record.gap, "imagined", horizon=False)
    by_component = "The dynamics term by state component"
    of_episode = "The gap of whole episodes and its causes with intervals"
    of_training = "The gap of what training believed and its causes with intervals"
    return {
        "returns": _inline(
            figures.plot_returns(record), "returns", "Real and imagined return with intervals"
        ),
        "gap": _inline(episode, "gap", of_episode),
        "gap_training": _inline(training, "gap-training", of_training) if training else "",
        "steps": _inline(
            figures.plot_steps(record), "steps", "Running sums of the causes over the episode"
        ),
        "dimensions": _inline(figures.plot_dimensions(record), "dimensions", by_component)
        if record.dynamics_by_dimension.dimensions
        else "",
        **_calibration(record.calibration),
        "overlays": _all(overlays, "overlay", "Imagined rollout over real episode"),
        "most": MOST_DIMENSIONS,
        "most_components": MOST_COMPONENTS,
        "components": parted_most(record.overlays) if record.overlays else [],
    }


def _calibration(record: Calibration | None) -> dict[str, Any]:
    """The figures of a world's spread, where it was judged."""
    if record is None:
        return {}
    held, ahead = "What the intervals of each level hold", "Errors by horizon beside simple guesses"
    return {
        "coverage": _inline(figures.plot_coverage(record.coverage), "coverage", held)
        if record.coverage
        else "",
        "horizons": _inline(figures.plot_horizons(record), "horizons", ahead),
    }


def run(result: RunResult) -> dict[str, Any]:
    """The figures that a run has beside those of its audit."""
    learned = {name: figures.plot_learning(fit) for name, fit in result.fits.items() if fit.curve}
    trained = any(training.step for training in result.trainings)
    drawn = (
        _inline(figures.plot_training(result), "training", "Imagined return over training")
        if trained
        else ""
    )
    along = "Returns, terms, calibration and edge share along the run"
    return {
        "training": drawn,
        "along": _inline(figures.plot_rounds(result), "along", along) if result.rounds else "",
        "plans": {
            decision.round: plan(decision.plan, f"round-{decision.round}")
            for decision in result.decisions
            if decision.plan
        },
        "learning": {
            name: _inline(figure, f"learning-{number}", f"Learning of the {result.fits[name].part}")
            for number, (name, figure) in enumerate(learned.items())
        },
    }


def comparison(runs: Comparison) -> list[Markup]:
    """The figures of a comparison."""
    return [
        _inline(
            figures.plot_comparison_returns(runs),
            "returns",
            "Real and imagined return of every run",
        ),
        _inline(
            figures.plot_comparison_causes(runs), "causes", "The causes of the gap of every run"
        ),
    ]


def plan(record: Plan, name: str = "plan") -> dict[str, Any]:
    """The figures of a plan; `name` keeps several plans in one page apart."""
    curves = {part: figures.plot_plan_curve(record, part) for part in record.curves}
    return {
        "splits": _inline(
            figures.plot_plan_splits(record),
            f"{name}-splits",
            "Predicted error and regret by split",
        ),
        "frontier": _inline(
            figures.plot_plan_frontier(record), f"{name}-frontier", "Error and split by money spent"
        ),
        "curves": {
            part: _inline(figure, f"{name}-{part}", f"Learning curve of the {part} model")
            for part, figure in curves.items()
        },
    }


def label_plan(record: LabelPlan) -> dict[str, Any]:
    """The figures of a label plan."""
    noise = figures.plot_gradient_noise(record.noise) if record.noise else None
    return {
        "cost": _inline(
            figures.plot_label_cost(record), "cost", "What labels of each cost are worth"
        ),
        "noise": _inline(noise, "noise", "What label noise adds to the gradient’s variance")
        if noise
        else "",
    }


def mixture_plan(record: MixturePlan) -> dict[str, Any]:
    """The figures of a mixture plan."""
    return {
        "errors": _inline(
            figures.plot_mixture(record), "errors", "Squared error of each way to label"
        )
    }


def ranking(record: Ranking) -> dict[str, Any]:
    """The figures of a ranking."""
    returns = "Real and imagined return of every policy"
    return {"returns": _inline(figures.plot_ranking_returns(record), "returns", returns)}


def charts(record: Experiment | Benchmark) -> dict[str, Markup]:
    """The charts of an experiment or a benchmark by name."""
    return {
        chart.name: _inline(figures.plot_chart(chart), f"chart-{chart.name}", chart.title)
        for chart in _charts_of(record)
    }


def chart_files(record: Experiment | Benchmark) -> dict[str, str]:
    """The charts as SVG files, by the ends of their names."""
    return {
        f"{chart.name}.svg": alone(figures.plot_chart(chart), chart.name)
        for chart in _charts_of(record)
    }


def _charts_of(record: Experiment | Benchmark) -> tuple[Chart, ...]:
    if isinstance(record, Benchmark):
        return benchmark_words.charts(record)
    return record.findings.charts


def _all(drawn: Sequence[Any], name: str, description: str) -> list[Markup]:
    return [
        _inline(figure, f"{name}-{n}", f"{description} {n + 1}") for n, figure in enumerate(drawn)
    ]


def _inline(figure: Any, name: str, description: str) -> Markup:
    return Markup(inline(figure, name, description))
