"""Environments whose observations and actions have several parts, for tests."""

from __future__ import annotations

import copy

import gymnasium
import numpy as np
from gymnasium import spaces

PARTS = spaces.Dict(
    where=spaces.Box(-9, 9, (2,), np.float64),
    gear=spaces.Discrete(3, start=2),
    nested=spaces.Dict(lamps=spaces.MultiBinary((2, 2)), level=spaces.Box(0, 1, ())),
    pair=spaces.Tuple((spaces.MultiDiscrete([[2, 3], [1, 2]]), spaces.Box(0, 9, (2, 2), np.int64))),
)


class Sampling(gymnasium.Env):
    """Shows samples of a space, drawn from the seed; refuses actions that its space does not hold,
    and pays their sum. `change` makes another answer of an observation.
    """

    def __init__(self, observation_space=PARTS, action_space=None, change=None):
        # Copies must not share a space: it holds the generator that samples are drawn from
        self.observation_space = copy.deepcopy(observation_space)
        self.action_space = spaces.Box(-1, 1, (1,)) if action_space is None else action_space
        self.change = change or (lambda observation: observation)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.change(self.observation_space.sample()), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        shown = self.change(self.observation_space.sample())
        return shown, float(np.sum(action)), False, False, {}


class Reach(gymnasium.Env):
    """A point in the plane that is moved towards a goal, as Gymnasium-Robotics' environments show
    it.
    """

    observation_space = spaces.Dict(
        {
            "observation": spaces.Box(-2, 2, (2,), np.float64),
            "achieved_goal": spaces.Box(-2, 2, (2,), np.float64),
            "desired_goal": spaces.Box(-1, 1, (2,), np.float64),
        }
    )

    def __init__(self, action_space=None):
        self.action_space = spaces.MultiDiscrete([3, 3]) if action_space is None else action_space
        self.middle = 1 if action_space is None else 0  # the action that stays

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at, self.goal = self.np_random.uniform(-1, 1, (2, 2))
        self.speed = np.zeros(2)
        return self._shown(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.speed = 0.3 * (np.asarray(action, float) - self.middle)
        self.at = np.clip(self.at + self.speed, -2, 2)
        return self._shown(), -float(np.abs(self.at - self.goal).sum()), False, False, {}

    def _shown(self):
        return {
            "observation": self.speed.copy(),
            "achieved_goal": self.at.copy(),
            "desired_goal": self.goal.copy(),
        }


def reach():
    """Moves of -1, 0 or 1 along both axes."""
    return gymnasium.wrappers.TimeLimit(Reach(), 12)


def push():
    """Moves without bounds."""
    free = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    return gymnasium.wrappers.TimeLimit(Reach(free), 12)


class Lever(gymnasium.Env):
    """A lever of three places that are numbered from 5; the reward is its number's closeness to
    the middle.
    """

    observation_space = spaces.Discrete(3, start=5)
    action_space = spaces.Discrete(3, start=-1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(5, 8))
        return self.place, {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.place = int(np.clip(self.place + action, 5, 7))
        return self.place, -abs(self.place - 6.0), False, False, {}


def lever():
    """With a time limit."""
    return gymnasium.wrappers.TimeLimit(Lever(), 12)
