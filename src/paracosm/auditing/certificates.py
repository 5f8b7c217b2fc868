"""How far the imagined return of recorded episodes can be off, rung by rung.

Errors are those of one system at the states of the other's episodes, constants are of that same
system: since one argument gives both, they cannot be mixed, which would be unsound. That system
is a learned world on real episodes, or a real system that can be evaluated anywhere, on imagined
episodes. The bounds are those of `ladder.py`.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from paracosm.auditing import ladder
from paracosm.auditing.ladder import UNCUT, Clip, Constants, Loop, Residuals, RungSteps, Stopped
from paracosm.auditing.termination_margin import Margin
from paracosm.core import checks
from paracosm.core.compiling import compiled_in_haste
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP, never
from paracosm.core.policy import MarkovPolicy
from paracosm.core.precision import in_double
from paracosm.core.records import Bracket, Certificate, Kind
from paracosm.core.types import Array, PRNGKey, Scalar, State

# Steps over which the slope of the value is followed from its own segment: the costly part of the
# ladder, since each costs a constant over a ball at every step of an episode.
_OWN_STEPS = 4
_OF_LOOP = ("closed_loop", "closed_loop_reward")
_OF_LAWS = ("global", "split", "closed_loop")  # all that holds where noise is not shared
_NEEDS = {
    "global": Constants._fields[:6],
    "split": Constants._fields[:6],
    "closed_loop": (*_OF_LOOP, "reward_next"),
    "mean_error": (*_OF_LOOP, "reward_next"),
    "trajectory": _OF_LOOP,
    "value": _OF_LOOP,
}


class LocalConstants(eqx.Module):
    """Constants of the closed loop over a ball, and whether they are proven.

    `at(state, radius)` gives those of `s ↦ f(s, π(s))` and of `s ↦ r(s, π(s), f(s, π(s)))` over all
    states within `radius`, in scaled units, of `state`, in the environment's; it is evaluated
    inside a compiled scan.
    """

    at: Callable[[State, Scalar], tuple[Scalar, Scalar]]
    kind: Kind = eqx.field(static=True)
    why: str = eqx.field(static=True)


class _SystemErrors(NamedTuple):
    """The system at each step of the episodes, `[episode, time]`: errors, and its own next states.

    `composed` has the reward's error at the system's own next state: what the rungs that own the
    reward's composed constant need, with nothing to add for the next state.
    """

    plain: Residuals
    composed: Residuals
    after: Array
    noisy: Array


def certificates(
    world: MDP,
    policy: MarkovPolicy,
    episodes: Trajectory,
    gap: Float[np.ndarray, " episode"],
    brackets: dict[str, Bracket],
    *,
    local: LocalConstants | None = None,
    end: Margin | None = None,
    reward_span: float = float("inf"),
    clip: Clip = UNCUT,
) -> tuple[Certificate, ...]:
    """Every rung's bound on the mean gap of the recorded `episodes`, and whether it is proven.

    Each bounds `|return - return in world|` of each episode from its own start, so it is a
    certificate for these episodes if its constants are; a statement about other starts would need a
    concentration term on top. Errors are taken at the policy's own action, so that an action
    recorded in 32 bits is part of the error.

    Args:
        world: The system that owns the constants: the learned world.
        policy: Its mode recorded `episodes`.
        episodes: Of the other system: real ones.
        gap: Each episode's measured discounted return minus that in `world`, without the training
            horizon's term.
        brackets: Of `world` and `policy`, under the names of `ladder.Constants`.
        local: Constants over balls; without it those of the whole closed loop serve.
        end: The margin of the world's end rule; without it a rule other than `never` may differ at
            every step.
        reward_span: Largest minus smallest reward of both systems, 0 included: all that is known
            where ends can differ.
        clip: As in `ladder.Clip`.

    Raises:
        BadArgument: a bracket is missing.
    """
    missing = [name for name in Constants._fields if name not in brackets]
    if missing:
        raise checks.BadArgument(
            f"the brackets lack {', '.join(missing)}; every constant of the ladder is needed."
        )
    constants = Constants(*(_number(brackets[name].upper) for name in Constants._fields))
    end = end and Margin(end.function, _number(end.state_slope), _number(end.next_state_slope))
    limits = _number(reward_span), Clip(*map(_number, clip))
    episodes = in_double(jax.tree.map(np.asarray, episodes))
    with jax.enable_x64(True):
        system = in_double(_System(world, policy, constants, local, end, *limits))
        bounds, noisy = jax.tree.map(np.asarray, _bounds(system, episodes, episodes.horizons))
    values = {rung: float(np.mean(bounds[rung])) for rung in (_OF_LAWS if noisy else _NEEDS)}
    standing = functools.partial(
        _standing, brackets=brackets, local=local, noisy=bool(noisy), episodes=len(gap)
    )
    size = float(np.abs(np.mean(gap)))
    ranked = tuple(
        dataclasses.replace(
            _certificate(rung, value, size, *standing(rung)), episodes=tuple(bounds[rung].tolist())
        )
        for rung, value in values.items()
    )
    return ranked + _smallest(ranked)


def _number(value: Any) -> np.ndarray:
    """An array, so that another value is not another program."""
    return np.asarray(value, np.float64)


def _certificate(rung: str, value: float, size: float, kind: Kind, why: str) -> Certificate:
    """A rung's bound beside the gap that was measured.

    Args:
        rung, value: Its name, and its mean over the episodes.
        size: Of the measured mean gap.
        kind, why: Whether the bound is proven.
    """
    return Certificate(rung, kind, value, value / size if size > 0 else float("inf"), why)


def _standing(
    rung: str,
    brackets: dict[str, Bracket],
    local: LocalConstants | None,
    noisy: bool,
    episodes: int,
) -> tuple[Kind, str]:
    """Whether a rung is proven, and why.

    Args:
        rung: Its name.
        brackets, local: The constants, as `certificates` gets them.
        noisy: Whether the system's dynamics draw noise.
        episodes: How many there are.
    """
    if noisy:
        return (
            "estimate",
            "the learned dynamics draw noise, and one draw a step stands for the distance of the"
            " laws",
        )
    used: dict[str, Bracket | LocalConstants] = {name: brackets[name] for name in _NEEDS[rung]}
    if local is not None and rung in ("trajectory", "value"):
        used = {"local": local}
    guessed = [(name, bound.why) for name, bound in used.items() if bound.kind == "estimate"]
    if guessed:
        name, why = guessed[0]
        return "estimate", f"the {name.replace('_', ' ')} constant is not proven: {why}"
    return "certificate", (
        f"it bounds the gap of these {episodes} episodes, with proven constants and every step"
        " asked;"
        " other starts would need a concentration term"
    )


def _smallest(ranked: tuple[Certificate, ...]) -> tuple[Certificate, ...]:
    """The smallest rung, of the proven ones if any is, where a rung exceeds one above it."""
    values = [rung.value for rung in ranked]
    if all(lower <= upper * (1 + 1e-9) for upper, lower in itertools.pairwise(values)):
        return ()
    proven = [rung for rung in ranked if rung.kind == "certificate"]
    least = min(proven or ranked, key=lambda rung: rung.value)
    why = (
        f"the smallest, {least.rung.replace('_', ' ')}; constants that are not exact turn the"
        " order of rungs around"
    )
    return (dataclasses.replace(least, rung="minimum", why=why),)


class _System(eqx.Module):
    """The owner of the constants, and all that is known of it."""

    world: MDP
    policy: MarkovPolicy
    constants: Constants
    local: LocalConstants | None
    end: Margin | None
    span: Scalar
    clip: Clip

    def at(self, state: Array, radius: Array) -> Loop:
        """Closed-loop constants over a ball."""
        if self.local is None:
            return Loop(self.constants.closed_loop, self.constants.closed_loop_reward, 0.0)
        return Loop(*self.local.at(state, radius), 0.0)

    def move(self, state: Array, key: PRNGKey) -> Array:
        """The next state under the policy's mode."""
        return self.world.dynamics(state, self.policy.mode(state), key)

    def errors(self, state: Array, next_state: Array, reward: Array, key: PRNGKey) -> _SystemErrors:
        """One step's errors; whether the next state depends on the key.

        Args:
            state, next_state: Of the other system, `[state]`.
            reward: Recorded there.
            key: Of this system's noise, if it draws any.
        """
        first, second = jax.random.split(key)
        action, after = self.policy.mode(state), self.move(state, first)
        off = self.world.spec.norm(after - next_state)
        plain, composed = (
            Residuals(off, jnp.abs(self.world.reward(state, action, following) - reward))
            for following in (next_state, after)
        )
        return _SystemErrors(plain, composed, after, jnp.any(after != self.move(state, second)))

    def doubtful(self, episode: Trajectory, radius: Array) -> Bool[Array, " time"]:
        """Whether this system's end flag after each step could be another than the recorded one."""
        if self.end is None:
            return episode.terminated if self.world.termination is never else episode.alive
        end = self.end
        margin = jax.vmap(lambda s, after: end.function(s, self.policy.mode(s), after))
        value = margin(episode.state, episode.next_state)
        reach = end.state_slope * radius[:-1] + end.next_state_slope * radius[1:]
        sure = (jnp.abs(value) > reach) & (
            (value > 0) == episode.terminated
        )  # not a number: not sure
        return episode.alive & ~sure

    def stop(self, episode: Trajectory, horizon: Array, steps: RungSteps) -> Stopped:
        """The rung of one episode, as far as both systems are known to go on together."""
        steps = steps._replace(cost=jnp.where(episode.alive, steps.cost, 0.0))
        return ladder.stop(
            steps, self.doubtful(episode, steps.radius), horizon, self.world.discount, self.span
        )


@compiled_in_haste
def _bounds(
    system: _System, episodes: Trajectory, horizons: Int[Array, " episode"]
) -> tuple[dict[str, Float[Array, " episode"]], Bool[Array, ""]]:
    """Each rung for each episode, and whether the system draws noise."""
    keys = jax.random.split(jax.random.key(0), episodes.alive.shape)
    errors = jax.vmap(jax.vmap(system.errors))(
        episodes.state, episodes.next_state, episodes.reward, keys
    )
    errors = jax.tree.map(lambda column: _where_alive(episodes, column), errors)
    largest = Residuals(*map(jnp.max, errors.plain))
    worst = Residuals(
        *(_where_alive(episodes, jnp.full(episodes.alive.shape, most)) for most in largest)
    )
    of_episode = jax.vmap(functools.partial(_rungs, system))
    return of_episode(episodes, horizons, errors, worst), jnp.any(errors.noisy)


def _where_alive(episodes: Trajectory, column: Array) -> Array:
    alive = jnp.reshape(episodes.alive, episodes.alive.shape + (1,) * (column.ndim - 2))
    return jnp.where(alive, column, jnp.zeros_like(column))


def _rungs(
    system: _System, episode: Trajectory, horizon: Array, errors: _SystemErrors, worst: Residuals
) -> dict[str, Scalar]:
    """The ladder of one episode, from the top.

    Args:
        system: The owner of the constants.
        episode: Of the other system, `[time, …]`.
        horizon: Its length, had it not ended.
        errors: Of the system at the episode's steps.
        worst: The largest errors of all episodes, at each step.
    """
    stop = functools.partial(system.stop, episode, horizon)
    bounds = {}
    for rung in ("global", "split", "closed_loop"):
        bounds[rung] = stop(
            ladder.uniform(worst, ladder.closed(system.constants, rung), system.clip)
        ).bound
    loop = ladder.closed(system.constants, "closed_loop")
    bounds["mean_error"] = stop(ladder.uniform(errors.plain, loop, system.clip)).bound
    steps = ladder.trajectory(errors.composed, episode.state, system.at, system.clip)
    stopped = stop(steps)
    bounds["trajectory"] = stopped.bound
    bounds["value"] = _value(system, episode, errors, steps, stopped)
    return bounds


def _value(
    system: _System, episode: Trajectory, errors: _SystemErrors, steps: RungSteps, stopped: Stopped
) -> Scalar:
    """The rung through the value, of as many steps as the rung above sums.

    The slope on a segment is the smaller of two bounds: by the balls of the rung above, and by
    balls of its own.

    Args:
        system, episode, errors: As in `_rungs`.
        steps, stopped: The rung above, `trajectory`, and where it stops.
    """
    discount, time = system.world.discount, jnp.arange(len(episode.alive))
    count = jnp.minimum(stopped.steps, jnp.sum(episode.alive))
    later = ladder.slopes(steps.loop, discount, count)
    segments = (errors.after + episode.next_state) / 2, errors.composed.dynamics / 2
    fresh = jax.vmap(functools.partial(_own_slope, system, later, count))(segments, time)
    counted = time < count
    slope = jnp.where(counted, jnp.fmin(fresh, later[1:]), 0.0)
    residuals = Residuals(*(jnp.where(counted, column, 0.0) for column in errors.composed))
    return ladder.through_value(residuals, slope, 0.0, discount, system.clip) + stopped.tail


def _own_slope(
    system: _System, later: Array, count: Array, segment: tuple[Array, Array], time: Array
) -> Scalar:
    """Bounds `V̂_{count-t-1}`'s slope on a segment: by balls of its own, then by `later`.

    Args:
        system: The owner of the constants.
        later: Slopes by the balls of the rung above, `[time+1]`.
        count: Number of steps that are summed.
        segment: Its middle, `[state]`, and half its length.
        time: t, the step at whose end it lies.
    """
    left, discount = count - time - 1, system.world.discount

    def step(carry: tuple[Array, ...], k: Array) -> tuple[tuple[Array, ...], None]:
        state, radius, weight, slope = carry
        loop = system.at(state, radius)
        slope = slope + jnp.where(k < left, weight * loop.reward, 0.0)
        moved = system.move(state, jax.random.key(0))
        return (moved, radius * loop.dynamics, weight * discount * loop.dynamics, slope), None

    start = (*segment, jnp.ones_like(segment[1]), jnp.zeros_like(segment[1]))
    _, _, weight, slope = jax.lax.scan(step, start, jnp.arange(_OWN_STEPS))[0]
    rest = later[jnp.minimum(time + 1 + _OWN_STEPS, len(later) - 1)]
    return slope + jnp.where(left > _OWN_STEPS, weight * rest, 0.0)
