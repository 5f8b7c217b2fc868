"""Whether runs are of one task."""

from __future__ import annotations

from collections.abc import Sequence

from paracosm.core import checks
from paracosm.core.files import shown
from paracosm.loop.load import Run


def demand_one_task(runs: Sequence[Run]) -> None:
    """Refuse runs of different environments, arguments of them, or steps of a whole episode.

    Raises:
        BadArgument: it is so; the sentence names two runs and what differs.
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
