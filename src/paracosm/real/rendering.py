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

_LOOKS = 4  # random steps on which a rule must be right: at a start many coordinates are 0
_CLOSE = 1e-3  # observations are of 32 bits, and some are rounded before that
_HEIGHT = 200  # pixels that a picture is shrunk towards
# pygame greets on stdout, and SDL looks for a display and for loudspeakers.
_QUIET = {
    "PYGAME_HIDE_SUPPORT_PROMPT": "1",
    "SDL_VIDEODRIVER": "dummy",
    "SDL_AUDIODRIVER": "dummy",
}

CoordinateRule = Callable[[np.ndarray, np.ndarray], np.ndarray]


class DrawnStates(NamedTuple):
    """Pictures of several sequences of states, and how many coordinates they do not show."""

    pictures: list[UInt8[np.ndarray, "_ height width 3"]]
    hidden: int


def draw_states(
    factory: registry.Factory, sequences: Sequence[Float[np.ndarray, "_ observation"]]
) -> DrawnStates:
    """What an environment looks like where it shows these observations.

    Raises:
        Missing: a package that draws is not installed.
        Unsupported: the environment draws no pictures, or cannot be put where an observation is.
    """
    with _opened(factory) as env:
        rule, hidden, start = _rule(factory.env, env)
        return DrawnStates(
            [np.stack([_picture(env, rule(o, start)) for o in rows]) for rows in sequences], hidden
        )


def as_pictures(
    rows: Float[np.ndarray, "_ pixels"], image: tuple[int, int, int]
) -> UInt8[np.ndarray, "_ height width 3"]:
    """Flat observations of images as pictures; what has no three colours is grey, its last channel.

    Args:
        rows: Pixels from 0 to 255; what is beyond is cut off.
        image: Height, width and channels.
    """
    pictures = np.clip(np.round(rows), 0, 255).astype(np.uint8).reshape(-1, *image)
    return pictures if image[2] == 3 else pictures[..., -1:].repeat(3, axis=3)


@contextlib.contextmanager
def _opened(factory: registry.Factory) -> Iterator[Any]:
    """The environment, which draws; what goes wrong in it is said in a sentence."""
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
            raise checks.Missing(_lacking(factory.env, str(error))) from error
        except Exception as error:  # drawing runs code of others
            raise checks.Unsupported(
                f"drawing {factory.env} {boundary.happened(error)}."
            ) from error
        finally:
            with contextlib.suppress(Exception):
                env.close()


@contextlib.contextmanager
def _headless() -> Iterator[None]:
    """Without a display, unless the user has chosen one."""
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


def _lacking(name: str, message: str) -> str:
    if "pygame" in message.lower():
        return f"{needs(f'drawing {name}', 'pygame', 'video')}."
    return f"{name} needs what is not installed to draw itself: {message.rstrip('.')}."


def _rule(name: str, env: Any) -> tuple[CoordinateRule, int, np.ndarray]:
    """How an observation becomes coordinates, how many of these it does not show, and coordinates
    at a start.

    Raises:
        Unsupported: no rule fits; or the environment has no coordinates that can be set.
    """
    looks = [look for look in _looks(env) if look[1] is not None]
    if not looks:
        raise checks.Unsupported(f"{name} cannot be put into a state, so that it cannot be drawn.")
    for rule, hidden in _RULES:
        if all(_agree(rule, *look) for look in looks):
            return rule, hidden, looks[0][1]
    raise checks.Unsupported(
        f"an observation of {name} does not say where everything is, so that it cannot be drawn."
    )


def _looks(env: Any) -> Iterator[tuple[np.ndarray, Any]]:
    """Observations and coordinates of a few random steps; the environment is reset afterwards."""
    form = spaces.observation_form(str(env), env.observation_space)

    def row(observation: Any) -> np.ndarray:
        flat = flat_row(observation, form.leaves) if form.leaves else observation
        return np.asarray(flat, np.float64)

    observation, _ = env.reset(seed=0)
    env.action_space.seed(0)
    yield row(observation), _coordinates(env)
    for _ in range(_LOOKS):
        observation, _, ended, cut, _ = env.step(env.action_space.sample())
        if ended or cut:
            break
        yield row(observation), _coordinates(env)
    env.reset(seed=0)


def _coordinates(env: Any) -> np.ndarray | None:
    """Where everything is: MuJoCo's positions, or the `state` of Gymnasium's classic control."""
    inner = env.unwrapped
    if hasattr(inner, "set_state") and hasattr(inner, "data"):
        return np.array(inner.data.qpos, np.float64)
    state = getattr(inner, "state", None)
    return None if state is None else np.array(state, np.float64)


def _picture(env: Any, coordinates: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
    inner = env.unwrapped
    if hasattr(inner, "set_state"):
        inner.set_state(coordinates, np.zeros_like(inner.data.qvel))
    else:
        inner.state = coordinates
    return _shrunk(np.asarray(env.render(), np.uint8)[..., :3])


def _shrunk(picture: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
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


def _from_place(hidden: int) -> CoordinateRule:
    """An observation that begins with the positions, but for the first `hidden`, which stay."""

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


# By what they leave out: Hopper, Walker2d and HalfCheetah hide where they are along their track,
# Swimmer and Ant where they are on the ground.
_RULES: tuple[tuple[CoordinateRule, int], ...] = (
    (_from_place(0), 0),
    (_pendulum, 0),
    (_acrobot, 0),
    (_double_pendulum, 0),
    (_reacher, 0),
    (_from_place(1), 1),
    (_from_place(2), 2),
)
