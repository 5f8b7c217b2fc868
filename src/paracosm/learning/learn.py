"""From bought data to a learned world: dynamics, reward and termination, each from its own data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from paracosm.core import checks
from paracosm.core.data import Dataset, RewardLabels
from paracosm.core.keys import stage_key
from paracosm.core.learned import Learned
from paracosm.core.mdp import MDP, Box, Discrete, Domain, Spec, never
from paracosm.core.networks import MLP
from paracosm.core.noise import LabelNoise, mislabelled
from paracosm.core.records import Part, PartFit
from paracosm.core.types import Array, PRNGKey
from paracosm.learning.parts import (
    Constant,
    LearnedDynamics,
    LearnedReward,
    LearnedTermination,
    Starts,
)
from paracosm.learning.problem import UNITS, Problem, solve, standard
from paracosm.learning.settings import LearnSettings

__all__ = ["LearnSettings", "Learned", "learn"]

_DEFAULT = LearnSettings()
# Of transitions or labels: with the default shares one row validates and one is held out.
LEAST_ROWS = 10


def learn(
    data: Dataset,
    spec: Spec,
    *,
    discount: float = 0.95,
    seed: int = 0,
    round: int = 0,
    reward: Callable | None = None,
    termination: Callable | None = None,
    settings: LearnSettings = _DEFAULT,
    label_noise: LabelNoise | None = None,
) -> Learned:
    """Learn a world from bought transitions and reward labels.

    The dynamics and the end rule see the transitions only, the reward the labels only. A task whose
    data hold no end never ends.

    Args:
        data: Real steps and what was bought of them.
        spec: The task; its state scale is the unit of the dynamics' error.
        discount: Of the learned world.
        seed, round: Randomness; each part has its own, so that one does not hang on another's data.
        reward, termination: Known `reward(s, a, s')` or `termination(s, a, s')`, used as they are
            instead of learned.
        settings: See `LearnSettings`.
        label_noise: Put on the bought labels before the reward is fitted, the same on a label in
            every round; its held-out error is then measured on noisy labels too.

    Raises:
        BadArgument: an argument of another kind.
        BadData: data of another task; fewer than 10 transitions, or fewer than 10 labels and no
            known reward; no bought row that starts an episode; a fit that diverges.
    """
    _check_kinds(
        data,
        spec,
        reward=reward,
        termination=termination,
        settings=settings,
        label_noise=label_noise,
    )
    checks.in_unit_interval("discount", discount)
    checks.seed("seed", seed)
    checks.count("round", round, 0)
    labels = data.labels
    require_learnable(data, spec.state_size, spec.action, known_reward=reward is not None)
    if label_noise is not None:
        labels = mislabelled(labels, label_noise, stage_key(seed, "label noise"))
    keys = {part: stage_key(seed, part, round) for part in UNITS}
    change = dynamics_problem(data, spec, settings.margin)
    dynamics, dynamics_fit = solve(change, spec, keys["dynamics"], settings)
    ends, end_fit = _termination(data, spec, keys["termination"], settings, termination)
    paid = reward_problem(labels, data.episode[data.has_label], spec)
    rewards, reward_fit = _reward(paid, spec, keys["reward"], settings, reward)
    world = MDP(
        spec, dynamics, rewards, ends, Starts(jnp.asarray(data.initial)), discount, dynamics.domain
    )
    return Learned(world, {"dynamics": dynamics_fit, "reward": reward_fit, "termination": end_fit})


def _check_kinds(
    data: Any, spec: Any, *, reward: Any, termination: Any, settings: Any, label_noise: Any
) -> None:
    """Require arguments of the right kinds.

    Args:
        data, spec, reward, termination, settings, label_noise: As in `learn`.
    """
    checks.of_kind("data", data, Dataset, "a Dataset, which collect gives,")
    checks.of_kind("spec", spec, Spec, "a Spec, which connect(env).spec(data) gives,")
    checks.of_kind("settings", settings, LearnSettings, "a LearnSettings")
    for name, part in (("reward", reward), ("termination", termination)):
        if part is not None:
            checks.function(name, part, "of (state, action, next_state), or None,")
    if label_noise is not None:
        checks.of_kind(
            "label_noise", label_noise, LabelNoise, "a LabelNoise of paracosm.noise, or None,"
        )


def dynamics_problem(data: Dataset, spec: Spec, margin: float) -> Problem:
    """The change of state, to be learned from the transitions of `data`; `margin` as in
    `LearnSettings`.
    """
    rows = data.transitions
    domain = _domain(np.concatenate([rows.state, rows.next_state]), margin)

    def build(networks: MLP, center: Array, scale: Array) -> LearnedDynamics:
        return LearnedDynamics(networks, spec.action, center, scale, domain)

    after = np.asarray(rows.next_state, np.float64)
    episode = data.episode[data.has_transition]
    return Problem(
        "dynamics", rows, after - rows.state, after, np.asarray(spec.state_scale), build, episode
    )


def reward_problem(rows: RewardLabels, episode: np.ndarray, spec: Spec) -> Problem:
    """The reward, to be learned from `rows`, which are of these episodes."""
    reward = np.asarray(rows.reward, np.float64)[:, None]

    def build(networks: MLP, center: Array, scale: Array) -> LearnedReward:
        return LearnedReward(networks, spec.action, center[0], scale[0])

    return Problem("reward", rows, reward, reward, np.ones(1), build, episode)


def _domain(states: np.ndarray, margin: float) -> Domain:
    """The box of the states, `margin` of their range wider; no bound where they do not vary."""
    low, high = states.min(axis=0), states.max(axis=0)
    reach = np.where(standard(states).scale > 0, margin * (high - low), np.inf)
    return Domain(jnp.asarray(low - reach, jnp.float32), jnp.asarray(high + reach, jnp.float32))


def _reward(
    problem: Problem, spec: Spec, key: PRNGKey, settings: LearnSettings, known: Callable | None
) -> tuple[Callable, PartFit]:
    """The reward and how it was learned.

    Args:
        problem: What it is learned from.
        spec, key, settings: As in `solve`.
        known: A reward that is used instead.
    """
    reward = problem.targets[:, 0]
    if known is not None:
        return known, _not_learned("reward", "known", len(reward))
    if np.ptp(reward) == 0:
        return Constant(jnp.asarray(reward[0], jnp.float32)), _not_learned(
            "reward", "constant", len(reward)
        )
    return solve(problem, spec, key, settings)


def _termination(
    data: Dataset, spec: Spec, key: PRNGKey, settings: LearnSettings, known: Callable | None
) -> tuple[Callable, PartFit]:
    """The end rule and how it was learned.

    Args:
        data: Whose transitions it is learned from.
        spec, key, settings: As in `solve`.
        known: A rule that is used instead.
    """
    rows = data.transitions
    if known is not None:
        return known, _not_learned("termination", "known", len(rows))
    if not rows.ended.any():
        return never, _not_learned("termination", "constant", len(rows))
    ended = np.asarray(rows.ended, np.float64)[:, None]

    def build(networks: MLP, center: Array, scale: Array) -> LearnedTermination:
        return LearnedTermination(networks, spec.action)

    episode = data.episode[data.has_transition]
    problem = Problem("termination", rows, ended, ended - 0.5, np.ones(1), build, episode)
    return solve(problem, spec, key, settings)


def require_learnable(
    data: Dataset, state_size: int, action: Box | Discrete, *, known_reward: bool
) -> None:
    """Require data of this task, and enough of them to learn a world from.

    Args:
        data: What was bought.
        state_size, action: Of the task.
        known_reward: Whether the reward needs no labels.

    Raises:
        BadData: fewer rows than `LEAST_ROWS`, data of another task, or no bought row that starts an
            episode.
    """
    _require_rows("transitions", len(data.transitions))
    if not known_reward:
        _require_rows("reward labels", len(data.labels))
    _require_task(data, state_size, action)


def _require_task(data: Dataset, state_size: int, action: Box | Discrete) -> None:
    """States and actions of the data are the task's."""
    if data.state.shape[1] != state_size:
        raise checks.BadData(
            f"the data's states have {data.state.shape[1]} components; the environment's have"
            f" {state_size}."
        )
    if isinstance(action, Discrete):
        fits = data.action.ndim == 1 and bool(np.all((data.action >= 0) & (data.action < action.n)))
        needed = f"whole numbers from 0 to {action.n - 1}"
    else:
        fits, needed = data.action.shape[1:] == (action.size,), f"rows of {action.size} numbers"
    if not fits:
        raise checks.BadData(f"the data's actions are not the environment's; {needed} are needed.")
    if not len(data.initial):
        raise checks.BadData(
            "no bought row starts an episode; imagination needs at least one initial state."
        )


def _require_rows(what: str, rows: int) -> None:
    if rows < LEAST_ROWS:
        raise checks.BadData(
            f"the data hold {rows} {what}; at least {LEAST_ROWS} are needed to learn from them."
        )


def _not_learned(part: Part, origin: Literal["known", "constant"], rows: int) -> PartFit:
    return PartFit(part, origin, rows, 0, None, (), None, UNITS[part], (), ())
