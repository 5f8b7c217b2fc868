"""What trains a policy in a learned world, apart from the world and from the training loop.

Two compositions. A learner by hand, for three steps, with no stop rule and no evaluation:

    learner = REINFORCE(ImagineSettings(rollouts=256))
    state = learner.init(problem, key)
    for number in range(3):
        state, metrics = learner.step(state, problem, jax.random.fold_in(key, number))
    policy = learner.policy(state)

A learner of one's own, in the loop that all learners share, and its prediction audited:

    imagined = paracosm.imagine(learned, data, learner=CrossEntropy())
    episodes = paracosm.evaluate(env, imagined.policy)
    diagnosis = paracosm.audit(learned.world, imagined.policy, episodes, imagined)

A learner is a value without memory: what training changes is in its state, a pytree whose arrays
are carried through a compiled loop, and what training reports is in its metrics.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float, Key

from paracosm.core.mdp import MDP
from paracosm.core.policy import Policy
from paracosm.core.recordings import constant
from paracosm.core.types import Array, PRNGKey, Scalar

# Numbers of one training step by name. The training loop reads three, all optional: `edge_share`,
# the share of imagined steps that reached the edge of the world's domain; and the counts `labels`
# (true rewards bought) and `imagined_steps`. Progress and tracker get the mean over the steps of
# each chunk, of all that are one number a step.
Metrics = Mapping[str, Array]


class StartStates(NamedTuple):
    """Real states in which imagined rollouts start; evaluations start in the first of each."""

    initial: Float[Array, "starts state"]
    visited: Float[Array, "rows state"]

    def draw(
        self, keys: Key[jax.Array, " episode"], visited_share: float
    ) -> Float[Array, "episode state"]:
        """One start a key: a visited state with probability `visited_share`, else an initial.

        A key that draws a start must not also play from it: its draws are then those of a step.
        """

        def draw_one(key: Array) -> Array:
            choice, first, second = jax.random.split(jax.random.fold_in(key, 1), 3)
            initial = self.initial[jax.random.randint(first, (), 0, len(self.initial))]
            visited = self.visited[jax.random.randint(second, (), 0, len(self.visited))]
            return jnp.where(jax.random.bernoulli(choice, visited_share), visited, initial)

        return jax.vmap(draw_one)(keys)

    def units(self) -> tuple[Array, Array]:
        """Mean and standard deviation of visited states, `[state]`; a component that does not vary
        keeps its unit.
        """
        center, scale = jnp.mean(self.visited, axis=0), jnp.std(self.visited, axis=0)
        return center, jnp.where(constant(center, scale), 1.0, scale)


class RecordedRewards(NamedTuple):
    """The least and the most reward that was recorded, and the size of one: the root of their mean
    square.
    """

    least: Array | float = float("-inf")
    most: Array | float = float("inf")
    size: Array | float = 1.0


class Problem(eqx.Module):
    """What a policy is trained for.

    Attributes:
        world: The learned world, in which the policy is evaluated.
        training_world: The world that caution makes of it: rollouts of training run here.
        starts: Where rollouts start. The worlds' own `initial` must not be asked.
        horizon: Steps of a rollout of training, at most those of an episode.
        rate: Learning rate of the present phase of training; a learner that has none ignores it.
        rewards: What values are possible, for a learner that bounds its own.
        explore: Share of what is climbed that is a bonus for what is unknown, the rest being the
            reward; 0 trains for the return alone. A learner that cannot explore ignores it.
    """

    world: MDP
    training_world: MDP
    starts: StartStates
    horizon: int = eqx.field(static=True)
    rate: Scalar
    rewards: RecordedRewards = RecordedRewards()
    explore: Scalar | float = 0.0

    @property
    def whole_episodes(self) -> bool:
        """Whether rollouts reach the end of an episode, so that no value need complete them."""
        return self.horizon >= self.world.spec.horizon


class Learner(eqx.Module):
    """Trains a policy for a `Problem`; every method may be compiled.

    Attributes:
        cautious_by_default: Whether rollouts end at the edge of the data unless another caution is
            given.
        keep: Which state training gives: the best by its score in `Problem.training_world`, or the
            last, unless `imagine(keep=…)` says otherwise, as the last round of a run by pathwise
            does.
    """

    cautious_by_default: ClassVar[bool] = True
    keep: ClassVar[Literal["best", "last"]] = "best"

    @abc.abstractmethod
    def init(self, problem: Problem, key: PRNGKey) -> Any:
        """The state before the first step."""

    @abc.abstractmethod
    def step(self, state: Any, problem: Problem, key: PRNGKey) -> tuple[Any, Metrics]:
        """The state after one more training step, of the same shapes, and numbers of that step."""

    @abc.abstractmethod
    def policy(self, state: Any) -> Policy:
        """The policy that training has come to; its mode is evaluated and audited."""

    @abc.abstractmethod
    def predicted_return(
        self, state: Any, problem: Problem, start: Float[Array, "episode state"], key: PRNGKey
    ) -> Float[Array, " episode"]:
        """What training takes the discounted return of the policy's mode to be, from each start.

        Args:
            state, problem: Where training has come to, and what it is for.
            start: States, `[episode, state]`, in the environment's units.
            key: Episode i takes its noise from `jax.random.split(key, episodes)[i]`: an audit
                imagines its own episodes by the same noise, so that it cancels.
        """


class ExplainingLearner(Learner):
    """A learner that can say which number of a training step was the first that is not finite."""

    @abc.abstractmethod
    def explain_init(self, state: Any, problem: Problem, key: PRNGKey) -> None:
        """Examine all that `init` made `state` of.

        Raises:
            BadData: a number is not finite; the sentence names the part that gave it.
        """

    @abc.abstractmethod
    def explain_step(
        self, before: Any, after: Any, problem: Problem, key: PRNGKey, name: str
    ) -> None:
        """Examine all that a step made the state `after` of.

        Args:
            before, after: The states.
            problem, key: What the step was called with.
            name: What messages call the step.

        Raises:
            BadData: a number is not finite; the sentence names the part that gave it.
        """


class LearnerPrediction(eqx.Module):
    """A learner's own predicted return as a function of starts, for an audit."""

    learner: Learner
    state: Any
    problem: Problem

    def __call__(
        self, policy: Policy, start: Float[Array, "episode state"], key: PRNGKey
    ) -> Float[Array, " episode"]:
        """`[episode]`; the learner predicts for its own policy's mode, which `policy` must be."""
        return self.learner.predicted_return(self.state, self.problem, start, key)
