"""What a folded section says while it is closed: its most telling number."""

from __future__ import annotations

import numpy as np

from paracosm.core.records import Diagnosis
from paracosm.core.records.ranking import Ordering
from paracosm.core.records.results import RunResult
from paracosm.reporting import calibration_words, tables, words


def steps(diagnosis: Diagnosis) -> str:
    """The cause that is largest in size, and by when half of it has come."""
    sizes = {name: np.cumsum(cause.absolute) for name, cause in diagnosis.causes.items()}
    sums = {name: float(values[-1]) for name, values in sizes.items() if len(values)}
    largest = max(sums, key=sums.__getitem__, default=None)
    if largest is None or sums[largest] == 0:
        return "no cause is more than rounding"
    half = 1 + int(np.searchsorted(sizes[largest], sums[largest] / 2))
    return f"half of the {largest} term’s size by step {half:,} of {len(sizes[largest]):,}"


def components(diagnosis: Diagnosis) -> str:
    """The largest clear component of the dynamics term, as the advice names it."""
    by = diagnosis.dynamics_by_dimension
    terms = by.dimensions
    largest = max(range(len(terms)), key=lambda i: abs(terms[i].mean))
    if terms[largest].mean == by.remainder.mean == 0:
        return "no component is more than rounding"
    if by.clear:
        first = by.clear[0]
        share = "most" if first == largest else "clearly"
        name = words.component(first, by.components)
        return f"{share} in component {name}, {words.estimate(terms[first])}"
    if abs(by.remainder.mean) > abs(terms[largest].mean):
        return f"in no component clearly: the split leaves {words.estimate(by.remainder)} over"
    return "in no component clearly"


def training_gap(diagnosis: Diagnosis) -> str:
    """The gap of what training believed."""
    gap = diagnosis.gap_training
    return "" if gap is None else f"gap {words.estimate(gap.total)}"


def bounds(diagnosis: Diagnosis) -> str:
    """The tightest bound on the gap, or how many constants are known."""
    if not diagnosis.certificates:
        return f"{len(diagnosis.lipschitz)} Lipschitz constants, no bound"
    tightest = min(diagnosis.certificates, key=lambda rung: rung.value)
    return f"at most {words.number(tightest.value)} ({tightest.kind})"


def spread(diagnosis: Diagnosis) -> str:
    """How much the 90% intervals hold."""
    calibration = diagnosis.calibration
    if calibration is None or calibration.coverage is None:
        return "no spread to judge"
    held = calibration.coverage.observed[-1]
    return f"90% intervals hold {calibration_words.share(held)} of the real next states"


def training(result: RunResult) -> str:
    """The imagined return of what was kept, or that nothing was trained."""
    if words.is_planned(result):
        return "nothing was trained: a planner"
    kept = [training.kept_return for training in result.trainings]
    measured = [value for value in kept if value is not None]
    return f"imagined return {words.number(measured[-1])}" if measured else "no return was measured"


def learning(result: RunResult) -> str:
    """The held-out errors of the learned parts beside their baselines."""
    errors = [
        f"{name} {words.mean(fit.error)}"
        + ("" if fit.baseline is None else f" of {words.number(fit.baseline)}")
        for name, fit in result.fits.items()
        if fit.error is not None
    ]
    return f"held-out error: {', '.join(errors)}" if errors else "nothing was learned"


def price(result: RunResult) -> str:
    """What was bought, and how long all took."""
    bought = result.purchases
    return (
        f"{words.count(bought.transitions)} transitions, {words.count(bought.reward_labels)} reward"
        f" labels, {words.total_time(result)}"
    )


def rounds(result: RunResult) -> str:
    """How many rounds bought."""
    count = len(result.trainings)
    return "1 round" if count == 1 else f"{count} rounds"


def configuration(result: RunResult) -> str:
    """How many settings there are."""
    return f"{len(result.configuration)} settings, seed {result.seed}"


def costs(diagnosis: Diagnosis) -> str:
    """The first weights, or that both orders are known."""
    if not diagnosis.weights:
        return "in either order of the two parts"
    parts = ", ".join(_cost(diagnosis, part) for part in ("dynamics", "reward"))
    return f"{parts}, ± one standard error" if "±" in parts else parts


def _cost(diagnosis: Diagnosis, part: str) -> str:
    """The first weight of a part; one that every way to measure finds to be zero is no price."""
    if not any(getattr(weights, part) for weights in diagnosis.weights):
        return f"of the {part} nothing that a gradient sees"
    return f"of the {part} {tables.weight(diagnosis.weights[0], part)} a unit"


def rollouts(diagnosis: Diagnosis) -> str:
    """How many episodes are drawn, and for how long imagination is worth something."""
    count = len(diagnosis.overlays)
    episodes = "1 episode" if count == 1 else f"{count} episodes"
    if diagnosis.informative_horizon is None:
        return episodes
    return f"{episodes}; informative for {words.count_of(diagnosis.informative_horizon, 'step')}"


def checkpoints(diagnosis: Diagnosis, result: RunResult | None) -> str:
    """How many there are, and which share of their pairs flips where they were ranked."""
    count = len(result.trainings) if result is not None else 0
    ranking = diagnosis.ranking
    if ranking is None and result is not None and words.is_planned(result):
        return words.count_of(count, "checkpoint")
    if ranking is None:
        return f"{count} checkpoints, not ranked yet"
    orders = [pair.ordering for pair in ranking.pairs]
    pairs = words.count_of(len(orders), "pair")
    return (
        f"{len(ranking.policies)} policies; imagination certainly orders"
        f" {orders.count(Ordering.FLIPS):,} of their {pairs} the other way round,"
        f" {orders.count(Ordering.UNDECIDED):,} are open"
    )


def audits(result: RunResult) -> str:
    """How many audits there are, and the gap of the first and of the last one that is known."""
    gaps = [words.number(audit.gap) for audit in result.rounds if audit.gap is not None]
    number = "1 audit" if len(result.rounds) == 1 else f"{len(result.rounds)} audits"
    if len(gaps) < 2:
        return number
    return f"{number}; the gap from {gaps[0]} to {gaps[-1]}"
