"""Fits of a round's dynamics: Paracosm against a plain PyTorch loop.

    python benchmarks/fits.py

Four networks of 2×128, tanh, with means and spreads of 12 outputs from 16 inputs, batches of 256
rows drawn with replacement for each, Adam: steps of all four a second, in 5,000 rows. Two threads
or devices on each side (or `--threads`), rounds interleaved. The loop is written as one would who
wants it fast: the four networks are one batch of products, the optimiser runs over all tensors at
once.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable

import equinox as eqx
import jax
import numpy as np
import torch
from torch.nn.functional import softplus

from paracosm.core.networks import MLP
from paracosm.learning.fit import fit, pad
from paracosm.learning.parts import LOG_VARIANCE
from paracosm.learning.settings import FitSettings

INPUTS, OUTPUTS, WIDTH, MEMBERS, BATCH, ROWS, STEPS = 16, 12, 128, 4, 256, 5000, 400
LEAST, MOST = LOG_VARIANCE
SETTINGS = FitSettings(
    members=MEMBERS,
    width=WIDTH,
    batch=BATCH,
    rates=(1e-3,),
    least_steps=STEPS,
    most_steps=STEPS,
    most_epochs=1,
    keep="last",
)


def in_paracosm(inputs: np.ndarray, targets: np.ndarray) -> Callable[[], object]:
    """A call of an epoch of the library's own fit.

    Args:
        inputs, targets: `[rows, …]`.
    """
    keys = jax.random.split(jax.random.key(0), MEMBERS)
    networks = eqx.filter_vmap(lambda key: MLP(INPUTS, 2 * OUTPUTS, WIDTH, 2, key))(keys)
    rows = pad(inputs, targets)
    validation = pad(inputs[:16], targets[:16])

    def call() -> object:
        fitted = fit(networks, rows, validation, keys, loss="gaussian", settings=SETTINGS)
        return jax.block_until_ready(fitted.losses)

    call()
    return call


def in_torch(inputs: np.ndarray, targets: np.ndarray) -> Callable[[], object]:
    """The same steps by hand.

    Args:
        inputs, targets: `[rows, …]`.
    """
    x, y = (torch.tensor(rows, dtype=torch.float32) for rows in (inputs, targets))
    shapes = [(INPUTS, WIDTH), (WIDTH, WIDTH), (WIDTH, 2 * OUTPUTS)]
    weights = [(torch.randn(MEMBERS, *s) / math.sqrt(s[0])).requires_grad_() for s in shapes]
    biases = [torch.zeros(MEMBERS, 1, s[1], requires_grad=True) for s in shapes]
    adam = torch.optim.Adam([*weights, *biases], 1e-3, foreach=True)

    def step() -> None:
        rows = torch.randint(len(x), (MEMBERS, BATCH))
        hidden = x[rows]
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            hidden = torch.tanh(torch.baddbmm(bias, hidden, weight))
        mean, raw = torch.baddbmm(biases[-1], hidden, weights[-1]).chunk(2, 2)
        above = LEAST + softplus(raw - LEAST)
        log_variance = MOST - softplus(MOST - above)
        likelihood = (y[rows] - mean) ** 2 * torch.exp(-log_variance) + log_variance
        loss = (torch.exp(0.5 * log_variance.detach()) * likelihood).mean((1, 2)).sum()
        adam.zero_grad()
        loss.backward()
        adam.step()

    def call() -> object:
        for _ in range(STEPS):
            step()
        return None

    call()
    return call


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--threads", type=int, default=2, help="threads of PyTorch and host devices of XLA"
    )
    parser.add_argument("--rounds", type=int, default=10, help="interleaved rounds")
    arguments = parser.parse_args()
    # Read when JAX first needs a device, which is below.
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={arguments.threads}"
    torch.set_num_threads(arguments.threads)
    random = np.random.default_rng(0)
    inputs, targets = (random.normal(size=(ROWS, size)) for size in (INPUTS, OUTPUTS))
    ours, theirs = in_paracosm(inputs, targets), in_torch(inputs, targets)

    def seconds(call: Callable[[], object]) -> float:
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    rounds = [(seconds(ours), seconds(theirs)) for _ in range(arguments.rounds)]
    for name, times in zip(("Paracosm", "PyTorch"), zip(*rounds, strict=True), strict=True):
        print(f"{name:10} {STEPS / statistics.median(times):8,.0f} steps a second")
    ratio = statistics.median(theirs / ours for ours, theirs in rounds)
    print(f"Paracosm is {ratio:.2f}x PyTorch (median of {len(rounds)} interleaved rounds)")


if __name__ == "__main__":
    main()
