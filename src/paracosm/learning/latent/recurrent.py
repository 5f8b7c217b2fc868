"""A recurrent state-space model: a filter of observations and the dynamics of its beliefs.

A belief is `z = (h, m)`: a deterministic memory h and the mean m of a Gaussian part (Hafner et al.
2019). From step to step

    h_{t+1} = GRU(h_t, (m_t, a_t)),
    prior      p(m_{t+1} | h_{t+1}),               what is imagined,
    posterior  q(m_{t+1} | h_{t+1}, φ(o_{t+1})),   what is seen.

It is trained on sequences, with samples of the posterior in place of means, to lower

    ‖ô - o‖² + (r̂ - r)²/σ_r² + logistic(d̂, d) + max(free, 0.8 KL(sg(q) ‖ p) + 0.2 KL(q ‖ sg(p)))

where `ô`, `r̂` and `d̂` are read from the belief after the step, observations in units of their own
deviation (pictures in units of 1/4 of their range). The divergence is the mean over a batch, of
which `free` nats cost nothing (Hafner et al. 2021). A sequence begins with h = 0 wherever it is cut
from its episode, while a memory that is played on has seen all of it.
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
from paracosm.core.encoder import Encoder, Observation
from paracosm.core.mdp import Box, Discrete
from paracosm.core.networks import MLP
from paracosm.core.records import Record
from paracosm.core.storage import storable
from paracosm.core.types import Action, Array, PRNGKey, Scalar, State
from paracosm.learning.latent.embedding import ConvolutionalNetwork, new_embedding
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

_PICTURE = 255 / 4  # unit of a pixel's error
_BALANCE = 0.8  # of the divergence, what moves the prior
# A spread smaller than this would make the divergence of two sharp beliefs too steep to descend.
_LEAST_STD = 0.1


@dataclasses.dataclass(frozen=True)
class RecurrentSettings(Record):
    """How a recurrent state-space model is learned.

    Attributes:
        memory: Components of h.
        stochastic: Components of m.
        features: Features of one observation.
        steps: Length of a sequence.
        width: Neurons of hidden layers.
        batch: Sequences in a training step.
        most_steps: Training steps of a fit.
        rate: Adam's learning rate; it falls to a tenth in the course of a fit.
        free: Nats of divergence that cost nothing.
    """

    memory: int = 64
    stochastic: int = 16
    features: int = 32
    steps: int = 16
    width: int = 128
    batch: int = 32
    most_steps: int = 3000
    rate: float = 1e-3
    free: float = 1.0

    def __post_init__(self) -> None:
        counts = ("memory", "stochastic", "features", "steps", "width", "batch", "most_steps")
        numbers = {"rate": checks.POSITIVE, "free": checks.NON_NEGATIVE}
        checks.fields(self, {**dict.fromkeys(counts, checks.COUNT), **numbers})


@storable
class GatedUnit(eqx.Module):
    """A gated recurrent unit (Cho et al. 2014), `(h, x) ↦ h'`.

    `u, c = σ(W_g (h, x) + b_g)`, `h' = (1 - u) h + u tanh(W (c h, x) + b)`.

    Attributes:
        gates, candidate: The weights and biases of both maps, networks without a hidden layer.
    """

    gates: MLP
    candidate: MLP

    def __init__(self, memory: int, inputs: int, key: PRNGKey) -> None:
        """An untrained unit of so many components and inputs."""
        first, second = jax.random.split(key)
        self.gates = MLP(memory + inputs, 2 * memory, 1, 0, first)
        self.candidate = MLP(memory + inputs, memory, 1, 0, second)

    def __call__(self, memory: Array, inputs: Array) -> Array:
        gates = jax.nn.sigmoid(self.gates(jnp.concatenate([memory, inputs])))
        update, recall = jnp.split(gates, 2)
        candidate = jnp.tanh(self.candidate(jnp.concatenate([recall * memory, inputs])))
        return (1 - update) * memory + update * candidate


@storable
class RecurrentEncoder(Encoder):
    """The filter: `z = (h, m)`, m the mean of the posterior.

    Attributes:
        embedding: φ, from one observation to its features.
        unit: The recurrent cell that moves the memory on; stored encoders have it by this name.
        posterior: From memory and features to mean and raw deviation of the Gaussian part.
        prior: From memory alone to the same.
        space: The actions.
    """

    embedding: ConvolutionalNetwork | MLP
    unit: GatedUnit
    posterior: MLP
    prior: MLP
    space: Box | Discrete

    @property
    def memory(self) -> int:
        """Components of h."""
        return self.unit.candidate.biases[-1].shape[0]

    def initial(self, observation: Observation) -> State:
        memory = jnp.zeros_like(self.unit.candidate.biases[-1])
        return self._infer_belief(memory, observation)

    def update(self, state: State, action: Action, observation: Observation) -> State:
        return self._infer_belief(self.next_memory(state, action), observation)

    def next_memory(self, state: State, action: Action) -> Array:
        """`h_{t+1}` after an action at a belief."""
        memory, stochastic = jnp.split(state, [self.memory])
        inputs = jnp.concatenate([stochastic, self.space.encode(action).astype(state.dtype)])
        return self.unit(memory, inputs)

    def _infer_belief(self, memory: Array, observation: Observation) -> State:
        """The belief that a memory and an observation make."""
        mean, _ = self.infer(memory, observation)
        return jnp.concatenate([memory, mean])

    def infer(self, memory: Array, observation: Observation) -> tuple[Array, Array]:
        """Mean and standard deviation of the posterior."""
        features = self.embedding(observation)
        return _gaussian(self.posterior(jnp.concatenate([memory, features])))

    def predict(self, memory: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the prior."""
        return _gaussian(self.prior(memory))


@storable
class RecurrentDynamics(eqx.Module):
    """The next belief before anything is seen: the prior's mean, without noise."""

    encoder: RecurrentEncoder

    def __call__(self, state: State, action: Action, key: PRNGKey) -> State:
        memory = self.encoder.next_memory(state, action)
        return jnp.concatenate([memory, self.encoder.predict(memory)[0]])


@storable
class RecurrentNetworks(eqx.Module):
    """The filter, and networks that read observation, reward and end from a belief; the reward is
    in the environment's units.
    """

    encoder: RecurrentEncoder
    decoder: MLP
    reward: MLP
    end: MLP

    @property
    def observation_unit(self) -> tuple[Array, Array]:
        """Center and scale of the observations that the decoder reads, `[observation]` each."""
        embedding = self.encoder.embedding
        if isinstance(embedding, MLP):
            return embedding.center, embedding.scale
        size = self.decoder.biases[-1].shape
        return jnp.full(size, 255 / 2), jnp.full(size, _PICTURE)

    def decode(self, beliefs: Float[Array, "row belief"]) -> Float[Array, "row observation"]:
        """What is observed at beliefs, in the environment's units; of pictures up to 255."""
        center, scale = self.observation_unit
        return center + scale * jax.vmap(self.decoder)(beliefs)


@storable
class RecurrentReward(eqx.Module):
    """The reward, read from the belief after a step."""

    network: MLP

    def __call__(self, state: State, action: Action, next_state: State) -> Scalar:
        return self.network(next_state)[0]


@storable
class RecurrentTermination(LogitTermination):
    """Whether the step to a belief ended the episode: its logit is above 0."""

    network: MLP

    def logit(self, state: State, action: Action, next_state: State) -> Scalar:
        """The logit of ending."""
        return self.network(next_state)[0]


def fit_recurrent(
    data: Dataset,
    space: Box | Discrete,
    key: PRNGKey,
    *,
    image: tuple[int, int, int] | None = None,
    settings: RecurrentSettings | None = None,
    before: RecurrentNetworks | None = None,
    capacity: int = 1,
) -> LatentWorld[RecurrentNetworks]:
    """Learn a recurrent filter and the dynamics of its beliefs from recorded observations.

    Args:
        data: Steps whose states are observations: vectors, or bytes of pictures.
        space: The actions.
        key: Randomness of the first weights, the sequences drawn and the samples.
        image: Height, width and channels of pictures.
        settings: See `RecurrentSettings`.
        before: Networks that the fit goes on from.
        capacity: Rows to compile for: until there are more of them nothing is compiled again.

    Raises:
        BadArgument: the data are not of such observations or actions.
        BadData: nothing was bought, or the fit diverges.
    """
    require_observations(data, space, image)
    settings = settings or RecurrentSettings()
    reward_center, reward_scale = reward_unit(data)
    init_key, training_key = jax.random.split(key)
    networks = before or with_reward_rescaled(
        _init_networks(data, space, image, settings, init_key), reward_scale, reward_center
    )
    observation_center, observation_scale = networks.observation_unit
    objective = RecurrentObjective(
        frames=frames_of(data, capacity),
        reward_center=reward_center,
        reward_scale=reward_scale,
        observation_center=observation_center,
        observation_scale=observation_scale,
        settings=settings,
    )
    networks, losses = train_networks(
        objective,
        networks,
        training_key,
        batch=settings.batch,
        steps=settings.most_steps,
        rate=settings.rate,
    )
    parts = {
        "dynamics": RecurrentDynamics(networks.encoder),
        "reward": RecurrentReward(networks.reward),
        "termination": RecurrentTermination(networks.end),
    }
    return LatentWorld(networks, losses, parts)


def _init_networks(
    data: Dataset,
    space: Box | Discrete,
    image: tuple[int, int, int] | None,
    settings: RecurrentSettings,
    key: PRNGKey,
) -> RecurrentNetworks:
    """Untrained networks, whose reward is small.

    Args:
        data: Examples of observations.
        space: The actions.
        image: Height, width and channels of pictures, None of vectors.
        settings: Sizes.
        key: Randomness of the weights.
    """
    (
        embedding_key,
        cell_key,
        posterior_key,
        prior_key,
        decoder_key,
        reward_key,
        end_key,
    ) = jax.random.split(key, 7)
    memory, stochastic, width = settings.memory, settings.stochastic, settings.width
    features, belief = settings.features, memory + stochastic
    encoder = RecurrentEncoder(
        embedding=new_embedding(data.bought_states, image, features, width, embedding_key),
        unit=GatedUnit(memory, stochastic + space.size, cell_key),
        posterior=MLP(memory + features, 2 * stochastic, width, 1, posterior_key, last=0.1),
        prior=MLP(memory, 2 * stochastic, width, 1, prior_key, last=0.1),
        space=space,
    )
    return RecurrentNetworks(
        encoder=encoder,
        decoder=MLP(belief, data.state.shape[1], width, 2, decoder_key, last=0.1),
        reward=MLP(belief, 1, width, 2, reward_key, last=0.1),
        end=MLP(belief, 1, width, 2, end_key, last=0.1),
    )


class RecurrentObjective(Objective):
    """The loss at the head of this file; observations enter as `(o - observation_center) /
    observation_scale`.
    """

    observation_center: Float[Array, " observation"]
    observation_scale: Float[Array, " observation"]
    settings: RecurrentSettings = eqx.field(static=True)

    def losses(self, networks: RecurrentNetworks, rows: Array, key: PRNGKey) -> dict[str, Array]:
        windows = windows_at(self.frames, rows, 0, self.settings.steps)
        keys = jax.random.split(key, len(rows))
        filter_all = jax.vmap(lambda *window: _filter(networks.encoder, *window))
        beliefs, divergences = filter_all(windows.observation, windows.action, keys)
        decoded = jax.vmap(jax.vmap(networks.decoder))(beliefs)
        observed = windows.observation.astype(jnp.float32)
        observed = (observed - self.observation_center) / self.observation_scale
        after = beliefs[:, 1:]
        reward, logit = (
            jax.vmap(jax.vmap(head))(after)[..., 0] for head in (networks.reward, networks.end)
        )
        reward_error = (reward - (windows.reward - self.reward_center) / self.reward_scale) ** 2
        ends = optax.sigmoid_binary_cross_entropy(logit, windows.ended.astype(logit.dtype))
        first = jnp.ones((len(rows), 1), bool)
        is_observed = jnp.concatenate([first, windows.alive], axis=1)
        return {
            "observation": mean_where(jnp.mean((decoded - observed) ** 2, axis=2), is_observed),
            "reward": mean_where(reward_error, windows.labelled),
            "end": mean_where(ends, windows.alive),
            "divergence": mean_where(divergences, windows.alive),
        }

    def total(self, losses: dict[str, Array]) -> Array:
        size = self.observation_scale.shape[0]
        divergence = jnp.maximum(self.settings.free, losses["divergence"])
        return size * losses["observation"] + losses["reward"] + losses["end"] + divergence


def _filter(
    encoder: RecurrentEncoder, observations: Array, actions: Array, key: PRNGKey
) -> tuple[Float[Array, "time belief"], Float[Array, " steps"]]:
    """Sampled beliefs of a sequence, and the balanced divergence at each of its steps.

    Args:
        encoder: The filter.
        observations: `[steps + 1, observation]`.
        actions: `[steps, …]`.
        key: Randomness of the samples.
    """

    def sample(memory: Array, posterior: tuple[Array, Array], key: PRNGKey) -> State:
        mean, deviation = posterior
        return jnp.concatenate([memory, mean + deviation * jax.random.normal(key, mean.shape)])

    def step(state: State, row: Any) -> Any:
        action, observation, key = row
        memory = encoder.next_memory(state, action)
        posterior, prior = encoder.infer(memory, observation), encoder.predict(memory)
        state = sample(memory, posterior, key)
        return state, (state, _balanced_divergence(posterior, prior))

    keys = jax.random.split(key, len(observations))
    memory = jnp.zeros(encoder.memory)
    first = sample(memory, encoder.infer(memory, observations[0]), keys[0])
    rows = (actions, observations[1:], keys[1:])
    later, divergences = jax.lax.scan(step, first, rows)[1]
    return jnp.concatenate([first[None], later]), divergences


def _balanced_divergence(posterior: tuple[Array, Array], prior: tuple[Array, Array]) -> Array:
    """`0.8 KL(sg(q) ‖ p) + 0.2 KL(q ‖ sg(p))`."""
    fixed_posterior, fixed_prior = jax.lax.stop_gradient((posterior, prior))
    return _BALANCE * _divergence(fixed_posterior, prior) + (1 - _BALANCE) * _divergence(
        posterior, fixed_prior
    )


def _divergence(q: tuple[Array, Array], p: tuple[Array, Array]) -> Array:
    """`KL(q ‖ p)` of Gaussians, each its mean and standard deviation, summed over components."""
    (q_mean, q_deviation), (p_mean, p_deviation) = q, p
    ratio = (q_deviation / p_deviation) ** 2
    distance = ((q_mean - p_mean) / p_deviation) ** 2
    return jnp.sum(ratio + distance - 1 - jnp.log(ratio)) / 2


def _gaussian(raw: Array) -> tuple[Array, Array]:
    """Mean and standard deviation that a network's outputs stand for."""
    mean, raw_deviation = jnp.split(raw, 2)
    return mean, jax.nn.softplus(raw_deviation) + _LEAST_STD
