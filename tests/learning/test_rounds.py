"""Fits that go on from round to round: spreads, carried networks, rare rows, rewards at ends."""

import copy
import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core import checks
from paracosm.core.layers import layers_of
from paracosm.core.learned import Learned
from paracosm.core.mdp import MDP
from paracosm.core.members import draw_members, member_world
from paracosm.core.networks import MLP, rescaled, restandardised
from paracosm.learning.continued_split import continued_split, row_ids
from paracosm.learning.fit import _Fit, fit, pad, row_losses
from paracosm.learning.learn import LearnSettings, learn
from paracosm.learning.part_learner import EnsembleReward
from paracosm.learning.parts import (
    LOG_VARIANCE,
    GaussianDynamics,
    LearnedTermination,
    RewardWithEnds,
    bounded_log_variance,
)
from paracosm.learning.settings import FitSettings
from paracosm.learning.splits import growing_split
from paracosm.real.verbs import connect
from tests.extending.carts import Carts
from tests.learning.test_fit import networks, rows

SHORT = FitSettings(members=2, width=16, least_steps=20, most_steps=20, most_epochs=10, keep="last")
ROUND = LearnSettings(fit=SHORT, probabilistic=True, reward_at_ends=True, capacity=128)
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def bought():
    source = connect(Carts())
    data = source.collect(120, seed=0)
    return data, source.spec(data)


def test_the_same_function_in_other_units():
    rng = np.random.default_rng(0)
    network = MLP(3, 2, 8, 2, KEY, center=rng.normal(size=3), scale=1 + rng.random(3))
    center, scale = rng.normal(size=3).astype(np.float32), (1 + rng.random(3)).astype(np.float32)
    factor, shift = np.array([2.0, 3.0]), np.array([1.0, -1.0])
    converted = rescaled(restandardised(network, center, scale), factor, shift)
    for x in rng.normal(size=(5, 3)):
        np.testing.assert_allclose(converted(x), factor * network(x) + shift, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(converted.center, center)


def test_a_spread_is_learned_where_it_is():
    """Noise that grows with the first input: from 0.1 to 1 of its unit."""
    rng = np.random.default_rng(0)
    inputs = rng.uniform(-1, 1, (2000, 2))
    noise = np.exp(1.15 * (inputs[:, :1] - 1))
    targets = noise * rng.normal(size=(2000, 1))
    settings = dataclasses.replace(SHORT, width=8, most_epochs=30, rates=(5e-3, 1e-3))
    start, keys = networks(outputs=2), jax.random.split(KEY, 2)
    data = pad(inputs, targets)
    result = fit(start, data, data, keys, loss="gaussian", settings=settings)
    first = jax.tree.map(lambda leaf: leaf[0], result.networks)
    raw = jax.vmap(first)(np.array([[-1.0, 0.0], [1.0, 0.0]], np.float32))[:, 1]
    spread = np.exp(0.5 * np.asarray(bounded_log_variance(raw)))
    np.testing.assert_allclose(spread, [0.1, 1.0], rtol=0.3)
    assert result.epochs.tolist() == [30, 30], "fits that keep the last epoch use all of them"


def test_the_gaussian_loss_pulls_means_by_their_errors_over_the_spread():
    """With β of one half: `2 (μ - y) / σ` for the mean, `σ (1 - (y - μ)² / σ²)` for `log σ²`."""
    network = networks(outputs=2)
    member = jax.tree.map(lambda leaf: leaf[0], network)
    x, y = jnp.array([[0.3, -0.2]]), jnp.array([[1.7]])

    def loss(shift):
        moved = eqx.tree_at(lambda n: n.biases[-1], member, member.biases[-1] + shift)
        return row_losses(moved, x, y, "gaussian", beta=0.5)[0]

    mean, raw = member(x[0])
    variance = jnp.exp(bounded_log_variance(raw))
    slope = jax.grad(bounded_log_variance)(raw)
    off = y[0, 0] - mean
    expected = [-2 * off / variance**0.5, slope * variance**0.5 * (1 - off**2 / variance)]
    np.testing.assert_allclose(jax.grad(loss)(jnp.zeros(2)), expected, rtol=1e-4)


def test_rows_that_fit_badly_at_first_are_learned():
    """A fast wave beside small waves: the likelihood without β gives the fast one a spread and no
    mean (it left all of its variance, β = 1/2 leaves a hundredth).
    """
    rng = np.random.default_rng(0)
    inputs = rng.uniform(-1, 1, (1000, 2))
    fast = inputs[:, :1] > 0
    targets = np.where(fast, np.sin(9 * inputs[:, :1]), 0.01 * inputs[:, 1:])
    settings = dataclasses.replace(
        SHORT, width=32, rates=(5e-3, 1e-3), least_steps=200, most_steps=200, most_epochs=15
    )
    start, keys = networks(outputs=2), jax.random.split(KEY, 2)
    data = pad(inputs, targets)
    result = fit(start, data, data, keys, loss="gaussian", settings=settings)
    first = jax.tree.map(lambda leaf: leaf[0], result.networks)
    left = targets[:, 0] - jax.vmap(first)(np.asarray(inputs, np.float32))[:, 0]
    share = np.mean(left[fast[:, 0]] ** 2) / np.var(targets[fast])
    assert share < 0.1


def test_log_variances_are_bounded_with_a_slope():
    raw = jnp.linspace(-100, 100, 401)
    low, high = LOG_VARIANCE
    bounded = jax.vmap(bounded_log_variance)(raw)
    assert np.all((bounded >= low - 1e-3) & (bounded <= high + 1e-3))
    assert abs(float(bounded_log_variance(jnp.zeros(()) - 4)) + 4) < 0.05


def test_balanced_rows_weigh_so_that_the_loss_is_the_same():
    """Exactly: `Σ p_i w_i = n_i / n` for every row, and half of the draws are of large targets."""
    inputs, targets = rows(50)
    targets = np.where(np.arange(50)[:, None] == 7, 100.0, 0.01 * targets)
    member = _Fit(pad(inputs, targets), pad(inputs, targets), "squared", SHORT)
    draw = jax.jit(jax.vmap(member._balanced()))
    chosen, weights = draw(jax.random.split(KEY, 400))
    assert chosen.max() < 50
    share = np.mean(np.asarray(chosen) == 7)
    assert 0.48 < share < 0.53
    total = np.bincount(np.ravel(chosen), np.ravel(weights), minlength=50) / chosen.size
    np.testing.assert_allclose(total.sum(), 1, rtol=0.02)
    np.testing.assert_allclose(total[7], 1 / 50, rtol=0.02)


def test_a_fit_goes_on_from_the_world_before(bought):
    """With no steps to speak of the networks answer as before, in units of more data."""
    data, spec = bought
    small_sample = data.buy(60, 60, 0)
    first = learn(small_sample, spec, settings=ROUND)
    idle = dataclasses.replace(SHORT, rates=(1e-12,), least_steps=1, most_steps=1, most_epochs=1)
    settings = dataclasses.replace(ROUND, fit=idle)
    second = learn(data, spec, settings=settings, before=first, round=1)
    state, action = np.asarray(data.state), np.asarray(data.action)
    before, after = (
        jax.vmap(world.dynamics.moments)(state, action) for world in (first.world, second.world)
    )
    scale = np.asarray(spec.state_scale)
    np.testing.assert_allclose(after[0] / scale, before[0] / scale, atol=1e-3)
    # The bounds of log σ² are soft, and its unit moved: near a bound it is bent a little.
    np.testing.assert_allclose(after[1], before[1], rtol=0.15)
    rewards = [
        jax.vmap(world.reward)(state, action, data.next_state)
        for world in (first.world, second.world)
    ]
    np.testing.assert_allclose(*rewards, atol=1e-3)
    fresh = learn(data, spec, settings=settings, round=1)
    apart = jax.vmap(fresh.world.dynamics.moments)(state, action)[0] - before[0]
    assert np.abs(apart / scale).max() > 1e-2


def test_a_gaussian_world_is_its_members_mean_and_draws_one_of_them(bought):
    learned = learn(*bought, settings=ROUND)
    dynamics = learned.world.dynamics
    assert isinstance(dynamics, GaussianDynamics)
    state, action = bought[0].state[3], bought[0].action[3]
    mean, spread = dynamics.moments(state, action)
    np.testing.assert_allclose(
        dynamics(state, action, KEY), dynamics.domain.clip(mean.mean(axis=0)), rtol=1e-6
    )
    member = draw_members(learned.world, KEY).dynamics
    firsts = {
        float(
            draw_members(learned.world, jax.random.key(i)).dynamics.ensemble_of_one.moments(
                state, action
            )[0][0, 0]
        )
        for i in range(20)
    }
    assert firsts == {float(number) for number in mean[:, 0]}, "every member has its turn"
    keys = jax.random.split(KEY, 4000)
    samples = jax.vmap(member, (None, None, 0))(state, action, keys)
    nearest = np.argmin(np.abs(mean - samples.mean(axis=0)).sum(axis=1))
    np.testing.assert_allclose(samples.mean(axis=0), mean[nearest], atol=5 * spread.max() / 63)
    np.testing.assert_allclose(samples.std(axis=0), spread[nearest], rtol=0.1)


def test_the_layers_of_a_gaussian_world_are_its_mean(bought):
    data, spec = bought
    dynamics = learn(data, spec, settings=ROUND).world.dynamics
    layered = layers_of(dynamics, spec)
    state, action = data.state[5], data.action[5]
    x = np.concatenate([state, np.ravel(action)])
    np.testing.assert_allclose(layered(x), dynamics(state, action, KEY), rtol=1e-4, atol=1e-5)


def test_a_reward_at_ends_is_had_at_ends_alone():
    """A member that pays 1 where the flag is set and nothing elsewhere, by hand."""
    space = connect(Carts()).action
    network = MLP(3 + space.size, 1, 4, 0, KEY)
    stack = jax.tree.map(lambda leaf: leaf[None], network)
    flag = jnp.zeros((1, 3 + space.size, 1)).at[0, -1, 0].set(1.0)
    stack = eqx.tree_at(lambda net: net.weights[0], stack, flag)
    rule = eqx.tree_at(  # the logit is 50 times what the next state is beyond 1
        lambda net: (net.weights[0], net.biases[0]),
        jax.tree.map(lambda leaf: leaf[None], MLP(2 + space.size, 1, 4, 0, KEY)),
        (jnp.zeros((1, 2 + space.size, 1)).at[0, -1, 0].set(50.0), jnp.full((1, 1), -50.0)),
    )
    ends = LearnedTermination(rule, space)
    reward = RewardWithEnds(stack, space, jnp.zeros(()), jnp.ones(()), ends)
    state, action = jnp.zeros(1), jnp.zeros(space.size)
    near, past = (reward(state, action, jnp.array([x])) for x in (0.999, 1.001))
    assert (float(near), float(past)) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("recorded", "logit", "paid"),
    [(True, -50.0, "nothing"), (False, 50.0, "ten"), (False, -50.0, "all steps alike")],
)
def test_steps_that_go_on_are_not_paid_for_recorded_ends(bought, recorded, logit, paid):
    """Ten for the last step of each episode alone, and a rule that calls all steps alike: what is
    recorded of ends counts, and the rule where only labels were bought; without an end there is one
    reward.
    """
    data, spec = bought
    last = np.append(np.diff(data.episode) != 0, True)
    goals = dataclasses.replace(
        data,
        reward=np.where(last, 10.0, 0.0),
        terminated=last & recorded,
        truncated=np.zeros_like(last),
        has_transition=~last | recorded,
    )
    alike = jax.tree.map(lambda leaf: leaf[None], MLP(4 + spec.action.size, 1, 4, 0, KEY))
    alike = eqx.tree_at(
        lambda net: (net.weights[0], net.biases[0]),
        alike,
        (jnp.zeros_like(alike.weights[0]), jnp.full((1, 1), logit)),
    )
    settings = dataclasses.replace(
        ROUND, fit=dataclasses.replace(SHORT, most_epochs=30, balanced=True)
    )
    rule = LearnedTermination(alike, spec.action)
    reward, _ = EnsembleReward(settings, ends=rule).fit(goals, spec, KEY)
    learned = jax.vmap(reward)(goals.state, goals.action, goals.next_state)
    assert isinstance(reward, RewardWithEnds) is (paid != "all steps alike")
    expected = {"nothing": 0, "ten": 10, "all steps alike": np.mean(goals.reward)}
    assert np.mean(learned) == pytest.approx(expected[paid], abs=0.5)


@pytest.mark.parametrize("end_members", [2, 3])
def test_a_members_reward_and_end_agree_whatever_their_numbers(bought, end_members):
    """Of 4 members of the reward and fewer of the end rule: in the world of one member, and in a
    drawn one, the reward asks the end rule of that same world; each member has its turn.
    """
    space = bought[1].action

    def stack(inputs, members):
        keys = jax.random.split(KEY, members)
        return eqx.filter_vmap(lambda key: MLP(inputs, 1, 4, 1, key))(keys)

    ends = LearnedTermination(stack(2 * 2 + space.size, end_members), space)
    networks = stack(2 * 2 + space.size + 1, 4)
    reward = RewardWithEnds(networks, space, jnp.zeros(()), jnp.ones(()), ends)
    world = MDP(
        spec=bought[1],
        dynamics=lambda state, action, key: state,
        reward=reward,
        termination=ends,
        initial=lambda key: jnp.zeros(2),
        discount=0.9,
    )
    worlds = [member_world(world, i) for i in range(4)]
    for one in [*worlds, *(draw_members(world, jax.random.key(i)) for i in range(20))]:
        assert eqx.tree_equal(one.reward.ends, one.termination)
    for i, one in enumerate(worlds):
        assert eqx.tree_equal(one.termination, ends.member(i % end_members))
        np.testing.assert_array_equal(one.reward.networks.weights[0][0], networks.weights[0][i])


def test_a_growing_split_never_holds_out_what_was_fitted():
    episode = np.repeat(np.arange(12), 45)
    held: set[int] = set()
    for count in (45, 90, 270, 540):
        rows = growing_split(episode[:count], 0.1)
        assert held <= set(rows.held_out)
        assert not set(rows.train) & set(rows.held_out)
        assert 0 < len(rows.held_out) <= max(20, 0.25 * count)
        held = set(rows.held_out)
    assert 0.05 < len(held) / 540 < 0.15


@pytest.mark.parametrize("length", [57, 200, 420, 500, 680, 1000, 1100])
def test_a_growing_split_holds_out_no_times_of_episodes_rather_than_others(length):
    """Every time is fitted in most of 40 episodes, and nearly every one tested in some."""
    episode = np.repeat(np.arange(40), length)
    held = growing_split(episode, 0.1).held_out
    share = np.bincount(held % length, minlength=length) / 40
    assert share.max() <= 0.3
    assert len(held) / len(episode) == pytest.approx(0.1, abs=0.03)
    assert np.mean(share > 0) > 0.9


def test_the_first_rows_of_a_rare_kind_are_fitted_wherever_they_stand():
    episode = np.repeat(np.arange(12), 45)
    held = growing_split(episode, 0.1).held_out
    rare = np.zeros(540, bool)
    rare[held[::2]] = True
    split = growing_split(episode, 0.1, [rare])
    assert set(np.flatnonzero(rare)[:10]) <= set(split.train)
    assert set(np.flatnonzero(rare)[10:]) <= set(split.held_out)
    assert sorted([*split.train, *split.held_out]) == list(range(540))
    fewer = growing_split(episode[:270], 0.1, [rare[:270]])
    assert set(fewer.held_out) == {row for row in split.held_out if row < 270}
    none_else = growing_split(episode[:30], 0.1, [np.arange(30) >= 20])
    assert list(none_else.held_out) == list(range(20, 30))


@pytest.mark.parametrize("usual", ["the same", "all different"])
def test_the_only_goal_is_learned_although_its_stretch_is_held_out(bought, usual):
    """And so is its reward, whatever rewards the other steps have."""
    data = bought[0]
    goal = growing_split(data.episode, 0.1).held_out[3]
    ended = np.zeros(len(data.reward), bool)
    reward = np.zeros(120) if usual == "the same" else np.linspace(0, 1, 120)
    ended[goal], reward[goal] = True, 100.0
    data = dataclasses.replace(data, terminated=ended, reward=reward)
    for part in ("termination", "reward"):
        sides = continued_split(None, part, data, key=jax.random.key(0), settings=LAST)
        assert goal in sides.train
        assert goal not in sides.held_out
    sides = continued_split(None, "dynamics", data, key=jax.random.key(0), settings=LAST)
    assert goal in sides.held_out


def test_whichever_reward_is_the_usual_one_no_row_changes_sides(bought):
    data = bought[0]
    reward = np.where(np.arange(120) < 20, -1.0, 0.0)
    data = dataclasses.replace(data, reward=reward, terminated=np.zeros(120, bool))
    key, before = jax.random.key(0), None
    for count in (20, 30, 45, 60, 99, 120):
        sides = continued_split(None, "reward", data.first(count), key=key, settings=LAST)
        if before is not None:
            assert set(before.train) <= set(sides.train)
            assert set(before.held_out) <= set(sides.held_out) or len(before.held_out) == 1
        before = sides


LAST = LearnSettings(fit=SHORT)
BEST = LearnSettings(fit=dataclasses.replace(SHORT, keep="best"))


def sides(learned, part):
    """Keys of the rows that were fitted or decided what is kept, and of those held out."""
    train, validation, held = learned.splits[part]
    return {*train.tolist(), *validation.tolist()}, set(held.tolist())


def test_networks_that_go_on_are_not_measured_on_rows_that_they_were_fitted_to(bought):
    """Whether the rows grow by a purchase of others among them, and whatever is kept of a fit."""
    data, spec = bought
    first = learn(data.buy(60, 40, 0), spec, settings=BEST)
    last = LearnSettings(fit=SHORT)
    for settings in (BEST, last):
        second = learn(data, spec, settings=settings, before=first, seed=3, round=1)
        third = learn(data, spec, settings=BEST, before=second, seed=4, round=2)
        for part in ("dynamics", "reward"):
            saw, held = sides(first, part)
            rows, held_again = sides(second, part)
            assert len(rows | held_again) == 120
            assert second.fits[part].held_out == len(held_again)
            assert held < held_again
            assert not rows & held_again
            assert saw < rows
            assert sides(third, part) == (rows, held_again)
    plain = learn(data, spec, settings=BEST)
    assert plain.fits["dynamics"].error is not None
    for others in (
        dataclasses.replace(data, episode=data.episode + 1000),
        connect(Carts()).collect(40, seed=7),  # whose episodes are numbered from 0 again
    ):
        elsewhere = learn(others, spec, settings=BEST, before=plain)
        assert len(elsewhere.splits["dynamics"][2]) == elsewhere.fits["dynamics"].held_out > 2


def test_a_world_that_was_stored_goes_on_as_one_whose_split_stays(bought):
    data, spec = bought
    first = learn(data, spec, settings=LearnSettings(fit=SHORT))
    assert not first.splits
    assert copy.deepcopy(Learned(first.world, {})).splits == {}
    second = learn(data, spec, settings=BEST, before=first)
    held = growing_split(data.episode, BEST.held_out).held_out
    assert sides(second, "dynamics")[1] == set(row_ids(data, "dynamics")[held].tolist())
    assert len(second.splits["dynamics"][1]) == 12
    none = data.first(60)
    without = none.buy(60, 60, 0)
    ids = row_ids(none, "dynamics")
    seen = second._replace(splits={"dynamics": (ids, ids[:0], ids[:0])})
    with pytest.raises(checks.BadData, match="of the 60 rows of the dynamics none is left"):
        learn(without, spec, settings=BEST, before=seen)


def test_a_world_that_was_stored_does_not_go_on_without_a_row_to_fit(bought):
    """A large share for validation: a stretch of 20 rows of 40 is held out, 30 are to validate."""
    data, spec = bought
    few = data.first(40)
    first = learn(few, spec, settings=LearnSettings(fit=SHORT))
    greedy = dataclasses.replace(BEST, validation=0.75)
    with pytest.raises(checks.BadData, match="which leaves none to fit"):
        learn(few, spec, settings=greedy, before=first)
