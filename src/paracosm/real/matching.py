"""Whether recorded steps can be of an environment."""

from __future__ import annotations

import numpy as np

from paracosm.core import checks
from paracosm.core.columns import require_within
from paracosm.core.data import Dataset
from paracosm.core.mdp import Discrete
from paracosm.real.source import Source


def require_match(data: Dataset, source: Source, where: str) -> None:
    """Require that `source` could have given the rows of `data`, which come from `where`.

    Raises:
        BadData: states or actions are of another size or kind, actions are out of range, or an
            episode is longer than the environment's own time limit; the sentence names the column
            and the row.
    """
    size = data.state.shape[1]
    if size != source.state_size:
        raise checks.BadData(
            f"{where}: state has {size} components; those of {source.name} have"
            f" {source.state_size}."
        )
    source.require_kind(where, data.state)
    _require_actions(data.action, source, where)
    if source.limit is not None and (late := data.time >= source.limit).any():
        row = int(np.argmax(late))
        steps = int(data.time[data.episode == data.episode[row]].max()) + 1
        raise checks.BadData(
            f"{where}: episode {data.episode[row]} has {steps} steps and goes on at row {row}, and"
            f" {source.name} ends"
            f" its episodes at {source.limit}; several were recorded as one."
        )


def _require_actions(action: np.ndarray, source: Source, where: str) -> None:
    space, discrete = source.action, isinstance(source.action, Discrete)
    if discrete != (action.ndim == 1):
        kind, needed = ("vectors", "whole numbers") if discrete else ("whole numbers", "vectors")
        raise checks.BadData(f"{where}: action holds {kind}; {source.name} takes {needed}.")
    low, high = (
        (0, space.n - 1)
        if isinstance(space, Discrete)
        else (np.asarray(space.low), np.asarray(space.high))
    )
    require_within(action, low, high, "action", where)
