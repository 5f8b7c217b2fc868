"""Plans as a user would see them: transitions or labels, cheap labels or clean ones, or both at
once.
"""

import dataclasses

import numpy as np

from paracosm.core.records import Estimate, Weights
from paracosm.core.records.decisions import (
    Anchor,
    CurveFit,
    Decision,
    GradientNoise,
    LabelChoice,
    LabelPlan,
    MixtureChoice,
    MixturePlan,
    Pilot,
    Plan,
    Purchase,
)
from paracosm.core.records.results import RunResult
from tests.reporting import report_records

PLAN_VERDICT = (
    "Buy 3,500 transitions and 1,650 reward labels: the predicted error in return falls from 0.42"
    " to 0.34, "
    "and the best simple rule, equal counts, would lose 0.2% more."
)
LABEL_VERDICT = (
    "Buy labels of 1.4 each on 2,083 rollouts: dearer or cheaper labels would cost more for the"
    " same gradient."
)
MIXTURE_VERDICT = "Buy the mixture: its squared error is 2.6 times below that of gold labels alone."
BUDGET, PRICES = 20_000.0, {"dynamics": 1.0, "reward": 10.0}
OWNED = {"dynamics": 8_000, "reward": 800}
LAWS = {"dynamics": (0.34, 0.21, 0.012), "reward": (6.3, 0.48, 0.0)}
KAPPA = {"dynamics": 3.2, "reward": 1.0}


def around(mean: float, share: float) -> Estimate:
    return Estimate(
        mean, mean * (1 - share), mean * (1 + share), 2000, "draws of the learning curves"
    )


def predicted(dynamics: float, reward: float) -> float:
    counts = {"dynamics": dynamics, "reward": reward}
    terms = [KAPPA[part] * (floor + a * counts[part] ** -b) for part, (a, b, floor) in LAWS.items()]
    return float(sum(terms))


def purchase(
    name: str, share: float, budget: float = BUDGET, best: float | None = None
) -> Purchase:
    units = {
        "dynamics": int(share * budget),
        "reward": int((1 - share) * budget / PRICES["reward"]),
    }
    spend = sum(units[unit] * price for unit, price in PRICES.items())
    error = predicted(*(OWNED[part] + units[part] for part in OWNED))
    regret = 0.0012 + error / best - 1 if best else 0.0012
    return Purchase(
        name,
        units,
        float(units["dynamics"]),
        float(units["reward"]),
        spend,
        around(error, 0.18),
        around(regret, 0.7),
    )


def fit(part: str, seed: int = 0) -> CurveFit:
    rng, (a, b, floor) = np.random.default_rng(seed), LAWS[part]
    anchors = tuple(
        Anchor(size, float((floor + a * size**-b) * np.exp(0.06 * rng.normal())), number)
        for size in (OWNED[part] // 8, OWNED[part] // 4, OWNED[part] // 2, OWNED[part])
        for number in range(4)
    )
    reach = np.geomspace(OWNED[part] / 8, 16 * OWNED[part], 25)
    median = floor + a * reach**-b
    spread = 0.02 + 0.05 * np.abs(np.log(reach / (OWNED[part] / 2)))
    rows = np.stack([reach, median * np.exp(-spread), median, median * np.exp(spread)], 1)
    band = tuple(map(tuple, rows.tolist()))
    return CurveFit(
        a, b, b - 0.04, b + 0.05, floor, 0.981, 2.7 if part == "dynamics" else 1.8, anchors, band
    )


def plan(**changes) -> Plan:
    shares = np.linspace(0, 1, 41)
    best = min(purchase("", share).error.mean for share in shares)
    chosen = purchase("plan", 0.175, best=best)
    rules = {
        "equal spending": 0.5,
        "equal counts": 1 / 11,
        "all on transitions": 1.0,
        "all on reward labels": 0.0,
    }
    frontier = {
        0.25: 0.05,
        0.35: 0.08,
        0.5: 0.11,
        0.71: 0.14,
        1.0: 0.175,
        1.4: 0.21,
        2.0: 0.25,
        2.8: 0.29,
        4.0: 0.33,
    }
    record = Plan(
        dynamics=chosen.units["dynamics"],
        reward=chosen.units["reward"],
        owned=OWNED,
        budget=BUDGET,
        spend=chosen.spend,
        prices=PRICES,
        ratio=4.69,
        interval=(2.9, 7.4),
        predicted_error={"before": around(predicted(**OWNED), 0.09), "after": chosen.error},
        expected_regret=0.0012,
        marginal={"dynamics": 2.61e-6, "reward": 2.58e-6},
        curves={part: fit(part) for part in LAWS},
        weights=(
            Weights(
                3.2,
                1.0,
                "root mean square",
                0.98,
                200,
                "realised: along the measured errors",
                {"dynamics": 0.7},
            ),
            Weights(
                41.0, 48.1, "root mean square", 0.98, 200, "steepest: for errors that never cancel"
            ),
        ),
        best=chosen,
        alternatives=tuple(purchase(name, share, best=best) for name, share in rules.items()),
        frontier=tuple(
            purchase(f"{f:g} × budget", share, f * BUDGET) for f, share in frontier.items()
        ),
        across=tuple(purchase(f"{share:.0%}", share, best=best) for share in shares.tolist()),
        next_pilot=Pilot("reward", 1600, 8000.0, 0.0041, 0.0019),
        disagreement="The steepest weights would buy 900 transitions; that would cost 0.4% if the"
        " realised ones hold.",
        warnings=("Errors were measured as mean squares and turned into root mean squares.",),
        verdict=PLAN_VERDICT,
    )
    return dataclasses.replace(record, **changes)


def noise() -> GradientNoise:
    return GradientNoise(
        intrinsic=around(41.2, 0.06),
        coefficient=around(61.3, 0.03),
        shared=around(402.0, 0.05),
        bound=8139.0,
        weighting="without the discount before each term",
        horizon=50,
    )


def label_variance(cost: float) -> float:
    return 2.0 * cost**-0.7


def label_choice(cost: float, why: str, repeats: int = 1) -> LabelChoice:
    rollouts = int(5000 / (1 + repeats * cost))
    return LabelChoice(
        cost, rollouts, repeats, (40 + 6 * label_variance(cost) / repeats) / rollouts, why
    )


def label_plan(**changes) -> LabelPlan:
    best = label_choice(0.55, "the best")
    costs = np.geomspace(0.05, 20, 60).tolist()
    record = LabelPlan(
        cost=best.cost,
        rollouts=best.rollouts,
        repeats=best.repeats,
        variance=best.variance,
        regime="inside: rollouts cost something and gradients vary without noise",
        attained=True,
        alternatives=(
            label_choice(0.05, "the cheapest allowed"),
            label_choice(1.0, "the middle of what is allowed"),
            label_choice(20.0, "the dearest allowed"),
            label_choice(0.27, "two labels on each step", repeats=2),
        ),
        table=tuple(
            (c, label_variance(c), (1 + c) * (40 + 6 * label_variance(c)) / 5000) for c in costs
        ),
        budget=5000.0,
        noise=noise(),
        warnings=("The interval of the noise coefficient does not move the choice.",),
        verdict=LABEL_VERDICT,
    )
    return dataclasses.replace(record, **changes)


def mixture_plan(**changes) -> MixturePlan:
    record = MixturePlan(
        winner="mixture",
        choices=(
            MixtureChoice("cheap", 2500, 0, 0.020, 0.09, 0.11),
            MixtureChoice("gold", 238, 238, 0.168, 0.0, 0.168),
            MixtureChoice("mixture", 1210, 118, 0.064, 0.0, 0.064),
        ),
        changes={"mixture": 940.0},
        coefficient=0.72,
        least_correlation=0.49,
        budget=5000.0,
        warnings=(),
        verdict=MIXTURE_VERDICT,
    )
    return dataclasses.replace(record, **changes)


def plan_with_sources(**changes) -> Plan:
    """Four offers, of which two are bought, one of them labels of half the worth."""
    prices = {**PRICES, "joint": 10.5, "crowd": 3.0}
    units = {"dynamics": 0, "reward": 0, "joint": 1000, "crowd": 3166}
    chosen = Purchase(
        "planned", units, 1000.0, 2583.0, 19_998.0, around(0.31, 0.2), around(0.002, 0.9)
    )
    return plan(**{"best": chosen, "prices": prices, "dynamics": 1000, "reward": 2583, **changes})


def run_with_a_budget(**changes) -> RunResult:
    """Three rounds: a pilot, a plan, a round whose data could not support one; then what would be
    bought next.
    """
    refused = "as much money on each part, since the reward curve rises."
    decisions = (
        Decision(
            0,
            1_900,
            1_900,
            None,
            "a pilot: as many transitions as labels, for a fifth of the budget",
        ),
        Decision(1, 1_750, 825, plan(), ""),
        Decision(2, 4_000, 400, None, refused),
        Decision(3, 0, 0, plan(), "what another budget of this size would buy"),
    )
    return report_records.run(
        trainings=(report_records.training(),) * 3, decisions=decisions, **changes
    )
