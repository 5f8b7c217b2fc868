"""What imagination saves of real episodes, and prediction-powered intervals on the same samples.

    python -m benchmarks.control_variate RUN … [--samples FILE]
    python benchmarks/control_variate.py --against FILE

The first plays 300 real episodes of each run's policy, draws 20 of them 400 times, and prints the
variance factor, the real episodes saved and how often the intervals hold the mean of all 300, with
and without imagination's help; `--samples` stores what was drawn. The second needs NumPy and
ppi-python alone, in an environment of its own: it prints the widths and the coverage of
`ppi_mean_ci` on the stored samples beside those stored.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

POOL, DRAWN, SETS, LEVEL = 300, 20, 400, 0.95


def sample(run_path: str) -> dict[str, np.ndarray]:
    """Real and imagined returns of the pool, imagined ones of fresh starts, and our intervals."""
    import paracosm
    from paracosm.auditing.control_variate import assisted_mean
    from paracosm.loop.assisting import FRESH_SEED, STARTS, imagined_twice

    run = paracosm.load(run_path)
    source = run.source()
    episodes = source.evaluate(run.policy, episodes=POOL, first_seed=50_000)
    fresh_starts = source.starts(STARTS, first_seed=FRESH_SEED)
    imagined, fresh = imagined_twice(run.world, run.policy, episodes, fresh_starts)
    real = np.asarray(episodes.reward).sum(axis=1)
    rng = np.random.default_rng(0)
    rows = np.array([rng.choice(POOL, DRAWN, replace=False) for _ in range(SETS)])
    means = [assisted_mean(real[row], imagined[row], fresh, level=LEVEL) for row in rows]
    ends = [[[m.value.low, m.value.high], [m.plain.low, m.plain.high]] for m in means]
    whole = assisted_mean(real, imagined, fresh, level=LEVEL)
    return {
        "real": real,
        "imagined": imagined,
        "fresh": fresh,
        "rows": rows,
        "ends": np.array(ends),
        "centers": np.array([[m.value.mean, m.plain.mean] for m in means]),
        "factors": np.array([m.factor for m in means]),
        "correlation": np.array(whole.correlation),
    }


def printed(name: str, ends: np.ndarray, mean: float) -> None:
    """One line of coverage and median width.

    A mean of the pool of 300 is held more often than the task's own would be: 20 of 300 episodes
    are in it, 3% of the variance.
    """
    held = np.mean((ends[:, 0] <= mean) & (mean <= ends[:, 1]))
    print(f"  {name:24} covers {held:6.1%}   median width {np.median(np.diff(ends)):10.4g}")


def measure(runs: list[str], file: str | None) -> None:
    """Print a block for each run."""
    stored = {}
    for path in runs:
        found, name = sample(path), Path(path).name
        factor, scatter = np.median(found["factors"]), found["centers"].var(axis=0)
        print(f"{name}: correlation {found['correlation']:.3f} over {POOL} episodes")
        print(f"  variance factor of {DRAWN}: estimated {factor:.3f}", end="")
        print(f", of the {SETS} means {scatter[0] / max(scatter[1], 1e-300):.3f}")
        print(f"  real episodes saved: {DRAWN / factor - DRAWN:.1f} for {DRAWN},", end="")
        print(f" {1 - factor:.0%} of trials")
        printed("with imagination", found["ends"][:, 0], found["real"].mean())
        printed("alone", found["ends"][:, 1], found["real"].mean())
        stored |= {f"{name}/{key}": column for key, column in found.items()}
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
                np.ravel(ppi_mean_ci(real[row], imagined[row], fresh, alpha=1 - LEVEL))
                for row in rows
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
