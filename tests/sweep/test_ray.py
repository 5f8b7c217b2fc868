"""Sweeps on a Ray cluster give what sweeps on this machine give."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from paracosm.core.checks import Missing
from paracosm.sweep.cells import Cell
from paracosm.sweep.ray import _resolve
from paracosm.sweep.run import sweep
from paracosm.sweep.store import failures
from tests.sweep import killing

FAILING = [
    Cell("tests.sweep.examples:broken", {"index": 1}),
    Cell("tests.sweep.examples:always_dies", {}),
]
CELLS = [Cell("tests.sweep.examples:square", {"index": index}) for index in range(2)]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sweep.sqlite"


def test_without_ray_it_says_how_to_install_it(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Missing, match=r"a cluster needs ray: pip install 'paracosm\[ray\]'"):
        sweep(CELLS, path, backend="auto")
    assert not path.exists()


def test_auto_is_the_last_cluster_of_this_machine_or_the_one_that_the_environment_names(
    tmp_path, monkeypatch
):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert _resolve("auto") == "auto"
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:6399\n")
    assert _resolve("auto") == "127.0.0.1:6399"
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert _resolve("auto") == "head:6379"
    assert _resolve("other:1") == "other:1"


def try_it(path, address):
    """Sweep these cells and others that fail; print the results, or why there is no sweep."""
    try:
        outcome = list(sweep([*FAILING, *CELLS], path, backend=address).values())
    except Missing as error:
        outcome = str(error)
    sys.stdout.write(json.dumps(outcome))


def tried(path, address):
    """What `try_it` prints, in a process of its own: Ray's warnings are not ours to mend."""
    command = "import sys; from tests.sweep.test_ray import try_it; try_it(*sys.argv[1:])"
    ran = subprocess.run(
        [sys.executable, "-c", command, path, address],
        cwd=killing.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.full
def test_an_address_without_a_cluster_is_refused_at_once(path):
    pytest.importorskip("ray")
    nobody = f"127.0.0.1:{free_port()}"
    reason = tried(path, nobody)
    assert reason.startswith(f"no Ray cluster answers at '{nobody}' (")
    assert "ray start --head" in reason
    assert "host:port or ray://host:port is needed" in tried(path, "nonsense")
    assert not path.exists()


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Where cells say that they were run."""
    monkeypatch.setenv("SWEEP_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


@pytest.fixture
def cluster(log):
    """The address of a cluster of two worker processes on this machine that nobody else reaches."""
    pytest.importorskip("ray")
    folder = tempfile.mkdtemp(prefix="ray")  # short: Ray puts sockets there
    address = f"127.0.0.1:{(port := free_port())}"
    environment = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    command = [
        Path(sys.executable).with_name("ray"),
        "start",
        "--head",
        "--block",
        "--num-cpus=2",
        f"--port={port}",
    ]
    head = subprocess.Popen(
        [*command, "--include-dashboard=false", f"--temp-dir={folder}"],
        env={**os.environ, **environment},
        cwd=killing.ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        killing.until(
            lambda: head.poll() is not None or (Path(folder) / "ray_current_cluster").exists()
        )
        yield address
    finally:
        head.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            head.wait(30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(head.pid, signal.SIGKILL)
        head.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.full
def test_a_sweep_on_a_cluster_that_loses_a_worker_ends_like_one_here(path, log, tmp_path, cluster):
    total = 200
    process = killing.begin(path, total, backend=cluster)
    killing.wait_for(log, total // 2, process)
    os.kill(killing.processes(log)[-1], signal.SIGKILL)
    output, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert not output
    runs = Counter(killing.executed(log))
    assert set(runs) == set(range(total))
    assert sum(runs.values()) <= total + 1
    assert len(set(killing.processes(log))) >= 3
    results = sweep(killing.cells(total), path)
    assert len(results) == total
    assert results == sweep(killing.cells(total), tmp_path / "here.sqlite", workers=2)


@pytest.mark.full
def test_cells_that_fail_on_a_cluster_are_recorded_as_they_are_here(path, cluster):
    """Also keeps what Ray prints of its workers' deaths apart from what a command answers."""
    assert [result["square"] for result in tried(path, cluster)] == [0, 1]
    broken, dead = failures(path).values()
    assert broken.error == "ValueError: cell 1 cannot be"
    assert broken.traceback is not None
    assert "in broken" in broken.traceback
    assert dead.error == "the process that ran it died, twice (WorkerCrashedError)."
