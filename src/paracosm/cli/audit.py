"""`paracosm audit RUN`: the gap explained again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from paracosm import reporting
from paracosm.cli import output
from paracosm.loop.load import audit_run, load


@dataclasses.dataclass(frozen=True)
class Flags:
    """Explain the gap between the imagined and the real return of a finished run's policy.

    The gap is split exactly into the parts to blame: reward, termination, dynamics, and the horizon of training.

    Examples:
      paracosm audit runs/pendulum
      paracosm audit runs/pendulum --episodes 100 --first-seed 50000 --out audit.html

    Attributes:
        run: The run directory.
        episodes: Record this many new real episodes, instead of the run's own.
        first_seed: The first new episode's seed.
        trust: Import the code that the run names (its environment or known parts), if the run is your own.
        out: Write the diagnosis as a page here.
        json: Print one JSON document on stdout instead of the summary.
    """

    run: tyro.conf.Positional[Path]
    episodes: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    first_seed: int = 10_000
    trust: bool = False
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    json: bool = False


def main(arguments: Sequence[str]) -> None:
    """Run it."""
    flags = output.parse(Flags, arguments, "audit")
    run, episodes = load(flags.run, trust=flags.trust), None
    with output.progress() as tell:
        if flags.episodes is not None:
            episodes = run.source().evaluate(
                run.policy,
                episodes=flags.episodes,
                first_seed=flags.first_seed,
                progress=lambda done, total: tell("evaluate", done, total, ""),
            )
        tell("audit", 0, 1, "")
        diagnosis = audit_run(run, episodes)
    if flags.out is not None:
        reporting.write(diagnosis, flags.out)
    output.show(reporting.summary(diagnosis), diagnosis.to_dict(), as_json=flags.json)
