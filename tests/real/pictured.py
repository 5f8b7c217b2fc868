"""Environments that show images of known content, for the tests of this room."""

import gymnasium
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

from paracosm.core.encoder import Encoder

SHAPE = (5, 4, 2)


def image(shape, number, time):
    """An image that tells its episode and step in its first entries, and else every place apart."""
    entries = (7 * np.arange(np.prod(shape)) + 31 * time).astype(np.uint8)
    entries[:2] = number, time
    return entries.reshape(shape)


class Pictured(gymnasium.Env):
    """Images of a number that reset draws and of the time; `answer` may change them."""

    built = 0

    def __init__(self, shape=SHAPE, length=9, space=None, answer=lambda image, time: image):
        type(self).built += 1
        self.observation_space = space or spaces.Box(0, 255, shape, np.uint8)
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)
        self.length, self.answer = length, answer

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time, self.number = 0, int(self.np_random.integers(256))
        return self.shown(), {}

    def step(self, action):
        self.time += 1
        return self.shown(), float(action[0]), False, self.time >= self.length, {}

    def shown(self):
        return self.answer(image(self.observation_space.shape, self.number, self.time), self.time)


class Summary(Encoder):
    """The first two entries of an image in [0, 1], decaying, and the last action."""

    def initial(self, observation):
        return jnp.append(observation[:2] / 255.0, 0.0).astype(jnp.float32)

    def update(self, state, action, observation):
        trace = 0.5 * state[:2] + observation[:2] / 255.0
        return jnp.append(trace, action[0]).astype(jnp.float32)
