"""The ladder: valid on random systems, each rung below the one above it, equal to slow loops."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from paracosm.auditing import ladder
from paracosm.auditing.ladder import Clip, Constants, Loop, Residuals
from tests.auditing.random_systems import LADDER, ROUNDING, UNIFORM, compared

SIZES = pytest.mark.parametrize("count", [60, pytest.param(2000, marks=pytest.mark.full)])


@pytest.fixture(autouse=True)
def sixty_four_bits():
    with jax.enable_x64(True):
        yield


KINDS = [("linear", False), ("tanh", False), ("sin", False), ("linear", True), ("tanh", True)]


@SIZES
@pytest.mark.parametrize(("phi", "ends"), KINDS)
def test_no_bound_is_violated_and_each_rung_is_below_the_one_above(phi, ends, count):
    """In both pairings: the learned system's constants at real states, the real one's at imagined
    states.
    """
    keys = jax.random.split(jax.random.fold_in(jax.random.key(len(phi)), ends), count)
    gap, rounding, bounds = compared(keys, phi, ends)
    assert np.mean(gap > 0) > 0.98
    for rung in LADDER:
        assert np.all(gap[:, None] <= bounds[rung] * (1 + ROUNDING) + rounding[:, None]), rung
    for upper, lower in itertools.pairwise(LADDER):
        assert np.all(bounds[lower] <= bounds[upper] * (1 + ROUNDING)), (upper, lower)
    assert np.mean(bounds["trajectory"] < 0.9 * bounds["global"]) > 0.05


summed = jax.jit(
    lambda errors, loop, discount, clip=ladder.UNCUT: ladder.total(
        ladder.uniform(errors, loop, clip), discount
    )
)
by_value = jax.jit(ladder.through_value)
slopes = jax.jit(ladder.slopes)
mean_error = jax.jit(ladder.mean_error)
stop = jax.jit(ladder.stop)


def random_steps(seed, horizon=17):
    rng = np.random.default_rng(seed)
    errors = Residuals(*rng.uniform(0, 1, (2, horizon)))
    return errors, Loop(*rng.uniform(0.2, 1.6, (3, horizon))), float(rng.uniform(0.3, 0.99))


def by_place(place, radius):
    """Constants given by the step, growing with the radius."""
    return Loop(
        place.dynamics + 0.1 * jnp.tanh(radius),
        place.reward + 0.3 * jnp.tanh(radius),
        place.reward_next,
    )


def slow(errors, place, discount, clip):
    """The recursion written out."""
    radius, bound, radii, loops = 0.0, 0.0, [0.0], []
    for t in range(len(errors.reward)):
        ell = place.dynamics[t] + 0.1 * math.tanh(radius)
        m = place.reward[t] + 0.3 * math.tanh(radius)
        moved = m * radius + place.reward_next[t] * min(errors.dynamics[t], clip.diameter)
        bound += discount**t * (errors.reward[t] + min(moved, clip.reward_range))
        radius = min(ell * radius + errors.dynamics[t], clip.diameter)
        radii.append(radius)
        loops.append((ell, m))
    return bound, radii, loops


@pytest.mark.parametrize("clip", [ladder.UNCUT, Clip(2.0, 3.0)])
def test_the_rung_along_a_trajectory_is_its_recursion(clip):
    for seed in range(10):
        errors, place, discount = random_steps(seed)
        steps = ladder.trajectory(errors, place, by_place, clip)
        bound, radii, loops = slow(errors, place, discount, clip)
        np.testing.assert_allclose(ladder.total(steps, discount), bound, rtol=1e-13)
        np.testing.assert_allclose(steps.radius, radii, rtol=1e-13)
        np.testing.assert_allclose(np.stack(steps.loop[:2], axis=1), loops, rtol=1e-13)


@pytest.mark.parametrize("rung", UNIFORM)
def test_uniform_rungs_are_their_sums(rung):
    """With `r(s, a, s')` as theory states it: a constant at fixed s', and `L_{r,s'} e_{t+1}` on
    top.
    """
    for seed in range(10):
        rng = np.random.default_rng(seed)
        L = Constants(*rng.uniform(0.1, 1, 8))
        discount, dynamics, reward = rng.uniform(0.3, 0.99, 3)
        c, still = {
            "global": (max(L[0], L[1]) * (1 + L.policy), max(L[2], L[3]) * (1 + L.policy)),
            "split": (L[0] + L[1] * L.policy, L[2] + L[3] * L.policy),
            "closed_loop": (L.closed_loop, L.closed_loop_reward - L.reward_next * L.closed_loop),
        }[rung]
        expected, radius = 0.0, 0.0
        for t in range(30):
            after = c * radius + dynamics
            expected += discount**t * (reward + still * radius + L.reward_next * after)
            radius = after
        steps = ladder.uniform(ladder.worst(dynamics, reward, 30), ladder.closed(L, rung))
        np.testing.assert_allclose(ladder.total(steps, discount), expected, rtol=1e-12)
    assert ladder.contraction(L) == max(L[0], L[1]) * (1 + L.policy)


def test_lemma_1_and_the_finite_sum_in_closed_form():
    """Theory's formulas for `r(s, a)`: rung 1 with γc < 1, and the finite horizon where γc ≥ 1."""
    L = Constants(0.3, 0.5, 0.7, 0.2, 0.0, 0.6, 0.0, 0.0)
    loop, eps = ladder.closed(L, "global"), (0.1, 0.05)
    c, m = 0.5 * 1.6, 0.7 * 1.6
    lemma = eps[1] / 0.1 + 0.9 * m * eps[0] / (0.1 * (1 - 0.9 * c))
    np.testing.assert_allclose(ladder.infinite(loop, *eps, 0.9), lemma, rtol=1e-13)
    for c in (1.0, 1.3, 2.0):
        steps = ladder.uniform(ladder.worst(*eps, 40), Loop(c, m, 0.0))
        grown = sum(0.9**t * sum(c**k for k in range(t)) for t in range(1, 40))
        expected = eps[1] * sum(0.9**t for t in range(40)) + m * eps[0] * grown
        np.testing.assert_allclose(ladder.total(steps, 0.9), expected, rtol=1e-12)


def test_without_a_horizon_the_bound_is_the_limit_and_infinite_from_one_on():
    for c, n in ((0.2, 0.0), (0.9, 0.5), (1.05, 1.0)):
        loop = Loop(c, 0.7, n)
        long = summed(ladder.worst(0.1, 0.2, 3000), loop, 0.9)
        np.testing.assert_allclose(ladder.infinite(loop, 0.1, 0.2, 0.9), long, rtol=1e-10)
    for c in (1 / 0.9, 1.2, 5.0):
        assert ladder.infinite(Loop(c, 0.7, 0.0), 0.1, 0.2, 0.9) == np.inf
        assert np.isfinite(summed(ladder.worst(0.1, 0.2, 300), Loop(c, 0.7, 0.0), 0.9))
    assert ladder.infinite(Loop(2.0, 0.7, 0.0), 0.0, 0.2, 0.9) == pytest.approx(
        2.0
    )  # nothing to compound


def test_numbers_too_large_for_a_float_are_infinite_not_nothing():
    huge = ladder.uniform(ladder.worst(1.0, 0.0, 3000), Loop(1.9, 1.0, 0.0))
    assert ladder.total(huge, 0.5) == np.inf
    free = ladder.uniform(ladder.worst(1.0, 0.5, 3000), Loop(1.9, 0.0, 0.0))
    assert ladder.total(free, 0.5) == pytest.approx(1.0)


def test_slopes_and_the_rung_through_the_value_are_their_sums():
    for seed in range(10):
        errors, loop, discount = random_steps(seed)
        for count in (0, 1, 9, 17):
            slope = slopes(loop, discount, count)
            for t in range(18):
                terms = [
                    discount ** (j - t) * loop.reward[j] * np.prod(loop.dynamics[t:j])
                    for j in range(t, count)
                ]
                np.testing.assert_allclose(slope[t], sum(terms), rtol=1e-12)
        for clip in (ladder.UNCUT, Clip(0.6, 0.9)):
            bound = by_value(errors, slope[1:], loop.reward_next, discount, clip)
            expected = 0.0
            for t in range(17):
                off = min(errors.dynamics[t], clip.diameter)
                later = min(
                    slope[t + 1] * off,
                    clip.reward_range * sum(discount**k for k in range(16 - t)) or math.inf,
                )
                now = min(loop.reward_next[t] * off, clip.reward_range)
                expected += discount**t * (errors.reward[t] + now + discount * later)
            np.testing.assert_allclose(bound, expected, rtol=1e-12)


def test_through_the_value_by_the_same_balls_is_the_rung_along_the_trajectory():
    """Two orders of one double sum."""
    for seed in range(10):
        errors, place, discount = random_steps(seed)
        steps = ladder.trajectory(errors, place, by_place)
        slope = slopes(steps.loop, discount, 17)[1:]
        bound = by_value(errors, slope, steps.loop.reward_next, discount)
        np.testing.assert_allclose(bound, ladder.total(steps, discount), rtol=1e-12)


def test_the_mean_error_form_is_its_formula_and_the_mean_of_the_recursion():
    rng = np.random.default_rng(0)
    for c in (0.4, 1.0, 1.3):
        errors = Residuals(*rng.uniform(0, 1, (2, 50, 12)))
        loop, discount = Loop(c, 0.8, 0.3), 0.9
        mean = Residuals(*(error.mean(axis=0) for error in errors))
        bound = mean_error(mean, loop, discount)
        expected = 0.0
        for t in range(12):
            slope = 0.8 * sum((discount * c) ** k for k in range(12 - t - 1))
            expected += discount**t * (mean.reward[t] + (0.3 + discount * slope) * mean.dynamics[t])
        np.testing.assert_allclose(bound, expected, rtol=1e-12)
        bounds = jax.vmap(lambda errors, loop=loop: summed(errors, loop, 0.9))(errors)
        np.testing.assert_allclose(bound, np.mean(bounds), rtol=1e-12)


def test_the_next_state_in_the_reward_needs_its_own_term():
    """H = 1, r = r̂ = s', f = s, f̂ = s + 0.5: the gap is 0.5, and every other term is 0."""
    errors = ladder.worst(0.5, 0.0, 1)
    without, within = Loop(1.0, 0.0, 0.0), Loop(1.0, 1.0, 1.0)
    assert summed(errors, without, 0.9) == 0
    assert mean_error(errors, without, 0.9) == 0
    assert summed(errors, within, 0.9) == 0.5
    assert mean_error(errors, within, 0.9) == 0.5
    assert ladder.infinite(within, 0.5, 0.0, 0.0) == 0.5


def test_the_mean_error_form_needs_the_composed_rewards_constant():
    """H = 2, r = r̂ = s', f = s, f̂ = s + 0.5 from 0: the imagined rewards are 0.5 and 1, the real
    ones 0.

    With `L_r (1 + L_π) = 0`, that of (s, a) alone, and `L_{r,s'} δ_t` on top the form gives 0.95.
    """
    errors, gap = ladder.worst(0.5, 0.0, 2), 0.5 + 0.9 * 1.0
    assert mean_error(errors, Loop(1.0, 0.0, 1.0), 0.9) < 0.96 < gap
    assert mean_error(errors, Loop(1.0, 1.0, 1.0), 0.9) == pytest.approx(gap)


def test_cut_rungs_can_change_places():
    """The imagined state stays, its reward is clip(s, 0, 1), and each real step moves it by 100.

    The trajectory rung is cut once a step; through the value every step's error is cut by itself.
    """
    errors, loop, clip = ladder.worst(100.0, 0.0, 30), Loop(1.0, 1.0, 0.0), Clip(reward_range=1.0)
    above = summed(errors, loop, 0.9, clip)
    slope = slopes(Loop(*(np.full(30, constant) for constant in loop)), 0.9, 30)[1:]
    assert above == pytest.approx(sum(0.9**t for t in range(1, 30)))
    assert by_value(errors, slope, 0.0, 0.9, clip) > 3 * above


def test_mixed_pairings_are_unsound():
    """Real f = 0.1 s + 1, learned f̂ = 0.9 s from 0, r = s: errors at real states, but the real
    system's constants.

    Both systems start at 0. Learned states stay 0; the real ones tend to 10/9, where f̂ is off by
    1/9 only.
    """
    real, errors = [0.0], []
    for _ in range(40):
        errors.append(abs(0.9 * real[-1] - (0.1 * real[-1] + 1)))
        real.append(0.1 * real[-1] + 1)
    at_real = Residuals(np.array(errors), np.zeros(40))
    gap = sum(0.95**t * real[t] for t in range(40))
    mixed = summed(at_real, Loop(0.1, 1.0, 0.0), 0.95)
    paired_at_real = summed(at_real, Loop(0.9, 1.0, 0.0), 0.95)
    at_imagined = Residuals(np.ones(40), np.zeros(40))
    paired_at_imagined = summed(at_imagined, Loop(0.1, 1.0, 0.0), 0.95)
    assert mixed < 0.3 * gap
    assert gap <= paired_at_real * (1 + ROUNDING)
    assert gap <= paired_at_imagined * (1 + ROUNDING)


def test_a_bound_that_ignores_ends_can_be_nothing_and_the_rest_is_paid_for():
    """Equal systems but for one end: the rung is 0, the gap is all that the other still earns."""
    steps = ladder.uniform(ladder.worst(0.0, 0.0, 10), Loop(0.5, 1.0, 0.0))
    assert ladder.total(steps, 0.9) == 0
    for last in (0, 4, 8, 9):
        stopped = stop(steps, np.arange(10) == last, 10, 0.9, 2.0)
        assert stopped.bound == pytest.approx(2.0 * sum(0.9**t for t in range(last + 1, 10)))
        assert stopped.steps == last + 1


def test_a_bound_stops_where_that_is_cheapest_but_never_after_a_doubt():
    rng = np.random.default_rng(0)
    for _ in range(50):
        errors = Residuals(*rng.uniform(0, 1, (2, 12)))
        steps = ladder.uniform(errors, Loop(*rng.uniform(0.5, 1.5, 3)))
        doubt, horizon, discount = (
            rng.uniform(size=12) < 0.1,
            int(rng.integers(1, 13)),
            float(rng.uniform(0.3, 0.99)),
        )
        steps = steps._replace(cost=jnp.where(jnp.arange(12) < horizon, steps.cost, 0))
        doubt &= np.arange(12) < horizon
        tau = int(np.argmax(doubt)) + 1 if doubt.any() else 12
        weight = lambda a, b, g=discount: sum(g**t for t in range(a, b))  # noqa: E731
        cut = [
            sum(discount**t * steps.cost[t] for t in range(s)) + 1.5 * weight(s, horizon)
            for s in range(tau + 1)
        ]
        stopped = stop(steps, doubt, horizon, discount, 1.5)
        np.testing.assert_allclose(stopped.bound, min(cut), rtol=1e-12)
        blind = stop(steps, doubt, horizon, discount, jnp.inf)
        np.testing.assert_allclose(blind.bound, cut[-1] if tau >= horizon else np.inf, rtol=1e-12)


def test_bounds_cut_at_the_diameter_are_not_violated():
    """Every state is the first or `U tanh(…)`, of norm at most twice that of U, whose rows are
    equally long.
    """
    keys = jax.random.split(jax.random.key(9), 60)
    gap, rounding, cut = compared(keys, "tanh", False, cut=True)
    uncut = compared(keys, "tanh", False)[2]
    for rung in LADDER:
        assert np.all(gap[:, None] <= cut[rung] * (1 + ROUNDING) + rounding[:, None]), rung
    for upper, lower in itertools.pairwise(LADDER[:-1]):
        assert np.all(cut[lower] <= cut[upper] * (1 + ROUNDING)), (upper, lower)
    assert np.mean(cut["global"] < 0.5 * uncut["global"]) > 0.2


def test_noise_needs_distances_of_laws_only():
    """s' = as + b + σz, r = |s'| and s: exact returns of both by the folded normal; errors and
    constants in W₁.
    """
    rng = np.random.default_rng(0)
    for _ in range(200):
        a, off, sigma = rng.uniform(-1.3, 1.3), rng.uniform(-0.3, 0.3, 2), rng.uniform(0.1, 1, 2)
        learned = (a, off[1], sigma[1])
        real = (a, off[0], sigma[0])
        discount, horizon = rng.uniform(0.3, 0.95), int(rng.choice([1, 2, 8, 40]))
        gap = abs(noisy_return(real, discount, horizon) - noisy_return(learned, discount, horizon))
        distance = wasserstein_1(off[0] - off[1], sigma[0] - sigma[1])
        L = Constants(abs(a), 0.0, 0.5, 0.0, 1.0, 0.0, abs(a), 0.5 + abs(a))
        for rung in UNIFORM:
            bound = summed(ladder.worst(distance, 0.0, horizon), ladder.closed(L, rung), discount)
            assert gap <= bound * (1 + ROUNDING)


def wasserstein_1(mean, spread):
    """Between Gaussians: `E |Δμ + Δσ z|`, the mean of a folded normal."""
    return folded(mean, abs(spread))


def folded(mean, std):
    """`E |mean + std z|`."""
    if std == 0:
        return abs(mean)
    return std * math.sqrt(2 / math.pi) * math.exp(-((mean / std) ** 2) / 2) + mean * (
        1 - 2 * stats.norm.cdf(-mean / std)
    )


def noisy_return(system, discount, horizon):
    """From 1, with the reward `s/2 + |s'|`."""
    a, b, sigma = system
    mean, variance, total = 1.0, 0.0, 0.0
    for t in range(horizon):
        after, spread = a * mean + b, a**2 * variance + sigma**2
        total += discount**t * (0.5 * mean + folded(after, math.sqrt(spread)))
        mean, variance = after, spread
    return total
