"""Why a plan or a run is as it is: kinds and numbers, of which `reporting` makes sentences."""

from __future__ import annotations

import dataclasses
import enum

from paracosm.core.records.base import Estimate, Record


class CaveatKind(enum.StrEnum):
    """What to know before believing a result; `reporting.caveat_words` has a sentence for each."""

    # Of a learning curve
    MEAN_SQUARES = "mean squares"
    FAR_FORECAST = "far forecast"
    EDGE_OF_GRID = "edge of the grid"
    STEEPENING = "steepening"
    NO_LONGER_FALLING = "no longer falling"
    ONE_SEED = "one seed"
    POOR_FIT = "poor fit"
    BUYS_LITTLE = "buys little"
    # Of a plan for transitions and labels
    NOTHING_BOUGHT = "nothing bought"
    NOTHING_AFFORDED = "nothing afforded"
    NO_ROOM = "no room"
    MONEY_LEFT = "money left"
    UNSURE_WEIGHT = "unsure weight"
    ZERO_WEIGHT = "zero weight"
    # Of a plan for labels
    NOISIER_DEARER = "a dearer label is noisier"
    NO_GRADIENT_VARIANCE = "no gradient variance"
    FREE_ROLLOUTS = "free rollouts"
    NO_REPEATS = "repeats not considered"
    SHARED_ERRORS = "shared errors"
    NO_INTERVAL = "no interval"
    OPEN_CHOICE = "open choice"
    # Of a plan for cheap and gold labels
    NO_CORRELATION = "no correlation"
    NO_MIXTURE = "no mixture"
    NO_BIAS = "no bias"
    # Of a run
    LITTLE_LEARNED = "little learned"
    EDGE_OF_DATA = "edge of the data"
    MOST_STEPS = "most gradient steps"
    STEPS_SAMPLED = "steps sampled"
    STATES_PART = "states part"


@dataclasses.dataclass(frozen=True)
class Caveat(Record):
    """Something to know before believing a result: its kind, the part that it is of (empty if of
    none), and the numbers that its sentence names.
    """

    kind: CaveatKind
    part: str = ""
    numbers: dict[str, float] = dataclasses.field(default_factory=dict)


class Route(enum.StrEnum):
    """Ways to the weights of errors in the return."""

    REALISED = "realised"
    STEEPEST = "steepest"
    FITTED = "fitted"
    GLOBAL = "global"


class PurchaseReason(enum.StrEnum):
    """What a round's purchase rests on where it is not a plan alone."""

    PILOT = "pilot"
    EQUAL_MONEY = "equal money"
    SAME_REWARDS = "same rewards"
    NEXT_BUDGET = "next budget"


class Stakes(enum.StrEnum):
    """How much hangs on a choice: more than 1%, less, or there is nothing to compare it with."""

    MATTERS = "matters"
    HARDLY_MATTERS = "hardly matters"
    UNRIVALLED = "unrivalled"


class Rule(enum.StrEnum):
    """Ways to split a budget that need no learning curves."""

    EQUAL_SPENDING = "equal spending"
    EQUAL_COUNTS = "equal counts"
    ALL_TRANSITIONS = "all on transitions"
    ALL_LABELS = "all on labels"
    ALL_JOINT = "every transition labelled"


ONE_SIDED = (Rule.ALL_TRANSITIONS, Rule.ALL_LABELS)
"""The rules that favour one part."""


@dataclasses.dataclass(frozen=True)
class RuleLoss(Record):
    """How much more error in return than the plan a rule leaves, relative to the plan's error;
    `matters` where that is worth a thought.
    """

    rule: Rule
    loss: Estimate
    matters: bool


@dataclasses.dataclass(frozen=True)
class RouteLoss(Record):
    """What hangs on which weights are right: `ratio` is how many transitions a label the split by
    these weights would own, `if_wrong` the mean relative loss of that split where the plan's
    weights are right, `if_right` that of the plan where these are.
    """

    origin: str
    ratio: float
    if_wrong: float
    if_right: float


@dataclasses.dataclass(frozen=True)
class PlanVerdict(Record):
    """What a plan for transitions and labels says beside its counts.

    `losses` are those of the rules that favour neither part, the best first; `one_sided` is the
    rule that spends all on one part, where that is as good as the plan; `routes` are the other
    routes to the weights.
    """

    stakes: Stakes
    losses: tuple[RuleLoss, ...]
    one_sided: RuleLoss | None
    routes: tuple[RouteLoss, ...]
    caveats: tuple[Caveat, ...]


class Regime(enum.StrEnum):
    """What decides how dear a label is best."""

    MEASURED = "a measured table"
    TWO_ENDS = "two ends"
    CHEAPEST_BY_LAW = "cheapest by the law"
    INDIFFERENT = "indifferent"
    DEAREST_BY_LAW = "dearest by the law"
    CHEAPEST = "cheapest"
    DEAREST = "dearest"
    BALANCE = "balance"


class LabelRule(enum.StrEnum):
    """Ways to choose the cost of a label."""

    BEST = "the best"
    BEST_WITHOUT_REPEATS = "the best without repeats"
    CHEAPEST = "the cheapest"
    HALF = "half the price"
    TWICE = "twice the price"
    MIDDLE = "the middle"
    DEAREST = "the dearest"


class CheaperLabels(enum.StrEnum):
    """Whether labels that cost less than the least allowed would be better still."""

    NO_BETTER = "no better"
    BETTER = "better"
    BETTER_WITHOUT_END = "better without end"
    FREE_ONES_BEST = "free ones best"


@dataclasses.dataclass(frozen=True)
class LabelLoss(Record):
    """How much more variance than the plan a rule leaves, relative to the plan's variance."""

    rule: LabelRule
    cost: float
    excess: float


@dataclasses.dataclass(frozen=True)
class LabelVerdict(Record):
    """What a plan for labels says beside its counts.

    `label_share` is the share of the gradient's variance that label noise makes up, none where the
    gradient was said not to vary otherwise. `losses` are those of the best and of the worst of the
    simple rules, where it matters. `cheaper` says whether cheaper labels than `least_cost`, the
    least allowed, would be better, down to `down_to`.
    """

    regime: Regime
    stakes: Stakes
    label_share: float | None
    losses: tuple[LabelLoss, ...]
    cheaper: CheaperLabels
    least_cost: float
    down_to: float
    caveats: tuple[Caveat, ...]


@dataclasses.dataclass(frozen=True)
class WayLoss(Record):
    """How much more squared error than the winner a way to label has, relative to the winner's;
    `biased` where most of its error is bias.
    """

    name: str
    excess: float
    biased: bool


@dataclasses.dataclass(frozen=True)
class MixtureVerdict(Record):
    """What a plan for cheap and gold labels says beside its choices; `losses` by rising error,
    `smallest` is the way that wins with the smallest budget.
    """

    stakes: Stakes
    losses: tuple[WayLoss, ...]
    smallest: str
    caveats: tuple[Caveat, ...]
