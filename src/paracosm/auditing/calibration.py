"""Whether a world's predicted spread is worth anything: coverage, calibration error, the spread of
the imagined return, simple guesses, and what the model makes of actions.

All of it is judged on the real steps of the policy (theory, section 10). Steps of one episode hang
together, so that every number is a mean over episodes of each episode's own, with an interval over
episodes. Intervals of the world are Gaussian around its predictive mean (Lakshminarayanan et al.
2017), judged by the share of real next states that lie in them at several levels (Kuleshov et al.
2018).
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from paracosm.auditing.audit import check_episodes
from paracosm.auditing.coverage import (
    HEADLINE,
    LEVELS,
    expected_error,
    mean_share,
    own_means,
    shares_held,
    widening,
    widths,
)
from paracosm.auditing.imagined_returns import member_returns
from paracosm.auditing.predictive import (
    OneStepPredictions,
    Prediction,
    SpreadSource,
    predict_ahead,
    predict_one_step,
    spread_source,
)
from paracosm.core import callbacks, checks
from paracosm.core.data import Trajectory
from paracosm.core.estimators import mean, root_mean_square
from paracosm.core.forms import require_shape
from paracosm.core.keys import numpy_random, stage_key
from paracosm.core.mdp import MDP
from paracosm.core.policy import MarkovPolicy, Policy
from paracosm.core.precision import in_double
from paracosm.core.records import Estimate
from paracosm.core.records.calibration import (
    ActionUse,
    Calibration,
    ComponentCalibration,
    Confidence,
    Coverage,
    HorizonCalibration,
    ReturnSpread,
)
from paracosm.core.types import Array, PRNGKey

# No horizon is longer, and horizons cost so many steps of single members at the most, which is
# little beside the millions of an audit.
_LONGEST, _MOST_MEMBER_STEPS = 64, 400_000
# The longest horizon fits behind this share of the recorded steps; a longer one would say little of
# the others.
_FITTING = 0.25
# More than this share of the episodes are as long as the longest horizon; a longer one would leave
# too many out.
_REACHING = 0.5
# An imagined state that is larger has left the world, and the square of a much larger one is
# infinite.
_LARGEST = 1e100
# A spread that is off by a smaller factor is as good as right: errors of a quarter change no
# decision.
_NEAR = 1.25
# A gap of more than so many spreads of the imagined return is not what the spread says.
_INSIDE = 2.0
# The mean squared error has not risen with other steps' actions where it rose by a smaller share.
_NO_RISE = 0.05


class _Recorded(NamedTuple):
    """Real episodes in NumPy, `[episode, time, …]`."""

    state: np.ndarray
    action: np.ndarray
    next_state: np.ndarray
    alive: np.ndarray


def calibration_of(
    world: MDP,
    policy: Policy,
    episodes: Trajectory,
    *,
    discount: float = 1.0,
    seed: int = 0,
) -> Calibration:
    """The calibration of `world` on real `episodes` of `policy`: `paracosm.calibrate` without
    words.

    Args:
        world, policy, episodes, discount, seed: As for `paracosm.calibrate`.

    Raises:
        BadArgument: `discount` or `seed` is out of range.
        BadData: episodes of no steps, of another state size than the world's or of numbers that are
            not finite; a world that gives such numbers.
    """
    checks.seed("seed", seed)
    checks.in_unit_interval("discount", discount)
    episodes = jax.tree.map(np.asarray, episodes)
    check_episodes(world, episodes)
    key = stage_key(seed, "calibrate")
    with jax.enable_x64(True), callbacks.as_raised():
        world, policy, episodes = in_double((world, policy, episodes))
        _check_dynamics(world, episodes)
        source = spread_source(world, episodes, key)
        columns = (getattr(episodes, name) for name in _Recorded._fields)
        recorded = _Recorded(*map(np.asarray, columns))
        permuted = _permuted_actions(recorded, key)
        one_step = jax.tree.map(
            np.asarray, predict_one_step(world, episodes, permuted, source, key)
        )
        _check_finite(one_step, episodes)
        horizons, starts = _calibration_by_horizon(
            world, recorded, one_step.prediction, source, key
        )
        returns = None
        if (
            source.number > 1
            and source.spread in ("members", "total")
            and isinstance(policy, MarkovPolicy)
        ):
            returns = _returns(
                world, policy, episodes, count=source.number, discount=discount, key=key
            )
    judged, alive = _judged(recorded, one_step.prediction), recorded.alive
    spread_judged = source.spread != "none" and bool(judged.any())
    required = widths(one_step.prediction, recorded.next_state)
    factor = widening(required[HEADLINE], alive, judged) if spread_judged else None
    return Calibration(
        spread=source.spread,
        count=source.number,
        episodes=len(alive),
        steps=int(alive.sum()),
        confidence=None if factor is None else _confidence(factor),
        coverage=_coverage(shares_held(required, alive, judged)) if spread_judged else None,
        factor=factor,
        components=_components(required, alive, judged) if spread_judged else (),
        left_out=() if source.spread == "none" else tuple(np.flatnonzero(~judged).tolist()),
        horizons=horizons,
        starts=starts,
        returns=returns,
        actions=_action_use(world, recorded, one_step, permuted),
    )


def _check_dynamics(world: MDP, episodes: Trajectory) -> None:
    state, action = (jnp.asarray(column[0, 0]) for column in (episodes.state, episodes.action))

    def answer() -> Array:
        return world.dynamics(state, action, jax.random.key(0))

    require_shape("the world's dynamics", answer, state.shape)


def _check_finite(one_step: OneStepPredictions, episodes: Trajectory) -> None:
    columns = {
        "the world's next state": one_step.prediction.by_world,
        "the world's next state after another step's action": one_step.shuffled,
    }
    checks.finite_steps("real episode", columns, episodes.alive)
    for name, column in columns.items():
        sizes = np.where(episodes.alive, np.abs(column).max(axis=-1), 0)
        if sizes.max() >= _LARGEST:
            episode, time = np.argwhere(sizes >= _LARGEST)[0]
            raise checks.BadData(
                f"{name} is {sizes[episode, time]:.2g} in size at step {time} of real episode"
                f" {episode}; less than {_LARGEST:.0e} is needed, so that its error can be squared."
            )


def _permuted_actions(episodes: _Recorded, key: PRNGKey) -> np.ndarray:
    """The recorded actions, permuted over all steps."""
    permuted = episodes.action.copy()
    permuted[episodes.alive] = numpy_random(key).permutation(permuted[episodes.alive], axis=0)
    return permuted


def _judged(episodes: _Recorded, prediction: Prediction) -> Bool[np.ndarray, " state"]:
    """The components that some step changes, and that are not predicted without error and spread,
    to the rounding of 32 bits.
    """
    before, after, mean, variance = (
        np.asarray(column)[episodes.alive]
        for column in (episodes.state, episodes.next_state, prediction.mean, prediction.variance)
    )
    rounding = 2 * np.finfo(np.float32).eps * np.abs(after)
    changes = (np.abs(after - before) > rounding).any(axis=0)
    uncertain = (np.sqrt(variance) > rounding) | (np.abs(after - mean) > rounding)
    return np.asarray(changes & uncertain.any(axis=0))


def _coverage(shares: Float[np.ndarray, "level held"]) -> Coverage:
    return Coverage(LEVELS, tuple(map(mean_share, shares)), expected_error(shares))


def _confidence(factor: Estimate) -> Confidence:
    if factor.low >= 1 / _NEAR and factor.high <= _NEAR:
        return "calibrated"
    if factor.low > 1:
        return "overconfident"
    return "underconfident" if factor.high < 1 else "undetermined"


def _components(
    required_widths: np.ndarray, valid: np.ndarray, judged: np.ndarray
) -> tuple[ComponentCalibration, ...]:
    """The calibration of each judged component on its own.

    Args:
        required_widths: Widths that hold the real states, `[level, episode, time, state]`.
        valid: Steps that were taken, `[episode, time]`.
        judged: `[state]`.
    """
    records = []
    for component in np.flatnonzero(judged):
        alone = np.arange(len(judged)) == component
        shares = shares_held(required_widths, valid, alone)
        held = mean_share(shares[HEADLINE])
        records.append(ComponentCalibration(int(component), held, expected_error(shares)))
    return tuple(records)


def _calibration_by_horizon(
    world: MDP,
    episodes: _Recorded,
    one_step: Prediction,
    source: SpreadSource,
    key: PRNGKey,
) -> tuple[tuple[HorizonCalibration, ...], int]:
    """The calibration of one step and of more from the same recorded states, so that horizons can
    be held against each other, and how many states these are. It goes as far as imagination stays
    finite: with the actions of another state it may leave where the policy would have held it.

    Args:
        world: The learned world.
        episodes: Real ones.
        one_step: The predictions of one step.
        source: Of the spread.
        key: Of the noise.
    """
    judged, scale = _judged(episodes, one_step), np.asarray(world.spec.state_scale)
    center = np.mean(episodes.next_state[episodes.alive], axis=0)
    of_horizon = partial(_one_horizon, judged=judged, center=center, scale=scale)
    longest = _longest_horizon(episodes.alive.sum(axis=1))
    grid = tuple(2**power for power in range(1, longest.bit_length()))
    if not grid:
        real = _RealOutcome(episodes.state, episodes.next_state, episodes.alive)
        return (of_horizon(1, real, one_step),), int(episodes.alive.sum())
    long_enough = episodes.alive.sum(axis=1) >= longest
    episodes, one_step = jax.tree.map(lambda column: column[long_enough], (episodes, one_step))
    time, valid = _start_times(episodes, source, longest, key)
    rows = np.arange(len(time))[:, None]
    ahead = _predict_from_starts(world, episodes, time, source, key, grid=grid)
    records = []
    for i, steps in enumerate((1, *grid)):
        real = _RealOutcome(
            episodes.state[rows, time],
            episodes.next_state[rows, time + steps - 1],
            valid,
        )
        if i:
            prediction = Prediction(*(column[:, :, i - 1] for column in ahead))
        else:
            prediction = Prediction(*(column[rows, time] for column in one_step))
        if not (np.abs(prediction.by_world) < _LARGEST).all():
            break
        records.append(of_horizon(steps, real, prediction))
    return tuple(records), int(valid.sum())


def _longest_horizon(steps: np.ndarray) -> int:
    """The longest horizon, a power of two, that fits behind a quarter of the steps of episodes of
    so many `steps`, `[episode]`, and that most of the episodes reach: one long episode alone would
    have no interval.
    """
    longest = 1
    while 2 * longest <= _LONGEST:
        fitting = np.maximum(steps - 2 * longest + 1, 0)
        if fitting.sum() < _FITTING * steps.sum() or np.mean(fitting > 0) <= _REACHING:
            break
        longest *= 2
    return longest


def _predict_from_starts(
    world: MDP,
    episodes: _Recorded,
    time: np.ndarray,
    source: SpreadSource,
    key: PRNGKey,
    *,
    grid: tuple[int, ...],
) -> Prediction:
    """The predictions from the recorded states at these times, `[episode, start, grid, state]`.

    Args:
        world, episodes, source, key: As for `_calibration_by_horizon`.
        time: When each start is, `[episode, start]`.
        grid: Numbers of steps.
    """
    rows, last = np.arange(len(time))[:, None], episodes.alive.shape[1] - 1
    following = np.minimum(time[..., None] + np.arange(grid[-1]), last)
    actions = episodes.action[rows[..., None], following]
    start = episodes.state[rows, time].reshape(time.size, -1)
    actions = actions.reshape(time.size, *actions.shape[2:])
    ahead = predict_ahead(world, start, actions, source, key, grid=grid)
    return Prediction(
        *(np.asarray(column).reshape(*time.shape, *column.shape[1:]) for column in ahead)
    )


class _RealOutcome(NamedTuple):
    """Real states some steps after a start, `[episode, row, …]`, beside the start itself, and which
    of them count.
    """

    start: np.ndarray
    state: np.ndarray
    valid: np.ndarray


def _start_times(
    episodes: _Recorded, source: SpreadSource, longest: int, key: PRNGKey
) -> tuple[np.ndarray, np.ndarray]:
    """Times of so many steps of each episode as may be imagined from, `[episode, start]`: one drawn
    at random from each of equal parts of those behind which the longest horizon fits; and which of
    them count, so that a step that stands there twice counts once.

    Args:
        episodes: Real ones, none shorter than the longest horizon.
        source: Of the spread.
        longest: The longest horizon.
        key: Of the times.
    """
    played = source.members * source.draws + max(1, source.number)
    fitting = episodes.alive.sum(axis=1) - longest + 1
    count = _MOST_MEMBER_STEPS // (len(fitting) * longest * played)
    count = int(np.clip(count, 1, fitting.max()))
    random = numpy_random(jax.random.fold_in(key, 1)).random((len(fitting), count))
    part = fitting[:, None] / count
    time = np.floor((np.arange(count) + np.where(part > 1, random, 0)) * part).astype(int)
    return time, np.diff(time, axis=1, prepend=-1) > 0


def _one_horizon(
    steps: int,
    real: _RealOutcome,
    prediction: Prediction,
    *,
    judged: np.ndarray,
    center: np.ndarray,
    scale: np.ndarray,
) -> HorizonCalibration:
    """The calibration of one horizon.

    Args:
        steps: How many steps it has.
        real: The real states that so many steps lead to.
        prediction: Of those states.
        judged: Whether a component is judged, `[state]`.
        center: The mean real state, `[state]`.
        scale: The state scale, `[state]`.
    """

    def squares(guess: np.ndarray) -> np.ndarray:
        return own_means(np.sum(((guess - real.state) / scale) ** 2, axis=-1), real.valid)

    model, no_change, mean_state = map(
        squares, map(np.asarray, (prediction.by_world, real.start, center))
    )
    better = no_change if no_change.mean() < mean_state.mean() else mean_state
    shares = None
    if np.isfinite(prediction.variance[real.valid]).all() and judged.any():
        shares = shares_held(widths(prediction, real.state), real.valid, judged)
    return HorizonCalibration(
        steps=steps,
        coverage=None if shares is None else mean_share(shares[HEADLINE]),
        error=None if shares is None else expected_error(shares),
        model=root_mean_square(model),
        no_change=root_mean_square(no_change),
        mean_state=root_mean_square(mean_state),
        lead=mean(better - model),
    )


def _returns(
    world: MDP,
    policy: MarkovPolicy,
    episodes: Trajectory,
    *,
    count: int,
    discount: float,
    key: PRNGKey,
) -> ReturnSpread:
    """The spread of the imagined return over members, beside the gap.

    Args:
        world, policy, episodes, discount: As for `calibration_of`.
        count: Of members.
        key: Of the noise.
    """
    imagined = member_returns(world, policy, episodes, count=count, discount=discount, key=key)
    by_member = imagined.members.mean(axis=1)
    spread = float(by_member.std(ddof=1)) if count > 1 else 0.0
    gap = mean(episodes.returns(discount) - imagined.by_world)
    ratio = _in_spreads(gap, spread, float(np.abs(by_member).max()))
    return ReturnSpread(
        discount=discount,
        members=tuple(map(float, by_member)),
        spread=spread,
        gap=gap,
        ratio=ratio,
        inside=_verdict(ratio.high <= _INSIDE, ratio.low > _INSIDE),
    )


def _verdict(holds: bool, fails: bool) -> bool | None:
    """Whether something is so, None where its interval allows both."""
    return holds if holds or fails else None


def _in_spreads(gap: Estimate, spread: float, size: float) -> Estimate:
    """|gap| / spread, of these members; `size` is that of their returns, of which rounding is a
    part.
    """
    if spread <= np.finfo(np.float32).eps * size:
        return Estimate(np.inf, 0.0, np.inf, gap.n, "no spread to divide by")
    near, far = sorted(map(abs, (gap.low, gap.high)))
    near = near if gap.excludes_zero else 0.0
    return Estimate(abs(gap.mean) / spread, near / spread, far / spread, gap.n, gap.method)


def _action_use(
    world: MDP, episodes: _Recorded, one_step: OneStepPredictions, permuted: np.ndarray
) -> ActionUse | None:
    """One-step errors with recorded and with other steps' actions, where the two differ; None where
    they never do.

    Args:
        world, episodes: As for `calibration_of`.
        one_step: The predictions of one step.
        permuted: Actions of other steps, of the shape of the recorded ones.
    """
    differ = np.reshape(permuted != episodes.action, (*episodes.alive.shape, -1)).any(axis=-1)
    valid, scale = episodes.alive & differ, np.asarray(world.spec.state_scale)
    if not valid.any():
        return None
    recorded, shuffled = (
        own_means(np.sum(((guess - episodes.next_state) / scale) ** 2, axis=-1), valid)
        for guess in (one_step.prediction.by_world, one_step.shuffled)
    )
    rise = _rise(recorded, shuffled, _rounding(episodes, scale))
    return ActionUse(
        steps=int(valid.sum()),
        recorded=root_mean_square(recorded),
        shuffled=root_mean_square(shuffled),
        rise=rise,
        blind=_verdict(rise.low <= 0 and rise.high < _NO_RISE, rise.low > 0),
    )


def _rounding(episodes: _Recorded, scale: np.ndarray) -> float:
    """The squared error that 32 bits make of recorded states, in scaled states."""
    states = np.finfo(np.float32).eps * episodes.next_state[episodes.alive] / scale
    return float(np.mean(np.sum(states**2, axis=-1)))


def _rise(
    recorded: Float[np.ndarray, " episode"], shuffled: Float[np.ndarray, " episode"], least: float
) -> Estimate:
    """By which share the mean squared error of an episode rises: the paired differences of its
    logarithm, so that no episode counts for more because its errors are larger.

    Args:
        recorded, shuffled: Mean squared errors of the same episodes.
        least: Errors below are rounding.
    """
    if np.array_equal(recorded, shuffled):
        return Estimate(0.0, 0.0, 0.0, len(recorded), "exact: no prediction hangs on the action")
    logs = mean(np.log(np.maximum(shuffled, least)) - np.log(np.maximum(recorded, least)))
    low, center, high = np.expm1([logs.low, logs.mean, logs.high])
    return Estimate(float(center), float(low), float(high), logs.n, f"ratio by {logs.method}")
