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
from paracosm.real.flattening import NotFlattenable

MOST_STEPS = 1_000_000  # of an episode: it is drawn, rolled out and stacked as a whole

# More joint actions make a policy and a world of as many outputs and inputs: slow, and hardly
# learned from thousands of transitions.
MOST_JOINT = 256
# More components make worlds of gigabytes; 4,096 is a picture of 64 x 64.
MOST_COMPONENTS = 4096

# Attributes in which Gymnasium's and other wrappers keep running statistics, and of what.
_STATISTICS = {"obs_rms": "observations", "return_rms": "rewards", "ret_rms": "rewards"}

_SUPPORTED_OBSERVATIONS = (
    "observations of numbers and choices (Box, Discrete, MultiDiscrete, MultiBinary, and Dict and"
    f" Tuple of these) of up to {MOST_COMPONENTS} components are supported, and images: uint8 Box"
    " observations of the shape (height, width) or (height, width, channels), up to"
    f" {MOST_PIXELS} high and wide, of up to {MOST_CHANNELS} channels"
)
_SUPPORTED_ACTIONS = (
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
        _require_components(name, space.shape[0])
        return ObservationForm(space.shape)
    if isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) in (2, 3):
        height, width, channels = (*space.shape, 1)[:3]
        if 1 <= min(height, width) <= max(height, width) <= MOST_PIXELS and (
            1 <= channels <= MOST_CHANNELS
        ):
            return ObservationForm(space.shape, image=(height, width, channels))
    try:
        parts = flattening.leaves(space)
    except NotFlattenable as error:
        raise checks.Unsupported(_describe_not_flattenable(name, error)) from error
    size = sum(part.size for part in parts)
    _require_components(name, size)
    return ObservationForm((size,), leaves=parts)


def _require_components(name: str, size: int) -> None:
    if not 1 <= size <= MOST_COMPONENTS:
        raise checks.Unsupported(
            f"{name} observes {size} components in all; {_SUPPORTED_OBSERVATIONS}."
        )


def _describe_not_flattenable(name: str, error: NotFlattenable) -> str:
    observed = _describe_space(error.space)
    if not error.path:
        return f"{name} observes {observed}; {_SUPPORTED_OBSERVATIONS}."
    place = f"{name} observes {observed} under the key {flattening.path_name(error.path)}"
    if not flattening.is_picture(error.space):
        return f"{place}; {_SUPPORTED_OBSERVATIONS}."
    return (
        f"{place}, which cannot be flattened with the rest; leave the image out"
        " (gymnasium.wrappers.FilterObservation), or show it alone."
    )


def action_space(
    name: str, space: spaces.Space[Any], action_range: tuple[float, float] | None = None
) -> Box | Discrete:
    """The space of actions on our side: Box actions as vectors, discrete ones counted from 0, and
    several choices at once as one action.

    Args:
        name: What messages call the environment.
        space: Gymnasium's space.
        action_range: The range of Box actions on the sides where the space has no bound.

    Raises:
        Unsupported: the actions are of another kind, without a bound that nothing states, or have
            too many combinations.
        BadArgument: a range is stated that nothing needs, or that leaves no action.
    """
    if isinstance(space, spaces.Box) and space.dtype.kind == "f" and math.prod(space.shape):
        return _box(name, space, action_range)
    if action_range is not None:
        raise checks.BadArgument(
            f"the action range {action_range[0]:g} to {action_range[1]:g} is stated, and {name}"
            f" acts on {_describe_space(space)}; only Box actions without bounds need one."
        )
    if isinstance(space, spaces.Discrete):
        return Discrete(int(space.n), int(space.start))
    if isinstance(space, (spaces.MultiDiscrete, spaces.MultiBinary)):
        return _joint(name, space)
    raise checks.Unsupported(f"{name} acts on {_describe_space(space)}; {_SUPPORTED_ACTIONS}.")


def _box(name: str, space: spaces.Box, action_range: tuple[float, float] | None) -> Box:
    with np.errstate(over="ignore"):
        low, high = (side.reshape(-1).astype(np.float32) for side in (space.low, space.high))
    # What is as good as infinite: the width of a box must be finite in 32 bits
    open_low, open_high = low < -checks.LARGEST_32 / 2, high > checks.LARGEST_32 / 2
    unbounded = bool((open_low | open_high).any())
    if action_range is None and unbounded:
        raise checks.Unsupported(
            f"{name} acts on {_describe_space(space)}, which has no bound on some side; give"
            " --action-range LOW HIGH (in Python action_range=(LOW, HIGH)), within which actions"
            " are then chosen."
        )
    if action_range is not None:
        if not unbounded:
            raise checks.BadArgument(
                f"the action range {action_range[0]:g} to {action_range[1]:g} is stated, and {name}"
                f" acts on {_describe_space(space)}, which is bounded already."
            )
        low, high = (
            np.where(open_low, action_range[0], low),
            np.where(open_high, action_range[1], high),
        )
    if not (low < high).all():
        at = int(np.argmin(low < high))
        raise checks.Unsupported(
            f"{name} acts on {_describe_space(space)}, whose component {at} would go from"
            f" {low[at]:g} to {high[at]:g}; every lower bound must be below the upper one."
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
            f"{name} acts on {_describe_space(space)} of {actions:,} combinations; up to"
            f" {MOST_JOINT} are supported, each of which is one action."
        )
    return Discrete(actions, start=0, counts=counts, starts=starts)


def snap_to_bounds(actions: np.ndarray, space: spaces.Space[Any]) -> np.ndarray:
    """Actions in the space's type; those that lie on a bound as it is in 32 bits lie on the bound
    itself.
    """
    if not isinstance(space, spaces.Box):
        return actions
    for bound in (space.low, space.high):
        with np.errstate(over="ignore"):
            bound_32 = bound.astype(np.float32)
        actions = np.where(actions == bound_32, bound, actions)
    return actions


def observation_and_action_space(name: str, env: Any) -> tuple[Any, Any]:
    """The environment's two spaces.

    Raises:
        Unsupported: it lacks one of them.
    """
    pair = []
    for kind in ("observation_space", "action_space"):
        try:
            pair.append(getattr(env, kind))
        except Exception as error:  # a property of an environment may fail with anything
            raise checks.Unsupported(
                f"{name} has no {kind}, or {boundary.describe_exception(error)}."
            ) from error
    return pair[0], pair[1]


def time_limit(env: Any) -> Any:
    """The environment's own time limit, of nested ones the shortest; None if it has none.

    A limit that is no number of steps that can be played (0, NaN, a text) comes before all others.
    """
    limits = _time_limits(env)
    unplayable = [value for value in limits if playable_steps(value) is None]
    return unplayable[0] if unplayable else min((int(value) for value in limits), default=None)


def time_limit_remarks(name: str, env: Any) -> tuple[str, ...]:
    """A sentence where nested time limits differ."""
    limits = sorted(
        {steps for value in _time_limits(env) if (steps := playable_steps(value)) is not None}
    )
    if len(limits) < 2:
        return ()
    listed = ", ".join(map(str, limits))
    return (
        f"{name} states the time limits {listed}, one within another; the shortest, {limits[0]}"
        " steps, counts.",
    )


def _time_limits(env: Any) -> list[Any]:
    """Every time limit that the environment and what it wraps state, from the outside in."""
    layers = _layers(env)
    limits = [
        _spec_limit(layers[0]),
        *(_attributes(layer).get("_max_episode_steps") for layer in layers),
    ]
    limits.append(_spec_limit(layers[-1]))
    return [value for value in limits if value is not None]


def choose_horizon(name: str, time_limit: Any, requested: int | None) -> int:
    """Steps in a full episode: `requested`, or else the environment's time limit.

    Raises:
        BadArgument: there is neither, or the limit is below `requested`, or neither can be played.
    """
    if requested is not None:
        requested = checks.count("horizon", requested)
        if requested > MOST_STEPS:
            raise checks.BadArgument(f"horizon is {requested}; it must be at most {MOST_STEPS}.")
        if playable_steps(time_limit) is not None and requested > time_limit:
            raise checks.BadArgument(
                f"horizon is {requested}; {name} ends its episodes at {time_limit} steps."
            )
        return requested
    needed = "give --horizon N (in Python horizon=N), the number of steps of a full episode"
    if time_limit is None:
        raise checks.BadArgument(f"{name} has no time limit; {needed}.")
    if playable_steps(time_limit) is None:
        raise checks.BadArgument(
            f"{name} has a time limit of {time_limit!r}, and 1 to {MOST_STEPS} can be played;"
            f" {needed}."
        )
    return time_limit


def as_numbers(name: str, values: Any) -> np.ndarray:
    """The values as an array of real numbers, of which NaN and infinity are some.

    Raises:
        BadData: the values are no such numbers.
    """
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise checks.BadData(
            f"{name} has rows of different shapes; equal ones are needed."
        ) from error
    if array.dtype.kind not in "biuf":
        raise checks.BadData(
            f"{name} is {boundary.describe_value(values)}; real numbers are needed."
        )
    return array


def as_discrete_actions(
    name: str, values: np.ndarray, alive: np.ndarray, space: Discrete
) -> np.ndarray:
    """Actions as int32, counted from 0; what a lane that is not alive has instead becomes 0.

    Args:
        name: The environment's name, for messages.
        values: What a policy gave, finite, `[lane]`.
        alive: The lanes whose actions are needed, `[lane]`.
        space: The actions that there are.

    Raises:
        BadData: an action that is needed is a fraction, or none of the space.
    """
    valid = (values == np.floor(values)) & (values >= 0) & (values < space.n)
    wrong = values[alive & ~valid]
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
    return np.where(valid, values, 0).astype(np.int32)


def require_still(name: str, env: Any) -> None:
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
    """The time limit of an environment's spec; None if there is none."""
    try:
        return env.spec.max_episode_steps
    except Exception:  # no spec, or one that cannot be had of this wrapper
        return None


def playable_steps(time_limit: Any) -> int | None:
    """A time limit as a number of steps; None if so many cannot be played."""
    if not isinstance(time_limit, numbers.Real) or isinstance(time_limit, bool):
        return None
    steps = float(time_limit)
    return int(steps) if 1 <= steps <= MOST_STEPS and steps.is_integer() else None


def _describe_space(space: spaces.Space[Any]) -> str:
    """A space in a few words."""
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
