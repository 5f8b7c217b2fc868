"""Best ratios of random systems, those that weights predict, and what the weights cost: the cells
of E3.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy import special

from paracosm.paper.e3_choices import (
    BUDGET,
    CHANGES,
    DIRECTIONS,
    GROUPS,
    HORIZON,
    LAWS,
    PILOT,
    RADIUS,
    STEP,
    TIMED_EPISODES,
)
from paracosm.paper.study import Scale
from paracosm.planning.budget import BudgetProblem, Offer, best_split
from paracosm.planning.law import Law
from paracosm.sweep.cells import Cell

_OFFERS = (Offer("transitions", 1.0, transitions=1), Offer("reward labels", 1.0, labels=1))
_HERE = "paracosm.paper.e3_cells"


def under(
    group: str, systems: int, seed: int, changes: list[str]
) -> dict[str, dict[str, list[float]]]:
    """`ratios` of a group under several of `CHANGES`: one cell, since compiling takes longer than
    all that is run.

    Args:
        group, systems, seed: As of `ratios`.
        changes: names in `CHANGES`.
    """
    return {name: ratios(group, systems, seed, **CHANGES[name]) for name in changes}


def ratios(
    group: str,
    systems: int,
    seed: int,
    *,
    criterion: str = "worst",
    laws: str = "root",
    budget: float = BUDGET,
    starts: int = 1,
    waves: bool = False,
    weights: str = "forward",
) -> dict[str, list[float]]:
    """Logarithms of the best and the predicted ratios of a group's systems, and the regret of each
    prediction.

    Args:
        group: of `GROUPS`, or `scalar`, where Lemma 1 is an equality.
        systems: how many.
        seed: of systems, starts and directions.
        criterion: the return error that the best ratio makes least: of the `worst` signs of both
            errors, of the two as `signed` as they were drawn, or the root mean square (`rms`) over
            `DIRECTIONS`.
        laws: of `LAWS`.
        budget: samples in all; both kinds cost the same.
        starts: over how many first states a return is averaged.
        waves: whether the errors are waves over states and actions, rather than the same
            everywhere.
        weights: realised sensitivities by a `forward` pass through the real system or a pilot's
            `learned` one, which is wrong along the same direction or another one (`aside`), or by
            steps as large as its error (`secant`).
    """
    import jax

    from paracosm.paper import e3_worlds as worlds

    law, size = LAWS[laws], {"forward": 0.0}.get(weights, float(LAWS[laws][0].error(PILOT)))
    with jax.enable_x64(True):
        directions = DIRECTIONS if criterion == "rms" else 1
        cases = worlds.cases(
            group, systems, seed, starts=starts, directions=directions, waves=waves
        )
        slopes_by = (
            worlds.secants
            if weights == "secant"
            else partial(worlds.sensitivities, aside=weights == "aside")
        )
        slopes = np.sqrt([np.mean(np.square(values), axis=-1) for values in slopes_by(cases, size)])
        constants = np.asarray(worlds.global_weights(cases, RADIUS)).T
        cost = worlds.losses(cases, criterion, law, budget)
        best = worlds.lowest(cost, systems, np.log(budget - 1))
        squares = (
            Law(law[0].scale ** 2, 2 * law[0].exponent),
            Law(law[1].scale ** 2, 2 * law[1].exponent),
        )
        predictions = {
            "realised": predicted(law, slopes, budget),
            "global": predicted(law, constants, budget),
            "squares": predicted(squares, slopes**2, budget),
        }
        errors = cost(np.stack([best, *predictions.values()], axis=1))
    least = np.maximum(
        errors[:, :1], np.finfo(float).tiny
    )  # errors that were drawn may cancel altogether
    regrets = dict(zip(predictions, (errors[:, 1:] / least - 1).T, strict=True))
    arrays = {
        "best": best,
        **predictions,
        **{f"regret_{name}": regret for name, regret in regrets.items()},
    }
    arrays["error"] = law[0].error(budget * special.expit(best))
    return {name: np.asarray(values).tolist() for name, values in arrays.items()}


def predicted(laws: tuple[Law, Law], weights: np.ndarray, budget: float) -> np.ndarray:
    """Logarithm of Theorem 1's ratio for weights `[2, system]` of dynamics and reward,
    `[system]`.
    """
    split = best_split(BudgetProblem(laws, (weights[0], weights[1])), _OFFERS, budget)
    return np.log(split.counts[:, 0] / split.counts[:, 1])


def routes(group: str, systems: int, seed: int) -> dict[str, list[float]]:
    """Relative difference of the dynamics' sensitivities by the forward pass and by the paper's
    finite differences.
    """
    import jax

    from paracosm.paper import e3_worlds as worlds

    with jax.enable_x64(True):
        cases = worlds.cases(group, systems, seed)
        passed = np.abs(worlds.sensitivities(cases, 0.0)[0])
        differences = worlds.secants(cases, STEP)[0]
    return {"difference": np.abs(differences / passed - 1)[:, 0].tolist()}


def cost(size: int, repeats: int) -> dict[str, list[float]]:
    """Processor seconds of an imagined rollout of some episodes and of the passes for both
    sensitivities, in turn.
    """
    import jax

    from paracosm.auditing.sensitivities import directional
    from paracosm.core.rollout import rollout
    from paracosm.paper.e3_worlds import constant
    from paracosm.real.systems import lipschitz_synthetic

    mdp, policy = lipschitz_synthetic(
        jax.random.key(0), state_size=size, action_size=max(1, size // 4), horizon=HORIZON
    )
    keys, horizon = jax.random.split(jax.random.key(1), TIMED_EPISODES), mdp.spec.horizon
    start = jax.vmap(mdp.initial)(keys)
    push, miss = (
        constant(mdp, np.full(size, size**-0.5, np.float32)),
        constant(mdp, np.ones((), np.float32)),
    )

    def imagined() -> Any:
        return rollout(mdp, policy, start, keys, horizon)

    def differentiated() -> Any:
        return directional(
            mdp, policy, start, keys, dynamics_error=push, reward_error=miss, horizon=horizon
        )

    jax.block_until_ready((imagined(), differentiated()))
    spent = [
        [_spent(jax.block_until_ready, run) for run in (imagined, differentiated)]
        for _ in range(repeats)
    ]
    return dict(zip(("rollout", "pass"), np.transpose(spent).tolist(), strict=True))


def _spent(wait: Callable[[Any], Any], run: Callable[[], Any]) -> float:
    start = time.process_time()
    wait(run())
    return time.process_time() - start


def cells(scale: Scale) -> list[Cell]:
    """The paper's numbers of systems, or ten times as many by more seeds; what compiles anew is a
    cell of its own.
    """
    seeds, repeats = (1, 15) if scale == "quick" else (10, 60)
    jobs = [Cell(f"{_HERE}:cost", {"size": size, "repeats": repeats}) for size in (256, 64, 16, 4)]
    alone = ("starts", "rms")
    for changes in ([name for name in CHANGES if name not in alone], ["starts"], ["rms"]):
        arguments = {"changes": changes}
        jobs += [
            _cell("under", group, count, seed, **arguments)
            for group, count in GROUPS.items()
            for seed in range(seeds)
        ]
    jobs += [_cell("under", "scalar", 9, seed, changes=["main"]) for seed in range(seeds)]
    return jobs + [
        _cell("routes", group, count, seed)
        for group, count in GROUPS.items()
        for seed in range(seeds)
    ]


def _cell(function: str, group: str, systems: int, seed: int, **more: Any) -> Cell:
    """A cell of this file.

    Args:
        function: its name.
        group, systems, seed: As of `ratios`.
        **more: the function's other arguments.
    """
    return Cell(f"{_HERE}:{function}", {"group": group, "systems": systems, "seed": seed, **more})
