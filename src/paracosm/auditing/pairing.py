"""Policies with a carry, audited as Markov policies of the pair (state, carry).

A policy that plays `a, c' = π(c, s)` is Markov in the pair `(s, c)`, and the pair moves by
`(s, c), a -> (f(s, a), κ(c, s))`, where κ, the policy's own update of its carry, is known. So the
attribution holds on pairs as it stands: real pairs, recorded states beside the carries that the
policy had there, against imagined pairs. The carry has no error of its own, and the value of an
imagined state starts from the carry that was recorded.

A pair holds the policy's answer too, its action and the next carry: what a planner's search took
seconds for is asked for once a step, and not by policy and dynamics each.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.auditing.dimensions import Dimensions
from paracosm.auditing.one_step import OTHER_ACTIONS, OneStep, differ
from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP, Box, Discrete, Domain, Spec, never
from paracosm.core.policy import MarkovPolicy, Policy, flat_carries
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
    layout = PairLayout(policy.greedy(), size)
    carries = following = np.zeros((*episodes.alive.shape, 0))
    if first.size:
        carries, following = (
            _replayed(layout.policy, episodes)
            if episodes.carry is None
            else _recorded(layout.policy, episodes, world.spec.action)
        )
    scale = np.concatenate([world.spec.state_scale, state_scale(carries[episodes.alive])])
    sizes = {"state_size": len(scale), "state_scale": jnp.asarray(scale), "components": ()}
    spec = dataclasses.replace(world.spec, **sizes)
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
    carried = spec.state_size - layout.size
    return MDP(
        spec,
        PairDynamics(world.dynamics, layout),
        OfState(world.reward, layout.size),
        never if world.termination is never else OfState(world.termination, layout.size),
        PairInitial(world.initial, layout),
        world.discount,
        None if world.domain is None else _unbounded(world.domain, carried),
    )


def _replayed(policy: Policy, episodes: Trajectory) -> tuple[np.ndarray, np.ndarray]:
    """What stands beside each recorded state and each next one, `[episode, time, …]`: the policy's
    carries and answers on its way through the episodes, played again.
    """
    by_step, after = _answers(policy, episodes)
    columns, last = flat_carries(by_step, 2), flat_carries(after, 1)
    return columns, np.concatenate([columns[:, 1:], last[:, None]], axis=1)


def _recorded(
    policy: Policy, episodes: Trajectory, space: Box | Discrete
) -> tuple[np.ndarray, np.ndarray]:
    """The same by the carries that were recorded, and the recorded actions, which lie in `space`.

    Raises:
        BadData: the policy does not act as recorded.
    """
    carry, first = np.asarray(episodes.carry), policy.initial()
    if carry.shape[-1] != _flat(first).size:
        raise checks.BadData(
            f"the episodes' carry has {carry.shape[-1]} components; the policy's has"
            f" {_flat(first).size}: another policy recorded them."
        )
    alive = np.asarray(episodes.alive)
    recorded = episodes.action[alive]
    carries, states = (
        np.concatenate([column[alive], column[:, -1]]) for column in (carry, episodes.state)
    )
    _, chosen, following = _answer(policy, _unraveled(first, carries), jnp.asarray(states))
    following = jax.tree.map(lambda leaf: leaf[len(recorded) :], following)
    differs = np.asarray(
        jax.vmap(partial(differ, space))(jnp.asarray(recorded), chosen[: len(recorded)])
    )
    if differs.mean() > OTHER_ACTIONS:
        raise checks.BadData(
            f"{int(differs.sum())} of the {len(differs)} recorded actions are not those of the"
            f" policy, a {type(policy).__name__}: attribution needs its own episodes."
        )
    after = _answer(policy, following, jnp.asarray(episodes.next_state[:, -1]))
    carries = np.concatenate([carry, flat_carries(following, 1)[:, None]], axis=1)
    actions = episodes.action.reshape(*carry.shape[:2], -1).astype(np.float64)
    columns = np.concatenate([carries[:, :-1], actions, carries[:, 1:]], axis=-1)
    return columns, np.concatenate([columns[:, 1:], flat_carries(after, 1)[:, None]], axis=1)


@eqx.filter_jit
def _answer(policy: Policy, carries: Any, states: Array) -> tuple[Any, Array, Any]:
    """Carry, action and next carry at each of some states, `[episode, …]`."""

    def answer(carry: Any, state: Array) -> tuple[Any, Array, Any]:
        return (carry, *policy.act(carry, state, jax.random.key(0)))

    return jax.vmap(answer)(carries, states)


def _unraveled(first: Any, rows: np.ndarray) -> Any:
    """Carries `[episode, …]` of the structure of `first`, of flat ones `[episode, carry]`."""
    leaves, structure = jax.tree.flatten(first)
    parts = np.split(rows, np.cumsum([np.size(leaf) for leaf in leaves])[:-1], axis=1)
    shaped = [
        jnp.asarray(part.reshape(len(rows), *np.shape(leaf)), jnp.result_type(leaf))
        for part, leaf in zip(parts, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, shaped)


@eqx.filter_jit
def _answers(policy: Policy, episodes: Trajectory) -> tuple[Any, Any]:
    """Carry, action and next carry at each recorded step, `[episode, time, …]` in every leaf, and
    at the last next state, `[episode, …]`.
    """

    def of_episode(states: Array, last: Array) -> tuple[Any, Any]:
        def answer(carry: Any, state: Array) -> tuple[Any, Any]:
            action, following = policy.act(carry, state, jax.random.key(0))
            return following, (carry, action, following)

        carry, by_step = jax.lax.scan(answer, policy.initial(), states)
        return by_step, answer(carry, last)[1]

    states, last = jnp.asarray(episodes.state), jnp.asarray(episodes.next_state)[:, -1]
    return jax.vmap(of_episode)(states, last)


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


class Apart(NamedTuple):
    """A pair's state and carry, and what the policy answers there: its action and next carry."""

    state: State
    carry: Any
    action: Any
    following: Any


class PairLayout(eqx.Module):
    """A greedy policy on flat pairs `(s, c, a, c')`, which are states alone if it carries
    nothing.
    """

    policy: Policy
    size: int = eqx.field(static=True)

    @property
    def carries(self) -> bool:
        """Whether the policy carries anything."""
        return bool(jax.tree.leaves(self.policy.initial()))

    def of(self, state: State, carry: Any) -> Array:
        """The pair of a state and a carry; the policy is asked once."""
        if not self.carries:
            return state
        action, following = self.policy.act(carry, state, jax.random.key(0))
        return jnp.concatenate([state, ravelled((carry, action, following), state.dtype)])

    def apart(self, pair: Array) -> Apart:
        """The parts of a pair."""
        state, first = pair[: self.size], self.policy.initial()
        if not self.carries:
            return Apart(state, first, *self.policy.act(first, state, jax.random.key(0)))
        answer = jax.eval_shape(self.policy.act, first, state, jax.random.key(0))
        return Apart(state, *_like((first, *answer), pair[self.size :]))


def ravelled(carry: Any, dtype: Any) -> Array:
    """A carry as one vector, inside a compiled program."""
    leaves = [jnp.ravel(leaf).astype(dtype) for leaf in jax.tree.leaves(carry)]
    return jnp.concatenate([jnp.zeros(0, dtype), *leaves])


def _like(initial: Any, flat: Array) -> Any:
    """The carry with the structure of `initial`; its floating leaves in the precision of `flat`."""
    leaves, structure = jax.tree.flatten(initial)
    ends = np.cumsum([math.prod(jnp.shape(leaf)) for leaf in leaves])
    parts = jnp.split(flat, ends[:-1]) if leaves else []
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
        apart = self.layout.apart(state)
        return self.policy.act(apart.carry, apart.state, key)[0]

    def mode(self, state: State) -> Action:
        return self.layout.apart(state).action


class PairDynamics(eqx.Module):
    """`(s, c, a, c'), a -> (f(s, a), c', π(c', f(s, a)))`."""

    dynamics: Callable[[State, Action, PRNGKey], State]
    layout: PairLayout

    def __call__(self, pair: State, action: Action, key: PRNGKey) -> State:
        following = self.of_state(pair, action, key)
        return self.layout.of(following, self.layout.apart(pair).following)

    def of_state(self, pair: Float[Array, " pair"], action: Action, key: PRNGKey) -> State:
        """The next state alone, which takes no answer of the policy."""
        return self.dynamics(pair[: self.layout.size], action, key)


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
    layout: PairLayout

    def __call__(self, key: PRNGKey) -> State:
        return self.layout.of(self.initial(key), self.layout.policy.initial())


def _unbounded(domain: Domain, carried: int) -> Domain:
    """The domain of states; any carry is inside."""
    edge = jnp.full(carried, jnp.inf)
    return Domain(jnp.concatenate([domain.low, -edge]), jnp.concatenate([domain.high, edge]))
