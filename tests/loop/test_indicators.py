"""Indicators from audits: of runs, of folders and of records; what does not belong is refused."""

import dataclasses

import numpy as np
import pytest

import paracosm
from paracosm.core.checks import BadArgument, BadData, Missing
from paracosm.core.records.indicators import LeadVerdict
from paracosm.loop.indicators import of_rounds
from tests.core.test_term_growth import QUIET
from tests.reporting import report_records as records

# The edge share of a checkpoint is the size of the next one's gap, up to a factor.
EDGES = (3, 7, 1, 9, 4, 6, 2, 8, 5, 11, 10, 12)
GAPS = (-20.0, *(float(edge) * (-1) ** n for n, edge in enumerate(EDGES[:-1])))


def diagnosis(number, **changes):
    """The audit of a checkpoint of a training in which the edge share leads."""
    gap = records.diagnosis().gap
    names = ("total", "reward", "termination", "dynamics")
    walks = np.random.default_rng(number).normal(size=4)
    terms = {
        name: dataclasses.replace(getattr(gap, name), mean=float(walk))
        for name, walk in zip(names, walks, strict=True)
    }
    terms["total"] = dataclasses.replace(gap.total, mean=GAPS[number])
    gap = dataclasses.replace(gap, **terms)
    return records.diagnosis(
        **{"gap": gap, "data_edge_share": EDGES[number] / 100, "valid": True, **changes}
    )


@pytest.fixture
def audits():
    return [diagnosis(number) for number in range(len(EDGES))]


def rounds(count=12, **changes):
    """Rounds of a run in which the edge share leads."""
    spreads = np.random.default_rng(0).normal(size=count)
    return tuple(
        dataclasses.replace(
            QUIET,
            **{
                "round": number,
                "gap": GAPS[number],
                "spread": abs(spreads[number]),
                "edge_share": EDGES[number] / 100,
                **changes,
            },
        )
        for number in range(count)
    )


def _leads(record):
    return [indicator.name for indicator in record.leading]


def _folder(path, audits, name="step-{}.json"):
    path.mkdir()
    for number, audit in enumerate(audits):
        (path / name.format(number)).write_text(audit.to_json())
    return path


def test_a_folder_of_audits_is_read_in_natural_order(audits, tmp_path):
    """Twelve files: step-10 after step-9, else nothing leads."""
    record = paracosm.indicators(_folder(tmp_path / "mine", audits))
    assert _leads(record) == ["edge_share"]
    assert record.checkpoints == (12,)
    assert record.trainings == (str(tmp_path / "mine"),)
    assert _leads(paracosm.indicators(sorted(audits, key=lambda a: a.data_edge_share))) == []


def test_records_and_a_mapping_of_them_say_the_same(audits, tmp_path):
    of_list = paracosm.indicators(audits)
    named = {f"a{number}": audit for number, audit in enumerate(audits)}
    assert of_list == paracosm.indicators(named)
    of_folder = paracosm.indicators(_folder(tmp_path / "mine", audits))
    assert of_folder.indicators == of_list.indicators


def test_what_some_checkpoint_does_not_have_is_left_out(audits):
    audits[3] = diagnosis(3, data_edge_share=None)
    record = paracosm.indicators(audits)
    assert "edge_share" in record.left_out
    assert "edge_share" not in {indicator.name for indicator in record.indicators}


def test_the_rounds_of_a_run_are_such_audits():
    record = of_rounds(rounds())
    assert record is not None
    assert _leads(record) == ["edge_share"]
    verdicts = {indicator.name: indicator.verdict for indicator in record.indicators}
    assert verdicts["termination"] is LeadVerdict.CONSTANT
    assert record == dataclasses.replace(
        paracosm.indicators(list(rounds())), trainings=record.trainings
    )


def test_a_run_of_few_rounds_says_nothing():
    assert of_rounds(()) is None
    assert of_rounds(rounds(9)) is None
    assert of_rounds(rounds(gap=None, reward=None)) is None


def test_rounds_without_labels_are_passed_over():
    mixed = list(rounds())
    mixed[4] = dataclasses.replace(mixed[4], gap=None, reward=None)
    record = paracosm.indicators(mixed)
    assert record.checkpoints == (11,)
    assert "reward" in {indicator.name for indicator in record.indicators}


def test_a_run_without_audited_rounds_is_refused(finished):
    with pytest.raises(Missing, match=r"no round of the run in .* was audited"):
        paracosm.indicators(finished[0])


def test_different_tasks_are_refused(audits, tmp_path):
    shorter = diagnosis(3, horizon=17)
    with pytest.raises(BadData, match=r"checkpoint 1 of training 1 has horizon 200.* horizon 17"):
        paracosm.indicators([*audits[:3], shorter])
    with pytest.raises(BadArgument, match="training 1 has audits checkpoints, training 2 has"):
        paracosm.indicators(audits, list(rounds()))


def test_one_and_the_same_checkpoint_is_refused(audits, tmp_path):
    folder = _folder(tmp_path / "mine", [*audits, audits[5]])
    with pytest.raises(BadData, match=r"step-5 of .* and step-12 of .* are one and the same"):
        paracosm.indicators(folder)
    with pytest.raises(BadData, match="checkpoint 1 of training 1 and checkpoint 1 of training 2"):
        paracosm.indicators(audits, audits)


def test_an_audit_whose_conditions_do_not_hold_is_refused(audits):
    audits[2] = diagnosis(2, valid=False)
    with pytest.raises(BadData, match="checkpoint 3 of training 1 explains nothing"):
        paracosm.indicators(audits)


def test_files_that_are_no_audits_are_refused(audits, tmp_path):
    folder = _folder(tmp_path / "mine", audits)
    (folder / "notes.json").write_text('{"loss": 3}')
    with pytest.raises(BadData, match=r"notes\.json holds no audit of this version"):
        paracosm.indicators(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(Missing, match=r"is no run and holds no \*\.json"):
        paracosm.indicators(tmp_path / "empty")


def test_a_gap_that_is_nowhere_known_is_refused():
    with pytest.raises(BadData, match="no gap of training 1 is known"):
        paracosm.indicators(list(rounds(gap=None, reward=None)))
