"""What a world predicts of recorded steps, and how far it says that it may be off: its mean and its
variance, of one step and of many.

Many steps are imagined with the recorded actions from recorded states, each member on its own all
the way (Chua et al. 2018, TS∞). Members that predict noise are played with it, several times each.
The number of these draws is ours and must not enter what is said of the spread: variances are
unbiased, hold the error of the draws' own mean, and come with the degrees of freedom that
Satterthwaite (1946) gives them; without draws these are infinite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP
from paracosm.core.members import drawn_part, member_dynamics, predictive_moments
from paracosm.core.records.calibration import Spread
from paracosm.core.types import Array, PRNGKey

# Of a stochastic part: a standard deviation of so many draws is known to an eighth.
DRAWS = 32
# Steps at which a world is asked twice whether it draws its answers.
_ASKED = 32


class SpreadSource(NamedTuple):
    """Where a predicted spread comes from, and how many members, or draws, it is of."""

    spread: Spread
    number: int

    @property
    def members(self) -> int:
        """Parts that are played one by one."""
        return {"none": 0, "drawn": 1}.get(self.spread, self.number)

    @property
    def draws(self) -> int:
        """How often each of them is played."""
        if self.spread in ("none", "members"):
            return 1
        return -(-DRAWS // self.members)


class Prediction(NamedTuple):
    """Predictions of real states `[…, state]`: the predictive mean, its variance and the degrees of
    freedom of that, and what the audited world itself predicts.

    Without a spread the variance is NaN.
    """

    mean: Array
    variance: Array
    freedom: Array
    by_world: Array


class OneStepPredictions(NamedTuple):
    """Predictions of every recorded step, `[episode, time, …]`, and in `shuffled` the audited
    world's with another step's action.
    """

    prediction: Prediction
    shuffled: Array


def spread_source(world: MDP, episodes: Trajectory, key: PRNGKey) -> SpreadSource:
    """Where the spread of the world's dynamics comes from.

    Args:
        world: In the precision of the analysis.
        episodes: Real episodes, NumPy arrays `[episode, time, …]`.
        key: Of the noise of a stochastic world.
    """
    dynamics: Any = world.dynamics
    rows = np.argwhere(episodes.alive)[:_ASKED]
    state, action = (column[tuple(rows.T)] for column in (episodes.state, episodes.action))
    if hasattr(dynamics, "moments"):
        return SpreadSource(
            "total", jax.eval_shape(dynamics.moments, state[0], action[0])[0].shape[0]
        )
    count = 0
    if hasattr(dynamics, "members"):
        count = jax.eval_shape(dynamics.members, state[0], action[0]).shape[0]
    if count > 1:
        return SpreadSource("members", count)
    return (
        SpreadSource("drawn", DRAWS)
        if _draws(world, state, action, key)
        else SpreadSource("none", 0)
    )


@eqx.filter_jit
def _draws(world: MDP, state: Array, action: Array, key: PRNGKey) -> Array:
    """Whether another key gives another next state, at any of these steps.

    Args:
        world: In the precision of the analysis.
        state, action: Of the steps, `[row, …]`.
        key: Of the noise.
    """
    first, second = (
        jax.vmap(world.dynamics, (0, 0, None))(state, action, noise)
        for noise in jax.random.split(key)
    )
    return jnp.any(first != second)


@eqx.filter_jit
def predict_one_step(
    world: MDP, episodes: Trajectory, permuted: Array, source: SpreadSource, key: PRNGKey
) -> OneStepPredictions:
    """The predictions of every recorded step, in one compiled program.

    Args:
        world: In the precision of the analysis.
        episodes: Real episodes, `[episode, time, …]`.
        permuted: Actions of other steps, of the shape of the recorded ones.
        source: Of the spread.
        key: Of the noise of a stochastic world.
    """

    def at(state: Array, action: Array, permuted: Array) -> OneStepPredictions:
        if source.spread == "drawn":
            keys = jax.random.split(key, DRAWS)
            draw = jax.vmap(world.dynamics, (None, None, 0))
            shuffled = jnp.mean(draw(state, permuted, keys), axis=0)
            prediction = _pooled(draw(state, action, keys)[None, :])
            return OneStepPredictions(prediction._replace(by_world=prediction.mean), shuffled)
        mean, variance = predictive_moments(world.dynamics, state, action)
        by_world, shuffled = (world.dynamics(state, a, key) for a in (action, permuted))
        return OneStepPredictions(
            Prediction(mean, variance, jnp.full_like(variance, jnp.inf), by_world), shuffled
        )

    return jax.vmap(jax.vmap(at))(episodes.state, episodes.action, permuted)


def _pooled(paths: Float[Array, "member draw *rest"]) -> Prediction:
    """Mean and variance of the predictions of members and their draws; the members are all that
    there are, the draws a sample.
    """
    members, draws = paths.shape[:2]
    own, mean = paths.mean(axis=1), paths.mean(axis=(0, 1))
    within = jnp.var(paths, axis=1, ddof=1).mean(axis=0) if draws > 1 else jnp.zeros_like(mean)
    # The variance of the members' means holds (1 - 1/M) within/n too much; the mean of all draws is
    # off by within/(M n).
    variance = jnp.var(own, axis=0) + within * (1 - (1 - 2 / members) / draws)
    share = jnp.where(variance > 0, within / jnp.where(variance > 0, variance, 1), 0)
    freedom = members * (draws - 1) / jnp.maximum(share, 1e-6) ** 2
    freedom = jnp.where(share > 0, jnp.maximum(freedom, 1), jnp.inf)
    return Prediction(mean, variance, freedom, mean)


@eqx.filter_jit
def predict_ahead(
    world: MDP,
    start: Float[Array, "row state"],
    actions: Array,
    source: SpreadSource,
    key: PRNGKey,
    *,
    grid: tuple[int, ...],
) -> Prediction:
    """The predictions of the states after as many steps as `grid` says, `[row, grid, …]`.

    Args:
        world: In the precision of the analysis.
        start: Recorded states, `[row, state]`.
        actions: Those that were recorded from there on, `[row, time, …]`.
        source: Of the spread.
        key: Of all noise.
        grid: Numbers of steps, the largest last.
    """
    by_time = jnp.moveaxis(actions[:, : grid[-1]], 1, 0)
    at = jnp.asarray(grid) - 1

    def path(dynamics: Callable[..., Array], draws: int, key: PRNGKey) -> Array:
        noisy = source.spread == "drawn" or draws > 1
        first = jnp.broadcast_to(start[:, None], (len(start), draws, start.shape[1]))
        return jnp.moveaxis(_played(dynamics, first, by_time, key, noisy=noisy)[at], 0, 2)

    by_world = path(world.dynamics, 1, key)[:, 0]
    if source.spread == "none":
        unknown = jnp.full_like(by_world, jnp.nan)
        return Prediction(by_world, unknown, unknown, by_world)

    def of_member(index: Array) -> Array:
        part, noise = member_dynamics(world.dynamics, index), jax.random.fold_in(key, index)
        if source.spread == "total":
            part = drawn_part(part, noise)
        return jnp.moveaxis(path(part, source.draws, noise), 1, 0)

    paths = jax.lax.map(of_member, jnp.arange(source.members))
    pooled = _pooled(paths)
    return pooled if source.spread == "drawn" else pooled._replace(by_world=by_world)


def _played(
    dynamics: Callable[..., Array],
    first: Float[Array, "row draw state"],
    actions: Array,
    key: PRNGKey,
    *,
    noisy: bool,
) -> Float[Array, "time row draw state"]:
    """The states that follow `first` under given actions.

    Args:
        dynamics: Of the state, the action and a key.
        first: Where each draw of each row starts.
        actions: `[time, row, …]`.
        key: Of the noise.
        noisy: Whether there is any; else no keys are made.
    """

    def step(state: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        action, time = now
        if noisy:
            keys = jax.random.split(jax.random.fold_in(key, time), state.shape[:2])
            after = jax.vmap(jax.vmap(dynamics, (0, None, 0)))(state, action, keys)
        else:
            after = jax.vmap(jax.vmap(dynamics, (0, None, None)), (0, 0, None))(state, action, key)
        return after, after

    return jax.lax.scan(step, first, (actions, jnp.arange(len(actions))))[1]
