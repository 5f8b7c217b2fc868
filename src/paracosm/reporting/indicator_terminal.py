"""Leading indicators for the terminal, readable in 80 columns; the verdict comes last."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paracosm.core.records.indicators import Indicators
from paracosm.reporting import indicator_words


def indicators(record: Indicators) -> Group:
    """A row for each indicator, what the test rests on, and the sentence of the page."""
    return Group(
        _table(record),
        Text(f"{indicator_words.basis(record)}\n", style="dim"),
        Text(indicator_words.verdict(record), style="bold"),
    )


def precursors(record: Indicators | None) -> list[RenderableType]:
    """What a run's summary says of what precedes its gap; nothing where rounds are too few."""
    if record is None:
        return []
    return [_table(record), Text(f"{indicator_words.verdict(record)}\n")]


def _table(record: Indicators) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for number, head in enumerate(indicator_words.HEADS):
        table.add_column(head, justify="right" if 0 < number < 4 else "left")
    for row in indicator_words.rows(record):
        table.add_row(*map(Text, row), style="bold" if row[-1] == "leads" else "")
    return table
