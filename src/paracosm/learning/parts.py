"""The learned parts of a world: ensembles that predict their members' mean.

Those of several members have `member(index)` and, unless their Lipschitz constant is held,
`draw(key)`, which gives one member by chance; both give a part of its own, see `core/members.py`.
"""

from __future__ import annotations

import abc
import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from paracosm.core import layers
from paracosm.core.layers import Layered, affine, beside, compose, layers_of
from paracosm.core.mdp import Box, Discrete, Domain, Spec
from paracosm.core.members import drawn_entry, end_probability, entry_at
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
class CappedDynamics(eqx.Module):
    """`s' = clip(linear (s, a) + scale * mean_i net_i(s, a) + center)`: a linear map in place of
    the identity, so that the whole of it can contract; deterministic.

    `linear` acts on the state and the encoded action. `networks` is stacked over members. See
    `learning/lipschitz_control.py`, whose Lipschitz constant it has.
    """

    networks: MLP
    space: Box | Discrete
    linear: Float[Array, "state inputs"]
    center: Float[Array, " state"]
    scale: Float[Array, " state"]
    domain: Domain

    def members(self, state: State, action: Action) -> Float[Array, "member state"]:
        """Each member's next state, not clipped."""
        x = inputs_of(self.space, state, action)
        network = jax.vmap(lambda network: network(x))(self.networks)
        return self.linear @ x + self.center + self.scale * network

    def __call__(self, state: State, action: Action, key: PRNGKey) -> State:
        return self.domain.clip(jnp.mean(self.members(state, action), axis=0))

    def member(self, index: Int[Array, ""] | int) -> CappedDynamics:
        """Member `index` alone."""
        return dataclasses.replace(self, networks=entry_at(self.networks, index))

    def image(self) -> Domain:
        """The box that holds every next state."""
        return self.domain

    def as_layers(self, spec: Spec) -> Layered:
        """`(s, a) ↦ s'`; see `core/layers.py`."""
        mean = layers.mean_of(_members_as_layers(self.networks, spec))
        scale = np.diag(np.asarray(self.scale, np.float64))
        both = affine(np.concatenate([self.linear, scale], axis=1), self.center)
        carried = layers.identity(mean.inputs)
        entering = layers.encoded(self.space, spec.state_size, 0)
        clip = layers.clipped(self.domain.low, self.domain.high)
        return compose(clip, both, beside(carried, mean), entering)


# Of the normalised change of state: e^-10 is below what 32 bits tell apart in a network's answer,
# e^1 is wider than the data.
LOG_VARIANCE = (-10.0, 1.0)


def bounded_log_variance(raw: Array) -> Array:
    """`log σ²` brought softly between the ends of `LOG_VARIANCE`, with a derivative everywhere."""
    low, high = LOG_VARIANCE
    above = low + jax.nn.softplus(raw - low)
    return high - jax.nn.softplus(high - above)


class ChangeDynamics(eqx.Module):
    """An ensemble that predicts the change of state, normalised by `center` and `scale`.

    The clip keeps imagined states in `domain`, where the data lie; it is 1-Lipschitz. `networks` is
    stacked over members.
    """

    networks: MLP
    space: Box | Discrete
    center: Float[Array, " state"]
    scale: Float[Array, " state"]
    domain: Domain

    @abc.abstractmethod
    def members(self, state: State, action: Action) -> Float[Array, "member state"]:
        """Each member's mean next state, not clipped."""

    def __call__(self, state: State, action: Action, key: PRNGKey) -> State:
        return self.domain.clip(jnp.mean(self.members(state, action), axis=0))

    def member(self, index: Int[Array, ""] | int) -> ChangeDynamics:
        """Member `index` alone."""
        return dataclasses.replace(self, networks=entry_at(self.networks, index))

    def image(self) -> Domain:
        """The box that holds every next state."""
        return self.domain

    def _change_as_layers(self, mean: Layered, spec: Spec) -> Layered:
        """`(s, a) ↦ clip(s + scale * mean(s, a) + center)`; see `core/layers.py`."""
        size = spec.state_size
        network = compose(mean, layers.encoded(self.space, size, 0))
        carried = affine(np.eye(size, size + self.space.size))
        scale = np.diag(np.asarray(self.scale, np.float64))
        change = np.concatenate([np.eye(size), scale], axis=1)
        clip = layers.clipped(self.domain.low, self.domain.high)
        return compose(clip, affine(change, self.center), beside(carried, network))


@storable
class LearnedDynamics(ChangeDynamics):
    """`s' = clip(s + scale * mean_i net_i(s, a) + center)`; deterministic."""

    def members(self, state: State, action: Action) -> Float[Array, "member state"]:
        """Each member's next state, not clipped."""
        x = inputs_of(self.space, state, action)
        return (
            state + self.center + self.scale * jax.vmap(lambda network: network(x))(self.networks)
        )

    def draw(self, key: PRNGKey) -> LearnedDynamics:
        """One member by chance."""
        return dataclasses.replace(self, networks=drawn_entry(self.networks, key))

    def as_layers(self, spec: Spec) -> Layered:
        """`(s, a) ↦ s'`; see `core/layers.py`."""
        mean = layers.mean_of(_members_as_layers(self.networks, spec))
        return self._change_as_layers(mean, spec)


@storable
class GaussianDynamics(ChangeDynamics):
    """`s' ~ s + center + scale * N(μ_i, σ_i²)(s, a)` of member i.

    Each network gives μ and `log σ²`, which is kept within `LOG_VARIANCE` (Chua et al. 2018). As a
    part of a world it is deterministic, the mean of the members' μ; `draw` gives one member with
    its noise.
    """

    def moments(self, state: State, action: Action) -> tuple[Array, Array]:
        """Mean and standard deviation of each member's next state, not clipped, `[member, state]`
        each.
        """
        x = inputs_of(self.space, state, action)
        mean, log_variance = jnp.split(jax.vmap(lambda network: network(x))(self.networks), 2, 1)
        deviation = jnp.exp(0.5 * bounded_log_variance(log_variance))
        return state + self.center + self.scale * mean, self.scale * deviation

    def members(self, state: State, action: Action) -> Float[Array, "member state"]:
        """Each member's mean next state, not clipped."""
        return self.moments(state, action)[0]

    def draw(self, key: PRNGKey) -> GaussianMember:
        """One member by chance, with its noise."""
        return GaussianMember(dataclasses.replace(self, networks=drawn_entry(self.networks, key)))

    def as_layers(self, spec: Spec) -> Layered:
        """`(s, a) ↦ s'`; see `core/layers.py`."""
        size = spec.state_size
        only_mean = affine(np.eye(size, 2 * size))
        members = [
            compose(only_mean, network) for network in _members_as_layers(self.networks, spec)
        ]
        return self._change_as_layers(layers.mean_of(members), spec)


class GaussianMember(eqx.Module):
    """A Gaussian member as a stochastic part: its next state is drawn."""

    ensemble_of_one: GaussianDynamics

    def __call__(self, state: State, action: Action, key: PRNGKey) -> State:
        mean, deviation = self.ensemble_of_one.moments(state, action)
        noise = jax.random.normal(key, mean.shape, mean.dtype)
        return self.ensemble_of_one.domain.clip((mean + deviation * noise)[0])


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

    def member(self, index: Int[Array, ""] | int) -> LearnedReward:
        """Member `index` alone."""
        return dataclasses.replace(self, networks=entry_at(self.networks, index))

    def draw(self, key: PRNGKey) -> LearnedReward:
        """One member by chance."""
        return dataclasses.replace(self, networks=drawn_entry(self.networks, key))

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


class LogitTermination(eqx.Module):
    """An end rule that is read from a logit: the episode ends where it is above 0."""

    def __call__(self, state: State, action: Action, next_state: State) -> Flag:
        return self.margin(state, action, next_state) > 0

    @abc.abstractmethod
    def logit(self, state: State, action: Action, next_state: State) -> Scalar:
        """The logit of ending."""

    def margin(self, state: State, action: Action, next_state: State) -> Scalar:
        """What an audit reads of a rule of ends, positive where the episode ends: the logit."""
        return self.logit(state, action, next_state)


@storable
class LearnedTermination(LogitTermination):
    """The episode ends where the members' mean logit is positive; `networks` is stacked over
    members.
    """

    networks: MLP
    space: Box | Discrete

    def members(self, state: State, action: Action, next_state: State) -> Float[Array, " member"]:
        """Each member's logit of ending."""
        x = inputs_of(self.space, state, action, next_state)
        return jax.vmap(lambda network: network(x))(self.networks)[:, 0]

    def logit(self, state: State, action: Action, next_state: State) -> Scalar:
        """The mean logit of ending."""
        return jnp.mean(self.members(state, action, next_state))

    def member(self, index: Int[Array, ""] | int) -> LearnedTermination:
        """Member `index` alone."""
        return dataclasses.replace(self, networks=entry_at(self.networks, index))

    def draw(self, key: PRNGKey) -> LearnedTermination:
        """One member by chance."""
        return dataclasses.replace(self, networks=drawn_entry(self.networks, key))

    def margin_as_layers(self, spec: Spec) -> tuple[Layered, ...]:
        """Each member's logit `(s, a, s') ↦ l`; the margin is their mean. See `core/layers.py`."""
        entering = layers.encoded(self.space, spec.state_size, spec.state_size)
        return tuple(
            compose(network, entering) for network in _members_as_layers(self.networks, spec)
        )


@storable
class RewardWithEnds(eqx.Module):
    """`r = (1-p) r_0 + p r_1`: a reward that is another one on a step that ends the episode.

    `p` is 1 where the rule `ends` ends the episode and 0 elsewhere; of a drawn member it is the
    chance of an end, which has a derivative. `r_e` is `scale * mean_i net_i(s, a, s', e) + center`.
    A goal's reward cannot be had without its end: a smooth function of the state would pay part of
    it to a policy that stays near. `networks` is stacked over members.

    A member of the reward has the member of `ends` that the same index, or key, gives of the
    world's own rule of ends: the reward and the end of a step then agree, also where `ends` has
    another number of members.
    """

    networks: MLP
    space: Box | Discrete
    center: Scalar
    scale: Scalar
    ends: LearnedTermination
    drawn: bool = eqx.field(static=True, default=False)

    def members(self, state: State, action: Action, next_state: State) -> Float[Array, " member"]:
        """Each member's reward."""
        x = inputs_of(self.space, state, action, next_state)
        going_on, ending = (
            jax.vmap(lambda network, e=e: network(jnp.append(x, e)))(self.networks)[:, 0]
            for e in (0.0, 1.0)
        )
        p = jnp.asarray(self.ends(state, action, next_state), state.dtype)
        if self.drawn:
            p = end_probability(self.ends, state, action, next_state)
        return self.center + self.scale * ((1 - p) * going_on + p * ending)

    def __call__(self, state: State, action: Action, next_state: State) -> Scalar:
        return jnp.mean(self.members(state, action, next_state))

    def member(self, index: Int[Array, ""] | int) -> RewardWithEnds:
        """Member `index` alone, with member `index` of the rule of ends."""
        networks = entry_at(self.networks, index)
        return dataclasses.replace(self, networks=networks, ends=self.ends.member(index))

    def draw(self, key: PRNGKey) -> RewardWithEnds:
        """One member by chance, with the member of the rule of ends that `key` draws of it."""
        networks = drawn_entry(self.networks, key)
        return dataclasses.replace(self, networks=networks, ends=self.ends.draw(key), drawn=True)


@storable
class Starts(eqx.Module):
    """Initial states drawn from those seen, `[starts, state]`."""

    states: Float[Array, "starts state"]

    def __call__(self, key: PRNGKey) -> State:
        states = jnp.asarray(self.states)
        return states[jax.random.randint(key, (), 0, len(states))]
