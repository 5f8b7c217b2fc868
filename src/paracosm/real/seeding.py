"""Whether an environment works at all, and whether a seed means anything to it. No JAX in here."""

from __future__ import annotations

import contextlib
import enum
import functools
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from paracosm.core import checks
from paracosm.real import boundary
from paracosm.real.boundary import Misbehaved, ObservationForm

_SECONDS = 1.0  # that an episode may take which is played to see whether it repeats
_REPETITIONS = 3  # of what may be chance: one alone was, in one of 200 environments of rare noise
_OTHER_SEEDS = (1, 2, 3)  # of which two may start alike where starts are few


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


class Repetition(enum.Enum):
    """What an episode depends on besides its seed and its actions."""

    NOTHING = enum.auto()
    CHANCE = enum.auto()  # or what its copy played before
    COPY = enum.auto()  # its place among the episodes of its copy; its seed means nothing
    COMPANY = enum.auto()  # whether other copies are played beside it
    DISTURBED = enum.auto()  # what other copies do that are played beside it


def repetition(
    factory: Callable[[], Any],
    actions: np.ndarray,
    form: ObservationForm,
    *,
    company_actions: np.ndarray,
) -> Repetition:
    """What an episode depends on besides its seed and its actions, by copies that play one from the
    same seed and with the same actions, one after the other and beside one another; equal is what
    is so up to rounding.

    One copy has played before, so that what stays from one episode to the next shows, too. An
    environment that fails counts as one that repeats: collecting says at which step it fails. The
    global generators of NumPy, Python and PyTorch are left as they were.

    Args:
        factory: builds a copy.
        actions: the actions, `[step, ...]`, which are played for a second at most.
        form: the form of its observations.
        company_actions: other ones, for the copy beside.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_restoring_generators())
        try:
            used, fresh = (stack.enter_context(_closing(factory())) for _ in range(2))
            _play(used, actions[:1], form)
            used_rows = _play(used, actions, form)
            actions = actions[: len(used_rows) - 1]
            fresh_rows = _play(fresh, actions, form, seconds=np.inf)
            if len(used_rows) != len(fresh_rows) or not _alike(used_rows, fresh_rows):
                return _by_first_episodes(factory, fresh_rows, actions, form)
            beside = functools.partial(_play_beside, fresh, used, form, actions)
            rows = beside(actions)
            if _alike(rows, fresh_rows):
                return Repetition.NOTHING
            again = _play(fresh, actions, form, seconds=np.inf)
            repeated = all(_alike(beside(actions), rows) for _ in range(_REPETITIONS))
            if not (repeated and _alike(again, fresh_rows)):
                return Repetition.CHANCE
            # Copies that share no more than a generator do not tell what the other does.
            by_generators = _alike(beside(actions, turn=_restoring_generators), fresh_rows)
            if by_generators or _alike(rows, beside(company_actions[: len(actions)])):
                return Repetition.COMPANY
            return Repetition.DISTURBED
        except (Misbehaved, checks.ParacosmError):
            return Repetition.NOTHING


def _by_first_episodes(
    factory: Callable[[], Any], rows: np.ndarray, actions: np.ndarray, form: ObservationForm
) -> Repetition:
    """What an episode that does not repeat depends on: its copy, if new copies play the same rows
    with every other seed that is tried, else chance.

    Args:
        factory: builds a copy.
        rows: The first episode of a copy.
        actions, form: As of `repetition`.
    """
    for seed in _OTHER_SEEDS:
        try:
            with _closing(factory()) as env:
                if not np.array_equal(_play(env, actions, form, seed=seed, seconds=np.inf), rows):
                    return Repetition.CHANCE
        except (Misbehaved, checks.ParacosmError):  # no third copy, for one
            return Repetition.CHANCE
    return Repetition.COPY


def _alike(rows: np.ndarray, others: np.ndarray) -> bool:
    """Whether two episodes are one up to rounding, as far as both were played."""
    steps = min(len(rows), len(others))
    return np.allclose(rows[:steps], others[:steps], rtol=1e-5, atol=1e-8)


@contextlib.contextmanager
def _restoring_generators() -> Iterator[None]:
    """Leave the global generators of NumPy, of Python and of a loaded PyTorch as they were."""
    torch: Any = sys.modules.get("torch")
    numpy_state, python_state = np.random.get_state(), random.getstate()
    torch_state = None if torch is None else torch.get_rng_state()
    try:
        yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)
        if torch is not None:
            torch.set_rng_state(torch_state)


@contextlib.contextmanager
def _closing(env: Any) -> Iterator[Any]:
    try:
        yield env
    finally:
        with contextlib.suppress(Exception, SystemExit):
            env.close()


def _play(
    env: Any,
    actions: np.ndarray,
    form: ObservationForm,
    *,
    seed: int = 0,
    seconds: float = _SECONDS,
) -> np.ndarray:
    """Observation, reward and flags of each step until the episode ends or the seconds are over,
    `[1 + step, ...]`.

    Args:
        env: The environment.
        actions: The actions, `[step, ...]`.
        form: The form of its observations.
        seed: The seed of the episode.
        seconds: Wall time after which no further step is taken.
    """
    rows, started_at = [_start(env, seed, form)], time.monotonic()
    for action in actions:
        rows.append(_step(env, action, form))
        if _has_ended(rows[-1]) or time.monotonic() - started_at > seconds:
            break
    return np.array(rows)


def _play_beside(
    env: Any,
    company: Any,
    form: ObservationForm,
    actions: np.ndarray,
    company_actions: np.ndarray,
    *,
    turn: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
) -> np.ndarray:
    """What `_play` gives, while another copy plays another episode: until one of the two ends.

    Args:
        env: The environment.
        company: The other copy, which moves before each step.
        form: The form of their observations.
        actions, company_actions: The actions of both, `[step, ...]`.
        turn: The context of the other copy's moves.
    """
    rows = [_start(env, 0, form)]
    with turn():
        _start(company, 1, form)
    for action, company_action in zip(actions, company_actions, strict=True):
        with turn():
            company_row = _step(company, company_action, form)
        rows.append(_step(env, action, form))
        if _has_ended(rows[-1]) or _has_ended(company_row):
            break
    return np.array(rows)


def _start(env: Any, seed: int, form: ObservationForm) -> np.ndarray:
    """The first row of an episode, without a reward and flags."""
    return np.append(boundary.reset(env, seed, form), [0.0, 0.0, 0.0])


def _step(env: Any, action: np.ndarray, form: ObservationForm) -> np.ndarray:
    """Observation, reward and flags of a step."""
    step = boundary.step(env, action.copy(), form)  # some change their action
    return np.append(step.observation, [step.reward, step.terminated, step.truncated])


def _has_ended(row: np.ndarray) -> bool:
    """Whether one of a row's flags is set."""
    return bool(row[-2:].any())
