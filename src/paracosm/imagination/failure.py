"""Which part gave a number that is not finite, and in which step: the same steps are played again
and looked at.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.policy import Mode, StochasticPolicy
from paracosm.core.rollout import rollout
from paracosm.core.types import Array, PRNGKey
from paracosm.imagination.debias import pick
from paracosm.imagination.improve import again, look_starts
from paracosm.imagination.learner import first_rollouts, play
from paracosm.imagination.lesson import Learner, Task, with_noise
from paracosm.imagination.reinforce import Value


def is_finite(tree: Any) -> bool:
    """Whether every number of a policy, a value, a learner, … is finite."""
    leaves = jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))
    return all(np.isfinite(np.asarray(leaf)).all() for leaf in leaves)


def demand_finite_start(task: Task, learner: Learner, key: PRNGKey) -> None:
    """Require a learner that is about to start, whose value took its units from rollouts, to be
    finite.

    Raises:
        BadData: naming the part and the step of those rollouts.
    """
    if is_finite(learner):
        return
    episodes = _first(task, learner.policy, jax.random.split(jax.random.split(key)[1])[1])
    _look_at(episodes, of := "rollout before the first gradient step, number")
    _look_at_gold(task, episodes, of)
    raise checks.BadData("the value's first units are not finite; returns must lie within 32 bits.")


def refuse(task: Task, learner: Learner, key: PRNGKey, rate: float, done: int) -> None:
    """Refuse the gradient steps that `improve` took from `learner`, or its look, because of a
    number not finite.

    Raises:
        BadData: naming the part and the step; `done` gradient steps came before.
    """
    for number in range(task.settings.check):
        name = f"gradient step {done + number + 1}"
        _look_at_rollouts(task, learner, jax.random.fold_in(key, number), name)
        learner = again(learner, task, key, jnp.asarray(rate), jnp.asarray(number))
        _look_at_learner(learner, name, rate)
    after = done + task.settings.check
    states, keys = look_starts(task, key)
    episodes = rollout(task.world, Mode(learner.policy), states, keys, task.world.spec.horizon)
    _look_at(episodes, f"episode imagined after gradient step {after}, number")
    raise checks.BadData(
        f"the imagined return is not finite after gradient step {after} although every reward is;"
        " the rewards'"
        " discounted sum must lie within 32 bits."
    )


def _look_at_rollouts(task: Task, learner: Learner, key: PRNGKey, name: str) -> None:
    """Require all that a gradient step's rollouts are made of, and what is made of them, to be
    finite.
    """
    count = task.settings.rollouts
    episodes, keys = _play(task, learner.policy, key, jnp.arange(count))
    _look_at(episodes, of := f"{name}, rollout")
    if task.noise is not None:
        noisy = _noisy(task.noise, task.world, episodes, keys)
        checks.finite_steps(of, {"the noisy label": noisy.reward}, noisy.alive)
    _look_at_gold(task, episodes, of)
    density = _densities(learner.policy, episodes)
    checks.finite_steps(of, {"the policy's log-probability": density}, episodes.alive)
    value = _values(learner.value, episodes.state, task.progress[:-1])
    checks.finite_steps(of, {"the learned value": value}, episodes.alive)


def _look_at(episodes: Trajectory, of: str) -> None:
    """Require actions, states and rewards to be finite, the earliest part of the earliest step
    first.
    """
    columns = {
        "the policy's action": episodes.action,
        "the dynamics' next state": episodes.next_state,
        "the reward": episodes.reward,
    }
    checks.finite_steps(of, columns, episodes.alive)


def _look_at_gold(task: Task, episodes: Trajectory, of: str) -> None:
    """Require the labels of a label source, if there is one, to be finite."""
    if task.gold is not None:
        count = len(episodes.alive)
        gold = _pick(task.gold, episodes, jnp.arange(count), count).episodes
        checks.finite_steps(
            of.replace("rollout", "gold rollout"),
            {"the label source's reward": gold.reward},
            gold.alive,
        )


def _look_at_learner(learner: Learner, name: str, rate: float) -> None:
    """Require what a gradient step left to be finite: first the gradients, which are in the
    optimisers' states.
    """
    for part, parameters, state in (
        ("policy", learner.policy, learner.policy_state),
        ("value", learner.value, learner.value_state),
    ):
        if not is_finite(state):
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
def _densities(policy: StochasticPolicy, episodes: Trajectory) -> Float[Array, "episode time"]:
    return jax.vmap(jax.vmap(policy.log_prob))(episodes.state, episodes.action)


_first, _play = eqx.filter_jit(first_rollouts), eqx.filter_jit(play)
_noisy, _pick = eqx.filter_jit(with_noise), eqx.filter_jit(pick)


@eqx.filter_jit
def _values(
    value: Value, states: Float[Array, "episode time state"], progress: Float[Array, " time"]
) -> Array:
    return jax.vmap(jax.vmap(value), (0, None))(states, progress)
