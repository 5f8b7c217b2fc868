"""The run directory: only ours is touched, by one writer; what is refused blocks nothing; a full
disk costs nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
import types
import weakref
from pathlib import Path

import numpy as np
import pytest

from paracosm.core import checks
from paracosm.core.files import Unwritable, Unwritten
from paracosm.imagination.stop_rule import Snapshot, Spent, StopNumbers
from paracosm.loop import directory, partial_training, result_files
from paracosm.loop.directory import (
    MARK,
    RunDirectory,
    collected_rounds,
    files_of_run,
    is_run,
    refuse_data_inside,
    require_free,
)
from paracosm.loop.partial_training import PartialTraining

CONFIG = {"env": "Pendulum-v1", "rounds": 2, "seed": 0}
OURS = [
    "events.jsonl",
    "policy.eqx",
    "policy.json",
    "audit.json",
    "result.json",
    "report.html",
    "measured.json",
    "plan-1.json",
    "plan-2.json",
    "data/round-0.npz",
    "data/round-1.npz",
    "data/evaluation.npz",
    "data/partial.npz",
    "models/partial-0.eqx",
    "models/partial-0.json",
    "models/world-1.eqx",
    "models/policy-0.json",
    ".01234567.99999999.part",
    "data/.01234567.99999999.part",
]
OTHERS = [
    "notes.txt",
    "w.eqx",
    "other.json",
    "data/mine.npz",
    "data/round-2.npz",
    "data/round-0.npz.bak",
    "data/round.npz",
    "data/deep/round-0.npz",
    "models/w.eqx",
    "models/world-2.eqx",
    "models/world-0.pt",
    "plan-3.json",
    "results.json",
]


def begun(path: Path, **options: bool) -> RunDirectory:
    return RunDirectory.create(path, CONFIG, **{"resume": False, "force": False, **options})


def fill(path: Path, names: list[str]) -> None:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(name)


def names(path: Path) -> set[str]:
    return {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}


def test_force_removes_what_the_run_wrote_and_nothing_else(tmp_path):
    begun(tmp_path / "run").close()
    fill(tmp_path / "run", [*OURS, *OTHERS])
    assert {str(file.relative_to(tmp_path / "run")) for file in files_of_run(tmp_path / "run")} == {
        *OURS,
        "config.json",
        "run.lock",
    }
    begun(tmp_path / "run", force=True).close()
    assert names(tmp_path / "run") == {*OTHERS, "config.json", "run.lock"}


def test_force_removes_rounds_that_a_learner_had_of_its_own(tmp_path):
    with begun(tmp_path / "run") as directory:
        directory.stage("collect-7", lambda: 1, lambda _: None, lambda: 1)
    fill(tmp_path / "run", ["data/round-7.npz", "audit-6.json", "data/round-8.npz"])
    begun(tmp_path / "run", force=True).close()
    assert names(tmp_path / "run") == {"data/round-8.npz", "config.json", "run.lock"}


@pytest.mark.parametrize("option", ["resume", "force"])
def test_a_removal_that_was_killed_is_gone_on_with(tmp_path, monkeypatch, option):
    with begun(tmp_path / "run") as directory:
        directory.stage("collect-3", lambda: 1, lambda _: None, lambda: 1)
        fill(tmp_path / "run", ["data/round-3.npz", "models/world-3.json", "data/round-8.npz"])
        with monkeypatch.context() as killed:
            killed.setattr(Path, "unlink", interrupted)
            with pytest.raises(KeyboardInterrupt):
                directory.clear()
        assert not directory.events()
    begun(tmp_path / "run", **{option: True}).close()
    assert names(tmp_path / "run") == {"data/round-8.npz", "config.json", "run.lock"}


def test_a_run_that_is_removed_twice_leaves_what_others_put_there(tmp_path):
    with begun(tmp_path / "run") as directory:
        directory.stage("collect-2", lambda: 1, lambda _: None, lambda: 1)
        fill(tmp_path / "run", ["data/round-2.npz", "data/round-8.npz", "models/world-9.json"])
        directory.clear()
    begun(tmp_path / "run", force=True).close()
    others = {"data/round-8.npz", "models/world-9.json"}
    assert names(tmp_path / "run") == {*others, "config.json", "run.lock"}


def test_a_round_counts_if_the_log_and_the_data_have_it(tmp_path):
    with begun(tmp_path / "run") as directory:
        fill(tmp_path / "run", [f"data/round-{name}.npz" for name in (0, 1, 2, "0 (copy)", 8)])
        assert collected_rounds(tmp_path / "run") == 3  # a run that lost its log
        for stage in ("collect-0", "collect-1"):
            directory.log("started", stage=stage)
        assert collected_rounds(tmp_path / "run") == 2
        (tmp_path / "run/data/round-1.npz").unlink()
        assert collected_rounds(tmp_path / "run") == 1


def test_links_are_removed_and_what_they_lead_to_stays(tmp_path):
    begun(tmp_path / "run").close()
    fill(tmp_path, ["precious"])
    (tmp_path / "run/result.json").symlink_to(tmp_path / "precious")
    begun(tmp_path / "run", force=True).close()
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (tmp_path / "run/result.json").is_symlink()


@pytest.mark.parametrize(
    "config", ["{}", '{"format": "another program 1"}', "[]", '{"format": 1}', "{", "", "null"]
)
@pytest.mark.parametrize("option", ["resume", "force", None])
def test_a_config_of_another_program_is_no_mark(tmp_path, config, option):
    fill(tmp_path, ["data/x.npz", "w.eqx"])
    (tmp_path / "config.json").write_text(config)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    with pytest.raises(
        checks.BadArgument, match=r"holds no run; its config\.json is damaged or not a run's"
    ):
        begun(tmp_path, **({option: True} if option else {}))
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


def test_a_run_carries_its_mark(tmp_path):
    begun(tmp_path / "run").close()
    assert is_run(tmp_path / "run")
    assert MARK in (tmp_path / "run/config.json").read_text()
    assert not is_run(tmp_path)


def test_a_second_writer_is_refused_with_the_first_ones_process(tmp_path):
    with begun(tmp_path / "run"):
        for options in ({}, {"force": True}, {"resume": True}):
            with pytest.raises(
                checks.BadArgument, match=rf"by another run \(process {os.getpid()}\)"
            ):
                begun(tmp_path / "run", **options)
    with pytest.raises(checks.BadArgument, match="already holds a run"):
        begun(tmp_path / "run")
    begun(tmp_path / "run", resume=True).close()
    begun(tmp_path / "run", force=True).close()


HOLD = """
import sys, time
from pathlib import Path
from paracosm.loop.directory import RunDirectory
held = RunDirectory.create(Path(sys.argv[1]), {"rounds": 1}, resume=False, force=False)
print("held", flush=True)
time.sleep(600)
"""


def test_a_killed_writer_holds_no_lock(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "run"], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(checks.BadArgument, match=rf"process {holder.pid}\)"):
            begun(tmp_path / "run", force=True)
        holder.send_signal(signal.SIGKILL)
    begun(tmp_path / "run", force=True).close()


@pytest.mark.parametrize("left", [{"run.lock"}, set(), {"run.lock", ".01234567.99999999.part"}])
def test_a_run_that_was_killed_before_its_mark_blocks_nothing(tmp_path, left):
    fill(tmp_path / "run", sorted(left))
    begun(tmp_path / "run").close()
    assert is_run(tmp_path / "run")
    assert names(tmp_path / "run") == {"config.json", "run.lock"}


def test_a_resumed_run_removes_what_a_kill_left_half_written(tmp_path):
    begun(tmp_path / "run").close()
    dead = [".01234567.99999999.part", "data/.01234567.99999999.part"]
    others = ["data/mine.part", f".01234567.{os.getpid()}.part"]
    fill(tmp_path / "run", [*dead, *others])
    begun(tmp_path / "run", resume=True).close()
    assert names(tmp_path / "run") == {"config.json", "run.lock", *others}


def test_data_inside_the_run_directory_are_refused_through_links_too(tmp_path):
    out, away = tmp_path / "run", tmp_path / "away"
    fill(tmp_path, ["run/data/mine.npz", "away/round-0.npz", "outside.npz"])
    (tmp_path / "link.npz").symlink_to(out / "data/mine.npz")
    (tmp_path / "same").symlink_to(out)
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "data").symlink_to(away)
    inside = [
        (out / "data/mine.npz", out),
        (out / "x/../data/mine.npz", out),
        (tmp_path / "link.npz", out),
        (out / "data/mine.npz", tmp_path / "same"),
        (tmp_path / "same/data/mine.npz", out),
        (away / "round-0.npz", linked),
        (out / "data/missing.npz", out),
    ]
    for data, folder in inside:
        with pytest.raises(checks.BadArgument, match="lies inside --out"):
            refuse_data_inside(data, folder)
    refuse_data_inside(tmp_path / "outside.npz", out)
    refuse_data_inside(tmp_path / "run-2.npz", out)


def test_a_refused_run_leaves_nothing_and_one_with_real_steps_stays(tmp_path):
    with begun(tmp_path / "new/run") as directory:
        directory.log("started", stage="collect-0")
        directory.discard_if_nothing_was_bought(real_steps=0)
    assert list(tmp_path.iterdir()) == []
    with begun(tmp_path / "new/run") as directory:
        directory.discard_if_nothing_was_bought(real_steps=1)
    with begun(tmp_path / "new/run", resume=True) as directory:
        directory.discard_if_nothing_was_bought(real_steps=0)
    assert is_run(tmp_path / "new/run")
    with begun(tmp_path / "new/run", force=True) as directory:
        fill(tmp_path / "new/run", ["data/partial.npz"])
        directory.discard_if_nothing_was_bought(real_steps=0)
    assert is_run(tmp_path / "new/run")


def test_a_world_that_was_learned_from_given_data_stays(tmp_path):
    """Such a run takes no real step before it evaluates."""
    with begun(tmp_path / "run") as directory:
        fill(tmp_path / "run", ["data/round-0.npz"])
        directory.discard_if_nothing_was_bought(real_steps=0)
    assert not (tmp_path / "run").exists(), "reading data again takes no time"
    with begun(tmp_path / "run") as directory:
        fill(tmp_path / "run", ["data/round-0.npz", "models/world-0.eqx"])
        directory.discard_if_nothing_was_bought(real_steps=0)
    assert is_run(tmp_path / "run")


def test_other_rows_of_owned_data_are_refused_where_they_are_known(tmp_path):
    for number, before in enumerate(({"data_checksum": 1}, {})):
        path, config = tmp_path / str(number), {**CONFIG, "data": "owned.npz"}
        RunDirectory.create(path, config | before, resume=False, force=False).close()
        require_free(path, config, resume=True, force=False)
        now = config | {"data_checksum": 2}
        refused = pytest.raises(checks.BadArgument, match="--data that had other rows")
        with refused if before else contextlib.nullcontext():
            RunDirectory.create(path, now, resume=True, force=False).close()


def test_what_cannot_be_begun_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(RunDirectory, "write", full)
    with pytest.raises(Unwritable, match="No space left"):
        begun(tmp_path / "new/run")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_came_while_the_lock_was_waited_for_is_left_alone(tmp_path, monkeypatch):
    begun(tmp_path / "run").close()
    monkeypatch.setattr(directory, "require_free", lambda *_, **__: None)
    with pytest.raises(checks.BadArgument, match="already holds a run"):
        begun(tmp_path / "run")
    assert is_run(tmp_path / "run")


def test_a_refused_run_leaves_what_others_put_there_meanwhile(tmp_path):
    with begun(tmp_path / "run") as directory:
        fill(tmp_path / "run", ["data/mine.npz", "notes.txt"])
        directory.discard_if_nothing_was_bought(real_steps=0)
    assert names(tmp_path / "run") == {"data/mine.npz", "notes.txt"}


def interrupted(*_: object, **options: object) -> None:
    raise KeyboardInterrupt


def full(*_: object) -> None:
    raise Unwritable(f"x cannot be written: {os.strerror(errno.ENOSPC)}.")


def test_a_stage_that_cannot_be_saved_goes_on_and_is_done_again_next_time(tmp_path):
    with begun(tmp_path / "run") as directory:
        assert directory.stage("learn-0", lambda: 3, full, lambda: 4) == 3
        (unwritten,) = directory.unwritten
        assert unwritten.message == "x cannot be written: No space left on device."
        assert directory.stage("learn-0", lambda: 5, lambda result: None, lambda: 4) == 5
        assert directory.stage("learn-0", lambda: 6, full, lambda: 4) == 4


def test_what_could_not_be_written_is_remembered_once_and_keeps_no_data_alive(tmp_path):
    rows = np.ones(3)
    alive = weakref.ref(rows)
    directory = RunDirectory(tmp_path)
    for _ in range(2):
        with directory.attempt():
            full(rows)
    del rows
    assert alive() is None
    assert len(directory.unwritten) == 1


def test_a_checkpoint_that_cannot_be_written_leaves_the_run_whole(tmp_path, monkeypatch):
    snapshot = Snapshot(np.ones(2), np.ones(2), StopNumbers((), (), 0.0, 1.0, 0, Spent()))
    with RunDirectory.create(tmp_path / "run", {}, resume=False, force=False) as directory:
        monkeypatch.setattr(partial_training, "SECONDS", -1)
        with monkeypatch.context() as disk:
            disk.setattr(Path, "write_bytes", full)
            PartialTraining(directory, 0).keep(snapshot)
        assert not directory.unwritten
        PartialTraining(directory, 0).keep(snapshot)
    assert len(list(tmp_path.glob("run/models/partial-0.*"))) == 2


def test_a_state_that_cannot_be_stored_is_said_once(tmp_path, monkeypatch):
    def refuse(*_: object, **options: object) -> None:
        raise checks.Unsupported("it cannot be stored.")

    snapshot = Snapshot(np.ones(2), np.ones(2), StopNumbers((), (), 0.0, 1.0, 0, Spent()))
    monkeypatch.setattr(partial_training, "SECONDS", -1)
    monkeypatch.setattr(partial_training.store, "save", refuse)
    with begun(tmp_path / "run") as directory:
        for _ in range(2):
            PartialTraining(directory, 0).keep(snapshot)
        (failure,) = directory.unwritten
    assert failure == ("it cannot be stored.", False)


def test_only_a_full_disk_is_mended_by_room(tmp_path, monkeypatch):
    monkeypatch.setattr(result_files, "write_report", lambda *_: None)
    result = types.SimpleNamespace(to_json=lambda: "{}")
    tracker = types.SimpleNamespace(finish=lambda *_: None)
    for error, advised in ((Unwritable("x."), True), (checks.Unsupported("y."), False)):
        directory = RunDirectory(tmp_path)
        with directory.attempt():
            raise error
        with pytest.raises(Unwritten) as refusal:
            result_files.write_result(result, directory, tracker)
        assert ("make room" in str(refusal.value)) is advised


def test_the_time_of_a_stage_that_stopped_is_counted(tmp_path):
    def stop() -> None:
        time.sleep(0.02)
        raise KeyboardInterrupt

    with begun(tmp_path / "run") as directory:
        with pytest.raises(KeyboardInterrupt):
            directory.stage("learn-0", stop, full, lambda: 4)
        stopped = directory.seconds()["learn"]
        assert stopped >= 0.02
        assert directory.stage("learn-0", lambda: 5, lambda result: None, lambda: 4) == 5
        first, last = (event["seconds"] for event in directory.events() if "seconds" in event)
        assert first == stopped
        assert directory.seconds()["learn"] == pytest.approx(first + last)


ODD = {
    "a list": b"[1]",
    "a number": b"3",
    "text": b"hello",
    "no event": b'{"at": 1}',
    "an event that is a number": b'{"event": 3}',
    "no stage": b'{"event": "finished", "seconds": 1.0}',
    "a stop without seconds": b'{"event": "stopped", "stage": "learn-0"}',
    "no seconds": b'{"event": "finished", "stage": "learn-0"}',
    "seconds as text": b'{"event": "finished", "stage": "learn-0", "seconds": "1"}',
    "seconds below zero": b'{"event": "finished", "stage": "learn-0", "seconds": -1}',
    "seconds as truth": b'{"event": "finished", "stage": "learn-0", "seconds": true}',
    "endless seconds": b'{"event": "finished", "stage": "learn-0", "seconds": 1e999}',
    "NaN": b'{"event": "finished", "stage": "learn-0", "seconds": NaN}',
    "no text": b"\xff\xfe\x00",
    "zeros": b"\0" * 20,
    "deep": b"[" * 200_000,
    "deep in an event": b'{"event": ' + b"[" * 200_000 + b"}",
    "two events": b'{"event": "started"}{"event": "started"}',
}


@pytest.mark.parametrize("line", ODD.values(), ids=ODD)
def test_an_odd_line_in_the_log_is_one_sentence(tmp_path, line):
    with begun(tmp_path / "run") as directory:
        directory.log("finished", stage="collect-0", seconds=1.0)
        with (tmp_path / "run/events.jsonl").open("ab") as log:
            log.write(line + b"\n")
        with pytest.raises(checks.BadData, match=r"events\.jsonl, line 2 is damaged") as refusal:
            directory.stage("learn-0", lambda: 1, lambda result: None, lambda: 2)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400


def test_a_line_cut_off_anywhere_is_left_out(tmp_path):
    with begun(tmp_path / "run") as directory:
        directory.log("finished", stage="collect-0", seconds=1.0)
        log = tmp_path / "run/events.jsonl"
        line = log.read_bytes()
        for end in range(len(line) - 1):
            log.write_bytes(line + line[:end])
            directory.log("finished", stage="learn-0", seconds=2.0)
            assert directory.seconds()["learn"] == 2.0
