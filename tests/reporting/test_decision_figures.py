"""Figures of plans: the plan's point lies where the record says, letters name what the
table names.
"""

import dataclasses

import matplotlib.colors
import numpy as np
import pytest

from paracosm.core.records.decisions import Plan
from paracosm.reporting import figures
from paracosm.reporting.figures import marks
from paracosm.reporting.figures.series import money_share
from paracosm.reporting.figures.theme import CAUSES, IMAGINED, canvas
from tests.reporting import decision_records as records


def points(axes, marker: str) -> list[tuple[float, float]]:
    lines = [line for line in axes.lines if line.get_marker() == marker]
    return [
        point for line in lines for point in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]


@pytest.mark.parametrize("part", ["dynamics", "reward"])
def test_planned_point_lies_on_the_forecast_where_the_plan_ends(part):
    plan = records.plan()
    axes = figures.plot_plan_curve(plan, part).axes[0]
    [(samples, error)] = points(axes, "D")
    assert samples == plan.owned[part] + getattr(plan, part)
    scale, exponent, floor = records.LAWS[part]
    assert error == pytest.approx(floor + scale * samples**-exponent, rel=1e-3)
    measured = [(anchor.samples, anchor.error) for anchor in plan.curves[part].anchors]
    assert points(axes, "o") == measured
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert CAUSES[part] in {matplotlib.colors.to_hex(line.get_color()) for line in axes.lines}


def test_band_of_the_curve_holds_its_forecast():
    fit = records.fit("reward")
    band = (
        figures.plot_plan_curve(records.plan(), "reward")
        .axes[0]
        .collections[0]
        .get_paths()[0]
        .vertices
    )
    low, high = np.asarray(fit.band)[:, 1].min(), np.asarray(fit.band)[:, 3].max()
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((low, high))


def test_splits_mark_the_plan_and_every_rule_by_its_letter():
    plan = records.plan()
    error, regret = figures.plot_plan_splits(plan).axes
    assert points(error, "D") == [(money_share(plan.best, plan), plan.best.error.mean)]
    assert points(regret, "D") == [(money_share(plan.best, plan), plan.best.regret.mean)]
    rules = [(money_share(way, plan), way.regret.mean) for way in plan.alternatives]
    assert set(rules) <= set(points(regret, "o"))
    assert sorted("".join(text.get_text() for text in regret.texts)) == ["A", "B", "C", "D"]


@pytest.mark.parametrize(
    ("units", "share"),
    [
        ({"dynamics": 10_000, "reward": 1000}, 0.5),
        ({"dynamics": 0, "reward": 10}, 0.0),
        ({"dynamics": 7}, 1.0),
        ({"joint": 100}, 1 / 11),
        ({"dynamics": 30, "crowd": 10}, 0.5),
    ],
)
def test_share_of_the_money_counts_what_was_paid(units, share):
    plan: Plan = records.plan_with_sources()
    way = dataclasses.replace(plan.best, units=units)
    assert money_share(way, plan) == pytest.approx(share)


def test_frontier_names_half_and_double():
    axes, shares = figures.plot_plan_frontier(records.plan()).axes
    named = {text.get_text(): text.xy[0] for text in axes.texts}
    assert named == {"half": records.BUDGET / 2, "double": records.BUDGET * 2}
    plan = records.plan()
    assert points(axes, "D") == [(plan.best.spend, plan.best.error.mean)]
    assert points(shares, "o") == [(way.spend, money_share(way, plan)) for way in plan.frontier]
    assert points(shares, "D") == [(plan.best.spend, money_share(plan.best, plan))]


def test_labels_show_what_each_cost_is_worth_and_where_the_plan_is():
    plan = records.label_plan()
    product, total = figures.plot_label_cost(plan).axes
    curve = np.asarray(product.lines[0].get_xydata())
    assert curve[:, 1] == pytest.approx(
        curve[:, 0] * [records.label_variance(cost) for cost in curve[:, 0]]
    )
    assert points(total, "D") == [(plan.cost, plan.variance)]
    assert [text.get_text() for text in total.texts] == ["A", "B", "C", "D"]


def test_noise_shows_coefficients_and_bound():
    noise = records.noise()
    axes = figures.plot_gradient_noise(noise).axes[0]
    assert points(axes, "o") == [(noise.coefficient.mean, 0.0), (noise.shared.mean, 1.0)]
    assert points(axes, "|") == [(noise.bound, 2)]


def test_mixture_bars_stack_variance_and_bias_to_the_error():
    plan = records.mixture_plan()
    axes = figures.plot_mixture(plan).axes[0]
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches[len(plan.choices) :]]
    assert ends == pytest.approx([choice.error for choice in plan.choices])
    [winner] = [text.get_text() for text in axes.texts if "✓" in text.get_text()]
    assert winner == "0.0640 ✓"


def test_letters_that_touch_stand_together_and_the_plan_has_its_own_colour():
    axes = canvas(400, 300).subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    marks.letters(
        axes, [("A", 0.2, 0.2), ("B", 0.21, 0.2), ("C", 0.8, 0.2), ("D", float("nan"), 0.2)]
    )
    marks.planned(axes, 0.5, 0.5)
    assert [text.get_text() for text in axes.texts] == ["AB", "C"]
    assert axes.lines[-1].get_color() == IMAGINED
