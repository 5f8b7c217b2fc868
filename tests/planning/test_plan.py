"""Plans: best of what can be bought, equal under changes of units, honest about stakes and about
weights.
"""

from __future__ import annotations

import dataclasses
import itertools
from fractions import Fraction

import numpy as np
import pytest

from paracosm.core.checks import BadArgument, BadData, ParacosmError
from paracosm.core.records import Weights
from paracosm.core.records.decisions import Anchor, Curve, Plan
from paracosm.core.records.reasons import CaveatKind, Stakes
from paracosm.loop.plans import plan
from paracosm.planning.budget import BudgetProblem, Offer, best_split, split_of
from paracosm.planning.curve_posterior import posterior
from paracosm.planning.evaluation import EpisodeOffer
from paracosm.planning.law import Law
from paracosm.planning.plan import owned_counts, require_terms
from paracosm.reporting import decision_tables
from paracosm.reporting.decision_words import marginal

SIZES = (500, 1000, 2000, 4000, 8000)
WEIGHTS = Weights(3.2, 6.0, "scaled states", 0.99, 200, "realised sensitivities")
PRICES = {"cost_dynamics": 1.0, "cost_reward": 10.0}


def curve(part, scale, exponent, noise=0.05, seed=0) -> Curve:
    rng = np.random.default_rng(seed)
    rows = itertools.product(SIZES, range(3))
    errors = [
        Anchor(n, scale * n**-exponent * float(np.exp(noise * rng.standard_normal())), s)
        for n, s in rows
    ]
    return Curve(part, tuple(errors), "rms", "simulated")


CURVES = {"dynamics": curve("dynamics", 4.0, 0.3), "reward": curve("reward", 20.0, 0.45, seed=1)}


@pytest.fixture(scope="module")
def planned() -> Plan:
    return plan(CURVES, WEIGHTS, budget=60_000, **PRICES)


def test_regret_is_one_number_beside_a_proposed_pilot_and_alone():
    """Unsure curves, so that a pilot is proposed; the terminal and the page say both."""
    curves = {
        "dynamics": curve("dynamics", 4.0, 0.3, 0.3),
        "reward": curve("reward", 20.0, 0.45, 0.3, seed=1),
    }
    decision = plan(curves, WEIGHTS, budget=60_000, **PRICES)
    assert decision.next_pilot is not None
    assert decision.next_pilot.regret_now == decision.best.regret.mean
    assert 0 <= decision.next_pilot.regret_then < decision.next_pilot.regret_now


def bought(decision: Plan) -> tuple[int, int]:
    return decision.dynamics, decision.reward


def test_nothing_else_on_the_page_is_expected_to_be_better(planned):
    rivals = (*planned.alternatives, *planned.across)
    assert min(rival.error.mean for rival in rivals) >= planned.best.error.mean * (1 - 1e-12)
    assert planned.expected_regret > planned.best.regret.mean >= 0
    assert all(purchase.spend <= 60_000 * (1 + 1e-12) for purchase in (planned.best, *rivals))


def test_the_plan_is_the_best_split_over_the_draws_of_the_curves(planned):
    laws = [
        posterior(CURVES[part]).draws(2000, k).law for k, part in enumerate(("dynamics", "reward"))
    ]
    problem = BudgetProblem((laws[0], laws[1]), (3.2, 6.0), (8000.0, 8000.0))
    offers = [Offer("d", 1.0, transitions=1), Offer("r", 10.0, labels=1)]
    exact = best_split(problem, offers, 60_000.0)
    np.testing.assert_allclose(bought(planned), exact.amounts, atol=20)
    assert planned.best.error.mean == pytest.approx(float(exact.loss), rel=1e-6)
    more = split_of(
        problem,
        offers,
        np.array(
            [[planned.dynamics + 50.0, planned.reward], [planned.dynamics, planned.reward + 5.0]]
        ),
    )
    gained = (planned.best.error.mean - more.loss) / 50
    np.testing.assert_allclose(list(planned.marginal.values()), gained, rtol=0.01)
    assert planned.marginal["dynamics"] == pytest.approx(planned.marginal["reward"], rel=1e-3)


def test_sharp_curves_give_the_split_of_the_true_laws():
    sharp = {
        "dynamics": curve("dynamics", 4.0, 0.3, 1e-4),
        "reward": curve("reward", 20.0, 0.45, 1e-4, seed=1),
    }
    decision = plan(sharp, WEIGHTS, budget=60_000, **PRICES)
    true = BudgetProblem((Law(4.0, 0.3), Law(20.0, 0.45)), (3.2, 6.0), (8000, 8000))
    exact = best_split(true, [Offer("d", 1.0, transitions=1), Offer("r", 10.0, labels=1)], 60_000.0)
    assert decision.ratio == pytest.approx(float(exact.counts[0] / exact.counts[1]), rel=0.02)
    assert 1 < decision.best.error.mean / float(exact.loss) < 1.06, (
        "a pilot cannot know that curves go on as laws"
    )
    assert decision.expected_regret < 0.03, (
        "what is left is that either curve may flatten from here on"
    )
    assert decision.interval[0] < decision.ratio < decision.interval[1]


@pytest.mark.parametrize("owned", [500, 2000, 8000])
def test_what_was_measured_is_what_is_predicted(owned):
    """Of counts up to the largest size the table knows; pilots are of larger ones."""
    decision = plan(
        CURVES, WEIGHTS, budget=100_000, **PRICES, owned={"dynamics": owned, "reward": owned}
    )
    of_table = {
        part: np.mean([anchor.error for anchor in CURVES[part].anchors if anchor.samples == owned])
        for part in CURVES
    }
    before = decision.predicted_error["before"]
    assert before.mean == pytest.approx(
        3.2 * of_table["dynamics"] + 6.0 * of_table["reward"], rel=0.04
    )
    assert before.high / before.low < 1.25
    assert decision.best.regret.low > -1e-9
    assert decision.next_pilot is None or decision.next_pilot.samples > 8000


def test_money_has_no_unit_and_weights_only_a_ratio(planned):
    dearer = plan(CURVES, WEIGHTS, budget=420_000, cost_dynamics=7.0, cost_reward=70.0)
    louder = plan(
        CURVES, dataclasses.replace(WEIGHTS, dynamics=32.0, reward=60.0), budget=60_000, **PRICES
    )
    assert bought(dearer) == bought(louder) == bought(planned)
    assert louder.best.error.mean == pytest.approx(10 * planned.best.error.mean)
    assert louder.expected_regret == pytest.approx(planned.expected_regret)


@pytest.mark.parametrize("budget", [400, 60_000])
def test_a_purchase_that_hardly_lowers_the_error_says_so(budget):
    decision = plan(CURVES, WEIGHTS, budget=budget, **PRICES)
    little = [warning for warning in decision.warnings if "so much money buys little" in warning]
    assert len(little) == (budget < 1000)


def test_money_spent_before_is_not_there_to_spend(planned):
    assert bought(plan(CURVES, WEIGHTS, budget=148_000, spent=88_000, **PRICES)) == bought(planned)


def test_the_frontier_holds_half_and_double_the_budget(planned):
    spend = np.array([purchase.spend for purchase in planned.frontier])
    assert len(spend) == 9
    np.testing.assert_allclose(spend[[2, 4, 6]], [30_000, 60_000, 120_000], atol=10)
    assert np.all(np.diff([purchase.error.mean for purchase in planned.frontier]) < 0)
    half = plan(CURVES, WEIGHTS, budget=30_000, **PRICES)
    assert planned.frontier[2].units == half.best.units


def test_across_goes_from_little_to_nearly_all_on_transitions(planned):
    shares = [purchase.dynamics / purchase.spend for purchase in planned.across]
    assert len(shares) == 41
    np.testing.assert_allclose(np.diff(shares), 1 / 41, atol=1e-3)


def test_it_goes_to_json_and_comes_back(planned):
    assert Plan.from_json(planned.to_json()) == planned


def test_where_the_split_hardly_matters_it_says_exactly_that():
    same = {"dynamics": curve("dynamics", 4.0, 0.3), "reward": curve("reward", 4.0, 0.35, seed=1)}
    even = dataclasses.replace(WEIGHTS, dynamics=1.0, reward=1.0)
    decision = plan(same, even, budget=100_000, cost_dynamics=1.0, cost_reward=1.0)
    assert "The split hardly matters: equal " in decision.verdict
    rule = min(decision.alternatives[:2], key=lambda purchase: purchase.error.mean)
    assert 0 <= rule.error.mean / decision.best.error.mean - 1 < 0.01
    losses = [loss.loss.mean for loss in decision.reasons.losses]
    assert losses == sorted(losses), "the best rule is the one whose loss is told"


def test_where_it_matters_it_says_what_a_simple_rule_would_lose(planned):
    uneven = dataclasses.replace(WEIGHTS, dynamics=100.0)
    decision = plan(CURVES, uneven, budget=60_000, **PRICES)
    assert (
        "The split may matter: equal spending, the best rule that favours neither part, would lose "
        in decision.verdict
    )
    assert "%) against this plan" in decision.verdict
    rule = next(purchase for purchase in decision.alternatives if purchase.name == "equal spending")
    assert rule.error.mean > 1.01 * decision.best.error.mean


def test_routes_to_the_weights_that_agree_lose_nothing_and_others_are_judged_both_ways():
    again = dataclasses.replace(WEIGHTS, origin="the audit's terms")
    far = dataclasses.replace(WEIGHTS, dynamics=3200.0, origin="global constants")
    decision = plan(CURVES, (WEIGHTS, again, far), budget=60_000, **PRICES)
    agreeing, parting = decision.disagreement.split("Weights from global constants")
    assert "Weights from the audit's terms lead to the same split" in agreeing
    assert "loses 0.00%" not in parting
    rivals = {purchase.name: purchase for purchase in decision.alternatives}
    assert rivals["weights from the audit's terms"].units == decision.best.units
    assert rivals["weights from global constants"].regret.mean > decision.expected_regret
    assert "one route" in plan(CURVES, WEIGHTS, budget=60_000, **PRICES).disagreement


def test_another_route_is_judged_as_it_would_plan_alone():
    """An unsure weight of the plan's route says nothing of the other route's."""
    unsure = dataclasses.replace(WEIGHTS, unsure={"dynamics": 3.2})
    theirs = dataclasses.replace(WEIGHTS, dynamics=9.6, origin="another")
    both = plan(CURVES, (unsure, theirs), budget=60_000, **PRICES)
    alone = plan(CURVES, (theirs, unsure), budget=60_000, **PRICES)
    (route,) = both.reasons.routes
    assert route.ratio == alone.ratio
    assert route.if_right == alone.reasons.routes[0].if_wrong
    assert route.if_wrong == alone.reasons.routes[0].if_right


def test_money_does_most_on_the_joint_samples_that_the_plan_buys():
    even = dataclasses.replace(WEIGHTS, dynamics=6.0)
    prices = {"cost_dynamics": 1.0, "cost_reward": 1.0, "cost_joint": 1.05}
    decision = plan(CURVES, even, budget=60_000, **prices)
    assert decision.best.units == {"dynamics": 0, "reward": 0, "joint": 57_142}
    assert max(decision.marginal, key=decision.marginal.get) == "joint"
    assert marginal(decision) == "The next unit of money does most on labelled transitions."


def test_money_for_labels_is_worth_what_their_cheapest_source_brings():
    """A price of a piece times the worth of money is what the piece brings: of the same source."""
    crowd = Offer("crowd", 2.0, labels=0.9)
    sold = plan(CURVES, WEIGHTS, budget=60_000, **PRICES, sources=(crowd,))
    assert set(sold.marginal) == {"dynamics", "crowd"}
    alone = {"cost_dynamics": 1.0, "cost_reward": 2.0 / 0.9}
    plain = plan(CURVES, WEIGHTS, budget=60_000, **alone)
    piece = plain.marginal["reward"] * plain.prices["reward"]
    assert sold.marginal["crowd"] * sold.prices["crowd"] == pytest.approx(0.9 * piece, rel=1e-3)
    assert decision_tables.marginal_rows(sold)[1][0] == "labels from crowd"


def test_a_part_that_nobody_owns_hides_no_pilot_behind_infinity():
    """Warnings are errors here: splits without a label are none."""
    unsure = {**CURVES, "dynamics": curve("dynamics", 4.0, 0.3, 0.2)}
    owned = {"dynamics": 8000, "reward": 0}
    assert plan(unsure, WEIGHTS, budget=200_000, **PRICES, owned=owned).next_pilot is not None


def test_a_lot_that_the_budget_does_not_reach_is_said_and_not_proposed():
    decision = plan(CURVES, WEIGHTS, budget=20_000, **PRICES, lots=(30_000, 1))
    (caveat,) = (c for c in decision.reasons.caveats if c.kind is CaveatKind.NOTHING_AFFORDED)
    assert caveat.part == "dynamics"
    assert caveat.numbers == {"price": 30_000.0, "units": 30_000, "budget": 20_000.0}
    assert decision.reasons.stakes is Stakes.UNRIVALLED, "equal spending buys labels alone"
    assert decision.next_pilot is None or decision.next_pilot.part == "reward"
    free = plan(CURVES, WEIGHTS, budget=20_000, **PRICES)
    assert 0.5 * decision.best.regret.mean < decision.lot_loss <= decision.best.regret.mean
    assert free.lot_loss < 1e-3 * free.best.regret.mean
    few = {"dynamics": curve("dynamics", 4, 0.3, 0.2), "reward": curve("reward", 2, 0.5, 0.3)}
    for budget, owned in ((9, (1000, 1)), (19, (30, 1)), (11, (10, 1))):
        bought = plan(
            few, WEIGHTS, budget=budget, **PRICES, owned=dict(zip(few, owned, strict=True))
        )
        assert bought.lot_loss <= bought.best.regret.mean


def test_a_part_that_lots_leave_no_room_for_is_not_said_to_be_worth_less():
    owned, prices = {"dynamics": 500, "reward": 500}, {"cost_dynamics": 1, "cost_reward": 1}
    even = dataclasses.replace(WEIGHTS, dynamics=6.0, reward=3.0)
    free, lots = (
        plan(CURVES, even, budget=1000, owned=owned, lots=(lot, lot), **prices) for lot in (1, 700)
    )
    assert min(bought(free)) > 0
    assert min(bought(lots)) == 0
    kinds = {caveat.kind for caveat in lots.reasons.caveats}
    assert CaveatKind.NO_ROOM in kinds
    assert CaveatKind.NOTHING_BOUGHT not in kinds


def test_mean_squares_are_converted_and_that_is_said(planned):
    squared = {
        part: dataclasses.replace(
            curve,
            unit="mse",
            anchors=tuple(dataclasses.replace(a, error=a.error**2) for a in curve.anchors),
        )
        for part, curve in CURVES.items()
    }
    decision = plan(squared, WEIGHTS, budget=60_000, **PRICES)
    assert bought(decision) == pytest.approx(bought(planned), rel=1e-6)
    assert sum("mean squares" in warning for warning in decision.warnings) == 2


def test_what_is_not_bought_and_what_is_left_over_is_said():
    decision = plan(
        CURVES, dataclasses.replace(WEIGHTS, reward=0.0), budget=1_500, lots=(1000, 1000), **PRICES
    )
    assert (bought(decision), decision.spend) == ((1000, 0), 1000)
    text = " ".join(decision.warnings)
    assert "buys no reward labels" in text
    assert "leave 500 of the 1,500 unspent" in text
    assert "One weight is zero" in text


def test_without_weights_or_a_curve_there_is_no_plan():
    with pytest.raises(BadArgument, match="no weights are given"):
        plan(CURVES, (), budget=60_000, **PRICES)
    with pytest.raises(BadData, match="no learning curve of reward"):
        plan({"dynamics": CURVES["dynamics"]}, WEIGHTS, budget=60_000, **PRICES)


def test_weights_that_are_unsure_widen_the_answer_and_are_told(planned):
    unsure = dataclasses.replace(WEIGHTS, unsure={"dynamics": 2.0, "reward": 0.1})
    wide = plan(CURVES, unsure, budget=60_000, **PRICES)
    assert wide.interval[0] < planned.interval[0] < planned.interval[1] < wide.interval[1]
    assert wide.expected_regret > planned.expected_regret
    sentence = "The weight of the dynamics error, 3.2 with a standard error of 2, could be zero"
    assert any(sentence in warning for warning in wide.warnings)
    assert not any("The weight of the reward" in warning for warning in wide.warnings)
    sure = plan(
        CURVES, dataclasses.replace(WEIGHTS, unsure={"dynamics": 0.0}), budget=60_000, **PRICES
    )
    assert sure.best == planned.best


@pytest.mark.parametrize(
    ("sizes", "budget", "prices"),
    [
        ((10**13, 10**14, 10**15), 1e12, (1.0, 10.0)),
        ((10**3, 10**4, 10**5), 1e15, (1.0, 10.0)),
        pytest.param((10**3, 10**4, 10**5), 0.3, (0.1, 0.1), marks=pytest.mark.full),
        ((10**3, 10**4, 10**5), 1e3, (1e-11, 3e-11)),
        pytest.param((10**3, 10**4, 10**5), 1e12 / 3, (0.7, 1.1), marks=pytest.mark.full),
    ],
)
def test_extreme_plans_agree_with_their_own_sentence(sizes, budget, prices):
    """Never above the budget, not by one sample of 1e15; the sentence names the counts and the
    spending.
    """
    curves = {
        part: Curve(
            part,
            tuple(Anchor(n, 0.7**i, s) for i, n in enumerate(sizes) for s in range(3)),
            "rms",
            "simulated",
        )
        for part in ("dynamics", "reward")
    }
    decision = plan(curves, WEIGHTS, budget=budget, cost_dynamics=prices[0], cost_reward=prices[1])
    exact = sum(
        Fraction(repr(price)) * count for price, count in zip(prices, bought(decision), strict=True)
    )
    assert exact <= Fraction(repr(budget))
    assert exact > Fraction(repr(budget)) - 2 * Fraction(repr(max(prices)))
    assert decision.best.units == {"dynamics": decision.dynamics, "reward": decision.reward}
    assert decision.spend == pytest.approx(float(exact), rel=1e-15)
    for count in filter(None, bought(decision)):
        assert f"{count:,} " in decision.verdict
    if budget >= 1e12:
        assert f"for {decision.spend:,.2f}".removesuffix(".00") in decision.verdict


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"budget": 1e25}, "at most 1e.15 can be counted exactly"),
        ({"budget": np.inf}, "the budget is inf"),
        ({"budget": np.nan}, "the budget is nan"),
        ({"cost_dynamics": np.inf}, "the cost of dynamics is inf"),
        ({"cost_reward": -1.0}, "the cost of reward is -1"),
        ({"cost_joint": np.nan}, "the cost of joint is nan"),
        ({"spent": np.inf}, "the money spent"),
        ({"spent": -1.0}, "the money spent is -1"),
        (
            {"owned": {"dynamics": 10**16}},
            "the count of dynamics samples owned is an integer of 17 digits; .* at most 1e.15",
        ),
        (
            {"weights": dataclasses.replace(WEIGHTS, dynamics=np.inf)},
            "the weight of the dynamics error .* is inf",
        ),
        (
            {"weights": dataclasses.replace(WEIGHTS, reward=-1.0)},
            "the weight of the reward error .* is -1",
        ),
        (
            {"weights": dataclasses.replace(WEIGHTS, unsure={"reward": np.nan})},
            "the standard error of the weight",
        ),
        ({"lots": (0, 1)}, "the lot of dynamics is 0"),
        ({"lots": (2.5, 1)}, "the lot of dynamics is 2.5; .* a whole number"),
        ({"lots": (1,)}, r"lots is \(1,\); two counts"),
        ({"sources": ("x",)}, r"sources\[0\] is 'x'; an Offer"),
        (
            {"sources": (Offer("x", 1.0, transitions=3, labels=-1),)},
            "the labels in a unit of x is -1",
        ),
        ({"owned": {"transitions": 1, "labels": 100}}, "a part in owned is 'transitions'"),
        ({"owned": {"dynamics": 2.7}}, "the count of dynamics samples owned is 2.7; .* a whole"),
        ({"owned": {"reward": np.nan}}, "the count of reward samples owned is nan"),
    ],
)
def test_numbers_that_describe_no_purchase_are_one_sentence(change, sentence):
    options = {"weights": WEIGHTS, "budget": 60_000, **PRICES, **change}
    with pytest.raises(ParacosmError, match=sentence):
        plan(CURVES, options.pop("weights"), **options)


def test_owned_counts_are_asked_for_before_anything_is_measured():
    with pytest.raises(BadArgument, match="a part in owned is 'labels'"):
        require_terms(budget=1.0, owned={"labels": 100})
    assert owned_counts(CURVES, {"dynamics": 7}) == {"dynamics": 7, "reward": 8000}


def test_anchors_may_be_counted_in_floating_numbers():
    counted = {
        part: dataclasses.replace(
            measured,
            anchors=tuple(
                dataclasses.replace(anchor, samples=float(anchor.samples))
                for anchor in measured.anchors
            ),
        )
        for part, measured in CURVES.items()
    }
    assert owned_counts(counted, None) == {"dynamics": 8000, "reward": 8000}


def test_of_a_large_budget_no_more_is_left_than_was_not_spent():
    huge = {"cost_dynamics": 1e7, "cost_reward": 1e7}
    assert plan(CURVES, WEIGHTS, budget=2e13, spent=4, **huge).budget == 2e13 - 4


@pytest.mark.parametrize(
    ("terms", "units"),
    [
        ({"budget": 0.3, "lots": (3, 3)}, 3),
        ({"budget": 1.0, "spent": 0.9}, 1),
        ({"budget": 0.9, "spent": 0.1 + 0.2 + 0.3}, 3),
        ({"budget": 0.3, "episodes": EpisodeOffer(0.1, 1.0)}, 1),
    ],
)
def test_what_the_budget_pays_for_to_the_last_decimal_is_bought(terms, units):
    """Three at 0.1 cost 0.3, though in binary they are more; so do two episodes and one."""
    dimes = {"cost_dynamics": 0.1, "cost_reward": 0.1}
    bought_now = plan(CURVES, WEIGHTS, **dimes, **terms)
    assert sum(bought_now.best.units.values()) == units
    assert (bought_now.budget, bought_now.best.spend) == pytest.approx((0.1 * units, 0.1 * units))
    assert bought_now.spent == terms.get("spent", 0)
    assert any(way.spend == pytest.approx(0.1 * units) for way in bought_now.frontier)
