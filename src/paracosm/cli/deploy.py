"""`paracosm deploy`: may the policy of one run take the place of another's?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from paracosm.cli import output
from paracosm.core.checks import BadArgument
from paracosm.core.files import shown
from paracosm.loop.deploying import deploy


@dataclasses.dataclass(frozen=True)
class DeployFlags:
    """Say whether a new policy is better in the real world than the old one, and how sure that is.

    Both are policies of finished runs on one task. The difference of their returns comes in four
    forms: by proven bounds, by estimated ones, by real episodes, and for the next episode, such as:
    paracosm deploy --old runs/a --new runs/b --episodes 20

    Attributes:
        old: Needed: the run whose policy is deployed now.
        new: Needed: the run whose policy may take its place.
        episodes: Play this many more real episodes with each policy, from the same seeds.
        level: The confidence of the intervals, and the probability of the bound on the next
            episode.
        no_bounds: Do not bound the gaps, which takes minutes where networks are wide; the first two
            forms then say nothing.
        trust: Import the code that the runs name (their environment or known parts), if they are
            your own.
        out: Write the answer as a page here.
        json: Print one JSON document on stdout instead of the tables.
    """

    old: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    new: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    episodes: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    level: Annotated[float, tyro.conf.arg(metavar="P")] = 0.95
    no_bounds: bool = False
    trust: bool = False
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    json: bool = False


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    if arguments and arguments[0] and not arguments[0].startswith("-"):
        raise BadArgument(
            f"{shown(arguments[0])} is given without --old or --new; write paracosm deploy --old"
            " RUN --new RUN."
        )
    flags = output.parse(DeployFlags, arguments, "deploy")
    if flags.old is None or flags.new is None:
        lacking = "--old" if flags.old is None else "--new"
        raise BadArgument(f"{lacking} is not given; write paracosm deploy --old RUN --new RUN.")
    with output.progress() as tell:
        deployment = deploy(
            flags.old,
            flags.new,
            episodes=flags.episodes,
            level=flags.level,
            certify=not flags.no_bounds,
            trust=flags.trust,
            progress=tell,
        )
    with output.blame_files(flags.old, flags.new):
        output.deliver(deployment, deployment.to_dict(), flags.out, as_json=flags.json)
