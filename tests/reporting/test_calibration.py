"""A world's spread in sentences, in the terminal and on the page."""

import dataclasses
import io
import json

import pytest
from rich.console import Console

from paracosm.core.records import Diagnosis, Estimate
from paracosm.core.records.calibration import (
    ActionUse,
    Calibration,
    ComponentCalibration,
    Coverage,
    HorizonCalibration,
    ReturnSpread,
)
from paracosm.reporting import calibration_words
from paracosm.reporting.calibration_tables import horizon_rows, one_step_rows
from paracosm.reporting.page import render
from paracosm.reporting.terminal import summary
from tests.reporting import report_records as records


def of(mean, low=None, high=None):
    return Estimate(mean, mean if low is None else low, mean if high is None else high, 20, "test")


LEVELS = tuple(i / 10 for i in range(1, 10))


def horizon(steps, lead):
    return HorizonCalibration(
        steps=steps,
        coverage=of(0.61 / steps**0.1, 0.5, 0.67),
        error=of(0.21, 0.19, 0.23),
        model=of(0.0121 * steps),
        no_change=of(0.21),
        mean_state=of(1.04),
        lead=of(lead, lead - 0.01, lead + 0.01),
    )


def calibration(**changes) -> Calibration:
    record = Calibration(
        spread="members",
        count=5,
        episodes=20,
        steps=4000,
        confidence="overconfident",
        coverage=Coverage(
            LEVELS, tuple(of(0.68 * q, 0.62 * q, 0.74 * q) for q in LEVELS), of(0.16, 0.13, 0.19)
        ),
        factor=of(2.1, 1.9, 2.3),
        components=(ComponentCalibration(0, of(0.5, 0.4, 0.6), of(0.2, 0.1, 0.3)),),
        left_out=(2,),
        horizons=tuple(horizon(*pair) for pair in ((1, 0.4), (2, 0.3), (4, 0.1), (8, -0.2))),
        returns=ReturnSpread(
            1.0, (-130.0, -140.0, -144.0), 7.0, of(60.0, 40.0, 80.0), of(8.6, 5.7, 11.4), False
        ),
        actions=ActionUse(3900, of(0.012), of(0.12), of(99.0, 80.0, 120.0), False),
    )
    return calibration_words.with_sentences(dataclasses.replace(record, **changes))


def test_the_verdict_is_one_sentence_with_its_interval():
    assert calibration().verdict == (
        "The ensemble's 90% intervals hold 61% [56, 67] of the real next states: one step ahead"
        " it is overconfident by a factor of 2.1."
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"confidence": "underconfident", "factor": of(0.25, 0.2, 0.3)}, "by a factor of 4.0"),
        ({"confidence": "calibrated"}, "it is calibrated"),
        ({"confidence": "undetermined"}, "is open after 20 episodes"),
        ({"spread": "drawn"}, "stochastic world's 90% intervals"),
        ({"spread": "none", "coverage": None, "factor": None}, "predicts no spread"),
        ({"coverage": None, "factor": None}, "no spread to judge"),
    ],
)
def test_every_kind_has_its_words(changes, words):
    assert words in calibration(**changes).verdict


@pytest.mark.parametrize(
    ("inside", "words"), [(True, "announces"), (False, "does not announce"), (None, "is open")]
)
def test_the_gap_is_said_in_spreads(inside, words):
    spread = dataclasses.replace(calibration().returns, inside=inside)
    sentence = calibration_words.returns(calibration(returns=spread))
    assert "8.6 times that [5.7, 11.4]" in sentence
    assert words in sentence


def test_blindness_is_in_the_verdict_and_heeding_is_not():
    use = ActionUse(3900, of(0.012), of(0.0121), of(0.001, -0.01, 0.02), True)
    assert "blind to actions" in calibration(actions=use).verdict
    assert "blind" not in calibration().verdict
    assert "a factor of 100" in calibration_words.actions(calibration())
    unsure = dataclasses.replace(use, blind=None, rise=of(0.02, -0.05, 0.1))
    assert "open" in calibration_words.actions(calibration(actions=unsure))
    broad = dataclasses.replace(use, blind=False, rise=of(730.86, 4.2, 1500.0))
    assert "a factor of 732 [5.20, 1,501]" in calibration_words.actions(calibration(actions=broad))
    assert "never vary" in calibration_words.actions(calibration(actions=None))


def test_horizons_count_only_while_the_model_is_clearly_better():
    assert calibration().informed_steps == 4
    assert calibration_words.horizons(calibration()).startswith("Up to 4 steps ahead the model")
    worse = calibration(horizons=(horizon(1, -0.2),))
    assert "Not even one step" in calibration_words.horizons(worse)
    lead = of(0.3, -2.0, 2.6)
    unsure = calibration(horizons=(dataclasses.replace(horizon(1, 0.2), lead=lead),))
    assert "is better than two simple guesses" in calibration_words.horizons(unsure)
    assert "is open after 20 episodes." in calibration_words.horizons(unsure)
    few = dataclasses.replace(horizon(1, 0.2), lead=dataclasses.replace(lead, n=11))
    assert "is open after 11 episodes." in calibration_words.horizons(calibration(horizons=(few,)))
    assert "One step ahead the model" in calibration_words.horizons(
        calibration(horizons=(horizon(1, 0.2),))
    )
    for record in (calibration(), calibration(horizons=(horizon(1, -0.2),)), unsure):
        assert "without a policy that steers back" in calibration_words.horizons(record)


def test_it_is_said_which_states_the_listed_horizons_start_from():
    assert "start from" not in calibration_words.horizons(calibration())
    few = calibration_words.horizons(calibration(starts=38))
    assert "All listed horizons start from the same 38 recorded states" in few
    short = dataclasses.replace(horizon(1, 0.4), model=dataclasses.replace(of(0.1), n=19))
    assert "19 of 20 episodes, the others being too short" in calibration_words.horizons(
        calibration(starts=38, horizons=(short,))
    )


def shown(diagnosis: Diagnosis) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(summary(diagnosis))
    return console.export_text()


@pytest.mark.parametrize(
    "changes", [{}, {"spread": "none", "coverage": None, "factor": None, "returns": None}]
)
def test_terminal_and_page_show_it(changes):
    diagnosis = records.diagnosis(calibration=calibration(**changes))
    text, page = shown(diagnosis), render(diagnosis)
    assert max(map(len, text.splitlines())) <= 80
    for heading in ("steps ahead", "no change", "mean state"):
        assert heading in text
        assert heading in page
    assert "Is the spread worth anything?" in page
    assert "spread" in text
    assert ("widths needed" in text) == ("widths needed" in page) == (not changes)


def test_an_audit_without_it_shows_nothing_of_it():
    diagnosis = records.diagnosis()
    assert "spread worth" not in shown(diagnosis)
    assert "spread worth" not in render(diagnosis)
    older = json.loads(diagnosis.to_json())
    del older["calibration"]
    assert Diagnosis.from_dict(older).calibration is None
    judged = records.diagnosis(calibration=calibration())
    assert Diagnosis.from_json(judged.to_json()) == judged


def test_rows_hold_what_is_known():
    assert [row.name for row in one_step_rows(calibration(returns=None))] == [
        "90% intervals hold",
        "calibration error",
        "widths needed",
    ]
    assert one_step_rows(calibration(coverage=None)) == []
    assert horizon_rows(calibration())[0][0] == "1"
