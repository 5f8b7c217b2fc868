"""The parts of a world and a policy as `Layered` networks in scaled units, and their closed loops.

The parts describe themselves (`core/layers.py`); here their descriptions are put together.
"""

from __future__ import annotations

import numpy as np

from paracosm.core import layers
from paracosm.core.layers import Layered, beside, compose, layers_of
from paracosm.core.mdp import MDP, Spec
from paracosm.core.policy import MarkovPolicy


def scaled_dynamics(world: MDP) -> Layered:
    """`(s, a) ↦ s'`, states in scaled units, actions in the environment's."""
    scale = np.asarray(world.spec.state_scale, np.float64)
    into = np.concatenate([scale, np.ones(world.spec.action.size)])
    return layers.rescaled(layers_of(world.dynamics, world.spec), into, scale)


def scaled_reward(world: MDP) -> Layered:
    """`(s, a, s') ↦ r`, states in scaled units, actions and reward in the environment's."""
    scale = np.asarray(world.spec.state_scale, np.float64)
    into = np.concatenate([scale, np.ones(world.spec.action.size), scale])
    return layers.rescaled(layers_of(world.reward, world.spec), into, 1.0)


def scaled_policy(policy: MarkovPolicy, spec: Spec) -> Layered:
    """`s ↦ a`, the mode, states in scaled units, actions in the environment's."""
    return layers.rescaled(layers_of(policy, spec), np.asarray(spec.state_scale, np.float64), 1.0)


def closed_loop(dynamics: Layered, policy: Layered) -> Layered:
    """`s ↦ f(s, π(s))`, the state carried past the policy."""
    return compose(dynamics, beside(layers.identity(policy.inputs), policy))


def closed_loop_reward(reward: Layered, dynamics: Layered, policy: Layered) -> Layered:
    """`s ↦ r(s, π(s), f(s, π(s)))`."""
    choosing = beside(layers.identity(policy.inputs), policy)
    return compose(reward, beside(layers.identity(dynamics.inputs), dynamics), choosing)
