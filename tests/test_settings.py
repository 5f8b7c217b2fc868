"""Numeric settings: each is of its kind and in its range when made, in Python and on the command
line.
"""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from paracosm.cli.main import main
from tests.wrong_settings import FIELDS, ROWS


@pytest.fixture(scope="module")
def tried() -> list[list[str]]:
    """What did not go as it should in a process of its own, where the test run's type checker does
    not come first.
    """
    command = [sys.executable, "-m", "tests.wrong_settings"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "row", range(len(ROWS)), ids=[f"{kind.__name__}.{name}" for kind, name in ROWS]
)
def test_wrong_values_are_refused_by_name_and_right_ones_kept(tried, row):
    assert tried[row] == []


def test_every_numeric_setting_is_in_the_table():
    for kind, names in FIELDS.items():
        numeric = {field.name for field in dataclasses.fields(kind) if "str" not in str(field.type)}
        assert numeric - {"weighting", "baseline", "fit", "learn", "imagine"} - set(names) <= {
            "horizon"
        }


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--imagine.clip", "-1"),
        ("--imagine.entropy", "nan"),
        ("--imagine.rollouts", "99999999999999999999"),
        ("--learn.margin", "inf"),
        ("--noise", "inf"),
        ("--cost-reward", "nan"),
        ("--transitions", "99999999999999999999"),
        ("--episodes", "1"),
    ],
)
def test_the_command_line_says_the_same_and_makes_nothing(
    flag, value, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    try:
        status = main(["run", "CartPole-v1", flag, value])
    except SystemExit as stopped:
        status = stopped.code
    message = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert status == 2
    assert f"{flag.split('.')[-1].removeprefix('--')} is " in message
    assert "it must be" in message
    assert list(tmp_path.iterdir()) == []
