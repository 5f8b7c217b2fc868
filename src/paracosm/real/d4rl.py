"""D4RL's flat layout of recorded steps, one row each, episodes after another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from paracosm.core import checks
from paracosm.core.columns import demand_equal_lengths, flags, single
from paracosm.core.recordings import places
from paracosm.real.completing import ReadData, completed
from paracosm.real.cuts import FlatNames, FlatRows, ends

_NEEDED = ("observations", "actions", "rewards", "terminals")
_OPTIONAL = ("timeouts", "next_observations")
_NAMES = FlatNames("observations", "terminals", "next_observations", "timeouts")


def from_d4rl(columns: Mapping[str, np.ndarray], where: str) -> ReadData:
    """A recording of D4RL's columns, every step bought; others, `infos` among them, are passed
    over.

    Episodes end at `terminals`, at `timeouts`, and where a next observation is not the observation
    of the next row (`cuts.ends`). Without `next_observations`, as in antmaze and kitchen, the last
    step of each episode is left out: its next state is not known. Without `timeouts` besides, as in
    kitchen and the first versions of all tasks, the observations must show where episodes were
    reset.

    Raises:
        BadData: columns are missing, do not fit together, or hold what cannot be used; or nothing
            says where episodes were cut.
    """
    if lacking := [name for name in _NEEDED if name not in columns]:
        raise checks.BadData(
            f"{where} has observations, as D4RL's files do, but lacks {', '.join(lacking)}."
        )
    known = {name: np.asarray(columns[name]) for name in (*_NEEDED, *_OPTIONAL) if name in columns}
    for name, values in known.items():
        if values.ndim == 0:
            raise checks.BadData(
                f"{where}: {name} is a single value; a row for each step is needed."
            )
    demand_equal_lengths(known, where)
    for name in ("observations", "next_observations"):
        _demand_table(known, name, where)
    state, next_state = known["observations"], known.get("next_observations")
    terminated = flags(known["terminals"], "terminals", where)
    timeouts = flags(known["timeouts"], "timeouts", where) if "timeouts" in known else None
    episode, time = places(ends(FlatRows(state, terminated, next_state, timeouts, _NAMES), where))
    lived = {
        "state": state,
        "action": known["actions"],
        "reward": single(known["rewards"], "rewards", where),
        "terminated": terminated,
        "episode": episode,
        "time": time,
    }
    return completed(lived | ({} if next_state is None else {"next_state": next_state}), where)


def _demand_table(known: Mapping[str, np.ndarray], name: str, where: str) -> None:
    if name not in known:
        return
    values, shape = known[name], known["observations"].shape
    if values.ndim != 2 or values.shape != shape:
        raise checks.BadData(
            f"{where}: {name} has the shape {values.shape}; (rows, components) is needed."
        )
    if values.dtype.kind not in "biuf":
        raise checks.BadData(
            f"{where}: {name} holds the type {values.dtype}; real numbers are needed."
        )
