"""Short branches of imagination: what a policy makes of a few steps.

Every step is played in one member of each part of the world, drawn anew, so that nothing pays which
only one guess allows.
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
from paracosm.core.members import disagreement, drawn, end_probability
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
    """The smaller of two networks' values of a state, in the world's rewards."""

    networks: tuple[ValueNetwork, ValueNetwork]
    scale: Scalar | float

    def __call__(self, state: Float[Array, " state"], progress: Array | None = None) -> Scalar:
        """Expected discounted return at `state`; a branch is a window, which has no progress."""
        first, second = (network(state) for network in self.networks)
        return self.scale * jnp.minimum(first, second)


class Played(NamedTuple):
    """A step of every branch: next state, reward in sizes of one, the chance that no end comes, the
    policy's entropy, the value of the next state, and what a discrete policy climbs (0 of a
    continuous one), `[branch]` each and `after` `[branch, state]`.
    """

    after: Array
    reward: Array
    goes_on: Array
    entropy: Array
    later: Array
    climbed: Array


class Branches(NamedTuple):
    """Branches of imagination, with a leading axis of time: the states, the steps from there, and
    the chance to get so far without an end, `[time, branch]`.
    """

    state: Array
    played: Played
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
    """Branches of the policy, a differentiable function of its parameters; to be called under
    `spread`.

    Args:
        policy: Who plays.
        value: Completes each step, in sizes of a reward.
        problem: In what world.
        start: From which states.
        for_world: Draws the members of each step, the same for all branches.
        keys: All other randomness, `[branch]`.
        steps: Of a branch.
    """
    novelty = _novelty(problem, jax.random.fold_in(for_world, steps), len(start))
    low, high = value_bounds(problem)

    def complete(states: Array) -> Array:
        return jnp.clip(jax.vmap(value)(states), low, high)

    def step(states: Array, drawn_by: tuple[PRNGKey, Keys]) -> tuple[Array, tuple[Array, Played]]:
        of_world, of_branches = drawn_by
        worth = _Worth(drawn(problem.training_world, of_world), problem, novelty, complete)
        if isinstance(policy, Categorical):
            played = _choose(policy, worth, states, of_branches)
        else:
            played = _move(policy, worth, states, of_branches)
        return played.after, (states, played)

    worlds = jax.random.split(for_world, steps)
    by_time = jax.vmap(lambda key: jax.random.split(key, steps), out_axes=1)(keys)
    states, played = jax.lax.scan(step, start, (worlds, by_time))[1]
    goes_on = jax.lax.stop_gradient(played.goes_on)
    reached = jnp.concatenate([jnp.ones_like(goes_on[:1]), jnp.cumprod(goes_on, 0)[:-1]])
    return Branches(states, played, jnp.where(reached < _LEAST_WEIGHT, 0, reached))


def branch_returns(played: Played, discount: float, lambda_: float) -> Float[Array, "time branch"]:
    """`G_t = r_t + γ (1-p_t) ((1-λ) v_{t+1} + λ G_{t+1})`, with `G_h = v_h`.

    Args:
        played: Rewards, values and chances of going on, `[time, branch]` each.
        discount, lambda_: γ and λ.
    """
    chance, later = discount * played.goes_on, played.later
    return lambda_returns(played.reward.T, later.T, chance.T, lambda_, later[-1]).T


class _Worth(NamedTuple):
    """What a step in a drawn world comes to."""

    world: MDP
    problem: Problem
    novelty: Callable[[Array, Array], Array]
    complete: Callable[[Array], Array]

    def __call__(self, states: Array, actions: Array, keys: Keys) -> tuple[Array, Array, Array]:
        """Next states, rewards in sizes of one, and the chances that no end comes."""
        world, rewards = self.world, self.problem.rewards
        after = jax.vmap(world.dynamics)(states, actions, keys)
        reward, price = jax.vmap(partial(priced_reward, world.reward))(states, actions, after)
        known = (jnp.clip(reward, rewards.least, rewards.most) + price) / rewards.size
        ends = jax.vmap(partial(end_probability, world.termination))(states, actions, after)
        worth = (1 - self.problem.explore) * known + self.novelty(states, actions)
        return after, worth, 1 - ends


def _move(policy: SquashedGaussian, worth: _Worth, states: Array, keys: Keys) -> Played:
    """A step of a continuous policy.

    Args:
        policy: Who acts.
        worth: What the step comes to.
        states, keys: Where, and the step's randomness, `[branch]`.
    """
    for_action, for_world = _two(keys)
    action, log_prob = jax.vmap(policy.sample_with_log_prob)(states, for_action)
    after, reward, goes_on = worth(states, action, for_world)
    later = worth.complete(after)
    return Played(after, reward, goes_on, -log_prob, later, jnp.zeros_like(reward))


def _choose(policy: Categorical, worth: _Worth, states: Array, keys: Keys) -> Played:
    """A step of a discrete policy, and the expected worth of all its choices.

    Args:
        policy, worth, states, keys: As for `_move`.
    """
    for_action, for_world = _two(keys)
    log_p = jax.nn.log_softmax(jax.vmap(policy.network)(states))
    p, choices = jnp.exp(log_p), jnp.arange(log_p.shape[1])

    def ask(choice: Array) -> tuple[Array, Array, Array]:
        return worth(states, jnp.full(len(states), choice), for_world)

    after, reward, goes_on = jax.lax.stop_gradient(jax.vmap(ask)(choices))
    later = jax.vmap(worth.complete)(after)
    discount = worth.problem.world.discount
    climbed = jnp.sum(p * (reward + discount * goes_on * later).T, axis=1)
    chosen = jax.vmap(jax.random.categorical)(for_action, log_p), jnp.arange(len(states))
    entropy = -jnp.sum(p * log_p, axis=1)
    return Played(after[chosen], reward[chosen], goes_on[chosen], entropy, later[chosen], climbed)


def _two(keys: Keys) -> tuple[Keys, Keys]:
    """Two keys of each."""
    pairs = jax.vmap(jax.random.split)(keys)
    return pairs[:, 0], pairs[:, 1]


def _novelty(problem: Problem, key: PRNGKey, number: int) -> Callable[[Array, Array], Array]:
    """The bonus `(states, actions) -> [branch]` for steps that the members do not agree on, in
    sizes of a reward: their disagreement in units of that at visited states under random actions.

    Args:
        problem: Its `explore` weighs the bonus; at 0 nothing is computed.
        key: Draws these states and actions.
        number: How many.
    """
    world, explore = problem.world, problem.explore
    apart = jax.vmap(partial(disagreement, world))
    explores = explore > 0

    def usual() -> Array:
        for_states, for_actions = (jax.random.split(k, number) for k in jax.random.split(key))
        states = problem.starts.draw(for_states, 1.0)
        return jnp.mean(
            apart(states, jax.vmap(Uniform(world.spec.action).sample)(states, for_actions))
        )

    unit = jax.lax.pmean(jax.lax.cond(explores, usual, lambda: jnp.ones(())), AXIS)

    def novelty(states: Array, actions: Array) -> Array:
        def bonus() -> Array:
            return explore * jnp.minimum(apart(states, actions) / unit, MOST_NOVELTY)

        return jax.lax.cond(explores, bonus, lambda: jnp.zeros(len(states)))

    return novelty


def _longest(problem: Problem) -> float:
    """`Σ_{t<H} γ^t`, the most unit rewards that an episode can be worth."""
    discount, horizon = problem.world.discount, problem.world.spec.horizon
    return float(np.sum(discount ** np.arange(horizon)))


def value_scale(problem: Problem) -> float:
    """What a value network's answer of 1 is worth, in sizes of a reward: a tenth of the most."""
    return 0.1 * _longest(problem)


def value_bounds(problem: Problem) -> tuple[Array, Array]:
    """What values the recorded rewards and the price of caution allow, in sizes of a reward; an
    episode that ends is worth 0 from there on.

    Without them a policy climbs where the value extrapolates, and both run away.
    """
    rewards, longest = problem.rewards, _longest(problem)
    known, explore = 1 - problem.explore, problem.explore
    price = least_price(problem.training_world.reward)
    least = known * (jnp.minimum(rewards.least, 0) + price) / rewards.size
    most = known * jnp.maximum(rewards.most, 0) / rewards.size + explore * MOST_NOVELTY
    return least * longest, most * longest
