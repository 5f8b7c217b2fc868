"""The worlds of E10, whose dynamics are off by an error of known size, and the policies
that are ordered: drawn at random, or trained in reality or in a world.

The reward is the real one everywhere: exploitability is defined on transitions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Key

from paracosm.core.mdp import MDP, Box, Spec
from paracosm.core.networks import MLP
from paracosm.core.policy import Gaussian, Mode
from paracosm.core.precision import Tree
from paracosm.core.rollout import unroll
from paracosm.core.types import Action, PRNGKey, Scalar, State
from paracosm.real import systems

HIDDEN = {"linear-quadratic": 0, "tanh": 0, "pendulum": 1}
"""Hidden layers of a policy, by system: a linear map under `tanh` serves the first two and has
constants in closed form, but swings no pendulum up.
"""
_WIDTH = 16  # of a hidden layer
_RATE = 0.05  # of Adam, for policies of 10 to 81 parameters
_AHEAD = 50  # steps that are differentiated through: more of them blur the pendulum's gradient
_STARTS = 16  # drawn anew at every training step
_FLAT = 0.01  # a gradient shorter than this has no direction worth following at full length


class PlantedError(eqx.Module):
    """`size · U tanh(Ws + Va + b) / √n` of scaled states and actions, n state components: never
    longer than `size`, and its slope in either argument is at most `size / √n`.
    """

    map: systems.Smooth
    size: Scalar

    def __call__(self, spec: Spec, state: State, action: Action) -> State:
        """In scaled states, at a state in the environment's units."""
        off = self.map(state / spec.state_scale, spec.action.encode(action))
        return self.size / math.sqrt(spec.state_size) * off


class WrongDynamics(eqx.Module):
    """The real dynamics plus an error."""

    real: Any
    error: PlantedError
    spec: Spec

    def __call__(self, state: State, action: Action, key: PRNGKey) -> State:
        off = self.error(self.spec, state, action)
        return self.real(state, action, key) + self.spec.state_scale * off


def wrong_worlds(real: MDP, sizes: Sequence[float], draws: int, key: PRNGKey) -> MDP:
    """Worlds `[draw * size, …]`: the real system but for a planted error, of every size in each of
    so many directions. Size 0 is the real system itself, in the same arithmetic.

    Args:
        real: The system.
        sizes: Of the errors, in scaled states.
        draws: How many directions.
        key: Of the directions.
    """

    def world(key: PRNGKey, size: Scalar) -> MDP:
        smooth = systems.lipschitz_synthetic(
            key, dynamics=1.0, state_size=real.spec.state_size, action_size=real.spec.action.size
        )[0]
        error = PlantedError(cast(Any, smooth.dynamics).map, size)
        return real.replace(dynamics=WrongDynamics(real.dynamics, error, real.spec))

    keys = jnp.repeat(jax.random.split(key, draws), len(sizes))
    return eqx.filter_vmap(world)(keys, jnp.tile(jnp.array(sizes), draws))


def without_error(worlds: MDP) -> MDP:
    """The real system as often as there are worlds, in their arithmetic."""
    return eqx.tree_at(lambda w: w.dynamics.error.size, worlds, replace_fn=lambda size: 0 * size)


def drawn_policies(system: str, spec: Spec, keys: Key[jax.Array, " policy"]) -> Mode:
    """Policies with random weights, `[policy, …]`, whose actions fill the box.

    Args:
        system: Of `HIDDEN`.
        spec: Of the system.
        keys: Of the weights.
    """

    def draw(key: PRNGKey) -> Mode:
        first, second = jax.random.split(key)
        sizes = spec.state_size, spec.action.size, _WIDTH, HIDDEN[system]
        network = MLP(*sizes, first, scale=spec.state_scale)
        drift = jax.random.normal(second, (spec.action.size,)) / 4
        network = eqx.tree_at(lambda n: n.biases[-1], network, drift)
        return Mode(Gaussian(network, jnp.zeros(spec.action.size), cast(Box, spec.action), True))

    return eqx.filter_vmap(draw)(keys)


def _weights(policy: Mode) -> Any:
    network = cast(Any, policy.policy).network
    return network.weights, network.biases


@eqx.filter_jit
def trained_policies(
    worlds: MDP,
    policies: Mode,
    keys: Key[jax.Array, "policy checkpoint step"],
) -> Mode:
    """What becomes of each policy in each world, after each part of its training:
    `[world, policy * checkpoint, …]`.

    Adam on the gradient of the return of `_AHEAD` steps, straight through the world. No start's
    gradient counts for more than its direction: where the world is steep one would outweigh the
    rest.

    Args:
        worlds: `[world, …]`.
        policies: Where training starts, `[policy, …]`.
        keys: Of the starts; all worlds share them.
    """
    parts, steps = keys.shape[1:]
    optimiser = optax.adam(optax.cosine_decay_schedule(_RATE, parts * steps))

    def train(world: MDP, policy: Mode, keys: jax.Array) -> Any:
        def cost(weights: Any, key: PRNGKey) -> Scalar:
            acting = eqx.tree_at(_weights, policy, weights)
            return -jnp.mean(
                unroll(world, acting, world.initial(key)[None], key[None], _AHEAD).reward
            )

        def step(carry: tuple[Any, Any], key: PRNGKey) -> tuple[tuple[Any, Any], None]:
            weights, state = carry
            of_starts = jax.vmap(jax.grad(cost), (None, 0))(weights, jax.random.split(key, _STARTS))
            change, state = optimiser.update(_mean_direction(of_starts), state)
            return (optax.apply_updates(weights, change), state), None

        def part(carry: tuple[Any, Any], keys: jax.Array) -> tuple[tuple[Any, Any], Any]:
            carry, _ = jax.lax.scan(step, carry, keys)
            return carry, carry[0]

        start = _weights(policy)
        return jax.lax.scan(part, (start, optimiser.init(start)), keys)[1]

    of_policies = eqx.filter_vmap(train, in_axes=(None, eqx.if_array(0), 0))
    of_worlds = eqx.filter_vmap(of_policies, in_axes=(eqx.if_array(0), None, None))
    weights = of_worlds(worlds, policies, keys)
    flat = jax.tree.map(lambda leaf: leaf.reshape(len(leaf), -1, *leaf.shape[3:]), weights)
    alike = _mapped(lambda leaf: jnp.repeat(leaf, parts, axis=0), policies)
    return eqx.tree_at(_weights, repeated(alike, len(worlds.spec.state_scale)), flat)


def _mean_direction(gradients: Any) -> Any:
    """The mean over starts of gradients `[start, …]`, all but flat ones made as long as 1."""
    rows = jnp.concatenate(
        [leaf.reshape(_STARTS, -1) for leaf in jax.tree.leaves(gradients)], axis=1
    )
    length = jnp.linalg.norm(rows, axis=1)
    share = jnp.where(jnp.isfinite(length), 1 / jnp.maximum(length, _FLAT), 0.0) / _STARTS
    return jax.tree.map(lambda leaf: jnp.tensordot(share, jnp.nan_to_num(leaf), 1), gradients)


def nth_world(worlds: MDP, index: int) -> MDP:
    """One of the worlds."""
    return _mapped(lambda leaf: leaf[index], worlds)


def policies_of(policies: Mode, worlds: np.ndarray) -> Mode:
    """The policies `[world, policy, …]` of these worlds, in this order."""
    return _mapped(lambda leaf: leaf[worlds], policies)


def repeated(tree: Tree, count: int) -> Tree:
    """The same policies, or the same system, for each of so many worlds, `[world, …]`."""
    return _mapped(lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape)), tree)


def side_by_side(*sets: Mode) -> Mode:
    """Sets of policies `[world, policy, …]`, one after the other in every world."""
    return _mapped(lambda *leaves: jnp.concatenate(leaves, axis=1), *sets)


def _mapped(function: Callable, *trees: Any) -> Any:
    """A tree with its arrays mapped and the rest as in the first."""
    keep = lambda leaf, *rest: function(leaf, *rest) if eqx.is_array(leaf) else leaf  # noqa: E731
    return jax.tree.map(keep, *trees)
