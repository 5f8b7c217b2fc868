"""The training of latent worlds: Adam on an objective of rows of a table of observations."""

from __future__ import annotations

import abc
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.types import Array, PRNGKey, Scalar
from paracosm.learning.latent.frames import Frames

N = TypeVar("N")

_CLIP = 10.0  # norm of a gradient; larger ones come of the first steps alone
_LAST_RATE = 0.1  # of the first one, to which the rate falls
_HELD_OUT = 0.1  # of the rows, the last ones
_BATCHES = 4  # of held-out rows


class Objective(eqx.Module):
    """What networks are trained to lower, of windows of recorded episodes.

    Attributes:
        frames: Everything recorded.
        center, scale: Of the rewards, which enter as `(r - center) / scale`.
    """

    frames: Frames
    center: Scalar
    scale: Scalar

    @abc.abstractmethod
    def losses(self, networks: Any, rows: Int[Array, " window"], key: PRNGKey) -> dict[str, Array]:
        """Mean losses by name, of the windows that begin at `rows`."""

    @abc.abstractmethod
    def total(self, losses: dict[str, Array]) -> Array:
        """Their weighted sum."""


def fitted(
    objective: Objective, networks: N, key: PRNGKey, *, batch: int, steps: int, rate: float
) -> tuple[N, dict[str, float]]:
    """Networks trained on all rows but the last tenth, and their losses on those.

    Args:
        objective: What is lowered.
        networks: Where training begins.
        key: Of the rows drawn and of noise.
        batch: Windows in a step.
        steps: How many.
        rate: Of Adam; it falls to a tenth.

    Raises:
        BadData: the losses are not finite.
    """
    count = int(objective.frames.number)
    held = max(1, round(_HELD_OUT * count))
    sizes = {"batch": batch, "steps": steps, "rate": rate}
    trained = _trained(objective, networks, jnp.asarray(max(1, count - held)), key, **sizes)
    rows = np.random.default_rng(0).integers(count - held, count, _BATCHES * batch)
    losses = {name: float(loss) for name, loss in _losses(objective, trained, rows, key).items()}
    if not np.isfinite(list(losses.values())).all():
        raise checks.BadData(f"the fit of the encoder diverges: its losses are {losses}.")
    return trained, losses


@eqx.filter_jit
def _trained(
    objective: Objective,
    networks: N,
    count: Array,
    key: PRNGKey,
    *,
    batch: int,
    steps: int,
    rate: float,
) -> N:
    """Networks trained on the first `count` rows.

    Constants of data and spaces have no gradient, and stay.

    Args:
        objective, networks, key, batch, steps, rate: As `fitted` has them.
        count: How many rows are trained on.
    """
    transform = optax.chain(optax.clip_by_global_norm(_CLIP), optax.scale_by_adam())
    weights, rest = eqx.partition(networks, eqx.is_inexact_array)

    def step(i: Array, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        weights, optimiser = carry
        draw, noise = jax.random.split(jax.random.fold_in(key, i))
        rows = jax.random.randint(draw, (batch,), 0, count)

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


def reward_unit(data: Dataset) -> tuple[Scalar, Scalar]:
    """Mean and deviation of the rewards that were bought, the latter 1 where they do not vary.

    Raises:
        BadData: nothing was bought.
    """
    if not data.has_transition.any():
        raise checks.BadData("no transition was bought; an encoder is learned from them.")
    rewards = data.reward[data.has_label]
    mean, deviation = (rewards.mean(), rewards.std()) if len(rewards) else (0.0, 0.0)
    return jnp.asarray(mean, jnp.float32), jnp.asarray(deviation or 1.0, jnp.float32)


def mean_where(values: Float[Array, ...], mask: Array) -> Array:
    """The mean of the entries that count."""
    return jnp.sum(jnp.where(mask, values, 0)) / jnp.maximum(jnp.sum(mask), 1)
