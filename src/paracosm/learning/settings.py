"""How a world is learned."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class FitSettings:
    """How an ensemble is fitted: Adam, the rate cut when validation stalls, stopped when it stalls at the lowest.

    Attributes:
        members: Networks in the ensemble; they differ in their initial weights and in the rows drawn.
        width, depth: Hidden layers.
        batch: Rows a step, drawn with replacement.
        rates: Learning rates, used one after the other.
        patience: Epochs without a better validation loss before the next rate, starting again from the best.
        least_steps: An epoch is as many steps as pass over the data once, or this many if that is more.
        most_epochs: The end in any case.
    """

    members: int = 4
    width: int = 64
    depth: int = 2
    batch: int = 256
    rates: tuple[float, ...] = (2e-3, 5e-4, 1e-4)
    patience: int = 8
    least_steps: int = 50
    most_epochs: int = 400


@dataclasses.dataclass(frozen=True)
class LearnSettings:
    """How a world is learned from data.

    Attributes:
        fit: Settings of every part's fit.
        validation, held_out: Shares of a part's rows that stop its training and that measure its error.
        margin: How far the domain of imagined states reaches beyond the data, in parts of their range.
    """

    fit: FitSettings = FitSettings()
    validation: float = 0.1
    held_out: float = 0.1
    margin: float = 0.05
