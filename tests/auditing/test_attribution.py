"""The identity of theory, section 2: the terms sum to the gap, and each is the counterfactual it
stands for.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paracosm.auditing.attribution import attribute, choose_steps
from paracosm.auditing.one_step import predict_steps
from paracosm.auditing.subject import AuditSubject
from paracosm.core.mdp import never
from tests.auditing.worlds import EPISODES, HORIZON, KINDS, Case, cut
from tests.statistical import assert_mean

EXACT = 1e-9
ROUNDING = 1e-13
seeds = st.integers(0, 2**31 - 1)
each_kind = pytest.mark.parametrize("kind", list(KINDS))


@pytest.fixture(autouse=True)
def sixty_four_bits():
    with jax.enable_x64(True):
        yield


def terms_of(case, world=None, episodes=None, most=10**9, seed=0):
    world, episodes = world or case.world, episodes or case.episodes
    key = jax.random.key(seed)
    predictions = predict_steps(world, case.policy, episodes, key)
    subject = AuditSubject(world, case.policy, episodes, predictions, key, (world.discount,))
    return attribute(subject, most_imagined_steps=most)


def by_cause(terms):
    return [term.sum(axis=1) for term in (terms.reward, terms.termination, terms.dynamics)]


def assert_close(actual, expected, terms, *returns):
    """Equal to 1e-9 of the largest of the returns and the sum of absolute terms."""
    size = np.max(np.abs([*returns, *by_cause(terms)]), axis=0) + sum(
        np.abs(term).sum(axis=1) for term in terms[:3]
    )
    np.testing.assert_array_less(np.abs(actual - expected), EXACT * size + 1e-300)


@each_kind
@given(seed=seeds)
def test_terms_sum_to_the_gap_and_are_counterfactuals(kind, seed):
    case = Case(kind, seed)
    real, world = case.returns(case.real), case.returns(case.world)
    swapped = case.returns(case.real.replace(reward=case.world.reward))
    terms = terms_of(case)
    reward, termination, dynamics = by_cause(terms)
    assert_close(reward + termination + dynamics, real - world, terms, real, world)
    assert_close(reward, real - swapped, terms, real, swapped)
    assert_close(termination + dynamics, swapped - world, terms, swapped, world)


@each_kind
@pytest.mark.parametrize("part", ["reward", "termination", "dynamics"])
def test_an_exact_part_gets_exactly_nothing(kind, part):
    case = Case(kind, 5)
    terms = terms_of(case, case.world.replace(**{part: getattr(case.real, part)}))
    assert np.abs(getattr(terms, part)).max() <= (0 if part == "termination" else ROUNDING)


@each_kind
def test_only_the_wrong_part_is_blamed(kind):
    case = Case(kind, 6)
    for part in ("reward", "dynamics"):
        terms = terms_of(case, case.real.replace(**{part: getattr(case.world, part)}))
        right_parts = {"reward", "termination", "dynamics"} - {part}
        assert np.abs(getattr(terms, part)).max() > 1e-4
        assert all(
            np.abs(getattr(terms, right_part)).max() <= ROUNDING for right_part in right_parts
        )


def test_an_end_that_one_world_does_not_see():
    case = Case("ending", 3, episodes=64)
    assert 0.1 < case.episodes.terminated.any(axis=1).mean() < 0.9
    unseen = case.real.replace(termination=never)
    terms = terms_of(case, unseen)
    gap = case.returns(case.real) - case.returns(unseen)
    assert np.abs(gap).max() > 0.1
    assert_close(terms.termination.sum(axis=1), gap, terms, gap)
    assert np.abs([terms.reward, terms.dynamics]).max() <= ROUNDING
    assert not terms.termination[~case.episodes.terminated].any()

    terms = terms_of(case, case.real, case.play(unseen))
    gap = case.returns(unseen) - case.returns(case.real)
    assert np.abs(gap).max() > 0.1
    assert_close(terms.termination.sum(axis=1), gap, terms, gap)
    assert np.abs([terms.reward, terms.dynamics]).max() <= ROUNDING


@pytest.mark.parametrize("kind", ["smooth", "ending", "discrete"])
@pytest.mark.parametrize("length", [1, 5])
def test_a_record_that_stops_is_a_shorter_horizon(kind, length):
    case, short = Case(kind, 8), Case(kind, 8, horizon=length)
    of_cut, of_short = terms_of(case, episodes=cut(case.episodes, length)), terms_of(short)
    for name in ("reward", "termination", "dynamics"):
        term, expected = getattr(of_cut, name), getattr(of_short, name)
        ended_late = case.episodes.terminated[:, :length].any(
            axis=1
        )  # known to have ended: the whole horizon counts
        np.testing.assert_allclose(
            term[~ended_late, :length], expected[~ended_late], rtol=1e-9, atol=1e-12
        )
        assert not term[:, length:].any()


@pytest.mark.parametrize("kind", ["ending", "discrete"])
def test_one_step(kind):
    case = Case(kind, 2, horizon=1)
    terms = terms_of(case)
    gap = case.returns(case.real) - case.returns(case.world)
    assert_close(sum(by_cause(terms)), gap, terms, gap)
    assert not terms.termination.any()
    assert terms.imagined_steps == 0


@pytest.mark.parametrize("kind", ["smooth", "ending"])
def test_terms_are_those_of_the_formula(kind):
    """Each term written out for one step, its values by plain rollouts from the two next states."""
    case = Case(kind, 4)
    terms, world, episodes = terms_of(case), case.world, case.episodes
    for i, t in [(0, 0), (1, 0), (1, 1), (2, 3), (3, HORIZON - 2)]:
        if not episodes.alive[i, t]:
            continue
        s, a, after = (
            jnp.asarray(column[i, t])
            for column in (episodes.state, episodes.action, episodes.next_state)
        )
        imagined = world.dynamics(s, a, case.key)
        value = [value_at(case, world, state, HORIZON - t - 1) for state in (after, imagined)]
        reward = [float(world.reward(s, a, state)) for state in (after, imagined)]
        ended = [bool(world.termination(s, a, state)) for state in (after, imagined)]
        gamma = world.discount
        expected = {
            "reward": episodes.reward[i, t] - reward[0],
            "termination": gamma * (ended[0] - float(episodes.terminated[i, t])) * value[0],
            "dynamics": reward[0]
            - reward[1]
            + gamma * ((not ended[0]) * value[0] - (not ended[1]) * value[1]),
        }
        for name, term in expected.items():
            np.testing.assert_allclose(
                getattr(terms, name)[i, t], gamma**t * term, rtol=1e-9, atol=1e-12
            )


def value_at(case, world, state, steps):
    total, weight = 0.0, 1.0
    for _ in range(steps):
        action = case.policy.mode(state)
        after = world.dynamics(state, action, case.key)
        total += weight * float(world.reward(state, action, after))
        if world.termination(state, action, after):
            break
        state, weight = after, weight * world.discount
    return total


def test_a_random_subset_costs_on_average_what_it_may_and_is_unbiased():
    case, most = Case("ending", 5, horizon=30, episodes=8), 700
    exact = terms_of(case)
    assert exact.imagined_steps > 2 * most
    draws = [terms_of(case, most=most, seed=seed) for seed in range(200)]
    assert_mean([draw.imagined_steps for draw in draws], most)
    for name in ("termination", "dynamics"):
        sums = np.stack([getattr(draw, name).sum(axis=1) for draw in draws])
        varies = sums.std(axis=0) > 1e-12  # less is the rounding of a sum of all steps
        assert varies.any() == (name == "dynamics"), "here only real ends are called wrongly"
        if varies.any():
            assert_mean(sums[:, varies], getattr(exact, name).sum(axis=1)[varies])
        np.testing.assert_allclose(
            sums[:, ~varies], 0 * sums[:, ~varies] + getattr(exact, name).sum(axis=1)[~varies]
        )
    ends = case.episodes.alive & case.episodes.terminated
    assert ends.any()
    assert all(draw.audited[ends].all() for draw in draws), "steps that end an episode are taken"
    for draw in draws[:5]:
        np.testing.assert_array_equal(draw.reward, exact.reward)
        assert not draw.audited[~case.episodes.alive].any()


def test_ends_that_are_called_wrongly_are_audited_while_they_are_few():
    case, most = Case("smooth", 1), 130
    alive = case.episodes.alive
    wrong = np.zeros(alive.shape, bool)
    wrong[:2, 5] = True
    for seed in range(20):
        audited, weight, _ = choose_steps(
            case.episodes, 0.9, most, jax.random.key(seed), wrong_end=wrong
        )
        assert audited[wrong & alive].all()
        np.testing.assert_array_equal(weight[wrong & alive], 1)
    costs = [
        choose_steps(case.episodes, 0.9, most, jax.random.key(seed), wrong_end=alive).cost
        for seed in range(200)
    ]
    assert_mean(costs, most)


@pytest.mark.parametrize("steps", [0, 1.5])
def test_a_small_subset_is_never_empty_and_stands_for_all_steps(steps):
    """Of a budget for so many steps; it is one on average at least."""
    case = Case("smooth", 1)
    alive = case.episodes.alive
    most = steps * case.episodes.remaining_steps[alive].mean() + 1e-30
    samples = [choose_steps(case.episodes, 1.0, most, jax.random.key(seed)) for seed in range(500)]
    assert all(sample.audited.any() for sample in samples)
    assert np.mean([sample.audited.sum() for sample in samples]) < 2.5
    assert_mean([sample.weight[sample.audited].sum() for sample in samples], alive.sum())


def test_every_step_is_audited_where_that_is_affordable():
    case = Case("smooth", 1)
    cost = EPISODES * HORIZON * (HORIZON - 1) // 2
    terms = terms_of(case, most=cost)
    assert terms.imagined_steps == cost
    np.testing.assert_array_equal(terms.audited, case.episodes.alive)
