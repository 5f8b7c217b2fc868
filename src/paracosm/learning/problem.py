"""One part of the world as a supervised problem: its rows, its fit and its held-out error."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.core import checks, estimators
from paracosm.core.data import RewardLabels, Transitions
from paracosm.core.keys import numpy_random
from paracosm.core.mdp import Discrete, Spec
from paracosm.core.networks import MLP, rescaled, restandardised
from paracosm.core.records import Part, PartFit
from paracosm.core.types import Array, PRNGKey
from paracosm.learning.fit import Fitted, Loss, Network, Rows, fit, pad
from paracosm.learning.limits import limits_of, steps_moved_to
from paracosm.learning.relations import relations_among
from paracosm.learning.scaling import Scaling, not_zero, standard
from paracosm.learning.settings import FitSettings, LearnSettings
from paracosm.learning.splits import Split, split

UNITS: dict[Part, str] = {
    "dynamics": "root mean square norm of the error in scaled states",
    "reward": "root mean square error of the reward",
    "termination": "share of steps called wrongly",
}


class Wrapping(NamedTuple):
    """What is fitted in place of the networks themselves.

    Attributes:
        wrap: From untrained networks and the scaling of the targets to what is fitted.
        unwrap: From what was fitted to the networks that `FitProblem.build` gets.
    """

    wrap: Callable[[MLP, Scaling], Any]
    unwrap: Callable[[Any], Any]


class FitProblem(NamedTuple):
    """What a part is learned from, and how its networks become the part.

    Attributes:
        part: Which part.
        rows: The steps it is learned from.
        targets: What the networks predict, `[rows, outputs]`.
        baseline_targets: What the constant predictor, to which the part is compared, predicts,
            `[rows, outputs]`.
        error_unit: What errors are divided by, `[outputs]`.
        build: From the networks, and the centre and scale of their outputs, to the part.
        episode: Number of each row's episode, `[rows]`.
        probabilistic: Whether the networks learn the standard deviation of the targets too.
        restoring: Whether the networks lead states back to the surface on which the recorded ones
            lie; see `relations.py`.
        warm_start: A part of the same kind from whose networks the fit goes on; untrained ones are
            fitted if None.
        extra_inputs: Inputs besides the step, `[rows, _]`.
        wrapping: What is fitted in place of the networks; they themselves if None.
        split: Which rows are fitted, validate and are held out; drawn if None.
    """

    part: Part
    rows: Transitions | RewardLabels
    targets: np.ndarray
    baseline_targets: np.ndarray
    error_unit: np.ndarray
    build: Callable[[Any, Array, Array], Any]
    episode: np.ndarray
    probabilistic: bool = False
    restoring: bool = False
    warm_start: Any = None
    extra_inputs: np.ndarray | None = None
    wrapping: Wrapping | None = None
    split: Split | None = None

    @property
    def loss(self) -> Loss:
        """What the networks minimise."""
        if self.probabilistic:
            return "gaussian"
        return "logistic" if self.part == "termination" else "squared"

    @property
    def outputs(self) -> int:
        """How many outputs a network has: a mean for each target, and its `log σ²` if learned."""
        return self.targets.shape[1] * (2 if self.probabilistic else 1)

    def error(self, predicted: np.ndarray, actual: np.ndarray) -> Float[np.ndarray, "*member rows"]:
        """Squared error of each row, or 1 where an end is called wrongly (a prediction is a
        logit).
        """
        if self.loss == "logistic":
            return np.mean((predicted > 0) != (actual > 0), axis=-1)
        return np.sum(((predicted - actual) / self.error_unit) ** 2, axis=-1)


def validation_capacity(capacity: int) -> int:
    """Validation or held-out rows to compile for, beside `capacity` training rows."""
    return max(16, capacity // 5)


def solve(
    problem: FitProblem, spec: Spec, key: PRNGKey, settings: LearnSettings
) -> tuple[Any, PartFit]:
    """The learned part, and how it was learned.

    Args:
        problem: What it is learned from.
        spec: The task.
        key: Randomness of the split, the weights and the rows drawn.
        settings: See `LearnSettings`.

    Raises:
        BadData: the fit does not stay finite.
    """
    row_split = problem.split or split(problem.episode, key, settings)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found below
        inputs = inputs_of_rows(problem, spec)
        prepared = prepare_fit(
            problem,
            inputs,
            row_split,
            spec,
            key=key,
            settings=settings.fit,
            capacity=settings.capacity,
        )
        result = fit(
            prepared.networks,
            prepared.train,
            prepared.validation,
            prepared.keys,
            loss=problem.loss,
            settings=settings.fit,
        )
        fitted = jax.tree.map(np.asarray, result)
        networks = fitted.networks
        if problem.wrapping is not None:
            networks = problem.wrapping.unwrap(networks)
        capacity = validation_capacity(settings.capacity)
        outputs = predict(networks, inputs[row_split.held_out], capacity)
        center, scale = prepared.output_scaling
        predicted = center + scale * outputs[..., : problem.targets.shape[1]]
    if not (np.isfinite(predicted).all() and np.isfinite(fitted.losses).any(axis=1).all()):
        raise checks.BadData(
            f"the fit of the {problem.part} diverged; its targets reach from"
            f" {problem.targets.min():.3g} to"
            f" {problem.targets.max():.3g}, which 32 bits must be able to hold."
        )
    part = problem.build(networks, jnp.asarray(center), jnp.asarray(scale))
    return part, _part_fit(problem, row_split, predicted, fitted)


def _scaling_of_targets(problem: FitProblem, train: np.ndarray) -> Scaling:
    """Mean and standard deviation of the targets of the rows `train`; logits stay as they are."""
    scaling = standard(problem.targets[train])
    if problem.loss == "logistic":
        return Scaling(0 * scaling.center, 0 * scaling.scale + 1)
    return scaling


def inputs_of_rows(problem: FitProblem, spec: Spec) -> Float[np.ndarray, "rows inputs"]:
    """State, encoded action and, except for the dynamics, the next state, as `inputs_of` gives them
    to a network, then the problem's extra inputs.
    """
    rows, space = problem.rows, spec.action
    if isinstance(space, Discrete):
        action = np.eye(space.n)[rows.action]
    else:
        low, high = np.asarray(space.low), np.asarray(space.high)
        action = (2 * np.asarray(rows.action) - (high + low)) / (high - low)
    next_state = [] if problem.part == "dynamics" else [rows.next_state]
    extra = [] if problem.extra_inputs is None else [problem.extra_inputs]
    return np.concatenate([rows.state, action, *next_state, *extra], axis=1, dtype=np.float32)


class PreparedFit(NamedTuple):
    """All that the fit of an ensemble takes, and what its outputs mean.

    Attributes:
        networks: Before the fit, `[member, …]`.
        train, validation: Rows to fit, and rows whose loss says when to stop.
        keys: Randomness of each member's fit, `[member]`.
        output_scaling: Centre and scale of what the networks give, `[outputs]`.
    """

    networks: Network
    train: Rows
    validation: Rows
    keys: jax.Array
    output_scaling: Scaling


def prepare_fit(
    problem: FitProblem,
    inputs: np.ndarray,
    row_split: Split,
    spec: Spec,
    *,
    key: PRNGKey,
    settings: FitSettings,
    capacity: int = 16,
    validation_rows: int = 0,
) -> PreparedFit:
    """Networks on standardised states and targets; actions are encoded already.

    Args:
        problem: What a part is learned from.
        inputs: The inputs of all its rows, `[rows, inputs]`.
        row_split: Which rows are for training and validation.
        spec: The task.
        key: Randomness of the weights and of the fits.
        settings: The ensemble's sizes.
        capacity: Training rows to compile for; see `pad`.
        validation_rows: Validation rows to compile for, where they are more than the share of
            `capacity` that `validation_capacity` gives.
    """
    output_scaling = _scaling_of_targets(problem, row_split.train)
    center, scale = standard(inputs[row_split.train])
    actions = slice(spec.state_size, spec.state_size + spec.action.size)
    center[actions], scale[actions] = 0, 1
    if problem.extra_inputs is not None:
        flags = slice(-problem.extra_inputs.shape[1], None)
        center[flags], scale[flags] = 0, 1
    targets = (problem.targets - output_scaling.center) / not_zero(output_scaling.scale)
    input_scaling = Scaling(center, not_zero(scale))
    networks, keys = _init_networks(key, input_scaling, problem.outputs, settings)
    if problem.warm_start is not None:
        networks = _warm_networks(problem, networks, output_scaling)
    if problem.wrapping is not None:
        output_scaling = Scaling(output_scaling.center, not_zero(output_scaling.scale))
        networks = problem.wrapping.wrap(networks, output_scaling)
    train, train_capacity = (inputs[row_split.train], targets[row_split.train]), capacity
    if problem.restoring:
        train = _add_moved_states(problem, row_split.train, train, output_scaling, key)
        train_capacity = 2 * capacity
    if problem.part == "termination":
        train = _add_steps_at_limits(problem, row_split.train, train, key)
        train_capacity = 2 * capacity
    return PreparedFit(
        networks,
        train=pad(*train, train_capacity),
        validation=pad(
            inputs[row_split.validation],
            targets[row_split.validation],
            max(validation_capacity(capacity), validation_rows),
        ),
        keys=keys,
        output_scaling=output_scaling,
    )


def _add_moved_states(
    problem: FitProblem,
    train: np.ndarray,
    inputs_and_targets: tuple[np.ndarray, np.ndarray],
    output_scaling: Scaling,
    key: PRNGKey,
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets to train on, each row twice if states are related: as it is, and with the
    state moved off the surface that the relations describe, with the same next state.

    Args:
        problem: The problem of the dynamics.
        train: Which rows these are.
        inputs_and_targets: Those of these rows, the targets in units of `output_scaling`.
        output_scaling: Centre and scale of a step's change.
        key: Randomness of the moves.
    """
    inputs, targets = inputs_and_targets
    states = np.asarray(problem.rows.state[train], np.float64)
    relations = relations_among(states)
    if not len(relations.linear):
        return inputs_and_targets
    moves = relations.moves(states, output_scaling.scale, numpy_random(jax.random.fold_in(key, 1)))
    moved = inputs.copy()
    moved[:, : states.shape[1]] += moves
    back = targets - moves / not_zero(output_scaling.scale)
    return np.concatenate([inputs, moved]), np.concatenate([targets, back])


def _add_steps_at_limits(
    problem: FitProblem,
    train: np.ndarray,
    inputs_and_targets: tuple[np.ndarray, np.ndarray],
    key: PRNGKey,
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets to train on, and where limits explain the ends, steps on either side of
    these.

    Args:
        problem: The problem of the end rule.
        train: Which rows these are.
        inputs_and_targets: Those of these rows.
        key: Randomness of the moves.
    """
    inputs, targets = inputs_and_targets
    goes_on = targets[:, 0] == 0
    columns = (problem.rows.state, problem.rows.next_state)
    state, next_state = (np.asarray(column[train], np.float64) for column in columns)
    limits = limits_of(next_state, ~goes_on)
    if not limits:
        return inputs_and_targets
    random = numpy_random(jax.random.fold_in(key, 1))
    state, next_state, ends = steps_moved_to(limits, state[goes_on], next_state[goes_on], random)
    moved, size = inputs[goes_on], state.shape[1]
    moved[:, :size], moved[:, -size:] = state, next_state
    return np.concatenate([inputs, moved]), np.concatenate([targets, ends[:, None]])


@eqx.filter_jit
def _init_networks(
    key: PRNGKey, input_scaling: Scaling, outputs: int, settings: FitSettings
) -> tuple[MLP, jax.Array]:
    """Untrained networks and the keys of their fits.

    Args:
        key: Randomness.
        input_scaling: Centre and scale of the inputs.
        outputs: How many outputs a network has.
        settings: The ensemble's sizes.
    """
    for_weights, for_rows = jax.random.split(key)

    def member(key: PRNGKey) -> MLP:
        center, scale = input_scaling
        return MLP(
            len(center), outputs, settings.width, settings.depth, key, center=center, scale=scale
        )

    networks = eqx.filter_vmap(member)(jax.random.split(for_weights, settings.members))
    return networks, jax.random.split(for_rows, settings.members)


def _warm_networks(problem: FitProblem, untrained: MLP, output_scaling: Scaling) -> MLP:
    """The networks of the warm start, which give the same answers in the new units; the untrained
    ones where theirs are of another size.
    """
    part = problem.warm_start
    networks: MLP = part.networks
    if [leaf.shape for leaf in jax.tree.leaves(networks)] != [
        leaf.shape for leaf in jax.tree.leaves(untrained)
    ]:
        return untrained
    ones = np.ones(problem.targets.shape[1], np.float32)
    if problem.loss == "logistic":
        center, scale = 0 * ones, ones
    else:
        center, scale = (np.atleast_1d(np.asarray(unit)) for unit in (part.center, part.scale))
    unit = not_zero(output_scaling.scale)
    factor, shift = scale / unit, (center - output_scaling.center) / unit
    if problem.probabilistic:  # log σ² changes by the square of the unit
        log_shift = 2 * np.log(np.where(scale == 0, 1, scale) / unit)
        factor, shift = np.concatenate([factor, ones]), np.concatenate([shift, log_shift])
    return _change_units(networks, untrained, factor, shift)


@eqx.filter_jit
def _change_units(networks: MLP, untrained: MLP, factor: Array, shift: Array) -> MLP:
    """`factor * network + shift` of each network, with the constants of the untrained ones for its
    inputs.

    Args:
        networks, untrained: `[member, …]`.
        factor, shift: `[outputs]`.
    """

    def change(network: MLP, fresh: MLP) -> MLP:
        return rescaled(restandardised(network, fresh.center, fresh.scale), factor, shift)

    return eqx.filter_vmap(change)(networks, untrained)


def predict(
    networks: Network, inputs: np.ndarray, capacity: int = 16
) -> Float[np.ndarray, "member rows outputs"]:
    """What each of `networks` gives for `inputs`, in its own units; `capacity` as in `pad`."""
    rows = pad(inputs, np.zeros((len(inputs), 1)), capacity)
    return np.asarray(_predict_rows(networks, rows.inputs))[:, : len(inputs)]


@eqx.filter_jit
def _predict_rows(networks: Network, inputs: Array) -> Array:
    return eqx.filter_vmap(lambda network: jax.vmap(network)(inputs))(networks)


def _part_fit(
    problem: FitProblem, row_split: Split, predicted: np.ndarray, fitted: Fitted
) -> PartFit:
    """How well the part predicts rows that were held out.

    Args:
        problem, row_split: What was learned, and the split of its rows.
        predicted: Targets of the held-out rows as each member has them, `[member, rows, outputs]`.
        fitted: The ensemble and its validation losses.
    """
    actual = problem.targets[row_split.held_out]
    constant = problem.baseline_targets[row_split.train].mean(axis=0)
    of_constant = problem.error(constant, problem.baseline_targets[row_split.held_out])
    share = partial(estimators.mean, bounds=(0, 1))  # an end called wrongly is 1, any other row 0
    summary = share if problem.loss == "logistic" else estimators.root_mean_square
    epochs = tuple(map(int, fitted.epochs))
    return PartFit(
        part=problem.part,
        origin="learned",
        rows=len(problem.targets),
        held_out=len(actual),
        error=summary(problem.error(predicted.mean(axis=0), actual)),
        members=tuple(summary(errors).mean for errors in problem.error(predicted, actual)),
        baseline=summary(of_constant).mean,
        unit=UNITS[problem.part],
        epochs=epochs,
        curve=tuple(np.nanmean(np.asarray(fitted.losses)[:, : min(epochs)], axis=0).tolist()),
    )
