"""How often nominal 90% forecasts at 16 times the largest size hold the true error, beside other
methods.

    python -m benchmarks.coverage [PILOTS]

1,000 simulated pilots a cell (`tests/planning/simulator.py`), two processes; prints the tables of
docs/learning-curves.md. Pilots that the gate refuses are left out for every method. The other
priors are the same grid, reweighted.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import sys
import time

import numpy as np

from paracosm.core.checks import BadData
from paracosm.core.records.decisions import Curve
from paracosm.planning import grid
from paracosm.planning.curve_posterior import DRAWS, Posterior, posterior
from tests.planning.simulator import (
    CELLS,
    EXTRAPOLATION,
    LARGEST,
    OFF_PRIOR,
    Cell,
    off_prior,
    pilots,
)

TARGET = np.array([EXTRAPOLATION * LARGEST])
BOOTSTRAPS = 200
METHODS = ("grid posterior", "power law, bootstrap", "saturating, bootstrap")
PRIORS = ("law alone", "no anchor error", "never a floor", "always a floor", "uniform exponent")


def resampled(curve: Curve, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sizes `[anchors]` and mean log errors `[bootstraps, anchors]`, seeds drawn again within each
    anchor.
    """
    sizes = np.unique([anchor.samples for anchor in curve.anchors])
    errors = np.log([anchor.error for anchor in curve.anchors]).reshape(len(sizes), -1)
    rows = rng.integers(errors.shape[1], size=(BOOTSTRAPS, *errors.shape))
    return sizes.astype(float), np.take_along_axis(errors[None], rows, axis=2).mean(axis=2)


def power_law(curve: Curve, rng: np.random.Generator) -> np.ndarray:
    """Error at the target `[bootstraps]` of straight lines in logarithms."""
    sizes, means = resampled(curve, rng)
    line = np.polyfit(np.log(sizes / TARGET), means.T, 1)
    return np.exp(line[1])


def saturating(curve: Curve, rng: np.random.Generator) -> np.ndarray:
    """Error at the target `[bootstraps]` of least squares fits of a power law with a floor, on an
    exhaustive grid.
    """
    sizes, means = resampled(curve, rng)
    exponent = np.exp(np.linspace(np.log(grid.LEAST_EXPONENT), np.log(grid.MOST_EXPONENT), 96))[
        :, None, None
    ]
    share = np.linspace(0, 0.99, 48)[:, None]
    shape = np.log(
        (np.append(sizes, TARGET) / sizes[-1]) ** -exponent + share / (1 - share)
    ).reshape(-1, len(sizes) + 1)
    middle = shape[:, :-1].mean(axis=1)
    centred = shape[:, :-1] - middle[:, None]
    best = np.argmin((centred**2).sum(axis=1) - 2 * means @ centred.T, axis=1)
    return np.exp(means.mean(axis=1) + shape[best, -1] - middle[best])


def other_priors(plain: Posterior) -> list[np.ndarray]:
    """Forecasts of the law alone, before the band widens, under its prior and others, in the order
    of `PRIORS`.
    """
    cells = plain.cells
    factors = (cells.ratio == cells.ratio.min(), cells.floor == 0, cells.floor > 0, cells.exponent)
    tilted = [cells._replace(probability=cells.probability * factor) for factor in factors]
    posteriors = [plain, *(dataclasses.replace(plain, cells=density) for density in tilted)]
    return [
        np.quantile(density.draws_of_law(DRAWS, 0).law.error(TARGET[0]), [0.05, 0.5, 0.95])
        for density in posteriors
    ]


def intervals(curve: Curve, rng: np.random.Generator) -> np.ndarray:
    """Low, median, high `[methods and priors, 3]`."""
    plain = posterior(curve)
    bootstraps = [
        np.quantile(fit(curve, rng), [0.05, 0.5, 0.95]) for fit in (power_law, saturating)
    ]
    return np.array([plain.forecast(TARGET)[0], *bootstraps, *other_priors(plain)])


def measure(cell: Cell | str, number: int) -> tuple[np.ndarray, np.ndarray, int, float]:
    """Share covered and median of high/low, each `[methods and priors]`; how many were refused; CPU
    seconds a pilot.
    """
    rng, hits, widths, refusals, began = np.random.default_rng(7), [], [], 0, time.process_time()
    for curve, law in off_prior(cell, number) if isinstance(cell, str) else pilots(cell, number):
        try:
            low, _, high = intervals(curve, rng).T
        except BadData:
            refusals += 1
            continue
        hits.append((low <= law.error(TARGET)) & (law.error(TARGET) <= high))
        widths.append(high / low)
    return (
        np.mean(hits, axis=0),
        np.median(widths, axis=0),
        refusals,
        (time.process_time() - began) / number,
    )


def row(*entries: object) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(map(str, entries))} |"


def main(number: int) -> None:
    """Measure and print."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        results = pool.starmap(measure, [(cell, number) for cell in CELLS], chunksize=1)
        beyond_prior = pool.starmap(measure, [(kind, number) for kind in OFF_PRIOR], chunksize=1)
    shares, widths = (np.array([result[i] for result in results]) for i in (0, 1))
    refusals = [result[2] for result in results]
    print(row("exponent", "floor", "anchor noise", "refused", "grid: high/low", *METHODS))
    print(row(*["---"] * (5 + len(METHODS))))
    for cell, share, width, out in zip(CELLS, shares, widths, refusals, strict=True):
        answers = ("yes" if flag else "no" for flag in (cell.floor, cell.anchor_noise))
        print(
            row(
                cell.exponent,
                *answers,
                out,
                f"{width[0]:.2f}",
                *(f"{coverage:.1%}" for coverage in share[: len(METHODS)]),
            )
        )
    for floor in (False, True):
        mask = [cell.floor == floor for cell in CELLS]
        texts = (f"{coverage:.1%}" for coverage in shares[mask].mean(axis=0)[: len(METHODS)])
        print(
            row(
                "all",
                "yes" if floor else "no",
                "both",
                "",
                f"{np.median(widths[mask, 0]):.2f}",
                *texts,
            )
        )
    print(
        row(
            "**pooled**",
            "",
            "",
            sum(refusals),
            "",
            *(f"**{coverage:.1%}**" for coverage in shares.mean(0)[: len(METHODS)]),
        )
    )
    print()
    print(
        row(
            "prior or method",
            "pooled",
            "floor",
            "no floor",
            "anchor noise",
            "worst cell",
            "high/low",
        )
    )
    print(row(*["---"] * 7))
    floors, noisy = (
        np.array([cell.floor for cell in CELLS]),
        np.array([cell.anchor_noise for cell in CELLS]),
    )
    for i, name in enumerate((*METHODS, *PRIORS)):
        pools = [shares[mask, i].mean() for mask in (slice(None), floors, ~floors, noisy)]
        texts = (f"{coverage:.1%}" for coverage in (*pools, shares[:, i].min()))
        print(row(name, *texts, f"{np.median(widths[:, i]):.2f}"))
    print()
    print(row("off the prior", "refused", "high/low", "covered", "by the law alone", *METHODS[1:]))
    print(row(*["---"] * (5 + len(METHODS[1:]))))
    for kind, (share, width, out, _) in zip(OFF_PRIOR, beyond_prior, strict=True):
        alone = len(METHODS)
        print(
            row(
                kind,
                out,
                f"{width[0]:.2f}",
                *(f"{share[i]:.1%}" for i in (0, alone, *range(1, alone))),
            )
        )
    print(
        f"\nCPU seconds a pilot, all methods: {np.median([result[3] for result in results]):.3f}."
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
