"""Standard streams: one document on stdout whatever else prints, and streams that are closed, full
or ASCII.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time

import pytest
import rich.console

from paracosm.cli import output, streams
from paracosm.cli.main import main
from paracosm.core.files import Unwritable

PLAN = (
    "labels --budget 5000 --cost-rollout 1 --cheap-cost 1 --gold-cost 20 --cheap-variance 50"
    " --gold-variance 40"
    " --correlation 0.8 --bias 0.3"
)
COMMANDS = {
    "help": "--help",
    "version": "--version",
    "command help": "labels --help",
    "json": f"{PLAN} --json",
}
COMMANDS |= {"page": PLAN, "refused": "labels --budget abc"}


def paracosm(
    arguments: str, redirections: str = "", encoding: str = "utf-8", **environment: str
) -> subprocess.CompletedProcess[str]:
    """The command in a shell that redirects its streams."""
    return subprocess.run(
        f"exec {sys.executable} -m paracosm {arguments} {redirections}",
        shell=True,
        encoding=encoding,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding, **environment},
    )


def one_sentence(text: str) -> bool:
    return text.startswith("paracosm: ") and text.endswith(".\n") and text.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [COMMANDS["version"], COMMANDS["page"], COMMANDS["command help"]]
)
@pytest.mark.parametrize(
    ("redirection", "why"),
    [(">&-", "standard output is closed"), (">/dev/full", "No space left on device")],
)
def test_a_closed_or_full_stdout_is_one_sentence(arguments, redirection, why):
    done = paracosm(arguments, redirection)
    assert done.returncode == 2
    assert one_sentence(done.stderr), done.stderr
    assert why in done.stderr


def test_a_full_stdout_does_not_cost_the_page(tmp_path):
    done = paracosm(f"{PLAN} --out {tmp_path / 'plan.html'}", ">/dev/full")
    assert (done.returncode, one_sentence(done.stderr)) == (2, True)
    assert "<html" in (tmp_path / "plan.html").read_text()


def test_a_full_disk_does_not_cost_the_result(tmp_path):
    """The page is larger than any file may be here; it is tried with a byte before, as on a disk
    that fills up.
    """
    done = paracosm(f"{PLAN} --out {tmp_path / 'plan.html'}", "; true").stdout
    shown, written = done.split("\nThe page is ")
    assert "".join(written.split()) == str(tmp_path / "plan.html")
    limited = subprocess.run(
        f"ulimit -f 1; exec {sys.executable} -m paracosm {PLAN} --out {tmp_path / 'other.html'}",
        shell=True,
        text=True,
        capture_output=True,
        check=False,
    )
    assert limited.returncode == 2
    assert limited.stdout == shown
    assert one_sentence(limited.stderr), limited.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan.html"]


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2>&- <&-", "<&-"])
def test_stderr_and_stdin_may_be_closed_or_full(redirection):
    assert paracosm(COMMANDS["refused"], redirection).returncode == 2
    done = paracosm(COMMANDS["json"], redirection)
    assert done.returncode == 0
    assert "verdict" in json.loads(done.stdout)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("command", ["page", "help", "command help", "json"])
def test_an_ascii_stdout_is_written_in_ascii(command, encoding):
    wide, narrow = (paracosm(COMMANDS[command], encoding=kind) for kind in ("utf-8", encoding))
    assert (wide.returncode, narrow.returncode, narrow.stderr) == (0, 0, "")
    assert narrow.stdout.isascii() or encoding == "latin-1"
    digits = [[c for c in done.stdout.replace("²", "2") if c.isdigit()] for done in (wide, narrow)]
    assert digits[0] == digits[1]


def test_minus_stays_minus_in_ascii():
    assert "−5 ± 2·10² ≤ ∞ …".encode("ascii", "paracosm") == b"-5 +/- 2.10^2 <= inf ..."
    assert "日 é".encode("ascii", "paracosm") == b"? e"


def test_nobody_reading_is_no_error():
    done = paracosm(COMMANDS["page"], "| true")
    assert done.stderr == ""


NOISY = """
import ctypes, os, sys
held = sys.stdout
def noise():
    print("printed")
    held.write("held\\n")
    sys.__stdout__.write("the first stdout\\n")
    os.write(1, b"descriptor\\n")
    ctypes.CDLL(None).puts(b"from C")
    os.system("echo child")
"""


def test_what_other_code_prints_reaches_stderr(tmp_path):
    """`print`, a stream that was held, the descriptor, C, a child process, and what prints on the
    way out.
    """
    (tmp_path / "sitecustomize.py").write_text(
        NOISY
        + "import atexit\n"
        + "import paracosm.cli.labels as command\n"
        + "real = command.plan_mixture\n"
        + "def noisy(**numbers):\n    noise()\n    atexit.register(noise)\n"
        + "    return real(**numbers)\n"
        + "command.plan_mixture = noisy\n"
    )
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = paracosm(COMMANDS["json"], PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert "verdict" in json.loads(done.stdout)
    for words in ("printed", "held", "the first stdout", "descriptor", "from C", "child"):
        assert done.stderr.count(words) == 2, words


def test_in_a_process_that_goes_on_stdout_is_given_back(capfd):
    with streams.own_output(for_good=False):
        sys.stdout.write("other\n")
        os.write(1, b"low\n")
        streams.write("own\n")
    sys.stdout.write("after\n")
    sys.stdout.flush()
    os.write(1, b"after too\n")
    out, err = capfd.readouterr()
    assert set(out.split("\n")) == {"own", "after", "after too", ""}
    assert sorted(err.split()) == ["low", "other"]


def test_after_a_refusal_nothing_more_is_printed_on_the_way_out(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import atexit\natexit.register(lambda: 1 / 0)\n")
    done = paracosm(COMMANDS["refused"], PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    assert done.returncode == 2
    assert one_sentence(done.stderr), done.stderr


def test_code_that_exits_is_one_sentence(monkeypatch, capsys):
    import paracosm.cli.labels as command

    for code in (0, 1, "bye", None):
        monkeypatch.setattr(command, "plan_mixture", lambda code=code, **_: sys.exit(code))
        assert main(PLAN.split()) == 2
        assert "wanted to exit" in capsys.readouterr().err


def test_too_little_memory_is_one_sentence(monkeypatch, capsys):
    import paracosm.cli.labels as command

    def exhausted(**_):
        raise MemoryError

    monkeypatch.setattr(command, "plan_mixture", exhausted)
    assert main(PLAN.split()) == 2
    assert one_sentence(capsys.readouterr().err)


def test_writing_to_a_stream_that_is_full_raises_by_name():
    with open("/dev/full", "w") as full, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        with pytest.raises(Unwritable, match="standard output cannot be written: No space left"):
            streams.write("x")


def test_stages_are_named_as_they_begin_where_stderr_is_no_terminal(capsys):
    with output.progress() as tell:
        tell("collect", 1, 10)
        tell("collect", 2, 10)
        assert capsys.readouterr().err.count("collect …") == 1
        tell("learn", 0, 1, "6 minutes")
        assert "learn … 6 minutes" in capsys.readouterr().err
        tell("imagine", 1, 10, "imagined return -40")
        assert "-40" not in capsys.readouterr().err


def test_a_long_stage_says_how_far_it_is_where_stderr_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr(output, "_SILENCE", -1.0)
    with output.progress() as tell:
        tell("imagine", 4, 10, "imagined return -40")
        line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("imagine 40%, after 0:00:0")
    assert line.endswith(", imagined return -40")


def test_a_stage_says_what_is_left_of_it_and_then_what_it_took(monkeypatch):
    drawn = io.StringIO()
    console = rich.console.Console(file=drawn, force_terminal=True, width=80)
    monkeypatch.setattr(rich.console, "Console", lambda **_: console)
    with output.progress() as tell:
        for done in range(6):
            tell("collect", done, 10)
            time.sleep(0.05)
    assert " left" in drawn.getvalue()
    assert " left" not in drawn.getvalue().splitlines()[-1]
