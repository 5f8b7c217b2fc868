"""`paracosm audit`: the gap of a finished run, or of anybody's world model, explained."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from paracosm.cli import output
from paracosm.core import checks
from paracosm.core.checks import BadArgument
from paracosm.core.progress import Progress
from paracosm.core.records import Diagnosis
from paracosm.loop.assisting import FRESH_SEED, assisted_diagnosis
from paracosm.loop.auditing import AuditOptions, planner_audit_length, with_next_step
from paracosm.loop.config import keywords
from paracosm.loop.foreign import audit_foreign
from paracosm.loop.load import Run, audit_run, calibrated_diagnosis, load, require_search
from paracosm.loop.results import ranked_diagnosis
from paracosm.loop.searching import MOST_STEPS, SearchFailed
from paracosm.real.column_map import parse_column_map

_EPISODES = 20  # as many as a run evaluates
_FIRST_SEED = 10_000  # a run's evaluation begins there, far from the seeds that it collects with


@dataclasses.dataclass(frozen=True)
class AuditFlags:
    """Explain the gap between the imagined and the real return of a policy.

    The gap of whole episodes is split exactly into the parts to blame: reward, termination,
    dynamics; and beside it that of what training believed, with the horizon of training as a
    fourth. Of a finished run, such as: paracosm audit runs/pendulum --episodes 100 --out audit.html

    Or of your own PyTorch, JAX or NumPy model; --world and --policy import your own file, from the
    current directory or wherever Python finds it, and run its code. docs/foreign has a complete
    example for each kind of model: paracosm audit --world my_model:make_world --policy
    my_model:make_policy --env Hopper-v5 --episodes 20

    Attributes:
        run: The run directory.
        world: Your world model: your file's function make_world(), or make_world(spec) that is told
            sizes and scales. Your module is imported.
        policy: Your policy: your file's function make_policy(), or make_policy(spec). Your module
            is imported.
        env: With --world: a Gymnasium id, or module:function giving one, in which to record real
            episodes.
        env_kwargs: With --env: its keyword arguments, as JSON.
        horizon: With --env: the steps of a full episode, where it has no time limit or to play
            shorter ones.
        action_range: With --env: lowest and highest action, where its Box of actions has no bound.
        data: With --world: recorded on-policy episodes instead of --env: a file of any kind that
            paracosm data reads, or minari:NAME.
        columns: With --data: which of its columns are what, such as state=pos,vel action=force; see
            paracosm data.
        episodes: Record this many new real episodes; a run's own if not given, 20 with --env.
        planner: Of a run: audit a planner in its learned world instead of its policy, in new real
            episodes: mppi, cem, gradient, or your own module:function, which is told the world.
        search: Of a run: other searches in its learned world, joined by commas, which tell whether
            model or search is to blame: mppi, cem, gradient or your own planner module:function;
            longer, training that goes on; again, training from another seed; or none. If not given
            mppi (cem where mppi is audited), where the budget allows it.
        most_search_steps: What these searches may cost, in imagined steps.
        first_seed: The first new episode's seed; 10000 if not given.
        seed: With --world: the audit's own seed; 0 if not given. A run has its own.
        discount: Explain the gap of returns discounted by this a step; whole episodes are not
            discounted if not given. The gap at the training discount stands beside it.
        all_steps: Audit every real step, however many imagined steps that takes; else a random
            subset where it would be more than --most-imagined-steps.
        most_imagined_steps: What the terms may cost, in imagined steps; if not given 2.5 million,
            of a planner, each of whose steps is a search, 5,000.
        no_bounds: Do not bound the gap, which takes the longest. Without this flag it is bounded of
            policies of the state alone, and of models whose layers are known.
        no_dimensions: Ask world and policy for no derivatives: the audit then does not say which
            state components make the dynamics term, nor what a unit of error costs. Of a planner it
            never does.
        trust: Import the code that the run names (environment, known parts, learner, encoder or
            planner), and that --planner or --search names, if it is your own.
        out: Write the diagnosis as a page here.
        json: Print one JSON document on stdout instead of the summary; causes holds the terms by
            step, dynamics_by_dimension those of the dynamics by state component and step.
    """

    run: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[RUN]")] = None
    world: Annotated[str | None, tyro.conf.arg(metavar="MODULE:FUNCTION")] = None
    policy: Annotated[str | None, tyro.conf.arg(metavar="MODULE:FUNCTION")] = None
    env: Annotated[str | None, tyro.conf.arg(metavar="ENV")] = None
    env_kwargs: Annotated[str, tyro.conf.arg(metavar="JSON")] = "{}"
    horizon: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    action_range: Annotated[tuple[float, float] | None, tyro.conf.arg(metavar="LOW HIGH")] = None
    data: Annotated[str | None, tyro.conf.arg(metavar="DATA")] = None
    columns: Annotated[tuple[str, ...], tyro.conf.arg(metavar="ROLE=COLUMN")] = ()
    episodes: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    planner: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    search: Annotated[str | None, tyro.conf.arg(metavar="NAMES")] = None
    most_search_steps: Annotated[int, tyro.conf.arg(metavar="N")] = MOST_STEPS
    first_seed: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    seed: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    discount: Annotated[float, tyro.conf.arg(metavar="GAMMA")] = 1.0
    all_steps: bool = False
    most_imagined_steps: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    no_bounds: bool = False
    no_dimensions: bool = False
    trust: bool = False
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    json: bool = False


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    flags = output.parse(AuditFlags, arguments, "audit")
    _check_subject(flags)
    options = _options(flags)
    with output.progress() as tell:
        diagnosis = (
            _audit_run(flags.run, flags, options, tell)
            if flags.run is not None
            else _audit_model(flags, options, tell)
        )
    output.deliver(diagnosis, diagnosis.to_dict(), flags.out, as_json=flags.json)


def _check_subject(flags: AuditFlags) -> None:
    """Require a run or a model of one's own, and no flag of the other.

    Raises:
        BadArgument: both or neither are given, or a flag of the other.
    """
    for name in ("world", "policy", "env", "data"):
        if flags.run is not None and getattr(flags, name) is not None:
            raise BadArgument(
                f"both a run directory and --{name} are given; an audit is of a run or of --world."
            )
    _check_flags_of_subject(flags)
    if flags.run is None and (flags.world is None or flags.policy is None):
        lacking = "--policy" if flags.world else "--world" if flags.policy else "what to audit"
        raise BadArgument(
            f"{lacking} is not named; write paracosm audit RUN, or paracosm audit --world"
            " MODULE:FUNCTION --policy MODULE:FUNCTION --env ENV."
        )


def _check_flags_of_subject(flags: AuditFlags) -> None:
    """Refuse flags that say nothing about the subject of this audit."""
    given = {
        field.name
        for field in dataclasses.fields(flags)
        if getattr(flags, field.name) != field.default
    }
    of_run, has_env, has_data = "run" in given, "env" in given, "data" in given
    new_episodes = bool(given & {"episodes", "planner"})
    # Where the first is so, the flags named next are refused with the sentence.
    for misplaced, names, sentence in (
        (
            of_run,
            {"seed"},
            "--seed is of --world; a run is audited with its own.",
        ),
        (
            of_run,
            {"env_kwargs"},
            "--env-kwargs is of --world; a run is audited with its own.",
        ),
        (
            of_run and not new_episodes,
            {"first_seed"},
            "--first-seed is of new episodes; give --episodes too, or neither for the run's own.",
        ),
        (
            not of_run,
            {"search"},
            "--search is of a run, whose learned world it searches; of your own world, audit(…,"
            " searches=…) in Python.",
        ),
        (
            not of_run,
            {"planner"},
            "--planner is of a run, whose learned world it searches; a planner of yours is a"
            " --policy.",
        ),
        (not has_env, {"horizon"}, "--horizon is of --env; a run and --data have their own."),
        (
            not has_env,
            {"action_range"},
            "--action-range is of --env; a run and --data have their own.",
        ),
        (
            has_data and not has_env,
            {"episodes", "first_seed", "env_kwargs"},
            "--episodes, --first-seed and --env-kwargs are of --env; all episodes of --data are"
            " used.",
        ),
        (
            not has_data,
            {"columns"},
            "--columns is given without --data, whose columns it names.",
        ),
        (
            not of_run,
            {"trust"},
            "--trust is for a run directory; --world and --policy import your own module anyway.",
        ),
    ):
        if misplaced and given & names:
            raise BadArgument(sentence)


def _audit_run(path: Path, flags: AuditFlags, options: AuditOptions, tell: Progress) -> Diagnosis:
    """The audit of a run, or of a planner in its world.

    Args:
        path: The run directory.
        flags: The command's flags.
        options: How to audit, as the flags say.
        tell: Moves the progress bar of a stage.
    """
    run, episodes = load(path, trust=flags.trust), None
    planner = None if flags.planner is None else run.planner(flags.planner)
    start = time.perf_counter()
    if flags.episodes is not None and planner is None:
        run.require_trust()  # before real steps are taken
    if flags.episodes is not None or planner is not None:
        episodes = run.source().evaluate(
            run.policy if planner is None else planner,
            episodes=_EPISODES if flags.episodes is None else flags.episodes,
            first_seed=_first_seed(flags),
            progress=lambda done, total: tell("evaluate", done, total, ""),
        )
    length = ""
    if planner is not None and episodes is not None:
        length = planner_audit_length(episodes, options, time.perf_counter() - start)
    tell("audit", 0, 1, length)
    searches = _searches(run, flags)
    try:
        diagnosis = audit_run(run, episodes, planner=planner, searches=searches, **options)
    except SearchFailed as error:  # one that nobody named may fail: what the audit found stands
        if flags.search is not None or error.diagnosis is None:
            raise
        diagnosis = dataclasses.replace(error.diagnosis, search_failed=str(error))
        diagnosis = with_next_step(diagnosis, run.learned.fits, run.policy)
    if flags.search is None and not searches:
        needs = run.usual_search_needs(flags.planner)
        diagnosis = dataclasses.replace(diagnosis, search_needs=needs)
        diagnosis = with_next_step(diagnosis, run.learned.fits, run.policy)
    diagnosis = calibrated_diagnosis(run, diagnosis, episodes, planner=planner)
    if planner is not None:
        return diagnosis
    diagnosis = ranked_diagnosis(run.path, diagnosis)
    audited = run.episodes if episodes is None else episodes
    beyond = _first_seed(flags) + len(audited.alive)
    return assisted_diagnosis(run, diagnosis, episodes, max(FRESH_SEED, beyond))


def _searches(run: Run, flags: AuditFlags) -> tuple[str, ...]:
    """The searches that --search names, or without it those that the budget allows."""
    if flags.search is None:
        return run.usual_searches(flags.planner, flags.most_search_steps)
    return _search_names(flags)


def _search_names(flags: AuditFlags) -> tuple[str, ...]:
    """The searches that --search names.

    Raises:
        BadArgument: there is no search of one of the names, or none stands beside others.
    """
    names = () if flags.search in (None, "none") else tuple(flags.search.split(","))
    if "none" in names:
        raise BadArgument(f"--search is {flags.search!r}; none stands alone, beside no other name.")
    for name in names:
        require_search(name, "--search")
    return names


def _audit_model(flags: AuditFlags, options: AuditOptions, tell: Progress) -> Diagnosis:
    """The audit of somebody's own world and policy."""
    return audit_foreign(
        str(flags.world),
        str(flags.policy),
        env=flags.env,
        env_kwargs=keywords(flags.env_kwargs),
        horizon=flags.horizon,
        action_range=flags.action_range,
        data=flags.data,
        columns=parse_column_map(flags.columns),
        episodes=_EPISODES if flags.episodes is None else flags.episodes,
        first_seed=_first_seed(flags),
        seed=flags.seed or 0,
        progress=tell,
        **options,
    )


def _first_seed(flags: AuditFlags) -> int:
    return _FIRST_SEED if flags.first_seed is None else flags.first_seed


def _options(flags: AuditFlags) -> AuditOptions:
    """How to audit, as far as the flags say: an audit of a planner has other defaults."""
    most = flags.most_imagined_steps
    if most is not None:
        checks.count("--most-imagined-steps", most)
    if flags.all_steps and most is not None:
        raise BadArgument(
            "both --all-steps and --most-imagined-steps are given; an audit is of every step, or"
            " costs so much at the most."
        )
    checks.in_unit_interval("discount", flags.discount)
    options: AuditOptions = {"discount": flags.discount}
    if flags.run is not None:
        _search_names(flags)
        checks.count("--most-search-steps", flags.most_search_steps)
        options["most_search_steps"] = flags.most_search_steps
    if flags.all_steps or most is not None:
        options["most_imagined_steps"] = math.inf if most is None else most
    if flags.no_bounds:
        options["certify"] = False
    if flags.no_dimensions:
        options["dimensions"] = False
    return options
