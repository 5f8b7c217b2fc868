"""The learned parts of a world: ensembles that predict their members' mean."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from paracosm.core.mdp import Box, Discrete, Domain
from paracosm.core.networks import MLP
from paracosm.core.types import Action, Array, Flag, PRNGKey, Scalar, State


def inputs_of(
    space: Box | Discrete, state: State, action: Action, *rest: State
) -> Float[Array, " inputs"]:
    """What a network sees: state, encoded action and, for reward and termination, the next
    state.
    """
    return jnp.concatenate([state, space.encode(action).astype(state.dtype), *rest])


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


class Constant(eqx.Module):
    """The reward of a task whose labels are all the same."""

    value: Scalar

    def __call__(self, state: State, action: Action, next_state: State) -> Scalar:
        return jnp.asarray(self.value)


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
        return jnp.mean(self.members(state, action, next_state)) > 0


class Starts(eqx.Module):
    """Initial states drawn from those seen, `[starts, state]`."""

    states: Float[Array, "starts state"]

    def __call__(self, key: PRNGKey) -> State:
        states = jnp.asarray(self.states)
        return states[jax.random.randint(key, (), 0, len(states))]
