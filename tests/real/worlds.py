"""Small environments and systems of known behaviour, for the tests of this room."""

import functools

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

from paracosm.core.mdp import MDP, Box, Spec


class Counter(gymnasium.Env):
    """State (steps so far, last action, a number drawn at reset); ends after a number of steps that
    reset draws.
    """

    def __init__(self, action_space=None, observation_space=None, poison=None):
        self.observation_space = observation_space or spaces.Box(-np.inf, np.inf, (3,), np.float64)
        self.action_space = action_space or spaces.Box(np.float32([-1]), np.float32([2]))
        self.poison = poison
        self.taken = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time, self.length, self.drawn = (
            0,
            int(self.np_random.integers(3, 9)),
            self.np_random.random(),
        )
        return np.array([0, 0, self.drawn]), {}

    def step(self, action):
        self.time, self.taken = self.time + 1, self.taken + 1
        observation, reward = (
            np.array([self.time, np.sum(action), self.drawn]),
            10 * self.time + np.sum(action),
        )
        if self.poison and self.taken == self.poison[1]:
            observation, reward = (
                (observation * np.nan, 0)
                if self.poison[0] == "observation"
                else (observation, np.inf)
            )
        return observation, reward, self.time >= self.length, False, {}


def counter(limit=6, **kwargs):
    """The counting environment with a time limit, which its shorter episodes do not reach."""
    return gymnasium.wrappers.TimeLimit(Counter(**kwargs), limit)


@functools.cache  # one object, so that it is compiled once
def walk(poison=jnp.inf):
    """A walk in the plane that ends beyond 3 and whose reward, the first component of s', is NaN
    beyond `poison`.
    """
    return MDP(
        Spec(2, Box(jnp.array([-1.0, -2.0]), jnp.array([1.0, 2.0])), jnp.array([1.0, 2.0]), 7),
        dynamics=lambda s, a, key: s + a,
        reward=lambda s, a, n: jnp.where(n[0] > poison, jnp.nan, n[0]),
        termination=lambda s, a, n: n[0] > 3,
        initial=lambda key: jax.random.uniform(key, (2,)),
        discount=0.9,
    )
