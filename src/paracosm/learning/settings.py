"""How a world is learned."""

from __future__ import annotations

import dataclasses

from paracosm.core import checks
from paracosm.core.records import Record


@dataclasses.dataclass(frozen=True)
class FitSettings(Record):
    """How an ensemble is fitted: Adam, the rate cut when validation stalls, stopped when it stalls
    at the lowest.

    Attributes:
        members: Networks in the ensemble; they differ in their initial weights and in the rows
            drawn.
        width, depth: Hidden layers.
        batch: Rows a step, drawn with replacement.
        rates: Learning rates, used one after the other.
        patience: Epochs without a better validation loss before the next rate, starting again from
            the best.
        least_steps: An epoch is as many steps as pass over the data once, or this many if that is
            more.
        most_steps: Steps of an epoch at the most, so that an epoch's cost ends to grow with the
            data.
        most_epochs: The end in any case.
    """

    members: int = 4
    width: int = 64
    depth: int = 2
    batch: int = 256
    rates: tuple[float, ...] = (2e-3, 5e-4, 1e-4)
    patience: int = 8
    least_steps: int = 50
    most_steps: int = 1000
    most_epochs: int = 400

    def __post_init__(self) -> None:
        counts = ("members", "width", "depth", "batch", "patience", "least_steps", "most_steps", "most_epochs")
        checks.fields(self, dict.fromkeys(counts, checks.COUNT))
        object.__setattr__(self, "rates", checks.rates("rates", self.rates))


@dataclasses.dataclass(frozen=True)
class LearnSettings(Record):
    """How a world is learned from data.

    Attributes:
        fit: Settings of every part's fit.
        validation, held_out: Shares of a part's rows that stop its training and that measure its
            error.
        margin: How far the domain of imagined states reaches beyond the data, in parts of their
            range.
        probabilistic: Whether each member of the dynamics also learns the spread of the next state
            (a Gaussian likelihood) rather than its mean alone (squares).
        capacity: Rows to prepare for: until there are more of them nothing is compiled again.
    """

    fit: FitSettings = FitSettings()
    validation: float = 0.1
    held_out: float = 0.1
    margin: float = 0.05
    probabilistic: bool = False
    capacity: int = 16

    def __post_init__(self) -> None:
        checks.of_kind("fit", self.fit, FitSettings, "a FitSettings")
        shares = dict.fromkeys(("validation", "held_out"), checks.BELOW_ONE)
        checks.of_kind("probabilistic", self.probabilistic, bool, "True or False")
        checks.fields(
            self, {**shares, "margin": checks.NON_NEGATIVE_32, "capacity": checks.COUNT}
        )
        if self.validation + self.held_out >= 1:
            raise checks.BadArgument(
                f"validation and held_out are {self.validation:g} and {self.held_out:g}; their sum"
                " must be below 1."
            )
