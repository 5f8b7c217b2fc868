"""Short branches of imagination: what a policy makes of a few steps.

Every step is played in one member of each part of the world, drawn anew, so that nothing pays which
only one guess allows.

Units. Rewards and values are divided by `problem.rewards.size`, the root mean square of the
recorded rewards ("sizes of a reward"). A value network answers in units of `value_scale` of these,
so a value in the units of recorded rewards is `size × value_scale × network`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Key

from paracosm.core.devices import AXIS
from paracosm.core.learner import Problem
from paracosm.core.mdp import MDP
from paracosm.core.members import disagreement, draw_members, end_probability
from paracosm.core.policy import Categorical, SquashedGaussian, Uniform
from paracosm.core.rollout import lambda_returns
from paracosm.core.types import Array, PRNGKey, Scalar
from paracosm.imagination.caution import least_price, priced_reward
from paracosm.imagination.value_network import ValueNetwork

Keys = Key[jax.Array, " branch"]
# In usual disagreements: past this a state is new, and how new no member can tell.
MOST_NOVELTY = 5.0
# A step that is this unlikely to be reached teaches nothing.
_LEAST_WEIGHT = 0.01


class TwinValue(eqx.Module):
    """The smaller of two networks' values of a state, in sizes of a recorded reward; `scale` is
    what a network's answer of 1 is worth.
    """

    networks: tuple[ValueNetwork, ValueNetwork]
    scale: Scalar | float

    def __call__(self, state: Float[Array, " state"]) -> Scalar:
        """Expected discounted return at `state`; it does not depend on the time, since a branch is
        a window.
        """
        first, second = (network(state) for network in self.networks)
        return self.scale * jnp.minimum(first, second)


class BranchSteps(NamedTuple):
    """Steps of branches, `[time, branch]`, or a single step of each, `[branch]`.

    Attributes:
        next_state: `[…, branch, state]`.
        reward: In sizes of a reward.
        goes_on: The chance that no end comes.
        entropy: The policy's.
        next_value: The value of the next state, in sizes of a reward.
        objective: What a discrete policy climbs; 0 of a continuous one.
    """

    next_state: Array
    reward: Array
    goes_on: Array
    entropy: Array
    next_value: Array
    objective: Array


class Branches(NamedTuple):
    """Branches of imagination.

    Attributes:
        state: Where each step starts, `[time, branch, state]`.
        steps: The steps, `[time, branch]`.
        weight: The chance to get so far without an end, `[time, branch]`.
    """

    state: Array
    steps: BranchSteps
    weight: Array


def imagined_branches(
    policy: Categorical | SquashedGaussian,
    value: TwinValue,
    problem: Problem,
    start: Float[Array, "branch state"],
    for_world: PRNGKey,
    *,
    keys: Keys,
    steps: int,
) -> Branches:
    """Branches of the policy, a differentiable function of its parameters.

    Sums over devices with `psum`; call it inside `step_on_all` or `map_over_devices`.

    Args:
        policy: Who acts.
        value: The value that completes each step, in sizes of a reward.
        problem: Which world the branches are imagined in, and what its rewards can be.
        start: The states in which branches start.
        for_world: Draws the members of each step, the same for all branches.
        keys: All other randomness, `[branch]`.
        steps: Steps of a branch.
    """
    novelty = _novelty(problem, jax.random.fold_in(for_world, steps), len(start))
    low, high = value_bounds(problem)

    def values(states: Array) -> Array:
        return jnp.clip(jax.vmap(value)(states), low, high)

    def step(states: Array, keys: tuple[PRNGKey, Keys]) -> tuple[Array, tuple[Array, BranchSteps]]:
        world_key, branch_keys = keys
        member = draw_members(problem.training_world, world_key)
        drawn_world = _DrawnWorld(member=member, problem=problem, novelty=novelty, values=values)
        if isinstance(policy, Categorical):
            taken = _step_discrete(policy, drawn_world, states, branch_keys)
        else:
            taken = _step_continuous(policy, drawn_world, states, branch_keys)
        return taken.next_state, (states, taken)

    world_keys = jax.random.split(for_world, steps)
    by_time = jax.vmap(lambda key: jax.random.split(key, steps), out_axes=1)(keys)
    states, taken = jax.lax.scan(step, start, (world_keys, by_time))[1]
    goes_on = jax.lax.stop_gradient(taken.goes_on)
    chance = jnp.concatenate([jnp.ones_like(goes_on[:1]), jnp.cumprod(goes_on, 0)[:-1]])
    weight = jnp.where(chance < _LEAST_WEIGHT, 0, chance)
    return Branches(state=states, steps=taken, weight=weight)


def branch_returns(
    steps: BranchSteps, discount: float, lambda_: float
) -> Float[Array, "time branch"]:
    """`G_t = r_t + γ (1-p_t) ((1-λ) v_{t+1} + λ G_{t+1})`, with `G_h = v_h`.

    Args:
        steps: All steps of the branches, `[time, branch]`.
        discount, lambda_: γ and λ.
    """
    factor, value = discount * steps.goes_on, steps.next_value
    return lambda_returns(steps.reward.T, value.T, factor.T, lambda_, value[-1]).T


class _DrawnWorld(NamedTuple):
    """One member of each part of a world, and what a step in it is worth.

    Attributes:
        member: A world of one member of each part.
        problem: Says what rewards can be, and how much novelty counts.
        novelty: The bonus of states and actions, `[branch]`.
        values: The value of each state, `[branch]`.
    """

    member: MDP
    problem: Problem
    novelty: Callable[[Array, Array], Array]
    values: Callable[[Array], Array]

    @property
    def discount(self) -> float:
        """The discount of training."""
        return self.problem.world.discount

    def step(self, states: Array, actions: Array, keys: Keys) -> tuple[Array, Array, Array]:
        """Next states, rewards (in sizes of a reward), and the chances that the episode goes on."""
        member, rewards = self.member, self.problem.rewards
        next_states = jax.vmap(member.dynamics)(states, actions, keys)
        priced = partial(priced_reward, member.reward)
        reward, price = jax.vmap(priced)(states, actions, next_states)
        clipped = jnp.clip(reward, rewards.least, rewards.most)
        reward_in_units = (clipped + price) / rewards.size
        ends = jax.vmap(partial(end_probability, member.termination))(states, actions, next_states)
        total = (1 - self.problem.explore) * reward_in_units + self.novelty(states, actions)
        return next_states, total, 1 - ends


def _step_continuous(
    policy: SquashedGaussian, drawn_world: _DrawnWorld, states: Array, keys: Keys
) -> BranchSteps:
    """A step of a continuous policy.

    Args:
        policy: Who acts.
        drawn_world: Where the step leads, and what it is worth.
        states, keys: Where the step starts, and its randomness, `[branch]`.
    """
    action_keys, step_keys = _split_each(keys)
    action, log_prob = jax.vmap(policy.sample_with_log_prob)(states, action_keys)
    next_state, reward, goes_on = drawn_world.step(states, action, step_keys)
    return BranchSteps(
        next_state=next_state,
        reward=reward,
        goes_on=goes_on,
        entropy=-log_prob,
        next_value=drawn_world.values(next_state),
        objective=jnp.zeros_like(reward),
    )


def _step_discrete(
    policy: Categorical, drawn_world: _DrawnWorld, states: Array, keys: Keys
) -> BranchSteps:
    """A step of a discrete policy, and the expected worth of all its choices.

    Args:
        policy, drawn_world, states, keys: As for `_step_continuous`.
    """
    action_keys, step_keys = _split_each(keys)
    log_p = jax.nn.log_softmax(jax.vmap(policy.network)(states))
    p, choices = jnp.exp(log_p), jnp.arange(log_p.shape[1])

    def ask(choice: Array) -> tuple[Array, Array, Array]:
        return drawn_world.step(states, jnp.full(len(states), choice), step_keys)

    next_state, reward, goes_on = jax.lax.stop_gradient(jax.vmap(ask)(choices))
    next_value = jax.vmap(drawn_world.values)(next_state)
    returns = reward + drawn_world.discount * goes_on * next_value
    objective = jnp.sum(p * returns.T, axis=1)
    chosen = jax.vmap(jax.random.categorical)(action_keys, log_p), jnp.arange(len(states))
    return BranchSteps(
        next_state=next_state[chosen],
        reward=reward[chosen],
        goes_on=goes_on[chosen],
        entropy=-jnp.sum(p * log_p, axis=1),
        next_value=next_value[chosen],
        objective=objective,
    )


def _split_each(keys: Keys) -> tuple[Keys, Keys]:
    """Two keys made of each one."""
    pairs = jax.vmap(jax.random.split)(keys)
    return pairs[:, 0], pairs[:, 1]


def _novelty(problem: Problem, key: PRNGKey, number: int) -> Callable[[Array, Array], Array]:
    """The bonus `(states, actions) -> [branch]` for steps that the members do not agree on, in
    sizes of a reward: their disagreement in units of that at visited states under random actions.

    Each block of branches measures that unit on states of its own, and the blocks that run at the
    same time on several devices share the mean of theirs.

    Args:
        problem: Its `explore` weighs the bonus; at 0 nothing is computed.
        key: Draws these states and actions.
        number: How many states and actions to draw.
    """
    world, explore = problem.world, problem.explore
    apart = jax.vmap(partial(disagreement, world))
    explores = explore > 0

    def usual() -> Array:
        state_keys, action_keys = (jax.random.split(k, number) for k in jax.random.split(key))
        states = problem.starts.draw(state_keys, 1.0)
        actions = jax.vmap(Uniform(world.spec.action).sample)(states, action_keys)
        return jnp.mean(apart(states, actions))

    unit = jax.lax.pmean(jax.lax.cond(explores, usual, lambda: jnp.ones(())), AXIS)

    @jax.checkpoint  # or zeros of all members' layers are kept for a derivative where none is due
    def bonus(states: Array, actions: Array) -> Array:
        return explore * jnp.minimum(apart(states, actions) / unit, MOST_NOVELTY)

    def novelty(states: Array, actions: Array) -> Array:
        return jax.lax.cond(explores, bonus, lambda *_: jnp.zeros(len(states)), states, actions)

    return novelty


def _discounted_horizon(problem: Problem) -> float:
    """`Σ_{t<H} γ^t`, the most unit rewards that an episode can be worth."""
    discount, horizon = problem.world.discount, problem.world.spec.horizon
    return float(np.sum(discount ** np.arange(horizon)))


def value_scale(problem: Problem) -> float:
    """What a value network's answer of 1 is worth, in sizes of a reward: a tenth of the most."""
    return 0.1 * _discounted_horizon(problem)


def value_bounds(problem: Problem) -> tuple[Array, Array]:
    """What values the recorded rewards and the price of caution allow, in sizes of a reward; an
    episode that ends is worth 0 from there on.

    Without them a policy climbs where the value extrapolates, and both run away.
    """
    rewards, longest = problem.rewards, _discounted_horizon(problem)
    reward_share, explore = 1 - problem.explore, problem.explore
    # 0 where rewards do not count, for a price may be without bound.
    price = jnp.where(reward_share > 0, least_price(problem.training_world.reward), 0)
    least = reward_share * (jnp.minimum(rewards.least, 0) + price) / rewards.size
    most = reward_share * jnp.maximum(rewards.most, 0) / rewards.size + explore * MOST_NOVELTY
    return least * longest, most * longest
