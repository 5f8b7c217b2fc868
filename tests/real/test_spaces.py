"""Observations and actions of several parts: their order, the way there and back, refusals."""

import functools
import inspect
import warnings

import gymnasium
import jax.numpy as jnp
import minari
import numpy as np
import pytest
from gymnasium import spaces, wrappers
from hypothesis import given
from hypothesis import strategies as st

from paracosm.core import checks
from paracosm.core.encoder import Window
from paracosm.core.mdp import MDP, Box, Discrete, Spec, never
from paracosm.core.policy import Deterministic
from paracosm.core.pomdp import POMDP
from paracosm.real import datasets
from paracosm.real.flattening import flat_row, flat_rows, leaves
from paracosm.real.matching import require_match
from paracosm.real.verbs import collect, connect, evaluate
from tests.real.composed import PARTS, Reach, Sampling, lever, push, reach


def connected(**options):
    """A source of samples of a space."""
    return connect(functools.partial(Sampling, **options), horizon=5)


SPACES = {
    "a Dict of all kinds": PARTS,
    "a Tuple": spaces.Tuple((spaces.Discrete(2), spaces.Box(-1, 1, (2,)))),
    "a goal": Reach.observation_space,
    "a Dict in its own order": spaces.Dict([("b", spaces.Discrete(2)), ("a", spaces.Discrete(3))]),
    "a Discrete": spaces.Discrete(4, start=-2),
    "a MultiDiscrete": spaces.MultiDiscrete([2, 3, 1], start=[0, -4, 7]),
    "a MultiBinary": spaces.MultiBinary([2, 3]),
    "a matrix": spaces.Box(-1, 1, (3, 2)),
    "a number": spaces.Box(-1, 1, ()),
    "whole numbers": spaces.Box(-5, 5, (2, 2), np.int32),
}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_parts_are_flattened_in_gymnasiums_own_order(space):
    space.seed(0)
    samples = [space.sample() for _ in range(30)]
    rows = np.stack([flat_row(sample, leaves(space)) for sample in samples])
    expected = np.stack([spaces.utils.flatten(space, sample) for sample in samples])
    np.testing.assert_array_equal(rows, expected.astype(np.float32))
    source = connected(observation_space=space)
    assert source.state_size == spaces.utils.flatdim(space) == len(source.components)
    assert len({*source.components}) == source.state_size


def test_components_are_named_by_their_keys():
    names = connected().components  # of keyword arguments Gymnasium keeps the order
    assert names[:5] == ("where[0]", "where[1]", "gear=2", "gear=3", "gear=4")
    assert names[5:7] == ("nested.lamps[0,0]", "nested.lamps[0,1]")
    assert names[9] == "nested.level"
    assert names[10:13] == ("pair[0][0,0]=0", "pair[0][0,0]=1", "pair[0][0,1]=0")
    assert names[-1] == "pair[1][1,1]"
    assert connected(observation_space=SPACES["a Tuple"]).components == (
        "observation[0]=0",
        "observation[0]=1",
        "observation[1][0]",
        "observation[1][1]",
    )
    assert connect("Pendulum-v1").components == ()


def test_a_spec_carries_the_names_and_an_encoder_has_none():
    source = connect(reach)
    spec = source.spec(source.collect(20, seed=0))
    assert spec.components == source.components
    assert spec.components[2:4] == ("desired_goal[0]", "desired_goal[1]")
    windowed = source.through(Window(2, source.action))
    assert windowed.spec(windowed.collect(20, seed=0)).components == ()
    with pytest.raises(checks.BadArgument, match="components names 1 components; a state has 2"):
        Spec(2, Discrete(2), jnp.ones(2), 5, ("a",))


def test_states_are_what_the_environment_shows():
    source = connect(reach)
    data = source.collect(48, seed=0)
    moved = data.next_state[:, :2] - data.state[:, :2]
    np.testing.assert_allclose(moved, data.next_state[:, 4:], atol=1e-6)
    np.testing.assert_array_equal(data.state[:, 2:4], data.next_state[:, 2:4])
    choices = np.stack(np.unravel_index(data.action, (3, 3)), axis=1) - 1
    inside = (np.abs(data.next_state[:, :2]) < 2).all(axis=1)
    np.testing.assert_allclose(moved[inside], 0.3 * choices[inside], atol=1e-6)
    assert len({*data.action}) > 5
    again = source.collect(48, seed=0, workers=2)
    np.testing.assert_array_equal(again.next_state, data.next_state)


COUNTS = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@given(counts=COUNTS, starts=st.lists(st.integers(-9, 9), min_size=4, max_size=4))
def test_a_joint_action_is_its_choices_and_back(counts, starts):
    total = int(np.prod(counts))
    space = Discrete(total, 0, tuple(counts), tuple(starts[: len(counts)]))
    numbers = np.arange(total)
    values = space.values(numbers)
    assert values.shape == (total, len(counts))
    np.testing.assert_array_equal(space.number(values), numbers)
    first = np.array(starts[: len(counts)])
    assert (values >= first).all()
    assert (values < first + np.array(counts)).all()
    assert (np.lexsort(values.T[::-1]) == numbers).all()  # the last choice is the fastest
    assert (Discrete(total, 3).number(Discrete(total, 3).values(numbers)) == numbers).all()


def test_counts_that_are_not_those_of_the_actions_are_refused():
    with pytest.raises(checks.BadArgument, match="product is 6; it must be n, which is 5"):
        Discrete(5, 0, (2, 3), (0, 0))
    with pytest.raises(checks.BadArgument, match="they must be as many"):
        Discrete(6, 0, (2, 3), (0,))
    with pytest.raises(ValueError, match="invalid entry"):
        Discrete(6, 0, (2, 3), (0, 0)).number([[2, 0]])


ACTIONS = {
    "MultiDiscrete": (spaces.MultiDiscrete([2, 3], start=[1, 5]), 6),
    "MultiDiscrete of two axes": (spaces.MultiDiscrete([[2, 3], [1, 2]]), 12),
    "MultiBinary": (spaces.MultiBinary(3), 8),
    "MultiBinary of two axes": (spaces.MultiBinary([2, 2]), 16),
    "Discrete with a start": (spaces.Discrete(3, start=-7), 3),
}


@pytest.mark.parametrize(("space", "count"), ACTIONS.values(), ids=ACTIONS)
def test_every_action_reaches_the_environment_as_one_of_its_space(space, count):
    source = connected(action_space=space)
    assert source.action.n == count
    data = source.collect(120, seed=0)
    assert {*data.action} == {*range(count)}
    sums = source.action.values(data.action).reshape(120, -1).sum(axis=1)
    np.testing.assert_array_equal(data.reward, sums)
    played = evaluate(source, Deterministic(lambda state: jnp.int32(count - 1)), episodes=2)
    assert (np.asarray(played.reward) == source.action.values(count - 1).sum()).all()


@pytest.mark.filterwarnings("ignore:.*Casting input x")  # of Gymnasium, about single numbers
@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_boxes_of_any_shape_are_vectors(shape):
    source = connected(action_space=spaces.Box(-2, 1, shape))
    data = source.collect(30, seed=0)
    assert data.action.shape == (30, int(np.prod(shape)))
    np.testing.assert_allclose(data.reward, data.action.sum(axis=1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [np.float64, np.float16])
def test_an_action_at_a_bound_that_is_rounded_is_at_the_bound(kind):
    source = connected(action_space=spaces.Box(kind(-0.3), kind(0.7), (2,), kind))
    for bound in (source.action.low, source.action.high):
        played = evaluate(source, lambda state, bound=bound: np.asarray(bound), episodes=1)
        np.testing.assert_array_equal(played.action, np.broadcast_to(bound, (1, 5, 2)))


def test_a_stated_range_bounds_the_sides_that_have_no_bound():
    low, high = np.float32([-np.inf, -5, 0]), np.float32([np.inf, np.inf, 3e38])
    free = functools.partial(Sampling, action_space=spaces.Box(low, high))
    source = connect(free, horizon=5, action_range=(-2, 3))
    assert isinstance(source.action, Box)
    np.testing.assert_array_equal(source.action.low, [-2, -5, 0])
    np.testing.assert_array_equal(source.action.high, [3, 3, 3])
    actions = source.collect(200, seed=0).action
    assert (actions.min(axis=0) < [-1.5, -4.5, 0.5]).all()
    assert (actions.max(axis=0) > 2.5).all()
    needed = r"without|no bound on some side; give --action-range LOW HIGH .in Python action_range="
    with pytest.raises(checks.Unsupported, match=needed):
        connect(free, horizon=5)
    with pytest.raises(checks.Unsupported, match="component 2 would go from 0 to -1; every lower"):
        connect(free, horizon=5, action_range=(-2, -1))
    assert collect(push, 12, seed=0, action_range=(-1, 1)).action.shape == (12, 2)
    played = evaluate(push, lambda state: [0.5, 0.5], episodes=1, action_range=(-1, 1))
    assert (np.asarray(played.action) == 0.5).all()
    clipped = functools.partial(wrappers.ClipAction, gymnasium.make("Pendulum-v1"))
    assert float(connect(clipped, action_range=(-2, 2)).action.high[0]) == 2


@pytest.mark.parametrize(
    ("env", "stated", "sentence"),
    [
        ("Pendulum-v1", (-1, 1), r"Pendulum-v1 acts on a Box .*, which is bounded already\.$"),
        ("CartPole-v1", (0, 1), "acts on a Discrete space; only Box actions without bounds need"),
        (push, (1, 1), r"^action_range is \(1, 1\); two finite numbers, the lower one first, are"),
        (push, (0, np.inf), "two finite numbers"),
        (push, (-3e38, 3e38), "two finite numbers"),
        (push, 3, "^action_range is 3; two finite"),
        (push, (False, True), "two finite"),
    ],
)
def test_a_range_that_nothing_needs_or_that_is_none_is_refused(env, stated, sentence):
    with pytest.raises(checks.BadArgument, match=sentence):
        inspect.unwrap(connect)(env, action_range=stated)


PICTURE = spaces.Box(0, 255, (32, 32, 3), np.uint8)
OBSERVED = {
    "a picture under a key": (
        spaces.Dict(goal=spaces.Box(0, 1, (2,)), eye=spaces.Dict(left=PICTURE)),
        r"observes images of shape \(32, 32, 3\) and type uint8 under the key eye\.left, which"
        r" cannot be flattened .*FilterObservation\), or show it alone\.$",
    ),
    "a picture of numbers": (
        spaces.Dict(eye=spaces.Box(0, 1, (32, 32, 3))),
        "type float32 under the key eye, which cannot be flattened",
    ),
    "a text under a key": (
        spaces.Tuple((spaces.Discrete(2), spaces.Text(3))),
        r"observes a Text space under the key observation\[1\]; observations of numbers and",
    ),
    "a graph": (spaces.Graph(spaces.Box(0, 1), None), "observes a Graph space; observations of"),
    "too many": (spaces.Discrete(5000), "observes 5000 components in all; .* up to 4096"),
    "too many of one axis": (spaces.Box(0, 1, (5000,)), "observes 5000 components in all; .* 4096"),
    "nothing": (spaces.Dict(), "observes 0 components in all"),
}


@pytest.mark.parametrize(("space", "sentence"), OBSERVED.values(), ids=OBSERVED)
def test_observations_that_cannot_be_flattened_are_refused_by_their_key(space, sentence):
    with pytest.raises(checks.Unsupported, match=sentence) as caught:
        connected(observation_space=space)
    assert "\n" not in str(caught.value)


ACTED = {
    "too many": (
        spaces.MultiBinary(9),
        r"MultiBinary space of shape \(9,\) of 512 comb.*up to 256",
    ),
    "a Dict": (spaces.Dict(a=spaces.Discrete(2)), "acts on a Dict space; Box actions of floating"),
    "whole numbers": (
        spaces.Box(0, 3, (2,), np.int64),
        r"acts on a int64 Box of shape \(2,\); Box",
    ),
    "no room": (spaces.Box(1, 1, (1,)), "component 0 would go from 1 to 1"),
}


@pytest.mark.parametrize(("space", "sentence"), ACTED.values(), ids=ACTED)
def test_actions_of_other_kinds_are_refused(space, sentence):
    with pytest.raises(checks.Unsupported, match=sentence):
        connected(action_space=space)


def changed(key, value):
    """An observation of which one part is another, or lacks."""

    def change(observation):
        parts = dict(observation)
        if value is None:
            del parts[key]
        else:
            parts[key] = value
        return parts

    return change


ODD = {
    "a part that lacks": (changed("gear", None), "gave an observation without gear on its first"),
    "another shape": (
        changed("where", np.zeros(3)),
        r"gave where, of its observation, as a ndarray of shape \(3,\).*; an array of shape \(2,\)",
    ),
    "a choice that is none": (
        changed("gear", 5),
        "gave gear, of its observation, as .*5.*; one of",
    ),
    "half a choice": (changed("gear", 2.5), "gave gear, of its observation, as 2.5"),
    "words": (changed("where", ["a", "b"]), "gave where, of its observation, as"),
    "NaN": (
        changed("where", [0, np.nan]),
        r"gave where\[1\], of its observation, as nan .* finite",
    ),
    "no bit": (
        lambda parts: {**parts, "nested": {**parts["nested"], "lamps": np.full((2, 2), 7)}},
        r"gave nested.lamps, .*; an array of shape \(2, 2\) of zeros and ones is needed",
    ),
    "no mapping": (lambda observation: 3, "gave an observation without where"),
}


@pytest.mark.parametrize(("change", "sentence"), ODD.values(), ids=ODD)
def test_an_answer_that_is_not_of_its_space_is_refused_by_its_key(change, sentence):
    with pytest.raises(checks.BadData, match=sentence):
        connected(change=change)


def test_a_choice_in_an_array_of_one_entry_is_a_choice():
    assert connected(change=changed("gear", np.array([3]))).collect(3, seed=0).state[0, 3] == 1


def frozen(wrapper):
    """Pendulum behind a wrapper whose statistics stand."""
    env = wrapper(gymnasium.make("Pendulum-v1"))
    env.update_running_mean = False
    return env


@pytest.mark.parametrize(
    ("wrapper", "what"),
    [(wrappers.NormalizeObservation, "observations"), (wrappers.NormalizeReward, "rewards")],
)
def test_scales_that_move_while_they_are_used_are_refused_and_those_that_stand_pass(wrapper, what):
    sentence = (
        rf"scales its {what} by statistics that move .*\({wrapper.__name__}\).*update_running"
    )
    with pytest.raises(checks.Unsupported, match=sentence):
        connect(lambda: wrappers.ClipReward(wrapper(gymnasium.make("Pendulum-v1")), -9, 9))
    assert connect(lambda: frozen(wrapper)).repeatability_remarks() == ()
    assert connect(frozen(wrapper)).collect(5, seed=0).real_steps == 5


def test_fixed_changes_of_scale_pass_and_actions_are_in_the_units_that_are_shown():
    source = connect(
        lambda: wrappers.RescaleAction(gymnasium.make("Pendulum-v1"), *np.float32([-1, 1]))
    )
    plain = evaluate("Pendulum-v1", lambda state: [2 * 0.3], episodes=2)
    scaled = evaluate(source, lambda state: [0.3], episodes=2)
    np.testing.assert_allclose(scaled.next_state, plain.next_state, rtol=1e-5, atol=1e-5)


def test_many_environments_at_once_are_refused_with_what_to_give():
    with pytest.raises(
        checks.ParacosmError, match="a vector environment is many at once: give one"
    ):
        connect(lambda: gymnasium.make_vec("CartPole-v1", num_envs=2))


def test_choices_are_shown_and_taken_from_their_starts():
    data = collect(lever, 60, seed=0)
    assert (data.state.sum(axis=1) == 1).all()
    place, after = data.state.argmax(axis=1), data.next_state.argmax(axis=1)
    np.testing.assert_array_equal(after, np.clip(place + data.action - 1, 0, 2))
    assert connect(lever).components == ("observation=5", "observation=6", "observation=7")


def stacked(space, samples):
    """Samples of a space as Minari takes them: parts first, then steps."""
    if isinstance(space, spaces.Dict):
        return {key: stacked(part, [x[key] for x in samples]) for key, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(stacked(part, [x[i] for x in samples]) for i, part in enumerate(space))
    return samples


def test_declared_scales_stand_in_for_those_of_the_data():
    source = connect(reach)
    data = source.collect(40, seed=0)
    own = np.asarray(source.spec(data).state_scale)
    stated = source.scaled({"desired_goal": 0.5, "observation[1]": 3, "0": 7})
    scale = np.asarray(stated.spec(data).state_scale)
    np.testing.assert_array_equal(scale[[0, 2, 3, 5]], [7, 0.5, 0.5, 3])
    np.testing.assert_array_equal(scale[[1, 4]], own[[1, 4]])
    np.testing.assert_array_equal(stated.collect(40, seed=0).state, data.state)
    assert source.steps == stated.steps == 80
    with pytest.raises(checks.BadArgument, match="scales are declared for the states of reach"):
        stated.through(Window(2, source.action))
    plain = connect("Pendulum-v1")
    spec = plain.scaled({"2": 8}).spec(plain.collect(30, seed=0))
    assert float(spec.state_scale[2]) == 8


def test_components_of_a_system_have_its_names_and_what_is_shown_of_it_has_none():
    spec = Spec(2, Box(-jnp.ones(1), jnp.ones(1)), jnp.ones(2), 5, ("place", "speed"))
    parts = (lambda s, a, key: s, lambda s, a, after: s[0], never, lambda key: jnp.ones(2))
    still = MDP(spec, *parts, 0.9)
    source = connect(still).scaled({"speed": 0.1})
    assert source.components == spec.components
    scaled = source.spec(source.collect(5, seed=0))
    np.testing.assert_allclose(scaled.state_scale, [1, 0.1])
    assert scaled.components == spec.components
    assert connect(POMDP(still, lambda s: s[:1])).components == ()


@pytest.mark.parametrize(
    ("stated", "sentence"),
    [
        (
            {"gaol": 1},
            r"^state_scale names 'gaol'; achieved_goal\[0\], .*, or a number from 0 to 5",
        ),
        ({"desired": 1}, "names 'desired'"),
        ({"6": 1}, "names '6'"),
        ({"0": 0}, r"^state_scale\['0'\] is 0; it must be a positive number"),
        ({"0": "1"}, "must be a positive number"),
        ({"desired_goal": 1, "3": 2}, r"\['3'\] is given, and another name holds some"),
        ([1, 2], "a mapping of names"),
    ],
)
def test_scales_that_cannot_be_are_refused(stated, sentence):
    source = connect(reach)
    with pytest.raises(checks.BadArgument, match=sentence):
        inspect.unwrap(type(source).scaled)(source, stated)


def recorded(name, env, steps):
    """A Minari data set of one episode of random actions in `env`."""
    env.action_space.seed(0)
    observations, actions, rewards = [env.reset(seed=0)[0]], [], []
    for _ in range(steps):
        actions.append(env.action_space.sample())
        observation, reward, *_ = env.step(actions[-1])
        observations.append(observation)
        rewards.append(reward)
    buffer = minari.data_collector.EpisodeBuffer(
        observations=stacked(env.observation_space, observations),
        actions=actions,
        rewards=rewards,
        terminations=[False] * steps,
        truncations=[False] * (steps - 1) + [True],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Minari recommends to name authors and environments
        minari.create_dataset_from_buffers(
            name,
            [buffer],
            observation_space=env.observation_space,
            action_space=env.action_space,
        )
    return observations, actions


@pytest.mark.parametrize(
    "env",
    [
        reach,
        lever,
        functools.partial(Sampling, PARTS, spaces.MultiBinary([2, 2])),
        functools.partial(Sampling, spaces.MultiDiscrete([2, 3]), spaces.Discrete(2)),
    ],
)
def test_a_minari_data_set_of_parts_is_what_the_environment_shows(env, tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    environment = env()
    observations, actions = recorded("tests/parts-v0", environment, 9)
    source = connect(env, horizon=9)
    data = datasets.load(
        "minari:tests/parts-v0", components=source.components
    )  # Minari sorts the keys
    flat = [spaces.utils.flatten(environment.observation_space, shown) for shown in observations]
    np.testing.assert_array_equal(data.state, np.float32(flat[:-1]))
    called = source.action.values(data.action)
    np.testing.assert_array_equal(called.reshape(9, -1), np.reshape(actions, (9, -1)))
    require_match(data, source, "minari:tests/parts-v0")
    if environment.unwrapped.observation_space is PARTS:
        with pytest.raises(checks.BadData, match=r"one of them alone has achieved_goal"):
            datasets.load("minari:tests/parts-v0", components=connect(reach).components)


def test_rows_at_once_are_rows_one_by_one():
    parts = leaves(spaces.Dict(a=spaces.MultiDiscrete([2, 3]), b=spaces.Box(0, 1, (2, 2))))
    columns = {"a": np.array([[1, 2], [0, 0]]), "b": np.arange(8.0).reshape(2, 2, 2)}
    single = [flat_row({key: column[i] for key, column in columns.items()}, parts) for i in (0, 1)]
    np.testing.assert_array_equal(flat_rows(columns, parts), single)
