"""Changes of what a world is given and gives: other actions, other observations; and their fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from paracosm.auditing.linter import queries
from paracosm.auditing.linter.fitting import Linearisation, ReadingFit, fit, objective
from paracosm.auditing.linter.readings import Judge
from paracosm.core.mdp import MDP
from paracosm.core.types import PRNGKey

_STEP = 1e-4  # of the differences, in half boxes and deviations


class JudgedDynamics(NamedTuple):
    """The dynamics of a learned world, asked at the steps of the judge of their errors.

    Attributes:
        world: The learned world.
        judge: Of the errors of its next states.
        unit: Of each of their components, `[state]`.
        key: Of the world's noise.
    """

    world: MDP
    judge: Judge
    unit: Float[np.ndarray, " state"]
    key: PRNGKey

    def next_states(self, action: np.ndarray) -> Float[np.ndarray, "n state"]:
        """Next states with these actions in place of the recorded ones."""
        state = self.judge.steps.state
        return queries.next_states(self.world, state, action, self.key, len(state))

    def squares(self, answer: Float[np.ndarray, "n state"]) -> Float[np.ndarray, "n state"]:
        """Squared errors of such next states, in the judge's units."""
        return ((answer - self.judge.steps.next_state) / self.unit) ** 2


class Change(NamedTuple):
    """The world in other units: it is given `scale * x + offset` in place of x.

    x are actions, or states; a world of other states gives other states too, which are brought
    back. The parameters are the scales and then the offsets. `spread` `[x]` is the unit of the
    offsets.
    """

    dynamics: JudgedDynamics
    of: str
    spread: Float[np.ndarray, " x"]

    @property
    def size(self) -> int:
        """Components of x."""
        return len(self.spread)

    @property
    def faultless(self) -> Float[np.ndarray, " p"]:
        """The parameters of no change."""
        return np.concatenate([np.ones(self.size), np.zeros(self.size)])

    def residuals(self, parameters: Float[np.ndarray, "m p"]) -> Float[np.ndarray, "m n state"]:
        """Errors of the next states in the judge's units at `m` parameters."""
        dynamics, m = self.dynamics, len(parameters)
        steps = dynamics.judge.steps
        n = len(steps.state)
        scale, offset = (part[:, None, :] for part in np.split(parameters, 2, axis=1))
        state, action = (np.broadcast_to(x, (m, *x.shape)) for x in (steps.state, steps.action))
        if self.of == "action":
            action = scale * action + offset
        else:
            state = scale * state + offset
        state, action = (x.reshape(m * n, *x.shape[2:]) for x in (state, action))
        answer = queries.next_states(dynamics.world, state, action, dynamics.key, n).reshape(
            m, n, -1
        )
        if self.of == "state":
            answer = (answer - offset) / np.where(scale == 0, np.nan, scale)
        return np.nan_to_num(
            (answer - steps.next_state) / dynamics.unit, nan=np.inf, posinf=np.inf, neginf=np.inf
        )

    def fitted(self, start: np.ndarray, free: Bool[np.ndarray, " p"]) -> ReadingFit | None:
        """The best parameters near `start`, of which only the `free` ones move."""
        which = np.flatnonzero(free)
        small = _STEP * np.concatenate([np.ones(self.size), self.spread])

        def at(parameters: np.ndarray) -> Linearisation:
            moves = np.concatenate([np.zeros((1, len(which))), np.diag(small[which])])
            points = np.tile(start, (len(moves), 1))
            points[:, which] = parameters + moves
            residual = self.residuals(points)
            if not np.isfinite(residual).all():
                return Linearisation(
                    np.full(residual.shape[1:], np.inf), np.zeros((*residual.shape[1:], len(which)))
                )
            return Linearisation(
                residual[0],
                np.moveaxis((residual[1:] - residual[0]) / small[which][:, None, None], 0, -1),
            )

        result = fit(self.dynamics.judge, start[which], at)
        if result is None:
            return None
        full = [np.array(start, float) for _ in range(3)]
        for values, part in zip(full, (result.parameters, result.low, result.high), strict=True):
            values[which] = part
        return ReadingFit(full[0], full[1], full[2], result.residual)

    def starts(self, factors: Sequence[float], guesses: Sequence[np.ndarray]) -> list[np.ndarray]:
        """No change, the best of the `guesses` and of a common factor, and the best factor for each
        component.
        """
        plain = self.faultless
        single = []
        for i in range(self.size):
            for factor in factors:
                point = plain.copy()
                point[i] = factor
                single.append(point)
        common = [
            np.concatenate([np.full(self.size, factor), np.zeros(self.size)]) for factor in factors
        ]
        points = [plain, *common, *guesses, *single]
        value = self._objectives(np.array(points))
        combined = plain.copy()
        by_component = value[len(points) - len(single) :].reshape(self.size, -1)
        for i, values in enumerate(by_component):
            if values.min(initial=np.inf) < value[0]:
                combined[i] = factors[int(np.argmin(values))]
        best = points[int(np.argmin(value))]
        distinct = {tuple(point): point for point in (plain, best, combined)}
        return list(distinct.values())

    def _objectives(self, points: np.ndarray) -> np.ndarray:
        """Sum over outputs of the mean over cells of `log mse`, `[m]`."""
        return np.array(
            [objective(self.dynamics.judge, residual) for residual in self.residuals(points)]
        )
