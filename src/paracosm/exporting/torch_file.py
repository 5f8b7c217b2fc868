"""A program as a module of PyTorch, exported so that it is loaded with PyTorch alone."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from paracosm.exporting.program import (
    CARRY,
    OBSERVATION,
    ROWS,
    Operand,
    Operation,
    Program,
    Step,
)

_SAME_NAME = (
    *("neg", "sign", "floor", "ceil", "round", "exp", "log", "tanh", "sin", "cos", "tan", "asin"),
    *("acos", "atan", "sinh", "cosh", "sqrt", "abs", "add", "sub", "mul", "div", "pow", "atan2"),
    *("eq", "ne", "lt", "le", "gt", "ge", "where", "matmul"),
)
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{kind: getattr(torch, kind) for kind in _SAME_NAME},
    **{kind: getattr(torch, f"logical_{kind}") for kind in ("and", "or", "xor", "not")},
    "is_finite": torch.isfinite,
    "rem": torch.fmod,
    "max": torch.maximum,
    "min": torch.minimum,
}


class ExportedPolicy(torch.nn.Module):
    """A program, whose constants are buffers."""

    def __init__(self, program: Program) -> None:
        """Take the program, which is not changed."""
        super().__init__()
        self._program = program
        constants = [
            value
            for operation in program.operations
            for value in operation.operands
            if not isinstance(value, int)
        ]
        constants += [value for value in program.outputs if not isinstance(value, int)]
        self._names = {id(value): f"constant_{i}" for i, value in enumerate(constants)}
        for value in constants:
            self.register_buffer(self._names[id(value)], torch.from_numpy(np.array(value)))

    def forward(self, observation: torch.Tensor, carry: torch.Tensor | None = None) -> Any:
        """The action, and the next carry where there is one."""
        values: dict[int, Any] = {OBSERVATION: observation, CARRY: carry}

        def value(operand: Operand) -> Any:
            if isinstance(operand, int):
                return values[operand]
            return getattr(self, self._names[id(operand)])

        for operation in self._program.operations:
            operands = [value(operand) for operand in operation.operands]
            values[operation.result] = _apply(operation, operands, observation.shape[0])
        outputs = tuple(value(output) for output in self._program.outputs)
        return outputs if self._program.carry_size else outputs[0]


def encode(program: Program, title: str, name: str) -> bytes:
    """A file that `torch.export.load(file).module()` reads.

    Args:
        program: What it computes.
        title: What the file says of itself, in its `title.txt`.
        name: The file's name, which does not matter here.
    """
    examples = [
        torch.zeros((2, part.size), dtype=getattr(torch, part.dtype.name))
        for part in program.inputs.values()
    ]
    rows = torch.export.Dim("rows")
    free_rows = tuple({0: rows} for _ in examples)
    exported = torch.export.export(
        ExportedPolicy(program), tuple(examples), dynamic_shapes=free_rows
    )
    file = io.BytesIO()
    torch.export.save(exported, file, extra_files={"title.txt": title})
    return file.getvalue()


def decode(file: bytes) -> Step:
    """The function that a file holds."""
    module = torch.export.load(io.BytesIO(file)).module()

    def step(observation: np.ndarray, carry: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Step`."""
        inputs = [torch.from_numpy(observation), torch.from_numpy(carry)]
        with torch.no_grad():
            answer = module(*inputs[: 1 + bool(carry.shape[1])])
        action, after = answer if carry.shape[1] else (answer, inputs[1])
        return action.numpy(), after.numpy()

    return step


def _apply(operation: Operation, operands: list[Any], rows: Any) -> Any:
    """What an operation gives.

    Args:
        operation: The operation.
        operands: The tensors that it is applied to.
        rows: The number of observations.
    """
    kind = operation.kind
    if kind in _FUNCTIONS:
        return _FUNCTIONS[kind](*operands)
    shape = [rows if length == ROWS else length for length in operation.shape]
    return _OTHERS[kind](operands, shape, getattr(torch, operation.dtype.name), **operation.options)


def _slice(operands: list[Any], shape: Any, dtype: Any, parts: Any) -> Any:
    """`slice`: see `KINDS`.

    Args:
        operands, parts: Those of the operation.
        shape, dtype: Those of the result.
    """
    return operands[0][tuple(slice(*part) for part in parts)]


def _arg_extreme(
    function: Callable[..., Any], operands: list[Any], shape: Any, dtype: Any, axis: int
) -> Any:
    """`argmax` or `argmin`.

    Args:
        function: Torch's function.
        operands, axis: Those of the operation.
        shape, dtype: Those of the result.
    """
    return function(operands[0], dim=axis).to(dtype)


def _product(operands: list[Any], shape: Any, dtype: Any, axes: tuple[int, ...]) -> Any:
    """`reduce_prod`.

    Args:
        operands, axes: Those of the operation.
        shape, dtype: Those of the result.
    """
    return functools.reduce(lambda value, axis: value.prod(axis), sorted(axes)[::-1], operands[0])


_OTHERS: Mapping[str, Callable[..., Any]] = {
    "cast": lambda operands, shape, dtype: operands[0].to(dtype),
    "reshape": lambda operands, shape, dtype: operands[0].reshape(shape),
    "expand": lambda operands, shape, dtype: operands[0].expand(shape),
    "transpose": lambda operands, shape, dtype, axes: operands[0].permute(axes),
    "concatenate": lambda operands, shape, dtype, axis: torch.cat(operands, dim=axis),
    "einsum": lambda operands, shape, dtype, equation: torch.einsum(equation, *operands),
    "take": lambda operands, shape, dtype, axis, indices: torch.index_select(
        operands[0], axis, torch.tensor(indices.tolist())
    ),
    "slice": _slice,
    "argmax": functools.partial(_arg_extreme, torch.argmax),
    "argmin": functools.partial(_arg_extreme, torch.argmin),
    "reduce_sum": lambda operands, shape, dtype, axes: operands[0].sum(axes, dtype=dtype),
    "reduce_max": lambda operands, shape, dtype, axes: operands[0].amax(axes),
    "reduce_min": lambda operands, shape, dtype, axes: operands[0].amin(axes),
    "reduce_prod": _product,
}
