"""How straight latent paths are: the curvature loss and how large a smooth velocity lets it be.

The velocity is `v = z_{t+1} - z_t`. If it is an ε-Lipschitz function of `z`, then `‖v_{t+1} - v_t‖
≤ ε ‖v_t‖`: the next velocity lies in a ball around this one, and no vector in it is further off
than the angle whose sine is ε.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Float

from paracosm.core.types import Array, Scalar


def curvature(velocity: Float[Array, " size"], later: Float[Array, " size"]) -> Scalar:
    """`1 - cos(v_t, v_{t+1})`, from 0 to 2; 0 with gradient 0 where either is zero: what stands
    still does not turn.
    """
    squares = jnp.sum(velocity**2), jnp.sum(later**2)
    moving = (squares[0] > 0) & (squares[1] > 0)
    first, second = (
        jnp.where(moving, vector, 1.0) / jnp.sqrt(jnp.where(moving, square, 1.0))
        for vector, square in zip((velocity, later), squares, strict=True)
    )
    # Half the squared distance of the directions: 1 - cos without cancellation.
    return jnp.where(moving, jnp.sum((first - second) ** 2) / 2, 0.0)


def paper_bound(smoothness: float | Array) -> Array:
    """Proposition 1: `ε² / (2(1-ε))`; infinite from ε = 1 on."""
    left = 1 - jnp.asarray(smoothness, float)
    return jnp.where(
        left > 0, jnp.asarray(smoothness) ** 2 / (2 * jnp.where(left > 0, left, 1.0)), jnp.inf
    )


def sharp_bound(smoothness: float | Array) -> Array:
    """`1 - sqrt(1-ε²)`, attained; from ε = 1 on nothing but 2, which every curvature keeps."""
    square = jnp.asarray(smoothness, float) ** 2
    below = square < 1
    return jnp.where(below, square / (1 + jnp.sqrt(jnp.where(below, 1 - square, 1.0))), 2.0)


def least_smoothness(curvature: float | Array) -> Array:
    """The least ε that allows this curvature, `sqrt(c(2-c))`: the inverse of `sharp_bound`; 1 from
    a right angle on.
    """
    clipped = jnp.clip(jnp.asarray(curvature, float), 0, 1)
    return jnp.sqrt(clipped * (2 - clipped))


def with_actions(
    smoothness: float | Array, by_action: float | Array, change: Array, speed: Array
) -> Array:
    """`η = ε + L_a ‖a_{t+1} - a_t‖ / ‖v_t‖`, which takes the place of ε where the velocity depends
    on actions.

    Args:
        smoothness: ε, of the velocity as a function of `z` alone.
        by_action: L_a, the velocity's Lipschitz constant in the action.
        change: `‖a_{t+1} - a_t‖`.
        speed: `‖v_t‖`.

    Infinite where the action moves on from a standstill. The bounds say something only where `η <
    1`.
    """
    moved = by_action * change
    return smoothness + jnp.where(moved > 0, moved / speed, 0.0)
