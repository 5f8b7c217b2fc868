"""What a run is asked to do: one record, from flags, from Python or from a run directory."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, TypedDict

from paracosm.core import checks
from paracosm.core.records import Record
from paracosm.imagination.settings import ImagineSettings
from paracosm.learning.learn import LEAST_ROWS
from paracosm.learning.settings import LearnSettings
from paracosm.loop.latents import ENCODER_KINDS
from paracosm.loop.spending import Purse

_TEXTS = ("env", "env_kwargs")
_OPTIONAL_TEXTS = (
    *("state_scale", "data", "reward", "termination"),
    *("learner", "caution", "encoder", "planner"),
)
_RANGES = {
    **dict.fromkeys(("transitions", "reward_labels", "rounds", "workers", "horizon"), checks.COUNT),
    "episodes": checks.Range(2, checks.MOST, integer=True),
    "seed": checks.SEED,
    **dict.fromkeys(("cost_dynamics", "cost_reward"), checks.NON_NEGATIVE),
    "noise": checks.NON_NEGATIVE_32,
    "discount": checks.SHARE,
    "budget": checks.POSITIVE,
}


class RunOptions(TypedDict, total=False):
    """The fields of `RunConfig` beside `env`, `learn` and `imagine`, as keyword arguments."""

    env_kwargs: str
    horizon: int | None
    action_range: tuple[float, float] | None
    state_scale: str | None
    data: str | None
    columns: tuple[str, ...]
    transitions: int | None
    reward_labels: int | None
    rounds: int
    noise: float
    discount: float | None
    episodes: int
    budget: float | None
    cost_dynamics: float
    cost_reward: float
    reward: str | None
    termination: str | None
    learner: str | None
    caution: str | None
    encoder: str | None
    planner: str | None
    seed: int
    workers: int


@dataclasses.dataclass(frozen=True)
class RunConfig(Record):
    """What a run is asked to do.

    It is what config.json holds. Whoever goes on from a run reads it there: an audit, a plan, which
    measures the run's learning curves, a plan for labels, which measures its gradient.

    Attributes:
        env: A Gymnasium id or `module:function` (an environment or a JAX-native MDP; the module is
            imported).
        env_kwargs: The environment's keyword arguments as a JSON object.
        horizon: Steps of a full episode, for an environment without a time limit or to play shorter
            episodes.
        action_range: Lowest and highest action, of an environment whose Box of actions has no
            bound on some side; there they bound it.
        state_scale: What an error of one unit is in components of the state, as a JSON object: by
            the name of a component or of a part, or by a component's number; of the others it is
            their standard deviation in the first purchase.
        data: Data already owned, a file of any kind that `load_data` reads, or `minari:name`; the
            environment then only evaluates.
        columns: Of `data`: which of its columns are what, where they have other names than ours or
            LeRobot's: `ROLE=COLUMN`, or `ROLE=COLUMN,COLUMN` of vectors, such as `state=pos,vel`.
        transitions: Transitions to buy in all; 5,000, or every one that `data` owns.
        reward_labels: Reward labels to buy in all; as many as transitions, or every one that `data`
            owns.
        rounds: Rounds of collecting, learning and training; the first collects at random, later
            ones with the policy of the round before; each trains a new one.
        noise: Exploration noise of the later rounds, in half-ranges of the action (discrete: chance
            of a random one).
        discount: γ of training. If omitted: 0.95 for reinforce and learners of your own; for
            pathwise and planners 1 − 1/L, with L a fifth of an episode (a quarter if the first
            rewards tell no state from another), between 100 and 1,000 steps. The gap that is
            reported first is of whole episodes, not discounted.
        episodes: Real episodes of the evaluation and the audit, seeded from 10000.
        budget: Money for all rounds, at least two, in place of counts: a fifth for a pilot, then
            what a plan says. It pays for every transition and label that anything is learned from,
            not for the evaluation afterwards.
        cost_dynamics: Price of a transition.
        cost_reward: Price of a reward label.
        reward: Known reward `module:function` of (s, a, s'), in place of a learned one (JAX; the
            module is imported).
        termination: Known end rule `module:function` of (s, a, s'), in place of a learned one.
        learner: `pathwise`, gradients through the world in short rounds; `reinforce`, the paper's;
            or one of your own: `module:function`, the function make_learner(settings), which is
            told the settings of imagination and gives a `paracosm.core.learner.Learner` (your
            module is imported). If none, pathwise; REINFORCE beside a budget, rounds, noise,
            settings of fits or training, or more labels than transitions, which pathwise has of its
            own.
        caution: What training makes of what the world does not know: `edge`, imagined rollouts end
            where the data do; `stop`, they end where the members of the dynamics disagree more than
            five times as much as on recorded steps; `penalty`, a price on disagreement; `none`;
            or one of your own, `module:function`. If it is not given, none of pathwise, which plays
            in the members themselves, and edge of other learners.
        encoder: What makes states of observations, for an environment that does not show its
            state: `window:K`, the last K observations; `latent`, a window of features that are
            learned here from vectors or pictures; `recurrent`, a filter with a memory that is
            learned so; or one of your own, `module:function` (your module is imported). If none,
            observations are states.
        planner: In place of a policy that is trained, one that searches for its actions in the
            learned world: `mppi`, `cem`, `gradient`, or one of your own, `module:function`, which
            is told the world (your module is imported).
        seed: The seed of everything.
        workers: Processes that step the environment while collecting; changes the time, never the
            numbers. (Pathwise steps one environment: it saves no time, and starts a process each
            round.) An environment that crashes its process (in C, os._exit) ends the run; with 1
            the steps of the round are lost, with 2 or more they are kept.
        learn: How the parts of the world are fitted.
        imagine: How the policy is trained in imagination.
    """

    env: str
    env_kwargs: str = "{}"
    horizon: int | None = None
    action_range: tuple[float, float] | None = None
    state_scale: str | None = None
    data: str | None = None
    columns: tuple[str, ...] = ()
    transitions: int | None = None
    reward_labels: int | None = None
    rounds: int = 1
    noise: float = 0.1
    discount: float | None = None
    episodes: int = 20
    budget: float | None = None
    cost_dynamics: float = 1.0
    cost_reward: float = 1.0
    reward: str | None = None
    termination: str | None = None
    learner: str | None = None
    caution: str | None = None
    encoder: str | None = None
    planner: str | None = None
    seed: int = 0
    workers: int = 1
    learn: LearnSettings = dataclasses.field(default_factory=LearnSettings)
    imagine: ImagineSettings = dataclasses.field(default_factory=ImagineSettings)

    def __post_init__(self) -> None:
        for name in (*_TEXTS, *_OPTIONAL_TEXTS):
            kinds = (str, type(None)) if name in _OPTIONAL_TEXTS else str
            checks.of_kind(flag(name), getattr(self, name), kinds, "a string")
        checks.fields(self, _RANGES, flag)
        if self.action_range is not None:
            bounds = checks.interval("--action-range", self.action_range)
            object.__setattr__(self, "action_range", bounds)
        checks.of_kind("learn", self.learn, LearnSettings, "a LearnSettings")
        checks.of_kind("imagine", self.imagine, ImagineSettings, "an ImagineSettings")
        self._require_planner_alone()
        if self.budget is not None:
            self._require_budget_alone()
        elif self.data is None:
            self._require_enough_to_learn()
        if self.state_scale is not None:
            scales(self.state_scale)
            if self.encoder is not None:
                raise checks.BadArgument(
                    "both --state-scale and --encoder are given; beliefs have other components"
                    " than what is observed, and their scales are those of the data."
                )
        if self.data is not None and self.encoder is not None:
            raise checks.BadArgument(
                "both --data and --encoder are given; owned data hold states: record beliefs, which"
                " collect(env, …, encoder=…) and encode(encoder, episodes) give."
            )
        for name in ("reward", "termination"):
            if self.encoder in ENCODER_KINDS and getattr(self, name) is not None:
                raise checks.BadArgument(
                    f"both --encoder {self.encoder} and --{name} are given; a known {name} is one"
                    " of states, and what a learned belief means is not known before it is learned."
                )
        if self.columns and self.data is None:
            raise checks.BadArgument("--columns is given without --data, whose columns it names.")
        if self.data is not None and self.rounds > 1:
            raise checks.BadArgument(
                "--rounds is more than 1 with --data; owned data cannot be collected in rounds."
            )

    def _require_budget_alone(self) -> None:
        """Refuse what a budget, which buys what a plan says, would have to ignore."""
        for name in ("data", "transitions", "reward_labels", "reward"):
            if getattr(self, name) is not None:
                raise checks.BadArgument(
                    f"both --budget and {flag(name)} are given; a budget buys what a plan says."
                )
        if self.learner == "pathwise":
            raise checks.BadArgument(
                "both --budget and --learner pathwise are given; pathwise has rounds of its own:"
                " leave one of the two out, or give --learner reinforce."
            )
        self.purse()

    def _require_planner_alone(self) -> None:
        """Refuse what a planner, which is not trained, would have to ignore."""
        if self.planner is None:
            return
        plain = RunConfig(self.env)
        for name in ("learner", "budget", "imagine"):
            if getattr(self, name) != getattr(plain, name):
                why = "a planner is not trained"
                if name == "budget":
                    why = "a budget is planned for policies of the state alone"
                raise checks.BadArgument(f"both --planner and --{name} are given; {why}.")

    def purse(self) -> Purse | None:
        """The budget to spend, if there is one."""
        if self.budget is None:
            return None
        return Purse(self.budget, self.cost_dynamics, self.cost_reward, self.rounds)

    def _require_enough_to_learn(self) -> None:
        """Refuse rounds that buy too little to learn from."""
        transitions, labels = (min(counts) for counts in zip(*self.shares(), strict=True))
        checks.at_least("--transitions in each round", transitions, LEAST_ROWS)
        if self.reward is None:
            checks.at_least("--reward-labels in each round", labels, LEAST_ROWS)
        else:
            checks.at_least("--reward-labels in each round", labels, 1)

    @property
    def arguments(self) -> dict[str, Any]:
        """The environment's keyword arguments."""
        return keywords(self.env_kwargs)

    def counts(self) -> tuple[int, int]:
        """Transitions and reward labels to buy in all."""
        transitions = 5000 if self.transitions is None else self.transitions
        return transitions, transitions if self.reward_labels is None else self.reward_labels

    def shares(self) -> list[tuple[int, int]]:
        """Transitions and reward labels to buy in each round."""
        transitions, labels = self.counts()
        return [
            (_share(transitions, self.rounds, i), _share(labels, self.rounds, i))
            for i in range(self.rounds)
        ]


def keywords(env_kwargs: str) -> dict[str, Any]:
    """An environment's keyword arguments, from the JSON of --env-kwargs.

    Raises:
        BadArgument: it is no JSON object.
    """
    return _json_object("--env-kwargs", env_kwargs)


def scales(state_scale: str) -> dict[str, Any]:
    """The declared scales by name, from the JSON of --state-scale.

    Raises:
        BadArgument: it is no JSON object.
    """
    return _json_object("--state-scale", state_scale)


def _json_object(name: str, text: str) -> dict[str, Any]:
    """The JSON object of an option."""
    try:
        value, problem = json.loads(text), ""
    except json.JSONDecodeError as error:
        value, problem = None, f" ({error})"
    if not isinstance(value, dict):
        needed = f"it must be a JSON object like '{{\"key\": 1}}'{problem}"
        raise checks.BadArgument(f"{name} is {text!r}; {needed}.")
    return value


def flag(field: str) -> str:
    """The flag that the command line has for a field."""
    return f"--{field.replace('_', '-')}"


def _share(total: int, rounds: int, index: int) -> int:
    """How many of `total` the round number `index` buys; shares differ by one at the most."""
    return total // rounds + (index < total % rounds)
