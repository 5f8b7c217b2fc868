"""Values of many states at once against one rollout each."""

import jax
import numpy as np
import pytest

from paracosm.auditing import values as module
from paracosm.auditing.values import block_size, values
from tests.auditing.worlds import Case


@pytest.mark.parametrize("kind", ["ending", "discrete"])
@pytest.mark.parametrize("rows", [0, 1, 37])
def test_values_are_returns_of_plain_rollouts(kind, rows, monkeypatch):
    monkeypatch.setattr(module, "_FEWEST", 16)  # several blocks, the last one not full
    with jax.enable_x64(True):
        case = Case(kind, 7, horizon=9, episodes=max(rows, 1))
        start = np.asarray(case.start)[:rows]
        steps = np.random.default_rng(rows).integers(0, 10, rows)
        computed = values(case.world, case.policy, start, steps, case.key)
        reward = case.play(case.world).reward[:rows]
        discounted = np.where(
            np.arange(9) < steps[:, None], reward * case.world.discount ** np.arange(9), 0
        )
        np.testing.assert_allclose(computed, discounted.sum(axis=1), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("rows", "block"),
    [(0, 32), (1, 32), (300, 32), (511, 32), (512, 64), (4000, 256), (10**6, 512)],
)
def test_blocks_are_small_beside_what_they_hold(rows, block):
    assert block_size(rows) == block
