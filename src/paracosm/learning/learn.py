"""From bought data to a learned world: dynamics, reward and termination, each from its own data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from paracosm.core import checks, estimators
from paracosm.core.data import Dataset, RewardLabels, Transitions
from paracosm.core.keys import stage_key
from paracosm.core.mdp import MDP, Discrete, Domain, Spec, never
from paracosm.core.networks import MLP
from paracosm.core.records import Estimate, PartFit
from paracosm.core.types import Array, PRNGKey
from paracosm.learning.fit import FitSettings, Fitted, Loss, fit, pad
from paracosm.learning.parts import Constant, LearnedDynamics, LearnedReward, LearnedTermination, Starts

_LEAST_ROWS = 10


class Learned(NamedTuple):
    """A learned world and how each of its parts was learned."""

    world: MDP
    fits: dict[str, PartFit]


@dataclasses.dataclass(frozen=True)
class LearnSettings:
    """How a world is learned from data.

    Attributes:
        fit: Settings of every part's fit.
        validation, held_out: Shares of a part's rows that stop its training and that measure its error.
        margin: How far the domain of imagined states reaches beyond the data, in parts of their range.
    """

    fit: FitSettings = FitSettings()
    validation: float = 0.1
    held_out: float = 0.1
    margin: float = 0.05


def learn(
    data: Dataset,
    spec: Spec,
    *,
    discount: float = 0.99,
    seed: int = 0,
    round: int = 0,
    reward: Callable | None = None,
    termination: Callable | None = None,
    settings: LearnSettings = LearnSettings(),
) -> Learned:
    """Learn a world from bought transitions and reward labels.

    The dynamics and the end rule see the transitions only, the reward the labels only. A known `reward(s, a, s')`
    or `termination(s, a, s')` can be given instead of learned. A task whose data hold no end never ends.

    Raises:
        BadData: with fewer than 10 transitions, or fewer than 10 labels and no known reward.
    """
    transitions, labels = data.transitions, data.labels
    _require_rows("transitions", len(transitions))
    dynamics, dynamics_fit = _learn_dynamics(transitions, spec, stage_key(seed, "dynamics", round), settings)
    ends, end_fit = _learn_termination(transitions, spec, stage_key(seed, "termination", round), settings, termination)
    rewards, reward_fit = _learn_reward(labels, spec, stage_key(seed, "reward", round), settings, reward)
    world = MDP(spec, dynamics, rewards, ends, Starts(jnp.asarray(data.initial)), discount, dynamics.domain)
    return Learned(world, {"dynamics": dynamics_fit, "reward": reward_fit, "termination": end_fit})


def _require_rows(what: str, rows: int) -> None:
    if rows < _LEAST_ROWS:
        raise checks.BadData(f"the data hold {rows} {what}; at least {_LEAST_ROWS} are needed to learn from them.")


class _Split(NamedTuple):
    train: np.ndarray
    validation: np.ndarray
    held_out: np.ndarray


def _split(rows: int, key: PRNGKey, settings: LearnSettings) -> _Split:
    order = np.asarray(jax.random.permutation(jax.random.fold_in(key, 1), rows))
    held, validation = (max(1, round(share * rows)) for share in (settings.held_out, settings.validation))
    return _Split(order[held + validation :], order[held : held + validation], order[:held])


def _scale(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation by column; a column that does not vary keeps its unit."""
    center, spread = values.mean(axis=0), values.std(axis=0)
    flat = spread <= 1e-6 * np.maximum(np.abs(center), 1e-6)
    return center.astype(np.float32), np.where(flat, 1, spread).astype(np.float32)


def _inputs(spec: Spec, rows: Transitions | RewardLabels, with_next: bool) -> np.ndarray:
    if isinstance(spec.action, Discrete):
        action = np.eye(spec.action.n)[rows.action]
    else:
        low, high = np.asarray(spec.action.low), np.asarray(spec.action.high)
        action = (2 * np.asarray(rows.action) - (high + low)) / (high - low)
    next_state = [rows.next_state] if with_next else []
    return np.concatenate([rows.state, action, *next_state], axis=1, dtype=np.float32)


def _fit_ensemble(
    inputs: np.ndarray,
    targets: np.ndarray,
    actions: slice,
    split: _Split,
    key: PRNGKey,
    loss: Loss,
    settings: FitSettings,
) -> Fitted:
    center, scale = _scale(inputs[split.train])
    center[actions], scale[actions] = 0, 1
    for_weights, for_order = jax.random.split(key)

    networks = _start(for_weights, settings, targets.shape[1], center, scale)
    train, validation = (pad(inputs[rows], targets[rows]) for rows in (split.train, split.validation))
    return fit(networks, train, validation, jax.random.split(for_order, settings.members), loss, settings)


@eqx.filter_jit
def _start(key: PRNGKey, settings: FitSettings, outputs: int, center: np.ndarray, scale: np.ndarray) -> MLP:
    def one(key: PRNGKey) -> MLP:
        return MLP(len(center), outputs, settings.width, settings.depth, key, center=center, scale=scale)

    return eqx.filter_vmap(one)(jax.random.split(key, settings.members))


@eqx.filter_jit
def _each_member(part: LearnedDynamics | LearnedReward | LearnedTermination, *columns: Array) -> Array:
    """Each member's prediction on each row, `[member, rows, …]`."""
    return jnp.swapaxes(jax.vmap(part.members)(*columns), 0, 1)


def _learn_dynamics(
    rows: Transitions, spec: Spec, key: PRNGKey, settings: LearnSettings
) -> tuple[LearnedDynamics, PartFit]:
    split = _split(len(rows), key, settings)
    change = np.asarray(rows.next_state, np.float64) - rows.state
    center, scale = _scale(change[split.train])
    inputs = _inputs(spec, rows, with_next=False)
    fitted = _fit_ensemble(
        inputs, (change - center) / scale, _action_columns(spec), split, key, "squared", settings.fit
    )
    seen = np.concatenate([rows.state, rows.next_state])
    low, high = seen.min(axis=0), seen.max(axis=0)
    reach = settings.margin * (high - low) + 1e-6
    domain = Domain(jnp.asarray(low - reach), jnp.asarray(high + reach))
    part = LearnedDynamics(fitted.networks, spec.action, jnp.asarray(center), jnp.asarray(scale), domain)

    held = jax.tree.map(lambda column: column[split.held_out], rows)
    by_member = np.asarray(_each_member(part, held.state, held.action))
    clipped = np.clip(by_member.mean(axis=0), domain.low, domain.high)

    def squared(predicted: np.ndarray) -> np.ndarray:
        return np.sum(((predicted - held.next_state) / spec.state_scale) ** 2, axis=-1)

    squares, members = squared(clipped), np.sqrt(squared(by_member).mean(axis=1))
    baseline = float(np.sqrt(squared(rows.next_state[split.train].mean(axis=0)).mean()))
    unit = "root mean square norm of the error in scaled states"
    return part, _part_fit("dynamics", len(rows), squares, members, baseline, unit, fitted)


def _learn_reward(
    rows: RewardLabels, spec: Spec, key: PRNGKey, settings: LearnSettings, known: Callable | None
) -> tuple[Callable, PartFit]:
    unit = "root mean square error of the reward"
    if known is not None:
        return known, _given("reward", "known", len(rows), unit)
    _require_rows("reward labels", len(rows))
    split = _split(len(rows), key, settings)
    targets = np.asarray(rows.reward, np.float64)[:, None]
    if np.ptp(targets) == 0:
        return Constant(jnp.asarray(targets[0, 0], jnp.float32)), _given("reward", "constant", len(rows), unit)
    center, scale = _scale(targets[split.train])
    inputs = _inputs(spec, rows, with_next=True)
    fitted = _fit_ensemble(
        inputs, (targets - center) / scale, _action_columns(spec), split, key, "squared", settings.fit
    )
    part = LearnedReward(fitted.networks, spec.action, jnp.asarray(center[0]), jnp.asarray(scale[0]))

    held = jax.tree.map(lambda column: column[split.held_out], rows)
    by_member = np.asarray(_each_member(part, held.state, held.action, held.next_state))
    squares = (by_member.mean(axis=0) - held.reward) ** 2
    members = np.sqrt(np.mean((by_member - held.reward) ** 2, axis=1))
    baseline = float(np.sqrt(np.mean((held.reward - center[0]) ** 2)))
    return part, _part_fit("reward", len(rows), squares, members, baseline, unit, fitted)


def _learn_termination(
    rows: Transitions, spec: Spec, key: PRNGKey, settings: LearnSettings, known: Callable | None
) -> tuple[Callable, PartFit]:
    unit = "share of steps called wrongly"
    if known is not None:
        return known, _given("termination", "known", len(rows), unit)
    split = _split(len(rows), key, settings)
    if not rows.ended[split.train].any():
        return never, _given("termination", "constant", len(rows), unit)
    targets = np.asarray(rows.ended, np.float32)[:, None]
    inputs = _inputs(spec, rows, with_next=True)
    fitted = _fit_ensemble(inputs, targets, _action_columns(spec), split, key, "logistic", settings.fit)
    part = LearnedTermination(fitted.networks, spec.action)

    held = jax.tree.map(lambda column: column[split.held_out], rows)
    by_member = np.asarray(_each_member(part, held.state, held.action, held.next_state))
    wrong = (by_member.mean(axis=0) > 0) != held.ended
    members = np.mean((by_member > 0) != held.ended, axis=1)
    share = float(np.mean(held.ended))
    return part, _part_fit("termination", len(rows), wrong, members, min(share, 1 - share), unit, fitted)


def _action_columns(spec: Spec) -> slice:
    return slice(spec.state_size, spec.state_size + spec.action.size)


def _given(part: str, origin: str, rows: int, unit: str) -> PartFit:
    return PartFit(part, origin, rows, 0, None, (), None, unit, (), ())


def _part_fit(
    part: str, rows: int, losses: np.ndarray, members: np.ndarray, baseline: float, unit: str, fitted: Fitted
) -> PartFit:
    """`losses` are squared errors by held-out row, or wrong calls for the end rule."""
    error: Estimate = estimators.mean(losses) if part == "termination" else estimators.root_mean_square(losses)
    epochs = tuple(int(n) for n in fitted.epochs)
    curve = np.nanmean(np.asarray(fitted.losses)[:, : min(epochs)], axis=0)
    return PartFit(
        part,
        "learned",
        rows,
        len(losses),
        error,
        tuple(map(float, members)),
        baseline,
        unit,
        epochs,
        tuple(map(float, curve)),
    )
