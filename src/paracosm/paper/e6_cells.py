"""Errors of gradients under biased labels, debiased ones, and who wins: the cells of E6."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from paracosm.core import control
from paracosm.paper import statistics as found_by
from paracosm.paper.study import Scale
from paracosm.planning.mixture import NAMES, plan_mixture
from paracosm.sweep.cells import Cell

WORLDS = ("linear", "tanh")
ROLLOUTS = tuple(4**k for k in range(8))
SD = 0.5
MIXED = 256
GOLD = (16, 32, 64, 128)
MAIN_GOLD = 32
PRICES = ((1.0, 1.0, 20.0), (1.0, 0.1, 5.0), (0.1, 0.1, 20.0), (1.0, 0.5, 2.0))
"""Of a rollout before it is labelled, its cheap labels, its gold labels."""
AFFORDED = tuple(32 * 2**k for k in range(8))
"""Budgets, as the numbers of rollouts with cheap labels that they buy."""
_TOGETHER = 64  # from this many rollouts on they are averaged while they are drawn, to save memory
_MOST_GROUPS = 2000
WINNER_BLOCKS = 8
"""Of the fresh rollouts that ways to label are scored on."""
_MOMENTS = 2**16
_BIAS = 2**20  # rollouts behind an estimate of the squared bias
_SIZES: dict[Scale, tuple[int, int, int]] = {
    "quick": (2**16, 40, 2**16),
    "full": (2**18, 80, 2**18),
}
"""Rollouts for each K, groups of the largest K, and rollouts for mixtures."""


def floor(*, world: str, rollouts: int, total: int, seed: int) -> dict[str, Any]:
    """The mean squared error of the gradient of K rollouts with biased labels, in blocks."""
    from paracosm.paper import labelled

    size = 1 if rollouts < _TOGETHER else _TOGETHER
    _, cheap = labelled.gradients(world, _cheap(world), seed, groups=total // size, size=size)
    expected, own = labelled.truth(world)
    off = found_by.grouped(cheap, rollouts // size) - expected
    return {"errors": found_by.block_means((off**2).sum(axis=1) - own)}


def moments(*, world: str, total: int, seed: int) -> dict[str, Any]:
    """Variances of one rollout's gradient under cheap and gold labels and their covariance; squared
    bias, two routes.

    `paired` estimates `‖E(g̃ − g)‖²` from the same rollouts; `closed` is `‖∇B_H‖²` in closed form,
    where there is one.
    """
    from paracosm.paper import labelled

    gold, cheap = _pairs(world, seed, total)
    many = labelled.gradients(
        world, _cheap(world), seed + 1, groups=_BIAS // _TOGETHER, size=_TOGETHER
    )
    both, difference = (found_by.total_variance(each) for each in (gold + cheap, gold - cheap))
    answer = {
        "cheap": found_by.total_variance(cheap),
        "gold": found_by.total_variance(gold),
        "between": (np.subtract(both, difference) / 4).tolist(),
        "paired": found_by.squared_length(many[1] - many[0]),
    }
    if world == "linear":
        bias = labelled.expected(world, labelled.tilt(world))
        answer["closed"] = [float(bias @ bias)]
    return answer


def debiased(*, world: str, gold: int, tuning: str, total: int, seed: int) -> dict[str, Any]:
    """The debiased gradient of `MIXED` rollouts of which some have gold labels: squared bias and
    variance, in blocks.

    The bias is that against the same rollouts with gold labels on all, whose mean has none.
    """
    values, whole = [], []
    for true, cheap in zip(
        *(found_by.groups_of(each, MIXED) for each in _pairs(world, seed, total)), strict=True
    ):
        values.append(control.debiased_mean(true[:gold], cheap, tuning=_tuning(tuning)).value)
        whole.append(true.mean(axis=0))
    found = np.array(values)
    return {
        "bias": found_by.squared_length(found - np.array(whole)),
        "variance": found_by.total_variance(found),
    }


def budgets(prices: Sequence[float]) -> tuple[float, ...]:
    """What `AFFORDED` rollouts with cheap labels cost."""
    return tuple(rollouts * (prices[0] + prices[1]) for rollouts in AFFORDED)


def winners(*, world: str, prices: Sequence[float], total: int, seed: int) -> dict[str, Any]:
    """What `plan_mixture` predicts of cheap, gold and both at each budget, and the squared errors
    measured.

    The plan knows variances, correlation and bias from other rollouts. A way that the budget does
    not buy has −1. `again` is measured on fresh rollouts, in blocks, so that what was best by
    `measured` can be scored without favour and with an interval; it is empty for a way that the
    budget does not buy.
    """
    known = moments(world=world, total=_MOMENTS, seed=7)
    given = {name: float(np.mean(each)) for name, each in known.items()}
    draws, asked = [_pairs(world, each, total) for each in (seed, seed + 1)], _asked(prices, given)
    predicted, measured, again = [], [], []
    for budget in budgets(prices):
        plan = plan_mixture(budget=budget, **asked)
        choices = {choice.name: choice for choice in plan.choices}
        counts = [
            (choices[name].rollouts, choices[name].gold) if name in choices else None
            for name in NAMES
        ]
        predicted.append([choices[name].error if name in choices else -1.0 for name in NAMES])
        first, fresh = (
            [_errors(world, pairs, *way) for way in zip(NAMES, counts, strict=True)]
            for pairs in draws
        )
        measured.append([float(np.mean(errors)) if len(errors) else -1.0 for errors in first])
        again.append(
            [found_by.block_means(errors, WINNER_BLOCKS) if len(errors) else [] for errors in fresh]
        )
    return {"predicted": predicted, "measured": measured, "again": again}


def _asked(prices: Sequence[float], given: dict[str, float]) -> dict[str, float]:
    rollout, cheap, gold = prices
    return {
        "cost_rollout": rollout,
        "cheap_cost": cheap,
        "gold_cost": gold,
        "cheap_variance": given["cheap"],
        "gold_variance": given["gold"],
        "correlation": given["between"] / np.sqrt(given["cheap"] * given["gold"]),
        "bias": float(np.sqrt(max(given["paired"], 0.0))),
    }


def _errors(
    world: str, pairs: tuple[np.ndarray, np.ndarray], name: str, bought: tuple[int, int] | None
) -> np.ndarray:
    """Squared errors of one way to label, by groups of rollouts in their order; none if the budget
    buys none.
    """
    from paracosm.paper import labelled

    if bought is None:
        return np.empty(0)
    rollouts, gold = bought
    true, cheap = (found_by.groups_of(each, rollouts) for each in pairs)
    if name == "mixture":
        groups = range(0, len(true), -(-len(true) // _MOST_GROUPS))
        found = np.array([control.debiased_mean(true[i, :gold], cheap[i]).value for i in groups])
    else:
        found = (true if name == "gold" else cheap).mean(axis=1)
    expected, own = labelled.truth(world)
    return np.sum((found - expected) ** 2, axis=1) - own


def _pairs(world: str, seed: int, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of single rollouts under gold and under cheap labels, `[total, parameters]`
    each.
    """
    from paracosm.paper import labelled

    return labelled.gradients(world, _cheap(world), seed, groups=total)


def _cheap(world: str) -> Any:
    from paracosm.paper import labelled

    return labelled.Cheap(labelled.tilt(world), SD)


def _tuning(name: str) -> control.Tuning:
    return "cross-fit" if name == "cross-fit" else "leave-one-out"


def cells(scale: Scale) -> list[Cell]:
    """For both worlds: the error for K from 1 to 16,384, moments, debiased gradients, and who wins
    at which price.
    """
    each, largest, mixtures = _SIZES[scale]
    kinds: list[tuple[str, dict[str, Any]]] = []
    for world in reversed(WORLDS):
        kinds += [
            ("winners", {"world": world, "prices": list(prices), "total": mixtures})
            for prices in PRICES
        ]
        kinds += [
            (
                "debiased",
                {"world": world, "gold": n, "tuning": "leave-one-out", "total": 4 * mixtures},
            )
            for n in GOLD
        ]
        kinds.append(
            (
                "debiased",
                {"world": world, "gold": MAIN_GOLD, "tuning": "cross-fit", "total": 4 * mixtures},
            )
        )
        kinds.append(("moments", {"world": world, "total": each}))
        kinds += [
            ("floor", {"world": world, "rollouts": k, "total": max(each, largest * k)})
            for k in reversed(ROLLOUTS)
        ]
    return [
        Cell(f"paracosm.paper.e6_cells:{name}", given | {"seed": 10 * i})
        for i, (name, given) in enumerate(kinds)
    ]
