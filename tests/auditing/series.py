"""Pairs of series over checkpoints that are related in no way but look it, and pairs where one
leads.
"""

import numpy as np

BURN_IN = 50


def _autoregressive(rng, count, length):
    noise = rng.normal(size=(count, length + BURN_IN))
    series = np.zeros_like(noise)
    for t in range(1, length + BURN_IN):
        series[:, t] = 0.9 * series[:, t - 1] + noise[:, t]
    return series[:, BURN_IN:]


def _noise(rng, count, length):
    return rng.normal(size=(count, length))


def _smoothed_walk(rng, count, length):
    """A random walk, averaged over five steps."""
    walk = np.cumsum(_noise(rng, count, length + 4), axis=1)
    return np.lib.stride_tricks.sliding_window_view(walk, 5, axis=1).mean(axis=-1)


def _time(length):
    return np.arange(length) / length


KINDS = {
    "noise": lambda *of: np.abs(_noise(*of)),
    "autoregressive": _autoregressive,
    "random walk": lambda *of: np.cumsum(_noise(*of), axis=1),
    "size of a random walk": lambda *of: np.abs(np.cumsum(_noise(*of), axis=1)),
    "smoothed walk": _smoothed_walk,
    "drifting walk": lambda *of: np.cumsum(_noise(*of) - 0.5, axis=1),
    "learning": lambda *of: np.exp(-3 * _time(of[2])) + 0.2 * _noise(*of),
    "learning in proportion": lambda *of: np.exp(-3 * _time(of[2]) + 0.5 * _noise(*of)),
    "step": lambda *of: (_time(of[2]) < 0.4) + 0.2 * _noise(*of),
}


def unrelated(kind, count, length, seed):
    """Two independent series of a kind, `[count, length]` each."""
    rng = np.random.default_rng(seed)
    return KINDS[kind](rng, count, length), KINDS[kind](rng, count, length)


def leading(kind, count, length, seed):
    """A series x, and y_{t+1} = 0.8 x_t + noise of 0.6, x in units of its spread."""
    rng = np.random.default_rng(seed)
    x = KINDS[kind](rng, count, length)
    x = (x - x.mean()) / x.std()
    y = rng.normal(size=(count, length))
    y[:, 1:] = 0.8 * x[:, :-1] + 0.6 * y[:, 1:]
    return x, y


def repeating(kind, count, length, seed):
    """A series x that is y with noise of its own: it says of y's future what y does."""
    rng = np.random.default_rng(seed)
    y = KINDS[kind](rng, count, length)
    return y + 0.3 * y.std() * rng.normal(size=y.shape), y
