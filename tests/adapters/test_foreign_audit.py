"""A PyTorch copy of a learned JAX world, and a NumPy one, get the same audit."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from paracosm import adapters as foreign
from paracosm.core.data import Dataset, Trajectory
from paracosm.core.mdp import MDP, Box, Domain, Spec, never
from paracosm.core.networks import MLP
from paracosm.core.policy import Deterministic, initial_policy
from paracosm.core.rollout import rollout
from paracosm.learning.parts import LearnedDynamics, LearnedReward, LearnedTermination
from paracosm.loop.auditing import audit
from paracosm.real.systems import pendulum
from paracosm.real.verbs import evaluate

MEMBERS = 3


def learned(width=16):
    """A world of ensembles as `learn` makes them, of the pendulum's sizes, with random weights; and
    a policy.
    """
    system = pendulum(0.95)
    spec, keys = system.spec, jax.random.split(jax.random.key(0), 4)

    def networks(key, inputs, outputs):
        center, scale = jnp.linspace(-0.1, 0.1, inputs), jnp.linspace(1, 3, inputs)
        build = jax.vmap(
            lambda key: MLP(inputs, outputs, width, 2, key, center=center, scale=scale)
        )
        return build(jax.random.split(key, MEMBERS))

    domain = Domain(jnp.array([-1.0, -1.0, -4.0]), jnp.array([1.0, 1.0, 4.0]))
    center, scale = jnp.array([0.0, 0.0, 0.1]), jnp.array([0.1, 0.1, 0.8])
    dynamics = LearnedDynamics(networks(keys[0], 4, 3), spec.action, center, scale, domain)
    reward = LearnedReward(networks(keys[1], 7, 1), spec.action, jnp.array(-3.0), jnp.array(2.0))
    ends = networks(keys[2], 7, 1)
    ends = eqx.tree_at(
        lambda net: net.biases[-1], ends, replace_fn=lambda bias: bias - 0.4
    )  # now and then
    world = MDP(spec, dynamics, reward, LearnedTermination(ends, spec.action), system.initial, 0.95)
    return world, initial_policy(spec, keys[3])


class Ensemble(torch.nn.Module):
    """The mean of stacked networks."""

    def __init__(self, networks, box):
        super().__init__()
        arrays = jax.tree.map(lambda x: torch.tensor(np.asarray(x, np.float32)), networks)
        self.weights, self.biases = (
            torch.nn.ParameterList(arrays.weights),
            torch.nn.ParameterList(arrays.biases),
        )
        self.register_buffer("center", arrays.center)
        self.register_buffer("scale", arrays.scale)
        self.register_buffer("low", torch.tensor(np.asarray(box.low)))
        self.register_buffer("high", torch.tensor(np.asarray(box.high)))

    def forward(self, s, a, *n):
        a = (2 * a - (self.high + self.low)) / (self.high - self.low)
        x = (torch.cat([s, a, *n], 1) - self.center[:, None]) / self.scale[:, None]
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = (torch.tanh(x) if i else x) @ weight + bias[:, None]
        return x.mean(0)


class Dynamics(torch.nn.Module):
    def __init__(self, part):
        super().__init__()
        self.net = Ensemble(part.networks, part.space)
        for name in ("center", "scale"):
            self.register_buffer(name, torch.tensor(np.asarray(getattr(part, name))))
        self.register_buffer("lowest", torch.tensor(np.asarray(part.domain.low)))
        self.register_buffer("highest", torch.tensor(np.asarray(part.domain.high)))

    def forward(self, s, a):
        return torch.clamp(s + self.center + self.scale * self.net(s, a), self.lowest, self.highest)


class Reward(torch.nn.Module):
    def __init__(self, part):
        super().__init__()
        self.net, self.center, self.scale = (
            Ensemble(part.networks, part.space),
            float(part.center),
            float(part.scale),
        )

    def forward(self, s, a, n):
        return self.center + self.scale * self.net(s, a, n)


def copied(world):
    """`world` with every part in torch."""
    return foreign.world(
        world.spec,
        dynamics=Dynamics(world.dynamics),
        reward=Reward(world.reward),
        termination=Ensemble(world.termination.networks, world.termination.space),
        discount=world.discount,
    )


def same(diagnosis, expected, tolerance):
    """Every number of the two audits' causes and of what is beside them."""
    for name in ("gap", "causes", "real_return", "imagined_return", "baselines", "overlays"):
        pairs = zip(
            *(jax.tree.leaves(_tree(getattr(record, name))) for record in (diagnosis, expected)),
            strict=True,
        )
        for leaf, expected_leaf in pairs:
            assert (
                leaf == expected_leaf
                if isinstance(leaf, str)
                else leaf == pytest.approx(expected_leaf, rel=tolerance, abs=tolerance)
            )
    assert diagnosis.informative_horizon == expected.informative_horizon


def _tree(value):
    plain = value.to_dict() if hasattr(value, "to_dict") else value
    if isinstance(plain, dict):
        return {key: _tree(item) for key, item in plain.items()}
    return [_tree(item) for item in plain] if isinstance(plain, (tuple, list)) else plain


@pytest.mark.parametrize("certify", [False, pytest.param(True, marks=pytest.mark.full)])
def test_a_pytorch_copy_of_a_learned_world_gets_the_same_audit(certify):
    world, policy = learned()
    episodes = evaluate(pendulum(), policy, episodes=6, horizon=25)
    expected = audit(world, policy, episodes, certify=certify)
    diagnosis = audit(copied(world), policy, episodes, certify=certify)
    assert any(
        abs(getattr(expected.gap, name).mean) > 0.1
        for name in ("reward", "dynamics", "termination")
    )
    same(diagnosis, expected, 1e-5)
    assert diagnosis.closure < 1e-9


def test_the_end_rule_of_the_copy_ends_where_the_learned_one_does():
    world, _ = learned()
    states = jax.random.normal(jax.random.key(5), (200, 7)) * 2
    state, action, after = states[:, :3], states[:, 3:4], states[:, 4:]
    ends = [jax.vmap(model.termination)(state, action, after) for model in (world, copied(world))]
    assert 0 < ends[0].sum() < 200
    np.testing.assert_array_equal(*ends)


def test_parts_of_three_kinds_in_one_world():
    world, policy = learned()

    def reward(s, a, n):
        return np.cos(s[:, 0]) - n[:, 2] ** 2 / 9 + a[:, 0]

    def in_jax(s, a, n):
        return jnp.cos(s[0]) - n[2] ** 2 / 9 + a[0]

    mixed = copied(world).replace(
        reward=foreign.world(world.spec, dynamics=lambda s, a: s, reward=reward).reward,
        termination=world.termination,
    )
    keys = jax.random.split(jax.random.key(1), 4)
    start = jax.vmap(world.initial)(keys)
    imagined, expected = (
        rollout(model, policy, start, keys, 10) for model in (mixed, world.replace(reward=in_jax))
    )
    jax.tree.map(
        lambda *x: np.testing.assert_allclose(*x, rtol=1e-4, atol=1e-5), imagined, expected
    )


def test_recorded_episodes_come_back_from_a_data_set():
    _, policy = learned()
    ending = pendulum().replace(termination=lambda s, a, n: n[2] > 2.0)
    episodes = evaluate(ending, policy, episodes=6, horizon=25)
    assert len(set(episodes.alive.sum(axis=1))) > 1
    trajectory = foreign.trajectory(Dataset.from_trajectory(episodes))
    assert isinstance(trajectory, Trajectory)
    longest = trajectory.alive.shape[1]
    assert trajectory.carry is episodes.carry is None
    for field in dataclasses.fields(Trajectory)[:-1]:
        restored, recorded = (
            getattr(trajectory, field.name),
            getattr(episodes, field.name)[:, :longest],
        )
        if field.name in ("action", "next_state"):  # after the end they are nothing
            restored, recorded = restored[trajectory.alive], recorded[trajectory.alive]
        np.testing.assert_array_equal(restored, recorded, err_msg=field.name)


@pytest.mark.full
def test_a_world_too_wide_for_dense_derivatives_is_audited_by_reverse_mode():
    """150 components that decay, and an action moves the first; the model believes in another decay
    of that one.
    """
    size = 150
    spec = Spec(size, Box(-jnp.ones(1), jnp.ones(1)), jnp.ones(size), 5)
    push = np.eye(1, size)[0]

    def world_of(decay, make):
        return make(
            spec, dynamics=lambda s, a: decay * s + a * push, reward=lambda n: n.mean(axis=1)
        )

    def real(spec, *, dynamics, reward):
        def step(state, action, key):
            return jnp.asarray(0.9 * state + action * push)

        def paid(state, action, after):
            return jnp.mean(after)

        return MDP(spec, step, paid, never, lambda key: jax.random.normal(key, (size,)), 0.9)

    system, policy = world_of(0.9, real), Deterministic(lambda s: -0.1 * s[:1])
    episodes = evaluate(system, policy, episodes=3)
    decay = np.full(size, 0.9)
    decay[0] = 0.5
    world = world_of(
        decay, lambda spec, **parts: foreign.world(spec, **parts, reward_of="s'", discount=0.9)
    )
    diagnosis = audit(world, policy, episodes, certify=True)
    terms = diagnosis.dynamics_by_dimension.dimensions
    assert terms[0].mean == pytest.approx(diagnosis.gap.dynamics.mean, rel=1e-5)
    assert max(abs(term.mean) for term in terms[1:]) < 1e-6 * abs(terms[0].mean)
    assert diagnosis.lipschitz["dynamics"].lower == pytest.approx(1, rel=1e-4)
    assert {weights.origin.split(":")[0] for weights in diagnosis.weights} == {
        "realised",
        "steepest",
    }
