"""A gate in words: what got worse comes first, with its numbers; every string is escaped."""

import dataclasses

import pytest

from paracosm.core.records.gate import Gate, GateCheck
from paracosm.reporting import gate_words
from paracosm.reporting.page import render
from tests.reporting.test_terminal import shown

WORSE = GateCheck("terms", "dynamics", "worse", 10.0, 61.2, 36.5, 26.5, 0.0, "refits")
LOWER = GateCheck("return", "real", "worse", -130.0, -400.0, -180.0, 50.0, 0.0, "refits")
FINE = GateCheck("errors", "reward", "no worse", 0.02, 0.021, 0.03, 0.01, 0.0, "refits")
ABSENT = GateCheck("errors", "termination", "not compared", None, 0.1)


def gate(*checks, baselines=5, **changes):
    names = tuple(f"runs/seed{i}" for i in range(baselines))
    record = Gate(0.95, names, "runs/new", baselines >= 3, len(checks), checks, (), True)
    return dataclasses.replace(record, **changes)


def test_a_failed_gate_says_what_most_by_how_much_and_beyond_what():
    assert gate_words.verdict(gate(WORSE, FINE)) == (
        "runs/new is worse than 5 baselines in the dynamics term: 61.2 after 10.0, 24.7 above the"
        " limit of 36.5."
    )
    assert gate_words.verdict(gate(LOWER, WORSE, FINE)) == (
        "runs/new is worse than 5 baselines in 2 quantities, most in the real return: −400 after"
        " −130, 220 below the limit of −180."
    )


def test_a_passed_gate_says_in_how_many_quantities():
    assert gate_words.verdict(gate(FINE, ABSENT)) == (
        "runs/new is no worse than 5 baselines beyond chance, in the one quantity compared."
    )
    assert "than runs/seed0 beyond chance" in gate_words.verdict(gate(FINE, baselines=1))


def test_what_passes_by_its_allowance_alone_is_no_better_than_chance():
    """Worse by 11.5 than before, of which chance explains 5; a quarter of the return is allowed."""
    real = GateCheck("return", "real", "no worse", -70.0, -81.5, -92.5, 5.0, 17.5, "episodes")
    sentence = gate_words.verdict(gate(real, FINE, baselines=1))
    assert "no worse than runs/seed0 beyond chance and what is allowed on top" in sentence
    assert sentence.endswith(
        "Beyond chance alone it is worse in the real return (−81.5 after −70.0, 6.50 of 17.5"
        " allowed)."
    )
    notes = " ".join(gate_words.notes(gate(real, FINE, baselines=1)))
    assert "Allowed on top of chance: 17.5 (real return)." in notes
    assert "Allowed" not in " ".join(gate_words.notes(gate(FINE)))


def test_an_audit_that_explains_nothing_is_no_pass():
    record = gate(FINE, valid=False)
    assert not record.passed
    assert "not passed" in gate_words.verdict(record)


@pytest.mark.parametrize("baselines", [1, 2])
def test_few_baselines_say_that_refits_are_not_known(baselines):
    note = gate_words.limits(gate(FINE, baselines=baselines))
    assert "differences between refits of one configuration are not known" in note
    assert "not known" not in gate_words.limits(gate(FINE))


def test_limits_that_hold_no_chance_of_episodes_are_named():
    errors = GateCheck("policy_errors", "dynamics", "worse", 0.1, 0.102, 0.1, 0.0)
    without = "on the policy's states are recorded without an interval"
    assert without in gate_words.limits(gate(FINE, errors, baselines=1))
    assert without not in gate_words.limits(gate(FINE, baselines=1))
    assert without not in gate_words.limits(gate(FINE, errors))


def test_notes_name_what_differs_and_what_is_absent():
    notes = " ".join(gate_words.notes(gate(FINE, ABSENT, differing=("rounds",))))
    assert "set differently (rounds)" in notes
    assert "not compared: termination error, held out." in notes


def test_terminal_fits_and_ends_with_the_verdict():
    record = gate(LOWER, WORSE, FINE, ABSENT)
    text = shown(record)
    assert max(map(len, text.splitlines())) <= 80
    assert " ".join(text.split()).endswith(gate_words.verdict(record))
    assert text.index("real return") < text.index("dynamics term") < text.index("reward error")


def test_page_shows_every_row_and_escapes_names():
    page = render(gate(WORSE, FINE, candidate="<b>new</b>"))
    assert "&lt;b&gt;new&lt;/b&gt; is worse than" in page
    assert "<b>new" not in page
    for row in gate_words.rows(gate(WORSE, FINE)):
        assert all(f">{cell}<" in page for cell in row)
