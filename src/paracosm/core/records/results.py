"""Frozen results of whole runs. They go to JSON and come back equal; no JAX in here."""

from __future__ import annotations

import dataclasses
from typing import Any

from paracosm.core.records.base import Estimate, Record, plain
from paracosm.core.records.decisions import Decision
from paracosm.core.records.diagnosis import Diagnosis, Gap, PartFit, Training


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

    `seconds` holds the time spent in `collect, learn, imagine, audit`; `configuration` is what was
    asked for and, under `machine`, the versions and the device count that rounding depends on; both
    as printable text.
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

    def summary(self) -> dict[str, Any]:
        """The document that `paracosm run --json` prints."""
        found, bought = self.diagnosis, self.purchases
        interval = {"mean", "low", "high"}

        def three(estimate: Estimate) -> dict[str, Any]:
            return {key: value for key, value in estimate.to_dict().items() if key in interval}

        def split(gap: Gap) -> dict[str, Any]:
            terms = {
                field.name: three(getattr(gap, field.name)) for field in dataclasses.fields(gap)
            }
            return {**terms, "imagined": terms["predicted"]}  # the name of the versions before 0.2

        document = {
            "env": self.env,
            "seed": self.seed,
            "data": {
                "transitions": bought.transitions,
                "reward_labels": bought.reward_labels,
                "real_steps": bought.real_steps,
                "spent": bought.spent,
            },
            "real_return": {**three(found.real_return), "episodes": found.real_return.n},
            "imagined_return": three(found.imagined_return),
            "reference": None if found.reference is None else found.reference.to_dict(),
            "plausibility": found.plausibility.to_dict(),
            "gap": split(found.gap),
            "gap_training": None if found.gap_training is None else split(found.gap_training),
            "discount": found.discount,
            "training_discount": found.training_discount,
            "horizon": found.horizon,
            "training_horizon": found.training_horizon,
            "mode_versus_sampled": three(found.mode_versus_sampled),
            "informative_horizon": found.informative_horizon,
            "closure": found.closure,
            "real_steps_during_imagination": self.real_steps_during_imagination,
            "data_edge_share": found.data_edge_share,
            "audited_steps": found.audited_steps,
            "seconds": self.seconds,
            "warnings": list(self.warnings),
            "valid": found.valid,
            "verdict": found.verdict,
            "verdict_training": found.verdict_training,
        }
        return plain(document)


@dataclasses.dataclass(frozen=True)
class Comparison(Record):
    """Several runs side by side, by name, in the order in which they were given."""

    runs: dict[str, RunResult]
