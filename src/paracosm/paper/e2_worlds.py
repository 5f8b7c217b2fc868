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
from paracosm.paper.students import Student, Task, train
from paracosm.real.systems import Cube, TeacherDynamics, random_teacher

EPISODE = 500
HELD_OUT = 5000
SATURATED = 0.99
TASKS = ("dynamics", "tanh student", "one component", "before tanh", "reward")

Errors = dict[str, dict[str, Array]]


class Varied(NamedTuple):
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


class Rows(NamedTuple):
    """Transitions `[rows, …]`: state and action side by side, next state, reward."""

    inputs: Float[Array, "rows inputs"]
    after: Float[Array, "rows state"]
    reward: Float[Array, " rows"]


def teacher(key: PRNGKey, varied: Varied) -> MDP:
    """The random teacher; its dynamics' weights divided by `sqrt(fan in)` if scaled, its starts
    times `starts`.
    """
    mdp = random_teacher(key, horizon=EPISODE)
    taught = cast(TeacherDynamics, mdp.dynamics)
    down = [
        jnp.where(varied.weights_scaled, 1 / math.sqrt(len(weights)), 1)
        for weights in (taught.first, taught.second)
    ]
    starts = jnp.full(mdp.spec.state_size, varied.starts)
    return mdp.replace(
        dynamics=TeacherDynamics(down[0] * taught.first, down[1] * taught.second),
        initial=Cube(-starts, starts),
    )


def transitions(mdp: MDP, policy: Policy, key: PRNGKey, rows: int) -> Rows:
    """So many steps of whole episodes, the last one cut."""
    for_starts, for_steps = jax.random.split(key)
    episodes = math.ceil(rows / EPISODE)
    starts = jax.vmap(mdp.initial)(jax.random.split(for_starts, episodes))
    lived = unroll(mdp, policy, starts, jax.random.split(for_steps, episodes), EPISODE)
    inputs = jnp.concatenate([lived.state, lived.action], -1)
    return Rows(
        *(
            column.reshape(-1, *column.shape[2:])[:rows]
            for column in (inputs, lived.next_state, lived.reward)
        )
    )


def targets(name: str, mdp: MDP, rows: Rows) -> Task:
    """What a student is taught: the next state, its first component, what is inside the tanh, or
    the reward.

    What is inside the tanh is divided by `sqrt(hidden)`, as the reward is, of which it is the
    vector.
    """
    if name == "reward":
        return Task(rows.reward[:, None])
    if name == "one component":
        return Task(rows.after[:, :1])
    if name == "before tanh":
        taught = cast(TeacherDynamics, mdp.dynamics)
        return Task(
            jax.nn.relu(rows.inputs @ taught.first) @ taught.second / math.sqrt(len(taught.second))
        )
    return Task(rows.after, "tanh" if name == "tanh student" else "linear")


@functools.lru_cache(2)  # the cells of a sweep come ordered; a worker must not keep every program
def program(samples: int, tasks: tuple[str, ...], epochs: int) -> Callable[..., Errors]:
    """Teacher, data, training and test in one compiled function of the keys and of what is
    varied.
    """

    @jax.jit
    def run(
        for_teacher: PRNGKey, for_data: PRNGKey, for_training: PRNGKey, varied: Varied
    ) -> Errors:
        mdp = teacher(for_teacher, varied)
        policy = Explorer(Uniform(mdp.spec.action), varied.normal_actions)
        seen, unseen = (
            transitions(mdp, policy, jax.random.fold_in(for_data, n), rows)
            for n, rows in enumerate((samples, HELD_OUT))
        )
        students = train(
            for_training, seen.inputs, [targets(name, mdp, seen) for name in tasks], epochs=epochs
        )
        early = jax.tree.map(lambda column: column[:HELD_OUT], seen)
        return {
            "error": _errors(students, tasks, mdp, unseen),
            "error on its data": _errors(students, tasks, mdp, early),
            "variance": {
                name: jnp.var(targets(name, mdp, unseen).targets, axis=0).mean() for name in tasks
            },
            "saturated": {"share": jnp.mean(jnp.abs(unseen.after) > SATURATED)},
        }

    return run


def _errors(
    students: tuple[Student, ...], tasks: tuple[str, ...], mdp: MDP, rows: Rows
) -> dict[str, Scalar]:
    taught = [targets(name, mdp, rows).targets for name in tasks]
    return {
        name: jnp.mean((student(rows.inputs.T) - y.T) ** 2)
        for name, student, y in zip(tasks, students, taught, strict=True)
    }


def errors(
    samples: int,
    seed: int,
    tasks: tuple[str, ...],
    *,
    teacher_seed: int,
    epochs: int,
    varied: tuple[bool, float, bool],
) -> dict[str, dict[str, float]]:
    """Mean squared errors of a student per task after training on `samples` transitions, and what
    they compare with.
    """
    keys = [
        stage_key(teacher_seed, "teacher"),
        *(stage_key(seed, name) for name in ("data", "students")),
    ]
    scaled, starts, normal = varied
    found = program(samples, tasks, epochs)(
        *keys, Varied(jnp.asarray(scaled), jnp.asarray(starts), jnp.asarray(normal))
    )
    return jax.tree.map(float, found)
