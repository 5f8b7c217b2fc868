"""Sweeps on this machine: every cell once, whatever happens to workers and to the sweep itself."""

import os
import signal
from collections import Counter

import numpy as np
import pytest

from paracosm.core.checks import BadArgument
from paracosm.sweep import local
from paracosm.sweep import store as stores
from paracosm.sweep.cells import Cell
from paracosm.sweep.run import _progress_note, sweep
from tests.sweep import killing

HERE = "tests.sweep.examples"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sweep.sqlite"


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Where cells say that they were run."""
    monkeypatch.setenv("SWEEP_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


def cell(function, **arguments):
    return Cell(f"{HERE}:{function}", arguments)


def squares(count):
    return [cell("square", index=index) for index in range(count)]


def test_results_come_by_name_in_the_order_of_the_cells_and_are_run_once(path, log):
    cells = squares(6)
    expected = {c.name: {"square": i**2, "third": [i / 3]} for i, c in enumerate(cells)}
    results = sweep([*cells, cells[0]], path, workers=2)
    assert results == expected
    assert list(results) == list(expected)
    assert sweep(cells, path) == stores.results(path) == expected
    assert sorted(killing.executed(log)) == list(range(6))


def test_progress_counts_cells_and_tells_rate_and_time_left(path):
    updates = []
    sweep(
        [*squares(3), cell("broken", index=9)],
        path,
        workers=1,
        progress=lambda *word: updates.append(word),
    )
    assert [(stage, done, total) for stage, done, total, *_ in updates] == [
        ("sweep", done, 4) for done in range(5)
    ]
    assert all("cells/" in word and "left" in word for *_, word in updates[1:])
    assert updates[-1][3].endswith("0 s left, 1 failed")


def test_a_failed_cell_is_recorded_and_run_again_only_when_asked(path, log, tmp_path):
    marker = tmp_path / "marker"
    cells = [cell("repaired", index=0, marker=str(marker)), *squares(4)[1:]]
    assert list(sweep(cells, path, workers=1)) == [c.name for c in cells[1:]]
    (failure,) = stores.failures(path).values()
    assert failure.error is not None
    assert failure.error.startswith("FileNotFoundError")
    assert failure.traceback is not None
    assert "in repaired" in failure.traceback
    marker.touch()
    assert len(sweep(cells, path, workers=1)) == 3
    assert list(sweep(cells, path, workers=1, retry_failed=True)) == [c.name for c in cells]
    assert killing.executed(log) == [0, 1, 2, 3, 0]


def test_a_worker_that_dies_costs_its_cell_only_and_that_is_run_again(path, log, tmp_path):
    (tmp_path / "marker").touch()
    cells = [cell("suicide", index=0, marker=str(tmp_path / "marker")), *squares(4)[1:]]
    assert list(sweep(cells, path, workers=2)) == [c.name for c in cells]
    assert sorted(killing.executed(log)) == [0, 0, 1, 2, 3]


def test_a_cell_whose_worker_dies_twice_has_failed(path):
    cells = [cell("always_dies"), *squares(3)]
    assert len(sweep(cells, path, workers=2)) == 3
    assert (
        stores.failures(path)[cells[0].name].error
        == "the process that ran it died, twice (SIGKILL)."
    )


def test_workers_have_one_thread_and_one_core_each(path, monkeypatch):
    monkeypatch.setenv(
        "XLA_FLAGS", "--xla_force_host_platform_device_count=16 --xla_cpu_enable_fast_math=false"
    )
    (surroundings,) = sweep([cell("surroundings", index=0)], path, workers=1).values()
    assert surroundings["NPROC"] == surroundings["OMP_NUM_THREADS"] == "1"
    flags = "--xla_cpu_enable_fast_math=false --xla_force_host_platform_device_count=1"
    assert surroundings["XLA_FLAGS"] == f"{flags} --xla_cpu_multi_thread_eigen=false"


def test_with_a_worker_for_every_core_each_has_its_own(path):
    cores = sorted(os.sched_getaffinity(0))
    cells = [cell("surroundings", index=index) for index in range(40 * len(cores))]
    affinities = {tuple(result["cores"]) for result in sweep(cells, path).values()}
    assert affinities == {(core,) for core in cores}


def test_jax_gives_the_same_numbers_in_every_worker(path):
    cells = [cell("with_jax", seed=7, copy=copy) for copy in range(2)]
    first, second = sweep(cells, path, workers=2).values()
    assert first.pop("worker") != second.pop("worker")
    assert first == second
    assert first["devices"] == 1


def test_what_cells_print_goes_to_stderr(path, capfd):
    sweep([cell("chatter")], path)
    assert capfd.readouterr() == ("", "said by a cell\n")


@pytest.mark.parametrize("change", [{"cells": []}, {"workers": 0}])
def test_no_cells_or_no_workers_are_refused(path, change):
    with pytest.raises(BadArgument, match="must be at least 1"):
        sweep(**{"cells": squares(2), "store": path, **change})
    assert not path.exists()


def test_without_resume_a_store_that_is_there_is_refused(path):
    sweep(squares(1), path)
    with pytest.raises(BadArgument, match="already holds a sweep"):
        sweep(squares(1), path, resume=False)


def test_ctrl_c_leaves_a_store_that_is_gone_on_with_and_no_workers(path, log):
    code, stderr = killing.interrupt(path, log, total=9, after=3)
    assert code == -signal.SIGINT
    assert stderr.count("Traceback") == 1
    assert all(killing.gone(pid) for pid in killing.processes(log))
    recorded = killing.finished(path)
    assert recorded
    before = Counter(killing.executed(log))
    assert len(sweep(killing.cells(9), path, workers=2)) == 9
    assert {index: before[index] for index in recorded} == dict.fromkeys(recorded, 1)


def test_workers_end_with_a_sweep_that_is_killed_in_the_middle_of_their_cells(path, log):
    killing.kill(path, log, total=2, more=2, seconds=60.0)
    assert all(killing.gone(pid) for pid in killing.processes(log))


def test_workers_end_when_nobody_wants_to_hear_of_them_any_more(log):
    outcomes = local.outcomes([*squares(1), *killing.cells(2, seconds=60.0)], workers=2)
    assert next(outcomes).error is None
    killing.until(lambda: len(killing.processes(log)) == 3)
    outcomes.close()
    assert all(killing.gone(pid) for pid in killing.processes(log))


@pytest.mark.parametrize(
    ("total", "kills"), [(24, 3), pytest.param(200, 20, marks=pytest.mark.full)]
)
def test_a_sweep_killed_at_random_ends_like_one_that_was_not(path, log, tmp_path, total, kills):
    """No cell is lost, and none is run again once it is recorded."""
    records = killing.killed(path, log, total, kills, np.random.default_rng(20))
    assert any(records)
    results, runs = sweep(killing.cells(total), path, workers=2), Counter(killing.executed(log))
    assert set(runs) == set(range(total))
    for recorded in records:
        assert {index: runs[index] for index in recorded} == recorded
    assert results == sweep(killing.cells(total), tmp_path / "whole.sqlite", workers=2)
    assert len(results) == total


@pytest.mark.parametrize(
    ("rate", "left", "failed", "word"),
    [
        (12.34, 3.2, 0, "12.3 cells/s, 3 s left"),
        (0.5, 600.0, 2, "30.0 cells/min, 10 min left, 2 failed"),
        (0.01, 9000.0, 0, "0.6 cells/min, 2.5 h left"),
    ],
)
def test_rates_and_times_are_told_in_units_that_a_person_reads(rate, left, failed, word):
    assert _progress_note(rate, left, failed) == word
