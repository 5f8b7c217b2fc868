"""Gymnasium environments as a source of real steps."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from paracosm.core import checks
from paracosm.core.mdp import Discrete
from paracosm.real import boundary, spaces
from paracosm.real.actors import RandomActions
from paracosm.real.seeding import Repetition, repetition, require_working
from paracosm.real.stepping import StepSource
from paracosm.real.workers import Answers, Lanes, open_lanes

_MOST_TRIAL_STEPS = 300  # of the episode that is played to see whether it repeats


class GymnasiumSource(StepSource):
    """A Gymnasium environment.

    Observations are its states: vectors cast to float32, images as flat rows of uint8, observations
    of several parts flattened as Gymnasium flattens them. Discrete actions count from 0 whatever
    the space's `start`, several choices at once are one action, and boxes of any shape are vectors.
    """

    def __init__(
        self,
        factory: Callable[[], Any],
        name: str,
        horizon: int | None = None,
        action_range: tuple[float, float] | None = None,
    ) -> None:
        """Look at one copy of the environment.

        Args:
            factory: builds a copy; cloudpickle must be able to send it if several workers are to be
                used.
            name: what error messages call it.
            horizon: steps in a full episode; the environment's own time limit if None.
            action_range: lowest and highest action, on the sides where its Box has no bound.

        Raises:
            Unsupported: its spaces are not of the kinds that `spaces` names, or it scales what it
                shows by statistics that move.
            BadArgument: it has no time limit and no horizon is given, or its limit is below the
                horizon; or an action range is given that nothing needs.
        """
        self.name, self.steps = name, 0
        self._factory = functools.partial(boundary.build, factory, name)
        env = self._factory()
        try:
            observation_space, self._action_space = spaces.observation_and_action_space(name, env)
            self._form = spaces.observation_form(name, observation_space)
            self.state_size, self.image = self._form.size, self._form.image
            self.components = self._form.components
            self.action = spaces.action_space(name, self._action_space, action_range)
            spaces.require_still(name, env)
            limit = spaces.time_limit(env)
            self.limit = spaces.playable_steps(limit)
            self.horizon = spaces.choose_horizon(name, limit, horizon)
            require_working(name, env, self._trial_actions(1)[0], self._form)
            self._time_limit_remarks = spaces.time_limit_remarks(name, env)
        finally:
            with contextlib.suppress(Exception, SystemExit):
                env.close()

    @contextlib.contextmanager
    def open(self, count: int, workers: int) -> Iterator[Lanes]:
        with open_lanes(self._factory, count, self._form, workers) as lanes:
            yield _NativeActionLanes(lanes, self._native_actions)

    def require_independent_copies(self, count: int, workers: int) -> None:
        """As of `StepSource`. Of copies in other processes a disturbance is a remark only: the
        trial might end the process that it plays in.
        """
        if count > 1 and workers == 1 and self._repetition is Repetition.DISTURBED:
            raise checks.BadData(self._disturbance)

    def repeatability_remarks(self) -> tuple[str, ...]:
        """As of `Source`: copies play an episode at the first call, or before several are first
        stepped in this process; it is not counted.

        Nested time limits that differ are a sentence, too.
        """
        twice = f"{self.name} does not repeat an episode from the same seed and actions;"
        remarks = {
            Repetition.CHANCE: f"{twice} its numbers cannot be had again, and --workers may change"
            " them.",
            Repetition.COPY: f"{twice} its copies play one and the same first episode whatever the"
            " seed, so that the episodes of an evaluation, each by a copy of its own, are one that"
            " is counted as many. Its reset must set all that an episode changes, and seed what it"
            " draws from: super().reset(seed=seed), then self.np_random.",
            Repetition.COMPANY: f"an episode of {self.name} goes otherwise while another copy is"
            " played: copies share a generator, such as NumPy's global one, or a part of the"
            " system; the number of episodes side by side, and --workers, change its numbers.",
            Repetition.DISTURBED: self._disturbance,
        }
        if self._repetition is Repetition.NOTHING:
            return self._time_limit_remarks
        return (*self._time_limit_remarks, remarks[self._repetition])

    @property
    def _disturbance(self) -> str:
        return (
            f"copies of {self.name} disturb one another: how an episode goes depends on what"
            " another copy does, as where all share one simulator, and rows of episodes that are"
            " played side by side are wrong; a simulator, and a generator, for each copy is needed."
        )

    @functools.cached_property
    def _repetition(self) -> Repetition:
        steps = min(_MOST_TRIAL_STEPS, self.horizon)
        actions, others = self._trial_actions(steps), self._trial_actions(steps, episode=1)
        return repetition(self._factory, actions, self._form, company_actions=others)

    def _trial_actions(self, steps: int, episode: int = 0) -> Any:
        """Random actions of an episode, as the environment takes them, `[steps, …]`."""
        return self._native_actions(RandomActions(self.action, steps, seed=0).draw(episode))

    def _native_actions(self, actions: Any) -> Any:
        """Actions `[row, …]` as the environment takes them."""
        rows = self.action.values(actions) if isinstance(self.action, Discrete) else actions
        native = np.asarray(rows).astype(self._action_space.dtype)
        shaped = native.reshape(len(rows), *self._action_space.shape)
        return spaces.snap_to_bounds(shaped, self._action_space)


class _NativeActionLanes(Lanes):
    """Lanes that take recorded actions, of lanes that take those of the environment."""

    def __init__(self, lanes: Lanes, native_actions: Callable[[np.ndarray], Any]) -> None:
        self._lanes, self._native_actions = lanes, native_actions

    def reset(self, which: np.ndarray, seeds: np.ndarray) -> Answers:
        return self._lanes.reset(which, seeds)

    def step(self, which: np.ndarray, actions: np.ndarray) -> Answers:
        return self._lanes.step(which, self._native_actions(actions))

    def close(self) -> None:
        self._lanes.close()
