"""How far an end rule is from changing its mind: what the ladder must know of it (theory, section
1, terminations).
"""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from paracosm.core.mdp import MDP, Box
from paracosm.core.types import Action, Array, Scalar, State
from paracosm.learning.parts import LearnedTermination


class Margin(eqx.Module):
    """An end rule by its signed margin: an episode ends where `function(s, a, s') > 0`.

    `state` and `next_state` bound the slopes of `(s, s') ↦ function(s, π(s), s')` in scaled units.
    """

    function: Callable[[State, Action, State], Scalar]
    state: Scalar | float
    next_state: Scalar | float


class Logit(eqx.Module):
    """The mean logit of a learned end rule, which ends an episode where it is positive."""

    rule: LearnedTermination

    def __call__(self, state: State, action: Action, next_state: State) -> Scalar:
        return jnp.mean(self.rule.members(state, action, next_state))


def learned_margin(world: MDP, policy: float) -> Margin | None:
    """The margin of a learned end rule, its slopes bounded by products of norms; nothing for any
    other rule.

    `policy` bounds the policy's slope: actions in the environment's units, states in scaled ones.
    """
    rule = world.termination
    if not isinstance(rule, LearnedTermination):
        return None
    size, space = world.spec.state_size, world.spec.action
    encoding = 2 / (space.high - space.low) if isinstance(space, Box) else np.ones(space.size)
    units = np.concatenate([world.spec.state_scale, encoding, world.spec.state_scale])
    state, action, after = (
        _slope(rule, units, inputs)
        for inputs in np.split(np.arange(len(units)), [size, size + space.size])
    )
    return Margin(Logit(rule), state + action * policy if action else state, after)


def _slope(rule: LearnedTermination, units: Array, inputs: Array) -> float:
    """A bound on the mean logit's slope in some of its inputs, each in its unit."""
    first, *others = (np.asarray(weight, np.float64) for weight in rule.networks.weights)
    entering = first * (units / np.asarray(rule.networks.scale, np.float64))[:, :, None]
    norms = [np.linalg.norm(weight, 2, axis=(1, 2)) for weight in (entering[:, inputs], *others)]
    return float(np.mean(np.prod(norms, axis=0)))
