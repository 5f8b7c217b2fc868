"""Which term of the gap stood out along a run: said when one did, never when none did."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paracosm.core.records import RoundAudit, term_growth

QUIET = RoundAudit(
    round=0,
    transitions=500,
    episodes=3,
    steps=500,
    real_return=-140.0,
    predicted_return=-139.0,
    gap=-1.0,
    reward=-0.5,
    termination=0.0,
    dynamics=-0.5,
    spread=20.0,
    calibration=1.1,
    edge_share=0.01,
)


def rounds(*changes):
    """Quiet rounds of 500 transitions, changed."""
    return tuple(
        dataclasses.replace(QUIET, round=number, transitions=500 * (number + 1), **change)
        for number, change in enumerate(changes)
    )


def test_nothing_is_found_where_every_term_is_small():
    assert term_growth(()) is None
    assert term_growth(rounds({}, {}, {})) is None


@given(st.lists(st.floats(-40, 40), min_size=1, max_size=20))
def test_what_chance_explains_is_not_found(terms):
    """Up to four standard errors, however large against the return."""
    audits = rounds(*({"dynamics": term, "spread": 20.0, "real_return": -1.0} for term in terms))
    assert term_growth(audits) is None


@given(st.floats(-13.9, 13.9))
def test_a_small_share_of_the_return_is_not_found(term):
    assert term_growth(rounds({"dynamics": term, "spread": 0.0})) is None


@pytest.mark.parametrize("cause", ["reward", "termination", "dynamics"])
def test_a_term_that_grows_is_found_by_its_name(cause):
    growth = term_growth(rounds({}, {cause: -60.0}, {cause: -90.0}, {}))
    assert (growth.first.cause, growth.first.value) == (cause, -60)
    assert (growth.most.cause, growth.most.value) == (cause, -90)
    assert growth.most.audit.transitions == 1500
    assert not growth.from_start
    assert growth.at_end == getattr(QUIET, cause)


def test_the_first_and_the_largest_term_may_be_two():
    growth = term_growth(rounds({"termination": 70.0, "reward": -60.0}, {"dynamics": -300.0}))
    assert (growth.first.cause, growth.most.cause) == ("termination", "dynamics")
    assert growth.from_start


@pytest.mark.parametrize(
    ("calibration", "announced"),
    [(0.1, True), (2.0, True), (3.0, None), (9.0, False), (None, None)],
)
def test_whether_the_spread_announced_it(calibration, announced):
    changes = {"dynamics": -300.0, "calibration": calibration}
    assert term_growth(rounds({}, changes)).announced is announced
    changes = {"reward": -300.0, "calibration": calibration}
    assert term_growth(rounds({}, changes)).announced is None


def test_rounds_without_labels_have_other_terms_still():
    unlabelled = {"real_return": None, "gap": None, "reward": None}
    assert term_growth(rounds(unlabelled)) is None
    assert term_growth(rounds({**unlabelled, "dynamics": 200.0})).most.cause == "dynamics"
