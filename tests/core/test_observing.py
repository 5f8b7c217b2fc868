"""Beliefs of rows, and policies of beliefs that play on observations."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.encoder import Encoder, Window, encode, encode_rows
from paracosm.core.observing import Observing
from paracosm.core.policy import Deterministic
from paracosm.real.verbs import connect, evaluate


class Push(eqx.Module):
    """A push against what the belief says."""

    def __call__(self, belief):
        return jnp.tanh(belief[:1] - 3 * belief[3:4] + belief[-1:])


@pytest.fixture(scope="module")
def played():
    source = connect("Pendulum-v1", horizon=30)
    encoder = Window(3, source.action)
    policy = Observing(Deterministic(Push()), encoder, source.action, source.state_size)
    return source, encoder, source.evaluate(policy, episodes=3, horizon=30)


def test_a_policy_of_beliefs_plays_on_observations_as_it_does_on_beliefs(played):
    source, encoder, observed = played
    believed = source.through(encoder).evaluate(Deterministic(Push()), episodes=3, horizon=30)
    np.testing.assert_allclose(believed.action, observed.action, atol=1e-5)
    np.testing.assert_allclose(believed.reward, observed.reward, atol=1e-4)


def test_a_policy_of_beliefs_plays_on_observations_by_the_verb_too(played):
    source, encoder, observed = played
    policy = Observing(Deterministic(Push()), encoder, source.action, source.state_size)
    again = evaluate("Pendulum-v1", policy, episodes=3, horizon=30)
    np.testing.assert_array_equal(again.state, observed.state)
    np.testing.assert_array_equal(again.action, observed.action)


def test_beliefs_of_rows_are_those_of_episodes_across_the_chunks_of_a_program(played, monkeypatch):
    _, encoder, observed = played
    monkeypatch.setattr("paracosm.core.encoder._ROWS", 8)
    rows = encode_rows(encoder, Dataset.from_trajectory(observed))
    episodes = Dataset.from_trajectory(encode(encoder, observed))
    np.testing.assert_array_equal(rows.state, episodes.state)
    np.testing.assert_array_equal(rows.next_state, episodes.next_state)


class Broken(Encoder):
    """Its second belief is no number."""

    def initial(self, observation):
        return observation

    def update(self, state, action, observation):
        return observation / 0


def test_a_belief_that_is_not_finite_is_refused(played):
    rows = Dataset.from_trajectory(played[2])
    with pytest.raises(checks.BadData, match="the update of the encoder Broken"):
        encode_rows(Broken(), rows)


def test_beliefs_start_anew_where_rows_are_missing():
    time, size = np.array([0, 1, 5, 6, 0]), 5
    state = np.arange(size, dtype=np.float32)[:, None] ** 2
    rows = Dataset(
        state=state, action=np.zeros((size, 1), np.float32), next_state=state + 1,
        reward=np.zeros(size), terminated=np.zeros(size, bool), truncated=np.zeros(size, bool),
        episode=np.array([0, 0, 0, 0, 1]), time=time, has_transition=np.ones(size, bool),
        has_label=np.ones(size, bool),
    )  # fmt: skip
    beliefs = encode_rows(Window(2), rows).state
    np.testing.assert_array_equal(beliefs[:, 1], [0, 1, 0, 1, 0])
    np.testing.assert_array_equal(beliefs[time != 1][:, 0], [0, 4, 5, 16])
