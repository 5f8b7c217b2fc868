"""Policies with a carry, audited as Markov policies of the pair (state, carry).

A policy that plays `a, c' = π(c, s)` is Markov in the pair `(s, c)`, and the pair moves by
`(s, c), a -> (f(s, a), κ(c, s))`, where κ, the policy's own update of its carry, is known. So the
attribution holds on pairs as it stands: real pairs, recorded states beside the carries that the
policy had there, against imagined pairs. The carry has no error of its own, and the value of an
imagined state starts from the carry that was recorded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.auditing.dimensions import Dimensions
from paracosm.auditing.one_step import OneStep
from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP, Domain, Spec, never
from paracosm.core.policy import MarkovPolicy, Policy
from paracosm.core.predicted import PredictedReturn
from paracosm.core.recordings import state_scale
from paracosm.core.types import Action, Array, Flag, PRNGKey, Scalar, State


class Paired(NamedTuple):
    """A world of pairs, the Markov policy that plays there, and the episodes with their carries.

    The first `size` components of a pair are the state.
    """

    world: MDP
    policy: MarkovPolicy
    episodes: Trajectory
    size: int

    def states(self, episodes: Trajectory) -> Trajectory:
        """Episodes of pairs without their carries."""
        return dataclasses.replace(
            episodes,
            state=episodes.state[..., : self.size],
            next_state=episodes.next_state[..., : self.size],
        )

    def predictions(self, predictions: OneStep) -> OneStep:
        """One-step predictions of pairs without their carries."""
        return predictions._replace(imagined_state=predictions.imagined_state[..., : self.size])

    def prediction(self, predicted: PredictedReturn) -> PredictedReturn:
        """What training predicted, asked at pairs."""
        policy, trained_in = predicted.policy, predicted.trained_in
        layout = PairLayout(policy.greedy(), self.size)
        return PredictedReturn(
            PairPolicy(policy, layout),
            _pair_world(trained_in, layout, self.world.spec),
            predicted.horizon,
            OfPairs(predicted.function, policy.greedy(), self.size),
        )

    def dimensions(self, dimensions: Dimensions) -> Dimensions:
        """The split of the dynamics term by state component; what is left to carries is rounding,
        and goes to the remainder.
        """
        terms = dimensions.terms
        rest = terms[..., self.size :].sum(axis=(1, 2))
        return dimensions._replace(
            terms=terms[..., : self.size], remainder=dimensions.remainder + rest
        )


def paired(world: MDP, policy: Policy, episodes: Trajectory, *, sampled: bool) -> Paired:
    """The pairs of `episodes`, whose carries are those that the policy has on its way through them.

    Args:
        world: The learned world, of states.
        policy: A policy that may carry something.
        episodes: Real episodes of it, NumPy arrays `[episode, time, …]`, in the precision in which
            they were played.
        sampled: Whether its samples played; then it must carry nothing, since a sampled carry is
            not in the record.

    Raises:
        BadArgument: samples of a policy that carries something.
    """
    first = _flat(policy.initial())
    if sampled and first.size:
        raise checks.BadArgument(
            f"the policy is a {type(policy).__name__}, which carries something from step to step;"
            " only its greedy() can be audited, not its samples."
        )
    size = world.spec.state_size
    count = episodes.alive.shape
    carries, last = np.zeros((*count, 0)), np.zeros((count[0], 0))
    if first.size:
        by_step, after = _carries(policy.greedy(), episodes)
        carries, last = _rows(by_step, 2), _rows(after, 1)
    following = np.concatenate([carries[:, 1:], last[:, None]], axis=1)
    scale = np.concatenate([world.spec.state_scale, state_scale(carries[episodes.alive])])
    spec = dataclasses.replace(
        world.spec, state_size=size + first.size, state_scale=jnp.asarray(scale)
    )
    layout = PairLayout(policy.greedy(), size)
    return Paired(
        _pair_world(world, layout, spec),
        PairPolicy(policy, layout),
        dataclasses.replace(
            episodes,
            state=np.concatenate([episodes.state, carries], axis=-1),
            next_state=np.concatenate([episodes.next_state, following], axis=-1),
        ),
        size,
    )


def _pair_world(world: MDP, layout: PairLayout, spec: Spec) -> MDP:
    """A world of states as one of pairs."""
    first = _flat(layout.policy.initial())
    return MDP(
        spec,
        PairDynamics(world.dynamics, layout),
        OfState(world.reward, layout.size),
        never if world.termination is never else OfState(world.termination, layout.size),
        PairInitial(world.initial, first),
        world.discount,
        None if world.domain is None else _unbounded(world.domain, first.size),
    )


@eqx.filter_jit
def _carries(policy: Policy, episodes: Trajectory) -> tuple[Any, Any]:
    """The carry at each recorded step, `[episode, time, …]` in every leaf, and the one after the
    last, `[episode, …]`.
    """

    def of_episode(states: Array) -> tuple[Any, Any]:
        def step(carry: Any, state: Array) -> tuple[Any, Any]:
            following = policy.act(carry, state, jax.random.key(0))[1]
            return following, carry

        last, carries = jax.lax.scan(step, policy.initial(), states)
        return carries, last

    return jax.vmap(of_episode)(jnp.asarray(episodes.state))


def _flat(carry: Any) -> np.ndarray:
    """A carry as one vector of 64 bits, which hold every whole number of 32.

    Raises:
        Unsupported: it holds a random key, which is no number.
    """
    leaves = jax.tree.leaves(carry)
    if any(jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key) for leaf in leaves):
        raise checks.Unsupported(
            "the policy carries a random key, which an audit cannot pair with states; carry a"
            " counter and make the key of it with jax.random.fold_in."
        )
    return np.concatenate([np.zeros(0), *(np.asarray(leaf, np.float64).ravel() for leaf in leaves)])


def _rows(carries: Any, axes: int) -> np.ndarray:
    """Carries with so many leading axes, as vectors of 64 bits."""
    leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(carries)]
    shape = leaves[0].shape[:axes] if leaves else ()
    return np.concatenate([leaf.reshape(*shape, -1) for leaf in leaves], axis=-1)


class PairLayout(eqx.Module):
    """A greedy policy on flat pairs: how a pair is taken apart, and what follows its carry."""

    policy: Policy
    size: int = eqx.field(static=True)

    def apart(self, pair: Array) -> tuple[State, Any]:
        """The state and the carry."""
        return pair[: self.size], _like(self.policy.initial(), pair[self.size :])

    def following(self, pair: Array) -> Array:
        """The flat carry of the next step."""
        state, carry = self.apart(pair)
        return ravelled(self.policy.act(carry, state, jax.random.key(0))[1], pair.dtype)


def ravelled(carry: Any, dtype: Any) -> Array:
    """A carry as one vector, inside a compiled program."""
    leaves = [jnp.ravel(leaf).astype(dtype) for leaf in jax.tree.leaves(carry)]
    return jnp.concatenate([jnp.zeros(0, dtype), *leaves])


def _like(initial: Any, flat: Array) -> Any:
    """The carry with the structure of `initial`; its floating leaves in the precision of `flat`."""
    leaves, structure = jax.tree.flatten(initial)
    parts = jnp.split(flat, np.cumsum([jnp.size(leaf) for leaf in leaves])[:-1]) if leaves else []
    shaped = [
        part.reshape(jnp.shape(leaf))
        if jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
        else jnp.round(part).reshape(jnp.shape(leaf)).astype(jnp.result_type(leaf))
        for part, leaf in zip(parts, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, shaped)


class PairPolicy(MarkovPolicy):
    """The policy, Markov in the pair."""

    policy: Policy
    layout: PairLayout

    def sample(self, state: State, key: PRNGKey) -> Action:
        first, carry = self.layout.apart(state)
        return self.policy.act(carry, first, key)[0]

    def mode(self, state: State) -> Action:
        first, carry = self.layout.apart(state)
        return self.layout.policy.act(carry, first, jax.random.key(0))[0]


class PairDynamics(eqx.Module):
    """`(s, c), a -> (f(s, a), κ(c, s))`."""

    dynamics: Callable[[State, Action, PRNGKey], State]
    layout: PairLayout

    def __call__(self, pair: State, action: Action, key: PRNGKey) -> State:
        following = self.dynamics(pair[: self.layout.size], action, key)
        return jnp.concatenate([following, self.layout.following(pair)])


class OfState(eqx.Module):
    """A reward or an end rule of states, asked at pairs."""

    part: Callable[[State, Action, State], Scalar | Flag]
    size: int = eqx.field(static=True)

    def __call__(self, pair: State, action: Action, next_pair: State) -> Any:
        return self.part(pair[: self.size], action, next_pair[: self.size])


class OfPairs(eqx.Module):
    """A predicted return of states, asked at first pairs; only that of the greedy policy."""

    function: Callable[[Policy, Array, PRNGKey], Float[Array, " episode"]]
    policy: Policy
    size: int = eqx.field(static=True)

    def __call__(self, policy: Policy, start: Array, key: PRNGKey) -> Float[Array, " episode"]:
        return self.function(self.policy, start[:, : self.size], key)


class PairInitial(eqx.Module):
    """First pairs: the first carry beside a first state."""

    initial: Callable[[PRNGKey], State]
    carry: Float[np.ndarray, " carry"]

    def __call__(self, key: PRNGKey) -> State:
        state = self.initial(key)
        return jnp.concatenate([state, jnp.asarray(self.carry, state.dtype)])


def _unbounded(domain: Domain, carried: int) -> Domain:
    """The domain of states; any carry is inside."""
    edge = jnp.full(carried, jnp.inf)
    return Domain(jnp.concatenate([domain.low, -edge]), jnp.concatenate([domain.high, edge]))
