"""Somebody's policy: a PyTorch module, a plain function, or a Stable-Baselines3 model."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from paracosm.adapters.arrays import NumpyHost
from paracosm.adapters.batches import WITH_MEMORY
from paracosm.adapters.parts import (
    ForeignPolicy,
    argument_slots,
    host_of,
    require_spec,
    result_slot,
)
from paracosm.adapters.torch import is_torch
from paracosm.core import checks
from paracosm.core.mdp import Box, Discrete, Spec
from paracosm.core.policy import Policy


def policy(function: Any, spec: Spec, *, functions: str = "numpy") -> Policy:
    """A deterministic policy from a function of observations `[batch, state]`.

    Actions are `[batch, action]` in the environment's units, or `[batch]` whole numbers of the
    space, from 0; of several choices at once NumPy's may be `[batch, choice]`, as the environment
    calls them, and of a MultiDiscrete of one choice they are so in `[batch]` too. A policy that
    draws its actions is refused when it is asked: it is asked twice.

    Args:
        function: a torch module or a method of one, a plain function, a Stable-Baselines3 model
            (its `predict(observation, deterministic=True)` is asked, behind its own `VecNormalize`
            where it has one), or a `Policy`, which is returned as it is.
        spec: what is fixed about the task.
        functions: what plain functions take: `numpy` or `torch`.
    """
    if isinstance(function, Policy):
        return function
    require_spec(spec)
    takes, gives = argument_slots("s", spec), [result_slot(spec.action)]
    if _is_asked_by_predict(function):
        host = NumpyHost(
            _as_joint_actions(_predict_function(function), spec.action), "policy", takes, gives
        )
    else:
        if functions == "numpy" and not is_torch(function):
            function = _as_joint_actions(function, spec.action)
        host = host_of(function, "policy", takes, gives, functions=functions)
    return ForeignPolicy(
        host,
        discrete=isinstance(spec.action, Discrete),
        note=_missing_normaliser_note(function),
    )


def _is_asked_by_predict(model: Any) -> bool:
    """Whether a policy is asked by `predict`; a torch module only if it is Stable-Baselines3's."""
    return callable(getattr(model, "predict", None)) and (
        _takes_deterministic(model) or not is_torch(model)
    )


def _takes_deterministic(model: Any) -> bool:
    """Whether `predict` takes `deterministic`, as Stable-Baselines3's does."""
    try:
        return "deterministic" in inspect.signature(model.predict).parameters
    except (TypeError, ValueError):
        return False


def _predict_function(model: Any) -> Callable[[np.ndarray], Any]:
    """The function that gives the action of `predict`.

    Stable-Baselines3's is given observations of 32 bits, normalised as they were in training.
    """
    if not _takes_deterministic(model):
        return lambda observations: _require_no_memory(model.predict(observations))
    normaliser = _normaliser(model)

    def predict(observations: np.ndarray) -> Any:
        rows = observations.astype(np.float32)
        rows = rows if normaliser is None else normaliser.normalize_obs(rows)
        return _require_no_memory(model.predict(rows, deterministic=True))

    return predict


def _as_joint_actions(function: Any, space: Box | Discrete) -> Any:
    """The function itself; if an action of the space is several choices at once, the function with
    each of its rows of choices brought to the number of the joint action.
    """
    if not isinstance(space, Discrete) or not space.counts:
        return function
    if not callable(function) or isinstance(function, type):
        return function

    def number(observations: np.ndarray) -> Any:
        answer: Any = function(observations)
        if len(space.counts) == 1 and np.shape(answer) == (len(observations),):
            answer = np.asarray(answer)[:, None]
        if np.shape(answer) != (len(observations), len(space.counts)):
            return answer
        action = np.asarray(answer)
        choice = action - np.array(space.starts)
        valid = (choice == np.floor(choice)) & (choice >= 0) & (choice < space.counts)
        if not valid.all():
            row = action[int(np.argmin(valid.all(axis=1)))]
            raise checks.BadData(
                f"the policy gives the action {row}; whole numbers from {list(space.starts)} on,"
                f" of {list(space.counts)} values, are needed."
            )
        return space.number(action.astype(np.int64))

    return number


def _require_no_memory(answer: Any) -> Any:
    """The action that `predict` answers with.

    Raises:
        BadArgument: it gives a memory too.
    """
    action, *rest = answer if isinstance(answer, tuple) else (answer,)
    if rest and isinstance(rest[0], (tuple, list, np.ndarray)) and len(rest[0]):
        raise checks.BadArgument(
            "the policy's predict gives a memory beside the action (a recurrent policy); one that"
            f" acts on the observation alone is needed, or {WITH_MEMORY}."
        )
    return action


def _normaliser(model: Any) -> Any:
    """The `VecNormalize` that a Stable-Baselines3 model was trained behind, or None."""
    return (
        model.get_vec_normalize_env()
        if callable(getattr(model, "get_vec_normalize_env", None))
        else None
    )


def _missing_normaliser_note(model: Any) -> str:
    """A sentence if a model's normaliser of observations may be missing, else nothing.

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
