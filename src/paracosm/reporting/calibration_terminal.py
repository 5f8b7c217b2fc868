"""Whether a world's spread is worth anything, for the terminal, in 80 columns."""

from __future__ import annotations

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from paracosm.core.records.calibration import Calibration
from paracosm.reporting import calibration_words
from paracosm.reporting.calibration_tables import HORIZON_HEADS, horizon_rows, one_step_rows

TITLE, NOTES = "Is the spread worth anything?", ""


def calibration(record: Calibration | None) -> list[RenderableType]:
    """The section; nothing where it was not measured."""
    if record is None:
        return []
    shown: list[RenderableType] = []
    rows = one_step_rows(record)
    if rows:
        table = _table(TITLE, "mean", "95% interval", NOTES)
        for row in rows:
            table.add_row(*map(Text, row))
        shown.append(table)
    ahead = _table(*HORIZON_HEADS)
    for cells in horizon_rows(record):
        ahead.add_row(*map(Text, cells))
    sentences = [
        calibration_words.judged_spread(record),
        calibration_words.horizons(record),
        calibration_words.actions(record) if not calibration_words.blindness(record) else "",
        calibration_words.returns(record),
    ]
    return [*shown, ahead, Text(" ".join(filter(None, sentences)) + "\n"), *_verdict(record)]


def _verdict(record: Calibration) -> list[Text]:
    return [Text(record.verdict + "\n", style="bold")] if record.verdict else []


def _table(*heads: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    table.add_column(heads[0], no_wrap=True)
    for head in heads[1:]:
        table.add_column(head, justify="right", no_wrap=head != NOTES)
    return table
