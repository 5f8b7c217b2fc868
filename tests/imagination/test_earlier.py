"""An earlier policy is kept where it is clearly better in the present world, and else is not."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core.learner import LearnerPrediction
from paracosm.core.policy import Mode
from paracosm.core.predicted import Bootstrapped
from paracosm.core.records.stop_reason import StopReason
from paracosm.imagination.earlier import (
    BestPolicy,
    Earlier,
    _is_clearly_higher,
    _returns,
    choose_training,
)
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


def earlier(state, real_return=-5.0, **known) -> Earlier:
    """The best policy before, which brought 20 more than random actions."""
    best = BestPolicy(real_return, 1, state)
    seen = Earlier(best, real_return - 20.0, math.inf, False, final_round=False)
    return seen._replace(**known)


def imagined_return(state) -> float:
    """Of sampled actions, which collect."""
    return float(jnp.mean(_returns(LEARNER.policy(state), TASK, KEY)))


def test_what_explores_predicts_no_return_by_a_value_of_what_is_unknown(states):
    """Its values are of the members' disagreement, and the return is what whole episodes bring."""
    exploring = dataclasses.replace(TASK, explore=jnp.ones(()))
    result = imagined(states[0])
    result = result._replace(
        own_prediction=dataclasses.replace(result.own_prediction, problem=exploring)
    )
    start = TASK.starts.initial[:5]
    whole = Bootstrapped(TASK.world, TASK.world.spec.horizon)(Mode(result.policy), start, KEY)
    predicted = result.prediction.function(Mode(result.policy), start, KEY)
    np.testing.assert_array_equal(predicted, whole)


def test_what_training_has_lost_is_given_back(states):
    untrained, trained = states
    result = choose_training(imagined(untrained), earlier(trained), KEY)
    assert result.own_prediction.state is trained
    assert result.training.stop_reason is StopReason.EARLIER
    assert "earlier round" in result.training.stop


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("final_round", [True, False])
def test_a_policy_that_is_as_good_or_better_stays(states, before, final_round):
    now, believed = imagined(states[1]), imagined_return(states[before])
    assert (
        choose_training(now, earlier(states[before], believed + 9, final_round=final_round), KEY)
        is now
    )


def test_at_last_a_policy_of_a_world_that_denies_what_was_seen_is_not_kept(states):
    now, believed = imagined(states[1]), imagined_return(states[0])
    for real_return in (believed - 11, believed + 11):
        assert choose_training(now, earlier(states[0], real_return), KEY) is now
        result = choose_training(now, earlier(states[0], real_return, final_round=True), KEY)
        assert result.own_prediction.state is states[0]


def test_after_a_policy_that_failed_the_best_one_is_kept(states):
    result = choose_training(imagined(states[1]), earlier(states[0], last_policy_failed=True), KEY)
    assert result.own_prediction.state is states[0]


def test_a_difference_that_nobody_would_notice_gives_no_training_up():
    """Where all starts are alike, standard errors are 0 and any difference is beyond them."""
    alike = jnp.full(32, 100.0)
    assert not _is_clearly_higher(alike + 1e-3, alike, least=0.5)
    assert not _is_clearly_higher(alike, alike, least=0.0)
    assert _is_clearly_higher(alike + 1.0, alike, least=0.5)
    noise = jax.random.normal(KEY, (32,))
    assert not _is_clearly_higher(alike + 0.5 + noise, alike, least=0.2)
    assert _is_clearly_higher(alike + 1.0 + noise, alike, least=0.2)


def test_a_training_is_given_up_for_a_hundredth_of_what_was_gained(states):
    untrained, trained = states
    now, seen = imagined(untrained), earlier(trained)
    assert choose_training(now, seen._replace(random_return=-1e9), KEY) is now
    unknown = choose_training(now, seen._replace(random_return=math.inf), KEY)
    assert unknown.own_prediction.state is trained, "no gain is known"


def test_at_last_what_was_seen_counts_more_than_what_usually_proved_too_much(states):
    """The last policy is imagined to be better; by how much less its like really brought counts."""
    now, believed = imagined(states[1]), imagined_return(states[0])
    ahead = imagined_return(states[1]) - believed
    assert ahead > 0
    for usual_gap, real_return, final_round, kept in [
        (-ahead - 0.3, believed, True, True),
        (-ahead - 0.1, believed, True, False),  # less than a hundredth of the gain of 20
        (-ahead - 0.3, believed + 9, True, True),  # it had lucky starts, and is imagined no lower
        (-ahead + 0.1, believed + 9, True, False),  # what it is imagined to bring counts
        (-ahead - 0.3, believed - 1, True, False),  # what it really brought counts
        (-ahead - 0.3, believed, False, False),
        (math.inf, believed, True, False),
    ]:
        seen = earlier(states[0], real_return, usual_gap=usual_gap, final_round=final_round)
        result = choose_training(now, seen, KEY)
        assert (result.own_prediction.state is states[0]) is kept


def test_at_last_policies_are_judged_by_sampled_actions_and_not_by_modes(states):
    now, believed = imagined(states[1]), imagined_return(states[0])
    sampled = imagined_return(states[1]) - believed
    modes = [float(jnp.mean(_returns(LEARNER.policy(s).greedy(), TASK, KEY))) for s in states]
    assert abs(sampled - (modes[1] - modes[0])) > 0.02
    between = (sampled + modes[1] - modes[0]) / 2
    seen = earlier(
        states[0], believed + 9, usual_gap=-between, final_round=True, random_return=math.inf
    )
    kept = choose_training(now, seen, KEY).own_prediction.state is states[0]
    assert kept is (sampled < between)


def test_a_world_known_to_be_hopeful_is_corrected_and_not_denied(states):
    """What it gives the earlier policy beyond what that brought is no reason by itself."""
    now, believed = imagined(states[1]), imagined_return(states[0])
    seen = earlier(states[0], believed - 11, usual_gap=-1.0, final_round=True)
    assert choose_training(now, seen, KEY) is now
    seen = earlier(states[0], believed + 11, usual_gap=-1.0, final_round=True)
    assert choose_training(now, seen, KEY).own_prediction.state is states[0]
