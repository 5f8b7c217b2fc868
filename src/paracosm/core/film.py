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
        hidden: How many coordinates no observation shows; they stay as they began.
    """

    real: np.ndarray
    imagined: np.ndarray
    steps: tuple[int, ...]
    ends: tuple[int, int]
    episode: int = 1
    decoded: bool = False
    hidden: int = 0


def shown_steps(length: int) -> tuple[int, ...]:
    """At most `MOST_FRAMES` steps of an episode of `length` states, evenly apart, and the last."""
    apart = max(1, -(-(length - 1) // (MOST_FRAMES - 1)))
    return (*range(0, length - 1, apart), length - 1)
