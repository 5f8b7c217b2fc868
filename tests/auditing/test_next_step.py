"""One step goes before all others, and nothing else on a screen says what to do first."""

import dataclasses

import pytest

from paracosm.auditing.advice import CONSTANT_REWARD, UNEXPLAINED_REWARD, advise
from paracosm.auditing.conditions import policy_standing
from paracosm.auditing.next_step import next_step
from paracosm.auditing.verdict import verdict_on
from paracosm.core.mdp import Discrete
from paracosm.core.policy import Uniform
from paracosm.core.records import (
    Finding,
    Imagination,
    NextKind,
    Part,
    PartFit,
    Reference,
    Verdict,
    VerdictKind,
)
from paracosm.core.records.search import SearchShare, SearchTrial
from paracosm.loop.auditing import with_next_step
from paracosm.reporting import diagnosis_words
from tests.auditing.gaps import estimate, evidence, gap
from tests.reporting import report_records as records

REWARD = gap({"reward": (50.0, 10.0)})
POLICY = Uniform(Discrete(2))
UNSURE = gap({"reward": (10.0, 20.0)})


def diagnosis(of, *findings: Finding, **changes):
    """The record of a gap with what was decided of it; its policy is far better than random."""
    fields, decision = evidence(*findings), changes.pop("decision", verdict_on(of))
    advice = advise(of, decision, fields["causes"], fields["dynamics_by_dimension"], findings)
    return records.diagnosis(gap=of, decision=decision, advice=advice, **fields | changes)


def step(of, *findings: Finding, fits=None, **changes):
    return next_step(diagnosis(of, *findings, **changes), fits or {})


def words(of, *findings: Finding, fits=None, policy=POLICY, **changes):
    return with_next_step(diagnosis(of, *findings, **changes), fits or {}, policy).next


def learned(name: Part, share: float) -> dict[str, PartFit]:
    fit = records.part(name)
    return {name: dataclasses.replace(fit, error=estimate(share, 0.0), baseline=1.0)}


RUN = learned("dynamics", 0.1) | learned("reward", 0.1)


def poor(returns: float, imagined: float, standing="no better"):
    """A policy beside random actions, whose return is -90."""
    return {
        "real_return": estimate(returns, 1.0),
        "imagined_return": estimate(imagined, 1.0),
        "reference": Reference("random actions", estimate(-90.0, 1.0), (-1.0, 0.0), (), ()),
        "remarks": dataclasses.replace(records.diagnosis().remarks, policy=standing),
    }


def searched(*, leads: bool = False, best: str | None = None) -> SearchShare:
    imagined = estimate(-50.0, 1.0)
    trial = SearchTrial("mppi", imagined, estimate(5.0, 1.0), 100)
    return SearchShare(1.0, 200, 20, 0.95, imagined, (trial,), 4.0, best, leads)


@pytest.mark.parametrize(
    ("kind", "part", "cause", "expected"),
    [
        ("reward scale", "reward", "reward", "finding"),
        ("action offset and scale", "dynamics", "dynamics", "finding"),
        ("missed terminations", "termination", "termination", "finding"),
        ("action offset and scale", "dynamics", "reward", "purchase"),
        (CONSTANT_REWARD, "reward", "reward", "purchase"),
        (UNEXPLAINED_REWARD, "reward", "reward", "observation"),
    ],
)
def test_a_finding_about_the_part_goes_before_more_data(
    kind: str, part: Part, cause: str, expected: NextKind
):
    assert step(gap({cause: (50.0, 10.0)}), Finding(kind, part)).kind == expected


def test_where_no_part_is_clear_a_finding_about_any_comes_first():
    finding = Finding("false terminations", "termination")
    assert step(UNSURE, finding).finding == "false terminations"
    assert "the finding on false terminations" in words(UNSURE, finding)


def test_a_part_that_learned_nothing_goes_before_a_purchase_for_another():
    fits = learned("reward", 0.95)
    assert step(gap({"dynamics": (50.0, 10.0)}), fits=fits).part == "reward"
    sentence = words(REWARD, fits=fits)
    assert "errs 95% as much" in sentence
    assert "a policy is only as good as the world that it is trained in: give it" in sentence
    assert "give it if it is known (--reward module:function)" in sentence
    assert step(REWARD, fits=learned("reward", 0.85)).kind == "purchase"


def test_an_end_rule_beside_rare_ends_is_not_said_to_have_learned_nothing():
    rare = learned("termination", 1.0)
    assert step(REWARD, fits=rare).kind == "purchase"
    assert step(gap({"termination": (50.0, 10.0)}), fits=rare).kind == "nothing learned"


def test_a_part_whose_error_is_not_surely_a_constants_may_have_learned_something():
    fit = learned("reward", 0.95)["reward"]
    unsure = dataclasses.replace(fit, error=estimate(0.95, 0.2))
    assert step(REWARD, fits={"reward": unsure}).kind == "purchase"


def test_a_good_policy_with_a_small_gap_needs_no_better_reward():
    small = dataclasses.replace(UNSURE, total=estimate(0.5, 0.5))
    fits = learned("reward", 1.0)
    assert step(small, fits=fits).kind == "nothing"
    assert step(small, fits=fits, **poor(-95.0, -95.0)).kind == "nothing learned"


def test_a_known_part_that_is_wrong_cannot_be_bought():
    fits = RUN | {"reward": records.known("reward")}
    assert step(REWARD, fits=fits).kind == "given"
    assert "the function that was given for the reward: where the policy goes it is not" in words(
        REWARD, fits=fits
    )
    unsure = gap({"dynamics": (5.0, 1.0), "reward": (60.0, 70.0)})
    assert "it may be not" in words(unsure, fits=fits)


def test_a_purchase_names_the_command_only_where_it_can_say_how_many():
    assert words(REWARD, fits=RUN).endswith("paracosm plan RUN says how many.")
    assert "paracosm plan" not in words(REWARD, fits=RUN, policy=None)
    dynamics, ends = gap({"dynamics": (50.0, 10.0)}), gap({"termination": (50.0, 10.0)})
    assert "RUN" not in words(dynamics, fits=RUN | {"reward": records.known("reward")})
    assert "RUN" not in words(ends, fits=RUN)
    assert "RUN" not in words(REWARD)


def test_what_is_clear_but_works_against_the_gap_is_not_bought_for():
    against = gap({"reward": (-5.0, 1.0), "dynamics": (20.0, 25.0)})
    assert step(against).kind == "episodes"


def test_parts_that_cancel_are_mended_together():
    cancelling = gap({"reward": (50.0, 5.0), "dynamics": (-49.0, 5.0)})
    assert words(cancelling).endswith("Mend the dynamics model with it, since the two cancel.")


def test_an_unsure_term_that_is_ten_times_as_large_is_mended_first():
    sentence = words(gap({"reward": (5.0, 1.0), "dynamics": (60.0, 70.0)}))
    assert sentence.startswith("buy transitions")
    assert "the dynamics model, +60 [-10, +130], is unsure but 12 times as large" in sentence
    nine = gap({"reward": (5.0, 1.0), "dynamics": (45.0, 70.0)})
    assert words(nine).startswith("buy reward labels")


def test_a_search_that_left_more_than_the_gap_goes_before_a_purchase():
    assert step(REWARD, search=searched(leads=True, best="mppi")).kind == "search"
    assert step(REWARD, search=searched(best="mppi")).kind == "purchase"
    leading = {"search": searched(leads=True, best="mppi"), "fits": RUN}
    assert words(REWARD, **leading).startswith("train longer")
    assert words(REWARD, **leading, horizon_parts=None).startswith("let the planner search more")


def test_a_policy_that_imagination_too_calls_poor_is_trained_before_data_are_bought():
    assert step(REWARD, **poor(-95.0, -95.0)).kind == "policy"
    assert "RUN tries others" in words(REWARD, fits=RUN, **poor(-95.0, -95.0))
    assert "no other search" in words(REWARD, **poor(-95.0, -95.0), search=searched())
    assert step(REWARD, **poor(-95.0, -95.0), search=searched(best="mppi")).kind == "search"


def test_a_policy_that_has_all_that_rewards_allow_cannot_be_better():
    best = poor(500.0, 500.0)
    best["reference"] = dataclasses.replace(best["reference"], returns=estimate(500.0, 0.0))
    allowed = dataclasses.replace(records.diagnosis().plausibility, allowed=(0.0, 500.0))
    assert step(gap({}), **best, plausibility=allowed).kind == "nothing"
    allowed = dataclasses.replace(allowed, allowed=(0.0, 600.0))
    assert step(gap({}), **best, plausibility=allowed).kind == "policy"


def test_rare_episodes_that_cannot_cost_what_matters_need_no_more_episodes():
    """Within 2% of a return of 100 nothing needs mending, whether or not it was ever seen."""
    for half, kind in ((1.5, "nothing"), (21.0, "episodes")):
        rare = gap({"termination": (0.0, half)})
        rare = dataclasses.replace(rare, total=estimate(0.0, half))
        assert verdict_on(rare).kind == "unseen"
        assert step(rare).kind == kind


def test_a_policy_that_imagination_calls_good_is_misled_by_its_world():
    assert step(REWARD, **poor(-95.0, -20.0)).kind == "purchase"


def test_a_policy_that_only_rare_episodes_may_call_poor_needs_episodes():
    rare = poor(-6.0, -6.0, "not clearly better")
    rare["remarks"] = dataclasses.replace(rare["remarks"], unseen_reward=-50.0)
    assert step(UNSURE, **rare).kind == "episodes"
    assert (
        "80 (paracosm audit RUN --episodes 80) make the intervals at most about a quarter"
        in words(UNSURE, fits=RUN, **rare)
    )


def test_episodes_for_an_unsure_gap_also_tell_whether_the_policy_is_any_good():
    unclear = poor(-60.0, -20.0, "not clearly better") | {"real_return": estimate(-60.0, 40.0)}
    assert policy_standing(unclear["real_return"], unclear["reference"]) == "not clearly better"
    assert step(UNSURE, **unclear).kind == "episodes"
    assert words(UNSURE, **unclear).endswith(
        "They may also tell whether the policy is better than random actions."
    )


def test_no_episodes_of_a_policy_tell_what_too_few_random_ones_leave_open():
    unclear = poor(-60.0, -20.0, "not clearly better")
    reference = dataclasses.replace(unclear["reference"], returns=estimate(-90.0, 50.0))
    assert policy_standing(unclear["real_return"], reference) == "not clearly better"
    assert "They may" not in words(UNSURE, **(unclear | {"reference": reference}))


def test_an_unsure_gap_needs_episodes_and_a_small_one_nothing():
    assert "at most about half as wide" in words(UNSURE)
    small = dataclasses.replace(UNSURE, total=estimate(0.5, 0.5))
    assert step(small).kind == "nothing"
    assert step(gap({}), search=searched()).kind == "nothing"
    assert "RUN" not in words(gap({}), search=searched(), fits=RUN)
    assert "other searches tell (paracosm audit RUN)" in words(gap({}), fits=RUN)
    assert "(paracosm audit RUN --most-search-steps 820000)" in words(
        gap({}), fits=RUN, search_needs=820_000
    )
    assert "(paracosm audit RUN --search NAMES)" in words(
        gap({}), fits=RUN, search_failed="a return of mppi is nan."
    )
    unpaid = Verdict("rounding", unpaid=True)
    assert step(gap({}), decision=unpaid).kind == "episodes"


def test_more_audited_steps_go_before_episodes_where_their_subset_makes_terms_unsure():
    unsure = gap({"dynamics": (10.0, 20.0)})
    decision = dataclasses.replace(verdict_on(unsure), few_steps=20)
    assert step(unsure, decision=decision).kind == "steps"
    options = {"decision": decision, "imagined_steps": 5_000, "fits": RUN, "real_steps": 100}
    sentence = words(unsure, audited_steps=20, **options)
    assert "audit more of the recorded steps (--most-imagined-steps 20000)" in sentence
    half = words(unsure, audited_steps=50, **options)
    assert "audit every recorded step (--all-steps)." in half
    verdict = diagnosis_words.verdict(diagnosis(unsure, decision=decision))
    assert "more audited steps than 20 would narrow them" in verdict
    assert "episodes" not in verdict


def test_a_subset_whose_terms_are_zero_is_no_proof_that_a_large_gap_is_rounding():
    """Six of 600 steps, none of them where the world is wrong, and a gap of 155."""
    missed = dataclasses.replace(gap({}, real=-569.0), total=estimate(155.0, 90.0))
    decision = verdict_on(missed, 6)
    assert (decision.kind, decision.few_steps) == ("undetermined", 6)
    assert step(missed, decision=decision, fits=RUN).kind == "steps"
    small = dataclasses.replace(gap({}, real=-569.0), total=estimate(0.0, 0.0))
    assert verdict_on(small, 6).kind == "rounding"


def test_terms_of_a_subset_that_miss_the_gap_by_far_buy_nothing():
    """A gap of -2.5 ± 1.8, a reward term of -0.3, and +36 [-17, 247] of 67 of 6,868 steps: that was
    said to cancel, and transitions to be bought.
    """
    missed = gap({"reward": (-0.3, 0.2), "dynamics": (36.0, 53.0)}, real=-67.7)
    missed = dataclasses.replace(missed, total=estimate(-2.5, 1.8))
    decision = verdict_on(missed, 67)
    assert (decision.kind, decision.few_steps) == ("undetermined", 67)
    assert step(missed, decision=decision, fits=RUN).kind == "steps"
    verdict = diagnosis_words.verdict(diagnosis(missed, decision=decision))
    assert verdict.endswith(
        "has an undetermined cause: the 67 steps that were audited are too few, since their terms"
        " miss the gap by 38.2; more of them would settle it."
    )
    assert "cancel" not in verdict
    assert diagnosis(missed, decision=decision).advice.blamed is None
    near = dataclasses.replace(REWARD, total=estimate(46.0, 10.0))
    assert verdict_on(near, 67) == dataclasses.replace(
        verdict_on(REWARD), share=verdict_on(near).share
    )


def test_no_audited_steps_are_promised_for_a_reward_term_which_uses_all_of_them():
    opposed = gap({"reward": (9.0, 10.0), "dynamics": (-4.0, 1.0)})
    decision = dataclasses.replace(verdict_on(opposed), few_steps=20)
    assert decision.unsure == ("reward",)
    assert step(opposed, decision=decision).kind != "steps"
    assert "audited steps" not in diagnosis_words.verdict(diagnosis(opposed, decision=decision))


def test_no_narrower_intervals_are_promised_where_episodes_do_not_make_them():
    capped = Imagination(10, {"total": 0.9}, capped=True)
    assert words(UNSURE, imagination=capped).endswith("record more real episodes: 80.")
    endless = dataclasses.replace(UNSURE, total=estimate(10.0, float("inf")))
    assert words(endless).endswith("80.")


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("unfit-by-other-actions", "own episodes"),
        ("unfit-by-rounded-actions", "own episodes"),
        ("unfit-by-sum", "same answers"),
        ("unfit-by-states", "broken world"),
        ("unfit-by-return", "broken world"),
    ],
)
def test_where_no_verdict_can_be_what_it_needs_comes_first(
    verdict: VerdictKind, expected: NextKind
):
    assert step(REWARD, decision=Verdict(verdict)).kind == expected
    assert words(REWARD, decision=Verdict(verdict)).endswith(".")


def test_a_broken_world_is_explained_by_a_finding_or_a_part_that_learned_nothing():
    broken = Verdict("unfit-by-states")
    finding = Finding("state changes", "dynamics")
    assert step(REWARD, finding, decision=broken).kind == "finding"
    assert step(REWARD, fits=learned("dynamics", 1.0), decision=broken).kind == "nothing learned"


def test_nothing_else_says_what_to_do_first():
    record = with_next_step(diagnosis_words.with_sentences(diagnosis(REWARD)), {})
    assert "irst" not in record.verdict
    assert "buy" not in record.explanation
    assert f"Next: {record.next}" in str(record)


def test_what_makes_intervals_wide_is_said_once():
    remarks = dataclasses.replace(records.diagnosis().remarks, unseen_reward=-53.69)
    wide = diagnosis_words.with_sentences(diagnosis(UNSURE, remarks=remarks)).explanation
    assert "a reward of -53.69 was recorded that none of these 20 episodes held" in wide
    assert "wide" not in diagnosis_words.with_sentences(diagnosis(UNSURE)).explanation
