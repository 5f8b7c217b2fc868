"""A program as an ONNX model, for onnxruntime and whatever else reads ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from paracosm.exporting.program import OUTPUTS, ROWS, Operand, Operation, Program, Shape, Step

_OPSET = 18  # reductions take their axes as an input since then; of 2022, which all runtimes have
_IR = 9  # of the same time as the opset: newer ones are refused by runtimes of that time
_NODES = {
    **{"neg": "Neg", "sign": "Sign", "floor": "Floor", "ceil": "Ceil", "exp": "Exp", "log": "Log"},
    **{"tanh": "Tanh", "sin": "Sin", "cos": "Cos", "tan": "Tan", "asin": "Asin", "acos": "Acos"},
    **{"atan": "Atan", "sinh": "Sinh", "cosh": "Cosh", "sqrt": "Sqrt", "abs": "Abs", "not": "Not"},
    **{"round": "Round", "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow"},
    **{"max": "Max", "min": "Min", "eq": "Equal", "lt": "Less", "le": "LessOrEqual"},
    **{"gt": "Greater", "ge": "GreaterOrEqual", "and": "And", "or": "Or", "xor": "Xor"},
    **{"matmul": "MatMul"},
}
_REDUCTIONS = {
    **{"reduce_sum": "ReduceSum", "reduce_max": "ReduceMax"},
    **{"reduce_min": "ReduceMin", "reduce_prod": "ReduceProd"},
}


def encode(program: Program, title: str, name: str) -> bytes:
    """The model; its inputs are `observation` and, where one is carried, `carry`, its outputs
    `action` and `next_carry`.

    Args:
        program: What it computes.
        title: What the file says of itself.
        name: The file's name, which does not matter here.
    """
    model = helper.make_model(
        _Graph(program).build(),
        producer_name="paracosm",
        doc_string=title,
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR,
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def decode(file: bytes) -> Step:
    """The function that a file holds, run by onnxruntime."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_inputs()]

    def step(observation: np.ndarray, carry: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Step`."""
        values = {"observation": observation, "carry": carry}
        answer: Any = session.run(None, {name: values[name] for name in names})
        action, *after = answer
        return action, after[0] if after else carry

    return step


class _Graph:
    """The graph of a program, a node at a time."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._names = {part.value: name for name, part in program.inputs.items()}

    def build(self) -> Any:
        """The whole graph."""
        for operation in self._program.operations:
            self._names[operation.result] = self._write(operation)
        for output, name in zip(self._program.outputs, OUTPUTS, strict=False):
            self._nodes.append(helper.make_node("Identity", [self.name_of(output)], [name]))
        inputs = [
            helper.make_tensor_value_info(name, _type(part.dtype), ["rows", part.size])
            for name, part in self._program.inputs.items()
        ]
        return helper.make_graph(
            self._nodes, "policy", inputs, self._outputs(), initializer=self._constants
        )

    def _outputs(self) -> list[Any]:
        """Name, type and shape of what the graph gives."""
        shape = ["rows", *self._program.action_shape]
        kind = _type(self._program.action_type)
        outputs = [helper.make_tensor_value_info(OUTPUTS[0], kind, shape)]
        if self._program.carry_size:
            carry = ["rows", self._program.carry_size]
            outputs.append(helper.make_tensor_value_info(OUTPUTS[1], _type(np.float32), carry))
        return outputs

    def name_of(self, value: Operand) -> str:
        """What the graph calls a value or a constant."""
        return self._names[value] if isinstance(value, int) else self.constant(value)

    def constant(self, value: Any) -> str:
        """Store a constant; returns its name."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; returns the name of what it gives."""
        name = f"value_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def shape(self, shape: Shape) -> str:
        """The name of a shape; the number of observations in it is known when the graph is run."""
        if ROWS not in shape:
            return self.constant(np.asarray(shape, np.int64))
        rows = self.node("Shape", "observation", start=0, end=1)
        place = shape.index(ROWS)
        parts = [rows]
        if before := shape[:place]:
            parts.insert(0, self.constant(np.asarray(before, np.int64)))
        if after := shape[place + 1 :]:
            parts.append(self.constant(np.asarray(after, np.int64)))
        return self.node("Concat", *parts, axis=0)

    def _write(self, operation: Operation) -> str:
        """Add the nodes of an operation; returns the name of what it gives."""
        inputs = [self.name_of(value) for value in operation.operands]
        if operation.kind in _NODES:
            return self.node(_NODES[operation.kind], *inputs)
        if operation.kind in _REDUCTIONS:
            axes = self.constant(np.asarray(operation.options["axes"], np.int64))
            return self.node(_REDUCTIONS[operation.kind], *inputs, axes, keepdims=0)
        return _OTHERS[operation.kind](self, inputs, operation)


def _type(kind: Any) -> int:
    """ONNX's number of a type."""
    return helper.np_dtype_to_tensor_dtype(np.dtype(kind))


def _slice(graph: _Graph, inputs: list[str], operation: Operation) -> str:
    parts = operation.options["parts"]
    largest = np.iinfo(np.int64).max
    starts, steps = [part[0] for part in parts], [part[2] for part in parts]
    stops = [largest if part[1] is None else part[1] for part in parts]
    rows = (starts, stops, range(len(parts)), steps)
    return graph.node("Slice", *inputs, *[graph.constant(np.array(row, np.int64)) for row in rows])


def _arg_extreme(kind: str) -> Callable[[_Graph, list[str], Operation], str]:
    def write(graph: _Graph, inputs: list[str], operation: Operation) -> str:
        """See `_OTHERS`."""
        best = graph.node(kind, *inputs, axis=operation.options["axis"], keepdims=0)
        return graph.node("Cast", best, to=_type(operation.dtype))

    return write


def _angle(graph: _Graph, inputs: list[str], operation: Operation) -> str:
    """`atan2(y, x)`, which ONNX does not have: `atan(y/x)` and what is to be added to it."""
    y, x = inputs
    zero, pi = graph.constant(np.float32(0)), graph.constant(np.float32(np.pi))
    half = graph.constant(np.float32(np.pi / 2))
    plain = graph.node("Atan", graph.node("Div", y, x))
    turn = graph.node("Where", graph.node("Less", y, zero), graph.node("Neg", pi), pi)
    left = graph.node("Add", plain, turn)
    upright = graph.node("Mul", graph.node("Sign", y), half)
    on_axis = graph.node("Where", graph.node("Equal", x, zero), upright, plain)
    return graph.node("Where", graph.node("Less", x, zero), left, on_axis)


def _where(graph: _Graph, inputs: list[str], operation: Operation) -> str:
    """`where`; of flags by other operations, since onnxruntime has it of numbers only."""
    condition, yes, no = inputs
    if operation.dtype.kind != "b":
        return graph.node("Where", *inputs)
    otherwise = graph.node("And", graph.node("Not", condition), no)
    return graph.node("Or", graph.node("And", condition, yes), otherwise)


def _finite(graph: _Graph, inputs: list[str], operation: Operation) -> str:
    infinite, wrong = graph.node("IsInf", *inputs), graph.node("IsNaN", *inputs)
    return graph.node("Not", graph.node("Or", infinite, wrong))


_OTHERS: Mapping[str, Callable[[_Graph, list[str], Operation], str]] = {
    "cast": lambda graph, inputs, operation: graph.node("Cast", *inputs, to=_type(operation.dtype)),
    "reshape": lambda graph, inputs, operation: graph.node(
        "Reshape", *inputs, graph.constant(np.asarray(operation.shape, np.int64))
    ),
    "expand": lambda graph, inputs, operation: graph.node(
        "Expand", *inputs, graph.shape(operation.shape)
    ),
    "transpose": lambda graph, inputs, operation: graph.node(
        "Transpose", *inputs, perm=operation.options["axes"]
    ),
    "concatenate": lambda graph, inputs, operation: graph.node(
        "Concat", *inputs, axis=operation.options["axis"]
    ),
    "einsum": lambda graph, inputs, operation: graph.node(
        "Einsum", *inputs, equation=operation.options["equation"]
    ),
    "take": lambda graph, inputs, operation: graph.node(
        "Gather",
        *inputs,
        graph.constant(operation.options["indices"]),
        axis=operation.options["axis"],
    ),
    "rem": lambda graph, inputs, operation: graph.node("Mod", *inputs, fmod=1),
    "ne": lambda graph, inputs, operation: graph.node("Not", graph.node("Equal", *inputs)),
    "atan2": _angle,
    "where": _where,
    "is_finite": _finite,
    "slice": _slice,
    "argmax": _arg_extreme("ArgMax"),
    "argmin": _arg_extreme("ArgMin"),
}
