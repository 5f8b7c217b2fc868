"""Ensembles as in mbrl-lib: its `OneDTransitionRewardModel` around a `GaussianMLP`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
from jaxtyping import Float

from paracosm.adapters.fitting import fitting
from paracosm.adapters.host import Slot
from paracosm.adapters.parts import ForeignDynamics, HostPart, argument_slots, host_of, require_spec
from paracosm.adapters.torch import AdaptedModule, Copies
from paracosm.adapters.worlds import world
from paracosm.core import checks
from paracosm.core.mdp import MDP, Box, Spec
from paracosm.core.types import Action, Array, State

_NEEDED = ("model", "learned_rewards", "target_is_delta")


class MemberAnswers(HostPart):
    """What every member of an ensemble answers."""

    def __call__(self, state: State, action: Action) -> Float[Array, "2 member state"]:
        """Mean next states, and their standard deviations."""
        return self._columns(state, action).reshape(2, -1, state.shape[0])


class _ElitePredictions(NamedTuple):
    """What the elites of an ensemble predict, `[elite, batch, …]`: next states, their standard
    deviations, and what else the ensemble predicts, such as rewards.
    """

    next_state: Any
    spread: Any
    rest: Any


class MbrlDynamics(ForeignDynamics):
    """The mean of an ensemble, whose members can be asked as well: `calibrate` judges their spread.

    Attributes:
        answers: What the members answer.
    """

    answers: MemberAnswers = eqx.field(kw_only=True)

    def moments(
        self, state: State, action: Action
    ) -> tuple[Float[Array, "member state"], Float[Array, "member state"]]:
        """Mean next states, and their standard deviations."""
        means, spreads = self.answers(state, action)
        return means, spreads


def mbrl(
    model: Any,
    spec: Spec,
    *,
    reward: Callable[[Any, Any], Any] | None = None,
    termination: Callable[[Any, Any], Any] | None = None,
    discount: float = 0.99,
) -> MDP:
    """The mean of mbrl-lib's ensemble as a world; `calibrate` judges the spread of its members.

    Members that are no elites do not count. How the model propagates uncertainty is of no matter:
    every member answers every row. A model that only answers batches of a multiple of its members
    is given as many rows more.

    Args:
        model: A `OneDTransitionRewardModel`; of it are used the `model` that it wraps,
            `learned_rewards`, `target_is_delta`, `no_delta_list`, `input_normalizer`,
            `obs_process_fn` and `elite_models`.
        spec: What is fixed about the task: see `spec`.
        reward: mbrl-lib's reward function of tensors, `(action, next state) -> [batch, 1]`, for a
            model that has not learned rewards, or instead of the one that it has learned.
        termination: mbrl-lib's termination function of tensors, `(action, next state) -> [batch,
            1]`; episodes never end if None.
        discount: γ.

    Raises:
        BadArgument: the model is of another class or of other sizes than the task, or it has not
            learned rewards and `reward` is not given.
    """
    require_spec(spec)
    _require_model(model, spec)
    if reward is None and not model.learned_rewards:
        raise checks.BadArgument(
            "the model has not learned rewards; give mbrl-lib's reward function as reward=…, of"
            " (action, next state)."
        )
    size, has_rewards = spec.state_size, bool(model.learned_rewards)
    copies = Copies(model, "mbrl-lib model")
    _bring_to_cpu(getattr(copies.original, "input_normalizer", None))
    step = AdaptedModule(model, lambda copied: functools.partial(_step, copied, size), copies)
    mean = world(
        spec,
        step=step if has_rewards else None,
        dynamics=None if has_rewards else step,
        reward=reward,
        reward_of="a,s'",
        termination=termination,
        termination_of="a,s'",
        functions="torch",
        discount=discount,
    )
    members = AdaptedModule(
        model, lambda copied: functools.partial(_members_step, copied, size), copies
    )
    gives = [Slot("members", 2 * _count_answers(copies.original, spec) * size)]
    host = host_of(members, "ensemble", argument_slots("s,a", spec), gives, functions="torch")
    dynamics: Any = mean.dynamics
    return mean.replace(dynamics=MbrlDynamics(dynamics.host, answers=MemberAnswers(host)))


def _bring_to_cpu(normalizer: Any) -> None:
    """Move the tensors of a copied normaliser: mbrl-lib's is no module, and stays behind."""
    import torch

    attributes = getattr(normalizer, "__dict__", {})
    tensors = {name: value for name, value in attributes.items() if torch.is_tensor(value)}
    attributes.update({name: value.cpu() for name, value in tensors.items()})


def _step(model: Any, size: int, state: Any, action: Any) -> Any:
    """The mean over the elites of next states `[batch, size]`, and of rewards `[batch]` if the
    model has learned them.

    Args:
        model: The wrapped ensemble.
        size: Components of a state.
        state, action: `[batch, …]`.
    """
    predictions = _predict_elites(model, size, state, action)
    next_state = predictions.next_state.mean(dim=0)
    if not model.learned_rewards:
        return next_state
    return next_state, predictions.rest.mean(dim=0)[:, 0]


def _members_step(model: Any, size: int, state: Any, action: Any) -> Any:
    """Next states of the elites and their standard deviations, a row `[2 * member * size]` each.

    Args:
        model, size, state, action: As for `_step`.
    """
    import torch

    predictions = _predict_elites(model, size, state, action)
    return torch.stack([predictions.next_state, predictions.spread]).movedim(2, 0).flatten(1)


def _count_answers(model: Any, spec: Spec) -> int:
    """How many members answer: one where the ensemble gives the mean of all."""
    import torch

    like = next(model.parameters(), torch.zeros(()))
    sizes = spec.state_size, spec.action.size
    row = (like.new_zeros(1, size) for size in sizes)
    with torch.no_grad():
        return len(_predict_elites(model, spec.state_size, *row).next_state)


def _predict_elites(model: Any, size: int, state: Any, action: Any) -> _ElitePredictions:
    """What the elites predict of states and actions.

    Args:
        model, size, state, action: As for `_step`.
    """
    import torch

    process = getattr(model, "obs_process_fn", None)
    rows = torch.cat([state if process is None else process(state), action], dim=1)
    normalizer = getattr(model, "input_normalizer", None)
    mean, spread = _moments(model, rows if normalizer is None else normalizer.normalize(rows))
    next_state = mean[..., :size]
    if model.target_is_delta:
        is_delta = next_state.new_ones(size)
        is_delta[list(getattr(model, "no_delta_list", None) or [])] = 0
        next_state = next_state + is_delta * state
    return _ElitePredictions(next_state, spread=spread[..., :size], rest=mean[..., size:])


def _moments(model: Any, rows: Any) -> tuple[Any, Any]:
    """Means and standard deviations of the elites, `[elite, batch, output]` each; an ensemble that
    predicts no deviations has zeros.
    """
    import torch

    ensemble = model.model
    if "use_propagation" in inspect.signature(ensemble.forward).parameters:
        outputs = ensemble.forward(rows, use_propagation=False)
    else:
        outputs = ensemble.forward(_pad_rows(rows, _members(model)))
    mean, log_variance = outputs if isinstance(outputs, tuple) else (outputs, None)
    spread = torch.zeros_like(mean) if log_variance is None else torch.exp(log_variance / 2)
    elites = getattr(model, "elite_models", None) or getattr(ensemble, "elite_models", None)

    def select_elites(column: Any) -> Any:
        column = column[..., : len(rows), :].reshape(-1, len(rows), column.shape[-1])
        return column if not elites or len(column) == 1 else column[list(elites)]

    return select_elites(mean), select_elites(spread)


def _members(model: Any) -> int:
    """How many members the ensemble has."""
    return int(getattr(model.model, "num_members", 0) or 1)


def _pad_rows(rows: Any, multiple: int) -> Any:
    """The rows, and the last one again until their number is a multiple of `multiple`."""
    missing = -len(rows) % multiple
    return rows[[*range(len(rows)), *[len(rows) - 1] * missing]]


def _require_model(model: Any, spec: Spec) -> None:
    """Refuse what is no wrapped ensemble, or one of other sizes than the task's."""
    lacking = [name for name in _NEEDED if not hasattr(model, name)]
    if lacking or not hasattr(model, "parameters"):
        raise checks.BadArgument(
            f"the mbrl-lib model is {checks.described(model)}; a OneDTransitionRewardModel, around"
            f" its ensemble, is needed{fitting(model)}."
        )
    if not isinstance(spec.action, Box):
        raise checks.BadArgument(
            "the spec has discrete actions; mbrl-lib's models are of continuous ones."
        )
    sizes = {
        "in_size": spec.state_size + spec.action.size,
        "out_size": spec.state_size + bool(model.learned_rewards),
    }
    for name, needed in sizes.items():
        size = getattr(model.model, name, needed)
        changed = name == "in_size" and getattr(model, "obs_process_fn", None) is not None
        if size != needed and not changed:
            raise checks.BadArgument(
                f"the mbrl-lib model's {name} is {size}; a task of {spec.state_size} state and"
                f" {spec.action.size} action components needs {needed}."
            )
