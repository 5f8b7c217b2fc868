"""What training makes of what the learned world does not know.

A caution turns the learned world into the one that a policy is trained in: `EndAtEdge` where the
data end (compare MOReL, Kidambi et al. 2020), `EndInDoubt` where the members of the dynamics do not
agree (MOReL; MACURA, Frauenknecht et al. 2024), `PayForDoubt` by a price on what they do not agree
on (MOPO, Yu et al. 2020), `NoCaution` not at all. What it costs in imagination, the return in the
world without it minus that in the world with it, is a part of the audit's horizon term; what it
brings is the real return.

Doubt is `core.members.disagreement` in units of its root mean square on recorded steps.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.learner import RecordedRewards
from paracosm.core.mdp import MDP, Domain, never
from paracosm.core.members import disagreement, drawn_part, members_of
from paracosm.core.types import Action, Array, Flag, PRNGKey, Scalar, State

# The logit of an end that is certain, and the most recorded steps that the unit is measured on.
_CERTAIN, _RECORDED = 20.0, 1024
# In units of what is usual, where the price levels off: how new a step is that is quite new, no
# member can tell.
_MOST_DOUBT = 20.0

Stops = Callable[[State, Action, State], Flag]


class Caution(eqx.Module):
    """Makes of a learned world the one that a policy is trained in."""

    @abc.abstractmethod
    def __call__(self, world: MDP, data: Dataset, rewards: RecordedRewards) -> MDP:
        """The world of training, of the same task and discount.

        A learner that clips rewards to what was recorded clips one that the caution changed from
        above alone, and bounds no value from below by it. Of a `Priced` reward it clips what the
        price is put on, and bounds values by the least that the price can be.

        Args:
            world: The learned world.
            data: What it was learned from.
            rewards: What was recorded of rewards.
        """


class NoCaution(Caution):
    """The policy is trained in the learned world as it is."""

    def __call__(self, world: MDP, data: Dataset, rewards: RecordedRewards) -> MDP:
        """See `Caution`."""
        return world


class EndAtEdge(Caution):
    """A rollout that leaves the domain of the data ends there as if it earned the worst recorded
    reward for ever.

    The step that leaves pays `γ min(worst, 0) min(1/(1-γ), H)` besides its own reward, so no
    rollout that leaves is worth more than if it had gone on under the worst reward. `worst` counts
    only if negative: ending is worth 0. A world without a domain stays as it is.
    """

    def __call__(self, world: MDP, data: Dataset, rewards: RecordedRewards) -> MDP:
        """See `Caution`."""
        return world if world.domain is None else _ending(world, _AtEdge(world.domain), rewards)


class EndInDoubt(Caution):
    """A rollout ends, and pays, as `EndAtEdge` says, where the members' doubt is above `times` the
    usual one.
    """

    times: float = 5.0

    def __check_init__(self) -> None:
        checks.POSITIVE_32.check("times", self.times)

    def __call__(self, world: MDP, data: Dataset, rewards: RecordedRewards) -> MDP:
        """See `Caution`."""
        return _ending(world, _InDoubt(_Doubt.of(world, data), self.times), rewards)


class PayForDoubt(Caution):
    """Every step costs `weight` sizes of a recorded reward times the members' doubt of it."""

    weight: float = 0.1

    def __check_init__(self) -> None:
        checks.NON_NEGATIVE_32.check("weight", self.weight)

    def __call__(self, world: MDP, data: Dataset, rewards: RecordedRewards) -> MDP:
        """See `Caution`."""
        unit = jnp.asarray(self.weight * rewards.size)
        price = _PriceOfDoubt(_Doubt.of(world, data), unit)
        return world.replace(reward=Priced(world.reward, price, -unit * _MOST_DOUBT))


class Priced(eqx.Module):
    """A reward with a price on top; of a step that does not end it is at least `least`."""

    reward: Callable[[State, Action, State], Scalar]
    price: Callable[[State, Action, State], Scalar]
    least: Scalar

    def __call__(self, state: State, action: Action, next_state: State) -> Scalar:
        step = (state, action, next_state)
        return self.reward(*step) + self.price(*step)

    def draw(self, key: PRNGKey) -> Priced:
        """The price on one member's reward."""
        return Priced(drawn_part(self.reward, key), self.price, self.least)


class OwnReward(eqx.Module):
    """A reward that a caution of one's own put in place of the learned one: where it is less than
    the least recorded one, the rest is a price.
    """

    reward: Callable[[State, Action, State], Scalar]
    least: Scalar

    def __call__(self, state: State, action: Action, next_state: State) -> Scalar:
        return self.reward(state, action, next_state)

    def draw(self, key: PRNGKey) -> OwnReward:
        """The same of one member's reward."""
        return OwnReward(drawn_part(self.reward, key), self.least)


def priced_reward(
    rule: Callable[[State, Action, State], Scalar], state: State, action: Action, next_state: State
) -> tuple[Scalar, Scalar]:
    """The reward of a step and all prices on top of it, 0 of a reward without one.

    Args:
        rule: The reward.
        state, action, next_state: The step.
    """
    step = (state, action, next_state)
    if isinstance(rule, Priced):
        reward, price = priced_reward(rule.reward, *step)
        return reward, price + rule.price(*step)
    reward = rule(*step)
    if isinstance(rule, OwnReward):
        return reward, jnp.minimum(reward - rule.least, 0)
    return reward, jnp.zeros_like(reward)


def least_price(rule: Callable[[State, Action, State], Scalar]) -> Scalar:
    """The least that all prices on a reward come to in a step that does not end."""
    if isinstance(rule, Priced):
        return rule.least + least_price(rule.reward)
    return jnp.asarray(-jnp.inf if isinstance(rule, OwnReward) else 0.0)


def with_own_reward_marked(
    world: MDP, learned: Callable[[State, Action, State], Scalar], least: Scalar
) -> MDP:
    """The world, whose reward is marked as `OwnReward` unless it is `learned` with prices on top.

    Args:
        world: The world of training.
        learned: The reward of the learned world.
        least: The least recorded reward.
    """
    innermost = world.reward
    while innermost is not learned and isinstance(innermost, Priced):
        innermost = innermost.reward
    if innermost is learned or eqx.tree_equal(innermost, learned):
        return world
    return world.replace(reward=OwnReward(world.reward, least))


class _EndWhere(eqx.Module):
    """A termination rule that also ends an episode where `stops` says."""

    rule: Stops
    stops: Stops

    def __call__(self, state: State, action: Action, next_state: State) -> Flag:
        step = (state, action, next_state)
        return self.rule(*step) | self.stops(*step)

    @property
    def logit(self) -> Callable[[State, Action, State], Scalar] | None:
        """The rule's own logit, above all others where `stops` says; None if the rule has none."""
        own = getattr(self.rule, "logit", None)
        if own is None:
            return None

        def logit(state: State, action: Action, next_state: State) -> Scalar:
            step = (state, action, next_state)
            return jnp.where(self.stops(*step), _CERTAIN, own(*step))

        return logit

    def draw(self, key: PRNGKey) -> _EndWhere:
        """The same ends beside one member's rule."""
        return _EndWhere(drawn_part(self.rule, key), self.stops)


class _AtEdge(eqx.Module):
    """Whether a step leaves the domain."""

    domain: Domain

    def __call__(self, state: State, action: Action, next_state: State) -> Flag:
        return self.domain.at_edge(next_state)


class _Doubt(eqx.Module):
    """How far the members of a world disagree on a step, in units of what is usual."""

    world: MDP
    usual: Scalar

    @classmethod
    def of(cls, world: MDP, data: Dataset) -> _Doubt:
        """The doubt of a world, whose unit is the root mean square on recorded steps; of many steps
        an evenly spread share is taken.

        Raises:
            BadArgument: the dynamics have fewer than two members.
        """
        steps = data.transitions
        rows = np.linspace(0, len(steps) - 1, _RECORDED).round().astype(int)
        state, action = (np.asarray(column)[rows] for column in (steps.state, steps.action))
        members = members_of(world.dynamics)
        count = 0 if members is None else len(jax.eval_shape(members, state[0], action[0]))
        if count < 2:
            kind = type(world.dynamics).__name__
            members = "1 member" if count else "no members"
            raise checks.BadArgument(
                f"the dynamics are a {kind} of {members}; doubt is how far the members of an"
                " ensemble lie apart: two are needed."
            )
        dynamics_alone = world.replace(reward=never, termination=never)
        usual = _usual_disagreement(dynamics_alone, state, action)
        return cls(world=dynamics_alone, usual=usual)

    def __call__(self, state: State, action: Action) -> Scalar:
        return disagreement(self.world, state, action) / self.usual


class _InDoubt(eqx.Module):
    """Whether the doubt of a step is above `times` the usual one."""

    doubt: _Doubt
    times: float

    def __call__(self, state: State, action: Action, next_state: State) -> Flag:
        return self.doubt(state, action) > self.times


class _PriceOfDoubt(eqx.Module):
    """A price in proportion to the doubt of a step, which levels off where the doubt is large."""

    doubt: _Doubt
    unit: Scalar

    def __call__(self, state: State, action: Action, next_state: State) -> Scalar:
        doubt = self.doubt(state, action)
        return -self.unit * doubt / (1 + doubt / _MOST_DOUBT)


class _WorstForEver(eqx.Module):
    """The price of a step after which `stops` ends the episode: `worst`, else 0."""

    stops: Stops
    worst: Scalar

    def __call__(self, state: State, action: Action, next_state: State) -> Scalar:
        return jnp.where(self.stops(state, action, next_state), self.worst, 0.0)


@eqx.filter_jit
def _usual_disagreement(world: MDP, state: Array, action: Array) -> Scalar:
    return jnp.sqrt(jnp.mean(jax.vmap(partial(disagreement, world))(state, action) ** 2))


def _ending(world: MDP, stops: Stops, rewards: RecordedRewards) -> MDP:
    """The world with an end, and the worst reward for ever after it, where `stops` says.

    Args:
        world: The learned world.
        stops: The steps after which it ends.
        rewards: Their least is the worst reward.
    """
    lasting = 1 / (1 - world.discount) if world.discount < 1 else float("inf")
    for_ever = world.discount * min(lasting, world.spec.horizon)
    worst = for_ever * jnp.minimum(jnp.asarray(rewards.least), 0.0)
    reward = Priced(world.reward, _WorstForEver(stops, worst), jnp.zeros(()))
    return world.replace(reward=reward, termination=_EndWhere(world.termination, stops))
