"""How far an end rule is from changing its decision: what the ladder must know of it.

An episode ends where the margin is positive. If the states of two systems differ by at most e_t
before a step and e_{t+1} after it, in scaled units, their margins differ by at most
`L e_t + L' e_{t+1}` with the slopes L and L' of `Margin`: a margin beyond that is certain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float

from paracosm.core import layers
from paracosm.core.layers import Layered
from paracosm.core.mdp import MDP
from paracosm.core.types import Action, Scalar, State


class Margin(eqx.Module):
    """An end rule by its signed margin: an episode ends where `function(s, a, s') > 0`.

    `state_slope` and `next_state_slope` bound how fast the margin changes in s (through the action
    too) and in s', in scaled units.
    """

    function: Callable[[State, Action, State], Scalar]
    state_slope: Scalar | float
    next_state_slope: Scalar | float


def margin_of(world: MDP, policy_slope: float) -> Margin | None:
    """The margin of the world's end rule, its slopes bounded by products of norms; None if the rule
    describes none.

    `policy_slope` bounds the policy's slope: actions in the environment's units, states in scaled
    ones.
    """
    rule: Any = world.termination
    describe = layers.own(rule, "margin_as_layers")
    if describe is None:
        return None
    size, space = world.spec.state_size, world.spec.action
    scale = np.asarray(world.spec.state_scale, np.float64)
    units = np.concatenate([scale, np.ones(space.size), scale])
    networks = [layers.rescaled(network, units, 1.0) for network in describe(world.spec)]
    state_slope, action_slope, next_state_slope = (
        _slope(networks, columns)
        for columns in np.split(np.arange(len(units)), [size, size + space.size])
    )
    if action_slope:  # else 0 times an infinite slope of a policy is not a number
        state_slope += action_slope * policy_slope
    return Margin(rule.margin, state_slope, next_state_slope)


def _slope(networks: list[Layered], columns: np.ndarray) -> float:
    """A bound on the slope of the networks' mean in some of their inputs."""
    return float(np.mean([_product(network, columns) for network in networks]))


def _product(network: Layered, columns: np.ndarray) -> float:
    """The product of the norms of the weights, each row times its neuron's steepest slope."""
    entering = (network.weights[0][:, columns], *network.weights[1:])
    slopes = (*map(_steepest, network.hidden), np.ones(network.outputs))
    rows = [slope[:, None] * weight for slope, weight in zip(slopes, entering, strict=True)]
    return float(np.prod([np.linalg.norm(matrix, 2) for matrix in rows]))


def _steepest(neurons: tuple[layers.Neurons, ...]) -> Float[np.ndarray, " width"]:
    """The steepest slope of each neuron of a layer anywhere."""
    width = sum(n.width for n in neurons)
    with jax.enable_x64(True):
        far = np.full(width, np.inf)
        least, most = map(np.asarray, layers.slope_range(neurons, -far, far))
    return np.maximum(np.abs(least), np.abs(most))
