"""Where the truth is known: scarce labels make the reward model the culprit, scarce transitions the dynamics model."""

import jax
import jax.numpy as jnp
import pytest

from paracosm.auditing.audit import audit
from paracosm.auditing.verdict import CAUSES, LEARNED, culprit
from paracosm.core.policy import Deterministic
from paracosm.imagination.imagine import imagine
from paracosm.learning.learn import learn
from paracosm.real.systems import lipschitz_synthetic, pendulum
from paracosm.real.verbs import collect, evaluate

PENDULUM = pendulum(0.97)
# For a trained policy the pendulum will not do: 300 transitions teach it so well that the gap is 0.1% of the return.
SMOOTH = lipschitz_synthetic(jax.random.key(0), dynamics=0.95, discount=0.95)[0]
each = pytest.mark.parametrize(("transitions", "labels", "part"), [(5000, 100, "reward"), (300, 5000, "dynamics")])


def damp(state):
    """Brake the swing."""
    return 2 * jnp.tanh(-state[2:] / 2)


def world_of(system, transitions, labels):
    data = collect(system, 5000, seed=0).buy(transitions, labels, seed=0)
    return data, learn(data, system.spec, seed=0, discount=system.discount)


@each
def test_the_scarce_part_is_named_for_a_fixed_policy(transitions, labels, part):
    world = world_of(PENDULUM, transitions, labels)[1].world
    found = audit(
        world, Deterministic(damp), evaluate(PENDULUM, Deterministic(damp), episodes=30, horizon=100), certify=False
    )
    assert culprit(found.gap_training) == part
    assert CAUSES[part] in found.verdict


@pytest.mark.full
@each
def test_the_scarce_part_is_named_for_a_policy_trained_in_imagination(transitions, labels, part):
    """Of the learned parts: the edge of the data, a matter of training, may weigh more."""
    data, learned = world_of(SMOOTH, transitions, labels)
    imagined = imagine(learned, data, seed=0)
    found = audit(
        learned.world, imagined.policy, evaluate(SMOOTH, imagined.policy, episodes=50), imagined, certify=False
    )
    assert culprit(found.gap_training, LEARNED) == part
    assert CAUSES[part] in found.verdict
