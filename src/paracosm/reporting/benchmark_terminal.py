"""A benchmark for the terminal: one row a task, then what came out."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paracosm.core.records.benchmarks import Benchmark
from paracosm.reporting import benchmark_words


def benchmark(record: Benchmark) -> Group:
    """The returns, the cells that failed, and the sentences of the page."""
    shown: list[RenderableType] = []
    for rows in benchmark_words.tables(record):
        if rows.title in ("Returns", "Cells that failed"):
            table = Table(title=rows.title, box=box.SIMPLE_HEAD, header_style="dim")
            for place, name in enumerate(rows.columns):
                table.add_column(name, justify="left" if place == 0 else "right")
            for row in rows.rows:
                table.add_row(*map(Text, row))
            shown.append(table)
    return Group(*shown, Text(benchmark_words.lead(record), style="bold"))
