"""One part of the world as a supervised problem: its rows, its split, its fit and its held-out
error.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from paracosm.core import checks, estimators
from paracosm.core.data import RewardLabels, Transitions
from paracosm.core.keys import numpy_random
from paracosm.core.mdp import Discrete, Spec
from paracosm.core.networks import MLP, rescaled, restandardised
from paracosm.core.records import Part, PartFit
from paracosm.core.types import Array, PRNGKey
from paracosm.learning.fit import Fitted, Loss, Network, Rows, fit, pad
from paracosm.learning.relations import relations_among
from paracosm.learning.scaling import Scaling, not_zero, standard
from paracosm.learning.settings import FitSettings, LearnSettings

UNITS: dict[Part, str] = {
    "dynamics": "root mean square norm of the error in scaled states",
    "reward": "root mean square error of the reward",
    "termination": "share of steps called wrongly",
}


class Split(NamedTuple):
    """Row numbers."""

    train: np.ndarray
    validation: np.ndarray
    held_out: np.ndarray


class FitProblem(NamedTuple):
    """What a part is learned from, and how its networks become the part.

    `targets` and `plain` are `[rows, outputs]`: what the part predicts, and what the baseline takes
    for a constant. Errors are divided by `unit` (`[outputs]`). `build` gets the networks, and the
    centre and scale of their outputs. `episode` `[rows]` numbers the episode that a row is of.
    `spread` is whether the networks learn the spread of the targets too, and `restoring` whether
    they lead states back to the surface of the recorded ones; see `relations.py`. `before` is a
    part of the same kind from which the networks go on; `beside` `[rows, _]` holds inputs besides
    the step. `trained` makes of untrained networks, and the scaling of the targets, what is fitted
    in their place, and `settled` makes of what was fitted that what `build` gets. `split` says
    which rows are fitted and which held out; it is drawn if None.
    """

    part: Part
    rows: Transitions | RewardLabels
    targets: np.ndarray
    plain: np.ndarray
    unit: np.ndarray
    build: Callable[[MLP, Array, Array], Any]
    episode: np.ndarray
    spread: bool = False
    restoring: bool = False
    before: Any = None
    beside: np.ndarray | None = None
    trained: Callable[[MLP, Scaling], Any] | None = None
    settled: Callable[[Any], Any] | None = None
    split: Split | None = None

    @property
    def loss(self) -> Loss:
        """What the networks minimise."""
        if self.spread:
            return "gaussian"
        return "logistic" if self.part == "termination" else "squared"

    @property
    def outputs(self) -> int:
        """Of a network: a mean for each target, and its spread if that is learned."""
        return self.targets.shape[1] * (2 if self.spread else 1)

    def error(self, predicted: np.ndarray, actual: np.ndarray) -> Float[np.ndarray, "*member rows"]:
        """Squared error of each row, or 1 where an end is called wrongly (a prediction is a
        logit).
        """
        if self.loss == "logistic":
            return np.mean((predicted > 0) != (actual > 0), axis=-1)
        return np.sum(((predicted - actual) / self.unit) ** 2, axis=-1)


def split(episode: np.ndarray, key: PRNGKey, settings: LearnSettings) -> Split:
    """Rows into training, validation and held out.

    Args:
        episode: `[rows]`, the episode of each; rows of the same one stand together.
        key: Randomness.
        settings: The shares.
    """
    if settings.fit.keep == "last":
        return growing_split(episode, settings.held_out)
    return drawn_split(episode, key, settings)


def drawn_split(episode: np.ndarray, key: PRNGKey, settings: LearnSettings) -> Split:
    """Rows of whole episodes held out, the rest into training and validation at random."""
    random, rows = numpy_random(key), len(episode)
    held = held_out_rows(episode, settings.held_out, random)
    rest = random.permutation(np.setdiff1d(np.arange(rows), held))
    validation = max(1, round(settings.validation * rows))
    if len(rest) <= validation:
        raise checks.BadData(
            f"of {rows} rows {len(held)} are held out and {validation} are for validation, which"
            " leaves none to fit; more rows or smaller shares are needed."
        )
    return Split(rest[validation:], rest[:validation], held)


# Rows of a stretch of a growing split: enough for their ends, which have neighbours that are
# fitted, to be few of them.
_STRETCH = 20


def growing_split(episode: np.ndarray, share: float) -> Split:
    """A split that stays when rows come in: networks that go on from a fit to fewer rows have not
    seen those that are held out.

    Rows are cut into stretches of one episode each, and one in `1 / share` of these is held out;
    validation, which decides nothing here, sees the same rows.

    Args:
        episode: `[rows]`, the episode of each; rows of later purchases come last.
        share: Of the rows to hold out, about.
    """
    starts = np.flatnonzero(np.diff(episode, prepend=episode[:1] - 1))
    time = np.arange(len(episode)) - np.repeat(starts, np.diff(np.append(starts, len(episode))))
    stretch = np.cumsum(time % _STRETCH == 0) - 1
    every = max(2, round(1 / share)) if share else len(episode) + 1
    held = np.flatnonzero(stretch % every == min(every - 1, 1))
    if not len(held) or len(held) == len(episode):
        held = np.arange(len(episode))[-1:]
    return Split(np.setdiff1d(np.arange(len(episode)), held), held, held)


def held_out_rows(
    episode: np.ndarray, share: float, random: np.random.Generator
) -> Int[np.ndarray, " held"]:
    """Rows of whole episodes drawn at random, about a `share` of all: a row's neighbours in time
    tell what it holds.

    An episode longer than that share is cut into stretches no longer than it, which stand for
    episodes: so a single one can be split too, with no more than a stretch's two ends beside rows
    that are fitted.
    """
    number = max(1, round(share * len(episode)))
    starts = np.flatnonzero(np.diff(episode, prepend=episode[:1] - 1))
    lengths = np.diff(np.append(starts, len(episode)))
    along = np.arange(len(episode)) - np.repeat(starts, lengths)
    first = np.flatnonzero(along % number == 0)
    stretches = np.split(np.arange(len(episode)), first[1:])
    held: list[np.ndarray] = []
    missing = number
    for i in random.permutation(len(stretches)):
        if abs(missing - len(stretches[i])) < abs(missing):
            held.append(stretches[i])
            missing -= len(stretches[i])
    return np.concatenate(held)


def solve(
    problem: FitProblem, spec: Spec, key: PRNGKey, settings: LearnSettings
) -> tuple[Any, PartFit]:
    """The learned part, and how it was learned.

    Args:
        problem: What it is learned from.
        spec: The task.
        key: Of the split, the weights and the rows drawn.
        settings: See `LearnSettings`.

    Raises:
        BadData: if the fit does not stay finite.
    """
    rows = problem.split or split(problem.episode, key, settings)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found below
        inputs = inputs_of_rows(problem, spec)
        networks, train, validation, keys, outward = start(
            problem, inputs, rows, spec, key=key, settings=settings.fit, least=settings.capacity
        )
        result = fit(networks, train, validation, keys, loss=problem.loss, settings=settings.fit)
        fitted = jax.tree.map(np.asarray, result)
        settled = problem.settled
        networks = fitted.networks if settled is None else settled(fitted.networks)
        answers = predict(networks, inputs[rows.held_out], max(16, settings.capacity // 5))
        means = answers[..., : problem.targets.shape[1]]
        predicted = outward.center + outward.scale * means
    if not (np.isfinite(predicted).all() and np.isfinite(fitted.losses).any(axis=1).all()):
        raise checks.BadData(
            f"the fit of the {problem.part} diverged; its targets reach from"
            f" {problem.targets.min():.3g} to"
            f" {problem.targets.max():.3g}, which 32 bits must be able to hold."
        )
    part = problem.build(networks, jnp.asarray(outward.center), jnp.asarray(outward.scale))
    return part, _measured(problem, rows, predicted, fitted)


def _outward(problem: FitProblem, train: np.ndarray) -> Scaling:
    """Of the targets; logits stay as they are."""
    scaling = standard(problem.targets[train])
    if problem.loss == "logistic":
        return Scaling(0 * scaling.center, 0 * scaling.scale + 1)
    return scaling


def inputs_of_rows(problem: FitProblem, spec: Spec) -> Float[np.ndarray, "rows inputs"]:
    """State, encoded action and, except for the dynamics, the next state, as `inputs_of` gives them
    to a network.
    """
    rows, space = problem.rows, spec.action
    if isinstance(space, Discrete):
        action = np.eye(space.n)[rows.action]
    else:
        low, high = np.asarray(space.low), np.asarray(space.high)
        action = (2 * np.asarray(rows.action) - (high + low)) / (high - low)
    after = [] if problem.part == "dynamics" else [rows.next_state]
    beside = [] if problem.beside is None else [problem.beside]
    return np.concatenate([rows.state, action, *after, *beside], axis=1, dtype=np.float32)


class Start(NamedTuple):
    """An ensemble about to be fitted: untrained networks, rows, the keys of the fits, and the scale
    of its outputs.
    """

    networks: Network
    train: Rows
    validation: Rows
    keys: jax.Array
    outward: Scaling


def start(
    problem: FitProblem,
    inputs: np.ndarray,
    rows: Split,
    spec: Spec,
    *,
    key: PRNGKey,
    settings: FitSettings,
    least: int = 16,
) -> Start:
    """Networks on standardised states and targets; actions are encoded already.

    Args:
        problem: What a part is learned from.
        inputs: Of all its rows, `[rows, inputs]`.
        rows: Which of them are for training and validation.
        spec: The task.
        key: Of the weights and of the fits.
        settings: The ensemble's sizes.
        least: As in `pad`.
    """
    outward = _outward(problem, rows.train)
    center, scale = standard(inputs[rows.train])
    actions = slice(spec.state_size, spec.state_size + spec.action.size)
    center[actions], scale[actions] = 0, 1
    if problem.beside is not None:
        flags = slice(-problem.beside.shape[1], None)
        center[flags], scale[flags] = 0, 1
    targets = (problem.targets - outward.center) / not_zero(outward.scale)
    inward = Scaling(center, not_zero(scale))
    networks, keys = _start(key, inward, problem.outputs, settings)
    if problem.before is not None:
        networks = _carried_on(problem, networks, outward)
    if problem.trained is not None:
        outward = Scaling(outward.center, not_zero(outward.scale))
        networks = problem.trained(networks, outward)
    train, capacity = (inputs[rows.train], targets[rows.train]), least
    if problem.restoring:
        train, capacity = _with_moved_states(problem, rows.train, train, outward, key), 2 * least
    validation = pad(inputs[rows.validation], targets[rows.validation], max(16, least // 5))
    return Start(networks, pad(*train, capacity), validation, keys, outward)


def _with_moved_states(
    problem: FitProblem,
    train: np.ndarray,
    fitted: tuple[np.ndarray, np.ndarray],
    outward: Scaling,
    key: PRNGKey,
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets to train on, each row twice if states are related: as it is, and with the
    state moved off the surface that the relations describe, with the same next state.

    Args:
        problem: Of the dynamics.
        train: Which rows these are.
        fitted: Inputs and targets of these rows, targets in units of `outward`.
        outward: Centre and scale of a step's change.
        key: Of the moves.
    """
    inputs, targets = fitted
    states = np.asarray(problem.rows.state[train], np.float64)
    relations = relations_among(states)
    if not len(relations.linear):
        return fitted
    moves = relations.moves(states, outward.scale, numpy_random(jax.random.fold_in(key, 1)))
    moved = inputs.copy()
    moved[:, : states.shape[1]] += moves
    back = targets - moves / not_zero(outward.scale)
    return np.concatenate([inputs, moved]), np.concatenate([targets, back])


@eqx.filter_jit
def _start(
    key: PRNGKey, inward: Scaling, outputs: int, settings: FitSettings
) -> tuple[MLP, jax.Array]:
    """Untrained networks and the keys of their fits.

    Args:
        key: Randomness.
        inward: Centre and scale of the inputs.
        outputs: How many there are.
        settings: The ensemble's sizes.
    """
    for_weights, for_rows = jax.random.split(key)

    def member(key: PRNGKey) -> MLP:
        return MLP(
            len(inward.center), outputs, settings.width, settings.depth, key, **inward._asdict()
        )

    networks = eqx.filter_vmap(member)(jax.random.split(for_weights, settings.members))
    return networks, jax.random.split(for_rows, settings.members)


def _carried_on(problem: FitProblem, untrained: MLP, outward: Scaling) -> MLP:
    """The networks of the part before, that give the same answers in the new units; the untrained
    ones where theirs are of another size.
    """
    before = problem.before
    networks: MLP = before.networks
    if [leaf.shape for leaf in jax.tree.leaves(networks)] != [
        leaf.shape for leaf in jax.tree.leaves(untrained)
    ]:
        return untrained
    ones = np.ones(problem.targets.shape[1], np.float32)
    center, scale = (
        (0 * ones, ones)
        if problem.loss == "logistic"
        else (np.atleast_1d(np.asarray(part)) for part in (before.center, before.scale))
    )
    unit = not_zero(outward.scale)
    factor, shift = scale / unit, (center - outward.center) / unit
    if problem.spread:  # log σ² changes by the square of the unit
        bend = 2 * np.log(np.where(scale == 0, 1, scale) / unit)
        factor, shift = np.concatenate([factor, ones]), np.concatenate([shift, bend])

    return _in_new_units(networks, untrained, factor, shift)


@eqx.filter_jit
def _in_new_units(networks: MLP, untrained: MLP, factor: Array, shift: Array) -> MLP:
    """`factor * network + shift` of each network, with the constants of the untrained ones for its
    inputs.

    Args:
        networks, untrained: `[member, …]`.
        factor, shift: `[outputs]`.
    """

    def carry(network: MLP, fresh: MLP) -> MLP:
        return rescaled(restandardised(network, fresh.center, fresh.scale), factor, shift)

    return eqx.filter_vmap(carry)(networks, untrained)


def predict(
    networks: Network, inputs: np.ndarray, least: int = 16
) -> Float[np.ndarray, "member rows outputs"]:
    """What each of `networks` gives for `inputs`, in its own units; `least` as in `pad`."""
    rows = pad(inputs, np.zeros((len(inputs), 1)), least)
    return np.asarray(_predicted(networks, rows.inputs))[:, : len(inputs)]


@eqx.filter_jit
def _predicted(networks: Network, inputs: Array) -> Array:
    return eqx.filter_vmap(lambda network: jax.vmap(network)(inputs))(networks)


def _measured(problem: FitProblem, rows: Split, predicted: np.ndarray, fitted: Fitted) -> PartFit:
    """How well the part predicts rows that were held out.

    Args:
        problem, rows: What was learned, and the split.
        predicted: Of the held-out rows, `[member, rows, outputs]`.
        fitted: The ensemble and its validation losses.
    """
    held = problem.targets[rows.held_out]
    constant = problem.plain[rows.train].mean(axis=0)
    wrong = partial(estimators.mean, bounds=(0, 1))  # 1 for a row called wrongly, else 0
    summary = wrong if problem.loss == "logistic" else estimators.root_mean_square
    epochs = tuple(map(int, fitted.epochs))
    return PartFit(
        problem.part,
        "learned",
        len(problem.targets),
        len(held),
        error=summary(problem.error(predicted.mean(axis=0), held)),
        members=tuple(summary(errors).mean for errors in problem.error(predicted, held)),
        baseline=summary(problem.error(constant, problem.plain[rows.held_out])).mean,
        unit=UNITS[problem.part],
        epochs=epochs,
        curve=tuple(np.nanmean(np.asarray(fitted.losses)[:, : min(epochs)], axis=0).tolist()),
    )
