"""An environment source: carts on a line, all of them stepped at once by NumPy."""

import contextlib

import jax.numpy as jnp
import numpy as np

from paracosm.core.mdp import Box
from paracosm.real.stepping import StepSource
from paracosm.real.workers import Answers, Lanes


class Carts(StepSource):
    """Push a cart to the origin: state (position, speed), reward -position²."""

    def __init__(self, horizon=25):
        self.name, self.steps = "the carts", 0
        self.state_size, self.action = 2, Box(-jnp.ones(1), jnp.ones(1))
        self.horizon, self.limit = horizon, None

    @contextlib.contextmanager
    def open(self, count, workers):
        yield CartLanes(count)


class CartLanes(Lanes):
    """`count` carts; only those that are named move."""

    def __init__(self, count):
        self.state = np.zeros((count, 2), np.float32)

    def reset(self, which, seeds):
        self.state[which] = [np.random.default_rng(seed).normal(size=2) for seed in seeds]
        return Answers((self.state[which],), {})

    def step(self, which, actions):
        position, speed = self.state[which].T
        speed = 0.9 * speed + 0.3 * actions[:, 0]
        position = position + 0.3 * speed
        self.state[which] = np.stack([position, speed], axis=1)
        never = np.zeros(len(which), bool)
        reward = -(position.astype(np.float64) ** 2)
        return Answers((self.state[which], reward, never, never), {})

    def close(self):
        pass
