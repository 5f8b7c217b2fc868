"""What a reader of a result must know: which caveats are due, and when."""

from __future__ import annotations

import dataclasses

from paracosm.core.records import Estimate
from paracosm.core.records.reasons import CaveatKind
from paracosm.core.records.stop_reason import StopReason
from paracosm.loop.caveats import caveats, run_warnings
from tests.reporting import report_records as records


def due(fits=None, training=None, **changes) -> list[CaveatKind]:
    """The kinds of caveats of a run with nothing to warn of, but for these changes."""
    sound = {"data_edge_share": 0.05, "audited_steps": 100, "real_steps": 100}
    diagnosis = records.diagnosis(**{**sound, **changes})
    trained = dataclasses.replace(records.training(), **(training or {}))
    return [caveat.kind for caveat in caveats(fits or {}, (trained,), diagnosis)]


def fit(error: float, baseline: float | None):
    estimate = Estimate(error, error, error, 1, "held out")
    return dataclasses.replace(records.run().fits["reward"], error=estimate, baseline=baseline)


def test_a_sound_run_has_none():
    assert due() == []
    assert due(training={"stop_reason": StopReason.PLATEAU}) == []
    assert due(data_edge_share=None) == []


def test_each_is_due_by_its_number():
    assert due(data_edge_share=0.051) == [CaveatKind.EDGE_OF_DATA]
    assert due(training={"stop_reason": StopReason.MOST_STEPS}) == [CaveatKind.MOST_STEPS]
    assert due(audited_steps=99) == [CaveatKind.STEPS_SAMPLED]
    assert due(fits={"reward": fit(0.6, 1.0)}) == [CaveatKind.LITTLE_LEARNED]
    assert due(fits={"reward": fit(0.5, 1.0)}) == due(fits={"reward": fit(0.6, None)}) == []


def test_they_are_sentences_in_the_result():
    diagnosis = records.diagnosis(data_edge_share=0.12, audited_steps=7, real_steps=70)
    assert run_warnings({"reward": fit(0.6, 1.0)}, (records.training(),), diagnosis) == (
        f"The learned reward errs 60% as much as a constant would: {fit(0.6, 1.0).rows:,} rows may"
        " be too few.",
        "12% of the audited imagined steps lie at the edge of the data.",
        "The audit attributed a random 7 of 70 real steps, reweighted.",
    )
