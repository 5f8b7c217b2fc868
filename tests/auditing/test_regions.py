"""Terms by region: they sum to the audit's, a planted fault is in its region, and an error that is
the same everywhere stands out nowhere.
"""

from __future__ import annotations

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from paracosm.auditing.attribution import Terms, attribute
from paracosm.auditing.one_step import predict_steps
from paracosm.auditing.regions import LEAST_STEPS, MOST_REGIONS, by_region, partition, regions_of
from paracosm.auditing.subject import AuditSubject
from paracosm.core.checks import BadData
from paracosm.core.data import Dataset, Trajectory, Transitions
from paracosm.core.mdp import never
from paracosm.core.policy import Deterministic
from paracosm.real.systems import Gain
from tests.auditing.worlds import Case
from tests.statistical import FALSE_ALARM

HORIZON, EPISODES = 12, 80
EVERY_STEP = 1e9
KEY = jax.random.key(0)


class Faulty(eqx.Module):
    """Dynamics that are off by 0.3 where the first component is above 0.3, and right elsewhere."""

    part: eqx.Module

    def __call__(self, state, action, key):
        return self.part(state, action, key) + 0.3 * (state[0] > 0.3)


def case_of(kind: str, seed: int = 0) -> Case:
    with jax.enable_x64(True):
        return Case(kind, seed, HORIZON, EPISODES)


def bought_of(episodes: Trajectory) -> Transitions:
    return Dataset.from_trajectory(episodes).transitions


def regions_in(case: Case, most: float = EVERY_STEP, **changes):
    episodes = dataclasses.replace(case.episodes, **changes)
    bought = bought_of(case.episodes)
    return regions_of(case.world, case.policy, episodes, bought, KEY, most_imagined_steps=most)


@pytest.mark.parametrize(
    ("kind", "most"), [("ending", EVERY_STEP), ("smooth", 3000.0)], ids=["all steps", "a subset"]
)
def test_terms_of_the_regions_sum_to_the_audits(kind, most):
    case = case_of(kind)
    with jax.enable_x64(True):
        played = case.world, case.policy, case.episodes
        predictions = predict_steps(*played, KEY)
        subject = AuditSubject(*played, predictions, KEY, (case.world.discount,))
        terms = attribute(subject, most_imagined_steps=most)
    rows = regions_in(case, most).regions
    assert 2 <= len(rows) <= MOST_REGIONS
    for name in ("dynamics", "termination", "reward"):
        total = getattr(terms, name).sum(axis=1).mean()
        parts = sum(getattr(row, name).mean for row in rows)
        assert parts == pytest.approx(total, rel=1e-12, abs=1e-12), name
    size = np.abs(terms.dynamics + terms.termination).sum() / EPISODES
    assert sum(row.error.mean for row in rows) == pytest.approx(size, rel=1e-12)
    assert sum(row.excess.mean for row in rows) == pytest.approx(0, abs=1e-9 * size)


def test_regions_hold_every_visited_state_the_most_visited_first():
    case = case_of("smooth")
    rows = regions_in(case)
    steps = [row.steps for row in rows.regions]
    assert steps == sorted(steps, reverse=True)
    assert sum(steps) == case.episodes.alive.sum()
    assert min(steps) >= LEAST_STEPS
    assert [row.owned for row in rows.regions] == steps  # what is owned is what is visited
    assert (rows.elsewhere, rows.episodes, rows.discount) == (0, EPISODES, case.world.discount)


def test_a_planted_fault_is_where_it_was_planted():
    case = case_of("ending")
    with jax.enable_x64(True):
        case.real = case.real.replace(termination=never)
        case.episodes = case.play(case.real)
    case.world = case.real.replace(dynamics=Faulty(case.real.dynamics))
    rows = regions_in(case).regions
    states = case.episodes.state[case.episodes.alive]
    visited = partition(states, np.asarray(case.world.spec.state_scale)).visited
    faulty = np.array([(states[visited == i, 0] > 0.3).mean() for i in range(len(rows))])
    assert faulty.max() > 0.6
    assert faulty.min() == 0
    errors = np.array([row.error.mean for row in rows])
    assert np.all((errors > 1e-9) == (faulty > 0))
    assert all(row.excess.high < 0 for row, share in zip(rows, faulty, strict=True) if not share)
    assert rows[int(np.argmax(faulty))].excess.low > 0


def synthetic(size: np.ndarray, states: np.ndarray, discount: float = 1.0):
    """Regions of episodes whose steps have dynamics terms of these sizes, `[episode, time]`."""
    count, times = size.shape
    column, none = np.zeros((count, times, 1)), np.zeros((count, times), bool)
    episodes = Trajectory(states, column, states, size * 0, none, none, ~none)
    terms = Terms(size * 0, size * 0, size, ~none, 0)
    parts = partition(states.reshape(-1, states.shape[-1]), np.ones(states.shape[-1]))
    return by_region(terms, episodes, parts, bought_of(episodes), discount=discount)


def walks(seed: int, episodes: int = 12, times: int = 40) -> np.ndarray:
    """States of random walks in the plane, `[episode, time, 2]`."""
    draws = np.random.default_rng(seed)
    return np.cumsum(draws.standard_normal((episodes, times, 2)), axis=1)


def test_an_error_that_is_the_same_everywhere_stands_out_nowhere():
    states = walks(0)
    rows = synthetic(np.full(states.shape[:2], 0.1), states).regions
    assert all(row.excess.low == row.excess.high == 0 for row in rows)
    for row in rows:
        assert row.error.mean == pytest.approx(0.1 * row.steps / len(states))


def test_a_mean_of_sizes_has_no_interval_below_zero():
    states = walks(0)
    size = np.zeros(states.shape[:2])
    size[0] = 1.0
    rows = synthetic(size, states).regions
    assert min(row.error.low for row in rows) == 0
    assert max(row.error.mean for row in rows) > 0


@pytest.mark.parametrize(
    "replications", [20, pytest.param(1000, marks=pytest.mark.full)], ids=["small", "full"]
)
def test_errors_that_do_not_hang_on_the_state_seldom_stand_out(replications):
    """Log-normal sizes; any region of a table standing out is an error of 5% at the most."""
    alarms = 0
    for seed in range(replications):
        states = walks(seed)
        size = np.exp(np.random.default_rng([seed, 1]).standard_normal(states.shape[:2]))
        alarms += any(row.excess.excludes_zero for row in synthetic(size, states).regions)
    assert stats.binom.sf(alarms - 1, replications, 0.05) > FALSE_ALARM


@pytest.mark.parametrize(
    "replications", [40, pytest.param(1000, marks=pytest.mark.full)], ids=["small", "full"]
)
def test_a_steady_region_beside_a_noisy_one_of_equal_errors_seldom_stands_out(replications):
    """What is usual is known no better than the noisy region's mean. By normal factors from
    episode to episode, whose means `mean_without_range` covers as often as it says.
    """
    alarms = 0
    for seed in range(replications):
        draws = np.random.default_rng(seed)
        places = np.repeat([0.0, 10.0], 20)[:, None] * np.ones(2)
        states = places + 0.1 * draws.standard_normal((20, 40, 2))
        noisy = np.maximum(1 + 0.3 * draws.standard_normal((20, 1)), 0)
        size = np.where(np.arange(40) < 20, 1.0, noisy)
        rows = synthetic(size, states).regions
        steady = [row for row in rows if row.center[0] < 5]
        alarms += any(row.excess.excludes_zero for row in steady)
    assert stats.binom.sf(alarms - 1, replications, 0.05) > FALSE_ALARM


def test_an_early_region_does_not_stand_out_for_the_discount():
    states = np.repeat([0.0, 10.0], 40)[None, :, None] * np.ones((12, 1, 2))
    states = states + 0.1 * np.random.default_rng(0).standard_normal(states.shape)
    size = np.full((12, 80), 0.9 ** np.arange(80))
    rows = synthetic(size, states, discount=0.9).regions
    assert all(row.excess.low == row.excess.high == 0 for row in rows)


def test_states_where_nothing_is_owned_and_data_outside_are_counted():
    states = walks(0)
    size = np.ones(states.shape[:2])
    column, none = np.zeros((*size.shape, 1)), np.zeros(size.shape, bool)
    episodes = Trajectory(states, column, states, size, none, none, ~none)
    terms = Terms(size * 0, size * 0, size, ~none, 0)
    parts = partition(states.reshape(-1, 2), np.ones(2))
    near, far = parts.centers[:1], np.full((3, 2), 1e3)
    starts = np.concatenate([near, far]).astype(np.float32)
    bought = Transitions(starts, np.zeros((4, 1), np.float32), starts, np.zeros(4, bool))
    state_regions = by_region(terms, episodes, parts, bought, discount=1.0)
    assert [row.owned for row in state_regions.regions] == [1] + [0] * (
        len(state_regions.regions) - 1
    )
    assert state_regions.elsewhere == 3


def test_a_component_that_does_not_vary_has_no_contrast():
    """The mean of 0.1 over 63 and over 37 states differs by rounding, as much as its deviation."""
    states = np.full((1, 100, 2), 0.1)
    states[0, :, 0] = np.arange(100) < 63
    for row in synthetic(np.ones((1, 100)), states).regions:
        assert abs(row.contrast[0]) > 1
        assert row.contrast[1] == 0


def test_the_same_states_give_the_same_regions_whatever_their_unit():
    states = walks(3).reshape(-1, 2)
    first = partition(states, np.ones(2))
    again = partition(states * [1, 1000], np.array([1.0, 1000.0]))
    np.testing.assert_array_equal(first.visited, again.visited)
    np.testing.assert_array_equal(first.holding(states), first.visited)


@pytest.mark.parametrize(
    "states",
    [np.zeros((100, 2)), walks(0, 1, 59)[0], np.concatenate([np.zeros((80, 2)), np.ones((9, 2))])],
    ids=["one state", "too few", "too few in the second"],
)
def test_fewer_than_two_regions_are_refused(states):
    with pytest.raises(BadData, match="do not make two regions of 30 steps each"):
        partition(states, np.ones(2))


def test_episodes_of_another_policy_and_other_sizes_are_refused():
    case = case_of("linear")
    other_policy = Deterministic(Gain(-jnp.ones((2, 4))))
    options = {"most_imagined_steps": EVERY_STEP}
    bought = bought_of(case.episodes)
    with pytest.raises(BadData, match="are not those of the policy to be audited"):
        regions_of(case.world, other_policy, case.episodes, bought, KEY, **options)
    with pytest.raises(BadData, match=r"states have 3 components; the world's have 4"):
        regions_in(
            case, state=case.episodes.state[..., :3], next_state=case.episodes.state[..., :3]
        )
    state = bought.state[:, :3]
    narrow = dataclasses.replace(bought, state=state, next_state=state)
    with pytest.raises(BadData, match="the bought states has shape"):
        regions_of(case.world, case.policy, case.episodes, narrow, KEY, **options)
