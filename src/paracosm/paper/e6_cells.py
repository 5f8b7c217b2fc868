"""Errors of gradients under biased labels, debiased ones, and who wins: the cells of E6."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from paracosm.core import control_variates
from paracosm.paper import statistics
from paracosm.paper.study import Scale
from paracosm.planning.mixture import NAMES, plan_mixture
from paracosm.sweep.cells import Cell

WORLDS = ("linear", "tanh")
ROLLOUTS = tuple(4**k for k in range(8))  # 1 to 16,384: at the last all but 1% is the floor
SD = 0.5  # of cheap labels
MIXED = 256  # rollouts of a debiased gradient
GOLD = (16, 32, 64, 128)  # of these with gold labels, too
MAIN_GOLD = 32
PRICES = ((1.0, 1.0, 20.0), (1.0, 0.1, 5.0), (0.1, 0.1, 20.0), (1.0, 0.5, 2.0))
"""Of a rollout before it is labelled, its cheap labels, its gold labels: gold ones are 4 to 200
times as dear as cheap ones.
"""
AFFORDED = tuple(32 * 2**k for k in range(8))
"""Budgets, as the numbers of rollouts with cheap labels that they buy."""
_TOGETHER = 64
"""From this many rollouts on they are averaged while they are drawn, to save memory."""
_MOST_GROUPS = 2000  # of debiased gradients, which are computed one after the other
WINNER_BLOCKS = 8  # so few that a block still holds groups of the largest budgets
"""Of the fresh rollouts that ways to label are scored on."""
_MOMENTS = 2**16  # rollouts behind what a plan knows
_BIAS = 2**20  # rollouts behind an estimate of the squared bias
_SIZES: dict[Scale, tuple[int, int, int]] = {
    "quick": (2**16, 40, 2**16),
    "full": (2**18, 80, 2**18),
}
"""Rollouts for each K, groups of the largest K, and rollouts for mixtures."""


def floor(*, world: str, rollouts: int, total: int, seed: int) -> dict[str, Any]:
    """The mean squared error of the gradient of K rollouts with biased labels, in blocks.

    Args:
        world: of `WORLDS`.
        rollouts: K.
        total: rollouts in all.
        seed: of rollouts and labels.
    """
    from paracosm.paper import labelled

    size = 1 if rollouts < _TOGETHER else _TOGETHER
    _, cheap = labelled.gradients(world, _cheap(world), seed, groups=total // size, size=size)
    expected, own = labelled.truth(world)
    off = statistics.grouped(cheap, rollouts // size) - expected
    return {"errors": statistics.block_means((off**2).sum(axis=1) - own)}


def moments(*, world: str, total: int, seed: int) -> dict[str, Any]:
    """Variances of one rollout's gradient under cheap and gold labels and their covariance; squared
    bias, two routes.

    `paired` estimates `‖E(g̃ − g)‖²` from the same rollouts; `closed` is `‖∇B_H‖²` in closed form,
    where there is one.
    """
    from paracosm.paper import labelled

    gold, cheap = _pairs(world, seed, total)
    averaged = labelled.gradients(
        world, _cheap(world), seed + 1, groups=_BIAS // _TOGETHER, size=_TOGETHER
    )
    of_sum, of_difference = (
        statistics.total_variance(gradients) for gradients in (gold + cheap, gold - cheap)
    )
    answer = {
        "cheap": statistics.total_variance(cheap),
        "gold": statistics.total_variance(gold),
        "between": (np.subtract(of_sum, of_difference) / 4).tolist(),
        "paired": statistics.squared_length(averaged[1] - averaged[0]),
    }
    if world == "linear":
        bias = labelled.expected(world, labelled.tilt(world))
        answer["closed"] = [float(bias @ bias)]
    return answer


def debiased(*, world: str, gold: int, tuning: str, total: int, seed: int) -> dict[str, Any]:
    """The debiased gradient of `MIXED` rollouts of which some have gold labels: squared bias and
    variance, in blocks.

    The bias is that against the same rollouts with gold labels on all, whose mean has none.

    Args:
        world: of `WORLDS`.
        gold: how many of the `MIXED` have gold labels.
        tuning: of λ, `leave-one-out` or `cross-fit`.
        total: rollouts in all.
        seed: of rollouts and labels.
    """
    values, gold_means = [], []
    for true, cheap in zip(
        *(statistics.groups_of(gradients, MIXED) for gradients in _pairs(world, seed, total)),
        strict=True,
    ):
        values.append(
            control_variates.debiased_mean(true[:gold], cheap, tuning=_tuning(tuning)).value
        )
        gold_means.append(true.mean(axis=0))
    estimates = np.array(values)
    return {
        "bias": statistics.squared_length(estimates - np.array(gold_means)),
        "variance": statistics.total_variance(estimates),
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

    Args:
        world: of `WORLDS`.
        prices: of a rollout, its cheap labels and its gold labels.
        total: rollouts in all, which all budgets share.
        seed: of rollouts and labels.
    """
    moments_known = moments(world=world, total=_MOMENTS, seed=7)
    means = {name: float(np.mean(blocks)) for name, blocks in moments_known.items()}
    draws, arguments = (
        [_pairs(world, draw, total) for draw in (seed, seed + 1)],
        _plan_arguments(prices, means),
    )
    predicted, errors, fresh_errors = [], [], []
    for budget in budgets(prices):
        plan = plan_mixture(budget=budget, **arguments)
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
        errors.append([float(np.mean(errors)) if len(errors) else -1.0 for errors in first])
        fresh_errors.append(
            [
                statistics.block_means(errors, WINNER_BLOCKS) if len(errors) else []
                for errors in fresh
            ]
        )
    return {"predicted": predicted, "measured": errors, "again": fresh_errors}


def _plan_arguments(prices: Sequence[float], means: dict[str, float]) -> dict[str, float]:
    rollout, cheap, gold = prices
    return {
        "cost_rollout": rollout,
        "cheap_cost": cheap,
        "gold_cost": gold,
        "cheap_variance": means["cheap"],
        "gold_variance": means["gold"],
        "correlation": means["between"] / np.sqrt(means["cheap"] * means["gold"]),
        "bias": float(np.sqrt(max(means["paired"], 0.0))),
    }


def _errors(
    world: str, pairs: tuple[np.ndarray, np.ndarray], name: str, purchase: tuple[int, int] | None
) -> np.ndarray:
    """Squared errors of one way to label, by groups of rollouts in their order; none if the budget
    buys none.

    Args:
        world: of `WORLDS`.
        pairs: gradients of single rollouts under gold and cheap labels, `[total, parameters]` each.
        name: the way, of `NAMES`.
        purchase: rollouts, and those with gold labels.
    """
    from paracosm.paper import labelled

    if purchase is None:
        return np.empty(0)
    rollouts, gold = purchase
    true, cheap = (statistics.groups_of(gradients, rollouts) for gradients in pairs)
    if name == "mixture":
        groups = range(0, len(true), -(-len(true) // _MOST_GROUPS))
        estimates = np.array(
            [control_variates.debiased_mean(true[i, :gold], cheap[i]).value for i in groups]
        )
    else:
        estimates = (true if name == "gold" else cheap).mean(axis=1)
    expected, own = labelled.truth(world)
    return np.sum((estimates - expected) ** 2, axis=1) - own


def _pairs(world: str, seed: int, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Gradients `[total, parameters]` of single rollouts by gold and by cheap labels."""
    from paracosm.paper import labelled

    return labelled.gradients(world, _cheap(world), seed, groups=total)


def _cheap(world: str) -> Any:
    from paracosm.paper import labelled

    return labelled.Cheap(labelled.tilt(world), SD)


def _tuning(name: str) -> control_variates.Tuning:
    return "cross-fit" if name == "cross-fit" else "leave-one-out"


def cells(scale: Scale) -> list[Cell]:
    """For both worlds: the error for K from 1 to 16,384, moments, debiased gradients, and who wins
    at which price.
    """
    per_rollouts, largest, mixtures = _SIZES[scale]
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
        kinds.append(("moments", {"world": world, "total": per_rollouts}))
        kinds += [
            ("floor", {"world": world, "rollouts": k, "total": max(per_rollouts, largest * k)})
            for k in reversed(ROLLOUTS)
        ]
    return [
        Cell(f"paracosm.paper.e6_cells:{name}", arguments | {"seed": 10 * i})
        for i, (name, arguments) in enumerate(kinds)
    ]
