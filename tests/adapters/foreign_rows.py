"""Rows that foreign functions are asked with: `s` of 2 and `a` of 1; the right answer is
0.9 s + a.
"""

import jax.numpy as jnp
import numpy as np

from paracosm import adapters as foreign
from paracosm.core.mdp import Box, Spec

SPEC = Spec(2, Box(-jnp.ones(1), jnp.ones(1)), jnp.ones(2), 6)
ROWS = np.random.default_rng(0).normal(size=(7, 3))
S, A = ROWS[:, :2], ROWS[:, 2:]
RIGHT = 0.9 * S + A
SLOPES = np.tile(np.array([[0.9, 0, 1], [0, 0.9, 1]]), (len(ROWS), 1, 1))


def right(s, a):
    return 0.9 * s + a


def unpaid(s, a, n):
    return np.zeros(len(s))


def host(dynamics, **options):
    return foreign.world(SPEC, dynamics=dynamics, reward=unpaid, **options).dynamics.host
