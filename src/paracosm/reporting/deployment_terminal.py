"""A deployment for the terminal: both returns, their difference in four forms, the verdict."""

from __future__ import annotations

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from paracosm.core.records.deployment import Deployment
from paracosm.reporting import deployment_words


def deployment(record: Deployment) -> Group:
    """The tables and the verdict, in 80 columns."""
    returns = _table("Return", "mean", "interval", deployment_words.return_rows(record))
    forms = _table("New minus old", "mean", "between", deployment_words.rows(record))
    further = deployment_words.more_episodes(record)
    return Group(
        returns,
        forms,
        Text(deployment_words.verdict(record), style="bold"),
        *([Text(further)] if further else []),
    )


def _table(head: str, value: str, ends: str, rows: list[deployment_words.FormRow]) -> Table:
    """Rows of a form each.

    Args:
        head, value, ends: The heads of the first columns.
        rows: The rows of the table.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    table.add_column(head, no_wrap=True)
    table.add_column(value, justify="right", no_wrap=True)
    table.add_column(ends, justify="right", no_wrap=True, style="dim")
    table.add_column("", style="dim")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
