"""What a finished run knows that a plan needs: measured once, kept, and the routes to the weights
told apart.
"""

from __future__ import annotations

import dataclasses
import json

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import paracosm
from paracosm import testing
from paracosm.core import checks
from paracosm.core.policy import Deterministic
from paracosm.learning.curves import HELD_OUT, VISITED, Refit
from paracosm.loop import measuring
from paracosm.loop.measuring import episode_deviation, gradient_noise_of_run, measure
from tests.loop.small import LEARN, small_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "pendulum"
    small_run(out, cost_reward=3.0, reward_labels=210, transitions=220, horizon=25)
    return out


@pytest.fixture(scope="module")
def measurements(run):
    return measure(run)


def test_a_run_says_where_its_world_was_fitted_otherwise_than_the_curves(run, measurements):
    config = paracosm.load(run).config
    assert config.learner != "pathwise"
    assert measuring._OTHER_FITS not in measurements.warnings
    assert measuring._other_fits(config) == ()
    pathwise = dataclasses.replace(config, learner="pathwise")
    assert measuring._other_fits(pathwise) == (measuring._OTHER_FITS,)


def test_curves_are_of_the_policys_states_with_those_of_the_collected_ones_beside(measurements):
    for part, most in (("dynamics", 176), ("reward", 168)):
        for curve, states in (
            (measurements.curves[part], VISITED),
            (measurements.collected[part], HELD_OUT),
        ):
            assert (curve.part, curve.states) == (part, states)
            largest = max(anchor.samples for anchor in curve.anchors)
            assert largest == pytest.approx(
                most, rel=0.15
            )  # whole stretches are held out, about a fifth of the rows
    assert measurements.owned == {"dynamics": 220, "reward": 210}
    assert (measurements.cost_dynamics, measurements.cost_reward) == (1.0, 3.0)


def test_the_runs_own_settings_are_used(run):
    assert paracosm.load(run).config.learn == LEARN


@pytest.mark.full
@pytest.mark.usefixtures("loose_bounds")
def test_every_route_can_go_first_and_none_is_lost(run, measurements):
    origins = [route.origin.split(":")[0] for route in measurements.weights]
    assert origins == ["realised", "steepest", "fitted"]
    assert measure(run, weights="fitted").weights[0] == measurements.weights[2]
    routes = measure(run, weights="global").weights
    assert [route.origin.split(":")[0] for route in routes] == ["global", *origins]
    horizon = paracosm.load(run).episodes.alive.shape[1]
    assert routes[0].reward == pytest.approx((1 - 0.95**horizon) / 0.05)
    assert (
        routes[0].dynamics > routes[2].dynamics
    )  # a bound is above what no direction of error exceeds


def test_an_episodes_deviation_is_what_imagination_leaves_of_it(run):
    loaded = paracosm.load(run)
    returns = loaded.episodes.reward @ 0.9 ** np.arange(loaded.episodes.alive.shape[1])
    help = paracosm.assisted_return(
        loaded.world, loaded.policy, loaded.source(), loaded.episodes, discount=0.9
    )
    expected = np.std(returns, ddof=1) * np.sqrt(help.factor)
    assert episode_deviation(run, 0.9) == pytest.approx(expected)


def test_equal_returns_do_not_tell_how_many_episodes_are_needed(run, monkeypatch):
    loaded = paracosm.load(run)
    ones = np.ones_like(loaded.episodes.reward)
    equal = dataclasses.replace(loaded.episodes, reward=ones)
    monkeypatch.setitem(vars(loaded), "episodes", equal)
    monkeypatch.setattr(measuring, "load", lambda *path, **trust: loaded)
    with pytest.raises(checks.BadData, match="had one and the same return"):
        episode_deviation(run, 0.9)


def test_it_is_measured_once(run, measurements, monkeypatch):
    monkeypatch.setattr(
        measuring, "learning_curve", lambda *arguments, **options: pytest.fail("measured again")
    )
    assert measure(run) == measurements


def test_fitted_weights_are_terms_over_errors(run, measurements):
    """Of a reward that misses by a constant everywhere, the term is that constant's
    discounted sum.
    """
    loaded = paracosm.load(run)
    world, horizon = loaded.world, loaded.episodes.alive.shape[1]

    def off(by):
        part = eqx.tree_at(lambda part: part.center, world.reward, world.reward.center + by)
        return Refit(1, 0, part, {HELD_OUT: 0.0, VISITED: abs(by)})

    refits = {
        "reward": [off(1e6), off(-1e6)],
        "dynamics": [Refit(1, 0, world.dynamics, {VISITED: 1.0})],
    }
    weights = measuring.fitted_weights(world, loaded.policy, loaded.episodes, refits)
    assert weights.reward == pytest.approx((1 - 0.95**horizon) / 0.05, rel=1e-4)


def test_a_policy_that_acts_otherwise_in_64_bits_is_named_as_one():
    """It was taken for another policy than the one that recorded the episodes."""
    toy = testing.walk()
    turns = Deterministic(lambda state: jnp.full(1, 0.5 if state.dtype == np.float32 else -0.5))
    episodes = paracosm.evaluate(toy.world, turns, episodes=3)
    refits = {"reward": [Refit(1, 0, toy.world.reward, {VISITED: 1.0})]}
    with pytest.raises(checks.BadData, match=r"in 64 bits, .* the policy acts otherwise"):
        measuring.fitted_weights(toy.world, turns, episodes, refits)


def test_two_short_episodes_do_not_tell_where_to_buy(measurements):
    assert measurements.regions is None
    beginning = "Where to buy is not known: the policy's 50 recorded steps start in"
    assert any(warning.startswith(beginning) for warning in measurements.warnings)


def test_more_episodes_tell_where_to_buy(run):
    loaded = paracosm.load(run)
    more = loaded.source().evaluate(loaded.policy, episodes=8)
    loaded.__dict__["episodes"] = more  # in place of those that were recorded
    regions, warnings = measuring.regions_of_run(loaded)
    assert regions is not None
    assert (regions.episodes, regions.discount, warnings) == (8, loaded.world.discount, ())
    assert sum(row.steps for row in regions.regions) == more.alive.sum()
    counted = sum(row.owned for row in regions.regions) + regions.elsewhere
    assert counted == len(loaded.data.transitions)


def test_gradient_noise_is_of_the_policys_training(run):
    noise = gradient_noise_of_run(run)
    assert (noise.weighting, noise.horizon) == ("plain", 10)
    assert 0 < noise.coefficient.mean < noise.bound
    assert noise.intrinsic.low > 0


def test_a_part_that_was_not_learned_is_refused(run, tmp_path):
    out = tmp_path / "known"
    small_run(out, reward="tests.loop.small:known_reward", transitions=220, horizon=25)
    with pytest.raises(checks.BadData, match="the run's reward is known, not learned"):
        measure(out, trust=True)


def test_weights_that_a_run_has_not_are_refused_with_those_that_it_has(run, measurements):
    file = run / measuring.FILE
    file.write_text(dataclasses.replace(measurements, weights=measurements.weights[:1]).to_json())
    with pytest.raises(checks.BadData, match="audit has no fitted weights; there are realised"):
        measure(run, weights="fitted")
    file.write_text(measurements.to_json())


def test_a_damaged_record_is_one_sentence(run, measurements):
    file = run / measuring.FILE
    file.write_text(
        json.dumps({**dataclasses.asdict(measurements), "weights": 1, "more": 2}, default=str)
    )
    with pytest.raises(
        checks.BadData, match=r"measured\.json is damaged or .* the fields of a Measurements are"
    ):
        measure(run)
    file.write_text(measurements.to_json())
