"""Collecting from and evaluating on a real environment, however it is named."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np

from paracosm.core import callbacks, checks
from paracosm.core.data import Dataset, Trajectory
from paracosm.core.encoder import Encoder
from paracosm.core.mdp import MDP
from paracosm.core.policy import Policy
from paracosm.core.pomdp import POMDP
from paracosm.core.precision import LEAST_TOLERANCE, answer_tolerance
from paracosm.real import boundary
from paracosm.real.gymnasium import GymnasiumSource
from paracosm.real.native import HiddenSource, SystemSource
from paracosm.real.registry import factory_of
from paracosm.real.source import PolicyLike, Source, StepProgress

_ASKED_AGAIN = 8  # observations: draws among a few choices fall on the same ones now and then

Environment = str | Callable[[], Any] | gymnasium.Env | MDP | POMDP | Source


def connect(
    env: Environment,
    kwargs: Mapping[str, Any] | None = None,
    horizon: int | None = None,
    encoder: Encoder | None = None,
    action_range: tuple[float, float] | None = None,
) -> Source:
    """The real environment `env` as a source of steps.

    Args:
        env: a Gymnasium id or `module:function` (see `make`), a callable that builds a
            `gymnasium.Env`, an `MDP` or a `POMDP`, one of these itself, or a source, which is
            taken as it is. Of an environment copies are played (`copy.deepcopy`); it stays as it
            is.
        kwargs: keyword arguments of a named environment, which nothing else takes.
        horizon: steps in a full episode, where the environment has no time limit or a shorter
            episode is wanted.
        encoder: what makes states of observations, for an environment that does not show its
            state; None where observations are states.
        action_range: lowest and highest action of an environment whose Box of actions has no bound
            on some side; there they bound it.

    Raises:
        ParacosmError: the environment does not exist, cannot be built, or is not supported.
    """
    if encoder is not None:
        checks.of_kind("encoder", encoder, Encoder, "an Encoder, or None,")
    if action_range is not None:
        action_range = checks.interval("action_range", action_range)
    source = _source(env, kwargs, horizon, action_range)
    return source if encoder is None else source.through(encoder)


def _source(
    env: Any,
    kwargs: Mapping[str, Any] | None,
    horizon: int | None,
    action_range: tuple[float, float] | None,
) -> Source:
    """The source of what `connect` is given as `env`; its states are its observations.

    Args:
        env, kwargs, horizon, action_range: As for `connect`.
    """
    if kwargs is not None:
        checks.of_kind("kwargs", kwargs, Mapping, "a mapping of keyword arguments, or None,")
    if kwargs and not isinstance(env, str):
        raise checks.BadArgument(
            f"kwargs is {checks.described(kwargs)} and env is {checks.described(env)}; keyword"
            " arguments are of an environment that is given by its name."
        )
    if isinstance(env, (Source, MDP, POMDP)):
        return _source_of_bounded(env, "the system", horizon, action_range)
    if isinstance(env, gymnasium.Env):
        return GymnasiumSource(_copy_factory(env), _env_name(env), horizon, action_range)
    if not isinstance(env, str) and (not callable(env) or isinstance(env, Policy)):
        raise checks.BadArgument(
            f"env is {checks.described(env)}; a Gymnasium id, module:function, an environment or a"
            " function that"
            f" builds one is needed{_hint_for_unsupported(env)}."
        )
    name = env if isinstance(env, str) else getattr(env, "__name__", "<")
    if name.startswith("<"):  # lambdas and partials have no name of their own
        name = "the environment"
    factory = factory_of(env, kwargs) if isinstance(env, str) else env
    return _source_of_factory(factory, name, horizon, action_range)


def collect(
    env: Environment,
    steps: int,
    *,
    seed: int,
    policy: PolicyLike | None = None,
    first_episode: int = 0,
    workers: int = 1,
    horizon: int | None = None,
    encoder: Encoder | None = None,
    action_range: tuple[float, float] | None = None,
    before: Dataset | None = None,
    failed: tuple[int, ...] = (),
    progress: StepProgress | None = None,
) -> Dataset:
    """Take exactly `steps` real steps in `env`, every transition and reward label observed: see
    `Source.collect`.

    Args:
        env: The real environment, as `connect` takes it.
        steps, seed, policy, first_episode, workers: As for `Source.collect`.
        horizon: Steps in a full episode, where `env` has no time limit or a shorter one is wanted.
        encoder: What makes states of observations; None where observations are states, or where
            the policy brings its own.
        action_range: As for `connect`.
        before, failed, progress: As for `Source.collect`.
    """
    encoder = getattr(policy, "played_through", None) if encoder is None else encoder
    with callbacks.as_raised():
        source = connect(env, horizon=horizon, encoder=encoder, action_range=action_range)
        collected = source.collect(
            steps,
            seed=seed,
            policy=policy,
            first_episode=first_episode,
            workers=workers,
            before=before,
            failed=failed,
            progress=progress,
        )
    _warn_of_repeatability(source)
    return collected


def evaluate(
    env: Environment,
    policy: PolicyLike,
    *,
    episodes: int = 20,
    first_seed: int = 10_000,
    horizon: int | None = None,
    encoder: Encoder | None = None,
    action_range: tuple[float, float] | None = None,
    sampled: bool = False,
    seed: int = 0,
    progress: StepProgress | None = None,
) -> Trajectory:
    """Play whole real episodes of the policy's mode from seeded starts: see `Source.evaluate`.

    A function of observations is asked some of what it has just been asked again, in another order;
    if its answers differ by more than rounding, a warning says that it draws or has a memory.

    Args:
        env: The real environment, as `connect` takes it.
        policy, episodes, first_seed, sampled, seed, progress: As for `Source.evaluate`.
        horizon: Steps in a full episode; the time limit of `env` if None.
        encoder: What makes states of observations; None where observations are states, or where
            the policy brings its own.
        action_range: As for `connect`.
    """
    encoder = getattr(policy, "played_through", None) if encoder is None else encoder
    with callbacks.as_raised():
        source = connect(env, horizon=horizon, encoder=encoder, action_range=action_range)
        episodes_played = source.evaluate(
            policy,
            episodes=episodes,
            first_seed=first_seed,
            horizon=horizon,
            sampled=sampled,
            seed=seed,
            progress=progress,
        )
    _warn_of_repeatability(source)
    if not isinstance(policy, Policy) and _answers_otherwise(policy, episodes_played):
        warnings.warn(
            "The policy answers the same observation differently when it is asked twice: it draws,"
            " or has a memory, which mixes up episodes, since they are played side by side; a"
            " Policy with a carry keeps them apart.",
            stacklevel=2,
        )
    return episodes_played


def _answers_otherwise(function: Callable[[np.ndarray], Any], played: Trajectory) -> bool:
    """Whether a function of one observation answers by more than rounding otherwise when it is
    asked observations that it played at in one order and in the reverse.
    """
    states = np.asarray(played.state)[np.asarray(played.alive)]
    asked = states[np.linspace(0, len(states) - 1, min(len(states), _ASKED_AGAIN)).astype(int)]
    try:
        first = np.array([np.array(function(state.copy())) for state in asked])
        second = np.array([np.array(function(state.copy())) for state in asked[::-1]])[::-1]
        if not np.issubdtype(first.dtype, np.floating):
            return bool(np.any(first != second))
        tolerance = answer_tolerance(float(np.finfo(first.dtype).eps)) * np.abs(first).max()
        return bool(np.any(np.abs(first - second) > tolerance + LEAST_TOLERANCE))
    except Exception:  # it has played: what it says of these calls alone is no reason to fail
        return False


def _warn_of_repeatability(source: Source) -> None:
    """Warn of what keeps a source's numbers from being had again; it may play an episode."""
    for sentence in source.repeatability_remarks():
        warnings.warn(sentence, stacklevel=3)


def _require_same_horizon(source: Source, horizon: int | None) -> Source:
    """The source itself.

    Raises:
        BadArgument: a horizon is given that is not its own.
    """
    if horizon not in (None, source.horizon):
        raise checks.BadArgument(
            f"{source.name} is a source already, of {source.horizon} steps an episode; a horizon"
            f" of {horizon} is given beside it: give it where the source is made."
        )
    return source


def _source_of_factory(
    factory: Callable[[], Any],
    name: str,
    horizon: int | None,
    action_range: tuple[float, float] | None,
) -> Source:
    """The source of the environment, MDP or source that a factory builds.

    Args:
        factory: Builds the environment.
        name: What messages call the environment.
        horizon, action_range: As for `connect`.

    Raises:
        Unsupported: it builds something else.
    """
    env = boundary.build(factory, name)
    if isinstance(env, (Source, MDP, POMDP)):
        return _source_of_bounded(env, name, horizon, action_range)
    if not isinstance(env, gymnasium.Env):
        raise checks.Unsupported(
            f"{name} gave {boundary.describe_value(env)}; a gymnasium.Env, a paracosm MDP or"
            f" POMDP, or a Source is needed{_hint_for_unsupported(env)}."
        )
    with contextlib.suppress(Exception, SystemExit):
        env.close()
    return GymnasiumSource(factory, name, horizon, action_range)


def _source_of_bounded(
    env: Source | MDP | POMDP,
    name: str,
    horizon: int | None,
    action_range: tuple[float, float] | None,
) -> Source:
    """The source of a system, or the source itself, whose actions are bounded already.

    Args:
        env: The source or the system.
        name: What messages call a system.
        horizon, action_range: As for `connect`.

    Raises:
        BadArgument: an action range is given.
    """
    if action_range is not None:
        raise checks.BadArgument(
            f"action_range is {action_range}, and the actions of"
            f" {env.name if isinstance(env, Source) else name} are bounded already; None is needed."
        )
    if isinstance(env, Source):
        return _require_same_horizon(env, horizon)
    return _system_source(env, name, horizon)


def _system_source(system: MDP | POMDP, name: str, horizon: int | None) -> SystemSource:
    """The source of a JAX-native system, whose states a POMDP hides."""
    if isinstance(system, MDP):
        return SystemSource(system, name, horizon)
    return HiddenSource(system, name, horizon)


def _hint_for_unsupported(env: Any) -> str:
    """What to do instead with an environment that is not supported, as the clause of a sentence:
    with many at once, or with a functional one, or a pair of one and its parameters; else empty.
    """
    if isinstance(getattr(env, "num_envs", None), int):
        return "; a vector environment is many at once: give one of them, or what builds one"
    first = env[0] if isinstance(env, tuple) and env else env
    if callable(getattr(first, "reset", None)) and callable(getattr(first, "step", None)):
        return "; paracosm.foreign.gymnax(env, params) makes one of a functional environment"
    return ""


def _copy_factory(env: gymnasium.Env) -> Callable[[], gymnasium.Env]:
    """A factory of copies of an environment, each with generators of its own."""
    name = _env_name(env)

    def factory() -> gymnasium.Env:
        try:
            return copy.deepcopy(env)
        except Exception as error:  # what it holds may refuse with anything
            raise checks.BadArgument(
                f"{name} cannot be copied: it {boundary.describe_exception(error)}; give a function"
                " that builds it instead."
            ) from error

    return factory


def _env_name(env: gymnasium.Env) -> str:
    """What messages call an environment: its id, or its class where it has none."""
    try:
        spec = env.spec
    except Exception:  # a property of an environment may fail with anything
        spec = None
    return type(env.unwrapped).__name__ if spec is None else spec.id
