"""Lipschitz brackets of random networks: how tight, and how long after compilation.

    python benchmarks/lipschitz.py

Two hidden layers of tanh, 16 inputs, 12 outputs, weights normal over the square root of their
inputs; under 0.5 s is asked for at width 64 and under 5 s at 256.
"""

from __future__ import annotations

import time

import numpy as np

from paracosm.auditing.lipschitz import eclipse
from paracosm.auditing.lipschitz.steepest import lower
from paracosm.core import activations
from paracosm.core.layers import Layered, activated, affine, compose

INPUTS, OUTPUTS, REPEATS = 16, 12, 3


def network(width: int) -> Layered:
    """A random network of two hidden layers."""
    rng = np.random.default_rng(0)
    sizes = ((width, INPUTS), (width, width), (OUTPUTS, width))
    first, second, third = (
        affine(rng.normal(size=s) / np.sqrt(s[1]), 0.3 * rng.normal(size=s[0])) for s in sizes
    )
    act = activated(activations.TANH, width)
    return compose(third, act, second, act, first)


def main() -> None:
    """Measure and print."""
    print(f"{'width':>5} {'lower':>8} {'upper':>8} {'product':>8} {'seconds':>8}")
    for width in (64, 256):
        subject = network(width)
        bound = eclipse.upper(subject)
        times = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            eclipse.upper(subject)
            times.append(time.perf_counter() - began)
        sampled_bound = lower(subject, np.random.default_rng(1).normal(size=(200, INPUTS)))
        product = np.prod([np.linalg.norm(weight, 2) for weight in subject.weights])
        print(
            f"{width:5} {sampled_bound:8.3f} {bound:8.3f} {product:8.3f} {min(times):8.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
