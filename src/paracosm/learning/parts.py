"""The learned parts of a world: ensembles that predict their members' mean."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.core import layers
from paracosm.core.layers import Layered, affine, beside, compose, layers_of
from paracosm.core.mdp import Box, Discrete, Domain, Spec
from paracosm.core.networks import MLP, unstacked
from paracosm.core.storage import storable
from paracosm.core.types import Action, Array, Flag, PRNGKey, Scalar, State


def inputs_of(
    space: Box | Discrete, state: State, action: Action, *rest: State
) -> Float[Array, " inputs"]:
    """What a network sees: state, encoded action and, for reward and termination, the next
    state.
    """
    return jnp.concatenate([state, space.encode(action).astype(state.dtype), *rest])


def _members_as_layers(networks: MLP, spec: Spec) -> list[Layered]:
    """What each member of an ensemble says of its layers."""
    return [layers_of(network, spec) for network in unstacked(networks)]


@storable
class LearnedDynamics(eqx.Module):
    """`s' = clip(s + scale * mean_i net_i(s, a) + center)`: the change of state, normalised;
    deterministic.

    The clip keeps imagined states in `domain`, where the data lie; it is 1-Lipschitz. `networks` is
    stacked over members.
    """

    networks: MLP
    space: Box | Discrete
    center: Float[Array, " state"]
    scale: Float[Array, " state"]
    domain: Domain

    def members(self, state: State, action: Action) -> Float[Array, "member state"]:
        """Each member's next state, not clipped."""
        x = inputs_of(self.space, state, action)
        return (
            state + self.center + self.scale * jax.vmap(lambda network: network(x))(self.networks)
        )

    def __call__(self, state: State, action: Action, key: PRNGKey) -> State:
        return self.domain.clip(jnp.mean(self.members(state, action), axis=0))

    def image(self) -> Domain:
        """The box that holds every next state."""
        return self.domain

    def as_layers(self, spec: Spec) -> Layered:
        """`(s, a) ↦ s'`; see `core/layers.py`."""
        size = spec.state_size
        mean = layers.mean_of(_members_as_layers(self.networks, spec))
        network = compose(mean, layers.encoded(self.space, size, 0))
        carried = affine(np.eye(size, size + self.space.size))
        change = np.concatenate([np.eye(size), np.diag(np.asarray(self.scale, np.float64))], axis=1)
        clip = layers.clipped(self.domain.low, self.domain.high)
        return compose(clip, affine(change, self.center), beside(carried, network))


@storable
class LearnedReward(eqx.Module):
    """`r = scale * mean_i net_i(s, a, s') + center`; `networks` is stacked over members."""

    networks: MLP
    space: Box | Discrete
    center: Scalar
    scale: Scalar

    def members(self, state: State, action: Action, next_state: State) -> Float[Array, " member"]:
        """Each member's reward."""
        x = inputs_of(self.space, state, action, next_state)
        return self.center + self.scale * jax.vmap(lambda network: network(x))(self.networks)[:, 0]

    def __call__(self, state: State, action: Action, next_state: State) -> Scalar:
        return jnp.mean(self.members(state, action, next_state))

    def reward_range(self) -> float:
        """Largest minus smallest reward that it can give.

        Members end in a linear map of numbers in [-1, 1], or else are linear and have no limit.
        """
        if len(self.networks.weights) == 1:
            return float("inf")
        last = np.abs(np.asarray(self.networks.weights[-1]))
        return float(2 * np.abs(self.scale) * last.sum(axis=1).mean())

    def as_layers(self, spec: Spec) -> Layered:
        """`(s, a, s') ↦ r`; see `core/layers.py`."""
        mean = layers.mean_of(_members_as_layers(self.networks, spec))
        network = compose(mean, layers.encoded(self.space, spec.state_size, spec.state_size))
        return compose(affine(np.asarray(self.scale).reshape(1, 1), float(self.center)), network)


@storable
class Constant(eqx.Module):
    """The reward of a task whose labels are all the same."""

    value: Scalar

    def __call__(self, state: State, action: Action, next_state: State) -> Scalar:
        return jnp.asarray(self.value)

    def as_layers(self, spec: Spec) -> Layered:
        """`(s, a, s') ↦ value`; see `core/layers.py`."""
        return affine(np.zeros((1, 2 * spec.state_size + spec.action.size)), float(self.value))


@storable
class LearnedTermination(eqx.Module):
    """The episode ends where the members' mean logit is positive; `networks` is stacked over
    members.
    """

    networks: MLP
    space: Box | Discrete

    def members(self, state: State, action: Action, next_state: State) -> Float[Array, " member"]:
        """Each member's logit of ending."""
        x = inputs_of(self.space, state, action, next_state)
        return jax.vmap(lambda network: network(x))(self.networks)[:, 0]

    def __call__(self, state: State, action: Action, next_state: State) -> Flag:
        return self.margin(state, action, next_state) > 0

    def margin(self, state: State, action: Action, next_state: State) -> Scalar:
        """The mean logit, positive where the episode ends."""
        return jnp.mean(self.members(state, action, next_state))

    def margin_as_layers(self, spec: Spec) -> tuple[Layered, ...]:
        """Each member's logit `(s, a, s') ↦ l`; the margin is their mean. See `core/layers.py`."""
        entering = layers.encoded(self.space, spec.state_size, spec.state_size)
        return tuple(
            compose(network, entering) for network in _members_as_layers(self.networks, spec)
        )


@storable
class Starts(eqx.Module):
    """Initial states drawn from those seen, `[starts, state]`."""

    states: Float[Array, "starts state"]

    def __call__(self, key: PRNGKey) -> State:
        states = jnp.asarray(self.states)
        return states[jax.random.randint(key, (), 0, len(states))]
