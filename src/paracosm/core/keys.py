"""One seed for a whole run; every stage and round draws from a key of its own."""

from __future__ import annotations

import zlib

import jax
import numpy as np

from paracosm.core import checks
from paracosm.core.types import PRNGKey


def stage_key(seed: int, stage: str, round: int = 0) -> PRNGKey:
    """The key of a stage in a round of the run with `seed`; the stage's name is hashed the same
    everywhere.
    """
    named = jax.random.fold_in(jax.random.key(seed), zlib.crc32(stage.encode()))
    return jax.random.fold_in(named, round)


def later_seed(seed: int, steps: int) -> int:
    """The seed so many after `seed`; after the last one they begin again at 0."""
    return (seed + steps) % int(checks.SEED.most)


def numpy_random(key: PRNGKey) -> np.random.Generator:
    """Numpy's randomness from a key, for what is done on the host."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))
