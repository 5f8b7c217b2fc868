"""A ranking for the terminal, readable in 80 columns; the verdict comes last."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paracosm.core.records.ranking import Ranking
from paracosm.reporting import ranking_words

MOST_PAIRS = 30  # more of them fill the screen; the page and the JSON document hold all


def ranking(record: Ranking) -> RenderableType:
    """What a ranking says, in 80 columns, for any rich console."""
    pairs = ranking_words.pair_rows(record)
    unsure = [row for row in pairs if "open" in row[3:]] if len(pairs) > MOST_PAIRS else pairs
    return Group(
        _table(
            ("Policy", "real return", "imagined", "episodes"), ranking_words.policy_rows(record)
        ),
        _table(("Pair", "real", "imagined", "better", "imagination"), unsure[:MOST_PAIRS]),
        _table(("Imagination’s order", "value", "interval"), ranking_words.measure_rows(record)),
        Text("\n".join(ranking_words.notes(record)) + "\n", style="dim"),
        Text(ranking_words.verdict(record), style="bold"),
    )


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
