"""The chance of a false alarm is at most the stated one, for thousands of simulated refits, and
what is planted is noticed.
"""

import numpy as np
import pytest
from scipy import stats

from paracosm.auditing.gate import gate
from paracosm.auditing.refits import RunValues, reach_of_chance
from paracosm.core.records.gate import GateRule, GateRules
from tests.auditing.test_gate import ranked
from tests.statistical import FALSE_ALARM

EPISODES = 20
ALARMS = 0.05


def refits(rng, runs, count, between, within, *, episodes=EPISODES):
    """Values and standard errors, `[run, replication]`, of refits whose means differ by `between`
    and whose episodes by `within √20`.
    """
    share = within * np.sqrt(EPISODES / episodes)
    error = share * np.sqrt(rng.chisquare(episodes - 1, (runs, count)) / (episodes - 1))
    return RunValues(
        rng.normal(0, between, (runs, count)) + rng.normal(0, share, (runs, count)), error
    )


def alarms(baselines, candidate, level, worse="larger"):
    """Whether each replication's candidate is above its limit."""
    reach = reach_of_chance(baselines, candidate, level, degrees=EPISODES - 1, worse=worse)
    value = np.abs(candidate.value) if worse == "further from 0" else candidate.value
    return value > reach.center + np.maximum(reach.by_refits, reach.by_episodes)


def moved(values, by):
    return RunValues(values.value + by, values.error)


def first(values):
    return RunValues(values.value[0], values.error[0])


def assert_at_most(hits, rate):
    assert stats.binomtest(int(hits.sum()), hits.size, rate, "greater").pvalue > FALSE_ALARM


@pytest.mark.parametrize("runs", [3, 5, 12])
@pytest.mark.parametrize(("between", "within"), [(1, 0), (1, 0.3), (0.3, 1), (0, 1)])
@pytest.mark.parametrize("offset", [0.0, 1.0, 5.0])
def test_a_signed_quantity_alarms_at_most_at_its_rate(runs, between, within, offset):
    rng = np.random.default_rng([runs, int(10 * between), int(10 * within), int(offset)])
    baselines = moved(refits(rng, runs, 20_000, between, within), offset)
    candidate = moved(first(refits(rng, 1, 20_000, between, within)), offset)
    candidate = RunValues(candidate.value, np.abs(candidate.error))
    assert_at_most(alarms(baselines, candidate, ALARMS, "further from 0"), ALARMS)


@pytest.mark.parametrize("runs", [3, 5, 12])
def test_the_rate_is_exact_where_refits_are_normal_and_episodes_are_not_noisy(runs):
    rng = np.random.default_rng(runs)
    hits = alarms(refits(rng, runs, 50_000, 1, 0), first(refits(rng, 1, 50_000, 1, 0)), ALARMS)
    assert stats.binomtest(int(hits.sum()), hits.size, ALARMS).pvalue > FALSE_ALARM


def test_in_proportion_the_rate_is_exact_where_logarithms_are_normal():
    rng = np.random.default_rng(2)
    baselines, candidate = refits(rng, 5, 50_000, 0.7, 0), first(refits(rng, 1, 50_000, 0.7, 0))
    exponentials = [RunValues(np.exp(run.value), run.error) for run in (baselines, candidate)]
    hits = alarms(*exponentials, ALARMS, "larger in proportion")
    assert stats.binomtest(int(hits.sum()), hits.size, ALARMS).pvalue > FALSE_ALARM
    # On their own scale the same draws would alarm more often than they may.
    assert alarms(*exponentials, ALARMS).mean() > 1.2 * ALARMS


@pytest.mark.parametrize("runs", [3, 5])
@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_a_regret_among_checkpoints_alarms_at_most_at_its_rate(runs, sigma):
    """Of refits whose intervals are narrow: what was possible of those before is not enough."""
    rules = GateRules(1 - ALARMS, (GateRule("ranks", "regret", 0.0),))
    rng, hits = np.random.default_rng(runs), []
    for regrets in rng.lognormal(sigma=sigma, size=(400, runs + 1)):
        *before, after = (ranked(0.0, regret, half=0.05) for regret in regrets)
        hits.append(not gate(dict(zip("abcde", before, strict=False)), ("f", after), rules).passed)
    assert_at_most(np.array(hits), ALARMS)


@pytest.mark.parametrize("between", [0.0, 0.5])
def test_a_candidate_of_fewer_episodes_alarms_no_more_often(between):
    rng = np.random.default_rng(int(10 * between))
    episodes = 5
    baselines = refits(rng, 5, 20_000, between, 1)
    candidate = first(refits(rng, 1, 20_000, between, 1, episodes=episodes))
    reach = reach_of_chance(baselines, candidate, ALARMS, degrees=episodes - 1, worse="larger")
    limit = reach.center + np.maximum(reach.by_refits, reach.by_episodes)
    assert_at_most(candidate.value > limit, ALARMS)
    plain = (
        RunValues(baselines.value, 0 * baselines.error),
        RunValues(candidate.value, np.zeros(20_000)),
    )
    assert alarms(*plain, ALARMS).mean() > 1.3 * ALARMS  # which is what the excess is for


def gates(rng, count, runs, quantities, *, correlation, planted=0.0):
    """Whether gates of several dependent quantities alarm, `[replication]`; what is planted is in
    the first, in standard deviations of refits.
    """

    def draws(of):
        shared = rng.normal(size=(of, 1, count)) * np.sqrt(correlation)
        own = rng.normal(size=(of, quantities, count)) * np.sqrt(1 - correlation)
        return RunValues(shared + own, np.full((of, quantities, count), 0.3))

    baselines, candidate = draws(runs), first(draws(1))
    candidate.value[0] += planted
    tail = ALARMS / quantities
    signed, scaled = slice(0, quantities // 2), slice(quantities // 2, None)
    hits = [
        alarms(
            RunValues(baselines.value[:, part], baselines.error[:, part]),
            RunValues(candidate.value[part], candidate.error[part]),
            tail,
            worse,
        )
        for part, worse in ((signed, "further from 0"), (scaled, "larger"))
    ]
    return np.concatenate(hits).any(axis=0)


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.95])
@pytest.mark.parametrize("runs", [3, 5, 12])
def test_the_gate_of_many_quantities_alarms_at_most_at_its_rate(runs, correlation):
    rng = np.random.default_rng([runs, int(100 * correlation)])
    assert_at_most(gates(rng, 20_000, runs, 13, correlation=correlation), ALARMS)


def test_what_is_planted_is_noticed_the_more_baselines_the_smaller():
    rng = np.random.default_rng(0)
    noticed = {
        runs: gates(rng, 2000, runs, 13, correlation=0.3, planted=8.0).mean() for runs in (3, 5, 12)
    }
    assert noticed[3] < noticed[5] < noticed[12]
    assert noticed[5] > 0.6
    assert noticed[12] > 0.99
