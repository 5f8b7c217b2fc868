"""Gradients under noisy labels, and exact inflations: the cells of E4."""

from __future__ import annotations

from typing import Any

import numpy as np

from paracosm.paper import statistics as found_by
from paracosm.paper.study import Scale
from paracosm.sweep.cells import Cell

WORLDS = ("linear", "tanh")
WEIGHTINGS = ("discounted", "plain")
ROLLOUTS = tuple(2**k for k in range(9))
WITH_BASELINE = (2, 4, 16, 64)
NOISES = ("normal", "heavy-tailed", "uneven", "shared")
SD = 1.0
REPEATS = 8
MAIN = ("linear", "discounted")
_TOGETHER = 16  # from this many rollouts on they are averaged while they are drawn, to save memory
_SIZES: dict[Scale, int] = {"quick": 2**16, "full": 2**18}


def _noise(name: str) -> Any:
    from paracosm.core.noise import GaussianNoise, HeavyTailedNoise, ProportionalNoise

    return {
        "normal": GaussianNoise(SD),
        "shared": GaussianNoise(SD),
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
    """
    from paracosm.paper import labelled

    size = rollouts if baseline != "none" else _TOGETHER if rollouts >= _TOGETHER else 1
    choices: dict[str, Any] = {
        "weighting": weighting,
        "baseline": baseline,
        "shared": noise == "shared",
    }
    drawn = labelled.gradients(
        world, _noise(noise), seed, groups=total // size, size=size, **choices
    )
    true, wrong = (found_by.grouped(each, rollouts // size) for each in drawn)
    added = np.subtract(found_by.total_variance(wrong), found_by.total_variance(true))
    answer = {"added": added.tolist(), "bias": found_by.squared_length(wrong - true)}
    if world == "linear":
        exact = labelled.expected(world, labelled.small(world).world.reward, choices["weighting"])
        return answer | {
            "off": found_by.squared_length(wrong - exact),
            "length": [float(exact @ exact)],
        }
    return answer | {"length": found_by.squared_length(true)}


def exact(*, world: str, weighting: str, rollouts: int, seed: int) -> dict[str, Any]:
    """The exact coefficients as `gradient_noise` measures them, on other rollouts from other
    states, in each repeat.
    """
    import jax

    from paracosm.imagination.gradient_noise import added_variance, gradient_noise
    from paracosm.paper import labelled

    one = labelled.small(world)
    starts = jax.vmap(jax.vmap(one.world.initial))(
        jax.random.split(jax.random.key(seed), (REPEATS, 4096))
    )
    choices: dict[str, Any] = {
        "horizon": labelled.HORIZON,
        "weighting": weighting,
        "rollouts": rollouts,
    }
    keys = jax.random.split(jax.random.key(seed + 1), REPEATS)
    repeats = list(zip(starts, keys, strict=True))
    found = [gradient_noise(*one, *repeat, **choices) for repeat in repeats]
    uneven = [added_variance(_noise("uneven"), *one, *repeat, **choices) for repeat in repeats]
    return {
        "intrinsic": [each.intrinsic.mean for each in found],
        "coefficient": [each.coefficient.mean for each in found],
        "shared": [each.shared.mean for each in found],
        "bound": [each.bound for each in found],
        "uneven": [each.mean for each in uneven],
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
