"""Episodes that another policy μ recorded, weighted to stand for those of π:

J(π) = E_μ Σ_t γ^t w_{0:t} r_t,    w_{0:t} = Π_{k≤t} π(a_k|s_k) / μ(a_k|s_k).
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.estimators import mean
from paracosm.core.policy import StochasticPolicy
from paracosm.core.types import Array

LEAST_EFFECTIVE = 10  # episodes: fewer have no interval to speak of
_LEVEL = 0.9  # of the interval of the mean weight: at 95% too many sets pass that lack large ones
_NEAR = 0.05  # of the mean weight from 1: what is nearer moves no term by much


class Importance(NamedTuple):
    """Weights `w_{0:t} = Π_{k≤t} π(a_k|s_k)/μ(a_k|s_k)`, `[episode, time]`, and how many episodes
    they are worth.
    """

    weights: np.ndarray
    effective: float


def importance(
    policy: StochasticPolicy, recorded_by: StochasticPolicy, episodes: Trajectory, discount: float
) -> Importance:
    """Weights of `episodes`, which samples of `recorded_by` recorded, for samples of `policy`.

    The effective number of episodes is `(Σ w)² / Σ w²` (Kish 1965) at each step; its harmonic mean,
    since variances add up, with the weight `γ^t` that the step has in the return.

    Args:
        policy: π, which the episodes shall stand for.
        recorded_by: μ, whose samples recorded them.
        episodes: NumPy arrays `[episode, time, …]`.
        discount: γ, in [0, 1].

    Raises:
        BadArgument: the policies are of different kinds, whose densities are in different units.
        BadData: fewer than ten episodes' worth: the weights are carried by a few of them. Or the
            weights' own mean, which is known to be 1, is outside its interval: where the episodes
            that weigh most were not recorded, the effective number is large.
    """
    if jax.tree.structure(policy) != jax.tree.structure(recorded_by):
        raise checks.BadArgument(
            f"the policy is a {type(policy).__name__} and the episodes are of a"
            f" {type(recorded_by).__name__} of another"
            " form; their densities can only be compared where both are built alike."
        )
    ratio = np.where(episodes.alive, np.asarray(_log_ratio(policy, recorded_by, episodes)), 0.0)
    weights = np.exp(np.cumsum(ratio, axis=1))
    by_step = weights.sum(axis=0) ** 2 / np.maximum((weights**2).sum(axis=0), np.finfo(float).tiny)
    discounts = discount ** np.arange(weights.shape[1])
    effective = float(1 / np.average(1 / by_step, weights=discounts))
    if not effective >= LEAST_EFFECTIVE:
        raise checks.BadData(
            f"the {len(weights)} episodes of the other policy are worth {effective:.3g} of the"
            " audited one's; at least"
            f" {LEAST_EFFECTIVE} are needed, so record more of them, or some with the policy"
            " itself."
        )
    average = mean(np.average(weights, axis=1, weights=discounts), _LEVEL)
    if abs(average.mean - 1) > _NEAR and not average.low <= 1 <= average.high:
        missing = "most are not among them" if average.mean < 1 else "little are not among them"
        raise checks.BadData(
            f"the weights of the {len(weights)} episodes of the other policy are"
            f" {average.mean:.3g} on average, {_LEVEL:.0%} interval {average.low:.3g} to"
            f" {average.high:.3g}, where 1 is known to be right: those that weigh"
            f" {missing}, so record more of them, or some with the policy itself, and see that"
            " recorded_by is what recorded them."
        )
    return Importance(weights, effective)


@eqx.filter_jit
def _log_ratio(
    policy: StochasticPolicy, recorded_by: StochasticPolicy, episodes: Trajectory
) -> Float[Array, "episode time"]:
    def at(state: Array, action: Array) -> Array:
        return jnp.asarray(policy.log_prob(state, action) - recorded_by.log_prob(state, action))

    return jax.vmap(jax.vmap(at))(episodes.state, episodes.action)
