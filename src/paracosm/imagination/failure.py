"""Which part gave a number that is not finite, and in which step: what a step of training made is
looked at part by part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.policy import StochasticPolicy
from paracosm.core.types import Array
from paracosm.imagination.gradient_estimators import GradientEstimator, Rollouts
from paracosm.imagination.value import Value


def is_finite(tree: Any) -> bool:
    """Whether every number of a policy, a value, a learner's state, … is finite."""
    leaves = jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))
    return all(np.isfinite(np.asarray(leaf)).all() for leaf in leaves)


def raise_units_not_finite(estimator: GradientEstimator, rollouts: Rollouts) -> NoReturn:
    """Say why the units of a value, which were taken from these rollouts, are not finite.

    Raises:
        BadData: always; names the part and the step of those rollouts, or the units.
    """
    place = "rollout before the first gradient step, number"
    require_finite_episodes(rollouts.episodes, place)
    _require_finite_labels(estimator, rollouts, place)
    raise checks.BadData("the value's first units are not finite; returns must lie within 32 bits.")


def require_finite_rollouts(
    estimator: GradientEstimator, rollouts: Rollouts, noisy: Trajectory | None, name: str
) -> None:
    """Require the rollouts of a step, and the labels that were bought for them, to be finite.

    Args:
        estimator: What buys labels, if it does.
        rollouts: The rollouts with the world's own rewards.
        noisy: The same episodes with noise on their rewards, None if no noise is put on.
        name: What messages call the step.

    Raises:
        BadData: naming the part and the step.
    """
    place = f"{name}, rollout"
    require_finite_episodes(rollouts.episodes, place)
    if noisy is not None:
        checks.finite_steps(place, {"the noisy label": noisy.reward}, noisy.alive)
    _require_finite_labels(estimator, rollouts, place)


def require_finite_credit(
    policy: StochasticPolicy,
    value: Value,
    episodes: Trajectory,
    elapsed: Float[Array, " time"],
    name: str,
) -> None:
    """Require what a step's advantages are made of to be finite along its rollouts.

    Args:
        policy, value: Those of the learner before the step.
        episodes: The step's rollouts.
        elapsed: The share of a rollout that is over at each of its times.
        name: What messages call the step.

    Raises:
        BadData: naming the part and the step.
    """
    place = f"{name}, rollout"
    density = _densities(policy, episodes)
    checks.finite_steps(place, {"the policy's log-probability": density}, episodes.alive)
    values = _values(value, episodes.state, elapsed)
    checks.finite_steps(place, {"the learned value": values}, episodes.alive)


def require_finite_parameters(parts: Mapping[str, tuple[Any, Any]], rate: float, name: str) -> None:
    """Require what a gradient step left to be finite: first the gradients, which are in the
    optimisers' states.

    Args:
        parts: Parameters and optimiser of the policy and of the value, by name.
        rate: The learning rate.
        name: What messages call the step.

    Raises:
        BadData: naming the part and the step.
    """
    for part, (parameters, optimiser) in parts.items():
        if not is_finite(optimiser):
            raise checks.BadData(
                f"the gradient of the {part} is not finite in {name} at the rate {rate:g}, though"
                " its rollouts are;"
                " smaller rates, rewards or entropy bonus are needed."
            )
        if not is_finite(parameters):
            raise checks.BadData(
                f"the optimiser's {name} at the rate {rate:g} makes parameters of the {part}"
                " infinite; a smaller rate"
                " is needed."
            )


def require_finite_episodes(episodes: Trajectory, place: str) -> None:
    """Require actions, states and rewards to be finite, the earliest part of the earliest step
    first.

    Raises:
        BadData: naming the part and the step; `place` says what kind of episode it is in.
    """
    columns = {
        "the policy's action": episodes.action,
        "the dynamics' next state": episodes.next_state,
        "the reward": episodes.reward,
    }
    checks.finite_steps(place, columns, episodes.alive)


def _require_finite_labels(estimator: GradientEstimator, rollouts: Rollouts, place: str) -> None:
    """Require the labels that the estimator bought, if it does, to be finite."""
    for owner, episodes in _label(estimator, rollouts).items():
        columns = {f"{owner} reward": episodes.reward}
        checks.finite_steps(place.replace("rollout", "gold rollout"), columns, episodes.alive)


@eqx.filter_jit
def _label(estimator: GradientEstimator, rollouts: Rollouts) -> dict[str, Trajectory]:
    return estimator.labelled(rollouts)


@eqx.filter_jit
def _densities(policy: StochasticPolicy, episodes: Trajectory) -> Float[Array, "episode time"]:
    return jax.vmap(jax.vmap(policy.log_prob))(episodes.state, episodes.action)


@eqx.filter_jit
def _values(
    value: Value, states: Float[Array, "episode time state"], elapsed: Float[Array, " time"]
) -> Array:
    return jax.vmap(jax.vmap(value), (0, None))(states, elapsed)
