"""Options of a command that runs a sweep: where its cells run, and what happens to a sweep that
the store holds already.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from paracosm.core import checks


@dataclasses.dataclass(frozen=True)
class SweepOptions:
    """Where and how the cells of a sweep run; the fields are parameters of `sweep.run.sweep`.

    A store that holds a sweep already is used with `resume`, `retry_failed` or `force` alone.
    """

    backend: str = "local"
    workers: int | None = None
    resume: bool = False
    force: bool = False
    retry_failed: bool = False

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `sweep`, but `resume`: `require_usable` has already refused a
        store that must not be reused, so `sweep` may always resume.
        """
        return {
            "backend": self.backend,
            "workers": self.workers,
            "retry_failed": self.retry_failed,
            "force": self.force,
        }

    def require_usable(self, name: str, store: Path) -> None:
        """Require a store that these options allow to use; `name` is what the sweep belongs to.

        Raises:
            BadArgument: its folder is a file, flags contradict each other, or it holds a sweep and
                nothing says whether to go on with it.
            Missing: there is no sweep whose failed cells could be run again.
        """
        if store.parent.exists() and not store.parent.is_dir():
            raise checks.BadArgument(f"{store.parent} is a file; a folder is needed.")
        if self.force and (self.resume or self.retry_failed):
            raise checks.BadArgument(
                "--force is given with --resume or --retry-failed; one begins anew, the others go"
                " on with what there is."
            )
        if self.retry_failed and not store.exists():
            raise checks.Missing(f"there is no sweep {store} with cells that failed.")
        if store.exists() and not (self.resume or self.retry_failed or self.force):
            raise checks.BadArgument(
                f"{store} holds a sweep of {name}; give --resume to go on with it, --force to begin"
                " anew."
            )


LOCAL_SWEEP = SweepOptions()
