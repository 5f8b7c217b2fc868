"""Gymnasium environments as a source of real steps."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from paracosm.core.mdp import Discrete
from paracosm.real import boundary, spaces
from paracosm.real.acting import RandomActions
from paracosm.real.seeding import demand_working, repeats
from paracosm.real.stepping import StepSource
from paracosm.real.workers import Answers, Lanes, open_lanes

_LOOK = 300  # most steps of the first look at whether an episode repeats


class HostSource(StepSource):
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
                horizon; or an action range that nothing needs.
        """
        self.name, self.steps, self._factory = (
            name,
            0,
            functools.partial(boundary.built, factory, name),
        )
        env = self._factory()
        try:
            observed, acted = spaces.of(name, env)
            self._form = spaces.observation_form(name, observed)
            self.state_size, self.image = self._form.size, self._form.image
            self.components = self._form.components
            self.action = spaces.action_space(name, acted, action_range)
            spaces.demand_still(name, env)
            limit = spaces.limit(env)
            self.limit, self.horizon = spaces.playable(limit), spaces.horizon(name, limit, horizon)
            self._acted = acted
            demand_working(name, env, self._look(1)[0], self._form)
            self._of_limits = spaces.remarks(name, env)
        finally:
            with contextlib.suppress(Exception, SystemExit):
                env.close()

    @contextlib.contextmanager
    def open(self, count: int, workers: int) -> Iterator[Lanes]:
        with open_lanes(self._factory, count, self._form, workers) as lanes:
            yield _Typed(lanes, self._typed)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Where its time limits differ, and whether an episode repeats: two copies play one, which
        is not counted.

        They play when this is first read: steps that were collected by then are safe from whatever
        happens to them.
        """
        return self._remarks

    @functools.cached_property
    def _remarks(self) -> tuple[str, ...]:
        if repeats(self._factory, self._look(min(_LOOK, self.horizon)), self._form):
            return self._of_limits
        return (
            *self._of_limits,
            f"{self.name} does not repeat an episode from the same seed and actions; its numbers"
            " cannot be had"
            " again, and --workers may change them.",
        )

    def _look(self, steps: int) -> Any:
        """Actions of a first look."""
        return self._typed(RandomActions(self.action, steps, 0).draw(0))

    def _typed(self, actions: Any) -> Any:
        """Actions `[row, …]` as the environment takes them."""
        rows = self.action.values(actions) if isinstance(self.action, Discrete) else actions
        typed = np.asarray(rows).astype(self._acted.dtype)
        return spaces.at_bounds(typed.reshape(len(rows), *self._acted.shape), self._acted)


class _Typed(Lanes):
    """Lanes that take recorded actions."""

    def __init__(self, lanes: Lanes, typed: Callable[[np.ndarray], Any]) -> None:
        self._lanes, self._typed = lanes, typed

    def reset(self, lanes: np.ndarray, seeds: np.ndarray) -> Answers:
        return self._lanes.reset(lanes, seeds)

    def step(self, lanes: np.ndarray, actions: np.ndarray) -> Answers:
        return self._lanes.step(lanes, self._typed(actions))

    def close(self) -> None:
        self._lanes.close()
