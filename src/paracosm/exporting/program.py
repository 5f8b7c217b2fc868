"""A policy as a list of operations on arrays, from which every format is written."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

ROWS = -1  # stands in shapes for the number of observations, which a file leaves open
OBSERVATION, CARRY = 0, 1  # the values that a program is given
OUTPUTS = ("action", "next_carry")

Shape = tuple[int, ...]
Operand = int | np.ndarray
"""The number of a value, or a constant."""
Step = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""`(observations, carries) -> (actions, next carries)`, a row each; carries may have no columns."""


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation; its result is the value `result`.

    Attributes:
        kind: `add`, `matmul`, `slice`, …: see `KINDS`.
        operands: What it is applied to.
        result: The number of its value.
        shape: Shape of the result, with `ROWS` for the number of observations.
        dtype: Type of the result's numbers.
        options: What else it needs, by name.
    """

    kind: str
    operands: tuple[Operand, ...]
    result: int
    shape: Shape
    dtype: np.dtype
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class ProgramInput(NamedTuple):
    """What a program is given: the number of its value, its components and the type of these."""

    value: int
    size: int
    dtype: np.dtype


@dataclasses.dataclass(frozen=True)
class Program:
    """`(observation) -> action`, or `(observation, carry) -> (action, next carry)`.

    Observations are `[rows, observation]`, carries float32 `[rows, carry]`; a carry of zeros starts
    an episode.

    Attributes:
        operations: In the order of their evaluation; each is used.
        outputs: The action, and the next carry where there is one.
        observation_shape: Shape of an observation as the environment shows it; programs take it
            flat.
        observation_type: Type of its numbers, `float32` or `uint8`.
        carry_size: Components of a carry, 0 where nothing is carried.
        action_shape: Shape of one action.
        action_type: Type of its numbers, `float32` or `int64`.
    """

    operations: tuple[Operation, ...]
    outputs: tuple[Operand, ...]
    observation_shape: Shape
    observation_type: np.dtype
    carry_size: int
    action_shape: Shape
    action_type: np.dtype

    @property
    def observation_size(self) -> int:
        """Components of an observation."""
        return math.prod(self.observation_shape)

    @property
    def inputs(self) -> dict[str, ProgramInput]:
        """What the program is given, by name."""
        size, kind = self.observation_size, self.observation_type
        inputs = {"observation": ProgramInput(OBSERVATION, size=size, dtype=kind)}
        if self.carry_size:
            kind = np.dtype(np.float32)
            inputs["carry"] = ProgramInput(CARRY, size=self.carry_size, dtype=kind)
        return inputs


UNARY = frozenset(
    (
        "neg",
        "sign",
        "floor",
        "ceil",
        "round",
        "exp",
        "log",
        "tanh",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "sqrt",
        "abs",
        "not",
        "is_finite",
    )
)
BINARY = frozenset(
    (
        "add",
        "sub",
        "mul",
        "div",
        "rem",
        "max",
        "min",
        "pow",
        "atan2",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "and",
        "or",
        "xor",
    )
)
REDUCTIONS = frozenset(("reduce_sum", "reduce_max", "reduce_min", "reduce_prod"))
OTHERS = frozenset(
    (
        "argmax",
        "argmin",
        "cast",
        "concatenate",
        "einsum",
        "expand",
        "matmul",
        "reshape",
        "slice",
        "take",
        "transpose",
        "where",
    )
)
KINDS = UNARY | BINARY | REDUCTIONS | OTHERS
"""Every kind of operation, with its options.

Elementwise ones broadcast axes of size 1, as NumPy does; `round` rounds halves to even, `rem` has
the sign of the dividend. `where(condition, yes, no)`; `cast` brings to the type of its result and
`reshape` and `expand` to its shape, of which `expand` repeats axes of size 1; `reduce_…` lose the
`axes`, and `argmax` and `argmin` the `axis`, of equal numbers taking the first. `concatenate` has
an `axis`, `take` an `axis` and constant `indices`, `transpose` the `axes` in their new order,
`slice` a `(start, stop, step)` for every axis with a stop of None at the end of it, `einsum` an
`equation`; `matmul` is of two matrices.
"""
