"""Rival readings of the learned reward: another step, another unit, another zero, another curve,
another state.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from scipy.optimize import isotonic_regression

from paracosm.auditing.linter import queries
from paracosm.auditing.linter.fitting import ReadingFit, linear
from paracosm.auditing.linter.neighbours import unexplained
from paracosm.auditing.linter.readings import HALF, Explanation, Judge, Reading, errors
from paracosm.auditing.linter.steps import SampledSteps, moved, sampled
from paracosm.auditing.one_step import OneStep
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP
from paracosm.core.records import Finding, Misreading

_SHIFTS = (-3, -2, -1, 1, 2, 3)  # steps; few, since each that is tried may fit by chance
_FACTOR = 0.05  # models of ordinary quality shrink towards the mean by a few hundredths
_OFFSET = 0.003  # of the rewards' spread
_PARAMETERS = 4  # that a rising curve counts as: more than any unit
_CURVE = 0.02  # of the squared error: what any rising curve may leave, since it can bend to much
_NEARLY = 0.1  # of the learned reward's variance: what a curve of the real one may leave
_AS_GOOD = 1.5  # times the squared error of any rising curve: clipping is what it is
_NOTHING = 0.01  # of the squared error: what a cause may leave that is named as the only one
_FLAT = 0.1  # of the real spread: rewards that vary less stand still
_ROUNDING = 1e-6  # of the largest reward
_FINEST = 1e-3  # of the mean squared error: smaller ones are as good as none


def reward_findings(
    world: MDP, episodes: Trajectory, predictions: OneStep, steps: SampledSteps
) -> tuple[Finding, ...]:
    """The reading of the learned reward that explains its errors; or that nothing can; or that it
    is a mean.

    Args:
        world: The learned world.
        episodes, predictions: Real episodes, `[episode, time, …]`, and the world's predictions.
        steps: A sample of them.
    """
    judge = _judge(steps)
    if judge is None:
        return ()
    readings = [
        *_timing(episodes, judge),
        *_units(judge),
        *_curves(judge),
        *_arguments(world, judge),
    ]
    # The lossy ones leave errors in the learned reward's unit, so they are no rivals.
    choice = judge.choose(readings) or judge.choose([*_lossy(judge)])
    if choice is not None:
        return (_finding(judge, choice),)
    hidden = unexplained(steps, lambda most: sampled(world, episodes, predictions, most))
    # A mean of what is hidden is no poor fit.
    return tuple(hidden) or tuple(_constant(episodes, predictions))


def _judge(steps: SampledSteps) -> Judge | None:
    """Nothing where the learned reward is right to rounding."""
    off = (steps.predicted - steps.reward)[:, None] ** 2
    floor = np.maximum(
        _FINEST * off.mean(axis=0), (_ROUNDING * np.abs(steps.reward).max()) ** 2 + 1e-18
    )
    if off.mean() <= floor[0]:
        return None
    return Judge(steps, errors(off), floor, np.ones(1))


def _timing(episodes: Trajectory, judge: Judge) -> Iterator[Reading]:
    """Rewards of earlier and later steps, as they are and up to an offset."""
    steps = judge.steps
    for shift in _SHIFTS:
        paid = moved(np.asarray(episodes.reward), np.asarray(episodes.alive), steps, shift)
        off = steps.predicted - paid
        inside = np.isfinite(off)
        if inside.sum() < len(off) / 2:
            continue
        misreading = Misreading("other step", {"shift": float(shift)})
        zero = float(np.median(off[inside]))
        yield from informative(
            judge, Reading("reward timing", "timing", misreading, off[:, None] ** 2), paid
        )
        if abs(zero) > _OFFSET * np.std(steps.reward):
            misreading = Misreading("other step", {"shift": float(shift), "offset": zero})
            squares = (off - zero)[:, None] ** 2
            shifted = Reading("reward timing", "timing", misreading, squares, parameters=1)
            yield from informative(judge, shifted, paid)


def informative(
    judge: Judge, reading: Reading, target: Float[np.ndarray, " n"], may_leave: float = HALF
) -> Iterator[Reading]:
    """The reading, if it leaves less than that share of the squared error that the target's mean
    leaves.

    Where the only payment of an episode is its last, no earlier step's reward is one: any constant
    would fit.

    Args:
        judge: Of the sampled steps.
        reading: Of the learned reward.
        target: What it is compared with, `[n]`; not a number where there is nothing.
        may_leave: The share of the squared error.
    """
    inside = np.isfinite(target)
    mean = errors((target - target[inside].mean())[:, None] ** 2)
    if mean.squares[inside].mean() > judge.floor[0] and judge.overall(reading, mean)[
        0
    ].high < np.log(may_leave):
        yield reading


def _units(judge: Judge) -> Iterator[Reading]:
    """A factor, an offset, or both; only those that are not close to the faultless ones."""
    steps = judge.steps
    predicted, ones = steps.predicted, np.ones(len(steps.predicted))
    offset = linear(judge, ones[:, None], steps.reward - predicted, np.zeros(1))
    if _beyond(offset, 0.0, _OFFSET * float(np.std(steps.reward))):
        (b,) = map(float, offset.parameters)
        misreading = Misreading("offset", {"offset": b}, only=_leaves_nothing(judge, offset))
        yield from _unit(judge, "reward offset", misreading, offset)
    if np.ptp(predicted) <= 1e-9 * np.abs(predicted).max():
        return
    factor = linear(judge, predicted[:, None], steps.reward, np.ones(1))
    affine = linear(judge, np.stack([predicted, ones], axis=1), steps.reward, np.array([1.0, 0.0]))
    if _beyond(factor, 1.0, _FACTOR):
        (c,) = map(float, factor.parameters)
        misreading = Misreading("scale", {"scale": c}, only=_leaves_nothing(judge, factor))
        yield from _unit(judge, "reward scale", misreading, factor)
    if _beyond(affine, 1.0, _FACTOR):
        c, b = map(float, affine.parameters)
        misreading = Misreading("scale and offset", {"scale": c, "offset": b})
        yield from _unit(judge, "reward scale and offset", misreading, affine)


def _leaves_nothing(judge: Judge, fit: ReadingFit) -> bool:
    """Whether next to nothing is left: another weight of one term is in part a factor, too."""
    return bool(np.mean(fit.residual**2) < _NOTHING * np.mean(judge.own.squares) + judge.floor[0])


def _unit(judge: Judge, kind: str, misreading: Misreading, fit: ReadingFit) -> Iterator[Reading]:
    """The reading in another unit; of rewards that do not vary an offset is all that can be told.

    Args:
        judge: Of the sampled steps.
        kind: Of the finding that it would be.
        misreading: The unit.
        fit: What leaves the errors.
    """
    reading = Reading(kind, "unit", misreading, fit.residual**2, len(fit.parameters))
    if kind == "reward offset" and np.var(judge.steps.reward) <= judge.floor[0]:
        yield reading
    yield from informative(judge, reading, judge.steps.reward)


def _beyond(fit: ReadingFit, faultless: float, margin: float) -> bool:
    """Whether the first parameter's interval stays beyond the margin of its faultless value."""
    return bool(fit.low[0] > faultless + margin or fit.high[0] < faultless - margin)


def _curves(judge: Judge) -> Iterator[Reading]:
    """Monotone readings: symlog by name, and any other, fitted to the other half of the
    episodes.
    """
    steps = judge.steps
    with np.errstate(over="ignore"):
        symexp = np.sign(steps.predicted) * np.expm1(np.abs(steps.predicted))
    curves = [(Misreading("symlog"), symexp, 0, HALF)]
    monotone = _rising(steps, steps.predicted, steps.reward)
    if monotone is not None:
        curves.append((Misreading("rising curve"), monotone, _PARAMETERS, _CURVE))
    for misreading, values, parameters, may_leave in curves:
        if np.isfinite(values).all():
            off = (values - steps.reward)[:, None] ** 2
            reading = Reading(
                "reward curve", "unit", misreading, off, parameters, may_leave=may_leave
            )
            # A curve of two values does not mend every region.
            if judge.everywhere(reading, judge.own)[0].high < np.log(HALF):
                yield from informative(judge, reading, steps.reward)


def _rising(
    steps: SampledSteps, at: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"] | None:
    """An increasing function of `at`, for each half of the blocks fitted to the `values` of the
    other half.
    """
    half = steps.block % 2 == 0
    if min(half.sum(), (~half).sum()) < 20:
        return None
    answer = np.empty(len(half))
    for inside in (half, ~half):
        order = np.argsort(at[inside], kind="stable")
        rising = isotonic_regression(values[inside][order]).x
        answer[~inside] = np.interp(at[~inside], at[inside][order], rising)
    return answer


def _lossy(judge: Judge) -> Iterator[Reading]:
    """The learned reward as a rising curve of the real one: no curve of it brings back what
    clipping lost.

    Named as clipping where two limits do about as well as any curve; a fault only if nearly all of
    it follows.
    """
    steps = judge.steps
    fine = judge._replace(floor=np.full(1, (_ROUNDING * np.abs(steps.reward).max()) ** 2 + 1e-18))
    limits = _limits(steps)
    curve = _rising(steps, steps.reward, steps.predicted)
    if limits is None or curve is None:
        return
    clipped, bent = (steps.predicted - x for x in (np.clip(steps.reward, *limits), curve))
    if np.mean(clipped**2) <= _AS_GOOD * np.mean(bent**2) + fine.floor[0]:
        misreading = Misreading("clipped reward", _effective(steps, limits))
        squares = clipped[:, None] ** 2
        reading = Reading("reward clipping", "unit", misreading, squares, 3, may_leave=_CURVE)
    else:
        misreading, squares = Misreading("curve of the reward"), bent[:, None] ** 2
        reading = Reading(
            "reward curve", "unit", misreading, squares, _PARAMETERS + 1, may_leave=_CURVE
        )
        # A curve of two values does not mend every region.
        if judge.everywhere(reading, judge.own)[0].high >= np.log(HALF):
            return
    yield from informative(fine, reading, steps.predicted, _NEARLY)


def _effective(steps: SampledSteps, limits: tuple[float, float]) -> dict[str, float]:
    """The limits, those that cut something off."""
    low, high = map(float, limits)
    least = _OFFSET * np.std(steps.reward)  # a limit that cuts off less is none
    below = low - steps.reward.min() > least
    above = steps.reward.max() - high > least
    if below and above:
        return {"low": low, "high": high}
    return {"low": low} if below else {"high": high}


def _limits(steps: SampledSteps) -> tuple[float, float] | None:
    """Quantiles of the learned reward that clip the real one best; None if it is constant."""
    shares = np.concatenate([[0, 0.005, 0.02, 0.05], np.linspace(0.1, 0.5, 9)])
    lows, highs = np.quantile(steps.predicted, shares), np.quantile(steps.predicted, 1 - shares)
    pairs = [(low, high) for low in lows for high in highs if low < high]
    return min(
        pairs,
        key=lambda pair: float(np.sum((np.clip(steps.reward, *pair) - steps.predicted) ** 2)),
        default=None,
    )


def _arguments(world: MDP, judge: Judge) -> Iterator[Reading]:
    """The learned reward with another state in the place of the state or the next state."""
    steps = judge.steps
    s, a, after = steps.state, steps.action, steps.next_state
    places = {"(s, a, s)": (s, s), "(s', a, s')": (after, after), "(s', a, s)": (after, s)}
    now, later = (np.concatenate([pair[i] for pair in places.values()]) for i in (0, 1))
    answers = queries.rewards(world, now, np.concatenate([a] * len(places)), later).reshape(
        len(places), len(s)
    )
    for place, answer in zip(places, answers, strict=True):
        if not np.isfinite(answer).all():
            continue
        misreading = Misreading("other arguments", arguments=place)
        squares = (answer - steps.reward)[:, None] ** 2
        reading = Reading("reward argument", "argument", misreading, squares)
        yield from informative(judge, reading, steps.reward)


def _finding(judge: Judge, choice: Explanation) -> Finding:
    own, left = (
        np.sqrt(reading.squares[np.isfinite(reading.squares)].mean())
        for reading in (judge.own, choice.reading)
    )
    left = 0.0 if left <= _ROUNDING * np.abs(judge.steps.reward).max() else left
    numbers = {"left": float(left), "own": float(own)}
    return Finding(choice.reading.kind, "reward", numbers, misreadings=choice.misreadings)


def _constant(episodes: Trajectory, predictions: OneStep) -> Iterator[Finding]:
    """A reward model that predicts the mean where real rewards vary."""
    alive = np.asarray(episodes.alive)
    real = np.asarray(episodes.reward)[alive]
    predicted = np.asarray(predictions.at_real.reward)[alive]
    spread, varies = np.std(real), np.std(predicted)
    if spread <= 1e-9 * np.max(np.abs(real), initial=0) or varies >= _FLAT * spread:
        return
    varies = 0.0 if varies <= 1e-9 * np.abs(predicted).max() else varies
    follows = varies > 0 and np.corrcoef(real, predicted)[0, 1] ** 2 > HALF
    if not follows:
        numbers = {"learned": float(varies), "real": float(spread)}
        yield Finding("constant reward", "reward", numbers)
