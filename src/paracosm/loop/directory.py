"""The run directory: whole files only, a log of events, and which stages are finished."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from paracosm.core import checks
from paracosm.core.files import read_json, whole, writing


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """A run's files. A stage is finished when the log says so, after its files are whole."""

    path: Path

    @classmethod
    def create(cls, path: Path, config: dict[str, Any], *, resume: bool, force: bool) -> RunDirectory:
        """Start a run in `path`, or go on with the one that is there.

        Raises:
            BadArgument: `path` holds a run (and neither `resume` nor `force`), another run than the one to resume,
                something that is no run, or cannot be written.
        """
        if resume and force:
            raise checks.BadArgument("both --resume and --force are given; choose whether to go on or to start again.")
        run = cls(Path(path))
        try:
            found = run.path.exists() and any(run.path.iterdir())
            if found and not (run.path / "config.json").is_file():
                raise checks.BadArgument(f"{path} exists and holds no run; choose another --out.")
            if found and not (resume or force):
                raise checks.BadArgument(
                    f"{path} already holds a run; give --resume to go on, --force to start again, or another --out."
                )
            if found and resume:
                run._same(config)
                return run
            if found:
                run._clear()
            for folder in ("data", "models"):
                (run.path / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise checks.BadArgument(
                f"--out {path} cannot be used ({error.strerror}); a writable folder is needed."
            ) from None
        run.write("config.json", json.dumps(config, indent=1))
        return run

    def _same(self, config: dict[str, Any]) -> None:
        before = read_json(self.path / "config.json")
        for name in {*before, *config} - {"workers"}:
            if before.get(name) != config.get(name):
                raise checks.BadArgument(
                    f"the run in {self.path} had {name} = {before.get(name)!r}, not {config.get(name)!r};"
                    " --resume needs the same settings."
                )

    def _clear(self) -> None:
        """Remove the files of the run that is there, and nothing else."""
        ours = ("events.jsonl", "*.eqx", "policy.json", "audit.json", "result.json", "report.html")
        ours += ("plan-*.json", "measured.json")
        for pattern in (*ours, "data/*.npz*", "models/*.eqx", "models/*.json", "config.json"):
            for file in self.path.glob(pattern):
                file.unlink()

    def file(self, name: str) -> Path:
        """The path of a file of the run."""
        return self.path / name

    def write(self, name: str, text: str) -> None:
        """Write a text file whole or not at all."""
        with whole(self.path / name) as part:
            part.write_text(text, encoding="utf-8")

    def log(self, event: str, **facts: Any) -> None:
        """Append one line to the log of events, after ending one that a kill cut off."""
        file = self.path / "events.jsonl"
        with writing(file), file.open("a+b") as log:
            if log.tell() and os.pread(log.fileno(), 1, log.tell() - 1) != b"\n":
                log.write(b"\n")
            line = json.dumps({"event": event, "at": round(time.time(), 3), **facts})
            log.write(f"{line}\n".encode())
            log.flush()
            os.fsync(log.fileno())

    def events(self) -> list[dict[str, Any]]:
        """The log; a line that was cut off by a kill is left out."""
        file = self.path / "events.jsonl"
        found = []
        for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return found

    def stage(self, name: str, make: Callable[[], Any], save: Callable[[Any], None], load: Callable[[], Any]) -> Any:
        """The result of a stage: loaded if it finished before, else made, saved and logged with the time it took."""
        if any(event["event"] == "finished" and event["stage"] == name for event in self.events()):
            return load()
        self.log("started", stage=name)
        before = time.perf_counter()
        result = make()
        save(result)
        self.log("finished", stage=name, seconds=round(time.perf_counter() - before, 3))
        return result

    def seconds(self) -> dict[str, float]:
        """Time by kind of stage, summed over rounds; a stage's name is `kind` or `kind-round`."""
        spent: dict[str, float] = {}
        for event in self.events():
            if event["event"] == "finished":
                kind = event["stage"].split("-")[0]
                spent[kind] = round(spent.get(kind, 0.0) + event["seconds"], 3)
        return spent
