"""Which Gymnasium spaces are supported, and what they are on our side."""

from __future__ import annotations

import math
import numbers
from typing import Any

import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

from paracosm.core import checks
from paracosm.core.mdp import Box, Discrete
from paracosm.real import boundary, flattening
from paracosm.real.boundary import MOST_CHANNELS, MOST_PIXELS, ObservationForm
from paracosm.real.flattening import Unflattened

MOST_STEPS = 1_000_000  # of an episode: it is drawn, rolled out and stacked as a whole

# More joint actions make a policy and a world of as many outputs and inputs: slow, and hardly
# learned from thousands of transitions.
MOST_JOINT = 256
# More components make worlds of gigabytes; 4,096 is a picture of 64 x 64.
MOST_COMPONENTS = 4096

# Attributes in which Gymnasium's and other wrappers keep running statistics, and of what.
_STATISTICS = {"obs_rms": "observations", "return_rms": "rewards", "ret_rms": "rewards"}

_OBSERVED = (
    "observations of numbers and choices (Box, Discrete, MultiDiscrete, MultiBinary, and Dict and"
    f" Tuple of these) of up to {MOST_COMPONENTS} components are supported, and images: uint8 Box"
    " observations of the shape (height, width) or (height, width, channels), up to"
    f" {MOST_PIXELS} high and wide, of up to {MOST_CHANNELS} channels"
)
_ACTED = (
    "Box actions of floating point, and Discrete, MultiDiscrete and MultiBinary actions of up to"
    f" {MOST_JOINT} combinations are supported"
)


def observation_form(name: str, space: spaces.Space[Any]) -> ObservationForm:
    """Shape and type of the observations.

    Raises:
        Unsupported: they are neither numbers and choices, which are flattened, nor images of a size
            that is supported; the sentence names the key of the part that is the trouble.
    """
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        _demand_components(name, space.shape[0])
        return ObservationForm(space.shape)
    if isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) in (2, 3):
        height, width, channels = (*space.shape, 1)[:3]
        if 1 <= min(height, width) <= max(height, width) <= MOST_PIXELS and (
            1 <= channels <= MOST_CHANNELS
        ):
            return ObservationForm(space.shape, (height, width, channels))
    try:
        parts = flattening.leaves(space)
    except Unflattened as error:
        raise checks.Unsupported(_unflattened(name, error)) from error
    size = sum(part.size for part in parts)
    _demand_components(name, size)
    return ObservationForm((size,), leaves=parts)


def _demand_components(name: str, size: int) -> None:
    if not 1 <= size <= MOST_COMPONENTS:
        raise checks.Unsupported(f"{name} observes {size} components in all; {_OBSERVED}.")


def _unflattened(name: str, error: Unflattened) -> str:
    observed = _described(error.space)
    if not error.path:
        return f"{name} observes {observed}; {_OBSERVED}."
    place = f"{name} observes {observed} under the key {flattening.called(error.path)}"
    if not flattening.is_picture(error.space):
        return f"{place}; {_OBSERVED}."
    return (
        f"{place}, which cannot be flattened with the rest; leave the image out"
        " (gymnasium.wrappers.FilterObservation), or show it alone."
    )


def action_space(
    name: str, space: spaces.Space[Any], stated: tuple[float, float] | None = None
) -> Box | Discrete:
    """The space of actions, Box actions as vectors; discrete ones count from 0, and several choices
    at once are one.

    Args:
        name: What messages call the environment.
        space: Gymnasium's.
        stated: The range of Box actions on the sides where the space has no bound.

    Raises:
        Unsupported: the actions are of another kind, without a bound that nothing states, or have
            too many combinations.
        BadArgument: a range is stated that nothing needs, or that leaves no action.
    """
    if isinstance(space, spaces.Box) and space.dtype.kind == "f" and math.prod(space.shape):
        return _box(name, space, stated)
    if stated is not None:
        raise checks.BadArgument(
            f"the action range {stated[0]:g} to {stated[1]:g} is stated, and {name} acts on"
            f" {_described(space)}; only Box actions without bounds need one."
        )
    if isinstance(space, spaces.Discrete):
        return Discrete(int(space.n), int(space.start))
    if isinstance(space, (spaces.MultiDiscrete, spaces.MultiBinary)):
        return _joint(name, space)
    raise checks.Unsupported(f"{name} acts on {_described(space)}; {_ACTED}.")


def _box(name: str, space: spaces.Box, stated: tuple[float, float] | None) -> Box:
    with np.errstate(over="ignore"):
        low, high = (side.reshape(-1).astype(np.float32) for side in (space.low, space.high))
    # What is as good as infinite: the width of a box must be finite in 32 bits
    open_low, open_high = low < -checks.LARGEST_32 / 2, high > checks.LARGEST_32 / 2
    unbounded = bool((open_low | open_high).any())
    if stated is None and unbounded:
        raise checks.Unsupported(
            f"{name} acts on {_described(space)}, which has no bound on some side; give"
            " --action-range LOW HIGH (in Python action_range=(LOW, HIGH)), within which actions"
            " are then chosen."
        )
    if stated is not None:
        if not unbounded:
            raise checks.BadArgument(
                f"the action range {stated[0]:g} to {stated[1]:g} is stated, and {name} acts on"
                f" {_described(space)}, which is bounded already."
            )
        low, high = np.where(open_low, stated[0], low), np.where(open_high, stated[1], high)
    if not (low < high).all():
        at = int(np.argmin(low < high))
        raise checks.Unsupported(
            f"{name} acts on {_described(space)}, whose component {at} would go from {low[at]:g} to"
            f" {high[at]:g}; every lower bound must be below the upper one."
        )
    return Box(jnp.asarray(low, jnp.float32), jnp.asarray(high, jnp.float32))


def _joint(name: str, space: spaces.MultiDiscrete | spaces.MultiBinary) -> Discrete:
    """Several choices as one action: its number in the order of the choices, the last one fastest
    (`numpy.unravel_index`).
    """
    binary = isinstance(space, spaces.MultiBinary)
    counts = np.full(space.shape, 2) if binary else space.nvec
    starts = np.zeros(space.shape, int) if binary else space.start
    counts, starts = (tuple(map(int, values.reshape(-1))) for values in (counts, starts))
    if (actions := math.prod(counts)) > MOST_JOINT:
        raise checks.Unsupported(
            f"{name} acts on {_described(space)} of {actions:,} combinations; up to {MOST_JOINT}"
            " are supported, each of which is one action."
        )
    return Discrete(actions, 0, counts, starts)


def at_bounds(actions: np.ndarray, space: spaces.Space[Any]) -> np.ndarray:
    """Actions in the space's type; those that lie on a bound which 32 bits rounded, on the bound
    itself.
    """
    if not isinstance(space, spaces.Box):
        return actions
    for bound in (space.low, space.high):
        with np.errstate(over="ignore"):
            rounded = bound.astype(np.float32)
        actions = np.where(actions == rounded, bound, actions)
    return actions


def of(name: str, env: Any) -> tuple[Any, Any]:
    """The environment's spaces, of observations and of actions.

    Raises:
        Unsupported: it has none.
    """
    pair = []
    for kind in ("observation_space", "action_space"):
        try:
            pair.append(getattr(env, kind))
        except Exception as error:  # a property of an environment may fail with anything
            raise checks.Unsupported(
                f"{name} has no {kind}, or {boundary.happened(error)}."
            ) from error
    return pair[0], pair[1]


def limit(env: Any) -> Any:
    """The environment's own time limit, of nested ones the shortest; None if it has none.

    What is no number of steps that can be played (0, NaN, a text) comes before all others.
    """
    stated = _stated(env)
    wrong = [value for value in stated if playable(value) is None]
    return wrong[0] if wrong else min((int(value) for value in stated), default=None)


def remarks(name: str, env: Any) -> tuple[str, ...]:
    """A sentence where nested time limits differ."""
    limits = sorted({steps for value in _stated(env) if (steps := playable(value)) is not None})
    if len(limits) < 2:
        return ()
    listed = ", ".join(map(str, limits))
    return (
        f"{name} states the time limits {listed}, one within another; the shortest, {limits[0]}"
        " steps, counts.",
    )


def _stated(env: Any) -> list[Any]:
    """Every time limit that the environment and what it wraps state, from the outside in."""
    layers = _layers(env)
    limits = [
        _spec_limit(layers[0]),
        *(_attributes(layer).get("_max_episode_steps") for layer in layers),
    ]
    limits.append(_spec_limit(layers[-1]))
    return [value for value in limits if value is not None]


def horizon(name: str, limit: Any, wanted: int | None) -> int:
    """Steps in a full episode: `wanted`, or else the environment's time limit.

    Raises:
        BadArgument: there is neither, or the limit is below `wanted`, or neither can be played.
    """
    if wanted is not None:
        wanted = checks.count("horizon", wanted)
        if wanted > MOST_STEPS:
            raise checks.BadArgument(f"horizon is {wanted}; it must be at most {MOST_STEPS}.")
        if playable(limit) is not None and wanted > limit:
            raise checks.BadArgument(
                f"horizon is {wanted}; {name} ends its episodes at {limit} steps."
            )
        return wanted
    needed = "give --horizon N (in Python horizon=N), the number of steps of a full episode"
    if limit is None:
        raise checks.BadArgument(f"{name} has no time limit; {needed}.")
    if playable(limit) is None:
        raise checks.BadArgument(
            f"{name} has a time limit of {limit!r}, and 1 to {MOST_STEPS} can be played; {needed}."
        )
    return limit


def numeric(name: str, values: Any) -> np.ndarray:
    """The values as an array of real numbers; NaN and infinity are among them.

    Raises:
        BadData: they are none.
    """
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise checks.BadData(
            f"{name} has rows of different shapes; equal ones are needed."
        ) from error
    if array.dtype.kind not in "biuf":
        raise checks.BadData(f"{name} is {boundary.described(values)}; real numbers are needed.")
    return array


def discrete(name: str, values: np.ndarray, alive: np.ndarray, space: Discrete) -> np.ndarray:
    """Actions as int32, counted from 0; of lanes that are not alive what is none becomes 0.

    Args:
        name: Of the environment, for messages.
        values: What a policy gave, finite, `[lane]`.
        alive: Whose actions are needed, `[lane]`.
        space: The actions that there are.

    Raises:
        BadData: a fraction, or an action that the space does not have.
    """
    sound = (values == np.floor(values)) & (values >= 0) & (values < space.n)
    wrong = values[alive & ~sound]
    if wrong.size:
        counted = (
            f", counted from 0 although the environment's own start at {space.start}"
            if space.start
            else ""
        )
        raise checks.BadData(
            f"the policy's actions hold {wrong[0]}; {name} takes the whole numbers 0 to"
            f" {space.n - 1}{counted}."
        )
    return np.where(sound, values, 0).astype(np.int32)


def demand_still(name: str, env: Any) -> None:
    """Require that nothing in the environment scales what it shows by statistics that move while it
    is used: the same state would then be shown differently as time goes on.

    Raises:
        Unsupported: a wrapper does, such as Gymnasium's NormalizeObservation.
    """
    for layer in _layers(env):
        own = _attributes(layer)
        moving = own.get("_update_running_mean", own.get("training", True))
        if moving and (scaled := [what for key, what in _STATISTICS.items() if key in own]):
            raise checks.Unsupported(
                f"{name} scales its {scaled[0]} by statistics that move while it is used"
                f" ({type(layer).__name__}), so that the same step looks different later; set"
                " update_running_mean = False on a copy whose statistics stand, or leave the"
                " wrapper out: scales are learned from the data."
            )


def _layers(env: Any) -> list[Any]:
    """The environment and what it wraps, from the outside in."""
    layers = [env]
    while (inner := _attributes(layers[-1]).get("env")) is not None and all(
        inner is not layer for layer in layers
    ):
        layers.append(inner)
    return layers


def _attributes(layer: Any) -> dict[str, Any]:
    """What an object itself holds: properties of an environment may fail with anything."""
    return getattr(layer, "__dict__", {})


def _spec_limit(env: Any) -> Any:
    try:
        return env.spec.max_episode_steps
    except Exception:  # no spec, or one that cannot be had of this wrapper
        return None


def playable(limit: Any) -> int | None:
    """A time limit as a number of steps that can be played, or None."""
    if not isinstance(limit, numbers.Real) or isinstance(limit, bool):
        return None
    steps = float(limit)
    return int(steps) if 1 <= steps <= MOST_STEPS and steps.is_integer() else None


def _described(space: spaces.Space[Any]) -> str:
    if isinstance(space, spaces.Box) and len(space.shape) == 3:
        return f"images of shape {space.shape} and type {space.dtype}"
    if (
        isinstance(space, spaces.Box)
        and len(space.shape) == 1
        and np.issubdtype(space.dtype, np.floating)
    ):
        return f"a Box from {space.low} to {space.high}"
    if isinstance(space, (spaces.Box, spaces.MultiBinary)):
        kind = f"{space.dtype} Box" if isinstance(space, spaces.Box) else "MultiBinary space"
        return f"a {kind} of shape {space.shape}"
    return f"a {type(space).__name__} space"
