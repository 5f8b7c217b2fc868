"""Run an experiment of the paper: its cells in a sweep, its findings in files."""

from __future__ import annotations

from pathlib import Path

from paracosm import reporting
from paracosm.core import checks
from paracosm.core.files import Unwritable, Unwritten, read_record, shown
from paracosm.core.progress import Progress, silent
from paracosm.core.records.experiments import Experiment
from paracosm.paper.contents import CONTENTS, study
from paracosm.paper.study import Answer, Scale
from paracosm.sweep.cells import Cell
from paracosm.sweep.options import LOCAL_SWEEP, SweepOptions
from paracosm.sweep.run import sweep
from paracosm.sweep.store import failures, provenance


def reproduce(
    name: str,
    out: str | Path,
    scale: Scale = "quick",
    sweep_options: SweepOptions = LOCAL_SWEEP,
    progress: Progress = silent,
) -> tuple[Experiment, tuple[Path, ...]]:
    """The experiment with all that it shows, and the files it was written to: JSON, two pages,
    charts, the store.

    Args:
        name: `E1` to `E10`.
        out: the folder; the experiment's files begin with its name, so that several can share it.
        scale: `quick` takes minutes, `full` has the paper's sizes.
        sweep_options: where and how the cells run.
        progress: told after each cell.

    Raises:
        BadArgument: as of `check`.
        BadData: cells failed; the others are kept.
        Missing: the back end is not there, or there is no sweep whose failed cells could be run
            again.
    """
    experiment = study(name)
    cells = experiment.cells(scale)
    check(name, out, scale, sweep_options)
    store = store_of(name, out, scale)
    answers = _run_cells(name, cells, store, sweep_options, progress)
    versions, seconds = provenance(store)
    record = Experiment(
        name=name,
        title=CONTENTS[name].title,
        question=experiment.question,
        scale=scale,
        command=f"paracosm paper {name} --scale {scale}",
        cells=len(cells),
        seconds=seconds,
        versions=versions,
        findings=experiment.read(answers),
    )
    try:
        return record, (*reporting.publish(record, out), store)
    except Unwritable as error:
        raise Unwritten(
            f"{error} The cells are kept: make room and give --resume.", record
        ) from error


def store_of(name: str, out: str | Path, scale: Scale) -> Path:
    """Where the experiment's finished cells are kept, for each scale apart."""
    return Path(out) / f"{name.lower()}-{scale}.sqlite"


def check(name: str, out: str | Path, scale: Scale, sweep_options: SweepOptions) -> None:
    """Whether the experiment may be run into the folder.

    Args:
        name, out, scale, sweep_options: As of `reproduce`.

    Raises:
        BadArgument: `out` is a file, the folder holds the sweep already and nothing says whether to
            go on with it, or a new sweep's results would replace those of the other scale.
        BadData: the results that it holds are damaged.
        Missing: there is no sweep whose failed cells could be run again.
    """
    store = store_of(name, out, scale)
    sweep_options.require_usable(name, store)
    results = Path(out) / f"{name.lower()}.json"
    goes_on = sweep_options.resume or sweep_options.retry_failed
    if sweep_options.force or (goes_on and store.exists()) or not results.exists():
        return
    held = read_record(Experiment, results).scale
    if held != scale:
        raise checks.BadArgument(
            f"{shown(results)} holds the results of {name} at scale {held}, which those at scale"
            f" {scale} would replace; give another --out, or --force to replace them."
        )


def _run_cells(
    name: str, cells: list[Cell], store: Path, sweep_options: SweepOptions, progress: Progress
) -> list[Answer]:
    """The answers of all cells, in their order.

    Args:
        name: the experiment's.
        cells: to run, or to read from the store.
        store: the file of finished cells.
        sweep_options: where and how they run.
        progress: told after each cell.
    """

    def report(stage: str, done: int, total: int, word: str = "") -> None:
        """Hand progress on under the experiment's name.

        Args:
            stage, done, total, word: As of `Progress`.
        """
        progress(name if stage == "sweep" else stage, done, total, word)

    results = sweep(cells, store, **sweep_options.arguments(), progress=report)
    failed = failures(store)
    if failed:
        first = next(iter(failed.values()))
        raise checks.BadData(
            f"{len(failed)} of the {len(cells)} cells of {name} failed, the first with"
            f" {first.error!r}; the others are"
            f" kept in {store}: give --retry-failed to run these again."
        )
    return [Answer(cell.function, cell.arguments, results[cell.name]) for cell in cells]
