"""`paracosm bench`: learners on the tasks of a suite, beside what others have."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich import box
from rich.table import Table
from rich.text import Text

from paracosm import reporting
from paracosm.bench import suites
from paracosm.bench.bench import EPISODES, bench
from paracosm.cli import output
from paracosm.core.checks import BadArgument, BadData
from paracosm.core.files import try_folder
from paracosm.sweep.options import SweepOptions


@dataclasses.dataclass(frozen=True)
class BenchFlags:
    """Learners on the tasks of a suite, beside Stable-Baselines3 and what others report.

    Without a suite: the list of them, with their tasks.

    For example:

    paracosm bench classic --seeds 3

    paracosm bench mujoco --ray auto --out /shared/results

    paracosm bench my_suite.toml --learners pathwise,reinforce --seeds 5,6,7

    Attributes:
        suite: classic, mujoco, or a file of your own that ends in .toml.
        out: The folder for the pages, the charts, the run directories and the store of finished
            cells.
        seeds: How many seeds, from 0 on, or the seeds themselves, with commas (7, is the seed 7).
        learners: pathwise, reinforce, module:function, sb3-sac, sb3-dqn or sb3-ppo, with commas; if
            none, pathwise and, where Stable-Baselines3 is installed, its SAC and DQN.
        episodes: Real episodes of each evaluation.
        ray: Run the cells on the Ray cluster at this address (auto, host:port, ray://host:port)
            rather than here.
        workers: Processes here, by default one per core; on a cluster, cells at a time.
        resume: Go on with the cells that are in --out; a finished one is never run again, and a run
            that was killed goes on where it was.
        force: Throw the cells in --out away and begin anew.
        retry_failed: With the cells in --out, run those again that failed.
        json: Print one JSON document on stdout instead of the table.
    """

    suite: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="[SUITE]")] = ""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("results")
    seeds: Annotated[str, tyro.conf.arg(metavar="N")] = "3"
    learners: Annotated[str | None, tyro.conf.arg(metavar="NAMES")] = None
    episodes: int = EPISODES
    ray: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    resume: bool = False
    force: bool = False
    retry_failed: bool = False
    json: bool = False


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    flags = output.parse(BenchFlags, arguments, "bench")
    if not flags.suite:
        tasks = {name: [task.to_dict() for task in suites.suite(name)] for name in suites.NAMES}
        return output.show(_contents(), tasks, as_json=flags.json)
    if flags.ray == "local":
        raise BadArgument(
            "--ray is 'local'; leave it out to run here, or give auto, host:port or"
            " ray://host:port."
        )
    try_folder("--out", flags.out)
    backend = "local" if flags.ray is None else flags.ray
    sweep_options = SweepOptions(
        backend=backend,
        workers=flags.workers,
        resume=flags.resume,
        force=flags.force,
        retry_failed=flags.retry_failed,
    )
    shown = output.show_if_unwritten(lambda record: record.summary(()), as_json=flags.json)
    with shown, output.progress() as tell:
        record, files = bench(
            flags.suite,
            flags.out,
            seeds=_seeds(flags.seeds),
            learners=None if flags.learners is None else flags.learners.split(","),
            episodes=flags.episodes,
            sweep_options=sweep_options,
            progress=tell,
        )
    document = record.summary(tuple(map(str, files)))
    output.show(reporting.summary(record), document, as_json=flags.json)
    if not flags.json:
        page = next(path for path in files if path.suffix == ".html")
        output.show(Text(f"\nThe page is {page}"), {}, as_json=False)
    if record.failures:
        first = record.failures[0]
        raise BadData(
            f"{len(record.failures)} of the {len(record.scores)} cells failed, the first"
            f" {first.learner} on {first.env} with {first.error!r}; the others are kept: give"
            " --retry-failed to run these again."
        )
    return None


def _seeds(text: str) -> tuple[int, ...]:
    """A count, or seeds with commas."""
    words = [word for word in text.split(",") if word.strip()]
    if not words or not all(word.strip().isdecimal() for word in words):
        raise BadArgument(f"--seeds is {text!r}; a count, or seeds with commas, is needed.")
    seeds = tuple(int(word) for word in words)
    if "," in text:
        return seeds
    if not 1 <= seeds[0] <= 1000:
        raise BadArgument(
            f"--seeds is {text!r}; a count must lie between 1 and 1000, and a single seed is"
            " written with a comma."
        )
    return tuple(range(seeds[0]))


def _contents() -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for name in ("suite", "task", "transitions", "needed", "anchor"):
        table.add_column(name)
    for name in suites.NAMES:
        for number, task in enumerate(suites.suite(name)):
            anchor = task.anchors[0]
            needed = "" if task.needed is None else f"{task.needed:,g}"
            reported = f"{anchor.value:,g}, {anchor.method}, {anchor.steps:,}"
            first = "" if number else name
            table.add_row(first, task.env, f"{task.transitions:,}", needed, reported)
    return table
