"""A function that draws, or remembers what it was asked, is warned of after it has played."""

import warnings

import gymnasium
import numpy as np
import pytest

from paracosm.real.verbs import evaluate

WARNING = r"asked twice: it draws, or has a memory, which mixes up episodes"


class Still(gymnasium.Env):
    """Goes where the action says; an action above 0.5 ends the episode."""

    observation_space = gymnasium.spaces.Box(-1, 1, (1,))
    action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.uniform(-1, 1, 1).astype("float32"), {}

    def step(self, action):
        return np.clip(action, -1, 1).astype("float32"), 0.0, bool(action[0] > 0.5), False, {}


class Choosing(Still):
    """Two actions."""

    action_space = gymnasium.spaces.Discrete(2)

    def step(self, action):
        return np.float32([action - 0.5]), 0.0, False, False, {}


class Counting:
    """Its answer goes up with each call."""

    calls = 0

    def __call__(self, observation):
        self.calls += 1
        return [0.01 * self.calls]


class Differing:
    """Answers by the observation asked before."""

    before = np.zeros(1, np.float32)

    def __call__(self, observation):
        answer, self.before = 0.5 * (observation - self.before), observation
        return answer


class Drawing:
    """One of two actions, by a generator that it holds."""

    def __init__(self, seed):
        self.generator = np.random.default_rng(seed)

    def __call__(self, observation):
        return int(self.generator.integers(2))


class Rounding:
    """Its sums are rounded otherwise at every second call."""

    calls = 0

    def __init__(self, kind):
        self.kind = kind

    def __call__(self, observation):
        self.calls += 1
        answer = np.asarray(0.5 * observation + 0.25, self.kind)
        return answer * self.kind(1 + (self.calls % 2) * 2 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("function", [Counting(), Differing()])
def test_a_function_with_a_memory_is_warned_of(function):
    with pytest.warns(UserWarning, match=WARNING):
        evaluate(Still, function, episodes=2, horizon=4)


def test_a_function_that_draws_among_two_is_warned_of():
    for seed in range(8):
        with pytest.warns(UserWarning, match=WARNING):
            evaluate(Choosing, Drawing(seed), episodes=2, horizon=8)


@pytest.mark.parametrize(
    "function",
    [
        lambda observation: 0.5 * observation,
        lambda observation: [0.6] if observation[0] > 0 else [0.1],
        Rounding(np.float32),
        Rounding(np.float64),
    ],
)
def test_a_function_of_the_observation_alone_is_not_warned_of(function):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(Still, function, episodes=3, horizon=4)


def test_a_function_is_asked_again_only_where_it_has_played():
    """Every episode ends at its first step; later rows of the record are no observations of it."""
    asked = []

    def ends(observation):
        asked.append(observation.tolist())
        return [0.9]

    played = evaluate(Still, ends, episodes=3, horizon=6)
    assert played.alive.sum() == 3
    starts = [state.tolist() for state in played.state[:, 0]]
    assert asked[3:] == [*starts, *starts[::-1]]
