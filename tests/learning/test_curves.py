"""Learning curves: each point is what `learn` would have got from so many rows, measured on rows it
never saw.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.policy import Deterministic, Uniform
from paracosm.core.rollout import rollout
from paracosm.learning import curves
from paracosm.learning.curves import learning_curve
from paracosm.learning.learn import LearnSettings
from paracosm.learning.settings import FitSettings
from paracosm.learning.splits import held_out_rows
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
def curve_of_part(request, case):
    world, data, visited = case
    return request.param, learning_curve(
        request.param, data, world.spec, visited=visited, sizes=SIZES, seeds=2, settings=SETTINGS
    )


def test_errors_fall_with_samples_and_every_point_is_there(curve_of_part):
    part, measured = curve_of_part
    assert [(a.samples, a.seed) for a in measured.curve.anchors] == [
        (n, s) for s in range(2) for n in SIZES
    ]
    for curve in measured.by_states.values():
        error = np.array([a.error for a in curve.anchors]).reshape(2, 3).mean(axis=0)
        assert error[2] < error[0]
        assert (curve.part, curve.unit) == (part, "rms")


def test_errors_are_those_of_the_parts_on_the_policys_states(curve_of_part, case):
    part, measured = curve_of_part
    world, rows = case[0], case[2].transitions
    for refit in measured.refits:
        if part == "dynamics":
            members = jax.vmap(refit.part.members)(
                jnp.asarray(rows.state), jnp.asarray(rows.action)
            )
            off = np.asarray(members).mean(axis=1) - rows.next_state
            squares = np.sum((off / np.asarray(world.spec.state_scale)) ** 2, axis=1)
        else:
            paid = jax.vmap(refit.part)(
                *map(jnp.asarray, (rows.state, rows.action, rows.next_state))
            )
            squares = (np.asarray(paid) - case[2].labels.reward) ** 2
        assert refit.errors["visited by the policy"] == pytest.approx(
            np.sqrt(squares.mean()), rel=1e-4
        )


def test_the_same_seed_gives_the_same_curve_and_another_another(case):
    world, data, _ = case

    def curve(seed, *, double=False):
        with jax.enable_x64(double):
            return learning_curve(
                "reward", data, world.spec, sizes=SIZES, seeds=1, seed=seed, settings=SETTINGS
            ).curve

    first, again, reseeded = curve(0), curve(0, double=True), curve(1)
    assert first == again
    assert first != reseeded


def test_without_sizes_there_are_six_over_a_factor_of_16(case):
    world, data, _ = case
    reports = []
    quick = LearnSettings(fit=FitSettings(members=2, width=8, least_steps=1, most_epochs=1))
    measured = learning_curve(
        "dynamics",
        data,
        world.spec,
        seeds=2,
        settings=quick,
        progress=lambda *done: reports.append(done),
    )
    assert [a.samples for a in measured.curve.anchors[:6]] == [25, 44, 76, 132, 230, 400]
    assert measured.curve.states == "held out"
    assert reports == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("shares", "validating"),
    [
        ({"validation": 0.3}, 128),
        ({"held_out": 0.3, "fit": FitSettings(members=1, width=4, keep="last")}, 153),
    ],
    ids=["drawn", "growing"],
)
def test_large_validation_shares_are_padded_alike(case, monkeypatch, shares, validating):
    """Those of the default shares fit into a fifth of the largest subset."""
    world, data, _ = case
    padded = []

    def stop(networks, train, validation, keys, **named):
        padded.append((train.inputs.shape[1], validation.inputs.shape[1]))
        raise KeyboardInterrupt

    monkeypatch.setattr(curves, "fit_each", stop)
    for settings in (LearnSettings(), LearnSettings(**shares)):
        with pytest.raises(KeyboardInterrupt):
            learning_curve("reward", data, world.spec, settings=settings)
    assert padded == [(431, 91), (431, validating)]


def test_sizes_may_be_an_array_and_seeds_are_counted(case):
    world, data, _ = case
    quick = LearnSettings(fit=FitSettings(members=1, width=4, least_steps=1, most_epochs=1))
    sizes: Any = np.array([20, 50])
    measured = learning_curve("reward", data, world.spec, sizes=sizes, seeds=1, settings=quick)
    assert [anchor.samples for anchor in measured.curve.anchors] == [20, 50]
    with pytest.raises(checks.BadArgument, match="seeds is 0; it must be at least 1"):
        learning_curve("reward", data, world.spec, seeds=0, settings=quick)


def test_too_little_data_is_refused(case):
    world, data, _ = case
    with pytest.raises(
        checks.BadData, match="there are 100 dynamics rows; a learning curve needs 200 of them"
    ):
        learning_curve("dynamics", data.buy(100, 500, 0), world.spec, settings=SETTINGS)
    with pytest.raises(
        checks.BadArgument, match=r"number of samples of the reward curve is 401; .* at most 400"
    ):
        learning_curve("reward", data, world.spec, sizes=(20, 401), settings=SETTINGS)


def test_a_part_that_has_no_curve_is_refused(case):
    world, data, _ = case
    for part in ("termination", "dynamisc"):
        unknown: Any = part
        with pytest.raises(checks.BadArgument, match=f"part is '{part}'"):
            learning_curve(unknown, data, world.spec, settings=SETTINGS)


def test_a_policy_that_is_not_the_collectors_has_its_own_error(case):
    world, data, visited = case
    still = played(world, Deterministic(lambda s: jnp.zeros(world.spec.action.size)), 5, 3)
    errors = [
        learning_curve(
            "reward", data, world.spec, visited=rows, sizes=(360,), seeds=1, settings=SETTINGS
        ).curve
        for rows in (visited, still)
    ]
    assert errors[0].anchors[0].error != errors[1].anchors[0].error


@pytest.mark.parametrize("number", [60, pytest.param(1000, marks=pytest.mark.full)])
def test_held_out_rows_are_whole_episodes(number):
    """Or stretches of an episode longer than the share; about that share of all rows; always the
    same.
    """
    rng = np.random.default_rng(0)
    for _ in range(number):
        lengths = rng.integers(1, rng.choice([3, 30, 400]), rng.integers(1, 40))
        episode, share = np.repeat(np.arange(len(lengths)) * 3, lengths), rng.uniform(0.05, 0.3)
        if len(episode) < 10:
            continue
        seed = int(rng.integers(1000))
        held, again = (held_out_rows(episode, share, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(held, again)
        assert len(np.unique(held)) == len(held)
        most = max(1, round(share * len(episode)))
        assert 1 <= len(held) <= 1.5 * most
        for held_episode in np.unique(episode[held]):
            own = np.flatnonzero(episode == held_episode)
            if len(own) <= most:
                assert np.isin(own, held).all()
            else:
                edges = np.diff(np.isin(own, held).astype(int))
                assert np.abs(edges).sum() <= 2 * np.ceil(np.isin(own, held).sum() / most) + 1


def test_what_an_episode_shares_does_not_leak_into_the_held_out_error(case):
    """A reward that is an episode's own number can be read off its neighbours in time, and off no
    other episode.
    """
    world, data, _ = case
    own = np.random.default_rng(0).standard_normal(int(data.episode.max()) + 1)[data.episode]
    still = dataclasses.replace(data, reward=own)
    held = held_out_rows(still.episode, 0.2, np.random.default_rng(1))
    rest = np.setdiff1d(np.arange(still.real_steps), held)
    assert not set(still.episode[held]) & set(still.episode[rest])
    error = (
        learning_curve("reward", still, world.spec, sizes=(400,), seeds=1, settings=SETTINGS)
        .curve.anchors[0]
        .error
    )
    assert error > 0.5 * own.std()
