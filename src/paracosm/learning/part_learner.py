"""Part learners: what fits one part of a world to bought data.

Two compositions. Smaller dynamics than the settings' own beside a known reward:

    small = EnsembleDynamics(LearnSettings(fit=FitSettings(width=16)))
    learn(data, spec, parts={"dynamics": small, "reward": Known("reward", reward)})

A part learner of one's own, here one that predicts that nothing moves:

    class Still(PartLearner):
        def fit(self, data, spec, key):
            fit = PartFit(part="dynamics", origin="learned", rows=len(data.transitions),
                          held_out=0, error=None, members=(), baseline=None,
                          unit="root mean square norm of the error in scaled states",
                          epochs=(), curve=())
            return lambda state, action, key: state, fit

    learn(data, spec, parts={"dynamics": Still()})
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from paracosm.core.data import Dataset, RewardLabels
from paracosm.core.keys import stage_key
from paracosm.core.mdp import Domain, Spec, never
from paracosm.core.networks import MLP
from paracosm.core.noise import LabelNoise, mislabelled
from paracosm.core.records import Part, PartFit
from paracosm.core.types import Array, PRNGKey
from paracosm.learning.parts import (
    Constant,
    GaussianDynamics,
    LearnedDynamics,
    LearnedReward,
    LearnedTermination,
    RewardWithEnds,
)
from paracosm.learning.problem import UNITS, FitProblem, solve
from paracosm.learning.scaling import standard
from paracosm.learning.settings import LearnSettings
from paracosm.learning.splits import Split


class PartLearner(eqx.Module):
    """Fits one part of a world: dynamics, reward or termination."""

    @abc.abstractmethod
    def fit(self, data: Dataset, spec: Spec, key: PRNGKey) -> tuple[Callable[..., Any], PartFit]:
        """The part, as an `MDP` takes it, and how it was fitted."""


class EnsembleDynamics(PartLearner):
    """An ensemble of networks for the change of state, from bought transitions.

    Attributes:
        settings: Settings of the fit.
        before: Dynamics from which the networks go on, such as those of the round before; they
            start untrained if there are none, or of another size.
        split: Which rows are fitted and which held out; drawn if None.
    """

    settings: LearnSettings = eqx.field(static=True, default_factory=LearnSettings)
    before: Any = None
    split: Split | None = None

    def fit(self, data: Dataset, spec: Spec, key: PRNGKey) -> tuple[Callable[..., Any], PartFit]:
        problem = dynamics_problem(data, spec, self.settings.margin)
        if self.settings.probabilistic:
            problem = _with_spread(problem, spec)
        problem = problem._replace(
            restoring=self.settings.restoring,
            warm_start=_if_of_kind(self.before, (LearnedDynamics, GaussianDynamics)),
            split=self.split,
        )
        return solve(problem, spec, key, self.settings)


class EnsembleReward(PartLearner):
    """An ensemble of networks for the reward, from bought labels; a constant if all are the same.

    Attributes:
        settings: Settings of the fit.
        noise: Noise on the labels, the same on a label in every round of a seed.
        seed: Randomness of that noise.
        before: A reward from which the networks go on; see `EnsembleDynamics`.
        ends: A learned rule of ends, on whose steps the reward may be another one. Which rows ended
            is recorded, and the rule is asked only where a label was bought alone: a goal that the
            rule misses would teach its reward to steps that go on. The held-out error is of rows
            whose ends are known; what the rule's own errors cost is not in it. Without a labelled
            end there is no such reward.
        split: See `EnsembleDynamics`.
    """

    settings: LearnSettings = eqx.field(static=True, default_factory=LearnSettings)
    noise: LabelNoise | None = None
    seed: int = eqx.field(static=True, default=0)
    before: Any = None
    ends: Any = None
    split: Split | None = None

    def fit(self, data: Dataset, spec: Spec, key: PRNGKey) -> tuple[Callable[..., Any], PartFit]:
        problem = reward_problem(self._labels(data), data.episode[data.has_label], spec)
        reward = problem.targets[:, 0]
        if np.ptp(reward) == 0:
            value = Constant(jnp.asarray(reward[0], jnp.float32))
            return value, describe_unfitted("reward", "constant", len(reward))
        kind = LearnedReward
        if isinstance(self.ends, LearnedTermination):
            ended = _ended(data, self.ends, self.settings.capacity)
            if ended.any():
                kind = RewardWithEnds
                problem = _with_ends(problem, self.ends, spec, ended)
        problem = problem._replace(warm_start=_if_of_kind(self.before, kind), split=self.split)
        return solve(problem, spec, key, self.settings)

    def _labels(self, data: Dataset) -> RewardLabels:
        if self.noise is None:
            return data.labels
        return mislabelled(data.labels, self.noise, stage_key(self.seed, "label noise"))


class EnsembleTermination(PartLearner):
    """An ensemble of networks for the end rule; if no bought transition ends, nothing ever does.

    Where limits of single components explain all ends, the networks are fitted to steps on either
    side of these too; see `learning/limits.py`.

    Attributes:
        settings: Settings of the fit.
        before: A rule from which the networks go on; see `EnsembleDynamics`.
        split: See `EnsembleDynamics`.
    """

    settings: LearnSettings = eqx.field(static=True, default_factory=LearnSettings)
    before: Any = None
    split: Split | None = None

    def fit(self, data: Dataset, spec: Spec, key: PRNGKey) -> tuple[Callable[..., Any], PartFit]:
        rows = data.transitions
        if not rows.ended.any():
            return never, describe_unfitted("termination", "constant", len(rows))
        ended = np.asarray(rows.ended, np.float64)[:, None]

        def build(networks: MLP, center: Array, scale: Array) -> LearnedTermination:
            return LearnedTermination(networks, spec.action)

        problem = FitProblem(
            part="termination",
            rows=rows,
            targets=ended,
            baseline_targets=ended - 0.5,  # as logits, of which one above 0 means an end
            error_unit=np.ones(1),
            build=build,
            episode=data.episode[data.has_transition],
            warm_start=_if_of_kind(self.before, LearnedTermination),
            split=self.split,
        )
        return solve(problem, spec, key, self.settings)


class Known(PartLearner):
    """A reward or an end rule that is given: nothing is fitted."""

    part: Part = eqx.field(static=True)
    function: Callable[..., Any]

    def fit(self, data: Dataset, spec: Spec, key: PRNGKey) -> tuple[Callable[..., Any], PartFit]:
        rows = data.labels if self.part == "reward" else data.transitions
        return self.function, describe_unfitted(self.part, "known", len(rows))


def _if_of_kind(before: Any, kinds: Any) -> Any:
    """The part to go on from if it is of one of these kinds, else None."""
    return before if isinstance(before, kinds) else None


def _with_spread(problem: FitProblem, spec: Spec) -> FitProblem:
    """The problem of the dynamics, whose networks learn the standard deviation too."""
    deterministic = problem.build

    def build(networks: MLP, center: Array, scale: Array) -> GaussianDynamics:
        domain = deterministic(networks, center, scale).domain
        return GaussianDynamics(networks, spec.action, center, scale, domain)

    return problem._replace(build=build, probabilistic=True)


@eqx.filter_jit
def _ending_steps(
    ends: LearnedTermination, state: Array, action: Array, next_state: Array
) -> Array:
    """Which steps end their episodes, `[rows]`.

    Args:
        ends: The rule of ends.
        state, action, next_state: The steps, `[rows, …]`.
    """
    return jax.vmap(ends)(state, action, next_state)


def _ended(data: Dataset, ends: LearnedTermination, capacity: int) -> np.ndarray:
    """Which labelled rows ended their episodes, `[labels]`: as recorded where the transition was
    bought too, else by the rule.

    Args:
        data: What was bought.
        ends: The rule.
        capacity: Rows to compile for.
    """
    recorded, ended = data.has_transition[data.has_label], data.terminated[data.has_label]
    if recorded.all():
        return ended
    rows = data.labels
    more = max(capacity - len(rows), 0)
    filled = (
        np.concatenate([column, np.zeros((more, *column.shape[1:]), column.dtype)])
        for column in map(np.asarray, (rows.state, rows.action, rows.next_state))
    )
    return np.where(recorded, ended, np.asarray(_ending_steps(ends, *filled))[: len(rows)])


def _with_ends(
    problem: FitProblem, ends: LearnedTermination, spec: Spec, ended: np.ndarray
) -> FitProblem:
    """The problem of the reward with another input: whether the step ends the episode.

    Args:
        problem: The problem of the reward.
        ends: The rule of ends that the learned reward goes by.
        spec: The task.
        ended: Which rows ended their episodes, `[rows]`.
    """

    def build(networks: MLP, center: Array, scale: Array) -> RewardWithEnds:
        return RewardWithEnds(networks, spec.action, center[0], scale[0], ends)

    return problem._replace(build=build, extra_inputs=ended[:, None].astype(np.float32))


def describe_unfitted(part: Part, origin: Literal["known", "constant"], rows: int) -> PartFit:
    """The record of a part without a fit, for which there are so many rows."""
    return PartFit(
        part=part,
        origin=origin,
        rows=rows,
        held_out=0,
        error=None,
        members=(),
        baseline=None,
        unit=UNITS[part],
        epochs=(),
        curve=(),
    )


def dynamics_problem(data: Dataset, spec: Spec, margin: float) -> FitProblem:
    """The change of state, to be learned from the transitions of `data`; `margin` as in
    `LearnSettings`.
    """
    rows = data.transitions
    domain = _domain(np.concatenate([rows.state, rows.next_state]), margin)

    def build(networks: MLP, center: Array, scale: Array) -> LearnedDynamics:
        return LearnedDynamics(networks, spec.action, center, scale, domain)

    next_state = np.asarray(rows.next_state, np.float64)
    return FitProblem(
        part="dynamics",
        rows=rows,
        targets=next_state - rows.state,
        baseline_targets=next_state,
        error_unit=np.asarray(spec.state_scale),
        build=build,
        episode=data.episode[data.has_transition],
    )


def reward_problem(rows: RewardLabels, episode: np.ndarray, spec: Spec) -> FitProblem:
    """The reward, to be learned from `rows`, whose episodes have the numbers `episode`."""
    reward = np.asarray(rows.reward, np.float64)[:, None]

    def build(networks: MLP, center: Array, scale: Array) -> LearnedReward:
        return LearnedReward(networks, spec.action, center[0], scale[0])

    return FitProblem(
        part="reward",
        rows=rows,
        targets=reward,
        baseline_targets=reward,
        error_unit=np.ones(1),
        build=build,
        episode=episode,
    )


def _domain(states: np.ndarray, margin: float) -> Domain:
    """The box of the states, `margin` of their range wider; no bound where they do not vary."""
    low, high = states.min(axis=0), states.max(axis=0)
    reach = np.where(standard(states).scale > 0, margin * (high - low), np.inf)
    return Domain(jnp.asarray(low - reach, jnp.float32), jnp.asarray(high + reach, jnp.float32))
