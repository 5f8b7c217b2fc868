"""Gaps that are made up, and what an explanation of one goes by."""

from paracosm.core.records import (
    CAUSES,
    LEARNED_CAUSES,
    Baselines,
    CauseByStep,
    DynamicsByDimension,
    Estimate,
    Finding,
    Gap,
)


def estimate(mean: float, half: float) -> Estimate:
    return Estimate(mean, mean - half, mean + half, 20, "made up")


def gap(terms: dict[str, tuple[float, float]], real: float = -100.0) -> Gap:
    estimates = {cause: estimate(*terms.get(cause, (0.0, 0.0))) for cause in CAUSES}
    total = sum(term.mean for term in estimates.values())
    return Gap(estimate(real, 1), estimate(real - total, 1), estimate(total, 1), **estimates)


def evidence(*findings: Finding) -> dict:
    """What an explanation goes by beside the gap, as fields of the record."""
    by_step = CauseByStep((1.0, 0.5), (1.0, 0.5))
    dimensions = DynamicsByDimension((estimate(1, 0.1),), (by_step,), estimate(0, 0.1), 2)
    errors = Baselines(
        dynamics=0.4,
        mean_next_state=1.0,
        persistence=0.1,
        reward=0.2,
        zero_reward=2.0,
        mean_reward=1.0,
    )
    return {
        "causes": dict.fromkeys(LEARNED_CAUSES, by_step),
        "dynamics_by_dimension": dimensions,
        "findings": findings,
        "baselines": errors,
    }
