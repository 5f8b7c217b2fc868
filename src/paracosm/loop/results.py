"""What finished runs found, read back and put side by side. No JAX in here: comparing runs asks
nothing of their models.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from pathlib import Path

from paracosm.core import checks
from paracosm.core.files import as_path, read_json, read_record, shown, whole_text
from paracosm.core.records import Diagnosis
from paracosm.core.records.ranking import Ranking
from paracosm.core.records.results import Comparison, RunResult
from paracosm.loop.directory import CONFIG, MARK

RANKING = "ranking.json"  # of the run's checkpoints, once they were ranked


def require_run(path: Path) -> None:
    """Require a folder to be a run directory.

    Raises:
        Missing: it has no config.json.
        BadData: its config.json is damaged, or not a run's of this version.
    """
    if not os.path.isfile(path / CONFIG):
        raise checks.Missing(f"{shown(path)} is no run directory; it has no {CONFIG}.")
    if read_json(path / CONFIG).get("format") != MARK:
        raise checks.BadData(
            f"{shown(path / CONFIG)} is not of a run, or of one that another version made."
        )


def result_of(path: Path) -> RunResult:
    """What the run in a directory found.

    Raises:
        Missing: the run is not finished.
        BadData: the file is damaged.
    """
    file = path / "result.json"
    if not os.path.isfile(file):
        raise checks.Missing(
            f"the run in {shown(path)} is not finished; go on with paracosm run … --resume."
        )
    return read_record(RunResult, file)


def ranking_of(path: Path) -> Ranking | None:
    """How `rank` ordered the policies of the run's rounds; None if it did not yet, or before the
    run went on to further rounds.

    Raises:
        BadData: the file is damaged.
    """
    file = path / RANKING
    if not file.is_file():
        return None
    ranking = read_record(Ranking, file)
    rounds = len(list(path.glob("models/policy-*.json")))
    return None if len(ranking.policies) + len(ranking.left_out) < rounds else ranking


def compare(*runs: str | Path) -> Comparison:
    """The results of several runs side by side, named by their directories.

    Raises:
        BadArgument: fewer than two runs, or one that is no path.
        Missing: one is no run directory, or is not finished.
        BadData: a file of one is damaged.
    """
    different = {os.path.realpath(as_path("a run directory", path)) for path in runs}
    if len(different) < 2:
        shared = f"all {len(runs)} runs are" if len(runs) > 2 else "both runs are"
        given = ("no run is given", "1 run is given")
        what = given[len(runs)] if len(runs) < 2 else f"{shared} one and the same"
        raise checks.BadArgument(f"{what}; a comparison needs at least two different ones.")
    return Comparison({whole_text(os.fspath(path)): _ranked(Path(path)) for path in runs})


def _ranked(path: Path) -> RunResult:
    require_run(path)
    result = result_of(path)
    return dataclasses.replace(result, diagnosis=ranked_diagnosis(path, result.diagnosis))


def ranked_diagnosis(path: Path, diagnosis: Diagnosis) -> Diagnosis:
    """The diagnosis of a run with the ranking of its checkpoints; as it is, with a warning, where
    that cannot be read.
    """
    try:
        return dataclasses.replace(diagnosis, ranking=ranking_of(path))
    except checks.BadData:
        warnings.warn(
            f"{shown(path / RANKING)} was not read, since it is damaged or of another version;"
            f" paracosm rank {shown(path)} makes it again.",
            stacklevel=2,
        )
        return diagnosis
