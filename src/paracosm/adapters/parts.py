"""Foreign functions as the parts of an MDP.

A row's arguments go in side by side; a part is some of the answer's columns.
"""

from __future__ import annotations

import inspect
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from paracosm.adapters.answers import ActionReader
from paracosm.adapters.arrays import NumpyHost
from paracosm.adapters.call import as_floats, ask
from paracosm.adapters.host import Host, Slot
from paracosm.adapters.layers import layers_of_torch
from paracosm.adapters.torch import TorchHost, is_torch
from paracosm.core import callbacks, checks
from paracosm.core.encoder import Encoder
from paracosm.core.layers import Layered, Unreadable
from paracosm.core.mdp import Box, Discrete, Spec
from paracosm.core.policy import MarkovPolicy
from paracosm.core.types import Action, Array, Flag, PRNGKey, Scalar, State

KINDS = ("numpy", "torch")
NORMALS = "normals"  # the argument of a stochastic part that holds what it draws with

_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class HostPart(eqx.Module):
    """A part whose answers come from a foreign function, from column `first` on."""

    host: Host = eqx.field(static=True)
    first: int = eqx.field(static=True, default=0)

    @property
    def derivatives(self) -> str:
        """How its derivatives are found: `torch autograd` or `finite differences`."""
        return self.host.derivatives

    @property
    def precision(self) -> str:
        """The precision of answers to questions in 64 bits: `64 bits`, `32 bits` or `16 bits`."""
        return self.host.precision

    def _columns(
        self,
        state: Array,
        action: Array,
        next_state: Array | None = None,
        normals: Array | None = None,
    ) -> Array:
        """The host's answer, from the first column of the part on.

        Args:
            state, action, next_state: Those of the step; the next state where the part takes it.
            normals: The standard normals that a stochastic part draws with.

        Raises:
            BadData: one of them has another size than in the spec that the part was made for.
        """
        state = as_floats(state)
        values = {"s": state, "a": action, "s'": next_state, NORMALS: normals}
        parts = [
            jnp.atleast_1d(jnp.asarray(values[slot.name])).astype(state.dtype)
            for slot in self.host.takes
        ]
        for slot, part in zip(self.host.takes, parts, strict=True):
            if part.shape != (slot.width,):
                raise checks.BadData(
                    f"the {self.host.name} is asked at {slot.name} of shape {part.shape};"
                    f" {(slot.width,)} is needed, as in the spec that it was made for."
                )
        return ask(self.host, jnp.concatenate(parts))[self.first :]


class ForeignDynamics(HostPart):
    """Dynamics from a foreign function, which takes `noise` standard normals: none if it is
    deterministic.
    """

    noise: int = eqx.field(static=True, default=0)

    def __call__(self, state: State, action: Action, key: PRNGKey) -> State:
        normals = None
        if self.noise:  # in 32 bits, so that 64-bit audits draw the same
            normals = jax.random.normal(key, (self.noise,), jnp.float32)
        return self._columns(state, action, normals=normals)[: state.shape[0]]


class ForeignReward(HostPart):
    """A reward from a foreign function."""

    def __call__(self, state: State, action: Action, next_state: State) -> Scalar:
        return self._columns(state, action, next_state)[0]


class ForeignTermination(HostPart):
    """An end rule from a foreign function, whose answers the host brings to 0 and 1."""

    def __call__(self, state: State, action: Action, next_state: State) -> Flag:
        state, action, next_state = jax.lax.stop_gradient((state, action, next_state))
        return self._columns(state, action, next_state)[0] > 0


class ForeignPolicy(MarkovPolicy):
    """A deterministic policy from a foreign function.

    `note` is a sentence about what it may lack, which goes with its audit. `played_through` is the
    encoder that makes states of observations, if the policy acts on such states.
    """

    host: Host = eqx.field(static=True)
    discrete: bool = eqx.field(static=True)
    note: str = eqx.field(static=True, default="")
    played_through: Encoder | None = None

    @property
    def derivatives(self) -> str:
        """How its derivatives are found: `torch autograd` or `finite differences`."""
        return self.host.derivatives

    @property
    def precision(self) -> str:
        """The precision of answers to questions in 64 bits: `64 bits`, `32 bits` or `16 bits`."""
        return self.host.precision

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        """The action for observations `[*batch, state]`; what the function complains of is raised
        as itself.
        """
        with callbacks.as_raised():
            return super().__call__(observation)

    def sample(self, state: State, key: PRNGKey) -> Action:
        return self.mode(state)

    def mode(self, state: State) -> Action:
        state = jnp.asarray(state)
        if self.discrete:
            return jnp.rint(ask(self.host, jax.lax.stop_gradient(state))[0]).astype(int)
        return ask(self.host, state)

    def as_layers(self, spec: Spec) -> Layered:
        """`s ↦ a` of a torch module; see `core/layers.py`."""
        if self.discrete:
            raise Unreadable("actions are discrete")
        module = getattr(self.host, "module", None)
        if module is None:
            raise Unreadable(f"the {self.host.name} is a function, of which only answers are known")
        return layers_of_torch(module)


def low_precision_note(**parts: Any) -> str:
    """Which parts answered in fewer bits than they were asked in, in words; empty if none did.

    Args:
        **parts: Parts of an MDP and policies by name; those that are not foreign have 64 bits.
    """
    bits = {name: getattr(part, "precision", "64 bits") for name, part in parts.items()}
    return ", ".join(f"{name} in {bits}" for name, bits in bits.items() if bits != "64 bits")


def host_of(
    function: Any,
    name: str,
    takes: list[Slot],
    gives: list[Slot],
    *,
    functions: str = "numpy",
    shared: bool = False,
) -> Host:
    """The host's side of a foreign function.

    Args:
        function: A torch module, a method of one, or a plain function of batches.
        name: What messages call it, such as `dynamics`.
        takes, gives: Its arguments and results, in order.
        functions: What a plain function takes: `numpy` or `torch`.
        shared: Whether several parts ask it the same question, which is then answered once.

    Raises:
        BadArgument: it cannot be called, or not with so many arguments, or there is no such kind.
    """
    checks.one_of("functions", functions, KINDS)
    if not callable(function):
        raise checks.BadArgument(
            f"the {name} is a {type(function).__name__}; a module or a function is needed."
        )
    if isinstance(function, type):
        raise checks.BadArgument(
            f"the {name} is the class {function.__name__}; an instance or a function is needed."
        )
    kind = TorchHost if is_torch(function) or functions == "torch" else NumpyHost
    host = kind(function, name, takes, gives, shared=shared)
    _require_arguments(function, name, takes)
    return host


def _require_arguments(function: Any, name: str, takes: list[Slot]) -> None:
    """Refuse a function of another number of arguments, where its signature says how many."""
    called = getattr(function, "forward", function) if is_torch(function) else function
    try:  # what a decorator passes on is not known from what it wraps
        signature = inspect.signature(called, follow_wrapped=False)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*takes)
    except TypeError as error:
        names = ", ".join(slot.name for slot in takes)
        option = f", as {name}_of says" if name in ("reward", "termination") else ""
        raise checks.BadArgument(
            f"the {name} takes {_describe_arguments(signature)} and is called with {len(takes)}"
            f" ({names}){option}."
        ) from error


def _describe_arguments(signature: inspect.Signature) -> str:
    """How many arguments a function takes, and which: `2 arguments (s, a)`."""
    parameters = list(signature.parameters.values())
    places = [parameter for parameter in parameters if parameter.kind in _BY_PLACE]
    least = sum(parameter.default is parameter.empty for parameter in places)
    number = str(least) if least == len(places) else f"{least} to {len(places)}"
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        number = f"at least {least}"
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    named = ", ".join(stars.get(parameter.kind, "") + parameter.name for parameter in parameters)
    by_name = [
        parameter.name
        for parameter in parameters
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.default is parameter.empty
    ]
    needed = f", of which {', '.join(by_name)} must be given by name," if by_name else ""
    return f"{number} argument{'' if number == '1' else 's'} ({named}){needed}"


def require_spec(spec: Any) -> None:
    """Require what is fixed about a task."""
    checks.of_kind("spec", spec, Spec, "a Spec, which foreign.spec(recorded) gives,")


def argument_slots(of: str, spec: Spec) -> list[Slot]:
    """The slots of the arguments that `of` names, such as `s,a,s'`, in its order.

    Raises:
        BadArgument: a name is neither s, a nor s', or `of` is no text.
    """
    checks.of_kind("what a part takes", of, str, "a text such as 's,a'")
    state = Slot("s", spec.state_size, scale=np.asarray(spec.state_scale, np.float64))
    slots = {"s": state, "a": _action_slot("a", spec.action), "s'": state._replace(name="s'")}
    names = [name.strip() for name in of.split(",")]
    for name in names:
        if name not in slots:
            raise checks.BadArgument(
                f"{of!r} names the argument {name!r}; s, a and s' are the ones there are."
            )
    return [slots[name] for name in names]


class RecordedActions(Discrete):
    """Discrete actions up to the largest that was recorded; a policy may know further ones."""


def result_slot(space: Box | Discrete) -> Slot:
    """The slot of an action as a policy's result."""
    slot = _action_slot("action", space)
    if not isinstance(space, Discrete):
        return slot
    return slot._replace(
        reader=ActionReader(None if isinstance(space, RecordedActions) else space.n, space.start)
    )


def _action_slot(name: str, space: Box | Discrete) -> Slot:
    """The slot of an action; a continuous one has half the width of its box for a scale."""
    if isinstance(space, Discrete):
        return Slot(name, size=None, integer=True, start=space.start)
    half = (np.asarray(space.high, np.float64) - np.asarray(space.low, np.float64)) / 2
    return Slot(name, space.size, scale=half)
