"""A PyTorch copy of a learned world beside the native one: what the same audit costs.

    python -m benchmarks.foreign

Pendulum-sized worlds of ensembles as `learn` makes them (3 members, two hidden layers of
`--width`), the same weights on both sides; 64 bits; interleaved rounds, the median of each. Rows:
an imagined evaluation of 512 rows for 100 steps, its derivative along one direction (forward) and
with respect to all starts (reverse), and a whole audit of 3 episodes of 40 steps. Compilation is
not counted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from paracosm.core.precision import in_double
from paracosm.core.rollout import unroll
from paracosm.loop.auditing import audit
from paracosm.real.systems import pendulum
from paracosm.real.verbs import evaluate
from tests.adapters.test_foreign_audit import copied, learned

ROWS, STEPS, EPISODES, LENGTH = 512, 100, 3, 40


def jobs(world: Any, policy: Any, episodes: Any) -> dict[str, Callable[[], Any]]:
    """What is timed, for one world."""
    starts = np.random.default_rng(0).normal(size=(ROWS, 3)) / 2
    keys = jax.random.split(jax.random.key(0), ROWS)

    def returned(starts):
        return unroll(world, policy, starts, keys, STEPS).reward.sum()

    forward = eqx.filter_jit(lambda x: jax.jvp(returned, (x,), (jnp.ones_like(x),))[1])
    value, reverse = eqx.filter_jit(returned), eqx.filter_jit(jax.grad(returned))
    return {
        "evaluation": lambda: jax.block_until_ready(value(starts)),
        "forward derivative": lambda: jax.block_until_ready(forward(starts)),
        "reverse derivative": lambda: jax.block_until_ready(reverse(starts)),
        "audit": lambda: audit(world, policy, episodes),
    }


def seconds(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The median time of each side, rounds interleaved, after one call to compile."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for round in range(rounds + 1):
        for name, job in sides.items():
            begin = time.perf_counter()
            job()
            if round:
                seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(times) for name, times in seconds.items()}


def main() -> None:
    """Measure, and print one JSON object a line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    flags = parser.parse_args()
    world, policy = learned(flags.width)
    episodes = evaluate(pendulum(), policy, episodes=EPISODES, horizon=LENGTH)
    with jax.enable_x64(True):
        wide = in_double(policy)
        sides = {
            "native": jobs(in_double(world), wide, episodes),
            "torch": jobs(copied(world), wide, episodes),
        }
        for job in sides["native"]:
            times = seconds({side: sides[side][job] for side in sides}, flags.rounds)
            print(
                json.dumps({"job": job, **times, "times": times["torch"] / times["native"]}),
                flush=True,
            )


if __name__ == "__main__":
    main()
