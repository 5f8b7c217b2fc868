"""The audits along a run on the page: the sentence of each case, and silence."""

import dataclasses
import html
import re

import matplotlib.colors
import pytest

from paracosm.reporting import figures, render, round_words
from paracosm.reporting.figures.theme import CAUSES
from tests.core.test_term_growth import rounds
from tests.reporting import report_records as records

QUIET = ({}, {}, {})
UNLABELLED = {"real_return": None, "gap": None, "reward": None, "calibration": None}
SAID = [
    (
        ({"dynamics": 90.0, "calibration": None},),
        "The dynamics term stood out, 90.0 after 500 transitions (64% of the larger return's size):"
        " because of it imagination promised less than the world paid.",
    ),
    (
        ({}, {"dynamics": -90.0, "calibration": 12.0}, {}),
        "The dynamics term grew first and most, to −90.0 after 1,000 transitions (64% of the larger"
        " return's size): because of it imagination promised more than the world paid. It was small"
        " at the end, −0.500 after 1,500 transitions. The members’ spread did not announce the"
        " one-step errors there: squared, they were 12.0 times what it predicted.",
    ),
    (
        ({"dynamics": 90.0}, {"dynamics": 60.0}),
        "The dynamics term stood out from the start and was the largest there, 90.0 after 500"
        " transitions (64% of the larger return's size): because of it imagination promised less"
        " than the world paid. It was still 60.0 after 1,000 transitions. The members’ spread had"
        " announced one-step errors as large as there: squared, they were 1.10 times what it"
        " predicted.",
    ),
    (
        ({}, {"reward": -60.0}, {"reward": -90.0}),
        "The reward term grew first (−60.0 after 1,000 transitions) and was the largest later,"
        " −90.0 after 1,500 transitions (64% of the larger return's size): because of it"
        " imagination promised more than the world paid.",
    ),
    (
        ({"termination": -60.0}, {"reward": -140.0}),
        "The termination term stood out from the start (−60.0 after 500 transitions); the reward"
        " term was the largest later, −140 after 1,000 transitions (100% of the larger return's"
        " size): because of it imagination promised more than the world paid.",
    ),
]


def run(*changes):
    return records.run(rounds=rounds(*changes))


@pytest.mark.parametrize(("changes", "sentence"), SAID)
def test_what_stood_out_is_said_and_shown(changes, sentence):
    result = run(*changes)
    assert round_words.growth(result) == sentence
    assert sentence in html.unescape(render(result))


def test_nothing_is_said_where_every_term_is_small():
    assert round_words.growth(run(*QUIET)) == ""
    page = render(run(*QUIET))
    assert "Along the run" in page
    assert "stood out" not in page
    assert "grew" not in page


def test_a_run_of_one_round_has_no_such_section():
    page = render(records.run())
    assert "Along the run" not in page
    assert 'id="along"' not in page


@pytest.mark.parametrize(
    ("counts", "words"),
    [((1, 1), "one whole episode:"), ((3, 3), "3 whole episodes"), ((2, 5), "2 to 5 whole")],
)
def test_the_episodes_of_a_point_are_said(counts, words):
    assert words in round_words.episodes_note(run(*({"episodes": count} for count in counts)))


def test_a_round_without_an_audit_is_said():
    result = records.run(rounds=rounds(*QUIET), trainings=(records.training(),) * 4)
    assert "no whole episode" not in round_words.checkpoint_note(result, None)
    assert round_words.missing_points_note(result) == ""
    result = dataclasses.replace(result, rounds=result.rounds[1:])
    for note in (
        round_words.missing_points_note(result),
        round_words.checkpoint_note(result, None),
    ):
        assert "holds no whole episode" in note


def test_what_is_not_known_is_left_out_and_said():
    assert round_words.missing_points_note(run(*QUIET)) == ""
    result = run(UNLABELLED, UNLABELLED)
    assert "left out" in round_words.missing_points_note(result)
    assert "left out" in re.sub(r"<svg.*?</svg>", "", render(result), flags=re.S)


def test_the_figure_has_every_number_over_real_transitions():
    result = run({}, {"dynamics": -90.0}, UNLABELLED)
    returns, terms, calibration, edge = figures.plot_rounds(result).axes
    lines = {line.get_label(): line for axes in (returns, terms) for line in axes.lines}
    assert list(lines["imagined"].get_xdata()) == [500, 1000, 1500]
    assert list(lines["real"].get_xdata()) == [500, 1000]
    assert list(lines["dynamics"].get_ydata()) == [-0.5, -90, -0.5]
    assert list(calibration.lines[0].get_ydata()) == [1.1, 1.1]
    assert list(edge.lines[0].get_ydata()) == [0.01] * 3
    for cause, color in CAUSES.items():
        if cause in lines:
            assert matplotlib.colors.to_hex(lines[cause].get_color()) == color
