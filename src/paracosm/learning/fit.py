"""Supervised fits of an ensemble of networks: one compiled program, members spread over the devices."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int, Key

from paracosm.core.devices import spread
from paracosm.core.networks import MLP
from paracosm.core.types import Array

Loss = Literal["squared", "logistic"]


@dataclasses.dataclass(frozen=True)
class FitSettings:
    """How an ensemble is fitted: Adam, the rate cut when validation stalls, stopped when it stalls at the lowest.

    Attributes:
        members: Networks in the ensemble; they differ in their initial weights and in the order of the data.
        width, depth: Hidden layers.
        batch: Rows a step.
        rates: Learning rates, used one after the other.
        patience: Epochs without a better validation loss before the next rate, starting again from the best.
        least_steps: An epoch is one pass over the data, or this many steps if that is more.
        most_epochs: The end in any case.
    """

    members: int = 4
    width: int = 64
    depth: int = 2
    batch: int = 256
    rates: tuple[float, ...] = (2e-3, 5e-4, 1e-4)
    patience: int = 8
    least_steps: int = 50
    most_epochs: int = 400


class Rows(NamedTuple):
    """Inputs `[capacity, inputs]`, targets `[capacity, outputs]`, and how many rows are real."""

    inputs: Array
    targets: Array
    count: Array


class Fitted(NamedTuple):
    """An ensemble `[member, …]`, each member at its best epoch, and its validation loss `[member, epoch]`."""

    networks: MLP
    epochs: Int[Array, " member"]
    losses: Float[Array, "member most_epochs"]


def pad(inputs: np.ndarray, targets: np.ndarray) -> Rows:
    """Rows padded to the next quarter power of two, so that a growing data set does not compile anew each time."""
    count = len(inputs)
    capacity = math.ceil(2 ** (math.ceil(4 * math.log2(max(count, 16))) / 4))
    fill = ((0, capacity - count), (0, 0))
    return Rows(
        jnp.asarray(np.pad(inputs, fill), jnp.float32),
        jnp.asarray(np.pad(targets, fill), jnp.float32),
        jnp.asarray(count),
    )


def row_losses(network: MLP, inputs: Array, targets: Array, loss: Loss) -> Float[Array, " rows"]:
    """Loss of each row, the mean over outputs."""
    predicted = jax.vmap(network)(inputs)
    each = (predicted - targets) ** 2 if loss == "squared" else optax.sigmoid_binary_cross_entropy(predicted, targets)
    return jnp.mean(each, axis=1)


class _State(NamedTuple):
    network: MLP
    optimiser: optax.OptState
    best: MLP
    best_loss: Array
    stale: Array
    rate: Array
    epoch: Array
    losses: Array


@eqx.filter_jit
def fit(
    networks: MLP, train: Rows, validation: Rows, keys: Key[jax.Array, " member"], loss: Loss, settings: FitSettings
) -> Fitted:
    """Fit every member of `networks` (`[member, …]`) to `train`, stopping each by `validation`."""

    def members(train: Rows, validation: Rows, networks: MLP, keys: Array) -> Fitted:
        return jax.lax.map(lambda one: _fit_one(one[0], train, validation, one[1], loss, settings), (networks, keys))

    return spread(members, settings.members, shared=2)(train, validation, networks, keys)


def _fit_one(network: MLP, train: Rows, validation: Rows, key: Array, loss: Loss, settings: FitSettings) -> Fitted:
    adam = optax.scale_by_adam()
    rates = jnp.asarray(settings.rates)
    steps = jnp.maximum(-(-train.count // settings.batch), settings.least_steps)
    real = jnp.arange(len(validation.inputs)) < validation.count

    def validate(network: MLP) -> Array:
        each = row_losses(network, validation.inputs, validation.targets, loss)
        return jnp.sum(jnp.where(real, each, 0)) / validation.count

    def epoch(state: _State) -> _State:
        network, optimiser = _pass(
            state, adam, train, jax.random.fold_in(key, state.epoch), rates, steps, loss, settings
        )
        found = validate(network)
        better = found < state.best_loss
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), network, state.best)
        stale = jnp.where(better, 0, state.stale + 1)
        stalled = stale >= settings.patience
        network = jax.tree.map(lambda new, old: jnp.where(stalled, new, old), best, network)
        return _State(
            network,
            optimiser,
            best,
            jnp.minimum(found, state.best_loss),
            jnp.where(stalled, 0, stale),
            state.rate + stalled,
            state.epoch + 1,
            state.losses.at[state.epoch].set(found),
        )

    def unfinished(state: _State) -> Array:
        return (state.rate < len(settings.rates)) & (state.epoch < settings.most_epochs)

    zero = jnp.zeros((), int)
    losses = jnp.full(settings.most_epochs, jnp.nan)
    start = _State(network, adam.init(network), network, validate(network), zero, zero, zero, losses)
    end = jax.lax.while_loop(unfinished, epoch, start)
    return Fitted(end.best, end.epoch, end.losses)


def _pass(
    state: _State,
    adam: optax.GradientTransformation,
    train: Rows,
    key: Array,
    rates: Array,
    steps: Array,
    loss: Loss,
    settings: FitSettings,
) -> tuple[MLP, optax.OptState]:
    """`steps` optimiser steps over the shuffled real rows."""
    shuffle = jax.random.uniform(key, (len(train.inputs),))
    order = jnp.argsort(jnp.where(jnp.arange(len(train.inputs)) < train.count, shuffle, jnp.inf))
    rate = rates[jnp.minimum(state.rate, len(rates) - 1)]

    def step(i: Array, carry: tuple[MLP, optax.OptState]) -> tuple[MLP, optax.OptState]:
        network, optimiser = carry
        rows = order[(i * settings.batch + jnp.arange(settings.batch)) % train.count]
        inputs, targets = train.inputs[rows], train.targets[rows]
        gradient = jax.grad(lambda network: jnp.mean(row_losses(network, inputs, targets, loss)))(network)
        update, optimiser = adam.update(gradient, optimiser)
        return jax.tree.map(lambda p, u: p - rate * u, network, update), optimiser

    return jax.lax.fori_loop(0, steps, step, (state.network, state.optimiser))
