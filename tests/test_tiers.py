"""The quick tier holds what it lists, and a test of it that compiles is noticed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiers import QUICK

HERE = Path(__file__).parent
ROOT = HERE.parent


def test_every_module_of_the_quick_tier_exists():
    assert [name for name in sorted(QUICK) if not (HERE / f"{name}.py").is_file()] == []


TEST = """
import jax


def test_that_compiles():
    assert jax.jit(lambda x: x + 1)(1) == 2
"""


@pytest.mark.parametrize("quick", [True, pytest.param(False, marks=pytest.mark.full)])
def test_a_quick_test_that_compiles_fails(tmp_path, quick):
    """Run on a copy of what decides it, in which the module is listed or is not."""
    (tmp_path / "tests").mkdir()
    for name in ("__init__", "conftest", "tiers", "typechecking"):
        source = HERE / f"{name}.py"
        (tmp_path / "tests" / f"{name}.py").write_text(
            source.read_text() if source.exists() else ""
        )
    name = "test_records" if quick else "test_else"
    (tmp_path / "tests/core").mkdir()
    (tmp_path / "tests/core" / f"{name}.py").write_text(TEST)
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null")
    done = subprocess.run(
        (*command, "--rootdir", tmp_path, "--import-mode=importlib", tmp_path / "tests"),
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == (1 if quick else 0), done.stdout + done.stderr
    assert ("programs were compiled" in done.stdout) is quick
