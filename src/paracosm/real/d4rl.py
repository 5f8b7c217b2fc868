"""D4RL's flat layout of recorded steps, one row each, episodes after another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from paracosm.core import checks
from paracosm.core.columns import flags, require_equal_lengths, single
from paracosm.core.recordings import places
from paracosm.real.completing import ReadData, complete
from paracosm.real.cuts import FlatNames, FlatRows, episode_ends

_NEEDED = ("observations", "actions", "rewards", "terminals")
_OPTIONAL = ("timeouts", "next_observations")
_NAMES = FlatNames(
    state="observations",
    terminated="terminals",
    next_state="next_observations",
    truncated="timeouts",
)


def from_d4rl(columns: Mapping[str, np.ndarray], where: str) -> ReadData:
    """The data set of D4RL's columns, every step bought; other columns, such as `infos`, are passed
    over.

    Episodes end at `terminals`, at `timeouts`, and where a next observation is not the observation
    of the next row (`cuts.episode_ends`). Without `next_observations`, as in antmaze and kitchen,
    the last step of each episode is left out: its next state is not known. Without `timeouts`
    besides, as in kitchen and the first versions of all tasks, the observations must show where
    episodes were reset.

    Raises:
        BadData: columns are missing, do not fit together, or hold what cannot be used; or nothing
            says where episodes were cut.
    """
    if lacking := [name for name in _NEEDED if name not in columns]:
        raise checks.BadData(
            f"{where} has observations, as D4RL's files do, but lacks {', '.join(lacking)}."
        )
    arrays = {name: np.asarray(columns[name]) for name in (*_NEEDED, *_OPTIONAL) if name in columns}
    for name, values in arrays.items():
        if values.ndim == 0:
            raise checks.BadData(
                f"{where}: {name} is a single value; a row for each step is needed."
            )
    require_equal_lengths(arrays, where)
    for name in ("observations", "next_observations"):
        _require_table(arrays, name, where)
    state, next_state = arrays["observations"], arrays.get("next_observations")
    terminated = flags(arrays["terminals"], "terminals", where)
    timeouts = flags(arrays["timeouts"], "timeouts", where) if "timeouts" in arrays else None
    rows = FlatRows(
        state=state,
        terminated=terminated,
        next_state=next_state,
        truncated=timeouts,
        names=_NAMES,
    )
    episode, time = places(episode_ends(rows, where))
    steps = {
        "state": state,
        "action": arrays["actions"],
        "reward": single(arrays["rewards"], "rewards", where),
        "terminated": terminated,
        "episode": episode,
        "time": time,
    }
    return complete(steps | ({} if next_state is None else {"next_state": next_state}), where)


def _require_table(arrays: Mapping[str, np.ndarray], name: str, where: str) -> None:
    """Require a column, if it is there, to be a table of numbers as large as the observations.

    Raises:
        BadData: it is not.
    """
    if name not in arrays:
        return
    values, shape = arrays[name], arrays["observations"].shape
    if values.ndim != 2 or values.shape != shape:
        raise checks.BadData(
            f"{where}: {name} has the shape {values.shape}; (rows, components) is needed."
        )
    if values.dtype.kind not in "biuf":
        raise checks.BadData(
            f"{where}: {name} holds the type {values.dtype}; real numbers are needed."
        )
