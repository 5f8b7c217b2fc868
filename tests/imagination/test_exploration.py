"""When a policy looks for what is unknown: as long as nothing recorded tells states apart."""

import dataclasses
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from paracosm.core.data import Dataset
from paracosm.core.learned import Learned
from paracosm.core.mdp import MDP
from paracosm.imagination.exploration import rewards_are_uninformative

RNG = np.random.default_rng(0)
STATE = RNG.normal(size=(60, 2)).astype(np.float32)
BOX, CHOICE = RNG.uniform(-1, 1, (60, 1)).astype(np.float32), RNG.integers(0, 3, 60)
WIDE = RNG.uniform(-1, 1, (60, 4)).astype(np.float32)


def data(action, reward, *, ended: bool = False) -> Dataset:
    terminated = np.zeros(60, bool)
    terminated[-1] = ended
    ones = np.ones(60, bool)
    columns = (STATE, action, STATE, reward, terminated, ~ones, np.zeros(60, int), np.arange(60))
    return Dataset(*columns, ones, ones.copy())


@pytest.mark.parametrize(
    ("action", "reward"),
    [
        (CHOICE, np.full(60, -1.0)),
        (CHOICE, CHOICE * 0.5),
        (BOX, -0.1 * BOX[:, 0] ** 2),
        (BOX, np.zeros(60)),
    ],
)
def test_prices_of_steps_and_actions_tell_no_state(action, reward):
    assert rewards_are_uninformative(data(action, reward), reward, action)


@pytest.mark.parametrize(
    ("action", "reward"),
    [
        (BOX, -(STATE[:, 0] ** 2) - 0.1 * BOX[:, 0] ** 2),
        (BOX, -0.1 * BOX[:, 0] ** 2 + 100.0 * (np.arange(60) == 30)),
        (CHOICE, -1.0 + (np.arange(60) == 30)),
    ],
)
def test_one_reward_of_a_state_is_enough(action, reward):
    assert not rewards_are_uninformative(data(action, reward), reward, action)


def test_an_end_tells_where_it_was():
    reward = np.ones(60)
    assert not rewards_are_uninformative(data(CHOICE, reward, ended=True), reward, CHOICE)


def test_a_known_reward_is_judged_on_transitions():
    few_labels = dataclasses.replace(data(BOX, STATE[:, 0]), has_label=np.arange(60) < 10)
    assert not rewards_are_uninformative(few_labels, STATE[:, 0], BOX)


def test_rewards_are_compared_with_the_actions_of_their_own_rows():
    """As many labels as transitions, of other rows: a known reward is one of transitions."""
    early = np.arange(60) < 30
    halves = dataclasses.replace(data(BOX, BOX[:, 0]), has_label=~early, has_transition=early)
    assert rewards_are_uninformative(halves, BOX[early, 0], BOX[early])
    world = cast("MDP", SimpleNamespace(reward=lambda state, action, after: action[0]))
    known = Learned(world, {})
    assert_array_equal(known.rewards(halves), known.rewarded_rows(halves).action[:, 0])


@pytest.mark.parametrize("action", [CHOICE, WIDE], ids=["choices", "box"])
def test_rewards_that_any_would_explain_are_not_explained(action):
    """The first few of each choice, or fewer than the terms of a quadratic."""
    firsts = np.unique(CHOICE, return_index=True)[1]
    rows = firsts if action is CHOICE else np.arange(8)
    few = data(action, STATE[:, 0])
    columns = {name: getattr(few, name)[rows] for name in few.__dataclass_fields__}
    few = Dataset(**columns)
    assert not rewards_are_uninformative(few, few.reward, few.action)
    same = dataclasses.replace(few, reward=np.full(len(rows), -1.0))
    assert rewards_are_uninformative(same, same.reward, same.action), (
        "that all are the same is seen in a few"
    )


def test_the_price_of_an_action_is_seen_in_not_so_few():
    reward = -0.1 * BOX[:, 0] ** 2
    for rows, seen in ((15, False), (16, True)):
        few = data(BOX, reward).first(rows)
        assert rewards_are_uninformative(few, few.reward, few.action) == seen
