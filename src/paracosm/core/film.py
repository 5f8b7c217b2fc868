"""A real episode and an imagined one as pictures, side by side."""

from __future__ import annotations

import dataclasses

import numpy as np

MOST_FRAMES = 40  # enough to follow a motion of some seconds, and few enough for a page


@dataclasses.dataclass(frozen=True)
class Film:
    """Pictures of a real episode and of the imagined one from the same first state.

    Attributes:
        real, imagined: A picture for each of the `steps` at which the episode had a state, bytes
            `[frame, height, width, 3]`; the pictures of both are of one size.
        steps: The time steps that are shown, rising, from 0 to the last of the longer episode.
        ends: The last time step of the real and of the imagined episode.
        episode: Which of the audited episodes it is, counted from 1.
        decoded: Whether both are what the world's decoder reads from its beliefs.
        components: Where nothing draws, the components of the state that are shown instead, a
            column each; empty of pictures.
        why: Why nothing draws, where it is so.
        hidden: How many coordinates no observation shows; they stay as they began.
    """

    real: np.ndarray
    imagined: np.ndarray
    steps: tuple[int, ...]
    ends: tuple[int, int]
    episode: int = 1
    decoded: bool = False
    components: tuple[str, ...] = ()
    why: str = ""
    hidden: int = 0


def shown_steps(length: int) -> tuple[int, ...]:
    """At most `MOST_FRAMES` steps of an episode of `length` states, evenly apart, and the last."""
    apart = max(1, -(-(length - 1) // (MOST_FRAMES - 1)))
    return (*range(0, length - 1, apart), length - 1)


_MOST_COLUMNS = 24
_HEIGHT, _MARK = 160, 6  # pixels
_PAPER, _COLUMN, _INK = 255, 236, 60  # greys


def varying_components(rows: np.ndarray) -> tuple[int, ...]:
    """The components of states `[row, state]` that are not always the same; of many the first."""
    varies = np.ptp(rows, axis=0) > 0
    return tuple(np.flatnonzero(varies)[:_MOST_COLUMNS].tolist())


def drawn_columns(states: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """States as pictures: a column for each component, and in it a mark as high as the value.

    Args:
        states: `[frame, component]`.
        low, high: The values at the bottom and at the top of a column, `[component]`.

    Returns:
        Bytes `[frame, height, width, 3]`.
    """
    width = max(_MARK, min(40, _HEIGHT // len(low)))
    top = np.round((high - states) / (high - low) * (_HEIGHT - _MARK)).astype(int)
    down = np.arange(_HEIGHT)[None, :, None] - top[:, None, :]
    columns = np.where((down >= 0) & (down < _MARK), _INK, _COLUMN).astype(np.uint8)
    pictures = columns.repeat(width, axis=2)
    pictures[:, :, width - 2 :: width] = pictures[:, :, width - 1 :: width] = _PAPER
    return pictures[..., None].repeat(3, axis=3)
