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
        path: Keys and places that lead to it, from the outside in.
        shape: Of the array that the environment shows.
        counts: How many values each choice has, in the array's order; empty of numbers.
        starts: The first value of each choice.
    """

    path: tuple[Any, ...]
    shape: tuple[int, ...]
    counts: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Components of the flat row that it takes: one for each value of a choice."""
        return sum(self.counts) if self.counts else math.prod(self.shape)

    @property
    def name(self) -> str:
        """The keys as a text: `goal`, `robot.arm`, `observation[0]` of the first part of a
        Tuple.
        """
        return called(self.path)

    @property
    def components(self) -> tuple[str, ...]:
        """What its components are called: `goal[0]`, or `mode=2` where a choice is the value 2."""
        places = [f"{self.name}{_indexed(at)}" for at in np.ndindex(*self.shape)]
        if not self.counts:
            return tuple(places)
        choices = zip(places, self.counts, self.starts, strict=True)
        return tuple(
            f"{place}={first + value}" for place, n, first in choices for value in range(n)
        )

    @property
    def needed(self) -> str:
        """What it must be, in words."""
        kind = "whole numbers of its space" if self.counts else "finite numbers"
        if not self.shape:
            return f"one of the {kind}" if self.counts else "a finite number"
        return f"an array of shape {self.shape} of {kind}"

    def fits(self, array: np.ndarray) -> bool:
        """Whether arrays `[*batch, *shape]` are such parts: numbers, choices of their values."""
        batch = array.ndim - len(self.shape)
        if array.dtype.kind not in "biuf" or batch < 0 or array.shape[batch:] != self.shape:
            return False
        if not self.counts:
            return True
        value = self._flat(array) - np.array(self.starts)
        return bool(((value == np.floor(value)) & (value >= 0) & (value < self.counts)).all())

    def row(self, array: np.ndarray) -> Float[np.ndarray, "*batch size"]:
        """Its components of arrays `[*batch, *shape]`: the numbers, or a 1 at each choice's
        value.
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


class Unflattened(Exception):
    """A part of a space that has no place in a flat row."""

    def __init__(self, path: tuple[Any, ...], space: spaces.Space[Any]) -> None:
        super().__init__(called(path))
        self.path, self.space = path, space


class Unlike(Exception):
    """A part of an observation that is not what its space says; `came` is what came, where there is
    such a part at all.
    """

    def __init__(self, leaf: Leaf, came: Any = None, *, lacking: bool = False) -> None:
        super().__init__(leaf.name)
        self.leaf, self.came, self.lacking = leaf, came, lacking


def leaves(space: spaces.Space[Any], path: tuple[Any, ...] = ()) -> tuple[Leaf, ...]:
    """The parts of a space in the order of their columns.

    Those of a Dict stand in its own order (Gymnasium sorts the keys), those of a Tuple one after
    another, arrays row by row.

    Raises:
        Unflattened: a part is a picture, or neither numbers nor choices.
    """
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        parts = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        return tuple(leaf for key, part in parts for leaf in leaves(part, (*path, key)))
    if isinstance(space, spaces.Discrete):
        return (Leaf(path, (), (int(space.n),), (int(space.start),)),)
    if isinstance(space, spaces.MultiDiscrete):
        return (Leaf(path, space.nvec.shape, _whole(space.nvec), _whole(space.start)),)
    numeric = isinstance(space, spaces.Box) and space.dtype.kind in "biuf"
    if isinstance(space, spaces.MultiBinary) or (numeric and not is_picture(space)):
        return (Leaf(path, tuple(space.shape or ())),)
    raise Unflattened(path, space)


def flat_row(value: Any, parts: Sequence[Leaf]) -> Float[np.ndarray, " size"]:
    """The flat row of one observation; its numbers need not be finite.

    Raises:
        Unlike: a part is not what its space says.
    """
    return np.concatenate([leaf.row(_array(value, leaf, 0)) for leaf in parts])


def flat_rows(values: Any, parts: Sequence[Leaf]) -> Float[np.ndarray, "rows size"]:
    """The flat rows of observations of which every part holds all rows, `[row, *shape]`.

    Raises:
        Unlike: a part is not what its space says.
    """
    return np.concatenate([leaf.row(_array(values, leaf, 1)) for leaf in parts], axis=1)


def _picked(value: Any, leaf: Leaf) -> Any:
    """The part of an observation that the leaf's keys lead to.

    Raises:
        Unlike: there is none.
    """
    for key in leaf.path:
        try:
            value = value[key]
        except Exception as error:  # what is no mapping or sequence may refuse with anything
            raise Unlike(leaf, lacking=True) from error
    return value


def is_picture(space: spaces.Space[Any]) -> bool:
    """Whether a Box is of pictures: bytes of two or more axes, or of three axes numbers between 0
    and 1 or 255, the last or first axis a number of channels.
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


def called(path: tuple[Any, ...]) -> str:
    """The keys that lead to a part as a text."""
    steps = path if path and not isinstance(path[0], int) else (_ROOT, *path)
    joined = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return joined.removeprefix(".")


def _array(value: Any, leaf: Leaf, batch: int) -> np.ndarray:
    """The leaf's arrays in what came, `batch` axes before its own."""
    came = _picked(value, leaf)
    try:
        array = np.asarray(came)
    except Exception as error:  # a foreign object's own conversion may fail with anything
        raise Unlike(leaf, came) from error
    if array.size == math.prod(leaf.shape) == 1 and not batch:
        array = array.reshape(leaf.shape)  # such as a choice in an array of one entry
    if not leaf.fits(array) or array.ndim != len(leaf.shape) + batch:
        raise Unlike(leaf, came)
    return array


def _whole(values: np.ndarray) -> tuple[int, ...]:
    return tuple(int(value) for value in values.reshape(-1))


def _indexed(at: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, at))}]" if at else ""
