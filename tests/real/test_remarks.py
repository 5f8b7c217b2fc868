"""What is remarked on: seeds that are ignored and time limits within one another; copies of an
environment.
"""

import copy
import os
import random

import gymnasium
import numpy as np
import pytest

from paracosm.core import checks
from paracosm.real.verbs import collect, connect, evaluate
from tests.real.misbehaving import STEPS, World, entry, starting, stepping, world
from tests.real.test_collecting import assert_equal


def ignoring(env, answer):
    env.x = env.time = 0
    env.count = getattr(env, "count", 0) + 1
    return np.array([env.count, 0.0]), {}


def drawn(mass):
    return stepping(entry(1, lambda reward: reward + mass))()


def late(step):
    """A long episode whose reward is drawn from the global generator from a step on."""

    def noisy(env, answer):
        reward = answer[1] + np.random.random() * (env.time >= step)
        return answer[0], reward, False, False, {}

    return world(limit=200, step=noisy)


UNSEEDED = {
    "its own generator": starting(
        lambda env, answer: (answer[0] + np.random.default_rng().random(2), {})
    ),
    "NumPy's generator at the start": starting(
        lambda env, answer: (answer[0] + np.random.random(2), {})
    ),
    "NumPy's generator in a step": stepping(entry(1, lambda reward: reward + np.random.random())),
    "Python's generator": stepping(entry(0, lambda o: o + random.random())),
    "a counter": starting(ignoring),
    "a constructor that draws": lambda: drawn(np.random.default_rng().random()),
    "NumPy's generator from the eleventh step on": lambda: late(11),
    "NumPy's generator from the hundredth step on": lambda: late(100),
}


@pytest.mark.parametrize("factory", UNSEEDED.values(), ids=UNSEEDED)
def test_an_environment_that_ignores_its_seed_is_noticed(factory):
    (remark,) = connect(factory).repeatability_remarks()
    assert remark.startswith(
        "the environment does not repeat an episode from the same seed and actions;"
    )
    with pytest.warns(UserWarning, match="does not repeat an episode"):
        collect(factory, 8, seed=0)


class Shared(World):
    """All copies move one point."""

    held = np.zeros(2)

    def reset(self, *, seed=None, options=None):
        answer = super().reset(seed=seed)
        self.held[:] = self.x, 0
        return answer

    def step(self, action):
        self.x = self.held[0]
        answer = super().step(action)
        self.held[0] = self.x
        return answer


def test_copies_that_move_one_system_are_refused_before_they_are_stepped_side_by_side():
    source = connect(Shared, horizon=6)
    with pytest.raises(checks.BadData, match=r"^copies of Shared disturb one another: .* wrong;"):
        source.collect(8, seed=0)
    assert source.steps == 0
    alone = source.collect(12, seed=0, lanes=1)
    moved = alone.state[:, 0] + 0.1 * alone.action[:, 0]
    np.testing.assert_allclose(alone.next_state[:, 0], moved, atol=1e-6)
    with pytest.raises(checks.BadData, match="disturb one another"):
        evaluate(source, lambda state: [0.0], episodes=2)


def test_starts_of_copies_that_disturb_one_another_are_no_steps_and_copies_of_one_step_disturb():
    source = connect(Shared, horizon=1)
    assert source.starts(2, first_seed=0).shape == (2, 2)
    assert source.steps == 0
    with pytest.raises(checks.BadData, match="disturb one another"):
        source.collect(8, seed=0)


def test_chance_that_is_seldom_is_no_disturbance():
    """Of 100 environments with noise in 3% of steps none is refused, nor said to share a thing;
    chance makes it fail in one of a thousand runs at the most.
    """

    def rare():
        own = np.random.default_rng()
        return world(step=entry(1, lambda reward: reward + (own.random() < 0.03)), limit=20)

    kinds = {connect(rare, horizon=20)._repetition.name for _ in range(100)}
    assert kinds <= {"NOTHING", "CHANCE"}


def test_few_starts_and_a_leftover_are_no_generator_of_the_copy():
    def leaving(env, answer):
        env.x = float(env.np_random.integers(2))
        return np.array([env.x, env.taken]), {}

    (remark,) = connect(starting(leaving)).repeatability_remarks()
    assert "its numbers cannot be had again" in remark


def seeded(env, answer):
    np.random.seed(int(1000 * env.x))
    return answer


def test_a_generator_that_copies_share_is_remarked_on():
    def noisy(env, answer):
        noise = np.random.random() if answer[1] > 0 else 0.0
        return (answer[0], answer[1] + noise, *answer[2:])

    source = connect(lambda: world(reset=seeded, step=noisy))
    state = np.random.get_state()[1].tolist()
    (remark,) = source.repeatability_remarks()
    assert "goes otherwise while another copy is played: copies share a generator" in remark
    assert np.random.get_state()[1].tolist() == state


@pytest.mark.parametrize("instance", [False, True])
def test_copies_that_play_one_episode_whatever_their_seed_are_remarked_on(instance):
    def own(env, answer):
        env.x, env.length = env.own.random(), 6
        return np.array([env.x, 0.0]), {}

    def factory():
        return world(reset=own, own=np.random.default_rng(3))

    (remark,) = connect(factory() if instance else factory).repeatability_remarks()
    assert "its copies play one and the same first episode whatever the seed" in remark


@pytest.mark.parametrize(
    "env", [world, "Pendulum-v1", "CartPole-v1", "Acrobot-v1", "MountainCarContinuous-v0"]
)
def test_nothing_is_remarked_on_environments_that_keep_to_their_seed(env):
    assert connect(env).repeatability_remarks() == ()


def test_nested_time_limits_that_differ_are_remarked_on_and_equal_ones_are_not():
    def nested(inner, outer):
        return lambda: gymnasium.wrappers.TimeLimit(world(inner), outer)

    for limits in ((180, 45), (45, 180)):
        source = connect(nested(*limits))
        assert source.limit == 45
        (remark,) = source.repeatability_remarks()
        assert (
            "the time limits 45, 180, one within another; the shortest, 45 steps, counts" in remark
        )
    assert connect(nested(45, 45)).repeatability_remarks() == ()
    assert (
        connect(lambda: gymnasium.make("Pendulum-v1", max_episode_steps=45)).repeatability_remarks()
        == ()
    )


def test_an_environment_itself_is_played_in_copies(sound):
    env = world()
    env.reset(seed=3)
    before = copy.deepcopy(env.unwrapped.__dict__)
    assert_equal(collect(env, STEPS, seed=0), sound)
    assert env.unwrapped.taken == before["taken"]
    assert connect(gymnasium.make("Pendulum-v1")).name == "Pendulum-v1"
    sentence = r"World cannot be copied: .* give a function that builds it instead"
    with open(os.devnull, "rb") as handle, pytest.raises(checks.BadArgument, match=sentence):
        connect(world(handle=handle))
