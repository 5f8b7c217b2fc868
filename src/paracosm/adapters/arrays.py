"""Plain NumPy functions; their derivatives are central finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from paracosm.adapters.answers import as_array
from paracosm.adapters.host import DIFFERENCES, Attempt, Host, Slot, ValueAndJacobian


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

    def _attempts(self, dtype: Any) -> Sequence[Attempt]:
        return [self._in_double, self._in_single]

    def _in_double(self, x: np.ndarray) -> list[Any]:
        return self._call_function(self.function, x.astype(np.float64))

    def _in_single(self, x: np.ndarray) -> list[Any]:
        return self._call_function(self.function, x.astype(np.float32))

    def _array(self, what: str, answer: Any) -> np.ndarray:
        return as_array(self.name, what, answer)

    def _value_and_jacobian(self, x: np.ndarray) -> ValueAndJacobian:
        return self._finite_differences(x)

    def _as_integers(self, column: np.ndarray) -> np.ndarray:
        return np.rint(column).astype(np.int64)
