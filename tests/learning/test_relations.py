"""Relations among recorded components, and dynamics that lead back to the surface they say."""

import dataclasses

import jax
import numpy as np
import pytest

from paracosm.core.data import Dataset
from paracosm.core.mdp import Box, Spec
from paracosm.learning.part_learner import EnsembleDynamics
from paracosm.learning.relations import relations_among
from paracosm.learning.settings import FitSettings, LearnSettings


def wheel(rows, seed=0):
    """States (cos, sin, speed) of a wheel, and its changes in a step."""
    rng = np.random.default_rng(seed)
    angle, speed = rng.uniform(-np.pi, np.pi, rows), rng.normal(size=rows)
    action = rng.uniform(-1, 1, rows)

    def seen(angle, speed):
        return np.stack([np.cos(angle), np.sin(angle), speed], axis=1)

    after = 0.95 * speed + 0.5 * action
    return seen(angle, speed), action[:, None], seen(angle + 0.2 * after, after)


def test_a_circle_is_found_and_its_normals_point_outwards():
    states, _, _ = wheel(400)
    found = relations_among(states)
    assert len(found.linear) == 1
    normal = found.normals(states)[:, 0] / found.scale
    outwards = states * [1, 1, 0]
    cosine = np.sum(normal * outwards, axis=1) / np.linalg.norm(normal, axis=1)
    np.testing.assert_allclose(np.abs(cosine), 1, atol=1e-6)


def test_positions_that_follow_from_angles_are_related_to_them():
    """A two-link arm: two circles, and two coordinates of its tip beside the goal's."""
    rng = np.random.default_rng(0)
    one, two = rng.uniform(-np.pi, np.pi, (2, 800))
    goal = rng.uniform(-0.2, 0.2, (800, 2))
    tip = 0.1 * np.stack([np.cos(one), np.sin(one)], 1) + 0.11 * np.stack(
        [np.cos(one + two), np.sin(one + two)], 1
    )
    angles = [np.cos(one), np.sin(one), np.cos(two), np.sin(two)]
    states = np.column_stack([*angles, goal, tip - goal]).astype(np.float32)
    found = relations_among(states)
    ranks = np.linalg.matrix_rank(found.normals(states), tol=1e-3)
    assert np.mean(ranks == 4) > 0.99


@pytest.mark.parametrize("size", [1, 3, 8, 17])
def test_nothing_is_found_among_free_components(size):
    rng = np.random.default_rng(size)
    states = rng.normal(size=(1000, size)) * 10.0 ** rng.integers(-3, 3, size)
    assert not len(relations_among(states).linear)
    narrow = states * np.where(np.arange(1000) % 10, 1e-3, 1)[:, None]
    assert not len(relations_among(narrow).linear), "most states are near one of them"


def test_what_nearly_holds_is_no_relation():
    states, _, _ = wheel(400)
    states[:, :2] *= 1 + 0.01 * np.random.default_rng(1).normal(size=(400, 1))
    assert not len(relations_among(states).linear)


def test_few_states_or_constant_ones_say_nothing():
    states, _, _ = wheel(39)
    assert not len(relations_among(states).linear), "ten monomials want forty states"
    assert not len(relations_among(np.ones((100, 3))).linear)
    with_constant = np.column_stack([wheel(100)[0], np.full(100, 5.0)])
    assert len(relations_among(with_constant).linear) == 1


def test_moves_leave_the_surface_and_nothing_moves_along_it():
    states, _, after = wheel(2000)
    change = (after - states).std(axis=0)
    move = relations_among(states).moves(states, change, np.random.default_rng(0)) / change
    np.testing.assert_allclose(move[:, 2], 0, atol=1e-9, err_msg="the speed is related to nothing")
    along = np.stack([-states[:, 1], states[:, 0]], axis=1) / change[:2]
    share = np.sum(move[:, :2] * along, axis=1) / np.linalg.norm(along, axis=1)
    np.testing.assert_allclose(share, 0, atol=1e-9)
    assert 0.15 < np.sqrt(np.mean(move**2, axis=0))[:2].max() < 0.4
    still = relations_among(states).moves(states, change * [0, 1, 1], np.random.default_rng(0))
    assert np.all(still[:, 0] == 0), "what never changes is not moved"


KEY = jax.random.key(0)
SETTINGS = LearnSettings(
    FitSettings(
        members=2,
        width=64,
        rates=(3e-3, 1e-3),
        least_steps=400,
        most_steps=400,
        most_epochs=10,
        keep="last",
    ),
    probabilistic=True,
)


@pytest.mark.parametrize("restoring", [False, True])
def test_imagined_states_are_led_back_to_the_surface(restoring):
    """Of a wheel whose radius is 5% off, and of what a step leaves of that."""
    state, action, after = (column.astype(np.float32) for column in wheel(1000))
    rows, no = np.arange(len(state)), np.zeros(len(state), bool)
    columns = (state, action, after, np.zeros(len(state)), no, no, rows // 20, rows % 20)
    spec = Spec(3, Box(-np.ones(1), np.ones(1)), np.ones(3), 200)
    settings = dataclasses.replace(SETTINGS, restoring=restoring)
    dynamics, _ = EnsembleDynamics(settings).fit(Dataset(*columns, ~no, no), spec, KEY)
    radius = np.where(rows % 2, 1.05, 0.95)[:, None]
    moved = state * np.concatenate([radius, radius, np.ones_like(radius)], axis=1)
    keys = jax.random.split(KEY, len(state))
    after = np.asarray(jax.vmap(dynamics)(moved.astype(np.float32), action, keys))
    left = np.mean((np.linalg.norm(after[:, :2], axis=1) - 1) / (radius[:, 0] - 1))
    assert left < 0.25 if restoring else left > 0.6
