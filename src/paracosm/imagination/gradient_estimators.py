"""From returns to a policy gradient: the plain estimator, and one debiased with gold labels.

Two compositions. REINFORCE with the world's own rewards, and with true ones, `reward`, for a tenth
of the rollouts:

    REINFORCE(settings)

    true = problem.world.replace(reward=reward)
    gold = GoldLabels(EndAtEdge()(true, data, problem.rewards), 0.1)
    REINFORCE(settings, Debiased(gold))

Of a step's N rollouts all have the world's cheap, possibly biased rewards and n have gold labels
too. The gradient `λ mean_N(g_cheap) + mean_n(g_gold - λ g_cheap)` has the mean of gold alone for
every λ that does not depend on these rollouts, whatever the bias; λ is taken from the rollouts of
earlier steps. This is multi-fidelity Monte Carlo (Peherstorfer, Willcox & Gunzburger 2016).
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, Int

from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.devices import AXIS
from paracosm.core.learner import Problem
from paracosm.core.mdp import MDP
from paracosm.core.policy import StochasticPolicy
from paracosm.core.types import Array, Scalar
from paracosm.imagination.arguments import check_reward_form

LEAST_GOLD = 3  # what a correlation needs
# Of how gold and cheap labels agree, a step: some ten steps, in which the policy moves little
MEMORY = 0.9

Count = Int[Array, ""]
AgreementArray = Float[Array, "4"]  # `AgreementSums` in their order, as checkpoints hold them

# `(episodes, count) -> (returns, advantages)`, both `[episode, time]`, of `count` rollouts on all
# devices.
Credit = Callable[[Trajectory, int], tuple[Array, Array]]


class Rollouts(NamedTuple):
    """This device's rollouts, which of the step's they are, and how many the step has in all."""

    episodes: Trajectory
    numbers: Int[Array, " episode"]
    total: int


class AgreementSums(NamedTuple):
    """How gold and cheap gradients agree: sums about their means over the gold rollouts of earlier
    steps, each step's decayed by `MEMORY`.

    Checkpoints of training hold them as one array in this order: it must stay.

    Attributes:
        gold_squares: Of `‖g_gold‖²`.
        products: Of `g_gold · g_cheap`.
        cheap_squares: Of `‖g_cheap‖²`.
        freedom: Degrees of freedom.
    """

    gold_squares: Scalar
    products: Scalar
    cheap_squares: Scalar
    freedom: Scalar


class TrainingSignal(NamedTuple):
    """What a step learns from: the policy from `advantage` over all rollouts, the value from
    `returns` at the states of `episodes`.

    `unit` is the size of advantages.
    """

    advantage: Float[Array, "episode time"]
    unit: Scalar
    episodes: Trajectory
    returns: Float[Array, "taught time"]


class GradientEstimator(eqx.Module):
    """Which advantages the policy gradient is made of, and which returns the value learns."""

    @abc.abstractmethod
    def check(self, problem: Problem) -> None:
        """Require what the estimator asks of the world to answer in the right form.

        Raises:
            BadData: it does not.
        """

    @abc.abstractmethod
    def init(self, rollouts: Rollouts) -> tuple[Trajectory, Any, Count]:
        """The episodes whose returns normalise the value, the estimator's state, and the gold
        labels bought for them.
        """

    @abc.abstractmethod
    def training_signal(
        self,
        state: Any,
        rollouts: Rollouts,
        credit: Credit,
        policy: StochasticPolicy,
        weight: Array,
    ) -> tuple[TrainingSignal, Any, Count]:
        """What this device's rollouts teach, the state after them, and the gold labels bought.

        Sums over devices with `psum`; call it inside `step_on_all` or `map_over_devices`.

        Args:
            state: The estimator's state.
            rollouts: This device's rollouts, with the world's own rewards.
            credit: From episodes and their number to returns and advantages.
            policy: The policy that played them.
            weight: Time weights of the gradient, `[time]`.
        """

    @abc.abstractmethod
    def labelled(self, rollouts: Rollouts) -> dict[str, Trajectory]:
        """The episodes whose rewards were labelled anew, by the name of who did."""


class Plain(GradientEstimator):
    """The world's own rewards, for policy and value alike."""

    def check(self, problem: Problem) -> None:
        pass

    def init(self, rollouts: Rollouts) -> tuple[Trajectory, Any, Count]:
        return rollouts.episodes, (), jnp.zeros((), int)

    def training_signal(
        self,
        state: Any,
        rollouts: Rollouts,
        credit: Credit,
        policy: StochasticPolicy,
        weight: Array,
    ) -> tuple[TrainingSignal, Any, Count]:
        """Advantages and returns by the world's rewards.

        Args:
            state, rollouts, credit, policy, weight: As `GradientEstimator` has them.
        """
        returns, advantage = credit(rollouts.episodes, rollouts.total)
        unit = size_of(advantage, rollouts.episodes)
        signal = TrainingSignal(
            advantage=advantage, unit=unit, episodes=rollouts.episodes, returns=returns
        )
        return signal, state, jnp.zeros((), int)

    def labelled(self, rollouts: Rollouts) -> dict[str, Trajectory]:
        return {}


class Debiased(GradientEstimator):
    """The mixture of all rollouts' cheap rewards and a few rollouts' gold ones, for the policy.

    The value learns from the gold rollouts alone: one fitted to cheap rewards would bring their
    bias back through the returns that it completes. The state is how cheap and gold gradients
    agreed in earlier steps, `AgreementSums`.
    """

    gold: GoldLabels

    def check(self, problem: Problem) -> None:
        check_reward_form("the label source", self.gold.world)

    def init(self, rollouts: Rollouts) -> tuple[Trajectory, Any, Count]:
        episodes = pick(self.gold, rollouts).episodes
        return episodes, jnp.zeros(4), jnp.sum(episodes.alive)

    def training_signal(
        self,
        state: Any,
        rollouts: Rollouts,
        credit: Credit,
        policy: StochasticPolicy,
        weight: Array,
    ) -> tuple[TrainingSignal, Any, Count]:
        """The policy's advantages by the mixture, the value's returns by gold labels.

        Args:
            state, rollouts, credit, policy, weight: As `GradientEstimator` has them.
        """
        self.gold.require(rollouts.total)
        _, cheap_advantage = credit(rollouts.episodes, rollouts.total)
        picked, count = pick(self.gold, rollouts), self.gold.count(rollouts.total)
        returns, gold_advantage = credit(picked.episodes, count)
        before = jnp.asarray(state)
        advantage = mix_advantages(
            cheap_advantage,
            gold_advantage,
            picked,
            coefficient=best_coefficient(before),
            all_per_gold=rollouts.total / count,
        )
        cheap_of_picked = cheap_advantage[picked.rows]
        now = agreement(policy, picked, cheap_of_picked, gold_advantage, weight)
        after = MEMORY * before + now
        labels = jax.lax.psum(jnp.sum(picked.episodes.alive), AXIS)
        unit = size_of(gold_advantage, picked.episodes)
        signal = TrainingSignal(
            advantage=advantage, unit=unit, episodes=picked.episodes, returns=returns
        )
        return signal, after, labels

    def labelled(self, rollouts: Rollouts) -> dict[str, Trajectory]:
        return {"the label source's": pick(self.gold, rollouts).episodes}


class GoldLabels(eqx.Module):
    """Where gold labels come from: `world` is the training world with the true reward, `share` the
    rollouts' part.
    """

    world: MDP
    share: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        checks.positive("gold_share", self.share)
        checks.in_unit_interval("gold_share", self.share)

    def count(self, rollouts: int) -> int:
        """How many of `rollouts` have gold labels: their share, but at least `LEAST_GOLD`."""
        return max(LEAST_GOLD, round(self.share * rollouts))

    def require(self, rollouts: int) -> None:
        """Require a share that gives the rollouts of a training step enough gold labels.

        Raises:
            BadArgument: it is too small.
        """
        gold = round(self.share * rollouts)
        checks.at_least(f"the number of gold rollouts among {rollouts}", gold, LEAST_GOLD)


class Picked(NamedTuple):
    """The rollouts with gold labels.

    Attributes:
        rows: Which of this device's rollouts they are.
        episodes: They themselves with gold rewards; padding is not alive.
    """

    rows: Int[Array, " gold"]
    episodes: Trajectory


def pick(gold: GoldLabels, rollouts: Rollouts) -> Picked:
    """Gold labels for those of the rollouts whose turn it is: evenly spaced numbers.

    The source is asked at no other rollout.
    """
    episodes, numbers, total = rollouts
    count = gold.count(total)
    # Evenly spaced numbers, the same on every device; each device has room for `most` of them and
    # pads with one that is not alive.
    chosen = (numbers + 1) * count // total > numbers * count // total
    most = -(-count * len(numbers) // total)
    rows = jnp.nonzero(chosen, size=most, fill_value=jnp.argmax(chosen))[0]
    filled = jnp.arange(most) < jnp.sum(chosen)
    subset: Trajectory = jax.tree.map(lambda leaf: leaf[rows], episodes)
    alive = subset.alive & filled[:, None]
    reward = jax.vmap(jax.vmap(gold.world.reward))(subset.state, subset.action, subset.next_state)
    columns = (subset.state, subset.action, subset.next_state, jnp.where(alive, reward, 0))
    return Picked(rows, Trajectory(*columns, subset.terminated, subset.truncated, alive))


def mix_advantages(
    cheap: Float[Array, "episode time"],
    gold: Float[Array, "gold time"],
    picked: Picked,
    *,
    coefficient: Scalar,
    all_per_gold: float,
) -> Float[Array, "episode time"]:
    """Advantages whose REINFORCE gradient, averaged over all N rollouts, is `λ mean_N(g_cheap) +
    mean_n(g_gold - λ g_cheap)`.

    Args:
        cheap: Advantages by cheap labels, `[episode, time]`, in units of reward.
        gold: Advantages of the picked rollouts by gold labels, `[gold, time]`.
        picked: Which rollouts these are.
        coefficient: λ.
        all_per_gold: N/n, rollouts per gold rollout.
    """
    off = jnp.where(picked.episodes.alive, gold - coefficient * cheap[picked.rows], 0)
    return jnp.asarray(coefficient * cheap).at[picked.rows].add(all_per_gold * off)


def best_coefficient(agreement: AgreementArray) -> Scalar:
    """`λ* = tr Cov(g_gold, g_cheap) / tr Cov(g_cheap)`, or 0 where the correlation ρ may be chance:
    `|ρ| ≤ 1/sqrt(m - 2)`, with m = freedom + 1, the effective number of rollouts.
    """
    sums = AgreementSums(*agreement)
    known = sums.products**2 * (sums.freedom - 1) > sums.gold_squares * sums.cheap_squares
    return jnp.where(known, sums.products / jnp.where(known, sums.cheap_squares, 1), 0)


def agreement(
    policy: StochasticPolicy,
    picked: Picked,
    cheap: Float[Array, "gold time"],
    gold: Float[Array, "gold time"],
    weight: Float[Array, " time"],
) -> AgreementArray:
    """How cheap and gold gradients of the same rollouts agree: one step's `AgreementSums` as an
    array.

    Sums over devices with `psum`; call it inside `step_on_all` or `map_over_devices`.

    Args:
        policy: The policy whose gradients they are.
        picked: The rollouts with gold labels.
        cheap, gold: Their advantages by either label, `[gold, time]`, in units of reward.
        weight: Time weights of the gradient, `[time]`.
    """
    gradients = _gradients(policy, picked.episodes, weight * gold, weight * cheap)
    filled = jnp.any(picked.episodes.alive, axis=1)  # not padding
    sums = [jnp.sum(rows, axis=0) for rows in gradients]
    *totals, n = jax.lax.psum((*sums, jnp.sum(filled)), AXIS)
    off_gold, off_cheap = (
        jnp.where(filled[:, None], rows - total / n, 0)
        for rows, total in zip(gradients, totals, strict=True)
    )
    squares_and_products = jnp.stack(
        [jnp.sum(off_gold**2), jnp.sum(off_gold * off_cheap), jnp.sum(off_cheap**2)]
    )
    return jnp.append(jax.lax.psum(squares_and_products, AXIS), n - 1.0)


def _gradients(
    policy: StochasticPolicy, episodes: Trajectory, *factors: Float[Array, "gold time"]
) -> tuple[Float[Array, "gold parameters"], ...]:
    """`Σ_t factor_t ∇ log π(a_t|s_t)` of every episode, for each of the factors."""

    def of_episode(episode: Trajectory, factors: tuple[Array, ...]) -> tuple[Array, ...]:
        def log_probs(policy: StochasticPolicy) -> Array:
            return jax.vmap(policy.log_prob)(episode.state, episode.action)

        pull = eqx.filter_vjp(log_probs, policy)[1]
        gradients = (pull(jnp.where(episode.alive, factor, 0))[0] for factor in factors)
        return tuple(ravel_pytree(eqx.filter(tree, eqx.is_inexact_array))[0] for tree in gradients)

    return jax.vmap(of_episode)(episodes, factors)


def size_of(advantage: Float[Array, "episode time"], episodes: Trajectory) -> Scalar:
    """Root mean square of advantages over the steps taken; above 0, because it is divided by."""
    return jnp.sqrt(mean_alive(advantage**2, episodes)) + 1e-8


def mean_alive(values: Array, episodes: Trajectory) -> Scalar:
    """Mean over the steps taken on all devices.

    Sums over devices with `psum`; call it inside `step_on_all` or `map_over_devices`.
    """
    total, count = jax.lax.psum(
        (jnp.sum(jnp.where(episodes.alive, values, 0)), jnp.sum(episodes.alive)), AXIS
    )
    return total / count
