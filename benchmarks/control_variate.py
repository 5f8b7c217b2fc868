"""What imagination saves of real episodes, and prediction-powered intervals on the same samples.

    python -m benchmarks.control_variate RUN … [--samples FILE]
    python benchmarks/control_variate.py --against FILE

The first plays 300 real episodes of each run's policy and imagines them too. These are the law:
400 times 20 of them are drawn, and 500 fresh starts, all with replacement. It prints the variance
factor, the real episodes saved and how often the intervals hold the mean of all 300, with and
without imagination's help; `--samples` stores what was drawn. The second needs NumPy and
ppi-python alone, in an environment of its own: it prints the widths and the coverage of
`ppi_mean_ci` on the stored samples beside those stored.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

POOL, DRAWN, SETS, LEVEL = 300, 20, 400, 0.95


def sample(run_path: str) -> dict[str, np.ndarray]:
    """Real and imagined returns of the pool, which rows were drawn, and our intervals."""
    import paracosm
    from paracosm.auditing.control_variate import assisted_mean
    from paracosm.loop.assisting import STARTS, imagined_twice

    run = paracosm.load(run_path)
    source = run.source()
    episodes = source.evaluate(run.policy, episodes=POOL, first_seed=50_000)
    none = episodes.state[:0, 0]
    imagined, _ = imagined_twice(run.world, run.policy, episodes, none)
    real = np.asarray(episodes.reward).sum(axis=1)
    rng = np.random.default_rng(0)
    rows = rng.integers(POOL, size=(SETS, DRAWN))
    fresh = rng.integers(POOL, size=(SETS, STARTS))
    means = [
        assisted_mean(real[row], imagined[row], imagined[more], level=LEVEL)
        for row, more in zip(rows, fresh, strict=True)
    ]
    ends = [[[m.value.low, m.value.high], [m.plain.low, m.plain.high]] for m in means]
    return {
        "real": real,
        "imagined": imagined,
        "fresh": fresh,
        "rows": rows,
        "ends": np.array(ends),
        "centers": np.array([[m.value.mean, m.plain.mean] for m in means]),
        "factors": np.array([m.factor for m in means]),
        "correlation": np.array(np.corrcoef(real, imagined)[0, 1]),
    }


def printed(name: str, ends: np.ndarray, mean: float) -> None:
    """One line of coverage and median width."""
    held = np.mean((ends[:, 0] <= mean) & (mean <= ends[:, 1]))
    print(f"  {name:24} covers {held:6.1%}   median width {np.median(np.diff(ends)):10.4g}")


def measure(runs: list[str], file: str | None) -> None:
    """Print a block for each run."""
    stored = {}
    for path in runs:
        sampled, name = sample(path), Path(path).name
        factor, scatter = np.median(sampled["factors"]), sampled["centers"].var(axis=0)
        print(f"{name}: correlation {sampled['correlation']:.3f} over {POOL} episodes")
        print(f"  variance factor of {DRAWN}: estimated {factor:.3f}", end="")
        print(f", of the {SETS} means {scatter[0] / max(scatter[1], 1e-300):.3f}")
        print(f"  real episodes saved: {DRAWN / factor - DRAWN:.1f} for {DRAWN},", end="")
        print(f" {1 - factor:.0%} of trials")
        printed("with imagination", sampled["ends"][:, 0], sampled["real"].mean())
        printed("alone", sampled["ends"][:, 1], sampled["real"].mean())
        stored |= {f"{name}/{key}": column for key, column in sampled.items()}
    if file is not None:
        np.savez(file, **stored)


def against(file: str) -> None:
    """Prediction-powered intervals on the stored samples."""
    from ppi_py import ppi_mean_ci  # pyright: ignore[reportMissingImports]

    stored = np.load(file)
    for name in dict.fromkeys(key.split("/")[0] for key in stored):
        real, imagined, fresh, rows, ends = (
            stored[f"{name}/{key}"] for key in ("real", "imagined", "fresh", "rows", "ends")
        )
        theirs = np.array(
            [
                np.ravel(ppi_mean_ci(real[row], imagined[row], imagined[more], alpha=1 - LEVEL))
                for row, more in zip(rows, fresh, strict=True)
            ]
        )
        print(name)
        printed("ppi-python", theirs, real.mean())
        printed("ours", ends[:, 0], real.mean())
        ratio = np.median(np.diff(ends[:, 0]) / np.diff(theirs))
        print(f"  our width / theirs, median {ratio:.2f}")


if __name__ == "__main__":
    if sys.argv[1] == "--against":
        against(sys.argv[2])
    else:
        names = sys.argv[1:]
        target = names[names.index("--samples") + 1] if "--samples" in names else None
        measure([name for name in names if name not in ("--samples", target)], target)
