"""Which policy is better in the real world, how sure that is, and whether imagination knows it."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict, Unpack

import equinox as eqx
import jax
import numpy as np

from paracosm.auditing.averages import rare_bounds
from paracosm.auditing.ranking import IMAGINED_SHARE, ranking
from paracosm.auditing.sequential import LEAST, separate
from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.files import Unwritable, as_path, atomic_write, shown
from paracosm.core.keys import stage_key
from paracosm.core.mdp import MDP, Discrete, Spec, not_drawn
from paracosm.core.policy import Policy
from paracosm.core.progress import Progress, silent
from paracosm.core.records.ranking import BoughtEpisodes, Ranking
from paracosm.core.rollout import rollout
from paracosm.loop.load import Run, load
from paracosm.loop.named_parts import observed_source
from paracosm.loop.results import RANKING
from paracosm.loop.tasks import PolicyAndEncoder, require_one_task, same_policy
from paracosm.real.source import Source
from paracosm.real.verbs import Environment, connect

LEVEL = 0.95
MOST_EACH = 50  # episodes a policy that are bought at the most if nobody says
FIRST_SEED = 10_000  # as of a run's own evaluation, far from the seeds that it collects with
# Imagined episodes of a policy: their mean differences have a tenth of one difference's noise. Each
# step of a planner is a search.
_STARTS, _STARTS_OF_PLANNERS = 100, 20

_A_POLICY = (
    "a Policy, which paracosm.foreign.policy(…) makes of a PyTorch module or a plain function,"
)


class RankOptions(TypedDict, total=False):
    """How real episodes are bought, as `rank` has it."""

    best: bool
    within: float
    episodes: int
    most_episodes: int | None
    discount: float
    first_seed: int
    seed: int
    progress: Progress


class Contender(NamedTuple):
    """A policy to be ranked: its name, the world that imagines it, the real environment as it sees
    it, and rewards that were recorded beside those of its own episodes, `[reward]`.
    """

    name: str
    policy: Policy
    world: MDP
    source: Source
    extra_rewards: np.ndarray

    @property
    def with_encoder(self) -> PolicyAndEncoder:
        """The policy with what makes its states of observations."""
        return self.policy, self.source.encoder


def rank(
    policies: Mapping[str, Policy],
    world: MDP | Mapping[str, MDP],
    env: Environment,
    **options: Unpack[RankOptions],
) -> Ranking:
    """Rank policies by their real returns, in few real episodes, and see how imagination ranks
    them.

    Every policy's mode first plays the same `episodes` real episodes. Then episodes are bought one
    at a time where they separate two policies, until their order is sure with 95% or
    `most_episodes` are bought. Each policy is imagined from the starts of a hundred real
    episodes, in its world; where the environment cut its real ones at different steps, from the
    starts of these alone, each for as long.

    Args:
        policies: By name.
        world: That imagines all of them, or one for each by name.
        env: The real environment, as `connect` takes it.
        options: `best` tells the best from the rest alone; returns that differ by no more than
            `within` need not be told apart; `episodes` of each policy come first (10), and all
            policies together play no more than `most_episodes` (50 for each). Returns are
            discounted by `discount` a step (1). Episode i starts from `first_seed + i` (10,000),
            `seed` is of the noise of a stochastic world, and `progress` is told of each stage.

    Raises:
        BadArgument: fewer than two policies, two that are one and the same, or a world of another
            state size, other actions or another horizon than the environment's.
    """
    checks.of_kind("policies", policies, Mapping, "a mapping of policies by name")
    source = connect(env)
    worlds = world if isinstance(world, Mapping) else dict.fromkeys(policies, world)
    if lacking := [name for name in policies if name not in worlds]:
        raise checks.BadArgument(f"there is no world for {', '.join(map(str, lacking))}.")
    for name, policy in policies.items():
        checks.of_kind(f"the policy {name}", policy, Policy, _A_POLICY)
        checks.of_kind(f"the world of {name}", worlds[name], MDP, "an MDP")
    contenders = [
        Contender(
            name=str(name),
            policy=policy,
            world=worlds[name],
            source=source,
            extra_rewards=np.zeros(0),
        )
        for name, policy in policies.items()
    ]
    return _play_and_rank(contenders, (), **options)


def rank_runs(
    *runs: str | Path,
    world: str | Path | None = None,
    trust: bool = False,
    **options: Unpack[RankOptions],
) -> Ranking:
    """Rank the policies of several runs of one environment, or the checkpoints of one run: see
    `rank`. The ranking of one run's checkpoints is kept in its directory, where audits and gates
    read it.

    Args:
        runs: Run directories. Of a single one the policies of its rounds are ranked, each imagined
            in the world of its round; those that are the same as an earlier one are left out.
        world: A run in whose world all are imagined; each in its own if None.
        trust: Whether code that the runs name may be imported.
        options: As for `rank`.

    Raises:
        BadArgument: no run, runs of different tasks, fewer than two policies, or two that are one
            and the same.
    """
    if not runs:
        raise checks.BadArgument(
            "no run is given; a run, or several of one environment, is needed."
        )
    loaded = [load(path, trust=trust) for path in runs]
    given = [str(as_path("a run directory", path)) for path in runs]
    require_one_task(loaded)
    left_out: tuple[str, ...] = ()
    if len(loaded) == 1:
        loaded = _checkpoints(loaded[0])
        given = [f"round {run.round + 1}" for run in loaded if run.round is not None]
    common = None if world is None else load(world, trust=trust)
    if common is not None:
        require_one_task([loaded[0], common])
    contenders = _contenders(given, loaded, common)
    if len(runs) == 1:
        contenders, left_out = _different(contenders)
        if len(contenders) < 2:
            raise checks.BadArgument(
                f"{shown(runs[0])} has one policy: that of its only round, or all rounds gave the"
                " same; two runs, or a run of several rounds, are needed."
            )
    ranked = _play_and_rank(contenders, left_out, **options)
    if len(runs) == 1 and common is None:
        with contextlib.suppress(Unwritable), atomic_write(loaded[0].path / RANKING) as part:
            part.write_text(ranked.to_json(), encoding="utf-8")
    return ranked


def _checkpoints(run: Run) -> list[Run]:
    """A run as it was after each of its rounds.

    Raises:
        BadArgument: there are fewer than two.
    """
    rounds = run.checkpoints()
    if len(rounds) < 2:
        what = "plans, and has no checkpoints" if run.config.planner else "has one policy"
        raise checks.BadArgument(
            f"the run in {shown(run.path)} {what}; two runs, or a run of several rounds, are"
            " needed."
        )
    return rounds


def _contenders(names: Sequence[str], runs: Sequence[Run], common: Run | None) -> list[Contender]:
    """The policies of runs of one task, in one environment.

    Args:
        names, runs: In the order given.
        common: In whose world all are imagined, if in one.

    Raises:
        BadArgument: the common world is of other beliefs than a policy's.
    """
    runs[0].trusted(runs[0].config.env)
    # Episodes are of no unit, and declared scales would be refused behind another run's encoder.
    observed = observed_source(dataclasses.replace(runs[0].config, state_scale=None))
    common_encoder = None if common is None else common.source(observed).encoder
    contenders = []
    for name, run in zip(names, runs, strict=True):
        source, world = run.source(observed), (common or run).world
        if common is not None and not eqx.tree_equal(common_encoder, source.encoder):
            raise checks.BadArgument(
                f"the world of {shown(common.path)} is of other beliefs than the policy of {name};"
                " leave --world out, or give a run with the same encoder."
            )
        contenders.append(
            Contender(
                name=name,
                policy=run.policy,
                world=world,
                source=source,
                extra_rewards=np.asarray(run.data.labels.reward),
            )
        )
    return contenders


def _different(contenders: Sequence[Contender]) -> tuple[list[Contender], tuple[str, ...]]:
    """The contenders that are not the same as an earlier one, and the names of the others: a
    learner may go back to its best policy.
    """
    firsts: list[Contender] = []
    for contender in contenders:
        if not any(same_policy(first.with_encoder, contender.with_encoder) for first in firsts):
            firsts.append(contender)
    names = {first.name for first in firsts}
    return firsts, tuple(c.name for c in contenders if c.name not in names)


def _require_rankable(contenders: Sequence[Contender]) -> None:
    """Refuse fewer than two policies, the same ones, and worlds of another task.

    Raises:
        BadArgument: they cannot be ranked; the sentence names the policies.
    """
    if len(contenders) < 2:
        raise checks.BadArgument(
            f"{len(contenders)} {'policy is' if len(contenders) == 1 else 'policies are'} given; at"
            " least two are needed to rank."
        )
    for first, second in itertools.combinations(contenders, 2):
        if first.name == second.name or same_policy(first.with_encoder, second.with_encoder):
            raise checks.BadArgument(
                f"{first.name} and {second.name} are one and the same policy; different ones are"
                " needed."
            )
    for contender in contenders:
        imagined, real = (_task_in_words(spec) for spec in (contender.world.spec, contender.source))
        if imagined != real:
            raise checks.BadArgument(
                f"the world of {contender.name} is of {imagined}, {contender.source.name} of"
                f" {real}; a world of the same task is needed."
            )


def _task_in_words(spec: Spec | Source) -> str:
    """State size, actions and horizon."""
    action = spec.action
    kind = "actions to choose from" if isinstance(action, Discrete) else "action components"
    return f"{spec.state_size} state components, {action.size} {kind} and {spec.horizon} steps"


def _play_and_rank(
    contenders: Sequence[Contender],
    left_out: tuple[str, ...],
    *,
    best: bool = False,
    within: float = 0.0,
    episodes: int = LEAST,
    most_episodes: int | None = None,
    discount: float = 1.0,
    first_seed: int = FIRST_SEED,
    seed: int = 0,
    progress: Progress = silent,
) -> Ranking:
    """The ranking of different policies.

    Args:
        contenders: The policies.
        left_out: Names of those that are the same as one of them.
        best, within, episodes, most_episodes, discount, first_seed, seed, progress: As for `rank`.
    """
    _require_rankable(contenders)
    most = MOST_EACH * len(contenders) if most_episodes is None else most_episodes
    checks.count("episodes", episodes, 2)
    checks.count("most episodes", most)
    checks.at_least("the most episodes of all policies", most, episodes * len(contenders))
    checks.at_least("within", within, 0)
    checks.in_unit_interval("discount", discount)
    checks.seed("first_seed", first_seed)
    steps_before = {id(c.source): c.source.steps for c in contenders}
    playing = _Playing(
        contenders=contenders,
        discount=discount,
        first_seed=first_seed,
        least=episodes,
        most=most,
        progress=progress,
    )
    playing.play_first_episodes()
    bounds = playing.bounds()
    bought = separate(
        playing.play,
        len(contenders),
        risk=(1 - IMAGINED_SHARE) * (1 - LEVEL),
        bounds=bounds,
        best=best,
        within=within,
        least=episodes,
        most=most,
    )
    names = [contender.name for contender in contenders]
    imagined = [
        _imagine_rewards(contender, lengths, first_seed, seed, progress)
        for contender, lengths in zip(contenders, playing.lengths(), strict=True)
    ]
    shared = min(map(len, imagined))  # a choice among means of other starts would be one by luck
    imagined = [rewards[:shared] for rewards in imagined]
    ranked = ranking(
        names,
        playing.rewards(),
        imagined,
        discount=discount,
        level=LEVEL,
        bounds=bounds,
        anytime=True,
        lower_ends=bought.lower_ends,
        order=bought.order,
    )
    counts = dict(zip(names, map(len, bought.returns), strict=True))
    return dataclasses.replace(
        ranked,
        bought=BoughtEpisodes(
            episodes={policy.name: counts[policy.name] for policy in ranked.policies},
            confidence=LEVEL,
            sure=bought.sure,
            # Student's intervals, which it counts for, are not the bets that decide pairs then.
            equal=bought.equal if bounds is None else None,
            best=best,
            within=within,
            least=episodes,
            most=most,
        ),
        env=contenders[0].source.name,
        real_steps=max(c.source.steps - steps_before[id(c.source)] for c in contenders),
        left_out=left_out,
    )


@dataclasses.dataclass
class _Playing:
    """Real episodes that are played as they are asked for.

    Attributes:
        contenders: The policies.
        discount, first_seed: As for `rank`.
        least, most: Episodes that each policy plays at first, and that all play at the most.
        progress: Told of each episode.
        episodes: What was played, by policy: the first `least` together, then one at a time.
    """

    contenders: Sequence[Contender]
    discount: float
    first_seed: int
    least: int
    most: int
    progress: Progress
    episodes: list[list[Trajectory]] = dataclasses.field(default_factory=list)

    def play_first_episodes(self) -> None:
        """Play every policy's first episodes."""
        for number, contender in enumerate(self.contenders):
            self.progress("play", number * self.least, self.most)
            self.episodes.append([self._evaluate(contender, 0, self.least)])

    def _evaluate(self, contender: Contender, first: int, count: int) -> Trajectory:
        return contender.source.evaluate(
            contender.policy, episodes=count, first_seed=self.first_seed + first
        )

    def play(self, policy: int, number: int) -> float:
        """The return of the episode `number` of a policy: one of the first, which have been played,
        or the next one, which is played now. Numbers are asked for in order.
        """
        if number >= self.least:
            self.episodes[policy].append(self._evaluate(self.contenders[policy], number, 1))
            total = sum(self.least + len(parts) - 1 for parts in self.episodes)
            self.progress("play", total, self.most)
            row = self.episodes[policy][-1].reward[0]
        else:
            row = self.episodes[policy][0].reward[number]
        return float(np.asarray(row, np.float64) @ self.discount ** np.arange(len(row)))

    def rewards(self) -> list[np.ndarray]:
        """The rewards of each policy's episodes, `[episode, time]`."""
        return [
            np.concatenate([np.asarray(part.reward, np.float64) for part in parts])
            for parts in self.episodes
        ]

    def lengths(self) -> list[np.ndarray]:
        """How many steps the record of each policy's episodes could have had, `[episode]`."""
        return [np.concatenate([part.horizons for part in parts]) for parts in self.episodes]

    def bounds(self) -> tuple[float, float] | None:
        """Between which returns lie, if rare episodes may decide those of a policy, by all episodes
        so far; None if they may not.
        """
        return rare_bounds(
            [parts[0] for parts in self.episodes],
            [contender.extra_rewards for contender in self.contenders],
            [contender.world for contender in self.contenders],
            discount=self.discount,
        )


def _imagine_rewards(
    contender: Contender, lengths: np.ndarray, first_seed: int, seed: int, progress: Progress
) -> np.ndarray:
    """Rewards `[start, time]` of a policy's mode in its world from real starts, for as many steps
    as the real episodes were recorded for. Where these were cut at different steps, no further
    start can be imagined alike.

    Args:
        contender: The policy.
        first_seed, seed, progress: As for `rank`.
        lengths: Steps that the record of each real episode could have had, `[episode]`.
    """
    progress(f"imagine {contender.name}", 0, 1)
    count = _STARTS_OF_PLANNERS if contender.policy.searches else _STARTS
    source, world = contender.source, contender.world
    keys = jax.random.split(stage_key(seed, "rank"), count)
    lengths = lengths[:count] if np.ptp(lengths) else np.full(count, lengths[0])
    starts = source.starts(count, first_seed=first_seed)
    # Worlds of several rounds differ in the number of their own starts, and policies in that of
    # their real episodes: one program serves all.
    alike = world.replace(initial=not_drawn, discount=1.0)
    greedy = contender.policy.greedy()
    episodes = rollout(alike, greedy, starts, keys, source.horizon)
    within = np.arange(source.horizon) < lengths[:, None]
    reward = np.where(within, np.asarray(episodes.reward[: len(lengths)], np.float64), 0)
    checks.finite(f"the imagined rewards of {contender.name}", reward, "episode")
    return reward
