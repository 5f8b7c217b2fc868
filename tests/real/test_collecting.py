"""Collection and evaluation: what a seed means, what workers do not change, where episodes stop."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from paracosm.core import checks
from paracosm.core.mdp import Discrete
from paracosm.core.policy import Deterministic, Noisy, Policy, initial_policy
from paracosm.core.recordings import state_scale
from paracosm.real import native
from paracosm.real.source import BadStep, Interrupted, shares
from paracosm.real.verbs import collect, connect, evaluate
from tests.real.worlds import counter, walk

ENVIRONMENTS = {"host": counter, "system": walk()}


def assert_equal(actual, expected):
    for field in dataclasses.fields(actual):
        np.testing.assert_array_equal(
            getattr(actual, field.name), getattr(expected, field.name), err_msg=field.name
        )
        if getattr(actual, field.name) is None:
            assert getattr(expected, field.name) is None
            continue
        assert getattr(actual, field.name).dtype == getattr(expected, field.name).dtype


def lived(data):
    return dict(
        zip(zip(data.episode, data.time, strict=True), data.next_state.tolist(), strict=True)
    )


@pytest.mark.parametrize("env", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
@settings(max_examples=8)
@given(steps=st.integers(1, 90), seed=st.integers(0, 2**32 - 1), first=st.integers(0, 50))
def test_rows_are_whole_episodes_in_order_and_exactly_as_many_as_asked(env, steps, seed, first):
    source = connect(env)
    data = source.collect(steps, seed=seed, first_episode=first)
    assert data.real_steps == source.steps == steps
    assert data.episode.min() == first
    following = data.episode[1:] == data.episode[:-1]
    np.testing.assert_array_equal(np.where(following, data.time[:-1] + 1, 0), data.time[1:])
    assert (np.diff(data.episode) >= 0).all()
    np.testing.assert_array_equal(data.state[1:][following], data.next_state[:-1][following])
    np.testing.assert_array_equal((data.terminated | data.truncated), np.append(~following, True))
    assert not (data.terminated & data.truncated).any()
    assert data.time.max() < source.horizon
    assert (data.state.dtype, data.reward.dtype, data.action.dtype) == (
        np.float32,
        np.float64,
        np.float32,
    )


@pytest.mark.parametrize("env", ["Pendulum-v1", walk()])
def test_one_lane_with_spare_steps_finishes_its_episode(env):
    source = connect(env)
    horizon = source.horizon
    complete = source.collect(5, seed=0, lanes=1, spare=10_000)
    assert complete.real_steps == horizon
    np.testing.assert_array_equal(complete.time, np.arange(horizon))
    cut = source.collect(5, seed=0, lanes=1, spare=1)
    assert cut.real_steps == 6
    np.testing.assert_array_equal(cut.state, complete.state[:6])
    exact = source.collect(horizon, seed=0, lanes=1, spare=7)
    assert exact.real_steps == horizon


@pytest.mark.parametrize("env", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_a_collection_with_spare_steps_goes_on_while_a_lane_has_its_share_to_take(env):
    source = connect(env)
    complete = source.collect(5, seed=0, lanes=2, spare=10_000)
    first = {
        field.name: getattr(complete, field.name)[complete.episode == 0]
        for field in dataclasses.fields(complete)
    }
    before = dataclasses.replace(complete, **first)
    assert before.real_steps >= 5
    assert_equal(source.collect(5, seed=0, lanes=2, spare=10_000, before=before), complete)
    assert_equal(source.collect(5, seed=0, lanes=2, spare=10_000, before=complete), complete)


@pytest.mark.parametrize("env", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_an_episode_depends_on_its_seed_and_number_only(env):
    long, short = lived(collect(env, 80, seed=3)), lived(collect(env, 40, seed=3))
    later, reseeded = (
        lived(collect(env, 40, seed=3, first_episode=8)),
        lived(collect(env, 40, seed=4)),
    )
    for rows in (short, later):
        shared = rows.keys() & long.keys()
        assert len(shared) > 10
        assert all(rows[place] == long[place] for place in shared)
    assert reseeded != short


def test_counting_environment_is_recorded_as_it_was_lived():
    data = collect(counter, 60, seed=1)
    np.testing.assert_array_equal(data.next_state[:, 0], data.time + 1)
    np.testing.assert_array_equal(data.next_state[:, 1], data.action[:, 0])
    np.testing.assert_allclose(data.reward, 10 * (data.time + 1) + data.action[:, 0], rtol=1e-7)
    assert data.terminated.any()
    assert (data.time[data.truncated] == 5).any()
    assert -1 <= data.action.min() < -0.8 < 1.8 < data.action.max() <= 2


def test_discrete_actions_count_from_zero_whatever_the_start():
    source = connect(lambda: counter(action_space=spaces.Discrete(3, start=5)))
    data = source.collect(60, seed=0)
    assert source.action == Discrete(3, start=5)
    assert data.action.dtype == np.int32
    assert set(data.action) == {0, 1, 2}
    np.testing.assert_array_equal(data.next_state[:, 1], data.action + 5)


@pytest.mark.parametrize("acting", ["random", "policy"])
def test_workers_change_nothing(acting):
    source = connect("CartPole-v1")
    spec = source.spec(source.collect(16, seed=0))
    policy = (
        Noisy(initial_policy(spec, jax.random.key(0)), spec.action, 0.1)
        if acting == "policy"
        else None
    )
    alone = source.collect(203, seed=5, policy=policy)
    for workers in (2, 3) if acting == "policy" else (2,):
        assert_equal(alone, source.collect(203, seed=5, policy=policy, workers=workers))


@pytest.mark.full
@pytest.mark.parametrize("env", ["Pendulum-v1", "InvertedPendulum-v5", "HalfCheetah-v5"])
def test_workers_change_nothing_at_size(env):
    source = connect(env)
    policy = initial_policy(source.spec(source.collect(500, seed=0)), jax.random.key(0))
    alone = source.collect(5003, seed=5, policy=policy)
    for workers in (2, 3):
        assert_equal(alone, source.collect(5003, seed=5, policy=policy, workers=workers))


@pytest.mark.parametrize("kind", ["observation", "reward"])
def test_a_bad_number_stops_the_collection_and_keeps_what_was_paid_for(kind):
    with pytest.raises(
        BadStep, match=rf"gave the {kind} .* at step \d+ of episode \d+; every entry"
    ) as caught:
        collect(lambda: counter(poison=(kind, 5)), 100, seed=0)
    complete, partial = lived(collect(counter, 100, seed=0)), lived(caught.value.partial)
    assert len(partial) == 8 * 4
    assert partial.items() <= complete.items()


def test_a_bad_number_in_a_system_stops_the_collection_and_keeps_what_was_paid_for():
    with pytest.raises(BadStep, match=r"the reward nan at step \d+ of episode \d+") as caught:
        collect(walk(poison=2.0), 200, seed=0)
    assert 0 < caught.value.partial.real_steps < 200
    assert (caught.value.partial.reward <= 2).all()
    with pytest.raises(checks.BadData, match="the reward nan at step 0 of episode 10000"):
        evaluate(walk(poison=-5.0), Deterministic(lambda s: jnp.zeros(2)))


def test_ctrl_c_in_a_system_keeps_the_whole_episodes_before_it(monkeypatch):
    """Whether it comes while an episode is played or while progress is told."""
    complete, play, plays = collect(walk(), 200, seed=3), native._play, []

    def stopping(*arguments):
        plays.append(arguments)
        if len(plays) == 3:
            raise KeyboardInterrupt
        return play(*arguments)

    def progress(done, total):
        if done > 60:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as from_progress:
        collect(walk(), 200, seed=3, progress=progress)
    monkeypatch.setattr(native, "_play", stopping)
    with pytest.raises(Interrupted) as caught:
        collect(walk(), 200, seed=3)
    assert_equal(caught.value.partial, from_progress.value.partial)
    partial = lived(caught.value.partial)
    assert 60 < len(partial) <= 16 * 7
    assert partial.items() < lived(complete).items()
    assert_equal(collect(walk(), 200, seed=3, before=caught.value.partial), complete)
    plays[:] = plays[:2]
    with pytest.raises(Interrupted) as early:
        collect(walk(), 200, seed=3)
    assert early.value.partial is None


@pytest.mark.parametrize("env", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_evaluation_pads_after_the_end_as_rollouts_do(env):
    source = connect(env)
    policy = Deterministic(lambda s: jnp.full(source.action.low.shape, 0.9))
    trajectory = source.evaluate(policy, episodes=6, first_seed=50)
    episodes, horizon = trajectory.alive.shape
    assert (episodes, horizon) == (6, source.horizon)
    assert source.steps == trajectory.alive.sum()
    lengths = trajectory.alive.sum(1)
    assert 0 < lengths.min() < horizon
    last = np.arange(6), lengths - 1
    assert (
        (trajectory.terminated | trajectory.truncated).sum()
        == (trajectory.terminated | trajectory.truncated)[last].sum()
        == 6
    )
    assert trajectory.truncated[last].any() or trajectory.terminated[last].all()
    assert (trajectory.reward[~trajectory.alive] == 0).all()
    np.testing.assert_array_equal(
        trajectory.state[~trajectory.alive], trajectory.next_state[~trajectory.alive]
    )
    np.testing.assert_array_equal(trajectory.state[:, 1:], trajectory.next_state[:, :-1])
    assert (trajectory.state.dtype, trajectory.reward.dtype) == (np.float32, np.float64)
    assert isinstance(trajectory.state, np.ndarray)


@pytest.mark.parametrize("env", [counter, walk(), "Pendulum-v1"])
def test_evaluation_starts_from_its_seeds_and_samples_only_when_asked(env):
    source = connect(env, horizon=5)
    policy = initial_policy(source.spec(source.collect(16, seed=0)), jax.random.key(0))
    mode, again = source.evaluate(policy, episodes=3), source.evaluate(policy, episodes=3)
    shifted = source.evaluate(policy, episodes=2, first_seed=10_001)
    sampled, resampled = (
        source.evaluate(policy, episodes=3, sampled=True, seed=seed) for seed in (0, 1)
    )
    np.testing.assert_array_equal(mode.next_state, again.next_state)
    np.testing.assert_array_equal(mode.state[1:, 0], shifted.state[:, 0])
    np.testing.assert_array_equal(mode.state[:, 0], sampled.state[:, 0])
    assert not np.array_equal(sampled.action, mode.action)
    assert not np.array_equal(sampled.action, resampled.action)


def test_host_evaluation_is_gymnasiums_own_loop():
    import gymnasium

    policy = Deterministic(lambda s: jnp.clip(-s[2:3], -2.0, 2.0))
    episodes = evaluate("Pendulum-v1", policy, episodes=2, first_seed=7)
    env = gymnasium.make("Pendulum-v1")
    observation, _ = env.reset(seed=8)
    rewards = []
    for _ in range(200):
        observation, reward, *_ = env.step(policy(observation))
        rewards.append(reward)
    np.testing.assert_allclose(episodes.reward[1], rewards, rtol=1e-5)
    assert episodes.truncated[:, -1].all()


def test_state_scale_is_the_standard_deviation_and_1_where_nothing_varies():
    states = np.stack(
        [np.arange(5), np.full(5, 1e5), np.zeros(5), np.arange(5) * 1e-9], axis=1
    ).astype(np.float32)
    states[0, 1] = np.nextafter(np.float32(1e5), np.float32(2e5))
    np.testing.assert_allclose(
        state_scale(states), [np.sqrt(2), 1, 1, np.sqrt(2) * 1e-9], rtol=1e-6
    )


@given(st.integers(1, 10_000), st.integers(1, 8))
def test_shares_are_even_and_complete(steps, lanes):
    share = shares(steps, lanes)
    assert share.sum() == steps
    assert np.ptp(share) <= 1
    assert len(share) == min(lanes, steps)


def test_progress_counts_up_to_the_total():
    for env in ENVIRONMENTS.values():
        calls = []
        collect(
            env, 50, seed=0, progress=lambda done, total, calls=calls: calls.append((done, total))
        )
        assert calls[-1] == (50, 50)
        assert calls == sorted(calls)


@pytest.mark.parametrize(
    "arguments",
    [{"steps": 0}, {"workers": 0}, {"first_episode": -1}, {"seed": -1}, {"seed": 2**32}],
    ids=str,
)
def test_counts_that_cannot_be_meant_are_refused(arguments):
    for env in ENVIRONMENTS.values():
        with pytest.raises(checks.BadArgument, match=f"^{next(iter(arguments))} is"):
            collect(env, **{"steps": 10, "seed": 0, **arguments})


def test_a_policy_is_not_asked_in_episodes_that_are_over():
    asked, told = [], []

    def policy(observation):
        asked.append(observation)
        return [0.5]

    def progress(*done):
        told.append(done)

    source = connect(lambda: counter(limit=50))
    episodes = source.evaluate(policy, episodes=4, progress=progress)
    assert episodes.alive.shape == (4, 50)
    assert len(asked) == episodes.alive.sum() < 4 * 9
    assert told[-1] == (50, 50)
    assert len(told) < 15
    expected = source.evaluate(Deterministic(lambda s: jnp.full(1, 0.5)), episodes=4)
    assert_equal(episodes, expected)
    assert (episodes.state[:, 20:, 0] == episodes.alive.sum(axis=1)[:, None]).all()


@pytest.mark.parametrize("space", [None, spaces.Discrete(3)], ids=["box", "discrete"])
def test_a_policy_may_have_no_action_where_an_episode_is_over(space):
    def undefined_from(length):
        return Deterministic(lambda s: jnp.where(s[0] >= length, jnp.nan, jnp.ones(shape)))

    shape = () if space else (1,)
    source = connect(lambda: counter(limit=3, action_space=space))
    defined, partly = (source.evaluate(undefined_from(n), episodes=3) for n in (99, 3))
    for name in ("state", "action", "next_state", "reward", "alive"):
        column, expected = getattr(partly, name), getattr(defined, name)
        np.testing.assert_array_equal(column[defined.alive], expected[defined.alive])
    with pytest.raises(checks.BadData, match=r"nan\]? at step 2 of evaluation episode 0"):
        source.evaluate(undefined_from(2), episodes=3)


class Counting(Policy):
    """It carries how often it was asked."""

    def initial(self):
        return jnp.zeros(())

    def act(self, carry, state, key):
        return jnp.full(1, 0.1) * carry, carry + 1

    def greedy(self):
        return self


def test_a_policy_that_carries_something_is_asked_for_two_more_steps():
    """What an audit looks ahead at: the action after the last step, and what is carried from it."""
    episodes = evaluate(lambda: counter(limit=50), Counting(), episodes=4)
    longest = int(episodes.alive.sum(axis=1).max())
    expected = np.minimum(np.arange(50), longest + 1)
    assert (episodes.carry[..., 0] == expected).all()
    np.testing.assert_allclose(episodes.action[..., 0], 0.1 * np.tile(expected, (4, 1)), rtol=1e-6)
