"""From which region of states to buy, for the terminal, in 80 columns."""

from __future__ import annotations

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from paracosm.core.records.regions import Placement
from paracosm.reporting import region_tables, region_words

TITLE = "Where to buy transitions"


def where_to_buy(placement: Placement | None) -> list[RenderableType]:
    """The section; nothing where no region is known."""
    if placement is None:
        return []
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for head in (TITLE, *region_tables.HEADS[1:]):
        table.add_column(head, justify="left" if head == TITLE else "right", no_wrap=True)
    for cells in region_tables.rows(placement):
        table.add_row(*map(Text, cells))
    places = [f"{name}: {place}" for name, place in region_tables.places(placement)]
    sentences = [
        region_words.outstanding_regions(placement),
        region_words.predicted_errors(placement),
        region_words.note(placement),
        region_words.TRIED,
        region_words.how_to_buy(placement),
    ]
    return [table, Text("\n".join([*places, *sentences]) + "\n", style="dim")]
