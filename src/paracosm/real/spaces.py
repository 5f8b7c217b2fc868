"""Which Gymnasium spaces are supported, and what they are on our side."""

from __future__ import annotations

import numbers
from typing import Any

import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

from paracosm.core import checks
from paracosm.core.mdp import Box, Discrete
from paracosm.real import boundary
from paracosm.real.boundary import MOST_CHANNELS, MOST_PIXELS, ObservationForm

MOST_STEPS = 1_000_000  # of an episode: it is drawn, rolled out and stacked as a whole

_SUPPORTED = (
    "one-dimensional Box observations, and one-dimensional bounded Box or Discrete actions, are"
    " supported, and images: uint8 Box observations of the shape (height, width) or (height, width,"
    f" channels), up to {MOST_PIXELS} high and wide, of up to {MOST_CHANNELS} channels"
)


def observation_form(name: str, space: spaces.Space[Any]) -> ObservationForm:
    """Shape and type of the observations.

    Raises:
        Unsupported: they are neither a one-dimensional Box nor images of a size that is supported.
    """
    if isinstance(space, spaces.Box) and len(space.shape) == 1 and space.shape[0]:
        return ObservationForm(space.shape)
    if isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) in (2, 3):
        height, width, channels = (*space.shape, 1)[:3]
        if 1 <= min(height, width) <= max(height, width) <= MOST_PIXELS and (
            1 <= channels <= MOST_CHANNELS
        ):
            return ObservationForm(space.shape, (height, width, channels))
    raise checks.Unsupported(f"{name} observes {_described(space)}; {_SUPPORTED}.")


def action_space(name: str, space: spaces.Space[Any]) -> Box | Discrete:
    """The space of actions; discrete ones count from 0.

    Raises:
        Unsupported: the actions are neither Discrete nor a one-dimensional Box with finite bounds.
    """
    if isinstance(space, spaces.Discrete):
        return Discrete(int(space.n), int(space.start))
    if isinstance(space, spaces.Box) and len(space.shape) == 1 and space.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            low, high = space.low.astype(np.float32), space.high.astype(np.float32)
            width = high - low
        if len(width) and np.isfinite(width).all() and (width > 0).all():
            return Box(jnp.asarray(low), jnp.asarray(high))
    raise checks.Unsupported(f"{name} acts on {_described(space)}; {_SUPPORTED}.")


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
    layers = [env]
    while (inner := _attributes(layers[-1]).get("env")) is not None and all(
        inner is not layer for layer in layers
    ):
        layers.append(inner)
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
    """The values as an array of finite real numbers.

    Raises:
        BadData: they are not.
    """
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise checks.BadData(
            f"{name} has rows of different shapes; equal ones are needed."
        ) from error
    if array.dtype.kind not in "biuf":
        raise checks.BadData(f"{name} is {boundary.described(values)}; real numbers are needed.")
    checks.finite(name, array)
    return array


def discrete(name: str, values: np.ndarray, count: int, space: Discrete) -> np.ndarray:
    """`count` actions as int32, counted from 0.

    Args:
        name: Of the environment, for messages.
        values: What a policy gave, `[count]` or `[count, 1]`.
        count: How many are needed.
        space: The actions that there are.

    Raises:
        BadData: another shape, a fraction, or an action that the space does not have.
    """
    if values.shape == (count, 1):
        values = values[:, 0]
    checks.shape("A batch of the policy's actions", values, (count,))
    wrong = values[(values != np.floor(values)) | (values < 0) | (values >= space.n)]
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
    return values.astype(np.int32)


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
    if isinstance(space, spaces.Box):
        return f"a {space.dtype} Box of shape {space.shape}"
    return f"a {type(space).__name__} space"
