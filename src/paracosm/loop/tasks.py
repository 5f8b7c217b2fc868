"""Whether runs are of one task, and whether they have different policies."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx

from paracosm.core import checks
from paracosm.core.encoder import Encoder
from paracosm.core.files import shown
from paracosm.core.policy import Policy
from paracosm.loop.load import Run

# A policy of states, and what makes these of observations, None where observations are states.
PolicyAndEncoder = tuple[Policy, Encoder | None]


def same_policy(first: PolicyAndEncoder, second: PolicyAndEncoder) -> bool:
    """Whether policies and encoders have the same structure and equal parameters."""
    return bool(eqx.tree_equal(first, second))


def require_one_task(runs: Sequence[Run]) -> None:
    """Refuse runs of different environments, arguments of them, or steps of a whole episode.

    Raises:
        BadArgument: two runs are of different tasks; the sentence names both and what differs.
    """
    tasks = [
        {
            "env": run.config.env,
            "arguments": run.config.arguments,
            "horizon": run.config.horizon or run.world.spec.horizon,
        }
        for run in runs
    ]
    for run, task in zip(runs[1:], tasks[1:], strict=True):
        for name, value in tasks[0].items():
            if task[name] != value:
                raise checks.BadArgument(
                    f"{shown(runs[0].path)} has {name} {value}, {shown(run.path)} has"
                    f" {task[name]}; policies of one task are needed."
                )
