"""`paracosm COMMAND …`: finds the command, keeps its promises about errors, and loads nothing it does not need."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
import warnings
from collections.abc import Sequence

from paracosm.core.checks import ParacosmError

COMMANDS = {
    "run": "collect real data, learn a world, train a policy in imagination, evaluate it, explain the gap",
    "audit": "explain the gap between imagined and real return, of a finished run or of your own world model",
    "plan": "what to buy next with a budget: transitions, reward labels, or both",
    "labels": "cheap noisy labels or expensive clean ones, and how to remove the bias of cheap ones",
    "paper": "the experiments of the paper, ours beside theirs",
    "report": "write the report of a finished run again",
    "compare": "put the results of several runs side by side",
}

_HELP = """\
usage: paracosm COMMAND [OPTIONS]

Train policies inside learned world models, and find out what the imagined return is wrong about.

commands:
{commands}

Start here:
  paracosm run Pendulum-v1        a whole run; about a minute on two cores
  paracosm COMMAND --help         everything a command can do

Progress goes to stderr; --json prints one JSON document on stdout. Exit status: 0 done, 2 bad input (one sentence
says what is wrong and what is needed), 130 stopped with Ctrl-C (finished stages are kept; --resume goes on).
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(_HELP.format(commands="\n".join(f"  {name:9}{what}" for name, what in COMMANDS.items())))
        return 0
    if arguments[0] == "--version":
        sys.stdout.write(f"paracosm {importlib.metadata.version('paracosm')}\n")
        return 0
    if arguments[0] not in COMMANDS:
        return _say(f"There is no command {arguments[0]!r}; the commands are {', '.join(COMMANDS)}.")
    _prepare_jax()
    return _run(*arguments)


def _run(command: str, *arguments: str) -> int:
    try:
        importlib.import_module(f"paracosm.cli.{command}").main(arguments)
    except ParacosmError as error:
        return _say(str(error))
    except KeyboardInterrupt:
        again = (
            "; what was finished is kept, and the same command with --resume and without --force goes on"
            if command in ("run", "paper")
            else ""
        )
        sys.stderr.write(f"\nStopped{again}.\n")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _say(sentence: str) -> int:
    sys.stderr.write(f"paracosm: {sentence}\n")
    return 2


def _prepare_jax() -> None:
    """As many host devices as cores, and compiled programs kept between commands; what the user set stays."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_force_host_platform_device_count" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={min(cores, 16)}".strip()
    import platformdirs

    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", platformdirs.user_cache_dir("paracosm"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
    # A command killed while it wrote there leaves a damaged entry, which is compiled again.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
