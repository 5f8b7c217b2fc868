"""How close the ladder comes to the gap of linear-quadratic systems, which are known."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.auditing import ladder
from paracosm.auditing.ladder import Constants, Loop, Residuals
from paracosm.core.rollout import unroll
from paracosm.real.systems import linear_quadratic, perturbed
from tests.auditing.random_systems import LADDER, ROUNDING, UNIFORM, norm


@pytest.fixture(autouse=True)
def sixty_four_bits():
    with jax.enable_x64(True):
        yield


class Compared(NamedTuple):
    """Returns of one policy in both systems, and the rungs in pairing R by name."""

    real: jax.Array
    imagined: jax.Array
    rungs: dict


def linear_quadratic_rungs(key):
    """Gap and rungs on the linear-quadratic generator."""
    for_system, for_error, for_start, for_noise = jax.random.split(key, 4)
    real, policy = linear_quadratic(for_system)
    learned = perturbed(real, for_error)
    compared = compare(real, learned, policy, real.initial(for_start), for_noise)
    return jnp.abs(compared.real - compared.imagined), compared.rungs


def compare(real, learned, policy, start, for_noise):
    """Rungs of exact constants, in pairing R; the value's slopes exact, of a quadratic."""
    horizon, discount = real.spec.horizon, real.discount
    keys = for_noise[None]
    paths = [
        jax.tree.map(lambda column: column[0], unroll(mdp, policy, start[None], keys, horizon))
        for mdp in (real, learned)
    ]
    weights = discount ** jnp.arange(horizon)
    path, (f, r, K) = paths[0], (learned.dynamics, learned.reward, policy.function.K)
    region = 1.2 * jnp.max(jnp.stack([jnp.linalg.norm(path.state, axis=1) for path in paths]))
    A, Q = f.A - f.B @ K, r.Q + K.T @ r.R @ K

    def steep(P, q, size):
        """Of -sᵀPs + q·s within `size` of 0."""
        return 2 * norm(P) * size + norm(q)

    parts = (
        norm(f.A),
        norm(f.B),
        steep(r.Q, r.q, region),
        2 * norm(r.R) * norm(K) * region,
        0.0,
        norm(K),
    )
    constants = Constants(*parts, norm(A), steep(Q, r.q, region))
    errors = Residuals(
        jnp.linalg.norm(path.state @ A.T + f.b - path.next_state, axis=1), jnp.abs(path.state @ r.q)
    )
    worst = ladder.worst(
        norm(f.A - real.dynamics.A) * region + norm(f.b), norm(r.q) * region, horizon
    )
    bound = lambda steps: ladder.total(steps, discount)  # noqa: E731
    bounds = {
        rung: bound(ladder.uniform(worst, ladder.closed(constants, rung))) for rung in UNIFORM
    }
    bounds["mean_error"] = bound(ladder.uniform(errors, ladder.closed(constants, "closed_loop")))

    def local(state, radius):
        here = jnp.minimum(
            norm(r.q - 2 * Q @ state) + 2 * norm(Q) * radius, constants.closed_loop_reward
        )
        return Loop(constants.closed_loop, here, 0.0)

    bounds["trajectory"] = bound(ladder.trajectory(errors, path.state, local))

    def further(value, _):  # V(s) = -sᵀPs + q·s + …, one step more
        P, q = value
        return (Q + discount * A.T @ P @ A, r.q + discount * A.T @ (q - 2 * P @ f.b)), value

    P, q = jax.lax.scan(further, (0 * Q, 0 * r.q), None, horizon)[1]

    def slope_at(states):
        return jnp.linalg.norm(q[::-1] - 2 * jnp.einsum("tij,tj->ti", P[::-1], states), axis=1)

    slope = jnp.maximum(
        slope_at(path.next_state), slope_at(path.state @ A.T + f.b)
    )  # convex: largest at an end
    bounds["value"] = ladder.through_value(errors, slope, 0.0, discount)
    return Compared(*(weights @ path.reward for path in paths), bounds)


@pytest.mark.parametrize("count", [40, pytest.param(400, marks=pytest.mark.full)])
def test_slack_on_the_linear_quadratic_generator(count):
    keys = jax.random.split(jax.random.key(0), count)
    gap, bounds = jax.jit(lambda keys: jax.lax.map(linear_quadratic_rungs, keys))(keys)
    slack = {rung: np.asarray(bounds[rung] / gap) for rung in LADDER}
    assert all(np.all(ratios >= 1 - ROUNDING) for ratios in slack.values())
    for upper, lower in itertools.pairwise(LADDER):
        assert np.all(slack[lower] <= slack[upper] * (1 + ROUNDING))
    assert np.median(slack["trajectory"]) <= 4
    assert np.median(slack["value"]) <= 2.5
