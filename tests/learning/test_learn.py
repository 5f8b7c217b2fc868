"""Learning a world: each part from its own data, and what is refused."""

import dataclasses
import functools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.mdp import MDP, Box, Discrete, Spec, never
from paracosm.core.noise import Bias, GaussianNoise
from paracosm.core.records import PartFit
from paracosm.learning.learn import learn
from paracosm.learning.parts import Constant
from paracosm.learning.settings import FitSettings, LearnSettings

QUICK = LearnSettings(
    fit=FitSettings(members=2, width=16, rates=(3e-3, 5e-4), patience=3, most_epochs=60)
)
ROWS = 600
PUSH = np.array([[0.1, 0.0], [0.0, 0.2]])
TURN = np.array([[0.9, 0.2], [-0.2, 0.9]])


def steps(rows: int = ROWS, seed: int = 0, discrete: bool = False) -> Dataset:
    """Steps of a linear system that ends beyond ½ and pays `s'_0 - s_1 + |a|²/4`, from random
    states.
    """
    random = np.random.default_rng(seed)
    state = random.uniform(-1, 1, (rows, 2)).astype(np.float32)
    if discrete:
        action = random.integers(0, 2, rows).astype(np.int32)
        push = np.array([[0.1, 0], [0, 0.2]])[action]
    else:
        action = random.uniform(-1, 1, (rows, 2)).astype(np.float32)
        push = action @ PUSH
    after = (state @ TURN + push).astype(np.float32)
    every = np.ones(rows, bool)
    return Dataset(
        state=state,
        action=action,
        next_state=after,
        reward=(after[:, 0] - state[:, 1] + np.sum(push**2, axis=1) / 4).astype(np.float64),
        terminated=after[:, 0] > 0.5,
        truncated=~every,
        episode=np.arange(rows),
        time=np.zeros(rows, np.int64),
        has_transition=every,
        has_label=every.copy(),
    )


def spec(discrete: bool = False) -> Spec:
    return Spec(
        2, Discrete(2) if discrete else Box(-jnp.ones(2), jnp.ones(2)), jnp.array([1.0, 2.0]), 20
    )


@functools.cache
def learned(discrete: bool = False):
    return learn(steps(discrete=discrete), spec(discrete), discount=0.9, seed=1, settings=QUICK)


def answers(world: MDP, rows: Dataset):
    """Next states, rewards and ends that the world gives for the rows."""
    columns = rows.state, rows.action
    key = jax.random.key(0)
    after = jax.vmap(lambda s, a: world.dynamics(s, a, key))(*columns)
    return tuple(
        np.asarray(column)
        for column in (
            after,
            *(
                jax.vmap(part)(*columns, rows.next_state)
                for part in (world.reward, world.termination)
            ),
        )
    )


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree) if hasattr(leaf, "shape")]


def assert_same(first, second):
    assert len(leaves(first)) == len(leaves(second))
    for a, b in zip(leaves(first), leaves(second), strict=True):
        np.testing.assert_array_equal(a, b)


def differs(first, second) -> bool:
    return any(not np.array_equal(a, b) for a, b in zip(leaves(first), leaves(second), strict=True))


@pytest.mark.parametrize("discrete", [False, True])
def test_a_linear_system_is_learned_on_new_steps(discrete):
    world, new = learned(discrete).world, steps(seed=9, discrete=discrete)
    after, reward, ended = answers(world, new)
    assert np.sqrt(np.mean((after - new.next_state) ** 2)) < 0.02
    assert np.sqrt(np.mean((reward - new.reward) ** 2)) < 0.05
    assert np.mean(ended == new.terminated) > 0.97
    assert world.spec.horizon == 20
    assert world.discount == 0.9


def test_what_is_said_of_a_fit():
    fits, new = learned().fits, steps(seed=9)
    after, reward, ended = answers(learned().world, new)
    off = (after - new.next_state) / np.array([1.0, 2.0])
    expected = {
        "dynamics": np.sqrt(np.mean(np.sum(off**2, axis=1))),
        "reward": np.sqrt(np.mean((reward - new.reward) ** 2)),
        "termination": np.mean(ended != new.terminated),
    }
    for part, fit in fits.items():
        assert fit.part == part
        assert fit.origin == "learned"
        assert (fit.rows, fit.held_out, len(fit.members), len(fit.epochs)) == (ROWS, 60, 2, 2)
        assert fit.error.low <= fit.error.mean <= fit.error.high
        assert fit.error.mean <= max(fit.members)
        assert fit.error.mean == pytest.approx(expected[part], rel=0.5, abs=0.03)
        assert fit.error.mean < fit.baseline / 3
        assert len(fit.curve) == min(fit.epochs)
        assert min(fit.curve) < fit.curve[0]
        assert PartFit.from_json(fit.to_json()) == fit
    new_states = new.next_state / np.array([1.0, 2.0])
    spread = np.sqrt(np.sum(new_states.var(axis=0)))
    assert fits["dynamics"].baseline == pytest.approx(spread, rel=0.15)
    assert fits["termination"].baseline == pytest.approx(np.mean(new.terminated), abs=0.15)


def test_labels_never_enter_the_dynamics_and_transitions_never_the_reward():
    bought = steps(2 * ROWS)
    mine = np.arange(2 * ROWS) < ROWS
    apart = dataclasses.replace(bought, has_transition=mine, has_label=~mine)
    reseeded = steps(2 * ROWS, seed=5)

    def with_others(rows, *names):
        columns = {
            name: np.where(
                rows.reshape(-1, *[1] * (getattr(reseeded, name).ndim - 1)),
                getattr(reseeded, name),
                getattr(apart, name),
            )
            for name in names
        }
        return learn(dataclasses.replace(apart, **columns), spec(), settings=QUICK).world

    world = learn(apart, spec(), settings=QUICK).world
    other_labels = with_others(~mine, "state", "action", "next_state", "reward", "terminated")
    assert_same(
        (world.dynamics, world.termination), (other_labels.dynamics, other_labels.termination)
    )
    assert differs(world.reward, other_labels.reward)
    other_transitions = with_others(mine, "state", "action", "next_state", "reward", "terminated")
    assert_same(world.reward, other_transitions.reward)
    assert differs(world.dynamics, other_transitions.dynamics)
    assert differs(world.termination, other_transitions.termination)


def test_the_same_seed_learns_the_same_world_twice():
    again = learn(steps(), spec(), seed=1, settings=QUICK)
    assert_same(again.world, learned().world)
    assert again.fits == learned().fits
    next_round = learn(steps(), spec(), seed=1, round=1, settings=QUICK)
    assert differs(next_round.world.dynamics, again.world.dynamics)


def test_64_bits_learn_the_same_world():
    with jax.enable_x64(True):
        again = learn(steps(), spec(), discount=0.9, seed=1, settings=QUICK)
    assert_same(again.world, learned().world)
    assert again.fits == learned().fits


def known_reward(state, action, next_state):
    return next_state[0]


def known_end(state, action, next_state):
    return next_state[0] > 0.5


def test_known_parts_are_used_as_they_are():
    unlabelled = steps().buy(ROWS, 0, seed=0)
    result = learn(unlabelled, spec(), reward=known_reward, termination=known_end, settings=QUICK)
    assert result.world.reward is known_reward
    assert result.world.termination is known_end
    assert result.fits["reward"].origin == result.fits["termination"].origin == "known"
    assert result.fits["reward"].error is None
    assert result.fits["reward"].rows == 0


def test_what_never_varies_is_constant():
    flat = dataclasses.replace(steps(), reward=np.full(ROWS, -1.5), terminated=np.zeros(ROWS, bool))
    result = learn(flat, spec(), settings=QUICK)
    assert isinstance(result.world.reward, Constant)
    assert answers(result.world, flat)[1].tolist() == [-1.5] * ROWS
    assert result.world.termination is never
    assert result.fits["reward"].origin == result.fits["termination"].origin == "constant"


def test_a_state_component_that_never_varies_stays_and_has_no_edge():
    data = steps()
    fixed = {
        name: np.append(getattr(data, name)[:, :1], np.full((ROWS, 1), 1e4, np.float32), axis=1)
        for name in ("state", "next_state")
    }
    world = learn(dataclasses.replace(data, **fixed), spec(), settings=QUICK).world
    after = answers(world, dataclasses.replace(data, **fixed))[0]
    assert (after[:, 1] == 1e4).all()
    assert not world.domain.at_edge(jnp.array([0.0, 1e4]))


def test_imagined_states_stay_where_the_data_lie():
    data, world = steps(), learned().world
    states = np.concatenate([data.state, data.next_state])
    reach = 0.05 * np.ptp(states, axis=0)
    np.testing.assert_allclose(world.domain.low, states.min(axis=0) - reach, rtol=1e-5)
    np.testing.assert_allclose(world.domain.high, states.max(axis=0) + reach, rtol=1e-5)
    far = world.dynamics(jnp.array([50.0, -50.0]), jnp.ones(2), jax.random.key(0))
    assert world.domain.at_edge(far)
    assert ((far >= world.domain.low) & (far <= world.domain.high)).all()


def test_imagined_episodes_start_where_real_ones_did():
    starts = {tuple(row) for row in steps().initial}
    drawn = jax.vmap(learned().world.initial)(jax.random.split(jax.random.key(0), 50))
    assert {tuple(row) for row in np.asarray(drawn)} <= starts


def test_more_data_of_about_the_same_size_compile_nothing_anew(caplog):
    learn(steps(600), spec(), settings=QUICK)
    with caplog.at_level(logging.WARNING), jax.log_compiles():
        learn(steps(605), spec(), settings=QUICK)
    compiled = [line for line in caplog.messages if line.startswith("Compiling")]
    assert not [
        line for line in compiled if "jit(stage)" not in line
    ]  # which only moves an array to the device


def test_shares_that_leave_no_row_to_fit_are_refused():
    settings = dataclasses.replace(QUICK, validation=0.5, held_out=0.49)
    with pytest.raises(checks.BadData, match="for validation, which leaves none to fit"):
        learn(steps(10), spec(), settings=settings)


@pytest.mark.parametrize(
    ("transitions", "labels", "message"),
    [
        (9, 100, "the data hold 9 transitions; at least 10 are needed"),
        (100, 9, "the data hold 9 reward labels; at least 10 are needed"),
        (0, 0, "the data hold 0 transitions"),
    ],
)
def test_too_few_rows_are_refused(transitions, labels, message):
    with pytest.raises(checks.BadData, match=message):
        learn(steps().buy(transitions, labels, seed=0), spec(), settings=QUICK)


@pytest.mark.full
def test_label_noise_is_in_the_reward_and_in_nothing_else():
    """As if labels had been bought so; of the same seed it is the same."""
    shifted, clean = (
        learn(steps(), spec(), termination=known_end, settings=QUICK, label_noise=noise)
        for noise in (Bias(3.0), None)
    )
    (after, reward, _), (clean_after, clean_reward, _) = (
        answers(result.world, steps()) for result in (shifted, clean)
    )
    np.testing.assert_array_equal(after, clean_after)
    np.testing.assert_allclose(reward, clean_reward + 3, atol=1e-3)
    once, again = (
        learn(
            steps(),
            spec(),
            termination=known_end,
            settings=QUICK,
            label_noise=GaussianNoise(0.5),
            round=r,
        )
        for r in (0, 0)
    )
    assert once.fits == again.fits
    assert 0.4 < once.fits["reward"].error.mean < 0.7
    assert clean.fits["reward"].error.mean < 0.1


def test_ten_rows_are_enough():
    result = learn(
        steps().buy(10, 0, seed=0),
        spec(),
        reward=known_reward,
        termination=known_end,
        settings=QUICK,
    )
    assert np.isfinite(answers(result.world, steps())[0]).all()
    assert result.fits["dynamics"].held_out == 1
    assert result.fits["dynamics"].error.high == np.inf


def test_a_fit_that_diverges_stops_with_the_name_of_its_part():
    data = steps()
    data.reward[::10] = 1e300
    with pytest.raises(
        checks.BadData, match=r"the fit of the reward diverged; its targets reach from .* to 1e"
    ) as raised:
        learn(data, spec(), settings=QUICK)
    assert "\n" not in str(raised.value)
