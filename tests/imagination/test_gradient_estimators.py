"""Gold labels inside imagination: the mixture's mean and variance against enumeration, its
training, its count.
"""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.devices import AXIS, map_over_devices
from paracosm.core.learner import Problem, RecordedRewards, StartStates
from paracosm.core.networks import MLP
from paracosm.core.noise import Flips, GaussianNoise
from paracosm.core.policy import Categorical, Deterministic, Mode
from paracosm.core.records import Training
from paracosm.core.rollout import returns, rollout, unroll
from paracosm.imagination.caution import EndAtEdge
from paracosm.imagination.evaluation import EPISODES
from paracosm.imagination.gradient_estimators import (
    Debiased,
    GoldLabels,
    Rollouts,
    best_coefficient,
    pick,
)
from paracosm.imagination.imagine import ImagineSettings
from paracosm.imagination.policy_gradient import surrogate
from paracosm.imagination.reinforce import REINFORCE, UNIT_ROLLOUTS, ReinforceState, with_noise
from paracosm.real.systems import pendulum
from tests.imagination import chain
from tests.imagination.imagining import imagine_in
from tests.imagination.test_caution import BOUNDED, DATA
from tests.imagination.test_gradient_noise import exact, exact_variance
from tests.imagination.test_imagine import (
    HORIZON,
    INITIAL,
    KEYS,
    SMALL,
    VISITED,
    _on_devices,
    integrator,
    mean_return,
)
from tests.imagination.test_policy_gradient import VALUE

H, GAMMA = chain.HORIZON, chain.DISCOUNT
SIZE = 0.7


def cheap_world(tilt: float):
    """Its labels are `0.7 r + tilt (s - 0.8 a)`."""

    def reward(s, a, t):
        return SIZE * chain.CHAIN.reward(s, a, t) + tilt * (jnp.argmax(s) - 0.8 * a)

    return chain.CHAIN.replace(reward=reward)


CHEAP = cheap_world(0.5)


def test_starts_play_and_labels_are_independent():
    """No draw of a rollout tells another: where it starts, what is done when, and label noise."""
    number, steps = 8192, 4
    spec = dataclasses.replace(chain.SPEC, horizon=steps)
    endless = chain.CHAIN.replace(spec=spec, termination=lambda s, a, t: jnp.zeros((), bool))
    starts = StartStates(jnp.eye(chain.STATES)[:1], jnp.eye(chain.STATES)[1:2])
    problem = Problem(endless, endless, starts, steps, jnp.ones(()))
    settings = ImagineSettings(rollouts=number, horizon=steps, baseline="none", trace=1.0)
    uniform = Categorical(MLP(chain.STATES, chain.ACTIONS, 4, 1, jax.random.key(3), last=0.0))
    clean, noisy = (
        REINFORCE(settings, noise=noise).rollouts(
            uniform, problem, jax.random.key(7), jnp.arange(number)
        )
        for noise in (None, GaussianNoise(1.0))
    )
    visited = np.asarray(clean.episodes.state[:, 0, 1])
    moved = np.asarray(noisy.episodes.reward - clean.episodes.reward)
    columns = np.column_stack([visited, clean.episodes.action, moved])
    apart = np.corrcoef(columns.T) - np.eye(columns.shape[1])
    assert 0.47 < visited.mean() < 0.53
    assert np.abs(apart).max() < 5 / np.sqrt(number)  # one in 50,000 of 36 pairs


# The gradient at a fixed policy.


def gradients(
    steps: int,
    rollouts: int,
    share: float,
    *,
    baseline="none",
    coefficient=None,
    noise=None,
    cheap=CHEAP,
) -> tuple:
    """Mixture gradients of `steps` steps `[step, parameters]` and their λ, that of earlier steps
    unless given.
    """
    settings = ImagineSettings(
        rollouts=rollouts, horizon=H, weighting="discounted", baseline=baseline, trace=1.0
    )
    starts = StartStates(jnp.asarray(chain.START)[None], jnp.asarray(chain.START)[None])
    problem = Problem(cheap, cheap, starts, H, jnp.ones(()))
    learner = REINFORCE(settings, Debiased(GoldLabels(chain.CHAIN, share)), noise)
    fixed = None if coefficient is None else jnp.asarray(coefficient)
    arrays = _gradients(learner, problem, steps, fixed)
    return tuple(np.asarray(array, np.float64) for array in arrays)


@eqx.filter_jit
def _gradients(learner, problem, steps, coefficient):
    rollouts, weight = learner.settings.rollouts, learner.time_weights(problem)

    def local(learner, problem, fixed, numbers):
        def step(before, number):
            of_play, of_labels = jax.vmap(
                lambda i: jax.random.split(
                    jax.random.fold_in(jax.random.fold_in(jax.random.key(1), number), i)
                ),
                out_axes=1,
            )(numbers)
            starts = jnp.tile(chain.START, (len(numbers), 1))
            episodes = unroll(problem.world, chain.POLICY, starts, of_play, H)
            if learner.noise is not None:
                episodes = with_noise(learner.noise, problem.world, episodes, of_labels)
            used = before if fixed is None else jnp.stack([0.0, fixed, 1.0, 3.0])
            state = ReinforceState(chain.POLICY, VALUE, (), (), used, {})
            all_rollouts = Rollouts(episodes, numbers, rollouts)
            signal, after, _ = learner.training_signal(state, problem, all_rollouts)
            gradient = eqx.filter_grad(surrogate)(chain.POLICY, episodes, signal.advantage, weight)
            flat = ravel_pytree(eqx.filter(gradient, eqx.is_inexact_array))[0]
            return after, (jax.lax.psum(flat, AXIS) / rollouts, best_coefficient(used))

        return jax.lax.scan(step, jnp.zeros(4), jnp.arange(steps))[1]

    return map_over_devices(local, rollouts, shared=3, total=True)(
        learner, problem, coefficient, jnp.arange(rollouts)
    )


def off_in_errors(samples: np.ndarray) -> np.ndarray:
    """By how many standard errors each component's mean is off the true gradient of `J_H`."""
    truth = exact("discounted")
    error = samples.std(axis=0) / np.sqrt(len(samples))
    return np.abs(samples.mean(axis=0) - truth.probability @ truth.gradient) / np.maximum(
        error, 1e-7
    )


@pytest.mark.parametrize(
    ("choices", "steps"),
    [
        ({}, 1000),
        ({"baseline": "leave-one-out"}, 1000),
        pytest.param({"baseline": "value"}, 1000, marks=pytest.mark.full),
        pytest.param({"noise": GaussianNoise(0.5)}, 1000, marks=pytest.mark.full),
        pytest.param({"coefficient": 3.0}, 20_000, marks=pytest.mark.full),
        pytest.param({}, 20_000, marks=pytest.mark.full),
    ],
)
def test_the_mixture_is_unbiased_whatever_the_bias(choices, steps):
    """Within 4 standard errors in every one of 26 components (P(false alarm) < 0.2%), λ from
    earlier steps.
    """
    samples, coefficient = gradients(steps, 32, 0.25, **choices)
    assert (off_in_errors(samples) <= 4).all()
    assert coefficient[0] == choices.get("coefficient", 0)
    assert (coefficient[1:] != 0).mean() > 0.9


def moments(tilt: float = 0.5) -> tuple[float, float, float, np.ndarray]:
    """`tr Cov` of one rollout's gradient by gold labels, by cheap ones, between them; and the cheap
    gradient's bias.
    """
    paths, truth = chain.every_path(), exact("discounted")
    cheap_rewards = (SIZE * paths.reward + tilt * (paths.state - 0.8 * paths.action)) * paths.alive
    cheap = np.einsum("pt,ptd->pd", cheap_rewards, truth.v)
    total = exact_variance(truth._replace(gradient=truth.gradient + cheap))
    gold_alone, cheap_alone = exact_variance(truth), exact_variance(truth._replace(gradient=cheap))
    between = (total - gold_alone - cheap_alone) / 2
    return gold_alone, cheap_alone, between, truth.probability @ (cheap - truth.gradient)


def test_cheap_labels_alone_are_off_by_more_than_the_test_could_miss():
    gold, cheap, between, bias = moments()
    assert np.abs(bias).max() > 4 * 4 * math.sqrt(gold / 32 / 1000)
    assert 0.5 < between / math.sqrt(gold * cheap) < 0.95


@pytest.mark.parametrize(
    ("steps", "relative"), [(1500, 0.2), pytest.param(20_000, 0.05, marks=pytest.mark.full)]
)
def test_the_mixtures_variance_is_the_formulas(steps, relative):
    """`σ_g² ((1-ρ²)/n + ρ²/N)` at λ*; λ of earlier steps costs a little."""
    rollouts, share = 40, 0.3
    gold, cheap, between, _ = moments()
    squared = between**2 / (gold * cheap)
    formula = gold * ((1 - squared) / 12 + squared / 40)
    at_best = gradients(steps, rollouts, share, coefficient=between / cheap)[0].var(axis=0).sum()
    np.testing.assert_allclose(at_best, formula, rtol=relative)
    learned = gradients(steps, rollouts, share)[0].var(axis=0).sum()
    np.testing.assert_allclose(learned, formula, rtol=relative)
    assert learned < 0.8 * gold / 12, "no better than gold alone on the same labels"


@pytest.mark.full
def test_at_equal_cost_the_mixture_halves_the_variance_where_the_formula_says_so():
    """A gold label of price 100, rollouts of 1 and cheap labels for nothing: 12 gold rollouts of
    300 against 15.
    """
    rollouts, n, alone, tilt = 300, 12, 15, 0.1
    gold, cheap, between, bias = moments(tilt)
    squared = between**2 / (gold * cheap)
    assert rollouts + n * 100 <= alone * 101
    formula = gold * ((1 - squared) / n + squared / rollouts)
    assert 2 * formula < gold / alone
    assert np.sum(bias**2) > 2 * formula, "cheap labels alone would do, were they many"
    mixture = gradients(2000, rollouts, n / rollouts, cheap=cheap_world(tilt))[0].var(axis=0).sum()
    by_gold = gradients(8000, alone, 1.0)[0].var(axis=0).sum()
    np.testing.assert_allclose(by_gold, gold / alone, rtol=0.05)
    assert 2 * mixture < by_gold
    fixed = gradients(
        3000, rollouts, n / rollouts, cheap=cheap_world(tilt), coefficient=between / cheap
    )[0]
    np.testing.assert_allclose(fixed.var(axis=0).sum(), formula, rtol=0.05)


# Which rollouts are asked.


@pytest.mark.parametrize(
    ("devices", "per_device", "share"), [(1, 16, 0.25), (2, 25, 0.1), (3, 11, 0.35), (4, 3, 0.3)]
)
def test_as_many_rollouts_as_said_have_gold_labels_on_however_many_devices(
    devices, per_device, share
):
    rollouts = devices * per_device
    gold = GoldLabels(integrator(reward=lambda s, a, t: s[0] + 100.0), share)
    numbers = np.arange(rollouts)
    picks = []
    for lanes in numbers.reshape(devices, per_device):
        picked = pick(gold, Rollouts(_episodes(lanes), jnp.asarray(lanes), rollouts))
        real = np.asarray(picked.episodes.alive[:, 0])
        np.testing.assert_array_equal(
            picked.episodes.reward[:, 0], np.where(real, lanes[picked.rows] + 100, 0)
        )
        picks += lanes[np.asarray(picked.rows)[real]].tolist()
    assert len(picks) == len(set(picks)) == gold.count(rollouts)
    assert np.diff(picks, prepend=-1, append=rollouts).max() <= math.ceil(rollouts / len(picks)) + 1


def _episodes(lanes: np.ndarray) -> Trajectory:
    """Two steps, the second not taken; the state is the number."""
    state = np.repeat(lanes.astype(np.float32), 2).reshape(-1, 2, 1)
    alive = np.tile([True, False], (len(lanes), 1))
    return Trajectory(
        state, 0 * state, state, np.zeros(alive.shape, np.float32), ~alive, ~alive, alive
    )


def test_the_source_is_asked_at_no_other_rollout():
    queries = []

    def source(s, a, t):
        jax.debug.callback(lambda state: queries.append(float(state[0])), s)
        return s[0]

    gold = GoldLabels(integrator(reward=source), 0.25)
    pick(gold, Rollouts(_episodes(np.arange(16)), jnp.arange(16), 16))
    jax.effects_barrier()
    assert set(queries) == {3.0, 7.0, 11.0, 15.0}


# Training.

TRUE = integrator()
TILTED = integrator(reward=lambda s, a, t: TRUE.reward(s, a, t) - 2.0 * s[0])
QUICK = dataclasses.replace(SMALL, most_steps=60)


@pytest.fixture(scope="module")
def mixture():
    return imagine_in(TILTED, INITIAL, VISITED, settings=QUICK, label_source=TRUE.reward)


def test_nine_tenths_biased_labels_and_a_tenth_gold_beat_biased_labels_alone(mixture):
    biased = imagine_in(TILTED, INITIAL, VISITED, settings=QUICK)
    idle = mean_return(TRUE, Mode(biased.policy))
    mixture_return = mean_return(TRUE, Mode(mixture.policy))
    assert idle < -5, "the bias does no harm"
    assert mixture_return > -1
    assert biased.training.labels_during_imagination == 0


def test_the_value_is_that_of_the_true_reward(mixture):
    truth, cheap = (
        np.asarray(returns(rollout(world, Mode(mixture.policy), INITIAL, KEYS, 60).reward, 0.9))
        for world in (TRUE, TILTED)
    )
    values = np.asarray(jax.vmap(mixture.value, (0, None))(jnp.asarray(INITIAL), jnp.zeros(())))
    assert np.mean((values - truth) ** 2) < 0.2 * np.mean((values - cheap) ** 2)


def test_every_label_is_counted_and_no_more_than_a_tenth_asked(mixture):
    training = mixture.training
    steps, evaluations = training.step[-1], len(training.step)
    assert training.labels_during_imagination == 6 * (steps * 6 + evaluations * HORIZON + 6)
    for rollouts in (SMALL.rollouts, 2 * EPISODES, UNIT_ROLLOUTS):
        assert round(0.1 * rollouts) == 6
    assert training.labels_during_imagination < 0.1 * training.imagined_steps
    assert Training.from_json(training.to_json()) == training


@pytest.mark.full
def test_labels_after_an_end_are_neither_asked_nor_counted():
    """Episodes end at the edge of the domain: fewer labels than steps."""
    settings = dataclasses.replace(QUICK, most_steps=5, horizon=HORIZON)
    imagined = imagine_in(BOUNDED, INITIAL, VISITED, settings=settings, label_source=BOUNDED.reward)
    assert 0 < imagined.training.labels_during_imagination < 6 * HORIZON * (5 + 1 + 1)


def test_gold_labels_on_everything_are_training_on_the_true_reward():
    settings = dataclasses.replace(QUICK, most_steps=5)
    plain = imagine_in(TRUE, INITIAL, VISITED, settings=settings)
    gold = imagine_in(
        TILTED, INITIAL, VISITED, settings=settings, label_source=TRUE.reward, gold_share=1.0
    )
    for a, b in zip(jax.tree.leaves(plain.policy), jax.tree.leaves(gold.policy), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.full
def test_on_the_pendulum_too():
    """Cheap labels that pay for speed make a policy spin; with a tenth of gold ones it learns the
    task.
    """
    world = pendulum(0.95)
    random = np.random.default_rng(0)
    angle, speed = random.uniform(-np.pi, np.pi, 2000), random.uniform(-8, 8, 2000)
    states = np.stack([np.cos(angle), np.sin(angle), speed], axis=1).astype(np.float32)
    initial = np.where(np.abs(speed)[:, None] <= 1, states, states[np.argmin(np.abs(speed))])
    cheap = world.replace(reward=lambda s, a, t: world.reward(s, a, t) + 0.3 * t[2] ** 2)
    settings = ImagineSettings(rollouts=256, most_steps=300, patience=10)
    keys = jax.random.split(jax.random.key(1), 100)

    def score(trained, source=None):
        imagined = imagine_in(
            trained, initial, states, worst_reward=-17.0, settings=settings, label_source=source
        )
        episodes = rollout(world, Mode(imagined.policy), initial[:100], keys, 200)
        return float(np.mean(returns(episodes.reward, 1.0)))

    biased, mixture = score(cheap), score(cheap, world.reward)
    assert mixture > biased + 300


# Noise.


def test_label_noise_moves_gradients_and_not_what_evaluations_see():
    """At a rate that moves nothing but biases that start at 0."""
    still = dataclasses.replace(QUICK, most_steps=5, rates=(1e-12,))
    clean, noisy = (
        imagine_in(TRUE, INITIAL, VISITED, settings=still, label_noise=noise)
        for noise in (None, GaussianNoise(2.0))
    )
    assert noisy.training == clean.training
    assert not np.array_equal(noisy.policy.network.biases[0], clean.policy.network.biases[0])


def test_noise_is_on_the_worlds_reward_and_not_on_the_price_of_leaving():
    """Flips of a reward of two values: with a price on top a label is one of the two, plus the
    price.
    """
    world = BOUNDED.replace(reward=lambda s, a, t: (t[0] > 0).astype(float))
    keys, of_labels = jax.random.split(jax.random.key(4), (2, 64))
    caught = EndAtEdge()(world, DATA, RecordedRewards(least=-3.0))
    policy = Deterministic(lambda s: 0.4 * jnp.sign(s))
    starts = jnp.asarray(np.random.default_rng(1).uniform(-1.4, 1.4, (64, 1)).astype(np.float32))
    episodes = unroll(caught, policy, starts, keys, HORIZON)
    noisy = with_noise(Flips(0.0, 1.0, 0.4), world, episodes, of_labels)
    moved = np.asarray(noisy.reward - episodes.reward)
    alive = np.asarray(episodes.alive)
    paid = np.asarray(
        jax.vmap(jax.vmap(world.reward))(episodes.state, episodes.action, episodes.next_state)
    )
    assert (moved[~alive] == 0).all()
    np.testing.assert_allclose(moved[alive] * (moved[alive] - (1 - 2 * paid[alive])), 0, atol=1e-4)
    assert 0.3 < (moved[alive] != 0).mean() < 0.5


# Refused, and devices.


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5, 0.02])
def test_shares_that_cannot_be_had_are_refused(share):
    with pytest.raises(checks.BadArgument, match="gold"):
        imagine_in(
            TRUE, INITIAL, VISITED, settings=QUICK, label_source=TRUE.reward, gold_share=share
        )


def test_a_small_share_of_many_rollouts_is_enough():
    """Of the 64 rollouts for units, and of those of an evaluation, it takes the least number."""
    settings = dataclasses.replace(QUICK, most_steps=5, rollouts=160)
    imagined = imagine_in(
        TRUE, INITIAL, VISITED, settings=settings, label_source=TRUE.reward, gold_share=0.02
    )
    steps, evaluations = imagined.training.step[-1], len(imagined.training.step)
    labels = 3 * (steps * settings.horizon + evaluations * HORIZON + settings.horizon)
    assert imagined.training.labels_during_imagination == labels


TRAIN = """
import dataclasses, json, jax
from tests.imagination.test_gradient_estimators import INITIAL, QUICK, TILTED, TRUE, VISITED
from tests.imagination.imagining import imagine_in
settings = dataclasses.replace(QUICK, most_steps=5, rollouts=50)
imagined = imagine_in(TILTED, INITIAL, VISITED, settings=settings, label_source=TRUE.reward)
numbers = [imagined.training.labels_during_imagination, imagined.training.imagined_return]
print(json.dumps([jax.local_device_count(), *numbers]))
"""


@pytest.mark.full
def test_the_number_of_devices_changes_neither_labels_nor_returns():
    on_one, on_two = (_on_devices(count, TRAIN) for count in (1, 2))
    assert (on_one[0], on_two[0], on_one[1]) == (1, 2, on_two[1])
    np.testing.assert_allclose(on_one[2], on_two[2], rtol=1e-3)
