"""Relations among recorded components, and dynamics that lead back to the surface they say."""

import dataclasses

import jax
import numpy as np
import pytest

from paracosm.core.data import Dataset
from paracosm.core.mdp import Box, Spec
from paracosm.learning.part_learner import EnsembleDynamics, dynamics_problem
from paracosm.learning.problem import inputs_of_rows, prepare_fit
from paracosm.learning.relations import relations_among
from paracosm.learning.settings import FitSettings, LearnSettings
from paracosm.learning.splits import growing_split

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


def wheel(rows, seed=0):
    """States (cos, sin, speed) of a wheel, and its changes in a step."""
    rng = np.random.default_rng(seed)
    angle, speed = rng.uniform(-np.pi, np.pi, rows), rng.normal(size=rows)
    action = rng.uniform(-1, 1, rows)

    def state_of(angle, speed):
        return np.stack([np.cos(angle), np.sin(angle), speed], axis=1)

    after = 0.95 * speed + 0.5 * action
    return state_of(angle, speed), action[:, None], state_of(angle + 0.2 * after, after)


def test_a_circle_is_found_and_its_normals_point_outwards():
    states, _, _ = wheel(400)
    relations = relations_among(states)
    assert len(relations.linear) == 1
    normal = relations.normals(states)[:, 0] / relations.scale
    outwards = states * [1, 1, 0]
    cosine = np.sum(normal * outwards, axis=1) / np.linalg.norm(normal, axis=1)
    np.testing.assert_allclose(np.abs(cosine), 1, atol=1e-6)


def test_positions_that_follow_from_angles_are_related_to_them():
    """A two-link arm: two circles, and two coordinates of its tip beside the goal's."""
    rng = np.random.default_rng(0)
    shoulder, elbow = rng.uniform(-np.pi, np.pi, (2, 800))
    goal = rng.uniform(-0.2, 0.2, (800, 2))
    tip = 0.1 * np.stack([np.cos(shoulder), np.sin(shoulder)], 1) + 0.11 * np.stack(
        [np.cos(shoulder + elbow), np.sin(shoulder + elbow)], 1
    )
    angles = [np.cos(shoulder), np.sin(shoulder), np.cos(elbow), np.sin(elbow)]
    states = np.column_stack([*angles, goal, tip - goal]).astype(np.float32)
    relations = relations_among(states)
    ranks = np.linalg.matrix_rank(relations.normals(states), tol=1e-3)
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
    np.testing.assert_allclose(share, 0, atol=1e-5)
    assert 0.15 < np.sqrt(np.mean(move**2, axis=0))[:2].max() < 0.4
    still = relations_among(states).moves(states, change * [0, 1, 1], np.random.default_rng(0))
    assert np.all(still[:, 0] == 0), "what never changes is not moved"


def test_rows_are_doubled_and_moved_ones_have_the_same_next_state():
    state, action, after = wheel(1000)
    no = np.zeros(1000, bool)
    columns = (state.astype(np.float32), action.astype(np.float32), after.astype(np.float32))
    rows = np.arange(1000)
    data = Dataset(*columns, np.zeros(1000), no, no, rows // 20, rows % 20, ~no, no)
    spec = Spec(3, Box(-np.ones(1), np.ones(1)), np.ones(3), 200)
    plain = dynamics_problem(data, spec, 0.1)
    inputs, own = inputs_of_rows(plain, spec), growing_split(plain.episode, 0.1)
    prepared = {
        restoring: prepare_fit(
            plain._replace(restoring=restoring),
            inputs,
            own,
            spec,
            key=KEY,
            settings=SETTINGS.fit,
            capacity=1000,
        )
        for restoring in (False, True)
    }
    train, number = prepared[True].train, len(own.train)
    scaling = prepared[True].output_scaling
    assert train.number == 2 * prepared[False].train.number == 2 * number
    inputs, targets = (np.asarray(part)[: 2 * number] for part in train[:2])
    lead_to = inputs[:, :3] + scaling.center + scaling.scale * targets
    np.testing.assert_allclose(lead_to[number:], lead_to[:number], atol=1e-5)
    np.testing.assert_array_equal(inputs[number:, 3:], inputs[:number, 3:])
    assert np.mean(np.any(inputs[number:, :2] != inputs[:number, :2], axis=1)) > 0.99
    small_sample = prepare_fit(
        plain._replace(restoring=True),
        inputs_of_rows(plain, spec),
        own._replace(train=own.train[:30]),
        spec,
        key=KEY,
        settings=SETTINGS.fit,
        capacity=1000,
    )
    assert small_sample.train.number == 30
    assert len(small_sample.train.inputs) == len(train.inputs), "compiled once, related or not"


def test_nothing_free_moves_where_what_is_related_stands_still():
    rng = np.random.default_rng(0)
    angle, flag = rng.uniform(-np.pi, np.pi, 500), rng.integers(0, 2, 500)
    states = np.column_stack([np.cos(angle), np.sin(angle), flag, rng.normal(size=(500, 3))])
    change = np.array([0, 0, 0, 1, 1, 1.0])
    move = relations_among(states).moves(states, change, np.random.default_rng(0))
    np.testing.assert_array_equal(move, 0)


def test_a_relation_says_nothing_where_its_normal_vanishes():
    """Two contacts that are never both: `c1 c2 = 0` has no normal where both are 0."""
    rng = np.random.default_rng(0)
    force, free = rng.exponential(size=2000), rng.normal(size=(2000, 2))
    which = rng.integers(0, 4, 2000)
    states = np.column_stack([force * (which == 0), force * (which == 1), free])
    relations = relations_among(states)
    move = relations.moves(states, np.ones(4), np.random.default_rng(0))
    assert len(relations.linear) == 1
    none = which > 1
    np.testing.assert_allclose(move[none], 0, atol=1e-2)
    assert np.sqrt(np.mean(move[which == 0, 1] ** 2)) > 0.15


def test_linear_relations_do_not_multiply():
    """Thirty-one components with six linear relations, and a circle among the rest."""
    rng = np.random.default_rng(0)
    angle, free = rng.uniform(-np.pi, np.pi, 4000), rng.normal(size=(4000, 23))
    states = np.column_stack([np.cos(angle), np.sin(angle), free, free[:, :6] - free[:, 6:12]])
    relations = relations_among(states)
    assert len(relations.linear) == 7
    lengths = np.sqrt(np.mean(np.sum(relations.normals(states) ** 2, axis=2), axis=0))
    np.testing.assert_allclose(lengths, 1, rtol=1e-2)
    move = relations.moves(states, states.std(axis=0), np.random.default_rng(0))
    beside = (move[:, 2:8] - move[:, 8:14] - move[:, 25:]) / 3**0.5
    assert np.sqrt(np.mean(beside**2)) > 0.2
    np.testing.assert_allclose(move[:, 14:25], 0, atol=1e-6)


@pytest.mark.parametrize("restoring", [pytest.param(False, marks=pytest.mark.full), True])
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
