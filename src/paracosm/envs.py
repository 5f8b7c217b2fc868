"""Environments to train latent worlds on, drawn without a display.

    paracosm run paracosm.envs:pixel_pendulum --encoder latent

Each is a function that makes a Gymnasium environment. The mazes are JAX-native systems too:
`paracosm.real.mazes`.
"""

from paracosm.real.rendered.control import pixel_cart_pole, pixel_pendulum
from paracosm.real.rendered.rooms import two_rooms, u_maze

__all__ = ["pixel_cart_pole", "pixel_pendulum", "two_rooms", "u_maze"]
