"""Are planted faults named in models of ordinary quality? Rates by fault and environment, and false alarms.

    python -m benchmarks.faults OUT [SEEDS] [pendulum|cartpole|mountain-car|reacher …]

A model is `paracosm.learn` on 5,000 random transitions with ensembles of 5, one for every seed and environment; a second
reward ensemble is learned from labels that are one step late. Every fault is planted by swapping a part: the late reward,
`r̂ + 0.1`, an end rule that never ends, dynamics asked with 1.2 times the action; gravity is 1.1 times as strong in the
real episodes. A fault counts as named when the verdict blames its part or a finding names it; an alarm is a finding, or a
clear verdict on another part, where nothing was planted.

Models and audits go to OUT, so that a stopped benchmark goes on; the table is benchmarks/faults.md.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from paracosm.core.data import Dataset
from paracosm.core.mdp import MDP, Spec, never
from paracosm.core.policy import Deterministic, Noisy
from paracosm.learning.learn import LearnSettings, learn
from paracosm.learning.settings import FitSettings
from paracosm.real.source import Source
from paracosm.real.verbs import connect

STEPS, EPISODES, DISCOUNT, NOISE = 5_000, 20, 0.99, 0.5
SETTINGS = LearnSettings(fit=FitSettings(members=5))
HORIZONS = {"pendulum": 200, "cartpole": 200, "mountain-car": 300, "reacher": 50}


class HeavyCar(gymnasium.Wrapper):
    """MountainCarContinuous with gravity 1.1 times as strong; its strength is no setting of the environment's."""

    def step(self, action: np.ndarray) -> tuple[Any, ...]:
        position, speed = self.unwrapped.state
        self.unwrapped.state = np.array([position, speed - 0.1 * 0.0025 * np.cos(3 * position)])
        return self.env.step(action)


def swing_up(state: jax.Array) -> jax.Array:
    """Energy shaping, then feedback near the top."""
    cos, sin, speed = state
    swing = -0.3 * (speed**2 / 2 + 15 * (cos - 1)) * jnp.tanh(5 * speed)
    hold = -(10 * sin + 2 * speed)
    return jnp.clip(jnp.where(cos > 0.85, hold, swing), -2, 2)[None]


def balance(state: jax.Array) -> jax.Array:
    """Feedback on the pole without damping: it falls."""
    return (state[2] > 0).astype(jnp.int32)


def pump(state: jax.Array) -> jax.Array:
    """Push along the speed."""
    return jnp.tanh(60 * state[1])[None]


def reach(state: jax.Array) -> jax.Array:
    """Pull the fingertip towards the target through the arm's Jacobian, with damping."""
    cos, sin, speed, off = state[:2], state[2:4], state[6:8], state[8:10]
    both = jnp.stack([cos[0] * cos[1] - sin[0] * sin[1], sin[0] * cos[1] + cos[0] * sin[1]])
    outer = 0.11 * jnp.stack([-both[1], both[0]])
    inner = outer + 0.1 * jnp.stack([-sin[0], cos[0]])
    return jnp.clip(-jnp.stack([inner @ off, outer @ off]) * 20 - 0.05 * speed, -1, 1)


class Task(NamedTuple):
    """An environment, its heavier twin, the policy, and whether random actions never reach an end."""

    env: str
    heavy: Callable[[], gymnasium.Env] | None
    policy: Callable[[jax.Array], jax.Array]
    noisy: bool = False


def _heavy_cart() -> gymnasium.Env:
    env = gymnasium.make("CartPole-v1")
    env.unwrapped.gravity *= 1.1
    return env


TASKS = {
    "pendulum": Task("Pendulum-v1", lambda: gymnasium.make("Pendulum-v1", g=11.0), swing_up),
    "cartpole": Task("CartPole-v1", _heavy_cart, balance),
    "mountain-car": Task(
        "MountainCarContinuous-v0",
        lambda: HeavyCar(gymnasium.make("MountainCarContinuous-v0")),
        pump,
        noisy=True,
    ),
    "reacher": Task("Reacher-v5", None, reach),
}


def collected(task: Task, source: Source, seed: int) -> Dataset:
    """Random transitions; where these never reach an end, those of the policy with much noise."""
    noisy = Noisy(Deterministic(task.policy), source.action, NOISE) if task.noisy else None
    return source.collect(STEPS, seed=seed, policy=noisy)


def late(data: Dataset) -> Dataset:
    """The same with every reward written one row late; an episode's first row has none."""
    first = data.time == 0
    reward = np.where(first, np.nan, np.roll(data.reward, 1))
    return dataclasses.replace(data, reward=reward, has_label=~first)


def learned(name: str, seed: int, out: Path) -> tuple[MDP, Callable]:
    """The clean world and the late reward, stored."""
    task = TASKS[name]
    source = connect(task.env)
    data = collected(task, source, seed)
    spec = source.spec(data.bought_states)
    file = out / f"{name}_{seed}.eqx"
    settings = SETTINGS
    if file.is_file():  # the same structure, quickly
        settings = LearnSettings(fit=FitSettings(members=5, most_epochs=1))
    world = learn(data, spec, discount=DISCOUNT, seed=seed, settings=settings).world
    tardy = learn(late(data), spec, discount=DISCOUNT, seed=seed, settings=settings).world.reward
    if file.is_file():
        return eqx.tree_deserialise_leaves(file, (world, tardy))
    eqx.tree_serialise_leaves(file, (world, tardy))
    return world, tardy

