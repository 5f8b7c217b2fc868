"""TD-MPC2's world model and its planner (Hansen et al. 2024, arXiv 2310.16828).

The model lives in latent space; rewards and values are distributions over bins of the symmetric
logarithm; actions lie in [-1, 1]. What acts is the planner, or the policy `pi` alone.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from paracosm.adapters.answers import exception_text, failure_of
from paracosm.adapters.call import ask
from paracosm.adapters.fitting import require_methods
from paracosm.adapters.host import Host, Slot
from paracosm.adapters.latents import (
    InLatentSpace,
    Latent,
    LatentModel,
    MethodCaller,
)
from paracosm.adapters.mppi import ForeignPlanner, LatentAgent, LatentSearch
from paracosm.adapters.parts import argument_slots, require_spec, result_slot
from paracosm.adapters.tdmpc2_config import Tdmpc2Settings, search_of
from paracosm.adapters.torch import AdaptedModule, TorchHost
from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.mdp import Box, Spec
from paracosm.core.policy import Policy
from paracosm.core.types import Array, Scalar

_METHODS = ("encode", "next", "reward", "pi", "Q")
_ROWS = 2  # of the batch that every method is asked once


@dataclasses.dataclass(frozen=True)
class TdMpc2(LatentModel):
    """TD-MPC2's world model of a task: see `tdmpc2`.

    Attributes:
        latent: The model in its latent space.
        search: The planner; None if `pi` acts.
    """

    latent: Latent
    search: LatentSearch | None

    @property
    def policy(self) -> Policy:
        """The planner on encoded observations; `pi` on them if there is no planner."""
        if self.search is None:
            return self.latent.policy
        return self._planner(self.latent.spec, lambda call, s: call("encode", s))

    def on(self, episodes: Trajectory) -> InLatentSpace:
        """See `LatentModel`."""
        latent = self.latent.on(episodes)
        if self.search is None:
            return latent
        return latent._replace(policy=self._planner(latent.world.spec, lambda call, z: z))

    def value(self, spec: Spec) -> ForeignValue:
        """`V(z) = Q(z, pi(z))`, the mean of all Q: what a planner may have at the end of a plan.

        `spec` is that of the latent world, `on(episodes).world.spec`.
        """
        worth = self.latent.adapt(lambda call: lambda z: call("value", z))
        return ForeignValue(
            TorchHost(worth, "value", argument_slots("s", spec), [Slot("value", size=None)])
        )

    def _planner(self, spec: Spec, encode: Callable[[Any, Any], Any]) -> ForeignPlanner:
        """The planner on states of `spec`, of which `encode(call, states)` makes latent ones."""
        assert self.search is not None
        search = self.search
        takes = [*argument_slots("s", spec), Slot("plan", search.size)]
        gives = [result_slot(spec.action), Slot("next plan", search.size)]

        def use(call: Any) -> Callable[[Any, Any], Any]:
            return lambda s, plan: search(call, encode(call, s), plan)

        host = TorchHost(self.latent.adapt(use), "planner", takes, gives)
        host.row_independence.tries = 0  # each row has a search of its own, which takes long
        return ForeignPlanner(host, search.size)


class ForeignValue(eqx.Module):
    """What a state is worth, from a foreign function."""

    host: Host = eqx.field(static=True)

    def __call__(self, state: Array) -> Scalar:
        return ask(self.host, jnp.asarray(state))[0]


class AgentCaller(LatentAgent):
    """TD-MPC2's methods by name, with actions in the environment's units, and with the numbers that
    distributions over bins stand for.
    """

    def __init__(self, model: Any, settings: Tdmpc2Settings, space: Box, task: int | None) -> None:
        """Take the model.

        Args:
            model: TD-MPC2's `WorldModel`.
            settings: What its configuration says.
            space: Actions of the environment.
            task: Which of several tasks; None of a model of a single one.
        """
        self._call = MethodCaller(model, task)
        self._settings = settings
        low, high = np.asarray(space.low, np.float64), np.asarray(space.high, np.float64)
        self._center, self._half = (high + low) / 2, (high - low) / 2

    def __call__(self, method: str, *values: Any) -> Any:
        """What a method gives in the environment's units."""
        if method in ("next", "reward"):
            z, action = values
            return getattr(self, method)(z, self._unit(action))
        if method == "pi":
            return self.actions(self.proposal(*values)[0])
        return getattr(self, method)(*values)

    def actions(self, unit: Any) -> Any:
        return unit * unit.new_tensor(self._half) + unit.new_tensor(self._center)

    def encode(self, observation: Any) -> Any:
        """Latent states; of several tasks the observations are as long as the longest."""
        return self._call("encode", _pad_columns(observation, self._settings.observation_size))

    def next(self, z: Any, unit: Any) -> Any:
        return self._call("next", z, _pad_columns(unit, self._settings.model_action_size))

    def reward(self, z: Any, unit: Any) -> Any:
        return decode_bins(self.reward_logits(z, unit), self._settings)

    def reward_logits(self, z: Any, unit: Any) -> Any:
        """Logits over the bins of rewards, `[batch, bins]`."""
        return self._call("reward", z, _pad_columns(unit, self._settings.model_action_size))

    def proposal(self, z: Any) -> tuple[Any, Any]:
        answer, size = self._call("pi", z), len(self._half)
        info = answer[1] if len(answer) == 2 else {"mean": answer[0], "log_std": answer[3]}
        return info["mean"][:, :size], info["log_std"][:, :size].exp()

    def value(self, z: Any) -> Any:
        """`Q(z, pi(z))`, `[batch]`, the mean of all Q at the mean of `pi`."""
        return decode_bins(self.value_logits(z), self._settings).mean(dim=0)

    def value_logits(self, z: Any) -> Any:
        """Logits over the bins of all Q, `[Q, batch, bins]`."""
        unit = _pad_columns(self.proposal(z)[0], self._settings.model_action_size)
        return self._call("Q", z, unit, return_type="all")  # else two of them are drawn

    def end_probability(self, z: Any) -> Any:
        return self._call("termination", z)[:, 0] if self._settings.episodic else None

    def _unit(self, action: Any) -> Any:
        return (action - action.new_tensor(self._center)) / action.new_tensor(self._half)


def decode_bins(logits: Any, settings: Tdmpc2Settings) -> Any:
    """The number that logits over bins stand for, `[…]` of `[…, bins]`.

    The bins are equally spaced in `symlog(x) = sign(x) log(1 + |x|)`; the mean is taken there and
    brought back. No bins mean the number itself, one means its symlog.
    """
    if settings.num_bins == 0:
        return logits[..., 0]
    if settings.num_bins == 1:
        symlog = logits[..., 0]
    else:
        bins = np.linspace(settings.vmin, settings.vmax, settings.num_bins)
        symlog = logits.softmax(dim=-1) @ logits.new_tensor(bins)
    return symlog.sign() * symlog.abs().expm1()


def tdmpc2(
    model: Any,
    cfg: Any,
    spec: Spec | None = None,
    *,
    task: int | None = None,
    mpc: bool | None = None,
) -> TdMpc2:
    """TD-MPC2's world model and what acts in it, its planner or `pi`, to be audited.

    In evaluation TD-MPC2 draws the action among the elites of its last iteration; here their
    weighted mean acts, and all random numbers are the same in every search, so that the action is a
    function of state and plan. All Q are averaged, of which TD-MPC2 draws two.

    Args:
        model: TD-MPC2's `WorldModel`, with its methods `encode`, `next`, `reward`, `pi`, `Q`, and
            `termination` if `cfg.episodic`.
        cfg: Its configuration, of which are read `num_bins`, `vmin`, `vmax`, `latent_dim`,
            `action_dim`, `obs_shape`, `episode_length`; `discount`, or what it is made of; and for
            planning `horizon`, `num_samples`, `num_elites`, `num_pi_trajs`, `iterations`,
            `temperature`, `min_std`, `max_std`.
        spec: The task in observations, if its actions are not in [-1, 1]: the model's are stretched
            to their box. That of `cfg` if None.
        task: Which of the tasks of a model of several.
        mpc: Whether the planner acts, rather than `pi`; `cfg.mpc` if None.

    Raises:
        BadArgument: the model lacks a method, or answers in another shape than `cfg` says; `cfg`
            lacks an entry; the task is none of its own.
    """
    require_methods("tdmpc2", model, _METHODS)
    if not hasattr(model, "parameters"):
        raise checks.BadArgument(
            f"paracosm.foreign.tdmpc2 is given a {type(model).__name__}; a torch.nn.Module is"
            " needed."
        )
    settings = Tdmpc2Settings.from_config(cfg, task)
    if settings.episodic:
        require_methods("tdmpc2", model, (*_METHODS, "termination"))
    spec = settings.spec() if spec is None else spec
    require_spec(spec)
    space = settings.box(spec)
    caller = functools.partial(AgentCaller, settings=settings, space=space, task=task)
    model = _on_cpu(model)
    _require_answers(caller(model), model, settings, spec)
    ended = (
        AdaptedModule(model, lambda model: caller(model).end_probability)
        if settings.episodic
        else None
    )
    gives = "probability" if settings.episodic else None
    latent = Latent(
        model=model,
        spec=spec,
        caller=caller,
        reward_from=None,
        ended=ended,
        termination_gives=gives,
        discount=settings.discount,
    )
    plans = settings.mpc if mpc is None else mpc
    return TdMpc2(latent=latent, search=search_of(cfg, settings) if plans else None)


def _on_cpu(model: Any) -> Any:
    """A copy of the model on the CPU, in evaluation mode.

    TD-MPC2's ensembles hold placeholders without data, which torch's own `cpu` refuses to move.
    """
    try:
        moved = copy.deepcopy(model)
        moved._apply(lambda tensor: tensor if tensor.is_meta else tensor.cpu())
    except Exception as error:
        raise checks.BadArgument(
            f"the TD-MPC2 model is a {type(model).__name__} that cannot be copied"
            f" ({exception_text(error)})."
        ) from error
    moved.eval()
    moved.cpu = lambda: moved  # of copies too, which are where this one is
    return moved


def _require_answers(agent: AgentCaller, model: Any, settings: Tdmpc2Settings, spec: Spec) -> None:
    """Ask every method once, and refuse a model that answers in another shape than its
    configuration says.

    Args:
        agent: Calls the model's methods.
        model: The model itself.
        settings: What its configuration says.
        spec: The task in observations.
    """
    import torch

    like = next(iter(model.parameters()), torch.zeros(0))
    zeros = functools.partial(like.new_zeros, requires_grad=False)
    z, unit = zeros(_ROWS, settings.latent_size), zeros(_ROWS, spec.action.size)
    answers = {
        "encode": (lambda: agent.encode(zeros(_ROWS, spec.state_size)), settings.latent_size),
        "next": (lambda: agent.next(z, unit), settings.latent_size),
        "reward": (lambda: agent.reward_logits(z, unit), max(settings.num_bins, 1)),
        "pi": (lambda: agent.proposal(z)[0], spec.action.size),
        "Q": (lambda: agent.value_logits(z)[0], max(settings.num_bins, 1)),
    }
    for method, (answer, size) in answers.items():
        try:
            with torch.no_grad():
                shape = tuple(answer().shape)
        except Exception as error:
            raise failure_of(f"TD-MPC2 model's {method}", error) from error
        if shape != (_ROWS, size):
            raise checks.BadArgument(
                f"the TD-MPC2 model's {method} gives the shape {shape} for a batch of {_ROWS};"
                f" {(_ROWS, size)} is needed, as its cfg says."
            )


def _pad_columns(rows: Any, size: int) -> Any:
    """Rows `[batch, column]` with zeros up to `size` columns: several tasks share one model."""
    import torch

    return torch.nn.functional.pad(rows, (0, size - rows.shape[1]))
