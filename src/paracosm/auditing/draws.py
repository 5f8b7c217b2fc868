"""Imagined draws in stochastic worlds: as many as it takes for the real episodes to be what limits
the audit.

One imagined rollout from each real step gives terms without bias, but their intervals then hold the
noise of imagination, which more real episodes are a dear way to remove. Summed over an episode, the
value at a step's ŝ' is taken away again as the value at the real state before it, so that all noise
but that of the first step's rollout cancels, and that of steps which one world ends and the other
does not. Those alone are drawn again, together with the imagined episodes from the same starts,
until the imagined part of each term's variance is below a tenth of what the real episodes leave.
Rollouts of one episode and draw share their noise by time, the two values of a step included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Key

from paracosm.auditing.attribution import AuditRollouts, Terms, terms_of
from paracosm.auditing.imagined_returns import ImaginedReturns, ReturnDraws, redrawn_returns
from paracosm.auditing.one_step import OneStep
from paracosm.auditing.values import values_at
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP
from paracosm.core.policy import MarkovPolicy
from paracosm.core.predicted import PredictedReturn
from paracosm.core.types import Array, PRNGKey

MOST_DRAWS = 64  # beyond the first: 64 leave an eighth of its standard deviation
_BATCH = 8  # draws at a time, so that few programs serve any number of them
_ROUNDING = 1e-9  # of the terms: smaller differences of draws are arithmetic, not noise
_SMALL = 0.1  # of the variance that the real episodes leave: it widens intervals by a twentieth


class Audited(NamedTuple):
    """What is audited; the reporting discount is the first of the rollouts' `discounts`."""

    world: MDP
    policy: MarkovPolicy
    predicted: PredictedReturn | None
    episodes: Trajectory
    predictions: OneStep
    discounts: tuple[float, ...]
    mode: bool


class Drawn(NamedTuple):
    """Terms at each discount and imagined returns, means over `draws` of the noise.

    `imagined_share` is the part of the variance of each mean over episodes that more imagined draws
    would remove: by cause and of the `total`, and of those at the training discount. It is more
    than a tenth of the rest only where the draws are `capped`: `MOST_DRAWS`, or the imagined steps
    that may be spent, came first.
    """

    terms: tuple[Terms, ...]
    imagined: ImaginedReturns
    draws: int
    imagined_share: dict[str, float]
    capped: bool


class _Draws(NamedTuple):
    """What was drawn several times: of the steps that do not cancel `[draw, discount, step]`, and
    the imagined returns.
    """

    worth: np.ndarray
    at_last: np.ndarray
    returns: ReturnDraws


def draw(
    audited: Audited,
    rollouts: AuditRollouts,
    imagined: ImaginedReturns,
    *,
    most_imagined_steps: float,
    key: PRNGKey,
) -> Drawn:
    """Draw again what noise is left in, until it is small or the work is spent.

    Args:
        audited: What is audited; the world or the policy is stochastic, and the policy recorded the
            episodes.
        rollouts: The first draw, of every step. Of a subset of the steps there is no other.
        imagined: The first draw of imagined episodes.
        most_imagined_steps: How many more may be imagined.
        key: Of the further draws.
    """
    cost = _cost(audited)
    complete = rollouts.audited.sum() == np.sum(audited.episodes.alive)
    allowed = 1 + (int(min(MOST_DRAWS, most_imagined_steps // cost)) if complete else 0)
    draws, needed = _first(audited, rollouts, imagined), np.inf
    while needed > len(draws.worth) and len(draws.worth) < allowed:
        draws = _extended(audited, draws, min(len(draws.worth) + _BATCH, allowed), key)
        samples = _samples(audited, rollouts, draws)
        needed = max(_needed(draws_of_term) for draws_of_term in samples.values())

    count = len(draws.worth)
    terms = _terms(audited, rollouts, draws.worth.mean(axis=0), draws.at_last.mean(axis=0))
    means = ReturnDraws(*(column.mean(axis=0) for column in draws.returns))._asdict()
    spent = rollouts.cost + (count - 1) * cost
    return Drawn(
        terms=tuple(at_discount._replace(imagined_steps=spent) for at_discount in terms),
        imagined=imagined._replace(**means, **({"mode": means["full"]} if audited.mode else {})),
        draws=count,
        imagined_share={
            name: _share(draws_of_term)
            for name, draws_of_term in _samples(audited, rollouts, draws).items()
        },
        capped=needed > count,
    )


def _steps(audited: Audited) -> tuple[np.ndarray, np.ndarray]:
    """Steps whose rollout from ŝ', and those whose rollout from s', do not cancel, `[episode,
    time]`.
    """
    alive = np.asarray(audited.episodes.alive)
    differ = alive & (
        np.asarray(audited.predictions.real.ended) != np.asarray(audited.episodes.terminated)
    )
    from_imagined, last = alive.copy(), alive.copy()
    from_imagined[:, 1:] &= differ[:, :-1]
    last[:, :-1] &= ~alive[:, 1:]
    return from_imagined, last & differ & (audited.episodes.remaining_steps > 0)


def _cost(audited: Audited) -> int:
    """Imagined steps of another draw."""
    remaining, played = audited.episodes.remaining_steps, 1 if audited.predicted is None else 3
    return sum(int(remaining[steps].sum()) for steps in _steps(audited)) + played * remaining.size


def _first(audited: Audited, rollouts: AuditRollouts, imagined: ImaginedReturns) -> _Draws:
    """The draw that the audit has begun with."""
    from_imagined, at_last = _steps(audited)
    returns = ReturnDraws(
        *(np.asarray(getattr(imagined, name))[None] for name in ReturnDraws._fields)
    )
    return _Draws(
        rollouts.worth[None, :, from_imagined], rollouts.at_last[None, :, at_last], returns
    )


def _extended(audited: Audited, draws: _Draws, count: int, key: PRNGKey) -> _Draws:
    """`count` draws, the further ones each with a key of its own.

    Args:
        audited: What is audited.
        draws: Those that there are, fewer than `count`.
        count: How many there shall be.
        key: Of the further ones.
    """
    key = jax.random.fold_in(key, 7)
    keys = [jax.random.fold_in(key, number) for number in range(len(draws.worth), count)]
    world, policy, predicted, episodes = audited[:4]
    again = redrawn_returns(
        world,
        policy,
        predicted,
        episodes,
        discount=audited.discounts[0],
        keys=keys,
        mode=audited.mode,
    )
    worth, at_last = _redrawn(audited, keys)
    returns = ReturnDraws(
        *(np.concatenate(pair) for pair in zip(draws.returns, again, strict=True))
    )
    return _Draws(
        np.concatenate([draws.worth, worth]), np.concatenate([draws.at_last, at_last]), returns
    )


def _redrawn(audited: Audited, keys: Sequence[PRNGKey]) -> tuple[np.ndarray, np.ndarray]:
    """`r̂ + γ (1 − d̂) V̂` of ŝ', and V̂ of s', drawn again at the steps that do not cancel."""
    episodes, draws = audited.episodes, len(keys)
    by_episode = jnp.concatenate([jax.random.split(key, len(episodes.alive)) for key in keys])
    first = np.arange(draws)[:, None] * len(episodes.alive)

    def rows(steps: np.ndarray) -> tuple[np.ndarray, np.ndarray, Key[jax.Array, " rows"]]:
        episode, time = np.nonzero(steps)
        return np.tile(episode, draws), np.tile(time, draws), by_episode[(first + episode).ravel()]

    (episode, time, noise), (last, at, noise_last) = map(rows, _steps(audited))
    state, action = (
        np.asarray(column)[episode, time] for column in (episodes.state, episodes.action)
    )
    imagined, reward, ended = map(np.asarray, _imagined(audited.world, state, action, noise, time))
    remaining = episodes.remaining_steps
    value = values_at(
        audited.world,
        audited.policy,
        np.concatenate([imagined, np.asarray(episodes.next_state)[last, at]]),
        np.concatenate([remaining[episode, time], remaining[last, at]]),
        jnp.concatenate([noise, noise_last]),
        discounts=audited.discounts,
        since=np.concatenate([time, at]) + 1,
    )
    value, at_last = np.split(value, [len(time)], axis=1)
    worth = reward + np.array(audited.discounts)[:, None] * np.where(ended, 0.0, value)
    return _by_draw(worth, draws), _by_draw(at_last, draws)


def _by_draw(values: np.ndarray, draws: int) -> np.ndarray:
    """`[discount, draw x step]` to `[draw, discount, step]`."""
    return np.moveaxis(values.reshape(len(values), draws, -1), 1, 0)


@eqx.filter_jit
def _imagined(
    world: MDP,
    state: Float[Array, "rows state"],
    action: Array,
    keys: Key[jax.Array, " rows"],
    time: Int[Array, " rows"],
) -> tuple[Array, Array, Array]:
    """The next state by the noise of an episode's step, its reward, and whether it is an end.

    Args:
        world: What is imagined.
        state, action: Recorded ones, `[rows, …]`.
        keys: Of each row's episode, `[rows]`.
        time: The step's place in it, `[rows]`.
    """

    def step(state: Array, action: Array, key: Array, time: Array) -> tuple[Array, Array, Array]:
        """One row.

        Args:
            state, action, key, time: As above.
        """
        after = world.dynamics(state, action, jax.random.split(jax.random.fold_in(key, time))[1])
        return after, world.reward(state, action, after), world.termination(state, action, after)

    return jax.vmap(step)(state, action, keys, time)


def _terms(
    audited: Audited, rollouts: AuditRollouts, worth: np.ndarray, at_last: np.ndarray
) -> tuple[Terms, ...]:
    """The terms with other values at the steps that do not cancel.

    Args:
        audited, rollouts: What is audited, and its first draw.
        worth: `r̂ + γ (1 - d̂) V̂` of the step to ŝ', `[discount, step]`.
        at_last: V̂ of s' where no step follows, `[discount, step]`.
    """
    from_imagined, last = _steps(audited)
    changed = rollouts._replace(worth=rollouts.worth.copy(), at_last=rollouts.at_last.copy())
    changed.worth[:, from_imagined], changed.at_last[:, last] = worth, at_last
    return terms_of(audited.episodes, audited.predictions, changed)


def _samples(audited: Audited, rollouts: AuditRollouts, draws: _Draws) -> dict[str, np.ndarray]:
    """Of every draw the terms of each episode, `[draw, episode]`, by cause and discount."""
    by_draw = [
        _terms(audited, rollouts, *pair) for pair in zip(draws.worth, draws.at_last, strict=True)
    ]
    paid, times = np.asarray(audited.episodes.reward), np.arange(audited.episodes.alive.shape[1])
    predicted = draws.returns.full, draws.returns.predicted
    samples = {"horizon": np.asarray(draws.returns.full_training - draws.returns.predicted)}
    for i, discount in enumerate(audited.discounts):
        at = "" if i == 0 else ", training"
        for cause in ("termination", "dynamics"):
            samples[cause + at] = np.stack(
                [getattr(terms[i], cause).sum(axis=1) for terms in by_draw]
            )
        samples["total" + at] = np.asarray(paid @ discount**times - predicted[i])
    return samples


def _variances(samples: np.ndarray) -> tuple[float, float]:
    """Of the mean over draws of an episode: the noise of imagination in it, and its variance over
    episodes.
    """
    draws, episodes = samples.shape
    if min(draws, episodes) < 2:
        return np.nan, np.nan
    rounding = (_ROUNDING * np.abs(samples).max()) ** 2
    noise = float(np.mean(samples.var(axis=0, ddof=1))) / draws
    return noise if noise > rounding else 0.0, float(samples.mean(axis=0).var(ddof=1))


def _share(samples: np.ndarray) -> float:
    noise, variance = _variances(samples)
    return min(1.0, noise / variance) if variance > 0 else noise


def _needed(samples: np.ndarray) -> float:
    """Draws after which the noise is small beside what the real episodes leave; 1 where nothing can
    be known of it.
    """
    noise, variance = _variances(samples)
    if not noise > 0:
        return 1.0
    return len(samples) * noise / (_SMALL * (variance - noise)) if variance > noise else np.inf
