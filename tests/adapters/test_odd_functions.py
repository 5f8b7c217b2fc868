"""Functions of arrays that misbehave: each is answered exactly, or refused by one sentence with its
name.

The host's side is asked without a compiled program.
"""

import functools
import itertools
import sys

import gymnasium
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from paracosm import adapters as foreign
from paracosm.adapters.answers import exception_text, mode_of, named_calls
from paracosm.core import checks
from paracosm.real.verbs import connect
from tests.adapters.foreign_rows import RIGHT, ROWS, SLOPES, SPEC, S, host, right, unpaid
from tests.real.composed import Sampling

VECTOR = gymnasium.spaces.Box(-1, 1, (2,))
MEMBERS = np.array([0.5, 0.7, 0.9, 1.1, 1.3])


def counting():
    calls = itertools.count()
    return lambda s, a: right(s, a) + next(calls)


def exiting(s, a):
    sys.exit(3)


def raising(error):
    def function(s, a):
        raise error

    return function


def standardised(s, a):
    return (s - s.mean(0)) / s.std(0) + a


def by_place(s, a):
    return s * MEMBERS[np.arange(len(s)) % 5][:, None] + a


def by_size(s, a):
    return s * MEMBERS[len(s) % 5] + a


def of_seven(s, a):
    return right(s.reshape(7, 2), a.reshape(7, 1))


def turned(s, a):
    return right(s, a)[:2].T if len(s) == 2 else right(s, a)[::-1]


def seeded(s, a):
    return right(s, a) + np.random.default_rng(0).normal(size=s.shape)


def masked(s, a):
    return np.ma.masked_less(right(s, a), -0.5)


REFUSED = {
    "none": (lambda s, a: None, "gives a NoneType for the next state"),
    "a dict": (
        lambda s, a: {"next": s},
        "gives a dict for the next state; real numbers are needed",
    ),
    "words": (lambda s, a: np.full(s.shape, "far"), "for the next state; real numbers are needed"),
    "complex": (lambda s, a: s + 1j, "gives a ndarray of complex128 for the next state"),
    "objects": (lambda s, a: s.astype(object), "gives a ndarray for the next state; real numbers"),
    "dates": (lambda s, a: s.astype(int).astype("M8[s]"), r"gives a ndarray of datetime64\[s\]"),
    "a ragged list": (
        lambda s, a: [[1.0, 2.0], [1.0]],
        "gives a list for the next state that is no array",
    ),
    "masked": (masked, "gives masked numbers for the next state"),
    "a JAX array": (lambda s, a: jnp.asarray(s), "gives a JAX array for the next state"),
    "two results": (lambda s, a: (s, a), "gives 2 results; 1 .next state. are needed"),
    "no batch": (
        lambda s, a: s[0],
        r"gives the shape \(2,\) for the next state of a batch of 7; \(7, 2\)",
    ),
    "one number": (lambda s, a: 1.0, r"gives the shape \(\) for the next state"),
    "a component less": (lambda s, a: s[:, :1], r"gives the shape \(7, 1\) for the next state"),
    "broadcast": (lambda s, a: s[:, :1] * a[:, 0], r"gives the shape \(7, 7\)"),
    "NaN": (
        lambda s, a: np.where(s > 1, np.nan, s),
        r"gives nan at s = \[.*\], a = \[.*\]; it must give finite",
    ),
    "infinite": (lambda s, a: np.where(s > 1, np.inf, s), "gives inf at s ="),
    "an error": (
        raising(RuntimeError("the tank\nis empty")),
        "failed with RuntimeError: the tank is empty$",
    ),
    "an error without words": (raising(AssertionError()), r"failed with AssertionError\.$"),
    "an error of a thousand words": (
        raising(KeyError("word " * 1000)),
        "failed with KeyError: .{300,420} …$",
    ),
    "sys.exit": (exiting, "failed with SystemExit: 3"),
    "draws": (
        lambda s, a: np.random.default_rng().normal(size=s.shape),
        "answers the same question twice",
    ),
    "a memory": (counting(), "answers the same question twice .* no memory between calls"),
    "the batch's mean": (
        lambda s, a: s - s.mean(0) + a,
        "answers a row differently in a batch of 7",
    ),
    "the batch's statistics": (standardised, "answers a row differently in a batch of 7"),
    "the batch's largest": (lambda s, a: s / np.abs(s).max() + a, "hang on the batch"),
    "a member by place": (by_place, "answers a row differently"),
    "a member by size": (by_size, "answers a row differently"),
    "a sum over rows": (lambda s, a: np.cumsum(s, 0) + a, "answers a row differently"),
    "rows sorted": (lambda s, a: np.sort(s, 0) + a, "answers a row differently"),
    "rows turned": (turned, "answers a row differently"),
    "noise by place": (seeded, "answers a row differently"),
    "seven rows only": (
        of_seven,
        "answers a batch of 7 and fails for a batch of 6 of the same rows with ValueError",
    ),
    "a module behind an array": (
        lambda s, a: torch.nn.Linear(2, 2)(s),
        'functions="torch" hands it tensors',
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.filterwarnings("ignore")
def test_a_function_whose_answers_cannot_be_used_is_refused_by_name(case):
    function, sentence = REFUSED[case]
    with pytest.raises(checks.ParacosmError, match=sentence) as raised:
        host(function).value(ROWS)
    assert str(raised.value).startswith("the NumPy dynamics ")
    assert "\n" not in str(raised.value)


def in_place(s, a):
    s *= 0.9
    s += a
    return s


def one_buffer():
    buffer = np.zeros((64, 2))

    def function(s, a):
        np.add(0.9 * s, a, out=buffer[: len(s)])
        return buffer[: len(s)]

    return function


def through_single(s, a):
    assert s.dtype == np.float32
    return right(s, a)


LINEAR = torch.nn.Linear(2, 2, bias=False)
LINEAR.weight.data = 0.9 * torch.eye(2)


def behind_numpy(s, a):
    return LINEAR(torch.as_tensor(s)) + torch.as_tensor(a)


ANSWERED = {
    "itself": (right, 1e-12),
    "lists": (lambda s, a: right(s, a).tolist(), 1e-12),
    "a list of one": (lambda s, a: [right(s, a)], 1e-12),
    "a tuple of one": (lambda s, a: (right(s, a),), 1e-12),
    "32 bits": (lambda s, a: right(s, a).astype(np.float32), 1e-6),
    "32 bits inside": (lambda s, a: right(s, a).astype(np.float32).astype(float), 1e-6),
    "only from 32 bits": (through_single, 1e-6),
    "a tensor": (lambda s, a: torch.as_tensor(right(s, a)), 1e-12),
    "a tensor in a graph": (behind_numpy, 1e-6),
    "in place": (in_place, 1e-12),
    "one buffer": (one_buffer(), 1e-12),
    "one row without its batch": (lambda s, a: np.squeeze(right(s, a)), 1e-12),
    "nothing masked": (lambda s, a: np.ma.masked_less(right(s, a), -50), 1e-12),
}


@pytest.mark.parametrize("case", ANSWERED)
def test_odd_functions_of_arrays_are_answered_exactly_and_so_are_their_slopes(case):
    function, error = ANSWERED[case]
    dynamics = host(function)
    for rows in (ROWS, ROWS[:1]):
        np.testing.assert_allclose(dynamics.value(rows), RIGHT[: len(rows)], rtol=error, atol=error)
    value, slopes = dynamics.value_and_jacobian(ROWS)
    np.testing.assert_allclose(value, RIGHT, rtol=error, atol=error)
    np.testing.assert_allclose(slopes, SLOPES, atol=1e-3 if error > 1e-10 else 1e-8)
    assert dynamics.precision == ("32 bits" if error > 1e-10 else "64 bits")


def test_rounding_that_a_function_hides_is_noticed_by_column_and_flat_columns_hide_nothing():
    def step(s, a):
        return right(s, a), right(s, a)[:, 0].astype(np.float32).astype(float)

    def steps_and_levels(s, a):
        return right(s, a), np.where(s[:, 0] > 0, 0.5, -1.0)

    for function, bits in ((step, "32 bits"), (steps_and_levels, "64 bits")):
        dynamics = foreign.world(SPEC, step=function).dynamics.host
        dynamics.value_and_jacobian(ROWS)
        assert dynamics.precision == bits


def test_what_hangs_on_the_batch_is_noticed_from_single_rows_too():
    dynamics = host(by_size)

    def ask_one_by_one():
        return [dynamics.value(row[None]) for row in ROWS]

    with pytest.raises(checks.BadArgument, match="answers a row differently"):
        ask_one_by_one()


def test_rows_are_tried_in_each_precision_and_only_in_the_first_calls():
    dynamics, calls = host(lambda s, a: calls.append(len(s)) or right(s, a)), []
    for dtype in (np.float32, np.float64):
        for _ in range(12):
            dynamics.value(ROWS.astype(dtype))
    assert len(calls) == 2 * (8 * 5 + 4)


def test_numbers_too_large_for_the_questions_precision_are_refused():
    dynamics = host(lambda s, a: right(s, a) * 1e60)
    assert np.isfinite(dynamics.value(ROWS)).all()
    with pytest.raises(checks.BadData, match=r"NumPy dynamics gives -?inf at s ="):
        dynamics.value(ROWS.astype(np.float32))


def test_a_failure_names_the_row_at_which_the_function_fails_alone():
    def cold(s, a):
        assert (s[:, 0] > 0).all(), "cold"
        return right(s, a)

    coldest = np.flatnonzero(S[:, 0] <= 0)[0]
    with pytest.raises(foreign.BadAnswer, match="AssertionError: cold") as raised:
        host(cold).value(ROWS)
    np.testing.assert_array_equal(raised.value.question["s"], S[coldest])
    with pytest.raises(foreign.BadAnswer) as raised:
        host(lambda s, a: s[:, :1]).value(ROWS)
    assert raised.value.question is None


def test_a_policy_called_by_itself_raises_its_own_sentence():
    policy = foreign.policy(raising_policy, SPEC)
    for _ in range(2):
        with pytest.raises(checks.BadData, match="the NumPy policy failed with OSError: no oil"):
            policy(S)


def raising_policy(s):
    raise OSError("no oil")


def test_a_source_raises_a_policys_own_sentence_as_the_verb_does():
    policy = foreign.policy(raising_policy, SPEC)
    real = foreign.world(SPEC, dynamics=right, reward=unpaid, initial=lambda key: jnp.ones(2))
    for source in (connect(real), connect(functools.partial(Sampling, VECTOR), horizon=6)):
        with pytest.raises(checks.BadData, match="the NumPy policy failed with OSError: no oil"):
            source.evaluate(policy, episodes=1)


def test_an_error_inside_says_in_which_function_it_was_raised():
    calls = named_calls({"encode": raising(ValueError("4 columns")), "act": exiting}, but=("act",))
    assert calls["act"] is exiting
    with pytest.raises(ValueError, match="4 columns") as caught:
        calls["encode"](1, 2)
    assert exception_text(caught.value) == "ValueError: 4 columns (in encode)"


def test_a_head_that_gives_numpy_is_taken_as_it_is():
    answer = np.ones((2, 1))
    assert mode_of(answer) is answer
