"""Random pairs of systems with Lipschitz constants in closed form, and every rung of the ladder on
them.
"""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from paracosm.auditing import ladder
from paracosm.auditing.ladder import Clip, Constants, Loop, Residuals

UNIFORM = ("global", "split", "closed_loop")
LADDER = (*UNIFORM, "mean_error", "trajectory", "value")
LONGEST = 500
ROUNDING = 1e-9


def norm(x):
    """Euclidean of a vector, spectral of a matrix."""
    return jnp.linalg.norm(x, 2)


def with_norm(matrix, size):
    return matrix * size / norm(matrix)


class Side(eqx.Module):
    """`f = U φ(Ws + Va + b)`, φ identity, tanh or sin; `r = g(p·s + q·a + u·s' + v)`, g too;
    half-space ends.
    """

    W: jax.Array
    V: jax.Array
    b: jax.Array
    U: jax.Array
    p: jax.Array
    q: jax.Array
    u: jax.Array
    v: jax.Array
    normal: jax.Array
    phi: str = eqx.field(static=True)
    bounded: bool = eqx.field(static=True)
    ends: bool = eqx.field(static=True)

    def dynamics(self, state, action):
        inner = self.W @ state + self.V @ action + self.b
        return self.U @ {"linear": lambda x: x, "tanh": jnp.tanh, "sin": jnp.sin}[self.phi](inner)

    def reward(self, state, action, after):
        inner = self.p @ state + self.q @ action + self.u @ after + self.v
        return jnp.tanh(inner) if self.bounded else inner

    def margin(self, after):
        return self.normal @ after - 1 if self.ends else -jnp.ones(())


class Gain(eqx.Module):
    """The policy: `-Ks`, or tanh of it."""

    K: jax.Array
    squashed: bool = eqx.field(static=True)

    def __call__(self, state):
        return jnp.tanh(-self.K @ state) if self.squashed else -self.K @ state


def constants_of(side, policy):
    """Of the side's own maps; exact where everything is linear."""
    A, B, K = side.U @ side.W, side.U @ side.V, -policy.K
    parts = norm(A), norm(B), norm(side.p), norm(side.q), norm(side.u), norm(K)
    if side.phi == "linear" and not policy.squashed:
        return Constants(
            *parts, norm(A + B @ K), norm(side.p + K.T @ side.q + (A + B @ K).T @ side.u)
        )
    loop = ladder.closed(Constants(*parts, 0.0, 0.0), "split")
    return Constants(*parts, loop.dynamics, loop.reward)


def local_of(side, policy, constants):
    """Closed-loop constants over a ball: the largest slope of φ that can be reached."""

    def local(state, radius):
        if side.phi == "linear":
            return Loop(constants.closed_loop, constants.closed_loop_reward, constants.reward_next)
        rows = jnp.linalg.norm(side.W, axis=1) + jnp.linalg.norm(side.V, axis=1) * constants.policy
        inner = side.W @ state + side.V @ policy(state) + side.b
        nearest = jnp.maximum(jnp.abs(inner) - rows * radius, 0)
        slope = 1 - jnp.tanh(nearest) ** 2 if side.phi == "tanh" else jnp.ones_like(nearest)
        grow = norm(side.U[0]) * jnp.max(slope) * (norm(side.W) + norm(side.V) * constants.policy)
        still = constants.reward_state + constants.reward_action * constants.policy
        return Loop(grow, still + constants.reward_next * grow, constants.reward_next)

    return local


class Drawn(NamedTuple):
    real: Side
    learned: Side
    policy: Gain
    start: jax.Array
    discount: jax.Array
    horizon: jax.Array


def draw(key, phi, ends):
    """γc between 0.1 and 1.5; errors of `10^U(-3, -0.5)`; rewards of the three forms;
    `real.systems.Smooth`'s law.
    """
    normal_key, uniform_key = jax.random.split(key)
    numbers, units = (
        iter(jax.random.normal(normal_key, (200,))),
        iter(jax.random.uniform(uniform_key, (40,))),
    )
    uniform = lambda low, high: low + (high - low) * next(units)  # noqa: E731

    def normal(*shape):
        return jnp.stack([next(numbers) for _ in range(math.prod(shape))]).reshape(shape)

    discount, gain, form = uniform(0.5, 0.99), uniform(0.1, 1.0), uniform(0, 3)
    size = uniform(0.1, 1.5) / discount / (1 + gain)
    U, b = (
        (jnp.eye(4), jnp.zeros(4))
        if phi == "linear"
        else (jnp.linalg.qr(normal(4, 4))[0], normal(4))
    )
    V = with_norm(normal(4, 2), uniform(0.1, 1.0) if phi == "linear" else 1.0)
    of_pair = jnp.where(form < 2, 1.0, 0.0)  # r(s, a), r(s, a, s'), r(s')
    reward = (normal(4) * of_pair, normal(2) * of_pair, jnp.where(form > 1, normal(4), 0), normal())
    normal_of_end = with_norm(normal(4), uniform(0.3, 3.0))
    real = Side(
        with_norm(normal(4, 4), 1.0), V, b, size * U, *reward, normal_of_end, phi, ends, ends
    )
    wrong = [10 ** uniform(-3.0, -0.5) * normal(*leaf.shape) for leaf in jax.tree.leaves(real)]
    wrong = jax.tree.unflatten(jax.tree.structure(real), wrong)
    wrong = eqx.tree_at(
        lambda side: side.U, wrong, jnp.zeros((4, 4))
    )  # stays a multiple of a rotation
    policy = Gain(with_norm(normal(2, 4), gain), phi != "linear")
    start = with_norm(normal(4), 0.5 if ends else 1.0)
    horizon = jnp.floor(5 * 100 ** uniform(0, 1.001)).astype(int)
    return Drawn(
        real,
        jax.tree.map(jnp.add, real, wrong),
        policy,
        start,
        discount,
        jnp.minimum(horizon, LONGEST),
    )


class Path(NamedTuple):
    state: jax.Array
    after: jax.Array
    reward: jax.Array
    ended: jax.Array
    alive: jax.Array


def play(side, drawn):
    """As long as the system's horizon, in `LONGEST` steps."""
    policy = drawn.policy

    def step(carry, time):
        state, alive = carry
        action = policy(state)
        after = side.dynamics(state, action)
        ended = (side.margin(after) > 0) & alive
        reward = jnp.where(alive, side.reward(state, action, after), 0)
        lives = alive & ~ended & (time + 1 < drawn.horizon)
        return (jnp.where(lives, after, state), lives), Path(state, after, reward, ended, alive)

    return jax.lax.scan(step, (drawn.start, jnp.array(True)), jnp.arange(LONGEST))[1]


def slope_of_value(side, drawn):
    """Exact Lipschitz constants of `V̂_{H-t-1}` where all is linear, `[time]`."""
    policy, discount = drawn.policy, drawn.discount
    A = side.U @ (side.W - side.V @ policy.K)
    g = side.p - policy.K.T @ side.q + A.T @ side.u

    def step(value, _):
        return g + discount * A.T @ value, norm(value)

    by_length = jax.lax.scan(step, jnp.zeros(4), None, LONGEST)[1]
    return by_length[jnp.maximum(drawn.horizon - 1 - jnp.arange(LONGEST), 0)]


def residuals_of(owner, policy, path):
    """Errors of the constants' owner at the states of the other."""

    def at(state, after, reward, alive):
        action = policy(state)
        off = norm(owner.dynamics(state, action) - after)
        missed = jnp.abs(owner.reward(state, action, after) - reward)
        return Residuals(jnp.where(alive, off, 0), jnp.where(alive, missed, 0))

    return jax.vmap(at)(path.state, path.after, path.reward, path.alive)


def rungs(owner, path, drawn, cut):
    """Every rung where `owner` has the constants and `path` was played in the other system."""
    policy, discount = drawn.policy, drawn.discount
    clip = Clip(2 * jnp.maximum(1.0, 2 * norm(owner.U[0]))) if cut else ladder.UNCUT
    constants = constants_of(owner, policy)
    errors = residuals_of(owner, policy, path)
    largest = Residuals(*(jnp.where(path.alive, jnp.max(error), 0) for error in errors))
    span = 2.0 if owner.bounded else jnp.inf
    margin = jax.vmap(owner.margin)(path.after)

    def stop(steps):
        steps = steps._replace(cost=jnp.where(path.alive, steps.cost, 0))
        near = jnp.abs(margin) <= norm(owner.normal) * steps.radius[1:]
        doubtful = path.alive & owner.ends & (near | ((margin > 0) != path.ended))
        return ladder.stop(steps, doubtful, drawn.horizon, discount, span)

    loops = jax.tree.map(
        lambda *leaves: jnp.stack(leaves), *(ladder.closed(constants, rung) for rung in UNIFORM)
    )
    of_uniform = jax.vmap(lambda loop: stop(ladder.uniform(largest, loop, clip)).bound)(loops)
    bounds = dict(zip(UNIFORM, of_uniform, strict=True))
    loop = ladder.closed(constants, "closed_loop")
    bounds["mean_error"] = stop(ladder.uniform(errors, loop, clip)).bound
    steps = ladder.trajectory(errors, path.state, local_of(owner, policy, constants), clip)
    stopped = stop(steps)
    bounds["trajectory"] = stopped.bound
    count = jnp.minimum(stopped.steps, jnp.sum(path.alive))
    slope = ladder.slopes(steps.loop, discount, count)[1:]
    if owner.phi == "linear" and not owner.bounded:
        slope = slope_of_value(owner, drawn)
    before_stop = Residuals(*(jnp.where(jnp.arange(LONGEST) < count, error, 0) for error in errors))
    bounds["value"] = (
        ladder.through_value(before_stop, slope, steps.loop.reward_next, discount, clip)
        + stopped.tail
    )
    return bounds


@eqx.filter_jit
def compared(keys, phi, ends, cut=False):
    """Gap, rounding and rungs in both pairings of random systems, `[system]` each."""

    def comparison(key):
        drawn = draw(key, phi, ends)
        sides = drawn.real, drawn.learned
        real, learned = (play(side, drawn) for side in sides)
        weights = drawn.discount ** jnp.arange(LONGEST)
        gap = jnp.abs(weights @ (real.reward - learned.reward))
        size = weights @ (jnp.abs(real.reward) + jnp.abs(learned.reward))
        pair = tuple(
            jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
            for trees in (sides[::-1], (real, learned))
        )
        return (
            gap,
            1e-12 * size,
            jax.vmap(lambda owner, path: rungs(owner, path, drawn, cut))(*pair),
        )

    return jax.vmap(comparison)(keys)
