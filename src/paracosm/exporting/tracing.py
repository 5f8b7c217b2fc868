"""From a policy to a `Program`: what JAX traces of it, in the few kinds of operations that every
format has.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jax.extend import core as jaxprs

from paracosm.core import checks
from paracosm.core.mdp import Box, Discrete
from paracosm.core.observing import Observing
from paracosm.core.policy import Policy
from paracosm.core.types import Array
from paracosm.exporting.lowering import (
    RULES,
    SAME,
    TracedOperation,
    Untranslatable,
    Writer,
    dimensions,
)
from paracosm.exporting.program import CARRY, OBSERVATION, ROWS, Operand, Operation, Program, Shape

# Programs within a program, which are written out in place, by the parameter that holds them.
_INNER = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}
_PACKED = ("float32", "int32", "bool")  # what float32 holds: whole numbers up to 2^24


def program_of(policy: Policy, space: Box | Discrete, shape: Shape) -> Program:
    """What the policy's deterministic play computes, for any number of observations at once.

    Discrete actions come as the environment numbers them, from the `start` of `space`.

    Args:
        policy: What acts on observations; one of beliefs is put behind its encoder by `Observing`.
        space: The actions that there are.
        shape: The shape of an observation.

    Raises:
        Unsupported: the policy or its encoder computes something that no format has a word for; the
            sentence says which of the two, and what.
    """
    try:
        return _program(policy, space, shape)
    except Untranslatable as error:
        raise checks.Unsupported(
            f"the {_describe_untranslatable_part(policy, space)} cannot be exported: {error}."
        ) from None


def _describe_untranslatable_part(policy: Policy, space: Box | Discrete) -> str:
    """The part of a policy that cannot be translated, in words: its encoder or what acts."""
    if isinstance(policy, Observing):
        belief = policy.initial()[0]
        try:
            _program(policy.policy, space, belief.shape)
        except Untranslatable:
            return _describe_untranslatable_part(policy.policy, space)
        return f"encoder {type(policy.encoder).__name__}"
    inner = getattr(policy, "policy", None)
    return f"policy {type(policy if inner is None else inner).__name__}"


def _program(policy: Policy, space: Box | Discrete, shape: Shape) -> Program:
    """As `program_of`.

    Raises:
        Untranslatable: the policy computes something that no format has a word for.
    """
    flat, size = FlatPolicy(policy.greedy()), math.prod(shape)
    kind = np.dtype(getattr(policy, "kind", "float32"))
    (rows,) = export.symbolic_shape("rows")
    inputs = [jax.ShapeDtypeStruct((rows, size), kind)]
    if flat.size:
        inputs.append(jax.ShapeDtypeStruct((rows, flat.size), np.float32))
    traced = jax.make_jaxpr(jax.vmap(flat))(*inputs)
    writer = Writer({OBSERVATION: ((ROWS, size), kind), CARRY: ((ROWS, flat.size), np.float32)})
    values = _write_jaxpr(writer, traced.jaxpr, traced.consts, (OBSERVATION, CARRY)[: len(inputs)])
    outputs = (_environment_actions(writer, values[0], space), *values[1:])
    operations = _drop_unused(writer.operations, outputs)
    discrete = isinstance(space, Discrete)
    return Program(
        operations=operations,
        outputs=outputs,
        observation_shape=shape,
        observation_type=kind,
        carry_size=flat.size,
        action_shape=_action_shape(space),
        action_type=np.dtype(np.int64 if discrete else np.float32),
    )


def _action_shape(space: Box | Discrete) -> Shape:
    """The shape of one action as the environment takes it."""
    if not isinstance(space, Discrete):
        return (space.size,)
    return (len(space.counts),) if space.counts else ()


class FlatPolicy:
    """A policy as a function of one observation, and of one vector of what it carries, if anything.

    A vector of zeros stands for the initial carry: where that is not of zeros, a last component
    says whether the episode began.
    """

    def __init__(self, policy: Policy) -> None:
        """Take a policy whose `act` ignores its key.

        Raises:
            Untranslatable: it carries numbers of a type that a vector of float32 does not hold.
        """
        self._policy = policy
        leaves, self._tree = jax.tree.flatten(policy.initial())
        self._initial = [jnp.asarray(leaf) for leaf in leaves]
        for leaf in self._initial:
            if str(leaf.dtype) not in _PACKED:
                raise Untranslatable(
                    f"it carries {leaf.dtype} numbers; {', '.join(_PACKED)} can be carried"
                )
        self._has_start_flag = any(bool(jnp.any(leaf != 0)) for leaf in self._initial)

    @property
    def size(self) -> int:
        """Components of the carry."""
        return sum(leaf.size for leaf in self._initial) + self._has_start_flag

    def __call__(self, observation: Array, *carry: Array) -> tuple[Array, ...]:
        leaves = self._unpack(*carry) if carry else self._initial
        before = jax.tree.unflatten(self._tree, leaves)
        action, after = self._policy.act(before, observation, jax.random.key(0))
        return (action, self._pack(jax.tree.leaves(after))) if carry else (action,)

    def _unpack(self, carry: Array) -> list[Array]:
        leaves, first = [], 0
        for leaf in self._initial:
            part = carry[first : first + leaf.size].reshape(leaf.shape)
            carried = part > 0.5 if leaf.dtype == bool else part.astype(leaf.dtype)
            leaves.append(
                jnp.where(carry[-1] > 0.5, carried, leaf) if self._has_start_flag else carried
            )
            first += leaf.size
        return leaves

    def _pack(self, leaves: list[Array]) -> Array:
        parts = [jnp.asarray(leaf, jnp.float32).reshape(-1) for leaf in leaves]
        return jnp.concatenate([*parts, *[jnp.ones(1)] * self._has_start_flag])


def _environment_actions(writer: Writer, action: Operand, space: Box | Discrete) -> Operand:
    """The action as the environment takes it, written down."""
    if not isinstance(space, Discrete):
        return action
    number = writer.write("cast", [action], (ROWS,), np.int64)
    if space.counts:
        return _choices(writer, number, space)
    if not space.start:
        return number
    return writer.write("add", [number, np.int64(space.start)], (ROWS,), np.int64)


def _choices(writer: Writer, number: Operand, space: Discrete) -> Operand:
    """The choices `[row, choice]` that a number stands for, of which the last varies fastest."""
    shape, real = (ROWS, len(space.counts)), np.float64
    counts = np.array([space.counts], real)
    strides = np.array([[math.prod(space.counts[i + 1 :]) for i in range(len(space.counts))]], real)

    def quotient(value: Operand, among: Shape, by: np.ndarray) -> Operand:
        """The whole part of a quotient of whole numbers: `value + 1/2` lies far from where rounding
        matters.
        """
        halfway = writer.write("add", [value, np.asarray(0.5)], among, real)
        return writer.write("floor", [writer.write("div", [halfway, by], shape, real)], shape, real)

    single = writer.write("cast", [number], (ROWS,), real)
    digits = quotient(writer.write("reshape", [single], (ROWS, 1), real), (ROWS, 1), strides)
    beyond = writer.write("mul", [quotient(digits, shape, counts), counts], shape, real)
    rest = writer.write("sub", [digits, beyond], shape, real)
    choice = writer.write("cast", [rest], shape, np.int64)
    return writer.write("add", [choice, np.array([space.starts], np.int64)], shape, np.int64)


def _write_jaxpr(writer: Writer, jaxpr: jaxprs.Jaxpr, consts: Any, arguments: Any) -> list[Any]:
    """Write the operations of a traced function down; returns the values that it gives.

    Args:
        writer: Where they are written.
        jaxpr: The function.
        consts: Its constants.
        arguments: Its arguments, values or constants.
    """
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *arguments], strict=True))

    def value(atom: Any) -> Any:
        return np.asarray(atom.val) if isinstance(atom, jaxprs.Literal) else values[atom]

    for equation in jaxpr.eqns:
        results = _translate(writer, equation, [value(atom) for atom in equation.invars])
        values.update(zip(equation.outvars, results, strict=True))
    return [value(atom) for atom in jaxpr.outvars]


def _translate(writer: Writer, equation: Any, operands: list[Any]) -> list[Any]:
    """What one traced operation gives: it is computed where it depends on constants alone, else
    written down.
    """
    name, params = equation.primitive.name, equation.params
    if name in _INNER:
        inner = params[_INNER[name]]
        if isinstance(inner, jaxprs.ClosedJaxpr):
            return _write_jaxpr(writer, inner.jaxpr, inner.consts, operands)
        return _write_jaxpr(writer, inner, (), operands)
    shapes = [var.aval.shape for var in equation.outvars]
    if not any(isinstance(operand, int) for operand in operands) and all(
        isinstance(length, int) for shape in shapes for length in shape
    ):
        constants = equation.primitive.bind(*operands, **params)
        return list(constants) if equation.primitive.multiple_results else [constants]
    if name in SAME:
        return operands
    if name not in RULES:
        raise Untranslatable(_reason(name))
    stored = [value if isinstance(value, int) else np.asarray(value) for value in operands]
    forms = [(dimensions(var.aval.shape), var.aval.dtype) for var in equation.outvars]
    results = RULES[name](writer, TracedOperation(operands=stored, form=forms[0], params=params))
    return results if isinstance(results, list) else [results]


def _reason(name: str) -> str:
    """Why JAX's operation of this name cannot be translated."""
    if "callback" in name:
        return "it asks a function of Python, which a file does not hold"
    if name in ("while", "scan", "cond"):
        return f"it computes in a loop or by cases (JAX's {name}), which files have no word for"
    return f"it computes JAX's {name}, which files have no word for"


def _drop_unused(
    operations: list[Operation], outputs: tuple[Operand, ...]
) -> tuple[Operation, ...]:
    """The operations that the outputs depend on."""
    needed = {value for value in outputs if isinstance(value, int)}
    used = []
    for operation in reversed(operations):
        if operation.result in needed:
            used.append(operation)
            needed |= {value for value in operation.operands if isinstance(value, int)}
    return tuple(reversed(used))
