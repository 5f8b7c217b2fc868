"""Sweeps in a process of their own, to be killed; and what the log of their cells says of them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from paracosm.sweep import store
from paracosm.sweep.cells import Cell
from paracosm.sweep.run import sweep

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds, far more than a loaded machine needs


def cells(total, seconds=0.05):
    """Cells that take so long each."""
    return [
        Cell("tests.sweep.examples:square", {"index": index, "seconds": seconds})
        for index in range(total)
    ]


def begin(path, total, seconds=0.05, backend="local"):
    """A process that sweeps `cells(total, seconds)` in two workers."""
    command = (
        "from tests.sweep.killing import main;"
        f" main({json.dumps([str(path), total, seconds, backend])})"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [sys.executable, "-c", command], cwd=ROOT, start_new_session=True, **pipes
    )


def main(arguments):
    path, total, seconds, backend = arguments
    sweep(cells(total, seconds), path, workers=2, backend=backend)


def lines(log):
    return log.read_text().splitlines() if log.exists() else []


def executed(log):
    """The indices of the cells that were begun, in order."""
    return [int(line.split()[0]) for line in lines(log)]


def processes(log):
    """The workers that began a cell, in order."""
    return [int(line.split()[1]) for line in lines(log)]


def finished(path):
    """The indices of the cells that are recorded."""
    try:
        return {round(result["square"] ** 0.5) for result in store.results(path).values()}
    except store.checks.ParacosmError:
        return set()


def until(so):
    """Wait for something to be so."""
    end = time.monotonic() + PATIENCE
    while not so():
        assert time.monotonic() < end
        time.sleep(0.005)


def wait_for(log, count, process):
    """Wait until so many cells were begun in all."""
    until(lambda: len(lines(log)) >= count or process.poll() is not None)
    assert process.poll() is None, process.communicate()


def kill(path, log, total, *, more, pause=0.0, seconds=0.05):
    """Begin, or go on with, a sweep; kill it once `more` cells were begun and `pause` seconds went
    by.

    Returns:
        The cells that were recorded then, and how often each had been run.
    """
    process = begin(path, total, seconds)
    wait_for(log, len(lines(log)) + more, process)
    time.sleep(pause)
    process.kill()
    with process:
        process.wait()
    assert process.returncode == -signal.SIGKILL
    recorded, runs = finished(path), Counter(executed(log))
    return {index: runs[index] for index in recorded}


def killed(path, log, total, kills, random):
    """Kill a sweep so many times, at moments from before its store is made to the middle of its
    cells.
    """
    records = []
    for _ in range(kills):
        more = int(random.integers(0, 5))
        records.append(
            kill(path, log, total, more=more, pause=float(random.uniform(0, 0.04 if more else 0.6)))
        )
    return records


def gone(pid):
    """Whether a process has ended, or does within a moment."""
    end = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        time.sleep(0.01)
    return not Path(f"/proc/{pid}").exists()


def interrupt(path, log, total, after):
    """Press Ctrl-C in a sweep that has begun so many cells."""
    process = begin(path, total)
    wait_for(log, after, process)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=PATIENCE)
    return process.returncode, stderr.decode()
