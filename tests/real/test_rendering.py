"""Pictures of observations are the environment's own, or there are none."""

import gymnasium
import numpy as np
import pytest

from paracosm.core.checks import Missing, Unsupported
from paracosm.real import rendering
from paracosm.real.registry import factory_of

pytest.importorskip("pygame")
NAMES = ["Pendulum-v1", "Acrobot-v1", "CartPole-v1", "MountainCarContinuous-v0"]


def starts(name, count=3):
    """Observations of starts, and what the environment itself draws there."""
    with rendering._headless():
        env = gymnasium.make(name, render_mode="rgb_array")
        observations, pictures = [], []
        for seed in range(count):
            observation, _ = env.reset(seed=seed)
            observations.append(observation)
            pictures.append(rendering._shrink(env.render()))
        env.close()
    return np.array(observations, np.float64), np.stack(pictures)


@pytest.mark.parametrize("name", NAMES)
def test_observation_is_drawn_as_the_environment_draws_itself(name):
    observations, pictures = starts(name)
    drawn = rendering.draw_states(factory_of(name), [observations, observations[:1]])
    assert drawn.hidden == 0
    assert np.array_equal(drawn.pictures[0], pictures)
    assert len(drawn.pictures[1]) == 1
    assert not np.array_equal(pictures[0], pictures[1])


@pytest.mark.parametrize(
    ("name", "hidden"), [("InvertedDoublePendulum-v5", 0), ("Reacher-v5", 0), ("HalfCheetah-v5", 1)]
)
def test_rule_is_found_for_what_mujoco_observes(name, hidden):
    """Nothing is drawn here: that needs more of a machine than pygame does."""
    pytest.importorskip("mujoco")
    env = gymnasium.make(name)
    fitting = rendering._fitting_rule(name, env)
    observation, _ = env.reset(seed=5)
    read, actual = fitting.rule(observation, fitting.start), env.unwrapped.data.qpos
    env.close()
    assert fitting.hidden == hidden
    assert np.allclose(np.exp(1j * read[hidden:]), np.exp(1j * actual[hidden:]), atol=1e-6)


class Scrambled(gymnasium.ObservationWrapper):
    """A pendulum that shows half of its state."""

    def observation(self, observation):
        return observation[:2]


def scrambled(render_mode=None):
    return Scrambled(gymnasium.make("Pendulum-v1", render_mode=render_mode))


def silent():
    return gymnasium.make("Pendulum-v1")


def broken(render_mode=None):
    env = gymnasium.make("Pendulum-v1", render_mode=render_mode)
    env.unwrapped.render = lambda: 1 / 0
    return env


@pytest.mark.parametrize(
    ("function", "why"),
    [
        ("scrambled", "does not say where everything is"),
        ("silent", "draws no pictures"),
        ("broken", "drawing tests.real.test_rendering:broken raised ZeroDivisionError"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(function, why):
    factory = factory_of(f"tests.real.test_rendering:{function}")
    with pytest.raises(Unsupported, match=why):
        rendering.draw_states(factory, [np.zeros((1, 3))])


def test_pixels_become_pictures_grey_where_there_are_no_colours():
    rows = np.array([[-3.0, 0.6, 254.4, 300.0]])
    grey = rendering.as_pictures(rows, (2, 2, 1))
    assert grey.tolist() == [[[[0] * 3, [1] * 3], [[254] * 3, [255] * 3]]]
    coloured = rendering.as_pictures(np.arange(12.0)[None], (2, 2, 3))
    assert coloured.ravel().tolist() == list(range(12))
    newest = rendering.as_pictures(np.arange(8.0)[None], (2, 2, 2))
    assert newest[0, :, :, 0].tolist() == [[1, 3], [5, 7]]


def test_package_that_is_missing_is_named(monkeypatch):
    def lacks(_):
        raise gymnasium.error.DependencyNotInstalled("pygame is not installed")

    monkeypatch.setattr(rendering, "_render", lambda env, _: lacks(env))
    with pytest.raises(Missing, match=r"pip install 'paracosm\[video\]'"):
        rendering.draw_states(factory_of("CartPole-v1"), [np.zeros((1, 4))])


def test_the_environment_of_the_process_stays_as_it_is(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    with rendering._headless():
        assert rendering.os.environ["SDL_VIDEODRIVER"] == "x11"
        assert "PYGAME_HIDE_SUPPORT_PROMPT" in rendering.os.environ
    assert "SDL_AUDIODRIVER" not in rendering.os.environ
