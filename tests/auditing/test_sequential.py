"""Episodes bought one at a time: how often an order that is called sure is wrong, how many episodes
that takes beside a design of equal numbers, and what is bought.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from paracosm.auditing.sequential import added_up, equal_episodes, separate
from paracosm.core.anytime import anytime_mean
from paracosm.core.checks import BadArgument
from tests.auditing.separating import failing, fixed_design, log_normal, normal, score
from tests.statistical import FALSE_ALARM

_RISK = 0.05
_FOUR = normal(3, 1.4, 0.6, 0)
_SIX = normal(2.6, 1.8, 1.5, 1.3, 0.5, 0)


def _require_few_errors(result):
    """At most the stated share of all simulations; false-alarm rate 1e-5 where it is that share."""
    tail = stats.binom.sf(result.wrong - 1, result.sims, _RISK)
    assert tail > FALSE_ALARM, f"{result.wrong} of {result.sims}"


@pytest.mark.parametrize(("case", "best"), [(_FOUR, False), (_SIX, True)], ids=str)
def test_what_is_sure_is_right_in_fewer_episodes(case, best):
    result = score(case, 30, best=best)
    _require_few_errors(result)
    assert result.sure == 30
    assert result.episodes <= 0.8 * fixed_design(case, 30, 1.0, best=best)


@pytest.mark.full
@pytest.mark.parametrize(("case", "best"), [(_FOUR, False), (_SIX, True)], ids=str)
def test_2000_simulations_err_at_most_as_stated_in_half_of_the_episodes(case, best):
    """The claims: errors at most at 5%, and at most half of the episodes of a design of equal
    numbers that decides in as many of the same 2,000 simulations.
    """
    result = score(case, 2000, seed=1, best=best)
    assert result.wrong <= _RISK * result.sims
    share = result.sure / result.sims
    assert result.episodes <= 0.5 * fixed_design(case, 2000, share, best=best, seed=1)


def _require_silence(sims):
    """Of two equal policies whatever is sure is wrong."""
    result = score(normal(0, 0), sims, most=120)
    tail = stats.binom.sf(result.sure - 1, result.sims, _RISK)
    assert tail > FALSE_ALARM, f"{result.sure} of {result.sims}"


def test_equal_policies_are_seldom_called_apart():
    _require_silence(60)


@pytest.mark.full
def test_equal_policies_are_seldom_called_apart_at_full_size():
    _require_silence(2000)


@pytest.mark.full
@pytest.mark.parametrize(
    ("case", "sims"),
    [(log_normal(1.0, 1, 1.4, 2.4), 300), (failing(0.02, 0.2, 0.5), 200)],
    ids=str,
)
def test_skewed_and_sparse_returns_err_at_most_as_stated(case, sims):
    result = score(case, sims, seed=1)
    _require_few_errors(result)
    assert result.sure > 0.9 * sims


def test_failures_that_are_rare_are_told_within_a_range_and_not_without():
    """Half of the differences are one value: without a range nothing is known of rare ones."""
    within = score(failing(0.02, 0.7), 5, most=400)
    assert (within.sure, within.wrong) == (5, 0)
    assert score(failing(0.02, 0.4, bounds=None), 5, most=100).sure == 0


def test_nothing_is_decided_before_the_least_episodes():
    returns = np.array([[100.0], [0.0]]) + np.random.default_rng(0).normal(size=(2, 50))
    result = separate(lambda k, i: returns[k, i], 2, most=100, least=20)
    assert result.sure
    assert [len(row) for row in result.returns] == [20, 20]


def test_episodes_go_where_two_policies_are_near():
    result = _played(_FOUR, most=400)
    counts = [len(row) for row in result.returns]
    assert result.order == (0, 1, 2, 3)
    assert counts[0] < 15
    assert min(counts[2:]) > 20
    assert result.equal == pytest.approx(max(counts), rel=0.8)


def test_the_best_alone_needs_fewer():
    assert sum(map(len, _played(_FOUR, best=True).returns)) < sum(map(len, _played(_FOUR).returns))


def test_episodes_are_played_once_each_in_their_order_and_no_more_than_allowed():
    played = []

    def play(k, i):
        played.append((k, i))
        return float(np.random.default_rng([k, i]).normal())

    result = separate(play, 3, most=47)
    assert not result.sure
    assert len(played) == len(set(played)) == 47
    for k, row in enumerate(result.returns):
        assert [i for policy, i in played if policy == k] == list(range(len(row)))


def test_the_interval_of_a_pair_that_is_open_allows_for_skew():
    """As documented; while policies are played what cannot tell them apart is spared."""
    case = log_normal(1.0, 1, 1.2, 1.4)
    for seed in range(8):
        table = case.draw(np.random.default_rng(seed))
        result = separate(lambda k, i, table=table: table[k, i], 3, most=60)
        for i, j in itertools.combinations(range(3), 2):
            n = min(len(result.returns[i]), len(result.returns[j]))
            whole = anytime_mean(table[i, :n] - table[j, :n], 1 - _RISK / 3)
            if max(result.lower_ends[i, j], result.lower_ends[j, i]) <= 0:
                assert (result.lower_ends[i, j], -result.lower_ends[j, i]) == (
                    whole.low,
                    whole.high,
                )


def test_differences_that_do_not_matter_need_not_be_told_apart():
    case = normal(1.0, 0.95, 0.0)
    table = case.draw(np.random.default_rng(4))
    open_end = separate(lambda k, i: table[k, i], 3, most=300)
    near = separate(lambda k, i: table[k, i], 3, most=300, within=0.5)
    assert not open_end.sure
    assert near.sure
    assert near.order[2] == 2
    assert near.lower_ends[near.order[0], near.order[1]] > -0.5


def _played(case, **options):
    table = case.draw(np.random.default_rng(7))
    return separate(lambda k, i: float(table[k, i]), len(table), **{"most": 1000, **options})


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=6), st.floats(0, 1), st.integers(0, 99))
def test_bounds_add_up_to_bounds(values, slack, seed):
    """Of true differences less some slack, sums along chains are still below the truth."""
    truth = np.subtract.outer(values, values)
    low = truth - slack * np.random.default_rng(seed).random(truth.shape)
    low[np.diag_indices(len(values))] = 0
    sums = added_up(low)
    assert (sums >= low).all()
    assert (sums <= truth + 1e-9).all()


def test_bounds_that_contradict_one_another_stay_as_they_are():
    low = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert added_up(low) is low


def test_the_design_of_equal_numbers_is_the_least_that_students_interval_tells():
    rows = np.random.default_rng(0).normal(0.5, 1, size=40)
    rows = (rows - rows.mean()) / rows.std(ddof=1) + 0.5
    n = equal_episodes([rows], 0.0, 0.05)
    assert 0.5 * np.sqrt(n) > stats.t.isf(0.025, n - 1)
    assert 0.5 * np.sqrt(n - 1) <= stats.t.isf(0.025, n - 2)
    assert equal_episodes([rows, -rows], 0.0, 0.05) is None
    assert equal_episodes([np.ones(5)], 0.0, 0.05) is None


@pytest.mark.parametrize(
    "options",
    [
        {"policies": 1},
        {"most": 19},
        {"least": 1},
        {"within": -1.0},
        {"within": np.nan},
        {"risk": 0.0},
    ],
    ids=str,
)
def test_what_is_out_of_range_is_refused_before_anything_is_played(options):
    def play(k, i):
        raise AssertionError("played")

    with pytest.raises(BadArgument):
        separate(play, **{"policies": 2, "most": 100, **options})
