"""What errors of the learned parts cost in return: one pass for a direction, one for every step.

The paper measures `S_f = |V(f + hΔf, r) - V(f, r)| / (h ‖Δf‖)` by finite differences. It is a
directional derivative: a forward pass through the rollout gives it for one error `Δf`, a reverse
pass the gradient by the error of every step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Key

from paracosm.auditing.subject import AuditSubject
from paracosm.core.mdp import MDP
from paracosm.core.policy import MarkovPolicy
from paracosm.core.records import Weights
from paracosm.core.records.reasons import Route
from paracosm.core.rollout import advance, unroll
from paracosm.core.types import Action, Array, PRNGKey, Scalar, State

NORM = "root mean square: of the dynamics in scaled states, of the reward in its own unit"


class ByStep(NamedTuple):
    """Gradient of the discounted imagined return by an error added at each step.

    `dynamics` `[episode, time, state]` by one added to the next state, in the environment's units;
    `reward` `[episode, time]` by one added to the reward: the discount while alive.
    """

    dynamics: np.ndarray
    reward: np.ndarray


class _Perturbed(NamedTuple):
    """The parts of a world with something added."""

    world: MDP
    dynamics_error: Callable[[State, Action], State]
    reward_error: Callable[[State, Action, State], Scalar]

    def at(self, dynamics: Array, reward: Array) -> MDP:
        """The world whose errors are `dynamics` and `reward` times as large as the given ones."""
        world = self.world

        def next_state(state: Array, action: Array, key: PRNGKey) -> Array:
            return world.dynamics(state, action, key) + dynamics * self.dynamics_error(
                state, action
            )

        def paid(state: Array, action: Array, after: Array) -> Array:
            return world.reward(state, action, after) + reward * self.reward_error(
                state, action, after
            )

        return world.replace(dynamics=next_state, reward=paid)


@eqx.filter_jit
def directional(
    world: MDP,
    policy: MarkovPolicy,
    start: Float[Array, "episode state"],
    keys: Key[jax.Array, " episode"],
    *,
    dynamics_error: Callable[[State, Action], State],
    reward_error: Callable[[State, Action, State], Scalar],
    horizon: int,
) -> tuple[Float[Array, " episode"], Float[Array, " episode"]]:
    """Change of each episode's discounted imagined return per unit of a dynamics error and of a
    reward error.

    One forward pass for both.

    Args:
        world, policy: What is imagined; derivatives are taken there, where nothing is added.
        start: First states, `[episode, state]`.
        keys: Of the noise, `[episode]`.
        dynamics_error: `(s, a)`, `[state]` in the environment's units of the next state.
        reward_error: `(s, a, s')`, in units of the reward.
        horizon: Length of the episodes.
    """
    perturbed = _Perturbed(world, dynamics_error, reward_error)

    def returns(dynamics: Array, reward: Array) -> Array:
        paid = unroll(perturbed.at(dynamics, reward), policy, start, keys, horizon).reward
        return paid @ world.discount ** jnp.arange(horizon, dtype=paid.dtype)

    zero, unit = jnp.zeros((), start.dtype), jnp.ones((), start.dtype)
    tangents = jnp.stack([unit, zero]), jnp.stack([zero, unit])
    by_dynamics, by_reward = jax.vmap(lambda *tangent: jax.jvp(returns, (zero, zero), tangent)[1])(
        *tangents
    )
    return by_dynamics, by_reward


def by_step(
    world: MDP,
    policy: MarkovPolicy,
    start: np.ndarray,
    steps: np.ndarray,
    key: PRNGKey,
    *,
    horizon: int,
) -> ByStep:
    """The gradient by the error of every step, in one reverse pass over imagined episodes from
    `start`.

    Args:
        world, policy: What is imagined.
        start: First states, `[episode, state]`.
        steps: Length of each episode, `[episode]`, at most `horizon`.
        key: Of the noise.
        horizon: Length of the longest.
    """
    keys = jax.random.split(key, len(start))
    gradient = _by_step(world, policy, start, steps, keys, horizon=horizon)
    return ByStep(*map(np.asarray, gradient))


@eqx.filter_jit
def _by_step(
    world: MDP,
    policy: MarkovPolicy,
    start: Float[Array, "episode state"],
    steps: Int[Array, " episode"],
    keys: Key[jax.Array, " episode"],
    *,
    horizon: int,
) -> tuple[Float[Array, "episode time state"], Float[Array, "episode time"]]:
    """See `by_step`.

    Args:
        world, policy, start, steps, horizon: As there.
        keys: Of the noise, `[episode]`.
    """

    def of_episode(start: Array, steps: Array, key: jax.Array) -> tuple[Array, Array]:
        def returned(added: Array, paid: Array) -> Scalar:
            def step(
                carry: tuple[Array, ...], now: tuple[Any, ...]
            ) -> tuple[tuple[Array, ...], None]:
                state, alive, total = carry
                t, key, offset, bonus = now
                alive, unit = alive & (t < steps), jnp.ones((), start.dtype)
                moved = _Perturbed(world, lambda s, a: offset, lambda s, a, after: bonus).at(
                    unit, unit
                )
                _, after, reward, ended, _ = advance(moved, policy, state, alive, key[None])
                return (after, alive & ~ended, total + world.discount**t * reward[0]), None

            begin = (start[None], jnp.ones(1, bool), jnp.zeros((), start.dtype))
            columns = (jnp.arange(horizon), jax.random.split(key, horizon), added, paid)
            return jax.lax.scan(step, begin, columns)[0][2]

        errors = jnp.zeros((horizon, *start.shape), start.dtype), jnp.zeros(horizon, start.dtype)
        return jax.grad(returned, argnums=(0, 1))(*errors)

    return jax.vmap(of_episode)(start, steps, keys)


def error_weights(subject: AuditSubject) -> tuple[Weights, Weights]:
    """What a unit of root mean square error of each part costs in return, at errors of the size
    that was measured.

    The first weights are *realised*: along the errors that were measured on the real episodes, step
    by step, with signs, so that errors which cancel cost little; the second are the *steepest*, for
    errors of the same size that never cancel. In rollouts that fork, derivatives grow without limit
    and returns do not: no step's error is taken to cost more than what the rewards' range leaves of
    the return, nor all of them more than that range allows at all.

    The weights are at the training discount.
    """
    world, episodes, predictions = subject.world, subject.episodes, subject.predictions
    horizon = episodes.alive.shape[1]
    gradient = by_step(
        world,
        subject.played,
        np.asarray(episodes.state)[:, 0],
        episodes.horizons,
        subject.key,
        horizon=horizon,
    )
    alive, scale = np.asarray(episodes.alive), np.asarray(world.spec.state_scale)
    off = np.where(
        alive[..., None], (np.asarray(predictions.imagined_state) - episodes.next_state) / scale, 0
    )
    learned = np.asarray(predictions.at_real.reward)
    miss = np.where(alive, learned - episodes.reward, 0)
    size = [float(np.sqrt(np.sum(error**2) / alive.sum())) for error in (off, miss)]
    cut = _Cut(
        float(np.ptp(np.concatenate([[0.0], episodes.reward[alive], learned[alive]]))),
        world.discount,
        horizon,
    )
    costs = (
        cut(np.sum(gradient.dynamics * scale * off, axis=-1)),
        np.sum(gradient.reward * miss, axis=1),
    )
    realised = [
        abs(float(np.mean(c))) / s if s > 0 else 0.0 for c, s in zip(costs, size, strict=True)
    ]
    unsure = [_standard_error(c) / s if s > 0 else 0.0 for c, s in zip(costs, size, strict=True)]
    along_measured = Weights(
        dynamics=realised[0],
        reward=realised[1],
        norm=NORM,
        discount=world.discount,
        horizon=horizon,
        origin="realised: along the errors measured on the real episodes",
        unsure={"dynamics": unsure[0], "reward": unsure[1]},
        route=Route.REALISED,
    )
    return along_measured, _steepest(world, gradient, size[0], cut)


def _standard_error(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def steepest(
    world: MDP, policy: MarkovPolicy, start: np.ndarray, key: PRNGKey, *, error: float, span: float
) -> Weights:
    """The steepest weights of whole imagined episodes: no real step is needed.

    Args:
        world, policy: What is imagined.
        start: First states, `[episode, state]`.
        key: Of the world's noise.
        error: Root mean square error of the dynamics, in scaled states.
        span: Range of the rewards, 0 included.
    """
    horizon = world.spec.horizon
    gradient = by_step(world, policy, start, np.full(len(start), horizon), key, horizon=horizon)
    return _steepest(world, gradient, error, _Cut(span, world.discount, horizon))


class _Cut(NamedTuple):
    """What rewards of this range leave of a return: the most that an error can cost."""

    span: float
    discount: float
    horizon: int

    def __call__(self, costs: np.ndarray) -> np.ndarray:
        """Costs of episodes `[episode]` from those of steps `[episode, time]`, both bounded."""
        costs = np.where(np.isnan(costs), np.inf, costs)  # derivatives beyond the floating numbers
        left = self.span * np.cumsum((self.discount ** np.arange(self.horizon))[::-1])[::-1]
        return np.clip(np.clip(costs, -left, left).sum(axis=1), -left[0], left[0])


def _steepest(world: MDP, gradient: ByStep, error: float, cut: _Cut) -> Weights:
    """Weights of errors that never cancel.

    Args:
        world: Whose state scale is the unit.
        gradient: By the error of every step.
        error: Root mean square error of the dynamics, in scaled states.
        cut: What an error can cost at most.
    """
    slope = np.linalg.norm(gradient.dynamics * np.asarray(world.spec.state_scale), axis=-1)
    costs = (
        cut(slope * error) / error if error > 0 else slope.sum(axis=1),
        gradient.reward.sum(axis=1),
    )
    mean, unsure = ([float(summary(c)) for c in costs] for summary in (np.mean, _standard_error))
    return Weights(
        dynamics=mean[0],
        reward=mean[1],
        norm=NORM,
        discount=world.discount,
        horizon=cut.horizon,
        origin="steepest: for errors that never cancel",
        unsure={"dynamics": unsure[0], "reward": unsure[1]},
        route=Route.STEEPEST,
    )
