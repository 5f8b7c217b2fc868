"""The answers of E10 by system, and what is read off them: means over seeds, each of which has its
own system, errors and policies.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from paracosm.core import estimators
from paracosm.core.records import Estimate
from paracosm.paper import e10_orders, statistics
from paracosm.paper.e10_cells import DIRECTIONS, HORIZONS, KNOWN, RUNGS, OrderSizes
from paracosm.paper.study import Answer

UNTRAINED = ("drawn", "reality")  # what was never trained in any world
IN_ALL = (*UNTRAINED, "own")
"""The sets that a world orders together."""
RARE = 0.01  # the share of inverted pairs that a margin is to leave
MARGIN = 0.01  # of what training in reality gains: a difference that matters

Sets = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Orders:
    """Returns of one system's policies by set, `[seed, direction, error, policy, horizon]`.

    `bounds` are by rung and set, `rms` is `[seed, direction, error]`; the first of `errors` is 0.
    """

    name: str
    errors: tuple[float, ...]
    checkpoints: int
    real: Sets
    imagined: Sets
    bounds: dict[str, Sets]
    rms: np.ndarray

    @functools.cached_property
    def inverted(self) -> Sets:
        """Whether each pair of a set is inverted, `[seed, direction, error, pair, horizon]`."""
        return {
            kind: e10_orders.inverted(self.real[kind], self.imagined[kind]) for kind in self.real
        }

    def together(self, columns: Sets, sets: Sequence[str] = IN_ALL) -> np.ndarray:
        """Columns of several sets as those of one, `[…, policy, horizon]`."""
        return np.concatenate([columns[kind] for kind in sets], axis=-2)

    def shares(self, kind: str) -> np.ndarray:
        """Of inverted pairs, `[seed, error, horizon]`; without the error 0."""
        return self.inverted[kind][:, :, 1:].mean(axis=(1, 3))

    def share(self, kind: str, error: int, horizon: int = -1) -> Estimate:
        """Of inverted pairs, over seeds.

        Args:
            kind: The set.
            error: Which of `errors` but the first, from 0.
            horizon: Which of `HORIZONS`.
        """
        return _within(over_seeds(self.shares(kind)[:, error, horizon]))

    def more(self, kind: str, than: str) -> Estimate:
        """How much larger a share of one set's pairs is inverted than of another's, at the whole
        horizon and over all errors.
        """
        return over_seeds((self.shares(kind) - self.shares(than))[..., -1])

    def farther(self, kind: str) -> Estimate:
        """How much larger a share is inverted at the last horizon than at the second, over all
        errors; at the first none is.
        """
        shares = self.shares(kind)
        return over_seeds(shares[..., -1] - shares[..., 1])

    def exponent(self, kind: str) -> Estimate:
        """The power of the error that the share of inverted pairs rises with, at the whole
        horizon.
        """
        columns = self.shares(kind)[..., -1].T
        usable = [k for k, column in enumerate(columns) if column.mean() > 0]
        if len(usable) < 2:
            return Estimate(0.0, -np.inf, np.inf, len(usable), "too few errors invert a pair")
        sizes, shares = zip(
            *((self.errors[1 + k], columns[k].tolist()) for k in usable), strict=True
        )
        return statistics.log_slope(sizes, shares, [1.0] * len(usable))

    @functools.cached_property
    def gain(self) -> np.ndarray:
        """What training in reality gains: its best policy's return over the mean of those drawn,
        `[seed, horizon]`.
        """
        best, drawn = self.real["reality"].max(axis=-2), self.real["drawn"].mean(axis=-2)
        return (best - drawn)[:, 0, 0]

    def by_a_margin(self, kind: str) -> Estimate:
        """The share of pairs that are inverted and whose real returns differ by `MARGIN` of
        `gain`, at the whole horizon and over all errors.
        """
        apart = np.abs(e10_orders.differences(self.real[kind])[:, :, 1:, :, -1])
        matters = apart > MARGIN * self.gain[:, None, None, None, -1]
        return _within(over_seeds(matters & self.inverted[kind][:, :, 1:, :, -1]))

    def tau(self, kind: str, error: int) -> Estimate:
        """Kendall's τ of a set at the whole horizon; arguments as of `share`."""
        taus = e10_orders.tau(self.real[kind], self.imagined[kind])
        return over_seeds(taus[:, :, 1 + error, -1])

    def safe(self, error: int) -> float:
        """The median over worlds of the largest horizon up to which no pair of `IN_ALL` is
        inverted, pairs across sets included.
        """
        real, imagined = (self.together(columns) for columns in (self.real, self.imagined))
        flags = e10_orders.inverted(real[:, :, 1 + error], imagined[:, :, 1 + error])
        safe = e10_orders.safe_horizon(flags, HORIZONS)
        return float(np.quantile(safe, 0.5, method="lower"))  # one of `HORIZONS`

    def exploitable(self) -> np.ndarray:
        """Whether each world inverts some pair of `IN_ALL` at the whole horizon,
        `[seed, direction, error]`.
        """
        real, imagined = (
            self.together(columns)[:, :, 1:] for columns in (self.real, self.imagined)
        )
        return np.any(e10_orders.inverted(real, imagined)[..., -1], axis=-1, keepdims=False)

    def regret(self, sets: Sequence[str], error: int | None = None) -> Estimate:
        """What is lost by taking the policy that a world has for the best of several sets, as a
        share of `gain`, at the whole horizon; over all errors if none is given.
        """
        real, imagined = (self.together(columns, sets) for columns in (self.real, self.imagined))
        lost = e10_orders.regret(real, imagined)[:, :, 1:, -1] / self.gain[:, None, None, -1]
        return over_seeds(lost if error is None else lost[:, :, error])

    def rivals(self) -> tuple[np.ndarray, np.ndarray]:
        """Policies trained in a world minus those trained from the same start in reality, both at
        the end: the real and the imagined return, `[seed, direction, error, policy]`.
        """
        last = slice(self.checkpoints - 1, None, self.checkpoints)
        real, imagined = (
            (columns["own"] - columns["reality"])[:, :, 1:, last, -1]
            for columns in (self.real, self.imagined)
        )
        return real, imagined

    def exploited(self, error: int | None = None) -> Estimate:
        """The share of `rivals` of which the world has its own above, and reality the other one;
        over all errors if none is given.
        """
        real, imagined = self.rivals()
        flags = (imagined > 0) & (real < 0)
        return _within(over_seeds(flags if error is None else flags[:, :, error]))

    def margins(self, by: str) -> tuple[np.ndarray, np.ndarray]:
        """A score of each pair within a set of `IN_ALL`, and whether it is inverted,
        `[seed, direction, error, pair, horizon]`; without error 0 and horizon 1.

        Args:
            by: `difference` is `|ΔĴ|`, `error` divides it by the world's root-mean-square error,
                `horizon` by the horizon too; a rung by the sum of both policies' bounds.
        """
        scores, flags = [], []
        for kind in IN_ALL:
            size = np.abs(e10_orders.differences(self.imagined[kind]))
            scores.append((size / self._unit(by, kind))[:, :, 1:, :, 1:])
            flags.append(self.inverted[kind][:, :, 1:, :, 1:])
        return np.concatenate(scores, axis=3), np.concatenate(flags, axis=3)

    def _unit(self, by: str, kind: str) -> np.ndarray | float:
        """What a difference is divided by; 1 where there is no error, which counts nowhere."""
        rms = np.where(self.rms > 0, self.rms, 1.0)[..., None, None]
        if by in RUNGS:
            total = sum(e10_orders.first_and_second(self.bounds[by][kind]))
            return np.where(total > 0, total, 1.0)
        return {"difference": 1.0, "error": rms, "horizon": rms * np.array(HORIZONS)}[by]

    def tells(self, by: str) -> Estimate:
        """How well a score tells inverted pairs from others, all errors, horizons and sets
        together: see `e10_orders.area`.
        """
        areas = np.array([e10_orders.area(*pair) for pair in zip(*self.margins(by), strict=True)])
        if not np.any(np.isfinite(areas)):
            return Estimate(0.5, 0.0, 1.0, 0, "no pair is inverted")
        return _within(over_seeds(areas[np.isfinite(areas)]))

    def least_margin(self) -> Estimate:
        """The least score `|ΔĴ| / (error · horizon)` above which at most `RARE` of the pairs are
        inverted.
        """
        return over_seeds(
            np.array([_margin(*pair) for pair in zip(*self.margins("horizon"), strict=True)])
        )

    def certified(self, rung: str) -> np.ndarray:
        """Whether `|ΔĴ|` of each pair of `IN_ALL`, pairs across sets included, exceeds the sum of
        both bounds, `[seed, direction, error, pair, horizon]`; without error 0.
        """
        total = sum(e10_orders.first_and_second(self.together(self.bounds[rung])))
        size = np.abs(e10_orders.differences(self.together(self.imagined)))
        return (size > total)[:, :, 1:]

    def wrongly_certified(self, rung: str) -> tuple[int, int]:
        """How many of the certified pairs are not in their real order, and of how many; without
        horizon 1, at which no order can differ.
        """
        signs = (
            np.sign(e10_orders.differences(self.together(columns)))[:, :, 1:, :, 1:]
            for columns in (self.real, self.imagined)
        )
        wrong, certified = np.not_equal(*signs), self.certified(rung)[..., 1:]
        return int(np.sum(wrong & certified)), int(np.sum(certified))

    def beyond_bound(self, rung: str) -> tuple[int, int]:
        """How many gaps exceed a bound by more than rounding, and of how many; without error 0 and
        horizon 1, at which there is no gap.
        """
        real, imagined, bounds = (
            self.together(columns)[:, :, 1:, :, 1:]
            for columns in (self.real, self.imagined, self.bounds[rung])
        )
        over = np.abs(real - imagined) > bounds + 1e-9 * (1 + np.abs(real))
        return int(np.sum(over)), over.size


def _margin(score: np.ndarray, flags: np.ndarray) -> float:
    """The least score of those above which at most `RARE` are inverted.

    Args:
        score: Of pairs.
        flags: Whether they are inverted.
    """
    order = np.argsort(-score, axis=None)
    wrong = np.cumsum(flags.ravel()[order]) / np.arange(1, order.size + 1)
    rare = np.flatnonzero(wrong <= RARE)
    return float(score.ravel()[order[rare[-1]]]) if len(rare) else float(score.max())


def over_seeds(column: np.ndarray) -> Estimate:
    """The mean of a column `[seed, …]`, with an interval over seeds."""
    return estimators.student_mean(column.reshape(len(column), -1).mean(axis=1))


def _within(share: Estimate) -> Estimate:
    """A share with its interval cut at 0 and 1."""
    return dataclasses.replace(share, low=max(share.low, 0.0), high=min(share.high, 1.0))


def orders(answers: Sequence[Answer]) -> list[Orders]:
    """The answers by system, in the order of `KNOWN`, the seeds in theirs."""
    systems: dict[str, list[Answer]] = {name: [] for name in KNOWN}
    for answer in sorted(answers, key=lambda a: a.arguments["seed"]):
        systems[answer.arguments["system"]].append(answer)
    return [_orders(name, of_system) for name, of_system in systems.items() if of_system]


def _orders(name: str, answers: Sequence[Answer]) -> Orders:
    sizes, results = OrderSizes(**answers[0].arguments["sizes"]), [a.result for a in answers]
    errors = (0.0, *sizes.errors)

    def by_world(column: Sequence[Any]) -> np.ndarray:
        """`[seed, direction * error, …]` with directions and errors apart."""
        array = np.array(column)
        return array.reshape(len(answers), DIRECTIONS, len(errors), *array.shape[2:])

    def by_set(columns: Sequence[dict[str, Any]]) -> Sets:
        return {kind: by_world([c[kind] for c in columns]) for kind in columns[0]}

    return Orders(
        name,
        errors,
        sizes.checkpoints,
        by_set([r["real"] for r in results]),
        by_set([r["imagined"] for r in results]),
        {rung: by_set([r["bounds"][rung] for r in results]) for rung in results[0]["bounds"]},
        by_world([r["rms"] for r in results]),
    )
