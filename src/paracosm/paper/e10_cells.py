"""Returns of the same policies in reality and in wrong worlds, after every horizon: the cells of
E10.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from paracosm.paper.study import Scale
from paracosm.sweep.cells import Cell

SYSTEMS = ("pendulum", "tanh", "linear-quadratic")  # the longest first
ERRORS = (0.001, 0.003, 0.01, 0.03, 0.1)
"""Largest one-step errors of the dynamics in scaled states, from what a good model has on easy
systems to what one would throw away.
"""
HORIZONS = (1, 2, 5, 10, 20, 50, 100)
SETS = ("drawn", "reality", "own", "other")
"""Policies drawn at random, trained in reality, in the world that orders them, and in another
world with an error as large.
"""
DIRECTIONS = 2  # of errors: each world is the other one of one more
STARTS = 64  # on which returns are exact; training draws its own


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is done in a cell.

    Attributes:
        trained: Policies that are trained, in reality and in every world.
        checkpoints: At which each is ordered.
        steps: Of training from one checkpoint to the next.
        errors: Sizes of the planted errors.
    """

    trained: int = 4
    checkpoints: int = 4
    steps: int = 100
    errors: tuple[float, ...] = ERRORS

    @property
    def policies(self) -> int:
        """In each of `SETS`."""
        return self.trained * self.checkpoints


SEEDS: dict[Scale, int] = {"quick": 2, "full": 8}
SIZES: dict[Scale, Sizes] = {"quick": Sizes(steps=50), "full": Sizes()}


@functools.cache
def _play() -> Callable[..., dict[str, Any]]:
    """The program that plays every policy of every world from the same starts."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from paracosm.core.rollout import unroll
    from paracosm.paper import e10_bounds

    places = jnp.array(HORIZONS) - 1

    def play(world: Any, policy: Any, starts: Any, bounded: bool) -> dict[str, Any]:
        keys = jax.random.split(jax.random.key(0), len(starts))
        path = unroll(world, policy, starts, keys, HORIZONS[-1])
        off = jax.vmap(jax.vmap(functools.partial(world.dynamics.error, world.spec)))
        errors = jnp.linalg.norm(off(path.state, path.action), axis=-1)
        steps = {"returns": jnp.cumsum(path.reward, axis=1)}
        if bounded:
            rungs = functools.partial(e10_bounds.bounds, world, policy)
            steps |= jax.vmap(rungs)((path.state, path.action), errors)
        means = {name: jnp.mean(column, axis=0)[places] for name, column in steps.items()}
        return means | {"error": jnp.mean(errors**2)}

    of_policies = eqx.filter_vmap(play, in_axes=(None, eqx.if_array(0), None, None))
    return eqx.filter_jit(
        eqx.filter_vmap(of_policies, in_axes=(eqx.if_array(0), eqx.if_array(0), None, None))
    )


def planted(*, system: str, seed: int, sizes: dict[str, Any]) -> dict[str, Any]:
    """Policies of four kinds in worlds with planted errors of every size, two of each size.

    Returns and bounds are means over the same `STARTS` starts, `[world][policy][horizon]` by kind;
    of policies trained in a world, `own`, in its own order; those of `other` are the own ones of
    the world with an error of the same size in the other direction. `rms` is each world's error on
    the real steps of the policies that were drawn.

    Args:
        system: Of `SYSTEMS`.
        seed: Of the system, the errors and the policies.
        sizes: Of `Sizes`.
    """
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from paracosm.core.keys import stage_key
    from paracosm.core.precision import in_double
    from paracosm.paper import e10_worlds as made

    size = Sizes(**sizes)
    real = made.real_system(system, seed)
    key = functools.partial(stage_key, seed)
    errors = (0.0, *size.errors)
    worlds = made.wrong_worlds(real, errors, DIRECTIONS, key("errors"))
    beginners, drawn = (
        made.drawn_policies(system, real.spec, jax.random.split(key(stage), count))
        for stage, count in (("beginners", size.trained), ("drawn", size.policies))
    )
    keys = jax.random.split(key("training"), (size.trained, size.checkpoints, size.steps))
    own = made.trained_policies(worlds, beginners, keys)
    pick = lambda index: jax.tree.map(lambda leaf: leaf[index] if eqx.is_array(leaf) else leaf, own)  # noqa: E731
    count = len(errors) * DIRECTIONS
    kinds = {
        "drawn": made.repeated_for(worlds, drawn),
        "reality": pick(np.zeros(count, int)),
        "own": own,
        "other": pick(np.roll(np.arange(count), len(errors))),
    }
    policies = jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis=1) if eqx.is_array(leaves[0]) else leaves[0], *kinds.values())
    starts = jax.vmap(real.initial)(jax.random.split(key("starts"), STARTS))
    bounded = made.HIDDEN[system] == 0
    with jax.enable_x64(True):
        play = lambda worlds: jax.tree.map(np.asarray, _play()(in_double(worlds), in_double(policies), in_double(starts), bounded))  # noqa: E731
        imagined, truth = play(worlds), play(made.without_error(worlds))
    return imagined, truth
