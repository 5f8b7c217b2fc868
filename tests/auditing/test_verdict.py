"""The verdict names the largest signed term whose interval excludes zero, or none."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paracosm.auditing.advice import advise
from paracosm.auditing.verdict import culprit, training_verdict_on, verdict_on
from paracosm.core.records import CAUSES, LEARNED_CAUSES, Estimate, HorizonParts
from paracosm.reporting import diagnosis_words as words
from tests.auditing.gaps import estimate, evidence, gap
from tests.reporting import report_records as records


def verdict(gap, discount=1.0):
    """The sentence about a gap."""
    return words.verdict(records.diagnosis(gap=gap, discount=discount, decision=verdict_on(gap)))


def two_gaps(reported, training, discounts, horizons, parts=None):
    """The record of two gaps, at the reporting and at the training discount."""
    decision = verdict_on(reported)
    decided = None
    if training is not None:
        decided = training_verdict_on(decision, training, parts, discounts[1], horizons[0])
    return records.diagnosis(
        gap=reported,
        gap_training=training,
        discount=discounts[0],
        training_discount=discounts[1],
        horizon=horizons[0],
        training_horizon=horizons[1],
        horizon_parts=parts,
        decision=decision,
        decision_training=decided,
    )


def verdict_training(reported, training, discounts, horizons, *, trained):
    parts = records.diagnosis().horizon_parts if trained else None
    return words.verdict_training(two_gaps(reported, training, discounts, horizons, parts))


def horizon_advice(training, parts):
    reported = gap({"dynamics": (217.0, 70.0)})
    return words.explanation_training(two_gaps(reported, training, (1.0, 0.95), (200, 30), parts))


def test_the_largest_clear_term_is_named_whatever_its_sign():
    terms = {"reward": (2.0, 1.0), "dynamics": (-5.0, 4.0), "horizon": (9.0, 10.0)}
    assert culprit(gap(terms)) == "dynamics"
    assert culprit(gap({**terms, "dynamics": (-5.0, 5.5)})) == "reward"


@pytest.mark.parametrize(
    "unclear", [{}, {"reward": (1.0, 1.0)}, {"dynamics": (50.0, float("inf"))}]
)
def test_no_cause_is_named_where_every_interval_includes_zero(unclear):
    assert culprit(gap(unclear)) is None


def test_rounding_is_no_cause():
    assert culprit(gap({"reward": (1e-7, 1e-9)})) is None
    assert culprit(gap({"reward": (1e-7, 1e-9)}, real=1e-3)) == "reward"


def test_the_sentence_does_not_claim_most_of_the_gap_for_a_lesser_term():
    clear = verdict(gap({"reward": (2.0, 1.0), "dynamics": (-0.5, 1.0)}))
    assert "comes most from the reward model, +2 [+1, +3]" in clear
    hidden = verdict(gap({"reward": (2.0, 1.0), "dynamics": (9.0, 10.0)}))
    assert (
        "comes in part from the reward model, +2 [+1, +3]; the dynamics model, +9 [-1, +19], may"
        " weigh more" in hidden
    )
    assert "undetermined" in verdict(gap({"reward": (2.0, 3.0)}))
    minority = verdict(gap({"reward": (1.0, 0.05)} | dict.fromkeys(list(CAUSES)[1:], (0.85, 0.04))))
    assert (
        "comes from several causes, more from the reward model, +1 [+0.95, +1.05] than from any"
        " other" in minority
    )
    for sentence in (clear, hidden, minority):
        assert "\n" not in sentence
        assert sentence.endswith(".")


def test_errors_that_cancel_are_said_to():
    cancelling = verdict(gap({"reward": (-5.0, 1.0), "dynamics": (3.0, 1.0)}))
    assert (
        "-2 (2.0% of the larger return's size) is what remains of errors that cancel: the reward"
        " model, -5 [-6, -4]," in cancelling
    )
    assert "against the dynamics model, +3 [+2, +4]." in cancelling
    doubtful = verdict(gap({"dynamics": (1.0, 0.5), "reward": (-0.9, 1.4)}))
    assert (
        "not clearly different from zero, is what remains of errors that cancel: the dynamics model"
        in doubtful
    )
    assert (
        "; it is not clear about the reward model, which more evaluation episodes than 20 would"
        " settle" in doubtful
    )
    assert "errors that cancel" in verdict(gap({"dynamics": (1.0, 0.5), "reward": (-1.0, 0.5)}))
    mild = verdict(gap({"reward": (5.0, 1.0), "dynamics": (-1.0, 0.5)}))
    assert "comes most from the reward model" in mild


def test_a_cause_of_the_other_sign_does_not_make_the_gap():
    unsure = verdict(gap({"reward": (4.0, 1.0), "dynamics": (-9.0, 10.0)}))
    assert (
        "undetermined cause: the reward model, +4 [+3, +5], is clearly wrong but works the other"
        " way" in unsure
    )
    assert "the dynamics model, -9 [-19, +1], is unsure" in unsure
    outvoted = verdict(gap({"reward": (-3.0, 0.5)} | dict.fromkeys(list(CAUSES)[1:], (2.9, 0.5))))
    assert "comes from the end rule, +2.9" in outvoted
    assert outvoted.endswith(
        "; the reward model, -3 [-3.5, -2.5], is clearly wrong too, and works against it."
    )
    for sentence in (unsure, outvoted):
        assert "most from" not in sentence


def test_causes_whose_intervals_overlap_are_named_together():
    overlapping = verdict(gap({"reward": (5.0, 1.0), "dynamics": (4.0, 1.0)}))
    assert (
        "comes from the reward model, +5 [+4, +6], and the dynamics model, +4 [+3, +5]; their"
        " intervals overlap" in overlapping
    )
    assert "comes most from" in verdict(gap({"reward": (5.0, 1.0), "dynamics": (2.0, 1.0)}))
    below = verdict(gap({"reward": (-5.0, 1.0), "dynamics": (-1.0, 4.0)}))
    assert (
        "comes in part from the reward model, -5 [-6, -4]; the dynamics model, -1 [-5, +3], may"
        " weigh more" in below
    )
    hidden = verdict(
        gap({"dynamics": (1.0, 0.3), "reward": (0.99, 0.3), "termination": (0.1, 0.8)})
    )
    assert (
        "in part from the dynamics model, +1 [+0.7, +1.3], and the reward model, +0.99 [+0.69,"
        " +1.29]; the end" in hidden
    )


def test_a_model_that_is_exact_up_to_rounding_is_not_called_undetermined():
    exact = verdict(gap({"reward": (2e-6, 1e-6), "dynamics": (-3e-7, 4e-7)}))
    assert exact.endswith("is no more than rounding, and so is every cause.")
    assert "no more than rounding" in verdict(gap({}))
    unpaid = dataclasses.replace(
        gap({}), real=estimate(0, 0), predicted=estimate(0, 0), total=estimate(0, 0)
    )
    assert "no reward was seen in either" in verdict(unpaid)
    unclear = {"reward": (2e-3, 3e-3), "dynamics": (0.0, 0.1)}
    assert "undetermined" in verdict(gap(unclear, real=-10.0))
    assert "cannot exclude that rarer ones" in verdict(
        gap({"reward": (2e-6, 1e-6), "dynamics": (0.0, 0.1)})
    )


def test_a_gap_whose_whole_interval_is_small_needs_no_cause():
    small = verdict(gap({"reward": (0.5, 3.0)}))  # an interval up to 1.5 of a return of 100
    assert "is small: by its 95% interval it is at most 1.50, and no cause of it is clear" in small
    assert "episodes" not in small
    assert "undetermined" in verdict(gap({"reward": (1.5, 3.0)}))  # up to 2.5


def test_where_training_is_to_blame_the_worst_learned_part_is_named_too():
    horizon_led = gap({"horizon": (3.0, 1.0), "reward": (0.2, 0.1), "dynamics": (-0.4, 0.1)})
    assert culprit(horizon_led) == "horizon"
    assert culprit(horizon_led, LEARNED_CAUSES) == "dynamics"
    assert verdict(horizon_led).endswith(
        "the learned part that is most clearly wrong is the dynamics model, -0.4 [-0.5, -0.3]."
    )
    assert "learned part" not in verdict(gap({"horizon": (3.0, 1.0), "dynamics": (-0.4, 1.0)}))


def test_the_sentence_says_how_much_of_the_return_the_gap_is():
    assert "the gap of +2 (2.0% of the larger return's size)" in verdict(
        gap({"reward": (2.0, 1.0)})
    )


terms = st.tuples(st.floats(-10, 10), st.floats(0, 10))


@given(st.fixed_dictionaries(dict.fromkeys(CAUSES, terms)))
def test_nothing_clear_is_larger_than_what_is_named(drawn):
    drawn_gap = gap(drawn, real=1.0)
    clear = {cause for cause in CAUSES if abs(drawn[cause][0]) > max(drawn[cause][1], 1e-4)}
    blamed = culprit(drawn_gap)
    if blamed is None:
        assert not clear
    else:
        assert getattr(drawn_gap, blamed).excludes_zero
        assert all(abs(drawn[cause][0]) <= abs(drawn[blamed][0]) for cause in clear)


@given(st.fixed_dictionaries(dict.fromkeys(CAUSES, terms)))
def test_no_verdict_says_most_of_a_cause_that_is_not_half_of_the_gap_with_its_sign(drawn):
    drawn_gap = gap(drawn, real=1.0)
    decision = verdict_on(drawn_gap)
    sentence = verdict(drawn_gap)
    assert ("comes most from" in sentence) == (decision.lead_share == "most")
    if decision.lead_share != "most":
        return
    assert f"most from {words.CAUSES[decision.lead]}" in sentence
    assert getattr(drawn_gap, decision.lead).excludes_zero
    assert getattr(drawn_gap, decision.lead).mean / drawn_gap.total.mean >= 0.5
    rest = sum(getattr(drawn_gap, cause).mean for cause in CAUSES if cause != decision.lead)
    assert rest / drawn_gap.total.mean >= -2


def explanation(gap, fields):
    decision = verdict_on(gap)
    causes, dimensions = fields["causes"], fields["dynamics_by_dimension"]
    advice = advise(gap, decision, causes, dimensions, fields["findings"])
    return words.explanation(records.diagnosis(gap=gap, decision=decision, advice=advice, **fields))


def test_the_verdict_is_of_the_numbers_that_stand_above_it():
    reported = gap({"dynamics": (217.0, 70.0)}, real=-140.0)
    assert verdict(reported).startswith(
        "The imagined return is -357, the real return is -140: the gap of +217"
    )
    assert "is -357 (discounted by 0.9 a step)" in verdict(reported, 0.9)


def test_a_training_gap_of_another_cause_is_one_sentence_with_the_reason():
    reported = gap({"dynamics": (217.0, 70.0)}, real=-140.0)
    training = gap({"horizon": (-0.9, 0.3)}, real=-58.0)
    sentence = verdict_training(reported, training, (1.0, 0.95), (200, 30), trained=True)
    assert "0.95 puts 95% of the weight on the first 59 of 200 steps" in sentence
    assert (
        "weighs all steps alike, and training imagined 30 steps and added a value for the rest"
        in sentence
    )
    assert (
        "the gap of -0.9 (1.6% of the larger return's size), not clearly different from zero,"
        in sentence
    )
    assert "comes most from the training horizon" in sentence
    assert sentence.count(". ") == 0
    weight = 0.95 ** np.arange(200)
    assert weight[:58].sum() < 0.95 * weight.sum() <= weight[:59].sum()


def test_of_a_world_whose_training_is_unknown_only_its_discount_is_said():
    reported, training = gap({"dynamics": (217.0, 70.0)}), gap({"reward": (-9.0, 0.3)})
    sentence = verdict_training(reported, training, (1.0, 0.97), (200, 200), trained=False)
    assert sentence.startswith(
        "The verdict at the world's discount of 0.97 is another, because a discount of 0.97"
    )
    assert "training" not in sentence


def test_two_gaps_of_one_cause_need_no_sentence():
    reported, training = gap({"dynamics": (217.0, 70.0)}), gap({"dynamics": (2.0, 0.5)})
    assert verdict_training(reported, training, (1.0, 0.95), (200, 30), trained=True) == ""
    assert verdict_training(reported, None, (1.0, 1.0), (200, 200), trained=False) == ""


def test_the_advice_about_the_horizon_is_for_its_own_gap_only():
    training = gap({"horizon": (-0.75, 0.3)})
    parts = HorizonParts(bootstrap=estimate(-0.8, 0.2), edge=estimate(0.05, 0.1))
    advice = horizon_advice(training, parts)
    assert "narrows that gap is longer imagined rollouts or a better value, not more data" in advice
    assert "a wider learn margin" in horizon_advice(
        training, HorizonParts(parts.edge, parts.bootstrap)
    )
    assert horizon_advice(training, None) == horizon_advice(None, parts) == ""
    assert horizon_advice(gap({"dynamics": (5.0, 1.0)}), parts) == ""


def test_a_world_that_is_wrong_and_costs_nothing_shows_its_errors():
    assert "0.4 of the dynamics (the mean next state 1, no change 0.1)" in explanation(
        gap({}), evidence()
    )


def test_no_ratio_is_said_that_rounding_makes():
    assert "more than 100 times as far from zero" in explanation(
        gap({"reward": (5.0, 1e-15)}), evidence()
    )
    assert "5.0 times as far from zero" in explanation(gap({"reward": (5.0, 1.0)}), evidence())


@pytest.mark.parametrize("sign", [1, -1])
def test_a_clear_term_is_farther_from_zero_than_from_the_nearer_end(sign):
    """An interval of skewed samples is longer on one side; its half width would say "0.3 times"."""
    skewed = Estimate(sign * 2.66, *sorted((sign * 0.56, sign * 18.2)), 20, "skewed")
    clear = dataclasses.replace(gap({"reward": (sign * 2.66, 1.0)}), reward=skewed)
    assert "reward term is 1.3 times as far from zero" in explanation(clear, evidence())


def test_no_cause_makes_most_of_a_gap_beside_another_that_is_nearly_as_large():
    terms = {"reward": (2.0, 0.04), "dynamics": (1.9, 0.04), "termination": (-1.3, 0.04)}
    assert "comes from several causes, more from the reward model" in verdict(gap(terms))


def test_large_terms_and_returns_have_no_power_of_ten():
    sentence = verdict(gap({"reward": (-1000.0, 100.0)}, real=-1200.0))
    assert "the real return is -1,200: the gap of -1,000 (83.3%" in sentence
    assert "the reward model, -1,000 [-1,100, -900]" in sentence
    close = verdict(gap({"reward": (-0.7, 0.1)}, real=12344.9))
    assert (
        "The imagined return is 12,345.60, the real return is 12,344.90: the gap of -0.7" in close
    )


def test_a_cause_larger_than_the_gap_is_not_all_that_is_said():
    sentence = verdict(gap({"reward": (-0.75, 0.1), "dynamics": (0.2, 0.1)}))
    assert (
        "comes most from the reward model, -0.75 [-0.85, -0.65], of which the dynamics model, +0.2"
        in sentence
    )
    assert "takes part back" in sentence
    assert "takes part back" not in verdict(gap({"reward": (-0.75, 0.1), "dynamics": (0.1, 0.05)}))


def test_episodes_in_which_nothing_happened_say_what_they_cannot_exclude():
    survived = dict.fromkeys(LEARNED_CAUSES, (0.0, 40.0))
    equal = dataclasses.replace(gap(survived, real=500.0), total=estimate(0, 80))
    sentence = verdict(equal)
    assert (
        "the gap of +0 (0.0% of the larger return's size) is no more than rounding in these 20"
        " episodes" in sentence
    )
    assert sentence.endswith("so few cannot exclude that rarer ones make it up to 80 on average.")
    assert explanation(equal, evidence()).startswith("A world can be wrong and cost nothing")


def test_two_gaps_of_one_cause_and_opposite_signs_are_told_apart():
    reported, training = gap({"dynamics": (217.0, 70.0)}), gap({"dynamics": (-0.93, 0.2)})
    assert "the gap of -0.93" in verdict_training(
        reported, training, (1.0, 0.95), (200, 30), trained=True
    )


def test_where_nothing_is_clear_that_is_said():
    assert explanation(gap({"reward": (1.0, 2.0)}), evidence()).startswith("How sure")


def test_no_size_is_given_where_no_range_of_returns_is_known():
    unpaid = gap(dict.fromkeys(LEARNED_CAUSES, (0.0, np.inf)), real=0.0)
    unpaid = dataclasses.replace(unpaid, total=estimate(0, np.inf))
    assert "inf" not in verdict(unpaid)
    assert "no range of returns is known, so that no size can be given" in verdict(unpaid)
