"""How often nominal 95% intervals of a mean hold it, beside Student's t, and how wide they are.

    python -m benchmarks.intervals [DRAWS]

5,000 sets of samples a cell (`tests/core/coverage.py`), two processes, about ten minutes; prints
the table of docs/intervals.md.
"""

from __future__ import annotations

import itertools
import multiprocessing
import sys

import numpy as np

from paracosm.core.estimators import student_mean
from paracosm.core.records import Estimate
from tests.core.coverage import CELLS, NEIGHBOURS, SIZES, Cell, estimates

ROWS = (*CELLS, *NEIGHBOURS)


def measure(row: int, n: int, draws: int) -> tuple[float, float, float, float]:
    """Shares covered by the interval and by Student's t; median and mean of their widths' ratio
    where t has one.
    """
    cell = ROWS[row]
    pairs = [(estimate, student_mean(samples)) for samples, estimate in estimates(cell, n, draws)]
    ours, students = (np.mean([_holds(pair[i], cell) for pair in pairs]) for i in (0, 1))
    ratios = [
        _width(estimate) / _width(student) for estimate, student in pairs if _width(student) > 0
    ]
    return float(ours), float(students), float(np.median(ratios)), float(np.mean(ratios))


def _holds(estimate: Estimate, cell: Cell) -> bool:
    return estimate.low <= cell.mean <= estimate.high


def _width(estimate: Estimate) -> float:
    return estimate.high - estimate.low


def main(draws: int) -> None:
    """Measure and print."""
    jobs = list(itertools.product(range(len(ROWS)), SIZES))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        results = dict(
            zip(
                jobs,
                pool.starmap(measure, [(*job, draws) for job in jobs], chunksize=1),
                strict=True,
            )
        )
    heads = [f"{column}, n = {n}" for n in SIZES for column in ("covers", "t covers", "width / t")]
    print(f"| samples | {' | '.join(heads)} |")
    print(f"| --- |{' --- |' * len(heads)}")
    for index, cell in enumerate(ROWS):
        entries = []
        for n in SIZES:
            ours, students, median, mean = results[index, n]
            entries += [f"{ours:.1%}", f"{students:.1%}", f"{median:.2f} ({mean:.2f})"]
        print(f"| {cell} | {' | '.join(entries)} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
