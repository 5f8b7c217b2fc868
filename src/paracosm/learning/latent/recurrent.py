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
    demand_observations,
    fitted,
    mean_where,
    reward_unit,
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
        features: What is made of one observation before it is filtered.
        steps: Length of a sequence.
        width: Neurons of hidden layers.
        batch: Sequences in a training step.
        most_steps: Training steps of a fit.
        rate: Of Adam; it falls to a tenth in the course of a fit.
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
        unit: Moves the memory on.
        posterior, prior: From memory, and features, to mean and raw spread of the Gaussian part.
        space: Of the actions.
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
        return self.seen(memory, observation)

    def update(self, state: State, action: Action, observation: Observation) -> State:
        return self.seen(self.remembered(state, action), observation)

    def remembered(self, state: State, action: Action) -> Array:
        """`h_{t+1}`, of a belief and an action."""
        memory, stochastic = jnp.split(state, [self.memory])
        inputs = jnp.concatenate([stochastic, self.space.encode(action).astype(state.dtype)])
        return self.unit(memory, inputs)

    def seen(self, memory: Array, observation: Observation) -> State:
        """The belief of a memory and what is observed."""
        mean, _ = self.inferred(memory, observation)
        return jnp.concatenate([memory, mean])

    def inferred(self, memory: Array, observation: Observation) -> tuple[Array, Array]:
        """Mean and spread of the posterior."""
        features = self.embedding(observation)
        return _gaussian(self.posterior(jnp.concatenate([memory, features])))

    def expected(self, memory: Array) -> tuple[Array, Array]:
        """Mean and spread of the prior."""
        return _gaussian(self.prior(memory))


@storable
class RecurrentDynamics(eqx.Module):
    """The next belief before anything is seen: the prior's mean, without noise."""

    encoder: RecurrentEncoder

    def __call__(self, state: State, action: Action, key: PRNGKey) -> State:
        memory = self.encoder.remembered(state, action)
        return jnp.concatenate([memory, self.encoder.expected(memory)[0]])


@storable
class RecurrentNetworks(eqx.Module):
    """The filter, and networks that read observation, reward and end from a belief."""

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

    def decoded(self, beliefs: Float[Array, "row belief"]) -> Float[Array, "row observation"]:
        """What is observed at beliefs, in the environment's units; of pictures up to 255."""
        center, scale = self.observation_unit
        return center + scale * jax.vmap(self.decoder)(beliefs)


@storable
class RecurrentReward(eqx.Module):
    """The reward, read from the belief after a step; `center` and `scale` are those of recorded
    ones.
    """

    network: MLP
    center: Scalar
    scale: Scalar

    def __call__(self, state: State, action: Action, next_state: State) -> Scalar:
        return self.center + self.scale * self.network(next_state)[0]


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
        key: Of the first weights, the sequences drawn and the samples.
        image: Height, width and channels of pictures.
        settings: See `RecurrentSettings`.
        before: Networks that the fit goes on from.
        capacity: Rows to compile for: until there are more of them nothing is compiled again.

    Raises:
        BadArgument: the data are not of such observations or actions.
        BadData: nothing was bought, or the fit diverges.
    """
    demand_observations(data, space, image)
    settings = settings or RecurrentSettings()
    reward, (first, draws) = reward_unit(data), jax.random.split(key)
    networks = before or _new(data, space, image, settings, first)
    unit = networks.observation_unit
    objective = RecurrentObjective(frames_of(data, capacity), *reward, *unit, settings)
    sizes = {"batch": settings.batch, "steps": settings.most_steps, "rate": settings.rate}
    networks, losses = fitted(objective, networks, draws, **sizes)
    parts = {
        "dynamics": RecurrentDynamics(networks.encoder),
        "reward": RecurrentReward(networks.reward, *reward),
        "termination": RecurrentTermination(networks.end),
    }
    return LatentWorld(networks, losses, parts)


def _new(
    data: Dataset,
    space: Box | Discrete,
    image: tuple[int, int, int] | None,
    settings: RecurrentSettings,
    key: PRNGKey,
) -> RecurrentNetworks:
    """Untrained networks.

    Args:
        data: Examples of observations.
        space: The actions.
        image: Height, width and channels of pictures, None of vectors.
        settings: Sizes.
        key: Of the weights.
    """
    embeds, moves, infers, expects, decodes, pays, ends = jax.random.split(key, 7)
    memory, stochastic, width = settings.memory, settings.stochastic, settings.width
    embedding = new_embedding(data.bought_states, image, settings.features, width, embeds)
    encoder = RecurrentEncoder(
        embedding,
        GatedUnit(memory, stochastic + space.size, moves),
        MLP(memory + settings.features, 2 * stochastic, width, 1, infers, last=0.1),
        MLP(memory, 2 * stochastic, width, 1, expects, last=0.1),
        space,
    )
    belief, observation = memory + stochastic, data.state.shape[1]
    decoder = MLP(belief, observation, width, 2, decodes, last=0.1)
    heads = (MLP(belief, 1, width, 2, k, last=0.1) for k in (pays, ends))
    return RecurrentNetworks(encoder, decoder, *heads)


class RecurrentObjective(Objective):
    """The loss at the head of this file; `middle` and `unit` are of observations."""

    middle: Float[Array, " observation"]
    unit: Float[Array, " observation"]
    settings: RecurrentSettings = eqx.field(static=True)

    def losses(self, networks: RecurrentNetworks, rows: Array, key: PRNGKey) -> dict[str, Array]:
        windows = windows_at(self.frames, rows, 0, self.settings.steps)
        keys = jax.random.split(key, len(rows))
        filtered = jax.vmap(lambda *window: _filtered(networks.encoder, *window))
        beliefs, divergences = filtered(windows.observation, windows.action, keys)
        shown = (windows.observation.astype(jnp.float32) - self.middle) / self.unit
        read = jax.vmap(jax.vmap(networks.decoder))(beliefs)
        after = beliefs[:, 1:]
        reward, logit = (
            jax.vmap(jax.vmap(head))(after)[..., 0] for head in (networks.reward, networks.end)
        )
        first = jnp.ones((len(rows), 1), bool)
        wrong = (reward - (windows.reward - self.center) / self.scale) ** 2
        ends = optax.sigmoid_binary_cross_entropy(logit, windows.ended.astype(logit.dtype))
        known = jnp.concatenate([first, windows.alive], axis=1)
        return {
            "observation": mean_where(jnp.mean((read - shown) ** 2, axis=2), known),
            "reward": mean_where(wrong, windows.labelled),
            "end": mean_where(ends, windows.alive),
            "divergence": mean_where(divergences, windows.alive),
        }

    def total(self, losses: dict[str, Array]) -> Array:
        size = self.unit.shape[0]
        spent = jnp.maximum(self.settings.free, losses["divergence"])
        return size * losses["observation"] + losses["reward"] + losses["end"] + spent


def _filtered(
    encoder: RecurrentEncoder, observations: Array, actions: Array, key: PRNGKey
) -> tuple[Float[Array, "time belief"], Float[Array, " steps"]]:
    """Sampled beliefs of a sequence, and the balanced divergence at each of its steps.

    Args:
        encoder: The filter.
        observations: `[steps + 1, observation]`.
        actions: `[steps, …]`.
        key: Of the samples.
    """

    def sampled(memory: Array, posterior: tuple[Array, Array], key: PRNGKey) -> State:
        mean, spread = posterior
        return jnp.concatenate([memory, mean + spread * jax.random.normal(key, mean.shape)])

    def step(state: State, row: Any) -> Any:
        action, observation, key = row
        memory = encoder.remembered(state, action)
        posterior, prior = encoder.inferred(memory, observation), encoder.expected(memory)
        state = sampled(memory, posterior, key)
        return state, (state, _balanced(posterior, prior))

    start, *_ = keys = jax.random.split(key, len(observations))
    memory = jnp.zeros(encoder.memory)
    first = sampled(memory, encoder.inferred(memory, observations[0]), start)
    rows = (actions, observations[1:], keys[1:])
    later, divergences = jax.lax.scan(step, first, rows)[1]
    return jnp.concatenate([first[None], later]), divergences


def _balanced(posterior: tuple[Array, Array], prior: tuple[Array, Array]) -> Array:
    """`0.8 KL(sg(q) ‖ p) + 0.2 KL(q ‖ sg(p))`."""
    fixed = jax.lax.stop_gradient((posterior, prior))
    return _BALANCE * _divergence(fixed[0], prior) + (1 - _BALANCE) * _divergence(
        posterior, fixed[1]
    )


def _divergence(first: tuple[Array, Array], second: tuple[Array, Array]) -> Array:
    """`KL(N(μ, σ²) ‖ N(ν, τ²))`, summed over components."""
    (mean, spread), (other_mean, other_spread) = first, second
    ratio = (spread / other_spread) ** 2
    distance = ((mean - other_mean) / other_spread) ** 2
    return jnp.sum(ratio + distance - 1 - jnp.log(ratio)) / 2


def _gaussian(raw: Array) -> tuple[Array, Array]:
    """Mean and spread of what a network says."""
    mean, spread = jnp.split(raw, 2)
    return mean, jax.nn.softplus(spread) + _LEAST_STD
