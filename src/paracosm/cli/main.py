"""`paracosm COMMAND …`: finds the command, keeps its promises about errors, and loads nothing it
does not need.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence

from paracosm.cli import streams

COMMANDS = {
    "run": (
        "collect real data, learn a world, train a policy in imagination, evaluate it, explain"
        " the gap"
    ),
    "audit": (
        "explain the gap between imagined and real return, of a finished run or of your own"
        " world model"
    ),
    "plan": "what to buy next with a budget: transitions, reward labels, or both",
    "labels": (
        "cheap noisy labels or expensive clean ones, and how to remove the bias of cheap ones"
    ),
    "data": "what is in a file of recorded steps, what is odd about it; converts it",
    "rank": "which policy is better, in few real episodes, and whether imagination knows it",
    "indicators": "which numbers of the audits of a training's checkpoints precede its gap",
    "bench": "learners on the tasks of a suite, beside what others have",
    "paper": "the experiments of the paper, ours beside theirs",
    "export": "a run's policy as a file that is used without Paracosm: ONNX, NumPy or PyTorch",
    "report": "write the report of a finished run again",
    "deploy": "whether the policy of one run may take the place of another's, and how sure that is",
    "compare": (
        "put the results of several runs side by side; with --gate fail where the last one is worse"
    ),
}

_HELP = """\
usage: paracosm COMMAND [OPTIONS]

Train policies inside learned world models, and find out what the imagined return is wrong about.

commands:
{commands}

Start here:
  paracosm run Pendulum-v1        a whole run; a few minutes on two cores
  paracosm COMMAND --help         everything a command can do

Progress goes to stderr; --json prints one JSON document on stdout. Exit status: 0 done, 1 a run is
worse than its gate allows (compare --gate), 2 bad input (one sentence says what is wrong and what
is needed), 130 stopped with Ctrl-C (run, bench and paper keep what was finished; --resume goes on).
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status.

    Without `arguments` the command is that of the process, which ends afterwards.
    """
    for_good = arguments is None
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    status = _exit_status(
        lambda: _dispatch(arguments, for_good=for_good), arguments[0] if arguments else ""
    )
    if for_good and status:
        streams.silence()
    return status


def _dispatch(arguments: list[str], *, for_good: bool) -> int | None:
    """Run the command that the arguments name; returns its exit status, or None for 0."""
    with streams.own_output(for_good=for_good):
        if not arguments or arguments[0] in ("-h", "--help", "help"):
            commands = "\n".join(f"  {name:11}{what}" for name, what in COMMANDS.items())
            return streams.write(_HELP.format(commands=commands))
        if arguments[0] == "--version":
            from importlib.metadata import version

            return streams.write(f"paracosm {version('paracosm')}\n")
        if arguments[0] not in COMMANDS:
            from paracosm.core.checks import BadArgument  # imports NumPy, which --help needs not

            command = ascii(arguments[0])[:60]
            raise BadArgument(
                f"There is no command {command}; the commands are {', '.join(COMMANDS)}."
            )
        _prepare_jax()
        return importlib.import_module(f"paracosm.cli.{arguments[0]}").main(arguments[1:])


def _exit_status(command: Callable[[], int | None], name: str) -> int:
    """The exit status of a command; what stops it is one sentence on stderr."""
    try:
        return command() or 0
    except KeyboardInterrupt:
        again = (
            "; what was finished is kept, and the same command with --resume and without --force"
            " goes on"
            if name in ("run", "bench", "paper")
            else ""
        )
        sys.stderr.write(f"\nStopped{again}.\n")
        return 130
    except BrokenPipeError:
        return 0
    except streams.Helped:
        raise
    except (Exception, SystemExit) as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        sys.stderr.write(f"paracosm: {' '.join(sentence.split())}\n")
        return 2


def _sentence(error: BaseException) -> str | None:
    """What is wrong, in one sentence; `None` for a bug, which keeps its traceback."""
    from paracosm.core.checks import ParacosmError
    from paracosm.core.files import shown

    if isinstance(error, ParacosmError):
        return str(error)
    if isinstance(error, SystemExit):
        return (
            f"code that the command ran wanted to exit with {ascii(error.code)[:60]}; nothing was"
            " found."
        )
    if isinstance(error, OSError):
        what = f"{shown(error.filename)} cannot be used" if error.filename else "the system refused"
        return f"{what}: {error.strerror or error}."
    if isinstance(error, MemoryError) or str(error).startswith("RESOURCE_EXHAUSTED"):
        return "this needs more memory than there is; smaller counts, widths or batches are needed."
    return None


def _prepare_jax() -> None:
    """Set JAX to as many host devices as cores, and to keep compiled programs between commands;
    what the user set stays.
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_force_host_platform_device_count" not in flags:
        os.environ["XLA_FLAGS"] = (
            f"{flags} --xla_force_host_platform_device_count={min(cores, 16)}".strip()
        )
    import platformdirs

    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", platformdirs.user_cache_dir("paracosm"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
    # A command killed while it wrote there leaves a damaged entry, which is compiled again.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
