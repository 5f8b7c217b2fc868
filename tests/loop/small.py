"""Runs small enough for tests, and environments that misbehave."""

from __future__ import annotations

import dataclasses
import os
import signal

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

import paracosm
from paracosm.core.records.results import RunResult
from paracosm.learning.fit import FitSettings
from paracosm.learning.learn import LearnSettings

LEARN = LearnSettings(fit=FitSettings(members=2, width=16, most_epochs=10))
IMAGINE = paracosm.ImagineSettings(rollouts=16, horizon=10, most_steps=20, check=10, width=16)


def small_run(out, env="Pendulum-v1", **options) -> RunResult:
    """A run of a few seconds."""
    options = {"transitions": 200, "episodes": 2, **options}
    return paracosm.run(env, out=out, learn_settings=LEARN, imagine_settings=IMAGINE, **options)


def numbers(result: RunResult) -> RunResult:
    """A result without what differs between two runs of the same seed: the time they took."""
    return dataclasses.replace(result, seconds={})


class Faulty(gymnasium.Env):
    """One state, one action; the reward of step 50 is NaN."""

    observation_space = gymnasium.spaces.Box(-10, 10, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.time += 1
        reward = np.nan if self.time == 50 else float(-(action[0] ** 2))
        return np.float32(action), reward, False, self.time == 100, {}


def faulty() -> gymnasium.Env:
    return gymnasium.wrappers.TimeLimit(Faulty(), 100)


def fails_in_constructor() -> gymnasium.Env:
    raise RuntimeError("broken")


def fails_in_reset() -> gymnasium.Env:
    return gymnasium.wrappers.TimeLimit(FailsInReset(), 100)


class FailsInReset(Faulty):
    """Nothing can be done with it."""

    def reset(self, *, seed=None, options=None):
        raise RuntimeError("broken")


class Interrupted(Faulty):
    """No time limit, starts that ignore the seed, and a failure at the 15th step of each copy while
    a file is there.
    """

    observation_space = gymnasium.spaces.Box(-10, 10, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    steps_taken = 0

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return np.random.default_rng().normal(size=1).astype(np.float32), {}

    def step(self, action):
        self.steps_taken += 1
        if self.steps_taken >= 15 and os.path.exists(os.environ["FAILING_WHILE"]):
            raise OSError("the arm is unplugged")
        return np.float32(action), float(-(action[0] ** 2)), False, False, {}


class Stopped(Interrupted):
    """Ctrl-C comes during the 150th step of all copies while a file is there."""

    total = 0

    def step(self, action):
        Stopped.total += 1
        if Stopped.total >= 150 and os.path.exists(os.environ["FAILING_WHILE"]):
            signal.raise_signal(signal.SIGINT)
        return np.float32(action), float(-(action[0] ** 2)), False, False, {}


def known_reward(state, action, next_state):
    """Pendulum's own reward."""
    from paracosm.real.systems import pendulum

    return pendulum().reward(state, action, next_state)


def reward_of_two(state, action):
    """Not of (s, a, s')."""
    return state[0] + action[0]


def reward_vector(state, action, next_state):
    """One number for each component."""
    return next_state - state


def reward_of_host(state, action, next_state):
    """Needs numbers, which a traced array has not."""
    return float(state[0])


def reward_without_derivative(state, action, next_state):
    """Asks the host, as one that wraps a simulator does."""
    answer = jax.ShapeDtypeStruct((), jnp.float32)
    return jax.pure_callback(lambda value: np.float32(value[0]), answer, next_state)
