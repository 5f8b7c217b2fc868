"""Policies: what acts on a state, and may carry something from one step of an episode to the next.

Two compositions. A policy that looks at the state alone carries nothing:

    class Push(MarkovPolicy):
        def sample(self, state, key): return self.mode(state)
        def mode(self, state): return jnp.sign(state[1:])

    unroll(world, Push(), starts, keys, horizon)

A planner that starts its search at its last plan carries the plan, `[steps, action]`:

    class Planner(Policy):
        world: MDP

        def initial(self): return jnp.zeros((8, 1))
        def act(self, plan, state, key):
            plan = search(self.world, state, plan)
            return plan[0], jnp.roll(plan, -1, axis=0).at[-1].set(0)
        def greedy(self): return self

    unroll(world, Planner(world), starts, keys, horizon)

Policies act on one state; rollouts map them over a batch. Calling a Markov policy on observations
of any leading shape gives the action of its mode as NumPy, for use anywhere.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr
from jaxtyping import Float, Key, Num

from paracosm.core import checks, layers
from paracosm.core.layers import Layered, layers_of
from paracosm.core.mdp import Box, Discrete, Spec
from paracosm.core.networks import MLP
from paracosm.core.storage import storable
from paracosm.core.types import Action, Array, PRNGKey, Scalar, State

_LOG_STD_RANGE = (-5.0, 1.0)
# What is added to a raw spread, so that 0, an untrained network's, is a standard deviation of 0.5
_RAW_STD = math.log((math.log(0.5) - _LOG_STD_RANGE[0]) / (_LOG_STD_RANGE[1] - math.log(0.5)))
# How far from the centre the mean can lie, in half-boxes. Farther out every sample would be the
# bound itself: nothing left to compare, no gradient to come back by. tanh(4) is 0.9993.
SQUASHED_REACH, CLIPPED_REACH = 4.0, 1.25
_INTERIOR = (
    1 - 1e-6
)  # a squashed action nearer to its bound than this is read as this: 32 bits cannot tell


class Policy(eqx.Module):
    """What acts on one state, with a carry: arrays that it hands from step to step.

    Attributes:
        searches: Whether each action is a search, which takes thousands of steps of a world.
    """

    searches: ClassVar[bool] = False

    @abc.abstractmethod
    def initial(self) -> Any:
        """The carry at the start of an episode: a pytree of arrays, None if there is none."""

    @abc.abstractmethod
    def act(self, carry: Any, state: State, key: PRNGKey) -> tuple[Action, Any]:
        """An action at `state`, and the carry of the next step, of the structure of `initial()`."""

    @abc.abstractmethod
    def greedy(self) -> Policy:
        """The deterministic policy that is evaluated and audited: its `act` ignores the key."""


class MarkovPolicy(Policy):
    """A policy that looks at the state alone and carries nothing."""

    @abc.abstractmethod
    def sample(self, state: State, key: PRNGKey) -> Action:
        """An action drawn at `state`."""

    @abc.abstractmethod
    def mode(self, state: State) -> Action:
        """The most likely action at `state`: the one that is evaluated and audited."""

    def initial(self) -> None:
        return None

    def act(self, carry: Any, state: State, key: PRNGKey) -> tuple[Action, Any]:
        return self.sample(state, key), carry

    def greedy(self) -> MarkovPolicy:
        return Mode(self)

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        """The mode's action for observations `[*batch, state]`, as NumPy `[*batch, action]` or
        `[*batch]`.

        Raises:
            BadArgument: an observation that is no array of numbers, or of another size than the
                policy's.
            BadData: an observation that is not finite.
        """
        observation = _observed(observation, getattr(self, "network", None))
        flat = observation.reshape(-1, observation.shape[-1])
        action = np.asarray(modes(self, flat))
        return action.reshape(observation.shape[:-1] + action.shape[1:])


def markov(policy: Policy) -> MarkovPolicy:
    """The policy, if it looks at the state alone: what weights and plans are measured for.

    Raises:
        Unsupported: it carries something from step to step.
    """
    if not isinstance(policy, MarkovPolicy):
        raise checks.Unsupported(
            f"the policy is a {type(policy).__name__}, which carries something from step to step;"
            " weights and plans are measured for policies of the state alone."
        )
    return policy


def _observed(observation: Any, network: Any) -> np.ndarray:
    """The observation as float32, if it is one that the network takes."""
    size = network.center.shape[0] if isinstance(network, MLP) else None
    needed = f"an array of numbers [..., {size or 'state'}]"
    if isinstance(observation, Mapping):
        needed += ", such as gymnasium.spaces.utils.flatten makes of the parts,"
    checks.of_kind(
        "observation", observation, (np.ndarray, jax.Array, list, tuple, np.number), needed
    )
    try:
        values = np.asarray(observation, np.float32)
    except (TypeError, ValueError):
        raise checks.BadArgument(
            f"observation is {checks.described(observation)}; {needed} is needed."
        ) from None
    if not values.ndim or values.shape[-1] != (size or values.shape[-1]):
        raise checks.BadArgument(f"observation has shape {values.shape}; {needed} is needed.")
    checks.finite("the observation", values, "component" if values.ndim == 1 else "row")
    return values


@eqx.filter_jit
def modes(policy: MarkovPolicy, states: Num[Array, "batch state"]) -> Array:
    """The policy's mode at a batch of states, `[batch, …]`."""
    return jax.vmap(policy.mode)(states)


def initial_carries(policy: Policy, episodes: int) -> Any:
    """The carry at the start of each of so many episodes, `[episode, …]` in every leaf."""
    return jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (episodes, *jnp.shape(leaf))), policy.initial()
    )


def in_kinds_of(first: Any, after: Any) -> Any:
    """A carry with its floating arrays in the precision of an earlier one: where JAX has 64 bits
    beside 32, numbers of both mix, and a loop of one program takes none that changes.
    """

    def cast(old: Any, new: Any) -> Any:
        kind = jnp.result_type(old)
        if not (jnp.issubdtype(kind, jnp.floating) and jnp.issubdtype(new.dtype, jnp.floating)):
            return new
        return new.astype(kind)

    return jax.tree.map(lambda old, new: cast(old, jnp.asarray(new)), first, after)


def flat_carries(carries: Any, axes: int) -> np.ndarray:
    """Carries with so many leading axes as vectors `[…, carry]` of 64 bits, which hold every whole
    number of 32.
    """
    leaves = [np.asarray(_key_numbers(leaf), np.float64) for leaf in jax.tree.leaves(carries)]
    shape = leaves[0].shape[:axes]
    return np.concatenate([leaf.reshape(*shape, -1) for leaf in leaves], axis=-1)


def _key_numbers(leaf: Any) -> Any:
    """The numbers of random keys; any other array as it is."""
    keys = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if keys else leaf


@eqx.filter_jit
def acts(
    policy: Policy,
    carries: Any,
    states: Num[Array, "batch state"],
    keys: Key[jax.Array, " batch"],
) -> tuple[Array, Any]:
    """One action `[batch, …]` and the next carry per carry, state and key.

    Args:
        policy: What acts.
        carries: What the policy carried to this step, `[batch, …]` in every leaf.
        states: `[batch, state]`, in the environment's units.
        keys: Of the noise of this step, `[batch]`.
    """
    return jax.vmap(policy.act)(carries, states, keys)


@eqx.filter_jit
def samples(
    policy: MarkovPolicy, states: Num[Array, "batch state"], keys: Key[jax.Array, " batch"]
) -> Array:
    """One sampled action per state and key, `[batch, …]`."""
    return jax.vmap(policy.sample)(states, keys)


class StochasticPolicy(MarkovPolicy):
    """A policy with a density: what REINFORCE can train."""

    @abc.abstractmethod
    def log_prob(self, state: State, action: Action) -> Scalar:
        """Log-density (or log-mass) of `action` at `state`, up to a constant that no parameter
        moves.
        """

    @abc.abstractmethod
    def entropy(self, state: State) -> Scalar:
        """Entropy at `state` in nats; of the underlying Gaussian for boxes."""


@storable
class Mode(MarkovPolicy):
    """The deterministic policy that plays another policy's mode."""

    policy: MarkovPolicy

    def __check_init__(self) -> None:
        checks.of_kind("policy", self.policy, MarkovPolicy, "a Markov policy")

    def sample(self, state: State, key: PRNGKey) -> Action:
        return self.policy.mode(state)

    def mode(self, state: State) -> Action:
        return self.policy.mode(state)

    def as_layers(self, spec: Spec) -> Layered:
        """The mode `s ↦ a`; see `core/layers.py`."""
        return layers_of(self.policy, spec)


@storable
class Deterministic(MarkovPolicy):
    """A function `state -> action` as a policy."""

    function: Callable[[State], Action]

    def __check_init__(self) -> None:
        checks.function("function", self.function, "of one state")

    def sample(self, state: State, key: PRNGKey) -> Action:
        return self.function(state)

    def mode(self, state: State) -> Action:
        return self.function(state)

    def as_layers(self, spec: Spec) -> Layered:
        """The mode `s ↦ a`; see `core/layers.py`."""
        return layers_of(self.function, spec)


class Uniform(MarkovPolicy):
    """Uniformly random actions; its mode is the centre of the box, or action 0."""

    space: Box | Discrete

    def sample(self, state: State, key: PRNGKey) -> Action:
        if isinstance(self.space, Discrete):
            return jax.random.randint(key, (), 0, self.space.n)
        low, high = jnp.asarray(self.space.low), jnp.asarray(self.space.high)
        return jax.random.uniform(key, low.shape, low.dtype, low, high)

    def mode(self, state: State) -> Action:
        if isinstance(self.space, Discrete):
            return jnp.zeros((), int)
        return (jnp.asarray(self.space.low) + jnp.asarray(self.space.high)) / 2

    def as_layers(self, spec: Spec) -> Layered:
        """The mode `s ↦ a`, which is constant; see `core/layers.py`."""
        if isinstance(self.space, Discrete):
            raise layers.Unreadable("actions are discrete")
        low, high = (np.asarray(end, np.float64) for end in (self.space.low, self.space.high))
        return layers.affine(np.zeros((len(low), spec.state_size)), (low + high) / 2)


@storable
class Gaussian(StochasticPolicy):
    """A Gaussian with learned state-independent spread, brought into the box by `tanh` or by
    clipping.

    The density of a clipped action is the censored one: at a bound it is the mass beyond it (Fujita
    & Maeda 2018), so REINFORCE stays exact where samples pile up. The mean is kept within ±`reach`
    half-boxes of the centre.
    """

    network: MLP
    log_std: Float[Array, " action"]
    space: Box
    squash: bool = eqx.field(static=True)

    def __check_init__(self) -> None:
        checks.function("network", self.network, "of one state, such as an MLP,")
        checks.of_kind("space", self.space, Box, "a Box")
        checks.of_kind("squash", self.squash, bool, "True or False")
        if np.shape(self.log_std) != (self.space.size,):
            found = checks.described(self.log_std)
            raise checks.BadArgument(
                f"log_std is {found}; an array of shape ({self.space.size},) is needed."
            )

    def _mean_and_std(self, state: State) -> tuple[Array, Array]:
        """Mean and standard deviation before they are brought into the box, `[action]` each."""
        mean = self.network(state)
        mean = self.reach * jnp.tanh(mean / self.reach)
        return mean, jnp.exp(jnp.clip(self.log_std, *_LOG_STD_RANGE))

    def _to_box(self, latent: Array) -> Array:
        unit = jnp.tanh(latent) if self.squash else jnp.clip(latent, -1, 1)
        low, high = self.space.low, self.space.high
        action = jnp.clip(
            (high + low) / 2 + unit * (high - low) / 2, low, high
        )  # rounding may step over a bound
        return (
            action
            if self.squash
            else jnp.where(unit >= 1, high, jnp.where(unit <= -1, low, action))
        )

    def sample(self, state: State, key: PRNGKey) -> Action:
        mean, std = self._mean_and_std(state)
        return self._to_box(mean + std * jax.random.normal(key, mean.shape, mean.dtype))

    def mode(self, state: State) -> Action:
        return self._to_box(self._mean_and_std(state)[0])

    def log_prob(self, state: State, action: Action) -> Scalar:
        mean, std = self._mean_and_std(state)
        unit = self.space.encode(action)
        latent = jnp.arctanh(jnp.clip(unit, -_INTERIOR, _INTERIOR)) if self.squash else unit
        z = (latent - mean) / std
        density = -0.5 * z**2 - jnp.log(std)
        if not self.squash:
            above, below = action >= self.space.high, action <= self.space.low
            beyond = log_ndtr(jnp.where(above, -z, z)) + 0.5 * math.log(2 * math.pi)
            density = jnp.where(above | below, beyond, density)
        return jnp.sum(density)

    def entropy(self, state: State) -> Scalar:
        log_std = jnp.clip(self.log_std, *_LOG_STD_RANGE)
        return jnp.sum(log_std + 0.5 * math.log(2 * math.pi * math.e))

    @property
    def reach(self) -> float:
        """What the mean's distance from the centre never exceeds, in half-boxes."""
        return SQUASHED_REACH if self.squash else CLIPPED_REACH

    def as_layers(self, spec: Spec) -> Layered:
        """The mode `s ↦ a`; see `core/layers.py`."""
        network = layers_of(self.network, spec)
        return layers.gaussian_mode(network, self.space, self.reach, self.squash)


@storable
class SquashedGaussian(StochasticPolicy):
    """A Gaussian of state-dependent mean and spread, brought into the box by `tanh` (Haarnoja et
    al. 2018).

    The network gives the mean and, in its second half, the raw spread. The mean is kept within
    ±`SQUASHED_REACH`, as `Gaussian` keeps its own.
    """

    network: MLP
    space: Box

    def __check_init__(self) -> None:
        checks.function("network", self.network, "of one state, such as an MLP,")
        checks.of_kind("space", self.space, Box, "a Box")

    def mean_and_log_std(self, state: State) -> tuple[Array, Array]:
        """Mean and log standard deviation before `tanh`, `[action]` each."""
        mean, raw = jnp.split(self.network(state), 2)
        low, high = _LOG_STD_RANGE
        log_std = low + (high - low) * jax.nn.sigmoid(raw + _RAW_STD)
        return SQUASHED_REACH * jnp.tanh(mean / SQUASHED_REACH), log_std

    def sample(self, state: State, key: PRNGKey) -> Action:
        return self.sample_with_log_prob(state, key)[0]

    def sample_with_log_prob(self, state: State, key: PRNGKey) -> tuple[Action, Scalar]:
        """An action as a differentiable function of the policy's parameters, and the log-density of
        that action as a share of the half-box, which has a derivative where an arctanh of the
        action would have lost its digits.
        """
        mean, log_std = self.mean_and_log_std(state)
        noise = jax.random.normal(key, mean.shape, mean.dtype)
        latent = mean + jnp.exp(log_std) * noise
        normal = -0.5 * noise**2 - log_std - 0.5 * math.log(2 * math.pi)
        return self._to_box(latent), jnp.sum(normal - _log_slope(latent))

    def mode(self, state: State) -> Action:
        return self._to_box(self.mean_and_log_std(state)[0])

    def log_prob(self, state: State, action: Action) -> Scalar:
        mean, log_std = self.mean_and_log_std(state)
        latent = jnp.arctanh(jnp.clip(self.space.encode(action), -_INTERIOR, _INTERIOR))
        z = (latent - mean) / jnp.exp(log_std)
        return jnp.sum(-0.5 * z**2 - log_std - 0.5 * math.log(2 * math.pi) - _log_slope(latent))

    def entropy(self, state: State) -> Scalar:
        return jnp.sum(self.mean_and_log_std(state)[1] + 0.5 * math.log(2 * math.pi * math.e))

    def _to_box(self, latent: Array) -> Array:
        # Bounds are constants: samples are differentiated, and training would move them.
        low, high = jax.lax.stop_gradient((self.space.low, self.space.high))
        return jnp.clip((high + low) / 2 + jnp.tanh(latent) * (high - low) / 2, low, high)

    def as_layers(self, spec: Spec) -> Layered:
        """The mode `s ↦ a`; see `core/layers.py`."""
        size = self.space.size
        network = layers.compose(
            layers.affine(np.eye(size, 2 * size)), layers_of(self.network, spec)
        )
        return layers.gaussian_mode(network, self.space, SQUASHED_REACH, True)


def _log_slope(latent: Array) -> Array:
    """`log(1 - tanh(x)²)`, by a form that keeps its digits far out."""
    return 2 * (math.log(2) - latent - jax.nn.softplus(-2 * latent))


@storable
class Categorical(StochasticPolicy):
    """A softmax over discrete actions."""

    network: MLP

    def __check_init__(self) -> None:
        checks.function("network", self.network, "of one state, such as an MLP,")

    def sample(self, state: State, key: PRNGKey) -> Action:
        return jax.random.categorical(key, self.network(state))

    def mode(self, state: State) -> Action:
        return jnp.argmax(self.network(state))

    def log_prob(self, state: State, action: Action) -> Scalar:
        return jax.nn.log_softmax(self.network(state))[action]

    def entropy(self, state: State) -> Scalar:
        log_p = jax.nn.log_softmax(self.network(state))
        return -jnp.sum(jnp.exp(log_p) * log_p)


def initial_policy(
    spec: Spec,
    key: PRNGKey,
    *,
    width: int = 64,
    depth: int = 2,
    squash: bool = True,
    std: float = 0.5,
    center: Array | None = None,
    scale: Array | None = None,
) -> Gaussian | Categorical:
    """An untrained policy: a mean near the centre of the box, or a nearly uniform choice.

    Args:
        spec: What is fixed about the task.
        key: Of the network's weights.
        width, depth: Of its hidden layers: neurons in each, and how many of them.
        squash: Whether `tanh` brings actions into the box, rather than clipping.
        std: Standard deviation of actions, in half-boxes.
        center, scale: `[state]`, in the environment's units; observations enter the network as
            `(observation - center) / scale`. 0 and the spec's `state_scale` if not given.
    """
    network = MLP(
        spec.state_size,
        spec.action.size,
        width,
        depth,
        key,
        center=center,
        scale=spec.state_scale if scale is None else scale,
        last=0.01,
    )
    if isinstance(spec.action, Discrete):
        return Categorical(network)
    # Of a definite type: a training program is compiled again for what it makes of a weak one.
    log_std = jnp.full(spec.action.size, math.log(std), dtype=float)
    return Gaussian(network, log_std, spec.action, squash)


@storable
class Noisy(Policy):
    """A policy with exploration noise: Gaussian of `noise` half-boxes, or a random action with
    probability `noise`. The carry is the policy's own.
    """

    policy: Policy
    space: Box | Discrete
    noise: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        checks.of_kind("policy", self.policy, Policy, "a Policy")
        checks.of_kind("space", self.space, (Box, Discrete), "a Box or a Discrete")
        (checks.SHARE if isinstance(self.space, Discrete) else checks.NON_NEGATIVE_32).check(
            "noise", self.noise
        )

    def initial(self) -> Any:
        return self.policy.initial()

    def act(self, carry: Any, state: State, key: PRNGKey) -> tuple[Action, Any]:
        first, second = jax.random.split(key)
        if isinstance(self.space, Discrete):
            # Both by one key: of the two actions only one is used.
            action, carry = self.policy.act(carry, state, second)
            random = jax.random.randint(second, (), 0, self.space.n)
            return jnp.where(jax.random.bernoulli(first, self.noise), random, action), carry
        action, carry = self.policy.act(carry, state, first)
        half = (self.space.high - self.space.low) / 2
        noisy = action + self.noise * half * jax.random.normal(second, action.shape, action.dtype)
        return jnp.clip(noisy, self.space.low, self.space.high), carry

    def greedy(self) -> Policy:
        return self.policy.greedy()

    def as_layers(self, spec: Spec) -> Layered:
        """The mode `s ↦ a`; see `core/layers.py`."""
        return layers_of(self.policy, spec)
