"""Policies with a carry, audited as Markov policies of the pair (state, carry).

A policy that plays `a, c' = π(c, s)` is Markov in the pair `(s, c)`, and the pair moves by
`(s, c), a -> (f(s, a), κ(c, s))`, where κ, the policy's own update of its carry, is known. So the
attribution holds on pairs as it stands: real pairs, recorded states beside the carries that the
policy had there, against imagined pairs. The carry has no error of its own, and the value of an
imagined state starts from the carry that was recorded.

A pair holds the policy's answer too, its action and the next carry: what a planner's search took
seconds for is asked for once a step, and not by policy and dynamics each. What a pair holds after
its state, `(c, a, c')`, is its *tail*.
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
from paracosm.auditing.one_step import (
    OTHER_ACTIONS,
    OneStep,
    OtherActions,
    differ,
    require_same_in_64,
)
from paracosm.core import callbacks, checks
from paracosm.core.carrying import first_carry, require_carry
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP, Box, Discrete, Domain, Spec, never
from paracosm.core.policy import MarkovPolicy, Policy, flat_carries, in_kinds_of
from paracosm.core.precision import in_double
from paracosm.core.predicted import PredictedReturn
from paracosm.core.recordings import state_scale
from paracosm.core.types import Action, Array, Flag, PRNGKey, Scalar, State

# Of a carried number's spread over the steps: other draws differ by more, a search in 64 bits by
# less; and what 32 bits leave of numbers of size 1 that cancel.
_NEAR_CARRY, _ROUNDED_CARRY = 0.01, 1e-5
_MOST_ROWS_IN_64 = 256  # steps at which the policy is asked in 64 bits: a search takes long


class CarryPairs(NamedTuple):
    """A world of pairs, the Markov policy that plays there, and the episodes with their carries.

    The first `state_size` components of a pair are the state.
    """

    world: MDP
    policy: MarkovPolicy
    episodes: Trajectory
    state_size: int

    @property
    def carries(self) -> bool:
        """Whether the policy carries something from step to step."""
        return self.world.spec.state_size > self.state_size

    def episodes_of_states(self, episodes: Trajectory) -> Trajectory:
        """Episodes of pairs without their carries."""
        return dataclasses.replace(
            episodes,
            state=episodes.state[..., : self.state_size],
            next_state=episodes.next_state[..., : self.state_size],
        )

    def predictions_of_states(self, predictions: OneStep) -> OneStep:
        """One-step predictions of pairs without their carries."""
        return predictions._replace(
            imagined_state=predictions.imagined_state[..., : self.state_size]
        )

    def predicted_at_pairs(self, predicted: PredictedReturn) -> PredictedReturn:
        """What training predicted of states, asked at pairs."""
        policy = predicted.policy
        layout = PairLayout(policy.greedy(), self.state_size)
        return PredictedReturn(
            policy=PairPolicy(policy, layout),
            trained_in=_pair_world(predicted.trained_in, layout, self.world.spec),
            horizon=predicted.horizon,
            function=StatePrediction(predicted.function, policy.greedy(), self.state_size),
        )

    def dimensions_of_states(self, dimensions: Dimensions) -> Dimensions:
        """The split of the dynamics term without carries, whose share is rounding and goes to the
        remainder.
        """
        terms = dimensions.terms
        rest = terms[..., self.state_size :].sum(axis=(1, 2))
        return dimensions._replace(
            terms=terms[..., : self.state_size], remainder=dimensions.remainder + rest
        )


def carry_pairs(world: MDP, policy: Policy, episodes: Trajectory, *, sampled: bool) -> CarryPairs:
    """The pairs of `episodes`, whose carries are those that the policy has on its way through them.

    Args:
        world: The learned world, of states.
        policy: A policy that may carry something.
        episodes: Real episodes of it, NumPy arrays `[episode, time, …]`, in the precision in which
            they were played.
        sampled: Whether its samples played; then it must carry nothing, since a sampled carry is
            not in the record.

    Raises:
        BadArgument: samples of a policy that carries something, or a carry that changes its form.
        BadData: the policy does not act as recorded, or otherwise in 64 bits.
    """
    states = np.asarray(episodes.state)
    first_carry(policy)  # called only to refuse an `initial()` that is no carry
    carries_any = _carry_size(policy) > 0
    require_carry(policy if sampled else policy.greedy(), states.shape[2:], states.dtype)
    if sampled and carries_any:
        raise checks.BadArgument(
            f"the policy is a {type(policy).__name__}, which carries something from step to step;"
            " only its greedy() can be audited, not its samples."
        )
    size = world.spec.state_size
    layout = PairLayout(policy.greedy(), size)
    tails = next_tails = np.zeros((*episodes.alive.shape, 0))
    if carries_any:
        tails, next_tails = (
            _replayed_tails(layout.policy, episodes)
            if episodes.carry is None
            else _recorded_tails(layout.policy, episodes, world.spec.action)
        )
        _check_in_64(layout.policy, world.spec.action, episodes, tails)
    scale = np.concatenate([world.spec.state_scale, state_scale(tails[episodes.alive])])
    spec = dataclasses.replace(
        world.spec, state_size=len(scale), state_scale=jnp.asarray(scale), components=()
    )
    return CarryPairs(
        world=_pair_world(world, layout, spec),
        policy=PairPolicy(policy, layout),
        episodes=dataclasses.replace(
            episodes,
            state=np.concatenate([episodes.state, tails], axis=-1),
            next_state=np.concatenate([episodes.next_state, next_tails], axis=-1),
        ),
        state_size=size,
    )


def _pair_world(world: MDP, layout: PairLayout, spec: Spec) -> MDP:
    """A world of states as one of pairs."""
    ends, domain = world.termination, world.domain
    return MDP(
        spec=spec,
        dynamics=PairDynamics(world.dynamics, layout),
        reward=StatePart(world.reward, layout.state_size),
        termination=never if ends is never else StatePart(ends, layout.state_size),
        initial=PairInitial(world.initial, layout),
        discount=world.discount,
        domain=None if domain is None else _unbounded(domain, spec.state_size - layout.state_size),
    )


def _replayed_tails(policy: Policy, episodes: Trajectory) -> tuple[np.ndarray, np.ndarray]:
    """The tail at each recorded state, and at each next state, `[episode, time, tail]`: the
    policy's carries and answers on its way through the episodes, played again.
    """
    tails, last = _replay(policy, episodes)
    return _tails_and_next(flat_carries(tails, 2), flat_carries(last, 1))


def _recorded_tails(
    policy: Policy, episodes: Trajectory, space: Box | Discrete
) -> tuple[np.ndarray, np.ndarray]:
    """The tail at each recorded state, and at each next state, `[episode, time, tail]`: of the
    recorded carries and actions, which lie in `space`.

    Raises:
        BadData: the policy does not act as recorded.
    """
    recorded, size = np.asarray(episodes.carry), _carry_size(policy)
    if recorded.shape[-1] != size:
        raise checks.BadData(
            f"the episodes' carry has {recorded.shape[-1]} components; the policy's has"
            f" {size}: another policy recorded them."
        )
    alive = np.asarray(episodes.alive)
    steps = int(alive.sum())
    carries, states = (
        np.concatenate([column[alive], column[:, -1]]) for column in (recorded, episodes.state)
    )
    carries = jax.tree.map(
        lambda like, leaf: jnp.asarray(leaf, jnp.result_type(like)),
        policy.initial(),
        unflatten_carry(policy.initial(), carries),
    )
    _, actions, next_carries = _tails_at(policy, carries, jnp.asarray(states))
    _check_actions(policy, space, episodes.action[alive], actions[:steps])
    last_carry = jax.tree.map(lambda leaf: leaf[steps:], next_carries)
    last = _tails_at(policy, last_carry, jnp.asarray(episodes.next_state[:, -1]))
    next_carry = np.concatenate([recorded[:, 1:], flat_carries(last_carry, 1)[:, None]], axis=1)
    action = episodes.action.reshape(*alive.shape, -1).astype(np.float64)
    tails = np.concatenate([recorded, action, next_carry], axis=-1)  # the order of Tail
    return _tails_and_next(tails, flat_carries(last, 1))


def _check_actions(policy: Policy, space: Box | Discrete, recorded: Array, chosen: Array) -> None:
    """Require recorded actions, `[rows, …]` in `space`, to be those that the policy has chosen.

    Args:
        policy: Whose name messages give.
        space: Of the actions.
        recorded, chosen: `[rows, …]`.

    Raises:
        BadData: more of them differ than rounding explains.
    """
    differs = np.asarray(jax.vmap(partial(differ, space))(jnp.asarray(recorded), chosen))
    if differs.mean() > OTHER_ACTIONS:
        raise OtherActions(
            f"{int(differs.sum())} of the {len(differs)} recorded actions are not those of the"
            f" policy, a {type(policy).__name__}: attribution needs its own episodes.",
            int(differs.sum()),
            len(differs),
        )


def _check_in_64(
    policy: Policy, space: Box | Discrete, episodes: Trajectory, tails: np.ndarray
) -> None:
    """Require a policy to act in 64 bits as it did in 32, and to hand on the same carry. Nothing
    is required of a policy that does not act as recorded: `predict_steps` refuses it.

    Args:
        policy: A greedy policy that carries something.
        space: Of the actions.
        episodes: As recorded.
        tails: At their states, `[episode, time, tail]`.

    Raises:
        BadData: it does otherwise at more steps than rounding explains.
    """
    alive = np.asarray(episodes.alive)
    states, tails = np.asarray(episodes.state)[alive], tails[alive]
    rows = np.unique(np.linspace(0, len(states) - 1, _MOST_ROWS_IN_64).astype(int))
    carries, actions, next_carries = np.split(
        tails[rows], np.cumsum([_carry_size(policy), _width(space)]), 1
    )
    recorded = np.asarray(episodes.action)[alive][rows].reshape(actions.shape)
    other = np.asarray(jax.vmap(partial(differ, space))(jnp.asarray(recorded), actions))
    if other.reshape(len(rows), -1).any(axis=1).mean() > OTHER_ACTIONS:
        return
    with jax.enable_x64(True), callbacks.as_raised():
        policy, states = in_double((policy, states[rows]))
        carries = unflatten_carry(policy.initial(), np.asarray(carries, np.float64))
        carries = jax.tree.map(jnp.asarray, carries)
        _, chosen, handed_on = _tails_at(policy, carries, jnp.asarray(states))
        chosen = np.asarray(chosen).reshape(actions.shape)
        differs = np.asarray(jax.vmap(partial(differ, space))(jnp.asarray(actions), chosen))
    require_same_in_64(differs.reshape(len(rows)), actions, chosen)
    handed_on = flat_carries(handed_on, 1)
    near = np.maximum(_NEAR_CARRY * state_scale(next_carries), _ROUNDED_CARRY)
    # What is carried out of an episode's last step need not be in the record.
    goes_on = np.pad(alive[:, 1:], ((0, 0), (0, 1)))[alive][rows]
    same = np.isclose(handed_on, next_carries, rtol=0, atol=near, equal_nan=True)
    differs = ~same.all(axis=1) & goes_on
    require_same_in_64(differs, next_carries, handed_on, does="hands on another carry")


def _width(space: Box | Discrete) -> int:
    """Components of a recorded action."""
    return 1 if isinstance(space, Discrete) else space.size


def _tails_and_next(tails: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tails `[episode, time, tail]` at the states and at the next states, of which `last`
    `[episode, tail]` is the last.
    """
    return tails, np.concatenate([tails[:, 1:], last[:, None]], axis=1)


@eqx.filter_jit
def _tails_at(policy: Policy, carries: Any, states: Array) -> Tail:
    """The tail at each of some states, `[row, …]` in every leaf."""

    def tail(carry: Any, state: Array) -> Tail:
        return Tail(carry, *policy.act(carry, state, jax.random.key(0)))

    return jax.vmap(tail)(carries, states)


@eqx.filter_jit
def _replay(policy: Policy, episodes: Trajectory) -> tuple[Tail, Tail]:
    """The tails at each recorded step, `[episode, time, …]` in every leaf, and those at the last
    next state, `[episode, …]`.
    """

    def of_episode(states: Array, last: Array) -> tuple[Tail, Tail]:
        def step(carry: Any, state: Array) -> tuple[Any, Tail]:
            action, next_carry = policy.act(carry, state, jax.random.key(0))
            next_carry = in_kinds_of(carry, next_carry)
            return next_carry, Tail(carry, action, next_carry)

        carry, by_step = jax.lax.scan(step, policy.initial(), states)
        return by_step, step(carry, last)[1]

    states, last = jnp.asarray(episodes.state), jnp.asarray(episodes.next_state)[:, -1]
    return jax.vmap(of_episode)(states, last)


def _carry_size(policy: Policy) -> int:
    """How many numbers the policy carries.

    Raises:
        Unsupported: it carries a random key, which is no number.
    """
    leaves = jax.tree.leaves(policy.initial())
    if any(jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key) for leaf in leaves):
        raise checks.Unsupported(
            "the policy carries a random key, which an audit cannot pair with states; carry a"
            " counter and make the key of it with jax.random.fold_in."
        )
    return sum(map(np.size, leaves))


def flatten_carry(carry: Any, dtype: Any) -> Array:
    """A carry as one vector, inside a compiled program."""
    leaves = [jnp.ravel(leaf).astype(dtype) for leaf in jax.tree.leaves(carry)]
    return jnp.concatenate([jnp.zeros(0, dtype), *leaves])


def unflatten_carry(initial: Any, flat: np.ndarray | Array) -> Any:
    """Carries of the structure of `initial` from flat ones `[…, carry]`; floating leaves have the
    precision of `flat`.

    NumPy takes NumPy's apart: in 64 bits, which hold every whole number of 32, where JAX has 32.
    """
    numpy = np if isinstance(flat, np.ndarray) else jnp
    leaves, structure = jax.tree.flatten(initial)
    ends = np.cumsum([math.prod(jnp.shape(leaf)) for leaf in leaves])
    parts = numpy.split(flat, ends[:-1], axis=-1) if leaves else []
    kinds = [jnp.result_type(leaf) for leaf in leaves]
    shaped = [
        part if jnp.issubdtype(kind, jnp.floating) else numpy.round(part).astype(kind)
        for part, kind in zip(parts, kinds, strict=True)
    ]
    return jax.tree.unflatten(
        structure,
        [
            part.reshape(*flat.shape[:-1], *jnp.shape(leaf))
            for part, leaf in zip(shaped, leaves, strict=True)
        ],
    )


class Tail(NamedTuple):
    """What a pair holds after its state: the carry, and what the policy answers there. Flat tails
    `[…, tail]` hold these in this order.
    """

    carry: Any
    action: Any
    next_carry: Any


class PairParts(NamedTuple):
    """A pair's state and carry, and what the policy answers there: its action and next carry."""

    state: State
    carry: Any
    action: Any
    next_carry: Any


class PairLayout(eqx.Module):
    """A greedy policy on flat pairs `(s, c, a, c')`, which are states alone if it carries
    nothing.
    """

    policy: Policy
    state_size: int = eqx.field(static=True)

    @property
    def carries(self) -> bool:
        """Whether the policy carries anything."""
        return bool(jax.tree.leaves(self.policy.initial()))

    def join(self, state: State, carry: Any) -> Array:
        """The pair of a state and a carry; the policy is asked once."""
        if not self.carries:
            return state
        action, next_carry = self.policy.act(carry, state, jax.random.key(0))
        return jnp.concatenate([state, flatten_carry(Tail(carry, action, next_carry), state.dtype)])

    def split(self, pair: Array) -> PairParts:
        """The parts of a pair."""
        state, first = pair[: self.state_size], self.policy.initial()
        if not self.carries:
            return PairParts(state, first, *self.policy.act(first, state, jax.random.key(0)))
        answer = jax.eval_shape(self.policy.act, first, state, jax.random.key(0))
        return PairParts(state, *unflatten_carry(Tail(first, *answer), pair[self.state_size :]))


class PairPolicy(MarkovPolicy):
    """The policy, Markov in the pair."""

    policy: Policy
    layout: PairLayout

    def sample(self, state: State, key: PRNGKey) -> Action:
        parts = self.layout.split(state)
        return self.policy.act(parts.carry, parts.state, key)[0]

    def mode(self, state: State) -> Action:
        return self.layout.split(state).action


class PairDynamics(eqx.Module):
    """`(s, c, a, c'), a -> (f(s, a), c', π(c', f(s, a)))`."""

    dynamics: Callable[[State, Action, PRNGKey], State]
    layout: PairLayout

    def __call__(self, pair: State, action: Action, key: PRNGKey) -> State:
        next_state = self.next_state_alone(pair, action, key)
        return self.layout.join(next_state, self.layout.split(pair).next_carry)

    def next_state_alone(self, pair: Float[Array, " pair"], action: Action, key: PRNGKey) -> State:
        """The next state alone, which takes no answer of the policy."""
        return self.dynamics(pair[: self.layout.state_size], action, key)


class StatePart(eqx.Module):
    """A reward or an end rule of states, asked at pairs."""

    part: Callable[[State, Action, State], Scalar | Flag]
    state_size: int = eqx.field(static=True)

    def __call__(self, pair: State, action: Action, next_pair: State) -> Any:
        return self.part(pair[: self.state_size], action, next_pair[: self.state_size])


class StatePrediction(eqx.Module):
    """A predicted return of states, asked at first pairs; only that of the greedy policy."""

    function: Callable[[Policy, Array, PRNGKey], Float[Array, " episode"]]
    policy: Policy
    state_size: int = eqx.field(static=True)

    def __call__(self, policy: Policy, start: Array, key: PRNGKey) -> Float[Array, " episode"]:
        return self.function(self.policy, start[:, : self.state_size], key)


class PairInitial(eqx.Module):
    """First pairs: the first carry beside a first state."""

    initial: Callable[[PRNGKey], State]
    layout: PairLayout

    def __call__(self, key: PRNGKey) -> State:
        return self.layout.join(self.initial(key), self.layout.policy.initial())


def _unbounded(domain: Domain, carried: int) -> Domain:
    """The domain of states; any carry is inside."""
    edge = jnp.full(carried, jnp.inf)
    return Domain(jnp.concatenate([domain.low, -edge]), jnp.concatenate([domain.high, edge]))
