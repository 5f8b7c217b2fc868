"""Real systems with wrong models of them, drawn at random, for the tests of the audit."""

from __future__ import annotations

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP, Discrete, Spec
from paracosm.core.policy import Deterministic, Policy
from paracosm.core.precision import in_double
from paracosm.core.rollout import rollout
from paracosm.real.systems import (
    Cube,
    HalfSpace,
    linear_quadratic,
    lipschitz_synthetic,
    pendulum,
    perturbed,
)

HORIZON = 12
EPISODES = 4


class Shifted(eqx.Module):
    """A part that answers as if the state were `by` further."""

    part: eqx.Module
    by: jax.Array

    def __call__(self, state, action, last):
        return self.part(state + self.by, action, last)


class Switched(eqx.Module):
    """Dynamics `s' = tanh(A_a s)`, one matrix an action."""

    matrices: jax.Array

    def __call__(self, state, action, key):
        return jnp.tanh(self.matrices[action] @ state)


class Weighted(eqx.Module):
    """The reward `w · s' + s_0 s_1`."""

    weights: jax.Array

    def __call__(self, state, action, next_state):
        return self.weights @ next_state + state[0] * state[1]


class Choice(eqx.Module):
    """The action whose linear score is highest."""

    scores: jax.Array

    def __call__(self, state):
        return jnp.argmax(self.scores @ state)


class SwingUp(eqx.Module):
    """Energy shaping, then linear feedback near the top: swings Gymnasium's pendulum up."""

    gain: jax.Array

    def __call__(self, state):
        cos, sin, speed = state
        energy = speed**2 / 2 + 15 * (cos - 1)
        swing = -self.gain * energy * jnp.where(speed >= 0, 1.0, -1.0)
        hold = -(10 * sin + 2 * speed)
        return jnp.clip(jnp.where(cos > 0.85, hold, swing), -2, 2)[None]


def linear(key):
    real, policy = linear_quadratic(key, norms=(0.9, 0.5, 0.4), discount=0.9)
    return real, perturbed(real, jax.random.fold_in(key, 1)), policy


def smooth(key):
    """Globally Lipschitz maps, without an end."""
    real, policy = lipschitz_synthetic(key, dynamics=0.9)
    by = 0.2 * jax.random.normal(jax.random.fold_in(key, 2), (2, 4))
    return (
        real,
        real.replace(dynamics=Shifted(real.dynamics, by[0]), reward=Shifted(real.reward, by[1])),
        policy,
    )


def ending(key):
    """A slow decaying rotation that ends where one component is large, which the model sees a
    little elsewhere.
    """
    for_system, for_rotation, for_end, for_error = jax.random.split(key, 4)
    real, policy = linear_quadratic(for_system, norms=(0.9, 0.1, 0.4), discount=0.9)
    rotation = 0.98 * jnp.linalg.qr(jnp.eye(4) + jax.random.normal(for_rotation, (4, 4)))[0]
    real = real.replace(dynamics=eqx.tree_at(lambda f: f.A, real.dynamics, rotation))
    normal = jnp.array([1.0, 0, 0, 0]) + 0.2 * jax.random.normal(for_end, (4,))
    world = perturbed(real, for_error).replace(termination=HalfSpace(normal, 0.6))
    return real.replace(termination=HalfSpace(jnp.array([1.0, 0, 0, 0]), 0.6)), world, policy


def discrete(key):
    """Three actions, an end."""
    keys = jax.random.split(key, 5)
    matrices, weights = jax.random.normal(keys[0], (3, 2, 2)), jax.random.normal(keys[1], (2,))
    spec = Spec(2, Discrete(3), jnp.ones(2), HORIZON)
    end = HalfSpace(jnp.array([1.0, 0.0]), 0.9)
    real = MDP(
        spec, Switched(matrices), Weighted(weights), end, Cube(-jnp.ones(2), jnp.ones(2)), 0.95
    )
    world = real.replace(
        dynamics=Switched(matrices + 0.1 * jax.random.normal(keys[2], (3, 2, 2))),
        reward=Weighted(weights + 0.1 * jax.random.normal(keys[3], (2,))),
        termination=HalfSpace(jnp.array([0.9, 0.2]), 0.9),
    )
    return real, world, Deterministic(Choice(jax.random.normal(keys[4], (3, 2))))


def biased_pendulum(key):
    real = _pendulum()
    by = 0.02 * jax.random.normal(key, (2, 3))
    world = real.replace(dynamics=Shifted(_PENDULUM[0], by[0]), reward=Shifted(_PENDULUM[1], by[1]))
    return real, world, Deterministic(SwingUp(jnp.array(0.3)))


@functools.cache
def _pendulum():
    return pendulum(0.97)


_PENDULUM = (_pendulum().dynamics, _pendulum().reward)
KINDS = {kind.__name__: kind for kind in (linear, smooth, ending, discrete, biased_pendulum)}


class Case:
    """One random system, model and policy in 64 bits; to be used where 64 bits are enabled."""

    def __init__(self, kind: str, seed: int, horizon: int = HORIZON, episodes: int = EPISODES):
        for_system, for_episodes, self.key = jax.random.split(jax.random.key(seed), 3)
        self.real, self.world, self.policy = in_double(KINDS[kind](for_system))
        self.horizon = horizon
        self.keys = jax.random.split(for_episodes, episodes)
        self.start = jax.vmap(self.real.initial)(self.keys)
        self.episodes = self.play(self.real)

    def play(self, mdp: MDP, policy: Policy | None = None) -> Trajectory:
        """A plain rollout from the starts, as NumPy."""
        policy = self.policy if policy is None else policy
        return jax.tree.map(np.asarray, rollout(mdp, policy, self.start, self.keys, self.horizon))

    def returns(self, mdp: MDP) -> np.ndarray:
        """Discounted, `[episode]`, by a loop."""
        reward = self.play(mdp).reward
        return sum(mdp.discount**t * reward[:, t] for t in range(self.horizon))


def cut(episodes: Trajectory, length: int) -> Trajectory:
    """The episodes as a record that stops after `length` steps."""
    recorded = np.arange(episodes.alive.shape[1]) < length
    return dataclasses.replace(
        episodes,
        reward=np.where(recorded, episodes.reward, 0.0),
        terminated=episodes.terminated & recorded,
        alive=episodes.alive & recorded,
    )
