"""A worker: a process of its own with one thread for arithmetic, which runs one cell after
another.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from multiprocessing.connection import Connection

from paracosm.sweep.cells import perform

_ONE_THREAD = ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_ONE_DEVICE = "--xla_force_host_platform_device_count"


def environment() -> dict[str, str]:
    """What a worker's environment must say before JAX is imported: one thread and one device, hence
    the same rounding.

    JAX's threads obey `NPROC`, those of BLAS libraries the others.
    """
    flags = [
        flag for flag in os.environ.get("XLA_FLAGS", "").split() if not flag.startswith(_ONE_DEVICE)
    ]
    return dict.fromkeys(_ONE_THREAD, "1") | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": " ".join([*flags, f"{_ONE_DEVICE}=1", "--xla_cpu_multi_thread_eigen=false"]),
    }


def main() -> None:
    """Serve the socket whose file descriptor is the first argument, on the core that is the second
    (-1: any).
    """
    descriptor, core = map(int, sys.argv[1:])
    if core >= 0:
        os.sched_setaffinity(0, {core})
    connection = Connection(descriptor)
    jobs: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, jobs), daemon=True).start()
    while True:
        outcome = perform(*json.loads(jobs.get()))
        sys.stdout.flush()  # once the sweep has the outcome it may kill this process
        connection.send_bytes(outcome.to_json().encode())


def _listen(connection: Connection, jobs: queue.SimpleQueue[bytes]) -> None:
    """Hand over what arrives.

    When the sweep ends or is killed so does the worker, even in the middle of a cell.
    """
    try:
        while True:
            jobs.put(connection.recv_bytes())
    except (EOFError, OSError):
        os._exit(1)


if __name__ == "__main__":
    main()
