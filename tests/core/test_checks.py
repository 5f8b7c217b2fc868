"""Messages are one sentence that names the argument, what was found and what is needed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from paracosm.core import checks

REFUSED = {
    "zero count": (lambda: checks.positive("transitions", 0), ("transitions", "0", "positive")),
    "negative price": (lambda: checks.positive("price", -2.5), ("price", "-2.5", "positive")),
    "infinite price": (
        lambda: checks.positive("price", float("inf")),
        ("price", "inf", "positive"),
    ),
    "NaN price": (lambda: checks.positive("price", float("nan")), ("price", "nan", "positive")),
    "too few": (lambda: checks.at_least("rounds", 0, 1), ("rounds", "0", "at least 1")),
    "NaN, at least": (
        lambda: checks.at_least("rounds", float("nan"), 1),
        ("nan;", "must be finite and at least 1"),
    ),
    "inf, at least": (
        lambda: checks.at_least("rounds", float("inf"), 1),
        ("inf;", "must be finite and at least 1"),
    ),
    "whole float": (lambda: checks.count("rollouts", 2.0), ("rollouts is 2.0;", "a whole number")),
    "large whole float": (
        lambda: checks.count("rollouts", 2e300),
        ("rollouts is 2e+300;", "a whole number"),
    ),
    "too many": (lambda: checks.between("labels", 7, 0, 5), ("labels", "7", "at most 5")),
    "negative labels": (lambda: checks.between("labels", -1, 0, 5), ("labels", "-1", "at least 0")),
    "above one": (lambda: checks.in_unit_interval("share", 1.5), ("share", "1.5", "[0, 1]")),
    "one where it is not": (
        lambda: checks.BELOW_ONE.check("discount", 1),
        ("discount", "1", "[0, 1)"),
    ),
    "a bound that is not allowed": (
        lambda: checks.seed("seed", 2**32),
        ("seed is 4294967296; it must be at least 0 and below 4294967296.",),
    ),
    "unknown choice": (
        lambda: checks.one_of("weighting", "both", ("discounted", "flat")),
        ("weighting", "'both'", "'discounted', 'flat'"),
    ),
    "NaN reward": (
        lambda: checks.finite("the reward", [0.0, 1.0, np.nan]),
        ("the reward", "nan", "entry 2", "finite"),
    ),
    "infinite state": (
        lambda: checks.finite("the observations", [[0.0, 1.0], [2.0, np.inf]], "row"),
        ("the observations: inf at row 1; every entry must be finite.",),
    ),
    "one of many": (
        lambda: checks.finite("the image", np.full((2, 99), np.nan)),
        ("the image", "nan at entry 0"),
    ),
    "NaN number": (
        lambda: checks.finite("the loss", np.nan),
        ("the loss: nan; every entry must be finite.",),
    ),
    "wrong shape": (
        lambda: checks.shape("the action", np.zeros((2, 3)), (2, 4)),
        ("the action", "(2, 3)", "(2, 4)"),
    ),
}


@pytest.mark.parametrize(("check", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refusal_is_one_sentence_that_names_what_was_found_and_needed(check, words):
    with pytest.raises(checks.ParacosmError) as refusal:
        check()
    message = str(refusal.value)
    assert message.endswith(".")
    assert "\n" not in message
    assert ". " not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    "check",
    [
        lambda: checks.positive("x", 1e-300),
        lambda: checks.at_least("x", 1, 1),
        lambda: checks.between("x", 0, 0, 0),
        lambda: checks.in_unit_interval("x", 0),
        lambda: checks.in_unit_interval("x", 1),
        lambda: checks.one_of("x", "a", {"a"}),
        lambda: checks.finite("x", np.arange(3)),
        lambda: checks.finite("x", np.zeros((0, 4))),
        lambda: checks.finite("x", []),
        lambda: checks.shape("x", 1.0, ()),
    ],
)
def test_good_input_passes_in_silence(check):
    assert check() is None


shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4)


@given(hnp.arrays(np.float64, shapes, elements=st.floats(-9, 9)), st.data())
def test_the_first_bad_step_is_named(values, data):
    checks.finite("x", values)
    rows = data.draw(st.sets(st.integers(0, len(values) - 1), min_size=1))
    for row in rows:
        values[row].flat[-1] = (
            data.draw(st.sampled_from([np.nan, np.inf, -np.inf])) if values.ndim > 1 else 0
        )
        if values.ndim == 1:
            values[row] = np.nan
    with pytest.raises(checks.BadData, match=f"at step {min(rows)};"):
        checks.finite("x", values, "step")


def test_the_earliest_bad_step_of_all_episodes_is_named_if_it_was_taken():
    alive = np.array([[True, True, False], [True, True, True]])
    state, reward = np.zeros((2, 3, 4)), np.zeros((2, 3))
    state[0, 2, 1] = reward[0, 2] = np.nan
    assert checks.finite_steps("episode", {"the state": state, "the reward": reward}, alive) is None
    state[1, 2, 3], reward[0, 1] = np.inf, -np.inf
    with pytest.raises(
        checks.BadData, match=r"^the reward is -inf at step 1 of episode 0; it must be finite.$"
    ):
        checks.finite_steps("episode", {"the state": state, "the reward": reward}, alive)
    with pytest.raises(checks.BadData, match=r"^the state is inf at step 2 of episode 1"):
        checks.finite_steps("episode", {"the state": state}, alive)


def test_every_refusal_is_a_paracosm_error_and_a_builtin_one():
    """So that `except ValueError` in a user's code works, and the command line catches all of them
    at once.
    """
    pairs = [
        (checks.BadArgument, ValueError),
        (checks.BadData, ValueError),
        (checks.Unsupported, TypeError),
        (checks.Missing, LookupError),
    ]
    for ours, builtin in pairs:
        assert issubclass(ours, checks.ParacosmError)
        assert issubclass(ours, builtin)
