"""What every learner keeps to, whatever it does; and what REINFORCE predicts."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core import checks
from paracosm.core.learner import Learner, Problem, StartStates
from paracosm.core.policy import Deterministic, Mode, Policy, StochasticPolicy
from paracosm.core.rollout import rollout
from paracosm.imagination.pathwise import Pathwise, PathwiseSettings
from paracosm.imagination.reinforce import REINFORCE
from paracosm.imagination.settings import ImagineSettings
from tests.extending.cross_entropy import CrossEntropy
from tests.imagination.imagining import imagine_in
from tests.imagination.test_imagine import HORIZON, INITIAL, SMALL, VISITED, integrator

WORLD = integrator()
STARTS = StartStates(jnp.asarray(INITIAL), jnp.asarray(VISITED))
PROBLEM = Problem(WORLD, WORLD, STARTS, SMALL.horizon, jnp.asarray(1e-2))
KEY = jax.random.key(0)
LEARNERS = {
    "REINFORCE": REINFORCE(SMALL),
    "pathwise": Pathwise(PathwiseSettings(branches=8, width=8)),
    "cross entropy": CrossEntropy(16, 4, 4),
}


@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_every_learner_keeps_the_contract(learner):
    state = jax.jit(lambda key: learner.init(PROBLEM, key))(KEY)
    step = jax.jit(lambda state, key: learner.step(state, PROBLEM, key))
    (first, metrics), (again, _) = step(state, KEY), step(state, KEY)
    assert jax.tree.structure(state) == jax.tree.structure(first)
    for before, after in zip(jax.tree.leaves(state), jax.tree.leaves(first), strict=True):
        assert (before.shape, before.dtype) == (after.shape, after.dtype), "carried through a loop"
    assert all(np.shape(number) == () for number in metrics.values())
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)
    policy = learner.policy(first)
    assert isinstance(policy, Policy)
    assert policy(INITIAL).shape == (len(INITIAL), 1)
    predicted = learner.predicted_return(first, PROBLEM, jnp.asarray(INITIAL), KEY)
    assert predicted.shape == (len(INITIAL),)
    assert np.isfinite(predicted).all()


def test_what_reinforce_predicts_is_imagined_steps_and_a_value():
    learner = LEARNERS["REINFORCE"]
    state = jax.jit(lambda key: learner.init(PROBLEM, key))(KEY)
    predicted = learner.predicted_return(state, PROBLEM, jnp.asarray(INITIAL), KEY)
    keys = jax.random.split(KEY, len(INITIAL))
    episodes = rollout(WORLD, Mode(state.policy), INITIAL, keys, SMALL.horizon)
    later = jax.vmap(state.value, (0, None))(episodes.next_state[:, -1], jnp.zeros(()))
    discounts = WORLD.discount ** np.arange(SMALL.horizon + 1)
    expected = np.asarray(episodes.reward) @ discounts[:-1] + discounts[-1] * np.asarray(later)
    np.testing.assert_allclose(predicted, expected, rtol=1e-5)
    assert SMALL.horizon < HORIZON


class Pushing(Learner):
    """Its policy pushes away from 0, where the best state is: least after ten steps."""

    keep = "last"

    def init(self, problem, key):
        return jnp.zeros(())

    def step(self, state, problem, key):
        return state + 0.01, {}

    def policy(self, state):
        def push(state, s):
            return jnp.abs(state - 0.1) * jnp.sign(s)

        return Deterministic(jax.tree_util.Partial(push, state))

    def predicted_return(self, state, problem, start, key):
        return jnp.zeros(len(start))


@pytest.mark.parametrize(("keep", "steps"), [(None, 20), ("last", 20), ("best", 10)])
def test_what_is_kept_is_the_last_state_or_that_of_the_highest_score(keep, steps):
    settings = ImagineSettings(check=5, most_steps=20, patience=9)
    imagined = imagine_in(WORLD, INITIAL, VISITED, learner=Pushing(), keep=keep, settings=settings)
    assert imagined.own_prediction.state == pytest.approx(0.01 * steps)
    assert imagined.training.kept_step == steps
    assert imagined.training.kept_return == imagined.training.imagined_return[steps // 5 - 1]


class Counting(Learner):
    """Trains nothing: its state is a Python number that counts, and `change` is what a step makes
    of what it gives.
    """

    change: object = eqx.field(static=True, default=lambda state, metrics: (state, metrics))
    entropy: float = eqx.field(static=True, default=0.0)

    def init(self, problem, key):
        return {"steps": 0}

    def step(self, state, problem, key):
        return self.change({"steps": state["steps"] + 1}, {"number": state["steps"]})

    def policy(self, state):
        return Idle(jnp.asarray(self.entropy))

    def predicted_return(self, state, problem, start, key):
        return jnp.zeros(len(start))


class Idle(StochasticPolicy):
    """Does nothing."""

    of: jax.Array

    def sample(self, state, key):
        return jnp.zeros(1)

    def mode(self, state):
        return jnp.zeros(1)

    def log_prob(self, state, action):
        return -self.of

    def entropy(self, state):
        return self.of


def counted(learner, **options):
    settings = dataclasses.replace(SMALL, most_steps=4, check=2, rates=(1e-2,))
    return imagine_in(WORLD, INITIAL, VISITED, learner=learner, settings=settings, **options)


def test_a_number_of_a_state_counts_where_training_goes_on():
    first = counted(Counting(), keep="last").own_prediction.state
    later = counted(Counting(), keep="last", state={"steps": int(first["steps"])})
    assert (int(first["steps"]), int(later.own_prediction.state["steps"])) == (4, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state, metrics: state,
            r"Counting gives {'steps': .*; a pair of the next",
        ),
        (lambda state, metrics: (state, None), r"Counting gives \({'steps': .*None\); a pair of"),
        (
            lambda state, metrics: ({"steps": jnp.zeros(3)}, metrics),
            r"a state in which \['steps'\] is float32 of the shape \(3,\); int32 of the shape \(\)",
        ),
        (lambda state, metrics: ({}, metrics), r"in which \['steps'\] is missing; int32 of"),
        (
            lambda state, metrics: (state | {"more": jnp.ones(2)}, metrics),
            r"gives a state with \['more'\], which was not there before the step",
        ),
        (
            lambda state, metrics: (state, {"edge_share": jnp.asarray(jnp.nan)}),
            r"the mean edge_share of the learner's steps is nan after gradient step 2",
        ),
    ],
)
def test_what_a_step_gives_is_checked_with_the_learners_name(change, message):
    with pytest.raises(checks.BadData, match=message):
        counted(Counting(change))


def test_an_entropy_that_is_not_finite_is_no_imagined_return():
    with pytest.raises(checks.BadData, match=r"the policy's entropy is -inf after gradient step 2"):
        counted(Counting(entropy=-np.inf))


def test_a_keep_that_is_none_is_refused(monkeypatch):
    monkeypatch.setattr(Counting, "keep", "Best")
    with pytest.raises(checks.BadArgument, match=r"keep of the learner Counting is 'Best'"):
        counted(Counting())
