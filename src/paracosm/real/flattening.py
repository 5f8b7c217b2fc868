"""Observations of several parts as one flat row, in the order of Gymnasium's own
`spaces.utils.flatten`. No JAX in here: worker processes import it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from jaxtyping import Float

_ROOT = "observation"  # what a part is called that no key leads to
_CHANNELS, _LEAST_PIXELS = {1, 3, 4}, 8  # of a Box of floats that is taken for a picture


class Leaf(NamedTuple):
    """A part of an observation that is an array of numbers, or of choices.

    Attributes:
        path: Keys and places that lead to the part, from the outside in.
        shape: Shape of the array that the environment shows.
        counts: How many values each choice has, in the array's order; empty if the array holds
            numbers.
        starts: The first value of each choice.
        binary: Whether the numbers are zeros and ones.
    """

    path: tuple[Any, ...]
    shape: tuple[int, ...]
    counts: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()
    binary: bool = False

    @property
    def size(self) -> int:
        """Components that the part has in a flat row: one for each value of a choice."""
        return sum(self.counts) if self.counts else math.prod(self.shape)

    @property
    def name(self) -> str:
        """The keys as a text: `goal`, `robot.arm`, `observation[0]` of the first part of a
        Tuple.
        """
        return path_name(self.path)

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the part's components: `goal[0]`, or `mode=2` where a choice is the value 2."""
        places = [f"{self.name}{_index_suffix(at)}" for at in np.ndindex(*self.shape)]
        if not self.counts:
            return tuple(places)
        choices = zip(places, self.counts, self.starts, strict=True)
        return tuple(
            f"{place}={first + value}" for place, n, first in choices for value in range(n)
        )

    @property
    def requirement(self) -> str:
        """What the part must be, in words."""
        kind = "whole numbers of its space" if self.counts else "finite numbers"
        kind = "zeros and ones" if self.binary else kind
        if not self.shape:
            return f"one of the {kind}" if self.counts else "a finite number"
        return f"an array of shape {self.shape} of {kind}"

    def fits(self, array: np.ndarray) -> bool:
        """Whether arrays `[*batch, *shape]` are such parts: numbers, choices of their values."""
        batch = array.ndim - len(self.shape)
        if array.dtype.kind not in "biuf" or batch < 0 or array.shape[batch:] != self.shape:
            return False
        if not self.counts:
            return not self.binary or bool(((array == 0) | (array == 1)).all())
        value = self._flat(array) - np.array(self.starts)
        return bool(((value == np.floor(value)) & (value >= 0) & (value < self.counts)).all())

    def row(self, array: np.ndarray) -> Float[np.ndarray, "*batch size"]:
        """The part's components in a flat row, of arrays `[*batch, *shape]`: the numbers, or a 1 at
        each choice's value.
        """
        flat = self._flat(array)
        if not self.counts:
            with np.errstate(over="ignore", invalid="ignore"):
                return flat.astype(np.float32)
        firsts = np.array([0, *itertools.accumulate(self.counts)][:-1])
        row = np.zeros((*flat.shape[:-1], self.size), np.float32)
        ones = (flat - np.array(self.starts) + firsts).astype(np.int64)
        np.put_along_axis(row, ones, 1.0, axis=-1)
        return row

    def _flat(self, array: np.ndarray) -> np.ndarray:
        """Arrays `[*batch, *shape]` as `[*batch, entry]`."""
        return array.reshape(*array.shape[: array.ndim - len(self.shape)], math.prod(self.shape))


class NotFlattenable(Exception):
    """A part of a space that has no place in a flat row."""

    def __init__(self, path: tuple[Any, ...], space: spaces.Space[Any]) -> None:
        super().__init__(path_name(path))
        self.path, self.space = path, space


class PartMismatch(Exception):
    """A part of an observation that is not what its space says: its `value`, or `missing`."""

    def __init__(self, leaf: Leaf, value: Any = None, *, missing: bool = False) -> None:
        super().__init__(leaf.name)
        self.leaf, self.value, self.missing = leaf, value, missing


def leaves(space: spaces.Space[Any], path: tuple[Any, ...] = ()) -> tuple[Leaf, ...]:
    """The parts of a space in the order of their columns.

    Those of a Dict stand in its own order (Gymnasium sorts the keys), those of a Tuple one after
    another, arrays row by row.

    Raises:
        NotFlattenable: a part is a picture, or neither numbers nor choices.
    """
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        parts = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        return tuple(leaf for key, part in parts for leaf in leaves(part, (*path, key)))
    if isinstance(space, spaces.Discrete):
        return (Leaf(path, shape=(), counts=(int(space.n),), starts=(int(space.start),)),)
    if isinstance(space, spaces.MultiDiscrete):
        return (
            Leaf(
                path,
                shape=space.nvec.shape,
                counts=_as_ints(space.nvec),
                starts=_as_ints(space.start),
            ),
        )
    numeric = isinstance(space, spaces.Box) and space.dtype.kind in "biuf"
    if isinstance(space, spaces.MultiBinary) or (numeric and not is_picture(space)):
        binary = isinstance(space, spaces.MultiBinary)
        return (Leaf(path, tuple(space.shape or ()), binary=binary),)
    raise NotFlattenable(path, space)


def flat_row(value: Any, parts: Sequence[Leaf]) -> Float[np.ndarray, " size"]:
    """The flat row of one observation; its numbers need not be finite.

    Raises:
        PartMismatch: a part is not what its space says.
    """
    return np.concatenate([leaf.row(_part_array(value, leaf, 0)) for leaf in parts])


def flat_rows(values: Any, parts: Sequence[Leaf]) -> Float[np.ndarray, "rows size"]:
    """The flat rows of observations of which every part holds all rows, `[row, *shape]`.

    Raises:
        PartMismatch: a part is not what its space says.
    """
    return np.concatenate([leaf.row(_part_array(values, leaf, 1)) for leaf in parts], axis=1)


def _part_at(value: Any, leaf: Leaf) -> Any:
    """The part of an observation that the leaf's keys lead to.

    Raises:
        PartMismatch: there is none.
    """
    for key in leaf.path:
        try:
            value = value[key]
        except Exception as error:  # what is no mapping or sequence may refuse with anything
            raise PartMismatch(leaf, missing=True) from error
    return value


def is_picture(space: spaces.Space[Any]) -> bool:
    """Whether a Box holds pictures: bytes of two or more axes; or numbers between 0 and 1 or 255 of
    three axes, the first or the last of which is a number of channels.
    """
    if not isinstance(space, spaces.Box) or len(space.shape) < 2:
        return False
    if space.dtype == np.uint8:
        return True
    if len(space.shape) != 3:
        return False
    channels = {space.shape[0], space.shape[2]} & _CHANNELS
    bounded = (space.low == 0).all() and (np.isin(space.high, (1, 255))).all()
    return bool(channels and bounded and sorted(space.shape)[1] >= _LEAST_PIXELS)


def path_name(path: tuple[Any, ...]) -> str:
    """The keys that lead to a part as a text."""
    steps = path if path and not isinstance(path[0], int) else (_ROOT, *path)
    joined = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return joined.removeprefix(".")


def _part_array(value: Any, leaf: Leaf, batch: int) -> np.ndarray:
    """The leaf's part of `value`, an array with `batch` axes before those of the leaf.

    Raises:
        PartMismatch: there is none, or it is not what the space says.
    """
    part = _part_at(value, leaf)
    try:
        array = np.asarray(part)
    except Exception as error:  # a foreign object's own conversion may fail with anything
        raise PartMismatch(leaf, part) from error
    if array.size == math.prod(leaf.shape) == 1 and not batch:
        array = array.reshape(leaf.shape)  # such as a choice in an array of one entry
    if not leaf.fits(array) or array.ndim != len(leaf.shape) + batch:
        raise PartMismatch(leaf, part)
    return array


def _as_ints(values: np.ndarray) -> tuple[int, ...]:
    """The entries of an array, row by row."""
    return tuple(int(value) for value in values.reshape(-1))


def _index_suffix(at: tuple[int, ...]) -> str:
    """The place of an entry in a component's name, such as `[0,1]`; empty of a single number."""
    return f"[{','.join(map(str, at))}]" if at else ""
