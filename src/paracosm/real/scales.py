"""Scales of states that a user declares, in place of those of the data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from paracosm.core import checks

_SHOWN = 8  # names that a sentence lists


def declared_scales(
    scales: Any, components: tuple[str, ...], size: int
) -> Float[np.ndarray, " state"]:
    """The declared scale of each component, NaN where none is declared.

    Args:
        scales: Scales by the name of a component (`goal[0]`), of a part (`goal`), whose components
            all have it, or by the number of a component (`2`).
        components: Names of the components, empty where they have none.
        size: How many components there are.

    Raises:
        BadArgument: a name is that of no component, two names hold the same component, or a scale
            is no positive number.
    """
    checks.of_kind("state_scale", scales, Mapping, "a mapping of names to positive numbers")
    scale = np.full(size, np.nan)
    for name, value in scales.items():
        number = checks.POSITIVE_32.check(f"state_scale[{name!r}]", value)
        which = _components_named(name, components, size)
        if not np.isnan(scale[which]).all():
            raise checks.BadArgument(
                f"state_scale[{name!r}] is given, and another name holds some of its components."
            )
        scale[which] = number
    return scale


def _components_named(name: Any, components: tuple[str, ...], size: int) -> list[int]:
    """The numbers of the components that a name of a component or a part holds.

    Raises:
        BadArgument: it holds none.
    """
    if isinstance(name, str) and re.fullmatch(r"[0-9]{1,9}", name) and int(name) < size:
        return [int(name)]
    which = [i for i, component in enumerate(components) if _holds(str(name), component)]
    if not which:
        known = components[:_SHOWN] + (("…",) if len(components) > _SHOWN else ())
        needed = f"{', '.join(known)}, or " if components else ""
        raise checks.BadArgument(
            f"state_scale names {name!r}; {needed}a number from 0 to {size - 1} as a text is"
            " needed."
        )
    return which


def _holds(name: str, component: str) -> bool:
    """Whether a name is that of a component, or of a part that the component is in."""
    return component == name or (component.startswith(name) and component[len(name)] in ".[=")
