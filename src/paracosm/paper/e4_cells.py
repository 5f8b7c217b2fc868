"""Gradients under noisy labels, and exact inflations: the cells of E4."""

from __future__ import annotations

from typing import Any

import numpy as np

from paracosm.paper import statistics
from paracosm.paper.study import Scale
from paracosm.sweep.cells import Cell

WORLDS = ("linear", "tanh")
WEIGHTINGS = ("discounted", "plain")
ROLLOUTS = tuple(2**k for k in range(9))  # 1 to 256: enough octaves for a slope
WITH_BASELINE = (2, 4, 16, 64)  # with one rollout nothing is left out
NOISES = ("normal", "heavy-tailed", "uneven", "shared")
SD = 1.0  # what noise adds is proportional to its square: no other is needed
REPEATS = 8  # of the exact coefficients, for their intervals
MAIN = ("linear", "discounted")
_TOGETHER = 16
"""From this many rollouts on they are averaged while they are drawn, to save memory."""
_SIZES: dict[Scale, int] = {"quick": 2**16, "full": 2**18}
"""Rollouts of a cell of few rollouts a gradient, a quarter of the others': 1,024 gradients of the
largest K at `quick`, in 80 blocks for the squared bias.
"""


def _noise(name: str) -> Any:
    from paracosm.core.noise import GaussianNoise, HeavyTailedNoise, ProportionalNoise

    return {
        "normal": GaussianNoise(SD),
        "shared": GaussianNoise(SD),
        # The fewest degrees of freedom with a fourth moment, without which variances spread wildly.
        "heavy-tailed": HeavyTailedNoise(SD, 5.0),
        "uneven": ProportionalNoise(0.3, 1.0),
    }[name]


def noisy(
    *, world: str, weighting: str, baseline: str, noise: str, rollouts: int, total: int, seed: int
) -> dict[str, Any]:
    """Gradients of K rollouts each with true and with noisy labels: the variance added, and squared
    biases.

    `added` is the difference of the traces of covariance; `bias` estimates `‖E(g̃ − g)‖²` and
    `length` `‖E g‖²`, both without bias; `off` estimates `‖E g̃ − ∇J‖²` against the closed form,
    where there is one. All in blocks.

    Args:
        world: of `WORLDS`.
        weighting: of `WEIGHTINGS`: with γ^t before each term, or without.
        baseline: `none`, `leave-one-out` or `batch mean`.
        noise: of `NOISES`.
        rollouts: K, behind each gradient.
        total: rollouts in all.
        seed: of rollouts and labels.
    """
    from paracosm.paper import labelled

    size = rollouts if baseline != "none" else _TOGETHER if rollouts >= _TOGETHER else 1
    choices: dict[str, Any] = {
        "weighting": weighting,
        "baseline": baseline,
        "shared": noise == "shared",
    }
    pair = labelled.gradients(
        world, _noise(noise), seed, groups=total // size, size=size, **choices
    )
    true, wrong = (statistics.grouped(gradients, rollouts // size) for gradients in pair)
    added = np.subtract(statistics.total_variance(wrong), statistics.total_variance(true))
    answer = {"added": added.tolist(), "bias": statistics.squared_length(wrong - true)}
    if world == "linear":
        exact = labelled.expected(world, labelled.small(world).world.reward, choices["weighting"])
        return answer | {
            "off": statistics.squared_length(wrong - exact),
            "length": [float(exact @ exact)],
        }
    return answer | {"length": statistics.squared_length(true)}


def exact(*, world: str, weighting: str, rollouts: int, seed: int) -> dict[str, Any]:
    """The exact coefficients as `gradient_noise` measures them, on other rollouts from other
    states, in each repeat.

    Args:
        world: of `WORLDS`.
        weighting: of `WEIGHTINGS`.
        rollouts: of a repeat.
        seed: of starts and rollouts.
    """
    import jax

    from paracosm.imagination.gradient_noise import added_variance, gradient_noise
    from paracosm.paper import labelled

    system = labelled.small(world)
    starts = jax.vmap(jax.vmap(system.world.initial))(
        jax.random.split(jax.random.key(seed), (REPEATS, 4096))
    )
    choices: dict[str, Any] = {
        "horizon": labelled.HORIZON,
        "weighting": weighting,
        "rollouts": rollouts,
    }
    keys = jax.random.split(jax.random.key(seed + 1), REPEATS)
    repeats = list(zip(starts, keys, strict=True))
    noises = [gradient_noise(*system, *repeat, **choices) for repeat in repeats]
    uneven = [added_variance(_noise("uneven"), *system, *repeat, **choices) for repeat in repeats]
    return {
        "coefficient": [noise.coefficient.mean for noise in noises],
        "shared": [noise.shared.mean for noise in noises],
        "bound": [noise.bound for noise in noises],
        "uneven": [noise.mean for noise in uneven],
    }


def cells(scale: Scale) -> list[Cell]:
    """For both worlds: K from 1 to 256 without a baseline, some K with one, other noise, and the
    exact coefficients.
    """
    total = _SIZES[scale]
    kinds: list[tuple[Any, ...]] = []
    for world in WORLDS:
        kinds += [(world, w, "none", "normal", k) for w in WEIGHTINGS for k in ROLLOUTS]
        kinds += [(world, "discounted", "none", noise, 8) for noise in NOISES[1:]]
        kinds += [(world, "discounted", "leave-one-out", "normal", k) for k in WITH_BASELINE]
    kinds.append((*MAIN, "batch mean", "normal", 4))
    names = ("world", "weighting", "baseline", "noise", "rollouts")
    noisy_cells = [
        Cell(
            "paracosm.paper.e4_cells:noisy",
            dict(zip(names, kind, strict=True))
            | {"total": total * (4 if kind[4] >= _TOGETHER else 1), "seed": 100 + i},
        )
        for i, kind in enumerate(kinds)
    ]
    exact_cells = [
        Cell(
            "paracosm.paper.e4_cells:exact",
            {"world": world, "weighting": w, "rollouts": total // 32, "seed": 7},
        )
        for world in WORLDS
        for w in WEIGHTINGS
    ]
    return exact_cells + sorted(noisy_cells, key=lambda cell: -cell.arguments["total"])
