"""The Markov decision process `(S, A, f, r, d, γ)` as a record of swappable parts.

The return of a policy over H steps is `J_H(π) = E Σ_{t<H} γ^t r(s_t, a_t, s_{t+1})` with
`a_t ~ π(s_t)` and `s_{t+1} = f(s_t, a_t)`, f a draw where the system is stochastic. Where the end
rule `d(s_t, a_t, s_{t+1})` is true the step's own reward counts, and every later one is 0.

A real JAX-native system and a learned world are the same type: `world.replace(reward=real.reward)`
is the counterfactual world whose only error is in its dynamics and end rule.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.storage import storable
from paracosm.core.types import Action, Array, Flag, PRNGKey, Scalar, State

_ROUNDING = 1e-6  # of a bound: what 32 bits, a few operations on, cannot tell from it


@storable
class Box(eqx.Module):
    """Continuous actions between finite bounds, each of shape `[action]`, in the environment's
    units.
    """

    low: Float[Array, " action"]
    high: Float[Array, " action"]

    def __check_init__(self) -> None:
        low = _vector("low", self.low, "action")
        high = _vector("high", self.high, "action", np.shape(self.low))
        if low is not None and high is not None:
            checks.finite("the lower bound of a Box of actions", low, "component")
            checks.finite("the upper bound of a Box of actions", high, "component")
            _ordered("a Box of actions", low, high)
            _require_width(low, high)

    @property
    def size(self) -> int:
        """Number of action components."""
        return self.low.shape[0]

    def encode(self, action: Float[Array, " action"]) -> Float[Array, " action"]:
        """The action as a network sees it: each component mapped from its bounds, constants, to
        [-1, 1].
        """
        low, high = jax.lax.stop_gradient((self.low, self.high))
        return (2 * action - (high + low)) / (high - low)

    def outside(self, action: Any) -> np.ndarray:
        """Which actions `[*batch, action]` lie outside the bounds by more than rounding in 32 bits,
        `[*batch]`.
        """
        low, high = np.asarray(self.low, np.float64), np.asarray(self.high, np.float64)
        slack = _ROUNDING * np.maximum(np.abs(low), np.abs(high))
        action = np.asarray(action, np.float64)
        return np.any((action < low - slack) | (action > high + slack), axis=-1)


@storable
class Discrete(eqx.Module):
    """Actions `0 … n-1`: int32 outside, one-hot inside networks.

    The environment, and models of others, number the same actions from `start`.

    An action may be several choices at once: `counts` says how many values each of them has, and
    `starts` where it counts from, in one order; the last choice varies fastest. Both are empty
    where an action is a single choice.
    """

    n: int = eqx.field(static=True)
    start: int = eqx.field(static=True, default=0)
    counts: tuple[int, ...] = eqx.field(static=True, default=())
    starts: tuple[int, ...] = eqx.field(static=True, default=())

    @property
    def size(self) -> int:
        """Number of actions."""
        return self.n

    def __check_init__(self) -> None:
        checks.count("n", self.n)
        if self.counts and math.prod(self.counts) != self.n:
            raise checks.BadArgument(
                f"counts is {self.counts}, whose product is {math.prod(self.counts)}; it must be"
                f" n, which is {self.n}."
            )
        if len(self.starts) != len(self.counts):
            raise checks.BadArgument(
                f"starts is {self.starts} and counts {self.counts}; they must be as many."
            )

    def encode(self, action: Array) -> Float[Array, " action"]:
        """The action as a network sees it: one-hot."""
        return jax.nn.one_hot(action, self.n)

    def values(self, action: Any) -> np.ndarray:
        """What the environment calls actions `[*batch]`: numbers `[*batch]` from `start`, or of
        several choices `[*batch, choice]`, each from its own start.
        """
        numbers = np.asarray(action)
        if not self.counts:
            return np.asarray(numbers + self.start)
        return np.stack(np.unravel_index(numbers, self.counts), axis=-1) + np.array(self.starts)

    def number(self, values: Any) -> np.ndarray:
        """The actions `[*batch]`, from 0, that the environment calls `values`: the inverse of
        `values`.

        Raises:
            ValueError: a choice among several is none of its values.
        """
        if not self.counts:
            return np.asarray(np.asarray(values) - self.start)
        choices = np.moveaxis(np.asarray(values) - np.array(self.starts), -1, 0)
        return np.asarray(np.ravel_multi_index(tuple(choices), self.counts))


@storable
class Spec(eqx.Module):
    """What is fixed about a task.

    `state_scale` (`[state]`, the environment's units) is the house norm: errors and Lipschitz
    constants are measured in states divided by it. `horizon` is the length of a full episode in
    steps. `components` names the components of a state, such as `goal[0]`, and is empty where they
    have no names.
    """

    state_size: int = eqx.field(static=True)
    action: Box | Discrete
    state_scale: Float[Array, " state"]
    horizon: int = eqx.field(static=True)
    components: tuple[str, ...] = eqx.field(static=True, default=())

    def __check_init__(self) -> None:
        checks.count("state_size", self.state_size)
        checks.count("horizon", self.horizon)
        checks.of_kind("action", self.action, (Box, Discrete), "a Box or a Discrete")
        if self.components and len(self.components) != self.state_size:
            raise checks.BadArgument(
                f"components names {len(self.components)} components; a state has"
                f" {self.state_size}."
            )
        scale = _vector("state_scale", self.state_scale, "state", (self.state_size,))
        if scale is not None and not (np.isfinite(scale) & (scale > 0)).all():
            raise checks.BadArgument(
                f"state_scale is {scale.tolist()}; every entry must be a positive number."
            )

    def norm(self, difference: Float[Array, "*batch state"]) -> Float[Array, "*batch"]:
        """Euclidean norm of a difference of states in scaled units."""
        return jnp.linalg.norm(difference / self.state_scale, axis=-1)


@storable
class Domain(eqx.Module):
    """The box of states, `[state]` each, on which a model may be asked: where its data lie."""

    low: Float[Array, " state"]
    high: Float[Array, " state"]

    def __check_init__(self) -> None:
        low = _vector("low", self.low, "state")
        high = _vector("high", self.high, "state", np.shape(self.low))
        if low is not None and high is not None:
            if np.isnan(low).any() or np.isnan(high).any():
                raise checks.BadArgument(
                    f"a Domain from {low.tolist()} to {high.tolist()} holds NaN; its bounds must"
                    " be numbers."
                )
            _ordered("a Domain", low, high)

    def clip(self, state: State) -> State:
        """The nearest state inside (1-Lipschitz)."""
        return jnp.clip(state, self.low, self.high)

    def at_edge(self, state: Float[Array, "*batch state"]) -> Array:
        """Whether a state lies on or outside the boundary, `[*batch]`."""
        return jnp.any((state <= self.low) | (state >= self.high), axis=-1)


_FORMS = {
    "dynamics": "of (state, action, key)",
    "reward": "of (state, action, next_state)",
    "termination": "of (state, action, next_state)",
    "initial": "of (key)",
}


@storable
class MDP(eqx.Module):
    """Dynamics, reward, termination, initial states and discount; every part can be swapped.

    Parts act on one state and one action: `dynamics(s, a, key) -> s'`, `reward(s, a, s') ->
    scalar`, `termination(s, a, s') -> bool`, `initial(key) -> s`. A terminated state is absorbing
    with reward 0; the terminal step's own reward counts. The horizon is finite, so the discount may
    be 1.
    """

    spec: Spec
    dynamics: Callable[[State, Action, PRNGKey], State]
    reward: Callable[[State, Action, State], Scalar]
    termination: Callable[[State, Action, State], Flag]
    initial: Callable[[PRNGKey], State]
    discount: float = eqx.field(static=True)
    domain: Domain | None = None

    def __check_init__(self) -> None:
        checks.of_kind("spec", self.spec, Spec, "a Spec")
        for name, form in _FORMS.items():
            checks.function(name, getattr(self, name), form)
        checks.in_unit_interval("discount", self.discount)
        if self.domain is not None:
            checks.of_kind("domain", self.domain, Domain, "a Domain, or None,")
            checks.shape("the domain's bounds", self.domain.low, (self.spec.state_size,))

    def replace(self, **parts: Any) -> MDP:
        """The same MDP with some parts swapped.

        Raises:
            BadArgument: there is no such part, or it is of another kind.
        """
        for name in parts:
            checks.one_of(
                "a part to swap", name, [field.name for field in dataclasses.fields(self)]
            )
        return dataclasses.replace(self, **parts)


@storable
def never(state: Array, action: Array, next_state: Array) -> Flag:
    """The termination rule of a task that never ends."""
    return jnp.zeros((), bool)


def not_drawn(key: PRNGKey) -> State:
    """Stands for initial states in programs that start in given ones: the number of states in data
    is a shape, by which they would be compiled anew.
    """
    raise LookupError("rollouts start in given states")


def _vector(
    name: str, value: Any, axis: str, shape: tuple[int, ...] | None = None
) -> np.ndarray | None:
    """The values of an array of real numbers of one axis, None while they are traced.

    Args:
        name: What messages call it.
        value: The array.
        axis: What messages call its axis.
        shape: The shape that it must have, any if None.

    Raises:
        BadArgument: it is no such array.
    """
    needed = f"({axis},)" if shape is None else str(shape)
    real = isinstance(value, jax.Array | np.ndarray) and (
        jnp.issubdtype(value.dtype, jnp.floating) or jnp.issubdtype(value.dtype, jnp.integer)
    )
    if (
        not real
        or value.ndim != 1
        or not len(value)
        or (shape is not None and value.shape != shape)
    ):
        raise checks.BadArgument(
            f"{name} is {checks.described(value)}; an array of numbers of shape {needed} is needed."
        )
    return None if isinstance(value, Tracer) else np.asarray(value)


def _require_width(low: np.ndarray, high: np.ndarray) -> None:
    """Require every component of a Box of actions to have a width that can be divided by.

    Raises:
        BadArgument: one has none, or one that is infinite in 32 bits.
    """
    with np.errstate(over="ignore"):
        width = high.astype(np.float32) - low.astype(np.float32)
    wrong = ~((width > 0) & np.isfinite(width))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise checks.BadArgument(
            f"component {at} of a Box of actions goes from {low[at]:g} to {high[at]:g}; a width"
            " that is more than 0 and finite in 32 bits is needed."
        )


def _ordered(what: str, low: np.ndarray, high: np.ndarray) -> None:
    if not (low <= high).all():
        raise checks.BadArgument(
            f"{what} goes from {low.tolist()} to {high.tolist()}; no lower bound may be above the"
            " upper one."
        )
