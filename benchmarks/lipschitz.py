"""Lipschitz brackets of random networks: how tight, and how long after compilation.

    python benchmarks/lipschitz.py

Two hidden layers of tanh, 16 inputs, 12 outputs, weights normal over the square root of their
inputs; under 0.5 s is asked for at width 64 and under 5 s at 256. Where the package eclipse-nn is
installed (`pip install eclipse-nn`), its two estimates of the same networks stand beside ours.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from paracosm.auditing.lipschitz import eclipse
from paracosm.auditing.lipschitz.steepest import lower
from paracosm.core import activations
from paracosm.core.layers import Layered, activated, affine, compose

INPUTS, OUTPUTS, REPEATS = 16, 12, 3
# The semidefinite programs of the package's slower estimate take minutes at 256
MOST_WIDTH = {"ECLipsE": 64, "ECLipsE_Fast": 256}


def network(width: int) -> Layered:
    """A random network of two hidden layers."""
    rng = np.random.default_rng(0)
    sizes = ((width, INPUTS), (width, width), (OUTPUTS, width))
    first, second, third = (
        affine(rng.normal(size=s) / np.sqrt(s[1]), 0.3 * rng.normal(size=s[0])) for s in sizes
    )
    act = activated(activations.TANH, width)
    return compose(third, act, second, act, first)


def timed(bound: Callable[[], Any], repeats: int = REPEATS) -> tuple[float, float]:
    """A bound, and the seconds that it takes: the least of several."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        value = float(bound())
        times.append(time.perf_counter() - began)
    return value, min(times)


def of_package(subject: Layered, method: str) -> tuple[float, float]:
    """What eclipse-nn says of the same weights, with slopes between 0 and 1."""
    import torch
    from eclipse_nn.LipConstEstimator import LipConstEstimator  # pyright: ignore

    weights = [torch.tensor(np.asarray(weight), dtype=torch.float64) for weight in subject.weights]
    estimator = LipConstEstimator(weights=weights)
    return timed(lambda: estimator.estimate(method), repeats=1)


def bounds_of(width: int) -> dict[str, tuple[float, float]]:
    """Every bound of one network, and its seconds."""
    subject = network(width)
    eclipse.upper(subject)
    points = np.random.default_rng(1).normal(size=(200, INPUTS))
    rows = {
        "sampled lower": timed(lambda: lower(subject, points), repeats=1),
        "ours": timed(lambda: eclipse.upper(subject)),
        "product": timed(lambda: np.prod([np.linalg.norm(w, 2) for w in subject.weights])),
    }
    if importlib.util.find_spec("eclipse_nn"):
        methods = [method for method, most in MOST_WIDTH.items() if width <= most]
        rows |= {method: of_package(subject, method) for method in methods}
    return rows


def main() -> None:
    """Measure and print."""
    print(f"{'width':>5} {'bound':>14} {'value':>9} {'seconds':>8}")
    for width in (64, 256):
        for name, (value, seconds) in bounds_of(width).items():
            print(f"{width:5} {name:>14} {value:9.4f} {seconds:8.3f}", flush=True)


if __name__ == "__main__":
    main()
