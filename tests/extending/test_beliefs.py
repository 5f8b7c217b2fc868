"""The audit's identity on beliefs, whatever makes them: windows, Kalman filters, recurrent nets."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core.data import Trajectory
from paracosm.core.encoder import Encoder, Window, belief_size
from paracosm.core.mdp import MDP, Box, Spec, never
from paracosm.core.policy import Deterministic
from paracosm.core.precision import in_double
from paracosm.core.rollout import unroll
from paracosm.loop.auditing import audit

STATES, SHOWN, HORIZON = 3, 2, 12
ACTIONS = Box(-jnp.ones(1), jnp.ones(1))
SYSTEMS = 67  # of each kind, where the claim is made


class Linear(eqx.Module):
    """`tanh(A s + B a)`, paid by `c s'`; the world on beliefs is one of another size."""

    A: jax.Array
    B: jax.Array
    c: jax.Array

    def dynamics(self, state, action, key):
        return jnp.tanh(self.A @ state + self.B @ action)

    def reward(self, state, action, after):
        return self.c @ after


class Partly(Encoder):
    """Shows the first components of the observation to another encoder."""

    inner: Encoder

    def initial(self, observation):
        return self.inner.initial(observation[:SHOWN])

    def update(self, state, action, observation):
        return self.inner.update(state, action, observation[:SHOWN])


class Kalman(Encoder):
    """`z' = A z + B a + K (o' - C (A z + B a))` with the gain of its own stationary filter."""

    A: jax.Array
    B: jax.Array
    K: jax.Array

    def initial(self, observation):
        return jnp.concatenate([observation, jnp.zeros(STATES - SHOWN)])

    def update(self, state, action, observation):
        before = self.A @ state + self.B @ action
        return before + self.K @ (observation - before[:SHOWN])


class Recurrent(Encoder):
    """`z' = tanh(W z + V a + U o')`."""

    W: jax.Array
    V: jax.Array
    U: jax.Array

    def initial(self, observation):
        return jnp.tanh(self.U @ observation)

    def update(self, state, action, observation):
        return jnp.tanh(self.W @ state + self.V @ action + self.U @ observation)


class Tanh(eqx.Module):
    """A policy of beliefs."""

    K: jax.Array

    def __call__(self, state):
        return jnp.tanh(self.K @ state)


def encoder_of(kind: str, real: Linear, normal) -> Encoder:
    if kind == "window":
        return Window(3, ACTIONS)
    if kind == "recurrent":
        return Recurrent(normal(5, 5), normal(5, 1), normal(5, SHOWN))
    A, C, spread = np.asarray(real.A), np.eye(STATES)[:SHOWN], np.eye(STATES)
    for _ in range(50):
        ahead = A @ spread @ A.T + 0.1 * np.eye(STATES)
        gain = ahead @ C.T @ np.linalg.inv(C @ ahead @ C.T + 0.1 * np.eye(SHOWN))
        spread = (np.eye(STATES) - gain @ C) @ ahead
    return Kalman(real.A, real.B, jnp.asarray(gain, jnp.float32))


def system(kind: str, number: int):
    """A real system, an encoder, and a world and a policy on its beliefs, all drawn."""
    random = np.random.default_rng([number, len(kind)])

    def normal(*shape):
        return jnp.asarray(random.normal(size=shape) / np.sqrt(shape[-1]), jnp.float32)

    def mdp(part: Linear, size: int) -> MDP:
        return MDP(
            spec=Spec(size, ACTIONS, jnp.ones(size), HORIZON),
            dynamics=part.dynamics,
            reward=part.reward,
            termination=never,
            initial=Start(size),
            discount=0.9,
        )

    real = Linear(normal(STATES, STATES), normal(STATES, 1), normal(STATES))
    encoder = Partly(encoder_of(kind, real, normal))
    size = belief_size(encoder, STATES, ACTIONS)
    learned = Linear(normal(size, size), normal(size, 1), normal(size))
    policy = Deterministic(Tanh(normal(1, size)))
    return mdp(real, STATES), encoder, mdp(learned, size), policy


class Start(eqx.Module):
    """A random first state."""

    size: int = eqx.field(static=True)

    def __call__(self, key):
        return jax.random.normal(key, (self.size,))


class Both(eqx.Module):
    """The real system with the belief of it as one state, and a policy that sees the belief."""

    real: MDP
    encoder: Encoder
    policy: Deterministic

    def dynamics(self, state, action, key):
        after = self.real.dynamics(state[:STATES], action, key)
        return jnp.concatenate([after, self.encoder.update(state[STATES:], action, after)])

    def reward(self, state, action, after):
        return self.real.reward(state[:STATES], action, after[:STATES])

    def __call__(self, state):
        return self.policy.mode(state[STATES:])


@eqx.filter_jit
def played(real: MDP, encoder: Encoder, policy: Deterministic) -> Trajectory:
    """Real episodes of beliefs, in 64 bits: in 32 the recorded action is the policy's to 1e-8."""
    joint = Both(real, encoder, policy)
    first = jax.vmap(real.initial)(jax.random.split(jax.random.key(0), 2))
    first = jnp.concatenate([first, jax.vmap(encoder.initial)(first)], axis=1)
    spec = Spec(first.shape[1], ACTIONS, jnp.ones(first.shape[1]), HORIZON)
    world = MDP(spec, joint.dynamics, joint.reward, never, real.initial, 1.0)
    keys = jax.random.split(jax.random.key(1), 2)
    episodes = unroll(world, Deterministic(joint), first, keys, HORIZON)
    beliefs = {name: getattr(episodes, name)[..., STATES:] for name in ("state", "next_state")}
    return dataclasses.replace(episodes, **beliefs)


@pytest.mark.parametrize("kind", ["window", "kalman", "recurrent"])
def test_the_terms_sum_to_the_gap_on_beliefs(kind, request):
    full = request.config.getoption("markexpr") != "not full"
    for number in range(SYSTEMS if full else 1):
        real, encoder, world, policy = system(kind, number)
        with jax.enable_x64(True):
            episodes = played(*in_double((real, encoder, policy)))
        diagnosis = audit(world, policy, episodes, certify=False, dimensions=False)
        assert diagnosis.closure < 1e-9
        assert abs(diagnosis.gap.total.mean) > 1e-6
        assert diagnosis.dynamics_by_dimension.dimensions == ()
        assert diagnosis.dynamics_by_dimension.remainder.mean == pytest.approx(
            diagnosis.gap.dynamics.mean
        )
