"""An experiment for the terminal: every claim with ours beside the paper's, then what was found."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from paracosm.core.records.experiments import Claim, Experiment
from paracosm.reporting import experiment_words

STYLES = {
    "agrees": "green",
    "differs": "dark_orange",
    "must hold": "cyan",
    "cannot be compared": "dim",
}
SHORT = {
    "agrees": "agrees",
    "differs": "differs",
    "must hold": "must",
    "cannot be compared": "beyond",
}


def experiment(record: Experiment) -> Group:
    """Claims, verdicts and what was found, in 80 columns."""
    head = Text(
        f"{record.name} · {record.title} · {record.scale} · {experiment_words.cost(record)}\n",
        style="bold",
    )
    table = Table.grid(padding=(0, 2, 1, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for claim in record.findings.claims:
        table.add_row(Text(SHORT[claim.verdict], style=STYLES[claim.verdict]), _claim(claim))
    findings = Text(f"{record.findings.found}\n")
    return Group(head, table, findings, Text(experiment_words.verdicts(record), style="bold"))


def _claim(claim: Claim) -> Text:
    text = Text(f"{claim.claim}\n").append(f"ours {experiment_words.ours(claim)}", style="bold")
    if claim.paper_says or claim.paper is not None:
        text.append(f", paper {experiment_words.paper(claim)}")
    if claim.verdict in ("differs", "must hold"):
        text.append(f"\nwhy: {claim.why}", style="dim")
    return text
