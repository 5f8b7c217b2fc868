"""The discount of training: by whom, by how long an episode is, by what the first rewards tell."""

import numpy as np
import pytest

from paracosm.core.data import Dataset
from paracosm.core.records.discount import DiscountChoice, DiscountReason
from paracosm.loop.discounts import discount_choice
from paracosm.reporting import words


def first_of(rewards) -> Dataset:
    """Rows of random states and actions with these rewards."""
    random, rows = np.random.default_rng(0), len(rewards)
    state = random.normal(size=(rows, 2)).astype(np.float32)
    every = np.ones(rows, bool)
    return Dataset(
        state=state,
        action=random.normal(size=(rows, 1)).astype(np.float32),
        next_state=state,
        reward=np.asarray(rewards, float),
        terminated=~every,
        truncated=every,
        episode=np.arange(rows),
        time=np.zeros(rows, int),
        has_transition=every,
        has_label=every,
    )


DENSE, SPARSE = first_of(np.random.default_rng(1).normal(size=50)), first_of(np.full(50, -1.0))


@pytest.mark.parametrize(
    ("horizon", "first", "ahead", "reason"),
    [
        (50, DENSE, 100, DiscountReason.LENGTH),
        (1000, DENSE, 200, DiscountReason.LENGTH),
        (4000, DENSE, 800, DiscountReason.LENGTH),
        (10**5, DENSE, 1000, DiscountReason.LENGTH),
        (200, SPARSE, 100, DiscountReason.SPARSE),
        (1000, SPARSE, 250, DiscountReason.SPARSE),
    ],
)
def test_a_default_looks_as_far_as_episodes_and_rewards_ask_for(horizon, first, ahead, reason):
    choice = discount_choice(None, horizon, first, rollout_steps=None)
    assert choice == DiscountChoice(1 - 1 / ahead, reason, horizon)
    assert f"looks about {ahead:,} steps ahead" in words.discount(choice)
    assert f"{horizon:,} steps" in words.discount(choice)


def test_a_known_reward_tells_where_no_label_does():
    unlabelled = DENSE.buy(transitions=50, labels=1, seed=0)
    for reward, expected in ((lambda s, a, t: t[0], 200), (lambda s, a, t: -(a[0] ** 2), 250)):
        choice = discount_choice(None, 1000, unlabelled, rollout_steps=None, known_reward=reward)
        assert choice.discount == 1 - 1 / expected
    no_call = discount_choice(0.9, 1000, DENSE, rollout_steps=None, known_reward=len)
    assert no_call.reason is DiscountReason.GIVEN


def test_what_is_given_and_what_rollouts_have():
    explicit = discount_choice(1.0, 200, SPARSE, rollout_steps=None)
    assert words.discount(explicit) == "1, as given"
    rollouts = discount_choice(None, 200, SPARSE, rollout_steps=30)
    assert rollouts.discount == 0.95
    assert words.discount(rollouts) == (
        "0.95 (looks about 20 steps ahead), the default for imagined rollouts of a fixed length"
    )
