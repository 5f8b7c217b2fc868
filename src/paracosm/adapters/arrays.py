"""Plain NumPy functions; their derivatives are central finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from paracosm.adapters.answers import array
from paracosm.adapters.host import DIFFERENCES, Host, Slot, ValueAndJacobian, Way


class NumpyHost(Host):
    """A function of NumPy arrays `[rows, …]`, asked in double precision, or in single where it
    fails otherwise.
    """

    derivatives = DIFFERENCES

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        takes: Sequence[Slot],
        gives: Sequence[Slot],
        *,
        shared: bool = False,
    ) -> None:
        """Take `function`.

        Args:
            function, takes, gives, shared: As of `Host`.
            name: What messages call it, after `NumPy`.
        """
        super().__init__(function, f"NumPy {name}", takes, gives, shared=shared)

    def _ways(self, dtype: Any) -> Sequence[Way]:
        return [self._in_double, self._in_single]

    def _in_double(self, x: np.ndarray) -> list[Any]:
        return self._answers(self.function, x.astype(np.float64))

    def _in_single(self, x: np.ndarray) -> list[Any]:
        return self._answers(self.function, x.astype(np.float32))

    def _array(self, what: str, answer: Any) -> np.ndarray:
        return array(self.name, what, answer)

    def _value_and_jacobian(self, x: np.ndarray) -> ValueAndJacobian:
        return self._differenced(x)

    def _integers(self, column: np.ndarray) -> np.ndarray:
        return np.rint(column).astype(np.int64)
