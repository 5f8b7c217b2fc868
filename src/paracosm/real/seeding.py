"""Whether an environment works at all, and whether a seed means anything to it. No JAX in here."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from paracosm.core import checks
from paracosm.real import boundary
from paracosm.real.boundary import Misbehaved, ObservationForm

_SECONDS = 1.0  # that an episode may take which is played to see whether it repeats


def require_working(name: str, env: Any, action: Any, form: ObservationForm) -> None:
    """Require that `env` starts and takes a step, so that one of another API is refused before
    anything is made.

    Args:
        name: What the error message calls the environment.
        env: The environment.
        action: An action of its space.
        form: The form of its observations.

    Raises:
        BadData: it does not; the sentence says what it did instead.
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
    environment that fails counts as one that repeats: collecting says at which step it fails.

    Args:
        factory: builds a copy.
        actions: the actions, `[step, ...]`, which are played for a second at most.
        form: the form of its observations.
    """
    with contextlib.ExitStack() as stack:
        try:
            used, fresh = (stack.enter_context(_closing(factory())) for _ in range(2))
            _play(used, actions[:1], form)
            used_rows = _play(used, actions, form)
            fresh_rows = _play(fresh, actions[: len(used_rows) - 1], form, np.inf)
        except (Misbehaved, checks.ParacosmError):
            return True
    return len(used_rows) == len(fresh_rows) and np.allclose(
        used_rows, fresh_rows, rtol=1e-5, atol=1e-8
    )


@contextlib.contextmanager
def _closing(env: Any) -> Iterator[Any]:
    try:
        yield env
    finally:
        with contextlib.suppress(Exception, SystemExit):
            env.close()


def _play(
    env: Any, actions: np.ndarray, form: ObservationForm, seconds: float = _SECONDS
) -> np.ndarray:
    """Observation, reward and flags of each step until the episode ends or the seconds are over,
    `[1 + step, ...]`.

    Args:
        env: The environment.
        actions: The actions, `[step, ...]`.
        form: The form of its observations.
        seconds: Wall time after which no further step is taken.
    """
    rows, started_at = [np.append(boundary.reset(env, 0, form), [0.0, 0.0, 0.0])], time.monotonic()
    for action in actions:
        step = boundary.step(env, action.copy(), form)  # some change their action
        rows.append(np.append(step.observation, [step.reward, step.terminated, step.truncated]))
        if step.terminated or step.truncated or time.monotonic() - started_at > seconds:
            break
    return np.array(rows)
