"""Frozen records of what a plan was asked: the numbers that answer it again at other prices,
budgets and weights, as the page of a plan does.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from paracosm.core.records.base import Record

FidelityForm = Literal["power", "bounded", "floor", "table"]


@dataclasses.dataclass(frozen=True)
class OfferTerms(Record):
    """Something for sale: a unit costs `cost`, yields transitions, labels or both, and is sold in
    whole `lot`s.
    """

    name: str
    cost: float
    transitions: float
    labels: float
    lot: int


@dataclasses.dataclass(frozen=True)
class LawSample(Record):
    """Equally probable laws `floor + scale · N^-exponent` of a part's error, each field `[draws]`.

    `chance` holds standard normal draws of what is unsure of the part's weight, and is empty where
    all routes to the weight are sure. `added`, `bend`, `size` and `reach` are what
    `planning.law.Law` calls `decaying_floor`, `bend`, `largest_measured` and `log_range`.
    """

    scale: tuple[float, ...]
    exponent: tuple[float, ...]
    floor: tuple[float, ...]
    chance: tuple[float, ...]
    added: tuple[float, ...] = ()
    bend: tuple[float, ...] = ()
    size: float = 0.0
    reach: float = 0.0


@dataclasses.dataclass(frozen=True)
class SplitQuestion(Record):
    """What a plan for transitions and labels rests on, beside its weights and what is owned:
    the money for all that is for sale, episodes included, the offers, and the draws of the laws by
    part.
    """

    budget: float
    offers: tuple[OfferTerms, ...]
    laws: dict[str, LawSample]


@dataclasses.dataclass(frozen=True)
class LabelQuestion(Record):
    """What a plan for one kind of label rests on.

    `form` and `numbers` are the law of the labels' variance with its two numbers, in the order in
    which a flag names them; of a measured table, `numbers` are the costs and `variances` what was
    measured. The limits of the costs are None where none were named.
    """

    budget: float
    cost_rollout: float
    gradient_variance: float
    noise_coefficient: float
    least_cost: float | None
    most_cost: float | None
    form: FidelityForm
    numbers: tuple[float, ...]
    variances: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class MixtureQuestion(Record):
    """What a plan for cheap and gold labels rests on: prices a rollout, variances of one rollout's
    gradient, their correlation, and the length of the bias.
    """

    budget: float
    cost_rollout: float
    cheap_cost: float
    gold_cost: float
    cheap_variance: float
    gold_variance: float
    correlation: float
    bias: float
