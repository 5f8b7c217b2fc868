"""Relations that hold among the components of every recorded state, such as sin² + cos² = 1.

Observations often have more components than the system has degrees of freedom: sine and cosine of
an angle, or a position beside the angles that it follows from. Recorded states then lie on a
surface, and nothing in the data says what becomes of a state beside it. A model's small errors lead
imagined states off the surface, and there they can grow: a double pendulum that is balanced for
1,000 steps fell after 22 imagined ones, when sine and cosine were no longer of one angle.

So dynamics can be fitted to states that are moved off the surface too, with the recorded next state
as their target: they lead back. (Noise on a simulator's inputs for that purpose: Sanchez-Gonzalez
et al. 2020. Noise along the surface would teach the dynamics that deviations vanish by themselves;
there is none here.)

Relations are polynomials of degree 2 at most that vanish on the data: null vectors of the moments
of the components, which are linear, and of the monomials `1, y_i, y_i y_j` of what these leave
free.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from paracosm.learning.scaling import standard

# Of a state's distance to the surface, in standard deviations of a component: rounding to 32 bits
# leaves 1e-7, positions that are recorded some time after the angles that they follow from up to
# 5e-5, and the nearest relations in Gymnasium's tasks that do not hold 7e-4.
_DISTANCE = 1e-4
# Of a polynomial's mean square: with a larger one it would need slopes of 100 to be that near.
_SMALL = 1e-4
# Of a component of a relation's normal, against the root mean square of its normals' lengths: a
# smaller one is rounding, and no direction.
_ROUNDING = 1e-5
# Of a normal against the longest one: a shorter one, beside it, says nothing new.
_SAME = 1e-3
# Monomials, those of 43 components: the moments of more take longer than the fit.
_MOST_MONOMIALS = 1000
# Distinct states for each monomial: of fewer some polynomial vanishes on all by chance. Those that
# agree in every component within so many standard deviations count once.
_LEAST_STATES = 4
_DISTINCT = 0.1
# Of the moves, in standard deviations of a component's change in one step, the most that a fit's
# errors come to in a few.
_MOVE = 0.5
# Rows moved at once, for their memory.
_BLOCK = 1000


class Relations(NamedTuple):
    """Relations `x·A x / 2 + b·x + c = 0` of states `x` in standard units, scaled so that their
    normals have the length 1 in root mean square over the states.

    Attributes:
        varying: Numbers of the components that are not constant, `[varying]`.
        center, scale: Mean and standard deviation of these components.
        quadratic: A of each relation.
        linear: b of each relation.
    """

    varying: np.ndarray
    center: Float[np.ndarray, " varying"]
    scale: Float[np.ndarray, " varying"]
    quadratic: Float[np.ndarray, "relation varying varying"]
    linear: Float[np.ndarray, "relation varying"]

    def normals(
        self, states: Float[np.ndarray, "rows state"]
    ) -> Float[np.ndarray, "rows relation varying"]:
        """The gradient of each relation, in standard units."""
        x = (states[:, self.varying] - self.center) / self.scale
        return np.einsum("kij,nj->nki", self.quadratic, x) + self.linear

    def moves(
        self,
        states: Float[np.ndarray, "rows state"],
        change: Float[np.ndarray, " state"],
        random: np.random.Generator,
    ) -> Float[np.ndarray, "rows state"]:
        """A random move of each state off the surface, none along it: both in units of the change
        of a step, so that what never changes is not moved.

        Args:
            states: States on the surface.
            change: Standard deviation of a component's change in one step.
            random: Randomness.
        """
        tried = random.standard_normal((len(states), len(self.varying)))
        tried *= _MOVE * random.uniform(size=(len(states), 1))
        move = np.zeros(states.shape)
        unit = change[self.varying]
        for first in range(0, len(states), _BLOCK):
            rows = slice(first, first + _BLOCK)
            normals = self.normals(states[rows])
            normals = np.where(np.abs(normals) < _ROUNDING, 0, normals) * (unit / self.scale)
            across = np.linalg.pinv(normals, rcond=_SAME) @ normals
            move[rows, self.varying] = np.einsum("nij,nj->ni", across, tried[rows]) * unit
        return move


def relations_among(states: Float[np.ndarray, "rows state"]) -> Relations:
    """The relations that hold in all states; there are none among too few states or too many
    components.
    """
    states = np.asarray(states, np.float64)
    varying = np.flatnonzero(standard(states).scale)
    center, scale = states.mean(axis=0)[varying], states.std(axis=0)[varying]
    size = len(varying)
    none = Relations(varying, center, scale, np.zeros((0, size, size)), np.zeros((0, size)))
    if (1 + size) * (2 + size) // 2 > _MOST_MONOMIALS:
        return none
    x = (states[:, varying] - center) / scale
    x = x[np.unique(np.round(x / _DISTINCT), axis=0, return_index=True)[1]]
    if len(x) < _LEAST_STATES * (1 + size):
        return none
    spread, axes = np.linalg.eigh(np.cov(x.T, bias=True).reshape(size, size))
    flat = np.sqrt(np.maximum(spread, 0)) < _DISTANCE
    linear = none._replace(
        linear=axes[:, flat].T, quadratic=np.zeros((np.count_nonzero(flat), size, size))
    )
    free = axes[:, ~flat]
    curved = _quadrics(x @ free)
    return linear._replace(
        linear=np.concatenate([linear.linear, curved.linear @ free.T]),
        quadratic=np.concatenate([linear.quadratic, free @ curved.quadratic @ free.T]),
    )


class _Quadrics(NamedTuple):
    """Relations `y·A y / 2 + b·y + c = 0` by their b and A, with normals of length 1 in root mean
    square.
    """

    linear: Float[np.ndarray, "relation free"]
    quadratic: Float[np.ndarray, "relation free free"]


def _quadrics(y: Float[np.ndarray, "rows free"]) -> _Quadrics:
    """The polynomials of degree 2 that vanish on all rows, of which no linear one does."""
    size = y.shape[1]
    first, second = np.triu_indices(size)
    monomials = 1 + size + len(first)
    if len(y) < _LEAST_STATES * monomials:
        return _Quadrics(np.zeros((0, size)), np.zeros((0, size, size)))
    values = np.concatenate([np.ones((len(y), 1)), y, y[:, first] * y[:, second]], axis=1)
    moments, vectors = np.linalg.eigh(values.T @ values / len(y))
    vectors = vectors[:, moments < _SMALL]
    linear, quadratic = vectors[1 : 1 + size].T, np.zeros((vectors.shape[1], size, size))
    quadratic[:, first, second] = vectors[1 + size :].T
    quadratic += quadratic.swapaxes(1, 2)
    slopes = np.einsum("kij,nj->nki", quadratic, y) + linear
    length = np.sqrt(np.mean(np.sum(slopes**2, axis=2), axis=0))
    holds = np.sqrt(np.maximum(moments[moments < _SMALL], 0)) < _DISTANCE * length
    length = length[holds]
    return _Quadrics(linear[holds] / length[:, None], quadratic[holds] / length[:, None, None])
