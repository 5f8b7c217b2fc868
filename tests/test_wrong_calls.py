"""Every wrong call of a public verb or type is one sentence of ours, and leaves nothing behind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.wrong_calls import CALLS


@pytest.fixture(scope="module")
def results() -> dict:
    """What each call raised in a process of its own, where the test run's type checker does not
    come first.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.wrong_calls"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("row", range(len(CALLS)), ids=[fragment for *_, fragment in CALLS])
def test_a_wrong_call_is_one_sentence(results, row):
    _, kind, fragment = CALLS[row]
    kinds, message = results["outcomes"][row]
    assert kind in kinds, message
    assert "ParacosmError" in kinds
    assert fragment in message
    assert message.endswith(".")
    assert "\n" not in message
    assert ". " not in message


def test_wrong_calls_write_nothing(results):
    assert results["left"] == []


def test_there_are_at_least_80_over_all_verbs():
    assert len(CALLS) >= 80
