"""Whether a function's answer to a row depends on that row alone.

It is asked again, in the same batch and in others.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from paracosm.adapters.answers import FunctionFailed, exception_text
from paracosm.core import checks
from paracosm.core.precision import LEAST_TOLERANCE, answer_tolerance

# First calls in each precision that are asked again: a draw may fall on the same value once
_TRIALS = 8
_MOST_ROWS = 64  # of a batch, asked again
_POOL = 5  # rows of earlier batches that go with a row which came alone

_NORMALS = "; dynamics that draw take their normals as an argument: noise="
WITH_MEMORY = "a Policy whose carry is its memory (docs/extending.md)"

Ask = Callable[[np.ndarray], np.ndarray]


class RowIndependence:
    """Checks that a function answers each row by itself: its first batches are asked again in other
    orders, sizes and company.

    Attributes:
        tries: How many batches of each precision are asked again.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._remedy = f"; one with a memory must be {WITH_MEMORY}" if "policy" in name else ""
        self.tries = _TRIALS
        self._trials: collections.Counter[np.dtype] = collections.Counter()
        self._pool: dict[np.dtype, np.ndarray] = {}

    def require(
        self, ask: Ask, x: np.ndarray, answer: np.ndarray, widths: Sequence[int], *, eps: float
    ) -> None:
        """Refuse a function whose answer to a row is another in another batch.

        Args:
            ask: The function, `[rows, inputs] -> [rows, outputs]`.
            x: The batch that was asked, `[rows, inputs]`.
            answer: What it gave, `[rows, outputs]`.
            widths: Columns of each result, which are compared on one scale.
            eps: The answers' relative rounding.

        Raises:
            BadArgument: an answer differs when it is asked for twice, or depends on the batch or on
                the place in it.
        """
        if self._trials[x.dtype] >= self.tries:
            return
        self._trials[x.dtype] += 1
        picks = np.unique(np.linspace(0, len(x) - 1, min(len(x), _MOST_ROWS)).astype(int))
        tolerance = answer_tolerance(eps) * _sizes(answer, widths) + LEAST_TOLERANCE
        if (np.abs(ask(x) - answer) > tolerance).any():
            raise checks.BadArgument(
                f"the {self._name} answers the same question twice with different numbers; a"
                " deterministic one is"
                " needed (the mode of a policy, the mean of an ensemble, no memory between calls)"
                f"{self._remedy or _NORMALS}."
            )
        for batch, rows in self._batches(x, picks):
            again = self._ask_again(ask, batch, len(x))[-len(rows) :]
            wrong = np.abs(again - answer[rows]) > tolerance
            if wrong.any():
                raise checks.BadArgument(
                    f"the {self._name} answers a row differently in a batch of {len(x)} and in a"
                    " batch of"
                    f" {len(batch)}: its answers hang on the batch or on the place in it"
                    " (statistics of the batch, a"
                    " member by the row's number or by the batch's size); each row must be"
                    f" answered by itself{self._remedy}."
                )
        self._pool[x.dtype] = x[picks][:_POOL].copy()

    def _batches(self, x: np.ndarray, picks: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches whose last rows are the rows of `x` that are given beside them."""
        pool = self._pool.get(x.dtype, x[picks][:0])
        reversal = picks[::-1][: max(len(picks) - 1, 1)]
        yield np.concatenate([pool, x[reversal]]), reversal
        single = picks[[self._trials[x.dtype] % len(picks)]]
        yield x[single], single
        yield x[np.repeat(single, 2)], np.repeat(single, 2)

    def _ask_again(self, ask: Ask, batch: np.ndarray, rows: int) -> np.ndarray:
        try:
            return ask(batch)
        except FunctionFailed as error:
            cause = error.__cause__ or error
            raise checks.BadArgument(
                f"the {self._name} answers a batch of {rows} and fails for a batch of {len(batch)}"
                " of the same rows"
                f" with {exception_text(cause)}; each row must be answered by itself{self._remedy}."
            ) from error


def _sizes(answer: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    """The largest magnitude of each result, for each of its columns `[outputs]`."""
    columns = np.split(np.abs(answer), np.cumsum(widths)[:-1], axis=1)
    return np.concatenate(
        [np.full(width, part.max(initial=0)) for width, part in zip(widths, columns, strict=True)]
    )
