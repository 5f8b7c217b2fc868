"""Imagined episodes from the starts of real ones, their returns, and what training predicted of
them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Key

from paracosm.auditing.subject import AuditSubject
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


class ReturnDraws(NamedTuple):
    """The imagined returns that the gap is made of, `[episode]`, or `[draw, episode]` of several
    draws of the noise.

    Attributes:
        full: At the reporting discount.
        full_training: At the training discount, as are the next two.
        predicted: What training predicted; `full_training` if nothing was predicted.
        in_training_world: Of whole episodes in the world that caution made of the learned one for
            training; `full_training` if nothing was predicted.
        undiscounted: At 1.
    """

    full: Array
    full_training: Array
    predicted: Array
    in_training_world: Array
    undiscounted: Array


class ImaginedReturns(NamedTuple):
    """Imagined episodes from the real starts, and returns `[episode]` from there.

    Attributes:
        episodes: Of the policy as it plays: its mode or its samples.
        full, full_training, predicted, in_training_world, undiscounted: As in `ReturnDraws`.
        mode: Of the policy's mode, at the reporting discount.
        sampled: Of the policy's samples, at the reporting discount; None if none were drawn.
        edge_share: The share of steps of `episodes` at the edge of the world's domain, if it has
            one.
    """

    episodes: Trajectory
    full: Array
    full_training: Array
    predicted: Array
    in_training_world: Array
    undiscounted: Array
    mode: Array
    sampled: Array | None
    edge_share: Array | None

    def draws(self) -> ReturnDraws:
        """The returns that the gap is made of, as one draw, `[1, episode]`."""
        return ReturnDraws(*(np.asarray(getattr(self, name))[None] for name in ReturnDraws._fields))


class EpisodeStarts(NamedTuple):
    """Where imagined episodes start `[episode, state]`, how long they are and their keys
    `[episode]`.
    """

    start: Float[Array, "episode state"]
    steps: Int[Array, " episode"]
    keys: Key[jax.Array, " episode"]


def imagined_returns(subject: AuditSubject, *, samples: int = SAMPLES) -> ImaginedReturns:
    """Imagine from the start of each real episode, for as many steps as its record could have.

    Args:
        subject: What is audited.
        samples: Rollouts of the policy's samples from each start; none gives no `sampled`.

    Raises:
        BadData: if the world leaves the finite numbers.
    """
    start, steps = subject.episodes.state[:, 0], subject.episodes.horizons
    sample_keys = jax.random.split(jax.random.fold_in(subject.key, 1), max(samples, 1) * len(start))
    imaginer = _imaginer_of(subject)
    # The episode that is kept of a start is the first of its samples.
    first = imaginer.first_draw(start, steps, subject.key, sample_keys[:: max(samples, 1)])
    imagined = jax.tree.map(np.asarray, first)
    if samples:
        drawn = values_at(
            subject.world,
            subject.policy,
            np.repeat(start, samples, axis=0),
            np.repeat(steps, samples),
            sample_keys,
            discounts=subject.discounts[:1],
        )
        imagined = imagined._replace(sampled=drawn.reshape(len(start), samples).mean(axis=1))
    _check_steps(imagined.episodes)
    _check_returns({"mode": imagined.mode, "sampled": imagined.sampled})
    _check_returns(imagined.draws()._asdict())
    return imagined


def redrawn_returns(subject: AuditSubject, keys: Sequence[PRNGKey]) -> ReturnDraws:
    """Imagine from the start of each real episode again, `[draw, episode]`.

    Args:
        subject: What is audited.
        keys: Of the noise, one a draw.

    Raises:
        BadData: if the world leaves the finite numbers.
    """
    imaginer, episodes = _imaginer_of(subject), subject.episodes
    draws = [imaginer.another_draw(episodes.state[:, 0], episodes.horizons, key) for key in keys]
    columns = ReturnDraws(*(np.stack(column) for column in zip(*draws, strict=True)))
    _check_returns(columns._asdict())
    return columns


def _imaginer_of(subject: AuditSubject) -> _Imaginer:
    return _Imaginer(
        world=subject.world,
        policy=subject.policy,
        training_prediction=subject.training_prediction,
        horizon=subject.episodes.alive.shape[1],
        discount=subject.discounts[0],
        plays_mode=subject.plays_mode,
    )


class MemberReturns(NamedTuple):
    """Imagined returns of the mode from the real starts: `[member, episode]` in each member's own
    world, and `[episode]` in the audited one.
    """

    members: Array
    by_world: Array


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
        world: The learned world, an ensemble.
        policy: Whose mode plays.
        episodes: Real ones, NumPy arrays `[episode, time, …]`.
        count: Of members.
        discount: Of the returns, in [0, 1].
        key: Of the noise.

    Raises:
        BadData: if a member's world leaves the finite numbers.
    """
    keys = jax.random.split(key, len(episodes.alive))
    starts = EpisodeStarts(episodes.state[:, 0], episodes.horizons, keys)
    horizon = episodes.alive.shape[1]
    columns = _member_returns(
        world, policy, starts, horizon=horizon, discount=discount, count=count
    )
    imagined = MemberReturns(*map(np.asarray, columns))
    _check_returns({f"member {i}": column for i, column in enumerate(imagined.members)})
    _check_returns({"full": imagined.by_world})
    return imagined


@eqx.filter_jit
def _member_returns(
    world: MDP,
    policy: MarkovPolicy,
    starts: EpisodeStarts,
    *,
    horizon: int,
    discount: float,
    count: int,
) -> MemberReturns:
    """`member_returns` in one compiled program.

    Args:
        world, policy, discount, count: As there.
        starts: Where episodes start.
        horizon: Steps of the longest episode.
    """

    def imagined(world: MDP) -> Array:
        return returns(play_in(world, Mode(policy), starts, horizon).reward, discount)

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


# What messages call the returns
_NAMES = {
    "full_training": "full, training",
    "predicted": "predicted by training",
    "in_training_world": "in the world of training",
}


def _check_returns(columns: Mapping[str, Array | None]) -> None:
    """Require imagined returns `[…, episode]` to be finite.

    Raises:
        BadData: one is not; the sentence names the return, the episode and the world.
    """
    for name, column in columns.items():
        bad = np.argwhere(~np.isfinite(np.asarray(0.0 if column is None else column)))
        if len(bad):
            raise checks.BadData(
                f"the imagined return ({_NAMES.get(name, name)}) from the start of real episode"
                f" {bad[0][-1]} is {np.asarray(column)[tuple(bad[0])]}; the learned world must give"
                " finite states and rewards."
            )


class _Imaginer(eqx.Module):
    """Imagines episodes from real starts, and takes their returns.

    Attributes:
        world, policy, training_prediction, plays_mode: As in `AuditSubject`.
        horizon: Steps of the longest episode.
        discount: The reporting discount.
    """

    world: MDP
    policy: MarkovPolicy
    training_prediction: PredictedReturn | None
    horizon: int = eqx.field(static=True)
    discount: float
    plays_mode: bool = eqx.field(static=True)

    @eqx.filter_jit
    def first_draw(
        self,
        start: Float[Array, "episode state"],
        steps: Int[Array, " episode"],
        key: PRNGKey,
        sample_keys: Key[jax.Array, " episode"],
    ) -> ImaginedReturns:
        """The imagined episodes and the first draw of their returns in one compiled program; the
        returns of samples are still missing.

        Args:
            start, steps: Where each episode starts, and how long it is.
            key: Of the mode's noise, and of what training predicted.
            sample_keys: Of the noise of episodes of the policy's samples, one a start.
        """
        starts = EpisodeStarts(start, steps, jax.random.split(key, len(start)))
        episodes = of_mode = self._play(Mode(self.policy), starts)
        if not self.plays_mode:
            episodes = self._play(self.policy, starts._replace(keys=sample_keys))
        domain, share = self.world.domain, None
        if domain is not None:
            share = jnp.mean(domain.at_edge(episodes.next_state), where=episodes.alive)
        return ImaginedReturns(
            episodes=episodes,
            **self._returns(episodes, starts, key)._asdict(),
            mode=returns(of_mode.reward, self.discount),
            sampled=None,
            edge_share=share,
        )

    @eqx.filter_jit
    def another_draw(
        self, start: Float[Array, "episode state"], steps: Int[Array, " episode"], key: PRNGKey
    ) -> ReturnDraws:
        """One more draw of the returns, `[episode]` each."""
        starts = EpisodeStarts(start, steps, jax.random.split(key, len(start)))
        episodes = self._play(Mode(self.policy) if self.plays_mode else self.policy, starts)
        return self._returns(episodes, starts, key)

    def _returns(self, episodes: Trajectory, starts: EpisodeStarts, key: PRNGKey) -> ReturnDraws:
        """The returns of imagined `episodes`, and what training predicted from their
        `starts`, by the same noise.
        """
        predicted = in_training_world = training = returns(episodes.reward, self.world.discount)
        prediction = self.training_prediction
        if prediction is not None:
            trained = prediction.policy.greedy() if self.plays_mode else prediction.policy
            predicted = prediction.function(trained, starts.start, key)
            checks.shape("the predicted return of training", predicted, starts.start.shape[:1])
            whole = play_in(prediction.trained_in, trained, starts, self.horizon)
            in_training_world = returns(whole.reward, self.world.discount)
        return ReturnDraws(
            full=returns(episodes.reward, self.discount),
            full_training=training,
            predicted=predicted,
            in_training_world=in_training_world,
            undiscounted=episodes.reward.sum(axis=1),
        )

    def _play(self, policy: Policy, starts: EpisodeStarts) -> Trajectory:
        return play_in(self.world, policy, starts, self.horizon)


def play_in(world: MDP, policy: Policy, starts: EpisodeStarts, horizon: int) -> Trajectory:
    """Episodes of `policy` in `world`, each cut after its number of steps.

    Args:
        world, policy: What is imagined.
        starts: Where each starts, how long it is, and its noise.
        horizon: Steps of the longest.
    """
    episodes = unroll(world, policy, starts.start, starts.keys, horizon)
    within = jnp.arange(horizon) < starts.steps[:, None]
    return dataclasses.replace(
        episodes,
        reward=jnp.where(within, episodes.reward, 0),
        terminated=within & episodes.terminated,
        truncated=within & episodes.truncated,
        alive=within & episodes.alive,
    )


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
