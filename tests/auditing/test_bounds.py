"""The bounds that an audit reports of a learned world: proven where they can be, estimates where
they cannot.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.auditing.bounds import discounted_contraction, some_of
from paracosm.core.mdp import MDP, Box, Domain, Spec, never
from paracosm.core.networks import MLP
from paracosm.core.policy import Deterministic, initial_policy
from paracosm.core.precision import in_double
from paracosm.core.records import Bracket, Diagnosis
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
    diagnosis = audit(*networks)
    assert {certificate.rung for certificate in diagnosis.certificates} - {"minimum"} == RUNGS
    gap = abs(diagnosis.gap.total.mean)
    assert gap > 0
    for certificate in diagnosis.certificates:
        assert certificate.kind == "certificate"
        assert certificate.value >= gap
        assert certificate.slack == pytest.approx(certificate.value / gap)
    assert all(bracket.kind == "certificate" for bracket in diagnosis.lipschitz.values())
    assert all(bracket.lower <= bracket.upper for bracket in diagnosis.lipschitz.values())
    expected = diagnosis.discount * diagnosis.lipschitz["closed_loop"].upper
    assert diagnosis.contraction.upper == pytest.approx(expected)
    assert Diagnosis.from_json(diagnosis.to_json()) == diagnosis


@pytest.mark.full
@pytest.mark.usefixtures("loose_bounds")
def test_a_world_of_unknown_layers_gets_estimates(networks):
    world, policy, episodes = networks
    hidden = world.replace(reward=lambda s, a, t: jnp.sin(world.reward(s, a, t)))
    diagnosis = audit(hidden, policy, episodes)
    assert diagnosis.lipschitz["reward"].kind == "estimate"
    assert {certificate.kind for certificate in diagnosis.certificates} == {"estimate"}


@pytest.mark.usefixtures("loose_bounds")
def test_where_ends_can_differ_bounds_are_finite_and_estimates():
    with jax.enable_x64(True):
        case = Case("ending", 3)
    diagnosis = audit(case.world, case.policy, case.episodes)
    assert all(np.isfinite(certificate.value) for certificate in diagnosis.certificates)
    assert all(
        certificate.kind == "estimate" and "range that was recorded" in certificate.why
        for certificate in diagnosis.certificates
    )
    assert not any(
        "proven constants" in certificate.why or "it bounds" in certificate.why
        for certificate in diagnosis.certificates
    )
    assert all(
        certificate.value >= abs(diagnosis.gap.total.mean) for certificate in diagnosis.certificates
    )


def test_bounds_can_be_left_out(networks):
    diagnosis = audit(*networks, certify=False)
    assert (diagnosis.certificates, diagnosis.lipschitz, diagnosis.contraction) == ((), {}, None)


@pytest.mark.parametrize("count", [1, 511, 512, 1000, 1023, 5000])
def test_lower_ends_are_looked_for_all_over_the_visited_states(count):
    states = some_of(np.arange(float(count))[:, None])[:, 0]
    assert len(states) == min(count, 512)
    assert (states[0], states[-1]) == (0, count - 1)
    assert (np.diff(states) <= count / 511 + 1).all()


def test_at_a_discount_of_0_everything_contracts():
    unbounded = Bracket(0.5, np.inf, "estimate", "no layers")
    assert discounted_contraction(0.0, unbounded) == Bracket(0.0, 0.0, "estimate", "no layers")
    assert discounted_contraction(0.5, unbounded).upper == np.inf
