"""A program as a Python module that needs NumPy alone, its weights inside."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from paracosm.exporting.program import ROWS, Operand, Operation, Program, Step

_SAME_NAME = (
    *("sign", "floor", "ceil", "exp", "log", "tanh", "sin", "cos", "tan"),
    *("sinh", "cosh", "sqrt", "abs"),
)
_FUNCTIONS = {
    **{kind: f"np.{kind}" for kind in _SAME_NAME},
    **{f"a{kind}": f"np.arc{kind}" for kind in ("sin", "cos", "tan")},
    "is_finite": "np.isfinite",
    "round": "np.round",
    "neg": "-",
    "not": "~",
    "rem": "np.fmod",
    "max": "np.maximum",
    "min": "np.minimum",
    "pow": "np.power",
    "atan2": "np.arctan2",
    "where": "np.where",
    "matmul": "np.matmul",
}
_SIGNS = {
    **{"add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&", "or": "|", "xor": "^"},
    **{"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="},
}
_REDUCTIONS = {f"reduce_{kind}": f"np.{kind}" for kind in ("sum", "max", "min", "prod")}
_WIDTH = 96  # characters of a line of weights
_FEW = 8  # numbers that are written as such: a reader may want to see bounds and scales

_HEAD = '''\
"""{title}

It needs NumPy alone, and {looks}:

    import {name}

    actions, {state} = {name}.predict(observations{carried})

`predict` takes one observation {shape} or several, one after the other, and is that of a model of
Stable-Baselines3: this module is what its `evaluate_policy` takes.
"""

import base64

import numpy as np

OBSERVATION = {shape}  # shape of one observation
CARRY = {carry}  # components of the state that `predict` gives and takes; 0 if there is none


def predict(observation, state=None, episode_start=None, deterministic=True):
    """The deterministic action for observations, and the state to hand in at the next step.

    `state` is None at first; where `episode_start` is true an episode begins anew.
    """
    if not deterministic:
        raise ValueError("the file holds the deterministic policy; deterministic=True is needed")
    array = np.asarray(observation, np.{kind})
    shapes = OBSERVATION, ({size},)  # as it is, or flat
    if array.shape not in shapes and array.shape[1:] not in shapes:
        needed = f"{{OBSERVATION}}, or several, is needed"
        raise ValueError(f"observation has shape {{array.shape}}; {{needed}}")
    rows = array.reshape(-1, {size})
    if state is None:
        state = np.zeros((len(rows), CARRY), np.float32)
    if episode_start is not None:
        state = np.where(np.reshape(episode_start, (-1, 1)), np.float32(0), state)
    action, state = step(rows, state)
    return (action[0] if array.shape in shapes else action), (state if CARRY else None)


def step(observation, carry):
    """Actions [rows, …] and next carries [rows, {carry}] of observations [rows, {size}]."""
    rows = len(observation)
'''


def encode(program: Program, title: str, name: str) -> bytes:
    """The module's text.

    Args:
        program: What the module computes.
        title: A line of its docstring.
        name: The module's name.
    """
    weights: list[np.ndarray] = []
    lines = [
        f"v{operation.result} = {_expression(operation, weights)}"
        for operation in program.operations
    ]
    has_carry = bool(program.carry_size)
    outputs = [_name_of(value, weights) for value in program.outputs]
    lines.append(f"return {outputs[0]}, {outputs[1] if has_carry else 'carry'}")
    head = _HEAD.format(
        title=_docstring_line(title),
        name=name,
        looks=(
            "carries a state from step to step" if has_carry else "looks at the observation alone"
        ),
        state="state" if has_carry else "_",
        carried=", state, episode_start" if has_carry else "",
        shape=program.observation_shape,
        size=program.observation_size,
        carry=program.carry_size,
        kind=program.observation_type.name,
    )
    body = textwrap.indent("\n".join(lines), "    ")
    return f"{head}{body}\n{_weights_text(weights)}".encode()


def _docstring_line(text: str) -> str:
    """The text as one line that neither ends a docstring nor has an escape of its own: names of
    folders and environments may come from elsewhere, and the module is run.
    """
    return ascii(text)[1:-1].replace('"', "'")


def decode(module: bytes) -> Step:
    """The function that a module's text defines."""
    names: dict[str, Any] = {}
    exec(compile(module, "<exported>", "exec"), names)
    return names["step"]


def _name_of(value: Operand, weights: list[np.ndarray]) -> str:
    """What the module calls a value; a constant that is no single number is among its weights."""
    if isinstance(value, int):
        return ("observation", "carry")[value] if value < 2 else f"v{value}"
    if not value.ndim:
        return _number(value)
    weights.append(value)
    return f"W[{len(weights) - 1}]"


def _number(value: np.ndarray) -> str:
    """A single number as an expression of its type."""
    if value.dtype == bool:
        return str(bool(value))
    if value.dtype.kind != "f":
        return f"np.{value.dtype}({int(value)})"
    if not np.isfinite(value):
        return f'np.{value.dtype}("{float(value)}")'
    return f"np.{value.dtype}({float(value)!r})"


def _expression(operation: Operation, weights: list[np.ndarray]) -> str:
    """One operation as an expression of Python; constants are added to the weights."""
    operands = [_name_of(value, weights) for value in operation.operands]
    kind, options, listed = operation.kind, operation.options, ", ".join(operands)
    if kind in _SIGNS:
        return f"{operands[0]} {_SIGNS[kind]} {operands[1]}"
    if kind in ("neg", "not"):
        return f"{_FUNCTIONS[kind]}{operands[0]}"
    if kind in _FUNCTIONS:
        return f"{_FUNCTIONS[kind]}({listed})"
    if kind in _REDUCTIONS:
        dtype = f", dtype=np.{operation.dtype}" if kind in ("reduce_sum", "reduce_prod") else ""
        return f"{_REDUCTIONS[kind]}({listed}, axis={_axes(options['axes'])}{dtype})"
    if kind == "einsum":
        return f'np.einsum("{options["equation"]}", {listed})'
    return _OTHERS[kind](operands, operation)


def _axes(axes: tuple[int, ...]) -> str:
    """Axes as an argument of NumPy's."""
    return str(axes[0]) if len(axes) == 1 else str(axes)


def _shape(shape: tuple[int, ...]) -> str:
    """A shape as an expression, in which `rows` is the number of observations."""
    lengths = ["rows" if length == ROWS else str(length) for length in shape]
    return f"({', '.join(lengths)}{',' if len(lengths) == 1 else ''})"


def _slice(operands: list[str], operation: Operation) -> str:
    parts = [
        f"{start or ''}:{'' if stop is None else stop}{'' if step == 1 else f':{step}'}"
        for start, stop, step in operation.options["parts"]
    ]
    return f"{operands[0]}[{', '.join(parts)}]"


def _take(operands: list[str], operation: Operation) -> str:
    before = ":, " * operation.options["axis"]
    return f"{operands[0]}[{before}{operation.options['indices'].tolist()}]"


_OTHERS: Mapping[str, Callable[[list[str], Operation], Any]] = {
    "cast": lambda operands, operation: f"{operands[0]}.astype(np.{operation.dtype})",
    "reshape": lambda operands, operation: f"{operands[0]}.reshape{_shape(operation.shape)}",
    "expand": lambda operands, operation: (
        f"np.broadcast_to({operands[0]}, {_shape(operation.shape)})"
    ),
    "transpose": lambda operands, operation: f"{operands[0]}.transpose{operation.options['axes']}",
    "concatenate": lambda operands, operation: (
        f"np.concatenate([{', '.join(operands)}], axis={operation.options['axis']})"
    ),
    "argmax": lambda operands, operation: _arg_extreme("argmax", operands, operation),
    "argmin": lambda operands, operation: _arg_extreme("argmin", operands, operation),
    "slice": _slice,
    "take": _take,
}


def _arg_extreme(kind: str, operands: list[str], operation: Operation) -> str:
    axis = operation.options["axis"]
    return f"np.{kind}({operands[0]}, axis={axis}).astype(np.{operation.dtype})"


def _weights_text(weights: list[np.ndarray]) -> str:
    """The end of the module's text, which defines the list `W` of weights."""
    lines = [
        "",
        "",
        "def _array(dtype, shape, text):",
        '    """An array of little-endian numbers in base 64."""',
        "    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)",
        "",
        "",
        "W = [",
    ]
    for array in weights:
        if array.size <= _FEW and np.isfinite(array).all():
            lines.append(f"    np.array({array.tolist()}, np.{array.dtype}),")
            continue
        kind = array.dtype.newbyteorder("<").str
        text = base64.b64encode(array.astype(kind).tobytes()).decode("ascii")
        lines.append(f'    _array("{kind}", {array.shape}, """')
        lines += [text[at : at + _WIDTH] for at in range(0, len(text), _WIDTH)]
        lines.append('"""),')
    return "\n".join([*lines, "]", ""])
