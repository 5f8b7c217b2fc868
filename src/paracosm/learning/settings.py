"""How a world is learned."""

from __future__ import annotations

import dataclasses
from typing import Literal

from paracosm.core import checks
from paracosm.core.records import Record

Keep = Literal["best", "last"]


@dataclasses.dataclass(frozen=True)
class FitSettings(Record):
    """How an ensemble is fitted: Adam, the rate cut when validation stalls, stopped when it stalls
    at the lowest.

    Attributes:
        members: Networks in the ensemble; they differ in their initial weights and in the rows
            drawn.
        width: Neurons of each hidden layer.
        depth: How many hidden layers.
        batch: Rows a step, drawn with replacement.
        rates: Learning rates, used one after the other.
        patience: Epochs without a better validation loss before the next rate, starting again from
            the best.
        least_steps: An epoch is as many steps as pass over the data once, or this many if that is
            more.
        most_steps: Steps of an epoch at the most, so that its cost need not grow with the data.
        most_epochs: The end in any case.
        keep: Which epoch is kept: the `best` one, by validation, which then also says when to
            stop; or the `last` of all, an equal share of them at each rate: rows of rare events
            are too few to be seen in validation.
        balanced: Whether half of a step's rows are drawn in proportion to the size of their
            targets, and weigh less for it: the same loss, with less noise where few rows matter
            most, such as a goal's reward or an end.
    """

    members: int = 4
    width: int = 64
    depth: int = 2
    batch: int = 256
    rates: tuple[float, ...] = (2e-3, 5e-4, 1e-4)
    patience: int = 8
    least_steps: int = 50
    most_steps: int = 1_000_000
    most_epochs: int = 400
    keep: Keep = "best"
    balanced: bool = False

    def __post_init__(self) -> None:
        sizes = ("members", "width", "depth", "batch")
        lengths = ("patience", "least_steps", "most_steps", "most_epochs")
        checks.fields(self, dict.fromkeys((*sizes, *lengths), checks.COUNT))
        object.__setattr__(self, "rates", checks.rates("rates", self.rates))
        if self.least_steps > self.most_steps:
            raise checks.BadArgument(
                f"least_steps is {self.least_steps}; it must be at most most_steps,"
                f" {self.most_steps}."
            )
        checks.one_of("keep", self.keep, ("best", "last"))
        checks.of_kind("balanced", self.balanced, bool, "True or False")


@dataclasses.dataclass(frozen=True)
class LearnSettings(Record):
    """How a world is learned from data.

    Attributes:
        fit: Settings of every part's fit.
        validation: Share of a part's rows that stop its training.
        held_out: Share of a part's rows that measure its error.
        margin: How far the domain of imagined states reaches beyond the data, in parts of their
            range.
        probabilistic: Whether each member of the dynamics also learns the spread of the next state
            (a Gaussian likelihood weighted by the spread) rather than its mean alone (squares).
        restoring: Whether the dynamics also learn to lead states back to the surface on which
            recorded ones lie, where their components are related (see `learning/relations.py`).
        reward_at_ends: Whether the reward is another one on steps that end an episode: recorded
            ends where it is fitted, those of the learned end rule where it is asked.
        capacity: Rows to prepare for: until there are more of them nothing is compiled again.
    """

    fit: FitSettings = FitSettings()
    validation: float = 0.1
    held_out: float = 0.1
    margin: float = 0.05
    probabilistic: bool = False
    restoring: bool = False
    reward_at_ends: bool = False
    capacity: int = 16

    def __post_init__(self) -> None:
        checks.of_kind("fit", self.fit, FitSettings, "a FitSettings")
        shares = dict.fromkeys(("validation", "held_out"), checks.BELOW_ONE)
        for name in ("probabilistic", "restoring", "reward_at_ends"):
            checks.of_kind(name, getattr(self, name), bool, "True or False")
        checks.fields(self, {**shares, "margin": checks.NON_NEGATIVE_32, "capacity": checks.COUNT})
        if self.validation + self.held_out >= 1:
            raise checks.BadArgument(
                f"validation and held_out are {self.validation:g} and {self.held_out:g}; their sum"
                " must be below 1."
            )
