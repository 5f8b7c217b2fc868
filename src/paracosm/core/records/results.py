"""Frozen results of whole runs. They go to JSON and come back equal; no JAX in here."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from paracosm.core.records.base import Estimate, Record, plain
from paracosm.core.records.decisions import Decision
from paracosm.core.records.diagnosis import Diagnosis, Gap, PartFit, Training
from paracosm.core.records.discount import DiscountChoice
from paracosm.core.records.indicators import Indicators
from paracosm.core.records.rounds import RoundAudit


@dataclasses.dataclass(frozen=True)
class Purchases(Record):
    """What was bought of the real world, and at which unit prices."""

    transitions: int
    reward_labels: int
    real_steps: int
    price_transition: float
    price_reward_label: float

    @property
    def spent(self) -> float:
        """Total price."""
        return (
            self.transitions * self.price_transition + self.reward_labels * self.price_reward_label
        )


@dataclasses.dataclass(frozen=True)
class RunResult(Record):
    """A whole run: what was bought, learned, trained, evaluated and found.

    `seconds` holds the time spent by stage, of `collect`, `encode`, `plan`, `learn`, `imagine`,
    `evaluate` and `audit` those that the run had. `configuration` holds the settings by name;
    `machine` the versions and the device count that rounding depends on; both as printable text.
    `discount` is that of training, with its reason. `rounds` holds the audits along the way, of
    each round whose policy collected a whole episode of the next one's purchase; `indicators` says
    which of their numbers precede the gap, where they are enough to tell.
    """

    env: str
    seed: int
    purchases: Purchases
    fits: dict[str, PartFit]
    trainings: tuple[Training, ...]
    diagnosis: Diagnosis
    real_steps_during_imagination: int
    seconds: dict[str, float]
    configuration: dict[str, str]
    machine: dict[str, str]
    decisions: tuple[Decision, ...]
    warnings: tuple[str, ...]
    rounds: tuple[RoundAudit, ...] = ()
    discount: DiscountChoice | None = None
    indicators: Indicators | None = None

    @property
    def task(self) -> str:
        """Whose returns they are: the environment, its arguments, the episodes' length and the
        discount.
        """
        arguments = json.loads(self.configuration.get("env_kwargs", "{}"))
        made = f" with {json.dumps(arguments, sort_keys=True)}" if arguments else ""
        steps, discount = self.diagnosis.horizon, self.diagnosis.discount
        return f"{self.env}{made} ({steps} steps, discount {discount:g})"

    def summary(self) -> dict[str, Any]:
        """The document that `paracosm run --json` prints."""
        diagnosis, purchases = self.diagnosis, self.purchases
        interval = {"mean", "low", "high"}

        def brief(estimate: Estimate) -> dict[str, Any]:
            return {key: value for key, value in estimate.to_dict().items() if key in interval}

        def split(gap: Gap) -> dict[str, Any]:
            terms = {
                field.name: brief(getattr(gap, field.name)) for field in dataclasses.fields(gap)
            }
            return {**terms, "imagined": terms["predicted"]}  # the name of the versions before 0.2

        document = {
            "env": self.env,
            "seed": self.seed,
            "data": {
                "transitions": purchases.transitions,
                "reward_labels": purchases.reward_labels,
                "real_steps": purchases.real_steps,
                "spent": purchases.spent,
            },
            "real_return": {**brief(diagnosis.real_return), "episodes": diagnosis.real_return.n},
            "imagined_return": brief(diagnosis.imagined_return),
            "reference": None if diagnosis.reference is None else diagnosis.reference.to_dict(),
            "plausibility": diagnosis.plausibility.to_dict(),
            "gap": split(diagnosis.gap),
            "gap_training": None
            if diagnosis.gap_training is None
            else split(diagnosis.gap_training),
            "discount": diagnosis.discount,
            "training_discount": diagnosis.training_discount,
            "horizon": diagnosis.horizon,
            "training_horizon": diagnosis.training_horizon,
            "mode_versus_sampled": None
            if diagnosis.mode_versus_sampled is None
            else brief(diagnosis.mode_versus_sampled),
            "informative_horizon": diagnosis.informative_horizon,
            "closure": diagnosis.closure,
            "real_steps_during_imagination": self.real_steps_during_imagination,
            "data_edge_share": diagnosis.data_edge_share,
            "audited_steps": diagnosis.audited_steps,
            "seconds": self.seconds,
            "warnings": list(self.warnings),
            "valid": diagnosis.valid,
            "verdict": diagnosis.verdict,
            "verdict_training": diagnosis.verdict_training,
            "next": diagnosis.next,
            "rounds": self.rounds,
            "indicators": self.indicators,
        }
        return plain(document)


@dataclasses.dataclass(frozen=True)
class Comparison(Record):
    """Several runs side by side, by name, in the order in which they were given."""

    runs: dict[str, RunResult]
