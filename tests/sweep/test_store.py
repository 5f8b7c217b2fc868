"""The store: one writer, one specification, one version; what is recorded stays."""

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from paracosm.core.checks import BadArgument, BadData, Missing
from paracosm.sweep.cells import Cell, Outcome
from paracosm.sweep.store import failures, results, writer

ROOT = Path(__file__).parents[2]
CELLS = [Cell("tests.sweep.examples:square", {"index": index}) for index in range(5)]


def named(cells=CELLS):
    return {cell.name: cell for cell in cells}


def done(cell, number=1.5):
    return Outcome(cell.name, json.dumps({"number": number}), None, None, 0.1)


def failed(cell):
    return Outcome(cell.name, None, "ValueError: no", "Traceback …", 0.1)


def change(path, statement):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "sweep.sqlite"


def test_what_is_recorded_is_there_for_the_next_writer_and_for_readers(path):
    with writer(path, named(), resume=False) as store:
        store.record(done(CELLS[3], 0.1 + 0.2))
        store.record(failed(CELLS[1]))
        assert results(path) == {CELLS[3].name: {"number": 0.1 + 0.2}}
    with writer(path, named(), resume=True) as store:
        assert store.names("waiting") == [CELLS[i].name for i in (0, 2, 4)]
        assert store.results() == results(path)
    assert failures(path) == {CELLS[1].name: failed(CELLS[1])}


def test_a_finished_cell_is_never_overwritten(path):
    with writer(path, named(), resume=False) as store:
        store.record(done(CELLS[0], 1.0))
        store.record(done(CELLS[0], 2.0))
        store.record(failed(CELLS[0]))
        store.retry_failed()
        assert store.results() == {CELLS[0].name: {"number": 1.0}}


def test_failed_cells_wait_again_when_asked_for(path):
    with writer(path, named(), resume=False) as store:
        store.record(failed(CELLS[2]))
        store.record(done(CELLS[0]))
        store.retry_failed()
        assert store.names("waiting") == [CELLS[i].name for i in (1, 2, 3, 4)]
    assert not failures(path)


def test_commits_are_on_the_disk_before_record_returns(path):
    with writer(path, named(), resume=False) as store:
        assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_second_writer_is_refused_by_name_until_the_first_is_gone(path):
    with writer(path, named(), resume=False):
        message = rf"sweep.sqlite is being written by another sweep \(process {os.getpid()}\)"
        with pytest.raises(BadArgument, match=message), writer(path, named(), resume=True):
            pass
        assert results(path) == {}
    with writer(path, named(), resume=True):
        pass


def test_a_store_has_one_lock_under_all_its_names(path):
    with writer(path, named(), resume=False):
        pass
    link = path.with_name("link.sqlite")
    link.symlink_to(path)
    with (
        writer(link, named(), resume=True),
        pytest.raises(BadArgument, match="is being written by another sweep"),
        writer(path, named(), resume=True),
    ):
        pass
    with writer(link, named(), resume=False, force=True):
        pass
    assert link.is_symlink()


def test_the_lock_goes_with_the_process_that_held_it(path):
    holder = (
        "import sys, time; from pathlib import Path; from paracosm.sweep.store import _lock\n"
        "with _lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", holder, path], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with (
            pytest.raises(BadArgument, match=f"process {process.pid}"),
            writer(path, named(), resume=True),
        ):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    with writer(path, named(), resume=True):
        pass


def test_without_resume_a_store_that_is_there_is_refused(path):
    with writer(path, named(), resume=False):
        pass
    with (
        pytest.raises(BadArgument, match="already holds a sweep"),
        writer(path, named(), resume=False),
    ):
        pass


@pytest.mark.parametrize(
    ("cells", "which"),
    [
        (
            [*CELLS, Cell(CELLS[0].function, {"index": 9})],
            r'5 cells are not these 6, it lacks .* with \{"index":9\}',
        ),
        (CELLS[:4], r'5 cells are not these 4, it has .* with \{"index":4\}'),
        (
            [Cell(cell.function, cell.arguments, 2) for cell in CELLS],
            "5 cells are not these 5, it lacks .* version 2",
        ),
    ],
)
def test_another_specification_is_refused_and_named(path, cells, which):
    with writer(path, named(), resume=False) as store:
        store.record(done(CELLS[0]))
    with (
        pytest.raises(BadArgument, match=f"holds another sweep: its {which}"),
        writer(path, named(cells), resume=True),
    ):
        pass
    assert len(results(path)) == 1


def test_the_order_of_cells_is_no_part_of_the_specification(path):
    with writer(path, named(), resume=False):
        pass
    with writer(path, named(CELLS[::-1]), resume=True) as store:
        assert len(store.names("waiting")) == 5


@pytest.mark.parametrize("name", ["python", "paracosm", "jax", "numpy"])
def test_a_store_of_other_versions_is_refused_and_named(path, name):
    with writer(path, named(), resume=False):
        pass
    change(path, f"UPDATE versions SET version = '0.0.7' WHERE name = '{name}'")
    with (
        pytest.raises(BadArgument, match=f"was written with {name} 0.0.7, not"),
        writer(path, named(), resume=True),
    ):
        pass
    assert results(path) == {}


def test_a_store_of_another_format_is_refused_and_named(path):
    with writer(path, named(), resume=False):
        pass
    change(path, "PRAGMA user_version = 7")
    with (
        pytest.raises(BadData, match=r"is a store of format 7; .* needs format 1"),
        writer(path, named(), resume=True),
    ):
        pass
    with pytest.raises(BadData, match="format 7"):
        results(path)
    with writer(path, named(), resume=False, force=True):
        pass
    assert results(path) == {}


def test_files_that_are_no_store_are_refused_and_left_alone(tmp_path):
    text, database = tmp_path / "text", tmp_path / "other.sqlite"
    text.write_text("not a database, but long enough for the header of one " * 9)
    change(database, "CREATE TABLE someone (x)")
    before = text.read_bytes(), database.read_bytes()

    def opened(force):
        return lambda path: writer(path, named(), resume=True, force=force).__enter__()

    for path in (text, database):
        for use in (opened(False), opened(True), results):
            with pytest.raises(BadData, match="not the store of a sweep"):
                use(path)
    assert (text.read_bytes(), database.read_bytes()) == before


def test_a_damaged_store_is_one_sentence(path):
    with writer(path, named(), resume=False):
        pass
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4 * 4096)
    with pytest.raises(BadData, match="is damaged"):
        results(path)


def test_a_store_that_was_killed_before_it_was_made_is_made(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    with pytest.raises(BadData, match="holds no sweep yet"):
        results(path)
    with writer(path, named(), resume=True) as store:
        assert len(store.names("waiting")) == 5


def test_a_folder_or_a_missing_store_is_one_sentence(tmp_path):
    with pytest.raises(Missing, match="there is no store"):
        results(tmp_path / "none.sqlite")
    (tmp_path / "folder").mkdir()
    with (
        pytest.raises(BadArgument, match="folder cannot be written"),
        writer(tmp_path / "folder", named(), resume=True),
    ):
        pass
    (tmp_path / "file").touch()
    with (
        pytest.raises(BadArgument, match="cannot be written"),
        writer(tmp_path / "file" / "x", named(), resume=True),
    ):
        pass


def fill(path):
    """Record ever larger results until the file may not grow; print how many went in, and what was
    said.
    """
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    count = 0
    try:
        with writer(path, named(), resume=True) as store:
            for cell in CELLS:
                store.record(
                    Outcome(cell.name, json.dumps({"text": "x" * 60_000}), None, None, 0.1)
                )
                count += 1
    except BadArgument as error:
        sys.stdout.write(json.dumps([count, str(error)]))


def read(path):
    """Read where not a byte can be written; print how many results there are."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    os.write(1, json.dumps(len(results(path))).encode())


def elsewhere(function, path):
    """What a function of this file prints in a process of its own."""
    command = (
        "import sys, pathlib; from tests.sweep import test_store as t;"
        f" t.{function}(pathlib.Path(sys.argv[1]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", command, path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_a_finished_store_is_readable_where_nothing_can_be_written(path):
    with writer(path, named(), resume=False) as store:
        store.record(done(CELLS[0]))
    assert elsewhere("read", path) == 1


def test_on_a_full_disk_what_is_recorded_stays_readable(path):
    count, message = elsewhere("fill", path)
    assert 1 <= count < 5
    assert "sweep.sqlite cannot be written (" in message
    assert "what is recorded stays" in message
    assert list(results(path)) == [cell.name for cell in CELLS[:count]]
    with writer(path, named(), resume=True) as store:
        assert store.names("waiting") == [cell.name for cell in CELLS[count:]]


def test_a_damaged_result_is_one_sentence(path):
    with writer(path, named(), resume=False) as store:
        store.record(done(CELLS[0]))
    change(path, "UPDATE cells SET result = '{' WHERE state = 'done'")
    with pytest.raises(BadData, match="is damaged"):
        results(path)
