"""Recurrent models: memories back and forth, real episodes of memories, planted faults named, and
sentences for what does not fit.
"""

import dataclasses
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import paracosm
from paracosm import adapters as foreign
from paracosm.adapters.memory import MemoryForm
from paracosm.core import callbacks, checks
from paracosm.core.encoder import belief_size, encode
from paracosm.core.mdp import Discrete
from paracosm.real.verbs import connect
from tests.adapters.rememberers import HORIZON, SPEC, Cart, Ending, Late, Rememberer

QUICKLY = {"certify": False, "dimensions": False}


def nested(rows=3):
    return {
        "h": torch.arange(rows * 2.0).reshape(rows, 2),
        "rest": (torch.arange(rows), [torch.ones(rows, 2, 2, dtype=torch.bool)]),
    }


def test_a_memory_of_several_tensors_is_flat_and_comes_back():
    form = MemoryForm(nested(), 3, "it")
    assert [part.name for part in form.parts] == ["h", "rest.0", "rest.1.0"]
    flat = form.flat(nested(), "it")
    assert flat.shape == (3, form.size) == (3, 7)
    back = form.memory(flat)
    assert isinstance(back["rest"], tuple)
    for restored, original in zip(
        (back["h"], back["rest"][0], back["rest"][1][0]),
        (nested()["h"], nested()["rest"][0], nested()["rest"][1][0]),
        strict=True,
    ):
        assert restored.dtype == original.dtype
        assert torch.equal(restored, original)


def model(module=None, **options):
    return foreign.recurrent(module or Rememberer(), SPEC, **options)


def played(recurrent, ends=False, episodes=6):
    return recurrent.on(paracosm.evaluate(lambda: Cart(ends), recurrent.policy, episodes=episodes,
                                     horizon=HORIZON))  # fmt: skip


def test_real_episodes_are_of_memories_and_a_right_model_imagines_them_again():
    inside = played(model())
    x, v, time = np.moveaxis(np.asarray(inside.episodes.state), 2, 0)
    np.testing.assert_array_equal(time, np.tile(np.arange(HORIZON), (6, 1)))
    np.testing.assert_allclose(x[:, 1:], x[:, :-1] + 0.2 * v[:, :-1], atol=1e-6)
    assert "memory of 3 numbers" in inside.note
    keys = jax.random.split(jax.random.key(0), 6)
    imagined = paracosm.core.rollout.rollout(
        inside.world, inside.policy, inside.episodes.state[:, 0], keys, HORIZON
    )
    np.testing.assert_allclose(imagined.next_state, inside.episodes.next_state, atol=1e-5)
    np.testing.assert_allclose(imagined.reward, inside.episodes.reward, atol=1e-5)


def test_recorded_observations_become_the_memories_that_were_played():
    recurrent = model()
    inside = played(recurrent)
    shown = dataclasses.replace(
        inside.episodes,
        state=np.asarray(inside.episodes.state)[..., :1],
        next_state=np.asarray(inside.episodes.next_state)[..., :1],
    )
    again = encode(recurrent.encoder, shown)
    np.testing.assert_allclose(again.state, inside.episodes.state, atol=1e-5)
    np.testing.assert_allclose(again.next_state, inside.episodes.next_state, atol=1e-5)
    with pytest.raises(checks.BadData, match=r"states have 1 components; a memory has 3: evalu"):
        recurrent.on(shown)


@pytest.mark.parametrize("ends", [False, pytest.param(True, marks=pytest.mark.full)])
def test_a_right_model_has_no_gap_and_no_finding(ends):
    inside = played(model(Ending() if ends else None), ends)
    diagnosis = paracosm.audit(inside.world, inside.policy, inside.episodes, **QUICKLY)
    assert abs(diagnosis.gap.total.mean) < 1e-4
    assert diagnosis.findings == ()
    assert diagnosis.closure < 1e-6


FAULTS = {
    "late reward": (Late, {}, "reward timing", "reward"),
    "reward + 1": (Rememberer, {"bonus": 1.0}, "reward offset", "reward"),
    "no end rule": (Rememberer, {}, "missed terminations", "termination"),
    "another speed": (Rememberer, {"decay": 0.6}, None, "dynamics"),
}


@pytest.mark.parametrize(
    "fault", [*list(FAULTS)[:3], pytest.param("another speed", marks=pytest.mark.full)]
)
def test_a_planted_fault_is_named(fault):
    kind, settings, named, blamed = FAULTS[fault]
    recurrent = model(kind(**settings))
    inside = played(recurrent, ends=fault == "no end rule", episodes=24)
    diagnosis = paracosm.audit(inside.world, inside.policy, inside.episodes, **QUICKLY)
    sizes = {
        name: abs(getattr(diagnosis.gap, name).mean)
        for name in ("reward", "termination", "dynamics")
    }
    assert max(sizes, key=sizes.__getitem__) == blamed
    assert diagnosis.closure < 1e-6
    if named is not None:
        assert [finding.kind for finding in diagnosis.findings] == [named]


def test_the_audit_of_factories_plays_on_memories():
    settings = {"certify": None, "dimensions": False}
    diagnosis = paracosm.audit_foreign(
        lambda spec: foreign.recurrent(Rememberer(0.6), spec),
        lambda spec: foreign.recurrent(Rememberer(0.6), spec).policy,
        env="tests.adapters.rememberers:Cart", horizon=HORIZON, episodes=4, **settings,
    )  # fmt: skip
    assert diagnosis.verdict.startswith("In the model's memory of 3 numbers")
    assert (
        "not bounded, since the layers of dynamics, reward and policy are not kn"
        in diagnosis.verdict
    )
    assert diagnosis.lipschitz == {}


class Drawn(Rememberer):
    """It takes its normals."""

    def observe(self, memory, action, observation):
        return {**super().next(memory, action), "x": observation}

    def next(self, memory, action, normals):
        after = super().next(memory, action)
        return {**after, "x": after["x"] + 0.1 * normals[:, :1]}


def test_a_model_that_takes_normals_is_a_stochastic_world_of_recorded_draws():
    inside = played(model(Drawn(), noise=2))
    dynamics, state = inside.world.dynamics, jnp.array([0.1, 0.2, 3.0])
    first, second = jax.random.split(jax.random.key(1))
    with callbacks.as_raised():
        draws = [dynamics(state, jnp.zeros(1), key) for key in (first, first, second)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert draws[0][0] != draws[2][0]
    normal = jax.random.normal(first, (2,), jnp.float32)[0]
    assert draws[0][0] == pytest.approx(float(0.1 + 0.2 * 0.2 + 0.1 * normal), rel=1e-5)
    with jax.enable_x64(True):
        wide = dynamics(np.asarray(state, np.float64), np.zeros(1), first)
    np.testing.assert_allclose(wide, draws[0], rtol=1e-6)


def test_a_model_that_draws_for_itself_is_refused_and_told_of_noise():
    class Draws(Rememberer):
        def next(self, memory, action):
            after = super().next(memory, action)
            return {**after, "x": after["x"] + torch.randn_like(after["x"])}

    inside = played(model(Draws()))
    with pytest.raises(checks.BadArgument, match=r"answers the same question twice .*noise="):
        paracosm.audit(inside.world, inside.policy, inside.episodes, **QUICKLY)


def with_next(changed):
    class Changed(Rememberer):
        def observe(self, memory, action, observation):
            return memory

        def next(self, memory, action):
            return changed(super().next(memory, action))

    return Changed()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            lambda m: {**m, "x": torch.cat([m["x"], m["x"]], 1)},
            r"the model's next gives the memory's x of the shape \(batch, 2\); at the start of an"
            r" episode it has \(batch, 1\): a memory keeps its shape",
        ),
        (lambda m: m["x"], "next gives a memory of one tensor; at the start .* of 'x', 'more.0',"),
        (lambda m: {**m, "x": None}, "next gives a NoneType for the memory's x; a tensor, or a d"),
        (lambda m: 1 / 0, "the model's next failed with ZeroDivisionError"),
    ],
)
def test_a_memory_that_changes_its_shape_is_refused(changed, message):
    with pytest.raises(checks.ParacosmError, match=message):
        model(with_next(changed))


def test_a_memory_that_is_not_finite_says_of_which_method_and_at_which_step():
    class Lost(Rememberer):
        def observe(self, memory, action, observation):
            after = super().observe(memory, action, observation)
            late = after["more"][1] > 3
            return {**after, "x": torch.where(late[:, None], torch.nan, after["x"])}

    with pytest.raises(checks.BadData, match=r"observe of the recurrent model gave .*nan.* step 3"):
        played(model(Lost()))


def test_a_source_raises_the_sentence_of_a_model_that_fails():
    class Cold(Rememberer):
        def start(self, observation):
            assert not observation.any(), "cold"
            return super().start(observation)

    source = connect(Cart, horizon=HORIZON, encoder=model(Cold()).encoder)
    for call in (lambda: source.starts(2, first_seed=0), lambda: source.collect(3, seed=0)):
        with pytest.raises(foreign.BadAnswer, match="start failed with AssertionError: cold"):
            call()


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        (torch.nn.Linear(2, 2), "Linear, which has no start, .*foreign.world\\(dynamics"),
        (Rememberer, "is given the class Rememberer; an instance is needed"),
        (5, "is given a int, which has no start, observe, next, reward, act; start, "),
    ],
)
def test_another_class_is_refused_and_told_where_it_fits(candidate, message):
    with pytest.raises(checks.BadArgument, match=message):
        foreign.recurrent(candidate, SPEC)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reward_of": "x"}, "'x' names the argument 'x'; s, a and s' are the ones there are"),
        ({"termination_gives": "x"}, "termination_gives is 'x'; it must be one of"),
        ({"discount": 2.0}, "discount is 2; it must lie in"),
        ({"noise": -1}, "noise is -1"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_played(options, message):
    with pytest.raises(checks.BadArgument, match=message):
        model(**options)


def test_blanks_between_the_arguments_of_a_reward_are_none():
    class Slow(Rememberer):
        def reward(self, memory, action):
            return memory["x"][:, 0] + action[:, 0]

    memory, action = jnp.arange(3.0), jnp.ones(1)
    for reward_of in ("s,a", "s, a"):
        inside = played(model(Slow(), reward_of=reward_of), episodes=2)
        assert float(inside.world.reward(memory, action, memory)) == 1


def test_discrete_actions_may_be_given_by_their_numbers_for_each():
    class Chooses(Rememberer):
        def observe(self, memory, action, observation):
            assert action.dtype == torch.long
            return {**memory, "x": observation}

        def next(self, memory, action):
            return {**memory, "x": memory["x"] + action[:, None] - 1.0}

        def act(self, memory):
            return torch.cat([memory["x"], -memory["x"]], 1)

    spec = dataclasses.replace(SPEC, action=Discrete(2, start=1))
    policy = foreign.recurrent(Chooses(), spec).policy
    states = np.array([[0.5, 0, 0], [-0.5, 0, 0]], np.float32)
    np.testing.assert_array_equal(policy(states), [0, 1])


def test_the_world_itself_is_no_argument_of_an_audit():
    with pytest.raises(checks.BadArgument, match="recurrent model, which is audited in its memory"):
        inspect.unwrap(paracosm.audit)(model(), model().policy, None)


def test_a_memory_of_pictures_is_of_floats():
    encoder, picture = model().encoder, jnp.array([200], jnp.uint8)
    size = belief_size(encoder, 1, SPEC.action, np.uint8)
    assert size == 3
    after = encoder.update(encoder.initial(picture), jnp.ones(1), picture)
    np.testing.assert_allclose(after, [200, 0.3, 1], rtol=1e-6)


def test_a_memory_is_as_exact_as_its_most_exact_tensor():
    memory = {"h": torch.ones(2, 1, dtype=torch.bfloat16), "z": torch.full((2, 1), 1.2345678),
              "t": torch.full((2,), 257)}  # fmt: skip
    flat = MemoryForm(memory, 2, "it").flat(memory, "it")
    np.testing.assert_array_equal(flat[0], np.float32([1, 1.2345678, 257]))


class Layered(Rememberer):
    """Its memory has two layers first, as that of PyTorch's GRU."""

    def start(self, observation):
        return torch.zeros(2, len(observation), 3)


def test_an_axis_of_layers_is_not_taken_for_the_batch():
    with pytest.raises(checks.BadArgument, match="its first axis must be the batch"):
        model(Layered())


def test_a_policy_of_memories_is_collected_with_as_it_is_evaluated():
    acting = model().policy
    data = paracosm.collect(Cart, 3, seed=0, policy=acting, horizon=HORIZON)
    np.testing.assert_array_equal(data.state[:, 2], 0)  # the time of each episode's first step
    bare = connect(Cart, horizon=HORIZON)
    for play in (lambda: bare.collect(3, seed=0, policy=acting), lambda: bare.evaluate(acting)):
        with pytest.raises(checks.BadArgument, match="Cart is seen without an encoder; connect"):
            play()
