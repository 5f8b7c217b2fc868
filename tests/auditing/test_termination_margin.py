"""Margins of end rules: the slopes are bounds, and they certify ends of learned worlds."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.auditing.termination_margin import margin_of
from paracosm.core.mdp import Discrete
from paracosm.core.networks import MLP
from paracosm.core.precision import in_double
from paracosm.learning.parts import LearnedTermination
from tests.auditing.test_certificates import ACTIONS, LADDER, ROUNDING, SCALE, STATES, Case


def learned_rule(space, key, bias=-1.0):
    """Three members that look at inputs of several sizes."""
    size = 2 * STATES + space.size
    scale = jnp.linspace(0.5, 2.0, size)
    build = lambda key: MLP(size, 1, 8, 2, key, scale=scale)  # noqa: E731
    networks = eqx.filter_vmap(build)(jax.random.split(key, 3))
    networks = eqx.tree_at(lambda nets: nets.biases[-1], networks, replace_fn=lambda b: b + bias)
    return LearnedTermination(networks, space)


def _of_mode(part, policy, state, after):
    return part(state, policy.mode(state), after)


@pytest.mark.parametrize("rules", [4, pytest.param(20, marks=pytest.mark.full)])
def test_the_slopes_bound_the_logits_own(rules):
    case = Case(1)
    for seed in range(rules):
        world = case.world.replace(
            termination=in_double(learned_rule(case.world.spec.action, jax.random.key(seed)))
        )
        margin = margin_of(world, float(case.constants.policy))
        with jax.enable_x64(True):
            mode = partial(_of_mode, margin.function, case.policy)
            s, after = jax.random.normal(jax.random.key(seed), (2, 200, STATES)) * SCALE
            slopes = jax.vmap(jax.grad(mode, (0, 1)))(s, after)
            ends = jax.vmap(partial(_of_mode, world.termination, case.policy))(s, after)
            np.testing.assert_array_equal(ends, jax.vmap(mode)(s, after) > 0)
        steepest = [np.linalg.norm(np.asarray(slope) * SCALE, axis=1).max() for slope in slopes]
        assert 0 < steepest[0] <= margin.state_slope
        assert 0.02 * margin.next_state_slope < steepest[1] <= margin.next_state_slope


def test_other_rules_have_no_margin_and_choices_no_slope():
    case = Case(1)
    assert margin_of(case.world, 1.0) is None
    discrete = eqx.tree_at(lambda world: world.spec.action, case.world, Discrete(ACTIONS + 1))
    discrete = discrete.replace(termination=learned_rule(Discrete(ACTIONS + 1), jax.random.key(0)))
    assert margin_of(discrete, np.inf).state_slope == np.inf


@pytest.mark.parametrize("systems", [3, pytest.param(8, marks=pytest.mark.full)])
def test_ends_of_learned_worlds_are_certified(systems):
    """The learned rule differs a little from the real one; every bound holds, and known margins
    tighten them.
    """
    tighter = 0
    for seed in range(systems):
        case = Case(seed)
        rule = in_double(learned_rule(case.world.spec.action, jax.random.key(seed), -1.5))
        moved = eqx.tree_at(
            lambda rule: rule.networks.biases[-1], rule, replace_fn=lambda b: b + 0.01
        )
        case.real, case.world = (
            case.real.replace(termination=rule),
            case.world.replace(termination=moved),
        )
        case.episodes, case.dreams = case.play(case.real), case.play(case.world)
        case.gap = case.returns(case.episodes) - case.returns(case.dreams)
        settings = {"reward_span": case.span, "clip": case.clip}
        margin = margin_of(case.world, float(case.constants.policy))
        known, blind = case.certify(**settings, end=margin), case.certify(**settings)
        for rung in LADDER:
            assert abs(case.gap.mean()) <= known[rung].value * (1 + ROUNDING)
            assert abs(case.gap.mean()) <= blind[rung].value * (1 + ROUNDING)
        tighter += known["trajectory"].value < 0.9 * blind["trajectory"].value
        unsure = case.certify(**settings, end=margin_of(case.world, np.inf))
        assert unsure["trajectory"].value <= blind["trajectory"].value * (1 + ROUNDING)
    assert tighter >= max(1, systems // 4)
