"""From a learned world to a policy: REINFORCE on imagined rollouts, until the imagined return stops
rising.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.keys import stage_key
from paracosm.core.mdp import MDP
from paracosm.core.noise import LabelNoise
from paracosm.core.policy import StochasticPolicy
from paracosm.core.predicted import Bootstrapped, PredictedReturn
from paracosm.core.records import Training
from paracosm.core.types import Action, PRNGKey, Scalar, State
from paracosm.imagination import failure
from paracosm.imagination.arguments import check_kinds
from paracosm.imagination.debias import GoldLabels
from paracosm.imagination.guard import guarded
from paracosm.imagination.improve import LOOKS, Look, improve, start
from paracosm.imagination.learner import UNIT_ROLLOUTS
from paracosm.imagination.lesson import Learner, Starts, Task
from paracosm.imagination.reinforce import Value, policy_gradient
from paracosm.imagination.settings import ImagineSettings
from paracosm.learning.learn import Learned

__all__ = ["ImagineSettings", "Imagined", "Value", "guarded", "imagine", "policy_gradient"]

_DEFAULT = ImagineSettings()
_INITIAL, _VISITED = 256, 4096

Progress = Callable[[int, int, float], None]
LabelSource = Callable[[State, Action, State], Scalar]


class Imagined(NamedTuple):
    """The policy that imagination found, its value, the world it was trained in and how training
    went.
    """

    policy: StochasticPolicy
    value: Value
    trained_in: MDP
    training: Training

    @property
    def prediction(self) -> PredictedReturn:
        """The return that training believed in, as an audit asks for it."""
        horizon = self.training.horizon
        function = Bootstrapped(self.trained_in, horizon, self.value)
        return PredictedReturn(self.policy, self.trained_in, horizon, function)


def imagine(
    learned: Learned,
    data: Dataset,
    *,
    seed: int = 0,
    round: int = 0,
    policy: StochasticPolicy | None = None,
    settings: ImagineSettings = _DEFAULT,
    label_noise: LabelNoise | None = None,
    label_source: LabelSource | None = None,
    gold_share: float = 0.1,
    progress: Progress | None = None,
) -> Imagined:
    """Train a policy by REINFORCE on imagined rollouts of a learned world from the states of its
    data.

    What is optimised is the discounted return in `guarded(learned.world,
    learned.worst_reward(data))`: of the whole episode if `settings.horizon` reaches it, else of
    that many steps completed by a learned value. Rollouts start in the initial states of bought
    rows and in the states of bought transitions; of many a subset of fixed size is drawn.

    When it stops: every `check` gradient steps the policy's mode plays full imagined episodes from
    a fixed number of real initial and visited states; the score is their mean discounted return
    with the guard's price. When `patience` such looks pass without a gain, training goes back to
    the best policy seen and on with the next learning rate; after the last rate it ends. The policy
    with the highest score is returned. The real environment is never asked.

    With a `label_source` the world's rewards count as cheap labels and true ones are bought for
    `gold_share` of the rollouts: of the gradient steps, whose policy gradient becomes the debiased
    mixture (see `debias`) while the value learns from the gold rollouts alone, and of the looks,
    whose score is corrected by the mean difference that gold labels make.
    `Training.labels_during_imagination` counts every label bought.

    Args:
        learned: What `learn` gave; of any other MDP `Learned(world, {})`, a world whose parts are
            known.
        data: The data that it was learned from.
        seed, round: Randomness.
        policy: Where to start; a new policy if none.
        settings: See `ImagineSettings`.
        label_noise: Put on every reward of the world that gradients and values are made from, anew
            each step; never on what looks see, on gold labels, or on the guard's price.
        label_source: True rewards `(s, a, s') -> r`, a JAX function; what they cost is for the user
            to multiply by their count.
        gold_share: Share of the rollouts with gold labels, at least 3 of them.
        progress: Called with gradient steps done, at the most, and the imagined return.

    Raises:
        BadArgument: an argument of another kind; a policy that does not act in the world; a
            `gold_share` outside (0, 1], or too small to have 3 gold rollouts.
        BadData: if there is no state to start from, states of another size than the world's, a part
            of the world that answers in another form or holds NaN, or numbers that stop being
            finite: the sentence names the part and the step.
    """
    check_kinds(
        learned,
        data,
        policy=policy,
        settings=settings,
        label_noise=label_noise,
        label_source=label_source,
        progress=progress,
    )
    checks.seed("seed", seed)
    checks.count("round", round, 0)
    world, worst_reward = learned.world, learned.worst_reward(data)
    key = stage_key(seed, "imagine", round)
    trained_in = guarded(world, worst_reward)
    starts = _starts(data.initial, np.asarray(data.transitions.state), jax.random.fold_in(key, 0))
    horizon = min(settings.horizon, world.spec.horizon)
    bare = [each.replace(initial=_not_drawn) for each in (world, trained_in)]
    gold = None
    if label_source is not None:
        gold = GoldLabels(guarded(bare[0].replace(reward=label_source), worst_reward), gold_share)
    task = Task(bare[0], bare[1], starts, horizon, settings, label_noise, gold)
    learner, asked = start(task, policy, jax.random.fold_in(key, 1))
    failure.demand_finite_start(task, learner, jax.random.fold_in(key, 1))
    search = _Search(settings, learner, _total(asked))
    while search.stop is None:
        of_look = jax.random.fold_in(key, 2 + len(search.looks))
        learner, found, asked = improve(search.learner, task, of_look, jnp.asarray(search.rate))
        look = Look(*np.asarray(found).tolist())
        if not (np.isfinite(look).all() and failure.is_finite(learner)):
            failure.refuse(task, search.learner, of_look, search.rate, search.steps)
        search.add(learner, look, _total(asked))
        if progress is not None:
            progress(search.steps, settings.most_steps, search.looks[-1].imagined_return)
    return Imagined(search.best.policy, search.best.value, trained_in, _training(search, task))


class _Search:
    """The stop rule: which rate, which policy is the best seen, and whether to stop."""

    def __init__(self, settings: ImagineSettings, learner: Learner, labels: int) -> None:
        self.settings = settings
        self.labels = labels
        self.learner = self.best = learner
        self.looks: list[Look] = []
        self.stop: str | None = None
        self._rates = list(settings.rates)
        self._best_score = self._mark = -np.inf
        self._stale = 0

    @property
    def rate(self) -> float:
        return self._rates[0]

    @property
    def steps(self) -> int:
        return len(self.looks) * self.settings.check

    def add(self, learner: Learner, look: Look, labels: int) -> None:
        self.looks.append(look)
        self.labels += labels
        self.learner = learner
        if look.score > self._best_score:
            self.best, self._best_score = learner, look.score
        self._judge(look.score)

    def _judge(self, score: float) -> None:
        scores = [look.score for look in self.looks]
        progress = score > self._mark + self.settings.least_gain * (max(scores) - min(scores))
        self._mark = score if progress else self._mark
        self._stale = 0 if progress else self._stale + 1
        if self._stale >= self.settings.patience:
            self._next_rate()
        if self.stop is None and self.steps + self.settings.check > self.settings.most_steps:
            self.stop = f"{self.steps} gradient steps, the most allowed"

    def _next_rate(self) -> None:
        self.learner, self._stale, self._mark = self.best, 0, self._best_score
        if len(self._rates) == 1:
            idle = self.settings.patience * self.settings.check
            self.stop = f"no better imagined return in {idle} gradient steps at the lowest rate"
        else:
            self._rates.pop(0)


def _total(asked: Any) -> int:
    """Gold labels asked for, of a tree of counts."""
    return sum(int(count) for count in jax.tree.leaves(asked))


def _not_drawn(key: PRNGKey) -> State:
    """Stands for initial states in compiled programs, which then need not be compiled again when
    data come in.
    """
    raise LookupError("imagined rollouts start in given states")


def _starts(initial: np.ndarray, visited: np.ndarray, key: PRNGKey) -> Starts:
    """Starts of a size that does not depend on how much data there is; looks take turns through
    initial states.
    """
    for name, states in (("initial", initial), ("visited", visited)):
        if not len(states):
            raise checks.BadData(
                f"there are no {name} states to imagine from; at least one is needed."
            )
    random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    first, second = (
        _sized(rows, n, random) for rows, n in ((initial, _INITIAL), (visited, _VISITED))
    )
    return Starts(first, second)


def _sized(states: np.ndarray, size: int, random: np.random.Generator) -> jax.Array:
    """`size` of the states in random order, each as often as another, give or take one."""
    order = np.concatenate(
        [random.permutation(len(states)) for _ in range(-(-size // len(states)))]
    )
    return jnp.asarray(np.asarray(states, np.float32)[order[:size]])


def _training(search: _Search, task: Task) -> Training:
    looks, settings = search.looks, task.settings
    by_look = (
        settings.check * settings.rollouts * task.horizon + 2 * LOOKS * task.world.spec.horizon
    )
    return Training(
        step=tuple((i + 1) * settings.check for i in range(len(looks))),
        imagined_return=tuple(look.imagined_return for look in looks),
        entropy=tuple(look.entropy for look in looks),
        imagined_steps=len(looks) * by_look + UNIT_ROLLOUTS * task.horizon,
        edge_share=looks[-1].edge_share,
        horizon=task.horizon,
        weighting=settings.weighting,
        baseline=settings.baseline,
        stop=search.stop or "",
        labels_during_imagination=search.labels,
    )
