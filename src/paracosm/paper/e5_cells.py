"""Errors of gradients along the costs of labels: the cells of E5."""

from __future__ import annotations

from typing import Any

import numpy as np

from paracosm.core.records import Estimate
from paracosm.core.records.decisions import GradientNoise
from paracosm.paper import statistics as found_by
from paracosm.paper.study import Scale
from paracosm.planning.fidelity import FidelityLaw, parse
from paracosm.planning.labels import plan_labels
from paracosm.sweep.cells import Cell

WORLDS = ("linear", "tanh")
BUDGET = 256
DEAREST = 32  # of the bounded law: labels without noise
ALONE = {
    "power:1,2": tuple(2**k for k in range(9)),
    "power:1,1": tuple(2**k for k in range(9)),
    "power:1,0.5": tuple(2**k for k in range(9)),
    f"bounded:1,{DEAREST}": (8, 9, 10, 12, 14, 16, 20, 24, 32, 64, 128, 256),
    "floor:1,8": tuple(2**k for k in range(9)),
}
ROLLOUT_PRICE = 1.0
MOST_COST = 15.0  # of a label, where a rollout has a price
BOUNDED, NOISIER = 4, 40
"""Variances of bounded labels that cost nothing."""
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
ALMOST_FREE = 255
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
"""Rollouts for each point without a price of rollouts, and for all points with one."""
_POOL = 2**17
_BLOCKS = 10  # of each pool


def alone(*, world: str, law: str, total: int, seed: int) -> dict[str, Any]:
    """The mean squared error that labels cause, at the same budget for each number of rollouts, in
    blocks.

    It is the squared distance of the noisy gradient from that of the same rollouts with true
    labels.
    """
    fidelity, errors = _law(law), []
    for i, rollouts in enumerate(ALONE[law]):
        unit = np.subtract(*_both(world, seed + i, total))
        deviation = np.sqrt(fidelity.variance(BUDGET / rollouts))
        off = deviation * found_by.grouped(unit, rollouts)
        errors.append(found_by.block_means((off**2).sum(axis=1)))
    return {"errors": errors}


def whole(*, world: str, law: str, total: int, seed: int) -> dict[str, Any]:
    """The mean squared error of the gradient along the costs, and of the planned purchases, in
    blocks.

    A purchase is `[cost, rollouts, repeats]`; `predicted` is its variance by the measured V₀ and Q,
    whose intervals are `…_half` wide to either side.
    """
    fidelity, measured = _law(law), _noise_of(world)
    bought = [[BUDGET / k - ROLLOUT_PRICE, k, 1] for k in (ALMOST_FREE, *CHEAPEST_FIRST)]
    prices: dict[str, Any] = {
        "budget": BUDGET,
        "cost_rollout": ROLLOUT_PRICE,
        "noise": measured,
        "most_cost": MOST_COST,
    }
    single = plan_labels(fidelity, **prices)
    repeated = plan_labels(
        fidelity, least_cost=BUDGET / CHEAPEST_FIRST[0] - ROLLOUT_PRICE, **prices
    )
    bought += [[each.cost, each.rollouts, each.repeats] for each in (single, repeated)]
    variances = [float(fidelity.variance(cost)) / repeats for cost, _, repeats in bought]
    errors: list[list[float]] = [[] for _ in bought]
    for pool in range(total // _POOL):
        noisy, true = _both(world, seed + pool, _POOL)
        for i, (_, rollouts, _) in enumerate(bought):
            errors[i] += _errors(
                world, true + np.sqrt(variances[i]) * (noisy - true), int(rollouts)
            )
    v0, q = measured.intrinsic.mean, measured.coefficient.mean
    predicted = [(v0 + q * v) / k for v, (_, k, _) in zip(variances, bought, strict=True)]
    known = {"intrinsic": v0, "coefficient": q}
    known |= {
        "intrinsic_half": _half(measured.intrinsic),
        "coefficient_half": _half(measured.coefficient),
    }
    return {"bought": bought, "errors": errors, "predicted": predicted} | known


def _half(estimate: Estimate) -> float:
    return (estimate.high - estimate.low) / 2


def _law(text: str) -> FidelityLaw:
    law = parse(text)
    assert isinstance(law, FidelityLaw)
    return law


def _both(world: str, seed: int, total: int) -> tuple[np.ndarray, np.ndarray]:
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
    off = found_by.grouped(gradients, rollouts) - expected
    return found_by.block_means((off**2).sum(axis=1) - own, _BLOCKS)


def _noise_of(world: str) -> GradientNoise:
    import jax

    from paracosm.imagination.gradient_noise import gradient_noise
    from paracosm.paper import labelled

    one = labelled.small(world)
    starts = jax.vmap(one.world.initial)(jax.random.split(jax.random.key(3), 4096))
    return gradient_noise(*one, starts, jax.random.key(5), horizon=labelled.HORIZON, rollouts=2**15)


def cells(scale: Scale) -> list[Cell]:
    """A cell for each law in each world, with and without a price of rollouts."""
    arguments = [
        (
            "whole" if whole_cost else "alone",
            {"world": world, "law": law, "total": _SIZES[scale][whole_cost], "seed": 1000 * i},
        )
        for whole_cost, laws in ((True, WHOLE), (False, tuple(ALONE)))
        for i, (world, law) in enumerate((world, law) for world in reversed(WORLDS) for law in laws)
    ]
    return [Cell(f"paracosm.paper.e5_cells:{name}", given) for name, given in arguments]
