"""From a learned world to a policy: a learner trained in imagination, until the imagined return
stops rising.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from paracosm.core import callbacks, checks
from paracosm.core.data import Dataset
from paracosm.core.keys import numpy_random, stage_key
from paracosm.core.learned import Learned
from paracosm.core.learner import (
    Learner,
    LearnerPrediction,
    Problem,
    RecordedRewards,
    StartStates,
)
from paracosm.core.mdp import MDP, not_drawn
from paracosm.core.noise import LabelNoise
from paracosm.core.policy import Policy, StochasticPolicy
from paracosm.core.precision import in_32_bits
from paracosm.core.predicted import Bootstrapped, PredictedReturn
from paracosm.core.records import Training
from paracosm.core.types import Action, PRNGKey, Scalar, State
from paracosm.imagination.arguments import check_kinds
from paracosm.imagination.caution import Caution, EndAtEdge, NoCaution
from paracosm.imagination.evaluation import GoldReturn, Score, TrainingWorldReturn
from paracosm.imagination.exploration import rewards_are_uninformative
from paracosm.imagination.gradient_estimators import (
    Debiased,
    GoldLabels,
    GradientEstimator,
    Plain,
)
from paracosm.imagination.policy_gradient import policy_gradient
from paracosm.imagination.reinforce import REINFORCE
from paracosm.imagination.settings import ImagineSettings
from paracosm.imagination.stop_rule import TrainingStore
from paracosm.imagination.train import Trained, TrainProgress, train
from paracosm.imagination.training_world import make_training_world
from paracosm.imagination.value import Value

__all__ = ["ImagineSettings", "Imagined", "Value", "imagine", "policy_gradient"]

_DEFAULT = ImagineSettings()
# So many starts, however many data there are, so that more data compile nothing anew. Of initial
# states there are few in any data set; of visited ones as many as the rollouts of eight steps.
_INITIAL, _VISITED = 256, 4096

LabelSource = Callable[[State, Action, State], Scalar]


class Imagined(NamedTuple):
    """What imagination found.

    Attributes:
        policy: The trained policy.
        value: The value of REINFORCE; None if another learner was trained.
        trained_in: The world of training.
        training: How training went.
        own_prediction: The predicted return of another learner; None if it was REINFORCE.
    """

    policy: Policy
    value: Value | None
    trained_in: MDP
    training: Training
    own_prediction: LearnerPrediction | None = None

    @property
    def prediction(self) -> PredictedReturn:
        """What training believed, for an audit."""
        horizon = self.training.horizon
        predict = self.own_prediction
        if predict is None:
            predict = Bootstrapped(self.trained_in, horizon, self.value)
        elif predict.problem.explore > 0:  # its values are of what is unknown, not of rewards
            predict = Bootstrapped(self.trained_in, self.trained_in.spec.horizon)
        return PredictedReturn(self.policy, self.trained_in, horizon, predict)


@in_32_bits
def imagine(
    learned: Learned,
    data: Dataset,
    *,
    learner: Learner | None = None,
    seed: int = 0,
    round: int = 0,
    state: Any = None,
    keep: Literal["best", "last"] | None = None,
    explore: bool = False,
    caution: Caution | None = None,
    policy: StochasticPolicy | None = None,
    settings: ImagineSettings = _DEFAULT,
    label_noise: LabelNoise | None = None,
    label_source: LabelSource | None = None,
    gold_share: float = 0.1,
    store: TrainingStore | None = None,
    progress: TrainProgress | None = None,
) -> Imagined:
    """Train a policy on imagined rollouts of a learned world from the states of its data.

    What is optimised is the discounted return in the world that `caution` makes of
    `learned.world`: of the whole episode if `settings.horizon` reaches it, else of
    that many steps completed by a learned value. Rollouts start in the initial states of bought
    rows and in the states of bought transitions; of many a subset of fixed size is drawn.

    When it stops: every `check` training steps the policy's mode plays full imagined episodes from
    a fixed number of real initial and visited states; the score is their mean discounted return in
    that world. When `patience` such evaluations pass without a gain, training goes back
    to the best state seen and on with the next learning rate; after the last rate it ends. The
    policy with the highest score is returned. Where `keep` is "last", training goes on from where
    it is with the next rate, and the last policy is returned. The real environment is never asked.

    With a `label_source` the world's rewards count as cheap labels and true ones are bought for
    `gold_share` of the rollouts: of the gradient steps, whose policy gradient becomes the debiased
    mixture (see `gradient_estimators`) while the value learns from the gold rollouts alone, and of
    the evaluations, whose score is corrected by the mean difference that gold labels make.
    `Training.labels_during_imagination` counts every label bought.

    Args:
        learned: What `learn` gave; of any other MDP `Learned(world, {})`, a world whose parts are
            known.
        data: The data that it was learned from.
        learner: What is trained; REINFORCE with `settings` if none. A learner of one's own has its
            own settings; of `settings` only `horizon` and those of the loop apply to it: `rates`,
            `check`, `patience`, `least_gain`, `most_steps`.
        seed, round: Randomness.
        state: The state in which `learner` goes on, such as `own_prediction.state` of the round
            before; its first one if None.
        keep: Which state of training is returned, the best by its score or the last one; as the
            learner's own `keep` if None.
        explore: Whether the policy is for collecting more data: as long as the rewards of `data`
            tell no state from another, a learner that can explore then seeks what is unknown.
        caution: What is made of what the world does not know. If none, rollouts end at the edge of
            the data; of a learner that is not `cautious_by_default` they do not.
        policy: The policy that REINFORCE starts from; a new one if None.
        settings: See `ImagineSettings`.
        label_noise: Put on every reward of the world that gradients and values are made from, anew
            each step; never on what evaluations see, on gold labels, or on the price of
            caution.
        label_source: True rewards `(s, a, s') -> r`, a JAX function; what they cost is for the user
            to multiply by their count.
        gold_share: Share of the rollouts with gold labels, of any number at least 3.
        store: Keeps where training has got to after each chunk, and has it go on from there.
        progress: Called after each chunk as `progress(done, most, numbers)`: training steps so far,
            the most there can be, and numbers by name: `imagined_return`, and of the learner's own
            metrics the means over the chunk's steps.

    Raises:
        BadArgument: an argument of another kind, or an unknown `keep`; a policy that does not act
            in the world; a `gold_share` outside (0, 1], or too small to have 3 of a step's; a
            learner beside arguments that are of REINFORCE.
        BadData: if there is no state to start from, states of another size than the world's, a part
            of the world that answers in another form or holds NaN, or numbers that stop being
            finite: the sentence names the part and the step.
    """
    check_kinds(
        learned,
        data,
        learner=learner,
        caution=caution,
        policy=policy,
        settings=settings,
        label_noise=label_noise,
        label_source=label_source,
        progress=progress,
    )
    if keep is not None:
        checks.one_of("keep", keep, ("best", "last"))
    with callbacks.as_raised():
        caution = default_caution(learner) if caution is None else caution
        problem = problem_of(
            learned,
            data,
            settings=settings,
            seed=seed,
            round=round,
            caution=caution,
            explore=explore,
        )
        estimator: GradientEstimator = Plain()
        score: Score = TrainingWorldReturn()
        if label_source is not None:
            true = problem.world.replace(reward=label_source)
            gold = GoldLabels(caution(true, data, problem.rewards), gold_share)
            estimator, score = Debiased(gold), GoldReturn(gold)
        if learner is None:
            learner = REINFORCE(settings, estimator, label_noise, policy)
        key = stage_key(seed, "imagine", round)
        trained = train(
            learner,
            problem,
            key,
            settings=settings,
            state=state,
            keep=keep,
            score=score,
            store=store,
            progress=progress,
        )
    return _collect_results(learner, problem, trained, learned.world)


def default_caution(learner: Learner | None) -> Caution:
    """What a learner is trained with unless a caution is given."""
    return NoCaution() if learner is not None and not learner.cautious_by_default else EndAtEdge()


def problem_of(
    learned: Learned,
    data: Dataset,
    *,
    settings: ImagineSettings,
    seed: int,
    round: int,
    caution: Caution,
    explore: bool = False,
) -> Problem:
    """The `Problem` that `imagine` trains for.

    It is built again where a stored training is read (`Runner._imagine`, `Run._problem`): the file
    holds the policy and value, or the learner's state, but no `Problem`.

    Args:
        learned, data, settings, seed, round, caution, explore: As `imagine` has them.

    Raises:
        BadArgument: a seed or a round that is none.
        BadData: no state to start from, or nothing that tells the worst reward.
    """
    checks.seed("seed", seed)
    checks.count("round", round, 0)
    paid = learned.rewards(data)
    rewards = recorded_rewards(paid)
    action = learned.rewarded_rows(data).action
    explores = explore and rewards_are_uninformative(data, paid, action)
    key = jax.random.fold_in(stage_key(seed, "imagine", round), 0)
    starts = _starts(data.initial, np.asarray(data.transitions.state), key)
    world = learned.world.replace(initial=not_drawn)
    return Problem(
        world=world,
        training_world=make_training_world(caution, world, data, rewards),
        starts=starts,
        horizon=min(settings.horizon, world.spec.horizon),
        rate=jnp.asarray(settings.rates[0]),
        rewards=rewards,
        explore=jnp.asarray(float(explores)),
    )


def recorded_rewards(rewards: np.ndarray) -> RecordedRewards:
    """What a learner bounds its values by; rewards that are all 0 have the size of 1."""
    size = float(np.sqrt(np.mean(np.square(rewards, dtype=np.float64)))) or 1.0
    least, most = np.min(rewards), np.max(rewards)
    least, most, size = (jnp.asarray(number, jnp.float32) for number in (least, most, size))
    return RecordedRewards(least=least, most=most, size=size)


def _collect_results(learner: Learner, problem: Problem, trained: Trained, world: MDP) -> Imagined:
    """What `imagine` gives; only REINFORCE has a value, a weighting and a baseline.

    Args:
        learner, problem, trained: What was trained, for what, and to what it came.
        world: The learned world with its initial states.
    """
    policy = learner.policy(trained.state)
    trained_in = problem.training_world.replace(initial=world.initial)
    if isinstance(learner, REINFORCE):
        weighting, baseline = learner.settings.weighting, learner.settings.baseline
        training = _training(problem, trained, weighting, baseline)
        return Imagined(policy, trained.state.value, trained_in, training)
    training = _training(problem, trained, weighting="none", baseline="none")
    prediction = LearnerPrediction(learner, trained.state, problem)
    return Imagined(policy, None, trained_in, training, own_prediction=prediction)


def _training(problem: Problem, trained: Trained, weighting: str, baseline: str) -> Training:
    """How training went.

    Args:
        problem, trained: What was trained for, and to what it came.
        weighting, baseline: Those of REINFORCE, `none` of another learner.
    """
    checkpoints = trained.checkpoints
    return Training(
        step=tuple(checkpoint.step for checkpoint in checkpoints),
        imagined_return=tuple(checkpoint.imagined_return for checkpoint in checkpoints),
        entropy=tuple(checkpoint.entropy for checkpoint in checkpoints),
        imagined_steps=trained.imagined_steps,
        edge_share=checkpoints[-1].edge_share,
        horizon=problem.horizon,
        weighting=weighting,
        baseline=baseline,
        stop=trained.stop.sentence(trained.stop_steps),
        labels_during_imagination=trained.labels,
        stop_reason=trained.stop,
        stop_steps=trained.stop_steps,
        kept_step=trained.kept_step,
    )


def _starts(initial: np.ndarray, visited: np.ndarray, key: PRNGKey) -> StartStates:
    """Starts of a size that does not depend on how much data there is; evaluations take turns
    through initial states.
    """
    for name, states in (("initial", initial), ("visited", visited)):
        if not len(states):
            raise checks.BadData(
                f"there are no {name} states to imagine from; at least one is needed."
            )
    random = numpy_random(key)
    return StartStates(
        initial=_resize(initial, _INITIAL, random), visited=_resize(visited, _VISITED, random)
    )


def _resize(states: np.ndarray, size: int, random: np.random.Generator) -> jax.Array:
    """`size` of the states in random order, each as often as another, give or take one."""
    order = np.concatenate(
        [random.permutation(len(states)) for _ in range(-(-size // len(states)))]
    )
    return jnp.asarray(np.asarray(states, np.float32)[order[:size]])
