"""What answers of others stand for: ends in four forms, actions of any space, `predict` and its
normaliser.
"""

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from paracosm import adapters as foreign
from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.mdp import Discrete, Spec
from tests.adapters.foreign_rows import RIGHT, ROWS, SPEC, A, S, right, unpaid

SWITCHED = Spec(2, Discrete(2, start=1), jnp.ones(2), 6)


def ends(function, gives=None):
    world = foreign.world(
        SPEC,
        dynamics=right,
        reward=unpaid,
        termination=function,
        termination_of="s",
        termination_gives=gives,
    )
    return world.termination.host


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
            r"gives numbers from 0.04743 to 0.9933 for the end; .* 0 and 1: a probability. say"
            r" termination_gives=",
        ),
        (1 - SIGMOID, None, "lie between 0 and 1: a probability"),
        (np.full(7, 0.997), None, "lie between 0 and 1: a probability"),
        (
            SIGMOID,
            "end",
            "gives 0.04743 for the end at .* declared termination_gives='end': 0 or 1 are needed",
        ),
        (
            LOGITS,
            "probability",
            "gives -3 for the end .* termination_gives='probability': answers between 0 and 1",
        ),
        (LOGITS, "continue", "gives -3 for the end .* termination_gives='continue'"),
        (np.full(7, np.nan), "probability", "gives nan at s"),
    ],
)
def test_ends_are_read_as_declared_and_numbers_between_0_and_1_are_not_guessed(
    column, gives, expected
):
    order = np.argsort(S[:, 0])

    def function(s):  # by the row's state, so that a row means the same in every batch
        return column[order][np.searchsorted(S[order, 0], s[:, 0])]

    host = ends(function, gives)
    if isinstance(expected, str):
        with pytest.raises(checks.BadData, match=expected):
            host.value(S)
    else:
        np.testing.assert_array_equal(host.value(S)[:, 0], expected)


def test_a_rule_that_has_given_logits_gives_logits():
    host = ends(lambda s: s[:, 0])
    np.testing.assert_array_equal(host.value(np.array([[-3.0, 0], [0.4, 0]]))[:, 0], [False, True])
    np.testing.assert_array_equal(host.value(np.array([[0.2, 0], [0.4, 0]]))[:, 0], [True, True])


def test_an_unknown_form_of_ends_is_refused():
    with pytest.raises(
        checks.BadArgument, match="termination_gives is 'chance'; it must be one of 'end', 'prob"
    ):
        ends(lambda s: s[:, 0], "chance")


def test_the_end_of_a_joint_step_is_read_as_declared():
    def step(s, a):
        return right(s, a), s[:, 0], 1 / (1 + np.exp(-s[:, 1]))

    with pytest.raises(checks.BadData, match=r"NumPy step gives .* a probability"):
        foreign.world(SPEC, step=step, step_gives="s',r,ended").termination.host.value(ROWS)
    world = foreign.world(SPEC, step=step, step_gives="s',r,ended", termination_gives="continue")
    np.testing.assert_array_equal(world.termination.host.value(ROWS)[:, 3], S[:, 1] < 0)
    np.testing.assert_allclose(world.termination.host.value(ROWS)[:, :2], RIGHT)


@pytest.mark.parametrize(
    ("choose", "expected"),
    [
        (lambda s: 1 + (s[:, 0] > 0), S[:, 0] > 0),
        (lambda s: 1.0 + (s[:, :1] > 0), S[:, 0] > 0),
        (lambda s: torch.as_tensor(1 + (s[:, 0] > 0)), S[:, 0] > 0),
        (
            lambda s: s[:, 0] > 0,
            r"gives the action 0 at s = \[.*\]; the actions are whole numbers from 1 to 2\.",
        ),
        (lambda s: 2 + (s[:, 0] > 0), "gives the action 3 at s = .* from 1 to 2"),
        (lambda s: np.full(len(s), -1), "gives the action -1 at s = "),
        (
            lambda s: 1 + 1 / (1 + np.exp(-s[:, 0])),
            r"gives the action 1\.\d+ at s = .* whole numbers from 1",
        ),
        (
            lambda s: np.eye(2)[(s[:, 0] > 0).astype(int)],
            r"gives the shape \(7, 2\) for the action",
        ),
        (lambda s: np.full(len(s), np.nan), "gives nan at s ="),
    ],
)
def test_discrete_actions_are_those_of_the_space_which_may_start_anywhere(choose, expected):
    host = foreign.policy(choose, SWITCHED).host
    if isinstance(expected, str):
        with pytest.raises(checks.BadData, match=expected) as raised:
            host.value(S)
        assert str(raised.value).startswith("the NumPy policy ")
    else:
        np.testing.assert_array_equal(host.value(S)[:, 0], expected)


@pytest.mark.parametrize("functions", ["numpy", "torch"])
def test_a_world_gets_discrete_actions_as_the_environment_numbers_them(functions):
    action_numbers = set()

    def dynamics(s, a):
        action_numbers.update(a.tolist())
        return s * a[:, None]

    world = foreign.world(SWITCHED, dynamics=dynamics, reward=unpaid, functions=functions)
    rows = np.concatenate([S, (A > 0)], axis=1)
    np.testing.assert_allclose(world.dynamics.host.value(rows), S * (1 + (A > 0)), rtol=1e-6)
    assert action_numbers == {1, 2}


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
    for silent in (
        Agent(Normaliser()),
        Agent(env=object()),
        Regressor(),
        Predicting(),
        lambda s: s[:, :1],
    ):
        assert foreign.policy(silent, SPEC).note == ""


@pytest.mark.parametrize("model", [Regressor(), Predicting()])
def test_other_methods_of_that_name(model):
    np.testing.assert_allclose(acts(model), S[:, 0], rtol=1e-6)


def test_a_policy_with_a_memory_is_refused():
    with pytest.raises(
        checks.BadArgument,
        match=r"predict gives a memory beside the action .*, or a Policy whose carry is its memory",
    ):
        acts(Agent(memory=(np.zeros((1, 7, 4)), np.zeros((1, 7, 4)))))


def recorded(actions):
    return Dataset(
        state=S, action=np.array(actions), next_state=S, reward=np.zeros(7),
        terminated=np.zeros(7, bool), truncated=np.zeros(7, bool), episode=np.zeros(7, int),
        time=np.arange(7),
        has_transition=np.ones(7, bool), has_label=np.ones(7, bool),
    )  # fmt: skip


def test_recorded_actions_below_zero_are_refused():
    with pytest.raises(checks.BadData, match="recorded action -1 is below 0"):
        foreign.spec(recorded([-1, 0, 1, 0, 1, 0, 1]))


def test_a_policy_may_know_more_actions_than_were_recorded():
    spec = foreign.spec(recorded([0, 1, 0, 0, 1, 1, 0]))
    assert spec.action.size == 2
    chosen = foreign.policy(lambda s: np.where(s[:, 0] > 0, 3, 0), spec).host.value(S)
    np.testing.assert_array_equal(chosen[:, 0], 3 * (S[:, 0] > 0))
    with pytest.raises(
        checks.BadData, match=r"gives the action -1 at .* whole numbers from 0 upwards"
    ):
        foreign.policy(lambda s: np.full(len(s), -1), spec).host.value(S)
