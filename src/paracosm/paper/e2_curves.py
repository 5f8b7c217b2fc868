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
PAPER = {"dynamics": (0.34, 0.11, 0.954, (0.09, 0.13)), "reward": (90.4, 0.96, 0.997, (0.93, 0.99))}
EPOCHS = 200


def curves(answers: Sequence[Answer], task: str, quantity: str = "error", **varied: str) -> Curves:
    """What was measured of a task where these choices were varied and no other."""
    found = {}
    for answer in answers:
        given = {k: v for k, v in answer.arguments.items() if k not in ("samples", "seed", "tasks")}
        if given == varied and task in answer.result[quantity]:
            found[answer.arguments["seed"], answer.arguments["samples"]] = answer.result[quantity][
                task
            ]
    seeds, sizes = (sorted({key[n] for key in found}) for n in (0, 1))
    return Curves(
        np.array(sizes, float), np.array([[found[seed, size] for size in sizes] for seed in seeds])
    )


class Measured(NamedTuple):
    """The curves of the whole experiment, and those of the ablation: same seeds, same sizes, one
    thing changed.
    """

    dynamics: Curves
    reward: Curves
    ablation: Mapping[str, Curves]


def measured(answers: Sequence[Answer]) -> Measured:
    """The curves; those of the ablation by what is changed."""
    dynamics, reward = (curves(answers, task) for task in MAIN)
    changed = {task: curves(answers, task) for task in ABLATION}
    changed |= {f"scaled weights: {task}": curves(answers, task, weights="scaled") for task in MAIN}
    seeds, sizes = changed[ABLATION[0]].errors.shape
    same = {"dynamics": dynamics.only(seeds, sizes), "reward": reward.only(seeds, sizes)}
    return Measured(dynamics, reward, same | changed)


def varied(answers: Sequence[Answer]) -> dict[str, tuple[Estimate, Estimate]]:
    """Exponents of dynamics and reward as chosen ("ours"), and with each choice varied, on the same
    seeds and sizes.
    """
    others = {
        name: [curves(answers, task, **{name: to}) for task in MAIN]
        for name, to in VARIANTS.items()
    }
    seeds, sizes = others["starts"][0].errors.shape
    pairs = {"ours": [curves(answers, task).only(seeds, sizes) for task in MAIN]} | others
    return {name: (exponent(pair[0]), exponent(pair[1])) for name, pair in pairs.items()}
