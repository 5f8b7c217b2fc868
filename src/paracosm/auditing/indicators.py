"""Leading indicators: which numbers of an audit precede the gap, from checkpoint to checkpoint.

Let x_t be an indicator and y_t the target, the size of the gap, at the ordered checkpoints
t = 1 … T of one training, both replaced by their ranks. Does x_t say of y_{t+L} what y_t does not
say already? Two partial correlations over the n = T - 1 - L rows t = 2 … T - L answer,

    levels:       corr(y_{t+L}, x_t                | 1, t, y_t, x_{t-1})
    differences:  corr(y_{t+L} - y_t, x_t - x_{t-1} | 1, y_t - y_{t-1})

corr(· | z) being the correlation of the residuals of both after least squares on z (Granger 1969).
Series of a training move: the gap falls while it learns, and so does much else, so that unrelated
series look related. The lagged x_{t-1} makes the coefficient of x_t one of a stationary regressor,
also where both series are random walks (the lag augmentation of Toda & Yamamoto 1995), and t takes
a common trend. A common step is no trend; differences take it, and are themselves misled by noise
about a trend, which levels are not. So an indicator leads where both say so: its p-value is the
larger of the two (an intersection-union test), and its statistic the smaller, 0 if signs differ.

p-values are of permutations, two-sided:

- *residuals* (Freedman & Lane 1983): under the hypothesis the residuals of y_{t+L} are exchangeable
  in time, whatever x does, while x and the trend keep their order. Where L > 1, those of L rows in
  turn share steps of y, so that blocks of L rows are permuted, cut at a random phase. Several
  trainings are permuted each by itself, and the statistic is the mean over them, weighted by n.
- *trainings*: of K ≥ 5 trainings with as many checkpoints, the indicators of training σ(k) are put
  beside the gap of training k, for all permutations σ. Where trainings are exchangeable and
  indicators tell nothing of their own training's gap, this is exact, whatever trend, step or season
  all share. The statistic is the mean over k beyond that of all pairs (j, k).

Several indicators are corrected together by Holm's step-down (1979): with probability 1 - LEVEL
none is said to lead where none does.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from paracosm.core import checks
from paracosm.core.records.indicators import Indicator, Indicators, LeadVerdict

LEVEL = 0.05
_TARGET = "gap"  # the series to be preceded: its size counts, not its sign
# Trainings from which on pairings are permuted: of 5 there are 120, whose smallest p-value of 1/120
# is what Holm's correction of six indicators asks for.
TRAININGS = 5
# Rows after lags are taken off. Levels estimate five coefficients: of fewer rows residuals say next
# to nothing; a mean over five trainings can do with two fewer.
_ROWS, _ROWS_OF_TRAININGS = 8, 6
_BLOCKS = 4  # of as many rows as the lag: of 4 the recorded order comes by chance in 1 of 24
_DRAWS = 4999  # random permutations; p-values to 0.003 near LEVEL
_SEED = 16
# Of the length of a series: residuals as small are rounding, and the indicator repeats the gap.
_ROUNDING = 1e-8

SeriesByName = Mapping[str, Sequence[float] | np.ndarray]


def indicators(
    trainings: Mapping[str, SeriesByName],
    lag: int = 1,
    left_out: tuple[str, ...] = (),
) -> Indicators:
    """Test which series of one or several trainings precede the size of the gap.

    Args:
        trainings: By name: series by name, each a number per checkpoint `[checkpoint]` in order of
            time, one of them `gap`; of the same names in all trainings.
        lag: By how many checkpoints.
        left_out: Names of indicators that are not known at every checkpoint, for the record.

    Raises:
        BadArgument: no training, no gap, no indicator, or a lag below 1.
        BadData: series of unequal length or with numbers that are not finite, or trainings with
            other indicators.
    """
    checks.count("lag", lag)
    names = _names(trainings)
    tables = [_columns(name, table) for name, table in trainings.items()]
    gaps = [np.abs(table[_TARGET]) for table in tables]
    counts = tuple(map(len, gaps))
    paired = len(tables) >= TRAININGS and len(set(counts)) == 1
    needed = (_ROWS_OF_TRAININGS if paired else max(_ROWS, _BLOCKS * lag)) + 1 + lag
    tests = {
        name: _tested([table[name] for table in tables], gaps, lag, paired=paired)
        for name in names
        if min(counts) >= needed
    }
    return Indicators(
        target=_TARGET,
        lag=lag,
        trainings=tuple(trainings),
        checkpoints=counts,
        needed=needed,
        method="trainings" if paired else "residuals",
        level=LEVEL,
        indicators=_judged(names, tests),
        left_out=left_out,
    )


def _names(trainings: Mapping[str, SeriesByName]) -> list[str]:
    """The indicators, which all trainings have.

    Raises:
        BadArgument: there is no training, gap or indicator.
        BadData: trainings differ.
    """
    if not trainings:
        raise checks.BadArgument("no training is given; the audits of one or several are needed.")
    first, *rest = trainings.items()
    for name, table in rest:
        if set(table) != set(first[1]):
            raise checks.BadData(
                f"{first[0]} has the series {', '.join(first[1])}, and {name} has"
                f" {', '.join(table)}; the same ones are needed."
            )
    if _TARGET not in first[1]:
        raise checks.BadArgument(
            f"there is no series {_TARGET} to be preceded among {', '.join(first[1]) or 'none'}."
        )
    names = [name for name in first[1] if name != _TARGET]
    if not names:
        raise checks.BadArgument(f"there is no series beside {_TARGET}; an indicator is needed.")
    return names


def _columns(training: str, table: SeriesByName) -> dict[str, Float[np.ndarray, " checkpoint"]]:
    """The series of one training as arrays.

    Raises:
        BadData: they are of unequal length, or not finite numbers.
    """
    columns = {name: _numbers(f"{name} of {training}", series) for name, series in table.items()}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise checks.BadData(
            f"the series of {training} are of unequal length ({shown}); a number per checkpoint is"
            " needed."
        )
    return columns


def _numbers(what: str, series: Any) -> Float[np.ndarray, " checkpoint"]:
    try:
        column = np.asarray(series, np.float64)
    except (TypeError, ValueError):
        raise checks.BadData(f"{what} holds what is no number; numbers are needed.") from None
    if column.ndim != 1 or not len(column):
        raise checks.BadData(
            f"{what} has the shape {column.shape}; a number per checkpoint is needed."
        )
    checks.finite(what, column, "checkpoint")
    return column


class _LeadTest(NamedTuple):
    """A statistic and its p-value."""

    statistic: float
    p: float


def _tested(
    series: Sequence[np.ndarray], gaps: Sequence[np.ndarray], lag: int, *, paired: bool
) -> _LeadTest | None:
    """The test of one indicator, None if it is the same at every checkpoint.

    Args:
        series, gaps: Indicator and target of each training, `[checkpoint]`.
        lag: In checkpoints.
        paired: Whether pairings are permuted, or residuals.
    """
    if all(np.ptp(column) == 0 for column in series):
        return None
    rng = np.random.default_rng(_SEED)
    if paired:
        statistic, p = pairing_test(np.array(series), np.array(gaps), lag, rng)
    else:
        statistic, p = residual_test(series, gaps, lag, rng)
    return _LeadTest(float(statistic), float(p))


def _judged(names: Sequence[str], tests: Mapping[str, _LeadTest | None]) -> tuple[Indicator, ...]:
    """The indicators with their verdicts, corrected together."""
    tested = {name: test for name, test in tests.items() if test is not None}
    corrected = dict(zip(tested, holm([test.p for test in tested.values()]), strict=True))
    judged = []
    for name in names:
        test = tested.get(name)
        if test is None:
            verdict = LeadVerdict.CONSTANT if name in tests else LeadVerdict.TOO_FEW
            judged.append(Indicator(name, None, None, None, verdict))
            continue
        leads = corrected[name] <= LEVEL * (1 + _ROUNDING)  # 6 of 120 is 0.05, but for rounding
        verdict = LeadVerdict.LEADS if leads else LeadVerdict.NOT_SHOWN
        judged.append(Indicator(name, *test, corrected[name], verdict))
    return tuple(judged)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's corrected p-values: the i-th smallest of m times m - i + 1, not below the ones before
    it (Holm 1979).
    """
    corrected, largest = [0.0] * len(p), 0.0
    for rank, which in enumerate(np.argsort(p, kind="stable")):
        largest = max(largest, min(1.0, p[which] * (len(p) - rank)))
        corrected[which] = largest
    return corrected


class _PartialCorrelation(NamedTuple):
    """A partial correlation before it is taken: what projects covariates out `[..., row, row]`, and
    the residuals of indicator and target `[..., row]`.
    """

    project: Float[np.ndarray, "*shape row row"]
    indicator: Float[np.ndarray, "*shape row"]
    target: Float[np.ndarray, "*shape row"]

    def correlations(
        self, orders: Int[np.ndarray, "order row"]
    ) -> Float[np.ndarray, "*shape order"]:
        """The partial correlation with the target's residuals in each order; 0 where the covariates
        leave nothing of one of the two.
        """
        permuted = self.target[..., orders]
        left = np.linalg.norm(permuted @ self.project, axis=-1)
        products = np.einsum("...or,...r->...o", permuted, self.indicator)
        lengths = left * np.linalg.norm(self.indicator, axis=-1)[..., None]
        return np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)


def _views(
    series: Float[np.ndarray, "... checkpoint"],
    gaps: Float[np.ndarray, "... checkpoint"],
    lag: int,
) -> tuple[_PartialCorrelation, _PartialCorrelation]:
    """Levels and differences of the ranks, as the head of this file has them."""
    x, y = np.broadcast_arrays(*(stats.rankdata(values, axis=-1) for values in (series, gaps)))
    now, before, later = slice(1, -lag), slice(0, -lag - 1), slice(1 + lag, None)
    constant = np.ones_like(x[..., now])
    time = constant * np.arange(constant.shape[-1])
    levels = [constant, time, y[..., now], x[..., before]]
    moved = y[..., now] - y[..., before]
    return (
        _view(levels, x[..., now], y[..., later]),
        _view([constant, moved], x[..., now] - x[..., before], y[..., later] - y[..., now]),
    )


def _view(
    covariates: Sequence[np.ndarray], indicator: np.ndarray, target: np.ndarray
) -> _PartialCorrelation:
    """Both without what the covariates, each `[..., row]`, explain."""
    design = np.stack(covariates, axis=-1)
    project = np.eye(indicator.shape[-1]) - design @ np.linalg.pinv(design)
    return _PartialCorrelation(project, _left(project, indicator), _left(project, target))


def _left(project: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The residuals; exactly 0 where they are rounding alone."""
    residuals = np.einsum("...rs,...s->...r", project, values)
    size = np.linalg.norm(residuals, axis=-1, keepdims=True)
    before = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.where(size > _ROUNDING * before, residuals, 0.0)


def residual_test(
    series: Sequence[np.ndarray],
    gaps: Sequence[np.ndarray],
    lag: int,
    rng: np.random.Generator,
    draws: int = _DRAWS,
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """Statistic and p-value of one indicator, by residuals permuted within each training.

    Args:
        series, gaps: Of each training, `[…, checkpoint]`, of which each may have another number;
            leading axes are separate tests.
        lag: In checkpoints.
        rng: Draws the permutations.
        draws: How many, beside the order that was recorded.
    """
    rows = np.array([column.shape[-1] - 1 - lag for column in series])
    orders = [_block_orders(int(count), lag, draws, rng) for count in rows]
    views = [_views(*pair, lag) for pair in zip(series, gaps, strict=True)]
    sides = []
    for which in (0, 1):
        by_training = [
            view[which].correlations(order) for view, order in zip(views, orders, strict=True)
        ]
        means = np.tensordot(rows / rows.sum(), np.stack(by_training), axes=1)
        as_large = np.abs(means) >= np.abs(means[..., :1]) - _ROUNDING
        sides.append((means[..., 0], as_large.mean(axis=-1)))
    (levels, p_levels), (differences, p_differences) = sides
    agree = levels * differences > 0
    p_values = np.where(agree, np.maximum(p_levels, p_differences), 1.0)
    return np.asarray(_weaker(levels, differences)), np.asarray(p_values)


def _weaker(levels: np.ndarray, differences: np.ndarray) -> np.ndarray:
    """The smaller of two correlations, 0 where their signs differ."""
    smaller = np.where(np.abs(levels) < np.abs(differences), levels, differences)
    return np.where(levels * differences > 0, smaller, 0.0)


def _block_orders(
    count: int, length: int, draws: int, rng: np.random.Generator
) -> Int[np.ndarray, "order row"]:
    """The recorded order, and random ones of blocks, each block's rows in turn.

    Args:
        count: Of rows.
        length: Of a block; the first and the last one may be shorter.
        draws: How many random orders.
        rng: Draws them, and where blocks begin.
    """
    recorded = np.arange(count)
    block = (recorded + rng.integers(length, size=(draws, 1))) // length
    order_of_blocks = _orders(int(block.max()) + 1, draws, rng)[1:]
    place = np.take_along_axis(np.argsort(order_of_blocks, axis=1), block, axis=1)
    return np.concatenate([recorded[None], np.argsort(place, axis=1, kind="stable")])


def _orders(count: int, draws: int, rng: np.random.Generator) -> Int[np.ndarray, "order row"]:
    """The recorded order, and random ones."""
    recorded = np.arange(count)
    return np.concatenate([recorded[None], rng.permuted(np.tile(recorded, (draws, 1)), axis=1)])


def pairing_test(
    series: Float[np.ndarray, "training checkpoint"],
    gaps: Float[np.ndarray, "training checkpoint"],
    lag: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Statistic and p-value of one indicator, by which training's gap it is put beside.

    Args:
        series, gaps: Of all trainings.
        lag: In checkpoints.
        rng: Draws the permutations where there are too many to go through all.
    """
    count = len(series)
    recorded = np.arange(series.shape[-1] - 1 - lag)[None]
    levels, differences = (
        view.correlations(recorded)[..., 0] for view in _views(series, gaps[:, None], lag)
    )
    pairs = _weaker(levels, differences)  # [gap's training, indicator's training]
    if math.factorial(count) <= _DRAWS + 1:
        orders = np.array(list(itertools.permutations(range(count))))
    else:
        orders = _orders(count, _DRAWS, rng)
    means = pairs[np.arange(count), orders].mean(axis=1) - pairs.mean()
    as_large = np.abs(means) >= np.abs(means[0]) - _ROUNDING
    return float(means[0]), float(as_large.mean())
