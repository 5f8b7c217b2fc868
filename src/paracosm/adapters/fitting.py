"""Which adapter fits a model, told by the methods that it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paracosm.core import checks

# By adapter, the methods that tell its models; the first that fits is named.
_TELLING: dict[str, tuple[str, ...]] = {
    "recurrent": ("start", "observe", "next", "reward", "act"),
    "dreamer": ("img_step", "obs_step", "initial"),
    "latent": ("encode", "next", "reward", "pi"),
    "window": ("encode", "predict"),
    "policy": ("predict",),
}


def demand_methods(adapter: str, model: Any, methods: Sequence[str]) -> None:
    """Require that a model has the methods that an adapter calls.

    Args:
        adapter: The adapter's name, such as `recurrent`.
        model: What it was given.
        methods: Their names.

    Raises:
        BadArgument: it lacks some; the sentence names the adapter that fits it.
    """
    if isinstance(model, type):
        raise checks.BadArgument(
            f"adapters.{adapter} is given the class {model.__name__}; an instance is needed."
        )
    lacking = [method for method in methods if not callable(getattr(model, method, None))]
    if lacking:
        raise checks.BadArgument(
            f"adapters.{adapter} is given a {type(model).__name__}, which has no"
            f" {', '.join(lacking)}; {', '.join(methods)} are needed{fitting(model)}."
        )


def fitting(model: Any) -> str:
    """The adapter that fits a model, as the clause of a sentence; empty if none is known."""
    for adapter, methods in _TELLING.items():
        if all(callable(getattr(model, method, None)) for method in methods):
            return f"; adapters.{adapter} is for models with {', '.join(methods)}"
    if hasattr(model, "in_keys") and hasattr(model, "out_keys"):
        return "; adapters.by_keys is for modules that read and write tensors by key"
    if callable(model):
        return "; adapters.world(dynamics=…) is for a function of states and actions"
    return ""
