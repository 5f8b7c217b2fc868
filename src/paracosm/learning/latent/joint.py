"""An encoder and the world of its beliefs, learned together.

Features of observations `e_t = φ(o_t)` are learned so that they can be predicted, and so that
rewards and ends can be read from the beliefs that are made of them. From a belief that was seen,
the world goes on for some steps by itself:

    ê_{t+1} = ê_t + f(ẑ_t, a_t),  ẑ_{t+1} = update(ẑ_t, a_t, ê_{t+1}),  ẑ_0 = z_0

The loss is the mean over windows and their steps of

    ‖ê_t - sg(e_t)‖²/m + (r̂(ẑ_t, a_t, ẑ_{t+1}) - r_t)²/σ_r² + logistic(d̂(ẑ_t, a_t, ẑ_{t+1}), d_t)
        + variance(e) + covariance(e) + λ (1 - cos(e_{t+1} - e_t, e_{t+2} - e_{t+1}))

with `sg` a target without derivative (`stop_gradient`). Predictions alone are perfect where all
features are one number: the variance term `mean_i max(0, 1 - σ_i)` and the covariance term, the
mean square of the correlations between two features, keep them apart (Bardes et al. 2022). The last
term makes latent paths straight (Wang et al. 2026); λ is 0 unless it is given.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.encoder import Window, belief_size
from paracosm.core.mdp import Box, Discrete
from paracosm.core.networks import MLP
from paracosm.core.records import Record
from paracosm.core.storage import storable
from paracosm.core.types import Array, PRNGKey, State
from paracosm.learning.latent.embedding import EmbeddedWindow, new_embedding
from paracosm.learning.latent.frames import Frames, frames_of, windows_at
from paracosm.learning.straightness import curvature

_CLIP = 10.0  # norm of a gradient; larger ones come of the first steps alone
_COVARIANCE = 0.1
_HELD_OUT = 0.1  # of the rows, the last ones


@dataclasses.dataclass(frozen=True)
class LatentSettings(Record):
    """How an encoder and the world of its beliefs are learned.

    Attributes:
        features: What is made of one observation, m.
        length: Observations in a belief.
        steps: Steps that are predicted one from the other.
        width: Neurons of hidden layers.
        batch: Windows in a training step.
        most_steps: Training steps of a fit.
        rate: Of Adam; it falls to a tenth in the course of a fit.
        straightening: λ, the weight of curvature.
        stop_gradient: Whether targets are without derivative. Without reward labels they should
            have one: then nothing else makes features predictable.
    """

    features: int = 8
    length: int = 2
    steps: int = 4
    width: int = 128
    batch: int = 64
    most_steps: int = 3000
    rate: float = 1e-3
    straightening: float = 0.0
    stop_gradient: bool = True

    def __post_init__(self) -> None:
        counts = ("features", "length", "steps", "width", "batch", "most_steps")
        checks.fields(
            self,
            {
                **dict.fromkeys(counts, checks.COUNT),
                "rate": checks.POSITIVE,
                "straightening": checks.NON_NEGATIVE,
            },
        )


@storable
class LatentNetworks(eqx.Module):
    """The encoder, and networks for the change of features, the reward and the logit of an end.

    `reward` is in units of the rewards' deviation, `center` and `scale` away from its own.
    """

    encoder: EmbeddedWindow
    change: MLP
    reward: MLP
    end: MLP
    reward_center: Array
    reward_scale: Array

    def step(self, state: State, features: Array, action: Any) -> tuple[State, Array]:
        """The next belief and its features, of those before and an action."""
        window = self.encoder.window
        change = self.change(self._inputs(state, action))
        after = features + change
        return window.update(state, action, after), after

    def read(self, state: State, action: Any, after: State) -> tuple[Array, Array]:
        """Reward in its own units and logit of an end, of a step from a belief to the next."""
        inputs = jnp.concatenate([self._inputs(state, action), after])
        return self.reward(inputs)[0], self.end(inputs)[0]

    def _inputs(self, state: State, action: Any) -> Array:
        space: Any = self.encoder.window.space
        return jnp.concatenate([state, space.encode(action).astype(state.dtype)])


class LatentFit(NamedTuple):
    """What a fit came to: the networks, and mean losses by name on windows that were held out."""

    networks: LatentNetworks
    losses: dict[str, float]


class _Losses(NamedTuple):
    prediction: Array
    reward: Array
    end: Array
    variance: Array
    covariance: Array
    curvature: Array


def fit_latent(
    data: Dataset,
    space: Box | Discrete,
    key: PRNGKey,
    *,
    image: tuple[int, int, int] | None = None,
    settings: LatentSettings | None = None,
    before: LatentNetworks | None = None,
    capacity: int = 1,
) -> LatentFit:
    """Learn features, beliefs and their world from recorded observations.

    Args:
        data: Steps whose states are observations: vectors, or bytes of pictures.
        space: The actions.
        key: Of the first weights and of the windows drawn.
        image: Height, width and channels of pictures.
        settings: See `LatentSettings`.
        before: Networks that the fit goes on from.
        capacity: Rows to compile for: until there are more of them nothing is compiled again.

    Raises:
        BadData: nothing was bought, or the fit diverges.
    """
    settings = settings or LatentSettings()
    if not data.has_transition.any():
        raise checks.BadData("no transition was bought; an encoder is learned from them.")
    frames = frames_of(data, capacity)
    first, draws = jax.random.split(key)
    networks = before or _new(data, space, image, settings, first)
    networks = _with_rewards(networks, data)
    held = max(1, round(_HELD_OUT * data.real_steps))
    number = jnp.asarray(data.real_steps - held)
    trained = _train(networks, frames, number, draws, settings)
    rows = np.arange(data.real_steps - held, data.real_steps)
    rows = np.random.default_rng(0).choice(rows, settings.batch * 4)
    losses = jax.tree.map(float, _losses_at(trained, frames, rows, settings)._asdict())
    if not np.isfinite(list(losses.values())).all():
        raise checks.BadData(f"the fit of the encoder diverges: its losses are {losses}.")
    return LatentFit(trained, losses)


def _new(
    data: Dataset,
    space: Box | Discrete,
    image: tuple[int, int, int] | None,
    settings: LatentSettings,
    key: PRNGKey,
) -> LatentNetworks:
    """Untrained networks.

    Args:
        data: Examples of observations.
        space: The actions.
        image: Height, width and channels of pictures, None of vectors.
        settings: Sizes.
        key: Of the weights.
    """
    of_embedding, *of_heads = jax.random.split(key, 4)
    features, width = settings.features, settings.width
    embedding = new_embedding(data.bought_states, image, features, width, of_embedding)
    encoder = EmbeddedWindow(embedding, Window(settings.length, space))
    size = belief_size(encoder.window, features, space)
    sizes = ((size + space.size, features), *[(2 * size + space.size, 1)] * 2)
    change, reward, end = (
        MLP(inputs, outputs, width, 2, k, last=0.1)
        for (inputs, outputs), k in zip(sizes, of_heads, strict=True)
    )
    return LatentNetworks(encoder, change, reward, end, jnp.zeros(()), jnp.ones(()))


def _with_rewards(networks: LatentNetworks, data: Dataset) -> LatentNetworks:
    """The networks with the unit of the rewards that were bought."""
    rewards = data.reward[data.has_label]
    deviation = float(rewards.std()) if len(rewards) else 0.0
    center, scale = (float(rewards.mean()) if len(rewards) else 0.0), deviation or 1.0
    unit = (jnp.asarray(center, jnp.float32), jnp.asarray(scale, jnp.float32))
    return eqx.tree_at(lambda net: (net.reward_center, net.reward_scale), networks, unit)


@eqx.filter_jit
def _train(
    networks: LatentNetworks,
    frames: Frames,
    rows: Array,
    key: PRNGKey,
    settings: LatentSettings,
) -> LatentNetworks:
    """Adam on windows drawn from the first `rows` rows.

    Args:
        networks: Where it begins.
        frames: Everything recorded.
        rows: How many of its rows are trained on.
        key: Of the windows.
        settings: See `LatentSettings`.
    """
    transform = optax.chain(optax.clip_by_global_norm(_CLIP), optax.scale_by_adam())
    trained, fixed = eqx.partition(networks, _is_trained(networks))

    def step(i: Array, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        trained, optimiser = carry
        drawn = jax.random.randint(jax.random.fold_in(key, i), (settings.batch,), 0, rows)

        def loss(trained: Any) -> Array:
            losses = _losses(eqx.combine(trained, fixed), frames, drawn, settings)
            return _total(losses, settings)

        updates, optimiser = transform.update(jax.grad(loss)(trained), optimiser)
        rate = settings.rate * 0.1 ** (i / settings.most_steps)
        return jax.tree.map(lambda p, u: p - rate * u, trained, updates), optimiser

    start = (trained, transform.init(trained))
    return eqx.combine(jax.lax.fori_loop(0, settings.most_steps, step, start)[0], fixed)


def _is_trained(networks: LatentNetworks) -> Any:
    """Which arrays are weights: not the bounds of actions, nor units."""
    everything = jax.tree.map(lambda _: True, networks)
    constants = lambda net: (net.encoder.window, net.reward_center, net.reward_scale)  # noqa: E731
    return eqx.tree_at(
        constants, everything, replace_fn=lambda part: jax.tree.map(lambda _: False, part)
    )


def _total(losses: _Losses, settings: LatentSettings) -> Array:
    return (
        losses.prediction
        + losses.reward
        + losses.end
        + losses.variance
        + _COVARIANCE * losses.covariance
        + settings.straightening * losses.curvature
    )


@eqx.filter_jit
def _losses_at(
    networks: LatentNetworks, frames: Frames, rows: Array, settings: LatentSettings
) -> _Losses:
    """The losses at `rows`, in one compiled program.

    Args:
        networks, frames, rows, settings: As `_losses` has them.
    """
    return _losses(networks, frames, rows, settings)


def _losses(
    networks: LatentNetworks, frames: Frames, rows: Array, settings: LatentSettings
) -> _Losses:
    """The parts of the loss of the windows at `rows`.

    Args:
        networks: What is judged.
        frames: Everything recorded.
        rows: Where the windows' first steps are, `[window]`.
        settings: Of the windows.
    """
    windows = windows_at(frames, rows, settings.length - 1, settings.steps)
    features = jax.vmap(jax.vmap(networks.encoder.embedding))(windows.observation)
    predicted, reward, logit = jax.vmap(lambda *window: _imagined(networks, *window))(
        features, windows.action, windows.remembered
    )
    later = features[:, settings.length :]
    goals = jax.lax.stop_gradient(later) if settings.stop_gradient else later
    error = jnp.mean((predicted - goals) ** 2, axis=2)
    target = (windows.reward - networks.reward_center) / networks.reward_scale
    ends = optax.sigmoid_binary_cross_entropy(logit, windows.ended.astype(logit.dtype))
    velocity = jnp.diff(features[:, settings.length - 1 :], axis=1)
    curves = jax.vmap(jax.vmap(curvature))(velocity[:, :-1], velocity[:, 1:])
    return _Losses(
        _mean(error, windows.alive),
        _mean((reward - target) ** 2, windows.labelled),
        _mean(ends, windows.alive),
        *_spread(features),
        _mean(curves, windows.alive[:, 1:]),
    )


def _imagined(
    networks: LatentNetworks, features: Array, actions: Array, remembered: Array
) -> tuple[Float[Array, "steps features"], Float[Array, " steps"], Float[Array, " steps"]]:
    """Predicted features of the steps that follow, rewards in their unit, and logits of ends.

    Args:
        networks: What predicts.
        features: Of the window's observations, `[before + 1 + steps, features]`.
        actions: `[before + steps, …]`.
        remembered: Which steps of the history are the episode's own, `[before]`.
    """
    window, before = networks.encoder.window, len(remembered)

    def recall(state: State, row: Any) -> tuple[State, None]:
        action, shown, own = row
        return jnp.where(own, window.update(state, action, shown), state), None

    history = (actions[:before], features[1 : before + 1], remembered)
    state = jax.lax.scan(recall, window.initial(features[0]), history)[0]

    def imagine(carry: tuple[State, Array], action: Any) -> Any:
        state, shown = carry
        after, predicted = networks.step(state, shown, action)
        return (after, predicted), (predicted, *networks.read(state, action, after))

    return jax.lax.scan(imagine, (state, features[before]), actions[before:])[1]


def _spread(features: Float[Array, "window time features"]) -> tuple[Array, Array]:
    """`mean_i max(0, 1 - σ_i)`, and the mean square of the correlations of two features."""
    flat = features.reshape(-1, features.shape[2])
    centered = flat - jnp.mean(flat, axis=0)
    covariance = centered.T @ centered / len(flat)
    deviation = jnp.sqrt(jnp.diagonal(covariance) + 1e-6)
    correlation = covariance / (deviation[:, None] * deviation)
    pairs = 1 - jnp.eye(len(deviation))
    shared = jnp.sum(pairs * correlation**2) / jnp.maximum(jnp.sum(pairs), 1)
    return jnp.mean(jax.nn.relu(1 - deviation)), shared


def _mean(values: Array, mask: Array) -> Array:
    return jnp.sum(jnp.where(mask, values, 0)) / jnp.maximum(jnp.sum(mask), 1)
