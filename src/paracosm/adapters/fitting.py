"""Which adapter fits somebody's model, told from the methods that it has."""

from __future__ import annotations

from typing import Any, NamedTuple


class Fit(NamedTuple):
    """An adapter, and the attributes by which a model that it fits is known."""

    adapter: str
    attributes: tuple[str, ...]


# The first that fits is named: those that need more come before those that need less.
_FITS = (
    Fit("paracosm.foreign.tdmpc2", ("encode", "next", "reward", "pi", "Q")),
    Fit("paracosm.foreign.latent", ("encode", "next", "reward", "pi")),
    Fit("paracosm.foreign.recurrent", ("start", "observe", "next", "reward", "act")),
    Fit("paracosm.foreign.mbrl", ("learned_rewards", "target_is_delta", "model")),
    Fit("paracosm.foreign.goal", ("encode", "predict")),
    Fit("paracosm.foreign.policy", ("predict", "learn")),
    Fit("paracosm.foreign.gymnax", ("reset_env", "step_env")),
    Fit("paracosm.foreign.gymnax", ("reset", "step", "action_size", "observation_size")),
    Fit("paracosm.connect", ("reset", "step", "action_space", "observation_space", "metadata")),
    Fit("paracosm.foreign.world", ("forward", "parameters")),
)


def fitting(model: Any) -> str:
    """A sentence that names the adapter for models of this kind; empty if none is known."""
    for fit in _FITS:
        if all(_has(model, attribute) for attribute in fit.attributes):
            return f" {fit.adapter} takes models with {', '.join(fit.attributes)}."
    return ""


def _has(model: Any, attribute: str) -> bool:
    try:
        getattr(model, attribute)
    except Exception:  # a property of somebody's class may fail with anything
        return False
    return True
