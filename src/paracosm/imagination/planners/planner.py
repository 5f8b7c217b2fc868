"""What all planners share: plans, what they are worth in a world, and the warm start.

A planner is a policy that carries its last plan. At every step it shifts the plan by one step,
improves it in its world from the present state, and plays the first action:

    planner = MPPI(learned.world)
    episodes = evaluate(env, planner)
    search = planner.search(planner.initial(), state, key)

A plan is worth, in the world's discount γ, with the chance `p_t` that step t ends the episode and a
value V of the state after its last step, if there is one,

    Σ_{t<h} γ^t Π_{i<t} (1 - p_i) r_t  +  γ^h Π_{i<h} (1 - p_i) V(s_h)

The world is played in its mean; the noise of dynamics that have some is the same for all plans.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.mdp import MDP, Discrete
from paracosm.core.members import end_probability
from paracosm.core.policy import Policy
from paracosm.core.types import Action, Array, PRNGKey, Scalar, State

# Searches side by side on a CPU: more of them leave its caches, and take three times as long each.
_BLOCK = 16
# Of the key that `greedy` searches by, the same at every step.
_FIXED = 0


class Search(NamedTuple):
    """What a search came to.

    Attributes:
        plan: The plan that the search settled on, `[step, component]`: of continuous actions in
            half-boxes about the box's centre, of discrete ones the preferences of each, whose
            largest acts.
        value: What that plan is worth.
        values: What every plan that was tried was worth, `[iteration, plan]`.
        spread: Standard deviation of the plans that were tried, mean over steps and components,
            `[iteration]`.
    """

    plan: Float[Array, "step component"]
    value: Scalar
    values: Float[Array, "iteration plan"]
    spread: Float[Array, " iteration"]


def draw_in_32(draw: Callable, key: PRNGKey, shape: tuple[int, ...]) -> Array:
    """Random numbers that are the same whatever the precision of the plan: an audit in 64 bits must
    search among the plans that were tried for real.

    Args:
        draw: A function of `jax.random`, `(key, shape, dtype) -> numbers`.
        key: Randomness.
        shape: The shape of what is drawn.
    """
    return jnp.asarray(draw(key, shape, jnp.float32))


class Planner(Policy):
    """Searches for its actions in `world`, starting from its last plan.

    Attributes:
        world: The world that it searches in.
        value: The value of the state after a plan's last step, `(state) -> scalar` in the world's
            rewards; nothing comes after a plan if None.
        steps: Steps of a plan; a plan does not know the time, and also looks past an episode's last
            step.
        deterministic: Whether every search draws the same random numbers, so that its action is a
            function of state and carry.
    """

    searches: ClassVar[bool] = True

    world: MDP
    value: Callable[[State], Scalar] | None = None
    steps: int = eqx.field(static=True, default=15)
    deterministic: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        checks.of_kind("world", self.world, MDP, "an MDP")
        checks.count("steps", self.steps)

    @abc.abstractmethod
    def improve(
        self, plan: Float[Array, "step component"], state: State, key: PRNGKey
    ) -> tuple[Float[Array, "step component"], Array, Array]:
        """A better plan from `state`, and the `values` and `spread` of a `Search`."""

    @property
    @abc.abstractmethod
    def imagined_steps(self) -> int:
        """Steps of the world that one action takes."""

    def initial(self) -> Array:
        """The first plan of an episode: the box's centre, or no preference, at every step."""
        return jnp.zeros((self.steps, self.world.spec.action.size))

    def act(self, carry: Any, state: State, key: PRNGKey) -> tuple[Action, Any]:
        """The first action of the best plan, and the plan after it."""
        plan = _search_in_blocks(self, carry, state, key)
        return self.action(plan[0]), jnp.concatenate([plan[1:], jnp.zeros_like(plan[:1])])

    def greedy(self) -> Planner:
        """The planner whose search draws the same numbers at every step."""
        return dataclasses.replace(self, deterministic=True)

    def search(self, carry: Any, state: State, key: PRNGKey) -> Search:
        """The search from `state` that starts at the plan `carry`.

        Raises:
            BadArgument: the better plan has another shape.
        """
        key = jax.random.key(_FIXED) if self.deterministic else key
        plan, values, spread = self.improve(jnp.asarray(carry, state.dtype), state, key)
        if jnp.shape(plan) != jnp.shape(carry):
            raise checks.BadArgument(
                f"the improve of the planner {type(self).__name__} gives a plan of the shape"
                f" {jnp.shape(plan)}; that of the plan it was given, {jnp.shape(carry)}, is needed."
            )
        return Search(plan, self.worth(plan, state), values, spread)

    def action(self, component: Float[Array, " component"]) -> Action:
        """One step of a plan as an action of the world."""
        space = self.world.spec.action
        if isinstance(space, Discrete):
            return jnp.argmax(component).astype(jnp.int32)
        center, half = (space.high + space.low) / 2, (space.high - space.low) / 2
        return center + half * jnp.clip(component, -1, 1)

    def worth(self, plan: Float[Array, "step component"], state: State) -> Scalar:
        """What a plan is worth from `state`; a function with derivatives of continuous actions."""
        world = self.world

        def step(
            carry: tuple[State, Scalar], component: Array
        ) -> tuple[tuple[State, Scalar], Array]:
            state, weight = carry
            action = self.action(component)
            after = world.dynamics(state, action, jax.random.key(_FIXED))
            reward = world.reward(state, action, after)
            goes_on = 1 - end_probability(world.termination, state, action, after)
            paid = jnp.where(weight > 0, weight * reward, 0.0)  # past an end anything may come
            after = jnp.where(weight > 0, after, state)
            return (after, world.discount * weight * goes_on), paid

        (last, weight), rewards = jax.lax.scan(step, (state, jnp.ones((), state.dtype)), plan)
        later = 0.0 if self.value is None else weight * self.value(last)
        return jnp.sum(rewards) + later


def _search_in_blocks(planner: Planner, carry: Any, state: State, key: PRNGKey) -> Array:
    """The plan of a search. Searches from many starts, which `jax.vmap` would run side by side, run
    one block after the other on a CPU.

    Args:
        planner, carry, state, key: As for `Planner.search`.
    """
    arrays, rest = eqx.partition(planner, eqx.is_array)

    @jax.custom_batching.custom_vmap
    def plan(arrays: Any, *start: Any) -> Array:
        return eqx.combine(arrays, rest).search(*start).plan

    @plan.def_vmap
    def _(size: int, batched: Any, arrays: Any, *start: Any) -> tuple[Array, bool]:
        if any(jax.tree.leaves(batched[0])) or jax.default_backend() != "cpu":
            axes = jax.tree.map(lambda here: 0 if here else None, batched)
            return jax.vmap(plan.fun, axes)(arrays, *start), True
        full = jax.tree.map(
            lambda here, leaf: leaf if here else jnp.broadcast_to(leaf, (size, *leaf.shape)),
            tuple(batched[1:]),
            start,
        )
        return jax.lax.map(lambda row: plan.fun(arrays, *row), full, batch_size=_BLOCK), True

    return plan(arrays, carry, state, key)
