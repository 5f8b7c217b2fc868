"""Draws the pictures of the environments on `pixels.md` into `docs/images`.

    python docs/pictures.py

`mkdocs.yml` excludes this file; it is no page of the site.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.image import imsave

from paracosm import envs

_IMAGES = Path(__file__).parent / "images"
_MAGNIFIED = 5  # sides of a pixel: 32 of them are too small to look at
_SHOWN = {
    "pixel_pendulum": envs.pixel_pendulum(frames=1),
    "pixel_cart_pole": envs.pixel_cart_pole(frames=1),
    "two_rooms": envs.two_rooms(colour=True),
    "u_maze": envs.u_maze(colour=True),
}

for name, env in _SHOWN.items():
    picture, _ = env.reset(seed=1)
    colours = np.broadcast_to(picture, (*picture.shape[:2], 3))
    large = colours.repeat(_MAGNIFIED, axis=0).repeat(_MAGNIFIED, axis=1)
    imsave(_IMAGES / f"{name}.png", large)
