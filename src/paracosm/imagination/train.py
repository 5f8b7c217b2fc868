"""The training loop that all learners share.

Training is cut into chunks of a few steps, one compiled program each. Each chunk ends in an
evaluation of the policy in the learned world, by which `StopRule` decides; see `stop_rule`. What
training gives is the best state seen, or the last one, as `keep` says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, NoReturn

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from paracosm.core import checks
from paracosm.core.learner import ExplainingLearner, Learner, Metrics, Problem
from paracosm.core.records.stop_reason import StopReason
from paracosm.core.rollout import rollout
from paracosm.core.types import Array, PRNGKey
from paracosm.imagination.arguments import check_action_form, check_world_forms
from paracosm.imagination.evaluation import (
    EPISODES,
    Evaluation,
    Score,
    TrainingWorldReturn,
    evaluate,
    evaluation_starts,
)
from paracosm.imagination.failure import is_finite, require_finite_episodes
from paracosm.imagination.settings import ImagineSettings
from paracosm.imagination.stop_rule import Checkpoint, Spent, StopRule, TrainingStore

TrainProgress = Callable[[int, int, Mapping[str, float]], None]


class Trained(NamedTuple):
    """What training came to.

    Attributes:
        state: The learner's state of the highest score, or its last one, as `keep` says.
        kept_step: After how many steps it was there.
        checkpoints: The numbers of each chunk.
        stop, stop_steps: Why it ended, and the number of steps beside the reason.
        labels: True rewards bought.
        imagined_steps: Steps imagined, evaluations included.
    """

    state: Any
    kept_step: int
    checkpoints: tuple[Checkpoint, ...]
    stop: StopReason
    stop_steps: int
    labels: int
    imagined_steps: int


def train(
    learner: Learner,
    problem: Problem,
    key: PRNGKey,
    *,
    settings: ImagineSettings,
    state: Any = None,
    keep: Literal["best", "last"] | None = None,
    score: Score | None = None,
    store: TrainingStore | None = None,
    progress: TrainProgress | None = None,
) -> Trained:
    """Train until the score stalls.

    Args:
        learner: What is trained.
        problem: What for; its rate is replaced by those of `settings`.
        key: Randomness.
        settings: Those of the loop: `rates`, `check`, `patience`, `least_gain`, `most_steps`.
        state: Where the learner goes on; its first state if none.
        keep: Which state is given, as the learner's own `keep`, which it is if none.
        score: How evaluations are scored; by the training world unless given.
        store: Keeps where training has got to after each chunk, and has it go on from there.
        progress: Called after each chunk as `progress(done, most, numbers)`: training steps so far,
            the most there can be, and numbers by name: `imagined_return`, and of the learner's own
            metrics the means over the chunk's steps.

    Raises:
        BadData: a world or a policy that answers in another form, or a number that is not finite:
            the sentence names the part and the step where the learner can say them.
    """
    score = TrainingWorldReturn() if score is None else score
    checks.one_of(f"keep of the learner {type(learner).__name__}", learner.keep, ("best", "last"))
    if state is None:
        state = _first_state(learner, problem, jax.random.fold_in(key, 1))
    state = jax.tree.map(_as_array, state)
    before = None if store is None else store.load(state)
    rule = StopRule(settings, state, by_score=(keep or learner.keep) == "best", before=before)
    while rule.stop is None:
        chunk_key = jax.random.fold_in(key, 2 + len(rule.checkpoints))
        at_rate = dataclasses.replace(problem, rate=jnp.asarray(rule.rate))
        chunk = _train_chunk(
            learner, rule.state, at_rate, chunk_key, score=score, steps=settings.check
        )
        checkpoint = chunk.checkpoint(rule.steps + settings.check)
        if not (np.isfinite(checkpoint).all() and is_finite(chunk.state)):
            _raise_first_non_finite(
                learner, rule.state, at_rate, chunk_key, done=rule.steps, checkpoint=checkpoint
            )
        imagined_steps = np.asarray(chunk.metrics.get("imagined_steps", 0), np.int64).sum()
        spent = Spent(int(chunk.labels), int(imagined_steps))
        rule.add(chunk.state, checkpoint, spent)
        if store is not None and rule.stop is None:
            store.keep(rule.snapshot())
        if progress is not None:
            numbers = {**chunk.means(), "imagined_return": checkpoint.imagined_return}
            progress(rule.steps, settings.most_steps, numbers)
    evaluation_steps = len(rule.checkpoints) * 2 * EPISODES * problem.world.spec.horizon
    return Trained(
        state=rule.best,
        kept_step=rule.kept_step,
        checkpoints=tuple(rule.checkpoints),
        stop=rule.stop,
        stop_steps=rule.stop_steps,
        labels=rule.spent.labels,
        imagined_steps=rule.spent.imagined_steps + evaluation_steps,
    )


class _Chunk(NamedTuple):
    """What a chunk came to.

    Attributes:
        state: The learner's state after it.
        evaluation: The evaluation of that state's policy.
        edge_share: The mean over its steps.
        labels: True rewards bought, the evaluation's included.
        metrics: Those of the learner's metrics that are one number a step, `[step]` by name. Sums
            of them may be past 32 bits.
    """

    state: Any
    evaluation: Evaluation
    edge_share: Array
    labels: Array
    metrics: Mapping[str, Array]

    def means(self) -> dict[str, float]:
        """The mean of each metric over the chunk's steps."""
        columns = self.metrics.items()
        return {name: float(np.mean(np.asarray(column, float))) for name, column in columns}

    def checkpoint(self, step: int) -> Checkpoint:
        """The numbers of the chunk, which ends after this step."""
        evaluation, edge_share = jax.device_get((self.evaluation, self.edge_share))
        return Checkpoint(
            step=step,
            score=float(evaluation.score),
            imagined_return=float(evaluation.imagined_return),
            entropy=float(evaluation.entropy),
            edge_share=float(edge_share),
        )


def _first_state(learner: Learner, problem: Problem, key: PRNGKey) -> Any:
    """The state before the first step, if all of it is finite."""
    state = _init(learner, problem, key)
    if not is_finite(state):
        if isinstance(learner, ExplainingLearner):
            learner.explain_init(state, problem, key)
        raise checks.BadData("the learner's first state is not finite; its numbers must be.")
    return state


def _as_array(leaf: Any) -> Any:
    """Numbers of a state as arrays: what is no array stays as it is in a compiled loop."""
    return jnp.asarray(leaf) if isinstance(leaf, bool | int | float) else leaf


@eqx.filter_jit
def _init(learner: Learner, problem: Problem, key: PRNGKey) -> Any:
    check_world_forms(problem.world)
    state = jax.tree.map(_as_array, learner.init(problem, key))
    check_action_form(problem.world, learner.policy(state))
    return state


@eqx.filter_jit
def _train_chunk(
    learner: Learner, state: Any, problem: Problem, key: PRNGKey, *, score: Score, steps: int
) -> _Chunk:
    """Training steps, and an evaluation of where they led.

    Args:
        learner: What is trained.
        state: The learner's state before the chunk.
        problem: What it is trained for.
        key: Randomness of the chunk; step i has `fold_in(key, i)`.
        score: How the evaluation is scored.
        steps: How many steps.
    """
    arrays, static = eqx.partition(state, eqx.is_array)

    def step(arrays: Any, number: jax.Array) -> tuple[Any, Metrics]:
        before = eqx.combine(arrays, static)
        answer = learner.step(before, problem, jax.random.fold_in(key, number))
        after, metrics = _require_step(learner, before, answer)
        return eqx.filter(after, eqx.is_array), dict(metrics)

    arrays, metrics = jax.lax.scan(step, arrays, jnp.arange(steps))
    state, zeros = eqx.combine(arrays, static), jnp.zeros(steps, int)
    evaluation, labels = evaluate(learner.policy(state), problem, key, score)
    return _Chunk(
        state=state,
        evaluation=evaluation,
        edge_share=jnp.mean(metrics.get("edge_share", jnp.zeros(steps))),
        labels=jnp.sum(metrics.get("labels", zeros)) + labels,
        metrics={name: column for name, column in metrics.items() if _is_number_a_step(column)},
    )


def _require_step(learner: Learner, before: Any, answer: Any) -> tuple[Any, Metrics]:
    """What a step gave: a state of the form of the one before, and metrics; to be called while
    tracing.

    Raises:
        BadData: it is something else.
    """
    name = f"the step of the learner {type(learner).__name__}"
    pair = isinstance(answer, tuple) and len(answer) == 2
    if not pair or not isinstance(answer[1], Mapping):
        raise checks.BadData(
            f"{name} gives {checks.described_pair(answer)}; a pair of the next state and the"
            " metrics by name is needed."
        )
    arrays, arrays_after = _arrays_by_path(before), _arrays_by_path(answer[0])
    for path, array in arrays.items():
        after = arrays_after.get(path)
        # A weak type, as of a Python number, becomes that of what follows.
        dtype = None if after is None or jax.typeof(array).weak_type else array.dtype
        if after is None or after.shape != array.shape or after.dtype != (dtype or after.dtype):
            raise checks.BadData(
                f"{name} gives a state in which {path or 'the array'} is"
                f" {'missing' if after is None else _form(after)}; {_form(array)}, as before the"
                " step, is needed."
            )
    if more := arrays_after.keys() - arrays.keys():
        raise checks.BadData(
            f"{name} gives a state with {min(more)}, which was not there before the step."
        )
    return answer


def _arrays_by_path(state: Any) -> dict[str, jax.Array]:
    leaves = jax.tree_util.tree_leaves_with_path(eqx.filter(state, eqx.is_array))
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _form(array: jax.Array) -> str:
    return f"{array.dtype} of the shape {array.shape}"


def _is_number_a_step(column: Any) -> bool:
    """Whether a metric is one number a step; whatever else a learner reports is left out."""
    numeric = eqx.is_array(column) and not jnp.issubdtype(column.dtype, jax.dtypes.extended)
    return numeric and column.ndim == 1


@eqx.filter_jit
def _single_step(learner: Learner, state: Any, problem: Problem, key: PRNGKey) -> Any:
    """The state after one step.

    Args:
        learner, state, problem, key: As for `Learner.step`.
    """
    return learner.step(state, problem, key)[0]


def _raise_first_non_finite(
    learner: Learner,
    state: Any,
    problem: Problem,
    key: PRNGKey,
    *,
    done: int,
    checkpoint: Checkpoint,
) -> NoReturn:
    """Replay a chunk whose state, or evaluation, is not finite step by step, and say which number
    was the first.

    Args:
        learner, state, problem, key: The arguments of `_train_chunk`.
        done: Steps before the chunk.
        checkpoint: The numbers of the chunk.

    Raises:
        BadData: always; names the part and the step where the learner can say them.
    """
    for number in range(checkpoint.step - done):
        step_key, before = jax.random.fold_in(key, number), state
        state = _single_step(learner, before, problem, step_key)
        name = f"gradient step {done + number + 1}"
        if isinstance(learner, ExplainingLearner):
            learner.explain_step(before, state, problem, step_key, name)
        elif not is_finite(state):
            raise checks.BadData(f"the learner's state is not finite after {name}.")
    after, policy = checkpoint.step, learner.policy(state).greedy()
    states, keys = evaluation_starts(problem, key)
    episodes = rollout(problem.world, policy, states, keys, problem.world.spec.horizon)
    require_finite_episodes(episodes, f"episode imagined after gradient step {after}, number")
    for name, number in {
        "the policy's entropy": checkpoint.entropy,
        "the mean edge_share of the learner's steps": checkpoint.edge_share,
    }.items():
        if not np.isfinite(number):
            raise checks.BadData(
                f"{name} is {number} after gradient step {after}; it must be finite."
            )
    raise checks.BadData(
        f"the imagined return is not finite after gradient step {after} although every reward is;"
        " the rewards'"
        " discounted sum must lie within 32 bits."
    )
