"""Pictures drawn by arithmetic: without a display, and by one code for NumPy and for JAX.

A shape is the signed distance of every pixel's centre to it, negative inside. Of a pixel at the
distance d, counted in pixels, the share `clip(1/2 - d, 0, 1)` is covered, so that a shape which
moves by a part of a pixel changes the grey levels along its edge.

Places have x to the right and y upwards, both from -1 to 1 in the picture.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from paracosm.core import checks
from paracosm.real.boundary import MOST_PIXELS

SIZES = checks.Range(8, MOST_PIXELS, integer=True)  # fewer pixels show nothing
AnyArray = Any  # an array of NumPy or of JAX


class Grid(NamedTuple):
    """Where the centres of a picture's pixels are: `x` `[1, size]`, `y` `[size, 1]`, from the top
    row down.
    """

    x: AnyArray
    y: AnyArray


def grid(size: int) -> Grid:
    """The centres of the pixels of a picture that is `size` high and wide."""
    centres = ((2 * np.arange(size) + 1) / size - 1).astype(np.float32)
    return Grid(centres[None, :], centres[::-1, None])


def namespace(values: AnyArray) -> Any:
    """The module of the functions that take an array: NumPy's or JAX's."""
    return values.__array_namespace__()


def disc(pixels: Grid, centre: AnyArray, radius: float) -> AnyArray:
    """Distance of each pixel to a disc, `[size, size]`."""
    squared = (pixels.x - centre[0]) ** 2 + (pixels.y - centre[1]) ** 2
    return namespace(squared).sqrt(squared) - radius


def rod(pixels: Grid, start: AnyArray, end: AnyArray, radius: float) -> AnyArray:
    """Distance of each pixel to a rod with round ends, `[size, size]`.

    Args:
        pixels: The pixels of the picture.
        start, end: Where its axis begins and ends, two numbers each, not one place.
        radius: Half its width.
    """
    along_x, along_y = end[0] - start[0], end[1] - start[1]
    x, y = pixels.x - start[0], pixels.y - start[1]
    share = (x * along_x + y * along_y) / (along_x**2 + along_y**2)
    share = namespace(share).clip(share, 0, 1)
    squared = (x - share * along_x) ** 2 + (y - share * along_y) ** 2
    return namespace(squared).sqrt(squared) - radius


def block(pixels: Grid, box: AnyArray) -> AnyArray:
    """Distance of each pixel to a rectangle `(left, bottom, right, top)`, `[size, size]`; near its
    corners a bound from below.
    """
    xp = namespace(pixels.x)
    x = xp.maximum(box[0] - pixels.x, pixels.x - box[2])
    y = xp.maximum(box[1] - pixels.y, pixels.y - box[3])
    return xp.maximum(x, y)


def coverage(distance: AnyArray) -> AnyArray:
    """The share of each pixel that a shape at these distances covers, `[size, size]`."""
    per_unit = distance.shape[0] / 2  # pixels
    return namespace(distance).clip(0.5 - per_unit * distance, 0, 1)


def as_bytes(picture: AnyArray) -> AnyArray:
    """A picture with values in [0, 1] as uint8."""
    xp = namespace(picture)
    return xp.round(255 * picture).astype(xp.uint8)
