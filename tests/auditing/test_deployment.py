"""Whether a new policy is better: no wrong certificate, stated error rates, and who decides."""

import dataclasses
import math

import equinox as eqx
import jax
import numpy as np
import pytest

from paracosm.auditing import deployment
from paracosm.auditing.control_variate import assisted_mean
from paracosm.auditing.deployment import ImaginedPair
from paracosm.core import checks
from paracosm.core.estimators import mean
from paracosm.core.records import AssistedMean, Certificate, Estimate, Help
from paracosm.core.records.deployment import DeploymentVerdict
from paracosm.real.systems import linear_quadratic, perturbed
from tests.auditing.random_systems import LADDER
from tests.auditing.test_ladder_linear_quadratic import compare
from tests.statistical import assert_share

NONE = np.empty(0)


def rung(name, *values, kind="certificate"):
    return Certificate(name, kind, float(np.mean(values)), 1.0, "", tuple(map(float, values)))


@eqx.filter_jit
def random_pairs(keys):
    """Two policies of a random linear-quadratic system, of gains up to four times the generator's
    own, so that returns differ, and each in a wrong world of its own.
    """

    def side(real, start, key):
        for_gain, for_size, for_error, for_noise = jax.random.split(key, 4)
        size = jax.random.uniform(for_size, maxval=4.0)
        policy = linear_quadratic(for_gain)[1]
        policy = eqx.tree_at(lambda tree: tree.function.K, policy, size * policy.function.K)
        return compare(real, perturbed(real, for_error), policy, start, for_noise)

    def pair(key):
        for_system, for_start, *sides = jax.random.split(key, 4)
        real = linear_quadratic(for_system)[0]
        start = real.initial(for_start)
        return tuple(side(real, start, own) for own in sides)

    return jax.lax.map(pair, keys)


@pytest.mark.parametrize("count", [60, pytest.param(10_000, marks=pytest.mark.full)])
def test_no_certificate_of_random_pairs_is_wrong(count):
    with jax.enable_x64(True):
        sides = jax.tree.map(np.asarray, random_pairs(jax.random.split(jax.random.key(7), count)))
    signs = wrong = loose = 0
    for i in range(count):
        old, new = (jax.tree.map(lambda leaf, i=i: float(leaf[i]), side) for side in sides)
        imagined = ImaginedPair(*(np.array([side.imagined]) for side in (old, new)), NONE, NONE)
        truth = new.real - old.real
        ladders = [[rung(name, side.rungs[name]) for name in LADDER] for side in (old, new)]
        difference = deployment.certified(imagined, *ladders)
        assert difference is not None
        assert difference.kind == "certificate"
        slack = 1e-9 * (abs(old.real) + abs(new.real))
        wrong += not difference.low - slack <= truth <= difference.high + slack
        signs += difference.low > 0 or difference.high < 0
        # The corrupted form: bounds that are a tenth of what they should be
        tenth = [[rung(name, side.rungs[name] / 10) for name in LADDER] for side in (old, new)]
        claim = deployment.certified(imagined, *tenth)
        loose += not claim.low <= truth <= claim.high
    assert wrong == 0
    assert signs > 0.1 * count
    assert loose > 0.1 * count


def test_the_lowest_proven_rung_of_each_ladder_counts():
    imagined = ImaginedPair(np.array([1.0, 3.0]), np.array([5.0, 6.0]), NONE, NONE)
    old = [rung("global", 9, 9), rung("value", 1, 3), rung("minimum", 0, 0)]
    new = [rung("global", 0.5, 0.5), rung("value", 0.1, 0.1, kind="estimate")]
    difference = deployment.certified(imagined, old, new)
    assert (difference.old_rung, difference.new_rung) == ("value", "global")
    assert (difference.imagined, difference.low, difference.high) == (3.5, 1.0, 6.0)
    shared = deployment.by_rung(imagined, old, new)
    assert [(bound.old_rung, bound.kind) for bound in shared] == [
        ("global", "certificate"),
        ("value", "estimate"),
    ]
    assert deployment.certified(imagined, old, new[1:]) is None


def test_bounds_that_are_infinite_or_not_known_by_episode_say_nothing_of_all_starts():
    imagined = ImaginedPair(np.zeros(2), np.ones(2), NONE, NONE)
    old = rung("value", 0.1, 0.2)
    for new in (rung("value", 0.1, math.inf), Certificate("value", "certificate", 0.1, 1.0, "")):
        difference = deployment.bounded_difference(imagined, old, new)
        assert difference.over_starts == ()
        assert difference.low == 1 - old.value - new.value


@pytest.mark.parametrize("number", [150, pytest.param(4000, marks=pytest.mark.full)])
def test_bounds_over_all_starts_miss_at_most_at_their_rate(number):
    """The old policy's mean is the new one's plus 0.2, gaps are within their bounds."""
    rng, missed, narrower = np.random.default_rng(0), 0, 0
    for _ in range(number):
        quality = rng.standard_normal((520, 2)) * 3
        real = quality - [0, 0.2]
        gaps = rng.uniform(-0.3, 0.3, (20, 2))
        bounds = np.abs(gaps) * rng.uniform(1, 2, (20, 2))
        recorded = real[:20] + gaps
        fresh = quality[20:] + rng.uniform(-0.3, 0.3, (500, 2)) - [0, 0.2]
        imagined = ImaginedPair(recorded[:, 0], recorded[:, 1], fresh[:, 0], fresh[:, 1])
        old, new = (rung("value", *bounds[:, side]) for side in (0, 1))
        low, high = deployment.bounded_difference(imagined, old, new).over_starts
        missed += not low <= -0.2 <= high
        plain = assisted_mean(real[:20, 1] - real[:20, 0], NONE, NONE).value
        narrower += high - low < plain.high - plain.low
    assert missed <= 0.05 * number
    assert narrower > 0.9 * number  # the spread of the starts is imagined away


LAWS = {
    "normal": lambda rng, size: rng.standard_normal(size),
    "skewed": lambda rng, size: 1 - rng.exponential(size=size),
    "heavy-tailed": lambda rng, size: rng.standard_t(3, size=size),
}


@pytest.mark.parametrize("number", [200, pytest.param(4000, marks=pytest.mark.full)])
@pytest.mark.parametrize("law", LAWS)
def test_real_episodes_err_at_their_rate(law, number):
    """Of policies that are equally good, each in a world that follows its returns."""
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(number):
        quality = LAWS[law](rng, 520)
        differences = quality[:20] + 0.5 * rng.standard_normal(20)
        mean = assisted_mean(differences, quality[:20] + 7, quality[20:] + 7)
        verdict, _ = deployment.decide(None, (), mean)
        wrong += verdict is not DeploymentVerdict.NOT_YET
    allowed = 0.05 * number + 4.3 * math.sqrt(0.05 * 0.95 * number)  # one in 100,000
    assert wrong <= (allowed if number < 1000 else 0.06 * number)


@pytest.mark.parametrize("number", [500, pytest.param(10_000, marks=pytest.mark.full)])
@pytest.mark.parametrize(("n", "rank"), [(5, 1), (18, 1), (19, 1), (39, 2), (45, 2)])
def test_the_next_episode_is_at_least_so_much_as_often_as_ranks_say(n, rank, number):
    rng = np.random.default_rng(n)
    draws = rng.standard_cauchy((number, n + 1))  # no mean and no variance
    predictions = [deployment.next_episode(row[:-1]) for row in draws]
    assert {
        (prediction.rank, prediction.pairs, prediction.least) for prediction in predictions
    } == {(rank, n, 19)}
    assert predictions[0].probability == pytest.approx(1 - rank / (n + 1))
    assert predictions[0].probability >= 0.95 or n < 19
    hits = sum(
        row[-1] >= prediction.low for row, prediction in zip(draws, predictions, strict=True)
    )
    assert_share(hits, number, 1 - rank / (n + 1))


def test_fewest_pairs_by_level():
    least = {
        level: deployment.next_episode(np.zeros(2), level).least for level in (0.8, 0.9, 0.95, 0.99)
    }
    assert least == {0.8: 4, 0.9: 9, 0.95: 19, 0.99: 99}
    with pytest.raises(checks.BadData, match="at least one pair"):
        deployment.next_episode(NONE)


def centered(draws, mean):
    """These draws about another mean."""
    return np.asarray(draws) - np.mean(draws) + mean


_RNG = np.random.default_rng(3)
UNSETTLED = {
    "normal": (centered(_RNG.standard_normal(20), 0.3), None),
    "exponential": (centered(_RNG.exponential(size=20), 0.25), None),
    "log-normal": (centered(-_RNG.lognormal(size=20), 0.3), None),
    "failures of the old policy": (np.array([350.0, 300, *np.zeros(18)]), (-500, 500)),
    "a little better, always": (centered(_RNG.normal(0, 0.5, 20), -2), (-500, 500)),
}


@pytest.mark.parametrize(("differences", "bounds"), UNSETTLED.values(), ids=UNSETTLED)
def test_as_many_further_pairs_as_said_settle_it_in_four_of_five(differences, bounds):
    """By the interval that judges them, of draws from the differences seen."""
    assisted = assisted_mean(differences, NONE, NONE, plain=mean(differences, 0.95, bounds))
    assert not assisted.value.excludes_zero
    further = deployment.further_pairs(differences, assisted, 0.95, bounds)
    draws = np.random.default_rng(0).choice(differences, (200, len(differences) + further))
    settled = np.mean([mean(row, 0.95, bounds).excludes_zero for row in draws])
    assert 0.7 < settled < 0.95


@pytest.mark.parametrize(("fresh", "least", "most"), [(40, 0.7, 1), (2000, 0.15, 0.5)])
def test_imagination_spares_further_pairs_as_far_as_fresh_starts_go(fresh, least, most):
    rng = np.random.default_rng(2)
    pairs = rng.multivariate_normal([0, 0], [[1, 0.85], [0.85, 1]], 20)
    differences, recorded = centered(pairs[:, 0], 0.2), centered(pairs[:, 1], 0)
    first = assisted_mean(differences, recorded, centered(rng.standard_normal(fresh), 0))
    further = deployment.further_pairs(differences, first)
    alone = deployment.further_pairs(differences, assisted_mean(differences, NONE, NONE))
    assert least * alone < further < most * alone
    settled = 0
    for rows in rng.integers(0, 20, (100, 20 + further)):
        starts = recorded[rng.integers(0, 20, fresh)]
        settled += assisted_mean(differences[rows], recorded[rows], starts).value.excludes_zero
    assert 65 < settled < 96


def test_nothing_is_needed_further_where_it_is_settled_and_nothing_settles_a_zero():
    def further(differences, bounds=None):
        plain = mean(differences, 0.95, bounds)
        assisted = assisted_mean(differences, NONE, NONE, plain=plain)
        return deployment.further_pairs(np.asarray(differences), assisted, 0.95, bounds)

    assert further(np.linspace(1, 2, 20)) == 0
    assert further([-1.0, 1.0, -0.5, 0.5]) is None
    assert further(np.ones(5)) is None  # no spread to go by
    assert further([1.0], (-9, 9)) > 0
    assert further(centered(UNSETTLED["normal"][0], 1e-4)) is None


def mean_between(low, high):
    value = Estimate((low + high) / 2, low, high, 20, "")
    return AssistedMean(value, value, Help.FEW, 0.0, 0.0, 1.0, 0, 0.0)


def bound(low, high, kind="estimate", name="mean_error"):
    estimate = deployment.bounded_difference(
        ImaginedPair(np.zeros(1), np.ones(1), NONE, NONE),
        rung(name, 0.1, kind=kind),
        rung(name, 0.1, kind=kind),
    )
    return dataclasses.replace(estimate, low=low, high=high, over_starts=(low, high))


VERDICTS = {
    "proven": (bound(1, 2, "certificate"), (), (-1, 5), ("certified", "certificate")),
    "proven worse": (bound(-2, -1, "certificate"), (), (-5, 1), ("worse", "certificate")),
    "episodes": (bound(-1, 9, "certificate"), (bound(-3, 9),), (1, 5), ("estimated", "episodes")),
    "episodes against bounds": (None, (bound(1, 9),), (-5, -1), ("worse", "episodes")),
    "proven for the recorded starts alone": (
        dataclasses.replace(bound(1, 2, "certificate"), over_starts=(-1, 3)),
        (),
        (-1, 5),
        ("not yet", ""),
    ),
    "over all starts by their spread alone": (
        dataclasses.replace(bound(-1, 2, "certificate"), over_starts=(1, 2)),
        (),
        (-1, 5),
        ("not yet", ""),
    ),
    "bounds": (None, (bound(1, 9),), (-1, 5), ("estimated", "mean_error")),
    "a rung chosen afterwards": (None, (bound(1, 9, name="value"),), (-1, 5), ("not yet", "")),
    "bounds worse": (None, (bound(-9, -1),), (-5, 1), ("worse", "mean_error")),
    "nothing": (bound(-1, 9, "certificate"), (bound(-1, 9),), (-1, 5), ("not yet", "")),
}


@pytest.mark.parametrize(("proven", "bounds", "ends", "verdict"), VERDICTS.values(), ids=VERDICTS)
def test_the_strongest_form_that_settles_it_decides(proven, bounds, ends, verdict):
    assert deployment.decide(proven, bounds, mean_between(*ends)) == verdict
