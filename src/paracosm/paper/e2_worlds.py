"""The trainings of E2: a random teacher, what it teaches, and the students' errors on transitions
held out.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from paracosm.core.keys import stage_key
from paracosm.core.mdp import MDP
from paracosm.core.policy import MarkovPolicy, Policy, Uniform
from paracosm.core.rollout import unroll
from paracosm.core.types import Action, Array, PRNGKey, Scalar, State
from paracosm.paper.e2_teachers import TeacherDynamics, random_teacher
from paracosm.paper.students import Regression, Student, train
from paracosm.real.systems import Cube

EPISODE = 500  # steps, the paper's
HELD_OUT = 5000  # transitions, the paper's
SATURATED = 0.99  # where the slope of the tanh is 0.02 at most
TASKS = ("dynamics", "tanh student", "one component", "before tanh", "reward")

ErrorsByTask = dict[str, dict[str, Array]]


class Variation(NamedTuple):
    """What may differ from the set-up; numbers, so that one compiled program serves all
    variants.
    """

    weights_scaled: Bool[Array, ""]
    starts: Float[Array, ""]
    normal_actions: Bool[Array, ""]


class Explorer(MarkovPolicy):
    """Actions uniform in the box, or standard normal ones."""

    uniform: Uniform
    normal: Bool[Array, ""]

    def sample(self, state: State, key: PRNGKey) -> Action:
        action = self.uniform.sample(state, key)
        return jnp.where(self.normal, jax.random.normal(key, action.shape), action)

    def mode(self, state: State) -> Action:
        return self.uniform.mode(state)


class Samples(NamedTuple):
    """Transitions `[rows, …]`: state and action side by side, next state, reward."""

    inputs: Float[Array, "rows inputs"]
    after: Float[Array, "rows state"]
    reward: Float[Array, " rows"]


def teacher(key: PRNGKey, variation: Variation) -> MDP:
    """The random teacher; its dynamics' weights divided by `sqrt(fan in)` if scaled, its starts
    times `starts`.
    """
    mdp = random_teacher(key, horizon=EPISODE)
    dynamics = cast(TeacherDynamics, mdp.dynamics)
    factors = [
        jnp.where(variation.weights_scaled, 1 / math.sqrt(len(weights)), 1)
        for weights in (dynamics.first, dynamics.second)
    ]
    starts = jnp.full(mdp.spec.state_size, variation.starts)
    return mdp.replace(
        dynamics=TeacherDynamics(factors[0] * dynamics.first, factors[1] * dynamics.second),
        initial=Cube(-starts, starts),
    )


def transitions(mdp: MDP, policy: Policy, key: PRNGKey, rows: int) -> Samples:
    """So many steps of whole episodes, the last one cut.

    Args:
        mdp, policy: what is played.
        key: of starts and steps.
        rows: how many transitions.
    """
    for_starts, for_steps = jax.random.split(key)
    episodes = math.ceil(rows / EPISODE)
    starts = jax.vmap(mdp.initial)(jax.random.split(for_starts, episodes))
    episodes = unroll(mdp, policy, starts, jax.random.split(for_steps, episodes), EPISODE)
    inputs = jnp.concatenate([episodes.state, episodes.action], -1)
    return Samples(
        *(
            column.reshape(-1, *column.shape[2:])[:rows]
            for column in (inputs, episodes.next_state, episodes.reward)
        )
    )


def targets(name: str, mdp: MDP, rows: Samples) -> Regression:
    """What a student is taught: the next state, its first component, what is inside the tanh, or
    the reward.

    What is inside the tanh is divided by `sqrt(hidden)`, as the reward is, of which it is the
    vector.
    """
    if name == "reward":
        return Regression(rows.reward[:, None])
    if name == "one component":
        return Regression(rows.after[:, :1])
    if name == "before tanh":
        dynamics = cast(TeacherDynamics, mdp.dynamics)
        return Regression(
            jax.nn.relu(rows.inputs @ dynamics.first)
            @ dynamics.second
            / math.sqrt(len(dynamics.second))
        )
    return Regression(rows.after, "tanh" if name == "tanh student" else "linear")


@functools.lru_cache(2)  # the cells of a sweep come ordered; a worker must not keep every program
def program(samples: int, tasks: tuple[str, ...], epochs: int) -> Callable[..., ErrorsByTask]:
    """Teacher, data, training and test in one compiled function of the keys and of what is
    varied.
    """

    @jax.jit
    def run(
        for_teacher: PRNGKey, for_data: PRNGKey, for_training: PRNGKey, variation: Variation
    ) -> ErrorsByTask:
        """Errors by quantity and task.

        Args:
            for_teacher, for_data, for_training: keys.
            variation: what differs from the set-up.
        """
        mdp = teacher(for_teacher, variation)
        policy = Explorer(Uniform(mdp.spec.action), variation.normal_actions)
        training, held_out = (
            transitions(mdp, policy, jax.random.fold_in(for_data, n), rows)
            for n, rows in enumerate((samples, HELD_OUT))
        )
        students = train(
            for_training,
            training.inputs,
            [targets(name, mdp, training) for name in tasks],
            epochs=epochs,
        )
        early = jax.tree.map(lambda column: column[:HELD_OUT], training)
        return {
            "error": _errors(students, tasks, mdp, held_out),
            "error on its data": _errors(students, tasks, mdp, early),
            "variance": {
                name: jnp.var(targets(name, mdp, held_out).targets, axis=0).mean() for name in tasks
            },
            "saturated": {"share": jnp.mean(jnp.abs(held_out.after) > SATURATED)},
        }

    return run


def _errors(
    students: tuple[Student, ...], tasks: tuple[str, ...], mdp: MDP, rows: Samples
) -> dict[str, Scalar]:
    """Mean squared errors by task.

    Args:
        students, tasks: in the same order.
        mdp: the teacher.
        rows: where students are asked.
    """
    answers = [targets(name, mdp, rows).targets for name in tasks]
    return {
        name: jnp.mean((student(rows.inputs.T) - y.T) ** 2)
        for name, student, y in zip(tasks, students, answers, strict=True)
    }


def errors(
    samples: int,
    seed: int,
    tasks: tuple[str, ...],
    *,
    teacher_seed: int,
    epochs: int,
    variation: tuple[bool, float, bool],
) -> dict[str, dict[str, float]]:
    """Mean squared errors of a student per task, and what they compare with, by quantity and task.

    Args:
        samples: transitions that are trained on.
        seed: of data and students.
        tasks: what is learned, of `TASKS`.
        teacher_seed: of the teacher's weights.
        epochs: passes over the data.
        variation: whether the teacher's weights are scaled, by what its starts in [-1, 1] are
            multiplied, and whether actions are normal.
    """
    keys = [
        stage_key(teacher_seed, "teacher"),
        *(stage_key(seed, name) for name in ("data", "students")),
    ]
    scaled, starts, normal = variation
    results = program(samples, tasks, epochs)(
        *keys, Variation(jnp.asarray(scaled), jnp.asarray(starts), jnp.asarray(normal))
    )
    return jax.tree.map(float, results)
