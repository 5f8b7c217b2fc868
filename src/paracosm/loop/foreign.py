"""The audit of somebody's own world model and policy: `paracosm audit --world … --policy …`."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Unpack

import equinox as eqx
import jax
import numpy as np

from paracosm import adapters as foreign
from paracosm.auditing.one_step import OtherActions
from paracosm.core import callbacks, checks
from paracosm.core.data import Trajectory
from paracosm.core.encoder import encode
from paracosm.core.mdp import MDP, Discrete, Spec
from paracosm.core.policy import Policy
from paracosm.core.precision import in_double
from paracosm.core.progress import Progress, silent
from paracosm.core.records import Diagnosis
from paracosm.core.rollout import advance
from paracosm.loop.auditing import PLANNER_AUDIT_DEFAULTS, AuditOptions, audit
from paracosm.real import datasets, registry
from paracosm.real.column_map import ColumnMap
from paracosm.real.source import Source
from paracosm.real.verbs import connect
from paracosm.reporting import diagnosis_words

_MOST_NAMES = 12  # of components in a message


def audit_foreign(
    world: str | Callable[..., Any],
    policy: str | Callable[..., Any],
    *,
    env: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    horizon: int | None = None,
    action_range: tuple[float, float] | None = None,
    data: str | None = None,
    columns: ColumnMap | None = None,
    episodes: int = 20,
    first_seed: int = 10_000,
    seed: int = 0,
    progress: Progress = silent,
    **options: Unpack[AuditOptions],
) -> Diagnosis:
    """Explain the gap between somebody's world model and the real world, for their policy.

    Args:
        world: `module:function`, or the function: `make_world()` or `make_world(spec)`, which gives
            an `MDP` (`foreign.world`), a `foreign.LatentModel` or a `foreign.Recurrent`. The spec's
            state scale is that of the real episodes, 1 of a recurrent model's observations.
        policy: `module:function`, or the function: `make_policy()` or `make_policy(spec)` gives
            what `foreign.policy` takes. With `env` its spec has the state scale 1, since nothing
            was recorded yet.
        env: the environment to record episodes in, by name.
        env_kwargs: its keyword arguments.
        horizon: steps of a full episode, where it has no time limit or shorter episodes are wanted.
        action_range: lowest and highest action, where its Box of actions has no bound.
        data: recorded on-policy episodes instead: a file that `load_data` reads, or `minari:NAME`.
        columns: of `data`, by role, as for `load_data`.
        episodes: how many to record.
        first_seed: of the first one recorded.
        seed: of the audit.
        progress: told of each stage.
        options: `discount`, `most_imagined_steps`, `certify` and `dimensions` of `audit`.

    Raises:
        ParacosmError: one sentence about whatever does not fit; a foreign function's own message is
            part of it.
    """
    for name, factory in (("world", world), ("policy", policy)):
        if not (isinstance(factory, str) or callable(factory)):
            raise checks.BadArgument(
                f"{name} is {checks.described(factory)}; module:function, or the function, is"
                " needed."
            )
        if isinstance(factory, str):  # what is not there is said before real steps are taken
            registry.import_function(factory)
    if (env is None) == (data is None):
        number = "neither" if env is None else "both"
        raise checks.BadArgument(
            f"of --env and --data {number} is given; one says where real episodes come from."
        )
    with callbacks.as_raised():
        if data is None:
            open_env = functools.partial(
                connect, str(env), env_kwargs, horizon, action_range=action_range
            )
            recorded = _play(policy, open_env, episodes, first_seed, progress)
        else:
            recorded = _read(policy, data, columns)
        _require_steps(recorded.episodes)
        case = _case(_build(world, "world", recorded.spec), recorded.policy, recorded.episodes)
    progress("audit", 0, 1, "")
    defaults = PLANNER_AUDIT_DEFAULTS if case.policy.searches else {}
    try:
        diagnosis = _audit_and_locate_failure(case, {"seed": seed, **defaults, **options})
    except OtherActions as error:
        if not recorded.played:
            raise
        raise checks.BadData(_acts_otherwise(error)) from error
    # Special about these models: latent states, what the policy may lack, 32 bits.
    note = getattr(recorded.policy, "note", "")
    sentences = (note, _actions_outside(recorded), *recorded.remarks)
    return diagnosis_words.with_remarks(
        diagnosis, note=case.note, remarks=sentences, bits=_bits(case)
    )


def _actions_outside(recorded: _RecordedCase) -> str:
    """A sentence on recorded actions that lie outside their bounds; empty if none do."""
    space, alive = recorded.spec.action, np.asarray(recorded.episodes.alive)
    if isinstance(space, Discrete):
        return ""
    outside = space.outside(np.asarray(recorded.episodes.action)[alive])
    if not outside.any():
        return ""
    low, high = np.asarray(space.low), np.asarray(space.high)
    same = (low == low[0]).all() and (high == high[0]).all()
    bounds = f"[{low[0]:g}, {high[0]:g}]" if same else "the bounds of the environment"
    return (
        f"{int(outside.sum()):,} of the {outside.size:,} recorded actions lie outside {bounds}: an"
        " environment may clip them, and a world that does not plays others; the policy should"
        " clip them itself."
    )


def _acts_otherwise(error: OtherActions) -> str:
    """A sentence of a policy that is asked again where it has just played."""
    return (
        f"{error.count} of the {error.steps} actions that the policy has just played are not those"
        " that it gives when it is asked again: it draws (its greedy() must give a policy that"
        " ignores the key), or keeps something outside its carry (docs/extending.md)."
    )


def _bits(case: _Case) -> str:
    """The parts that answer in fewer bits than they are asked in, in words."""
    return foreign.low_precision_note(
        dynamics=case.world.dynamics,
        reward=case.world.reward,
        termination=case.world.termination,
        policy=case.policy,
    )


@dataclasses.dataclass(frozen=True)
class _RecordedCase:
    """Real episodes of the user's policy.

    Attributes:
        episodes: Of the world's states.
        policy: The policy as it is audited.
        spec: The task, as the user's function that makes the world gets it.
        remarks: Sentences of the environment.
        played: Whether the policy has just played them.
    """

    episodes: Trajectory
    policy: Policy
    spec: Spec
    remarks: tuple[str, ...] = ()
    played: bool = False


@dataclasses.dataclass(frozen=True)
class _Case:
    """The models that are audited, the real episodes, and a note that goes before the verdict."""

    world: MDP
    policy: Policy
    episodes: Trajectory
    note: str


def _build(factory: str | Callable[..., Any], kind: str, spec: Spec) -> Any:
    """What the user's function builds; the spec is given to one with a required positional
    argument.

    Raises:
        BadArgument: the function fails, or needs more than one argument.
    """
    function = registry.import_function(factory) if isinstance(factory, str) else factory
    name = factory if isinstance(factory, str) else getattr(factory, "__name__", kind)
    try:
        takes_spec = any(map(_is_required, inspect.signature(function).parameters.values()))
        return function(spec) if takes_spec else function()
    except checks.ParacosmError:
        raise
    except (Exception, SystemExit) as error:
        message = " ".join(str(error).split())
        raise checks.BadArgument(
            f"building the {kind} by {name} failed with {type(error).__name__}: {message}"
        ) from error


def _is_required(parameter: inspect.Parameter) -> bool:
    positional = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    return positional and parameter.default is parameter.empty


def _play(
    policy: str | Callable[..., Any],
    open_env: Callable[..., Source],
    episodes: int,
    first_seed: int,
    progress: Progress,
) -> _RecordedCase:
    """Record episodes of the user's policy in an environment.

    A policy with an encoder plays on its memories, which are its world's states; the spec is then
    that of observations.

    Args:
        policy: The function that makes it.
        open_env: Opens the environment, through the encoder that it is called with.
        episodes, first_seed, progress: As for `audit_foreign`.
    """
    source = open_env()
    blank = source.blank_spec
    theirs = _build(policy, "policy", blank)
    acting = foreign.policy(theirs, blank)
    encoder = getattr(acting, "played_through", None)
    source = source if encoder is None else open_env(encoder=encoder)
    try:
        with callbacks.as_raised():
            recorded = source.evaluate(
                acting,
                episodes=episodes,
                first_seed=first_seed,
                progress=lambda done, total: progress("evaluate", done, total, ""),
            )
    except foreign.BadAnswer as error:
        if not source.components:
            raise
        sentence = str(error).rstrip(".")
        raise checks.BadData(f"{sentence}. {_observation_and_action(source)}") from error
    if encoder is not None:
        return _RecordedCase(recorded, acting, blank, source.repeatability_remarks(), played=True)
    spec = foreign.spec(recorded, action=source.action, horizon=source.horizon)
    spec = dataclasses.replace(spec, components=source.components)
    acting = foreign.policy(theirs, spec)
    return _RecordedCase(recorded, acting, spec, source.repeatability_remarks(), played=True)


def _observation_and_action(source: Source) -> str:
    """What a policy gets of an environment whose observations have several parts, and gives it."""
    names, action = source.components, source.action
    shown = names if len(names) <= _MOST_NAMES else (*names[: _MOST_NAMES - 1], "…", names[-1])
    given = (
        f"a whole number from 0 to {action.n - 1}"
        if isinstance(action, Discrete)
        else f"a vector of {action.size}"
    )
    return (
        f"A policy is given this environment's observations as a vector of {len(names)} numbers,"
        f" {', '.join(shown)}, and an action is {given}: docs/spaces.md."
    )


def _read(policy: str | Callable[..., Any], data: str, columns: ColumnMap | None) -> _RecordedCase:
    """Episodes of the user's policy that a file holds."""
    recorded = foreign.trajectory(datasets.load(data, columns), data)
    spec = foreign.spec(recorded)
    acting = foreign.policy(_build(policy, "policy", spec), spec)
    encoder = getattr(acting, "played_through", None)
    recorded = recorded if encoder is None else encode(encoder, recorded)
    return _RecordedCase(recorded, acting, spec)


def _require_steps(episodes: Trajectory) -> None:
    """Require an episode of two steps.

    Raises:
        BadData: all are shorter.
    """
    steps = np.asarray(episodes.alive).sum(axis=1)
    if steps.max(initial=0) < 2:
        raise checks.BadData(
            f"none of the {len(steps)} real episodes has more than 1 step; one of at least 2 is"
            " needed, since nothing would be imagined from an imagined state, and an audit explains"
            " how errors add up from there."
        )


def _case(world: Any, policy: Policy, episodes: Trajectory) -> _Case:
    """The models as they are audited, in states of the world.

    Raises:
        Unsupported: the world is none.
        BadData: it has states of another size than the episodes.
    """
    if isinstance(world, (foreign.LatentModel, foreign.Recurrent)):
        return _Case(*world.on(episodes))
    if not isinstance(world, MDP):
        raise checks.Unsupported(
            f"--world gave a {type(world).__name__}; an MDP (foreign.world), a latent or a"
            " recurrent model is needed."
        )
    size, needed = np.shape(episodes.state)[-1], world.spec.state_size
    if size != needed:
        raise checks.BadData(
            f"the episodes' states have {size} components; the world's have {needed}."
        )
    return _Case(world, policy, episodes, note="")


def _audit_and_locate_failure(case: _Case, options: Mapping[str, Any]) -> Diagnosis:
    """The audit; a foreign function's failure is told with the step, where playing the steps again
    finds it.
    """
    try:
        with callbacks.as_raised():
            return audit(case.world, case.policy, case.episodes, **options)
    except checks.ParacosmError as error:
        question = getattr(error, "question", None)
        if question is None:
            raise
        with jax.enable_x64(True):
            parts = in_double((case.world, case.policy, jax.tree.map(np.asarray, case.episodes)))
            case = _Case(*parts, case.note)
            where = _recorded_step(case.episodes, question) or _imagined_step(case, question)
        if where is None:
            raise
        raise checks.BadData(f"{where} {error}") from error


_TOLERANCE = 1e-6  # relative and absolute, of a question put again by another compiled program


def _recorded_step(episodes: Trajectory, question: Mapping[str, np.ndarray]) -> str | None:
    """The first recorded step at which `question`, a part's arguments by name, is put."""
    same = np.array(episodes.alive)  # `[episode, time]`, narrowed down argument by argument
    columns = {"s": episodes.state, "a": episodes.action, "s'": episodes.next_state}
    # A reward is asked at imagined s' too, so that s' alone tells no recorded step.
    # What a stochastic part drew with is not in the record.
    for name in question.keys() & columns.keys() - ({"s'"} if "s" in question else set()):
        column = np.asarray(columns[name]).reshape(*same.shape, -1)
        same &= np.isclose(column, question[name], rtol=_TOLERANCE, atol=_TOLERANCE).all(axis=-1)
    if not same.any():
        return None
    episode, step = np.argwhere(same)[0]
    return f"at step {step} of real episode {episode}"


def _imagined_step(case: _Case, question: Mapping[str, np.ndarray]) -> str | None:
    """The step of the imagined episodes at which a part fails at `question`; None if it is not
    found.

    They are played again as a deterministic Markov policy plays in a deterministic world, and of
    no others: nothing is carried, and every step has the same random keys.
    """
    policy, count = case.policy.greedy(), len(case.episodes.alive)
    keys = jax.random.split(jax.random.key(0), count)
    state, alive = case.episodes.state[:, 0], np.ones(count, bool)
    for step in range(case.episodes.alive.shape[1]):
        try:
            with callbacks.as_raised():
                played = jax.block_until_ready(_advance(case.world, policy, state, alive, keys))
        except Exception as error:
            failed_at = getattr(error, "question", None)
            found = failed_at is not None and _same_question(failed_at, question)
            return f"at imagined step {step}" if found else None
        state, alive = np.asarray(played.next_state), alive & ~np.asarray(played.ended)
    return None


def _same_question(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> bool:
    close = {
        name: np.allclose(first[name], second[name], rtol=_TOLERANCE, atol=_TOLERANCE)
        for name in first.keys() & second.keys()
    }
    return first.keys() == second.keys() and all(close.values())


_advance = eqx.filter_jit(advance)
