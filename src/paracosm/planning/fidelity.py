"""How noisy a label is at a price, `σ²(c)`: three laws and a measured table."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from paracosm.core import checks
from paracosm.core.records.reasons import Caveat, CaveatKind
from paracosm.planning.reading import read_number, read_rows
from paracosm.planning.roots import find_roots

Numbers = np.ndarray | float
"""An array, or one number."""

FORMS = "power:A,p or bounded:V,most or floor:V,A or a CSV file with the columns cost,variance"
_STEEPEST = 10.0  # a steeper power of the price leaves the floating range at prices one could name


class UnlabelledRollout(NamedTuple):
    """A rollout before it is labelled, `cost` and `intrinsic` of many side by side if arrays.

    Attributes:
        cost: c₀, its price without labels.
        intrinsic: V₀, the variance of its gradient without label noise.
        coefficient: Q, by which label noise of variance σ² adds `Q σ²` to it.
    """

    cost: Numbers
    intrinsic: Numbers
    coefficient: float


class Fidelity(abc.ABC):
    """The variance of a reward label's noise, in squared units of reward, when labelling one
    rollout costs so much.
    """

    @abc.abstractmethod
    def variance(self, cost: Numbers) -> Numbers:
        """The label's variance at each cost, which is positive."""

    def total(self, cost: Numbers, rollout: UnlabelledRollout) -> Numbers:
        """Price times variance of one rollout whose labels cost c, `(c₀ + c)(V₀ + Q σ²(c))`: the
        gradient's variance times the budget.
        """
        price = np.asarray(rollout.cost, float) + np.asarray(cost, float)
        noise = rollout.coefficient * self.variance(cost)
        return price * (np.asarray(rollout.intrinsic, float) + noise)


class FidelityLaw(Fidelity):
    """A law that holds at every cost up to `dearest`; the variance never rises with the cost.

    In all three laws `cost · variance(cost)` is monotone or concave, so that among labels of equal
    total price the cheapest or the dearest is best. `ranges` says which numbers the law may have,
    by field.
    """

    ranges: ClassVar[Mapping[str, checks.Range]] = {}
    dearest: float = np.inf

    def __post_init__(self) -> None:
        checks.fields(self, self.ranges, lambda field: f"the {field} of {type(self).__name__}")

    @property
    def numbers(self) -> tuple[float, ...]:
        """The numbers of the law, in the order in which a flag names them."""
        return tuple(getattr(self, field) for field in self.ranges)

    @property
    @abc.abstractmethod
    def at_zero(self) -> tuple[float, float]:
        """Limits of the variance and of `cost · variance(cost)` as the cost falls to zero."""

    @abc.abstractmethod
    def falls_below(self, rollout: UnlabelledRollout) -> float:
        """A cost below which `total` only falls as the cost rises: a lower bound of the best cost.

        Infinite where `total` falls or stays level at all costs, 0 where it rises from zero on:
        then there is no best cost above zero.
        """

    @abc.abstractmethod
    def cost_of_noise(self, rollout: UnlabelledRollout) -> float:
        """The cost at which the part of the label noise that money removes contributes as much
        variance as all the rest; a bounded law gives `dearest`.
        """

    @abc.abstractmethod
    def best_cost(self, rollout: UnlabelledRollout, least: float, most: float) -> Numbers:
        """The cost in `[least, most]` of least `total`, in closed form or as a root."""


@dataclasses.dataclass(frozen=True)
class Power(FidelityLaw):
    """`σ²(c) = scale · c^{-exponent}`; `scale` is the variance at cost 1."""

    ranges: ClassVar = {
        "scale": checks.POSITIVE,
        "exponent": checks.Range(0, _STEEPEST, open_left=True),
    }
    scale: float
    exponent: float

    def variance(self, cost: Numbers) -> Numbers:
        return self.scale * np.asarray(cost, float) ** -self.exponent

    @property
    def at_zero(self) -> tuple[float, float]:
        product = self.scale if self.exponent == 1 else np.inf if self.exponent > 1 else 0.0
        return np.inf, product

    def falls_below(self, rollout: UnlabelledRollout) -> float:
        """Where a falling term of `V₀ c^{p+1} + (1−p) Q A c − p c₀ Q A` equals all that rise.

        In logarithms, so that no product of the numbers leaves the floating range.
        """
        p, (c0, v0, q) = self.exponent, map(float, rollout)
        own, noise = _log(v0), _log(q) + _log(self.scale)
        if q == 0:
            return 0.0 if v0 > 0 else np.inf
        by_noise = _exp((_log(p - 1) + noise - own) / p) if p > 1 else 0.0
        if c0 == 0:
            return np.inf if p == 1 and v0 == 0 else by_noise
        if p >= 1:
            return max(by_noise, _exp((_log(p * c0) + noise - own) / (p + 1)))
        half = _exp((_log(p * c0 / 2) + noise - own) / (p + 1))
        return min(half, p * c0 / (2 * (1 - p)))

    def cost_of_noise(self, rollout: UnlabelledRollout) -> float:
        _, v0, q = map(float, rollout)
        return _exp((_log(q) + _log(self.scale) - _log(v0)) / self.exponent)

    def best_cost(self, rollout: UnlabelledRollout, least: float, most: float) -> Numbers:
        """The root of `V₀ c^{p+1} + (1−p) Q A c − p c₀ Q A`, which is negative before it and
        positive after."""
        p = self.exponent

        def slope(log_cost: np.ndarray) -> np.ndarray:
            cost = np.exp(log_cost)
            noisy = rollout.coefficient * self.variance(cost) * ((1 - p) * cost - p * c0)
            return np.asarray(v0 * cost + noisy)

        c0, v0 = np.broadcast_arrays(*(np.asarray(column, float) for column in rollout[:2]))
        ends = np.full(c0.shape, np.log(least)), np.full(c0.shape, np.log(most))
        inside = np.exp(find_roots(slope, *ends))
        return np.where(slope(ends[0]) >= 0, least, np.where(slope(ends[1]) <= 0, most, inside))


@dataclasses.dataclass(frozen=True)
class Bounded(FidelityLaw):
    """`σ²(c) = noisiest · (1 − c/dearest)`; `noisiest` is the variance of a label that costs
    nothing.
    """

    ranges: ClassVar = {"noisiest": checks.POSITIVE, "dearest": checks.POSITIVE}
    noisiest: float
    dearest: float

    def variance(self, cost: Numbers) -> Numbers:
        return self.noisiest * np.maximum(1 - np.asarray(cost, float) / self.dearest, 0.0)

    @property
    def at_zero(self) -> tuple[float, float]:
        return self.noisiest, 0.0

    def falls_below(self, rollout: UnlabelledRollout) -> float:
        """All costs or none: the total is concave, so that one of its ends is best."""
        low, high = (self.total(end, rollout) for end in (0.0, self.dearest))
        return np.inf if high <= low else 0.0

    def cost_of_noise(self, rollout: UnlabelledRollout) -> float:
        return self.dearest

    def best_cost(self, rollout: UnlabelledRollout, least: float, most: float) -> Numbers:
        """One of the two ends: the total is concave in the cost."""
        low, high = (self.total(end, rollout) for end in (least, most))
        return np.where(high < low, most, least)


@dataclasses.dataclass(frozen=True)
class Floor(FidelityLaw):
    """`σ²(c) = lowest + scale / c`; `lowest` is the variance that no money removes."""

    ranges: ClassVar = {"lowest": checks.NON_NEGATIVE, "scale": checks.POSITIVE}
    lowest: float
    scale: float

    def variance(self, cost: Numbers) -> Numbers:
        return self.lowest + self.scale / np.asarray(cost, float)

    @property
    def at_zero(self) -> tuple[float, float]:
        return np.inf, self.scale

    def falls_below(self, rollout: UnlabelledRollout) -> float:
        """The best cost itself, which has a closed form."""
        _, v0, q = map(float, rollout)
        if v0 + q * self.lowest == 0 and q > 0:
            return np.inf
        return float(self.best_cost(rollout, 0.0, np.inf))

    def cost_of_noise(self, rollout: UnlabelledRollout) -> float:
        _, v0, q = map(float, rollout)
        return _exp(_log(q) + _log(self.scale) - _log(v0 + q * self.lowest))

    def best_cost(self, rollout: UnlabelledRollout, least: float, most: float) -> Numbers:
        """`sqrt(c₀ Q A / (V₀ + Q σ_f²))`, or the nearest allowed cost."""
        gain = np.asarray(rollout.cost, float) * rollout.coefficient * self.scale
        price = np.asarray(rollout.intrinsic, float) + rollout.coefficient * self.lowest
        gain, price = np.broadcast_arrays(gain, price)
        square = np.divide(gain, price, out=np.where(gain > 0, np.inf, 0.0), where=price > 0)
        return np.clip(np.sqrt(square), least, most)


@dataclasses.dataclass(frozen=True)
class FidelityTable(Fidelity):
    """Measured labels, by rising cost.

    Only these costs are for sale: nothing is read between two rows.
    """

    costs: tuple[float, ...]
    variances: tuple[float, ...]

    def __post_init__(self) -> None:
        costs, variances = np.asarray(self.costs), np.asarray(self.variances)
        if costs.ndim != 1 or variances.shape != costs.shape:
            raise checks.BadData(
                f"a fidelity table has costs of shape {costs.shape} and variances of shape"
                f" {variances.shape}; a list of each, as long as the other, is needed."
            )
        if len(costs) < 2:
            raise checks.BadData(
                f"a fidelity table has {len(costs)} row(s); at least 2 are needed."
            )
        for name, column, bad in (
            ("cost", costs, ~(costs > 0)),
            ("variance", variances, ~(variances >= 0)),
        ):
            if (bad | ~np.isfinite(column)).any():
                wrong = column[bad | ~np.isfinite(column)][0]
                least = "positive number" if name == "cost" else "number of at least 0"
                raise checks.BadData(
                    f"a fidelity table holds a {name} of {wrong:g}; a {least} is needed."
                )
        if (np.diff(costs) <= 0).any():
            twice = costs[1:][np.diff(costs) <= 0][0]
            raise checks.BadData(
                f"a fidelity table holds cost {twice:g} twice or out of order; one row each is"
                " needed."
            )

    def variance(self, cost: Numbers) -> Numbers:
        return np.asarray(self.variances)[np.searchsorted(self.costs, cost)]

    @property
    def caveats(self) -> tuple[Caveat, ...]:
        """One if a dearer label is noisier than a cheaper one."""
        worse = np.flatnonzero(np.diff(self.variances) > 0)
        if not len(worse):
            return ()
        i = int(worse[0])
        numbers = {
            "dearer": self.costs[i + 1],
            "cheaper": self.costs[i],
            "dearer_variance": self.variances[i + 1],
            "cheaper_variance": self.variances[i],
        }
        return (Caveat(CaveatKind.NOISIER_DEARER, "", numbers),)


def _log(value: float) -> float:
    with np.errstate(divide="ignore"):
        return float(np.log(value))


def _exp(value: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.exp(value))


# By the word before the colon of --fidelity: the law, and what the flag calls its two numbers.
_FLAGS: dict[str, tuple[type[Power] | type[Bounded] | type[Floor], tuple[str, str]]] = {
    "power": (Power, ("A", "p")),
    "bounded": (Bounded, ("V", "most")),
    "floor": (Floor, ("V", "A")),
}


def parse(text: str) -> Fidelity:
    """The fidelity that a flag names: a law with its two numbers, or a CSV file.

    `power:A,p` is A c^{-p}; `bounded:V,most` is V (1 − c/most); `floor:V,A` is V + A/c. A and V are
    variances, never standard deviations.

    Raises:
        BadArgument: the text is neither, or a number is not one that the law may have.
        BadData: the file cannot be used.
    """
    kind, colon, listed = text.partition(":")
    if not colon or kind not in _FLAGS:
        return read_table(Path(text))
    try:
        first, second = (float(number) for number in listed.split(","))
    except ValueError:
        raise checks.BadArgument(f"--fidelity is {text!r}; {FORMS} is needed.") from None
    law, letters = _FLAGS[kind]
    for letter, allowed, number in zip(letters, law.ranges.values(), (first, second), strict=True):
        allowed.check(f"{letter} in --fidelity {kind}:{','.join(letters)}", number)
    return law(first, second)


def read_table(path: Path) -> FidelityTable:
    """The table in a CSV file with the columns `cost` and `variance`, in any order of rows.

    Raises:
        BadArgument: there is no such file.
        BadData: the file is not such a table.
    """
    if not path.is_file():
        what = "which is a folder" if path.is_dir() else "and there is no such file"
        raise checks.BadArgument(f"--fidelity is {str(path)!r}, {what}; {FORMS} is needed.")
    rows = read_rows(path, ("cost", "variance"), "cost and variance are needed in a fidelity table")
    pairs = sorted(
        (
            read_number(path, line, "cost", row["cost"]),
            read_number(path, line, "variance", row["variance"]),
        )
        for line, row in rows
    )
    return FidelityTable(tuple(cost for cost, _ in pairs), tuple(variance for _, variance in pairs))
