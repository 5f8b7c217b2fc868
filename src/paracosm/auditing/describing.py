"""What is in a data set: counts, ranges, and what is odd."""

from __future__ import annotations

import numpy as np

from paracosm.auditing.linter.data import data_findings
from paracosm.core.data import Dataset
from paracosm.core.records.data import DataSummary, ValueRange


def described(
    data: Dataset, source: str, left_out: int = 0, remarks: tuple[str, ...] = ()
) -> DataSummary:
    """The summary of a data set; the sentences of its findings are still empty.

    Args:
        data: The data set, of at least one row.
        source: What it was read from.
        left_out: Rows that were no steps.
        remarks: What was said while it was read.
    """
    first = data.episode_starts
    lengths = np.diff(np.append(first, len(data.episode)))
    last = first + lengths - 1
    labelled = np.logical_and.reduceat(data.has_label, first)
    returns = np.add.reduceat(data.reward, first)[labelled]
    terminated = data.terminated[last]
    known = (data.has_transition | data.truncated)[last]
    images = data.state.dtype == np.uint8
    actions = data.action.reshape(len(data.action), -1)
    return DataSummary(
        source=source,
        rows=data.real_steps,
        left_out=left_out,
        episodes=len(first),
        terminated=int(terminated.sum()),
        cut=int((known & ~terminated).sum()),
        end_unknown=int((~known).sum()),
        shortest=int(lengths.min()),
        longest=int(lengths.max()),
        median_length=float(np.median(lengths)),
        state_size=int(data.state.shape[1]),
        images=images,
        states=() if images else _ranges(data.state),
        action_size=int(data.action.shape[1]) if data.action.ndim == 2 else 0,
        actions=_ranges(actions),
        reward=_range_or_none(data.reward[data.has_label]),
        returns=_range_or_none(returns),
        transitions_missing=int((~data.has_transition).sum()),
        labels_missing=int((~data.has_label).sum()),
        findings=data_findings(data),
        remarks=remarks,
    )


def _ranges(values: np.ndarray) -> tuple[ValueRange, ...]:
    return tuple(_range(column) for column in values.T)


def _range(values: np.ndarray) -> ValueRange:
    wide = values.astype(np.float64)
    return ValueRange(*(float(x) for x in (wide.min(), wide.max(), wide.mean(), wide.std())))


def _range_or_none(values: np.ndarray) -> ValueRange | None:
    return _range(values) if len(values) else None
