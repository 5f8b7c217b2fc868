"""Which state dimensions make the dynamics term.

With `h(x) = r̂(s, a, x) + γ (1 - d̂(s, a, x)) V̂(x)` the dynamics term of a step is `h(s') -
h(ŝ')`. Dimension i gets `(s'_i - ŝ'_i) ∫₀¹ ∂_i h(ŝ' + u (s' - ŝ')) du` (integrated gradients,
Sundararajan et al. 2017), so that the dimensions sum to the term wherever `h` is absolutely
continuous along the way. Each interval of the path is known to be integrated well by what its ends
say, `h(b) - h(a)`; where they disagree it is halved. What then remains, such as a jump at a hard
end, which no gradient sees, is a row of its own.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.auditing.attribution import Terms, choose_steps
from paracosm.auditing.subject import AuditSubject
from paracosm.auditing.values import block_size, gradients
from paracosm.core.mdp import MDP
from paracosm.core.policy import MarkovPolicy
from paracosm.core.types import Array, PRNGKey

# Each costs about five imagined steps: in all as much as the terms of 75 Pendulum episodes
MOST_GRADIENT_STEPS = 300_000

# Components up to which a gradient step is of that cost; of wider states there are fewer.
_WIDE = 128

# Gauss-Lobatto on [0, 1] with four nodes, exact to degree 5; its ends check completeness.
_NODES = np.array([0, (1 - 1 / np.sqrt(5)) / 2, (1 + 1 / np.sqrt(5)) / 2, 1])
_WEIGHTS = np.array([1, 5, 5, 1]) / 12
_LEAST_ROWS = 512  # of one step: fewer cost as much, and few sizes are few programs
_HALVINGS = 10  # to a thousandth of the way: what does not close there is a jump
_TOLERANCE = 1e-7  # of the sum of absolute terms: far below what intervals resolve
_FIRST_ROUND = 0.25  # of the cost: the rest is for halving


class Dimensions(NamedTuple):
    """Discounted contributions of each state dimension, `[episode, time, state]`, and what they
    leave, `[episode]`.

    Where only a random subset of steps was integrated, `terms` stand for the whole episode and are
    zero elsewhere, and the remainder holds what the subset misses. `steps` counts the steps that
    were integrated.
    """

    terms: np.ndarray
    remainder: np.ndarray
    steps: int


class _Paths(NamedTuple):
    """Straight paths from ŝ' to s', one for each chosen step, `[path, …]`.

    Attributes:
        state, action: Of the step.
        start: ŝ', where the path starts.
        difference: s' - ŝ', all of the path.
        steps: Of the rollouts from its points.
        most: What `steps` are at the most, the same number for all paths.
        keys: Of the noise, which all points of a path share.
    """

    state: np.ndarray
    action: np.ndarray
    start: np.ndarray
    difference: np.ndarray
    steps: np.ndarray
    most: int
    keys: jax.Array


def by_dimension(
    subject: AuditSubject, terms: Terms, *, most: float = MOST_GRADIENT_STEPS
) -> Dimensions:
    """Split the dynamics term of `terms`, at the reporting discount, by state dimension.

    Args:
        subject: What is audited.
        terms: Its terms.
        most: Imagined steps that may be spent on gradients of states of at most 128 components;
            of wider ones as many numbers. Every step is integrated if a first round over all takes
            a quarter of them at most; else a random subset, reweighted.
    """
    world, key = subject.reported_world, jax.random.fold_in(subject.key, 3)
    most *= min(1, _WIDE / world.spec.state_size)
    most_first = _FIRST_ROUND * most / len(_NODES)
    sample = choose_steps(subject.episodes, world.discount, most_first, key)
    chosen = sample.audited
    powers = world.discount ** np.arange(chosen.shape[1])
    weights = (sample.weight * powers * subject.step_weights)[chosen]
    parts = np.zeros(subject.episodes.state.shape)
    paths = _paths(subject, chosen, key)
    parts[chosen] = weights[:, None] * _integrate(world, subject.played, paths, most)
    return Dimensions(
        terms=parts,
        remainder=terms.dynamics.sum(axis=1) - parts.sum(axis=(1, 2)),
        steps=int(chosen.sum()),
    )


def unsplit(terms: Terms) -> Dimensions:
    """The dynamics term of `terms`, not split: no state dimension, and all of it left."""
    none = np.zeros((*terms.dynamics.shape, 0))
    return Dimensions(terms=none, remainder=terms.dynamics.sum(axis=1), steps=0)


def _paths(subject: AuditSubject, chosen: np.ndarray, key: PRNGKey) -> _Paths:
    """The paths of the chosen steps, `[episode, time]`; `key` is of their noise."""
    episodes = subject.episodes
    start = np.asarray(subject.predictions.imagined_state)[chosen]
    return _Paths(
        state=np.asarray(episodes.state)[chosen],
        action=np.asarray(episodes.action)[chosen],
        start=start,
        difference=np.asarray(episodes.next_state)[chosen] - start,
        steps=episodes.remaining_steps[chosen],
        most=episodes.alive.shape[1],
        keys=jax.random.split(key, int(chosen.sum())),
    )


def _integrate(
    world: MDP, policy: MarkovPolicy, paths: _Paths, most: float
) -> Float[np.ndarray, "rows state"]:
    """`∫ ∂_i h dx_i` along each path, `[rows, state]`; every round halves the intervals that do not
    close.

    It ends when what does not close is small beside the terms, or when `most` imagined steps are
    spent: those that are off the most go first.

    Args:
        world, policy: What is imagined.
        paths: One a row.
        most: Imagined steps that may be spent.
    """
    total, budget, tolerance = np.zeros(paths.start.shape), most, np.inf
    rows = np.flatnonzero(np.any(paths.difference != 0, axis=1))
    first, width, block = np.zeros(len(rows)), 1.0, block_size(len(_NODES) * len(rows))
    for halving in range(_HALVINGS + 1):
        if not len(rows):
            break
        integrals = _integrate_intervals(
            world, policy, paths, rows, first, width=width, block=block
        )
        budget -= float(len(_NODES) * paths.steps[rows].sum())
        if halving == 0:
            tolerance = _TOLERANCE * np.abs(integrals.change).sum()
        cost = 2 * len(_NODES) * paths.steps[rows]
        halved = _to_halve(np.abs(integrals.residual), cost, tolerance, budget)
        halved &= halving < _HALVINGS
        np.add.at(total, rows[~halved], integrals.by_component[~halved])
        width /= 2
        first = (first[halved, None] + np.array([0, width])).ravel()
        rows = np.repeat(rows[halved], 2)
    return total


def _to_halve(
    residual: np.ndarray, cost: np.ndarray, tolerance: float, budget: float
) -> np.ndarray:
    """Which intervals to halve, `[rows]`: those of the largest residuals, until the others miss no
    more than `tolerance` together, or the budget is spent.

    Args:
        residual: How far each interval is from closing, in units of return, `[rows]`.
        cost: Imagined steps that halving it takes, `[rows]`.
        tolerance: What may be left of all residuals together, in units of return.
        budget: Imagined steps that are left.
    """
    order = np.argsort(-residual)
    rest = np.cumsum(residual[order][::-1])[::-1]
    chosen = np.zeros(len(residual), bool)
    chosen[order] = (rest > tolerance) & (np.cumsum(cost[order]) <= budget)
    return chosen


class _Integrals(NamedTuple):
    """What is known of an interval from a to b of each of some paths, `[rows, …]`.

    Attributes:
        by_component: `∫ ∂_i h dx_i`, `[rows, state]`.
        change: `h(b) - h(a)`.
        residual: The change that the components do not sum to.
    """

    by_component: np.ndarray
    change: np.ndarray
    residual: np.ndarray


def _integrate_intervals(
    world: MDP,
    policy: MarkovPolicy,
    paths: _Paths,
    rows: np.ndarray,
    first: np.ndarray,
    *,
    width: float,
    block: int,
) -> _Integrals:
    """The integrals over an interval of each of some paths.

    All are 0 where one is not finite, as where a reward takes the root of 0: no halving helps
    there, and the remainder holds what the interval changes.

    Args:
        world, policy: What is imagined.
        paths: All of them.
        rows: Which of them, one an interval, `[rows]`.
        first: Where on its path each interval starts, in [0, 1], `[rows]`.
        width: How much of the path it is.
        block: How many points are imagined from together.
    """
    at = first[:, None] + width * _NODES
    points = paths.start[rows, None] + at[..., None] * paths.difference[rows, None]
    path = np.repeat(rows, len(_NODES))
    padding = (0, max(_LEAST_ROWS, 1 << (len(path) - 1).bit_length()) - len(path))
    path = np.pad(path, padding)
    flat = np.pad(points.reshape(-1, points.shape[-1]), (padding, (0, 0)))
    steps = np.where(np.arange(len(path)) < at.size, paths.steps[path], 0)
    after = gradients(world, policy, flat, steps, paths.keys[path], most=paths.most, block=block)
    columns = _step_value(world, paths.state[path], paths.action[path], flat, after)
    value, gradient = (np.asarray(column)[: at.size] for column in columns)
    value, gradient = value.reshape(at.shape), gradient.reshape(points.shape)
    by_component = width * paths.difference[rows] * np.einsum("n,rns->rs", _WEIGHTS, gradient)
    change = value[:, -1] - value[:, 0]
    unknown = ~(np.isfinite(by_component).all(axis=1) & np.isfinite(change))
    by_component[unknown], change[unknown] = 0, 0
    return _Integrals(by_component, change, residual=change - by_component.sum(axis=1))


@eqx.filter_jit
def _step_value(
    world: MDP,
    state: Float[Array, "rows state"],
    action: Array,
    point: Float[Array, "rows state"],
    after: tuple[Float[Array, " rows"], Float[Array, "rows state"]],
) -> tuple[Float[Array, " rows"], Float[Array, "rows state"]]:
    """`h` and its gradient, `[rows]` and `[rows, state]`.

    Args:
        world: Whose reward and end rule pay the step.
        state, action: Of the step, `[rows, …]`.
        point: A next state on the path, `[rows, state]`.
        after: `V̂` at the point, and its gradient.
    """

    def of_row(
        state: Array, action: Array, point: Array, value: Array, slope: Array
    ) -> tuple[Array, Array]:
        """One row.

        Args:
            state, action, point: As above.
            value, slope: `V̂` at the point, and its gradient.
        """
        reward, gradient = jax.value_and_grad(
            lambda x: jnp.asarray(world.reward(state, action, x))
        )(point)
        goes_on = world.discount * jnp.where(world.termination(state, action, point), 0.0, 1.0)
        return reward + goes_on * value, gradient + goes_on * slope

    return jax.vmap(of_row)(state, action, point, *after)
