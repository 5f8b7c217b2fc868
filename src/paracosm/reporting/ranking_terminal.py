"""A ranking for the terminal, readable in 80 columns; the verdict comes last."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paracosm.core.records.ranking import Ranking
from paracosm.reporting import ranking_words
from paracosm.reporting.decision_tables import Texts

# More of them fill the screen; then only pairs that do not agree are shown, as many as these.
MOST_PAIRS = 28


def ranking(record: Ranking) -> RenderableType:
    """What a ranking says, in 80 columns, for any rich console."""
    return Group(
        _table(
            ("", "Policy", "real return", "imagined", "episodes"), ranking_words.policy_rows(record)
        ),
        _table(("Pair", "real", "imagined", "imagination"), _shown_pairs(record)),
        _table(("Imagination’s order", "value", "interval"), ranking_words.measure_rows(record)),
        Text("\n".join([*_hidden(record), *ranking_words.notes(record)]) + "\n", style="dim"),
        Text(ranking_words.verdict(record), style="bold"),
    )


def _hidden(record: Ranking) -> list[str]:
    """How many pairs the table leaves out, if it does."""
    pairs, rows = len(record.pairs), len(_shown_pairs(record))
    if rows == pairs:
        return []
    return [
        f"The table shows {rows:,} of {pairs:,} pairs, none on which imagination agrees; --out"
        " writes a page with all."
    ]


def _shown_pairs(record: Ranking) -> list[Texts]:
    pairs = ranking_words.pair_rows(record)
    if len(pairs) <= MOST_PAIRS:
        return pairs
    return [row for row in pairs if row[-1] != "agrees"][:MOST_PAIRS]


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for number, head in enumerate(heads):
        name = head in ("", "Policy")
        justify = "left" if name or not number else "right"
        table.add_column(head, justify=justify, overflow="fold", no_wrap=head != "Policy")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
