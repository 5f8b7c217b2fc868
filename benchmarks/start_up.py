"""Processor time of commands that compute little: the table of benchmarks/start_up.md.

    python -m benchmarks.start_up RUN RUN        two finished runs, for `compare`

User and system seconds of the whole process, the least of five: waiting for other processes does
not count, and wall time is shown beside them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPEATS = 5
ROWS = [
    (part, size, round(scale * size**-0.4 * (1 + 0.02 * seed), 4), seed)
    for part, scale in (("dynamics", 5.0), ("reward", 9.0))
    for size in (500, 1000, 2000, 4000)
    for seed in (0, 1)
]
PRICES = ["--budget", "20000", "--cost-dynamics", "1", "--cost-reward", "10"]
WEIGHTS = ["--error", "rms", "--weight-dynamics", "3.2", "--weight-reward", "1"]


def least(arguments: list[str], folder: Path) -> tuple[float, float, float]:
    """User, system and wall seconds of `paracosm ARGUMENTS`, the least of each."""
    times = []
    for _ in range(REPEATS):
        before, began = os.times(), time.perf_counter()
        command = [sys.executable, "-m", "paracosm", *arguments]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        after, wall = os.times(), time.perf_counter() - began
        user = after.children_user - before.children_user
        times.append((user, after.children_system - before.children_system, wall))
    user, system, wall = (min(column) for column in zip(*times, strict=True))
    return user, system, wall


def main(runs: list[str]) -> None:
    """Print a row of the table for every command."""
    plan = ["plan", "curves.csv", *WEIGHTS, *PRICES]
    compare = ["compare", *(str(Path(run).absolute()) for run in runs)]
    commands = {
        "`paracosm --help`": ["--help"],
        "`paracosm plan`": plan,
        "`paracosm plan --out`": [*plan, "--out", "plan.html"],
    }
    if runs:
        commands["`paracosm compare`"] = compare
        commands["`paracosm compare --out`"] = [*compare, "--out", "compare.html"]
    with tempfile.TemporaryDirectory() as folder:
        lines = [",".join(map(str, row)) for row in ROWS]
        Path(folder, "curves.csv").write_text("\n".join(["part,samples,error,seed", *lines]))
        print("| command | user s | system s | wall s |\n| --- | --- | --- | --- |")
        for name, arguments in commands.items():
            user, system, wall = least(arguments, Path(folder))
            print(f"| {name} | {user:.2f} | {system:.2f} | {wall:.2f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
