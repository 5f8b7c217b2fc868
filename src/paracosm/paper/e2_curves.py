"""The learning curves of E2: which there are, and how they are gathered from the cells' answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from paracosm.core.records import Estimate
from paracosm.paper.power_laws import Curves, exponent
from paracosm.paper.study import Answer

MAIN = ("dynamics", "reward")
ABLATION = ("one component", "before tanh", "tanh student")
VARIANTS = {"starts": "origin", "actions": "normal", "teachers": "one", "steps": "equal"}
"""Each choice that the paper leaves open, and its other value."""
PAPER = {
    "dynamics": (0.34, 0.11, 0.954, (0.09, 0.13)),
    "reward": (90.4, 0.96, 0.997, (0.93, 0.99)),
}
"""Prefactor, exponent, R² and the exponent's 95% interval of both curves."""
EPOCHS = 200  # the paper's


def curves(answers: Sequence[Answer], task: str, quantity: str = "error", **choices: str) -> Curves:
    """What was measured of a task where these choices were varied and no other.

    Args:
        answers: of the cells.
        task: what a student learned.
        quantity: the key of the results.
        **choices: the arguments of `e2.trained` that differ from its defaults.
    """
    errors = {}
    for answer in answers:
        variation = {
            k: v for k, v in answer.arguments.items() if k not in ("samples", "seed", "tasks")
        }
        if variation == choices and task in answer.result[quantity]:
            errors[answer.arguments["seed"], answer.arguments["samples"]] = answer.result[quantity][
                task
            ]
    seeds, sizes = (sorted({key[n] for key in errors}) for n in (0, 1))
    return Curves(
        np.array(sizes, float), np.array([[errors[seed, size] for size in sizes] for seed in seeds])
    )


class ExperimentCurves(NamedTuple):
    """The curves of the whole experiment, and those of the ablation: same seeds, same sizes, one
    thing changed.
    """

    dynamics: Curves
    reward: Curves
    ablation: Mapping[str, Curves]


def experiment_curves(answers: Sequence[Answer]) -> ExperimentCurves:
    """The curves; those of the ablation by what is changed."""
    dynamics, reward = (curves(answers, task) for task in MAIN)
    ablation = {task: curves(answers, task) for task in ABLATION}
    ablation |= {
        f"scaled weights: {task}": curves(answers, task, weights="scaled") for task in MAIN
    }
    seeds, sizes = ablation[ABLATION[0]].errors.shape
    baseline = {"dynamics": dynamics.only(seeds, sizes), "reward": reward.only(seeds, sizes)}
    return ExperimentCurves(dynamics, reward, baseline | ablation)


def varied_exponents(answers: Sequence[Answer]) -> dict[str, tuple[Estimate, Estimate]]:
    """Exponents of dynamics and reward as chosen ("ours"), and with each choice varied, on the same
    seeds and sizes.
    """
    by_choice = {
        name: [curves(answers, task, **{name: value}) for task in MAIN]
        for name, value in VARIANTS.items()
    }
    seeds, sizes = by_choice["starts"][0].errors.shape
    pairs = {"ours": [curves(answers, task).only(seeds, sizes) for task in MAIN]} | by_choice
    return {name: (exponent(pair[0]), exponent(pair[1])) for name, pair in pairs.items()}
