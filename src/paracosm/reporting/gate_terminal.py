"""A gate for the terminal: a row for each quantity, the worst first; the verdict comes last."""

from __future__ import annotations

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from paracosm.core.records.gate import Gate
from paracosm.reporting import gate_words


def gate(record: Gate) -> Group:
    """The checks, what the limits are, and the sentence of the page."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for head in gate_words.HEADS:
        justify = "right" if head in ("baseline", "candidate", "limit") else "left"
        table.add_column(head, justify=justify)
    for row in gate_words.rows(record):
        table.add_row(*map(Text, row), style="bold" if row.verdict == "worse" else "")
    notes = [Text(f"{note}\n", style="dim") for note in gate_words.notes(record)]
    return Group(table, *notes, Text(gate_words.verdict(record), style="bold"))
