"""An earlier policy is kept where it is clearly better in the present world, and else is not."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from paracosm.core.learner import LearnerPrediction
from paracosm.core.records.stop_reason import StopReason
from paracosm.imagination.earlier import better_of
from paracosm.imagination.imagine import Imagined
from paracosm.imagination.pathwise import Pathwise, PathwiseSettings
from tests.imagination.test_branches import KEY, problem
from tests.imagination.test_imagine import integrator
from tests.reporting.report_records import training

LEARNER = Pathwise(PathwiseSettings(branches=32, width=16))
TASK = dataclasses.replace(problem(integrator()), rate=jnp.asarray(3e-3))


@pytest.fixture(scope="module")
def states():
    """An untrained state, and one that has learned to stand still at the goal."""

    @eqx.filter_jit
    def trained(state):
        def step(i, state):
            return LEARNER.step(state, TASK, jax.random.fold_in(KEY, i))[0]

        return jax.lax.fori_loop(0, 400, step, state)

    new = eqx.filter_jit(LEARNER.init)(TASK, KEY)
    return new, trained(new)


def imagined(state) -> Imagined:
    record = dataclasses.replace(training(), stop_reason=StopReason.ROUND)
    prediction = LearnerPrediction(LEARNER, state, TASK)
    return Imagined(LEARNER.policy(state), None, TASK.world, record, prediction)


def test_what_training_has_lost_is_given_back(states):
    untrained, trained = states
    kept = better_of(imagined(untrained), trained, KEY)
    assert kept.own_prediction.state is trained
    assert kept.training.stop_reason is StopReason.EARLIER
    assert "earlier round" in kept.training.stop


@pytest.mark.parametrize("earlier", [0, 1])
def test_a_policy_that_is_as_good_or_better_stays(states, earlier):
    now = imagined(states[1])
    assert better_of(now, states[earlier], KEY) is now
