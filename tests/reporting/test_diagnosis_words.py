"""The sentences of an audit, where numbers are large and where terms are unsure."""

import dataclasses
import re

import pytest

from paracosm.core.records import (
    Diagnosis,
    Estimate,
    Gap,
    HorizonParts,
    NextStep,
    Reference,
    Remarks,
    TrainingVerdict,
    Verdict,
)
from paracosm.core.records.search import SearchShare, SearchTrial
from paracosm.reporting import diagnosis_words, next_words, search_words, words
from tests.reporting import report_records as records

POWER_OF_TEN = re.compile(r"\de[+-]\d")


def of(mean: float, half: float) -> Estimate:
    return Estimate(mean, mean - half, mean + half, 20, "")


def half_cheetah(**changes) -> Diagnosis:
    """An audit whose returns have five digits."""
    gap = Gap(
        real=of(12_345.6, 1_234.5),
        predicted=of(15_432.1, 1_111.1),
        total=of(-3_086.5, 1_500.0),
        reward=of(12.3, 4.5),
        termination=of(0.0, 0.0),
        dynamics=of(-13_098.8, 1_504.5),
        horizon=of(10_000.0, 2_000.0),
    )
    return records.diagnosis(
        gap=gap,
        gap_training=gap,
        real_return=gap.real,
        imagined_return=gap.predicted,
        reference=Reference("recorded data", of(98_765.4, 43_210.0), (-1.0, 12.0), (), ()),
        remarks=Remarks(
            policy="not clearly better",
            noisiest=None,
            sums="actions",
            noise_share=None,
            finite_differences=(),
            unseen_reward=54_321.2,
        ),
        decision=Verdict("explained", 0.2, lead="dynamics", sign=-1, lead_share="most"),
        decision_training=TrainingVerdict(
            Verdict("explained", 0.2, lead="horizon", sign=1, lead_share="most"), True, 149, "edge"
        ),
        horizon_parts=HorizonParts(bootstrap=of(-12_345.6, 10.0), edge=of(23_456.7, 10.0)),
        **changes,
    )


def share(**changes) -> SearchShare:
    trials = (SearchTrial("mppi", of(23_456.7, 100.0), of(11_111.1, 2_000.0), 10),)
    record = SearchShare(
        discount=1.0,
        horizon=1000,
        starts=20,
        level=0.95,
        imagined=of(12_345.6, 100.0),
        trials=trials,
        best="mppi",
        least=12_345.6,
        leads=False,
        regret=None,
    )
    return dataclasses.replace(record, **changes)


def broken() -> str:
    diagnosis = half_cheetah()
    plausibility = dataclasses.replace(
        diagnosis.plausibility, impossible=2, allowed=(-12_345.6, 23_456.7)
    )
    decision = Verdict("unfit-by-return", None)
    return diagnosis_words.verdict(
        dataclasses.replace(diagnosis, plausibility=plausibility, decision=decision)
    )


@pytest.mark.parametrize(
    ("sentences", "shown"),
    [
        (
            lambda: diagnosis_words.verdict(half_cheetah()),
            "its real return is 12,346 [11,111, 13,580], that of recorded data"
            " 98,765 [55,555, 141,975]",
        ),
        (
            lambda: diagnosis_words.verdict_training(half_cheetah()),
            "there the real return is 12,346, the predicted one 15,432,",
        ),
        (lambda: diagnosis_words.explanation(half_cheetah()), "a reward of 54,321 was recorded"),
        (
            lambda: diagnosis_words.explanation_training(half_cheetah()),
            "-12,346 [-12,356, -12,336] is the value",
        ),
        (broken, "return of 15,432 is beyond anything that the recorded rewards allow (-12,346 to"),
        (lambda: search_words.sentence(share()), "reaches 12,346 in the world"),
        (
            lambda: search_words.sentence(share(best=None)),
            "23,457 (a difference of +11,111)",
        ),
        (
            lambda: (
                next_words.with_sentence(
                    half_cheetah(), NextStep("purchase", "dynamics", times=3.0)
                ).next
            ),
            "the dynamics model, -13,099 [-14,603, -11,594], is unsure",
        ),
    ],
)
def test_a_large_return_reads_alike_in_every_sentence(sentences, shown):
    """No power of ten stands for a number below a billion."""
    text = sentences()
    assert shown in text
    assert not POWER_OF_TEN.search(text)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (12_345.6, 4, "12,346"),
        (999.7, 3, "1,000"),
        (999.4, 3, "999"),
        (999.7, 4, "999.7"),
        (999.96, 4, "1,000"),
        (-0.012345, 3, "-0.0123"),
        (123_456_789.0, 3, "123,456,789"),
        (2.5e9, 3, "2.5e+09"),
        (float("inf"), 3, "inf"),
    ],
)
def test_a_reading_has_every_digit_before_the_point(value, digits, text):
    assert words.reading(value, digits) == text


@pytest.mark.parametrize(
    ("real", "gap", "said"),
    [
        (9_360.0, -0.224, ("9,360.22", "9,360.00", "-0.224 (0.0024%")),
        (999.96, -0.44, ("1,000.40", "999.96", "-0.44 (0.044%")),
        (-131.4, 352.0, ("-483.4", "-131.4", "+352 (72.8%")),
        (500.0, 0.0, ("500", "500", "+0 (0.0%")),
        (9_360.0, 1e-9, ("9,360", "9,360", "+1e-09 (0.0%")),
    ],
)
def test_returns_have_the_digits_that_show_their_gap(real, gap, said):
    terms = dataclasses.replace(
        half_cheetah().gap, real=of(real, 1.0), predicted=of(real - gap, 1.0), total=of(gap, 0.1)
    )
    share = abs(gap) / max(abs(real), abs(real - gap))
    decision = Verdict("explained", share, lead="dynamics", sign=1, lead_share="most")
    diagnosis = records.diagnosis(
        gap=terms,
        gap_training=terms,
        decision=decision,
        decision_training=TrainingVerdict(decision, True, 149, None),
    )
    predicted, paid, size = said
    assert (
        f"The imagined return is {predicted}, the real return is {paid}: the gap of {size} of the"
        " larger return's size"
    ) in diagnosis_words.verdict(diagnosis)
    assert (
        f"the real return is {paid}, the predicted one {predicted}, and the gap of {size} of"
    ) in diagnosis_words.verdict_training(diagnosis)


def test_errors_that_cancel_leave_a_whole_sentence_about_what_is_unsure():
    gap = dataclasses.replace(half_cheetah().gap, total=of(40.0, 10.0))
    decision = Verdict(
        "cancels", 0.01, lead="horizon", opposing="dynamics", unsure=("reward",), sign=1
    )
    text = diagnosis_words.verdict(dataclasses.replace(half_cheetah(), gap=gap, decision=decision))
    assert (
        "; it is not clear about the reward model, which more evaluation episodes than 20 would"
        " settle" in text
    )
