"""A finished run, read back."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import typing
from pathlib import Path
from typing import Any, TypeVar

from paracosm.auditing.attribution import MOST_IMAGINED_STEPS
from paracosm.auditing.plausibility import RANDOM, RECORDED, reference
from paracosm.core import checks
from paracosm.core.data import Dataset, Trajectory
from paracosm.core.files import as_path, read_json, read_record, shown
from paracosm.core.learned import Learned
from paracosm.core.learner import Problem
from paracosm.core.mdp import MDP
from paracosm.core.policy import Policy
from paracosm.core.records import Diagnosis, Reference, typed
from paracosm.core.records.results import Comparison, RunResult
from paracosm.imagination.imagine import Imagined, ImagineSettings, problem_of
from paracosm.learning.settings import FitSettings, LearnSettings
from paracosm.loop import store, trajectories
from paracosm.loop.auditing import audit
from paracosm.loop.config import RunConfig
from paracosm.loop.directory import CONFIG, MARK
from paracosm.loop.run import learner_of
from paracosm.real import datasets, registry
from paracosm.real.source import Source
from paracosm.real.verbs import connect

S = TypeVar("S")


@dataclasses.dataclass(frozen=True)
class Run:
    """A run directory; every part is read when it is asked for.

    A run may name code of its user's: an environment, a known reward or end rule, a learner,
    `module:function`.
    A directory from elsewhere must not run code, so these are imported only with `trust`.
    """

    path: Path
    trust: bool = False

    def __post_init__(self) -> None:
        path = as_path("the run directory", self.path)
        if not os.path.isfile(path / CONFIG):
            raise checks.Missing(f"{shown(path)} is no run directory; it has no {CONFIG}.")
        if read_json(path / CONFIG).get("format") != MARK:
            raise checks.BadData(
                f"{shown(path / CONFIG)} is not of a run, or of one that another version made."
            )

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """What the run was asked to do, checked as it was when the run began."""
        file = self.path / CONFIG
        config = read_json(file)
        _read(RunConfig, config, "", file)
        return config

    @functools.cached_property
    def result(self) -> RunResult:
        """What the run found."""
        file = self.path / "result.json"
        if not os.path.isfile(file):
            raise checks.Missing(
                f"the run in {shown(self.path)} is not finished; go on with paracosm run …"
                " --resume."
            )
        return read_record(RunResult, file)

    @functools.cached_property
    def policy(self) -> Policy:
        """The policy: `policy(observation) -> action` plays its mode, on NumPy arrays."""
        return store.load_policy(self.path / "policy")

    @functools.cached_property
    def learned(self) -> Learned:
        """The learned world of the last round, and how it was learned."""
        known = {
            part: None
            if self.config[part] is None
            else registry.function(self._trusted(self.config[part]))
            for part in ("reward", "termination")
        }
        return store.load_world(self.path / f"models/world-{self._last}", **known)

    @property
    def world(self) -> MDP:
        """The learned world of the last round."""
        return self.learned.world

    @functools.cached_property
    def imagined(self) -> Imagined:
        """The last round's training: policy, value and what was believed."""
        file, learner = self.path / f"models/policy-{self._last}", None
        if self.config["learner"] is not None:
            where = self._trusted(self.config["learner"])
            learner = learner_of(where, self.imagine_settings)
        return store.load_imagined(file, self.world, learner, self._problem)

    def _problem(self) -> Problem:
        """What the last round's policy was trained for."""
        options = {"seed": self.config["seed"], "round": self._last}
        return problem_of(self.learned, self.data, settings=self.imagine_settings, **options)

    @functools.cached_property
    def data(self) -> Dataset:
        """Everything bought, all rounds joined."""
        rounds = [
            datasets.load(self.path / f"data/round-{i}.npz") for i in range(self.config["rounds"])
        ]
        return functools.reduce(Dataset.join, rounds)

    @functools.cached_property
    def episodes(self) -> Trajectory:
        """The real evaluation episodes."""
        file = self.path / "data/evaluation.npz"
        if not os.path.isfile(file):
            raise checks.Missing(
                f"the run in {shown(self.path)} was not evaluated yet; go on with paracosm run …"
                " --resume."
            )
        return trajectories.load(file)

    @functools.cached_property
    def reference(self) -> Reference:
        """What the first purchase says without the policy."""
        first = datasets.load(self.path / "data/round-0.npz")
        return reference(
            first, self.world.spec.horizon, RANDOM if self.config["data"] is None else RECORDED
        )

    @property
    def learn_settings(self) -> LearnSettings:
        """How the run's parts were fitted."""

        file = self.path / CONFIG
        fit = _read(FitSettings, self.config, "learn.fit.", file)
        return _read(LearnSettings, self.config, "learn.", file, fit=fit)

    @property
    def imagine_settings(self) -> ImagineSettings:
        """How the run's policy was trained."""
        return _read(ImagineSettings, self.config, "imagine.", self.path / CONFIG)

    def source(self) -> Source:
        """The real environment again."""
        kwargs = json.loads(self.config["env_kwargs"])
        return connect(self._trusted(self.config["env"]), kwargs, self.config.get("horizon"))

    def _trusted(self, where: str) -> str:
        if ":" in where and not self.trust:
            raise checks.BadArgument(
                f"the run in {self.path} names code to import, {where}; trust it (--trust) if it"
                " is yours."
            )
        return where

    @property
    def _last(self) -> int:
        return self.config["rounds"] - 1


def load(path: str | Path, *, trust: bool = False) -> Run:
    """The run in the directory `path`; with `trust` the code that it names may be imported.

    Raises:
        BadArgument: `path` is no path.
        Missing: it is no run directory.
        BadData: its config.json is damaged.
    """
    return Run(as_path("the run directory", path), trust)


def _read(kind: type[S], config: dict[str, Any], head: str, file: Path, **settings: Any) -> S:
    """The settings of a kind that config.json holds.

    Args:
        kind: The record of settings.
        config: What config.json holds, by name.
        head: What the names of these settings begin with there, such as `learn.`.
        file: Path of config.json, for the error message.
        settings: Settings of the kind that are not in config.json.

    Raises:
        BadData: one is missing, of another type or out of range; the sentence names file and
            setting.
    """
    kinds = {
        name: hint for name, hint in typing.get_type_hints(kind).items() if name not in settings
    }
    if lacking := [head + name for name in kinds if head + name not in config]:
        raise checks.BadData(f"{shown(file)} is damaged: it lacks {', '.join(lacking)}.")
    try:
        return kind(
            **{name: typed(config[head + name], hint, head + name) for name, hint in kinds.items()},
            **settings,
        )
    except checks.ParacosmError as error:
        raise checks.BadData(f"{shown(file)} is damaged: {error}") from None


def audit_run(
    run: Run,
    episodes: Trajectory | None = None,
    *,
    discount: float = 1.0,
    most_imagined_steps: float = MOST_IMAGINED_STEPS,
) -> Diagnosis:
    """Audit a run again, on its own evaluation episodes or on others of the same policy: see
    `audit`.

    Args:
        run: A finished run, as `load` gives it.
        episodes: Real episodes of the run's policy; the run's own if None.
        discount, most_imagined_steps: As for `audit`.
    """
    return audit(
        run.world,
        run.policy,
        run.episodes if episodes is None else episodes,
        run.imagined,
        discount=discount,
        known=run.reference,
        seed=run.config["seed"],
        most_imagined_steps=most_imagined_steps,
    )


def compare(*runs: str | Path) -> Comparison:
    """The results of several runs side by side, named by their directories.

    Raises:
        BadArgument: fewer than two runs, or one that is no path.
    """
    different = {os.path.realpath(as_path("a run directory", path)) for path in runs}
    if len(different) < 2:
        raise checks.BadArgument(
            f"{len(different)} run is given; a comparison needs at least two different ones."
        )
    return Comparison({os.fspath(path): load(path).result for path in runs})
