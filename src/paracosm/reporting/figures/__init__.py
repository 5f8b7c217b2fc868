"""One file per plot; every plot is `plot_name(record) -> Figure`, drawn at 72 dots an inch: a unit
is a pixel.
"""

from paracosm.reporting.figures.chart import plot_chart
from paracosm.reporting.figures.comparison_causes import plot_comparison_causes
from paracosm.reporting.figures.comparison_returns import plot_comparison_returns
from paracosm.reporting.figures.coverage import plot_coverage, plot_horizons
from paracosm.reporting.figures.dimensions import plot_dimensions
from paracosm.reporting.figures.gap import plot_gap
from paracosm.reporting.figures.gradient_noise import plot_gradient_noise
from paracosm.reporting.figures.label_cost import plot_label_cost
from paracosm.reporting.figures.learning import plot_learning
from paracosm.reporting.figures.mixture import plot_mixture
from paracosm.reporting.figures.overlay import plot_overlay
from paracosm.reporting.figures.plan_curve import plot_plan_curve
from paracosm.reporting.figures.plan_frontier import plot_plan_frontier
from paracosm.reporting.figures.plan_splits import plot_plan_splits
from paracosm.reporting.figures.ranking_returns import plot_ranking_returns
from paracosm.reporting.figures.returns import plot_returns
from paracosm.reporting.figures.rounds import plot_rounds
from paracosm.reporting.figures.steps import plot_steps
from paracosm.reporting.figures.training import plot_training

__all__ = [
    "plot_chart",
    "plot_comparison_causes",
    "plot_comparison_returns",
    "plot_coverage",
    "plot_dimensions",
    "plot_gap",
    "plot_gradient_noise",
    "plot_horizons",
    "plot_label_cost",
    "plot_learning",
    "plot_mixture",
    "plot_overlay",
    "plot_plan_curve",
    "plot_plan_frontier",
    "plot_plan_splits",
    "plot_ranking_returns",
    "plot_returns",
    "plot_rounds",
    "plot_steps",
    "plot_training",
]
