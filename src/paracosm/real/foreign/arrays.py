"""Plain NumPy functions; their derivatives are central finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from paracosm.real.foreign.host import Both, Host, Slot


class NumpyHost(Host):
    """A function of NumPy arrays `[rows, …]`, asked in double precision."""

    derivatives = "finite differences"

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        takes: Sequence[Slot],
        gives: Sequence[Slot],
        *,
        shared: bool = False,
        precision: type[np.floating[Any]] = np.float64,
    ) -> None:
        """Take `function`, whose answers are good to `precision`."""
        super().__init__(function, f"NumPy {name}", takes, gives, shared=shared)
        self._step = np.cbrt(np.finfo(precision).eps)

    def _value(self, x: np.ndarray) -> np.ndarray:
        return self._settled(x, self._asked)

    def _asked(self, x: np.ndarray) -> np.ndarray:
        return np.concatenate(self._answers(self.function, x.astype(np.float64)), axis=1, dtype=np.float64)

    def _value_and_jacobian(self, x: np.ndarray) -> Both:
        """`(f(x + h) - f(x - h)) / 2h`, `h` the cube root of the rounding error: error `O(h²)`; one call for all."""
        moved = np.flatnonzero(self._continuous)
        step = self._step * self._scale[moved]
        shifts = np.zeros((len(moved), 1, self.inputs))
        shifts[np.arange(len(moved)), 0, moved] = step
        wide = x.astype(np.float64)
        asked = np.concatenate([wide[None], wide + shifts, wide - shifts]).reshape(-1, self.inputs)
        found = self._sound(asked, self._asked(asked)).reshape(-1, len(x), self.outputs)
        value, above, below = found[0], *np.split(found[1:], 2)
        jacobian = np.zeros((len(x), self.outputs, self.inputs))
        jacobian[:, :, moved] = np.moveaxis((above - below) / (2 * step[:, None, None]), 0, -1)
        return value, jacobian

    def _integers(self, column: np.ndarray) -> np.ndarray:
        return np.rint(column).astype(np.int64)
