"""The command line: one sentence and status 2 for bad input, JSON alone on stdout, help that
teaches.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

import paracosm
from paracosm.cli.main import COMMANDS, main
from paracosm.core.files import Unwritten
from paracosm.core.records import Diagnosis
from paracosm.core.records.results import RunResult
from tests.cli.refusals import refusal
from tests.loop.small import numbers, small_run

pytestmark = pytest.mark.usefixtures("_environment_as_it_was")

SMALL = [
    "--transitions=200",
    "--episodes=2",
    "--learn.fit.members=2",
    "--learn.fit.width=16",
    "--learn.fit.most-epochs=10",
    "--imagine.rollouts=16",
    "--imagine.horizon=10",
    "--imagine.most-steps=20",
    "--imagine.check=10",
    "--imagine.width=16",
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return folder / "a", small_run(folder / "a"), folder / "b", small_run(folder / "b", seed=1)


def test_help_teaches(capsys):
    assert main(["--help"]) == 0
    page = capsys.readouterr().out
    assert all(command in page for command in COMMANDS)
    assert "paracosm run Pendulum-v1" in page
    assert "--json" in page


@pytest.mark.parametrize("columns", ["60", "80", "200"])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    page = capsys.readouterr().out
    assert "--json" in page
    assert not re.search(r"None\b|\(default:\s*(''|)\)", page)


def test_help_keeps_each_default_with_its_option(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "240")
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    page = " ".join(capsys.readouterr().out.split())
    assert "as a JSON object. (default: '{}')" in page
    assert os.environ["COLUMNS"] == "240"


def test_run_prints_json_alone(runs, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["run", "Pendulum-v1", "--out", str(out), "--json", *SMALL]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary.pop("report") == str(out / "report.html")
    expected = numbers(runs[1]).summary()
    assert {**summary, "seconds": {}} == expected
    gap = {"real", "imagined", "total", "reward", "termination", "dynamics", "horizon"}
    assert gap <= summary["gap"].keys()
    assert all(set(summary["gap"][name]) == {"mean", "low", "high"} for name in gap)


def test_the_environment_can_be_named_by_a_flag(tmp_path, capsys):
    assert main(["run", *SMALL, "--env", "NoSuch-v1", "--out", str(tmp_path / "run")]) == 2
    assert "NoSuch-v1" in refusal(capsys)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["frobnicate"], "no command 'frobnicate'"),
        (["run"], "no environment is named"),
        (["run", "Pendulum-v9"], "Pendulum-v1"),
        (["run", "Pendulum-v1", "--transitions", "0"], "--transitions is 0"),
        (["run", "Pendulum-v1", "--reward-labels", "-1"], "--reward-labels is -1"),
        (["run", "nowhere:make"], "nowhere"),
        (["run", "Pendulum-v1", "--data", "missing.npz"], "missing.npz"),
        (["run", "Pendulum-v1", "--env-kwargs", "nonsense"], "--env-kwargs"),
        (["audit", "nowhere"], "nowhere is no run"),
        (["report", "nowhere"], "nowhere is no run"),
        (["compare", "nowhere"], "at least two"),
        (["compare", "nowhere", "here"], "nowhere is no run"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(arguments, what, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert what in refusal(capsys)


def test_an_unwritable_out_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["run", "Pendulum-v1", "--out", str(tmp_path / "file" / "run")]) == 2
    assert "cannot be written: Not a directory" in refusal(capsys)


def test_an_existing_run_is_refused(runs, capsys):
    assert main(["run", "Pendulum-v1", "--out", str(runs[0])]) == 2
    assert "--resume" in refusal(capsys)


def test_a_result_that_cannot_be_written_is_shown(runs, monkeypatch, capsys, tmp_path):
    import paracosm.cli.run as command

    def full(*_, **__):
        raise Unwritten("the disk is full.", runs[1])

    monkeypatch.setattr(command, "run", full)
    assert main(["run", "Pendulum-v1", "--out", str(tmp_path / "run"), "--json"]) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out) == runs[1].summary()
    assert captured.err == "paracosm: the disk is full.\n"


def test_interrupt_is_status_130(monkeypatch, capsys, tmp_path):
    import paracosm.cli.run as command

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run", interrupted)
    assert main(["run", "Pendulum-v1", "--out", str(tmp_path / "run")]) == 130
    assert "--resume" in capsys.readouterr().err


@pytest.mark.full
def test_audit_again_finds_the_same_and_bounds_besides(runs, capsys, tmp_path):
    assert (
        main(
            ["audit", str(runs[0]), "--all-steps", "--json", "--out", str(tmp_path / "audit.html")]
        )
        == 0
    )
    diagnosis = Diagnosis.from_json(capsys.readouterr().out)
    assert diagnosis.gap == runs[1].diagnosis.gap
    assert {"dynamics", "reward", "policy", "closed_loop"} <= set(diagnosis.lipschitz)
    assert diagnosis.certificates
    assert "verdict" in (tmp_path / "audit.html").read_text()


def test_audit_on_new_episodes(runs, capsys):
    new = ["--episodes", "3", "--first-seed", "7", "--no-bounds"]
    assert main(["audit", str(runs[0]), *new, "--json"]) == 0
    diagnosis = Diagnosis.from_json(capsys.readouterr().out)
    assert diagnosis.real_return.n == 3
    assert (diagnosis.calibration.spread, diagnosis.calibration.count) == ("members", 2)
    assert diagnosis.calibration.episodes == diagnosis.calibration.coverage.error.n == 3
    assert len(diagnosis.calibration.returns.members) == 2


def test_report_again(runs, capsys, tmp_path):
    assert main(["report", str(runs[0]), "--out", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").read_text() == (runs[0] / "report.html").read_text()


def test_compare(runs, capsys, tmp_path):
    arguments = ["compare", str(runs[0]), str(runs[2])]
    assert main([*arguments, "--json", "--out", str(tmp_path / "page.html")]) == 0
    assert list(json.loads(capsys.readouterr().out)["runs"]) == [str(runs[0]), str(runs[2])]
    assert main(arguments) == 0
    assert "dynamics" in capsys.readouterr().out


def test_a_gate_sets_the_exit_status(runs, capsys, tmp_path):
    """The runs are of two seeds; held-out errors cannot be smaller than nothing, so that one of the
    two orders fails a gate without an allowance at a level near 0.
    """
    orders = [(runs[0], runs[2]), (runs[2], runs[0])]
    arguments = ["compare", "--json", "--gate", str(tmp_path / "gate.toml")]
    (tmp_path / "gate.toml").write_text("[terms]\ndynamics = 1e9\n")
    for order in orders:
        assert main([*arguments, *map(str, order)]) == 0
        comparison = json.loads(capsys.readouterr().out)
        assert comparison["passed"]
        assert comparison["gate"]["checks"][0]["limit"] > 1e9
    (tmp_path / "gate.toml").write_text("level = 1e-9\n[policy_errors]\nreward = 0\n")
    statuses = [main([*arguments, *map(str, order)]) for order in orders]
    assert sorted(statuses) == [0, 1]
    out = tmp_path / "page.html"
    assert main(["compare", *map(str, orders[statuses.index(1)]), *arguments[2:], f"--out={out}"])
    assert "is worse than" in " ".join(capsys.readouterr().out.split())
    assert "is worse than" in out.read_text()


def test_a_page_for_people_ends_with_the_report(runs, capsys):
    assert main(["audit", str(runs[0]), "--no-bounds"]) == 0
    text = capsys.readouterr().out
    assert runs[1].diagnosis.verdict[:30] in text
    assert "Is the spread worth anything?" in text


def test_the_verbs_are_there():
    assert {
        "collect",
        "learn",
        "imagine",
        "evaluate",
        "audit",
        "run",
        "load",
        "compare",
        "report",
    } <= set(dir(paracosm))
    for name in paracosm.__all__:
        assert getattr(paracosm, name) is not None
    with pytest.raises(AttributeError, match="no attribute"):
        paracosm.nonsense  # noqa: B018 - reading it is the test


@contextlib.contextmanager
def _process(*arguments: str) -> Iterator[subprocess.Popen]:
    """The command in a process of its own, which does not outlive the block."""
    command = [sys.executable, "-m", "paracosm", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        try:
            yield running
        finally:
            running.kill()


@pytest.mark.full
def test_ctrl_c_keeps_what_is_finished(tmp_path):
    arguments = [
        "run",
        "Pendulum-v1",
        "--out",
        str(tmp_path / "run"),
        *SMALL,
        "--imagine.most-steps=100000",
    ]
    log = tmp_path / "run/events.jsonl"
    with _process(*arguments) as running:
        while not (log.is_file() and "imagine-0" in log.read_text()):
            assert running.poll() is None, running.stderr.read().decode()
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130
        assert b"--resume" in running.stderr.read()
    assert (tmp_path / "run/models/world-0.eqx").is_file()


@pytest.mark.full
def test_a_run_killed_at_random_moments_resumes_to_the_same_result(tmp_path):
    arguments = ["run", "CartPole-v1", *SMALL, "--rounds=2", "--out"]
    with _process(*arguments, str(tmp_path / "uninterrupted")) as running:
        assert running.wait(600) == 0
    delays, kills = random.Random(0), 0
    while not (tmp_path / "killed/result.json").is_file():
        more = ["--resume"] if (tmp_path / "killed/config.json").is_file() else []
        with _process(*arguments, str(tmp_path / "killed"), *more) as running:
            try:
                assert running.wait(delays.uniform(2, 9) + kills / 4) == 0, (
                    running.stderr.read().decode()
                )
            except subprocess.TimeoutExpired:
                kills += 1
    assert kills > 0
    uninterrupted, killed = (
        RunResult.from_json((tmp_path / f"{name}/result.json").read_text())
        for name in ("uninterrupted", "killed")
    )
    assert numbers(killed) == numbers(uninterrupted)
