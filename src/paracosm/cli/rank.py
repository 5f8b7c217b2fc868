"""`paracosm rank RUN …`: which policy is better, how sure, and whether imagination knows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from paracosm.cli import output
from paracosm.loop.ranking import rank_runs


@dataclasses.dataclass(frozen=True)
class RankFlags:
    """Rank the policies of several runs of one environment, or the checkpoints of one run, by their
    real returns, and see whether imagination ranks them so.

    Real episodes are bought one at a time where they separate two policies, until the order is sure
    or no more may be bought: paracosm rank runs/pendulum, or paracosm rank runs/a runs/b --best

    Attributes:
        runs: Run directories; of one the policies of its rounds.
        world: A run in whose world all policies are imagined; each in its own if not given.
        best: Tell the best policy from the rest, and leave the order of the rest open.
        episodes: Real episodes of every policy before anything is decided.
        most_episodes: Real episodes of all policies together, at the most; 50 for each if not
            given.
        within: Returns that differ by no more than this need not be told apart.
        trust: Import the code that the runs name (their environment or known parts), if the runs
            are your own.
        out: Write the ranking as a page here.
        json: Print one JSON document on stdout instead of the tables.
    """

    runs: tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN [RUN ...]")]]
    world: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    best: bool = False
    episodes: Annotated[int, tyro.conf.arg(metavar="N")] = 10
    most_episodes: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    within: Annotated[float, tyro.conf.arg(metavar="RETURN")] = 0.0
    trust: bool = False
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    json: bool = False


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    flags = output.parse(RankFlags, arguments, "rank")
    with output.progress() as tell:
        ranking = rank_runs(
            *flags.runs,
            world=flags.world,
            trust=flags.trust,
            best=flags.best,
            within=flags.within,
            episodes=flags.episodes,
            most_episodes=flags.most_episodes,
            progress=tell,
        )
    output.deliver(ranking, ranking.to_dict(), flags.out, as_json=flags.json)
