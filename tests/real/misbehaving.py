"""A world on a line and the ways in which its answers can be made odd."""

import sys

import gymnasium
import numpy as np
from gymnasium import spaces

STEPS = 60


def unchanged(env, answer):
    return answer


class World(gymnasium.Env):
    """A point on a line, sound but for what `reset_answer` and `step_answer` make of its answers
    from `at` on.
    """

    def __init__(self, step=unchanged, reset=unchanged, at=1, action_space=None, **attributes):
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space = action_space or spaces.Box(-1, 1, (1,), np.float32)
        self.step_answer, self.reset_answer, self.at, self.taken = step, reset, at, 0
        self.buffer = np.zeros(2)
        for name, value in attributes.items():
            setattr(self, name, value)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time, self.length, self.x = (
            0,
            int(self.np_random.integers(3, 9)),
            self.np_random.random(),
        )
        return self.reset_answer(self, (np.array([self.x, 0.0]), {}))

    def step(self, action):
        self.time, self.taken = self.time + 1, self.taken + 1
        self.x = self.x + 0.1 * float(np.sum(action))
        answer = (
            np.array([self.x, self.time]),
            float(np.float32(self.x)),
            self.time >= self.length,
            False,
            {},
        )
        return self.step_answer(self, answer) if self.taken >= self.at else answer


def world(limit=6, **kwargs):
    return gymnasium.wrappers.TimeLimit(World(**kwargs), limit)


def entry(place, change):
    """A step whose entry at `place` is changed."""
    return lambda env, answer: (*answer[:place], change(answer[place]), *answer[place + 1 :])


def flagged(change):
    """A step both of whose flags are changed."""
    return lambda env, answer: (*answer[:2], change(answer[2]), change(answer[3]), answer[4])


def raising(error):
    def fail(env, answer):
        raise error

    return fail


def own_buffer(env, answer):
    env.buffer[:] = answer[0]
    return (env.buffer, *answer[1:])


def own_start(env, answer):
    env.buffer[:] = answer[0]
    return env.buffer, {}


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no text")


class Closing(World):
    def close(self):
        raise OSError("the port is gone")


class Mutating(World):
    def step(self, action):
        answer = super().step(action)
        action *= 0
        return answer


class Exiting(World):
    def close(self):
        sys.exit(3)


class Specless(World):
    @property
    def spec(self):
        raise RuntimeError("no spec")


def itself(env):
    env.unwrapped.env = env
    return env


def old_seedless():
    class Old(World):
        def reset(self):
            return super().reset()[0]

    return gymnasium.wrappers.TimeLimit(Old(), 6)


def exit_while_building():
    sys.exit("no licence")


def fail_while_building():
    raise OSError("no display")


def without_space():
    env = World()
    del env.observation_space
    return gymnasium.wrappers.TimeLimit(env, 6)


def stepping(step, at=1):
    return lambda: world(step=step, at=at)


def bare(step):
    """A world without a wrapper, which would trip over an answer of another form first."""
    return lambda: World(step=step, _max_episode_steps=6)


def starting(reset):
    return lambda: world(reset=reset)
