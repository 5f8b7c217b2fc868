"""The law of a learning curve, `ε(N) = φ + A N^{-α}`: a power of the number of samples above a
floor.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Law(NamedTuple):
    """`error(N) = floor + scale · N^{-exponent}`; each a number, or arrays `[draws]` for draws of
    an unsure law.

    Errors are root mean squares. A curve that was measured up to `size` may go on otherwise than it
    came: below `size` the part `added` of the floor still falls as the rest does, and the error is
    times `exp(bend · p · (reach/2 − p))` with `p = log(N/size)`, from -`reach` on. A law that bends
    has no floor.
    """

    scale: np.ndarray | float
    exponent: np.ndarray | float
    floor: np.ndarray | float = 0.0
    added: np.ndarray | float = 0.0
    bend: np.ndarray | float = 0.0
    size: np.ndarray | float = 0.0
    reach: np.ndarray | float = 0.0

    def error(self, samples: np.ndarray | float) -> np.ndarray:
        """The error after so many samples, which broadcast against the draws; infinite for none."""
        samples = np.asarray(samples, float)
        with np.errstate(divide="ignore", invalid="ignore"):
            power = samples ** -np.asarray(self.exponent)
            beyond = self.floor + self.scale * power
            below = samples < self.size
            if not np.any(below):
                return np.asarray(beyond)
            before = self.floor - self.added + self._scale_below * power
            before = before * np.exp(self._bent(samples))
        return np.where(below, before, beyond)

    def log_slope(self, samples: np.ndarray | float) -> np.ndarray:
        """The logarithm of how fast the error falls, `log(-∂ε/∂N)`."""
        samples, exponent = np.asarray(samples, float), np.asarray(self.exponent)
        with np.errstate(divide="ignore", invalid="ignore"):
            falls = -(exponent + 1) * np.log(samples)
            beyond = np.log(self.scale * exponent) + falls
            below = samples < self.size
            if not np.any(below):
                return np.asarray(beyond)
            past = self._past(samples)
            steeper = self.bend * (self.reach / 2 - 2 * past) * (past > -self.reach)
            before = np.log(self._scale_below * (exponent - steeper)) + falls
            before = before + self._bent(samples)
        return np.where(below, before, beyond)

    def times(self, factor: np.ndarray | float) -> Law:
        """The law of the error times a factor."""
        return self._replace(
            scale=self.scale * factor, floor=self.floor * factor, added=self.added * factor
        )

    @property
    def _scale_below(self) -> np.ndarray:
        return self.scale + self.added * np.asarray(self.size, float) ** self.exponent

    def _past(self, samples: np.ndarray) -> np.ndarray:
        return np.clip(np.log(samples / self.size), -np.asarray(self.reach), 0)

    def _bent(self, samples: np.ndarray) -> np.ndarray:
        past = self._past(samples)
        return self.bend * past * (self.reach / 2 - past)
