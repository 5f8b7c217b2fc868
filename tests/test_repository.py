"""The source tree keeps to its own rules: import contracts that bite, no machine's names, files one
can read.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MACHINE = re.compile(r"(?<![\w.])/(?:work|root|home|opt|Users|mnt)/")
REGISTRY = re.compile(
    r"pypi[.]|pythonhosted|npmjs[.]|anaconda[.]org|download[.]pytorch|--(?:extra-)?index-url"
)


def tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize(
    "forbidden", [MACHINE, REGISTRY], ids=["paths of a machine", "package registries"]
)
def test_no_tracked_file_names(forbidden):
    found = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8", "ignore")
        found += [
            f"{path.relative_to(ROOT)}: {match.group()}" for match in forbidden.finditer(text)
        ]
    assert not [hit for hit in found if not hit.startswith("tests/test_repository.py")]


def test_no_lock_file_is_tracked():
    """It would record where packages were fetched from."""
    assert not [path for path in tracked() if path.suffix == ".lock"]


def test_constraints_are_versions_and_nothing_else():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-z0-9-]+==[0-9][0-9.a-z]*", line), line


def test_no_source_file_is_too_long_to_read():
    sources = [
        path for folder in ("src", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")
    ]
    long = {
        str(path.relative_to(ROOT)): n
        for path in sources
        if (n := len(path.read_text().splitlines())) > 600
    }
    assert not long


VIOLATIONS = {
    "Data flows one way through the rooms": ("core/rollout.py", "import paracosm.learning"),
    "Imagination imports core only, and no Gymnasium": (
        "imagination/__init__.py",
        "import gymnasium",
    ),
    "Reporting imports core only, and no JAX": ("reporting/__init__.py", "import paracosm.real"),
    "Records and checks import no JAX": ("core/records/__init__.py", "import jax"),
    "The verbs do not import the command line": ("__init__.py", "import paracosm.cli"),
}


def lint(folder: Path) -> str:
    """What the import linter says of the package below `folder`, which is laid out as this
    repository is.
    """
    command = (
        "import sys; sys.path.insert(0, 'src'); from importlinter.cli import lint_imports_command"
        " as c; c()"
    )
    arguments = (sys.executable, "-c", command, "--no-cache", "--config", folder / "pyproject.toml")
    return subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False).stdout


def test_import_contracts_are_broken_by_what_they_forbid(tmp_path):
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for path, statement in VIOLATIONS.values():
        with (tmp_path / "src" / "paracosm" / path).open("a") as file:
            file.write(f"\n{statement}\n")
    said = lint(tmp_path)
    for contract in VIOLATIONS:
        assert f"{contract} BROKEN" in said, said


def test_a_room_that_no_contract_knows_is_noticed(tmp_path):
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "src" / "paracosm" / "attic").mkdir()
    (tmp_path / "src" / "paracosm" / "attic" / "__init__.py").touch()
    assert "paracosm.attic" in lint(tmp_path)
