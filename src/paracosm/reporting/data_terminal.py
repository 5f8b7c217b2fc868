"""A data set's summary for the terminal, readable in 80 columns; what is odd comes last."""

from __future__ import annotations

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from paracosm.core.records.data import DataSummary
from paracosm.reporting import data_words


def data_summary(summary: DataSummary) -> Group:
    """What there is, the ranges of its columns, and what is odd."""
    odd = [*summary.remarks, *(finding.sentence for finding in summary.findings)]
    return Group(
        Text(summary.source, style="bold"),
        _facts(summary),
        _ranges(summary),
        *(Text(f"- {sentence}") for sentence in odd),
        Text(data_words.verdict(summary), style="bold"),
    )


def _facts(summary: DataSummary) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    for row in data_words.facts(summary):
        table.add_row(*map(Text, row))
    return table


def _ranges(summary: DataSummary) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for number, head in enumerate(data_words.RANGE_HEADS):
        table.add_column(head, justify="right" if number else "left", no_wrap=True)
    for row in data_words.ranges(summary):
        table.add_row(*map(Text, row))
    return table
