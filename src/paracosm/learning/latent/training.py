"""The training of latent worlds: Adam on an objective of rows of a table of observations."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.mdp import Box, Discrete
from paracosm.core.networks import MLP, rescaled
from paracosm.core.types import Array, PRNGKey, Scalar
from paracosm.learning.latent.frames import Frames
from paracosm.learning.scaling import not_zero, standard
from paracosm.learning.splits import held_out_stretches


class HasReward(Protocol):
    """Networks one of which reads rewards."""

    @property
    def reward(self) -> MLP: ...


N = TypeVar("N", bound=HasReward)

_CLIP = 10.0  # norm of a gradient; larger ones come of the first steps alone
_LAST_RATE = 0.1  # of the first one, to which the rate falls
_STRETCH, _HELD_OUT = 100, 0.1  # rows held out in one piece, and the share of these pieces
_BATCHES = 4  # of held-out rows


@dataclasses.dataclass(frozen=True, eq=False)
class LatentWorld(Generic[N]):
    """What a fit came to.

    Attributes:
        networks: The encoder, and what was learned beside it.
        losses: Means by name, on windows that were held out.
        parts: Dynamics, reward and end rule of beliefs, by name, as an `MDP` takes them.
    """

    networks: N
    losses: dict[str, float]
    parts: dict[str, Callable[..., Any]]


class Objective(eqx.Module):
    """What networks are trained to lower, of windows of recorded episodes.

    Attributes:
        frames: Everything recorded.
        reward_center, reward_scale: Rewards enter as `(r - reward_center) / reward_scale`.
    """

    frames: Frames
    reward_center: Scalar
    reward_scale: Scalar

    @abc.abstractmethod
    def losses(self, networks: Any, rows: Int[Array, " window"], key: PRNGKey) -> dict[str, Array]:
        """Mean losses by name, of the windows that begin at `rows`."""

    @abc.abstractmethod
    def total(self, losses: dict[str, Array]) -> Array:
        """The weighted sum of the losses."""


def train_networks(
    objective: Objective, networks: N, key: PRNGKey, *, batch: int, steps: int, rate: float
) -> tuple[N, dict[str, float]]:
    """Networks trained on windows that begin outside of the held-out rows, and their losses on
    windows that begin in the held-out rows.

    Args:
        objective: What is lowered.
        networks: Where training begins; their reward, and that of the trained ones, is in the
            environment's units.
        key: Randomness of the rows drawn, and of noise.
        batch: Windows in a step.
        steps: Training steps.
        rate: Adam's learning rate; it falls to a tenth.

    Raises:
        BadData: the losses are not finite.
    """
    train, held_out = _split(objective.frames)
    rows = np.zeros(len(objective.frames.frame), int)
    rows[: len(train)] = train
    candidates = (jnp.asarray(rows), jnp.asarray(len(train)))
    center, scale = objective.reward_center, objective.reward_scale
    start = with_reward_rescaled(networks, 1 / scale, -center / scale)
    trained = _train(objective, start, candidates, key, jnp.asarray(steps), batch=batch, rate=rate)
    rows = np.random.default_rng(0).choice(held_out, _BATCHES * batch)
    losses = {name: float(loss) for name, loss in _losses(objective, trained, rows, key).items()}
    if not np.isfinite(list(losses.values())).all():
        raise checks.BadData(f"the fit of the encoder diverges: its losses are {losses}.")
    return with_reward_rescaled(trained, scale, center), losses


def with_reward_rescaled(networks: N, factor: Scalar, shift: Scalar) -> N:
    """Networks whose reward is `factor` times what it was, and `shift` more."""
    reward = rescaled(networks.reward, factor[None], shift[None])
    return eqx.tree_at(lambda tree: tree.reward, networks, reward)


def _split(frames: Frames) -> tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]:
    """Bought rows at which windows begin: to train on, and held out, one of ten stretches of a
    hundred, of fewer than ten stretches the second; the last tenth of the rows where there is one.
    """
    bought = np.flatnonzero(np.asarray(frames.bought)[: int(frames.number)])
    stretch = bought // _STRETCH
    held_out = held_out_stretches(stretch[-1] + 1, _HELD_OUT)[stretch]
    if not held_out.any():
        held_out = np.arange(len(bought)) >= len(bought) - max(1, int(_HELD_OUT * len(bought)))
    train = bought[~held_out] if not held_out.all() else bought
    return train, bought[held_out]


@eqx.filter_jit
def _train(
    objective: Objective,
    networks: N,
    candidates: tuple[Array, Array],
    key: PRNGKey,
    steps: Array,
    *,
    batch: int,
    rate: float,
) -> N:
    """Networks trained on windows that begin at the first rows of a column.

    Constants of data and spaces have no gradient, and stay.

    Args:
        objective, networks, key, steps, batch, rate: As in `train_networks`.
        candidates: The column, and from how many of its first rows windows are drawn.
    """
    column, count = candidates
    transform = optax.chain(optax.clip_by_global_norm(_CLIP), optax.scale_by_adam())
    weights, rest = eqx.partition(networks, eqx.is_inexact_array)

    def step(i: Array, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        weights, optimiser = carry
        draw, noise = jax.random.split(jax.random.fold_in(key, i))
        rows = column[jax.random.randint(draw, (batch,), 0, count)]

        def loss(weights: Any) -> Array:
            networks = eqx.combine(weights, rest)
            return objective.total(objective.losses(networks, rows, noise))

        updates, optimiser = transform.update(jax.grad(loss)(weights), optimiser)
        now = rate * _LAST_RATE ** (i / steps)
        return jax.tree.map(lambda p, u: p - now * u, weights, updates), optimiser

    start = (weights, transform.init(weights))
    return eqx.combine(jax.lax.fori_loop(0, steps, step, start)[0], rest)


@eqx.filter_jit
def _losses(objective: Objective, networks: Any, rows: Array, key: PRNGKey) -> dict[str, Array]:
    """The losses in one compiled program.

    Args:
        objective, networks, rows, key: As `Objective.losses` has them.
    """
    return objective.losses(networks, rows, key)


def require_observations(
    data: Dataset, space: Box | Discrete, image: tuple[int, int, int] | None
) -> None:
    """Refuse data that are not what an encoder is to be learned from.

    Raises:
        BadArgument: pictures without their size, or of another one; actions of another space.
        BadData: nothing was bought, or steps are missing within an episode.
    """
    checks.of_kind("data", data, Dataset, "a Dataset")
    size, kind = data.state.shape[1], data.state.dtype
    if (image is not None) != (kind == np.uint8) or (image and math.prod(image) != size):
        raise checks.BadArgument(
            f"image is {image}, and the observations are rows of {size} numbers of type {kind};"
            " (height, width, channels) of pictures in bytes, or None of vectors, is needed."
        )
    form = data.action.shape[1:]
    if form != (() if isinstance(space, Discrete) else (space.size,)):
        raise checks.BadArgument(
            f"the data's actions have the shape {form}, which is not that of a"
            f" {type(space).__name__} of {space.size}."
        )
    if not data.has_transition.any():
        raise checks.BadData("no transition was bought; an encoder is learned from them.")
    missing = (np.diff(data.episode) == 0) & (np.diff(data.time) != 1)
    if missing.any():
        row = int(np.argmax(missing))
        raise checks.BadData(
            f"step {data.time[row]} of episode {data.episode[row]} is followed by step"
            f" {data.time[row + 1]}; an encoder is learned from episodes of which no step is"
            " missing."
        )


def reward_unit(data: Dataset) -> tuple[Scalar, Scalar]:
    """Mean and standard deviation of the rewards that were bought; the deviation is 1 where they do
    not vary.
    """
    rewards = data.reward[data.has_label][:, None]
    if not len(rewards):
        return jnp.zeros(()), jnp.ones(())
    scaling = standard(rewards)
    return jnp.asarray(scaling.center[0]), jnp.asarray(not_zero(scaling.scale)[0])


def mean_where(values: Float[Array, ...], mask: Array) -> Array:
    """The mean of the entries that count."""
    return jnp.sum(jnp.where(mask, values, 0)) / jnp.maximum(jnp.sum(mask), 1)
