"""An experiment from its cells to its files: stopped, resumed, begun anew, with cells that fail."""

import fcntl
import json
import sys
from contextlib import contextmanager

import pytest

from paracosm.cli.main import main
from paracosm.core.checks import BadArgument, BadData, Missing, ParacosmError
from paracosm.core.files import Unwritable
from paracosm.core.records import Estimate
from paracosm.core.records.experiments import Experiment, Findings
from paracosm.paper import contents
from paracosm.paper.reproduce import reproduce
from paracosm.paper.study import Study, beyond
from paracosm.sweep.cells import Cell
from paracosm.sweep.options import SweepOptions


def square(number, broken):
    if broken and number == 2:
        raise ValueError("no room")
    return {"square": number * number}


@contextmanager
def locked(store):
    """As by a sweep that is still at it."""
    with store.with_name(f"{store.name}.lock").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def read(answers):
    total = sum(answer.result["square"] for answer in answers)
    estimate = Estimate(total, total, total, len(answers), "exact")
    claim = beyond("total", "The squares add up.", estimate, why="the paper does not add.")
    return Findings(("Squares.",), (), (claim,), (), (), f"They add up to {total}.")


@pytest.fixture
def small(monkeypatch):
    """E1 made of a few cells of this file."""

    def of(broken=False):
        def cells(scale):
            count = 3 if scale == "quick" else 5
            return [
                Cell(f"{__name__}:square", {"number": n, "broken": broken}) for n in range(count)
            ]

        monkeypatch.setitem(
            sys.modules,
            "paracosm.paper.e1",
            type("E1", (), {"STUDY": Study("Add up?", cells, read)}),
        )

    of()
    return of


def test_an_experiment_is_written_and_read_back(small, tmp_path):
    record, files = reproduce("E1", tmp_path, "full")
    assert (record.cells, record.findings.claims[0].ours) == (5, 30)
    assert record.versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert record.seconds > 0
    assert Experiment.from_json((tmp_path / "e1.json").read_text()) == record
    assert all(path.exists() for path in files)


def test_what_is_there_is_neither_lost_nor_done_again_unasked(small, tmp_path):
    reproduce("E1", tmp_path)
    with pytest.raises(
        BadArgument, match=r"e1-quick\.sqlite holds a sweep of E1.*--resume.*--force"
    ):
        reproduce("E1", tmp_path)
    resumed, _ = reproduce("E1", tmp_path, sweep_options=SweepOptions(resume=True))
    assert resumed == reproduce("E1", tmp_path, sweep_options=SweepOptions(resume=True))[0]
    assert reproduce("E1", tmp_path, sweep_options=SweepOptions(force=True))[0].cells == 3


def test_results_of_the_other_scale_are_not_replaced_unasked(small, tmp_path):
    reproduce("E1", tmp_path, "full")
    before = (tmp_path / "e1.json").read_bytes()
    for sweep_options in (SweepOptions(), SweepOptions(resume=True)):
        with pytest.raises(
            BadArgument, match=r"e1\.json holds the results of E1 at scale full.*--out.*--force"
        ):
            reproduce("E1", tmp_path, sweep_options=sweep_options)
    assert (tmp_path / "e1.json").read_bytes() == before
    assert not (tmp_path / "e1-quick.sqlite").exists()
    reproduce("E1", tmp_path, sweep_options=SweepOptions(force=True))
    assert Experiment.from_json((tmp_path / "e1.json").read_text()).scale == "quick"
    assert (tmp_path / "e1-full.sqlite").exists(), "only the other scale's pages are replaced"
    (tmp_path / "e1.json").write_text("{}")
    record, _ = reproduce("E1", tmp_path, "full", sweep_options=SweepOptions(resume=True))
    assert record.scale == "full", "its cells are there, so that its pages can be written again"


def test_force_throws_nothing_away_before_everything_else_is_right(small, tmp_path):
    _, files = reproduce("E1", tmp_path)
    before = files[-1].read_bytes()
    for sweep_options in (
        SweepOptions(force=True, workers=0),
        SweepOptions(force=True, backend="nowhere:1"),
        SweepOptions(force=True, resume=True),
    ):
        with pytest.raises(ParacosmError):
            reproduce("E1", tmp_path, sweep_options=sweep_options)
    with locked(files[-1]), pytest.raises(BadArgument, match="being written"):
        reproduce("E1", tmp_path, sweep_options=SweepOptions(force=True))
    assert files[-1].read_bytes() == before


def test_failed_cells_are_told_and_the_others_kept(small, tmp_path):
    small(broken=True)
    with pytest.raises(BadData, match=r"1 of the 3 cells of E1 failed.*no room.*--retry-failed"):
        reproduce("E1", tmp_path)
    with pytest.raises(BadData, match="1 of the 3"):
        reproduce("E1", tmp_path, sweep_options=SweepOptions(retry_failed=True))


def test_the_command_prints_one_document(small, tmp_path, capsys):
    assert main(["paper", "E1", "--out", str(tmp_path), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["experiment"], printed["scale"], len(printed["claims"])) == ("E1", "quick", 1)
    assert str(tmp_path / "e1.html") in printed["files"]


@pytest.fixture
def few(small, monkeypatch):
    """E1 and E2 are all that there is, E2 made of the cells of E1."""
    monkeypatch.setitem(sys.modules, "paracosm.paper.e2", sys.modules["paracosm.paper.e1"])
    monkeypatch.setattr(
        contents, "CONTENTS", {name: contents.CONTENTS[name] for name in ("E1", "E2")}
    )
    monkeypatch.setattr("paracosm.cli.paper.CONTENTS", contents.CONTENTS)
    monkeypatch.setattr("paracosm.paper.reproduce.CONTENTS", contents.CONTENTS)
    return small


def all_of(out, *flags):
    return main(["paper", "all", "--out", str(out), "--json", *flags])


def printed_names(printed):
    return [document["experiment"] for document in json.loads(printed.out)]


def test_all_goes_on_after_one_that_fails(few, tmp_path, capsys):
    few(broken=True)
    assert all_of(tmp_path) == 2
    printed = capsys.readouterr()
    assert printed_names(printed) == ["E2"]
    assert "1 of the 3 cells of E1 failed" in printed.err


def test_all_looks_at_what_is_there_before_it_runs(few, tmp_path, capsys):
    reproduce("E2", tmp_path)
    assert all_of(tmp_path) == 2
    printed = capsys.readouterr()
    assert "e2-quick.sqlite holds a sweep of E2; give --resume" in printed.err
    assert not printed.out
    assert not (tmp_path / "e1-quick.sqlite").exists()
    assert all_of(tmp_path, "--resume") == 0
    assert printed_names(capsys.readouterr()) == ["E1", "E2"]


def test_all_retries_the_sweeps_that_are_there(few, tmp_path, capsys):
    assert all_of(tmp_path, "--retry-failed") == 2
    assert "there is no sweep at scale quick in" in capsys.readouterr().err
    few(broken=True)
    with pytest.raises(BadData):
        reproduce("E1", tmp_path)
    assert all_of(tmp_path, "--retry-failed") == 2
    printed = capsys.readouterr()
    assert "1 of the 3 cells of E1 failed" in printed.err
    assert printed_names(printed) == []


def test_all_shows_what_was_finished_before_it_was_stopped(few, tmp_path, capsys, monkeypatch):
    def stopped(answers):
        raise KeyboardInterrupt

    study = type("E2", (), {"STUDY": Study("Add up?", contents.study("E1").cells, stopped)})
    monkeypatch.setitem(sys.modules, "paracosm.paper.e2", study)
    assert all_of(tmp_path) == 130
    assert printed_names(capsys.readouterr()) == ["E1"]


def test_all_shows_what_could_not_be_written(few, tmp_path, capsys, monkeypatch):
    def full(record, out):
        raise Unwritable("the disk is full.")

    monkeypatch.setattr("paracosm.reporting.publish", full)
    assert all_of(tmp_path) == 2
    printed = capsys.readouterr()
    assert printed_names(printed) == ["E1"]
    assert "the disk is full." in printed.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["E11"], "there is no experiment 'E11'; there are E1, E2"),
        (["E1", "--resume", "--force"], "--force is given with --resume"),
        (["E1", "--retry-failed"], "there is no sweep"),
        (["E1", "--ray", "nowhere:1"], "nowhere:1"),
        (["E1", "--ray", "local"], "'local'"),
        (["E1", "--workers", "0"], "workers is 0"),
    ],
)
def test_bad_input_is_one_sentence(small, tmp_path, capsys, arguments, sentence):
    assert main(["paper", *arguments, "--out", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert sentence in printed.err
    assert printed.err.count("\n") == 1


def test_no_cluster_is_no_store(small, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(Missing, match="none was started on this machine"):
        reproduce("E1", tmp_path / "out", sweep_options=SweepOptions(backend="auto"))
    assert not (tmp_path / "out").exists()


def test_a_file_where_a_folder_is_needed_is_named(small, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadArgument, match="file is a file; a folder is needed"):
        reproduce("E1", tmp_path / "file")


def test_the_list_needs_no_experiment(capsys):
    assert main(["paper"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in contents.CONTENTS)
