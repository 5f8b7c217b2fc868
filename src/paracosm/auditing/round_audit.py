"""The audit of each round of a run, at no extra real step: its world and policy, tested on what
that policy collected for the next round.

A round's policy collects the next round's transitions, which neither its world nor itself was
trained on: they are a test of both that takes no further real step. With the value V̂ of a first
step taken through its recorded action, the identity of `attribution` at γ = 1 is

    Σ_t r_t - V̂(s_0) = Σ_t {reward_t + termination_t + dynamics_t}

in each whole episode. The reward's term needs no rollout, that of the end rule needs one only where
learned and real ends differ, and the dynamics' term is what is left. So a round costs a few
imagined episodes where the full attribution costs the square of the horizon.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.auditing.one_step import StepOutcome, step_outcome
from paracosm.auditing.plausibility import whole_are_short
from paracosm.auditing.values import values_at
from paracosm.core import callbacks, checks
from paracosm.core.data import Dataset
from paracosm.core.learned import Learned
from paracosm.core.mdp import MDP, not_drawn
from paracosm.core.members import predictive_moments
from paracosm.core.policy import Policy
from paracosm.core.precision import in_double
from paracosm.core.records.rounds import RoundAudit
from paracosm.core.types import Array, PRNGKey

# Rollouts side by side. Their number is the same in each round, so that one program serves all; the
# starts of few episodes are rolled out so many times as fit in.
_ROWS = 32
# Steps are padded to multiples of it, for the same reason.
_STEPS = 1024
# Squared standard deviations: how far beyond ten of them an error lies is not the spread's matter.
_MOST_SQUARED = 100.0


def audit_round(
    learned: Learned,
    policy: Policy,
    bought: Dataset,
    key: PRNGKey,
    *,
    round: int,
    transitions: int,
    edge_share: float,
) -> RoundAudit | None:
    """How far the world's return of a policy is from the real one on a purchase that the policy
    collected, and why; None if `fair_episodes` finds no episode to test them on.

    Args:
        learned: The round's world, deterministic, and how it was learned.
        policy: What collected `bought` with its samples; it looks at the state alone.
        bought: The next round's purchase.
        key: Of the imagined rollouts.
        round, transitions, edge_share: As `RoundAudit` has them.

    Raises:
        BadData: the world gives numbers that are not finite.
    """
    horizon = learned.world.spec.horizon
    episodes = fair_episodes(bought, horizon)
    if not episodes:
        return None
    # Initial states are of another number in each round, and nothing here starts in them.
    world = learned.world.replace(initial=not_drawn)
    with jax.enable_x64(True), callbacks.as_raised():
        world, policy = in_double((world, policy))
        steps = _predicted(world, bought, key)
        values, ends = _values((world, policy), bought, steps, episodes, key)
    checks.finite("the imagined returns along the run", values, "episode")
    checks.finite("the termination terms along the run", ends, "wrong end")
    real, believed = (
        np.array([column[rows].sum() for rows in episodes])
        for column in (_rewards(learned, bought, steps), np.asarray(steps.at_real.reward))
    )
    predicted, termination = float(values.mean()), float(np.sum(ends) / len(episodes))
    labelled = bool(np.isfinite(real).all())
    return RoundAudit(
        round=round,
        transitions=transitions,
        episodes=len(episodes),
        steps=len(bought.transitions),
        real_return=float(real.mean()) if labelled else None,
        predicted_return=predicted,
        gap=float(real.mean()) - predicted if labelled else None,
        reward=float(np.mean(real - believed)) if labelled else None,
        termination=termination,
        dynamics=float(believed.mean()) - predicted - termination,
        spread=_spread(real, values),
        calibration=_calibration(np.asarray(steps.squared)[bought.has_transition]),
        edge_share=edge_share,
    )


def whole_episodes(bought: Dataset, horizon: int) -> list[np.ndarray]:
    """The rows of each episode of which all steps were bought, from its start to its end or the
    horizon.
    """
    first = bought.episode_starts
    episodes = np.split(np.arange(bought.real_steps), first[1:])
    return [
        rows
        for rows in episodes
        if bought.time[rows[0]] == 0
        and bought.has_transition[rows].all()
        and (bought.terminated[rows[-1]] or len(rows) == horizon)
    ]


def fair_episodes(bought: Dataset, horizon: int) -> list[np.ndarray]:
    """The rows of each whole episode; none where episodes may terminate and these are the short
    ones.
    """
    episodes = whole_episodes(bought, horizon)
    starts = bought.episode_starts
    lengths = np.diff(starts, append=bought.real_steps)
    whole = np.isin(starts, [rows[0] for rows in episodes])
    last = np.append(starts[1:], bought.real_steps) - 1
    known_last = (bought.has_transition | bought.truncated)[last].all()
    may_end = bought.terminated.any() or not known_last
    return [] if may_end and whole_are_short(lengths[whole], lengths[~whole]) else episodes


def _rewards(learned: Learned, bought: Dataset, steps: _Steps) -> np.ndarray:
    """The real reward of each step, `[rows]`."""
    reward_known = "reward" not in learned.fits or learned.fits["reward"].origin == "known"
    return rewards_of_steps(bought, steps.at_real.reward if reward_known else None)


def rewards_of_steps(bought: Dataset, known: Array | None) -> Float[np.ndarray, " rows"]:
    """The real reward of each step: its label, else what a known reward says, else NaN.

    Args:
        bought: The steps.
        known: The known reward of every step, `[rows]`; None where it is learned.
    """
    return np.where(bought.has_label, bought.reward, np.nan if known is None else known)


class _Steps(NamedTuple):
    """What the world predicts of every bought step, `[rows]`: the next state, the outcomes of the
    step to the real and to the imagined one, and the squared error of each component in predicted
    variances, NaN without such.
    """

    imagined_state: Array
    at_real: StepOutcome
    at_imagined: StepOutcome
    squared: Array


def _predicted(world: MDP, bought: Dataset, key: PRNGKey) -> _Steps:
    """The predictions of every step, by a program of a fixed number of rows."""
    rows = bought.real_steps
    padded = np.resize(np.arange(rows), -(-rows // _STEPS) * _STEPS)
    state, action, next_state = (
        column[padded] for column in in_double((bought.state, bought.action, bought.next_state))
    )
    steps = _predict(world, state, action, next_state, key)
    return jax.tree.map(lambda column: np.asarray(column)[:rows], steps)


@eqx.filter_jit
def _predict(world: MDP, state: Array, action: Array, next_state: Array, key: PRNGKey) -> _Steps:
    """The predictions in one compiled program.

    Args:
        world: In the precision of the analysis.
        state, action, next_state: As recorded, `[rows, …]`.
        key: Of the noise that the world may have.
    """

    def at(state: Array, action: Array, next_state: Array) -> _Steps:
        imagined = world.dynamics(state, action, key)
        mean, variance = predictive_moments(world.dynamics, state, action)
        rounding = jnp.finfo(jnp.float32).eps * next_state  # no spread can announce less
        squared = jnp.square(next_state - mean) / (variance + jnp.square(rounding))
        return _Steps(
            imagined_state=imagined,
            at_real=step_outcome(world, state, action, next_state),
            at_imagined=step_outcome(world, state, action, imagined),
            squared=squared,
        )

    return jax.vmap(at)(state, action, next_state)


def _values(
    played: tuple[MDP, Policy],
    bought: Dataset,
    steps: _Steps,
    episodes: list[np.ndarray],
    key: PRNGKey,
) -> tuple[Float[np.ndarray, "episode draw"], Float[np.ndarray, " end"]]:
    """The imagined return of each episode from its recorded first step, and the termination term of
    every step whose end the world gets wrong.

    Args:
        played: World and policy, in the precision of the analysis.
        bought, steps: What was bought, and predicted of it.
        episodes: Rows of the whole episodes.
        key: Of the noise.
    """
    starts = np.array([rows[0] for rows in episodes])
    inside = np.concatenate(episodes)
    wrong = inside[steps.at_real.ended[inside] != bought.terminated[inside]]
    draws = max(1, _ROWS // len(episodes))
    rows = np.concatenate([np.repeat(starts, draws), wrong])
    states = np.concatenate(
        [np.repeat(steps.imagined_state[starts], draws, axis=0), bought.next_state[wrong]]
    )
    remaining = played[0].spec.horizon - 1 - bought.time[rows]
    padding = -len(rows) % _ROWS
    values = values_at(
        *played,
        np.pad(states, ((0, padding), (0, 0))),
        np.pad(remaining, (0, padding)),
        jax.random.fold_in(key, 1),
        discounts=(1.0,),
        block=_ROWS,
    )[0]
    drawn = values[: len(starts) * draws].reshape(len(starts), draws)
    first = StepOutcome(*(column[starts, None] for column in steps.at_imagined))
    differ = steps.at_real.ended[wrong] * 1.0 - bought.terminated[wrong]
    at_wrong = values[len(starts) * draws : len(rows)]
    return first.step_value(1.0, drawn), differ * at_wrong


def _spread(real: np.ndarray, predicted: Float[np.ndarray, "episode draw"]) -> float | None:
    """The standard deviation of an episode's return: of the draws from one start or of the real
    episodes, whichever is larger; None where neither is known.
    """
    spreads = []
    if predicted.shape[1] > 1:
        spreads.append(np.sqrt(predicted.var(axis=1, ddof=1).mean()))
    if len(real) > 1 and np.isfinite(real).all():
        spreads.append(real.std(ddof=1))
    return float(max(spreads)) if spreads else None


def _calibration(squared: Float[np.ndarray, "rows state"]) -> float | None:
    """The median over components of the mean over steps, None without predicted variance; a
    component that never changes has none.
    """
    varying = squared[:, np.isfinite(squared).all(axis=0)]
    if not varying.size:
        return None
    return float(np.median(np.minimum(varying, _MOST_SQUARED).mean(axis=0)))
