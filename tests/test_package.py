"""What is shipped: the wheel holds everything, installs in an environment of its own, and runs
there.
"""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
BINARIES = "Scripts" if os.name == "nt" else "bin"


def run(*command: str | Path, cwd: Path) -> str:
    """Output of a command that must succeed, away from the source tree and its import path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    return next(out.glob("paracosm-*.whl"))


def fresh(folder: Path) -> Path:
    """An empty environment; its interpreter."""
    venv.create(folder, with_pip=False)
    return folder / BINARIES / "python"


def install(python: Path, *arguments: str | Path) -> None:
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        *arguments,
        cwd=python.parent,
    )


def test_the_wheel_holds_every_file_of_the_package(wheel):
    shipped = set(zipfile.ZipFile(wheel).namelist())
    files = {
        path.relative_to(SOURCE).as_posix()
        for path in (SOURCE / "paracosm").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files - shipped == set()
    assert "paracosm/py.typed" in files
    assert any(name.startswith("paracosm/reporting/templates/") for name in files)
    assert {name.split("/")[0].split("-")[0] for name in shipped} == {"paracosm"}
    assert any(name.endswith("licenses/LICENSE") for name in shipped)


def test_the_installed_wheel_runs(wheel, tmp_path):
    """Its dependencies are lent from this environment; Paracosm itself is the wheel's."""
    python = fresh(tmp_path / "env")
    install(python, "--no-deps", "--no-index", wheel)
    purelib = Path(
        run(
            python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path
        ).strip()
    )
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (purelib / "lent.pth").write_text("\n".join(lent))

    where = run(python, "-c", "import paracosm; print(paracosm.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(purelib)
    version = run(python, "-m", "paracosm", "--version", cwd=tmp_path)
    assert wheel.name.split("-")[1] in version
    assert run(python.with_name("paracosm"), "--version", cwd=tmp_path) == version
    usage = run(python.with_name("paracosm"), "--help", cwd=tmp_path)
    for command in ("run", "audit", "report", "compare"):
        assert command in usage


@pytest.mark.full
def test_a_fresh_environment_installs_everything_and_does_the_main_job(wheel, tmp_path):
    python = fresh(tmp_path / "env")
    install(python, "--constraint", ROOT / "constraints.txt", wheel)
    job = ("run", "CartPole-v1", "--transitions", "300", "--out", tmp_path / "run", "--json")
    summary = json.loads(run(python.with_name("paracosm"), *job, cwd=tmp_path))
    assert summary["env"] == "CartPole-v1"
    assert summary["data"]["transitions"] == 300
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000


def test_importing_the_package_does_not_import_jax():
    """A command that needs no JAX does not pay for it: the verbs are loaded when they are used."""
    code = "import sys, paracosm; assert not {'jax', 'numpy', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
