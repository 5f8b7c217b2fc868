"""How a command runs the cells of its sweep, and what it does with a sweep that is there."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from paracosm.core import checks


@dataclasses.dataclass(frozen=True)
class How:
    """How the cells are run: see `sweep.run.sweep`.

    With neither `resume` nor `force` nothing that is there is used.
    """

    backend: str = "local"
    workers: int | None = None
    resume: bool = False
    force: bool = False
    retry_failed: bool = False

    def options(self) -> dict[str, Any]:
        """The arguments of `sweep`, once the store has been checked."""
        return {
            "backend": self.backend,
            "workers": self.workers,
            "retry_failed": self.retry_failed,
            "force": self.force,
        }

    def check(self, name: str, store: Path) -> None:
        """Whether the store may be used so; `name` is of what the sweep belongs to.

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


HERE = How()
