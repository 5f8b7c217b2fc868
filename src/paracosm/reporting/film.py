"""A film as pictures that a page holds: one that moves and one that does not, both WebP."""

from __future__ import annotations

import base64
import io
from typing import NamedTuple

import numpy as np

from paracosm.core import checks
from paracosm.core.film import Film

MOST_BYTES = 2_000_000  # of both pictures in the page, where three bytes are four characters
_LEAST_SIDE = 160  # pixels; smaller pictures are magnified by whole numbers
_FRAME = 120  # milliseconds that a frame stands
_REST = 900  # milliseconds that the last one stands
_MOMENTS = 6  # of the picture that does not move
_GAP, _BAR = 8, 4  # pixels between both pictures, and of the line that shows how far the film is
_ENDED = 0.35  # brightness that is left of an episode which is over
_PAPER, _LINE = 255, 110  # greys
# Tried one after another until the film is small enough: noise takes many more bytes than a scene.
_QUALITIES = (80, 55, 30, 10)


class FilmPictures(NamedTuple):
    """Data URIs of a film, and its size in the page.

    Attributes:
        moving: Real and imagined side by side, over and over.
        strip: Some moments of it, the real ones above the imagined ones.
        moments: Their time steps.
        width, height: The size of `moving` in pixels.
    """

    moving: str
    strip: str
    moments: tuple[int, ...]
    width: int
    height: int


class PageFilm(NamedTuple):
    """A film on a page: the pictures, or `why` there are none."""

    film: Film | None
    pictures: FilmPictures | None
    why: str


def on_page(film: Film | str | None) -> PageFilm | None:
    """A film, or the sentence that says why there is none, for a page; None if nobody tried."""
    if film is None or isinstance(film, str):
        return None if film is None else PageFilm(None, None, film)
    try:
        return PageFilm(film, film_pictures(film), "")
    except checks.Unsupported as error:
        return PageFilm(None, None, f"Without pictures: {error}")


def film_pictures(film: Film) -> FilmPictures:
    """The pictures of a film, of at most `MOST_BYTES` together.

    Raises:
        Unsupported: no such pictures are small enough, or Pillow writes no WebP.
    """
    real, imagined = (_magnified(pictures) for pictures in (film.real, film.imagined))
    frames = [_frame(real, imagined, number, len(film.steps)) for number in range(len(film.steps))]
    shown = sorted(set(np.linspace(0, len(frames) - 1, _MOMENTS).round().astype(int).tolist()))
    strip = np.concatenate([_moment(real, imagined, number) for number in shown], axis=1)
    height, width = frames[0].shape[:2]
    for quality in _QUALITIES:
        moving, still = _webp(frames, quality), _webp([strip], quality)
        if len(moving) + len(still) <= MOST_BYTES:
            moments = tuple(film.steps[number] for number in shown)
            return FilmPictures(moving, still, moments, width, height)
    raise checks.Unsupported(f"the pictures take more than {MOST_BYTES:,} bytes.")


def _magnified(pictures: np.ndarray) -> np.ndarray:
    times = -(-_LEAST_SIDE // min(pictures.shape[1:3]))
    return pictures.repeat(times, axis=1).repeat(times, axis=2)


def _at(pictures: np.ndarray, number: int) -> np.ndarray:
    """An episode's picture, or its last one faded where it is over."""
    if number < len(pictures):
        return pictures[number]
    return (_PAPER + _ENDED * (pictures[-1].astype(float) - _PAPER)).astype(np.uint8)


def _frame(real: np.ndarray, imagined: np.ndarray, number: int, frames: int) -> np.ndarray:
    """Both pictures of a moment, and below them a line as long as the film is far.

    Args:
        real, imagined: Pictures of both episodes, `[frame, height, width, 3]`.
        number: The number of the moment.
        frames: The frames of the film.
    """
    left, right = _at(real, number), _at(imagined, number)
    between = np.full((left.shape[0], _GAP, 3), _PAPER, np.uint8)
    both = np.concatenate([left, between, right], axis=1)
    below = np.full((2 * _BAR, both.shape[1], 3), _PAPER, np.uint8)
    below[_BAR:, : round(both.shape[1] * (number + 1) / frames)] = _LINE
    return np.concatenate([both, below], axis=0)


def _moment(real: np.ndarray, imagined: np.ndarray, number: int) -> np.ndarray:
    """Both pictures of a moment, one above the other, half as large."""
    pictures = [_at(pictures, number)[::2, ::2] for pictures in (real, imagined)]
    between = np.full((_GAP, pictures[0].shape[1], 3), _PAPER, np.uint8)
    column = np.concatenate([pictures[0], between, pictures[1]], axis=0)
    return np.pad(column, ((0, 0), (0, _GAP), (0, 0)), constant_values=_PAPER)


def _webp(frames: list[np.ndarray], quality: int) -> str:
    """Frames as a data URI.

    Raises:
        Unsupported: Pillow was built without WebP.
    """
    from PIL import Image  # for pages with a film alone: commands start without it

    first, *others = (Image.fromarray(frame) for frame in frames)
    buffer = io.BytesIO()
    durations = [_FRAME] * (len(frames) - 1) + [_REST]
    moving = {"save_all": True, "append_images": others, "duration": durations, "loop": 0}
    try:
        first.save(buffer, "WEBP", quality=quality, method=4, **(moving if others else {}))
    except (KeyError, OSError) as error:
        raise checks.Unsupported("Pillow was built here without WebP.") from error
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
