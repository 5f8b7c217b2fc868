"""The bounds that an audit reports of a learned world: proven where they can be, estimates where
they cannot.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core.mdp import MDP, Box, Domain, Spec, never
from paracosm.core.networks import MLP
from paracosm.core.policy import Deterministic, initial_policy
from paracosm.core.precision import in_double
from paracosm.core.records import Diagnosis
from paracosm.core.rollout import rollout
from paracosm.learning.parts import LearnedDynamics, LearnedReward
from paracosm.loop.auditing import audit
from paracosm.real.systems import Cube
from tests.auditing.worlds import Case, Shifted

RUNGS = {"global", "split", "closed_loop", "mean_error", "trajectory", "value"}
STATES, ACTIONS, HORIZON = 3, 2, 15


def stacked(inputs, outputs, key):
    return jax.vmap(lambda key: MLP(inputs, outputs, 8, 1, key, last=0.3))(jax.random.split(key, 2))


@pytest.fixture(scope="module")
def networks():
    """Real and learned worlds of the shape that `learn` gives, the one a little off the other;
    episodes of the real.
    """
    keys = jax.random.split(jax.random.key(0), 5)
    space, ones = Box(-jnp.ones(ACTIONS), jnp.ones(ACTIONS)), jnp.ones(STATES)
    domain = Domain(-3 * ones, 3 * ones)
    dynamics = LearnedDynamics(
        stacked(STATES + ACTIONS, STATES, keys[0]), space, 0 * ones, 0.3 * ones, domain
    )
    reward = LearnedReward(
        stacked(2 * STATES + ACTIONS, 1, keys[1]), space, jnp.zeros(()), jnp.ones(())
    )
    spec = Spec(STATES, space, 0.5 * ones, HORIZON)
    world = MDP(spec, dynamics, reward, never, Cube(-ones, ones), 0.9, domain)
    policy = initial_policy(spec, keys[2])
    with jax.enable_x64(True):
        world, policy = in_double((world, policy))
        real = world.replace(dynamics=Shifted(world.dynamics, np.full(STATES, 0.01)))
        starts = jax.vmap(real.initial)(jax.random.split(keys[3], 4))
        mode = Deterministic(policy.mode)
        lived = rollout(real, mode, starts, jax.random.split(keys[4], 4), HORIZON)
    return world, policy, jax.tree.map(np.asarray, lived)


@pytest.mark.usefixtures("loose_bounds")
def test_a_learned_world_gets_certificates_that_hold(networks):
    found = audit(*networks)
    assert {each.rung for each in found.certificates} - {"minimum"} == RUNGS
    gap = abs(found.gap.total.mean)
    assert gap > 0
    for each in found.certificates:
        assert each.kind == "certificate"
        assert each.value >= gap
        assert each.slack == pytest.approx(each.value / gap)
    assert all(bracket.kind == "certificate" for bracket in found.lipschitz.values())
    assert all(bracket.lower <= bracket.upper for bracket in found.lipschitz.values())
    expected = found.discount * found.lipschitz["closed_loop"].upper
    assert found.contraction.upper == pytest.approx(expected)
    assert Diagnosis.from_json(found.to_json()) == found


@pytest.mark.usefixtures("loose_bounds")
def test_a_world_of_unknown_layers_gets_estimates(networks):
    world, policy, episodes = networks
    hidden = world.replace(reward=lambda s, a, t: jnp.sin(world.reward(s, a, t)))
    found = audit(hidden, policy, episodes)
    assert found.lipschitz["reward"].kind == "estimate"
    assert {each.kind for each in found.certificates} == {"estimate"}


@pytest.mark.usefixtures("loose_bounds")
def test_where_ends_can_differ_bounds_are_finite_and_estimates():
    with jax.enable_x64(True):
        case = Case("ending", 3)
    found = audit(case.world, case.policy, case.episodes)
    assert all(np.isfinite(each.value) for each in found.certificates)
    assert all(
        each.kind == "estimate" and "range that was recorded" in each.why
        for each in found.certificates
    )
    assert not any(
        "proven constants" in each.why or "it bounds" in each.why for each in found.certificates
    )
    assert all(each.value >= abs(found.gap.total.mean) for each in found.certificates)


def test_bounds_can_be_left_out(networks):
    found = audit(*networks, certify=False)
    assert (found.certificates, found.lipschitz, found.contraction) == ((), {}, None)
