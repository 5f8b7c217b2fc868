"""Checks of a world or a policy of one's own, and small worlds whose returns are known.

What a part must be is written at `MDP` and `Policy`; here it is asked of the part itself:

    from paracosm import testing

    def test_my_world():
        testing.check_world(my_world)
        testing.check_policy(my_policy, my_world.spec)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.mdp import MDP, Box, Discrete, Spec, never
from paracosm.core.policy import (
    Deterministic,
    Policy,
    StochasticPolicy,
    Uniform,
    acts,
    initial_carries,
)
from paracosm.core.precision import in_double
from paracosm.core.rollout import rollout
from paracosm.core.types import Array, Flag, PRNGKey, Scalar, State


def check_world(world: MDP, *, episodes: int = 8, seed: int = 0) -> None:
    """Check that a world can be played, differentiated and audited; nothing is returned.

    Its parts must be traceable by JAX, answer in the shapes and types that `MDP` says, answer the
    same question with the same numbers (all chance comes from the key), answer in 64 bits where
    they are asked in 64 bits (an audit asks in 64), and stay finite under random actions.

    Args:
        world: The world.
        episodes: How many whole episodes of uniformly random actions are played.
        seed: Of those episodes.

    Raises:
        BadArgument: A part cannot be traced or answers in another shape or type.
        BadData: A part contradicts itself, or gives NaN or infinity.
    """
    checks.of_kind("world", world, MDP, "an MDP")
    checks.count("episodes", episodes)
    _check_forms(_world_forms(world, jnp.float32))
    with jax.enable_x64(True):
        _check_forms(_world_forms(in_double(world), jnp.float64))
    keys = jax.random.split(jax.random.key(checks.seed("seed", seed)), episodes)
    start = jax.vmap(world.initial)(keys)
    random = Uniform(world.spec.action)
    _check_repeats("initial", lambda: world.initial(keys[0]))
    _check_repeats("dynamics", lambda: world.dynamics(start[0], random.mode(start[0]), keys[0]))
    checks.finite("the initial states", start, "episode")
    played = rollout(world, random, start, keys, world.spec.horizon)
    columns = {"the next state": played.next_state, "the reward": played.reward}
    checks.finite_steps("random episode", columns, np.asarray(played.alive))


def check_policy(
    policy: Policy,
    spec: Spec,
    *,
    states: Float[Array, "rows state"] | None = None,
    seed: int = 0,
) -> None:
    """Check that a policy can act in worlds of this `spec`; nothing is returned.

    Its actions must have the shape and type of the action space and lie in it, the mode's and the
    sampled ones; the same key must give the same action; a policy with a density must have a finite
    one at its own samples.

    Args:
        policy: The policy.
        spec: Of the worlds in which it is to act.
        states: Where it is asked, `[rows, state]` in the environment's units; 64 normal draws of
            the state scale if None.
        seed: Of those draws and of the sampled actions.

    Raises:
        BadArgument: A method cannot be traced or answers in another shape or type.
        BadData: An action lies outside the space, hangs on more than state and key, or is not
            finite.
    """
    checks.of_kind("policy", policy, Policy, "a Policy")
    checks.of_kind("spec", spec, Spec, "a Spec")
    _check_forms(_policy_forms(policy, spec))
    draws = np.random.default_rng(checks.seed("seed", seed))
    if states is None:
        states = draws.normal(size=(64, spec.state_size)) * np.asarray(spec.state_scale)
    states = jnp.asarray(states, jnp.float32)
    keys = jax.random.split(jax.random.key(seed), len(states))
    first = initial_carries(policy, len(states))
    _check_repeats("act", lambda: policy.act(policy.initial(), states[0], keys[0])[0])
    sampled = acts(policy, first, states, keys)[0]
    _check_inside("greedy", acts(policy.greedy(), first, states, keys)[0], spec.action)
    _check_inside("act", sampled, spec.action)
    if isinstance(policy, StochasticPolicy):
        densities = jax.vmap(policy.log_prob)(states, sampled)
        checks.finite("log_prob at the policy's own samples", densities, "row")


class Question(NamedTuple):
    """One function of the user's, what it is asked with, and in which form it must answer."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[jax.ShapeDtypeStruct, ...]
    shape: tuple[int, ...]
    dtype: Any  # a type, or a family of types such as jnp.floating


def _world_forms(world: MDP, dtype: Any) -> list[Question]:
    """The four parts, asked in floats of `dtype`; a start may come in any, since it is cast."""
    state, action, key = _arguments(world.spec, dtype)
    step, size = (state, action, state), (world.spec.state_size,)
    return [
        Question("initial", world.initial, (key,), size, jnp.floating),
        Question("dynamics", world.dynamics, (state, action, key), size, dtype),
        Question("reward", world.reward, step, (), dtype),
        Question("termination", world.termination, step, (), jnp.bool_),
    ]


def _action(policy: Policy, state: State, key: PRNGKey) -> Any:
    """The first action of an episode."""
    return policy.act(policy.initial(), state, key)[0]


def _policy_forms(policy: Policy, spec: Spec) -> list[Question]:
    state, action, key = _arguments(spec, jnp.float32)
    kind = jnp.integer if isinstance(spec.action, Discrete) else jnp.floating
    questions = [
        Question("act", partial(_action, policy), (state, key), action.shape, kind),
        Question("greedy", partial(_action, policy.greedy()), (state, key), action.shape, kind),
    ]
    if isinstance(policy, StochasticPolicy):
        questions += [
            Question("log_prob", policy.log_prob, (state, action), (), jnp.floating),
            Question("entropy", policy.entropy, (state,), (), jnp.floating),
        ]
    return questions


def _arguments(spec: Spec, dtype: Any) -> tuple[jax.ShapeDtypeStruct, ...]:
    """The forms of one state, one action and one key."""
    space = spec.action
    action = ((), jnp.int32) if isinstance(space, Discrete) else ((space.size,), dtype)
    key = jax.eval_shape(lambda: jax.random.key(0))
    return (
        jax.ShapeDtypeStruct((spec.state_size,), dtype),
        jax.ShapeDtypeStruct(*action),
        jax.ShapeDtypeStruct(key.shape, key.dtype),
    )


def _check_forms(questions: list[Question]) -> None:
    for question in questions:
        answer = _traced(question)
        if answer.shape != question.shape:
            raise checks.BadArgument(
                f"{question.name} answers with the shape {answer.shape}; {question.shape} is"
                " needed."
            )
        if not jnp.issubdtype(answer.dtype, question.dtype):
            arguments = ", ".join(str(argument.dtype) for argument in question.arguments)
            raise checks.BadArgument(
                f"{question.name} answers ({arguments}) with {answer.dtype};"
                f" {question.dtype.__name__} is needed."
            )


def _traced(question: Question) -> jax.ShapeDtypeStruct:
    """The form of the answer, of which nothing is computed."""
    try:
        return eqx.filter_eval_shape(
            lambda function, *arguments: jnp.asarray(function(*arguments)),
            question.function,
            *question.arguments,
        )
    except checks.ParacosmError:
        raise
    except Exception as error:  # tracing runs the user's code
        reason = " ".join(str(error).split()).split(". ")[0].rstrip(".")
        raise checks.BadArgument(
            f"{question.name} cannot be traced by JAX: {type(error).__name__}, {reason}."
        ) from error


def _check_repeats(name: str, ask: Callable[[], Any]) -> None:
    first, second = np.asarray(ask()), np.asarray(ask())
    if not np.array_equal(first, second, equal_nan=True):
        raise checks.BadData(
            f"{name} answers the same question with {first.tolist()} and {second.tolist()}; all"
            " chance must come from the key."
        )


def _check_inside(name: str, actions: Array, space: Box | Discrete) -> None:
    """Require actions `[rows, …]` of a method to lie in the action space."""
    actions = np.asarray(actions)
    checks.finite(f"the actions of {name}", actions, "row")
    if isinstance(space, Discrete):
        low, high = 0, space.n - 1
        outside = (actions < low) | (actions > high)
    else:
        low, high, outside = space.low, space.high, space.outside(actions)
    if outside.any():
        row = int(np.argmax(outside))
        raise checks.BadData(
            f"{name} gives the action {actions[row].tolist()} at row {row} of the states; it must"
            f" lie between {np.asarray(low).tolist()} and {np.asarray(high).tolist()}."
        )


class Toy(NamedTuple):
    """A world, a policy for it, and what the policy earns there.

    `value(state, steps)` is the expected discounted return `E Σ_{t<steps} γ^t r_t` of the policy
    from `state`, a vector `[state]`, in closed form or by dynamic programming, in 64 bits.
    """

    world: MDP
    policy: Policy
    value: Callable[[np.ndarray, int], float]


class _LinearDynamics(eqx.Module):
    """Dynamics `s' = A s + B a`."""

    A: Float[Array, "state state"]
    B: Float[Array, "state action"]

    def __call__(self, state: Array, action: Array, key: PRNGKey) -> State:
        return self.A @ state + self.B @ action


class _Cost(eqx.Module):
    """Reward `-s·s - c a·a`."""

    effort: float = eqx.field(static=True)

    def __call__(self, state: Array, action: Array, next_state: Array) -> Scalar:
        return -state @ state - self.effort * action @ action


class _Feedback(eqx.Module):
    """The action `-K s`."""

    K: Float[Array, "action state"]

    def __call__(self, state: Array) -> Float[Array, " action"]:
        return -self.K @ state


class _Circle(eqx.Module):
    """Starts uniform on the unit circle."""

    def __call__(self, key: PRNGKey) -> State:
        direction = jax.random.normal(key, (2,))
        return direction / jnp.linalg.norm(direction)


def linear_quadratic(discount: float = 0.9, horizon: int = 20) -> Toy:
    """A turning, decaying system of two states and one action under linear feedback, without chance
    or end.

    With `M = A - BK` and the cost matrix `Q = I + c KᵀK`, the return of n steps is `-sᵀ P_n s`,
    `P_0 = 0` and `P_n = Q + γ Mᵀ P_{n-1} M`. The box of actions is wider than the policy goes from
    its starts, which have unit norm.
    """
    A = np.array([[0.9, -0.3], [0.3, 0.9]])
    B, K, effort = np.array([[0.0], [0.5]]), np.array([[0.2, 0.6]]), 0.1
    spec = Spec(2, Box(-3 * jnp.ones(1), 3 * jnp.ones(1)), jnp.ones(2), horizon)
    as_32 = tuple(jnp.asarray(matrix, jnp.float32) for matrix in (A, B, K))
    world = MDP(spec, _LinearDynamics(*as_32[:2]), _Cost(effort), never, _Circle(), discount)

    def value(state: np.ndarray, steps: int) -> float:
        loop, cost, P = A - B @ K, np.eye(2) + effort * K.T @ K, np.zeros((2, 2))
        for _ in range(steps):
            P = cost + discount * loop.T @ P @ loop
        return float(-state @ P @ state)

    return Toy(world, Deterministic(_Feedback(as_32[2])), value)


class _Hop(eqx.Module):
    """Dynamics on one-hot states: the next is drawn from `table[action, state]`."""

    table: Float[Array, "action state after"]

    def __call__(self, state: Array, action: Array, key: PRNGKey) -> State:
        chances = state @ self.table[action]
        drawn = jax.random.categorical(key, jnp.log(chances))
        return jax.nn.one_hot(drawn, len(chances), dtype=chances.dtype)


class _StateWorth(eqx.Module):
    """Reward: what the state that is reached is worth, `[state]`."""

    worth: Float[Array, " state"]

    def __call__(self, state: Array, action: Array, next_state: Array) -> Scalar:
        return self.worth @ next_state


class _Last(eqx.Module):
    """The end rule: the last state is reached."""

    def __call__(self, state: Array, action: Array, next_state: Array) -> Flag:
        return next_state[-1] > 0.5


class _First(eqx.Module):
    """Every episode starts in the first state."""

    size: int = eqx.field(static=True)

    def __call__(self, key: PRNGKey) -> State:
        return jnp.eye(self.size)[0]


def chain(discount: float = 0.9, horizon: int = 12) -> Toy:
    """A chain of four one-hot states, which two actions climb with chance 0.5 and 0.8, else fall;
    it ends at the last.

    The policy is uniform; with `p(i, j)` the mean of both actions' tables and worths w, the return
    is `V_n(i) = Σ_j p(i, j) (w_j + γ V_{n-1}(j))`, `V_0 = 0`, and `V = 0` after the last state.
    """
    size, climb = 4, (0.5, 0.8)
    table = np.zeros((2, size, size))
    for action, chance in enumerate(climb):
        for i in range(size):
            table[action, i, min(i + 1, size - 1)] += chance
            table[action, i, max(i - 1, 0)] += 1 - chance
    worth = np.array([-1.0, 0.0, 0.5, 2.0])
    spec = Spec(size, Discrete(2), jnp.ones(size), horizon)
    parts = (_Hop(jnp.asarray(table, jnp.float32)), _StateWorth(jnp.asarray(worth, jnp.float32)))
    world = MDP(spec, *parts, _Last(), _First(size), discount)

    def value(state: np.ndarray, steps: int) -> float:
        going, values = np.arange(size) < size - 1, np.zeros(size)
        for _ in range(steps):
            values = going * (table.mean(axis=0) @ (worth + discount * values))
        return float(state @ values)

    return Toy(world, Uniform(spec.action), value)


class _Shift(eqx.Module):
    """Dynamics `s' = s + a`."""

    def __call__(self, state: Array, action: Array, key: PRNGKey) -> State:
        return state + action


class _Arrival(eqx.Module):
    """Reward: the first component of the state that is reached."""

    def __call__(self, state: Array, action: Array, next_state: Array) -> Scalar:
        return next_state[0]


class _Beyond(eqx.Module):
    """The end rule: the first component lies beyond `line`."""

    line: float = eqx.field(static=True)

    def __call__(self, state: Array, action: Array, next_state: Array) -> Flag:
        return next_state[0] > self.line


class _Between(eqx.Module):
    """Starts uniform in [0, 1)."""

    def __call__(self, key: PRNGKey) -> State:
        return jax.random.uniform(key, (1,))


class _Always(eqx.Module):
    """The same action everywhere."""

    action: Float[Array, " action"]

    def __call__(self, state: Array) -> Float[Array, " action"]:
        return self.action


def walk(discount: float = 0.9, horizon: int = 10, line: float = 3.0) -> Toy:
    """A walk on a line by half a unit a step, paid by its place, that ends beyond `line`.

    The n-th step reaches `s + n/2`, and the episode's last step is the first beyond the line:
    `V = Σ_{n=1}^{N} γ^{n-1} (s + n/2)`, N the least of `steps` and the n that is the first with
    `s + n/2 > line`.
    """
    spec = Spec(1, Box(-jnp.ones(1), jnp.ones(1)), jnp.ones(1), horizon)
    world = MDP(spec, _Shift(), _Arrival(), _Beyond(line), _Between(), discount)

    def value(state: np.ndarray, steps: int) -> float:
        place, total = float(state[0]), 0.0
        for n in range(steps):
            place += 0.5
            total += discount**n * place
            if place > line:
                break
        return total

    return Toy(world, Deterministic(_Always(jnp.full(1, 0.5))), value)
