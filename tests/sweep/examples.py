"""Cells for the tests: functions that a worker imports, which tell a log that they were run."""

import os
import signal
import sys
import time


def log(index):
    """Append one line to the log that the environment names, if it does."""
    if "SWEEP_LOG" in os.environ:
        descriptor = os.open(os.environ["SWEEP_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{index} {os.getpid()}\n".encode())
        os.close(descriptor)


def square(index, seconds=0.0):
    log(index)
    time.sleep(seconds)
    return {"square": index**2, "third": [index / 3]}


def broken(index):
    log(index)
    raise ValueError(f"cell {index} cannot be\ncomputed")


def repaired(index, marker):
    """Fails until the file `marker` is there."""
    log(index)
    os.stat(marker)
    return {"index": index}


def answer(value):
    return {"nan": {"x": float("nan")}, "list": [1], "object": {"x": object()}}[value]


def suicide(index, marker):
    """Kills its worker, if `marker` is taken away with it only the first time."""
    log(index)
    if os.path.exists(marker):
        os.unlink(marker)
        os.kill(os.getpid(), signal.SIGKILL)
    return {"index": index}


def always_dies():
    os.kill(os.getpid(), signal.SIGKILL)


def leaves():
    raise SystemExit(3)


def surroundings(index):
    """Long enough for every worker to get one of 40."""
    time.sleep(0.02)
    names = ("NPROC", "OMP_NUM_THREADS", "XLA_FLAGS", "JAX_PLATFORMS")
    return {
        "cores": sorted(os.sched_getaffinity(0)),
        **{name: os.environ.get(name) for name in names},
    }


def chatter():
    sys.stdout.write("said by a cell\n")
    return {}


def with_jax(seed, copy):
    import jax

    key = jax.random.key(seed)
    values = jax.jit(
        lambda k: jax.numpy.tanh(jax.random.normal(k, (64, 64)) @ jax.random.normal(k, (64, 64)))
    )(key)
    return {"sum": float(values.sum()), "devices": jax.local_device_count(), "worker": os.getpid()}
