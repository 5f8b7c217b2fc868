"""How long plans take, and what planning loses in simulation: the table of docs/splitting.md.

    python -m benchmarks.plans            10,000 exact splits at once, and one whole plan
    python -m benchmarks.plans 250        and the table, 250 simulated pilots a row

10,000 plans in under 10 s are asked for. The simulation is that of tests/planning/test_regret.py.
"""

from __future__ import annotations

import itertools
import sys
import time

import numpy as np

from paracosm.core.records import Weights
from paracosm.core.records.decisions import Anchor, Curve
from paracosm.planning.budget import BudgetProblem, Offer, best_split
from paracosm.planning.law import Law
from paracosm.planning.plan import plan
from tests.planning.test_regret import (
    AFTER_PILOT,
    CAUTIOUS,
    CELLS,
    COVERED,
    LAWFUL,
    RULES,
    SAID,
    Row,
    row,
)

PLANS, DRAWS = 10_000, 100


def problems(draws: int) -> tuple[BudgetProblem, list[Offer], np.ndarray]:
    """Random ones: exponents 0.05 to 1.5, prices over six decades."""
    rng = np.random.default_rng(0)

    def log10(low: float, high: float) -> np.ndarray:
        return 10 ** rng.uniform(low, high, PLANS)

    def law() -> Law:
        exponent = rng.uniform(0.05, 1.5, (PLANS, 1)) * np.exp(
            0.1 * rng.standard_normal((PLANS, draws))
        )
        return Law(log10(-2, 3)[:, None], exponent, 0.0)

    problem = BudgetProblem(
        (law(), law()), (log10(-2, 2), log10(-2, 2)), (log10(1, 5), log10(1, 5))
    )
    return (
        problem,
        [Offer("dynamics", log10(-3, 3), transitions=1), Offer("reward", log10(-3, 3), labels=1)],
        log10(2, 7),
    )


def one_plan() -> None:
    """A whole plan: two curves, decision under uncertainty, frontier, pilots."""
    rng = np.random.default_rng(0)
    rows = [*itertools.product((500, 1000, 2000, 4000, 8000), range(3))]
    curves = {
        part: Curve(
            part,
            tuple(Anchor(n, 9 * n**-0.4 * float(np.exp(0.1 * rng.normal())), s) for n, s in rows),
            "rms",
            "simulated",
        )
        for part in ("dynamics", "reward")
    }
    plan(
        curves,
        Weights(3, 1, "rms", 0.99, 200, "given"),
        budget=60_000,
        cost_dynamics=1,
        cost_reward=10,
    )


def seconds(work, *arguments) -> float:
    """How long it takes, after once to warm up."""
    work(*arguments)
    began = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - began


def line(row: Row) -> str:
    """A row of the table: mean and 95th percentile of each rule, then how honest the plan is about
    itself.
    """
    regrets = [row.found[name] for name in RULES]
    cells = [f"{regret.mean():.2%} / {np.quantile(regret, 0.95):.2%}" for regret in regrets]
    cells += [f"{row.found[name].mean():.2%}" for name in (SAID, LAWFUL, CAUTIOUS, AFTER_PILOT)]
    price, weight = row.cell
    return (
        f"| {price:g} | {weight:g} | {' | '.join(cells)} | {row.found[COVERED].mean():.0%} |"
        f" {row.refused} |"
    )


def main() -> None:
    """Measure and print."""
    for draws in (1, DRAWS):
        took = seconds(best_split, *problems(draws))
        print(f"{PLANS} splits, {draws} draws of each law: {took:.2f} s")
    print(f"one whole plan: {seconds(one_plan):.2f} s")
    if sys.argv[1:]:
        names = (
            "label's price",
            "dynamics' weight",
            *RULES,
            SAID,
            LAWFUL,
            CAUTIOUS,
            AFTER_PILOT,
            COVERED,
            "refused",
        )
        print(f"| {' | '.join(names)} |\n{'| --- ' * len(names)}|")
        for cell in CELLS:
            print(line(row(cell, int(sys.argv[1]))), flush=True)


if __name__ == "__main__":
    main()
