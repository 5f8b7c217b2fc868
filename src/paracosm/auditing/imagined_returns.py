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

from paracosm.auditing.values import values_at
from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP
from paracosm.core.members import member_world
from paracosm.core.policy import MarkovPolicy, Mode, Policy
from paracosm.core.predicted import PredictedReturn
from paracosm.core.records import Overlay
from paracosm.core.rollout import returns, unroll
from paracosm.core.types import Array, PRNGKey

SAMPLES = 16  # rollouts a start: the noise of their mean is a quarter of one rollout's


class ImaginedReturns(NamedTuple):
    """Imagined episodes of the mode from the real starts, and returns `[episode]` beside them.

    At the reporting discount: `full` is the return of `episodes`, `mode` and `sampled` those of the
    policy's mode and of its samples, if any were drawn. At the training discount: `full_training`
    is the return of `episodes`, `predicted` what training took for it, `pessimistic` that of whole
    episodes in the world that training took place in. `undiscounted` is the return of `episodes` at
    1. `edge_share` is the share of steps of `episodes` at the edge of the world's domain, if it has
    one.
    """

    episodes: Trajectory
    full: Array
    mode: Array
    sampled: Array | None
    full_training: Array
    predicted: Array
    pessimistic: Array
    undiscounted: Array
    edge_share: Array | None


class ReturnDraws(NamedTuple):
    """The imagined returns that the gap is made of, of several draws of the noise: `[draw,
    episode]`.
    """

    full: Array
    full_training: Array
    predicted: Array
    pessimistic: Array
    undiscounted: Array


class EpisodeStarts(NamedTuple):
    """Imagined episodes to be: first states `[episode, state]`, lengths and keys `[episode]`."""

    start: Float[Array, "episode state"]
    steps: Int[Array, " episode"]
    keys: Key[jax.Array, " episode"]


def imagined_returns(
    world: MDP,
    policy: MarkovPolicy,
    predicted: PredictedReturn | None,
    episodes: Trajectory,
    *,
    discount: float,
    key: PRNGKey,
    mode: bool = True,
    samples: int = SAMPLES,
) -> ImaginedReturns:
    """Imagine from the start of each real episode, for as many steps as its record could have.

    Args:
        world: The learned world; its discount is that of training.
        policy: The audited policy.
        predicted: What training predicted of it, if that is known.
        episodes: Real episodes, NumPy arrays `[episode, time, …]`.
        discount: The reporting discount, in [0, 1].
        key: Of the noise.
        mode: Whether the policy's mode plays, else its samples.
        samples: Rollouts of the policy's samples from each start; none gives no `sampled`.

    Raises:
        BadData: if the world leaves the finite numbers.
    """
    horizon, start = episodes.alive.shape[1], episodes.state[:, 0]
    imaginer = _Imaginer(world, policy, predicted, horizon, discount, mode)
    of_samples = jax.random.split(jax.random.fold_in(key, 1), max(samples, 1) * len(start))
    columns = imaginer.first(start, episodes.steps, key, of_samples[:: max(samples, 1)])
    imagined = ImaginedReturns(*jax.tree.map(np.asarray, columns))
    if samples:
        starts, steps = np.repeat(start, samples, axis=0), np.repeat(episodes.steps, samples)
        drawn = values_at(world, policy, starts, steps, of_samples, discounts=(discount,))
        imagined = imagined._replace(sampled=drawn.reshape(len(start), samples).mean(axis=1))
    _check_steps(imagined.episodes)
    _check_finite("full", imagined.full)
    if imagined.sampled is not None:
        _check_finite("sampled", imagined.sampled)
    _check_finite("full, training", imagined.full_training)
    _check_finite("believed", imagined.predicted)
    return imagined


def redrawn_returns(
    world: MDP,
    policy: MarkovPolicy,
    predicted: PredictedReturn | None,
    episodes: Trajectory,
    *,
    discount: float,
    keys: Sequence[PRNGKey],
    mode: bool = True,
) -> ReturnDraws:
    """Imagine the same starts again, once with each of `keys`.

    Args:
        world, policy, predicted, episodes, discount, mode: As for `imagined_returns`.
        keys: Of the noise, one a draw.
    """
    imaginer = _Imaginer(world, policy, predicted, episodes.alive.shape[1], discount, mode)
    draws = [imaginer.again(episodes.state[:, 0], episodes.steps, key) for key in keys]
    return ReturnDraws(
        *(
            np.stack([np.asarray(draw[i]) for draw in draws])
            for i in range(len(ReturnDraws._fields))
        )
    )


class MemberReturns(NamedTuple):
    """Imagined returns of the mode from the real starts: `[member, episode]` in each member's own
    world, and `[episode]` in the audited one.
    """

    members: Array
    audited: Array


def member_returns(
    world: MDP,
    policy: MarkovPolicy,
    episodes: Trajectory,
    *,
    count: int,
    discount: float,
    key: PRNGKey,
) -> MemberReturns:
    """Imagine from the start of each real episode in the deterministic world of each member.

    Args:
        world, policy, episodes, discount, key: As for `imagined_returns`.
        count: Of members.

    Raises:
        BadData: if a member's world leaves the finite numbers.
    """
    keys = jax.random.split(key, len(episodes.alive))
    rows = EpisodeStarts(episodes.state[:, 0], episodes.steps, keys)
    horizon = episodes.alive.shape[1]
    columns = _member_returns(world, policy, rows, horizon=horizon, discount=discount, count=count)
    imagined = MemberReturns(*map(np.asarray, columns))
    for number, column in enumerate(imagined.members):
        _check_finite(f"member {number}", column)
    _check_finite("full", imagined.audited)
    return imagined


@eqx.filter_jit
def _member_returns(
    world: MDP,
    policy: MarkovPolicy,
    rows: EpisodeStarts,
    *,
    horizon: int,
    discount: float,
    count: int,
) -> MemberReturns:
    """`member_returns` in one compiled program.

    Args:
        world, policy, discount, count: As there.
        rows: Where episodes start.
        horizon: Steps of the longest episode.
    """

    def imagined(world: MDP) -> Array:
        return returns(play_in(world, Mode(policy), rows, horizon).reward, discount)

    by_member = jax.lax.map(lambda i: imagined(member_world(world, i)), jnp.arange(count))
    return MemberReturns(by_member, imagined(world))


def _check_steps(imagined: Trajectory) -> None:
    columns = {
        "the policy's action": imagined.action,
        "the world's next state": imagined.next_state,
        "the world's reward": imagined.reward,
    }
    checks.finite_steps(
        "the imagined episode from the start of real episode", columns, imagined.alive
    )


def _check_finite(name: str, imagined: Array) -> None:
    bad = np.flatnonzero(~np.isfinite(np.asarray(imagined)))
    if len(bad):
        raise checks.BadData(
            f"the imagined return ({name}) from the start of real episode {bad[0]} is"
            f" {imagined[bad[0]]}; the learned world must give finite states and rewards."
        )


class _Imaginer(eqx.Module):
    """Imagines episodes from real starts, and takes their returns.

    Attributes:
        world, policy, predicted, discount, mode: As for `imagined_returns`.
        horizon: Steps of the longest episode.
    """

    world: MDP
    policy: MarkovPolicy
    predicted: PredictedReturn | None
    horizon: int = eqx.field(static=True)
    discount: float
    mode: bool = eqx.field(static=True)

    @eqx.filter_jit
    def first(
        self,
        start: Float[Array, "episode state"],
        steps: Int[Array, " episode"],
        key: PRNGKey,
        of_samples: Key[jax.Array, " episode"],
    ) -> ImaginedReturns:
        """All but the returns of samples in one compiled program.

        Args:
            start, steps: Where each episode starts, and how long it is.
            key: Of the mode's noise, and of what training believed.
            of_samples: Of the noise of episodes of the policy's samples.
        """
        rows = EpisodeStarts(start, steps, jax.random.split(key, len(start)))
        episodes = of_mode = self._play(Mode(self.policy), rows)
        if not self.mode:
            episodes = self._play(self.policy, rows._replace(keys=of_samples))
        domain, share = self.world.domain, None
        if domain is not None:
            share = jnp.mean(domain.at_edge(episodes.next_state), where=episodes.alive)
        main = self._returns(episodes, rows, key)
        return ImaginedReturns(
            episodes,
            main.full,
            returns(of_mode.reward, self.discount),
            None,
            main.full_training,
            main.predicted,
            main.pessimistic,
            main.undiscounted,
            share,
        )

    @eqx.filter_jit
    def again(
        self, start: Float[Array, "episode state"], steps: Int[Array, " episode"], key: PRNGKey
    ) -> ReturnDraws:
        """One more draw of the returns, `[episode]` each."""
        rows = EpisodeStarts(start, steps, jax.random.split(key, len(start)))
        episodes = self._play(Mode(self.policy) if self.mode else self.policy, rows)
        return self._returns(episodes, rows, key)

    def _returns(self, episodes: Trajectory, rows: EpisodeStarts, key: PRNGKey) -> ReturnDraws:
        """The returns of imagined `episodes`, and what training believed of their starts `rows`, by
        the same noise.
        """
        full = returns(episodes.reward, self.discount)
        predicted = pessimistic = training = returns(episodes.reward, self.world.discount)
        if self.predicted is not None:
            trained = self.predicted.policy.greedy() if self.mode else self.predicted.policy
            predicted = self.predicted.function(trained, rows.start, key)
            long = play_in(self.predicted.trained_in, trained, rows, self.horizon)
            pessimistic = returns(long.reward, self.world.discount)
        return ReturnDraws(full, training, predicted, pessimistic, episodes.reward.sum(axis=1))

    def _play(self, policy: Policy, rows: EpisodeStarts) -> Trajectory:
        return play_in(self.world, policy, rows, self.horizon)


def play_in(world: MDP, policy: Policy, rows: EpisodeStarts, horizon: int) -> Trajectory:
    """Episodes of `policy` in `world`, each cut after its number of steps.

    Args:
        world, policy: What is imagined.
        rows: Where each starts, how long it is, and its noise.
        horizon: Steps of the longest.
    """
    episodes = unroll(world, policy, rows.start, rows.keys, horizon)
    within = jnp.arange(horizon) < rows.steps[:, None]
    cut = jnp.where(within, episodes.reward, 0), within & episodes.alive
    return eqx.tree_at(lambda columns: (columns.reward, columns.alive), episodes, cut)


def informative_horizon(world: MDP, episodes: Trajectory, imagined: Trajectory) -> int:
    """The largest h such that at every k ≤ h the imagined state k steps on is nearer than the mean
    real state.
    """
    alive, scale = episodes.alive & imagined.alive, np.asarray(world.spec.state_scale)
    mean = episodes.next_state[episodes.alive].mean(axis=0)

    def by_step(difference: Array) -> np.ndarray:
        return np.where(alive, np.sum((difference / scale) ** 2, axis=-1), 0).sum(axis=0)

    error = by_step(imagined.next_state - episodes.next_state)
    baseline = by_step(mean - episodes.next_state)
    beaten = ~alive.any(axis=0) | (error >= baseline)
    return int(np.argmax(beaten)) if beaten.any() else alive.shape[1]


def overlay(episodes: Trajectory, imagined: Trajectory, index: int) -> Overlay:
    """One real episode and the imagined one from the same start."""

    def path(played: Trajectory) -> tuple[tuple[float, ...], ...]:
        alive = played.alive[index]
        states = np.concatenate([played.state[index, :1], played.next_state[index][alive]])
        return tuple(tuple(state) for state in states.astype(np.float32).tolist())

    return Overlay(path(episodes), path(imagined))
