"""Which adapter fits a model, told by the methods that it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paracosm.core import checks

# The methods by which an adapter's models are told; the first adapter that fits is named.
_METHODS_BY_ADAPTER: dict[str, tuple[str, ...]] = {
    "recurrent": ("start", "observe", "next", "reward", "act"),
    "dreamer": ("img_step", "obs_step", "initial"),
    "tdmpc2": ("encode", "next", "reward", "pi", "Q"),
    "latent": ("encode", "next", "reward", "pi"),
    "mbrl": ("set_elite", "update_normalizer"),
    "window": ("encode", "predict", "reward"),
    "goal": ("encode", "predict"),
    "policy": ("predict",),
    "gymnax": ("reset_env", "step_env", "action_space"),
}


def require_methods(adapter: str, model: Any, methods: Sequence[str]) -> None:
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
            f"paracosm.foreign.{adapter} is given the class {model.__name__}; an instance is"
            " needed."
        )
    lacking = [method for method in methods if not callable(_attribute(model, method))]
    if lacking:
        raise checks.BadArgument(
            f"paracosm.foreign.{adapter} is given a {type(model).__name__}, which has no"
            f" {', '.join(lacking)}; {', '.join(methods)} are needed{fitting(model)}."
        )


def fitting(model: Any) -> str:
    """The adapter that fits a model, as the clause of a sentence; empty if no adapter does."""
    for adapter, methods in _METHODS_BY_ADAPTER.items():
        if all(callable(_attribute(model, method)) for method in methods):
            return f"; paracosm.foreign.{adapter} is for models with {', '.join(methods)}"
    if _attribute(model, "in_keys") is not None and _attribute(model, "out_keys") is not None:
        return "; paracosm.foreign.by_keys is for modules that read and write tensors by key"
    if _attribute(model, "reset") is not None and _attribute(model, "step") is not None:
        brax = isinstance(_attribute(model, "action_size"), int)
        name = "paracosm.foreign.gymnax" if brax else "paracosm.connect"
        return f"; {name} is for environments of its kind"
    if callable(model):
        return "; paracosm.foreign.world(dynamics=…) is for a function of states and actions"
    return ""


def _attribute(model: Any, name: str) -> Any:
    """An attribute of a model; None if it has none, or if that fails."""
    try:
        return getattr(model, name, None)
    except Exception:  # a property of somebody's class may fail with anything
        return None
