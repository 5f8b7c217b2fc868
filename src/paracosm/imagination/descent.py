"""Adam with clipped gradients, by which learners train their networks."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import optax

from paracosm.core.devices import AXIS
from paracosm.core.types import Scalar


def clipped_adam(clip: float) -> optax.GradientTransformation:
    """Adam of gradients whose global norm is at most `clip`; its updates have no learning rate."""
    return optax.chain(optax.clip_by_global_norm(clip), optax.scale_by_adam())


def descend(
    adam: optax.GradientTransformation,
    part: Any,
    gradient: Any,
    optimiser: optax.OptState,
    rate: Scalar,
) -> tuple[Any, optax.OptState]:
    """A step down the gradient, which is summed over devices first: the part and Adam's state after
    it.

    Sums over devices with `psum`; call it inside `step_on_all` or `map_over_devices`.

    Args:
        adam: What `clipped_adam` gave.
        part: What is trained.
        gradient: The gradient of this device's share.
        optimiser: Adam's state before.
        rate: The learning rate.
    """
    update, optimiser = adam.update(jax.lax.psum(gradient, AXIS), optimiser)
    moved = jax.tree.map(lambda u: -rate * u, update)
    return eqx.apply_updates(part, moved), optimiser
