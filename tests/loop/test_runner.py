"""What the stages hand on, without the stages."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from paracosm.core.mdp import Discrete, Spec
from paracosm.core.policy import initial_policy
from paracosm.core.records.decisions import Decision
from paracosm.core.records.discount import DiscountReason
from paracosm.imagination.reinforce import REINFORCE
from paracosm.loop import runner, searching
from paracosm.loop.config import RunConfig
from paracosm.loop.named_parts import checksum_of
from paracosm.loop.runner import Runner
from paracosm.loop.searching import trained_again
from paracosm.real.verbs import connect
from tests.loop.small import IMAGINE, known_reward


def runner_of(config: RunConfig, **given: Any) -> Runner:
    """A runner that has nothing but what a test needs."""
    parts: Any = dict.fromkeys(field.name for field in dataclasses.fields(Runner))
    return Runner(**{**parts, "config": config, "make_planner": lambda world: world, **given})


@pytest.mark.parametrize(("seed", "later"), [(7, 8), (2**32 - 1, 0)])
def test_the_seed_of_a_later_round_or_search_is_a_seed(monkeypatch, tmp_path, seed, later):
    rows = SimpleNamespace(buy=lambda transitions, labels, seed: seed)
    monkeypatch.setattr(runner, "collect_or_resume", lambda *_, **__: rows)
    directory = SimpleNamespace(file=lambda name: tmp_path / name)
    given = runner_of(RunConfig("E-v0", seed=seed, rounds=2), directory=directory)
    second = Decision(round=1, transitions=10, labels=10, plan=None, why="")
    assert given._buy(second, None) == later

    seeds = []
    training: Any = SimpleNamespace(imagined_steps=20, step=(2,))
    trained = SimpleNamespace(policy=None, training=training)
    monkeypatch.setattr(searching, "imagine", lambda *_, seed, **__: seeds.append(seed) or trained)
    nothing: Any = None
    options: Any = {"learner": None, "caution": None, "settings": IMAGINE, "seed": seed}
    trained_again(nothing, nothing, None, training, **options)
    assert seeds == [later]


def test_steps_that_a_round_left_are_no_other_rounds(tmp_path):
    directory = SimpleNamespace(file=lambda name: tmp_path / name)
    given = runner_of(RunConfig("E-v0", rounds=2), directory=directory)
    given._partial_collection(0).parent.mkdir()
    given._partial_collection(0).touch()
    older = given._partial_collection(0).with_name("partial.npz")
    older.touch()
    assert not given._partial_collection(1).exists()
    assert older.exists()


def test_the_checksum_of_owned_data_is_another_where_a_row_is_another():
    rows = connect("paracosm.real.systems:pendulum", {}, 1000).collect(20, seed=0)
    other = dataclasses.replace(rows, reward=rows.reward + (np.arange(20) == 7))
    assert checksum_of(rows) == checksum_of(rows.first(20)) != checksum_of(other)
    assert checksum_of(rows.first(10)) != checksum_of(rows)


def test_reinforce_that_a_user_made_goes_on_from_the_policy_of_the_run(monkeypatch):
    calls = []
    training: Any = SimpleNamespace(imagined_steps=20, step=(2,))
    trained = SimpleNamespace(policy=None, training=training)
    monkeypatch.setattr(searching, "imagine", lambda *_, **given: calls.append(given) or trained)
    policy = initial_policy(Spec(1, Discrete(2), np.ones(1), 5), jax.random.key(0))
    before: Any = SimpleNamespace(own_prediction=None, policy=policy)
    nothing: Any = None
    learner = REINFORCE(IMAGINE)
    trained_again(
        nothing,
        nothing,
        before,
        training,
        learner=learner,
        caution=nothing,
        settings=IMAGINE,
        seed=0,
    )
    assert calls[0]["policy"] is None
    assert calls[0]["learner"].first_policy is policy


def test_a_known_reward_chooses_the_discount_whatever_labels_were_bought():
    source = connect("paracosm.real.systems:pendulum", {}, 1000)
    given = {"reward": known_reward, "termination": None}
    known = runner_of(RunConfig("E-v0"), source=source, given_parts=given)
    for labels in (0, 1, 40):
        first = source.collect(40, seed=0).buy(40, labels, 0)
        assert known._discount(first).reason is DiscountReason.LENGTH
