"""A first look at an environment: does it work at all, and does a seed mean anything to it? No JAX
in here.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from paracosm.core import checks
from paracosm.real import boundary
from paracosm.real.boundary import Misbehaved, ObservationForm

_SECONDS = 1.0  # of an episode played to see whether it repeats


def demand_working(name: str, env: Any, action: Any, form: ObservationForm) -> None:
    """Require that `env` starts and takes a step, so that one of another API is refused before
    anything is made.

    Args:
        name: What the error message calls it.
        env: The environment.
        action: An action of its space.
        form: Of its observations.

    Raises:
        BadData: it does not; the sentence says what it did.
    """
    place = "on its first reset"
    try:
        boundary.reset(env, 0, form)
        place = "on its first step"
        boundary.step(env, action, form)
    except Misbehaved as error:
        raise checks.BadData(error.fault.sentence(name, place)) from error


def repeats(factory: Callable[[], Any], actions: np.ndarray, form: ObservationForm) -> bool:
    """Whether two copies play the same episode from the same seed and with the same actions, up to
    rounding.

    One copy has played before, so that what stays from one episode to the next shows, too. An
    environment that fails is not judged: collecting says at which step it does.

    Args:
        factory: builds a copy.
        actions: what is taken, `[step, ...]`, for a second at most.
        form: of its observations.
    """
    with contextlib.ExitStack() as stack:
        try:
            played, fresh = (stack.enter_context(_closing(factory())) for _ in range(2))
            _played(played, actions[:1], form)
            first = _played(played, actions, form)
            second = _played(fresh, actions[: len(first) - 1], form, np.inf)
        except (Misbehaved, checks.ParacosmError):
            return True
    return len(first) == len(second) and np.allclose(first, second, rtol=1e-5, atol=1e-8)


@contextlib.contextmanager
def _closing(env: Any) -> Iterator[Any]:
    try:
        yield env
    finally:
        with contextlib.suppress(Exception, SystemExit):
            env.close()


def _played(
    env: Any, actions: np.ndarray, form: ObservationForm, seconds: float = _SECONDS
) -> np.ndarray:
    """Observation, reward and flags of each step until the episode ends or the seconds are over,
    `[1 + step, ...]`.

    Args:
        env: The environment.
        actions: What is done, `[step, ...]`.
        form: Of its observations.
        seconds: Of wall time.
    """
    rows, begun = [np.append(boundary.reset(env, 0, form), [0.0, 0.0, 0.0])], time.monotonic()
    for action in actions:
        step = boundary.step(env, action.copy(), form)  # some change their action
        rows.append(np.append(step.observation, [step.reward, step.terminated, step.truncated]))
        if step.terminated or step.truncated or time.monotonic() - begun > seconds:
            break
    return np.array(rows)
