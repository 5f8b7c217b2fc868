"""Roots of many monotone functions of one number, side by side.

SciPy has the same method, behind an import that takes longer than a whole plan.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_TOLERANCE = 4e-16  # two units of the last place of a double
_MOST_STEPS = 200  # halving alone takes 70 over the widest bracket


def find_roots(
    function: Callable[[np.ndarray], np.ndarray], low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Where each function is zero between its ends, to machine precision; NaN where both ends have
    one sign.

    Chandrupatla (1997): inverse quadratic interpolation where it can be trusted, otherwise halving.

    Args:
        function: Maps points `[functions]` to values `[functions]`, each function at its own point.
        low: Lower ends, `[functions]`.
        high: Upper ends, `[functions]`.
    """
    near, far = (np.atleast_1d(end).astype(float) for end in (low, high))
    best = near
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        near_value, far_value = function(near), function(far)
        crosses = np.sign(near_value) * np.sign(far_value) <= 0
        share = np.full(near.shape, 0.5)
        for _ in range(_MOST_STEPS):
            point = near + share * (far - near)
            value = function(point)
            same = np.sign(value) == np.sign(near_value)
            last, last_value = np.where(same, near, far), np.where(same, near_value, far_value)
            far, far_value = np.where(same, far, near), np.where(same, far_value, near_value)
            near, near_value = point, value
            best = np.where(np.abs(near_value) < np.abs(far_value), near, far)
            least = _TOLERANCE * (1 + np.abs(best)) / np.abs(far - near)
            done = ~crosses | (least > 0.5) | (near_value == 0) | (far_value == 0)
            if done.all():
                break
            share = _interpolate((near, far, last), (near_value, far_value, last_value))
            share = np.where(done, 0.0, np.clip(share, least, 1 - least))
    return np.where(crosses, best, np.nan).reshape(np.shape(low))


def _interpolate(points: tuple[np.ndarray, ...], values: tuple[np.ndarray, ...]) -> np.ndarray:
    """How far to go from the nearest of three points to the far end, as a share of the way."""
    (near, far, last), (at_near, at_far, at_last) = points, values
    place, height = (near - far) / (last - far), (at_near - at_far) / (at_last - at_far)
    trusted = (height**2 < place) & ((1 - height) ** 2 < 1 - place)
    share = at_near / (at_far - at_near) * at_last / (at_far - at_last)
    share += ((last - near) / (far - near) * at_near / (at_last - at_near) * at_far) / (
        at_last - at_far
    )
    return np.where(trusted, share, 0.5)
