"""What recorded states tell: their scale, and whether one step goes on from the one before."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Num

_CONSTANT = 1e-6  # a spread below this share of a component's size is float32 rounding
_BLOCK = 256  # components that are widened to 64 bits at a time: images are large
_ROUNDING = (
    8  # roundings of the coarser column by which a next state and the state after it may differ
)


def state_scale(states: Num[np.ndarray, "rows state"]) -> Float[np.ndarray, " state"]:
    """Standard deviation of each state component; 1 for a component that does not vary.

    A component counts as constant when its standard deviation is at most 1e-6 of its largest
    magnitude: float32 cannot tell such a spread from rounding. Its errors are then measured in the
    environment's units.
    """
    blocks = range(0, max(1, states.shape[1]), _BLOCK)
    scales = [_scale(states[:, first : first + _BLOCK].astype(np.float64)) for first in blocks]
    return np.concatenate(scales).astype(np.float32)


def _scale(states: np.ndarray) -> np.ndarray:
    spread, magnitude = states.std(axis=0), np.abs(states).max(axis=0, initial=0)
    return np.where(spread > _CONSTANT * magnitude, spread, 1)


def constant(center: Any, spread: Any) -> Any:
    """Whether columns of this mean and standard deviation vary no more than rounding in 32 bits
    explains; of NumPy and JAX arrays alike.
    """
    return (spread <= _CONSTANT * abs(center)) | (spread <= _CONSTANT**2)


def rounding(state: np.ndarray, next_state: np.ndarray) -> float:
    """The relative difference that rounding explains between two recordings of one state, at least
    of 32 bits.
    """
    kinds = [values.dtype for values in (state, next_state) if values.dtype.kind == "f"]
    return _ROUNDING * float(max(np.finfo(kind).eps for kind in (*kinds, np.dtype(np.float32))))


def jumps(state: np.ndarray, next_state: np.ndarray, relative: float) -> np.ndarray:
    """Whether each row's next state is another than the state of the row after it, `[rows - 1]`.

    A component differs where it does so by more than `relative` of its own or of its column's
    typical size; of images, by anything.
    """
    if state.dtype == next_state.dtype == np.uint8:
        pairs = zip(next_state[:-1], state[1:], strict=True)
        return np.array([not np.array_equal(*pair) for pair in pairs], bool)
    before, after = next_state[:-1].astype(np.float64), state[1:].astype(np.float64)
    own = np.maximum(np.abs(before), np.abs(after))
    typical = np.abs(state.astype(np.float64)).mean(axis=0)
    return np.any(~(np.abs(before - after) <= relative * np.maximum(own, typical)), axis=1)


def places(ends: Bool[np.ndarray, " rows"]) -> tuple[Int[np.ndarray, " rows"], ...]:
    """The episode of each row and its step in it, both from 0; `ends` says after which rows an
    episode ends.
    """
    starts = np.flatnonzero(np.append(True, ends[:-1]))[: len(ends)]
    episode = np.cumsum(np.append(True, ends[:-1])[: len(ends)]) - 1
    return episode, np.arange(len(ends)) - starts[episode]
