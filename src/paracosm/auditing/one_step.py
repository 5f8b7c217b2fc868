"""One-step predictions: the learned parts at every real step, and how far off they are there."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP, Box, Discrete
from paracosm.core.policy import MarkovPolicy
from paracosm.core.records import Baselines
from paracosm.core.types import Array, PRNGKey

_SAME_ACTION = 1e-3  # of the box: more than 32 bits can be off
OTHER_ACTIONS = 0.05  # share of steps: beyond, the episodes are another policy's
# Share of steps at which a policy may act otherwise in 64 bits; one that jumps does so here and
# there by rounding, one that draws other numbers nearly everywhere
_OTHERWISE_IN_64 = 0.2


class OtherActions(checks.BadData):
    """Recorded actions are not those of the policy.

    Attributes:
        count: How many of `steps` they are.
        steps: How many were looked at.
    """

    def __init__(self, message: str, count: int, steps: int) -> None:
        super().__init__(message)
        self.count, self.steps = count, steps


class StepOutcome(NamedTuple):
    """Reward r̂ and end flag d̂ that the learned parts predict of steps to a next state."""

    reward: Array
    ended: Array

    def step_value(self, discount: float | np.ndarray, value: np.ndarray) -> np.ndarray:
        """`r̂ + γ (1 - d̂) V̂`, with `value` V̂ at the next state."""
        return np.asarray(self.reward) + discount * np.where(self.ended, 0.0, value)


def step_outcome(world: MDP, state: Array, action: Array, next_state: Array) -> StepOutcome:
    """What the learned parts predict of one step.

    Args:
        world: Whose parts they are.
        state, action, next_state: `[state]`, `[action]` or a number, `[state]`.
    """
    reward = world.reward(state, action, next_state)
    return StepOutcome(reward, world.termination(state, action, next_state))


class OneStep(NamedTuple):
    """Predictions at every real step: ŝ' `[episode, time, state]`, and the outcomes of the step to
    s' and of that to ŝ'.

    `action` is the policy's mode; `other_action` says where the recorded action is another beyond
    rounding, `noisy` where another draw of the dynamics is another state.
    """

    imagined_state: Array
    at_real: StepOutcome
    at_imagined: StepOutcome
    action: Array
    other_action: Array
    noisy: Array


def predict_steps(
    world: MDP,
    policy: MarkovPolicy,
    episodes: Trajectory,
    key: PRNGKey,
    *,
    mode: bool = True,
    as_played: MarkovPolicy | None = None,
) -> OneStep:
    """Predict every step of real `episodes` by the learned `world`; the predictions are NumPy.

    Args:
        world, policy: In the precision of the analysis.
        episodes: Real episodes, NumPy arrays `[episode, time, …]`.
        key: Of the noise.
        mode: Whether the episodes must be of the policy's mode.
        as_played: The policy in the precision in which it played; where it repeats the recorded
            action in 32 bits, a policy that jumps fell to the other side by rounding.

    Raises:
        BadData: the world or the policy gives numbers that are not finite; the recorded actions are
            not those of the policy's mode, or the policy acts otherwise in 64 bits.
    """
    predictions = jax.tree.map(np.asarray, _predict(world, policy, episodes, key))
    _check_finite(predictions, episodes)
    alive = np.asarray(episodes.alive)
    differs = predictions.other_action & alive & mode
    if differs.any() and as_played is not None:
        by_rounding = differs.copy()
        differs[differs] = _not_as_played(world, as_played, episodes, differs)
        by_rounding &= ~differs
        recorded = np.asarray(episodes.action)
        require_same_in_64(by_rounding[alive], recorded[alive], predictions.action[alive])
    predictions = predictions._replace(other_action=differs)
    if mode and differs.sum() > OTHER_ACTIONS * alive.sum():
        raise OtherActions(
            f"{int(differs.sum())} of the {int(alive.sum())} recorded actions are not those of the"
            " policy to be audited, its mode: attribution needs on-policy episodes, or a stochastic"
            " policy of known density to reweight others by (recorded_by=); still valid are the"
            f" one-step errors: {_in_words(baselines(world, episodes, predictions))}.",
            int(differs.sum()),
            int(alive.sum()),
        )
    return predictions


def _check_finite(predictions: OneStep, episodes: Trajectory) -> None:
    columns = {
        "the world's next state": predictions.imagined_state,
        "the world's reward": predictions.at_real.reward,
        "the world's reward to its own next state": predictions.at_imagined.reward,
        "the policy's action": predictions.action,
    }
    checks.finite_steps("real episode", columns, np.asarray(episodes.alive))


@eqx.filter_jit
def _predict(world: MDP, policy: MarkovPolicy, episodes: Trajectory, key: PRNGKey) -> OneStep:
    """The predictions in one compiled program.

    Args:
        world, policy, episodes, key: As for `predict_steps`.
    """

    def at(state: Array, action: Array, next_state: Array, key: PRNGKey) -> OneStep:
        """The predictions of one step.

        Args:
            state, action, next_state: As recorded, `[state]`, `[action]` or a number, `[state]`.
            key: Of its noise.
        """
        # The noise that a rollout has at that time, so that both draw the same.
        imagined = world.dynamics(state, action, jax.random.split(key)[1])
        chosen = policy.mode(state)
        again = move(state, action, jax.random.fold_in(key, 2))
        return OneStep(
            imagined_state=imagined,
            at_real=step_outcome(world, state, action, next_state),
            at_imagined=step_outcome(world, state, action, imagined),
            action=chosen,
            other_action=differ(world.spec.action, action, chosen),
            noisy=jnp.any(again != imagined[: len(again)]),
        )

    # Of pairs the states alone: whatever else a pair holds follows from them.
    move = getattr(world.dynamics, "next_state_alone", world.dynamics)
    count, times = episodes.alive.shape
    keys = jax.vmap(lambda key: jax.random.split(key, times))(jax.random.split(key, count))
    columns = episodes.state, episodes.action, episodes.next_state
    state, action, after = (column.reshape(-1, *column.shape[2:]) for column in columns)
    by_row = jax.vmap(at)(state, action, after, keys.reshape(-1))
    return jax.tree.map(lambda leaf: leaf.reshape(count, times, *leaf.shape[1:]), by_row)


def differ(space: Box | Discrete, recorded: Array, chosen: Array) -> Array:
    """Whether two actions differ by more than 32 bits can be off."""
    if isinstance(space, Discrete):
        return jnp.asarray(recorded != chosen)
    # Not `> … any`: an action that is not a number is not the same.
    same = jnp.abs(recorded - chosen) <= _SAME_ACTION * (space.high - space.low)
    return ~jnp.all(same)


def require_same_in_64(
    differs: np.ndarray, played: np.ndarray, chosen: np.ndarray, *, does: str = "acts otherwise"
) -> None:
    """Require a policy to act in 64 bits, in which it is imagined, as it does in 32.

    Args:
        differs: Where it does not, beyond rounding, `[step]`.
        played, chosen: Actions, or what it carries on, in 32 and in 64 bits, `[step, …]`.
        does: What it does where it differs.

    Raises:
        BadData: it differs at more steps than rounding explains.
    """
    if differs.mean() <= _OTHERWISE_IN_64:
        return
    apart = np.abs(np.asarray(chosen, np.float64) - played)[differs].max()
    by = f", by {apart:.2g} at most" if np.issubdtype(chosen.dtype, np.floating) else ""
    raise checks.BadData(
        f"in 64 bits, in which an audit imagines, the policy {does} (in"
        f" {int(differs.sum())} of {len(differs)} steps{by}), as one does that draws without a"
        " dtype: give the functions of jax.random a dtype, jnp.float32."
    )


def _not_as_played(
    world: MDP, policy: MarkovPolicy, episodes: Trajectory, where: np.ndarray
) -> np.ndarray:
    """Whether the policy in 32 bits, too, acts otherwise than recorded, `[rows]`.

    Args:
        world: Whose actions they are.
        policy: In the precision in which it played.
        episodes: Real episodes, `[episode, time, …]`.
        where: The steps that are looked at, `[episode, time]`.
    """
    with jax.enable_x64(False):
        states = jnp.asarray(np.asarray(episodes.state)[where], jnp.float32)
        chosen = np.asarray(jax.vmap(policy.mode)(states))
    recorded = np.asarray(episodes.action)[where]
    return np.array(
        [bool(differ(world.spec.action, *pair)) for pair in zip(recorded, chosen, strict=True)]
    )


def _in_words(errors: Baselines) -> str:
    return (
        f"dynamics {errors.dynamics:.3g} scaled states (the mean next state"
        f" {errors.mean_next_state:.3g}),"
        f" reward {errors.reward:.3g} (the mean reward {errors.mean_reward:.3g})"
    )


def baselines(world: MDP, episodes: Trajectory, predictions: OneStep) -> Baselines:
    """One-step errors of the learned parts on the real steps beside those of the simplest
    predictors.
    """
    alive, scale = np.asarray(episodes.alive), np.asarray(world.spec.state_scale)
    before, state, after, reward, expected = (
        np.asarray(column)[alive]
        for column in (
            episodes.state,
            predictions.imagined_state,
            episodes.next_state,
            episodes.reward,
            predictions.at_real.reward,
        )
    )

    def root_mean_square(errors: np.ndarray) -> float:
        return float(np.sqrt(np.sum(errors**2) / len(errors)))

    return Baselines(
        dynamics=root_mean_square((state - after) / scale),
        mean_next_state=root_mean_square((after - after.mean(axis=0)) / scale),
        persistence=root_mean_square((after - before) / scale),
        reward=root_mean_square(expected - reward),
        zero_reward=root_mean_square(reward),
        mean_reward=root_mean_square(reward - reward.mean()),
    )
