"""Lipschitz constants as brackets: the steepest slope that was seen, and a bound that is proven.

States are in scaled units (divided by `spec.state_scale`), actions and rewards in the
environment's. The constant of a function `f` is the least L with `‖f(x) - f(y)‖ ≤ L ‖x - y‖`. A
pair is measured by `‖s‖ + ‖a‖`, so that of a function of several arguments is the largest of those
by argument.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.auditing.lipschitz import eclipse, readers
from paracosm.auditing.lipschitz.eclipse import Region
from paracosm.auditing.lipschitz.steepest import ArrayFunction, lower
from paracosm.core.layers import Layered, Unreadable
from paracosm.core.mdp import MDP, Box, Discrete
from paracosm.core.policy import MarkovPolicy
from paracosm.core.precision import in_double
from paracosm.core.records import Bracket
from paracosm.core.types import Array, PRNGKey, Scalar, State

# Beyond this width fewer steps of gradient improve a bound: each costs the cube of the width.
_WIDE = 128
# A slope that was seen may exceed a proven one by so much: more than 64 bits lose.
_ROUNDING = 1e-6
# What a part takes, in the order of a row.
_ARGUMENTS = {"dynamics": ("state", "action"), "reward": ("state", "action", "next")}
_ARGMAX = "the policy chooses by argmax, which has no Lipschitz constant"


class Loops(eqx.Module):
    """The closed loop of a world and a policy, in scaled states: `s ↦ f(s, π(s))` and `s ↦ r(s,
    π(s), f(s, π(s)))`.

    The reward asks the imagined next state: a bound on `r(s, π(s), s')` with another `s'` adds the
    constant in `s'` times the one-step error.
    """

    dynamics: Layered
    reward: Layered
    scale: Float[Array, " state"]

    def at(self, state: State, radius: Scalar) -> tuple[Scalar, Scalar]:
        """Certified constants of both over the ball of `radius`, scaled, around `state`, in the
        environment's units.

        Can be traced, mapped and scanned over.
        """
        around = eclipse.ball(state / self.scale, radius)
        return eclipse.local(self.dynamics, around), eclipse.local(self.reward, around)


def closed_dynamics(world: MDP, policy: MarkovPolicy) -> Layered:
    """`s ↦ f(s, π(s))` as a network, in 64 bits and scaled states; raises as `loops` does."""
    if isinstance(world.spec.action, Discrete):
        raise Unreadable(_ARGMAX)
    return readers.closed_loop(
        readers.scaled_dynamics(world), readers.scaled_policy(policy, world.spec)
    )


def loops(world: MDP, policy: MarkovPolicy) -> Loops:
    """The closed loop as networks, in 64 bits.

    Raises:
        Unreadable: a part holds a layer of a type that is not known.
    """
    closed = closed_dynamics(world, policy)
    dynamics, acting = readers.scaled_dynamics(world), readers.scaled_policy(policy, world.spec)
    reward = readers.closed_loop_reward(readers.scaled_reward(world), dynamics, acting)
    scale = np.asarray(world.spec.state_scale, np.float64)
    return Loops(closed, reward, scale)


def bracket(
    function: ArrayFunction,
    layered: Layered | str,
    inputs: Float[Array, "rows inputs"],
    *,
    columns: tuple[int, int] | None = None,
    bounds: tuple[Array, Array] | None = None,
    region: Region | None = None,
    expands: bool = False,
) -> Bracket:
    """The Lipschitz constant of a function between what was seen and what is proven.

    Args:
        function: `[inputs] -> [outputs]`, in 64 bits.
        layered: the same function as a network, or the clause that says why it is none.
        inputs: where to look for the lower end, inside the region.
        columns: first and end of the inputs that move while the others stay; all if not given.
        bounds: the box that the search for the lower end stays in.
        region: where the constant is to hold; everywhere if not given.
        expands: whether the closed loop that this is part of was seen to expand.
    """
    steepest = lower(function, inputs, columns, bounds)
    return between(steepest, layered, columns=columns, region=region, expands=expands)


def between(
    steepest: float,
    layered: Layered | str,
    *,
    columns: tuple[int, int] | None = None,
    region: Region | None = None,
    expands: bool = False,
) -> Bracket:
    """The Lipschitz constant of a network between the steepest slope that was seen and what is
    proven.

    Args:
        steepest: What was seen.
        layered, columns, region, expands: As for `bracket`.
    """
    if isinstance(layered, str):
        return Bracket(steepest, steepest, "estimate", f"the largest seen: {layered}")
    proven = eclipse.upper(layered, region, columns, steps=_steps(layered, expands=expands))
    if steepest > proven * (1 + _ROUNDING):
        why = "the layers as read do not account for the slope that was seen"
        return Bracket(steepest, steepest, "estimate", why)
    where = "everywhere" if region is None else "over the region"
    return Bracket(
        min(steepest, proven),
        proven,
        "certificate",
        f"semidefinite bound from the layers' slopes, {where}",
    )


def _steps(layered: Layered, *, expands: bool) -> int:
    """How many gradient steps are taken on the multipliers; each costs the cube of the width. In a
    loop that expands bounds of many steps say little, however close their constants are: a tenth of
    them suffices.
    """
    steps = 100 if max(len(bias) for bias in layered.biases) <= _WIDE else 30
    return steps // 10 if expands else steps


def brackets(
    world: MDP, policy: MarkovPolicy, states: Float[Array, "rows state"], key: PRNGKey
) -> dict[str, Bracket]:
    """Brackets of a world's and a policy's constants, each to hold everywhere.

    Args:
        world: The dynamics and reward to bound; a stochastic part is held at one draw.
        policy: Its mode acts.
        states: Visited ones, in the environment's units, where the lower ends are looked for.
        key: Of the actions that are tried beside the policy's.

    Returns:
        `dynamics`, `reward` (the largest by argument), `policy`, `closed_loop` (`s ↦ f(s, π(s))`),
        `closed_loop_reward` (see `Loops`), and by argument `dynamics_state`, `dynamics_action`,
        `reward_state`, `reward_action`, `reward_next`. With discrete actions the constants in the
        action are the largest change between two actions.
    """
    with jax.enable_x64(True):
        scale = np.asarray(world.spec.state_scale, np.float64)
        return _ScaledSystem(
            *in_double((world, policy)), scale, np.asarray(states, np.float64) / scale, key
        ).brackets()


class _ScaledSystem(eqx.Module):
    """A world and a policy in 64 bits, called in scaled states; its methods are functions that
    compile once a shape.
    """

    world: MDP
    policy: MarkovPolicy
    scale: Float[Array, " state"]
    states: Float[Array, "rows state"]
    key: PRNGKey

    def act(self, state: Array) -> Array:
        """The policy's mode."""
        return self.policy.mode(state * self.scale)

    def move(self, row: Array) -> Array:
        """The next state after `(s, a)`."""
        state, action = self.pair(row)
        return self.world.dynamics(state * self.scale, action, self.key) / self.scale

    def reward(self, row: Array) -> Scalar:
        """The reward of `(s, a, s')`."""
        (state, action), after = self.pair(row), row[self.size + self.space.size :]
        return self.world.reward(state * self.scale, action, after * self.scale)

    def closed_loop(self, state: Array) -> Array:
        """The next state under the policy."""
        return self.move(jnp.concatenate([state, self.encoded(self.act(state))]))

    def closed_loop_reward(self, state: Array) -> Scalar:
        """The reward of the policy's action and what follows."""
        pair = jnp.concatenate([state, self.encoded(self.act(state))])
        return self.reward(jnp.concatenate([pair, self.move(pair)]))

    @property
    def size(self) -> int:
        """Number of state components."""
        return self.world.spec.state_size

    @property
    def space(self) -> Box | Discrete:
        """The space of actions."""
        return self.world.spec.action

    def pair(self, row: Array) -> tuple[Array, Array]:
        """State and action at the head of a row."""
        action = row[self.size : self.size + self.space.size]
        return row[: self.size], jnp.argmax(action) if isinstance(self.space, Discrete) else action

    def encoded(self, action: Array) -> Array:
        """An action as part of a row: one-hot where actions are discrete."""
        return (
            jax.nn.one_hot(action, self.space.size) if isinstance(self.space, Discrete) else action
        )

    @eqx.filter_jit
    def rows(self) -> tuple[Array, Array]:
        """`(s, a)` and `(s, a, s')`, each state once with the policy's action and once with a
        random one.
        """
        random = _random_actions(self.space, self.key, len(self.states))
        actions = jnp.concatenate([jax.vmap(self.act)(self.states), random])
        states = jnp.concatenate([self.states] * 2)
        pairs = jnp.concatenate([states, jax.vmap(self.encoded)(actions)], axis=1)
        return pairs, jnp.concatenate([pairs, jax.vmap(self.move)(pairs)], axis=1)

    def brackets(self) -> dict[str, Bracket]:
        """All of them by name."""
        steepest = lower(self.closed_loop, self.states, bounds=self.limits("state"))
        expands = steepest > 1
        by_name = {**self.of_parts(expands), "policy": self.of_policy(expands)}
        for part in ("dynamics", "reward"):
            by_name[part] = _largest(
                [value for name, value in by_name.items() if name.startswith(f"{part}_")]
            )
        return {**by_name, **self.of_loops(steepest, expands)}

    def limits(self, *parts: str) -> tuple[np.ndarray, np.ndarray]:
        """The box that climbers stay in, for a row of these arguments."""
        far = np.full(self.size, np.inf)
        domain = self.world.domain
        state = (
            (-far, far) if domain is None else (domain.low / self.scale, domain.high / self.scale)
        )
        space, ones = self.space, np.ones(self.space.size)
        box = (space.low, space.high) if isinstance(space, Box) else (0 * ones, ones)
        chosen = [box if part == "action" else state for part in parts]
        low, high = (
            np.concatenate([np.asarray(side, np.float64) for side in sides])
            for sides in zip(*chosen, strict=True)
        )
        return low, high

    def of_parts(self, expands: bool) -> dict[str, Bracket]:
        """The brackets of dynamics and reward, by argument."""
        pairs, triples = map(np.asarray, self.rows())
        dynamics = _attempt(lambda: readers.scaled_dynamics(self.world))
        reward = _attempt(lambda: readers.scaled_reward(self.world))
        return {
            **self.by_argument("dynamics", self.move, dynamics, pairs, expands=expands),
            **self.by_argument("reward", self.reward, reward, triples, expands=expands),
        }

    def by_argument(
        self,
        part: str,
        function: ArrayFunction,
        layered: Layered | str,
        rows: np.ndarray,
        *,
        expands: bool,
    ) -> dict[str, Bracket]:
        """A bracket for each argument while the rest stay anywhere.

        Args:
            part: Begins the brackets' names.
            function, layered, expands: As in `bracket`.
            rows: Inputs, `[rows, inputs]`, where to look.
        """
        arguments = _ARGUMENTS[part]
        by_name, first, limits = {}, 0, self.limits(*arguments)
        for argument in arguments:
            end = first + (self.space.size if argument == "action" else self.size)
            if argument == "action" and isinstance(self.space, Discrete):
                by_name[f"{part}_{argument}"] = _between_actions(function, rows, (first, end))
            else:
                by_name[f"{part}_{argument}"] = bracket(
                    function, layered, rows, columns=(first, end), bounds=limits, expands=expands
                )
            first = end
        return by_name

    def of_policy(self, expands: bool) -> Bracket:
        """The bracket of the policy, infinite above for discrete actions."""
        if isinstance(self.space, Discrete):
            return Bracket(0.0, float("inf"), "estimate", _ARGMAX)
        network = _attempt(lambda: readers.scaled_policy(self.policy, self.world.spec))
        limits = self.limits("state")
        return bracket(self.act, network, self.states, bounds=limits, expands=expands)

    def of_loops(self, steepest: float, expands: bool) -> dict[str, Bracket]:
        """The brackets of the closed loops; the dynamics are certified even where the reward is not
        readable.

        Args:
            steepest: The largest slope of the dynamics that was seen.
            expands: Whether that is more than 1.
        """
        networks = _attempt(lambda: loops(self.world, self.policy))
        dynamics = _attempt(lambda: closed_dynamics(self.world, self.policy))
        return {
            "closed_loop": between(steepest, dynamics, expands=expands),
            "closed_loop_reward": bracket(
                self.closed_loop_reward,
                networks if isinstance(networks, str) else networks.reward,
                self.states,
                bounds=self.limits("state"),
                expands=expands,
            ),
        }


def _attempt(reading: Callable[[], Any]) -> Any:
    """What is read, or the clause that says why it cannot be."""
    try:
        return reading()
    except Unreadable as why:
        return str(why)


def _largest(parts: list[Bracket]) -> Bracket:
    """The constant of a function of several arguments in the sum of their norms."""
    weakest = max(parts, key=lambda part: (part.kind == "estimate", part.upper))
    return Bracket(
        max(p.lower for p in parts), max(p.upper for p in parts), weakest.kind, weakest.why
    )


def _random_actions(space: Box | Discrete, key: PRNGKey, rows: int) -> Array:
    if isinstance(space, Discrete):
        return jax.random.randint(key, (rows,), 0, space.n)
    return jax.random.uniform(key, (rows, space.size), np.float64, space.low, space.high)


def _between_actions(
    function: ArrayFunction, rows: np.ndarray, columns: tuple[int, int]
) -> Bracket:
    """The largest change seen between two actions of a finite set."""
    rows = rows[: len(rows) // 2]
    answers = []
    for action in range(columns[1] - columns[0]):
        one_hot = np.array(rows)
        one_hot[:, slice(*columns)] = np.eye(columns[1] - columns[0])[action]
        answers.append(
            np.asarray(eqx.filter_jit(eqx.filter_vmap(function))(one_hot)).reshape(len(rows), -1)
        )
    change = np.linalg.norm(np.stack(answers)[:, None] - np.stack(answers)[None], axis=-1).max(
        initial=0.0
    )
    return Bracket(
        float(change), float(change), "estimate", "the largest change seen between two actions"
    )
