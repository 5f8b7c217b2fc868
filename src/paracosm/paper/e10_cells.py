"""Returns of the same policies in reality and in wrong worlds, after every horizon: the cells of
E10.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from paracosm.paper.study import Scale
from paracosm.sweep.cells import Cell

KNOWN = {"pendulum": False, "tanh": True, "linear-quadratic": True}
"""Systems, and whether their constants are known; the longest to run first."""
RUNGS = ("lemma", "along")  # of `e10_bounds`
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
class OrderSizes:
    """How much is done in a cell.

    Attributes:
        trained: Policies that are trained, in reality and in every world.
        checkpoints: At which each is ordered.
        steps: Of training from one checkpoint to the next.
        errors: OrderSizes of the planted errors.
    """

    trained: int = 4
    checkpoints: int = 4
    steps: int = 100
    errors: Sequence[float] = ERRORS

    @property
    def policies(self) -> int:
        """In each of `SETS`."""
        return self.trained * self.checkpoints


SEEDS: dict[Scale, int] = {"quick": 2, "full": 6}
SIZES: dict[Scale, OrderSizes] = {"quick": OrderSizes(steps=50), "full": OrderSizes()}


@functools.cache
def _play() -> Callable[..., dict[str, Any]]:
    """The program that plays every policy of every world from the same starts, in one system, and
    judges another world on these steps: `(systems, worlds, policies, starts, bounded)`.
    """
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from paracosm.core.rollout import unroll
    from paracosm.paper import e10_bounds

    def after_horizons(means: Any) -> Any:
        return jnp.stack([means[steps - 1] for steps in HORIZONS])

    def play(system: Any, world: Any, policy: Any, starts: Any, bounded: bool) -> dict[str, Any]:
        """Means over starts after every horizon, and the world's mean squared error.

        Args:
            system: What is played.
            world: What is judged.
            policy: Who plays.
            starts: `[start, state]`.
            bounded: Whether constants are known, so that there are bounds.
        """
        keys = jax.random.split(jax.random.key(0), len(starts))
        path = unroll(system, policy, starts, keys, HORIZONS[-1])
        off = jax.vmap(jax.vmap(functools.partial(world.dynamics.error, world.spec)))
        errors = jnp.linalg.norm(off(path.state, path.action), axis=-1)
        columns = {"returns": jnp.cumsum(path.reward, axis=1)}
        if bounded:
            rungs = functools.partial(e10_bounds.bounds, world, policy)
            columns |= jax.vmap(rungs)((path.state, path.action), errors)
        means = {name: after_horizons(jnp.mean(column, axis=0)) for name, column in columns.items()}
        return means | {"error": jnp.mean(errors**2)}

    first, alike = eqx.if_array(0), None
    of_policies = eqx.filter_vmap(play, in_axes=(alike, alike, first, alike, alike))
    return eqx.filter_jit(eqx.filter_vmap(of_policies, in_axes=(first, first, first, alike, alike)))


def planted(*, system: str, seed: int, sizes: dict[str, Any]) -> dict[str, Any]:
    """Policies of four kinds in worlds with planted errors of every size in two directions.

    Returns and bounds are means over the same `STARTS` starts, `[world][policy][horizon]` by kind;
    worlds are `[direction * size]`, of size 0 first. `rms` is each world's error on the real steps
    of the policies that were drawn.

    Args:
        system: Of `KNOWN`.
        seed: Of the system, the errors and the policies.
        sizes: Of `OrderSizes`.
    """
    import jax

    from paracosm.core.keys import stage_key
    from paracosm.core.precision import in_double
    from paracosm.paper import e10_worlds as made
    from paracosm.paper.three_systems import real_system

    size = OrderSizes(**sizes)
    real = real_system(system, jax.random.key(seed), discount=1.0, horizon=HORIZONS[-1])
    key = functools.partial(stage_key, seed)
    worlds = made.wrong_worlds(real, (0.0, *size.errors), DIRECTIONS, key("errors"))
    policies = _policies(system, worlds, size, key)
    starts = jax.vmap(real.initial)(jax.random.split(key("starts"), STARTS))
    with jax.enable_x64(True):
        judged, policies, starts = in_double((worlds, policies, starts))
        imagined, real_play = (
            jax.tree.map(np.asarray, _play()(played, judged, policies, starts, KNOWN[system]))
            for played in (judged, made.without_error(judged))
        )
    return {
        "real": _by_kind(real_play["returns"]),
        "imagined": _by_kind(imagined["returns"]),
        "bounds": {rung: _by_kind(imagined[rung]) for rung in RUNGS if rung in imagined},
        "rms": np.sqrt(real_play["error"][:, : size.policies].mean(axis=1)).tolist(),
    }


def _policies(system: str, worlds: Any, size: OrderSizes, key: Callable[[str], Any]) -> Any:
    """The policies of all of `SETS`, one set after the other, `[world, set * policy, …]`.

    Args:
        system: Of `KNOWN`.
        worlds: `[direction * size, …]`, the first of them without an error.
        size: Of the cell.
        key: By stage.
    """
    import jax

    from paracosm.paper import e10_worlds as made

    spec = made.nth_world(worlds, 0).spec
    beginners, drawn = (
        made.drawn_policies(system, spec, jax.random.split(key(stage), count))
        for stage, count in (("beginners", size.trained), ("drawn", size.policies))
    )
    keys = jax.random.split(key("training"), (size.trained, size.checkpoints, size.steps))
    own = made.trained_policies(worlds, beginners, keys)
    count = DIRECTIONS * (1 + len(size.errors))
    in_reality, elsewhere = np.zeros(count, int), np.roll(np.arange(count), count // DIRECTIONS)
    return made.side_by_side(
        made.repeated(drawn, count),
        made.policies_of(own, in_reality),
        own,
        made.policies_of(own, elsewhere),
    )


def _by_kind(columns: np.ndarray) -> dict[str, list[Any]]:
    """`[world, kind * policy, horizon]` by kind."""
    parts = np.split(columns, len(SETS), axis=1)
    return {kind: part.tolist() for kind, part in zip(SETS, parts, strict=True)}


def cells(scale: Scale) -> list[Cell]:
    """For each system its seeds, one after the other: a worker compiles its programs once."""
    sizes = dataclasses.asdict(SIZES[scale])
    return [
        Cell("paracosm.paper.e10_cells:planted", {"system": system, "seed": seed, "sizes": sizes})
        for system in KNOWN
        for seed in range(SEEDS[scale])
    ]
