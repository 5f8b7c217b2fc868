"""What JAX traces, an operation at a time, in the operations of a `Program`."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from paracosm.exporting.program import BINARY, REDUCTIONS, ROWS, UNARY, Operand, Operation, Shape

Form = tuple[Shape, Any]  # shape and type of a value

# Operations that give what they are given.
SAME = frozenset({"stop_gradient", "copy", "copy_p", "name", "optimization_barrier"})


class Untranslatable(Exception):
    """A policy computes something that the formats have no word for."""


class TracedOperation(NamedTuple):
    """An operation as JAX traced it.

    Attributes:
        operands: Values by number, and constants.
        form: The form of its result, or of the first of several.
        params: JAX's parameters, by name.
    """

    operands: list[Any]
    form: Form
    params: Mapping[str, Any]


def dimensions(shape: Sequence[Any]) -> Shape:
    """A traced shape, with `ROWS` for the number of observations.

    Raises:
        Untranslatable: a length is made of the number of observations.
    """
    lengths = tuple(ROWS if str(length) == "rows" else length for length in shape)
    if not all(isinstance(length, int) for length in lengths):
        raise Untranslatable(f"it makes an array of shape {shape} of all observations together")
    return lengths


class Writer:
    """Writes operations down, one after the other."""

    def __init__(self, forms: Mapping[int, Form]) -> None:
        """Begin with values of these forms, by number."""
        self.operations: list[Operation] = []
        self._forms: dict[int, Form] = dict(forms)

    def write(
        self, kind: str, operands: Sequence[Any], shape: Shape, dtype: Any, **options: Any
    ) -> int:
        """Write an operation down; returns the number of its value.

        Args:
            kind, operands, shape, dtype, options: As `Operation` has them.
        """
        if np.dtype(dtype).kind not in "bifu":
            raise Untranslatable(f"it computes with {dtype} numbers")
        result = len(self._forms)
        stored = tuple(value if isinstance(value, int) else np.asarray(value) for value in operands)
        operation = Operation(
            kind=kind,
            operands=stored,
            result=result,
            shape=shape,
            dtype=np.dtype(dtype),
            options=options,
        )
        self.operations.append(operation)
        self._forms[result] = (shape, np.dtype(dtype))
        return result

    def form(self, value: Operand) -> Form:
        """Shape and type of a value or a constant."""
        return self._forms[value] if isinstance(value, int) else (value.shape, value.dtype)


LoweringRule = Callable[[Writer, TracedOperation], Any]
"""Writes an operation down; gives its value, or a list of those of several results."""


def _unary(kind: str) -> LoweringRule:
    return lambda writer, traced: writer.write(kind, traced.operands, *traced.form)


def _binary(kind: str) -> LoweringRule:
    def rule(writer: Writer, traced: TracedOperation) -> int:
        """See `RULES`."""
        kinds = {np.dtype(writer.form(value)[1]).kind for value in traced.operands}
        if kind in ("div", "pow") and kinds != {"f"}:
            raise Untranslatable(f"it computes JAX's {kind} of whole numbers")
        if kind in ("and", "or", "xor") and kinds != {"b"}:
            raise Untranslatable(f"it computes JAX's {kind} of the bits of numbers")
        return writer.write(kind, traced.operands, *traced.form)

    return rule


def _reduction(kind: str) -> LoweringRule:
    return lambda writer, traced: writer.write(
        kind, traced.operands, *traced.form, axes=tuple(map(int, traced.params["axes"]))
    )


def _all_or_any(kind: str) -> LoweringRule:
    def rule(writer: Writer, traced: TracedOperation) -> int:
        """See `RULES`."""
        shape = writer.form(traced.operands[0])[0]
        numbers = writer.write("cast", traced.operands, shape, np.float32)
        axes = tuple(map(int, traced.params["axes"]))
        reduced = writer.write(kind, [numbers], traced.form[0], np.float32, axes=axes)
        return writer.write("cast", [reduced], *traced.form)

    return rule


def _arg_extreme(kind: str) -> LoweringRule:
    def rule(writer: Writer, traced: TracedOperation) -> int:
        """See `RULES`."""
        (axis,) = traced.params["axes"]
        return writer.write(kind, traced.operands, *traced.form, axis=int(axis))

    return rule


def _logistic(writer: Writer, traced: TracedOperation) -> int:
    """`σ(x) = (1 + tanh(x/2))/2`, which overflows nowhere; see `RULES`."""
    half = np.asarray(0.5, traced.form[1])
    tanh = writer.write(
        "tanh", [writer.write("mul", [traced.operands[0], half], *traced.form)], *traced.form
    )
    scaled = writer.write("mul", [tanh, half], *traced.form)
    return writer.write("add", [scaled, half], *traced.form)


def _log1p(writer: Writer, traced: TracedOperation) -> int:
    one = np.asarray(1, traced.form[1])
    return writer.write(
        "log", [writer.write("add", [traced.operands[0], one], *traced.form)], *traced.form
    )


def _expm1(writer: Writer, traced: TracedOperation) -> int:
    one = np.asarray(1, traced.form[1])
    return writer.write(
        "sub", [writer.write("exp", traced.operands, *traced.form), one], *traced.form
    )


def _rsqrt(writer: Writer, traced: TracedOperation) -> int:
    one = np.asarray(1, traced.form[1])
    return writer.write(
        "div", [one, writer.write("sqrt", traced.operands, *traced.form)], *traced.form
    )


def _square(writer: Writer, traced: TracedOperation) -> int:
    return writer.write("mul", [traced.operands[0], traced.operands[0]], *traced.form)


def _power(writer: Writer, traced: TracedOperation) -> int:
    exponent = np.asarray(traced.params["y"], traced.form[1])
    if traced.form[1].kind != "f":
        raise Untranslatable("it computes a power of whole numbers")
    return writer.write("pow", [traced.operands[0], exponent], *traced.form)


def _round(writer: Writer, traced: TracedOperation) -> int:
    if int(traced.params["rounding_method"]) != 1:  # 1 is halves to even, what all formats do
        raise Untranslatable("it rounds halves away from zero (JAX's round)")
    return writer.write("round", traced.operands, *traced.form)


def _select(writer: Writer, traced: TracedOperation) -> Operand:
    """`select_n(which, case 0, case 1, …)`, the cases by number; see `RULES`."""
    which, *cases = traced.operands
    shape, dtype = writer.form(which)
    chosen = cases[0]
    for number, case in enumerate(cases[1:], 1):
        if case is chosen:
            continue
        condition = which
        if dtype.kind != "b":
            condition = writer.write("eq", [which, np.asarray(number, dtype)], shape, bool)
        chosen = writer.write("where", [condition, case, chosen], *traced.form)
    return chosen


def _clamp(writer: Writer, traced: TracedOperation) -> int:
    low, value, high = traced.operands
    return writer.write(
        "min", [writer.write("max", [value, low], *traced.form), high], *traced.form
    )


def _cast(writer: Writer, traced: TracedOperation) -> Operand:
    same = writer.form(traced.operands[0])[1] == traced.form[1]
    return traced.operands[0] if same else writer.write("cast", traced.operands, *traced.form)


def _write_reshape(writer: Writer, value: Operand, shape: Shape) -> Operand:
    """Write the array down in this shape, if it has another; returns its value."""
    own, dtype = writer.form(value)
    if isinstance(value, np.ndarray):
        return value.reshape(shape)
    return value if own == shape else writer.write("reshape", [value], shape, dtype)


def _reshape(writer: Writer, traced: TracedOperation) -> Operand:
    return _write_reshape(writer, traced.operands[0], traced.form[0])


def _broadcast(writer: Writer, traced: TracedOperation) -> Operand:
    """Axes of size 1 put in, and repeated where they are longer in the result; see `RULES`."""
    value, (shape, dtype) = traced.operands[0], traced.form
    axes = map(int, traced.params["broadcast_dimensions"])
    places = dict(zip(axes, writer.form(value)[0], strict=True))
    spread = tuple(places.get(axis, 1) for axis in range(len(shape)))
    value = _write_reshape(writer, value, spread)
    return value if spread == shape else writer.write("expand", [value], shape, dtype)


def _transpose(writer: Writer, traced: TracedOperation) -> int:
    return writer.write(
        "transpose",
        traced.operands,
        *traced.form,
        axes=tuple(map(int, traced.params["permutation"])),
    )


def _concatenate(writer: Writer, traced: TracedOperation) -> Operand:
    parts = [value for value in traced.operands if 0 not in writer.form(value)[0]]
    if len(parts) == 1:
        return parts[0]
    return writer.write("concatenate", parts, *traced.form, axis=int(traced.params["dimension"]))


def _stack(writer: Writer, traced: TracedOperation) -> int:
    axis, (shape, dtype) = int(traced.params["axis"]), traced.form
    layer = (*shape[:axis], 1, *shape[axis + 1 :])
    layers = [_write_reshape(writer, value, layer) for value in traced.operands]
    return writer.write("concatenate", layers, shape, dtype, axis=axis)


def _write_slice(
    writer: Writer, value: Operand, parts: Sequence[tuple[int, int | None, int]], shape: Shape
) -> Operand:
    """Write a part of an array down, if it is not all of it; returns its value.

    Args:
        writer: Where it is written.
        value: The array.
        parts: `(start, stop, step)` by axis; a stop of None is at the end of an axis.
        shape: The shape of the part.
    """
    own, dtype = writer.form(value)
    if own == shape:
        return value
    return writer.write("slice", [value], shape, dtype, parts=tuple(parts))


def _slice(writer: Writer, traced: TracedOperation) -> Operand:
    stops = [None if s == ROWS else s for s in dimensions(traced.params["limit_indices"])]
    starts = dimensions(traced.params["start_indices"])
    steps = traced.params["strides"] or (1,) * len(stops)
    return _write_slice(
        writer, traced.operands[0], list(zip(starts, stops, steps, strict=True)), traced.form[0]
    )


def _dynamic_slice(writer: Writer, traced: TracedOperation) -> Operand:
    value, *starts = traced.operands
    if any(isinstance(start, int) for start in starts):
        raise Untranslatable("it takes a part of an array at a place that it computes")
    parts = []
    for start, length, own in zip(starts, traced.form[0], writer.form(value)[0], strict=True):
        first = 0 if length == ROWS else min(max(int(start), 0), own - length)
        parts.append((first, None if length == ROWS else first + length, 1))
    return _write_slice(writer, value, parts, traced.form[0])


def _split(writer: Writer, traced: TracedOperation) -> list[Any]:
    shape, _ = writer.form(traced.operands[0])
    axis, first, results = int(traced.params["axis"]), 0, []
    for size in map(int, traced.params["sizes"]):
        parts: list[tuple[int, int | None, int]] = [(0, None, 1)] * len(shape)
        parts[axis] = (first, first + size, 1)
        part = (*shape[:axis], size, *shape[axis + 1 :])
        results.append(_write_slice(writer, traced.operands[0], parts, part))
        first += size
    return results


def _write_take(writer: Writer, value: Operand, indices: np.ndarray, axis: int) -> int:
    """Write down which entries of an axis are taken; returns their value.

    Args:
        writer: Where it is written.
        value: The array.
        indices: `[places]`.
        axis: The axis.
    """
    shape, dtype = writer.form(value)
    size = (*shape[:axis], len(indices), *shape[axis + 1 :])
    places = np.asarray(indices, np.int64)
    return writer.write("take", [value], size, dtype, axis=axis, indices=places)


def _reverse(writer: Writer, traced: TracedOperation) -> Operand:
    value = traced.operands[0]
    for axis in map(int, traced.params["dimensions"]):
        value = _write_take(writer, value, np.arange(traced.form[0][axis])[::-1], axis)
    return value


def _tile(writer: Writer, traced: TracedOperation) -> Operand:
    value = traced.operands[0]
    for axis, times in enumerate(traced.params["reps"]):
        if times != 1:
            length = writer.form(value)[0][axis]
            value = _write_take(writer, value, np.tile(np.arange(length), times), axis)
    return value


def _gather(writer: Writer, traced: TracedOperation) -> Operand:
    """`x[:, indices]`, of indices that are constants; see `RULES`."""
    value, indices = traced.operands
    numbers, sizes = traced.params["dimension_numbers"], dimensions(traced.params["slice_sizes"])
    shape = writer.form(value)[0]
    plain = not (numbers.operand_batching_dims or numbers.start_indices_batching_dims)
    if isinstance(indices, int) or isinstance(value, np.ndarray) or not plain:
        raise Untranslatable("it takes entries of an array at places that it computes")
    axes = tuple(map(int, numbers.collapsed_slice_dims))
    places = np.asarray(indices)
    grid = places.shape[:-1]
    if axes != tuple(map(int, numbers.start_index_map)) or len(axes) != 1:
        raise Untranslatable("it takes entries of an array along several axes (gather)")
    axis = axes[0]
    between = [
        i for i in range(len(traced.form[0])) if i not in tuple(map(int, numbers.offset_dims))
    ]
    rest = all(
        size == own for i, (size, own) in enumerate(zip(sizes, shape, strict=True)) if i != axis
    )
    inside = ((places >= 0) & (places < shape[axis])).all()
    if not (rest and inside and between == list(range(axis, axis + len(grid)))):
        raise Untranslatable("it takes entries of an array in an order that is not known (gather)")
    return _write_reshape(
        writer, _write_take(writer, value, places.reshape(-1), axis), traced.form[0]
    )


def _pad(writer: Writer, traced: TracedOperation) -> Operand:
    value, filling = traced.operands
    if isinstance(filling, int):
        raise Untranslatable("it pads an array with what it computes")
    for axis, (low, high, between) in enumerate(traced.params["padding_config"]):
        if between or min(low, high) < 0:
            raise Untranslatable("it pads an array between its entries, or cuts it (pad)")
        value = _write_padding(writer, value, np.asarray(filling), axis, (int(low), int(high)))
    return value


def _write_padding(
    writer: Writer, value: Operand, filling: np.ndarray, axis: int, sizes: tuple[int, int]
) -> Operand:
    """Write the array down with more entries at the ends of an axis; returns its value.

    Args:
        writer: Where it is written.
        value: The array.
        filling: What the new entries are.
        axis: The axis.
        sizes: How many entries are put at its start and at its end.
    """
    shape, dtype = writer.form(value)
    parts = [value]
    for place, size in zip((0, 2), sizes, strict=True):
        if size:
            block = (*shape[:axis], size, *shape[axis + 1 :])
            single = filling.astype(dtype).reshape((1,) * len(shape))
            parts.insert(place, writer.write("expand", [single], block, dtype))
    if len(parts) == 1:
        return value
    length = shape[axis] + sum(sizes)
    padded = (*shape[:axis], length, *shape[axis + 1 :])
    return writer.write("concatenate", parts, padded, dtype, axis=axis)


def _product(writer: Writer, traced: TracedOperation) -> int:
    """A sum of products over the contracted axes; see `RULES`."""
    (left, right), (left_batch, right_batch) = traced.params["dimension_numbers"]
    sizes = [len(writer.form(value)[0]) for value in traced.operands]
    contracted = [list(map(int, axes)) for axes in (left, right, left_batch)]
    if sizes == [2, 2] and contracted == [[1], [0], []]:
        return writer.write("matmul", traced.operands, *traced.form)
    letters = iter(string.ascii_lowercase)
    names = [[next(letters) for _ in range(size)] for size in sizes]
    for first, second in [
        *zip(left_batch, right_batch, strict=True),
        *zip(left, right, strict=True),
    ]:
        names[1][second] = names[0][first]
    batch = [names[0][axis] for axis in left_batch]
    free = [
        name
        for side, gone in ((0, (*left_batch, *left)), (1, (*right_batch, *right)))
        for axis, name in enumerate(names[side])
        if axis not in gone
    ]
    equation = f"{''.join(names[0])},{''.join(names[1])}->{''.join(batch + free)}"
    return writer.write("einsum", traced.operands, *traced.form, equation=equation)


RULES: dict[str, LoweringRule] = {
    **{kind: _unary(kind) for kind in UNARY - {"round"}},
    **{kind: _binary(kind) for kind in BINARY},
    **{kind: _reduction(kind) for kind in REDUCTIONS},
    "reduce_and": _all_or_any("reduce_min"),
    "reduce_or": _all_or_any("reduce_max"),
    "argmax": _arg_extreme("argmax"),
    "argmin": _arg_extreme("argmin"),
    "logistic": _logistic,
    "log1p": _log1p,
    "expm1": _expm1,
    "rsqrt": _rsqrt,
    "square": _square,
    "integer_pow": _power,
    "round": _round,
    "select_n": _select,
    "clamp": _clamp,
    "convert_element_type": _cast,
    "reshape": _reshape,
    "squeeze": _reshape,
    "expand_dims": _reshape,
    "broadcast_in_dim": _broadcast,
    "transpose": _transpose,
    "concatenate": _concatenate,
    "stack": _stack,
    "slice": _slice,
    "dynamic_slice": _dynamic_slice,
    "split": _split,
    "rev": _reverse,
    "tile": _tile,
    "gather": _gather,
    "pad": _pad,
    "dot_general": _product,
}
