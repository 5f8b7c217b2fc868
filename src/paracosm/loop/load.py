"""A finished run, read back."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar, Unpack

import numpy as np

from paracosm.adapters.predicting import Predictor
from paracosm.auditing.plausibility import RANDOM, RECORDED, reference
from paracosm.auditing.search import Candidate
from paracosm.core import checks
from paracosm.core.data import Dataset, Trajectory
from paracosm.core.encoder import Encoder, encode_rows
from paracosm.core.files import as_path, read_json, shown
from paracosm.core.learned import Learned
from paracosm.core.learner import Learner, Problem
from paracosm.core.mdp import MDP, Spec
from paracosm.core.observing import Observing
from paracosm.core.policy import Policy
from paracosm.core.records import Diagnosis, Reference, Training
from paracosm.core.records.ranking import Ranking
from paracosm.core.records.results import RunResult
from paracosm.core.storage import NotImported
from paracosm.imagination.caution import Caution
from paracosm.imagination.imagine import Imagined, problem_of
from paracosm.imagination.place_planner import place_planner
from paracosm.imagination.settings import ImagineSettings
from paracosm.loop import store, trajectories
from paracosm.loop.auditing import (
    PLANNER_AUDIT_DEFAULTS,
    AuditOptions,
    audit,
    calibrate,
    check_budgets,
    with_next_step,
)
from paracosm.loop.config import RunConfig
from paracosm.loop.directory import CONFIG, collected_rounds
from paracosm.loop.latents import ENCODER_KINDS, Networks, load_encoder
from paracosm.loop.named_parts import (
    PLANNERS,
    WINDOW,
    caution_of,
    encoder_of,
    learner_of,
    observed_source,
    planner_of,
)
from paracosm.loop.names import by_name, nested
from paracosm.loop.results import ranking_of, require_run, result_of
from paracosm.loop.searching import (
    MOST_STEPS,
    affordable_starts,
    as_candidate,
    fewest_steps,
    trained_again,
    training_budget,
)
from paracosm.loop.short_rounds import training_settings, uses_short_rounds
from paracosm.real import datasets, registry
from paracosm.real.source import Source

T = TypeVar("T")

_TRAINED = ("longer", "again")  # searches that are no planners: training on, and another training


class _UsualSearch(NamedTuple):
    """What an audit holds a policy against where no search is named.

    Attributes:
        name: Of the search.
        played: The audited policy and the search.
        horizon: For how many steps each of them is played.
    """

    name: str
    played: tuple[Candidate, Candidate]
    horizon: int


@dataclasses.dataclass(frozen=True)
class Run:
    """A run directory; every part is read when it is asked for.

    A run may name code of its user's, `module:function`: an environment, a given reward or end
    rule, a learner. A directory from elsewhere must not run code, so these are imported only with
    `trust`. With a `round` world, policy and data are those that the run had after that round.
    """

    path: Path
    trust: bool = False
    round: int | None = None

    def __post_init__(self) -> None:
        require_run(as_path("the run directory", self.path))

    @functools.cached_property
    def config(self) -> RunConfig:
        """What the run was asked to do, checked as it was when the run began."""
        return _read_config(self.path / CONFIG)

    @functools.cached_property
    def result(self) -> RunResult:
        """What the run found."""
        return result_of(self.path)

    # The policy, the learned world and the training of the last round.

    @functools.cached_property
    def policy(self) -> Policy:
        """The policy: `policy(observation) -> action` plays its mode, on NumPy arrays; a planner,
        which is in the learned world, acts with its carry.
        """
        if self.config.planner is not None or self.round is not None:
            return self.imagined.policy
        return self._with_own_code(lambda: store.load_policy(self.path / "policy"))

    @functools.cached_property
    def learned(self) -> Learned:
        """The learned world of the last round, and how it was learned."""
        return self._with_own_code(
            lambda: store.load_world(
                self.path / f"models/world-{self._last}",
                reward=self._given_part(self.config.reward),
                termination=self._given_part(self.config.termination),
            )
        )

    def _given_part(self, where: str | None) -> Callable | None:
        """The function of a part that the run was given, None if the part was learned."""
        return None if where is None else registry.import_function(self.trusted(where))

    @property
    def world(self) -> MDP:
        """The learned world of the last round."""
        return self.learned.world

    @functools.cached_property
    def spec(self) -> Spec:
        """What is fixed about the task, as the world of the last round has it."""
        return self._with_own_code(
            lambda: store.load_spec(self.path / f"models/world-{self._last}")
        )

    @functools.cached_property
    def imagined(self) -> Imagined:
        """The last round's training: policy, value and what was believed."""
        if self.config.planner is not None:
            return self._planned(self.config.planner)
        file = self.path / f"models/policy-{self._last}"
        return store.load_imagined(file, self.world, self._problem, self.learner)

    def _problem(self) -> Problem:
        """What the last round's policy was trained for."""
        horizon = self._training(self._last).horizon
        return problem_of(
            self.learned,
            self.data,
            settings=dataclasses.replace(self.config.imagine, horizon=horizon),
            seed=self.config.seed,
            round=self._last,
            caution=self._caution(self.learner),
        )

    def _caution(self, learner: Learner | None) -> Caution:
        """The run's caution, or what `learner` has if the run names none."""
        named = self.config.caution
        return caution_of(named and self.trusted(named), learner)

    @property
    def learner(self) -> Learner | None:
        """The learner that trained the policy, None if it was REINFORCE."""
        where = self.config.learner
        return learner_of(where and self.trusted(where), self.config.imagine)

    # Other searches in the learned world.

    def search(self, name: str, most_steps: float = MOST_STEPS / 2) -> Candidate:
        """Another search in the world of the last round: `longer`, where training goes on, `again`,
        where it begins anew from another seed, or a planner by its name as `planner` takes it.

        `most_steps` is what training may cost, in imagined steps.

        Raises:
            BadArgument: there is no search of that name; no policy was trained, which would go on
                or begin anew.
        """
        require_search(name)
        if name not in _TRAINED:
            return as_candidate(self.planner(name))
        if self.config.planner is not None:
            raise checks.BadArgument(
                f"the run in {shown(self.path)} planned and trained nothing; another planner is"
                f" needed in place of {name}."
            )
        return trained_again(
            self.learned,
            self.data,
            self.imagined if name == "longer" else None,
            self.imagined.training,
            learner=self.learner,
            caution=self._caution(self.learner),
            settings=self._training_settings,
            seed=self.config.seed,
            most_steps=most_steps,
        )

    def searches(
        self, names: Sequence[str], policy: Policy, horizon: int, most_steps: float = MOST_STEPS
    ) -> dict[str, Candidate]:
        """Several searches by name, of which those that train share what playing leaves of the
        budget.

        Args:
            names: As `search` takes them.
            policy: The audited policy, which will be played beside them.
            horizon: Steps of each episode.
            most_steps: What all of them may cost together, in imagined steps.

        Raises:
            BadArgument: as `search` has it, or the budget is too small; nothing was trained.
        """
        for name in names:
            require_search(name)
        # Searches that train are made last, when it is known what playing the others costs.
        made = {name: None if name in _TRAINED else self.search(name) for name in names}
        trains = None in made.values()
        budget = training_budget(policy, made, horizon, most_steps) if trains else 0
        return {name: search or self.search(name, budget) for name, search in made.items()}

    @property
    def _training_settings(self) -> ImagineSettings:
        """How the policy was trained, for as many steps as all rounds took together."""
        learner = self.learner
        if not uses_short_rounds(learner):
            return self.config.imagine
        steps = sum(self._training(round).step[-1] for round in range(self._last + 1))
        return training_settings(steps, learner, self.spec.action)

    def _training(self, round: int) -> Training:
        """How the training of a round went."""
        return store.header(store.ImaginedHeader, self.path / f"models/policy-{round}").training

    def usual_searches(
        self, planner: str | None = None, most_steps: float = MOST_STEPS
    ) -> tuple[str, ...]:
        """Names of the searches that an audit holds the run's policy against where none is named:
        one planner, or nothing where the budget of imagined steps would not do.

        Args:
            planner: The planner that is audited in place of the policy, if any.
            most_steps: The budget.
        """
        usual = self._usual_search(planner)
        return (usual.name,) if affordable_starts(usual.played, usual.horizon, most_steps) else ()

    def usual_search_needs(self, planner: str | None = None) -> int:
        """What the search of `usual_searches` takes at the least, in imagined steps."""
        usual = self._usual_search(planner)
        return fewest_steps(usual.played, usual.horizon)

    def _usual_search(self, planner: str | None) -> _UsualSearch:
        """What an audit of the policy, or of a `planner` in its place, is held against."""
        own = planner or self.config.planner
        name = "cem" if own == "mppi" else "mppi"
        played = as_candidate(self.policy if planner is None else self.planner(planner))
        horizon = self.episodes.alive.shape[1]
        return _UsualSearch(name, (played, self.search(name)), horizon)

    def planner(self, where: str) -> Policy:
        """The planner of a name, `mppi`, `cem`, `gradient` or `module:function`, in the learned
        world of the last round.
        """
        return self._planned(where).policy

    def _planned(self, where: str) -> Imagined:
        make = planner_of(self.trusted(where))
        return place_planner(make, self.learned, self.data, self._caution(None))

    # What was bought, evaluated and ranked.

    @functools.cached_property
    def data(self) -> Dataset:
        """Everything bought, all rounds joined, of states or beliefs."""
        rounds = [datasets.load(self.path / f"data/round-{i}.npz") for i in range(self._last + 1)]
        return self._states(functools.reduce(Dataset.join, rounds))

    def _states(self, observed: Dataset) -> Dataset:
        encoder = self._learned_encoder
        return observed if encoder is None else encode_rows(encoder, observed)

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
        """What the first purchase says, before any evaluated episode of the policy."""
        first = self._states(datasets.load(self.path / "data/round-0.npz"))
        origin = RANDOM if self.config.data is None else RECORDED
        return reference(first, self.world.spec.horizon, origin, self.learned.given)

    @property
    def ranking(self) -> Ranking | None:
        """How `rank` ordered the policies of all the run's rounds, None if it did not yet."""
        return ranking_of(self.path)

    def checkpoints(self) -> list[Run]:
        """The run as it was after each of its rounds whose policy was stored, by their order."""
        stored = [i for i in range(self._last + 1) if self._policy_file(i).is_file()]
        return [dataclasses.replace(self, round=i) for i in stored]

    def _policy_file(self, round: int) -> Path:
        return self.path / f"models/policy-{round}.json"

    # The environment, and what makes states of its observations.

    @functools.cached_property
    def encoder(self) -> Encoder | None:
        """What makes states of observations, None where observations are states."""
        if self._learned_encoder is not None:
            return self._learned_encoder
        return None if self.config.encoder is None else self._encoder_for(self.observed_source())

    @property
    def _learned_encoder(self) -> Encoder | None:
        """The encoder that the run learned last, None if it learned none."""
        return self.latent_networks and self.latent_networks.encoder

    @functools.cached_property
    def latent_networks(self) -> Networks | None:
        """The encoder that the run learned last, and what was learned beside it; None if none."""
        if self.config.encoder not in ENCODER_KINDS:
            return None
        learned = [i for i in range(self._last + 1) if self._encoder_file(i).is_file()]
        if not learned:
            raise checks.Missing(f"the run in {shown(self.path)} has learned no encoder yet.")
        return load_encoder(self._encoder_file(learned[-1]).with_suffix("")).networks

    def _encoder_file(self, round: int) -> Path:
        return self.path / f"models/encoder-{round}.json"

    def source(self, observed: Source | None = None) -> Source:
        """The real environment through the run's encoder, if it has one; `observed` is the
        environment as it shows itself, opened anew if None.
        """
        if observed is None:
            observed = self.observed_source()
        encoder = self._encoder_for(observed)
        return observed if encoder is None else observed.through(encoder)

    @functools.cached_property
    def observing(self) -> Policy:
        """The policy as one of what the environment shows: it carries the belief that the run's
        encoder makes; the policy itself where observations are states.
        """
        observed = self.observed_source()
        encoder = self._encoder_for(observed)
        if encoder is None:
            return self.policy
        size, kind = observed.state_size, np.dtype(observed.state_type).name
        return Observing(self.policy, encoder, observed.action, size, kind)

    @functools.cached_property
    def predictor(self) -> Predictor:
        """The policy with the `predict` of a Stable-Baselines3 model, on what the environment
        shows.
        """
        if self.config.encoder is None:
            return Predictor(self.policy, self.spec.action)
        return Predictor(self.observing, self.spec.action, shape=self.observed_source().image)

    def observed_source(self) -> Source:
        """The real environment again, as it shows itself."""
        for where in (self.config.env, self.config.encoder):
            if where is not None:
                self.trusted(where)
        return observed_source(self.config)

    def _encoder_for(self, observed: Source) -> Encoder | None:
        """The run's encoder of what an environment shows, learned or named."""
        named = self.config.encoder and self.trusted(self.config.encoder)
        return self._learned_encoder or encoder_of(named, observed.action)

    # Code that the run names, and the round that is read.

    def trusted(self, where: str) -> str:
        """What the run names, as it is.

        Raises:
            BadArgument: it names code to import, and the run is not trusted.
        """
        if _is_code(where) and not self.trust:
            raise checks.BadArgument(
                f"the run in {self.path} names code to import, {where}; trust it (--trust) if it"
                " is yours."
            )
        return where

    def require_trust(self) -> None:
        """Require that whatever code the run names may be imported.

        Raises:
            BadArgument: it names some, and is not trusted.
        """
        for where in (self.config.env, *self._named_parts):
            self.trusted(where)

    @property
    def _named_parts(self) -> list[str]:
        """What the run names beside its environment that may be code of its user's."""
        config = self.config
        parts = (config.reward, config.termination, config.learner)
        return [
            where for where in (*parts, config.caution, config.encoder, config.planner) if where
        ]

    def _with_own_code(self, read: Callable[[], T]) -> T:
        """What `read` reads of the run's files; if it is of a class that is not known, the code
        that the run names, which may hold the class, is imported first.

        Raises:
            NotImported: the class is not known, and the run names no code that may be imported.
        """
        try:
            return read()
        except NotImported as error:
            code = [where for where in self._named_parts if _is_code(where)]
            if not code:
                raise
            if not self.trust:
                sentence = str(error).rstrip(".")
                raise NotImported(
                    f"{sentence}, or trust the run (--trust), which names {', '.join(code)}, if it"
                    " is yours."
                ) from None
            for where in code:
                registry.import_function(where)
            return read()

    @property
    def _last(self) -> int:
        """The number of the last round; short rounds are counted as they come."""
        if self.round is not None:
            return self.round
        return max(self.config.rounds, collected_rounds(self.path)) - 1


def _is_code(where: str) -> bool:
    """Whether a name is `module:function`."""
    return ":" in where and not WINDOW.fullmatch(where)


def load(path: str | Path, *, trust: bool = False) -> Run:
    """The run in the directory `path`; with `trust` the code that it names may be imported.

    Raises:
        BadArgument: `path` is no path.
        Missing: it is no run directory.
        BadData: its config.json is damaged.
    """
    return Run(as_path("the run directory", path), trust)


# Settings that runs of older versions did not have: they went by what is the default now.
_SETTINGS_OF_LATER_VERSIONS = (
    "learner",
    *("action_range", "state_scale", "columns"),
    *(f"learn.fit.{name}" for name in ("most_steps", "keep", "balanced")),
    *(f"learn.{name}" for name in ("probabilistic", "restoring", "reward_at_ends", "capacity")),
)


def _read_config(file: Path) -> RunConfig:
    """What config.json says that the run was asked to do.

    Older versions wrote their settings by dotted name, not nested, and had fewer of them.

    Raises:
        BadData: a setting is missing, of another type or out of range; the sentence names file and
            setting.
    """
    tree = read_json(file)
    needed, leaves = by_name(RunConfig("").to_dict()), by_name(tree)
    for name in _SETTINGS_OF_LATER_VERSIONS:
        leaves.setdefault(name, needed[name])
    if lacking := [name for name in needed if name not in leaves]:
        raise checks.BadData(f"{shown(file)} is damaged: it lacks {', '.join(lacking)}.")
    try:
        return RunConfig.from_dict(nested(RunConfig, leaves))
    except checks.ParacosmError as error:
        raise checks.BadData(f"{shown(file)} is damaged: {error}") from None


def audit_run(
    run: Run,
    episodes: Trajectory | None = None,
    *,
    planner: Policy | None = None,
    searches: Sequence[str] = (),
    **options: Unpack[AuditOptions],
) -> Diagnosis:
    """Audit a run again, on its own evaluation episodes or on others of the same policy: see
    `audit`.

    Args:
        run: A finished run, as `load` gives it.
        episodes: Real episodes of the run's policy; the run's own if None.
        planner: A planner in the run's world that recorded `episodes`, in place of its policy.
        searches: Names of other searches in the run's world, as `Run.search` takes them.
        options: `discount`, `most_imagined_steps`, `certify`, `dimensions` and
            `most_search_steps` of `audit`.

    Raises:
        BadArgument: as `audit` has it; no search of a name, or too small a budget for the searches;
            code that the run names and that is not trusted.
        BadData: as `audit` has it.
        Missing: the run is not finished.
        SearchFailed: a search fails; its `diagnosis` is what was found without it.
    """
    plans = planner is not None or run.config.planner is not None
    audit_options: AuditOptions = {**PLANNER_AUDIT_DEFAULTS, **options} if plans else options
    policy = run.policy if planner is None else planner
    budget = options.get("most_search_steps", MOST_STEPS)
    check_budgets(
        most_imagined_steps=audit_options.get("most_imagined_steps", math.inf),
        most_search_steps=budget,
    )
    episodes = run.episodes if episodes is None else episodes
    diagnosis = audit(
        run.world,
        policy,
        episodes,
        None if plans else run.imagined,
        known=run.reference,
        seed=run.config.seed,
        searches=run.searches(searches, policy, episodes.alive.shape[1], budget),
        **audit_options,
    )
    return with_next_step(diagnosis, run.learned.fits, run.policy)


def require_search(name: str, called: str = "the search") -> None:
    """Refuse a name that no search has; `called` is what the sentence calls it.

    Raises:
        BadArgument: there is no search of that name.
    """
    if ":" not in name:
        checks.one_of(called, name, (*_TRAINED, *PLANNERS, "module:function"))


def calibrated_diagnosis(
    run: Run, diagnosis: Diagnosis, episodes: Trajectory | None = None, *, planner: Policy | None
) -> Diagnosis:
    """The diagnosis of a run with the calibration of its world's spread; as it is, with a warning,
    where that cannot be judged: of a member that leaves the numbers alone, or of shuffled actions.

    Args:
        run: The run.
        diagnosis: Of `episodes`.
        episodes: Real ones of the run's policy; the run's own if None.
        planner: The planner that recorded `episodes` in place of the policy; None if the policy
            did.
    """
    try:
        calibration = calibrate(
            run.world,
            run.policy if planner is None else planner,
            run.episodes if episodes is None else episodes,
            discount=diagnosis.discount,
            seed=run.config.seed,
        )
    except checks.BadData as error:
        warnings.warn(f"The world's spread was not judged: {error}", stacklevel=2)
        return diagnosis
    return dataclasses.replace(diagnosis, calibration=calibration)
