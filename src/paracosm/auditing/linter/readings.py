"""Rival readings of a world's answers, and which of them explains its errors.

A reading says "asked so, or read so, the world is right": it leaves errors of its own at the same
real steps. Readings are compared cell by cell, by the mean over cells of the logarithm of the ratio
of their mean squared errors, so that every region that the policy visits has one voice. A planted
fault makes the errors of all regions at once; the errors that a model of ordinary quality has of
its own differ from region to region: a reading that mends one spoils another. Intervals are the
jackknife's, by blocks (episodes) and by cells; the wider one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from paracosm.auditing.linter.steps import SampledSteps
from paracosm.core.records import Misreading

LEVEL = 0.99  # of the intervals: a dozen readings are tried
# What a reading may leave at the most: of the error in every region, or of the sum
HALF, A_TENTH = 0.5, 0.1
# Of the logarithm: what a reading with fewer parameters may be worse by and still be preferred
_SIMPLER = 0.25
_CLOSE = 0.1  # of the logarithm: rivals that near are not told apart


class Reading(NamedTuple):
    """Squared errors `[n, output]`, not a number where the reading says nothing, and what it is.

    `misreading` says how the part would be read, none where that is no finding. Two readings of the
    same `family` are special cases of each other and no rivals. `silent` readings only compete.
    Those that can bend to much may leave less of the error than half.
    """

    kind: str
    family: str
    misreading: Misreading | None
    squares: Float[np.ndarray, "n output"]
    parameters: int = 0
    silent: bool = False
    may_leave: float = HALF


def errors(squares: Float[np.ndarray, "n output"]) -> Reading:
    """Squared errors that no reading stands for."""
    return Reading("", "", None, squares)


class Interval(NamedTuple):
    """A number and the interval that holds it at `LEVEL`."""

    mean: float
    low: float
    high: float


class MostLeft(NamedTuple):
    """The most of the squared error that a reading may leave: in every region, and over all
    steps.
    """

    regions: float
    total: float


class Explanation(NamedTuple):
    """The reading that explains the errors best, and rivals of other families that do as well."""

    reading: Reading
    rivals: tuple[Reading, ...]

    @property
    def misreadings(self) -> tuple[Misreading, ...]:
        """How the part would be read: the best, then the rivals."""
        readings = (self.reading, *self.rivals)
        return tuple(reading.misreading for reading in readings if reading.misreading is not None)


class Judge(NamedTuple):
    """Compares readings on the same steps; mean squared errors below `floor` `[output]` are no
    errors.

    `weight` `[output]` brings the outputs' squared errors to one unit; `most_left` is what a
    reading may leave.
    """

    steps: SampledSteps
    own: Reading
    floor: Float[np.ndarray, " output"]
    weight: Float[np.ndarray, " output"]
    most_left: MostLeft = MostLeft(HALF, HALF)

    def everywhere(self, reading: Reading, rival: Reading) -> tuple[Interval, ...]:
        """Mean over cells of `log(mse / rival's mse)`: by output, and last the sum over outputs."""

        def statistic(squares: np.ndarray, rival_squares: np.ndarray) -> np.ndarray:
            logs = np.log((squares + self.floor) / (rival_squares + self.floor))
            by_output = np.mean(logs, axis=0)
            return np.append(by_output, by_output.sum())

        return self._compared(reading, rival, statistic, by_cell=True)

    def overall(self, reading: Reading, rival: Reading) -> tuple[Interval, ...]:
        """`log` of the ratio of the mean over cells of the mean squared errors: by output, and last
        of their sums.
        """

        def statistic(squares: np.ndarray, rival_squares: np.ndarray) -> np.ndarray:
            squares, rival_squares = (
                np.mean(column, axis=0) + self.floor for column in (squares, rival_squares)
            )
            return np.log(
                np.append(
                    squares / rival_squares, (squares @ self.weight) / (rival_squares @ self.weight)
                )
            )

        return self._compared(reading, rival, statistic, by_cell=False)

    def explains(self, reading: Reading) -> bool:
        """Whether a reading leaves little of the world's own error: at most `most_left` of some
        output in every region and overall, or a tenth of some output overall.

        The sum over outputs must fall too, and the error over the steps as they come. A reading
        that can bend to much must leave a tenth of the sum as well.
        """
        if np.isinf(reading.squares).any():
            return False
        regions, total = self.everywhere(reading, self.own), self.overall(reading, self.own)
        share = np.log(min(reading.may_leave, A_TENTH))
        tenth = min(part.high for part in total[:-1]) < share and regions[-1].mean < 0
        if reading.may_leave < HALF:
            return bool(tenth and total[-1].high < share and self._plain(reading)[-1] < share)
        by_region, by_sum = np.log(self.most_left)
        everywhere = (
            min(part.high for part in regions[:-1]) < by_region and regions[-1].high < by_region
        )
        overall = min(part.high for part in total[:-1]) < by_sum
        return bool(
            (tenth or (everywhere and overall)) and self._plain(reading)[:-1].min() < by_sum
        )

    def _plain(self, reading: Reading) -> np.ndarray:
        """`log` of the ratio of the errors' sums over steps: by output, and last of their sums."""
        inside = np.isfinite(reading.squares).all(axis=1)
        squares, rival_squares = (
            np.mean(r.squares[inside], axis=0) + self.floor for r in (reading, self.own)
        )
        return np.log(
            np.append(
                squares / rival_squares, (squares @ self.weight) / (rival_squares @ self.weight)
            )
        )

    def choose(self, readings: Sequence[Reading]) -> Explanation | None:
        """The best of the readings that explain the errors, or the simplest, of whichever family,
        that is about as good: many parameters mend what one of another family would, and a little
        more. The best is then a rival.
        """
        able = [reading for reading in readings if self.explains(reading)]
        if not able:
            return None
        score = {id(reading): self._sum(reading, self.own).mean for reading in able}
        best = min(able, key=lambda reading: score[id(reading)])
        simpler = [
            r for r in able if r.parameters < best.parameters and self._sum(r, best).mean < _SIMPLER
        ]
        best = min(simpler, key=lambda r: (r.parameters, score[id(r)]), default=best)
        rivals = [
            r for r in able if r.family != best.family and not r.silent and self._close(r, best)
        ]
        rivals.sort(key=lambda r: (r.parameters, score[id(r)]))
        families = {rival.family: rival for rival in reversed(rivals)}  # the simplest of a family
        return Explanation(best, tuple(families.values()))

    def _sum(self, reading: Reading, rival: Reading) -> Interval:
        """Mean over cells of `log(mse / rival's mse)`, summed over outputs."""
        return self.everywhere(reading, rival)[-1]

    def _close(self, reading: Reading, best: Reading) -> bool:
        against = self._sum(reading, best)
        return bool(min(against.low, against.mean - _CLOSE) < 0)

    def _compared(
        self,
        reading: Reading,
        rival: Reading,
        statistic: Callable[..., np.ndarray],
        *,
        by_cell: bool,
    ) -> tuple[Interval, ...]:
        """A statistic of two readings with its jackknife intervals.

        Args:
            reading, rival: Squared errors `[n, output]`.
            statistic: Of both readings' mean squared errors `[cell, output]`, to `[k]`.
            by_cell: Whether cells, too, are left out.
        """
        sums = _Sums.of(self.steps, reading.squares, rival.squares)
        center = statistic(*sums.means())
        blocks, cells = (_filled(sums.number, axis) for axis in (1, 0))
        if len(blocks) < 2 or len(cells) < 2:  # one group alone has no interval
            return tuple(Interval(float(value), -np.inf, np.inf) for value in center)
        half = half_width([statistic(*sums.means(block=b)) for b in blocks])
        if by_cell:
            half = np.maximum(half, half_width([statistic(*sums.means(cell=c)) for c in cells]))
        return tuple(
            Interval(*map(float, ends))
            for ends in zip(center, center - half, center + half, strict=True)
        )


class _Sums(NamedTuple):
    """Steps `[block, cell]` and sums of squared errors `[block, cell, output]` of two readings."""

    number: np.ndarray
    squares: np.ndarray
    rival_squares: np.ndarray

    @classmethod
    def of(cls, steps: SampledSteps, squares: np.ndarray, rival_squares: np.ndarray) -> _Sums:
        valid = np.isfinite(squares).all(axis=1) & np.isfinite(rival_squares).all(axis=1)
        where = (steps.block[valid], steps.cell[valid])
        shape = (steps.block.max() + 1, steps.cell.max() + 1)
        tables = [
            np.zeros(shape),
            np.zeros((*shape, squares.shape[1])),
            np.zeros((*shape, squares.shape[1])),
        ]
        for table, values in zip(tables, (1.0, squares[valid], rival_squares[valid]), strict=True):
            np.add.at(table, where, values)
        return cls(*tables)

    def means(
        self, block: int | None = None, cell: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean squared errors `[cell, output]` of the cells that have steps without the given block
        or cell; cells without any are dropped.
        """
        tables = [table.sum(axis=0) - (0 if block is None else table[block]) for table in self]
        if cell is not None:
            tables = [np.delete(table, cell, axis=0) for table in tables]
        count = tables[0][:, None]
        filled = count[:, 0] > 0.5
        return tuple(np.maximum(table[filled], 0) / count[filled] for table in tables[1:])


def _filled(number: np.ndarray, axis: int) -> list[int]:
    """The groups that have steps."""
    return np.flatnonzero(number.sum(axis=axis)).tolist()


def half_width(leave_one_out: Sequence[np.ndarray]) -> np.ndarray:
    """Half the jackknife's interval `[k]` from the statistics without each group."""
    values = np.asarray(leave_one_out)
    n = len(values)
    if n < 2:
        return np.full(values.shape[1:], np.inf)
    error = np.sqrt((n - 1) / n * np.sum((values - values.mean(axis=0)) ** 2, axis=0))
    return stats.t.ppf((1 + LEVEL) / 2, n - 1) * error
