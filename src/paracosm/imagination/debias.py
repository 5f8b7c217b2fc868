"""Removing the bias of cheap labels with a few gold ones, inside the policy gradient (theory,
section 7).

Of a step's N rollouts all have the world's cheap, possibly biased rewards and n have gold labels
too. The gradient `λ mean_N(g_cheap) + mean_n(g_gold - λ g_cheap)` has the mean of gold alone for
every λ that does not depend on these rollouts, whatever the bias; λ is taken from the rollouts of
earlier steps. This is multi-fidelity Monte Carlo.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, Int

from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.devices import AXIS
from paracosm.core.mdp import MDP
from paracosm.core.policy import StochasticPolicy
from paracosm.core.types import Array, Scalar

LEAST_GOLD = 3  # what a correlation needs
Count = Int[Array, ""]

# Of gold and cheap gradients: sums of squares, of products and of squares about their means, and
# degrees of freedom.
Agreement = Float[Array, "4"]


class GoldLabels(eqx.Module):
    """Where gold labels are asked: `world` is the guarded one with the true reward, `share` the
    rollouts' part.
    """

    world: MDP
    share: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        checks.positive("gold_share", self.share)
        checks.in_unit_interval("gold_share", self.share)

    def count(self, rollouts: int) -> int:
        """How many of so many rollouts have gold labels."""
        found = round(self.share * rollouts)
        checks.at_least(f"the number of gold rollouts among {rollouts}", found, LEAST_GOLD)
        return found


class Picked(NamedTuple):
    """The rollouts with gold labels: their rows, and themselves with gold rewards; padding is not
    alive.
    """

    rows: Int[Array, " gold"]
    episodes: Trajectory


def pick(
    gold: GoldLabels, episodes: Trajectory, lanes: Int[Array, " episode"], rollouts: int
) -> Picked:
    """Gold labels for those of the episodes, numbered `lanes` of `rollouts`, whose turn it is:
    evenly spaced numbers.

    The source is asked at no other episode.
    """
    count = gold.count(rollouts)
    chosen = (lanes + 1) * count // rollouts > lanes * count // rollouts
    most = -(-count * len(lanes) // rollouts)
    rows = jnp.nonzero(chosen, size=most, fill_value=jnp.argmax(chosen))[0]
    real = jnp.arange(most) < jnp.sum(chosen)
    some: Trajectory = jax.tree.map(lambda leaf: leaf[rows], episodes)
    alive = some.alive & real[:, None]
    reward = jax.vmap(jax.vmap(gold.world.reward))(some.state, some.action, some.next_state)
    columns = (some.state, some.action, some.next_state, jnp.where(alive, reward, 0))
    return Picked(rows, Trajectory(*columns, some.terminated, some.truncated, alive))


def mixed(
    cheap: Float[Array, "episode time"],
    gold: Float[Array, "gold time"],
    picked: Picked,
    coefficient: Scalar,
    times: float,
) -> Float[Array, "episode time"]:
    """Advantages whose REINFORCE gradient, averaged over all N rollouts, is the mixture's; `times`
    is N/n.
    """
    real = picked.episodes.alive
    off = jnp.where(real, gold - coefficient * cheap[picked.rows], 0)
    return jnp.asarray(coefficient * cheap).at[picked.rows].add(times * off)


def best_coefficient(agreement: Agreement) -> Scalar:
    """`λ* = tr Cov(g_gold, g_cheap) / tr Cov(g_cheap)`; 0 unless `|ρ| > 1/sqrt(m - 2)`, m rollouts
    behind it.
    """
    gold, both, cheap, freedom = agreement
    known = both**2 * (freedom - 1) > gold * cheap
    return jnp.where(known, both / jnp.where(known, cheap, 1), 0)


def agreement(
    policy: StochasticPolicy,
    picked: Picked,
    cheap: Float[Array, "gold time"],
    gold: Float[Array, "gold time"],
    weight: Float[Array, " time"],
) -> Agreement:
    """How cheap and gold gradients of the same rollouts agree; `cheap` and `gold` are advantages.

    To be called under `spread`.
    """
    gradients = _gradients(policy, picked.episodes, weight * gold, weight * cheap)
    real = jnp.any(picked.episodes.alive, axis=1)
    *totals, n = jax.lax.psum((*(jnp.sum(each, axis=0) for each in gradients), jnp.sum(real)), AXIS)
    off_gold, off_cheap = (
        jnp.where(real[:, None], each - total / n, 0)
        for each, total in zip(gradients, totals, strict=True)
    )
    squares = jnp.stack(
        [jnp.sum(off_gold**2), jnp.sum(off_gold * off_cheap), jnp.sum(off_cheap**2)]
    )
    return jnp.append(jax.lax.psum(squares, AXIS), n - 1.0)


def _gradients(
    policy: StochasticPolicy, episodes: Trajectory, *factors: Float[Array, "gold time"]
) -> tuple[Float[Array, "gold parameters"], ...]:
    """`Σ_t factor_t ∇ log π(a_t|s_t)` of every episode, for each of the factors."""

    def one(episode: Trajectory, factors: tuple[Array, ...]) -> tuple[Array, ...]:
        def log_probs(policy: StochasticPolicy) -> Array:
            return jax.vmap(policy.log_prob)(episode.state, episode.action)

        pull = eqx.filter_vjp(log_probs, policy)[1]
        found = (pull(jnp.where(episode.alive, factor, 0))[0] for factor in factors)
        return tuple(ravel_pytree(eqx.filter(each, eqx.is_inexact_array))[0] for each in found)

    return jax.vmap(one)(episodes, factors)
