"""Somebody's policy: a PyTorch module, a plain function, or a Stable-Baselines3 model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from paracosm.core.mdp import Discrete, Spec
from paracosm.core.policy import Policy
from paracosm.real.foreign.arrays import NumpyHost
from paracosm.real.foreign.parts import ForeignPolicy, action_slot, arguments, host_of


def policy(function: Any, spec: Spec, *, functions: str = "numpy") -> Policy:
    """A deterministic policy from a function of observations `[batch, state]`.

    Actions are `[batch, action]` in the environment's units, or `[batch]` whole numbers. One that draws its actions is
    refused when it is asked: it is asked twice.

    Args:
        function: a torch module or a method of one, a plain function, a Stable-Baselines3 model (its
            `predict(observation, deterministic=True)` is asked), or a `Policy`, which is returned as it is.
        spec: what is fixed about the task.
        functions: what plain functions take: `numpy` or `torch`.
    """
    if isinstance(function, Policy):
        return function
    takes, gives = arguments("s", spec), [action_slot("action", spec.action)]
    if hasattr(function, "predict"):
        host = NumpyHost(_predicting(function), "policy", takes, gives, precision=np.float32)
    else:
        host = host_of(function, "policy", takes, gives, functions=functions)
    return ForeignPolicy(host, isinstance(spec.action, Discrete))


def _predicting(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Stable-Baselines3's `predict`, which answers in 32 bits."""
    return lambda observations: model.predict(observations.astype(np.float32), deterministic=True)[0]
