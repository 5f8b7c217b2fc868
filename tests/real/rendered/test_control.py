"""Pendulum and cart-pole in pictures: Gymnasium's own games, from which a picture hides nothing."""

import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from paracosm import envs
from paracosm.core.checks import BadArgument

NAMES = {"Pendulum-v1": envs.pixel_pendulum, "CartPole-v1": envs.pixel_cart_pole}
CENTRES = (2 * np.arange(64) + 1) / 64 - 1


@pytest.mark.parametrize("make", NAMES.values(), ids=NAMES)
def test_gymnasium_accepts_it(make):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(different from the unwrapped|symmetric)")
        check_env(make(), skip_render_check=True)


@pytest.mark.parametrize("name", NAMES)
def test_all_but_the_observation_is_gymnasiums(name):
    plain, pictured = gymnasium.make(name), NAMES[name]()
    assert pictured.spec.max_episode_steps == plain.spec.max_episode_steps
    plain.reset(seed=5)
    pictured.reset(seed=5)
    plain.action_space.seed(0)
    for _ in range(30):
        action = plain.action_space.sample()
        _, *expected, _ = plain.step(action)
        _, *outcome, _ = pictured.step(action)
        assert outcome == expected
        if expected[1]:
            break
    np.testing.assert_array_equal(pictured.unwrapped.state, plain.unwrapped.state)


def angle(picture):
    """Of the rod's middle around the picture's, from upright and positive to the left."""
    x, y = (picture * CENTRES).sum(), (picture * CENTRES[::-1, None]).sum()
    return np.arctan2(-x, y)


def test_two_frames_show_the_pendulums_angle_and_speed():
    env = envs.pixel_pendulum(size=64)
    for seed in range(20):
        picture, _ = env.reset(seed=seed)
        for _ in range(4):
            before, now = angle(picture[..., 0]), angle(picture[..., 1])
            angle_now, speed = env.unwrapped.state
            assert abs(np.exp(1j * now) - np.exp(1j * angle_now)) < 0.02
            assert abs(np.exp(1j * (now - before)) - np.exp(0.05j * speed)) < 0.02
            picture, *_ = env.step(np.array([2.0], np.float32))


def test_frames_show_the_carts_way_and_the_poles():
    env = envs.pixel_cart_pole(size=64, frames=1)
    places, leans = [], []
    for seed in range(4):
        picture, _ = env.reset(seed=seed)
        for _ in range(12):
            row, top = picture[51, :, 0].astype(float), picture[16, :, 0].astype(float)
            places.append(((row * CENTRES).sum() / row.sum(), env.unwrapped.state[0] / 2.8))
            lean = (top * CENTRES).sum() / top.sum() - places[-1][1]
            leans.append((lean, env.unwrapped.state[2]))
            picture, _, fallen, *_ = env.step(seed % 2)
            if fallen:
                break
    shown, known = np.array(places).T
    np.testing.assert_allclose(shown, known, atol=0.01)
    assert np.corrcoef(np.array(leans).T)[0, 1] > 0.99


def test_frames_move_on_with_the_newest_last():
    env = envs.pixel_pendulum(frames=3)
    before, _ = env.reset(seed=0)
    assert before.shape == (32, 32, 3)
    after, *_ = env.step(np.zeros(1, np.float32))
    np.testing.assert_array_equal(after[..., :2], before[..., 1:])
    assert (after[..., 2] != after[..., 1]).any()
    single, _ = envs.pixel_pendulum(frames=1).reset(seed=0)
    np.testing.assert_array_equal(single[..., 0], before[..., 2])


@pytest.mark.parametrize(
    ("options", "sentence"), [({"size": 4}, "size is 4"), ({"frames": 13}, "frames is 13")]
)
@pytest.mark.parametrize("make", NAMES.values(), ids=NAMES)
def test_pictures_that_are_not_supported_are_refused(make, options, sentence):
    with pytest.raises(BadArgument, match=sentence):
        make(**options)


def test_a_worker_that_makes_them_loads_no_jax():
    code = "import sys, paracosm.envs; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
