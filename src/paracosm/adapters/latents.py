"""World models that live in a latent space, with the methods that TD-MPC2 has: encode, next,
reward, pi.

Nobody needs a decoder: real episodes are encoded, and from there on the latent space is the state
space.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from paracosm.adapters.answers import failure_of, mode_of, require_gives
from paracosm.adapters.fitting import fitting, require_methods
from paracosm.adapters.host import Host, Slot
from paracosm.adapters.parts import argument_slots, require_spec
from paracosm.adapters.policies import policy
from paracosm.adapters.torch import AdaptedModule, Copies, TorchHost
from paracosm.adapters.worlds import world
from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP, Spec
from paracosm.core.policy import Policy
from paracosm.core.recordings import state_scale
from paracosm.core.types import Array

_METHODS = ("encode", "next", "reward", "pi")


class InLatentSpace(NamedTuple):
    """What an audit takes, with latent states for states; `note` says so in words."""

    world: MDP
    policy: Policy
    episodes: Trajectory
    note: str


class LatentModel(abc.ABC):
    """A world model that is audited in its own latent space."""

    @property
    @abc.abstractmethod
    def policy(self) -> Policy:
        """The policy that acts in the environment, on its observations."""

    @abc.abstractmethod
    def on(self, episodes: Trajectory) -> InLatentSpace:
        """The world, its policy and real `episodes` of `policy`, all in latent space.

        The latent state scale is the standard deviation of the encoded states.

        Raises:
            BadData: the encoder does not take the episodes' observations or gives NaN.
        """


@dataclasses.dataclass(frozen=True)
class Latent(LatentModel):
    """A latent world model of a task: see `latent`.

    Attributes:
        model: The torch module.
        spec: The task in observations.
        caller: Makes of the model what calls its methods by name: `(method, *arguments) -> answer`.
        reward_from, ended, termination_gives, discount: As for `latent`.
    """

    model: Any
    spec: Spec
    caller: Callable[[Any], Callable[..., Any]]
    reward_from: Callable[[Any], Any] | None
    ended: Callable[[Any], Any] | None
    termination_gives: str | None
    discount: float

    def __post_init__(self) -> None:
        require_spec(self.spec)
        require_gives(self.termination_gives)
        checks.in_unit_interval("discount", self.discount)

    @property
    def policy(self) -> Policy:
        """The policy that acts in the environment: `pi` of the encoded observation."""
        return policy(
            self.adapt(lambda call: lambda s: mode_of(call("pi", call("encode", s)))), self.spec
        )

    def on(self, episodes: Trajectory) -> InLatentSpace:
        """See `LatentModel`."""
        encode = self.adapt(lambda call: lambda s: call("encode", s))
        size = self._latent_size(np.asarray(episodes.state)[0, :1])
        host = TorchHost(
            encode, "encoder", argument_slots("s", self.spec), [Slot("latent state", size)]
        )
        encoded, spec = encode_episodes(host, episodes, self.spec)
        return InLatentSpace(
            world=self._world(spec),
            policy=self._policy(spec),
            episodes=encoded,
            note=latent_note(spec),
        )

    def _world(self, spec: Spec) -> MDP:
        decode = self.reward_from or (lambda reward: reward)
        return world(
            spec,
            dynamics=self.adapt(lambda call: lambda z, a: call("next", z, a)),
            reward=self.adapt(lambda call: lambda z, a: decode(call("reward", z, a))),
            reward_of="s,a",
            termination=self.ended,
            termination_of="s'",
            termination_gives=self.termination_gives,
            functions="torch",
            discount=self.discount,
        )

    def _policy(self, spec: Spec) -> Policy:
        return policy(self.adapt(lambda call: lambda z: mode_of(call("pi", z))), spec)

    def adapt(self, use: Callable[[Callable[..., Any]], Callable[..., Any]]) -> AdaptedModule:
        """A function of the model, which `use` makes of what calls the model's methods by name."""
        return AdaptedModule(self.model, lambda model: use(self.caller(model)))

    def _latent_size(self, observation: np.ndarray) -> int:
        """Components of a latent state, as the encoder answers to one observation `[1, state]`.

        Raises:
            BadData: it gives no latent states.
            FunctionFailed: it fails.
        """
        import torch

        model = Copies(self.model, "PyTorch encoder").original
        like = next(model.parameters(), torch.zeros(0))
        try:
            with torch.no_grad():
                encoded = self.caller(model)("encode", torch.tensor(observation).to(like))
        except Exception as error:
            raise failure_of("PyTorch encoder", error) from error
        if not torch.is_tensor(encoded) or encoded.ndim != 2:
            raise checks.BadData(
                f"the PyTorch encoder gives a {type(encoded).__name__}; latent states [batch,"
                " latent] are needed."
            )
        return encoded.shape[-1]


class MethodCaller:
    """Calls methods of a model by name, with the task where they take one."""

    def __init__(self, model: Any, task: Any) -> None:
        self._model, self._task = model, task

    def __call__(self, method: str, *arguments: Any, **options: Any) -> Any:
        function = getattr(self._model, method)
        if "task" in inspect.signature(function).parameters:
            options["task"] = self._task
        return function(*arguments, **options)


def latent(
    model: Any,
    spec: Spec,
    *,
    task: Any = None,
    reward_from: Callable[[Any], Any] | None = None,
    ended: Callable[[Any], Any] | None = None,
    termination_gives: str | None = None,
    discount: float = 0.99,
) -> Latent:
    """A torch world model with TD-MPC2's methods, to be audited in its latent space.

    Args:
        model: a `torch.nn.Module` with `encode(obs)`, `next(z, a)`, `reward(z, a)`, `pi(z)`, each
            of batches; `task` is passed where they take it. `pi` gives the action of the mode, or
            first of several results, or, as TD-MPC2 does, `(action, info)` with it in
            `info["mean"]`.
        spec: the task in observations.
        task: TD-MPC2's task.
        reward_from: brings what `reward` gives to numbers `[batch]`, such as TD-MPC2's
            `two_hot_inv`.
        ended: whether it ends, of latent next states; None means never.
        termination_gives: what `ended` gives: see `world`.
        discount: γ.

    Raises:
        BadArgument: the model is no torch module, or lacks one of these methods; or another
            argument cannot be used.
    """
    if not hasattr(model, "parameters"):
        raise checks.BadArgument(
            f"the latent model is a {type(model).__name__}; a torch.nn.Module is"
            f" needed{fitting(model)}."
        )
    require_methods("latent", model, _METHODS)
    for name, function in (("reward_from", reward_from), ("ended", ended)):
        if function is not None:
            checks.function(name, function, "of a batch, or None,")
    caller = functools.partial(MethodCaller, task=task)
    return Latent(
        model=model,
        spec=spec,
        caller=caller,
        reward_from=reward_from,
        ended=ended,
        termination_gives=termination_gives,
        discount=discount,
    )


def encode_episodes(host: Host, episodes: Trajectory, spec: Spec) -> tuple[Trajectory, Spec]:
    """Episodes of latent states, and what is fixed about the task in latent space.

    Args:
        host: Encodes observations `[rows, state]`.
        episodes: Episodes of observations, `[episode, time, …]`.
        spec: The task in observations.
    """

    def encode(states: np.ndarray) -> np.ndarray:
        rows = np.asarray(states, np.float64).reshape(-1, states.shape[-1])
        return host.value(rows).reshape(*states.shape[:-1], host.outputs)

    state, next_state = encode(np.asarray(episodes.state)), encode(np.asarray(episodes.next_state))
    scale = jnp.asarray(state_scale(state[np.asarray(episodes.alive)]))
    latent_episodes = dataclasses.replace(episodes, state=state, next_state=next_state)
    return latent_episodes, latent_spec(spec, host.outputs, scale)


def latent_spec(spec: Spec, size: int, scale: Array | None = None) -> Spec:
    """The task of `spec` in a latent space of `size` numbers; every scale is 1 if none is given."""
    scale = jnp.ones(size) if scale is None else scale
    return Spec(size, action=spec.action, state_scale=scale, horizon=spec.horizon)


def latent_note(spec: Spec) -> str:
    """A sentence that says where everything is measured."""
    return (
        f"In the model's latent space of {spec.state_size} numbers: states, their errors and their"
        " scale are latent;"
        " what the encoder loses shows as dynamics or reward error."
    )
