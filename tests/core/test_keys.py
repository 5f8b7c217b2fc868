"""Every stage and round has a key of its own, the same on every machine."""

import jax
import numpy as np

from paracosm.core.keys import later_seed, stage_key


def data(*arguments) -> tuple[int, ...]:
    return tuple(np.asarray(jax.random.key_data(stage_key(*arguments))).tolist())


def test_no_two_stages_rounds_or_seeds_share_a_key():
    stages = ("collect", "learn", "imagine", "evaluate", "audit")
    drawn = [
        data(seed, stage, round) for seed in range(4) for stage in stages for round in range(4)
    ]
    assert len(set(drawn)) == len(drawn)


def test_the_same_stage_has_the_same_key_always():
    """By value: a hash that changes between processes, as Python's own does, would give other
    numbers every run.
    """
    assert data(0, "learn") == data(0, "learn", 0) == (4282284171, 3751204036)
    assert data(3, "learn", 2) == (638170676, 4069681915)


def test_seeds_begin_again_after_the_last_one():
    assert [later_seed(seed, 2) for seed in (0, 2**32 - 3, 2**32 - 2)] == [2, 2**32 - 1, 0]
