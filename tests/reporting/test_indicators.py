"""Leading indicators on the page and in the terminal: every number, and what is not known."""

import dataclasses
import html

import pytest

from paracosm.core.records.indicators import Indicator, Indicators, LeadVerdict
from paracosm.reporting import indicator_words, render
from tests.core.test_term_growth import rounds
from tests.reporting import report_records as records
from tests.reporting.test_page import HOSTILE, Balanced
from tests.reporting.test_terminal import shown

LEADS = Indicator("edge_share", 0.71, 0.0031, 0.0093, LeadVerdict.LEADS)
OPEN = Indicator("reward", -0.12, 0.62, 1.0, LeadVerdict.NOT_SHOWN)
FLAT = Indicator("termination", None, None, None, LeadVerdict.CONSTANT)
FEW = Indicator("dynamics", None, None, None, LeadVerdict.TOO_FEW)


def record(*indicators, **changes):
    plain = Indicators(
        target="gap",
        lag=1,
        trainings=("runs/a",),
        checkpoints=(15,),
        needed=10,
        method="residuals",
        level=0.05,
        indicators=indicators,
        left_out=("spread",),
    )
    return dataclasses.replace(plain, **changes)


SAID = [
    (
        record(LEADS, OPEN, FLAT),
        "A larger edge share precedes a larger gap one checkpoint later, beyond what the gap itself"
        " says (corrected p 0.009).",
    ),
    (
        record(dataclasses.replace(LEADS, statistic=-0.71), lag=2),
        "A larger edge share precedes a smaller gap 2 checkpoints later, beyond what the gap itself"
        " says (corrected p 0.009).",
    ),
    (
        record(OPEN, FLAT),
        "No indicator is shown to precede the gap beyond what the gap itself says; that does not"
        " prove that none does. With fewer than 20 checkpoints only strong leads are seen.",
    ),
    (
        record(OPEN, checkpoints=(40,)),
        "No indicator is shown to precede the gap beyond what the gap itself says; that does not"
        " prove that none does.",
    ),
    (record(FLAT), "No indicator ever changes, so that none can precede the gap."),
    (
        record(FEW, checkpoints=(6,)),
        "Too few checkpoints to say which indicator precedes the gap: 6, and 10 are needed.",
    ),
    (
        record(FEW, checkpoints=(12, 6), trainings=("a", "b")),
        "Too few checkpoints to say which indicator precedes the gap: 6 in a training, and 10 are"
        " needed.",
    ),
]


def _flat(text):
    return " ".join(text.split())


@pytest.mark.parametrize(("result", "sentence"), SAID)
def test_the_verdict_is_said_last_in_80_columns_and_on_the_page(result, sentence):
    assert indicator_words.verdict(result) == sentence
    text = shown(result)
    assert max(map(len, text.splitlines())) <= 80
    assert _flat(text).endswith(sentence)
    assert sentence in html.unescape(render(result))
    for row in indicator_words.rows(result):
        assert all(cell in text for cell in row)
        assert all(cell in html.unescape(render(result)) for cell in row)


def test_what_the_test_rests_on_is_said():
    basis = indicator_words.basis(record(LEADS))
    assert basis.startswith("15 checkpoints of one training")
    assert "Left out, not known at every checkpoint: spread of returns." in basis
    two_trainings = record(LEADS, checkpoints=(9, 9), trainings=("a", "b"), method="trainings")
    assert "9 checkpoints of each of 2 trainings; permuted: which training" in (
        indicator_words.basis(two_trainings)
    )


@pytest.mark.parametrize("changes", [{}, {"trainings": ("a", "b"), "method": "trainings"}])
def test_how_much_later_has_a_unit(changes):
    page = " ".join(render(record(LEADS, **changes)).split())
    assert "with the size of the gap one checkpoint later" in page


def test_a_run_says_it_beside_its_audits():
    result = records.run(rounds=rounds({}, {}, {}), indicators=record(LEADS, OPEN))
    sentence = indicator_words.verdict(record(LEADS))
    assert sentence in html.unescape(render(result))
    assert sentence in _flat(shown(result))
    assert max(map(len, shown(result).splitlines())) <= 80
    assert result.summary()["indicators"]["indicators"][0]["name"] == "edge_share"


def test_a_run_of_few_rounds_is_silent():
    result = records.run(rounds=rounds({}, {}, {}))
    assert "precede" not in render(result)
    assert "precede" not in shown(result)
    assert result.summary()["indicators"] is None


def test_no_p_value_is_zero():
    certain = dataclasses.replace(LEADS, p=0.0001, corrected=0.0004)
    assert indicator_words.rows(record(certain))[0][2:4] == ("0.0001", "<0.001")
    assert "(corrected p <0.001)" in indicator_words.verdict(record(certain))


def test_names_are_escaped():
    page = render(record(dataclasses.replace(OPEN, name=HOSTILE), trainings=(HOSTILE,)))
    Balanced(page)
    assert HOSTILE not in page
