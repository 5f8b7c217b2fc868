"""TensorBoard, Weights & Biases and MLflow, read back by their own packages; and what a run does
with trackers that fail.
"""

import contextlib
import io
import json
import logging
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest

import paracosm
from paracosm.adapters.trackers import MLflow, TensorBoard, Wandb
from paracosm.cli import run as cli
from paracosm.core import checks
from paracosm.core.tracking import Several, Tracker
from paracosm.loop.directory import RunDirectory, files_of_run
from paracosm.loop.run_tracker import RunTracker
from tests.reporting import report_records

SETTINGS = {"env": "Pendulum-v1", "seed": 3, "reward": None, "learn.fit.rates": [0.1, 0.2]}
NUMBERS = [
    ("collect", 0, {"real_steps": 200}),
    ("imagine", 10, {"imagined_return": -240.5, "edge_share": 0.25}),
    ("imagine", 20, {"imagined_return": -130.0, "edge_share": 0.0}),
    ("audit", 0, {"gap": 3.5, "dynamics": float("nan")}),
]


def picture() -> bytes:
    buffer = io.BytesIO()
    matplotlib.figure.Figure(figsize=(0.2, 0.1)).savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def written(run: Path) -> list[Path]:
    """Two of a run's files."""
    run.mkdir(exist_ok=True)
    (run / "report.html").write_text("<!doctype html><title>A report</title>")
    (run / "result.json").write_text("{}")
    return [run / "report.html", run / "result.json"]


def follow(tracker: Tracker, run: Path, earlier: str | None = None) -> str | None:
    """A run that goes to its end."""
    name = tracker.start(run, SETTINGS, earlier)
    for row in NUMBERS:
        tracker.log(*row)
    tracker.finish(written(run), lambda: {"gap": picture()})
    tracker.close()
    return name


def test_tensorboard_reads_numbers_configuration_files_and_figures(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    assert follow(TensorBoard(), tmp_path) is None
    assert "tensorflow" not in sys.modules
    events = EventAccumulator(str(tmp_path)).Reload()
    scalars = events.Scalars("imagine/imagined_return")
    assert [(row.step, row.value) for row in scalars] == [(10, -240.5), (20, -130.0)]
    assert np.isnan(events.Scalars("audit/dynamics")[0].value)
    (image,) = events.Images("figures/gap")
    assert (image.width, image.height, image.encoded_image_string) == (20, 10, picture())
    assert "result.json" in events.Tensors("run/files")[0].tensor_proto.string_val[0].decode()
    stored = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    settings = plugin_data_pb2.HParamsPluginData.FromString(stored).session_start_info.hparams
    assert settings["env"].string_value == "Pendulum-v1"
    assert settings["seed"].number_value == 3
    assert settings["learn.fit.rates"].string_value == "[0.1, 0.2]"


def test_tensorboard_goes_on_in_the_same_folder_and_force_removes_it_with_the_run(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = RunDirectory.create(tmp_path / "run", {"rounds": 1}, resume=False, force=False)
    tracker = TensorBoard()
    tracker.start(run.path, SETTINGS, None)
    tracker.log("imagine", 10, {"imagined_return": -3.0})
    numbers = EventAccumulator(str(run.path)).Reload().Scalars("imagine/imagined_return")
    assert [row.step for row in numbers] == [10]  # on the disk, though nothing was closed
    tracker.close()
    follow(TensorBoard(run.path), tmp_path / "elsewhere")
    numbers = EventAccumulator(str(run.path)).Reload().Scalars("imagine/imagined_return")
    assert [row.step for row in numbers] == [10, 10, 20]
    run.close()
    assert [file.name for file in files_of_run(run.path) if "tfevents" in file.name]
    RunDirectory.create(run.path, {"rounds": 1}, resume=False, force=True).close()
    assert not list(run.path.glob("*tfevents*"))


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """Weights & Biases that sends nothing, and keeps everything below one folder."""
    monkeypatch.chdir(tmp_path)
    names = ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR")
    for name in names:
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    import wandb

    wandb.teardown()  # it reads its variables once
    yield tmp_path
    wandb.teardown()


def logged(file: Path) -> Iterator[bytes]:
    """The entries of a log of LevelDB's format, which W&B's offline files have after 7 bytes of
    their own: blocks of 32,768 bytes, in them pieces with a checksum, a length and a kind.
    """
    text, at, entry = file.read_bytes(), 7, b""
    while at < len(text):
        if at % 32768 > 32768 - 7:
            at += -at % 32768
            continue
        length, kind = struct.unpack_from("<HB", text, at + 4)
        entry += text[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield entry
            entry = b""


def records(folder: Path, kind: str) -> list:
    """What an offline run wrote, as W&B's own messages; its own process writes the file, and at
    times closes it after the run has ended.
    """
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    rows = []
    for _ in range(100):
        with contextlib.suppress(DecodeError, struct.error):  # half of an entry
            rows = list(map(Record.FromString, logged(file)))
        if any(row.WhichOneof("record_type") == "exit" for row in rows):
            break
        time.sleep(0.1)
    return [getattr(row, kind) for row in rows if row.WhichOneof("record_type") == kind]


def test_wandb_reads_numbers_configuration_files_and_figures(offline):
    name = follow(Wandb(), offline / "my run")
    (run,) = records(offline, "run")[:1]
    assert (run.run_id, run.project, run.display_name) == (name, "paracosm", "my run")
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["seed"] == 3
    assert config["learn"] == {"fit": {"rates": [0.1, 0.2]}}
    history = [
        {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in row.item}
        for row in records(offline, "history")
    ]
    steps = [(row["imagine/step"], row["imagine/imagined_return"]) for row in history[1:3]]
    assert steps == [(10, -240.5), (20, -130.0)]
    shown = str(history[-1])
    assert "figures/gap" in shown
    assert "image-file" in shown
    assert "html-file" in shown
    (artifact,) = [row for row in records(offline, "artifact") if row.type == "paracosm-run"]
    assert artifact.name == "my-run"
    assert {entry.path for entry in artifact.manifest.contents} == {"report.html", "result.json"}
    (end,) = records(offline, "exit")
    assert end.exit_code == 0


def test_wandb_that_cannot_begin_refuses_the_run_before_anything_is_made(offline, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    import wandb

    wandb.teardown()
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(offline / "none"))
    with (
        RunTracker(Wandb()) as following,
        pytest.raises(checks.BadArgument, match=r"the tracker Wandb cannot be started: .*API key"),
    ):
        following.begin(offline / "run", SETTINGS, resume=False)
    assert not (offline / "run").exists()


@pytest.fixture
def local(tmp_path, monkeypatch):
    """MLflow with a store of plain files, which takes no seconds to make."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    return MlflowClient()


def test_mlflow_reads_numbers_configuration_files_and_figures(local, tmp_path):
    name = follow(MLflow(), tmp_path / "pendulum")
    run = local.get_run(name)
    assert run.info.run_name == "pendulum"
    assert run.info.status == "FINISHED"
    assert run.data.params["env"] == "Pendulum-v1"
    assert run.data.params["learn.fit.rates"] == "[0.1, 0.2]"
    history = local.get_metric_history(name, "imagine/imagined_return")
    assert [(row.step, row.value) for row in history] == [(10, -240.5), (20, -130.0)]
    artifacts = {file.path for file in local.list_artifacts(name)}
    assert artifacts == {"report.html", "result.json", "figures"}
    assert [file.path for file in local.list_artifacts(name, "figures")] == ["figures/gap.png"]


def test_mlflow_goes_on_with_a_run_and_begins_another_where_that_was_deleted(local, tmp_path):
    stopped = MLflow("mine")
    name = stopped.start(tmp_path / "run", SETTINGS, None)
    stopped.log("imagine", 10, {"imagined_return": -1.0})
    stopped.close()
    assert local.get_run(name).info.status == "FAILED"
    assert local.get_experiment_by_name("mine") is not None
    assert follow(MLflow("mine"), tmp_path / "run", name) == name
    assert local.get_run(name).info.status == "FINISHED"
    steps = [row.step for row in local.get_metric_history(name, "imagine/imagined_return")]
    assert sorted(steps) == [10, 10, 20]
    local.delete_run(name)
    assert MLflow("mine").start(tmp_path / "run", SETTINGS, name) != name


@pytest.mark.full
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
def test_mlflow_without_settings_writes_a_local_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow

    name = follow(MLflow(), tmp_path / "run")
    assert (tmp_path / "mlflow.db").stat().st_size > 0
    run = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").get_run(name)
    assert run.data.metrics["audit/gap"] == 3.5


@pytest.mark.parametrize(
    ("kind", "module"), [(TensorBoard, "tensorboard"), (Wandb, "wandb"), (MLflow, "mlflow")]
)
def test_a_missing_extra_is_refused_with_how_to_install_it(kind, module, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(checks.Missing, match=rf"pip install 'paracosm\[{module}\]'"):
        kind()


def test_the_command_line_makes_several_by_name(local):
    tracker = cli._tracker_of("tensorboard, mlflow,tests.adapters.test_trackers:Failing")()
    assert [type(part) for part in tracker.trackers] == [TensorBoard, MLflow, Failing]
    with pytest.raises(checks.BadArgument, match="--track is 'tensorbord'; it must be one of"):
        cli._tracker_of("mlflow,tensorbord")()


class Failing(Tracker):
    """Fails at the second number, or where it is told to."""

    def __init__(self, where: str = "log"):
        self.where, self.calls = where, []

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if what == self.where and self.calls.count(what) > 1 - (what != "log"):
            raise OSError("No space left on device")

    def start(self, run, configuration, earlier):
        self.earlier = earlier
        self._called("start")
        return f"{run.name}-{len(configuration)}"

    def log(self, stage, step, numbers):
        self._called("log")

    def finish(self, files, figures):
        self._called("finish")

    def close(self):
        self._called("close")


def test_one_tracker_that_fails_costs_neither_the_run_nor_the_others(tmp_path, caplog):
    failing, sound = Failing(), Failing("nowhere")
    caplog.set_level(logging.WARNING, "paracosm.tracking")
    with RunTracker(Several(failing, sound)) as following:
        following.begin(tmp_path / "run", {"seed": 1, "learn": {"margin": 0.1}}, resume=False)
        run = RunDirectory.create(tmp_path / "run", {"rounds": 1}, resume=False, force=False)
        following.remember(run)
        for row in NUMBERS:
            following.log(*row)
        following.finish(run, report_records.run())
        run.close()
    (message,) = caplog.messages
    assert message == (
        "The tracker Failing failed at step 10 of imagine and gets nothing more; the run goes on:"
        " OSError: No space left on device."
    )
    assert failing.calls == ["start", "log", "log", "close"]
    assert sound.calls == ["start", *["log"] * len(NUMBERS), "finish", "close"]
    again = Failing("close"), Failing("nowhere")
    with RunTracker(Several(*reversed(again))) as following:
        following.begin(tmp_path / "run", {"seed": 1}, resume=True)
    assert {tracker.earlier for tracker in again} == {"run-2"}
    assert again[0].calls == ["start", "close"]


@pytest.mark.parametrize("earlier", ["id", '["a"]', '{"Failing": 1}', None])
def test_names_that_a_damaged_log_holds_are_none(tmp_path, earlier):
    tracker = Failing("nowhere")
    Several(tracker).start(tmp_path, {}, earlier)
    assert tracker.earlier is None


@pytest.mark.full
def test_a_run_goes_on_in_its_trackers_after_it_was_stopped(local, tmp_path, monkeypatch):
    from tests.loop.small import numbers, small_run

    class Stopping(Tracker):
        def log(self, stage, step, numbers):
            if stage == "evaluate":
                raise KeyboardInterrupt

    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        small_run(out, tracker=lambda: Several(MLflow(), Stopping()))
    (run,) = local.search_runs([local.get_experiment_by_name("paracosm").experiment_id])
    assert run.info.status == "FAILED"
    tracked = small_run(out, resume=True, tracker=Several(MLflow(), Failing("finish")))
    (again,) = local.search_runs([run.info.experiment_id])
    assert (again.info.run_id, again.info.status) == (run.info.run_id, "FINISHED")
    assert again.data.metrics["audit/gap"] == tracked.diagnosis.gap.total.mean
    assert {"report.html", "result.json", "policy.eqx", "figures"} <= {
        file.path for file in local.list_artifacts(run.info.run_id)
    }
    assert numbers(small_run(tmp_path / "plain")) == numbers(tracked)


def test_nothing_is_imported_that_was_not_asked_for():
    code = (
        "import sys, paracosm; paracosm.trackers.TensorBoard, paracosm.run; "
        "assert not {'tensorboard', 'wandb', 'mlflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert "trackers" in paracosm.__all__
