"""Numbers, configuration, figures and files as a run of MLflow."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paracosm.core.extras import import_optional
from paracosm.core.tracking import Figures, Tracker

_MOST_PARAMETERS = 100  # that MLflow takes at once
_LONGEST = 6000  # characters of a parameter that MLflow keeps


class MLflow(Tracker):
    """Logs to MLflow where `MLFLOW_TRACKING_URI` points; if that is not set, into MLflow's own
    default, the file `mlflow.db` and the folder `mlruns` of the current folder, without a server.

    A number `gap` of the stage `audit` is the metric `audit/gap`. The configuration are parameters,
    the run's files and the report's figures are artifacts. A resumed run goes on with the same
    MLflow run, and begins another where that was deleted. The caller's own active run, if any,
    stays as it is.
    """

    def __init__(self, experiment: str | None = None) -> None:
        """Log into `experiment`; into that of `MLFLOW_EXPERIMENT_NAME`, else `paracosm`, if none is
        given.

        Raises:
            Missing: the extra `mlflow` is not installed.
        """
        self._mlflow = import_optional("mlflow", "mlflow", "the tracker mlflow")
        name = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "paracosm"
        self._experiment, self._run, self._status = name, "", "FAILED"
        self._client: Any = None

    def start(self, run: Path, configuration: Mapping[str, Any], earlier: str | None) -> str | None:
        """Begin a run that is called as the run directory is, or go on with it; returns its id."""
        self._client = self._mlflow.MlflowClient()
        if earlier is not None and self._is_active(earlier):
            self._client.update_run(earlier, status="RUNNING")
            self._run = earlier
            return earlier
        experiment = self._client.get_experiment_by_name(self._experiment)
        number = (
            self._client.create_experiment(self._experiment)
            if experiment is None
            else experiment.experiment_id
        )
        self._run = self._client.create_run(number, run_name=run.name).info.run_id
        entity = self._mlflow.entities.Param
        settings = [entity(name, str(x)[:_LONGEST]) for name, x in configuration.items()]
        for first in range(0, len(settings), _MOST_PARAMETERS):
            batch = settings[first : first + _MOST_PARAMETERS]
            self._client.log_batch(self._run, params=batch)
        return self._run

    def _is_active(self, run: str) -> bool:
        """Whether the run can be gone on with: it was neither removed nor marked as deleted."""
        try:
            return self._client.get_run(run).info.lifecycle_stage == "active"
        except self._mlflow.exceptions.MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False

    def log(self, stage: str, step: int, numbers: Mapping[str, float]) -> None:
        now, entity = int(1000 * time.time()), self._mlflow.entities.Metric
        metrics = [entity(f"{stage}/{name}", float(x), now, step) for name, x in numbers.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def finish(self, files: Sequence[Path], figures: Figures) -> None:
        for file in files:
            self._client.log_artifact(self._run, str(file))
        with tempfile.TemporaryDirectory() as folder:
            for name, picture in figures().items():
                Path(folder, f"{name}.png").write_bytes(picture)
            self._client.log_artifacts(self._run, folder, "figures")
        self._status = "FINISHED"

    def close(self) -> None:
        if self._run:
            self._client.set_terminated(self._run, self._status)
