"""The experiments by name, in one line each with the minutes they take on two cores; loads
no JAX.
"""

from __future__ import annotations

import importlib
from typing import NamedTuple

from paracosm.core import checks
from paracosm.paper.study import Study


class Entry(NamedTuple):
    """Title and minutes on two cores at either scale."""

    title: str
    quick: float
    full: float


CONTENTS = {
    "E1": Entry("Lemma 1: is the bound kept, and how loose is it?", 0.6, 0.6),
    "E2": Entry("Learning curves: why do dynamics learn slower than rewards?", 2, 25),
    "E3": Entry("Theorem 1: which weights predict the best ratio of samples?", 0.5, 6.4),
    "E4": Entry("Theorem 2: what does label noise do to REINFORCE?", 1, 1.4),
    "E5": Entry("Corollary 2: cheap noisy labels or dear clean ones?", 0.7, 3.3),
    "E6": Entry("Proposition 2: the bias floor, and how to go below it", 1.2, 2.2),
    "E7": Entry("Proposition 1: smooth latent dynamics are nearly straight", 0.3, 1.4),
    "E8": Entry("Lipschitz control: does the return follow the bound?", 4, 10.4),
    "E9": Entry("Temporal straightening: do straight latent paths help planning?", 4, 21.4),
    "E10": Entry("Exploitability: whose order does a wrong world invert?", 1, 31),
}


def study(name: str) -> Study:
    """The experiment of this name.

    Raises:
        BadArgument: there is none.
    """
    if name not in CONTENTS:
        raise checks.BadArgument(
            f"there is no experiment {name!r}; there are {', '.join(CONTENTS)}, and all."
        )
    return importlib.import_module(f"paracosm.paper.{name.lower()}").STUDY
