"""JAX-native real systems: linear-quadratic, pendulum, globally Lipschitz.

Every part works in the precision of its arrays, so that a cast copy runs in 64-bit.
"""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.core import activations, checks
from paracosm.core.layers import Layered, activated, affine, compose
from paracosm.core.mdp import MDP, Box, Spec, never
from paracosm.core.policy import Deterministic
from paracosm.core.types import Array, Flag, PRNGKey, Scalar

_ACTIVATIONS = {"tanh": activations.TANH, "sin": activations.SIN}


class Linear(eqx.Module):
    """Dynamics `s' = As + Ba + b`."""

    A: Float[Array, "state state"]
    B: Float[Array, "state action"]
    b: Float[Array, " state"]

    def __call__(self, state: Array, action: Array, key: PRNGKey) -> Float[Array, " state"]:
        return self.A @ state + self.B @ action + self.b

    def as_layers(self, spec: Spec) -> Layered:
        """`(s, a) ↦ s'`; see `core/layers.py`."""
        return affine(np.concatenate([self.A, self.B], axis=1), self.b)


class Quadratic(eqx.Module):
    """Reward `-sᵀQs - aᵀRa + q·s`."""

    Q: Float[Array, "state state"]
    R: Float[Array, "action action"]
    q: Float[Array, " state"]

    def __call__(self, state: Array, action: Array, next_state: Array) -> Scalar:
        return -state @ self.Q @ state - action @ self.R @ action + self.q @ state


class Gain(eqx.Module):
    """The linear feedback `a = -Ks`."""

    K: Float[Array, "action state"]

    def __call__(self, state: Array) -> Float[Array, " action"]:
        return -self.K @ state

    def as_layers(self, spec: Spec) -> Layered:
        """`s ↦ a`; see `core/layers.py`."""
        return affine(-np.asarray(self.K))


class Sphere(eqx.Module):
    """Starts uniform on the unit sphere around `center`."""

    center: Float[Array, " state"]

    def __call__(self, key: PRNGKey) -> Float[Array, " state"]:
        direction = jax.random.normal(key, self.center.shape, self.center.dtype)
        return self.center + direction / jnp.linalg.norm(direction)


class Cube(eqx.Module):
    """Starts uniform between `low` and `high`."""

    low: Float[Array, " state"]
    high: Float[Array, " state"]

    def __call__(self, key: PRNGKey) -> Float[Array, " state"]:
        return jax.random.uniform(key, self.low.shape, self.low.dtype, self.low, self.high)


def linear_quadratic(
    key: PRNGKey,
    *,
    state_size: int = 4,
    action_size: int = 2,
    norms: tuple[float, float, float] = (0.2, 0.2, 0.38),
    discount: float = 0.8,
    horizon: int = 200,
) -> tuple[MDP, Deterministic]:
    """A random linear-quadratic system and a linear policy for it.

    `A`, `B` and `K` are standard normal, scaled to spectral norms; `s' = As + Ba`, `π(s) = -Ks`,
    `r = -sᵀs - 0.1 aᵀa`, starts of unit norm. With the defaults actions stay within the box [-1, 1]
    of `spec`, which the dynamics do not enforce, and `γ(‖A‖ + ‖B‖‖K‖) = 0.22`.

    Args:
        key: the key of the three matrices.
        state_size, action_size: numbers of components.
        norms: the spectral norms `‖A‖`, `‖B‖` and `‖K‖`.
        discount, horizon: those of the MDP; the horizon in steps.
    """
    shapes = ((state_size, state_size), (state_size, action_size), (action_size, state_size))
    A, B, K = (
        _with_norm(jax.random.normal(k, shape), norm)
        for k, shape, norm in zip(jax.random.split(key, 3), shapes, norms, strict=True)
    )
    mdp = MDP(
        _unit_spec(state_size, action_size, 1.0, horizon),
        dynamics=Linear(A=A, B=B, b=jnp.zeros(state_size)),
        reward=Quadratic(
            Q=jnp.eye(state_size), R=0.1 * jnp.eye(action_size), q=jnp.zeros(state_size)
        ),
        termination=never,
        initial=Sphere(jnp.zeros(state_size)),
        discount=discount,
    )
    return mdp, Deterministic(Gain(K))


def perturbed(mdp: MDP, key: PRNGKey) -> MDP:
    """A wrong model of a linear-quadratic `mdp`: `f̂ = (A + δA)s + Ba + δb`, `r̂ = r + δq·s`.

    `δA`, `δb` and `δq` are standard normal times `10^U(-3, -1)`, each with a size of its own.
    """
    f, r = mdp.dynamics, mdp.reward
    if not isinstance(f, Linear) or not isinstance(r, Quadratic):
        raise checks.Unsupported(
            "perturbed takes a linear-quadratic system; this one has other parts."
        )
    keys = jax.random.split(key, 6)
    sizes = [10 ** jax.random.uniform(k, (), f.A.dtype, -3, -1) for k in keys[:3]]
    errors = [
        jax.random.normal(k, x.shape, x.dtype)
        for k, x in zip(keys[3:], (f.A, f.b, r.q), strict=True)
    ]
    dA, db, dq = (size * error for size, error in zip(sizes, errors, strict=True))
    return mdp.replace(
        dynamics=Linear(f.A + dA, f.B, f.b + db), reward=Quadratic(r.Q, r.R, r.q + dq)
    )


def _pendulum_dynamics(state: Array, action: Array, key: PRNGKey) -> Float[Array, " state"]:
    angle, speed, torque = _physics(state, action)
    speed = jnp.clip(speed + (15 * jnp.sin(angle) + 3 * torque) * 0.05, -8, 8)
    angle = angle + speed * 0.05
    return jnp.stack([jnp.cos(angle), jnp.sin(angle), speed])


def _pendulum_reward(state: Array, action: Array, next_state: Array) -> Scalar:
    angle, speed, torque = _physics(state, action)
    return -(angle**2 + 0.1 * speed**2 + 0.001 * torque**2)


def _physics(state: Array, action: Array) -> tuple[Scalar, Scalar, Scalar]:
    """Angle, angular speed and the torque within its bounds."""
    return jnp.arctan2(state[1], state[0]), state[2], jnp.clip(action[0], -2, 2)


class _PendulumStart(eqx.Module):
    """Starts uniform between `-highest` and `highest`."""

    highest: Float[Array, " angle_and_speed"]

    def __call__(self, key: PRNGKey) -> Float[Array, " state"]:
        angle, speed = jax.random.uniform(
            key, (2,), self.highest.dtype, -self.highest, self.highest
        )
        return jnp.stack([jnp.cos(angle), jnp.sin(angle), speed])


def pendulum(discount: float = 0.99) -> MDP:
    """Gymnasium's `Pendulum-v1` step for step: state (cos θ, sin θ, θ̇), torque in [-2, 2], 200
    steps.

    The state is the observation: the angle is recovered by `atan2`, in (-π, π], which is where the
    reward wants it. States are scaled by their half-ranges (1, 1, 8).
    """
    spec = Spec(
        3,
        action=Box(jnp.array([-2.0]), jnp.array([2.0])),
        state_scale=jnp.array([1.0, 1.0, 8.0]),
        horizon=200,
    )
    return MDP(
        spec,
        dynamics=_pendulum_dynamics,
        reward=_pendulum_reward,
        termination=never,
        initial=_PendulumStart(jnp.array([math.pi, 1.0])),
        discount=discount,
    )


class Smooth(eqx.Module):
    """`(s, a) ↦ L · U φ(Ws + Va + b)` with `‖W‖ = ‖V‖ = 1`, `U` orthogonal, φ `tanh` or `sin`.

    `lipschitz` is `L`. It bounds the norms of both partial Jacobians everywhere, hence the map in
    the norm `‖s‖ + ‖a‖`, and where `Ws + Va = -b` they attain it.
    """

    W: Float[Array, "output state"]
    V: Float[Array, "output action"]
    b: Float[Array, " output"]
    U: Float[Array, "output output"]
    lipschitz: float = eqx.field(static=True)
    activation: str = eqx.field(static=True)

    def __call__(self, state: Array, action: Array) -> Float[Array, " output"]:
        hidden = self.W @ state + self.V @ action + self.b
        return self.lipschitz * self.U @ _ACTIVATIONS[self.activation].function(hidden)

    def layers(self, weight: Array) -> Layered:
        """`x ↦ L · U φ(weight x + b)`; see `core/layers.py`."""
        hidden = activated(_ACTIVATIONS[self.activation], len(self.b))
        last = affine(self.lipschitz * np.asarray(self.U, np.float64))
        return compose(last, hidden, affine(weight, self.b))


class SmoothDynamics(eqx.Module):
    """Dynamics that are a `Smooth` map."""

    map: Smooth

    def __call__(self, state: Array, action: Array, key: PRNGKey) -> Float[Array, " state"]:
        return self.map(state, action)

    def as_layers(self, spec: Spec) -> Layered:
        """`(s, a) ↦ s'`; see `core/layers.py`."""
        return self.map.layers(np.concatenate([self.map.W, self.map.V], axis=1))


class SmoothReward(eqx.Module):
    """A reward `r(s, a)` that is a `Smooth` map with one output."""

    map: Smooth

    def __call__(self, state: Array, action: Array, next_state: Array) -> Scalar:
        return self.map(state, action)[0]

    def as_layers(self, spec: Spec) -> Layered:
        """`(s, a, s') ↦ r`; see `core/layers.py`."""
        unused = np.zeros((len(self.map.b), spec.state_size))
        return self.map.layers(np.concatenate([self.map.W, self.map.V, unused], axis=1))


class SmoothPolicy(eqx.Module):
    """A deterministic policy that is a `Smooth` map of the state alone."""

    map: Smooth

    def __call__(self, state: Array) -> Float[Array, " action"]:
        return self.map(state, jnp.zeros(self.map.V.shape[1], state.dtype))

    def as_layers(self, spec: Spec) -> Layered:
        """`s ↦ a`; see `core/layers.py`."""
        return self.map.layers(self.map.W)


class HalfSpace(eqx.Module):
    """The end rule `normal · s' > threshold`."""

    normal: Float[Array, " state"]
    threshold: float = eqx.field(static=True)

    def __call__(self, state: Array, action: Array, next_state: Array) -> Flag:
        return self.normal @ next_state > self.threshold


def lipschitz_synthetic(
    key: PRNGKey,
    *,
    dynamics: float = 0.5,
    reward: float = 1.0,
    policy: float = 0.5,
    state_size: int = 4,
    action_size: int = 2,
    activation: str = "tanh",
    end: float | None = None,
    discount: float = 0.9,
    horizon: int = 100,
) -> tuple[MDP, Deterministic]:
    """A random system and policy whose global Lipschitz constants are known: see `Smooth`.

    Args:
        key: the key of the random matrices.
        dynamics, reward, policy: the constants `L_f`, `L_r`, `L_π`, to be read again as
            `mdp.dynamics.map.lipschitz`, `mdp.reward.map.lipschitz` and
            `policy.function.map.lipschitz`.
        state_size, action_size: numbers of components.
        activation: `tanh` or `sin`.
        end: if given, an episode ends where the first component of `s'` exceeds it (|s'| is at most
            `dynamics · sqrt(state_size)`).
        discount, horizon: those of the MDP. Starts are uniform in the cube [-1, 1].

    Raises:
        BadArgument: a constant is not positive, or the activation is neither of the two.
    """
    for name, constant in (("dynamics", dynamics), ("reward", reward), ("policy", policy)):
        checks.positive(name, constant)
    checks.one_of("activation", activation, list(_ACTIVATIONS))
    for_dynamics, for_reward, for_policy = jax.random.split(key, 3)
    inputs = (state_size, action_size)
    first = jnp.zeros(state_size).at[0].set(1)
    mdp = MDP(
        _unit_spec(*inputs, max(1.0, policy * math.sqrt(action_size)), horizon),
        dynamics=SmoothDynamics(_smooth(for_dynamics, inputs, state_size, dynamics, activation)),
        reward=SmoothReward(_smooth(for_reward, inputs, 1, reward, activation)),
        termination=never if end is None else HalfSpace(first, end),
        initial=Cube(-jnp.ones(state_size), jnp.ones(state_size)),
        discount=discount,
    )
    return mdp, Deterministic(
        SmoothPolicy(_smooth(for_policy, inputs, action_size, policy, activation))
    )


def _smooth(
    key: PRNGKey, inputs: tuple[int, int], outputs: int, lipschitz: float, activation: str
) -> Smooth:
    """A random `Smooth` map.

    Args:
        key: the key of `W`, `V`, `U` and `b`.
        inputs: numbers of state and action components.
        outputs: number of components of its values.
        lipschitz: `L`.
        activation: `tanh` or `sin`.
    """
    keys = jax.random.split(key, 4)
    W, V = (
        _with_norm(jax.random.normal(k, (outputs, size)), 1.0)
        for k, size in zip(keys[:2], inputs, strict=True)
    )
    rotation = jnp.linalg.qr(jax.random.normal(keys[2], (outputs, outputs)))[0]
    return Smooth(
        W=W,
        V=V,
        b=jax.random.normal(keys[3], (outputs,)),
        U=rotation,
        lipschitz=lipschitz,
        activation=activation,
    )


def _with_norm(matrix: Float[Array, "rows columns"], norm: float) -> Float[Array, "rows columns"]:
    """A multiple of the matrix with this spectral norm."""
    return matrix * (norm / jnp.linalg.norm(matrix, 2))


def _unit_spec(state_size: int, action_size: int, bound: float, horizon: int) -> Spec:
    """States of scale 1, and a box of actions.

    Args:
        state_size, action_size: numbers of components.
        bound: the largest size of an action's component.
        horizon: steps of an episode.
    """
    box = Box(jnp.full(action_size, -bound), jnp.full(action_size, bound))
    return Spec(state_size, action=box, state_scale=jnp.ones(state_size), horizon=horizon)
