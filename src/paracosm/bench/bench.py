"""Tasks × seeds × learners as a sweep, and what came of them in files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from paracosm import reporting
from paracosm.bench import peers
from paracosm.bench.statistics import interquartile_estimate
from paracosm.bench.suites import suite
from paracosm.core import checks
from paracosm.core.files import Unwritable, Unwritten, shown
from paracosm.core.progress import Progress, silent
from paracosm.core.records.base import Estimate, typed
from paracosm.core.records.benchmarks import Benchmark, Point, Task, TaskScore
from paracosm.imagination.settings import ImagineSettings
from paracosm.loop.directory import RunDirectory, is_run, require_free
from paracosm.loop.named_parts import LEARNERS, REINFORCE, learner_of
from paracosm.sweep.cells import Cell, Outcome
from paracosm.sweep.options import LOCAL_SWEEP, SweepOptions
from paracosm.sweep.run import sweep
from paracosm.sweep.store import failures, provenance

# Of an evaluation: as many as returns of skewed episodes need for a mean that can be compared.
EPISODES = 100
_RANDOM = "random"


class _Job(NamedTuple):
    """A cell of the sweep, and the task, learner and seed whose score it gives.

    Random actions are the learner `random` of seed 0. Their returns are no score, but what scores
    are normalised by; only their failure is recorded as one.
    """

    cell: Cell
    task: Task
    learner: str
    seed: int


def bench(
    name: str,
    out: str | Path,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    learners: Sequence[str] | None = None,
    episodes: int = EPISODES,
    sweep_options: SweepOptions = LOCAL_SWEEP,
    progress: Progress = silent,
) -> tuple[Benchmark, tuple[Path, ...]]:
    """Every learner on every task with every seed, and the files that say so: JSON, two pages,
    charts, the store, and the run directories of our learners.

    A cell that fails is recorded, and the others go on.

    Args:
        name: A suite, or a file `….toml`; see `suites.suite`.
        out: The folder.
        seeds: One run of each.
        learners: `pathwise`, `reinforce`, `module:function`, or a name of `peers.PEERS`; if none,
            pathwise and, where Stable-Baselines3 is installed, its SAC and DQN.
        episodes: Real episodes of each evaluation.
        sweep_options: Where and how the cells run.
        progress: Called after each cell.

    Raises:
        BadArgument: a suite or learner that is not known, seeds that repeat, a peer that takes the
            actions of no task, a relative folder for the nodes of a Ray cluster, or a folder or a
            run in it that is in use.
        Missing: a peer that is not installed, or a file that is not there.
        Unwritten: the pages could not be written; the error holds the record.
    """
    tasks = suite(name)
    _require_usable_seeds(seeds)
    checks.count("episodes", episodes, 2)
    names = _default_learners(tasks) if learners is None else tuple(learners)
    _require_usable_learners(names, tasks)
    stem = Path(name).stem
    if sweep_options.backend != LOCAL_SWEEP.backend and not Path(out).is_absolute():
        raise checks.BadArgument(
            f"--out is {shown(out)}, which every node of a Ray cluster would look for in a folder"
            " of its own; give the absolute path of a folder that all nodes share."
        )
    store = Path(out) / f"{stem}.sqlite"
    sweep_options.require_usable(f"the suite {stem}", store)
    jobs = _jobs(tasks, names, seeds, episodes=episodes, out=Path(out) / "runs" / stem)
    earlier_runs = _run_directories(jobs) if sweep_options.force else []
    for run in earlier_runs:
        require_free(run, {}, resume=False, force=True)
    results = sweep(
        [job.cell for job in jobs],
        store,
        **sweep_options.arguments(),
        forget=lambda: _remove_runs(earlier_runs),
        progress=progress,
    )
    failed = failures(store)
    versions, seconds = provenance(store)
    scores, random = [], {}
    for job in jobs:
        answer = results.get(job.cell.name)
        if answer is None:
            scores.append(_failed_score(job, failed.get(job.cell.name)))
        elif job.learner == _RANDOM:
            random[job.task.env] = float(np.mean(answer["returns"]))
        else:
            scores.append(_score(job, answer))
    record = Benchmark(
        suite=stem,
        command=_command(name, seeds, names, episodes),
        learners=names,
        seeds=tuple(seeds),
        episodes=episodes,
        tasks=tasks,
        scores=tuple(scores),
        random=random,
        aggregate={},
        missing=() if learners or peers.are_installed() else peers.DEFAULTS,
        seconds=seconds,
        versions=versions,
    )
    return _publish(record, out, store)


def normalised(record: Benchmark, learner: str) -> np.ndarray:
    """Returns of a learner as a share of the way from random actions to the anchor, `[task, seed]`,
    for the tasks whose anchor is above random actions and on which none of its seeds is missing.
    """
    rows = []
    for task in record.tasks:
        scores, random = record.of(task.env, learner), record.random.get(task.env)
        if len(scores) == len(record.seeds) and random is not None:
            span = task.anchors[0].value - random
            if span > 0:
                rows.append([(score.mean - random) / span for score in scores])
    return np.array(rows).reshape(len(rows), len(record.seeds))


def _publish(record: Benchmark, out: str | Path, store: Path) -> tuple[Benchmark, tuple[Path, ...]]:
    """Write the record's files; returns the record with the aggregate of all tasks, and the files.

    Raises:
        Unwritten: a file could not be written; the error holds the record.
    """
    shares = {name: normalised(record, name) for name in record.learners}
    aggregate: dict[str, Estimate] = {
        name: interquartile_estimate(share) for name, share in shares.items() if len(share)
    }
    record = dataclasses.replace(record, aggregate=aggregate)
    try:
        return record, (*reporting.publish(record, out), store)
    except Unwritable as error:
        raise Unwritten(
            f"{error} The cells are kept: make room and give --resume.", record
        ) from error


def _require_usable_seeds(seeds: Sequence[int]) -> None:
    checks.at_least("the number of seeds", len(seeds), 1)
    for seed in seeds:
        checks.seed("a seed", seed)
        if list(seeds).count(seed) > 1:
            raise checks.BadArgument(
                f"the seed {seed} is given more than once; runs of one seed are one run."
            )


def _default_learners(tasks: Sequence[Task]) -> tuple[str, ...]:
    """Pathwise, and the peers that are installed and take the actions of a task."""
    installed = peers.DEFAULTS if peers.are_installed() else ()
    able = (
        peer for peer in installed if any(peers.takes_actions_of(peer, task.env) for task in tasks)
    )
    return ("pathwise", *able)


def _require_usable_learners(names: Sequence[str], tasks: Sequence[Task]) -> None:
    checks.at_least("the number of learners", len(names), 1)
    for name in names:
        if names.count(name) > 1:
            raise checks.BadArgument(f"the learner {name} is given more than once.")
        if name in peers.PEERS:
            if not any(peers.takes_actions_of(name, task.env) for task in tasks):
                raise checks.BadArgument(f"{name} takes the actions of no task of the suite.")
            if not peers.are_installed():
                raise checks.Missing(
                    f"{name} needs Stable-Baselines3; install paracosm[sb3], or leave it out."
                )
        elif name not in (*LEARNERS, REINFORCE) and ":" not in name:
            known = ", ".join((*LEARNERS, REINFORCE, *peers.PEERS))
            raise checks.BadArgument(
                f"there is no learner {name!r}; {known}, or module:function, is needed."
            )
        else:
            learner_of(name, ImagineSettings())


def _jobs(
    tasks: Sequence[Task], names: Sequence[str], seeds: Sequence[int], *, episodes: int, out: Path
) -> list[_Job]:
    """The cells of all tasks, learners and seeds, those of many transitions first, so that none is
    waited for in the end.

    Args:
        tasks, names, seeds: What is combined; a peer is left out where it takes no such actions.
        episodes: Real episodes of each evaluation.
        out: The suite's folder of run directories.
    """
    jobs = []
    for task in sorted(tasks, key=lambda task: -task.transitions):
        for name in names:
            if name not in peers.PEERS:
                jobs += [_run_job(task, name, seed, episodes=episodes, out=out) for seed in seeds]
            elif peers.takes_actions_of(name, task.env):
                jobs += [_peer_job(task, name, seed, episodes) for seed in seeds]
        arguments = {"env": task.env, "episodes": episodes}
        jobs.append(_Job(Cell("paracosm.bench.cells:of_random", arguments), task, _RANDOM, 0))
    return jobs


def _run_job(task: Task, learner: str, seed: int, *, episodes: int, out: Path) -> _Job:
    """A run of one of our learners.

    Args:
        task, learner, seed: What is run.
        episodes: Real episodes of its evaluation.
        out: The suite's folder of run directories.
    """
    directory = f"{task.env}-{learner}-seed{seed}".replace(":", "-").replace("/", "-")
    arguments = _arguments(task, learner, seed, episodes) | {"out": str(out / directory)}
    return _Job(Cell("paracosm.bench.cells:of_run", arguments), task, learner, seed)


def _peer_job(task: Task, learner: str, seed: int, episodes: int) -> _Job:
    """A training of a peer.

    Args:
        task, learner, seed, episodes: As for `_run_job`.
    """
    arguments = _arguments(task, learner, seed, episodes)
    return _Job(Cell("paracosm.bench.cells:of_peer", arguments), task, learner, seed)


def _arguments(task: Task, learner: str, seed: int, episodes: int) -> dict[str, Any]:
    """Arguments of a cell that trains.

    Args:
        task, learner, seed, episodes: As for `_run_job`.
    """
    return {
        "env": task.env,
        "transitions": task.transitions,
        "episodes": episodes,
        "learner": learner,
        "seed": seed,
    }


def _score(job: _Job, answer: dict[str, Any]) -> TaskScore:
    """The score of a cell that finished with this answer."""
    return TaskScore(
        env=job.task.env,
        learner=job.learner,
        seed=int(job.seed),
        returns=tuple(answer["returns"]),
        curve=typed(answer["curve"], tuple[Point, ...], "the curve"),
        real_steps=answer["real_steps"],
        seconds=answer["seconds"],
        predicted=answer["predicted"],
        causes=answer["causes"],
        error="",
    )


def _failed_score(job: _Job, failure: Outcome | None) -> TaskScore:
    """The score of a cell that failed: an error in place of returns."""
    return TaskScore(
        env=job.task.env,
        learner=job.learner,
        seed=int(job.seed),
        returns=(),
        curve=(),
        real_steps=0,
        seconds=0.0,
        predicted=None,
        causes={},
        error="" if failure is None else failure.error or "it failed",
    )


def _run_directories(jobs: Sequence[_Job]) -> list[Path]:
    """The run directories of earlier runs that are on the disk."""
    paths = (Path(job.cell.arguments["out"]) for job in jobs if "out" in job.cell.arguments)
    return [path for path in paths if is_run(path)]


def _remove_runs(runs: Sequence[Path]) -> None:
    """Remove what these runs wrote, but for what marks their folders as ours."""
    for run in runs:
        RunDirectory(run).clear()


def _command(name: str, seeds: Sequence[int], learners: Sequence[str], episodes: int) -> str:
    """The command that repeats the benchmark.

    Args:
        name, seeds, learners, episodes: As for `bench`.
    """
    counted = list(seeds) == list(range(len(seeds)))
    of_seeds = f"{len(seeds)}" if counted else ",".join(map(str, seeds)) + ","
    command = f"paracosm bench {name} --seeds {of_seeds} --learners {','.join(learners)}"
    return command if episodes == EPISODES else f"{command} --episodes {episodes}"
