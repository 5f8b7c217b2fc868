"""Frozen records of an experiment: what was asked, done and found, beside what the paper says.

No JAX in here.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from paracosm.core import checks
from paracosm.core.records.base import Record, plain

Agreement = Literal["agrees", "differs", "must hold", "cannot be compared"]
"""Beside the paper's number a measurement `agrees` or `differs`.

What `must hold` follows from a proof or from how the case was made: no measurement of it could have
come out otherwise, save by an error, so it counts as no agreement; where the check fails, it
`differs`.
"""
Mark = Literal["line", "dashed", "points"]


@dataclasses.dataclass(frozen=True)
class Claim(Record):
    """One statement, our number with its interval, and the paper's if it has one.

    `paper` is the paper's number, `paper_says` how it words it (an interval, a count). `method`
    says how the interval was made, `why` why the verdict is what it is.
    """

    id: str
    claim: str
    ours: float
    low: float
    high: float
    method: str
    paper: float | None
    paper_says: str
    verdict: Agreement
    why: str

    def __post_init__(self) -> None:
        if not self.why:
            raise checks.BadArgument(
                f"the claim {self.id} gives no reason; every verdict needs one."
            )


@dataclasses.dataclass(frozen=True)
class Choice(Record):
    """Something that the paper leaves open, what was chosen, and how the conclusion moves when it
    is varied.
    """

    left_open: str
    ours: str
    varied: str


@dataclasses.dataclass(frozen=True)
class Table(Record):
    """Rows of printable text under column names; the first column names the row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Series(Record):
    """Points of one kind in a chart; `low` and `high` are empty or bound each `y`."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    mark: Mark = "line"
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class Chart(Record):
    """A picture of some series over one axis; `name` is a word for file names, `caption` says what
    to look for.
    """

    name: str
    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    caption: str
    log_x: bool = False
    log_y: bool = False


@dataclasses.dataclass(frozen=True)
class Findings(Record):
    """What an experiment is after its cells have run: its set-up in sentences, and all that it
    shows.
    """

    setup: tuple[str, ...]
    choices: tuple[Choice, ...]
    claims: tuple[Claim, ...]
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...]
    found: str


@dataclasses.dataclass(frozen=True)
class Experiment(Record):
    """An experiment of the paper with its findings, the command that repeats it, and what its
    numbers depend on.

    `seconds` is the time that its cells took, added up over the workers.
    """

    name: str
    title: str
    question: str
    scale: str
    command: str
    cells: int
    seconds: float
    versions: dict[str, str]
    findings: Findings

    def summary(self, files: tuple[str, ...]) -> dict[str, Any]:
        """The document that `paracosm paper --json` prints."""
        keys = ("id", "claim", "ours", "low", "high", "paper", "verdict", "why")
        claims = [
            {key: plain(getattr(claim, key)) for key in keys} for claim in self.findings.claims
        ]
        return {
            "experiment": self.name,
            "scale": self.scale,
            "claims": claims,
            "files": list(files),
        }
