"""One member of a world that is an ensemble: what a branch of imagination is played in.

A policy trained in worlds that are drawn anew all the time is good in all that the data allow; one
trained in their mean exploits what the mean has smoothed over (Chua et al. 2018; Janner et al.
2019).

Methods that a part may have:

- dynamics: `members(s, a) -> [member, state]`, each member's mean next state, not clipped;
- dynamics whose members predict noise: `moments(s, a) -> (means, standard deviations)`, `[member,
  state]` each;
- any ensemble: `member(index)`, that member as a part of its own, and `draw(key)`, one by chance;
- an end rule: `logit(s, a, s')`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from paracosm.core.mdp import MDP
from paracosm.core.records import PARTS
from paracosm.core.types import Action, Array, PRNGKey, Scalar, State

P = TypeVar("P")


def draw_members(world: MDP, key: PRNGKey) -> MDP:
    """The world of one member of each part, of equal numbers; a part that is no ensemble stays as
    it is.
    """
    return world.replace(**{name: drawn_part(getattr(world, name), key) for name in PARTS})


def drawn_part(part: Any, key: PRNGKey) -> Any:
    """One member of a part; the part itself if it is no ensemble."""
    draw = getattr(part, "draw", None)
    return part if draw is None else draw(key)


def drawn_entry(stack: P, key: PRNGKey) -> P:
    """One entry of a stack of networks `[member, …]`, as a stack of one."""
    members = jax.tree.leaves(eqx.filter(stack, eqx.is_array))[0].shape[0]
    chosen = jax.random.randint(key, (1,), 0, members)
    return jax.tree.map(lambda leaf: leaf[chosen], stack)


def entry_at(stack: P, index: Int[Array, ""] | int) -> P:
    """Entry `index` of a stack of networks `[member, …]`, as a stack of one.

    Past the last entry it begins again at the first: beside dynamics of more members, each member
    of a part has its turn.
    """
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[index % len(leaf)][None], stack)


def member_world(world: MDP, index: Int[Array, ""] | int) -> MDP:
    """The deterministic world of member `index` of each part; a part that is no ensemble stays as
    it is.
    """
    rest = {name: _member(getattr(world, name), index) for name in ("reward", "termination")}
    return world.replace(dynamics=member_dynamics(world.dynamics, index), **rest)


def member_dynamics(dynamics: Any, index: Int[Array, ""] | int) -> Any:
    """Member `index` of dynamics as dynamics of its own, its mean; `draw` adds the noise that it
    predicts. The dynamics themselves where they are no ensemble.

    An ensemble that has `member(index)` makes it; of one that only answers for all members at once
    (`members` or `moments`) all are asked and one is used.
    """
    answers = hasattr(dynamics, "moments") or hasattr(dynamics, "members")
    if hasattr(dynamics, "member") or not answers:
        return _member(dynamics, index)
    return DynamicsMember(dynamics, index)


def _member(part: Any, index: Int[Array, ""] | int) -> Any:
    alone = getattr(part, "member", None)
    return part if alone is None else alone(index)


class DynamicsMember(eqx.Module):
    """One member of dynamics that answer for all members at once; its mean next state.

    `draw` gives the member with the noise that it predicts, if it predicts any.
    """

    ensemble: Any
    index: Int[Array, ""] | int
    noisy: bool = eqx.field(static=True, default=False)

    def __call__(self, state: State, action: Action, key: PRNGKey) -> State:
        moments = getattr(self.ensemble, "moments", None)
        if moments is None:
            return self.ensemble.members(state, action)[self.index]
        mean, spread = (column[self.index] for column in moments(state, action))
        noise = jax.random.normal(key, mean.shape, jnp.float32) if self.noisy else 0.0
        return mean + spread * noise

    def draw(self, key: PRNGKey) -> DynamicsMember:
        """The same member with its noise."""
        return dataclasses.replace(self, noisy=True)


def end_probability(rule: Callable, state: State, action: Action, next_state: State) -> Scalar:
    """The chance that the step ends the episode, `1 / (1 + e^-l)` of the rule's logit `l`.

    A rule without a `logit` ends or does not, and its chance has no derivative. (A margin may be in
    any unit.)

    Args:
        rule: The termination rule.
        state, action, next_state: The step.
    """
    logit = getattr(rule, "logit", None)
    if logit is None:
        return jnp.asarray(rule(state, action, next_state), next_state.dtype)
    return jax.nn.sigmoid(logit(state, action, next_state))


def members_of(dynamics: Any) -> Callable[[State, Action], Float[Array, "member state"]] | None:
    """The members' next states as a function of one step; None of dynamics without members."""
    return getattr(dynamics, "members", None)


def disagreement(world: MDP, state: State, action: Action) -> Scalar:
    """How far the members' next states lie apart: the root mean square over components and members
    of their distance from the members' mean, in scaled states; 0 of dynamics without members.
    """
    members = members_of(world.dynamics)
    if members is None:
        return jnp.zeros(())
    apart = jnp.var(members(state, action) / world.spec.state_scale, axis=0)
    return jnp.sqrt(jnp.mean(apart) + 1e-12)  # the root has a derivative at 0 too


def disagreement_share(
    world: MDP,
    state: Float[Array, "rows state"],
    action: Array,
    change: Float[Array, " state"],
) -> Float[Array, " rows"]:
    """How far the members' next states lie apart, as a share of what a step changes: the root mean
    square over members and components, of which none counts more than a whole change; 0 of dynamics
    without members.

    Args:
        world: Whose dynamics.
        state, action: Steps, `[rows, …]`.
        change: Root mean square of a component's change in one step; one that never changes does
            not count.
    """
    members = members_of(world.dynamics)
    if members is None:
        return jnp.zeros(len(state))
    apart = jnp.var(jax.vmap(members)(state, action), axis=1)
    changes = change > 0
    share = jnp.where(changes, apart / jnp.where(changes, change, 1) ** 2, 0)
    counted = jnp.maximum(jnp.sum(changes), 1)
    return jnp.sqrt(jnp.sum(jnp.minimum(share, 1), axis=1) / counted)


def predictive_moments(dynamics: Any, state: State, action: Action) -> tuple[State, State]:
    """Mean and variance of the next state as an ensemble has them, neither clipped: the members'
    disagreement and, where they predict it, their mean noise (Lakshminarayanan et al. 2017). NaN
    of dynamics that predict no spread.
    """
    moments = getattr(dynamics, "moments", None)
    if moments is not None:
        means, spreads = moments(state, action)
        return jnp.mean(means, axis=0), jnp.var(means, axis=0) + jnp.mean(spreads**2, axis=0)
    members = members_of(dynamics)
    means = state[None] if members is None else members(state, action)
    if len(means) == 1:
        return means[0], jnp.full_like(state, jnp.nan)
    return jnp.mean(means, axis=0), jnp.var(means, axis=0)
