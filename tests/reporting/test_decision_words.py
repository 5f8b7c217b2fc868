"""Plans in words: no more said than the record holds."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paracosm.reporting import decision_words, render, words
from tests.reporting import decision_records as records


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.05, "0.05"), (20.0, "20"), (1.4, "1.4"), (0.0, "0"), (1200.0, "1,200"), (2e-9, "2.00e−09")],
)
def test_amounts_have_no_zeros_at_their_end(value, text):
    assert decision_words.amount(value) == text


@given(st.floats(1e-3, 1e8))
def test_amounts_are_the_number(value):
    read = decision_words.amount(value).replace(",", "").replace(words.MINUS, "-")
    assert float(read) == pytest.approx(value, rel=0.006)


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0%"), (0.0012, "0.12%"), (1e-9, "below 0.0010%"), (0.24, "24%")]
)
def test_tiny_shares_are_not_rounded_to_nothing(share, text):
    assert decision_words.share(share) == text


def test_marginal_names_a_part_only_where_it_makes_a_difference():
    assert "about the same" in decision_words.marginal(records.plan())
    apart = records.plan(marginal={"dynamics": 1e-6, "reward": 3e-6})
    assert decision_words.marginal(apart) == "The next unit of money does most on reward labels."
    joint = records.plan(marginal={"dynamics": 1e-6, "reward": 2e-6, "joint": 2e-6})
    assert decision_words.marginal(joint) == (
        "The next unit of money does most on reward labels or labelled transitions."
    )
    assert "about the same" in decision_words.marginal(records.plan(marginal={}))


@pytest.mark.parametrize(
    ("budget", "marginal", "lot"),
    [(20_000.0, 2.6e-6, 1000), (20.0, 0.1, 1), (500.0, 1e-9, 10), (0.5, 1.0, 1)],
)
def test_marginal_lot_is_round_and_within_a_tenth_of_the_budget(budget, marginal, lot):
    plan = records.plan(budget=budget, marginal={"dynamics": marginal, "reward": marginal})
    assert decision_words.marginal_lot(plan) == lot


def test_pilot_says_what_to_buy_and_measure_first_or_that_it_is_not_surely_better():
    assert "have 1,600 reward labels first, for 8,000 of the budget" in decision_words.pilot(
        records.plan().next_pilot
    )
    assert "is not surely better" in decision_words.pilot(None)


def test_ratio_without_an_interval_claims_no_interval():
    assert "90%" not in decision_words.ratio(records.plan(interval=()))
    assert "∞" in decision_words.ratio(records.plan(ratio=math.inf))


def test_what_lots_lose_is_no_cost_of_not_knowing_the_curves():
    best = dataclasses.replace(records.plan().best, regret=records.around(0.37, 0.1))
    bound = records.plan(best=best, lot_loss=0.36, marginal={"dynamics": 3e-6, "reward": 1e-6})
    assert "Whole units and lots, and not knowing" in decision_words.regret(bound)
    assert "whole units and lots alone cost 36%." in decision_words.regret(bound)
    assert "the best ratio, if parts of units and lots were for sale, lies" in decision_words.ratio(
        bound
    )
    assert decision_words.marginal(bound).startswith("If parts of lots were for sale, more money")
    assert "and parts of lots for sale" in render(bound)
    free = dataclasses.replace(bound, lot_loss=0.03)
    assert decision_words.regret(free).startswith("Someone who knew the true curves")


def test_limits_and_sources_are_said():
    assert "no label reaches" in decision_words.what_decides(records.label_plan(attained=False))
    assert "no label reaches" not in decision_words.what_decides(records.label_plan())
    assert decision_words.worth(records.plan()) == ""
    assert decision_words.worth(records.plan_with_sources())


def test_the_weight_of_cheap_labels_is_of_the_mixture():
    assert decision_words.correlation(records.mixture_plan(winner="cheap")).startswith(
        "In the mixture cheap labels enter with weight 0.720."
    )


def test_a_mixture_that_never_wins_has_no_correlation_from_which_it_does():
    never = decision_words.correlation(records.mixture_plan(least_correlation=1.0))
    assert never.endswith("It never beats gold labels alone, which cost no more than cheap ones.")
    none = decision_words.correlation(records.mixture_plan(coefficient=0.0))
    assert none.startswith("A mixture beats gold labels alone once")


def test_halving_mentions_a_floor_only_if_there_is_one():
    fit = records.fit("dynamics")
    assert (
        decision_words.halving(fit) == "Twice the samples leave 86% of the error above its floor."
    )
    assert (
        decision_words.halving(dataclasses.replace(fit, floor=0.0))
        == "Twice the samples leave 86% of the error."
    )
