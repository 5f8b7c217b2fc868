"""Episodes of a point that turns on a circle, shown as vectors or as small pictures."""

import numpy as np

from paracosm.core.data import Dataset
from paracosm.core.mdp import Box

SPACE = Box(np.array([-1.0], np.float32), np.array([1.0], np.float32))
SIDE = 10
IMAGE = (SIDE, SIDE, 1)
_STEPS = 12


def episodes(count, *, pixels=False, seed=0) -> Dataset:
    """`count` episodes of 12 steps: an action changes the speed of turning, the reward is how high
    the point stands, and the last step of every other episode ends it.
    """
    random = np.random.default_rng(seed)
    angle = np.zeros((count, _STEPS + 1))
    speed = random.normal(size=count) / 6
    angle[:, 0] = random.uniform(-np.pi, np.pi, count)
    action = random.uniform(-1, 1, (count, _STEPS, 1)).astype(np.float32)
    for time in range(_STEPS):
        speed = speed + action[:, time, 0] / 15
        angle[:, time + 1] = angle[:, time] + speed
    show = pictures if pixels else vectors
    state = show(angle)
    ended = np.zeros((count, _STEPS), bool)
    ended[::2, -1] = True
    rows = count * _STEPS
    return Dataset(
        state=state[:, :-1].reshape(rows, -1),
        action=action.reshape(rows, 1),
        next_state=state[:, 1:].reshape(rows, -1),
        reward=np.cos(angle[:, 1:]).reshape(rows),
        terminated=ended.reshape(rows),
        truncated=(np.arange(rows) % _STEPS == _STEPS - 1) & ~ended.reshape(rows),
        episode=np.repeat(np.arange(count), _STEPS),
        time=np.tile(np.arange(_STEPS), count),
        has_transition=np.ones(rows, bool),
        has_label=np.ones(rows, bool),
    )


def vectors(angle):
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32)


def pictures(angle):
    places = np.arange(SIDE) - (SIDE - 1) / 2
    x, y = 3 * np.cos(angle)[..., None, None], 3 * np.sin(angle)[..., None, None]
    distance = np.hypot(places - x, places[:, None] - y)
    shown = np.round(255 * np.clip(2 - distance, 0, 1)).astype(np.uint8)
    return shown.reshape(*angle.shape, SIDE * SIDE)
