"""Numbers, configuration, figures and files as a run of Weights & Biases."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paracosm.core.extras import import_optional
from paracosm.core.tracking import Figures, Tracker


class Wandb(Tracker):
    """Logs to Weights & Biases, as `WANDB_MODE`, `WANDB_ENTITY`, `WANDB_DIR` and its other
    variables say; with `WANDB_MODE=offline` nothing is sent.

    A number `gap` of the stage `audit` is `audit/gap`, drawn against the stage's own `audit/step`.
    The configuration is the run's config, the report's figures are images, its page is shown as
    `report`, and the run's files are an artifact of the type `paracosm-run`. A resumed run goes on
    with the run of the same id; offline it writes a second folder of that id, which
    `wandb sync --append` adds to the first. W&B sends in the background and waits for a lost
    connection by itself.
    """

    def __init__(self, project: str | None = None) -> None:
        """Log into `project`; into that of `WANDB_PROJECT`, else `paracosm`, if none is given.

        Raises:
            Missing: the extra `wandb` is not installed.
        """
        self._wandb = import_optional("wandb", "wandb", "the tracker wandb")
        self._project = project or os.environ.get("WANDB_PROJECT") or "paracosm"
        self._run: Any = None
        self._stages: set[str] = set()
        self._exit_code = 1

    def start(self, run: Path, configuration: Mapping[str, Any], earlier: str | None) -> str | None:
        """Begin a run that is called as the run directory is, or go on with it; returns its id."""
        self._run = self._wandb.init(
            project=self._project,
            name=run.name,
            id=earlier,
            resume="allow" if earlier else None,
            config=_as_tree(configuration),
            # A run of the caller's own that is under way stays as it is.
            reinit="create_new",
            # W&B would replace the standard streams, which progress bars are drawn on.
            settings=self._wandb.Settings(console="off"),
        )
        return self._run.id

    def log(self, stage: str, step: int, numbers: Mapping[str, float]) -> None:
        # W&B's own step may only grow, and steps of stages count different things.
        if stage not in self._stages:
            self._stages.add(stage)
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
        values = {f"{stage}/{name}": number for name, number in numbers.items()}
        self._run.log({**values, f"{stage}/step": step})

    def finish(self, files: Sequence[Path], figures: Figures) -> None:
        wandb = self._wandb
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", self._run.name or self._run.id)[-100:]
        artifact = wandb.Artifact(name, type="paracosm-run")
        for file in files:
            artifact.add_file(str(file), name=file.name)
        self._run.log_artifact(artifact)
        with tempfile.TemporaryDirectory() as folder:
            images = {}
            for title, picture in figures().items():
                path = Path(folder, f"{title}.png")
                path.write_bytes(picture)
                images[f"figures/{title}"] = wandb.Image(str(path))
            pages = {
                file.stem: wandb.Html(str(file), inject=False)
                for file in files
                if file.suffix == ".html"
            }
            self._run.log({**images, **pages})
        self._exit_code = 0

    def close(self) -> None:
        if self._run is not None:
            self._run.finish(exit_code=self._exit_code)


def _as_tree(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The tree of settings: W&B reads a dot in a name as a level."""
    tree: dict[str, Any] = {}
    for name, value in configuration.items():
        *heads, last = name.split(".")
        branch = tree
        for head in heads:
            branch = branch.setdefault(head, {})
        branch[last] = value
    return tree
