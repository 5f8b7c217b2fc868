"""Collecting from and evaluating on a real environment, however it is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium

from paracosm.core import checks
from paracosm.core.data import Dataset, Trajectory
from paracosm.core.mdp import MDP
from paracosm.core.policy import Policy
from paracosm.real.foreign import plainly
from paracosm.real.gymnasium import HostSource
from paracosm.real.making import make
from paracosm.real.native import SystemSource
from paracosm.real.source import Progress, Source

Environment = str | Callable[[], Any] | MDP | Source


def connect(env: Environment, kwargs: Mapping[str, Any] | None = None, horizon: int | None = None) -> Source:
    """The real environment `env` as a source of steps.

    Args:
        env: a Gymnasium id or `module:function` (see `make`), a callable that builds a `gymnasium.Env` or an `MDP`,
            an `MDP`, or a source, which is returned as it is.
        kwargs: keyword arguments of a named environment.
        horizon: steps in a full episode, where the environment has no time limit or a shorter episode is wanted.

    Raises:
        ParacosmError: the environment does not exist, cannot be built, or is not supported.
    """
    if isinstance(env, Source):
        return env
    if isinstance(env, MDP):
        return SystemSource(env, "the system", horizon)
    name = env if isinstance(env, str) else getattr(env, "__name__", "the environment")
    factory = make(env, kwargs) if isinstance(env, str) else env
    return _opened(factory, name, horizon)


def collect(
    env: Environment,
    steps: int,
    *,
    seed: int,
    policy: Policy | None = None,
    first_episode: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> Dataset:
    """Take exactly `steps` real steps in `env`, every transition and reward label observed: see `Source.collect`."""
    return connect(env).collect(
        steps, seed=seed, policy=policy, first_episode=first_episode, workers=workers, progress=progress
    )


def evaluate(
    env: Environment,
    policy: Policy,
    *,
    episodes: int = 20,
    first_seed: int = 10_000,
    horizon: int | None = None,
    sampled: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> Trajectory:
    """Play whole real episodes of the policy's mode from seeded starts: see `Source.evaluate`."""
    with plainly():
        return connect(env, horizon=horizon).evaluate(
            policy,
            episodes=episodes,
            first_seed=first_seed,
            horizon=horizon,
            sampled=sampled,
            seed=seed,
            progress=progress,
        )


def _opened(factory: Callable[[], Any], name: str, horizon: int | None) -> Source:
    built = factory()
    if isinstance(built, MDP):
        return SystemSource(built, name, horizon)
    if not isinstance(built, gymnasium.Env):
        raise checks.Unsupported(f"{name} gave a {type(built).__name__}; a gymnasium.Env or a paracosm MDP is needed.")
    built.close()
    return HostSource(factory, name, horizon)
