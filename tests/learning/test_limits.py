"""Limits that explain every end, and end rules fitted to steps on either side of them."""

import jax
import numpy as np
import pytest

from paracosm.core.data import Dataset
from paracosm.core.mdp import Discrete, Spec
from paracosm.learning import problem
from paracosm.learning.limits import Limit, limits_of, steps_moved_to
from paracosm.learning.part_learner import EnsembleTermination
from paracosm.learning.settings import FitSettings, LearnSettings

KEY = jax.random.key(0)
SETTINGS = LearnSettings(
    FitSettings(
        members=2,
        width=64,
        rates=(2e-3, 5e-4),
        least_steps=200,
        most_steps=200,
        most_epochs=10,
        keep="last",
        balanced=True,
    )
)


def sides(limits):
    return {(limit.component, limit.side) for limit in limits}


@pytest.mark.parametrize("seed", range(20))
def test_limits_of_random_tasks_are_those_that_end_their_episodes(seed):
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(3000, 5)) @ rng.normal(size=(5, 5))
    count = int(rng.integers(1, 4))
    component = rng.permutation(5)[:count]
    side = rng.choice([-1, 1], count)
    bound = np.quantile(side * states[:, component], 0.98, axis=0)
    ended = (side * states[:, component] > bound).any(axis=1)
    limits = limits_of(states, ended)
    assert sides(limits) == set(zip(component, side, strict=True))
    for limit in limits:
        at = float(bound[list(component).index(limit.component)])
        assert limit.side * limit.within <= at < limit.side * limit.beyond


def test_ends_that_no_limit_explains_have_none():
    """Ends in a ball, at a corner, by a sum of components, and at random: in 20 sets of each."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        states = rng.normal(size=(2000, 4))
        rules = (
            np.linalg.norm(states - 0.5, axis=1) < 0.5,
            (states[:, :2] > 1).all(axis=1),
            states.sum(axis=1) > 4,
            rng.random(2000) < 0.02,
            np.zeros(2000, bool),
            np.ones(2000, bool),
        )
        assert [limits_of(states, ended) for ended in rules] == [()] * 6


def test_of_two_components_that_explain_the_same_ends_neither_is_a_limit():
    states = np.random.default_rng(0).normal(size=(1000, 2))
    twins = np.concatenate([states, 2 * states[:, :1]], axis=1)
    assert limits_of(twins, states[:, 0] > 2) == ()
    assert sides(limits_of(twins, (states[:, 0] > 2) | (states[:, 1] > 2))) == {(1, 1)}


def test_two_ends_are_too_few_for_a_limit():
    states = np.random.default_rng(0).normal(size=(200, 2))
    order = np.sort(states[:, 0])
    assert limits_of(states, states[:, 0] >= order[-2]) == ()
    assert sides(limits_of(states, states[:, 0] >= order[-3])) <= {(0, 1)}


def test_steps_are_moved_along_one_component_to_the_side_that_is_said():
    rng = np.random.default_rng(0)
    state = rng.uniform(-1, 1, (500, 3))
    after = state + 0.1
    limits = (Limit(0, 1, 2.0, 2.1), Limit(2, -1, -1.5, -1.6))
    moved, moved_after, ends = steps_moved_to(limits, state, after, rng)
    np.testing.assert_allclose(moved_after - moved, 0.1)
    changed = moved != state
    assert (changed.sum(axis=1) == 1).all()
    assert not changed[:, 1].any()
    high, low = moved_after[changed[:, 0], 0], moved_after[changed[:, 2], 2]
    assert np.array_equal(high > 2.05, ends[changed[:, 0]])
    assert np.array_equal(low < -1.55, ends[changed[:, 2]])
    assert ((high <= 2.0) | (high >= 2.1)).all()
    nearer = moved_after - after
    assert (nearer[:, 0] >= 0).all()
    assert (nearer[:, 2] <= 0).all()
    assert 150 < ends.sum() < 350


def falls():
    """Steps (angle, speed) of falls that end beyond an angle of 1, which all reach fast."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(-1.2, 1.2, 1500)
    speed = 2 * angle + rng.normal(size=1500) * 0.05
    everywhere = np.ones(1500, bool)
    return Dataset(
        state=np.stack([angle - 0.1 * speed, speed], axis=1),
        action=np.zeros(1500, np.int32),
        next_state=np.stack([angle, speed], axis=1),
        reward=np.ones(1500),
        terminated=np.abs(angle) > 1,
        truncated=~everywhere,
        episode=np.arange(1500),
        time=np.zeros(1500, int),
        has_transition=everywhere,
        has_label=everywhere,
    )


@pytest.mark.parametrize("limited", [True, False])
def test_an_end_rule_of_fast_ends_calls_slow_ones(monkeypatch, limited):
    """As it does not without the steps at limits."""
    if not limited:
        monkeypatch.setattr(problem, "limits_of", lambda *_: ())
    data = falls()
    spec = Spec(2, Discrete(2), horizon=50, state_scale=np.ones(2))
    rule, _ = EnsembleTermination(SETTINGS).fit(data, spec, KEY)
    angle = np.repeat([-1.1, -0.9, 0.9, 1.1], 20)
    speed = np.tile(np.linspace(-0.5, 0.5, 20), 4)
    after = np.stack([angle, speed], axis=1)
    before = after - [[0.1, 0]] * speed[:, None]
    called = jax.vmap(rule)(before, np.zeros(80, int), after)
    right = np.mean(called == (np.abs(angle) > 1))
    assert right == 1 if limited else right < 0.9
