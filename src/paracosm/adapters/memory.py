"""Memories of recurrent models, tensors or dicts and tuples of them, as flat rows and back."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from paracosm.core import checks


class MemoryPart(NamedTuple):
    """One tensor of a memory, `[batch, *shape]`.

    `name` says where it is, such as `h` or `z.logits`; empty if the memory is this tensor.
    """

    name: str
    shape: tuple[int, ...]
    dtype: Any

    @property
    def size(self) -> int:
        """Its columns in a flat row."""
        return math.prod(self.shape)

    @property
    def description(self) -> str:
        """What sentences call it."""
        return _describe_part(self.name)


class MemoryForm:
    """What memories of a model look like: which tensors, their shapes and how they are nested.

    Attributes:
        parts: the tensors, in the order in which they stand in a flat row.
        size: columns of a flat row.
    """

    def __init__(self, memory: Any, rows: int, what: str) -> None:
        """Read the form off a memory of `rows` rows, which `what` gave, as messages say.

        Raises:
            BadArgument: the memory is no tensor, dict or tuple of tensors, or their first axis is
                not the batch.
        """
        self._example = memory
        tensors = list(_tensors(memory, "", what))
        if not tensors:
            raise checks.BadArgument(f"{what} gives a memory without a tensor; one is needed.")
        for name, tensor in tensors:
            if tensor.ndim == 0 or tensor.shape[0] != rows:
                raise checks.BadArgument(
                    f"{what} gives {_describe_part(name)} of the shape {tuple(tensor.shape)} for a"
                    f" batch of {rows}; its first axis must be the batch."
                )
        self.parts = tuple(
            MemoryPart(name, tuple(tensor.shape[1:]), tensor.dtype) for name, tensor in tensors
        )
        self.size = sum(part.size for part in self.parts)

    def flat(self, memory: Any, what: str) -> Any:
        """A memory as one tensor `[batch, size]`.

        Args:
            memory: A memory of this form.
            what: Names what gave the memory, in messages.

        Raises:
            BadArgument: it has another form.
        """
        import torch

        tensors = list(_tensors(memory, "", what))
        self._require([name for name, _ in tensors], what)
        for (_, tensor), part in zip(tensors, self.parts, strict=True):
            if tuple(tensor.shape[1:]) != part.shape:
                raise checks.BadArgument(
                    f"{what} gives {part.description} of the shape"
                    f" {_batch_shape(tensor.shape[1:])}; at the start of an episode it has"
                    f" {_batch_shape(part.shape)}: a memory keeps its shape."
                )
        kinds = [tensor.dtype for _, tensor in tensors if tensor.is_floating_point()]
        # A type in which every tensor is exact, whole numbers up to 2^24 too
        kind = functools.reduce(torch.promote_types, kinds, torch.float32)
        return torch.cat([tensor.flatten(1).to(kind) for _, tensor in _as_columns(tensors)], dim=1)

    def memory(self, flat: Any) -> Any:
        """The memory of flat rows `[batch, size]`; whole numbers and flags in their own type."""
        columns = iter(flat.split([part.size for part in self.parts], dim=1))
        tensors = (
            _as_dtype(column.reshape(len(flat), *part.shape), part.dtype)
            for column, part in zip(columns, self.parts, strict=True)
        )
        return _nest(self._example, tensors)

    def _require(self, names: list[str], what: str) -> None:
        expected = [part.name for part in self.parts]
        if names != expected:
            raise checks.BadArgument(
                f"{what} gives a memory of {_list_names(names)}; at the start of an episode it is"
                f" of {_list_names(expected)}: a memory keeps its shape."
            )


def _as_columns(tensors: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Tensors of at least two axes: one number a row is a column."""
    return [
        (name, tensor if tensor.ndim > 1 else tensor.reshape(-1, 1)) for name, tensor in tensors
    ]


def _tensors(memory: Any, name: str, what: str) -> Iterator[tuple[str, Any]]:
    """The tensors of a memory with their names, in order.

    Args:
        memory: A tensor, or a dict, tuple or list of memories.
        name: Where it is in the memory that it is part of.
        what: Names what gave the memory, in messages.

    Raises:
        BadArgument: something in it is none of these.
    """
    import torch

    if torch.is_tensor(memory):
        yield name, memory
        return
    if not isinstance(memory, (Mapping, tuple, list)):
        raise checks.BadArgument(
            f"{what} gives a {type(memory).__name__} for {_describe_part(name)}; a tensor, or a"
            " dict or tuple of tensors, is needed."
        )
    items = memory.items() if isinstance(memory, Mapping) else enumerate(memory)
    for key, part in items:
        yield from _tensors(part, f"{name}.{key}" if name else str(key), what)


def _nest(example: Any, tensors: Iterator[Any]) -> Any:
    """`tensors` nested as those of `example` are."""
    if isinstance(example, Mapping):
        return {key: _nest(part, tensors) for key, part in example.items()}
    if isinstance(example, (tuple, list)):
        parts = [_nest(part, tensors) for part in example]
        return type(example)(*parts) if hasattr(example, "_fields") else type(example)(parts)
    return next(tensors)


def _as_dtype(column: Any, dtype: Any) -> Any:
    """A column in the type of its tensor; floating numbers keep the precision of the question."""
    return column if dtype.is_floating_point else column.round().to(dtype)


def _describe_part(name: str) -> str:
    """What sentences call the part of a memory with this name."""
    return f"the memory's {name}" if name else "the memory"


def _batch_shape(shape: Any) -> str:
    return f"({', '.join(['batch', *map(str, shape)])})"


def _list_names(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names) if any(names) else "one tensor"
