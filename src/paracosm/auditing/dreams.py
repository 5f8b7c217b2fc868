"""What imagination says of the starts of real episodes: whole episodes, and what training believed
of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Key

from paracosm.auditing.attribution import steps_of
from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP
from paracosm.core.policy import Mode, Policy
from paracosm.core.records import Overlay
from paracosm.core.rollout import returns, unroll
from paracosm.core.types import Array, PRNGKey
from paracosm.imagination.imagine import Imagined

_SAMPLED = 16  # rollouts a start


class Dreams(NamedTuple):
    """Imagined episodes of the mode from the real starts, and returns `[episode]` beside them.

    At the reporting discount: `full` is the return of `episodes`, `mode` and `sampled` those of the
    policy's mode and of the policy as it samples. At the training discount: `full_training` is the
    return of `episodes`, `believed` what training took for it, `guarded` that of whole episodes in
    the world that training took place in. `undiscounted` is the return of `episodes` at 1.
    `edge_share` is the share of steps of `episodes` at the edge of the world's domain, if it has
    one.
    """

    episodes: Trajectory
    full: Array
    mode: Array
    sampled: Array
    full_training: Array
    believed: Array
    guarded: Array
    undiscounted: Array
    edge_share: Array | None


class Returns(NamedTuple):
    """The returns of `Dreams` that the gap is made of, of several draws of the noise: `[draw,
    episode]`.
    """

    full: Array
    full_training: Array
    believed: Array
    guarded: Array
    undiscounted: Array


def dream(
    world: MDP,
    policy: Policy,
    imagined: Imagined | None,
    episodes: Trajectory,
    *,
    discount: float,
    key: PRNGKey,
    mode: bool = True,
) -> Dreams:
    """Imagine from the start of each of the real `episodes`, for as many steps as its record could
    have.

    Args:
        world: The learned world; its discount is that of training.
        policy: The audited policy.
        imagined: How it was trained, if it is known.
        episodes: Real episodes, NumPy arrays `[episode, time, …]`.
        discount: The reporting discount.
        key: Of the noise.
        mode: Whether the policy's mode plays, else its samples.

    Raises:
        BadData: if the world leaves the finite numbers.
    """
    start, horizon = episodes.state[:, 0], episodes.alive.shape[1]
    options = {"horizon": horizon, "discount": discount, "key": key, "mode": mode}
    found = _dreamt(world, policy, imagined, start, steps_of(episodes), **options)
    found = Dreams(*jax.tree.map(np.asarray, found))
    answers = {
        "the policy's action": "action",
        "the world's next state": "next_state",
        "the world's reward": "reward",
    }
    columns = {said: getattr(found.episodes, name) for said, name in answers.items()}
    checks.finite_steps(
        "the imagined episode from the start of real episode", columns, found.episodes.alive
    )
    for what in ("full", "sampled", "full_training", "believed"):
        _check_finite(what.replace("_", ", "), getattr(found, what))
    return found


def redream(
    world: MDP,
    policy: Policy,
    imagined: Imagined | None,
    episodes: Trajectory,
    *,
    discount: float,
    keys: Sequence[PRNGKey],
    mode: bool = True,
) -> Returns:
    """Imagine the same starts again, once with each of `keys`; the rest is as for `dream`."""
    start, horizon = episodes.state[:, 0], episodes.alive.shape[1]
    options = {"horizon": horizon, "discount": discount, "mode": mode}
    draws = [
        _returns(world, policy, imagined, start, steps_of(episodes), key=key, **options)
        for key in keys
    ]
    return Returns(
        *(np.stack([np.asarray(draw[i]) for draw in draws]) for i in range(len(Returns._fields)))
    )


def _check_finite(what: str, returns: np.ndarray) -> None:
    bad = np.flatnonzero(~np.isfinite(returns))
    if len(bad):
        raise checks.BadData(
            f"the imagined return ({what}) from the start of real episode {bad[0]} is"
            f" {returns[bad[0]]};"
            " the learned world must give finite states and rewards."
        )


@eqx.filter_jit
def _dreamt(
    world: MDP,
    policy: Policy,
    imagined: Imagined | None,
    start: Float[Array, "episode state"],
    steps: Int[Array, " episode"],
    *,
    horizon: int,
    discount: float,
    key: PRNGKey,
    mode: bool,
) -> Dreams:
    """One compiled program."""
    keys = jax.random.split(key, len(start))
    of_mode = _play(world, Mode(policy), start, steps, keys, horizon=horizon)
    again, steps_again = (jnp.repeat(each, _SAMPLED, axis=0) for each in (start, steps))
    for_samples = jax.random.split(jax.random.fold_in(key, 1), _SAMPLED * len(start))
    sampled = _play(world, policy, again, steps_again, for_samples, horizon=horizon)
    episodes = of_mode if mode else jax.tree.map(lambda column: column[::_SAMPLED], sampled)
    by_start = returns(sampled.reward, discount).reshape(len(start), _SAMPLED)
    domain, share = world.domain, None
    if domain is not None:
        share = jnp.mean(domain.at_edge(episodes.next_state), where=episodes.alive)
    main = _of(episodes, world, imagined, start, steps, discount=discount, keys=keys, mode=mode)
    return Dreams(
        episodes,
        main.full,
        returns(of_mode.reward, discount),
        by_start.mean(axis=1),
        main.full_training,
        main.believed,
        main.guarded,
        main.undiscounted,
        share,
    )


@eqx.filter_jit
def _returns(
    world: MDP,
    policy: Policy,
    imagined: Imagined | None,
    start: Float[Array, "episode state"],
    steps: Int[Array, " episode"],
    *,
    horizon: int,
    discount: float,
    key: PRNGKey,
    mode: bool,
) -> Returns:
    """One draw of them."""
    keys = jax.random.split(key, len(start))
    episodes = _play(world, Mode(policy) if mode else policy, start, steps, keys, horizon=horizon)
    return _of(episodes, world, imagined, start, steps, discount=discount, keys=keys, mode=mode)


def _of(
    episodes: Trajectory,
    world: MDP,
    imagined: Imagined | None,
    start: Array,
    steps: Array,
    *,
    discount: float,
    keys: Key[jax.Array, " episode"],
    mode: bool,
) -> Returns:
    """The returns of imagined `episodes`, and what training believed of their starts, by the same
    noise.
    """
    full, training = returns(episodes.reward, discount), returns(episodes.reward, world.discount)
    believed = guarded = training
    if imagined is not None:
        trained, guard = Mode(imagined.policy) if mode else imagined.policy, imagined.trained_in
        believed = _believed(imagined, trained, start, keys)
        whole = _play(guard, trained, start, steps, keys, horizon=episodes.alive.shape[1])
        guarded = returns(whole.reward, world.discount)
    return Returns(full, training, believed, guarded, episodes.reward.sum(axis=1))


def _play(
    world: MDP,
    policy: Policy,
    start: Array,
    steps: Array,
    keys: Key[jax.Array, " episode"],
    *,
    horizon: int,
) -> Trajectory:
    """Episodes from `start`, each cut after its number of `steps`."""
    whole = unroll(world, policy, start, keys, horizon)
    within = jnp.arange(horizon) < steps[:, None]
    cut = jnp.where(within, whole.reward, 0), within & whole.alive
    return eqx.tree_at(lambda each: (each.reward, each.alive), whole, cut)


def _believed(
    imagined: Imagined, policy: Policy, start: Array, keys: Key[jax.Array, " episode"]
) -> Float[Array, " episode"]:
    """What training believed of each start: imagined steps as it took them, then the bootstrapped
    value.
    """
    world, horizon = imagined.trained_in, imagined.training.horizon
    seen = unroll(world, policy, start, keys, horizon)
    short = returns(seen.reward, world.discount)
    if imagined.value is None or horizon >= world.spec.horizon:
        return short
    lives = seen.alive[:, -1] & ~seen.terminated[:, -1]
    value = jax.vmap(imagined.value, (0, None))(seen.next_state[:, -1], jnp.zeros(()))
    return short + world.discount**horizon * jnp.where(lives, value, 0.0)


def informative_horizon(world: MDP, episodes: Trajectory, dreamt: Trajectory) -> int:
    """The largest h such that at every k ≤ h the imagined state k steps on is nearer than the mean
    real state.
    """
    both, scale = episodes.alive & dreamt.alive, np.asarray(world.spec.state_scale)
    mean = episodes.next_state[episodes.alive].mean(axis=0)

    def by_step(difference: Array) -> np.ndarray:
        return np.where(both, np.sum((difference / scale) ** 2, axis=-1), 0).sum(axis=0)

    off, baseline = (
        by_step(dreamt.next_state - episodes.next_state),
        by_step(mean - episodes.next_state),
    )
    beaten = ~both.any(axis=0) | (off >= baseline)
    return int(np.argmax(beaten)) if beaten.any() else both.shape[1]


def overlay(episodes: Trajectory, dreamt: Trajectory, index: int) -> Overlay:
    """One real episode and the imagined one from the same start."""

    def path(each: Trajectory) -> tuple[tuple[float, ...], ...]:
        taken = each.alive[index]
        states = np.concatenate([each.state[index, :1], each.next_state[index][taken]])
        return tuple(tuple(state) for state in states.astype(np.float32).tolist())

    return Overlay(path(episodes), path(dreamt))
