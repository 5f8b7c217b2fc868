"""The table of real steps: what is bought is there, what is not bought is not."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paracosm.core.checks import BadArgument, BadData
from paracosm.core.data import Dataset, RewardLabels, Trajectory, Transitions

HORIZON = 5
lengths = st.lists(st.integers(1, HORIZON), min_size=1, max_size=6)
COLUMNS = [field.name for field in dataclasses.fields(Dataset)]


def trajectory(lengths: list[int], seed: int = 0, discrete: bool = False) -> Trajectory:
    """Episodes of these lengths: the short ones terminated, the full ones truncated."""
    rng, shape = np.random.default_rng(seed), (len(lengths), HORIZON)
    alive = np.arange(HORIZON) < np.array(lengths)[:, None]
    last = np.arange(HORIZON) == np.array(lengths)[:, None] - 1
    state = rng.normal(size=(len(lengths), HORIZON + 1, 2)).astype(np.float32)
    action = (
        rng.integers(0, 3, shape) if discrete else rng.normal(size=(*shape, 1)).astype(np.float32)
    )
    full = (np.array(lengths) == HORIZON)[:, None]
    return Trajectory(
        state=state[:, :-1],
        action=action,
        next_state=state[:, 1:],
        reward=np.where(alive, rng.normal(size=shape), 0).astype(np.float32),
        terminated=last & ~full,
        truncated=last & full,
        alive=alive,
    )


def dataset(steps: list[int] | None = None, seed: int = 0) -> Dataset:
    return Dataset.from_trajectory(trajectory(steps or [5, 2, 3], seed))


def assert_same(actual: Dataset, expected: Dataset) -> None:
    for column in COLUMNS:
        np.testing.assert_array_equal(
            getattr(actual, column), getattr(expected, column), err_msg=column
        )


# From episodes.


@given(lengths, st.booleans())
def test_every_step_taken_becomes_a_row_and_no_other(lengths, discrete):
    episodes = trajectory(lengths, discrete=discrete)
    data = Dataset.from_trajectory(episodes)
    assert data.real_steps == sum(lengths) == len(data.transitions) == len(data.labels)
    for row in range(data.real_steps):
        i, t = data.episode[row], data.time[row]
        for column in ("state", "action", "next_state", "reward", "terminated", "truncated"):
            np.testing.assert_array_equal(
                getattr(data, column)[row], getattr(episodes, column)[i, t]
            )
    np.testing.assert_array_equal(np.bincount(data.episode), lengths)
    assert list(zip(data.episode, data.time, strict=True)) == sorted(
        zip(data.episode, data.time, strict=True)
    )
    np.testing.assert_array_equal(data.initial, episodes.state[:, 0])
    assert data.state.dtype == data.next_state.dtype == np.float32
    assert data.reward.dtype == np.float64
    assert data.action.dtype == (np.int32 if discrete else np.float32)


def test_a_truncated_step_did_not_end_the_mdp():
    data = dataset([HORIZON, 2])
    np.testing.assert_array_equal(data.transitions.ended, [0, 0, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(data.truncated, [0, 0, 0, 0, 1, 0, 0])


# Buying.


@given(lengths, st.integers(0, 2**31), st.data())
def test_what_is_bought_is_counted_and_what_is_not_does_not_leak(lengths, seed, data):
    full = dataset(lengths)
    n, m = (data.draw(st.integers(0, full.real_steps)) for _ in range(2))
    bought = full.buy(n, m, seed)
    assert (len(bought.transitions), len(bought.labels), bought.real_steps) == (
        n,
        m,
        full.real_steps,
    )
    assert np.isnan(bought.reward[~bought.has_label]).all()
    assert not bought.terminated[~bought.has_transition].any()
    np.testing.assert_array_equal(bought.reward[bought.has_label], full.reward[bought.has_label])
    np.testing.assert_array_equal(
        bought.terminated[bought.has_transition], full.terminated[bought.has_transition]
    )
    smaller, larger = sorted((bought.has_transition, bought.has_label), key=np.sum)
    assert (larger | ~smaller).all(), "the smaller purchase is a subset of the larger"
    assert np.isfinite(bought.labels.reward).all()
    np.testing.assert_array_equal(bought.labels.state, full.state[bought.has_label])
    np.testing.assert_array_equal(
        bought.transitions.next_state, full.next_state[bought.has_transition]
    )
    for column in ("state", "action", "next_state", "episode", "time"):
        np.testing.assert_array_equal(getattr(bought, column), getattr(full, column))


@given(st.integers(0, 2**31))
def test_a_purchase_is_the_same_twice_and_grows_by_adding(seed):
    full = dataset([5] * 6)
    assert_same(full.buy(10, 4, seed), full.buy(10, 4, seed))
    small, large = full.buy(10, 4, seed), full.buy(20, 15, seed)
    assert (large.has_transition | ~small.has_transition).all()
    assert (large.has_label | ~small.has_label).all()


def test_which_steps_are_bought_depends_on_the_seed():
    full = dataset([5] * 6)
    masks = [full.buy(15, 15, seed).has_label for seed in range(20)]
    assert len({mask.tobytes() for mask in masks}) > 15


def test_buying_everything_changes_nothing():
    full = dataset()
    assert_same(full.buy(full.real_steps, full.real_steps, 3), full)


@pytest.mark.parametrize(
    ("transitions", "labels", "name"), [(-1, 0, "transitions"), (0, 11, "labels"), (99, 0, "tran")]
)
def test_an_impossible_purchase_is_refused(transitions, labels, name):
    with pytest.raises(BadArgument, match=rf"{name}.* at most 10"):
        dataset().buy(transitions, labels, 0)


def test_what_was_left_unbought_cannot_be_bought_from():
    with pytest.raises(BadArgument, match="fully observed"):
        dataset().buy(5, 5, 0).buy(3, 3, 0)


# Joining.


@given(lengths, lengths, lengths)
def test_joining_is_associative_and_numbers_episodes_on(first, second, third):
    a, b, c = (dataset(steps, seed) for seed, steps in enumerate((first, second, third)))
    joined = a.join(b).join(c)
    assert_same(joined, a.join(b.join(c)))
    np.testing.assert_array_equal(np.bincount(joined.episode), [*first, *second, *third])
    np.testing.assert_array_equal(joined.initial, np.concatenate([a.initial, b.initial, c.initial]))
    np.testing.assert_array_equal(joined.reward, np.concatenate([a.reward, b.reward, c.reward]))


def test_joining_keeps_what_was_bought_and_leaves_the_parts_alone():
    a, b = dataset([5, 5]).buy(3, 1, 0), dataset([4], seed=1)
    before = b.episode.copy()
    joined = a.join(b)
    assert (len(joined.transitions), len(joined.labels), joined.real_steps) == (3 + 4, 1 + 4, 14)
    np.testing.assert_array_equal(b.episode, before)


def test_nothing_joined_to_data_is_the_data():
    none = dataclasses.replace(
        dataset(), **{name: getattr(dataset(), name)[:0] for name in COLUMNS}
    )
    assert none.real_steps == len(none.transitions) == len(none.labels) == 0
    assert_same(none.join(dataset()), dataset())
    assert_same(dataset().join(none), dataset())


# Refusals.


@pytest.mark.parametrize("column", ["state", "next_state", "action"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_entry_names_its_column_and_step(column, bad):
    values = getattr(dataset(), column).copy()
    values[3, 0] = bad
    with pytest.raises(BadData, match=f"{column.replace('_', ' ')}s.* at step 3"):
        dataclasses.replace(dataset(), **{column: values})


def test_a_bad_reward_is_refused_where_it_was_bought_and_only_there():
    values = dataset().reward.copy()
    values[4] = np.nan
    with pytest.raises(BadData, match=r"reward label of step 4 is nan"):
        dataclasses.replace(dataset(), reward=values)
    without = dataset().has_label.copy()
    without[4] = False
    assert len(dataclasses.replace(dataset(), reward=values, has_label=without).labels) == 9


@pytest.mark.parametrize("column", COLUMNS[1:])
def test_columns_of_another_length_are_refused_by_name(column):
    with pytest.raises(BadData, match=column):
        dataclasses.replace(dataset(), **{column: getattr(dataset(), column)[:-1]})


def test_states_of_another_size_are_refused():
    with pytest.raises(BadData, match="next states has shape"):
        dataclasses.replace(dataset(), next_state=np.zeros((10, 3), np.float32))


def test_the_tables_count_their_rows():
    data = dataset()
    assert len(Transitions(data.state, data.action, data.next_state, data.terminated)) == 10
    assert len(RewardLabels(data.state, data.action, data.next_state, data.reward)) == 10


@pytest.mark.parametrize("name", ["terminated", "truncated", "has_transition", "has_label"])
@pytest.mark.parametrize("kind", [int, np.uint8, float])
def test_flags_that_are_numbers_are_booleans(name, kind):
    data = dataset()
    assert_same(dataclasses.replace(data, **{name: getattr(data, name).astype(kind)}), data)
    for wrong in (2, np.nan, 0.5):
        values = getattr(data, name).astype(float)
        values[3] = wrong
        with pytest.raises(
            BadData, match=rf"the data set's {name} is {float(wrong)} in row 3; 0 or 1"
        ):
            dataclasses.replace(data, **{name: values})


@pytest.mark.parametrize("name", ["terminated", "truncated", "alive"])
def test_flags_of_episodes_that_are_numbers_are_booleans(name):
    episodes = trajectory([2, 3])
    flags = getattr(episodes, name)
    numbered = dataclasses.replace(episodes, **{name: flags.astype(np.int64)})
    assert getattr(numbered, name).dtype == bool
    np.testing.assert_array_equal(getattr(numbered, name), flags)
    with pytest.raises(BadData, match=r"a flag of a Trajectory is [01].5; 0 or 1"):
        dataclasses.replace(episodes, **{name: flags + 0.5})


def test_rewards_of_one_axis_more_are_refused():
    episodes = trajectory([2, 3])
    with pytest.raises(BadData, match=r"reward of a Trajectory is .* of shape \(2, \d\) is needed"):
        dataclasses.replace(episodes, reward=episodes.reward[..., None])
