"""Counts and amounts of money for reading, of any size."""

from __future__ import annotations

_SPELT_OUT = 1e15


def grouped(value: float, form: str = ",") -> str:
    """A number as `form` says, thousands separated; past 1e15 three digits and a power of ten."""
    return format(value, form) if abs(value) <= _SPELT_OUT else f"{value:.3g}"
