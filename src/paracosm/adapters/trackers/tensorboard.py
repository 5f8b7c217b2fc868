"""Numbers, configuration and figures as an event file that TensorBoard shows."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paracosm.core.extras import import_optional
from paracosm.core.files import as_path
from paracosm.core.tracking import Figures, Tracker

_MODULES = {
    "events": "compat.proto.event_pb2",
    "summaries": "compat.proto.summary_pb2",
    "records": "summary.writer.record_writer",
    "hparams": "plugins.hparams.summary_v2",
    "text": "plugins.text.summary_v2",
}
_SIZE = slice(16, 24)  # of a PNG file: where its width and its height stand
_RGBA = 4


class TensorBoard(Tracker):
    """Writes an event file with the `tensorboard` package; neither TensorFlow nor PyTorch is used.

    A number `gap` of the stage `audit` has the tag `audit/gap`. The configuration is in the HPARAMS
    tab, the report's figures are in IMAGES, and TEXT names the run's files, which an event file
    cannot hold. Every number is on the disk when `log` returns. A resumed run writes another event
    file into the same folder, which TensorBoard shows as the same run.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        """Write into `folder`; into the run directory itself if none is given, so that
        `tensorboard --logdir runs` names every run by its directory.

        Raises:
            Missing: the extra `tensorboard` is not installed.
            BadArgument: `folder` is no path.
        """
        self._folder = None if folder is None else as_path("folder", folder)
        self._modules = {
            name: import_optional(f"tensorboard.{module}", "tensorboard", "the tracker tensorboard")
            for name, module in _MODULES.items()
        }
        self._writer: Any = None
        self._configuration: Mapping[str, Any] = {}

    def start(self, run: Path, configuration: Mapping[str, Any], earlier: str | None) -> str | None:
        """Remember where to write; the file is opened with the first number, when the run directory
        is there.
        """
        self._folder = self._folder or run
        self._configuration = configuration
        return None

    def log(self, stage: str, step: int, numbers: Mapping[str, float]) -> None:
        value = self._modules["summaries"].Summary.Value
        values = [value(tag=f"{stage}/{name}", simple_value=x) for name, x in numbers.items()]
        self._add(self._modules["summaries"].Summary(value=values), step)

    def finish(self, files: Sequence[Path], figures: Figures) -> None:
        names = "\n\n".join(str(file.absolute()) for file in files)
        self._add(self._modules["text"].text_pb("run/files", names), 0)
        summary = self._modules["summaries"].Summary
        for name, picture in figures().items():
            width, height = struct.unpack(">II", picture[_SIZE])
            image = summary.Image(
                height=height, width=width, colorspace=_RGBA, encoded_image_string=picture
            )
            self._add(summary(value=[summary.Value(tag=f"figures/{name}", image=image)]), 0)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _add(self, summary: Any, step: int) -> None:
        """Append a summary to the event file, which is opened first if it is not yet."""
        if self._writer is None:
            self._writer = self._open_writer()
            self._write(file_version="brain.Event:2")  # the format, which readers look for
            settings = {name: _plain(value) for name, value in self._configuration.items()}
            self._write(summary=self._modules["hparams"].hparams_pb(settings), step=0)
        self._write(summary=summary, step=step)

    def _open_writer(self) -> Any:
        """A writer of a new event file."""
        folder = self._folder or Path()
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files of a folder in the order of their names.
        name = f"events.out.tfevents.{int(time.time()):010d}.{os.getpid()}"
        return self._modules["records"].RecordWriter((folder / name).open("ab"))

    def _write(self, **content: Any) -> None:
        """Write an event with this content to the disk."""
        event = self._modules["events"].Event(wall_time=time.time(), **content)
        self._writer.write(event.SerializeToString())
        self._writer.flush()


def _plain(value: Any) -> bool | int | float | str:
    """A setting as one of the types that the HPARAMS tab knows."""
    return value if isinstance(value, bool | int | float | str) else str(value)
