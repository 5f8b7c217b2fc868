"""A benchmark for the terminal: one row a task, then what came out."""

from __future__ import annotations

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from paracosm.core.records.benchmarks import Benchmark
from paracosm.reporting import benchmark_words


def benchmark(record: Benchmark) -> Group:
    """The medians, the cells that failed, and the sentences of the page."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    table.add_column("task", no_wrap=True)
    for name in ("transitions", "needed", *record.learners):
        table.add_column(name, justify="right")
    for task in record.tasks:
        medians = [benchmark_words.median(record, task, name) for name in record.learners]
        needed = benchmark_words.number(task.needed)
        table.add_row(task.env, f"{task.transitions:,}", needed, *map(Text, medians))
    failed = [
        Text(f"{score.learner} failed on {score.env}, seed {score.seed}: {score.error}")
        for score in record.failures
    ]
    return Group(table, *failed, Text(benchmark_words.lead(record), style="bold"))
