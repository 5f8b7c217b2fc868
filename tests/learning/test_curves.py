"""Learning curves: each point is what `learn` would have got from so many rows, measured on rows it never saw."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.policy import Deterministic, Uniform
from paracosm.core.rollout import rollout
from paracosm.learning.curves import learning_curve
from paracosm.learning.learn import LearnSettings
from paracosm.learning.settings import FitSettings
from paracosm.real.systems import lipschitz_synthetic

SETTINGS = LearnSettings(fit=FitSettings(members=2, width=16, batch=64, patience=4, most_epochs=40))
SIZES = (40, 120, 360)


def played(world, policy, episodes, seed):
    keys = jax.random.split(jax.random.key(seed), 2 * episodes)
    start = jax.vmap(world.initial)(keys[:episodes])
    return Dataset.from_trajectory(rollout(world, policy, start, keys[episodes:], 20))


@pytest.fixture(scope="module")
def case():
    world, policy = lipschitz_synthetic(jax.random.key(0))
    return world, played(world, Uniform(world.spec.action), 25, 1), played(world, policy, 10, 2)


@pytest.fixture(scope="module", params=["dynamics", "reward"])
def found(request, case):
    world, data, visited = case
    return request.param, learning_curve(
        request.param, data, world.spec, visited=visited, sizes=SIZES, seeds=2, settings=SETTINGS
    )


def test_errors_fall_with_samples_and_every_point_is_there(found):
    part, measured = found
    assert [(a.samples, a.seed) for a in measured.curve.anchors] == [(n, s) for s in range(2) for n in SIZES]
    for curve in measured.by_states.values():
        error = np.array([a.error for a in curve.anchors]).reshape(2, 3).mean(axis=0)
        assert error[2] < error[0]
        assert (curve.part, curve.unit) == (part, "rms")


def test_errors_are_those_of_the_parts_on_the_policys_states(found, case):
    part, measured = found
    world, rows = case[0], case[2].transitions
    for refit in measured.refits:
        if part == "dynamics":
            members = jax.vmap(refit.part.members)(jnp.asarray(rows.state), jnp.asarray(rows.action))
            off = np.asarray(members).mean(axis=1) - rows.next_state
            squares = np.sum((off / np.asarray(world.spec.state_scale)) ** 2, axis=1)
        else:
            paid = jax.vmap(refit.part)(*map(jnp.asarray, (rows.state, rows.action, rows.next_state)))
            squares = (np.asarray(paid) - case[2].labels.reward) ** 2
        assert refit.errors["visited by the policy"] == pytest.approx(np.sqrt(squares.mean()), rel=1e-4)


def test_the_same_seed_gives_the_same_curve_and_another_another(case):
    world, data, _ = case
    one, again, other = (
        learning_curve("reward", data, world.spec, sizes=SIZES, seeds=1, seed=seed, settings=SETTINGS).curve
        for seed in (0, 0, 1)
    )
    assert one == again
    assert one != other


def test_without_sizes_there_are_six_over_a_factor_of_16(case):
    world, data, _ = case
    told = []
    quick = LearnSettings(fit=FitSettings(members=2, width=8, least_steps=1, most_epochs=1))
    measured = learning_curve(
        "dynamics", data, world.spec, seeds=2, settings=quick, progress=lambda *done: told.append(done)
    )
    assert [a.samples for a in measured.curve.anchors[:6]] == [25, 44, 76, 132, 230, 400]
    assert measured.curve.states == "held out"
    assert told == [(1, 2), (2, 2)]


def test_too_little_data_is_refused(case):
    world, data, _ = case
    with pytest.raises(checks.BadData, match="there are 100 dynamics rows; a learning curve needs 200 of them"):
        learning_curve("dynamics", data.buy(100, 500, 0), world.spec, settings=SETTINGS)
    with pytest.raises(checks.BadArgument, match=r"number of samples of the reward curve is 401; .* at most 400"):
        learning_curve("reward", data, world.spec, sizes=(20, 401), settings=SETTINGS)


def test_a_policy_that_is_not_the_collectors_has_its_own_error(case):
    world, data, visited = case
    still = played(world, Deterministic(lambda s: jnp.zeros(world.spec.action.size)), 5, 3)
    errors = [
        learning_curve("reward", data, world.spec, visited=rows, sizes=(360,), seeds=1, settings=SETTINGS).curve
        for rows in (visited, still)
    ]
    assert errors[0].anchors[0].error != errors[1].anchors[0].error
