"""Redrawn imagination in stochastic worlds: terms without bias, and the noise that is left is
small.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.auditing.attribution import imagine_rest, terms_of
from paracosm.auditing.draws import MOST_DRAWS, average_draws, imagined_part
from paracosm.auditing.imagined_returns import imagined_returns, redrawn_returns
from paracosm.auditing.one_step import predict_steps
from paracosm.auditing.subject import AuditSubject
from paracosm.core import checks
from paracosm.core.estimators import mean
from paracosm.core.policy import Mode
from paracosm.core.predicted import PredictedReturn
from paracosm.loop.auditing import audit
from tests.auditing.test_stochastic import (
    DISCOUNT,
    HORIZON,
    POLICY,
    REAL,
    TRUTH,
    WORLD,
    Spread,
    episodes_of,
    task,
)
from tests.statistical import FALSE_ALARM, assert_mean

DISCOUNTS = (0.5, DISCOUNT)  # the second is the one of the truth
_SMALL = 0.1


class Beyond(eqx.Module):
    """Ends where the state is above a threshold."""

    threshold: jax.Array

    def __call__(self, state, action, next_state):
        return next_state[0] > self.threshold


@pytest.fixture(autouse=True)
def sixty_four_bits():
    with jax.enable_x64(True):
        yield


def systems(ends):
    """A real system and a world of other drift, rewards and, with `ends`, another end."""
    thresholds = (1.2, 0.9) if ends else (np.inf, np.inf)
    pairs = zip((REAL, WORLD), thresholds, strict=True)
    return [task(*parts).replace(termination=Beyond(np.float64(at))) for parts, at in pairs]


def first_draw(count, *, mode=True, ends=False, seed=0):
    """What an audit has before it draws again, of `count` episodes, and their key."""
    real, world = systems(ends)
    policy = Spread(np.full(1, POLICY))
    played = Mode(policy) if mode else policy
    lived = episodes_of(real, played, jax.random.key(seed), count)
    key = jax.random.key(seed + 1)
    predictions = predict_steps(world, played, lived, key, mode=mode)
    subject = AuditSubject(world, policy, lived, predictions, key, DISCOUNTS, plays_mode=mode)
    return subject, imagine_rest(subject), imagined_returns(subject)


def drawn(count, most=10**9, **options):
    return average_draws(*first_draw(count, **options), most_imagined_steps=most)


@pytest.mark.parametrize("ends", [pytest.param(False, marks=pytest.mark.full), True])
@pytest.mark.parametrize("mode", [pytest.param(True, marks=pytest.mark.full), False])
def test_the_imagined_part_of_every_terms_variance_is_small(mode, ends):
    """Also as it is measured from outside: by other noise for the same episodes, 25 times.

    A share of a tenth is measured above 0.3 with a probability of less than 1e-6, by χ² of 24
    degrees of freedom.
    """
    subject, rollouts, imagined = first_draw(200, mode=mode, ends=ends)
    redrawn = average_draws(subject, rollouts, imagined, most_imagined_steps=10**9)
    assert 1 < redrawn.draws <= MOST_DRAWS
    assert not redrawn.capped
    assert max(redrawn.imagined_share.values()) <= _SMALL / (1 + _SMALL) + 1e-12
    again = [
        sums(
            average_draws(
                subject._replace(key=jax.random.key(i)),
                rollouts,
                imagined,
                most_imagined_steps=10**9,
            )
        )
        for i in range(25)
    ]
    for cause in ("termination", "dynamics"):
        means = np.array([terms[cause].mean() for terms in again])
        variance = sums(redrawn)[cause].var(ddof=1) / 200
        assert means.var(ddof=1) <= 0.3 * variance
    before = sums_of(terms_of(subject, rollouts)[1])["dynamics"].var()
    assert sums(redrawn)["dynamics"].var() < 0.8 * before


def sums_of(terms):
    return {
        cause: getattr(terms, cause).sum(axis=1) for cause in ("reward", "termination", "dynamics")
    }


def sums(redrawn):
    return sums_of(redrawn.terms[1])


@pytest.mark.parametrize("mode", [True, False])
def test_redrawn_terms_are_unbiased_and_their_intervals_cover(mode):
    """200 audits of 20 episodes, whose noise apart is the same kind: false-alarm rate 1e-5 at a
    coverage of 90%.
    """
    terms = sums(drawn(4000, mode=mode))
    assert not terms["termination"].any()
    for cause in ("reward", "dynamics"):
        assert_mean(terms[cause], TRUTH[cause], rounding=1e-9)
    estimates = [mean(row) for row in terms["dynamics"].reshape(200, 20)]
    covered = sum(e.low <= TRUTH["dynamics"] <= e.high for e in estimates)
    assert covered >= 163  # binom.ppf(1e-5, 200, 0.9)
    assert FALSE_ALARM == 1e-5


@pytest.mark.parametrize("ends", [False, True])
def test_by_common_noise_the_terms_sum_to_the_gap_of_every_episode(ends):
    """Where the mode plays, the rollout of the first step and the imagined episode are the same
    draw.
    """
    subject, rollouts, imagined = first_draw(30, ends=ends)
    redrawn = average_draws(subject, rollouts, imagined, most_imagined_steps=10**9)
    assert ends == bool(subject.episodes.terminated.any())
    predicted = (redrawn.imagined.full, redrawn.imagined.full_training)
    for discount, terms, returns in zip(DISCOUNTS, redrawn.terms, predicted, strict=True):
        gap = subject.episodes.reward @ discount ** np.arange(8) - returns
        np.testing.assert_allclose(sum(sums_of(terms).values()), gap, rtol=1e-9, atol=1e-9)


def test_ends_that_differ_are_redrawn_without_bias():
    """The two terms of 3,000 episodes against ten thousand rollouts of each of the worlds."""
    subject, rollouts, imagined = first_draw(3000, ends=True)
    redrawn = average_draws(subject, rollouts, imagined, most_imagined_steps=10**9)
    first = sums_of(terms_of(subject, rollouts)[1])
    assert np.abs(first["termination"]).max() > 0.1
    for cause in ("termination", "dynamics"):
        assert_mean(sums(redrawn)[cause] - first[cause], 0.0, rounding=1e-9)


def test_draws_stop_at_what_they_may_cost():
    subject, rollouts, imagined = first_draw(20)
    none = average_draws(subject, rollouts, imagined, most_imagined_steps=0)
    assert (none.draws, none.capped) == (1, True)
    assert np.isnan(none.imagined_share["dynamics"])
    np.testing.assert_array_equal(
        none.terms[0].dynamics,
        terms_of(subject, rollouts)[0].dynamics,
    )
    limited = average_draws(subject, rollouts, imagined, most_imagined_steps=700)
    assert limited.draws == 3  # a draw takes 20 x 7 steps for the terms and 20 x 8 for the episodes
    assert limited.terms[0].imagined_steps == rollouts.cost + 2 * 300
    assert limited.capped == (max(limited.imagined_share.values()) > _SMALL / (1 + _SMALL))


def test_an_audit_of_a_stochastic_world_draws_again():
    real, world = systems(ends=False)
    policy = Spread(np.full(1, POLICY))
    lived = episodes_of(real, Mode(policy), jax.random.key(3), 100)
    diagnosis = audit(world, policy, lived, certify=False)
    assert diagnosis.closure < 1e-9
    assert diagnosis.imagined_return.low == pytest.approx(diagnosis.gap.predicted.low)
    truth = TRUTH["dynamics"]
    assert diagnosis.gap_training.dynamics.low <= truth <= diagnosis.gap_training.dynamics.high
    assert diagnosis.imagined_steps > 100 * 28


def broken_subject():
    """A world whose reward leaves the finite numbers where a state is negative, by chance."""
    real, world = systems(ends=False)
    policy = Spread(np.full(1, POLICY))
    lived = episodes_of(real, Mode(policy), jax.random.key(0), 4)
    broken = world.replace(reward=lambda s, a, after: jnp.log(after[0]))
    key = jax.random.key(1)
    predictions = predict_steps(world, Mode(policy), lived, key)
    subject = AuditSubject(world, policy, lived, predictions, key, DISCOUNTS, plays_mode=True)
    return subject, broken


def test_a_redrawn_return_that_is_not_finite_names_the_world():
    subject, broken = broken_subject()
    with pytest.raises(checks.BadData, match=r"the imagined return .* real episode \d is nan"):
        redrawn_returns(subject._replace(world=broken), jax.random.split(jax.random.key(2)))


def test_a_training_world_that_leaves_the_finite_numbers_is_named():
    subject, broken = broken_subject()
    trained = PredictedReturn(
        subject.policy, broken, HORIZON, lambda policy, start, key: start[:, 0]
    )
    with pytest.raises(checks.BadData, match=r"in the world of training.* real episode \d is nan"):
        imagined_returns(subject._replace(training_prediction=trained))


def test_the_imagined_share_is_a_share():
    noise = np.random.default_rng(0).normal(0, 100, (4, 5))
    assert imagined_part(np.zeros((4, 5))) == 0
    assert imagined_part(np.array([[300.0] * 3, [-300.0] * 3])) == 1
    assert 0 < imagined_part(noise / 100 + np.arange(5)) < 1
    assert np.isnan(imagined_part(noise[:1]))
