"""Means over episodes whose intervals allow for rare events that none of these episodes held.

Most returns vary from episode to episode, and what they vary by says how sure a mean is. It says
nothing of an event that is so rare that none of these episodes held one. Such events may decide the
mean return in two cases:

- half of the real returns or more are one value: nothing was paid, every step was survived;
- half of them or more are near one another, compared with what a known reward that none of these
  episodes held would make of a return: a goal that few starts reach, behind a control cost.

Then a return is taken to lie in the range of those that were seen and those that one such event
makes (`Span`), and a term of the gap in the range of their differences; what is nearly the same in
most episodes gets a betting interval in that range. In all cases a return is within what the known
rewards allow in as many steps (`Span.allowed`), if these are ten discounted steps or more: the
rewards of one step or a few are a sample as the returns are, and bound nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from paracosm.auditing.one_step import OneStep
from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.estimators import bounded_mean, concentrated, mean, most_equal, varied_mean
from paracosm.core.mdp import MDP, never
from paracosm.core.records import Estimate

# A share of the range of terms: where half of the terms are nearer to one another than this, they
# do not tell how far others may be.
_NEAR_TERM = 0.01
# A share of what the rewards allow: a smaller difference is the arithmetic of an exact part.
_ROUNDING = 1e-9
# A reward that lies further from those of these episodes than so many times their range is another
# kind of reward. The worst rewards of Pendulum and Reacher are within 2.
_APART = 4.0
# Discounted steps: in fewer, what known rewards allow is hardly beyond the returns that were seen.
_LEAST_STEPS = 10.0

ReturnRange = tuple[float, float] | None  # of returns as far as rare episodes make them, if known


class Span(NamedTuple):
    """Returns from `low` to `high`, as far as rare events make them, within all that the rewards
    allow, `allowed`.
    """

    low: float
    high: float
    allowed: tuple[float, float]

    @property
    def width(self) -> float:
        return self.high - self.low

    @property
    def ends(self) -> tuple[float, float]:
        return self.low, self.high


class Averages(NamedTuple):
    """How returns and terms of one set of episodes are averaged, at one discount.

    Attributes:
        rare_may_decide: Whether rare episodes may decide the real return.
        real_span: Where real returns lie then; of no width if nothing is known of that.
        joint_span: Where real and imagined returns lie then; of no width likewise.
        steps: Of a full episode, discounted.
        most_reward_term: The most that a rare event makes of a reward term.
        ends_known: Whether the end rule was right about ends that were seen.
        never_ends: Whether no episode can end in either world.
        reweighted: Whether returns are reweighted; then they have no known range.
        unseen_reward: The known reward that moves a return the most of those that none of these
            episodes held; None where rare episodes decide nothing, or returns differ by more.
        given: The parts of the world that are said to be the real ones.
    """

    rare_may_decide: bool
    real_span: Span
    joint_span: Span
    steps: float
    most_reward_term: float
    ends_known: bool
    never_ends: bool
    reweighted: bool
    unseen_reward: float | None
    given: tuple[str, ...]

    def mean_return(self, returns: ArrayLike, *, imagined: bool = False) -> Estimate:
        """The mean of returns `[episode]`, real ones or `imagined` ones."""
        returns = np.asarray(returns, np.float64)
        span = self.joint_span if imagined or not self.real_span.width else self.real_span
        if self.reweighted:
            return mean(returns)
        limits = _widened(span.ends, returns)
        if (self.rare_may_decide or _constant(returns)) and concentrated(returns, *limits):
            return _bounded(returns, limits)
        return varied_mean(returns, bounds=_limits(span.allowed, self.steps, returns))

    def mean_term(
        self, differences: ArrayLike, cause: str = "", *, level: float = 0.95
    ) -> Estimate:
        """The mean of differences of returns `[episode]`, of those that `cause` makes if named.

        Where returns vary, a term that is the same in every episode is taken for a constant: an
        exact part of the world has the term 0. An end rule has it only where no episode can end, or
        where it was right about ends; where returns are reweighted, which gives them no range, it
        has it wherever it was right. A part that was given and right in all of these episodes is
        taken for the real one.

        Raises:
            BadData: a difference is not finite.
        """
        differences = np.asarray(differences, np.float64)
        checks.finite("the differences to average", differences, "episode")
        if _constant(differences) and (
            self._holds_elsewhere(cause) or self._given_and_right(cause, differences)
        ):
            return _as_constant(differences)
        if self.reweighted:
            return mean(differences, level)
        width = self.joint_span.width
        if cause == "reward":
            width = min(width, self.most_reward_term)
        low, high = _widened((-width, width), differences)
        if low == high and self.joint_span.width:
            return _as_constant(differences)
        everywhere = -self.joint_span.width, self.joint_span.width
        if _constant(differences) or (
            self.rare_may_decide and concentrated(differences, *everywhere, near=_NEAR_TERM)
        ):
            return _bounded(differences, (low, high), level)
        return varied_mean(differences, level)

    def _given_and_right(self, cause: str, differences: np.ndarray) -> bool:
        """Whether a part that was given made no difference, beyond rounding."""
        size = _ROUNDING * max(map(abs, self.joint_span.allowed))
        return cause in self.given and bool(np.all(np.abs(differences) <= size))

    def _holds_elsewhere(self, cause: str) -> bool:
        """Whether a term of `cause` that is the same in all of these episodes may be taken for the
        same in all others.
        """
        if cause == "termination" and not self.reweighted:
            return self.never_ends or (self.ends_known and not self.rare_may_decide)
        return not self.rare_may_decide


def mean_without_range(
    differences: ArrayLike, level: float = 0.95, bounds: tuple[float, float] | None = None
) -> Estimate:
    """The mean of differences of returns `[episode]` whose range is not known, or of which one end
    is in `bounds`; one that is the same in every episode is taken for a constant.

    Raises:
        BadData: a difference is not finite.
    """
    differences = np.asarray(differences, np.float64)
    checks.finite("the differences to average", differences, "episode")
    return _as_constant(differences) if _constant(differences) else mean(differences, level, bounds)


def averages(
    world: MDP,
    episodes: Trajectory,
    predictions: OneStep,
    imagined: Trajectory,
    *,
    discount: float,
    extra_rewards: tuple[float, ...] = (),
    given: tuple[str, ...] = (),
    reweighted: bool = False,
) -> Averages:
    """How to average returns and terms of these episodes.

    Args:
        world: The learned world.
        episodes: Real episodes, NumPy arrays `[episode, time, …]`.
        predictions: The world's at each of their steps.
        imagined: Episodes of the learned world from the same starts.
        discount: At which returns are added up.
        extra_rewards: Rewards that were recorded beside those of the episodes.
        given: Parts of the world that are said to be the real ones.
        reweighted: Whether the episodes stand for another policy's: weighted returns have no known
            range.
    """
    real, paid, recorded, steps = _recorded(episodes, extra_rewards, discount)
    of_world = imagined.returns(discount)
    alive, ended = np.asarray(episodes.alive), np.asarray(episodes.terminated)
    predicted = np.asarray(predictions.at_real.reward)[alive]
    possible = np.concatenate(
        [recorded, predicted, np.asarray(imagined.reward)[np.asarray(imagined.alive)]]
    )
    never_ends = world.termination is never and not (ended & alive).any()
    most_repeats = steps if never_ends else 1.0
    rare = _rare(real, paid, recorded, most_repeats)
    of_either = np.concatenate([real, of_world])
    rare_may_decide = rare.may_decide and len(real) > 1 and not reweighted
    return Averages(
        rare_may_decide=rare_may_decide,
        real_span=_span(real, rare.unseen, recorded, steps, tied=rare.tied),
        joint_span=_span(
            of_either,
            _unseen(float(np.median(real)), paid, possible, most_repeats),
            possible,
            steps,
            tied=rare.tied,
        ),
        steps=steps,
        most_reward_term=float(np.ptp(possible)) * steps,
        ends_known=bool(
            (ended & alive).any()
            and np.array_equal(np.asarray(predictions.at_real.ended) & alive, ended & alive)
        ),
        never_ends=never_ends,
        reweighted=reweighted,
        unseen_reward=_farthest(real, rare.unseen, recorded) if rare_may_decide else None,
        given=given,
    )


class _RecordedReturns(NamedTuple):
    """Returns `[episode]`, the rewards `paid` in them `[step]`, those and the ones recorded beside
    them in `recorded` `[reward]`, and the discounted `steps` of a full episode.
    """

    returns: np.ndarray
    paid: np.ndarray
    recorded: np.ndarray
    steps: float


def _recorded(
    episodes: Trajectory, extra_rewards: Sequence[float] | np.ndarray, discount: float
) -> _RecordedReturns:
    """What was recorded of real episodes, NumPy arrays `[episode, time, …]`, at a discount."""
    paid = np.asarray(episodes.reward)[np.asarray(episodes.alive)]
    return _RecordedReturns(
        returns=episodes.returns(discount),
        paid=paid,
        recorded=np.concatenate([paid, extra_rewards]),
        steps=float(np.sum(discount ** np.arange(episodes.alive.shape[1]))),
    )


def _farthest(
    returns: np.ndarray, unseen: tuple[float, float], recorded: np.ndarray
) -> float | None:
    """The recorded reward that moves the usual return the most, None where these differ by more.

    Args:
        returns: Of these episodes, `[episode]`.
        unseen: The least and the most that a rare event makes of one.
        recorded: All recorded rewards, `[reward]`.
    """
    usual = float(np.median(returns))
    below, above = usual - unseen[0], unseen[1] - usual
    if max(below, above) <= np.ptp(returns):
        return None
    return float(np.min(recorded) if below >= above else np.max(recorded))


def rare_bounds(
    played: Sequence[Trajectory],
    extra_rewards: Sequence[np.ndarray],
    worlds: Sequence[MDP],
    *,
    discount: float,
) -> tuple[float, float] | None:
    """Where returns of any of several policies lie as far as rare episodes make them; None where
    those of each vary by themselves.

    Args:
        played: Real episodes by policy, NumPy arrays `[episode, time, …]`.
        extra_rewards: Rewards that were recorded beside theirs, by policy, `[reward]`.
        worlds: The worlds that the policies were trained in: none that never ends, where no episode
            ended, says that an episode can.
        discount: At which returns are added up.
    """
    rewards = [np.asarray(rows.reward)[np.asarray(rows.alive)] for rows in played]
    recorded = np.concatenate([*rewards, *extra_rewards])
    ends = any(np.asarray(rows.terminated).any() for rows in played)
    never_ends = not ends and all(world.termination is never for world in worlds)
    spans = [
        _rare_range(rows, recorded, discount=discount, never_ends=never_ends) for rows in played
    ]
    decided = [span for span in spans if span is not None]
    if not decided:
        return None
    return min(low for low, _ in decided), max(high for _, high in decided)


def return_limits(
    episodes: Trajectory, extra_rewards: Sequence[float] = (), *, discount: float
) -> ReturnRange:
    """All that the recorded rewards allow of returns in so many steps; None where only one reward
    is known, or where the discounted steps are fewer than ten.

    Args:
        episodes: Real episodes, NumPy arrays `[episode, time, …]`.
        extra_rewards: Rewards that were recorded beside theirs.
        discount: At which returns are added up.
    """
    real = _recorded(episodes, extra_rewards, discount)
    return _limits(_allowed(real.recorded, real.steps), real.steps, real.returns)


def _limits(allowed: tuple[float, float], steps: float, samples: np.ndarray) -> ReturnRange:
    """All that the rewards allow, `allowed`, in so many discounted steps, and as far as these
    samples; None where fewer than two rewards are known, or the steps are few.
    """
    if steps < _LEAST_STEPS or allowed[0] == allowed[1]:
        return None
    return _widened(allowed, samples)


def _widened(bounds: tuple[float, float], samples: np.ndarray) -> tuple[float, float]:
    return min(bounds[0], float(np.min(samples))), max(bounds[1], float(np.max(samples)))


def widened_to(bounds: ReturnRange, samples: np.ndarray) -> ReturnRange:
    """The bounds, widened to hold these samples.

    Sparse policies alone make the bounds; returns of other policies, and imagined ones, may lie
    beyond.
    """
    return None if bounds is None else _widened(bounds, samples)


def of_differences(bounds: ReturnRange, differences: np.ndarray) -> ReturnRange:
    """What differences of two returns within the bounds can be, and as far as these reach."""
    if bounds is None:
        return None
    span = max(bounds[1] - bounds[0], float(np.max(np.abs(differences))))
    return -span, span


def _rare_range(
    episodes: Trajectory, extra_rewards: np.ndarray, *, discount: float, never_ends: bool
) -> tuple[float, float] | None:
    """Where returns lie as far as rare episodes make them, None where they vary by themselves.

    Args:
        episodes: Real episodes of one policy, NumPy arrays `[episode, time, …]`.
        extra_rewards: Rewards that were recorded beside theirs, `[reward]`.
        discount: At which returns are added up.
        never_ends: Whether no episode can end.
    """
    real, paid, recorded, steps = _recorded(episodes, extra_rewards, discount)
    rare = _rare(real, paid, recorded, steps if never_ends else 1.0)
    if not rare.may_decide:
        return None
    span = _span(real, rare.unseen, recorded, steps, tied=rare.tied)
    return (span.low, span.high) if span.width else None


class _Rare(NamedTuple):
    """What rare events may make of returns.

    Attributes:
        tied: Whether half of the returns or more are one value.
        unseen: The least and the most that a reward which none of these episodes held makes of the
            usual return.
        may_decide: Whether rare episodes may decide the mean return.
    """

    tied: bool
    unseen: tuple[float, float]
    may_decide: bool


def _rare(real: np.ndarray, paid: np.ndarray, recorded: np.ndarray, most_repeats: float) -> _Rare:
    """What recorded rewards say of events that are rarer than these episodes.

    Args:
        real: Their returns, `[episode]`.
        paid, recorded, most_repeats: As for `_unseen`.
    """
    tied = bool(2 * most_equal(real) >= len(real) and most_equal(real) > 1)
    unseen = _unseen(float(np.median(real)), paid, recorded, most_repeats)
    near = unseen[0] < unseen[1] and concentrated(real, *unseen)
    return _Rare(tied, unseen, bool(tied or near))


def _unseen(
    usual: float, paid: np.ndarray, recorded: np.ndarray, most_repeats: float
) -> tuple[float, float]:
    """What recorded rewards beyond those `paid` in these episodes make of the `usual` return.

    One such reward is paid once; if it is another kind of step than those seen, then as often as it
    may be repeated.

    Args:
        usual: The median return of these episodes.
        paid: Their rewards, `[step]`.
        recorded: All recorded rewards, `[reward]`.
        most_repeats: How often one may be paid in an episode at the most, in discounted steps.
    """
    below, above = float(np.min(paid) - np.min(recorded)), float(np.max(recorded) - np.max(paid))
    kind = _APART * float(np.ptp(paid))
    return (
        usual - below * (most_repeats if below > kind else 1.0),
        usual + above * (most_repeats if above > kind else 1.0),
    )


def _span(
    returns: np.ndarray,
    unseen: tuple[float, float],
    recorded: np.ndarray,
    steps: float,
    *,
    tied: bool,
) -> Span:
    """Returns seen and unseen; where most are one value, an end at once is among the unseen.

    Args:
        returns: Of these episodes, `[episode]`.
        unseen: The least and the most that a rare event makes of one.
        recorded: All recorded rewards, `[reward]`.
        steps: Of a full episode, discounted.
        tied: Whether half of the returns or more are one value.
    """
    allowed = _allowed(recorded, steps)
    possible = [
        *unseen,
        float(np.min(returns)),
        float(np.max(returns)),
        *((0.0, float(np.min(recorded)), float(np.max(recorded))) if tied else ()),
    ]
    return Span(max(min(possible), allowed[0]), min(max(possible), allowed[1]), allowed)


def _allowed(recorded: np.ndarray, steps: float) -> tuple[float, float]:
    """The least and the most return that the recorded rewards allow in so many steps; 0 and a
    single reward are always among them.
    """
    least, most = float(np.min(recorded)), float(np.max(recorded))
    return min(least * steps, least, 0.0), max(most * steps, most, 0.0)


def _bounded(samples: np.ndarray, limits: tuple[float, float], level: float = 0.95) -> Estimate:
    """Betting within the limits, which one sample or limits of no width do not allow."""
    return (
        bounded_mean(samples, limits, level)
        if len(samples) > 1 and limits[0] < limits[1]
        else mean(samples, level)
    )


def _as_constant(samples: np.ndarray) -> Estimate:
    center, n = float(np.mean(samples)), len(samples)
    return Estimate(
        center, center, center, n, f"the same in all {n} episodes: taken for a constant"
    )


def _constant(samples: np.ndarray) -> bool:
    return most_equal(samples) == len(samples) > 1
