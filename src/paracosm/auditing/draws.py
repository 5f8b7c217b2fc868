"""Imagined draws in stochastic worlds: as many as it takes for the real episodes to be what limits
the audit.

One imagined rollout from each real step gives terms without bias, but their intervals then hold the
noise of imagination, which more real episodes are a dear way to remove. In the sum over an episode,
step t subtracts the value of its ŝ', and step t-1 adds it back as V̂(s_t), so that its noise
cancels. It stays in two places: at the first step, which no step precedes, and after a step whose
end the world predicts wrongly, where the termination and the dynamics term each hold a part of it.
Only those rollouts are drawn again, with the imagined episodes from the same starts, until the
imagined part of each term's variance is below a tenth of what the real episodes leave. Rollouts of
one episode and draw share their noise by time, the two values of a step included.
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
from paracosm.auditing.one_step import StepOutcome, step_outcome
from paracosm.auditing.subject import AuditSubject
from paracosm.auditing.values import values_at
from paracosm.core.mdp import MDP
from paracosm.core.types import Array, PRNGKey

MOST_DRAWS = 64  # beyond the first: 64 leave an eighth of its standard deviation
_BATCH = 8  # draws at a time, so that few programs serve any number of them
_ROUNDING = 1e-9  # of the terms: smaller differences of draws are arithmetic, not noise
_SMALL = 0.1  # of the variance that the real episodes leave: it widens intervals by a twentieth


class AveragedDraws(NamedTuple):
    """Terms and imagined returns, averaged over several draws of the noise.

    Attributes:
        terms: At each of the subject's discounts.
        imagined: The imagined returns.
        draws: How many draws the averages are of.
        imagined_share: By cause, and of the `total`, at either discount: the part of the variance
            over episodes that further draws would remove; more than a tenth of the rest only where
            the draws are `capped`.
        capped: Whether `MOST_DRAWS`, or the imagined steps that may be spent, ended the drawing.
    """

    terms: tuple[Terms, ...]
    imagined: ImaginedReturns
    draws: int
    imagined_share: dict[str, float]
    capped: bool


class _DrawnValues(NamedTuple):
    """The values that were drawn several times, those of each draw.

    Attributes:
        step_values: `r̂ + γ (1 - d̂) V̂` of the steps to ŝ' that do not cancel, `[draw, discount,
            step]`.
        last_values: V̂ of the s' that no step follows, where it does not cancel, `[draw, discount,
            step]`.
        returns: The imagined returns, `[draw, episode]` each.
    """

    step_values: np.ndarray
    last_values: np.ndarray
    returns: ReturnDraws

    @property
    def number(self) -> int:
        """How many draws there are."""
        return len(self.step_values)


def average_draws(
    subject: AuditSubject,
    rollouts: AuditRollouts,
    imagined: ImaginedReturns,
    *,
    most_imagined_steps: float,
) -> AveragedDraws:
    """Average the terms and the imagined returns over draws of the noise: further ones until the
    noise is small beside the spread of the real episodes, or until the work is spent.

    Args:
        subject: What is audited; the world or the policy is stochastic, and the policy recorded the
            episodes.
        rollouts: The first draw, of every step. Of a subset of the steps there is no other.
        imagined: The first draw of imagined episodes.
        most_imagined_steps: How many more may be imagined.
    """
    cost = _cost_of_a_draw(subject)
    complete = rollouts.audited.sum() == np.sum(subject.episodes.alive)
    allowed = 1 + (int(min(MOST_DRAWS, most_imagined_steps // cost)) if complete else 0)
    draws, needed = _first_draw(subject, rollouts, imagined), np.inf
    while needed > draws.number and draws.number < allowed:
        draws = _with_more_draws(subject, draws, min(draws.number + _BATCH, allowed))
        samples = _terms_by_draw(subject, rollouts, draws)
        needed = max(_draws_needed(draws_of_term) for draws_of_term in samples.values())

    terms = _terms_with(
        subject, rollouts, draws.step_values.mean(axis=0), draws.last_values.mean(axis=0)
    )
    means = ReturnDraws(*(column.mean(axis=0) for column in draws.returns))
    imagined = imagined._replace(**means._asdict())
    spent = rollouts.cost + (draws.number - 1) * cost
    return AveragedDraws(
        terms=tuple(at_discount._replace(imagined_steps=spent) for at_discount in terms),
        imagined=imagined._replace(mode=means.full) if subject.plays_mode else imagined,
        draws=draws.number,
        imagined_share={
            name: imagined_part(draws_of_term)
            for name, draws_of_term in _terms_by_draw(subject, rollouts, draws).items()
        },
        capped=needed > draws.number,
    )


class _RedrawnSteps(NamedTuple):
    """The steps whose imagined values do not cancel in the sum over an episode, `[episode, time]`.

    Attributes:
        step_values: Of the value of the step to ŝ': first steps, and those after a wrong end.
        last_values: Of the value of s': last steps with a wrong end.
    """

    step_values: np.ndarray
    last_values: np.ndarray


def _redrawn_steps(subject: AuditSubject) -> _RedrawnSteps:
    """The steps that are drawn again; a wrong end is one that the world predicts wrongly."""
    episodes = subject.episodes
    alive = np.asarray(episodes.alive)
    wrong_end = np.asarray(subject.predictions.at_real.ended) != np.asarray(episodes.terminated)
    wrong_end &= alive
    first_or_after_wrong_end, last = alive.copy(), alive.copy()
    first_or_after_wrong_end[:, 1:] &= wrong_end[:, :-1]
    last[:, :-1] &= ~alive[:, 1:]
    last_with_wrong_end = last & wrong_end & (episodes.remaining_steps > 0)
    return _RedrawnSteps(first_or_after_wrong_end, last_with_wrong_end)


def _cost_of_a_draw(subject: AuditSubject) -> int:
    """Imagined steps of another draw."""
    remaining = subject.episodes.remaining_steps
    of_terms = sum(int(remaining[steps].sum()) for steps in _redrawn_steps(subject))
    return of_terms + (1 if subject.training_prediction is None else 3) * remaining.size


def _first_draw(
    subject: AuditSubject, rollouts: AuditRollouts, imagined: ImaginedReturns
) -> _DrawnValues:
    """The draw that the audit has begun with."""
    redrawn = _redrawn_steps(subject)
    return _DrawnValues(
        step_values=rollouts.step_values[None, :, redrawn.step_values],
        last_values=rollouts.last_values[None, :, redrawn.last_values],
        returns=imagined.draws(),
    )


def _with_more_draws(subject: AuditSubject, draws: _DrawnValues, count: int) -> _DrawnValues:
    """Draws until there are `count`, each further one by a key of its own."""
    key = jax.random.fold_in(subject.key, 7)
    keys = [jax.random.fold_in(key, index) for index in range(draws.number, count)]
    more = _DrawnValues(*_redrawn_values(subject, keys), redrawn_returns(subject, keys))
    return jax.tree.map(lambda *columns: np.concatenate(columns), draws, more)


def _redrawn_values(
    subject: AuditSubject, keys: Sequence[PRNGKey]
) -> tuple[np.ndarray, np.ndarray]:
    """Step values and last values at the steps that do not cancel, `[draw, discount, step]`, once
    by each key.
    """
    episodes, count = subject.episodes, len(keys)
    by_episode = jnp.concatenate([jax.random.split(key, len(episodes.alive)) for key in keys])
    first = np.arange(count)[:, None] * len(episodes.alive)

    def rows(steps: np.ndarray) -> tuple[np.ndarray, np.ndarray, Key[jax.Array, " rows"]]:
        episode, time = np.nonzero(steps)
        return np.tile(episode, count), np.tile(time, count), by_episode[(first + episode).ravel()]

    (episode, time, noise), (last, at, noise_last) = map(rows, _redrawn_steps(subject))
    state, action = (
        np.asarray(column)[episode, time] for column in (episodes.state, episodes.action)
    )
    imagined, outcome = jax.tree.map(
        np.asarray, _imagined_step(subject.world, state, action, noise, time)
    )
    remaining = episodes.remaining_steps
    value = values_at(
        subject.world,
        subject.played,
        np.concatenate([imagined, np.asarray(episodes.next_state)[last, at]]),
        np.concatenate([remaining[episode, time], remaining[last, at]]),
        jnp.concatenate([noise, noise_last]),
        discounts=subject.discounts,
        since=np.concatenate([time, at]) + 1,
    )
    value, last_value = np.split(value, [len(time)], axis=1)
    step_value = outcome.step_value(np.array(subject.discounts)[:, None], value)
    return _by_draw(step_value, count), _by_draw(last_value, count)


def _by_draw(values: np.ndarray, count: int) -> np.ndarray:
    """`[discount, draw x step]` of `count` draws to `[draw, discount, step]`."""
    return np.moveaxis(values.reshape(len(values), count, -1), 1, 0)


@eqx.filter_jit
def _imagined_step(
    world: MDP,
    state: Float[Array, "rows state"],
    action: Array,
    keys: Key[jax.Array, " rows"],
    time: Int[Array, " rows"],
) -> tuple[Array, StepOutcome]:
    """The next state by the noise of an episode's step, and the outcome of the step to it.

    Args:
        world: What is imagined.
        state, action: Recorded ones, `[rows, …]`.
        keys: Of each row's episode, `[rows]`.
        time: The step's place in it, `[rows]`.
    """

    def step(state: Array, action: Array, key: Array, time: Array) -> tuple[Array, StepOutcome]:
        """One row.

        Args:
            state, action, key, time: As above.
        """
        after = world.dynamics(state, action, jax.random.split(jax.random.fold_in(key, time))[1])
        return after, step_outcome(world, state, action, after)

    return jax.vmap(step)(state, action, keys, time)


def _terms_with(
    subject: AuditSubject,
    rollouts: AuditRollouts,
    step_values: np.ndarray,
    last_values: np.ndarray,
) -> tuple[Terms, ...]:
    """The terms with other values at the steps that do not cancel.

    Args:
        subject: What is audited.
        rollouts: Its first draw.
        step_values, last_values: One draw of those in `_DrawnValues`, `[discount, step]`.
    """
    redrawn = _redrawn_steps(subject)
    every_step, every_last = rollouts.step_values.copy(), rollouts.last_values.copy()
    every_step[:, redrawn.step_values] = step_values
    every_last[:, redrawn.last_values] = last_values
    return terms_of(subject, rollouts._replace(step_values=every_step, last_values=every_last))


def _terms_by_draw(
    subject: AuditSubject, rollouts: AuditRollouts, draws: _DrawnValues
) -> dict[str, np.ndarray]:
    """The terms of each episode in every draw, `[draw, episode]`, by cause and discount."""
    by_draw = [
        _terms_with(subject, rollouts, *values)
        for values in zip(draws.step_values, draws.last_values, strict=True)
    ]
    predicted = draws.returns.full, draws.returns.predicted
    samples = {"horizon": np.asarray(draws.returns.full_training - draws.returns.predicted)}
    for i, discount in enumerate(subject.discounts):
        at = "" if i == 0 else ", training"
        for cause in ("termination", "dynamics"):
            samples[cause + at] = np.stack(
                [getattr(terms[i], cause).sum(axis=1) for terms in by_draw]
            )
        samples["total" + at] = np.asarray(subject.episodes.returns(discount) - predicted[i])
    return samples


def _variances(samples: np.ndarray) -> tuple[float, float]:
    """The noise of imagination in an episode's mean over draws, and that mean's variance over
    episodes.
    """
    count, episodes = samples.shape
    if min(count, episodes) < 2:
        return np.nan, np.nan
    rounding = (_ROUNDING * np.abs(samples).max()) ** 2
    noise = float(np.mean(samples.var(axis=0, ddof=1))) / count
    return noise if noise > rounding else 0.0, float(samples.mean(axis=0).var(ddof=1))


def imagined_part(samples: np.ndarray) -> float:
    """The part of the variance over episodes that is noise; NaN where one draw or one episode tells
    nothing of it.
    """
    noise, variance = _variances(samples)
    if variance == 0:
        return 1.0 if noise > 0 else 0.0
    return float(np.minimum(1.0, noise / variance))


def _draws_needed(samples: np.ndarray) -> float:
    """How many draws make the noise small beside the spread of the real episodes, by the terms of
    the draws so far, `[draw, episode]`; 1 where one draw or one episode tells nothing of it.
    """
    noise, variance = _variances(samples)
    if not noise > 0:
        return 1.0
    return len(samples) * noise / (_SMALL * (variance - noise)) if variance > noise else np.inf
