"""What is often wrong with how a world was made, found by asking it at real steps: one sentence each, with evidence."""

from __future__ import annotations

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.auditing.onestep import OneStep
from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.estimators import mean
from paracosm.core.mdp import MDP, Box
from paracosm.core.records import Finding
from paracosm.core.types import Array, PRNGKey
from paracosm.real.foreign import plainly

_SHIFTS = (-2, -1, 1, 2)
_BETTER = 0.1  # of the mean squared error: another reading must leave no more than that, and clearly so
_FLAT = 0.1  # of the real spread: predictions that vary less stand still
_LEAST_ENDS, _MISSED, _FALSE = 3, 0.9, 0.2  # a rule that is only inaccurate is no finding


def lint(world: MDP, episodes: Trajectory, asked: OneStep, key: PRNGKey) -> tuple[Finding, ...]:
    """Findings about `world` from its answers at the steps of real `episodes`."""
    rules = (_timing(episodes, asked), _constant(episodes, asked), _ends(episodes, asked))
    return (*(found for rule in rules for found in rule), *_scales(world, episodes, asked, key))


def _timing(episodes: Trajectory, asked: OneStep) -> Iterator[Finding]:
    """Which shift of the real reward the learned reward fits best."""
    off = {shift: _missed(episodes, asked, shift) for shift in (0, *_SHIFTS)}
    best = min(_SHIFTS, key=lambda shift: off[shift].mean())
    if _clearly_better(off[best], off[0]):
        way = "before" if best < 0 else "after"
        steps = f"{abs(best)} step{'s' if abs(best) > 1 else ''}"
        yield Finding(
            "reward timing",
            f"The learned reward of a step fits the real reward {steps} {way} it better than the step's own"
            f" (root mean square error {_root(off[best])} against {_root(off[0])}): rewards are recorded {steps} off.",
        )


def _missed(episodes: Trajectory, asked: OneStep, shift: int) -> Float[np.ndarray, " episode"]:
    """Mean squared error of r̂_t against r_{t+shift}, by episode, on the steps that every shift has."""
    widest, length = max(_SHIFTS), episodes.alive.shape[1]
    if length <= 2 * widest:
        return np.zeros(len(episodes.alive))
    inner = slice(widest, length - widest)
    moved = slice(widest + shift, length - widest + shift)
    counted = episodes.alive[:, inner] & episodes.alive[:, 2 * widest :]
    error = (np.asarray(asked.real.reward)[:, inner] - episodes.reward[:, moved]) ** 2
    return np.sum(error * counted, axis=1) / np.maximum(counted.sum(axis=1), 1)


def _constant(episodes: Trajectory, asked: OneStep) -> Iterator[Finding]:
    """A reward model that predicts the mean where real rewards vary."""
    real, found = episodes.reward[episodes.alive], np.asarray(asked.real.reward)[episodes.alive]
    if np.std(real) > 1e-9 * np.max(np.abs(real), initial=0) and np.std(found) < _FLAT * np.std(real):
        yield Finding(
            "constant reward",
            f"The learned reward varies by {np.std(found):.3g} (standard deviation) where the real reward varies by"
            f" {np.std(real):.3g}: it predicts little more than a mean.",
        )


def _ends(episodes: Trajectory, asked: OneStep) -> Iterator[Finding]:
    """Terminations that the world takes for time limits, and the reverse."""
    alive, says = np.asarray(episodes.alive), np.asarray(asked.real.ended) & episodes.alive
    ended, cut = episodes.terminated & alive, episodes.truncated & alive
    missed, taken = int((ended & ~says).sum()), int((cut & says).sum())
    false = int((says & ~ended & ~cut).sum())
    elsewhere = int((alive & ~ended & ~cut).sum())
    if missed >= max(_MISSED * ended.sum(), _LEAST_ENDS):
        yield Finding(
            "missed terminations",
            f"The world goes on at {missed} of the {ended.sum()} real steps that terminated: terminations may have been"
            " recorded as truncations.",
        )
    if taken >= max(_MISSED * cut.sum(), _LEAST_ENDS):
        where = "time limit" if alive[cut.any(axis=1)].all() else "cut"
        yield Finding(
            "truncations as terminations",
            f"The world ends at {taken} of the {cut.sum()} real steps that were only truncated: a {where} was learned"
            " as a termination, or the record calls terminations truncations.",
        )
    if false > _FALSE * elsewhere:
        yield Finding(
            "false terminations",
            f"The world ends at {false} of the {elsewhere} real steps after which the episode went on.",
        )


def _scales(world: MDP, episodes: Trajectory, asked: OneStep, key: PRNGKey) -> Iterator[Finding]:
    """Observations or actions that the world expects in other units."""
    scale = np.asarray(world.spec.state_scale)
    own = _by_episode(episodes, (np.asarray(asked.imagined_state) - episodes.next_state) / scale)
    seen = episodes.state[episodes.alive]
    center, spread = seen.mean(axis=0), np.where(seen.std(axis=0) > 0, seen.std(axis=0), 1)
    standard = _asked(world, None, (episodes.state - center) / spread, episodes.action, key)
    off = _by_episode(episodes, (center + spread * standard - episodes.next_state) / scale)
    if _clearly_better(off, own):
        yield Finding(
            "observation scale",
            "The world predicts next states better when it is given standardised observations (root mean square error"
            f" {_root(off)} against {_root(own)} in scaled states): it was trained on those.",
        )
    if isinstance(world.spec.action, Box):
        yield from _action_scale(world, episodes, own, key)


def _action_scale(world: MDP, episodes: Trajectory, own: np.ndarray, key: PRNGKey) -> Iterator[Finding]:
    scale = np.asarray(world.spec.state_scale)
    space = world.spec.action
    half = float(np.max(np.asarray(space.high) - np.asarray(space.low))) / 2 if isinstance(space, Box) else 1.0
    factors = {-1.0, 0.0, 2.0, 0.5, *((half, 1 / half) if np.isfinite(half) and half > 0 else ())} - {1.0}
    off = {
        factor: _by_episode(episodes, (found - episodes.next_state) / scale)
        for factor in sorted(factors)
        for found in [_asked(world, _Times(jnp.asarray(factor)), episodes.state, episodes.action, key)]
    }
    best = min(off, key=lambda factor: off[factor].mean())
    if _clearly_better(off[best], own):
        what = "are left out" if best == 0 else f"are multiplied by {best:.3g}"
        yield Finding(
            "action scale",
            f"The world predicts next states better when actions {what} (root mean square error {_root(off[best])}"
            f" against {_root(own)} in scaled states): it was trained on other actions than the policy's.",
        )


class _Times(eqx.Module):
    """Actions in another unit."""

    factor: Array

    def __call__(self, action: Array) -> Array:
        return self.factor * action


def _asked(world: MDP, change: _Times | None, state: Array, action: Array, key: PRNGKey) -> np.ndarray:
    """Next states `[episode, time, state]`; infinite from somebody's model that fails at inputs it was not made for."""
    try:
        with plainly():
            found = np.asarray(_next_states(world, change, state, action, key))
    except checks.ParacosmError:
        return np.full(state.shape, np.inf)
    return np.where(np.isfinite(found), found, np.inf)


@eqx.filter_jit
def _next_states(
    world: MDP, change: _Times | None, state: Array, action: Array, key: PRNGKey
) -> Float[Array, "episode time state"]:
    def at(state: Array, action: Array) -> Array:
        return world.dynamics(state, action if change is None else change(action), key)

    return jax.vmap(jax.vmap(at))(state, action)


def _by_episode(episodes: Trajectory, off: Array) -> Float[np.ndarray, " episode"]:
    """Mean squared norm of errors `[episode, time, state]` over the steps taken."""
    squared = np.where(episodes.alive, np.sum(off**2, axis=-1), 0)
    return squared.sum(axis=1) / episodes.alive.sum(axis=1)


def _clearly_better(other: np.ndarray, own: np.ndarray) -> bool:
    """Whether a reading leaves a tenth of the mean squared error `[episode]` at the most, and by more than chance."""
    if len(own) < 2 or not np.isfinite(other).all() or not other.mean() < _BETTER * own.mean():
        return False
    return mean(own - other).low > 0


def _root(squared: np.ndarray) -> str:
    return f"{np.sqrt(squared.mean()):.3g}"
