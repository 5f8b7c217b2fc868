"""Which part gave a number that is not finite, and in which step: the step is played again and
looked at.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.learner import Problem
from paracosm.core.policy import StochasticPolicy
from paracosm.core.types import Array, PRNGKey
from paracosm.imagination.gradient_estimators import GradientEstimator, Rollouts
from paracosm.imagination.value import Value, progress

if TYPE_CHECKING:
    from paracosm.imagination.reinforce import REINFORCE, ReinforceState


def is_finite(tree: Any) -> bool:
    """Whether every number of a policy, a value, a learner's state, … is finite."""
    leaves = jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))
    return all(np.isfinite(np.asarray(leaf)).all() for leaf in leaves)


def explain_init(learner: REINFORCE, state: ReinforceState, problem: Problem, key: PRNGKey) -> None:
    """Refuse the first state, whose value took its units from rollouts.

    Args:
        learner, state, problem, key: The learner, the state that its `init` gave, and what it was
            called with.

    Raises:
        BadData: always; names the part and the step of those rollouts, or the units.
    """
    for_returns = jax.random.split(jax.random.split(key)[1])[1]
    rollouts = _first_rollouts(learner, state.policy, problem, for_returns)
    place = "rollout before the first gradient step, number"
    require_finite_episodes(rollouts.episodes, place)
    _require_finite_labels(learner.estimator, rollouts, place)
    raise checks.BadData("the value's first units are not finite; returns must lie within 32 bits.")


def explain_rollouts(
    learner: REINFORCE, state: ReinforceState, problem: Problem, key: PRNGKey, name: str
) -> None:
    """Require all that a step's rollouts are made of, and what is made of them, to be finite.

    Args:
        learner, state, problem, key: The learner, its state before the step, and what the step was
            called with.
        name: What messages call the step.

    Raises:
        BadData: naming the part and the step.
    """
    place = f"{name}, rollout"
    noiseless = dataclasses.replace(learner, noise=None)
    rollouts = _rollouts(noiseless, state.policy, problem, key)
    episodes = rollouts.episodes
    require_finite_episodes(episodes, place)
    if learner.noise is not None:
        noisy = _rollouts(learner, state.policy, problem, key).episodes
        checks.finite_steps(place, {"the noisy label": noisy.reward}, noisy.alive)
    _require_finite_labels(learner.estimator, rollouts, place)
    density = _densities(state.policy, episodes)
    checks.finite_steps(place, {"the policy's log-probability": density}, episodes.alive)
    value = _values(state.value, episodes.state, progress(problem)[:-1])
    checks.finite_steps(place, {"the learned value": value}, episodes.alive)


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
    for owner, episodes in _labelled(estimator, rollouts).items():
        columns = {f"{owner} reward": episodes.reward}
        checks.finite_steps(place.replace("rollout", "gold rollout"), columns, episodes.alive)


def explain_parameters(state: ReinforceState, problem: Problem, name: str) -> None:
    """Require what a gradient step left to be finite: first the gradients, which are in the
    optimisers' states.

    Raises:
        BadData: naming policy or value, and the step, called `name`.
    """
    rate = float(problem.rate)
    for part, parameters, optimiser in (
        ("policy", state.policy, state.policy_optimiser),
        ("value", state.value, state.value_optimiser),
    ):
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


@eqx.filter_jit
def _first_rollouts(
    learner: REINFORCE, policy: StochasticPolicy, problem: Problem, key: PRNGKey
) -> Rollouts:
    """`REINFORCE.first_rollouts`, compiled.

    Args:
        learner, policy, problem, key: As there.
    """
    return learner.first_rollouts(policy, problem, key)


@eqx.filter_jit
def _rollouts(
    learner: REINFORCE, policy: StochasticPolicy, problem: Problem, key: PRNGKey
) -> Rollouts:
    """All rollouts of a step, compiled.

    Args:
        learner, policy, problem, key: As for `REINFORCE.rollouts`.
    """
    return learner.rollouts(policy, problem, key, jax.numpy.arange(learner.settings.rollouts))


@eqx.filter_jit
def _labelled(estimator: GradientEstimator, rollouts: Rollouts) -> dict[str, Trajectory]:
    return estimator.labelled(rollouts)


@eqx.filter_jit
def _densities(policy: StochasticPolicy, episodes: Trajectory) -> Float[Array, "episode time"]:
    return jax.vmap(jax.vmap(policy.log_prob))(episodes.state, episodes.action)


@eqx.filter_jit
def _values(
    value: Value, states: Float[Array, "episode time state"], over: Float[Array, " time"]
) -> Array:
    return jax.vmap(jax.vmap(value), (0, None))(states, over)
