"""Pictures of states: an environment draws itself where its observations say that it is.

An observation is turned into the environment's own coordinates by one of a few rules. Which one is
right is not looked up by name: every rule is tried against the coordinates of the environment
itself on a few random steps, so that an environment of somebody's own is drawn where a rule fits,
and none where it does not. No JAX in here.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from jaxtyping import Float, UInt8

from paracosm.core import checks
from paracosm.core.extras import needs
from paracosm.real import boundary, registry, spaces
from paracosm.real.flattening import flat_row

_RANDOM_STEPS = 4  # random steps on which a rule must be right: at a start many coordinates are 0
_CLOSE = 1e-3  # observations are of 32 bits, and some are rounded before that
_HEIGHT = 200  # pixels that a picture is shrunk towards
# pygame greets on stdout, and SDL looks for a display and for loudspeakers.
_QUIET = {
    "PYGAME_HIDE_SUPPORT_PROMPT": "1",
    "SDL_VIDEODRIVER": "dummy",
    "SDL_AUDIODRIVER": "dummy",
}

CoordinateRule = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""`(observation, coordinates at a start) -> coordinates`."""


class DrawnStates(NamedTuple):
    """Pictures of several sequences of states, and how many coordinates they do not show."""

    pictures: list[UInt8[np.ndarray, "_ height width 3"]]
    hidden: int


class _FittingRule(NamedTuple):
    """A rule that gives an environment's coordinates.

    Attributes:
        rule: The rule.
        hidden: How many coordinates an observation does not show.
        start: The coordinates at a start.
    """

    rule: CoordinateRule
    hidden: int
    start: np.ndarray


def draw_states(
    factory: registry.Factory, sequences: Sequence[Float[np.ndarray, "_ observation"]]
) -> DrawnStates:
    """What an environment looks like where it shows these observations.

    Raises:
        Missing: a package that draws is not installed.
        Unsupported: the environment draws no pictures, or cannot be put where an observation is.
    """
    with _open_drawing(factory) as env:
        fitting = _fitting_rule(factory.env, env)

        def draw(observation: np.ndarray) -> np.ndarray:
            return _render(env, fitting.rule(observation, fitting.start))

        pictures = [np.stack([draw(observation) for observation in rows]) for rows in sequences]
        return DrawnStates(pictures, fitting.hidden)


def as_pictures(
    rows: Float[np.ndarray, "_ pixels"], image: tuple[int, int, int]
) -> UInt8[np.ndarray, "_ height width 3"]:
    """Flat observations of images as pictures; without three channels the last one is grey.

    Args:
        rows: Pixels from 0 to 255; what is beyond is cut off.
        image: Height, width and channels.
    """
    pictures = np.clip(np.round(rows), 0, 255).astype(np.uint8).reshape(-1, *image)
    return pictures if image[2] == 3 else pictures[..., -1:].repeat(3, axis=3)


@contextlib.contextmanager
def _open_drawing(factory: registry.Factory) -> Iterator[Any]:
    """The environment, which draws itself; an exception within becomes one of ours."""
    drawing = registry.Factory(factory.env, {**factory.kwargs, "render_mode": "rgb_array"})
    with warnings.catch_warnings(), _headless():
        warnings.simplefilter("ignore")  # of pygame, Gymnasium and MuJoCo: about themselves
        try:
            env = drawing()
        except checks.BadArgument as error:
            raise checks.Unsupported(f"{factory.env} draws no pictures.") from error
        try:
            yield env
        except checks.ParacosmError:
            raise
        except gymnasium.error.DependencyNotInstalled as error:
            raise checks.Missing(_describe_missing_package(factory.env, str(error))) from error
        except Exception as error:  # drawing runs code of others
            raise checks.Unsupported(
                f"drawing {factory.env} {boundary.describe_exception(error)}."
            ) from error
        finally:
            with contextlib.suppress(Exception):
                env.close()


@contextlib.contextmanager
def _headless() -> Iterator[None]:
    """Draw without a display, unless the user has chosen one."""
    chosen = dict(_QUIET)
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        chosen["MUJOCO_GL"] = "egl"
    added = {name: value for name, value in chosen.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _describe_missing_package(name: str, message: str) -> str:
    """The sentence about what an environment lacks to draw itself, of the exception's message."""
    if "pygame" in message.lower():
        return f"{needs(f'drawing {name}', 'pygame', 'video')}."
    return f"{name} needs what is not installed to draw itself: {message.rstrip('.')}."


def _fitting_rule(name: str, env: Any) -> _FittingRule:
    """The first rule that gives the coordinates of an environment.

    Raises:
        Unsupported: no rule fits; or the environment has no coordinates that can be set.
    """
    samples = [sample for sample in _observed_coordinates(env) if sample[1] is not None]
    if not samples:
        raise checks.Unsupported(f"{name} cannot be put into a state, so that it cannot be drawn.")
    for rule, hidden in _RULES:
        if all(_agree(rule, *sample) for sample in samples):
            return _FittingRule(rule, hidden=hidden, start=samples[0][1])
    raise checks.Unsupported(
        f"an observation of {name} does not say where everything is, so that it cannot be drawn."
    )


def _observed_coordinates(env: Any) -> Iterator[tuple[np.ndarray, Any]]:
    """Observations and coordinates of a few random steps; the environment is reset afterwards."""
    form = spaces.observation_form(str(env), env.observation_space)

    def row(observation: Any) -> np.ndarray:
        flat = flat_row(observation, form.leaves) if form.leaves else observation
        return np.asarray(flat, np.float64)

    observation, _ = env.reset(seed=0)
    env.action_space.seed(0)
    yield row(observation), _coordinates(env)
    for _ in range(_RANDOM_STEPS):
        observation, _, ended, cut, _ = env.step(env.action_space.sample())
        if ended or cut:
            break
        yield row(observation), _coordinates(env)
    env.reset(seed=0)


def _coordinates(env: Any) -> np.ndarray | None:
    """The environment's own coordinates: MuJoCo's positions, or the `state` of Gymnasium's classic
    control; None if it has neither.
    """
    inner = env.unwrapped
    if hasattr(inner, "set_state") and hasattr(inner, "data"):
        return np.array(inner.data.qpos, np.float64)
    state = getattr(inner, "state", None)
    return None if state is None else np.array(state, np.float64)


def _render(env: Any, coordinates: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
    """The picture of the environment at these coordinates."""
    inner = env.unwrapped
    if hasattr(inner, "set_state"):
        inner.set_state(coordinates, np.zeros_like(inner.data.qvel))
    else:
        inner.state = coordinates
    return _shrink(np.asarray(env.render(), np.uint8)[..., :3])


def _shrink(picture: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
    """A picture by means over blocks of pixels, about `_HEIGHT` high."""
    side = max(1, picture.shape[0] // _HEIGHT)
    height, width = (size // side for size in picture.shape[:2])
    blocks = picture[: height * side, : width * side].reshape(height, side, width, side, 3)
    return blocks.mean(axis=(1, 3)).astype(np.uint8)


def _agree(rule: CoordinateRule, observation: np.ndarray, coordinates: np.ndarray) -> bool:
    """Whether a rule gives the coordinates, those that are angles up to whole turns."""
    try:
        read = rule(observation, coordinates)
    except (IndexError, ValueError):
        return False
    if read.shape != coordinates.shape:
        return False
    return bool((np.abs(np.exp(1j * read) - np.exp(1j * coordinates)) < _CLOSE).all())


def _positions_after(hidden: int) -> CoordinateRule:
    """The rule of an observation that begins with all coordinates but the first `hidden`; these
    stay as they are at the start.
    """

    def rule(observation: np.ndarray, start: np.ndarray) -> np.ndarray:
        if 2 * hidden >= len(start):
            return start[:0]  # what is hidden is right by itself: little else would be tried
        return np.concatenate([start[:hidden], observation[: len(start) - hidden]])

    return rule


def _pendulum(observation: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Pendulum: cosine and sine of the angle, speed."""
    cosine, sine, speed = observation
    return np.array([np.arctan2(sine, cosine), speed])


def _acrobot(observation: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Acrobot: cosine and sine of both angles, speeds."""
    c1, s1, c2, s2, *speeds = observation
    return np.array([np.arctan2(s1, c1), np.arctan2(s2, c2), *speeds])


def _double_pendulum(observation: np.ndarray, start: np.ndarray) -> np.ndarray:
    """MuJoCo's double pendulum: position, sines, cosines."""
    place, s1, s2, c1, c2 = observation[:5]
    return np.array([place, np.arctan2(s1, c1), np.arctan2(s2, c2)])


def _reacher(observation: np.ndarray, start: np.ndarray) -> np.ndarray:
    """MuJoCo's reacher: cosines, sines, target."""
    c1, c2, s1, s2, *target = observation[:6]
    return np.array([np.arctan2(s1, c1), np.arctan2(s2, c2), *target])


# Rules, and how many coordinates they leave out: Hopper, Walker2d and HalfCheetah hide where they
# are along their track, Swimmer and Ant where they are on the ground.
_RULES: tuple[tuple[CoordinateRule, int], ...] = (
    (_positions_after(0), 0),
    (_pendulum, 0),
    (_acrobot, 0),
    (_double_pendulum, 0),
    (_reacher, 0),
    (_positions_after(1), 1),
    (_positions_after(2), 2),
)
