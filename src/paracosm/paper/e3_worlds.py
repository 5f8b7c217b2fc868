"""The systems of E3: random ones in groups, errors of given size in them, and what the return makes
of these.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy import special

from paracosm.auditing import ladder
from paracosm.auditing.sensitivities import directional
from paracosm.core.keys import stage_key
from paracosm.core.mdp import MDP
from paracosm.core.policy import MarkovPolicy
from paracosm.core.rollout import unroll
from paracosm.core.types import Array, PRNGKey, Scalar
from paracosm.paper.e3_choices import (
    ACTIONS,
    BEND,
    HORIZON,
    POINTS,
    ROUNDS,
    STATES,
    SYSTEMS,
)
from paracosm.planning.law import Law
from paracosm.real.systems import (
    Linear,
    Quadratic,
    SmoothDynamics,
    linear_quadratic,
    lipschitz_synthetic,
)

Losses = Callable[[np.ndarray], np.ndarray]


class LinearReward(eqx.Module):
    """The reward `q·s + p·a`."""

    q: Float[Array, " state"]
    p: Float[Array, " action"]

    def __call__(self, state: Array, action: Array, next_state: Array) -> Scalar:
        return self.q @ state + self.p @ action


class Bent(eqx.Module):
    """Dynamics with a square in them, `s' = As + Ba + bend (u·s)² v` with unit vectors u and v."""

    straight: Linear
    u: Float[Array, " state"]
    v: Float[Array, " state"]
    bend: float = eqx.field(static=True)

    def __call__(self, state: Array, action: Array, key: PRNGKey) -> Float[Array, " state"]:
        return self.straight(state, action, key) + self.bend * (self.u @ state) ** 2 * self.v


class Wave(eqx.Module):
    """An error of sup-norm 1, `d cos(w·s + v·a + b)`; without waves the same everywhere."""

    d: Float[Array, " *output"]
    w: Float[Array, " state"]
    v: Float[Array, " action"]
    b: Scalar

    def __call__(
        self, state: Array, action: Array, next_state: Array | None = None
    ) -> Float[Array, " *output"]:
        return self.d * jnp.cos(self.w @ state + self.v @ action + self.b)


class ErrorCase(eqx.Module):
    """Systems side by side, `[system, …]`: first states `[episode, state]` and directions of error
    `[direction, …]`.
    """

    mdp: MDP
    policy: MarkovPolicy
    start: Float[Array, "*system episode state"]
    push: Wave
    miss: Wave
    aside: Wave


def case(group: str, key: PRNGKey, *, starts: int, directions: int, waves: bool) -> ErrorCase:
    """A random system of a group with errors of unit size in random directions; `aside` is another
    of the dynamics.

    Args:
        group: of `SYSTEMS`, `tanh`, `sin`, or `scalar`, where Lemma 1 is an equality.
        key: of system, starts and directions.
        starts: how many first states.
        directions: how many of each error.
        waves: whether errors are waves over states and actions, or the same everywhere.
    """
    for_system, for_start, for_push, for_miss, for_aside = jax.random.split(key, 5)
    mdp, policy = _system(group, for_system)
    size = mdp.spec.state_size, mdp.spec.action.size

    def push(key: PRNGKey) -> Wave:
        return _wave(key, _unit(key, size[0]), size, waves)

    def miss(key: PRNGKey) -> Wave:
        return _wave(key, jnp.where(jax.random.bernoulli(key), 1.0, -1.0), size, waves)

    return ErrorCase(
        mdp,
        policy,
        jax.vmap(mdp.initial)(jax.random.split(for_start, starts)),
        jax.vmap(push)(jax.random.split(for_push, directions)),
        jax.vmap(miss)(jax.random.split(for_miss, directions)),
        jax.vmap(push)(jax.random.split(for_aside, directions)),
    )


@lru_cache(maxsize=2)
def cases(
    group: str, count: int, seed: int, *, starts: int = 1, directions: int = 1, waves: bool = False
) -> ErrorCase:
    """Random systems of a group, side by side, in 64 bits.

    Args:
        count: how many.
        seed: of systems, starts and directions.
        group, starts, directions, waves: As of `case`.
    """
    with jax.enable_x64(True):
        keys = jax.random.split(stage_key(seed, group), count)
        singles = [
            case(group, key, starts=starts, directions=directions, waves=waves) for key in keys
        ]
        return jax.tree.map(
            lambda *leaves: jnp.stack(leaves) if eqx.is_array(leaves[0]) else leaves[0], *singles
        )


def _system(group: str, key: PRNGKey) -> tuple[MDP, MarkovPolicy]:
    sizes: dict[str, Any] = {"state_size": STATES, "action_size": ACTIONS, "horizon": HORIZON}
    if group in ("tanh", "sin"):
        return lipschitz_synthetic(key, activation=group, **SYSTEMS["lipschitz"], **sizes)
    if group == "scalar":
        return _tight(key)
    if group == "lqg":
        return linear_quadratic(key, **SYSTEMS[group], **sizes)
    for_both, first, second = jax.random.split(
        key, 3
    )  # a folded key can be one that the system is drawn by
    mdp, policy = linear_quadratic(for_both, **SYSTEMS[group], **sizes)
    by_state = _unit(first, STATES)
    if group == "linear":
        return mdp.replace(reward=LinearReward(by_state, _unit(second, ACTIONS))), policy
    bent = Bent(mdp.dynamics, by_state, _unit(second, STATES), BEND)  # pyright: ignore
    return mdp.replace(dynamics=bent), policy


def _tight(key: PRNGKey) -> tuple[MDP, MarkovPolicy]:
    """One state and one action, every sign the same and `a = b`: here Lemma 1 is an equality."""
    mdp, policy = linear_quadratic(key, state_size=1, action_size=1, discount=0.9, horizon=HORIZON)
    slope, gain = jax.random.uniform(key, (2, 1, 1), minval=0.1, maxval=0.5)
    policy = eqx.tree_at(lambda p: p.function.K, policy, -gain)
    return mdp.replace(
        dynamics=Linear(slope, slope, jnp.zeros(1)), reward=LinearReward(jnp.ones(1), jnp.ones(1))
    ), policy


def _unit(key: PRNGKey, size: int) -> Array:
    direction = jax.random.normal(key, (size,))
    return direction / jnp.linalg.norm(direction)


def _wave(key: PRNGKey, direction: Array, size: tuple[int, int], waves: bool) -> Wave:
    """An error in a direction.

    Args:
        key: of the wave.
        direction: `[output]`, or a number for a reward.
        size: numbers of state and action components.
        waves: whether it varies over states and actions.
    """
    w, v, b = (
        jax.random.normal(jax.random.fold_in(key, n), shape)
        for n, shape in enumerate(((size[0],), (size[1],), ()))
    )
    return Wave(direction, *(waves * number for number in (w, v, math.pi * b)))


def respond(
    cases: ErrorCase, by: Float[np.ndarray, "system point"]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean return with `by` times the push added to the dynamics, and that of the miss alone as a
    reward.

    Both `[system, point, direction]`. The return is linear in the reward: with the miss added k
    times to it, the return is the first plus k times the second.
    """
    points = by.shape[1]
    filled = np.pad(
        by, ((0, 0), (0, 1 + 2 * POINTS - points))
    )  # always the same shape: one program to compile
    returns, of_miss = _respond(cases, filled)
    return np.asarray(returns)[:, :points], np.asarray(of_miss)[:, :points]


@eqx.filter_jit
def _respond(cases: ErrorCase, by: Float[Array, "system point"]) -> tuple[Array, Array]:

    def single(case: ErrorCase, push: Wave, miss: Wave, by: Array) -> tuple[Array, Array]:
        """Mean return under `by` times the push, and that of the miss as a reward.

        Args:
            case: one system.
            push, miss: one direction of error each.
            by: the size of the dynamics' error.
        """
        wrong = _wrong(case.mdp, push, by)
        episodes = unroll(
            wrong,
            case.policy,
            case.start,
            jax.random.split(jax.random.key(0), len(case.start)),
            wrong.spec.horizon,
        )
        misses = jax.vmap(jax.vmap(miss))(episodes.state, episodes.action)
        discounts = wrong.discount ** jnp.arange(wrong.spec.horizon, dtype=misses.dtype)
        return jnp.mean(episodes.reward @ discounts), jnp.mean(misses @ discounts)

    def by_system(case: ErrorCase, bys: Array) -> tuple[Array, Array]:
        def at(by: Array) -> tuple[Array, Array]:
            return jax.vmap(lambda push, miss: single(case, push, miss, by))(case.push, case.miss)

        return jax.vmap(at)(bys)

    return eqx.filter_vmap(by_system)(cases, by)


def _wrong(mdp: MDP, push: Wave, by: Array) -> MDP:
    return mdp.replace(dynamics=lambda s, a, key: mdp.dynamics(s, a, key) + by * push(s, a))


def sensitivities(
    cases: ErrorCase, by: float, aside: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of the return along push and miss, `[system, direction]`, in worlds wrong by so
    much already.

    These are wrong along the push itself, or along another random direction.
    """
    by_push, by_miss = _sensitivities(cases, np.asarray(by), np.asarray(float(aside)))
    return np.asarray(by_push), np.asarray(by_miss)


@eqx.filter_jit
def _sensitivities(
    cases: ErrorCase, by: Float[Array, ""], aside: Float[Array, ""]
) -> tuple[Array, Array]:
    def single(case: ErrorCase) -> tuple[Array, Array]:
        keys = jax.random.split(jax.random.key(0), len(case.start))

        def by_direction(push: Wave, miss: Wave, elsewhere: Wave) -> tuple[Array, Array]:
            world = _wrong(_wrong(case.mdp, push, (1 - aside) * by), elsewhere, aside * by)
            errors = {"dynamics_error": push, "reward_error": miss}
            slopes = directional(
                world, case.policy, case.start, keys, **errors, horizon=world.spec.horizon
            )
            return jnp.mean(slopes[0]), jnp.mean(slopes[1])

        return jax.vmap(by_direction)(case.push, case.miss, case.aside)

    return eqx.filter_vmap(single)(cases)


@eqx.filter_jit
def global_weights(cases: ErrorCase, radius: float) -> Float[Array, "system part"]:
    """Lemma 1's weights of the two errors over the ball of this radius."""
    return eqx.filter_vmap(partial(_global_weights, radius=radius))(cases)


def _global_weights(case: ErrorCase, radius: float) -> Float[Array, " part"]:
    gain = _gain(case.policy)
    f = _slopes_of_dynamics(case.mdp.dynamics, radius)
    g = _slopes_of_reward(case.mdp.reward, radius, gain)
    constants = ladder.Constants(*f, *g, 0.0, gain, jnp.inf, jnp.inf)
    loop = ladder.closed(constants, "global")
    return jnp.stack(
        [ladder.infinite(loop, *error, case.mdp.discount) for error in ((1.0, 0.0), (0.0, 1.0))]
    )


def _slopes_of_dynamics(f: Any, radius: float) -> tuple[Any, Any]:
    if isinstance(f, SmoothDynamics):
        return f.map.lipschitz, f.map.lipschitz
    if isinstance(f, Bent):
        state, action = _slopes_of_dynamics(f.straight, radius)
        return state + 2 * f.bend * radius, action
    return jnp.linalg.norm(f.A, 2), jnp.linalg.norm(f.B, 2)


def _slopes_of_reward(r: Any, radius: float, gain: Any) -> tuple[Any, Any]:
    if isinstance(r, LinearReward):
        return jnp.linalg.norm(r.q), jnp.linalg.norm(r.p)
    if isinstance(r, Quadratic):
        return 2 * jnp.linalg.norm(r.Q, 2) * radius, 2 * jnp.linalg.norm(r.R, 2) * gain * radius
    return r.map.lipschitz, r.map.lipschitz


def _gain(policy: Any) -> Any:
    function = policy.function
    return function.map.lipschitz if hasattr(function, "map") else jnp.linalg.norm(function.K, 2)


def constant(mdp: MDP, direction: Array) -> Wave:
    """An error that is the same everywhere."""
    size = mdp.spec.state_size, mdp.spec.action.size
    return Wave(jnp.asarray(direction), jnp.zeros(size[0]), jnp.zeros(size[1]), jnp.zeros(()))


def losses(cases: ErrorCase, criterion: str, laws: tuple[Law, Law], budget: float) -> Losses:
    """What a split costs: the error in return by the logarithm of its ratio, both `[system,
    point]`.

    Args:
        cases: the systems with directions of error.
        criterion: `worst`, `signed` or `rms`, see `e3_cells.ratios`.
        laws: ε(N) of dynamics and reward.
        budget: samples in all.
    """

    def cost(odds: np.ndarray) -> np.ndarray:
        odds = np.clip(odds, -np.log(budget - 1), np.log(budget - 1))
        dynamics, reward = (
            law.error(budget * special.expit(s * odds))
            for law, s in zip(laws, (1, -1), strict=True)
        )
        by = np.concatenate([np.zeros((len(odds), 1)), dynamics, -dynamics], axis=1)
        returns, of_miss = respond(cases, by)
        by_dynamics = np.stack(np.split(returns[:, 1:] - returns[:, :1], 2, axis=1))
        by_reward = np.stack(np.split(of_miss[:, 1:], 2, axis=1)) * reward[..., None]
        return np.nan_to_num(_gap(criterion, by_dynamics, by_reward), nan=np.inf)

    return cost


def _gap(criterion: str, by_dynamics: np.ndarray, by_reward: np.ndarray) -> np.ndarray:
    """Error in return of what the two errors do, `[sign of the dynamics error, system, point,
    direction]`.
    """
    if criterion == "rms":
        return np.sqrt(np.mean(by_dynamics**2 + by_reward**2, axis=(0, -1)))
    if criterion == "signed":
        return np.abs(by_dynamics + by_reward)[0, ..., 0]
    return np.max(np.abs(by_dynamics) + np.abs(by_reward), axis=0)[..., 0]


def lowest(cost: Losses, systems: int, reach: float) -> np.ndarray:
    """Where each system's loss is least within `±reach`: the best of a grid, and of finer ones
    around it.
    """
    center, half = np.zeros(systems), reach
    for _ in range(ROUNDS):
        odds = np.clip(center[:, None] + half * np.linspace(-1, 1, POINTS), -reach, reach)
        center = odds[np.arange(systems), np.argmin(cost(odds), axis=1)]
        half *= 2 / (POINTS - 1)
    return center


def secants(cases: ErrorCase, by: float) -> tuple[np.ndarray, np.ndarray]:
    """The paper's `|V(f + hΔf, r) - V(f, r)| / h` for `h = ±by`, the larger, and the reward's,
    `[system, direction]`.

    The return is linear in the reward, so that its finite difference does not depend on the step.
    """
    steps = np.tile([0.0, by, -by], (len(cases.start), 1))
    returns, of_miss = respond(cases, steps)
    return np.abs(returns[:, 1:] - returns[:, :1]).max(axis=1) / by, np.abs(of_miss[:, 0])
