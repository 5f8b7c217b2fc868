"""gymnax's and Brax's environments as real ones: exact states, ends apart from limits, refusals."""

import dataclasses
import types

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm import adapters as foreign
from paracosm.adapters.packing import packing_of
from paracosm.core import checks
from paracosm.core.encoder import Window
from paracosm.core.mdp import Discrete
from paracosm.core.policy import Deterministic
from paracosm.core.pomdp import POMDP
from paracosm.loop.foreign import audit_foreign
from paracosm.real.verbs import collect, connect, evaluate
from tests.adapters import standins
from tests.adapters.standins import LAST, Slide, SlideParams

PUSH = Deterministic(standins.push)


def tree():
    """Leaves of every kind that a state may have."""
    return {
        "float": jnp.array([[0.1, -3e38], [1e-40, 7.0]]),
        "half": jnp.array([0.1, 6e4], jnp.float16),
        "flags": jnp.array([True, False]),
        "counter": jnp.int32(-(2**31)),
        "counters": jnp.array([2**31 - 1, 2**24 + 1, -1], jnp.int32),
        "words": jnp.array([2**32 - 1, 2**16], jnp.uint32),
        "bytes": jnp.array([255, 0], jnp.uint8),
        "shorts": jnp.array([-(2**15), 2**15 - 1], jnp.int16),
        "key": jax.random.key(2**32 - 1),
        "keys": jax.random.split(jax.random.key(7, impl="rbg"), 2),
    }


@pytest.mark.parametrize("wide", [False, True])
def test_a_state_is_packed_without_loss(wide):
    with jax.enable_x64(wide):
        state = tree()
        if wide:
            state |= {
                "long": jnp.array([2**63 - 1, -(2**63)], jnp.int64),
                "double": jnp.array([0.1]),
            }
        packing = packing_of(jax.eval_shape(lambda: state), "the state")
        vector = packing.pack(state)
        assert vector.shape == (packing.size,)
        assert jnp.issubdtype(vector.dtype, jnp.floating)
        assert np.isfinite(vector).all()
        back = packing.unpack(vector)
        for name, leaf in state.items():
            assert back[name].dtype == leaf.dtype, name
            pair = (leaf, back[name])
            if name.startswith("key"):
                pair = tuple(map(jax.random.key_data, pair))
            np.testing.assert_array_equal(*pair, err_msg=name)


def test_parameters_may_be_arrays():
    params = SlideParams(jnp.float32(1), jnp.int32(5))
    system = foreign.gymnax(Slide(old=True), params)
    assert system.mdp.spec.horizon == 5
    plain = evaluate(foreign.gymnax(Slide(old=True), SlideParams(1, 5)), PUSH, episodes=2)
    np.testing.assert_array_equal(evaluate(system, PUSH, episodes=2).alive, plain.alive)


def test_complex_numbers_are_refused():
    with pytest.raises(checks.Unsupported, match="the state holds complex numbers"):
        packing_of(jnp.ones(2) * 1j, "the state")


def played(env, params, episodes, steps):
    """The environment's own states and observations under `PUSH`, step by step, by its own
    functions and the keys that a source gives it.
    """
    observations = []
    for seed in range(10_000, 10_000 + episodes):
        start, _ = jax.random.split(jax.random.key(seed))
        observation, state = env.reset_env(jax.random.key_data(start), params)
        observations.append([observation])
        for _ in range(steps):
            observation, state, *_ = env.step_env(None, state, standins.push(observation), params)
            observations[-1].append(observation)
        state = jax.random.key_data(state.key), int(state.time)
    return np.asarray(observations), state


def test_hidden_counters_and_keys_survive_every_step_exactly():
    system = foreign.gymnax(Slide())
    assert isinstance(system, POMDP)
    observations, (key, time) = played(Slide(), SlideParams(), 1, 4)
    mdp, state = system.mdp, system.mdp.initial(jax.random.split(jax.random.key(10_000))[0])
    for _ in range(4):
        state = mdp.dynamics(state, standins.push(system.show(state)), jax.random.key(3))
    last = mdp.dynamics.__self__.packing.unpack(state[:-4])
    assert int(last.time) == time == 2**31 - 1 - LAST + 4
    np.testing.assert_array_equal(jax.random.key_data(last.key), key)
    np.testing.assert_allclose(system.show(state), observations[0, -1], rtol=1e-6)


@pytest.mark.parametrize("old", [False, True])
def test_a_time_limit_is_no_end(old):
    """Older environments mix the limit into `done`; both cut what does not fall off."""
    limit = 10
    params = SlideParams(max_steps_in_episode=limit)
    episodes = evaluate(foreign.gymnax(Slide(old), params), PUSH, episodes=6)
    observations, _ = played(Slide(), params, 6, limit)
    fallen = np.abs(observations[:, 1:, 0]) > 1
    first = np.where(fallen.any(1), np.argmax(fallen, axis=1), limit - 1)
    np.testing.assert_array_equal(episodes.alive.sum(1), first + 1)
    np.testing.assert_array_equal(episodes.terminated.any(1), fallen.any(1))
    np.testing.assert_array_equal(episodes.truncated.any(1), ~fallen.any(1))
    assert fallen.any(1).any()
    assert not fallen.any(1).all()
    for row, length in enumerate(first + 1):
        np.testing.assert_allclose(
            episodes.next_state[row, :length], observations[row, 1 : length + 1], atol=1e-6
        )
        np.testing.assert_allclose(
            episodes.reward[row, :length],
            standins.paid(*episodes.next_state[row, :length].T), atol=1e-6,
        )  # fmt: skip


def test_policies_and_learners_see_observations_or_beliefs_of_them():
    source = connect(foreign.gymnax(Slide()))
    data = source.collect(40, seed=0)
    assert data.state.shape == (40, 2)
    spec = source.spec(data)
    assert (spec.state_size, spec.horizon, float(spec.action.high[0])) == (2, LAST, 2.0)
    beliefs = collect(foreign.gymnax(Slide()), 40, seed=0, encoder=Window(2))
    np.testing.assert_array_equal(beliefs.state[:, :2], data.state)
    np.testing.assert_allclose(beliefs.next_state[:, 2:], data.next_state - data.state, atol=1e-7)


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class SlideBraxState:
    """Brax's State."""

    pipeline_state: jax.Array
    obs: jax.Array
    reward: jax.Array
    done: jax.Array
    info: dict


class SlideBrax:
    """The task with Brax's interface, within an `EpisodeWrapper` of 9 steps."""

    action_size, observation_size, episode_length = 1, 2, 9
    reset_info: dict = {}  # noqa: RUF012

    def reset(self, rng):
        x, v = jax.random.uniform(rng, (2,), minval=-0.5, maxval=0.5)
        zero = jnp.zeros(())
        info = {"steps": zero, "truncation": zero, "rng": rng, **self.reset_info}
        return SlideBraxState(jnp.stack([x, v]), jnp.stack([x, v]), zero, zero, info)

    def step(self, state, action):
        x, v = standins.slide(*state.pipeline_state, 2 * action[0])
        steps = state.info["steps"] + 1
        fallen = (jnp.abs(x) > 1).astype(float)
        cut = jnp.where(steps >= self.episode_length, 1 - fallen, 0.0)
        info = {**state.info, "steps": steps, "truncation": cut}
        place = jnp.stack([x, v])
        return SlideBraxState(place, place, standins.paid(x, v), jnp.maximum(fallen, cut), info)


def test_braxs_environments_are_real_ones():
    law = Deterministic(lambda s: standins.push(s) / 2)
    episodes = evaluate(foreign.gymnax(SlideBrax()), law, episodes=6)
    assert episodes.alive.shape == (6, 9)
    fallen = np.abs(np.asarray(episodes.next_state)[..., 0]) > 1
    np.testing.assert_array_equal(episodes.terminated, fallen & episodes.alive)
    assert (episodes.truncated.any(1) == ~episodes.terminated.any(1)).all()
    x, v = np.moveaxis(np.asarray(episodes.state), -1, 0)
    after = standins.slide(x, v, 2 * np.asarray(episodes.action)[..., 0])
    np.testing.assert_allclose(
        np.stack(after, -1)[episodes.alive], episodes.next_state[episodes.alive], atol=1e-6
    )


class Choice(Slide):
    """Two actions, pictures for observations, as many environments have."""

    def action_space(self, params):
        return types.SimpleNamespace(n=2)

    def observe(self, state):
        return {"picture": jnp.ones((2, 2), bool), "place": state.x}

    def step_env(self, key, state, action, params):
        assert action.shape == ()
        return super().step_env(key, state, (2.0 * action - 1)[None], params)


def test_choices_and_observations_of_several_arrays():
    source = connect(foreign.gymnax(Choice()))
    data = source.collect(20, seed=0)
    assert isinstance(source.action, Discrete)
    assert data.state.shape == (20, 5)
    np.testing.assert_array_equal(data.state[:, :4], 1)
    assert set(data.action) == {0, 1}


def test_an_environment_without_step_env_is_stepped_as_it_is():
    env = Slide(old=True)
    bare = type("Bare", (), {})()
    for name in ("reset", "step"):
        setattr(bare, name, getattr(env, f"{name}_env"))
    bare.default_params, bare.action_space = SlideParams(), env.action_space
    episodes, expected = (
        evaluate(foreign.gymnax(environment), PUSH, episodes=2) for environment in (bare, env)
    )
    np.testing.assert_array_equal(episodes.reward, expected.reward)
    np.testing.assert_array_equal(episodes.terminated, expected.terminated)


def make_slide():
    return foreign.gymnax(Slide())


def test_it_is_audited_by_its_name():
    where = "tests.adapters.test_functional:make_slide"
    options = {"episodes": 3, "certify": False, "dimensions": False}
    diagnosis = audit_foreign(lambda spec: standins.exact(), lambda: PUSH, env=where, **options)
    assert abs(diagnosis.gap.total.mean) < 1e-5


def changed(**attributes):
    """A Brax-like environment with other attributes."""
    env = SlideBrax()
    for name, value in attributes.items():
        setattr(env, name, value)
    return env


class Growing(Slide):
    def step_env(self, key, state, action, params):
        observation, after, *rest = super().step_env(key, state, action, params)
        return observation, (after, after.x), *rest


class Unparametrised(Slide):
    """Without the parameters that gymnax's environments have by default."""

    default_params = property()


@dataclasses.dataclass
class PlainParams:
    edge: float = 1.0
    max_steps_in_episode: int = LAST


class Failing(Slide):
    def step_env(self, key, state, action, params):
        raise ValueError("no such ball")


class Odd(Slide):
    def action_space(self, params):
        return types.SimpleNamespace(spaces={})


class Unbounded(Slide):
    def action_space(self, params):
        return types.SimpleNamespace(low=-jnp.inf, high=jnp.inf, shape=(1,))


class Handing:
    """A wrapper of gymnax's kind: what it has not it hands through."""

    def __init__(self, env):
        self.env = env

    def __getattr__(self, name):
        return getattr(self.env, name)


class Scaling(Handing):
    def step(self, key, state, action, params=None):
        observation, *rest = self.env.step(key, state, action, params)
        return 10 * observation, *rest


def test_a_wrapper_without_steps_of_its_own_is_what_it_wraps():
    wrapped, plain = (foreign.gymnax(env) for env in (Handing(Slide()), Slide()))
    assert wrapped.mdp.spec.state_size == plain.mdp.spec.state_size


class Numbered(Slide):
    """Its action is one number, and no vector."""

    def action_space(self, params):
        return types.SimpleNamespace(low=-1.0, high=1.0, shape=())

    def step_env(self, key, state, action, params):
        assert action.shape == ()
        return super().step_env(key, state, action[None], params)


def test_an_action_without_axes_is_played_as_it_is_traced():
    assert connect(foreign.gymnax(Numbered())).collect(3, seed=0).action.shape == (3, 1)


BAD = [
    (
        "a wrapper with its own step",
        lambda: Scaling(Slide()),
        {},
        "Scaling has a step of its own and hands step_env, .* or give the environment without",
    ),
    (
        "a wrapper around one with its own step",
        lambda: Handing(Scaling(Slide())),
        {},
        "Scaling has a step of its own and hands step_env",
    ),
    (
        "gymnasium",
        lambda: gymnasium.make("CartPole-v1"),
        {},
        "paracosm.connect is for environments",
    ),
    ("a model", standins.SlideModel, {}, "gymnax's reset.* paracosm.foreign.tdmpc2 is for models"),
    ("a number", lambda: 3, {}, "the functional environment is 3; gymnax's reset"),
    ("a class", lambda: Slide, {}, "is the class Slide"),
    (
        "auto-reset",
        lambda: changed(reset_info={"first_obs": jnp.zeros(2)}),
        {},
        "SlideBrax starts anew by itself",
    ),
    (
        "no limit",
        lambda: changed(episode_length=None),
        {},
        "SlideBrax has no time limit; give horizon=N",
    ),
    ("params", SlideBrax, {"params": SlideParams()}, "params are given for SlideBrax"),
    (
        "no params",
        Unparametrised,
        {},
        "params is None and Unparametrised has no default_params; give its params",
    ),
    (
        "params of a plain class",
        Slide,
        {"params": PlainParams()},
        "params holds a PlainParams, whose entries JAX cannot see; a pytree is needed",
    ),
    ("a growing state", Growing, {}, "the state of Growing has another form after a step"),
    (
        "a failure",
        Failing,
        {},
        "the step of Failing cannot be traced by JAX: ValueError: no such ball",
    ),
    ("a horizon", Slide, {"horizon": 0}, "horizon is 0"),
]


@pytest.mark.parametrize(
    ("env", "options", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD]
)
def test_what_does_not_fit_is_named(env, options, message):
    with pytest.raises(checks.BadArgument, match=message):
        foreign.gymnax(env(), **options)


@pytest.mark.parametrize(
    ("env", "error", "message"),
    [(Odd, checks.Unsupported, "Odd has actions in a SimpleNamespace"),
     (Unbounded, checks.BadArgument, r"Unbounded has actions without .* give action_range=\(LOW")],
)  # fmt: skip
def test_actions_that_are_not_supported_are_named(env, error, message):
    with pytest.raises(error, match=message):
        foreign.gymnax(env())


def test_a_stated_range_bounds_what_has_no_bound():
    source = connect(foreign.gymnax(Unbounded(), action_range=(-2, 1)))
    assert (float(source.action.low[0]), float(source.action.high[0])) == (-2, 1)
    for env in (Slide, Choice, SlideBrax):
        with pytest.raises(checks.BadArgument, match=r"action_range is \(-2.0, 1.0\), and the act"):
            foreign.gymnax(env(), action_range=(-2, 1))
    with pytest.raises(checks.BadArgument, match="two finite numbers"):
        foreign.gymnax(Unbounded(), action_range=(1, -2))


def test_a_range_bounds_what_is_as_good_as_infinite():
    wide = Unbounded()
    wide.action_space = lambda params: types.SimpleNamespace(low=-3e38, high=3e38, shape=(1,))
    with pytest.raises(checks.BadArgument, match="without a bound on some side"):
        foreign.gymnax(wide)
    space = foreign.gymnax(wide, action_range=(-2, 1)).mdp.spec.action
    assert (float(space.low[0]), float(space.high[0])) == (-2, 1)


def test_observed_systems_are_compiled_once():
    """Parts of pairs are modules: functions made anew would be programs made anew."""
    from tests.conftest import PROGRAMS

    source = connect(foreign.gymnax(Slide()))
    source.evaluate(PUSH, episodes=2)
    before = PROGRAMS.total
    source.evaluate(PUSH, episodes=2)
    assert PROGRAMS.total == before


def test_an_environment_that_was_not_adapted_is_told_how():
    with pytest.raises(checks.Unsupported, match=r"needed; paracosm\.foreign\.gymnax\(env, params"):
        connect(lambda: (Slide(), SlideParams()))


class Overflowing(Window):
    """A window whose beliefs are not finite after a step."""

    def update(self, state, action, observation):
        return super().update(state, action, observation) * jnp.inf


def test_an_encoder_of_what_is_shown_is_named_when_it_fails():
    with pytest.raises(checks.BadData, match="the update of the encoder Overflowing gave"):
        evaluate(
            foreign.gymnax(Slide()),
            Deterministic(lambda z: z[:1]),
            episodes=2,
            encoder=Overflowing(2),
        )
