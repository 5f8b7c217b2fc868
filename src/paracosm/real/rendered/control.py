"""Pendulum and cart-pole of Gymnasium, observed as pictures.

Dynamics, rewards, ends and time limits are Gymnasium's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from paracosm.core import checks
from paracosm.real.boundary import MOST_CHANNELS
from paracosm.real.rendered import drawing
from paracosm.real.rendered.drawing import Grid

_FRAMES = checks.Range(1, MOST_CHANNELS, integer=True)
_ROD = 0.8, 0.12  # length and half width, of half a picture
_POLE = 1.2, 0.06
_CART = 0.16, 0.08, -0.6  # half its width and height, and where it runs
_CART_GREY = 0.6  # the pole, which stands before it, is white
_TRACK = 2.8  # half the width of what is seen; the cart's position ends at 2.4


class Pictures(gymnasium.Wrapper, RecordConstructorArgs):
    """An environment whose observations are pictures of its state, `[size, size, frames]` uint8.

    The last channel shows the present state and those before it the states before. Before the first
    step the state had moved at its starting speed, so that two frames show a speed at once.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        draw: Callable[[Grid, np.ndarray], np.ndarray],
        drift: Callable[[np.ndarray], np.ndarray],
        size: int,
        frames: int,
    ) -> None:
        """Replace the observations of `env`.

        Args:
            env: What is observed; its `unwrapped` has a `state`.
            draw: Makes a picture `[size, size]` in [0, 1] of a grid and a state.
            drift: By how much the state changes in a step at its present speed.
            size: Height and width in pixels.
            frames: How many states are shown, 1 to 12.
        """
        RecordConstructorArgs.__init__(self, draw=draw, drift=drift, size=size, frames=frames)
        gymnasium.Wrapper.__init__(self, env)
        self._grid = drawing.grid(drawing.SIZES.check("size", size))
        self._draw, self._drift = draw, drift
        shape = (size, size, _FRAMES.check("frames", frames))
        self.observation_space = spaces.Box(0, 255, shape, np.uint8)
        self._shown = np.zeros(shape, np.uint8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        _, info = self.env.reset(seed=seed, options=options)
        state = self._state()
        frames = self._shown.shape[-1]
        for frame in range(frames):
            earlier = state - (frames - 1 - frame) * self._drift(state)
            self._shown[..., frame] = self._picture(earlier)
        return self._shown.copy(), info

    def step(self, action: Any) -> Any:
        _, *outcome = self.env.step(action)
        self._shown[..., :-1] = self._shown[..., 1:]
        self._shown[..., -1] = self._picture(self._state())
        return self._shown.copy(), *outcome

    def _state(self) -> np.ndarray:
        inner: Any = self.env.unwrapped
        return np.asarray(inner.state, np.float64)

    def _picture(self, state: np.ndarray) -> np.ndarray:
        return drawing.as_bytes(self._draw(self._grid, state.astype(np.float32)))


def pixel_pendulum(size: int = 32, frames: int = 2) -> gymnasium.Env:
    """Gymnasium's `Pendulum-v1`, observed as grey pictures `[size, size, frames]` of its rod.

    Two frames show the whole state: the angle moves by `0.05 s` of the present speed. One frame
    hides the speed, for encoders with memory.

    Args:
        size: Height and width in pixels, 8 to 64.
        frames: How many states are shown, the present one last, 1 to 12.

    Raises:
        BadArgument: a size or a number of frames that is not supported.
    """
    env: Any = gymnasium.make("Pendulum-v1", disable_env_checker=True)
    seconds = float(env.unwrapped.dt)
    return Pictures(env, _pendulum, lambda state: seconds * np.array([state[1], 0.0]), size, frames)


def pixel_cart_pole(size: int = 32, frames: int = 2) -> gymnasium.Env:
    """Gymnasium's `CartPole-v1`, observed as grey pictures `[size, size, frames]` of cart and pole.

    Positions move by the speeds of the step before, so that no number of frames shows what the last
    action did to the speeds: an encoder that sees the actions knows.

    Args:
        size: Height and width in pixels, 8 to 64.
        frames: How many states are shown, the present one last, 1 to 12.

    Raises:
        BadArgument: a size or a number of frames that is not supported.
    """
    env: Any = gymnasium.make("CartPole-v1", disable_env_checker=True)
    seconds = float(env.unwrapped.tau)
    return Pictures(
        env,
        _cart_pole,
        lambda state: seconds * np.array([state[1], 0.0, state[3], 0.0]),
        size,
        frames,
    )


def _pendulum(pixels: Grid, state: np.ndarray) -> np.ndarray:
    """The rod at an angle from upright, positive to the left as in Gymnasium."""
    length, radius = _ROD
    end = -length * math.sin(state[0]), length * math.cos(state[0])
    return drawing.coverage(drawing.rod(pixels, (0.0, 0.0), end, radius))


def _cart_pole(pixels: Grid, state: np.ndarray) -> np.ndarray:
    """The cart, and before it the pole at an angle from upright, positive to the right."""
    (width, height, rail), (length, radius) = _CART, _POLE
    x, angle = float(state[0]) / _TRACK, float(state[2])
    box = x - width, rail - height, x + width, rail + height
    cart = _CART_GREY * drawing.coverage(drawing.block(pixels, box))
    end = x + length * math.sin(angle), rail + length * math.cos(angle)
    pole = drawing.coverage(drawing.rod(pixels, (x, rail), end, radius))
    return cart + pole * (1 - cart)
