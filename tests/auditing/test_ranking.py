"""The order of policies and what imagination makes of it: planted flips are found, exact worlds are
never accused, and intervals hold what the truth is.
"""

import itertools

import numpy as np
import pytest
from scipy import stats

from paracosm.auditing.ranking import horizon_grid, ranking
from paracosm.core.checks import BadArgument, BadData
from paracosm.core.records.ranking import Ordering, Ranking
from tests.statistical import FALSE_ALARM

_STEPS = 20
NAMES = ("a", "b", "c", "d")


def _rewards(means, episodes, seed, noise=0.3):
    """`[policy, episode, time]`: returns with these means, of starts that all policies share."""
    rng = np.random.default_rng(seed)
    starts = rng.normal(size=(1, episodes, 1)) / _STEPS
    own = noise * rng.normal(size=(len(means), episodes, _STEPS)) / np.sqrt(_STEPS)
    return np.asarray(means)[:, None, None] / _STEPS + starts + own


def _ranked(real, imagined, seed=0, episodes=40, **options):
    names = NAMES[: len(real)]
    rows = _rewards(real, episodes, [seed, 0]), _rewards(imagined, 100, [seed, 1])
    return ranking(names, *rows, **options)


def test_a_planted_flip_is_found_with_its_pair_its_regret_and_its_horizon():
    real = _rewards((0, 1, 2, 3), 40, 0)
    imagined = _rewards((0, 1, 2, 3), 100, 1)
    imagined[3, :, _STEPS // 2 :] -= 3.0 / (_STEPS // 2)  # the best is 0 in imagination, late
    record = ranking(NAMES, real, imagined, horizons=(1, 5, 10, 15, 20))
    flips = {(p.first, p.second) for p in record.pairs if p.ordering is Ordering.FLIPS}
    assert flips == {("d", "c"), ("d", "b")}
    assert [policy.name for policy in record.policies] == ["d", "c", "b", "a"]
    assert record.chosen == "c"
    assert record.regret.low > 0
    assert record.regret.low < 1 < record.regret.high
    assert record.flips.mean == pytest.approx(1 / 3, abs=0.2)
    assert record.flips.low >= 1 / 3 - 1e-9
    assert record.tau.high <= 1 / 3 + 1e-9
    assert 5 <= record.safe_horizon < 20
    assert record.horizons[-1].example in {("b", "d"), ("c", "d")}


def test_a_faithful_imagination_is_not_accused():
    record = _ranked((0, 1, 2, 3), (0, 1.5, 2, 5))
    assert all(pair.ordering is Ordering.AGREES for pair in record.pairs)
    assert (record.flips.low, record.flips.high, record.tau.mean) == (0, 0, 1)
    assert (record.regret.mean, record.regret.low, record.regret.high) == (0, 0, 0)
    assert record.safe_horizon == _STEPS


def test_no_horizon_is_safe_where_no_pair_is_decided():
    record = _ranked((0, 0, 0), (0, 0, 0), 1, episodes=12)
    assert all(pair.ordering is Ordering.UNDECIDED for pair in record.pairs)
    assert record.safe_horizon is None


def _accuses(seed):
    """Whether anything certain is said of policies that are all equal, in both worlds."""
    record = _ranked((0, 0, 0), (0, 0, 0), seed, episodes=12)
    return record.flips.low > 0 or record.tau.low > -1 or record.regret.low > 0


def _require_silence(draws):
    accused = sum(map(_accuses, range(draws)))
    assert stats.binom.sf(accused - 1, draws, 0.05) > FALSE_ALARM, f"{accused} of {draws}"


def test_equal_policies_are_seldom_said_to_flip():
    _require_silence(20)


@pytest.mark.full
def test_equal_policies_are_seldom_said_to_flip_at_full_size():
    _require_silence(400)


def _holds(seed):
    """Whether share of flips, τ, regret and all pairs hold the truth; one pair truly flips."""
    real, imagined = (0.0, 0.4, 0.8, 1.0), (0.0, 0.4, 1.0, 0.8)
    record = _ranked(real, imagined, seed, episodes=15)
    truth = dict(zip(NAMES, real, strict=True))
    regret = max(real) - truth[record.chosen]
    pairs = ((truth[p.first] - truth[p.second], p.real) for p in record.pairs)
    return all(
        low <= value <= high
        for value, low, high in [
            (1 / 6, record.flips.low, record.flips.high),
            (2 / 3, record.tau.low, record.tau.high),
            (regret, record.regret.low, record.regret.high),
            *((value, pair.low, pair.high) for value, pair in pairs),
        ]
    )


def _require_coverage(draws):
    hits = sum(map(_holds, range(draws)))
    assert stats.binom.cdf(hits, draws, 0.95) > FALSE_ALARM, f"{hits} of {draws}"


def test_all_intervals_hold_the_truth_together():
    _require_coverage(15)


@pytest.mark.full
def test_all_intervals_hold_the_truth_together_at_full_size():
    _require_coverage(400)


def test_tau_and_flips_are_those_of_the_means():
    real, imagined = (0.0, 1.0, 2.0, 3.0), (1.0, 0.0, 3.0, 2.0)
    record = _ranked(real, imagined)
    assert record.tau.mean == pytest.approx(stats.kendalltau(real, imagined).statistic)
    assert record.tau.mean == pytest.approx(1 - 2 * record.flips.mean)
    assert record.tau.low == pytest.approx(1 - 2 * record.flips.high)
    assert record.tau.high == pytest.approx(1 - 2 * record.flips.low)


def test_pairing_removes_what_starts_share():
    """Starts spread returns by 1, pairs by 0.4: the policies' own intervals overlap, the pair's
    does not hold zero.
    """
    record = _ranked((0, 0.35), (0, 0.35))
    best, worst = record.policies
    assert best.real.low < worst.real.high
    assert record.pairs[0].real.low > 0


def test_more_episodes_of_one_policy_are_compared_where_both_played():
    real = [rows[:n] for rows, n in zip(_rewards((0, 1, 2), 40, 0), (40, 10, 25), strict=True)]
    record = ranking(NAMES[:3], real, _rewards((0, 1, 2), 100, 1))
    assert {(p.first, p.second): p.real.n for p in record.pairs} == {
        ("c", "b"): 10,
        ("c", "a"): 25,
        ("b", "a"): 10,
    }


def test_lower_ends_that_are_known_narrow_the_pairs_and_hold_at_every_n():
    real, imagined = _rewards((0, 0.1), 12, 0), _rewards((0, 0.1), 100, 1)
    open_pair = ranking(
        NAMES[:2], real, imagined, anytime=True, lower_ends=np.array([[0, -np.inf], [-np.inf, 0]])
    )
    narrowed = ranking(
        NAMES[:2], real, imagined, anytime=True, lower_ends=np.array([[0, -np.inf], [0.01, 0]])
    )
    assert not open_pair.pairs[0].real.excludes_zero
    assert "every n" in open_pair.pairs[0].real.method
    assert narrowed.pairs[0].real.low == pytest.approx(0.01)
    assert narrowed.pairs[0].first == "b"


def test_equal_returns_are_no_evidence():
    equal = np.ones((2, 20, _STEPS))
    without = ranking(NAMES[:2], equal, equal)
    assert without.pairs[0].real.high == np.inf
    within = ranking(NAMES[:2], equal, equal, bounds=(0, _STEPS))
    assert 0 < within.pairs[0].real.high < _STEPS
    assert (within.tau.low, within.tau.high) == (-1, 1)


def test_policies_that_tie_in_imagination_may_all_be_chosen_in_any_order_of_the_arguments():
    """The first of the arguments was chosen, and its regret, by their order 20 or 0, was sure."""
    real, imagined = _rewards((5, 15, 25), 30, 0), np.ones((3, 30, _STEPS))
    records = [
        ranking([NAMES[k] for k in order], real[order], imagined[order])
        for order in ([0, 1, 2], [2, 1, 0])
    ]
    for record in records:
        assert (record.chosen, record.tied) == ("c", ("b", "a"))
        assert record.regret.low == 0
        assert record.regret.high > 20 > record.regret.mean > 5
        assert Ranking.from_json(record.to_json()) == record
    assert records[0].regret == records[1].regret


def test_only_the_policies_that_tie_for_the_largest_return_may_be_chosen():
    real, imagined = _rewards((5, 15, 25), 30, 0), np.ones((3, 30, _STEPS))
    imagined[2] = 0.5
    record = ranking(NAMES[:3], real, imagined)
    assert (record.chosen, record.tied) == ("b", ("a",))
    assert 9 < record.regret.low < 10
    assert 20 < record.regret.high < 21


@pytest.mark.parametrize("nearly", [1 - 1e-13, 1 + 1e-13])
def test_rounding_orders_no_pair(nearly):
    real, imagined = _rewards((5, 15), 30, 0), np.full((2, 30, _STEPS), 0.1)
    imagined[1] *= nearly
    record = ranking(NAMES[:2], real, imagined)
    assert (record.tau.mean, record.flips.mean, len(record.tied)) == (0, 0, 1)


def test_a_stored_ranking_without_ties_is_read():
    record = _ranked((0, 1, 2), (0, 2, 1))
    tree = record.to_dict()
    del tree["tied"]
    assert Ranking.from_dict(tree) == record


@pytest.mark.parametrize(
    "wrong",
    [{"level": 2.0}, {"discount": 5.0}, {"horizons": [0]}, {"horizons": []}, {"horizons": [1.5]}],
    ids=str,
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(BadArgument):
        _ranked((0, 1), (0, 1), **wrong)


def test_horizons_may_come_in_any_order_and_as_an_array():
    """In the order given, a flip at a long horizon hid that shorter ones are safe."""
    record = _ranked((0, 1), (0, 1), horizons=np.array([20, 5, 1]))
    assert [at.steps for at in record.horizons] == [1, 5, 20]
    assert record == _ranked((0, 1), (0, 1), horizons=(1, 5, 20))


def test_discounted_returns_may_be_in_another_order():
    early, late = np.zeros((2, 30, _STEPS))
    early[:, 0], late[:, -1] = 1.0, 2.0
    early, late = (
        rows + 0.01 * np.random.default_rng(0).normal(size=rows.shape) for rows in (early, late)
    )
    plain = ranking(("early", "late"), [early, late], [early, late])
    discounted = ranking(("early", "late"), [early, late], [early, late], discount=0.8)
    assert plain.policies[0].name == "late"
    assert discounted.policies[0].name == "early"
    assert discounted.policies[0].real.mean == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("steps", "grid"), [(1, (1,)), (7, (1, 2, 5, 7)), (50, (1, 2, 5, 10, 20, 50))]
)
def test_the_grid_of_horizons_ends_with_the_episode(steps, grid):
    assert horizon_grid(steps) == grid
    assert list(itertools.pairwise(grid)) == [(a, b) for a, b in itertools.pairwise(grid) if a < b]


def test_a_ranking_goes_to_json_and_back():
    record = _ranked((0, 1, 2), (0, 2, 1))
    assert Ranking.from_json(record.to_json()) == record


@pytest.mark.parametrize(
    ("names", "error"),
    [(("a",), BadArgument), (("a", "a"), BadArgument), (("a", "b", "c"), BadArgument)],
)
def test_names_that_do_not_fit_are_refused(names, error):
    rows = _rewards((0, 1), 5, 0)[: len(names)]
    with pytest.raises(error):
        ranking(names, rows, rows)


@pytest.mark.parametrize("bad", [np.nan, None], ids=["NaN", "shape"])
def test_rewards_that_are_none_are_refused(bad):
    rows = _rewards((0, 1), 5, 0)
    real = [rows[0], rows[1, 0]] if bad is None else [rows[0], np.full_like(rows[1], bad)]
    with pytest.raises(BadData, match="rewards of b"):
        ranking(("a", "b"), real, rows)
