"""The law of a learning curve, `ε(N) = φ + A N^{-α}`: a power of the number of samples above a
floor.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Law(NamedTuple):
    """`error(N) = floor + scale · N^{-exponent}`; each a number, or arrays `[draws]` for draws of
    an unsure law.

    Errors are root mean squares. `floor`, `scale` and `exponent` give the error from the size
    `largest_measured` on. Below it the curve may differ: `decaying_floor` is the part of `floor`
    that still falls there, with the same exponent, and the error is multiplied by
    `exp(bend · p · (log_range/2 − p))`, `p = log(N/largest_measured)` clipped to
    `[-log_range, 0]`. Both forms agree at `largest_measured`. A law that bends has no floor.
    """

    scale: np.ndarray | float
    exponent: np.ndarray | float
    floor: np.ndarray | float = 0.0
    decaying_floor: np.ndarray | float = 0.0
    bend: np.ndarray | float = 0.0
    largest_measured: np.ndarray | float = 0.0
    log_range: np.ndarray | float = 0.0

    def error(self, samples: np.ndarray | float) -> np.ndarray:
        """The error after so many samples, which broadcast against the draws; infinite for none."""
        samples = np.asarray(samples, float)
        with np.errstate(divide="ignore", invalid="ignore"):
            power = samples ** -np.asarray(self.exponent)
            beyond = self.floor + self.scale * power
            is_below = samples < self.largest_measured
            if not np.any(is_below):
                return np.asarray(beyond)
            below = self.floor - self.decaying_floor + self._scale_below * power
            below = below * np.exp(self._log_bend(samples))
        return np.where(is_below, below, beyond)

    def log_slope(self, samples: np.ndarray | float) -> np.ndarray:
        """The logarithm of how fast the error falls, `log(-∂ε/∂N)`."""
        samples, exponent = np.asarray(samples, float), np.asarray(self.exponent)
        with np.errstate(divide="ignore", invalid="ignore"):
            falls = -(exponent + 1) * np.log(samples)
            beyond = np.log(self.scale * exponent) + falls
            is_below = samples < self.largest_measured
            if not np.any(is_below):
                return np.asarray(beyond)
            p = self._log_ratio(samples)
            slope_of_bend = self.bend * (self.log_range / 2 - 2 * p) * (p > -self.log_range)
            below = np.log(self._scale_below * (exponent - slope_of_bend)) + falls
            below = below + self._log_bend(samples)
        return np.where(is_below, below, beyond)

    def times(self, factor: np.ndarray | float) -> Law:
        """The law of the error times a factor."""
        return self._replace(
            scale=self.scale * factor,
            floor=self.floor * factor,
            decaying_floor=self.decaying_floor * factor,
        )

    @property
    def _scale_below(self) -> np.ndarray:
        """The scale below `largest_measured`, where the decaying part of the floor falls, too."""
        size = np.asarray(self.largest_measured, float)
        return self.scale + self.decaying_floor * size**self.exponent

    def _log_ratio(self, samples: np.ndarray) -> np.ndarray:
        """`p = log(N/largest_measured)`, clipped to `[-log_range, 0]`."""
        return np.clip(np.log(samples / self.largest_measured), -np.asarray(self.log_range), 0)

    def _log_bend(self, samples: np.ndarray) -> np.ndarray:
        """The logarithm of the factor by which the error bends."""
        p = self._log_ratio(samples)
        return self.bend * p * (self.log_range / 2 - p)
