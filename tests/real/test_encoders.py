"""Environments seen through an encoder: forms, faults, resumed collections, carries, audits."""

import dataclasses

import equinox as eqx
import gymnasium
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core import checks
from paracosm.core.encoder import Encoder, Window, belief_size, encode
from paracosm.core.mdp import MDP, Box, Discrete, Spec, never
from paracosm.core.policy import Deterministic, Policy
from paracosm.loop.auditing import audit
from paracosm.real import stepping
from paracosm.real.source import BadStep, Interrupted
from paracosm.real.verbs import collect, connect, evaluate
from tests.extending.filter import Filter
from tests.real.test_collecting import assert_equal
from tests.real.worlds import counter, walk

BOX = Box(-jnp.ones(1), jnp.ones(1))
STEPS = 100


class Given(Encoder):
    """An encoder of two functions."""

    first: object = eqx.field(static=True)
    following: object = eqx.field(static=True)

    def initial(self, observation):
        return self.first(observation)

    def update(self, state, action, observation):
        return self.following(state, action, observation)


class Acted(Encoder):
    """What is observed, a decaying sum of it, and the last action, -1 at the start."""

    def initial(self, observation):
        return jnp.concatenate([observation, observation, -jnp.ones(1)])

    def update(self, state, action, observation):
        size = observation.shape[0]
        total = 0.5 * state[size : 2 * size] + observation
        return jnp.concatenate([observation, total, jnp.reshape(action, -1)[:1] * 1.0])


class Swinging(Policy):
    """Its action is the sine of a carried phase, which what is seen moves."""

    def initial(self):
        return jnp.zeros(())

    def act(self, carry, state, key):
        return jnp.sin(carry)[None], carry + 0.5 + 0.1 * jnp.tanh(state[0])

    def greedy(self):
        return self


WRONG = {
    "a table": (
        lambda o: o[None],
        lambda z, a, o: z,
        r"the initial of the encoder Given gives an array of shape \(1, 3\) and type float32; a"
        " flat vector of floats",
    ),
    "no array": (lambda o: 5, lambda z, a, o: z, "the initial of the encoder Given gives .*float"),
    "another size": (
        lambda o: o,
        lambda z, a, o: jnp.append(z, a),
        r"the update of the encoder Given gives an array of shape \(4,\) and type float32; an"
        r" array of shape \(3,\) and type float32 is needed, as its initial gives",
    ),
    "whole numbers": (
        lambda o: o,
        lambda z, a, o: z.astype(int),
        r"the update of the encoder Given gives an array of shape \(3,\) and type int32; an array",
    ),
    "a pair": (
        lambda o: o,
        lambda z, a, o: (z, o),
        "the update of the encoder Given gives a tuple; an array",
    ),
    "nothing": (lambda o: o, lambda z, a, o: None, "encoder Given gives None; an array"),
    "another number of arguments": (
        lambda o: o,
        lambda z, o: z,
        r"the update of the encoder Given cannot be traced at an observation of shape \(3,\): ",
    ),
    "NumPy": (
        lambda o: o,
        lambda z, a, o: np.cumsum(np.asarray(o)),
        "the update of the encoder Given cannot be traced",
    ),
}


@pytest.mark.parametrize(("first", "following", "sentence"), WRONG.values(), ids=WRONG)
def test_an_encoder_of_a_wrong_form_is_refused_before_a_step_is_taken(first, following, sentence):
    encoder = Given(first, following)
    with pytest.raises(checks.BadArgument, match=sentence) as caught:
        connect(counter, encoder=encoder)
    assert str(caught.value).endswith(".")
    with pytest.raises(checks.BadArgument, match=sentence):
        belief_size(encoder, 3, Discrete(2))


def test_a_wrong_encoder_of_systems_and_recordings_is_refused_too():
    encoder = Given(lambda o: o, lambda z, a, o: z[:1])
    sentence = r"the update of the encoder Given gives an array of shape \(1,\)"
    with pytest.raises(checks.BadArgument, match=sentence):
        connect(walk(), encoder=encoder)
    episodes = evaluate(counter, Deterministic(lambda s: jnp.zeros(1)), episodes=2)
    with pytest.raises(checks.BadArgument, match=sentence):
        encode(encoder, episodes)


def spoilt(stage):
    """An encoder whose beliefs are NaN at the start, or from the fourth step on."""
    nan = jnp.full(2, jnp.nan)
    if stage == "initial":
        return Given(lambda o: nan, lambda z, a, o: z)
    return Given(lambda o: jnp.zeros(2), lambda z, a, o: jnp.where(z[0] < 3, z + 1, nan))


PLACES = {"initial": "the start of", "update": "step 3 of"}


@pytest.mark.parametrize("env", [counter, walk()], ids=["host", "system"])
@pytest.mark.parametrize("stage", PLACES)
def test_a_belief_that_is_not_finite_is_the_encoders(env, stage):
    sentence = rf"^the {stage} of the encoder Given gave the belief \[nan nan\] at {PLACES[stage]}"
    size = connect(env).action.size
    with pytest.raises(BadStep, match=rf"{sentence} episode \d; every entry must be") as caught:
        collect(env, STEPS, seed=0, encoder=spoilt(stage))
    partial = caught.value.partial
    assert partial is None if stage == "initial" else np.isfinite(partial.next_state).all()
    idle = Deterministic(lambda z: jnp.zeros(size))
    with pytest.raises(checks.BadData, match=rf"{sentence} (evaluation )?episode \d"):
        evaluate(env, idle, episodes=20, encoder=spoilt(stage))
    episodes = evaluate(env, idle, episodes=20)
    sentence = f"what the {stage} of the encoder Given gives is nan at step [03] of episode"
    with pytest.raises(checks.BadData, match=sentence):
        encode(spoilt(stage), episodes)


def test_what_the_environment_gives_is_not_the_encoders():
    world, sentence = walk(poison=2.0), r"^the system gave the state .* and the reward nan at step"
    with pytest.raises(BadStep, match=sentence):
        collect(world, 200, seed=0, encoder=Window(2))
    broken = walk().replace(dynamics=lambda s, a, key: s * jnp.nan)
    with pytest.raises(BadStep, match=r"^the system gave the state \[nan nan\] and the reward nan"):
        collect(broken, 20, seed=0, encoder=Window(2))
    with pytest.raises(BadStep, match=r"^the environment gave the observation \[nan"):
        collect(lambda: counter(poison=("observation", 5)), STEPS, seed=0, encoder=Window(2))
    episodes = evaluate(counter, Deterministic(lambda s: jnp.zeros(1)), episodes=2)
    after = episodes.next_state.copy()
    after[0, 1] = np.nan
    damaged = dataclasses.replace(episodes, next_state=after)
    with pytest.raises(checks.BadData, match="the next observation is nan at step 1 of episode 0"):
        encode(Window(2), damaged)


def test_the_verbs_take_an_encoder_as_a_source_does():
    source = connect(counter, encoder=Filter(0.3))
    assert_equal(
        source.collect(STEPS, seed=2), collect(counter, STEPS, seed=2, encoder=Filter(0.3))
    )
    policy = Deterministic(lambda z: jnp.clip(z[3:4], -1, 2))
    assert_equal(
        source.evaluate(policy, episodes=4),
        evaluate(counter, policy, episodes=4, encoder=Filter(0.3)),
    )


class Stopping(gymnasium.Wrapper):
    """Ctrl-C comes at a step of each copy, once it is set: after those of the copies that are
    compared before.
    """

    at = None

    def __init__(self):
        super().__init__(gymnasium.make("Pendulum-v1", max_episode_steps=6))
        self.taken = 0

    def step(self, action):
        self.taken += 1
        if self.taken == type(self).at:
            raise KeyboardInterrupt
        return super().step(action)


def rows(data):
    """By episode and step what was lived there."""
    places = zip(data.episode.tolist(), data.time.tolist(), strict=True)
    columns = np.hstack([data.state, data.action, data.next_state, data.reward[:, None]])
    return dict(zip(places, columns.tolist(), strict=True))


@pytest.mark.parametrize("policy", [None, Swinging()], ids=["random actions", "a carried policy"])
@pytest.mark.parametrize("at", [19, 22], ids=["between episodes", "within episodes"])
def test_a_resumed_collection_is_the_one_that_was_not_interrupted(monkeypatch, policy, at):
    options = {"seed": 4, "policy": policy, "encoder": Filter(0.5)}
    complete = collect(Stopping, 8 * 24, **options)
    monkeypatch.setattr(Stopping, "at", at)
    with pytest.raises(Interrupted) as caught:
        collect(Stopping, 8 * 24, **options)
    monkeypatch.setattr(Stopping, "at", None)
    partial = caught.value.partial
    assert partial.real_steps == 8 * (at - 1)
    resumed = collect(Stopping, 8 * 24, before=partial, **options)
    if at == 19:
        assert_equal(resumed, complete)
    expected, actual = rows(complete), rows(resumed)
    places = expected.keys() & actual.keys()
    assert len(places) >= 8 * 20
    assert all(expected[place] == actual[place] for place in places)


def test_beliefs_may_hold_discrete_actions():
    source = connect("CartPole-v1", encoder=Acted(), horizon=30)
    data = source.collect(200, seed=0)
    start = data.time == 0
    assert source.state_size == data.state.shape[1] == 9
    np.testing.assert_array_equal(data.state[start, 8], -1)
    np.testing.assert_array_equal(data.next_state[:, 8], data.action)
    assert {0.0, 1.0} == set(data.next_state[:, 8].tolist())
    episodes = evaluate(
        "CartPole-v1", Deterministic(lambda s: (s[2] > 0).astype(int)), episodes=3, horizon=30
    )
    lean = Deterministic(lambda z: (z[2] > 0).astype(int))
    believed, encoded = source.evaluate(lean, episodes=3), encode(Acted(), episodes)
    alive = believed.alive
    np.testing.assert_allclose(believed.state[alive], np.asarray(encoded.state)[alive], atol=1e-6)


def test_the_attributions_identity_holds_for_beliefs_and_a_carry():
    source = connect(counter, encoder=Filter(0.5))
    policy = Swinging()
    episodes = source.evaluate(policy, episodes=4)
    spec = Spec(source.state_size, source.action, jnp.ones(source.state_size), source.horizon)
    world = MDP(
        spec,
        dynamics=lambda z, a, key: 0.8 * z + 0.1 * a[0],
        reward=lambda z, a, after: after[0] - 0.5 * z[3] + a[0],
        termination=never,
        initial=lambda key: jnp.zeros(spec.state_size),
        discount=0.9,
    )
    diagnosis = audit(world, policy, episodes, certify=False)
    assert diagnosis.closure < 1e-9
    assert diagnosis.other_actions == 0
    assert abs(diagnosis.gap.total.mean) > 1


def test_a_wide_belief_that_is_not_finite_is_not_shown_whole():
    belief = np.zeros(512)
    belief[7] = np.nan
    fault = stepping._belief_fault(Window(2), "update", belief)
    sentence = fault.sentence("the system", "at step 3 of evaluation episode 0")
    assert "of 512 numbers whose entry 7 is nan" in sentence
    assert len(sentence) < 200
