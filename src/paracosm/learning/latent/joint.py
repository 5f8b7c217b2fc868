"""An encoder and the world of its beliefs, learned together.

Features of observations `e_t = φ(o_t)` are learned so that they can be predicted, and so that
rewards and ends can be read from the beliefs that are made of them. From a belief that was seen,
the world goes on for some steps by itself:

    ê_{t+1} = ê_t + f(ẑ_t, a_t),  ẑ_{t+1} = update(ẑ_t, a_t, ê_{t+1}),  ẑ_0 = z_0

The loss is the mean over windows and their steps of

    ‖ê_t - sg(e_t)‖²/m + (r̂(ẑ_t, a_t, ẑ_{t+1}) - r_t)²/σ_r² + logistic(d̂(ẑ_t, a_t, ẑ_{t+1}), d_t)
        + variance(e) + 0.1 covariance(e) + λ (1 - cos(e_{t+1} - e_t, e_{t+2} - e_{t+1}))

with `sg` a target without derivative (`stop_gradient`). Predictions alone are perfect where all
features are one number: the variance term `mean_i max(0, 1 - σ_i)` and the covariance term, the
mean square of the correlations between two features, keep them apart (Bardes et al. 2022). The last
term makes latent paths straight (Wang et al. 2026); λ is 0 unless it is given.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.encoder import Window, belief_size
from paracosm.core.mdp import Box, Discrete
from paracosm.core.networks import MLP
from paracosm.core.records import Record
from paracosm.core.storage import storable
from paracosm.core.types import Action, Array, PRNGKey, Scalar, State
from paracosm.learning.latent.capped_embedding import CappedEmbedding
from paracosm.learning.latent.embedding import EmbeddedWindow, new_embedding
from paracosm.learning.latent.frames import frames_of, windows_at
from paracosm.learning.latent.training import (
    LatentWorld,
    Objective,
    mean_where,
    require_observations,
    reward_unit,
    train_networks,
    with_reward_rescaled,
)
from paracosm.learning.parts import LogitTermination
from paracosm.learning.straightness import curvature

_COVARIANCE = 0.1  # weight of a term that many features share


@dataclasses.dataclass(frozen=True)
class LatentSettings(Record):
    """How an encoder and the world of its beliefs are learned.

    Attributes:
        features: Features of one observation, m.
        length: Observations in a belief.
        steps: Steps that are predicted one from the other.
        width: Neurons of hidden layers.
        batch: Windows in a training step.
        most_steps: Training steps of a fit.
        rate: Adam's learning rate; it falls to a tenth in the course of a fit.
        straightening: λ, the weight of curvature.
        stop_gradient: Whether targets are without derivative. Without reward labels they should
            have one: then nothing else makes features predictable.
        constant: ℓ, by how much features move at the most when an observation does, see
            `learning/latent/capped_embedding.py`; held by nothing if None.
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
    constant: float | None = None

    def __post_init__(self) -> None:
        counts = ("features", "length", "steps", "width", "batch", "most_steps")
        checks.fields(
            self,
            {
                **dict.fromkeys(counts, checks.COUNT),
                "rate": checks.POSITIVE,
                "straightening": checks.NON_NEGATIVE,
                **({} if self.constant is None else {"constant": checks.POSITIVE_32}),
            },
        )


@storable
class LatentNetworks(eqx.Module):
    """The encoder, and networks for the change of features, the reward in the environment's units
    and the logit of an end.
    """

    encoder: EmbeddedWindow
    change: MLP
    reward: MLP
    end: MLP

    def step(self, state: State, features: Array, action: Any) -> tuple[State, Array]:
        """The next belief and its features, made of the belief and the features before."""
        after = features + self.change(self._inputs(state, action))
        return self.encoder.window.update(state, action, after), after

    def read(self, state: State, action: Any, after: State) -> tuple[Array, Array]:
        """Reward and logit of an end of a step from a belief to the next."""
        inputs = jnp.concatenate([self._inputs(state, action), after])
        return self.reward(inputs)[0], self.end(inputs)[0]

    def _inputs(self, state: State, action: Any) -> Array:
        space: Any = self.encoder.window.space
        return jnp.concatenate([state, space.encode(action).astype(state.dtype)])


@storable
class LatentDynamics(eqx.Module):
    """The next belief, as the networks that were learned beside the encoder have it."""

    networks: LatentNetworks

    def __call__(self, state: State, action: Action, key: PRNGKey) -> State:
        features = self.networks.change.biases[-1].shape[0]
        return self.networks.step(state, state[:features], action)[0]


@storable
class LatentReward(eqx.Module):
    """The reward of a step between beliefs."""

    networks: LatentNetworks

    def __call__(self, state: State, action: Action, next_state: State) -> Scalar:
        return self.networks.read(state, action, next_state)[0]


@storable
class LatentTermination(LogitTermination):
    """Whether a step between beliefs ends the episode: its logit is above 0."""

    networks: LatentNetworks

    def logit(self, state: State, action: Action, next_state: State) -> Scalar:
        """The logit of ending."""
        return self.networks.read(state, action, next_state)[1]


def fit_latent(
    data: Dataset,
    space: Box | Discrete,
    key: PRNGKey,
    *,
    image: tuple[int, int, int] | None = None,
    settings: LatentSettings | None = None,
    before: LatentNetworks | None = None,
    capacity: int = 1,
) -> LatentWorld[LatentNetworks]:
    """Learn features, beliefs and their world from recorded observations.

    Args:
        data: Steps whose states are observations: vectors, or bytes of pictures.
        space: The actions.
        key: Randomness of the first weights and of the windows drawn.
        image: Height, width and channels of pictures.
        settings: See `LatentSettings`.
        before: Networks that the fit goes on from.
        capacity: Rows to compile for: until there are more of them nothing is compiled again.

    Raises:
        BadArgument: the data are not of such observations or actions.
        BadData: nothing was bought, or the fit diverges.
    """
    require_observations(data, space, image)
    settings = settings or LatentSettings()
    reward_center, reward_scale = reward_unit(data)
    init_key, training_key = jax.random.split(key)
    networks = before or with_reward_rescaled(
        _init_networks(data, space, image, settings, init_key), reward_scale, reward_center
    )
    objective = JointObjective(
        frames=frames_of(data, capacity),
        reward_center=reward_center,
        reward_scale=reward_scale,
        settings=settings,
    )
    if settings.constant is not None:
        capped = CappedEmbedding(networks.encoder.embedding, settings.constant)
        networks = eqx.tree_at(_embedding, networks, capped)
    networks, losses = train_networks(
        objective,
        networks,
        training_key,
        batch=settings.batch,
        steps=settings.most_steps,
        rate=settings.rate,
    )
    if isinstance(networks.encoder.embedding, CappedEmbedding):
        networks = eqx.tree_at(_embedding, networks, networks.encoder.embedding.draw_back())
    parts = {
        "dynamics": LatentDynamics(networks),
        "reward": LatentReward(networks),
        "termination": LatentTermination(networks),
    }
    return LatentWorld(networks, losses, parts)


def _embedding(networks: LatentNetworks) -> Any:
    return networks.encoder.embedding


def _init_networks(
    data: Dataset,
    space: Box | Discrete,
    image: tuple[int, int, int] | None,
    settings: LatentSettings,
    key: PRNGKey,
) -> LatentNetworks:
    """Untrained networks, whose reward is small.

    Args:
        data: Examples of observations.
        space: The actions.
        image: Height, width and channels of pictures, None of vectors.
        settings: Sizes.
        key: Randomness of the weights.
    """
    embedding_key, *head_keys = jax.random.split(key, 4)
    features, width = settings.features, settings.width
    embedding = new_embedding(data.bought_states, image, features, width, embedding_key)
    encoder = EmbeddedWindow(embedding, Window(settings.length, space))
    size = belief_size(encoder.window, features, space)
    sizes = ((size + space.size, features), *[(2 * size + space.size, 1)] * 2)
    change, reward, end = (
        MLP(inputs, outputs, width, 2, k, last=0.1)
        for (inputs, outputs), k in zip(sizes, head_keys, strict=True)
    )
    return LatentNetworks(encoder, change, reward, end)


class JointObjective(Objective):
    """The loss at the head of this file."""

    settings: LatentSettings = eqx.field(static=True)

    def losses(self, networks: LatentNetworks, rows: Array, key: PRNGKey) -> dict[str, Array]:
        length = self.settings.length
        windows = windows_at(self.frames, rows, length - 1, self.settings.steps)
        features = jax.vmap(jax.vmap(networks.encoder.embedding))(windows.observation)
        predicted, reward, logit = jax.vmap(lambda *window: _imagine(networks, *window))(
            features, windows.action, windows.remembered
        )
        targets = features[:, length:]
        if self.settings.stop_gradient:
            targets = jax.lax.stop_gradient(targets)
        error = jnp.mean((predicted - targets) ** 2, axis=2)
        reward_error = (reward - (windows.reward - self.reward_center) / self.reward_scale) ** 2
        ends = optax.sigmoid_binary_cross_entropy(logit, windows.ended.astype(logit.dtype))
        velocity = jnp.diff(features[:, length - 1 :], axis=1)
        curves = jax.vmap(jax.vmap(curvature))(velocity[:, :-1], velocity[:, 1:])
        variance, covariance = _variance_and_covariance(features)
        return {
            "prediction": mean_where(error, windows.alive),
            "reward": mean_where(reward_error, windows.labelled),
            "end": mean_where(ends, windows.alive),
            "variance": variance,
            "covariance": covariance,
            "curvature": mean_where(curves, windows.alive[:, 1:]),
        }

    def total(self, losses: dict[str, Array]) -> Array:
        weights = {"covariance": _COVARIANCE, "curvature": self.settings.straightening}
        return sum((weights.get(name, 1.0) * loss for name, loss in losses.items()), jnp.zeros(()))


def _imagine(
    networks: LatentNetworks, features: Array, actions: Array, remembered: Array
) -> tuple[Float[Array, "steps features"], Float[Array, " steps"], Float[Array, " steps"]]:
    """Predicted features of the steps that follow, their rewards, and logits of ends.

    Args:
        networks: What predicts.
        features: Those of the window's observations, `[before + 1 + steps, features]`.
        actions: `[before + steps, …]`.
        remembered: Which steps of the history are the episode's own, `[before]`.
    """
    window, before = networks.encoder.window, len(remembered)

    def recall(state: State, row: Any) -> tuple[State, None]:
        action, observed, own = row
        return jnp.where(own, window.update(state, action, observed), state), None

    history = (actions[:before], features[1 : before + 1], remembered)
    state = jax.lax.scan(recall, window.initial(features[0]), history)[0]

    def step(carry: tuple[State, Array], action: Any) -> Any:
        state, features = carry
        after, predicted = networks.step(state, features, action)
        return (after, predicted), (predicted, *networks.read(state, action, after))

    return jax.lax.scan(step, (state, features[before]), actions[before:])[1]


def _variance_and_covariance(
    features: Float[Array, "window time features"],
) -> tuple[Array, Array]:
    """The terms that keep features apart: `mean_i max(0, 1 - σ_i)`, and the mean square of the
    correlations of two features.
    """
    flat = features.reshape(-1, features.shape[2])
    centered = flat - jnp.mean(flat, axis=0)
    covariance = centered.T @ centered / len(flat)
    deviation = jnp.sqrt(jnp.diagonal(covariance) + 1e-6)
    correlation = covariance / (deviation[:, None] * deviation)
    pairs = 1 - jnp.eye(len(deviation))
    shared = jnp.sum(pairs * correlation**2) / jnp.maximum(jnp.sum(pairs), 1)
    return jnp.mean(jax.nn.relu(1 - deviation)), shared
