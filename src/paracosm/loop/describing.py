"""Reading data and saying what is in them."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from paracosm.auditing.describing import described
from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.records.data import DataSummary
from paracosm.real import datasets
from paracosm.real.completing import ReadData
from paracosm.reporting import data_words


def describe_data(
    source: Any, columns: Mapping[str, str | Sequence[str]] | None = None
) -> DataSummary:
    """What is in a data set, and what is odd about it.

    Args:
        source: A `Dataset`, or whatever `load_data` reads.
        columns: Its columns by role, as for `load_data`.

    Raises:
        ParacosmError: it cannot be read, see `load_data`, or it has no step.
    """
    return read_and_describe(source, columns)[1]


def read_and_describe(
    source: Any, columns: Mapping[str, str | Sequence[str]] | None = None
) -> tuple[Dataset, DataSummary]:
    """The data set and its summary, which holds the warnings of reading it.

    Args:
        source, columns: As for `describe_data`.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        recording = (
            ReadData(source) if isinstance(source, Dataset) else datasets.read(source, columns)
        )
    remarks = tuple(str(item.message) for item in caught if item.category is UserWarning)
    name = os.fspath(source) if isinstance(source, str | os.PathLike) else "the data set"
    if not recording.dataset.real_steps:
        raise checks.BadData(f"{name} has no steps; at least one is needed.")
    summary = described(recording.dataset, name, recording.left_out, remarks)
    return recording.dataset, dataclasses.replace(
        summary, findings=tuple(map(data_words.with_sentence, summary.findings))
    )
