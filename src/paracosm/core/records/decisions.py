"""Frozen records of planning: learning curves and gradient noise in, plans for transitions and
labels out.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from paracosm.core.records.base import UNWRITTEN, Estimate, Record
from paracosm.core.records.diagnosis import Weights
from paracosm.core.records.questions import LabelQuestion, MixtureQuestion, SplitQuestion
from paracosm.core.records.reasons import LabelVerdict, MixtureVerdict, PlanVerdict
from paracosm.core.records.refusal import Refusal
from paracosm.core.records.regions import Placement, StateRegions

Unit = Literal["rms", "mse"]
Bought = Literal["dynamics", "reward"]


@dataclasses.dataclass(frozen=True)
class Anchor(Record):
    """One measured point of a learning curve: the error of a model fitted to `samples` samples with
    this seed.
    """

    samples: int
    error: float
    seed: int


@dataclasses.dataclass(frozen=True)
class Curve(Record):
    """Error of one part against its number of samples.

    `unit` says whether errors are root mean squares (`rms`) or mean squares (`mse`); `states` on
    which states they were measured, such as "held out".
    """

    part: Bought
    anchors: tuple[Anchor, ...]
    unit: Unit
    states: str


@dataclasses.dataclass(frozen=True)
class Measurements(Record):
    """What a run knows that a plan needs: curves on the states that count, weights, what is owned,
    and prices.

    The first of `weights` is the one to use. `collected` holds the curves on the collected data's
    own states, `regions` the audit's terms by region of the visited states, where there are enough.
    """

    curves: dict[str, Curve]
    collected: dict[str, Curve]
    weights: tuple[Weights, ...]
    owned: dict[str, int]
    cost_dynamics: float
    cost_reward: float
    warnings: tuple[str, ...]
    regions: StateRegions | None = None


@dataclasses.dataclass(frozen=True)
class CurveFit(Record):
    """The law `error = prefactor · N^-exponent + floor`, errors as root mean squares, that a curve
    supports.

    Medians of the law's posterior; `low` and `high` bound the exponent with 95%. `band` holds
    forecasts `(samples, low, median, high)` of 90%, in which curves that steepen or flatten against
    the law are weighed, too. `r2` is the share of the log error's variance that the median forecast
    explains, not the law alone. `extrapolation` is the largest count the plan reaches over the
    largest measured.
    """

    prefactor: float
    exponent: float
    low: float
    high: float
    floor: float
    r2: float
    extrapolation: float
    anchors: tuple[Anchor, ...]
    band: tuple[tuple[float, ...], ...]


@dataclasses.dataclass(frozen=True)
class Purchase(Record):
    """Counts of one way to spend a budget, what it costs, and what it is expected to lose against
    the best way.

    `units` are bought by what is for sale, in whole lots. `dynamics` and `reward` are the
    transitions and labels they yield. `error` is the predicted error in return, `regret` the
    expected relative excess of it over that of the best split under the true law.
    """

    name: str
    units: dict[str, int]
    dynamics: float
    reward: float
    spend: float
    error: Estimate
    regret: Estimate


@dataclasses.dataclass(frozen=True)
class Pilot(Record):
    """The next point of a learning curve to measure; expected regret without it and with it."""

    part: Bought
    samples: int
    cost: float
    regret_now: float
    regret_then: float


@dataclasses.dataclass(frozen=True)
class EvaluationChoice(Record):
    """So many real episodes of the new policy, the half-width of the 95% interval of their mean
    return, the predicted error in return that the rest of the budget leaves, and the sum.
    """

    episodes: int
    half_width: float
    error: float
    total: float


@dataclasses.dataclass(frozen=True)
class EpisodePurchase(Record):
    """Real episodes, bought for the return of the policy that the purchase trains.

    `best` has the least total of all counts, `others` are usual counts. An episode costs `price`,
    all of them `spend`, and `deviation` is the standard deviation of one's return, in the unit and
    at the discount of the weights.
    """

    best: EvaluationChoice
    price: float
    spend: float
    deviation: float
    others: tuple[EvaluationChoice, ...]


@dataclasses.dataclass(frozen=True)
class Plan(Record):
    """What to buy next: of all counts `N` that cost no more than the budget, those that minimise
    `κ_dyn ε_dyn(N_dyn) + κ_rew ε_rew(N_rew)`, on average over what the curves leave open.

    `dynamics` and `reward` are how many transitions and reward labels are bought now, `owned` what
    is there already. A labelled transition counts in both. With several sources of labels `reward`
    is how many plain labels all are worth. `best.units` is what to order of each. `ratio` is
    transitions owned then over labels owned then; `interval` its 90% interval over what the curves
    leave open. `predicted_error` is the error in return `before` buying and `after`.
    `expected_regret` is relative, the mean over the quarter of the draws in which it is largest.
    `lot_loss` is how much more error whole units and lots leave than parts of them would, relative.
    `marginal` is how much the predicted error falls per unit of money spent more on transitions, on
    labels or on what yields both; labels are under the name of the source where one is worth the
    most for its price. `alternatives` are the simple rules at the same price, `frontier` the best
    splits at other budgets, half and double among them, and `across` splits of this budget by
    share. Where episodes are for sale too, `evaluation` holds those to buy, and `budget` is what
    they leave for the two parts. `reasons` are the facts of the sentences, which `disagreement`
    (how far the routes to the weights part), `warnings` and `verdict` hold; those are empty until
    `reporting` fills them. `placement` says from which regions of states to buy the transitions,
    where a run's are known. `spent` is the money for what is owned where it was taken from the
    budget that was named, of which `budget` is the rest. `question` is what the page of the plan
    needs to answer it again at other prices; its draws are many, and no file holds them.
    """

    dynamics: int
    reward: int
    owned: dict[str, int]
    budget: float
    spend: float
    prices: dict[str, float]
    ratio: float
    interval: tuple[float, ...]
    predicted_error: dict[str, Estimate]
    expected_regret: float
    marginal: dict[str, float]
    curves: dict[str, CurveFit]
    weights: tuple[Weights, ...]
    best: Purchase
    alternatives: tuple[Purchase, ...]
    frontier: tuple[Purchase, ...]
    across: tuple[Purchase, ...]
    next_pilot: Pilot | None
    disagreement: str
    warnings: tuple[str, ...]
    verdict: str
    reasons: PlanVerdict | None = None
    evaluation: EpisodePurchase | None = None
    placement: Placement | None = None
    spent: float = 0.0
    lot_loss: float = 0.0
    question: SplitQuestion | None = dataclasses.field(
        default=None, repr=False, compare=False, metadata=UNWRITTEN
    )


@dataclasses.dataclass(frozen=True)
class Decision(Record):
    """What a run that spends a budget decided to buy before a round; after the last one, what it
    would buy next.

    `plan` splits all the money left at that time, of which the round buys `transitions` and
    `labels`; without one `why` says what stood against it and how the money was split instead, and
    `refusal` what is wrong with a learning curve, if one was refused.
    """

    round: int
    transitions: int
    labels: int
    plan: Plan | None
    why: str
    refusal: Refusal | None = None


@dataclasses.dataclass(frozen=True)
class GradientNoise(Record):
    """What reward noise does to a policy gradient.

    `intrinsic` is the variance of one noiseless rollout's gradient (trace of the covariance),
    `coefficient` the exact Q by which independent noise of variance σ² adds `σ² Q`, with
    `Q = E Σ_t ‖Σ_{i≤t} γ^{t−i} ∇ log π(a_i|s_i)‖²`; `shared` the same for one error shared by a
    whole rollout, `bound` the coefficient of Theorem 2 of Timor et al. 2026, with the horizon in
    place of `1 / (1 − γ)` where that is longer.
    """

    intrinsic: Estimate
    coefficient: Estimate
    shared: Estimate
    bound: float
    weighting: str
    horizon: int


@dataclasses.dataclass(frozen=True)
class LabelChoice(Record):
    """One way to spend a budget on labelled rollouts: `repeats` labels of `cost` on each of
    `rollouts` rollouts.
    """

    cost: float
    rollouts: int
    repeats: int
    variance: float
    why: str


@dataclasses.dataclass(frozen=True)
class LabelPlan(Record):
    """Which labels to buy: the cost c of a label, the rollouts K and the labels r on each that
    minimise the gradient's variance `(V₀ + Q σ²(c)/r)/K` within the budget.

    `variance` is that of the gradient at the best choice; `regime` says what decides; `attained` is
    false where the best is a limit that no choice reaches. `table` holds `(cost, variance of the
    label, variance of the gradient at the whole budget)` along the allowed costs. `reasons` are the
    facts of the sentences in `regime`, `warnings` and `verdict`; those are empty until `reporting`
    fills them. `question` is what was asked, where the fidelity is one of the library's own.
    """

    cost: float
    rollouts: int
    repeats: int
    variance: float
    regime: str
    attained: bool
    alternatives: tuple[LabelChoice, ...]
    table: tuple[tuple[float, ...], ...]
    budget: float
    noise: GradientNoise | None
    warnings: tuple[str, ...]
    verdict: str
    reasons: LabelVerdict | None = None
    question: LabelQuestion | None = None


@dataclasses.dataclass(frozen=True)
class MixtureChoice(Record):
    """Squared error of one way to label: rollouts with cheap labels, of them with gold ones, bias,
    and the sum.
    """

    name: str
    rollouts: int
    gold: int
    variance: float
    squared_bias: float
    error: float


@dataclasses.dataclass(frozen=True)
class MixturePlan(Record):
    """Cheap labels, gold labels or the debiased mixture
    `λ mean_N(g_cheap) + mean_n(g_gold − λ g_cheap)`, whichever has the least squared error.

    `winner` names the choice of least squared error, `changes` the budgets at which another starts
    to win; `coefficient` is λ of the mixture and `least_correlation` the one from which the mixture
    beats gold alone. `reasons` are the facts of the sentences in `warnings` and `verdict`; those
    are empty until `reporting` fills them. `question` is what was asked.
    """

    winner: str
    choices: tuple[MixtureChoice, ...]
    changes: dict[str, float]
    coefficient: float
    least_correlation: float
    budget: float
    warnings: tuple[str, ...]
    verdict: str
    reasons: MixtureVerdict | None = None
    question: MixtureQuestion | None = None
