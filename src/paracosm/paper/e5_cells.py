"""Errors of gradients along the costs of labels: the cells of E5."""

from __future__ import annotations

from typing import Any

import numpy as np

from paracosm.core.records import Estimate
from paracosm.core.records.decisions import GradientNoise
from paracosm.paper import statistics
from paracosm.paper.study import Scale
from paracosm.planning.fidelity import FidelityLaw, parse
from paracosm.planning.labels import plan_labels
from paracosm.sweep.cells import Cell

WORLDS = ("linear", "tanh")
BUDGET = 256  # a power of two, so that many whole numbers of rollouts use it up
DEAREST = 32  # of the bounded law, labels without noise: half of it, 16, is a cost of the grid
# Rollouts that the budget buys, dense about K = 16, where the bounded law's error is largest.
ALONE = {
    "power:1,2": tuple(2**k for k in range(9)),
    "power:1,1": tuple(2**k for k in range(9)),
    "power:1,0.5": tuple(2**k for k in range(9)),
    f"bounded:1,{DEAREST}": (8, 9, 10, 12, 14, 16, 20, 24, 32, 64, 128, 256),
    "floor:1,8": tuple(2**k for k in range(9)),
}
ROLLOUT_PRICE = 1.0  # the unit of prices
MOST_COST = 15.0  # of a label, where a rollout has a price: the budget then buys 16 rollouts
BOUNDED, NOISIER = 4, 40
"""Variances of bounded labels that cost nothing: with one the cheapest are best, with ten times as
much the dearest.
"""
WHOLE = (
    "power:1,0.5",
    "power:1,1",
    "power:1,2",
    "floor:1,8",
    f"bounded:{BOUNDED},{MOST_COST:g}",
    f"bounded:{NOISIER},{MOST_COST:g}",
)
CHEAPEST_FIRST = (240, 191, 153, 122, 97, 78, 62, 49, 39, 31, 25, 20, 16)
"""Rollouts at the budget of 256 when labels cost 1/15, …, 15 times a rollout."""
ALMOST_FREE = 255  # rollouts: what the budget buys if their labels cost 1/255
NAMED = dict(
    zip(WHOLE, ("flat", "even", "steep", "floor", "bounded", "noisier_bounded"), strict=True)
)
PAPER_BUYS = {
    law: {"flat": max, "floor": max}.get(name, min)(CHEAPEST_FIRST)
    for law, name in NAMED.items()
    if name != "even"
}
"""How many rollouts the paper's rule buys within the prices of the grid; none is best if p = 1."""
_SIZES: dict[Scale, tuple[int, int]] = {"quick": (2**15, 2**18), "full": (2**18, 2**21)}
"""Rollouts for each point without a price of rollouts, and for all points with one: `quick`
takes under a minute on two cores, `full` a few.
"""
_POOL = 2**17  # rollouts in memory at a time
_BLOCKS = 10  # of each pool


def alone(*, world: str, law: str, total: int, seed: int) -> dict[str, Any]:
    """The mean squared error that labels cause, at the same budget for each number of rollouts, in
    blocks.

    It is the squared distance of the noisy gradient from that of the same rollouts with true
    labels.

    Args:
        world: of `WORLDS`.
        law: σ²(c), of `ALONE`.
        total: rollouts in all, of each number of rollouts.
        seed: of rollouts and labels.
    """
    fidelity, errors = _law(law), []
    for i, rollouts in enumerate(ALONE[law]):
        unit = np.subtract(*_gradients(world, seed + i, total))
        deviation = np.sqrt(fidelity.variance(BUDGET / rollouts))
        off = deviation * statistics.grouped(unit, rollouts)
        errors.append(statistics.block_means((off**2).sum(axis=1)))
    return {"errors": errors}


def whole(*, world: str, law: str, total: int, seed: int) -> dict[str, Any]:
    """The mean squared error of the gradient along the costs, and of the planned purchases, in
    blocks.

    A purchase is `[cost, rollouts, repeats]`; `predicted` is its variance by the measured V₀ and Q,
    whose intervals are `…_half` wide to either side.

    Args:
        world: of `WORLDS`.
        law: σ²(c), of `WHOLE`.
        total: rollouts in all, which all purchases share.
        seed: of rollouts and labels.
    """
    fidelity, noise = _law(law), _noise_of(world)
    purchases = [[BUDGET / k - ROLLOUT_PRICE, k, 1] for k in (ALMOST_FREE, *CHEAPEST_FIRST)]
    prices: dict[str, Any] = {
        "budget": BUDGET,
        "cost_rollout": ROLLOUT_PRICE,
        "noise": noise,
        "most_cost": MOST_COST,
    }
    single = plan_labels(fidelity, **prices)
    repeated = plan_labels(
        fidelity, least_cost=BUDGET / CHEAPEST_FIRST[0] - ROLLOUT_PRICE, **prices
    )
    purchases += [[plan.cost, plan.rollouts, plan.repeats] for plan in (single, repeated)]
    variances = [float(fidelity.variance(cost)) / repeats for cost, _, repeats in purchases]
    errors: list[list[float]] = [[] for _ in purchases]
    for pool in range(total // _POOL):
        noisy, true = _gradients(world, seed + pool, _POOL)
        for i, (_, rollouts, _) in enumerate(purchases):
            errors[i] += _errors(
                world, true + np.sqrt(variances[i]) * (noisy - true), int(rollouts)
            )
    v0, q = noise.intrinsic.mean, noise.coefficient.mean
    predicted = [(v0 + q * v) / k for v, (_, k, _) in zip(variances, purchases, strict=True)]
    moments = {"intrinsic": v0, "coefficient": q}
    moments |= {
        "intrinsic_half": _half(noise.intrinsic),
        "coefficient_half": _half(noise.coefficient),
    }
    return {"bought": purchases, "errors": errors, "predicted": predicted} | moments


def _half(estimate: Estimate) -> float:
    return (estimate.high - estimate.low) / 2


def _law(text: str) -> FidelityLaw:
    law = parse(text)
    assert isinstance(law, FidelityLaw)
    return law


def _gradients(world: str, seed: int, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of single rollouts under labels with noise of variance 1, and under true ones.

    They are linear in the labels: noise of another variance moves them by another multiple.
    """
    from paracosm.core.noise import GaussianNoise
    from paracosm.paper import labelled

    true, noisy = labelled.gradients(world, GaussianNoise(1.0), seed, groups=total)
    return noisy, true


def _errors(world: str, gradients: np.ndarray, rollouts: int) -> list[float]:
    """Mean squared distance to the true gradient of the means of so many gradients, in blocks."""
    from paracosm.paper import labelled

    expected, own = labelled.truth(world)
    off = statistics.grouped(gradients, rollouts) - expected
    return statistics.block_means((off**2).sum(axis=1) - own, _BLOCKS)


def _noise_of(world: str) -> GradientNoise:
    import jax

    from paracosm.imagination.gradient_noise import gradient_noise
    from paracosm.paper import labelled

    system = labelled.small(world)
    starts = jax.vmap(system.world.initial)(jax.random.split(jax.random.key(3), 4096))
    return gradient_noise(
        *system, starts, jax.random.key(5), horizon=labelled.HORIZON, rollouts=2**15
    )


def cells(scale: Scale) -> list[Cell]:
    """A cell for each law in each world, with and without a price of rollouts."""
    jobs = [
        (
            "whole" if whole_cost else "alone",
            {"world": world, "law": law, "total": _SIZES[scale][whole_cost], "seed": 1000 * i},
        )
        for whole_cost, laws in ((True, WHOLE), (False, tuple(ALONE)))
        for i, (world, law) in enumerate((world, law) for world in reversed(WORLDS) for law in laws)
    ]
    return [Cell(f"paracosm.paper.e5_cells:{name}", arguments) for name, arguments in jobs]
