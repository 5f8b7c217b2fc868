"""Rival readings of the learned reward: another step, another unit, another zero, another curve,
another state.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from scipy.optimize import isotonic_regression

from paracosm.auditing.linter import asking
from paracosm.auditing.linter.fitting import Fit, linear
from paracosm.auditing.linter.neighbours import unexplained
from paracosm.auditing.linter.readings import HALF, Choice, Judge, Reading
from paracosm.auditing.linter.steps import Steps, moved, sampled
from paracosm.auditing.one_step import OneStep
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP
from paracosm.core.records import Finding

_SHIFTS = (-3, -2, -1, 1, 2, 3)
_FACTOR = 0.05  # models of ordinary quality shrink towards the mean by a few hundredths
_OFFSET = 0.003  # of the rewards' spread
_CURVE = 0.02  # of the squared error: what any rising curve may leave, since it can bend to much
_NEARLY = 0.1  # of the learned reward's variance: what a curve of the real one may leave
_AS_GOOD = 1.5  # times the squared error of any rising curve: clipping is what it is
_NOTHING = 0.01  # of the squared error: what a cause may leave that is named as the only one
_FLAT = 0.1  # of the real spread: rewards that vary less stand still
_ROUNDING = 1e-6  # of the largest reward
_FINEST = 1e-3  # of the mean squared error


def reward_findings(
    world: MDP, episodes: Trajectory, asked: OneStep, steps: Steps
) -> tuple[Finding, ...]:
    """The reading of the learned reward that explains its errors; or that nothing can; or that it
    is a mean.
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
    choice = judge.choose(readings) or judge.choose(
        [*_lossy(judge)]
    )  # in the learned reward's unit, so no rivals
    if choice is not None:
        return (_finding(judge, choice),)
    hidden = unexplained(steps, lambda most: sampled(world, episodes, asked, most))
    return tuple(hidden) or tuple(
        _constant(episodes, asked)
    )  # a mean of what is hidden is no poor fit


def _judge(steps: Steps) -> Judge | None:
    """Nothing where the learned reward is right to rounding."""
    off = (steps.predicted - steps.reward)[:, None] ** 2
    floor = np.maximum(
        _FINEST * off.mean(axis=0), (_ROUNDING * np.abs(steps.reward).max()) ** 2 + 1e-18
    )
    if off.mean() <= floor[0]:
        return None
    return Judge(steps, Reading("", "", "", off), floor, np.ones(1))


def _timing(episodes: Trajectory, judge: Judge) -> Iterator[Reading]:
    """Rewards of earlier and later steps, as they are and up to an offset."""
    steps = judge.steps
    for shift in _SHIFTS:
        paid = moved(np.asarray(episodes.reward), np.asarray(episodes.alive), steps, shift)
        off = steps.predicted - paid
        inside = np.isfinite(off)
        if inside.sum() < len(off) / 2:
            continue
        count = f"{abs(shift)} step{'s' if abs(shift) > 1 else ''}"
        phrase = (
            f"it is compared with the reward paid {count} {'earlier' if shift < 0 else 'later'}"
            f" (rewards are recorded {count} off)"
        )
        zero = np.median(off[inside])
        yield from informative(
            judge, Reading("reward timing", "timing", phrase, off[:, None] ** 2), paid
        )
        if abs(zero) > _OFFSET * np.std(steps.reward):
            shifted = Reading(
                "reward timing", "timing", f"{phrase} {plus(zero)}", (off - zero)[:, None] ** 2, 1
            )
            yield from informative(judge, shifted, paid)


def informative(
    judge: Judge, reading: Reading, target: Float[np.ndarray, " n"], leaves: float = HALF
) -> Iterator[Reading]:
    """The reading, if it leaves less than that share of the squared error that the `target`'s mean
    leaves.

    Where the only payment of an episode is its last, no earlier step's reward is one: any constant
    would fit.
    """
    inside = np.isfinite(target)
    mean = Reading("", "", "", (target - target[inside].mean())[:, None] ** 2)
    if mean.squares[inside].mean() > judge.floor[0] and judge.overall(reading, mean)[
        0
    ].high < np.log(leaves):
        yield reading


def _units(judge: Judge) -> Iterator[Reading]:
    """A factor, an offset, or both; only those that are not close to the faultless ones."""
    steps = judge.steps
    predicted, ones = steps.predicted, np.ones(len(steps.predicted))
    offset = linear(judge, ones[:, None], steps.reward - predicted, np.zeros(1))
    if _beyond(offset, 0.0, _OFFSET * float(np.std(steps.reward))):
        (b,) = offset.parameters
        trained = f" (it was trained on rewards {plus(-b)})" if _all(judge, offset) else ""
        yield from _unit(judge, "reward offset", f"{plus(b)}{trained}", offset)
    if np.ptp(predicted) <= 1e-9 * np.abs(predicted).max():
        return
    factor = linear(judge, predicted[:, None], steps.reward, np.ones(1))
    both = linear(judge, np.stack([predicted, ones], axis=1), steps.reward, np.array([1.0, 0.0]))
    if _beyond(factor, 1.0, _FACTOR):
        (c,) = factor.parameters
        trained = " (it was trained on rewards divided by that)" if _all(judge, factor) else ""
        yield from _unit(judge, "reward scale", f"times {c:.4g}{trained}", factor)
    if _beyond(both, 1.0, _FACTOR):
        c, b = both.parameters
        yield from _unit(judge, "reward scale and offset", f"times {c:.4g} {plus(b)}", both)


def _all(judge: Judge, fit: Fit) -> bool:
    """Whether next to nothing is left: another weight of one term is in part a factor, too."""
    return bool(np.mean(fit.residual**2) < _NOTHING * np.mean(judge.own.squares) + judge.floor[0])


def _unit(judge: Judge, kind: str, change: str, fit: Fit) -> Iterator[Reading]:
    """Of rewards that do not vary an offset is all that can be told."""
    reading = Reading(kind, "unit", f"it is read {change}", fit.residual**2, len(fit.parameters))
    if kind == "reward offset" and np.var(judge.steps.reward) <= judge.floor[0]:
        yield reading
    yield from informative(judge, reading, judge.steps.reward)


def plus(number: float) -> str:
    """`+ 1.5` or `- 1.5`."""
    return f"{'+' if number >= 0 else '-'} {abs(number):.4g}"


def _beyond(fit: Fit, faultless: float, margin: float) -> bool:
    """Whether the interval of the first parameter leaves out all within the margin of its faultless
    value.
    """
    return bool(fit.low[0] > faultless + margin or fit.high[0] < faultless - margin)


def _curves(judge: Judge) -> Iterator[Reading]:
    """Monotone readings: symlog by name, and any other, fitted to the other half of the
    episodes.
    """
    steps = judge.steps
    with np.errstate(over="ignore"):
        symexp = np.sign(steps.predicted) * np.expm1(np.abs(steps.predicted))
    curves = {"it is read as symlog of the reward, sign(r) log(1 + |r|)": (symexp, 0, HALF)}
    monotone = _rising(steps, steps.predicted, steps.reward)
    if monotone is not None:
        words = "it is read as a rising curve of the reward (a logarithm, a root, a squashing)"
        curves[words] = (monotone, 4, _CURVE)
    for words, (values, parameters, leaves) in curves.items():
        if np.isfinite(values).all():
            off = (values - steps.reward)[:, None] ** 2
            reading = Reading("reward curve", "unit", words, off, parameters, leaves=leaves)
            if judge.everywhere(reading, judge.own)[0].high < np.log(
                HALF
            ):  # no curve of two values
                yield from informative(judge, reading, steps.reward)


def _rising(
    steps: Steps, at: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"]
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
        where = _cut_where(steps, limits)
        phrase = (
            f"it is compared with the real one clipped {where} (what is beyond was never learned)"
        )
        reading = Reading(
            "reward clipping", "unit", phrase, clipped[:, None] ** 2, 3, leaves=_CURVE
        )
    else:
        phrase = "it is compared with a rising curve of the real one (a squashing, a sign)"
        reading = Reading("reward curve", "unit", phrase, bent[:, None] ** 2, 5, leaves=_CURVE)
        if judge.everywhere(reading, judge.own)[0].high >= np.log(HALF):  # no curve of two values
            return
    yield from informative(fine, reading, steps.predicted, _NEARLY)


def _cut_where(steps: Steps, limits: tuple[float, float]) -> str:
    """The limits, those that cut something off."""
    low, high = (f"{limit:.4g}" for limit in limits)
    least = _OFFSET * np.std(steps.reward)  # a limit that cuts off less is none
    below = limits[0] - steps.reward.min() > least
    above = steps.reward.max() - limits[1] > least
    if below and above:
        return f"to {low} to {high}"
    return f"below {low}" if below else f"above {high}"


def _limits(steps: Steps) -> tuple[float, float] | None:
    """The quantiles of the learned reward that clip the real one to it best; none where it does not
    vary.
    """
    shares = np.concatenate([[0, 0.005, 0.02, 0.05], np.linspace(0.1, 0.5, 9)])
    lows, highs = np.quantile(steps.predicted, shares), np.quantile(steps.predicted, 1 - shares)
    pairs = [(low, high) for low in lows for high in highs if low < high]
    return min(
        pairs,
        key=lambda pair: float(np.sum((np.clip(steps.reward, *pair) - steps.predicted) ** 2)),
        default=None,
    )


def _arguments(world: MDP, judge: Judge) -> Iterator[Reading]:
    """The learned reward asked with another state in the place of the state or the next state."""
    steps = judge.steps
    s, a, after = steps.state, steps.action, steps.next_state
    places = {"(s, a, s)": (s, s), "(s', a, s')": (after, after), "(s', a, s)": (after, s)}
    now, later = (np.concatenate([pair[i] for pair in places.values()]) for i in (0, 1))
    answers = asking.rewards(world, now, np.concatenate([a] * len(places)), later).reshape(
        len(places), len(s)
    )
    for place, answer in zip(places, answers, strict=True):
        if not np.isfinite(answer).all():
            continue
        phrase = (
            f"it is asked at {place} in place of (s, a, s') (it reads another state than it is"
            " given)"
        )
        reading = Reading(
            "reward argument", "argument", phrase, (answer - steps.reward)[:, None] ** 2
        )
        yield from informative(judge, reading, steps.reward)


def _finding(judge: Judge, choice: Choice) -> Finding:
    own, left = (
        np.sqrt(reading.squares[np.isfinite(reading.squares)].mean())
        for reading in (judge.own, choice.reading)
    )
    left = 0.0 if left <= _ROUNDING * np.abs(judge.steps.reward).max() else left
    rivals = "".join(
        f", or when {rival.phrase}, which these steps cannot tell apart" for rival in choice.rivals
    )
    return Finding(
        choice.reading.kind,
        f"The learned reward fits the real one better when {choice.reading.phrase}{rivals}: root"
        " mean square error"
        f" {left:.3g} so, {own:.3g} as it is.",
        "reward",
    )


def _constant(episodes: Trajectory, asked: OneStep) -> Iterator[Finding]:
    """A reward model that predicts the mean where real rewards vary."""
    alive = np.asarray(episodes.alive)
    real, predicted = np.asarray(episodes.reward)[alive], np.asarray(asked.real.reward)[alive]
    spread, varies = np.std(real), np.std(predicted)
    if spread <= 1e-9 * np.max(np.abs(real), initial=0) or varies >= _FLAT * spread:
        return
    varies = 0.0 if varies <= 1e-9 * np.abs(predicted).max() else varies
    follows = varies > 0 and np.corrcoef(real, predicted)[0, 1] ** 2 > HALF
    if not follows:
        yield Finding(
            "constant reward",
            f"The learned reward varies by {varies:.3g} (standard deviation) where the real reward"
            " varies by"
            f" {spread:.3g}, and no other unit, curve or step explains that: it predicts little"
            " more than a mean.",
            "reward",
        )
