"""Counts, amounts of money and probabilities for reading, of any size."""

from __future__ import annotations

import math

_SPELT_OUT = 1e15


def grouped(value: float, form: str = ",") -> str:
    """A number as `form` says, thousands separated; past 1e15 three digits and a power of ten."""
    return format(value, form) if abs(value) <= _SPELT_OUT else f"{value:.3g}"


def probability(chance: float) -> str:
    """A level or probability as a percentage, to three digits of it or of what it lacks to 1: one
    below 1 is never 100%.
    """
    scarcer = 100 * min(chance, 1 - chance)
    decimals = max(0, 2 - math.floor(math.log10(scarcer))) if scarcer > 0 else 0
    return f"{round(100 * chance, decimals):.15g}%"
