"""The law of a learning curve, `ε(N) = φ + A N^{-α}`: a power of the number of samples above a
floor.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Law(NamedTuple):
    """`error(N) = floor + scale · N^{-exponent}`; each a number, or arrays `[draws]` for draws of
    an unsure law.

    Errors are root mean squares.
    """

    scale: np.ndarray | float
    exponent: np.ndarray | float
    floor: np.ndarray | float = 0.0

    def error(self, samples: np.ndarray | float) -> np.ndarray:
        """The error after so many samples, which broadcast against the draws; infinite for none."""
        with np.errstate(divide="ignore"):
            return np.asarray(
                self.floor + self.scale * np.asarray(samples, float) ** -np.asarray(self.exponent)
            )

    def slope(self, samples: np.ndarray | float) -> np.ndarray:
        """The derivative of the error by the samples, negative."""
        with np.errstate(divide="ignore"):
            power = np.asarray(samples, float) ** (-np.asarray(self.exponent) - 1)
            return np.asarray(-self.exponent * self.scale * power)
