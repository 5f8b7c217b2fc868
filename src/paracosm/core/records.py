"""Frozen results that rooms hand each other. They go to JSON and come back equal; no JAX in here."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from typing import Any, Literal, TypeVar, Union

from paracosm.core import checks

R = TypeVar("R", bound="Record")


@dataclasses.dataclass(frozen=True)
class Record:
    """A frozen result that goes to JSON and comes back equal.

    Fields are numbers, strings, booleans, records, or tuples and string-keyed dictionaries of these.
    Infinities and NaN are written as the strings `"inf"`, `"-inf"`, `"nan"`, so that the file is strict JSON.
    """

    def to_dict(self) -> dict[str, Any]:
        """A tree of plain values, ready for any JSON writer."""
        return {field.name: plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

    def to_json(self) -> str:
        """Strict JSON."""
        return json.dumps(self.to_dict(), allow_nan=False, indent=1)

    @classmethod
    def from_dict(cls: type[R], tree: Any) -> R:
        """The record that `to_dict` wrote.

        Raises:
            BadData: if its fields are not those of this record.
        """
        kinds = typing.get_type_hints(cls)
        if not isinstance(tree, dict) or set(tree) != set(kinds):
            found = ", ".join(sorted(tree)) if isinstance(tree, dict) else repr(tree)
            raise checks.BadData(f"a {cls.__name__} was read from {found}; its fields are {', '.join(sorted(kinds))}.")
        return cls(**{name: _typed(value, kinds[name]) for name, value in tree.items()})

    @classmethod
    def from_json(cls: type[R], text: str) -> R:
        """The record that `to_json` wrote."""
        return cls.from_dict(json.loads(text))


def plain(value: Any) -> Any:
    """A tree of plain values of records, tuples and dictionaries."""
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _typed(value: Any, kind: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return None if value is None else _typed(value, next(a for a in arguments if a is not type(None)))
    if origin is tuple:
        return tuple(_typed(item, arguments[0]) for item in value)
    if origin is dict:
        return {key: _typed(item, arguments[1]) for key, item in value.items()}
    if isinstance(kind, type) and issubclass(kind, Record):
        return kind.from_dict(value)
    return float(value) if kind is float else value


@dataclasses.dataclass(frozen=True)
class Estimate(Record):
    """A number with chance in it: mean, 95% interval, number of independent samples, how it was made."""

    mean: float
    low: float
    high: float
    n: int
    method: str

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low > 0 or self.high < 0

    def __format__(self, spec: str) -> str:
        return f"{self.mean:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


Part = Literal["dynamics", "reward", "termination"]


@dataclasses.dataclass(frozen=True)
class PartFit(Record):
    """How one part of the world was learned.

    `error` is held out: for dynamics the root mean square norm of the error in scaled states, for the reward
    its root mean square error, for the end rule the share of rows called wrongly. `members` holds each ensemble
    member's own, `baseline` that of a constant predictor on the same rows. `curve` holds the validation loss
    by epoch, the mean over members.
    """

    part: Part
    origin: Literal["learned", "known", "constant"]
    rows: int
    held_out: int
    error: Estimate | None
    members: tuple[float, ...]
    baseline: float | None
    unit: str
    epochs: tuple[int, ...]
    curve: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Training(Record):
    """How a policy was trained in imagination.

    `step` counts gradient steps; `imagined_return` (undiscounted, of the mode, full episode, fixed initial
    states) and `entropy` were measured there. `edge_share` is the share of imagined steps that left the domain of
    the data. `stop` says why training ended. `labels_during_imagination` counts true rewards bought at imagined steps.
    """

    step: tuple[int, ...]
    imagined_return: tuple[float, ...]
    entropy: tuple[float, ...]
    imagined_steps: int
    edge_share: float
    horizon: int
    weighting: str
    baseline: str
    stop: str
    labels_during_imagination: int = 0


@dataclasses.dataclass(frozen=True)
class Gap(Record):
    """Discounted real return minus what training believed, and its four causes, which sum to it.

    `imagined` is what training believed: the return of `training_horizon` imagined steps plus the bootstrapped
    value. `real - imagined = total = reward + termination + dynamics + horizon` (theory, section 2).
    """

    real: Estimate
    imagined: Estimate
    total: Estimate
    reward: Estimate
    termination: Estimate
    dynamics: Estimate
    horizon: Estimate


@dataclasses.dataclass(frozen=True)
class CauseByStep(Record):
    """A cause's mean discounted contribution at each time step, signed and absolute, `[time]`."""

    signed: tuple[float, ...]
    absolute: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Baselines(Record):
    """One-step errors on the audited real steps beside those of the simplest predictors.

    Dynamics in scaled states (root mean square norm) against the mean next state and against no change
    (`persistence`); reward (root mean square) against zero.
    """

    dynamics: float
    mean_next_state: float
    persistence: float
    reward: float
    zero_reward: float


Kind = Literal["certificate", "estimate"]


@dataclasses.dataclass(frozen=True)
class Bracket(Record):
    """A Lipschitz constant between two numbers.

    `lower` was seen. `upper` is proven if `kind` is `certificate`; else it is the best guess, and `why` says what
    is missing.
    """

    lower: float
    upper: float
    kind: Kind
    why: str


@dataclasses.dataclass(frozen=True)
class Certificate(Record):
    """A rung of the ladder: how far imagined and real return can be apart (theory, section 1).

    `slack` is the bound over the measured gap. `why` says what makes it a certificate, or what it lacks.
    """

    rung: str
    kind: Kind
    value: float
    slack: float
    why: str


@dataclasses.dataclass(frozen=True)
class Weights(Record):
    """What one unit of each part's error costs in return, in absolute value (theory, sections 3 and 4).

    `norm` names the unit of the errors, that of the learning curves they are multiplied with; `origin` says how the
    weights were found. `unsure` holds their standard errors by part; a part that is not there is taken as exact.
    """

    dynamics: float
    reward: float
    norm: str
    discount: float
    horizon: int
    origin: str
    unsure: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Finding(Record):
    """Something that looks wrong with how a world was made, in one sentence with its evidence."""

    kind: str
    sentence: str


@dataclasses.dataclass(frozen=True)
class Orders(Record):
    """The gap with its errors put right in either order, undone of the training horizon.

    `reward` is the learned reward's share, asked at real states or at imagined ones; `model` that of dynamics and end
    rule together, paid by the real reward (`at_real`) or by the learned one (`at_imagined`); and the means of both
    (Shapley). Reward at real and model at imagined sum to the gap, as do the other two and the two means.
    """

    reward_at_real: Estimate
    reward_at_imagined: Estimate
    reward_shapley: Estimate
    model_at_real: Estimate
    model_at_imagined: Estimate
    model_shapley: Estimate


@dataclasses.dataclass(frozen=True)
class DynamicsByDimension(Record):
    """The dynamics term by state dimension, discounted; `dimensions` and `remainder` sum to it in every episode.

    The remainder is what integrated gradients leave: jumps that no gradient sees and, where only `steps` of the real
    steps were integrated, the sampling.
    """

    dimensions: tuple[Estimate, ...]
    by_step: tuple[CauseByStep, ...]
    remainder: Estimate
    steps: int


@dataclasses.dataclass(frozen=True)
class HorizonParts(Record):
    """The horizon term's two parts: the value that ended short rollouts, and the price of leaving the data."""

    bootstrap: Estimate
    edge: Estimate


@dataclasses.dataclass(frozen=True)
class Overlay(Record):
    """One real episode and the imagined one from the same first state, `[time][state]` in the environment's units.

    Both have `steps + 1` states of their own, as long as each was alive.
    """

    real: tuple[tuple[float, ...], ...]
    imagined: tuple[tuple[float, ...], ...]


@dataclasses.dataclass(frozen=True)
class Diagnosis(Record):
    """What an audit found.

    `closure` is the largest over episodes of |sum of the terms - gap|, relative to the largest of the returns
    and the sum of absolute terms, with the imagined return computed apart; `precision` says what bounds it.
    `audited_steps` of `real_steps` were attributed, at a cost of `imagined_steps`. `informative_horizon` is the
    largest h such that at every k ≤ h the rolled-out state beats the mean state, not known where noise parts them.
    `effective_episodes` is how many episodes of the policy itself the record is worth, if another policy recorded it.
    `contraction` is the discount times the closed loop's Lipschitz constant: below 1 errors die out, from 1 on they may
    grow with the horizon.
    `explanation` goes on where the `verdict` ends: where, what to do first, how sure.
    """

    gap: Gap
    discount: float
    horizon: int
    training_horizon: int
    causes: dict[str, CauseByStep]
    real_return: Estimate
    imagined_return: Estimate
    mode_versus_sampled: Estimate
    baselines: Baselines
    informative_horizon: int | None
    data_edge_share: float
    closure: float
    precision: str
    real_steps: int
    audited_steps: int
    imagined_steps: int
    overlays: tuple[Overlay, ...]
    dynamics_by_dimension: DynamicsByDimension
    horizon_parts: HorizonParts | None
    orders: Orders | None
    effective_episodes: float | None
    weights: tuple[Weights, ...]
    lipschitz: dict[str, Bracket]
    contraction: Bracket | None
    certificates: tuple[Certificate, ...]
    findings: tuple[Finding, ...]
    verdict: str
    explanation: str

    def __str__(self) -> str:
        rows = {"real": self.gap.real, "believed": self.gap.imagined, "gap": self.gap.total}
        rows |= {f"  {cause}": getattr(self.gap, cause) for cause in ("reward", "termination", "dynamics", "horizon")}
        rows |= {f"    component {i}": term for i, term in enumerate(self.dynamics_by_dimension.dimensions)}
        rows["    remainder"] = self.dynamics_by_dimension.remainder
        lines = [f"discounted by {self.discount:g} over {self.horizon:,} steps {'mean':>12}  95% interval"]
        lines += [f"{name:37} {value.mean:>10.4g}  [{value.low:.4g}, {value.high:.4g}]" for name, value in rows.items()]
        bounds = [f"{each.rung:37} {each.value:>10.4g}  {each.kind}" for each in self.certificates]
        findings = [f"Finding: {each.sentence}" for each in self.findings]
        return "\n".join([*lines, *bounds, *findings, self.verdict, self.explanation])
