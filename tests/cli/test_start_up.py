"""Commands that need no compiled program import nothing that is slow for it."""

import json
import subprocess
import sys

import pytest

from paracosm.loop.directory import CONFIG, MARK
from tests.reporting import report_records as records

CODE = """
import sys, paracosm.cli.main as command_line
try:
    status = command_line.main(sys.argv[2:])
except SystemExit as stop:
    status = stop.code
slow = set(sys.argv[1].split(",")) & set(sys.modules)
assert status == 0, status
assert not slow, slow
"""
DRAWN = ("jax", "matplotlib", "jinja2", "gymnasium", "scipy.stats")


def runs_without(modules: tuple[str, ...], *arguments: str) -> str:
    """What a command prints that imports none of these."""
    command = [sys.executable, "-c", CODE, ",".join(modules), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_needs_nothing(words):
    assert "paracosm" in runs_without(("numpy", "rich", "tyro", "jax"), *words)


@pytest.fixture
def finished(tmp_path):
    """Two run directories with their results, as much of them as `compare` reads."""
    paths = [tmp_path / name for name in ("a", "b")]
    for path in paths:
        path.mkdir()
        (path / CONFIG).write_text(json.dumps({"format": MARK}))
        (path / "result.json").write_text(records.run().to_json())
    return [str(path) for path in paths]


def test_compare_needs_neither_jax_nor_scipy(finished):
    assert "dynamics" in runs_without((*DRAWN, "scipy"), "compare", *finished)


def test_a_gate_needs_no_jax(finished, tmp_path):
    (tmp_path / "gate.toml").write_text("")
    gate = str(tmp_path / "gate.toml")
    assert runs_without(DRAWN, "compare", *finished, "--gate", gate)
