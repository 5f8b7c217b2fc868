"""Supervised fits of an ensemble of networks: one compiled program, members spread over the
devices.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int, Key

from paracosm.core.devices import map_over_devices
from paracosm.core.types import Array
from paracosm.learning.parts import bounded_log_variance
from paracosm.learning.settings import FitSettings

# An Equinox module, `[inputs] -> [outputs]`, such as an `MLP`.
Network = Callable[[Array], Array]
Loss = Literal["squared", "logistic", "gaussian"]
_ADAM: Any = optax.scale_by_adam()
# β of the Gaussian likelihood. At 0 rows that fit badly get a large variance and with it no weight,
# and are never learned; at 1 the mean is that of squares.
_BETA = 0.5


class Rows(NamedTuple):
    """Inputs `[capacity, inputs]`, targets `[capacity, outputs]`, and how many rows are real
    (`number`).
    """

    inputs: Array
    targets: Array
    number: Array


class Fitted(NamedTuple):
    """A fitted ensemble.

    Attributes:
        networks: Each member at the epoch that is kept, `[member, …]`.
        epochs: How many epochs each member took.
        losses: Validation loss of each epoch; NaN of those that were not needed.
    """

    networks: Network
    epochs: Int[Array, " member"]
    losses: Float[Array, "member most_epochs"]


def pad(inputs: np.ndarray, targets: np.ndarray, capacity: int = 16) -> Rows:
    """Rows padded to the next quarter power of two, so that a growing data set does not compile
    anew each time.

    Sets of up to `capacity` rows are padded to the same number.
    """
    count = len(inputs)
    padded = math.ceil(2 ** (math.ceil(4 * math.log2(max(count, capacity))) / 4))
    fill = ((0, padded - count), (0, 0))
    return Rows(
        np.pad(inputs, fill).astype(np.float32),
        np.pad(targets, fill).astype(np.float32),
        np.asarray(count),
    )


def row_losses(
    network: Network, inputs: Array, targets: Array, loss: Loss, *, beta: float = 0.0
) -> Float[Array, " rows"]:
    """Loss of each row, the mean over outputs.

    Args:
        network: `[inputs] -> [outputs]`.
        inputs, targets: `[rows, …]`.
        loss: `squared`; `logistic` of targets 0 and 1 and predicted logits; or `gaussian`,
            `σ^(2β) ((y - μ)² / σ² + log σ²)` of predicted `μ` and, in the second half, raw
            `log σ²`, the factor `σ^(2β)` without a derivative (Seitzer et al. 2022).
        beta: β, to fit with; only at 0 is the loss smallest at the true mean and spread.
    """
    predicted = jax.vmap(network)(inputs)
    if loss == "gaussian":
        mean, raw = jnp.split(predicted, 2, axis=1)
        log_variance = bounded_log_variance(raw)
        weight = jax.lax.stop_gradient(jnp.exp(beta * log_variance))
        likelihood = (targets - mean) ** 2 * jnp.exp(-log_variance) + log_variance
        return jnp.mean(weight * likelihood, axis=1)
    by_output = (
        (predicted - targets) ** 2
        if loss == "squared"
        else optax.sigmoid_binary_cross_entropy(predicted, targets)
    )
    return jnp.mean(by_output, axis=1)


@eqx.filter_jit
def fit(
    networks: Network,
    train: Rows,
    validation: Rows,
    keys: Key[jax.Array, " member"],
    *,
    loss: Loss,
    settings: FitSettings,
) -> Fitted:
    """Fit every member of an ensemble to the same rows, each to stop by itself.

    Args:
        networks: Where the fits start, `[member, …]`.
        train, validation: Rows to fit, and rows whose loss says when to stop.
        keys: Randomness of the rows drawn, `[member]`.
        loss: As in `row_losses`.
        settings: See `FitSettings`.
    """

    def on_device(train: Rows, validation: Rows, *members: Any) -> Fitted:
        fit = _Fit(train, validation, loss, settings)
        return jax.lax.map(lambda member: fit.run(*member), members)

    return map_over_devices(on_device, settings.members, shared=2)(
        train, validation, networks, keys
    )


@eqx.filter_jit
def fit_each(
    networks: Network,
    train: Rows,
    validation: Rows,
    keys: Key[jax.Array, " network"],
    *,
    loss: Loss,
    settings: FitSettings,
) -> Fitted:
    """Fit networks to rows of their own.

    Args:
        networks, train, validation, keys: As in `fit`, all with a leading axis `[network, …]`.
        loss, settings: As in `fit`.
    """

    def run(arrays: tuple[Network, Rows, Rows, Array]) -> Fitted:
        network, train, validation, key = arrays
        return _Fit(train, validation, loss, settings).run(network, key)

    def on_device(*arrays: Any) -> Fitted:
        return jax.lax.map(run, arrays)

    return map_over_devices(on_device, len(keys), shared=0)(networks, train, validation, keys)


class _FitState(NamedTuple):
    """A fit after some epochs.

    Attributes:
        network, optimiser: Where the next epoch starts.
        best: The network that is kept: that of the least validation loss, `best_loss`; of a fit
            that keeps the last epoch simply the last one.
        stale: Epochs without a better validation loss.
        rate_index: Which of `FitSettings.rates` is in use.
        epoch: Epochs so far.
        losses: Validation loss of each epoch, NaN of those to come, `[most_epochs]`.
    """

    network: Network
    optimiser: optax.OptState
    best: Network
    best_loss: Array
    stale: Array
    rate_index: Array
    epoch: Array
    losses: Array


class _Fit(NamedTuple):
    """The fit of one network, to be traced."""

    train: Rows
    validation: Rows
    loss: Loss
    settings: FitSettings

    def run(self, network: Network, key: Array) -> Fitted:
        """All epochs from this network on."""
        settings, zero = self.settings, jnp.zeros((), int)
        start = _FitState(
            network=network,
            optimiser=_ADAM.init(network),
            best=network,
            best_loss=jnp.asarray(jnp.inf),
            stale=zero,
            rate_index=zero,
            epoch=zero,
            losses=jnp.full(settings.most_epochs, jnp.nan),
        )

        def unfinished(state: _FitState) -> Array:
            return (state.rate_index < len(settings.rates)) & (state.epoch < settings.most_epochs)

        end = jax.lax.while_loop(unfinished, lambda state: self.epoch(state, key), start)
        return Fitted(networks=end.best, epochs=end.epoch, losses=end.losses)

    def epoch(self, state: _FitState, key: Array) -> _FitState:
        """Steps, validation, and where to go on: from here, or from the best at the next rate."""
        network, optimiser = self.steps(state, jax.random.fold_in(key, state.epoch))
        loss = self.validate(network)
        if self.settings.keep == "last":
            return self._keep_last(state, network, optimiser, loss)
        better = loss < state.best_loss
        best, best_loss = _where(better, (network, loss), (state.best, state.best_loss))
        stale = jnp.where(better, 0, state.stale + 1)
        stalled = stale >= self.settings.patience
        network, optimiser, stale = _where(
            stalled, (best, _ADAM.init(best), 0 * stale), (network, optimiser, stale)
        )
        return _FitState(
            network=network,
            optimiser=optimiser,
            best=best,
            best_loss=best_loss,
            stale=stale,
            rate_index=state.rate_index + stalled,
            epoch=state.epoch + 1,
            losses=jnp.asarray(state.losses).at[state.epoch].set(loss),
        )

    def _keep_last(
        self, state: _FitState, network: Network, optimiser: optax.OptState, loss: Array
    ) -> _FitState:
        """The state after an epoch that is kept whatever validation says.

        Args:
            state: Before the epoch.
            network, optimiser: After the epoch.
            loss: The validation loss, to be reported.
        """
        epoch, rates = state.epoch + 1, len(self.settings.rates)
        return state._replace(
            network=network,
            optimiser=optimiser,
            best=network,
            rate_index=jnp.minimum(epoch * rates // self.settings.most_epochs, rates - 1),
            epoch=epoch,
            losses=jnp.asarray(state.losses).at[state.epoch].set(loss),
        )

    def validate(self, network: Network) -> Array:
        """The mean loss over the validation rows."""
        losses = row_losses(network, self.validation.inputs, self.validation.targets, self.loss)
        real = jnp.arange(len(losses)) < self.validation.number
        return jnp.sum(jnp.where(real, losses, 0)) / self.validation.number

    def steps(self, state: _FitState, key: Array) -> tuple[Network, optax.OptState]:
        """Optimiser steps over random real rows."""
        train, settings = self.train, self.settings
        rate = jnp.asarray(settings.rates)[state.rate_index]
        passes = -(-train.number // settings.batch)
        count = jnp.clip(passes, settings.least_steps, settings.most_steps)
        draw = self._balanced() if settings.balanced else self._uniform

        def step(i: Array, carry: tuple[Network, optax.OptState]) -> tuple[Network, optax.OptState]:
            network, optimiser = carry
            rows, weights = draw(jax.random.fold_in(key, i))
            inputs, targets = train.inputs[rows], train.targets[rows]
            gradient = jax.grad(
                lambda network: jnp.mean(
                    weights * row_losses(network, inputs, targets, self.loss, beta=_BETA)
                )
            )(network)
            update, optimiser = _ADAM.update(gradient, optimiser)
            return jax.tree.map(lambda p, u: p - rate * u, network, update), optimiser

        return jax.lax.fori_loop(0, count, step, (state.network, state.optimiser))

    def _uniform(self, key: Array) -> tuple[Array, float]:
        """Rows drawn for a step, each as likely as another, and their weight."""
        return jax.random.randint(key, (self.settings.batch,), 0, self.train.number), 1.0

    def _balanced(self) -> Callable[[Array], tuple[Array, Array]]:
        """A function of a key that draws the rows of a step, with probability `p_i = (1/n + |y_i| /
        Σ|y|) / 2`, and gives them with their weights, `1 / (n p_i)`.

        Sums of 32 bits make the draw coarse where rows are many: of 100,000 rows the chances are
        off by 0.6 % (one standard deviation), of 1,000,000 by 6 %, and of 10,000,000 a quarter of
        the rows are never drawn.
        """
        targets, number = self.train.targets, self.train.number
        real = jnp.arange(len(targets)) < number
        size = jnp.where(real, jnp.linalg.norm(targets, axis=1), 0)
        chance = jnp.where(real, 0.5 / number, 0) + 0.5 * size / jnp.maximum(jnp.sum(size), 1e-9)
        cumulative = jnp.cumsum(chance)

        def draw(key: Array) -> tuple[Array, Array]:
            at = jax.random.uniform(key, (self.settings.batch,)) * cumulative[-1]
            rows = jnp.minimum(jnp.searchsorted(cumulative, at), number - 1)
            return rows, cumulative[-1] / (number * chance[rows])

        return draw


def _where(condition: Array, yes: Any, no: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
