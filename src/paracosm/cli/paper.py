"""`paracosm paper`: the experiments of the paper, ours beside theirs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from paracosm import reporting
from paracosm.cli import output
from paracosm.core.checks import BadArgument, BadData, Missing
from paracosm.core.files import Unwritten, shown, try_folder
from paracosm.core.records.experiments import Experiment
from paracosm.paper.contents import CONTENTS
from paracosm.paper.reproduce import check, reproduce, store_of
from paracosm.paper.study import Scale
from paracosm.sweep.options import SweepOptions


@dataclasses.dataclass(frozen=True)
class PaperFlags:
    """The experiments of "On Training in Imagination" (Timor et al. 2026), ours beside theirs.

    Without an experiment: the list of them, and the time that each takes.

    For example:

    paracosm paper E1 --out results/e1

    paracosm paper all --scale quick

    paracosm paper E2 --scale full --out results/e2 --resume

    Attributes:
        experiment: E1 to E10, or all.
        out: The folder for the tables, figures, pages and the store of finished cells.
        scale: Sizes that take minutes, or the paper's.
        ray: Run the cells on the Ray cluster at this address (auto, host:port, ray://host:port)
            rather than here.
        workers: Processes here, by default one per core; on a cluster, cells at a time.
        resume: Go on with the cells that are in --out; a finished one is never run again.
        force: Throw the cells in --out away and begin anew.
        retry_failed: With the cells in --out, run those again that failed.
        json: Print one JSON document on stdout instead of the tables.
    """

    experiment: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="[EXPERIMENT]")] = ""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("results")
    scale: Scale = "quick"
    ray: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    resume: bool = False
    force: bool = False
    retry_failed: bool = False
    json: bool = False


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    flags = output.parse(PaperFlags, arguments, "paper")
    if not flags.experiment:
        return output.show(
            _contents(),
            {name: entry._asdict() for name, entry in CONTENTS.items()},
            as_json=flags.json,
        )
    if flags.ray == "local":
        raise BadArgument(
            "--ray is 'local'; leave it out to run here, or give auto, host:port or"
            " ray://host:port."
        )
    try_folder("--out", flags.out)
    if flags.experiment == "all":
        return _run_all(flags)
    with (
        output.progress() as tell,
        output.show_if_unwritten(lambda record: record.summary(()), as_json=flags.json),
    ):
        record, files = reproduce(
            flags.experiment, flags.out, flags.scale, _sweep_options(flags), tell
        )
    output.show(reporting.summary(record), _document(record, files), as_json=flags.json)
    if not flags.json:
        output.show(Text(f"\nThe page is {_page(files)}"), {}, as_json=False)
    return None


def _sweep_options(flags: PaperFlags) -> SweepOptions:
    return SweepOptions(
        backend="local" if flags.ray is None else flags.ray,
        workers=flags.workers,
        resume=flags.resume,
        force=flags.force,
        retry_failed=flags.retry_failed,
    )


def _run_all(flags: PaperFlags) -> None:
    """Run the experiments one after the other. Cells that fail in one do not stop the next: the
    error at the end names them. What was finished is shown whatever comes.
    """
    names, sweep_options = _names(flags), _sweep_options(flags)
    for name in names:
        check(name, flags.out, flags.scale, sweep_options)
    documents, problems = [], []
    try:
        for name in names:
            try:
                documents.append(_run_one(name, flags, sweep_options))
            except BadData as problem:
                problems.append(str(problem))
    except Unwritten as unwritten:
        documents.append(_document(unwritten.result, ()))
        if not flags.json:
            output.show(reporting.summary(unwritten.result), {}, as_json=False)
        raise
    finally:
        if flags.json:
            output.show("", documents, as_json=True)
    if problems:
        raise BadData(" ".join(problems))


def _run_one(name: str, flags: PaperFlags, sweep_options: SweepOptions) -> dict:
    """Run an experiment and show its summary, unless with --json; returns its document."""
    with output.progress() as tell:
        record, files = reproduce(name, flags.out, flags.scale, sweep_options, tell)
    if not flags.json:
        page = Text(f"\nThe page is {_page(files)}\n")
        output.show(Group(reporting.summary(record), page), {}, as_json=False)
    return _document(record, files)


def _names(flags: PaperFlags) -> list[str]:
    """All experiments, or those with a sweep whose failed cells can be run again.

    Raises:
        Missing: failed cells are asked for, and there is no sweep.
    """
    if not flags.retry_failed:
        return list(CONTENTS)
    names = [name for name in CONTENTS if store_of(name, flags.out, flags.scale).exists()]
    if not names:
        raise Missing(
            f"there is no sweep at scale {flags.scale} in {shown(flags.out)}; leave --retry-failed"
            " out to begin."
        )
    return names


def _document(record: Experiment, files: tuple[Path, ...]) -> dict:
    return record.summary(tuple(map(str, files)))


def _page(files: tuple[Path, ...]) -> Path:
    return next(path for path in files if path.suffix == ".html")


def _contents() -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for name in ("", "experiment", "quick", "full, on two cores"):
        table.add_column(name)
    for name, entry in CONTENTS.items():
        table.add_row(name, entry.title, _minutes(entry.quick), _minutes(entry.full))
    return table


def _minutes(minutes: float) -> str:
    return f"{60 * minutes:.0f} s" if minutes < 1.5 else f"{minutes:.0f} min"
