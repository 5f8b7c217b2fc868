"""Models and policies of others that misbehave: each is answered exactly, or refused by one sentence with its name.

The host's side is asked without a compiled program. Rows are `s` of 2 and `a` of 1; the right answer is 0.9 s + a.
"""

import itertools
import sqlite3
import sys
import threading

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.mdp import Box, Discrete, Spec
from paracosm.real import foreign
from paracosm.real.foreign.host import AUTOGRAD, DIFFERENCES

SPEC = Spec(2, Box(-jnp.ones(1), jnp.ones(1)), jnp.ones(2), 6)
SWITCHED = Spec(2, Discrete(2, start=1), jnp.ones(2), 6)
ROWS = np.random.default_rng(0).normal(size=(7, 3))
S, A = ROWS[:, :2], ROWS[:, 2:]
RIGHT = 0.9 * S + A
SLOPES = np.tile(np.array([[0.9, 0, 1], [0, 0.9, 1]]), (len(ROWS), 1, 1))
MEMBERS = np.array([0.5, 0.7, 0.9, 1.1, 1.3])


def unpaid(s, a, n):
    return np.zeros(len(s))


def host(dynamics, **options):
    return foreign.world(SPEC, dynamics=dynamics, reward=unpaid, **options).dynamics.host


def right(s, a):
    return 0.9 * s + a


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
    "a dict": (lambda s, a: {"next": s}, "gives a dict for the next state; real numbers are needed"),
    "words": (lambda s, a: np.full(s.shape, "far"), "for the next state; real numbers are needed"),
    "complex": (lambda s, a: s + 1j, "gives a ndarray of complex128 for the next state"),
    "objects": (lambda s, a: s.astype(object), "gives a ndarray for the next state; real numbers"),
    "dates": (lambda s, a: s.astype(int).astype("M8[s]"), r"gives a ndarray of datetime64\[s\]"),
    "a ragged list": (lambda s, a: [[1.0, 2.0], [1.0]], "gives a list for the next state that is no array"),
    "masked": (masked, "gives masked numbers for the next state"),
    "a JAX array": (lambda s, a: jnp.asarray(s), "gives a JAX array for the next state"),
    "two results": (lambda s, a: (s, a), "gives 2 results; 1 .next state. are needed"),
    "no batch": (lambda s, a: s[0], r"gives the shape \(2,\) for the next state of a batch of 7; \(7, 2\)"),
    "one number": (lambda s, a: 1.0, r"gives the shape \(\) for the next state"),
    "a component less": (lambda s, a: s[:, :1], r"gives the shape \(7, 1\) for the next state"),
    "broadcast": (lambda s, a: s[:, :1] * a[:, 0], r"gives the shape \(7, 7\)"),
    "NaN": (lambda s, a: np.where(s > 1, np.nan, s), r"gives nan at s = \[.*\], a = \[.*\]; it must give finite"),
    "infinite": (lambda s, a: np.where(s > 1, np.inf, s), "gives inf at s ="),
    "an error": (raising(RuntimeError("the tank\nis empty")), "failed with RuntimeError: the tank is empty$"),
    "an error without words": (raising(AssertionError()), r"failed with AssertionError\.$"),
    "an error of a thousand words": (raising(KeyError("word " * 1000)), "failed with KeyError: .{300,420} …$"),
    "sys.exit": (exiting, "failed with SystemExit: 3"),
    "draws": (lambda s, a: np.random.default_rng().normal(size=s.shape), "answers the same question twice"),
    "a memory": (counting(), "answers the same question twice .* no memory between calls"),
    "the batch's mean": (lambda s, a: s - s.mean(0) + a, "answers a row differently in a batch of 7"),
    "the batch's statistics": (standardised, "answers a row differently in a batch of 7"),
    "the batch's largest": (lambda s, a: s / np.abs(s).max() + a, "hang on the batch"),
    "a member by place": (by_place, "answers a row differently"),
    "a member by size": (by_size, "answers a row differently"),
    "a sum over rows": (lambda s, a: np.cumsum(s, 0) + a, "answers a row differently"),
    "rows sorted": (lambda s, a: np.sort(s, 0) + a, "answers a row differently"),
    "rows turned": (turned, "answers a row differently"),
    "noise by place": (seeded, "answers a row differently"),
    "seven rows only": (of_seven, "answers a batch of 7 and fails for a batch of 6 of the same rows with ValueError"),
    "a module behind an array": (lambda s, a: torch.nn.Linear(2, 2)(s), 'functions="torch" hands it tensors'),
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
    asked = host(function)
    for rows in (ROWS, ROWS[:1]):
        np.testing.assert_allclose(asked.value(rows), RIGHT[: len(rows)], rtol=error, atol=error)
    value, slopes = asked.value_and_jacobian(ROWS)
    np.testing.assert_allclose(value, RIGHT, rtol=error, atol=error)
    np.testing.assert_allclose(slopes, SLOPES, atol=1e-3 if error > 1e-10 else 1e-8)
    assert asked.precision == ("32 bits" if error > 1e-10 else "64 bits")


def test_rounding_that_a_function_hides_is_noticed_by_column_and_flat_columns_hide_nothing():
    def step(s, a):
        return right(s, a), right(s, a)[:, 0].astype(np.float32).astype(float)

    def steps_and_levels(s, a):
        return right(s, a), np.where(s[:, 0] > 0, 0.5, -1.0)

    for function, bits in ((step, "32 bits"), (steps_and_levels, "64 bits")):
        asked = foreign.world(SPEC, step=function).dynamics.host
        asked.value_and_jacobian(ROWS)
        assert asked.precision == bits


class Module(torch.nn.Module):
    """0.9 s + a, by way of what a subclass makes of the product."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(0.9))
        self.linear = LINEAR

    def forward(self, s, a):
        return self.weight * s + a


class InPlaceInput(Module):
    def forward(self, s, a):
        s[:, 0] *= 0.9
        s[:, 1] *= 0.9
        s += a
        return s


class InPlaceInside(Module):
    def forward(self, s, a):
        x = torch.exp(s)
        y = torch.log(x)
        x *= 0
        return 0.9 * y + a


class Casting(Module):
    def forward(self, s, a):
        return self.linear(s.float()) + a.float()


class CastingBack(Module):
    def forward(self, s, a):
        return (self.linear.float()(s.float()) + a.float()).to(s.dtype)


class Detached(Module):
    def forward(self, s, a):
        return super().forward(s, a).detach()


class HalfDetached(Module):
    def forward(self, s, a):
        return 0.5 * s.detach() + 0.4 * s + a


class OneDetached(Module):
    def forward(self, s, a):
        right = super().forward(s, a)
        return torch.stack([right[:, 0].detach(), right[:, 1]], 1)


class NoGrad(Module):
    @torch.no_grad()
    def forward(self, s, a):
        return super().forward(s, a)


class Inference(Module):
    def forward(self, s, a):
        with torch.inference_mode():
            return super().forward(s, a)


class ThroughNumpy(Module):
    def forward(self, s, a):
        return torch.as_tensor(0.9 * s.detach().numpy()) + a


class NoDerivative(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 0.9 * x


class WrongDerivative(NoDerivative):
    @staticmethod
    def backward(ctx, x):
        return 3 * x


class Custom(Module):
    operation = NoDerivative

    def forward(self, s, a):
        return self.operation.apply(s) + a


class Wrong(Custom):
    operation = WrongDerivative


class Energy(Module):
    """The slope of 0.45 |s|², which needs gradients to answer."""

    def forward(self, s, a):
        s = s if s.requires_grad else s.clone().requires_grad_(True)
        return torch.autograd.grad((0.45 * s**2).sum(), s, create_graph=True)[0] + a


class Silent(Module):
    """Its `eval` and `cpu` give nothing back."""

    def eval(self):
        super().eval()

    def cpu(self):
        super().cpu()


class Optimised(Module):
    def __init__(self):
        super().__init__()
        self.optimiser = torch.optim.Adam(self.parameters())


class Dropping(Module):
    def forward(self, s, a):
        return torch.nn.functional.dropout(super().forward(s, a), 0.5, self.training)


MODULES = {
    Module: (AUTOGRAD, 1e-7), InPlaceInput: (AUTOGRAD, 1e-12), InPlaceInside: (DIFFERENCES, 1e-12),
    Casting: (AUTOGRAD, 1e-6), CastingBack: (AUTOGRAD, 1e-6), Detached: (DIFFERENCES, 1e-7),
    HalfDetached: (DIFFERENCES, 1e-12), OneDetached: (DIFFERENCES, 1e-7), NoGrad: (DIFFERENCES, 1e-7),
    Inference: (DIFFERENCES, 1e-7), ThroughNumpy: (DIFFERENCES, 1e-12), Custom: (DIFFERENCES, 1e-12),
    Wrong: (DIFFERENCES, 1e-12), Energy: (AUTOGRAD, 1e-12), Silent: (AUTOGRAD, 1e-7), Optimised: (AUTOGRAD, 1e-7),
    Dropping: (AUTOGRAD, 1e-7),
}  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
def test_odd_modules_are_answered_exactly_and_say_how_their_slopes_were_made(module):
    derivatives, error = MODULES[module]
    asked = host(module())
    np.testing.assert_allclose(asked.value(ROWS), RIGHT, rtol=error, atol=error)
    value, slopes = asked.value_and_jacobian(ROWS)
    np.testing.assert_allclose(value, RIGHT, rtol=error, atol=error)
    np.testing.assert_allclose(slopes, SLOPES, atol=1e-3 if error == 1e-6 else 1e-7)
    assert asked.derivatives == derivatives
    assert asked.precision == ("32 bits" if error == 1e-6 else "64 bits")


class Bent(Module):
    """Kinks, at the bounds where actions and clipped states lie, and a plateau."""

    def forward(self, s, a):
        return torch.relu(s) + torch.clamp(a, -1, 1)


def test_kinks_at_which_recorded_actions_lie_are_no_reason_to_give_up_torchs_derivatives():
    rows = np.concatenate([S, np.sign(A)], axis=1)
    asked = host(Bent())
    asked.value_and_jacobian(rows)
    assert asked.derivatives == AUTOGRAD


class Root(Module):
    def forward(self, s, a):
        return torch.sqrt(torch.relu(s)) ** 2 * 0.9 + a


def test_a_derivative_that_is_not_finite_is_made_by_differences():
    rows = ROWS.copy()
    rows[0, 0] = 0.0
    slopes = host(Root()).value_and_jacobian(rows)[1]
    assert np.isfinite(slopes).all()
    np.testing.assert_allclose(slopes[1:, 0, 0], 0.9 * (S[1:, 0] > 0), atol=1e-7)


def carrying(what):
    module = Module()
    module.carried = what
    return module


NORM = torch.nn.BatchNorm1d(2, affine=False)
UNCOPIED = "that cannot be copied .* give the sub-modules that answer, without what else it carries"
REFUSED_MODULES = {
    "a lock": (lambda: carrying(threading.Lock()), UNCOPIED),
    "a generator": (lambda: carrying(iter(x for x in "ab")), UNCOPIED),
    "a database": (lambda: carrying(sqlite3.connect(":memory:")), UNCOPIED),
    "a tensor in a graph": (lambda: carrying(LINEAR(torch.ones(1, 2))), UNCOPIED),
    "no data": (lambda: Module().to("meta"), UNCOPIED),
    "parameters not made": (lambda: torch.nn.LazyLinear(2), "parameters that are not made yet; call it once"),
    "statistics of the batch": (lambda: lambda s, a: NORM(s) + a, "answers a row differently in a batch of 7"),
    "dropout": (lambda: lambda s, a: torch.nn.functional.dropout(s) + a, "answers the same question twice"),
    "a distribution": (lambda: lambda s, a: torch.distributions.Normal(s, 1), "gives a Normal for the next state"),
    "complex": (lambda: lambda s, a: torch.complex(s, s), "gives a Tensor of torch.complex"),
    "the words of torch": (lambda: lambda s, a: torch.nn.Linear(7, 2)(s), "failed with RuntimeError: mat1 and mat2"),
    "a component less": (lambda: lambda s, a: s[:, 0], r"gives the shape \(7,\) for the next state"),
    "no data given": (lambda: lambda s, a: s.to("meta"), "failed with NotImplementedError: "),
}


@pytest.mark.parametrize("case", REFUSED_MODULES)
def test_a_module_that_cannot_be_used_is_refused_by_name_and_with_a_remedy(case):
    make, sentence = REFUSED_MODULES[case]
    with pytest.raises(checks.ParacosmError, match=sentence) as raised:
        host(make(), functions="torch").value(ROWS)
    assert str(raised.value).startswith("the PyTorch dynamics ")
    assert "\n" not in str(raised.value)


def test_what_hangs_on_the_batch_is_noticed_from_single_rows_too():
    asked = host(by_size)

    def ask_one_by_one():
        return [asked.value(row[None]) for row in ROWS]

    with pytest.raises(checks.BadArgument, match="answers a row differently"):
        ask_one_by_one()


def test_rows_are_tried_in_each_precision_and_only_in_the_first_calls():
    asked, calls = host(lambda s, a: calls.append(len(s)) or right(s, a)), []
    for dtype in (np.float32, np.float64):
        for _ in range(12):
            asked.value(ROWS.astype(dtype))
    assert len(calls) == 2 * (8 * 4 + 4)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_rounding_in_batches_of_other_sizes_is_no_dependence_on_the_batch(scale):
    """Soundness: wide networks in 32 bits, whose products are summed in another order for other sizes."""
    torch.manual_seed(0)
    wide = torch.nn.Linear(3, 512), torch.nn.SiLU(), torch.nn.Linear(512, 512), torch.nn.Linear(512, 2)
    net = torch.nn.Sequential(*wide)
    asked = host(lambda s, a: scale * net(torch.cat([s, a], 1)), functions="torch")
    for seed in range(10):
        asked.value(np.random.default_rng(seed).normal(size=(200, 3)))


def ends(function, gives=None):
    made = foreign.world(
        SPEC, dynamics=right, reward=unpaid, termination=function, termination_of="s", termination_gives=gives
    )
    return made.termination.host


LOGITS = np.array([-3.0, -0.4, 0.0, 0.4, 2.0, 5.0, -1.0])
SIGMOID = 1 / (1 + np.exp(-LOGITS))
PROBABLE = LOGITS > 0


@pytest.mark.parametrize(
    ("column", "gives", "expected"),
    [
        (PROBABLE, None, PROBABLE),
        (PROBABLE.astype(float), None, PROBABLE),
        (PROBABLE.astype(int)[:, None], None, PROBABLE),
        (PROBABLE.astype(float), "end", PROBABLE),
        (LOGITS, None, PROBABLE),
        (LOGITS, "logit", PROBABLE),
        (LOGITS / 100 + 0.1, "logit", LOGITS > -10),
        (SIGMOID, "probability", PROBABLE),
        (1 - SIGMOID, "continue", PROBABLE),
        (~PROBABLE, "continue", PROBABLE),
        (
            SIGMOID,
            None,
            r"gives numbers from 0.04743 to 0.9933 for the end; .* 0 and 1: a probability. say termination_gives=",
        ),
        (1 - SIGMOID, None, "lie between 0 and 1: a probability"),
        (np.full(7, 0.997), None, "lie between 0 and 1: a probability"),
        (SIGMOID, "end", "gives 0.04743 for the end at .* declared termination_gives='end': 0 or 1 are needed"),
        (LOGITS, "probability", "gives -3 for the end .* termination_gives='probability': answers between 0 and 1"),
        (LOGITS, "continue", "gives -3 for the end .* termination_gives='continue'"),
        (np.full(7, np.nan), "probability", "gives nan at s"),
    ],
)
def test_ends_are_read_as_declared_and_numbers_between_0_and_1_are_not_guessed(column, gives, expected):
    order = np.argsort(S[:, 0])

    def function(s):  # by the row's state, so that a row means the same in every batch
        return column[order][np.searchsorted(S[order, 0], s[:, 0])]

    asked = ends(function, gives)
    if isinstance(expected, str):
        with pytest.raises(checks.BadData, match=expected):
            asked.value(S)
    else:
        np.testing.assert_array_equal(asked.value(S)[:, 0], expected)


def test_a_rule_that_has_given_logits_gives_logits():
    asked = ends(lambda s: s[:, 0])
    np.testing.assert_array_equal(asked.value(np.array([[-3.0, 0], [0.4, 0]]))[:, 0], [False, True])
    np.testing.assert_array_equal(asked.value(np.array([[0.2, 0], [0.4, 0]]))[:, 0], [True, True])


def test_an_unknown_form_of_ends_is_refused():
    with pytest.raises(checks.BadArgument, match="termination_gives is 'chance'; it must be one of 'end', 'prob"):
        ends(lambda s: s[:, 0], "chance")


def test_the_end_of_a_joint_step_is_read_as_declared():
    def step(s, a):
        return right(s, a), s[:, 0], 1 / (1 + np.exp(-s[:, 1]))

    with pytest.raises(checks.BadData, match=r"NumPy step gives .* a probability"):
        foreign.world(SPEC, step=step, step_gives="s',r,ended").termination.host.value(ROWS)
    made = foreign.world(SPEC, step=step, step_gives="s',r,ended", termination_gives="continue")
    np.testing.assert_array_equal(made.termination.host.value(ROWS)[:, 3], S[:, 1] < 0)
    np.testing.assert_allclose(made.termination.host.value(ROWS)[:, :2], RIGHT)


@pytest.mark.parametrize(
    ("choose", "expected"),
    [
        (lambda s: 1 + (s[:, 0] > 0), S[:, 0] > 0),
        (lambda s: 1.0 + (s[:, :1] > 0), S[:, 0] > 0),
        (lambda s: torch.as_tensor(1 + (s[:, 0] > 0)), S[:, 0] > 0),
        (lambda s: s[:, 0] > 0, r"gives the action 0 at s = \[.*\]; the actions are whole numbers from 1 to 2\."),
        (lambda s: 2 + (s[:, 0] > 0), "gives the action 3 at s = .* from 1 to 2"),
        (lambda s: np.full(len(s), -1), "gives the action -1 at s = "),
        (lambda s: 1 + 1 / (1 + np.exp(-s[:, 0])), r"gives the action 1\.\d+ at s = .* whole numbers from 1"),
        (lambda s: np.eye(2)[(s[:, 0] > 0).astype(int)], r"gives the shape \(7, 2\) for the action"),
        (lambda s: np.full(len(s), np.nan), "gives nan at s ="),
    ],
)
def test_discrete_actions_are_those_of_the_space_which_may_start_anywhere(choose, expected):
    asked = foreign.policy(choose, SWITCHED).host
    if isinstance(expected, str):
        with pytest.raises(checks.BadData, match=expected) as raised:
            asked.value(S)
        assert str(raised.value).startswith("the NumPy policy ")
    else:
        np.testing.assert_array_equal(asked.value(S)[:, 0], expected)


@pytest.mark.parametrize("functions", ["numpy", "torch"])
def test_a_world_gets_discrete_actions_as_the_environment_numbers_them(functions):
    seen = set()

    def dynamics(s, a):
        seen.update(a.tolist())
        return s * a[:, None]

    made = foreign.world(SWITCHED, dynamics=dynamics, reward=unpaid, functions=functions)
    rows = np.concatenate([S, (A > 0)], axis=1)
    np.testing.assert_allclose(made.dynamics.host.value(rows), S * (1 + (A > 0)), rtol=1e-6)
    assert seen == {1, 2}


class Normaliser:
    def normalize_obs(self, observations):
        return (observations / 10).astype(np.float32)


class Agent:
    """The calling convention of Stable-Baselines3."""

    def __init__(self, normaliser=None, memory=None, env=None):
        self.normaliser, self.memory, self.env = normaliser, memory, env

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return observation[:, :1] * 10, self.memory

    def get_vec_normalize_env(self):
        return self.normaliser

    def get_env(self):
        return self.env


class Regressor:
    """The calling convention of scikit-learn."""

    def predict(self, rows):
        return rows[:, 0]


class Predicting(torch.nn.Module):
    """A module with another method of that name."""

    def forward(self, s):
        return s[:, :1]

    def predict(self, s, horizon):
        raise NotImplementedError


def acts(model):
    return foreign.policy(model, SPEC).host.value(S)[:, 0]


def test_predict_is_asked_behind_the_models_own_normaliser_and_a_lacking_one_is_mentioned():
    np.testing.assert_allclose(acts(Agent(Normaliser())), S[:, 0], rtol=1e-6)
    np.testing.assert_allclose(acts(Agent()), 10 * S[:, 0], rtol=1e-6)
    assert "VecNormalize" in foreign.policy(Agent(), SPEC).note
    for silent in (Agent(Normaliser()), Agent(env=object()), Regressor(), Predicting(), lambda s: s[:, :1]):
        assert foreign.policy(silent, SPEC).note == ""


@pytest.mark.parametrize("model", [Regressor(), Predicting()])
def test_other_methods_of_that_name(model):
    np.testing.assert_allclose(acts(model), S[:, 0], rtol=1e-6)


def test_a_policy_with_a_memory_is_refused():
    with pytest.raises(checks.BadArgument, match=r"predict gives a memory beside the action .a recurrent policy"):
        acts(Agent(memory=(np.zeros((1, 7, 4)), np.zeros((1, 7, 4)))))


def test_recorded_actions_below_zero_are_refused():
    recorded = Dataset(
        state=S, action=np.array([-1, 0, 1, 0, 1, 0, 1]), next_state=S, reward=np.zeros(7),
        terminated=np.zeros(7, bool), truncated=np.zeros(7, bool), episode=np.zeros(7, int), time=np.arange(7),
        has_transition=np.ones(7, bool), has_label=np.ones(7, bool),
    )  # fmt: skip
    with pytest.raises(checks.BadData, match="recorded action -1 is below 0"):
        foreign.spec(recorded)


def test_numbers_too_large_for_the_questions_precision_are_refused():
    asked = host(lambda s, a: right(s, a) * 1e60)
    assert np.isfinite(asked.value(ROWS)).all()
    with pytest.raises(checks.BadData, match=r"NumPy dynamics gives -?inf at s ="):
        asked.value(ROWS.astype(np.float32))


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
