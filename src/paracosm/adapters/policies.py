"""Somebody's policy: a PyTorch module, a plain function, or a Stable-Baselines3 model."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from paracosm.adapters.arrays import NumpyHost
from paracosm.adapters.parts import (
    ForeignPolicy,
    arguments,
    chosen_action,
    demand_spec,
    host_of,
)
from paracosm.adapters.torch import is_torch
from paracosm.core import checks
from paracosm.core.mdp import Box, Discrete, Spec
from paracosm.core.policy import Policy


def policy(function: Any, spec: Spec, *, functions: str = "numpy") -> Policy:
    """A deterministic policy from a function of observations `[batch, state]`.

    Actions are `[batch, action]` in the environment's units, or `[batch]` whole numbers of the
    space; of several choices at once NumPy's may be `[batch, choice]`, as the environment calls
    them. One that draws its actions is refused when it is asked: it is asked twice.

    Args:
        function: a torch module or a method of one, a plain function, a Stable-Baselines3 model
            (its `predict(observation, deterministic=True)` is asked, behind its own `VecNormalize`
            where it has one), or a `Policy`, which is returned as it is.
        spec: what is fixed about the task.
        functions: what plain functions take: `numpy` or `torch`.
    """
    if isinstance(function, Policy):
        return function
    demand_spec(spec)
    takes, gives = arguments("s", spec), [chosen_action(spec.action)]
    if _predicts(function):
        host = NumpyHost(_numbered(_predicting(function), spec.action), "policy", takes, gives)
    else:
        if functions == "numpy" and not is_torch(function):
            function = _numbered(function, spec.action)
        host = host_of(function, "policy", takes, gives, functions=functions)
    return ForeignPolicy(host, isinstance(spec.action, Discrete), _note(function))


def _predicts(model: Any) -> bool:
    """Whether it is asked by `predict`; a torch module only if that is Stable-Baselines3's."""
    return callable(getattr(model, "predict", None)) and (_takes_mode(model) or not is_torch(model))


def _takes_mode(model: Any) -> bool:
    try:
        return "deterministic" in inspect.signature(model.predict).parameters
    except (TypeError, ValueError):
        return False


def _predicting(model: Any) -> Callable[[np.ndarray], Any]:
    """The action that `predict` gives.

    Stable-Baselines3's takes observations of 32 bits, normalised as they were in training.
    """
    if not _takes_mode(model):
        return lambda observations: _without_memory(model.predict(observations))
    normaliser = _normaliser(model)

    def predict(observations: np.ndarray) -> Any:
        rows = observations.astype(np.float32)
        rows = rows if normaliser is None else normaliser.normalize_obs(rows)
        return _without_memory(model.predict(rows, deterministic=True))

    return predict


def _numbered(function: Any, space: Box | Discrete) -> Any:
    """A function whose actions of several choices at once become the numbers that stand for
    them.
    """
    if not isinstance(space, Discrete) or not space.counts:
        return function
    if not callable(function) or isinstance(function, type):
        return function

    def number(observations: np.ndarray) -> Any:
        answer: Any = function(observations)
        if np.shape(answer) != (len(observations), len(space.counts)):
            return answer
        action = np.asarray(answer)
        choice = action - np.array(space.starts)
        sound = (choice == np.floor(choice)) & (choice >= 0) & (choice < space.counts)
        if not sound.all():
            row = action[int(np.argmin(sound.all(axis=1)))]
            raise checks.BadData(
                f"the policy gives the action {row}; whole numbers from {list(space.starts)} on,"
                f" of {list(space.counts)} values, are needed."
            )
        return space.number(action.astype(np.int64))

    return number


def _without_memory(answer: Any) -> Any:
    action, *beside = answer if isinstance(answer, tuple) else (answer,)
    if beside and isinstance(beside[0], (tuple, list, np.ndarray)) and len(beside[0]):
        raise checks.BadArgument(
            "the policy's predict gives a memory beside the action (a recurrent policy); one that"
            " acts on the"
            " observation alone is needed."
        )
    return action


def _normaliser(model: Any) -> Any:
    return (
        model.get_vec_normalize_env()
        if callable(getattr(model, "get_vec_normalize_env", None))
        else None
    )


def _note(model: Any) -> str:
    """A sentence if a model's normaliser of observations may be missing.

    A model that was loaded without its environment has none.
    """
    getter = getattr(model, "get_env", None)
    if not callable(getattr(model, "get_vec_normalize_env", None)) or not callable(getter):
        return ""
    if _normaliser(model) is not None or getter() is not None:
        return ""
    return (
        "The policy was loaded without an environment: if it was trained behind a VecNormalize,"
        " its observations lack"
        " their normaliser, which load(…, env=VecNormalize.load(…)) gives back."
    )
