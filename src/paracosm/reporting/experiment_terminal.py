"""An experiment for the terminal: every claim with ours beside the paper's, then what was found."""

from __future__ import annotations

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from paracosm.core.experiments import Claim, Experiment
from paracosm.reporting import experiment_words

STYLES = {"agrees": "green", "differs": "dark_orange", "cannot be compared": "dim"}


def experiment(record: Experiment) -> Group:
    """Claims, verdicts and what was found, in 80 columns."""
    head = Text(f"{record.name} · {record.title} · {record.scale} · {experiment_words.cost(record)}", style="bold")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for name, share in (("claim", 5), ("ours", 3), ("paper", 2), ("verdict", 2)):
        table.add_column(name, ratio=share, overflow="fold")
    for claim in record.findings.claims:
        _add(table, claim)
    found = Text(f"{record.findings.found}\n")
    return Group(head, table, found, Text(experiment_words.verdicts(record), style="bold"))


def _add(table: Table, claim: Claim) -> None:
    said = Text(claim.claim)
    if claim.verdict == "differs":
        said.append(f"\nWhy: {claim.why}", style="dim")
    verdict = Text(claim.verdict, style=STYLES[claim.verdict])
    table.add_row(said, experiment_words.ours(claim), experiment_words.paper(claim), verdict)
