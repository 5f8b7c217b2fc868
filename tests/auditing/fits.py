"""Worlds fitted to real steps by ridge regression on random features: fault-free, of any quality,
for little time.
"""

from __future__ import annotations

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from paracosm.auditing.one_step import predict_steps
from paracosm.core.mdp import Discrete
from paracosm.core.policy import Deterministic
from paracosm.core.precision import in_double
from paracosm.core.rollout import rollout
from paracosm.real.systems import linear_quadratic, pendulum
from paracosm.real.verbs import collect
from tests.auditing.worlds import SwingUp, discrete, ending

ROWS, EPISODES = 4000, 12


class Features(eqx.Module):
    """`tanh` of random directions of standardised inputs, the inputs themselves, and their linear
    readout.
    """

    center: jax.Array
    spread: jax.Array
    directions: jax.Array
    readout: jax.Array

    def __call__(self, inputs):
        scaled = (inputs - self.center) / self.spread
        return (
            jnp.concatenate([jnp.tanh(self.directions @ scaled), scaled, jnp.ones(1)])
            @ self.readout
        )


class Change(eqx.Module):
    """`s' = s + features(s, a)`, the action as networks see it."""

    features: Features
    space: eqx.Module

    def __call__(self, state, action, key):
        return state + self.features(jnp.concatenate([state, self.space.encode(action)]))


class Pay(eqx.Module):
    """`r = features(s, a, s')`."""

    features: Features
    space: eqx.Module

    def __call__(self, state, action, next_state):
        return self.features(jnp.concatenate([state, self.space.encode(action), next_state]))[0]


def fitted(inputs, targets, features, seed, ridge=1e-6):
    """The ridge fit of `targets` `[rows, outputs]`."""
    draws = np.random.default_rng(seed)
    center, spread = inputs.mean(axis=0), inputs.std(axis=0) + 1e-9
    directions = draws.normal(size=(features, inputs.shape[1])) * draws.uniform(
        0.3, 1.0, (features, 1)
    )
    scaled = (inputs - center) / spread
    design = np.concatenate(
        [np.tanh(scaled @ directions.T), scaled, np.ones((len(scaled), 1))], axis=1
    )
    matrix = design.T @ design + ridge * len(design) * np.eye(design.shape[1])
    return Features(
        *map(jnp.asarray, (center, spread, directions, np.linalg.solve(matrix, design.T @ targets)))
    )


@functools.cache
def real(kind):
    """A real system, a policy, random steps of it, and where to audit."""
    key = jax.random.key(7)
    if kind == "pendulum":
        system, policy, horizon = pendulum(0.97), Deterministic(SwingUp(jnp.array(0.3))), 100
    elif kind == "linear":
        system, policy = linear_quadratic(key, norms=(0.95, 0.5, 0.4), discount=0.9)
        horizon = 40
    elif kind == "ending":
        (system, _, policy), horizon = ending(key), 40
    else:
        (system, _, policy), horizon = discrete(key), 40
    return system, policy, collect(system, ROWS, seed=0), horizon


class Fit:
    """A fit of one kind of system to `rows` of its random steps, and real episodes; where 64 bits
    are enabled.
    """

    def __init__(self, kind, seed, rows=ROWS, features=100, ridge=1e-6):
        system, policy, data, horizon = real(kind)
        self.real, self.policy = in_double((system, policy))
        self.key = jax.random.key(seed)
        self.space = self.real.spec.action
        subset = np.random.default_rng(seed).permutation(ROWS)[:rows]
        state, after = (np.asarray(x[subset], float) for x in (data.state, data.next_state))
        encoded = (
            np.eye(self.space.n)[data.action[subset]] if isinstance(self.space, Discrete) else None
        )
        encoded = (
            np.asarray(jax.vmap(self.space.encode)(data.action[subset]))
            if encoded is None
            else encoded
        )
        before = np.concatenate([state, encoded], axis=1)
        change = fitted(before, after - state, features, seed, ridge)
        pay = fitted(
            np.concatenate([before, after], axis=1),
            data.reward[subset][:, None],
            features,
            seed,
            ridge,
        )
        self.world = self.real.replace(
            dynamics=Change(change, self.space), reward=Pay(pay, self.space)
        )
        keys = jax.random.split(jax.random.key(seed + 1000), EPISODES)
        starts = jax.vmap(self.real.initial)(keys)
        self.episodes = jax.tree.map(
            np.asarray, rollout(self.real, self.policy, starts, keys, horizon)
        )

    def predictions(self, world=None, episodes=None):
        return predict_steps(
            world or self.world, self.policy, episodes or self.episodes, self.key, mode=False
        )
