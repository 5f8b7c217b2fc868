"""The systems of E1: gap `|J_H − Ĵ_H|` and every rung, with constants in closed form."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.auditing import ladder
from paracosm.auditing.ladder import Clip, Constants, Loop, Residuals
from paracosm.core.types import Array, PRNGKey, Scalar
from paracosm.real.systems import (
    Linear,
    Quadratic,
    Smooth,
    linear_quadratic,
    lipschitz_synthetic,
    perturbed,
)

HORIZON = 200  # at γ = 0.9, the largest here, what is left out is 1e-9 of the return
MARGIN = 1.2
"""The region's radius over the largest norm on either trajectory: room for what lies between."""
_FOLLOWED = 6
"""Steps of the value's slope with local constants: by then γc = 0.22 leaves 1e-4 of it."""


class Pair(NamedTuple):
    """A system and its model, seen by the ladder.

    `rewards` are real minus imagined ones, each world's along its own rollout; `largest` the errors
    of dynamics and reward that are never exceeded; `errors` those at the real states `path`;
    `local` the model's closed-loop constants over a ball; `slope` those of its value from each
    model's next state to the real one.
    """

    rewards: Float[Array, " time"]
    real: Constants
    model: Constants
    largest: tuple[Scalar, Scalar]
    errors: Residuals
    path: Float[Array, "time state"]
    local: Callable[[Array, Scalar], Loop]
    slope: Float[Array, " time"]
    clip: Clip


def quadratic_rungs(
    seed: int,
    systems: int,
    *,
    norms: tuple[float, ...],
    discount: float,
    factor: float,
    state_size: int,
) -> dict[str, np.ndarray]:
    """Linear-quadratic systems: their gap and every rung, `[system]` by name.

    Args:
        seed: of systems, errors and starts.
        systems: how many.
        norms: Spectral norms of A, B and K.
        discount: γ.
        factor: by which the model's errors are multiplied.
        state_size: Number of state components.
    """
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(seed), systems)
        return _plain(
            _quadratic(keys, jnp.array(norms), jnp.array(discount), jnp.array(factor), state_size)
        )


def lipschitz_rungs(
    seed: int, systems: int, *, dynamics: float, discount: float, factor: float
) -> dict[str, np.ndarray]:
    """Systems of `tanh` maps: their gap and every rung, `[system]` by name.

    Args:
        seed, systems, discount: As of `quadratic_rungs`.
        dynamics: `L_f`, the Lipschitz constant of the dynamics.
        factor: The model's b are off by normal vectors times `factor · 10^U(-3, -1)`.
    """
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(seed), systems)
        return _plain(_lipschitz(keys, jnp.array(discount), jnp.array(factor), dynamics))


def _plain(rungs: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(values) for name, values in rungs.items()}


@partial(jax.jit, static_argnums=4)
def _quadratic(
    keys: Any, norms: Array, discount: Scalar, factor: Scalar, state_size: int
) -> dict[str, Array]:
    """The gap and every rung of the systems that `keys` draw, `[system]`.

    Args:
        keys: `[system]`.
        norms: `[3]`, of A, B and K.
        discount, factor, state_size: As of `quadratic_rungs`.
    """
    return jax.lax.map(
        lambda key: _rungs(_quadratic_pair(key, norms, discount, factor, state_size), discount),
        keys,
    )


@partial(jax.jit, static_argnums=3)
def _lipschitz(keys: Any, discount: Scalar, factor: Scalar, dynamics: float) -> dict[str, Array]:
    """The gap and every rung of the systems that `keys` draw, `[system]`.

    Args:
        keys: `[system]`.
        discount, factor, dynamics: As of `lipschitz_rungs`.
    """
    return jax.lax.map(
        lambda key: _rungs(_lipschitz_pair(key, discount, factor, dynamics), discount), keys
    )


def _rungs(pair: Pair, discount: Scalar) -> dict[str, Array]:
    """Every rung; the paper's with the real system's constants, the others with the model's, which
    a user can know.
    """
    worst = ladder.worst(*pair.largest, HORIZON)
    uniform = {
        rung: ladder.uniform(worst, ladder.closed(pair.model, rung))
        for rung in ("global", "split", "closed_loop")
    }
    clipped = ladder.uniform(worst, ladder.closed(pair.model, "global"), pair.clip)
    trajectory = ladder.trajectory(pair.errors, pair.path, pair.local)
    slope = jnp.minimum(pair.slope, ladder.slopes(trajectory.loop, discount, HORIZON)[1:])
    return {
        "gap": jnp.abs(discount ** jnp.arange(HORIZON) @ pair.rewards),
        "growth": discount * ladder.contraction(pair.real),
        "infinite": ladder.infinite(ladder.closed(pair.real, "global"), *pair.largest, discount),
        **{name: ladder.total(steps, discount) for name, steps in uniform.items()},
        "clipped": ladder.total(clipped, discount),
        "mean_error": ladder.mean_error(
            pair.errors, ladder.closed(pair.model, "closed_loop"), discount
        ),
        "trajectory": ladder.total(trajectory, discount),
        "value": ladder.through_value(pair.errors, slope, 0.0, discount),
    }


class _AffineLoop(NamedTuple):
    """A closed loop `s' = As + b` that pays `-sᵀQs + q·s`."""

    A: Array
    b: Array
    Q: Array
    q: Array

    def walk(self, start: Array) -> Float[Array, "after state"]:
        return _walk(lambda state: self.A @ state + self.b, start)

    def rewards(self, states: Array) -> Float[Array, " time"]:
        return states @ self.q - jnp.einsum("ti,ij,tj->t", states, self.Q, states)

    def gradients(self, states: Array, discount: Scalar) -> Float[Array, "time state"]:
        """Of `V̂_{H-t-1}` at the state of each step t: that value is `-sᵀPs + p·s` and a
        constant.
        """

        def further(
            value: tuple[Array, Array], _: None
        ) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
            P, p = value
            onward = self.q + discount * self.A.T @ (p - 2 * P @ self.b)
            return (self.Q + discount * self.A.T @ P @ self.A, onward), value

        P, p = jax.lax.scan(further, (0 * self.Q, 0 * self.q), None, HORIZON)[1]
        return p[::-1] - 2 * jnp.einsum("tij,tj->ti", P[::-1], states)


def _quadratic_pair(
    key: PRNGKey, norms: Array, discount: Scalar, factor: Scalar, state_size: int
) -> Pair:
    """A linear-quadratic system and its model, with constants on the ball of `MARGIN`.

    Args:
        key: of the system, its model's errors and its start.
        norms: `[3]`, of A, B and K.
        discount, factor, state_size: As of `quadratic_rungs`.
    """
    for_system, for_errors, for_start = jax.random.split(key, 3)
    unit, policy = linear_quadratic(for_system, norms=(1.0, 1.0, 1.0), state_size=state_size)
    wrong = perturbed(unit, for_errors)
    f, g = cast(Linear, unit.dynamics), cast(Linear, wrong.dynamics)
    reward, reward_error = cast(Quadratic, unit.reward), factor * cast(Quadratic, wrong.reward).q
    A, B, K = norms[0] * f.A, norms[1] * f.B, norms[2] * cast(Any, policy.function).K
    wrong_A, wrong_b = A + factor * (g.A - f.A), factor * g.b
    Q = reward.Q + K.T @ reward.R @ K
    real, model = (
        _AffineLoop(A - B @ K, 0 * wrong_b, Q, 0 * reward_error),
        _AffineLoop(wrong_A - B @ K, wrong_b, Q, reward_error),
    )
    start = unit.initial(for_start)
    path, imagined = real.walk(start), model.walk(start)
    region = MARGIN * jnp.max(jnp.linalg.norm(jnp.concatenate([path, imagined]), axis=1))

    def steepest(P: Array, v: Array) -> Scalar:
        """The Lipschitz constant of `-sᵀPs + v·s` on the region."""
        return 2 * _norm(P) * region + _norm(v)

    def constants(A: Array, loop: _AffineLoop) -> Constants:
        actions = 2 * _norm(reward.R) * _norm(K) * region
        loops = _norm(loop.A), steepest(loop.Q, loop.q)
        return Constants(
            _norm(A), _norm(B), steepest(reward.Q, loop.q), actions, 0.0, _norm(K), *loops
        )

    def local(state: Array, radius: Scalar) -> Loop:
        reward_slope = _norm(model.q - 2 * Q @ state) + 2 * _norm(Q) * radius
        return Loop(_norm(model.A), jnp.minimum(reward_slope, steepest(Q, model.q)), 0.0)

    predictions = path[:-1] @ model.A.T + model.b
    ends = (
        jnp.linalg.norm(model.gradients(states, discount), axis=1)
        for states in (predictions, path[1:])
    )
    return Pair(
        rewards=real.rewards(path[:-1]) - model.rewards(imagined[:-1]),
        real=constants(A, real),
        model=constants(wrong_A, model),
        largest=(_norm(wrong_A - A) * region + _norm(wrong_b), _norm(reward_error) * region),
        errors=Residuals(
            jnp.linalg.norm(predictions - path[1:], axis=1), jnp.abs(path[:-1] @ reward_error)
        ),
        path=path[:-1],
        local=local,
        slope=jnp.maximum(
            *ends
        ),  # a linear gradient's norm is convex: on a segment it is largest at an end
        clip=Clip(2 * region, _norm(Q) * region**2 + 2 * _norm(reward_error) * region),
    )


class _PolicyLoop(NamedTuple):
    """A `tanh` map of state and action under a `tanh` policy, as a map of the state."""

    map: Smooth
    policy: Smooth

    def __call__(self, state: Array) -> Array:
        return self.map(state, self._act(state))

    def _act(self, state: Array) -> Array:
        return self.policy(state, jnp.zeros(self.policy.V.shape[1], state.dtype))

    def jacobians(self) -> Float[Array, "corner hidden state"]:
        """Of what is inside the tanh, at every corner of the policy's slopes: it is linear in
        these.
        """
        corners = jnp.array(list(itertools.product((0.0, 1.0), repeat=len(self.policy.W))))
        chain = self.policy.lipschitz * jnp.einsum(
            "ha,ak,ck,ks->chs", self.map.V, self.policy.U, corners, self.policy.W
        )
        return self.map.W + chain

    def steepest(self, state: Array, radius: Scalar) -> Scalar:
        """A Lipschitz constant on the ball of this radius: no slope of the outer tanh is larger
        there.
        """
        inside = self.map.W @ state + self.map.V @ self._act(state) + self.map.b
        spread = radius * jnp.max(jnp.linalg.norm(self.jacobians(), axis=-1), axis=0)
        slopes = 1 - jnp.tanh(jnp.maximum(jnp.abs(inside) - spread, 0)) ** 2
        return self.map.lipschitz * _largest(slopes[:, None] * self.jacobians())

    def everywhere(self) -> Scalar:
        return self.map.lipschitz * _largest(self.jacobians())


def _lipschitz_pair(key: PRNGKey, discount: Scalar, factor: Scalar, dynamics: float) -> Pair:
    """A system of `tanh` maps and its model, with constants that hold everywhere.

    Args:
        key: of the system, its model's errors and its start.
        discount, factor, dynamics: As of `lipschitz_rungs`.
    """
    for_system, for_errors, for_start = jax.random.split(key, 3)
    unit, deterministic = lipschitz_synthetic(for_system, dynamics=dynamics)
    keys = jax.random.split(for_errors, 4)
    f, r, policy = (
        cast(Any, part).map for part in (unit.dynamics, unit.reward, deterministic.function)
    )
    g, h = _shifted(f, factor, keys[0], keys[1]), _shifted(r, factor, keys[2], keys[3])
    real, real_reward, model, model_reward = (
        _PolicyLoop(function, policy) for function in (f, r, g, h)
    )
    start = unit.initial(for_start)
    path, imagined = _walk(real, start), _walk(model, start)
    constants = Constants(
        *(f.lipschitz, f.lipschitz, r.lipschitz, r.lipschitz, 0.0, policy.lipschitz),
        *(model.everywhere(), model_reward.everywhere()),
    )

    def local(state: Array, radius: Scalar) -> Loop:
        return Loop(
            model.steepest(state, radius), model_reward.steepest(state, radius), jnp.zeros(())
        )

    def rewards(loop: _PolicyLoop, states: Array) -> Float[Array, " time"]:
        return jax.vmap(loop)(states)[:, 0]

    predictions = jax.vmap(model)(path[:-1])
    return Pair(
        rewards=rewards(real_reward, path[:-1]) - rewards(model_reward, imagined[:-1]),
        real=constants,
        model=constants,
        largest=(_largest_error(g, f), _largest_error(h, r)),
        errors=Residuals(
            jnp.linalg.norm(predictions - path[1:], axis=1),
            jnp.abs(rewards(model_reward, path[:-1]) - rewards(real_reward, path[:-1])),
        ),
        path=path[:-1],
        local=local,
        slope=_slopes(local, model, (predictions, path[1:]), constants, discount),
        clip=Clip(
            2 * (f.lipschitz * 2 + 2), 2 * r.lipschitz
        ),  # four components within L_f, starts within 2
    )


def _shifted(part: Smooth, factor: Scalar, direction: PRNGKey, size: PRNGKey) -> Smooth:
    """The map with another b.

    Args:
        part: A map of the real system.
        factor: by which the error is multiplied.
        direction: Key of the normal vector that is added to b.
        size: Key of its size, `10^U(-3, -1)`.
    """
    error = 10 ** jax.random.uniform(size, (), part.b.dtype, -3, -1) * jax.random.normal(
        direction, part.b.shape
    )
    return dataclasses.replace(part, b=part.b + factor * error)


def _largest_error(new: Smooth, old: Smooth) -> Scalar:
    """Of maps that differ in b: `|tanh(x + δ) - tanh(x)|` is largest at `x = -δ/2`."""
    return old.lipschitz * jnp.linalg.norm(2 * jnp.tanh(jnp.abs(new.b - old.b) / 2))


def _slopes(
    local: Callable[[Array, Scalar], Loop],
    model: _PolicyLoop,
    segment: tuple[Array, Array],
    constants: Constants,
    discount: Scalar,
) -> Float[Array, " time"]:
    """`Lip(V̂_{H-t-1})` on segments: local constants in the tube around them for some steps, then
    those everywhere.

    Args:
        local: Closed-loop constants of the model over a ball of this center and radius.
        model: The model's closed loop.
        segment: First and last points, `[time, state]` each.
        constants: Those that hold everywhere.
        discount: γ.
    """
    start, end = segment
    steps_left = jnp.arange(HORIZON)[::-1]
    state, radius = (start + end) / 2, jnp.linalg.norm(start - end, axis=1) / 2
    slope, weight = jnp.zeros(HORIZON), jnp.ones(HORIZON)
    for step in range(_FOLLOWED):
        loop = jax.vmap(local)(state, radius)
        slope = slope + jnp.where(steps_left > step, weight * loop.reward, 0.0)
        weight, radius, state = (
            weight * discount * loop.dynamics,
            radius * loop.dynamics,
            jax.vmap(model)(state),
        )
    rest = jnp.cumsum((discount * constants.closed_loop) ** jnp.arange(HORIZON))
    further = (
        weight * constants.closed_loop_reward * rest[jnp.maximum(steps_left - _FOLLOWED - 1, 0)]
    )
    return slope + jnp.where(steps_left > _FOLLOWED, further, 0.0)


def _walk(step: Callable[[Array], Array], start: Array) -> Float[Array, "after state"]:
    return jax.lax.scan(lambda state, _: (step(state), state), start, None, HORIZON + 1)[1]


def _norm(array: Array) -> Scalar:
    """The Euclidean norm of a vector, the spectral one of a matrix."""
    return jnp.linalg.norm(array, 2)


def _largest(matrices: Float[Array, "n rows columns"]) -> Scalar:
    return jnp.max(jnp.linalg.norm(matrices, 2, axis=(-2, -1)))
