"""World models with a memory: real episodes of what they remember, and a world of their memories.

A memory is what the model carries from step to step. Played in the real environment it is made by
`start` and `observe` of what is seen; imagined, `next` moves it on its own. The audit runs on
memories as on states, so that what the memory forgets shows as dynamics or reward error.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.adapters.answers import mode_of, require_gives
from paracosm.adapters.call import ask
from paracosm.adapters.fitting import require_methods
from paracosm.adapters.functions import Calls, Functions
from paracosm.adapters.host import Host, Slot
from paracosm.adapters.latents import InLatentSpace, latent_spec
from paracosm.adapters.memory import MemoryForm
from paracosm.adapters.parts import ForeignPolicy, argument_slots, require_spec
from paracosm.adapters.policies import policy
from paracosm.adapters.torch import TorchHost
from paracosm.adapters.worlds import world
from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.encoder import Encoder
from paracosm.core.mdp import MDP, Discrete, Spec
from paracosm.core.recordings import state_scale
from paracosm.core.types import Action, Array, State

METHODS = ("start", "observe", "next", "reward", "act")

# What a reward takes, by the number of its arguments, where nothing else is said
_REWARD_OF = {1: "s'", 2: "s,a", 3: "s,a,s'"}

_TRIAL_ROWS = 7  # rows of the first look: a size that hardly any other axis has, such as layers


class MemoryEncoder(Encoder):
    """Memories of observations and actions, made by the model's `start` and `observe`."""

    start_host: Host = eqx.field(static=True)
    observe_host: Host = eqx.field(static=True)

    def initial(self, observation: Float[Array, " observation"]) -> State:
        return ask(self.start_host, observation)

    def update(
        self, state: State, action: Action, observation: Float[Array, " observation"]
    ) -> State:
        columns = jnp.atleast_1d(jnp.asarray(action)).astype(state.dtype)
        return ask(self.observe_host, jnp.concatenate([state, columns, observation]))

    def called(self, stage: str) -> str:
        return f"the {'start' if stage == 'initial' else 'observe'} of the recurrent model"


@dataclasses.dataclass(frozen=True)
class Recurrent:
    """A world model with a memory, of a task: see `recurrent`.

    Attributes:
        functions: The model's functions.
        spec: The task in observations.
        form: The form of its memories.
        settings: What the user says of the model.
    """

    functions: Functions
    spec: Spec
    form: MemoryForm
    settings: MemorySettings

    @property
    def encoder(self) -> Encoder:
        """Makes memories of observations and actions, by `start` and `observe`."""
        observation = Slot("observation", self.spec.state_size)
        memory, action = Slot("memory", self.form.size), argument_slots("a", self.spec)
        start_host = self._host("start", self._start, [observation])
        observe_host = self._host("observe", self._observe, [memory, *action, observation])
        return MemoryEncoder(start_host=start_host, observe_host=observe_host)

    @property
    def policy(self) -> ForeignPolicy:
        """The policy that acts in the environment: `act` of the memory, played through the model's
        own encoder.
        """
        blank_spec = latent_spec(self.spec, self.form.size)
        return dataclasses.replace(self._policy(blank_spec), played_through=self.encoder)

    def on(self, episodes: Trajectory) -> InLatentSpace:
        """The world, its policy and real `episodes`, all of memories.

        The state scale is the standard deviation of the memories.

        Args:
            episodes: Episodes of `Recurrent.policy`, as `evaluate` plays them; episodes of
                observations that were recorded elsewhere become such by
                `encode(model.encoder, episodes)`.

        Raises:
            BadData: their states are no memories of this model.
        """
        size = np.shape(episodes.state)[-1]
        if size != self.form.size:
            raise checks.BadData(
                f"the episodes' states have {size} components; a memory has {self.form.size}:"
                " evaluate(env, model.policy) plays episodes of memories, and"
                " encode(model.encoder, episodes) makes them of recorded observations."
            )
        states = np.asarray(episodes.state)[np.asarray(episodes.alive)]
        spec = latent_spec(self.spec, size, jnp.asarray(state_scale(states)))
        return InLatentSpace(
            world=self._world(spec),
            policy=self._policy(spec),
            episodes=episodes,
            note=_note(self.form),
        )

    def _world(self, spec: Spec) -> MDP:
        settings = self.settings
        return world(
            spec,
            dynamics=self.functions.adapt(self._next),
            reward=self.functions.adapt(self._reward),
            reward_of=settings.reward_of,
            termination=self.functions.adapt(self._ended) if settings.ends else None,
            termination_of="s'",
            termination_gives=settings.termination_gives,
            discount=settings.discount,
            noise=settings.noise,
        )

    def _policy(self, spec: Spec) -> Any:
        return policy(self.functions.adapt(self._act), spec)

    def _host(self, name: str, use: Callable[[Calls], Any], takes: list[Slot]) -> Host:
        gives = [Slot("memory", self.form.size)]
        host = TorchHost(self.functions.adapt(use), name, takes, gives)
        host.requires_finite = False  # what plays it names the step too
        return host

    def _start(self, calls: Calls) -> Callable[..., Any]:
        return lambda observation: self.form.flat(
            calls["start"](observation), _method_name("start")
        )

    def _observe(self, calls: Calls) -> Callable[..., Any]:
        return lambda flat, *rest: self.form.flat(
            calls["observe"](self.form.memory(flat), *rest), _method_name("observe")
        )

    def _next(self, calls: Calls) -> Callable[..., Any]:
        return lambda flat, *rest: self.form.flat(
            calls["next"](self.form.memory(flat), *rest), _method_name("next")
        )

    def _reward(self, calls: Calls) -> Callable[..., Any]:
        names = [slot.name for slot in argument_slots(self.settings.reward_of, self.spec)]

        def reward(*columns: Any) -> Any:
            rows = zip(names, columns, strict=True)
            values = [column if name == "a" else self.form.memory(column) for name, column in rows]
            return mode_of(calls["reward"](*values))

        return reward

    def _ended(self, calls: Calls) -> Callable[..., Any]:
        return lambda flat: mode_of(calls["ended"](self.form.memory(flat)))

    def _act(self, calls: Calls) -> Callable[..., Any]:
        def act(flat: Any) -> Any:
            return _pick_action(mode_of(calls["act"](self.form.memory(flat))), self.spec)

        return act


@dataclasses.dataclass(frozen=True)
class MemorySettings:
    """What the user says of a recurrent model beside its functions.

    Attributes:
        reward_of: What its reward takes of the memories and the action.
        ends: Whether it has an end rule.
        termination_gives: What the end rule gives: see `world`.
        noise: How many normals `next` takes.
        discount: γ.
    """

    reward_of: str
    ends: bool
    termination_gives: str | None
    noise: int
    discount: float

    def __post_init__(self) -> None:
        require_gives(self.termination_gives)
        checks.count("noise", self.noise, 0)
        checks.in_unit_interval("discount", self.discount)


def recurrent(
    model: Any,
    spec: Spec,
    *,
    reward_of: str | None = None,
    termination_gives: str | None = None,
    noise: int = 0,
    discount: float = 0.99,
) -> Recurrent:
    """A torch world model with a memory, to be audited on its memories.

    The model has methods of batches: `start(observation) -> memory`, `observe(memory, action,
    observation) -> memory` after a real step, `next(memory, action) -> memory` in imagination,
    `reward`, `act(memory)`, and `ended(memory)` of the next memory if episodes end. A memory is a
    tensor or a dict or tuple of tensors, each `[batch, …]`. Heads may give distributions, whose
    modes are taken.

    Args:
        model: A `torch.nn.Module`, or what holds some.
        spec: The task in observations.
        reward_of: What `reward` takes: `s'` (the next memory), `s` (the one before), `s,a` or
            `s,a,s'`. None tells it by the number of its arguments: one is `s'`, two are `s,a`.
        termination_gives: What `ended` gives: see `world`.
        noise: How many standard normals `next` takes, as `next(memory, action, normals)` with
            normals `[batch, noise]`: so a model that draws is one whose draws are recorded.
        discount: γ.

    Raises:
        BadArgument: the model lacks a method, its memory has no batch axis, or it does not keep its
            shape.
        BadAnswer: a method fails on a batch of zeros.
    """
    require_methods("recurrent", model, METHODS)
    names = [*METHODS, *(["ended"] if callable(getattr(model, "ended", None)) else [])]
    functions = Functions({name: getattr(model, name) for name in names}, "recurrent model")
    if reward_of is None:
        reward_of = _REWARD_OF.get(_count_arguments(model.reward), "s,a")
    settings = MemorySettings(
        reward_of=reward_of,
        ends="ended" in names,
        termination_gives=termination_gives,
        noise=noise,
        discount=discount,
    )
    return recurrent_model(functions, spec, settings)


def recurrent_model(functions: Functions, spec: Spec, settings: MemorySettings) -> Recurrent:
    """The recurrent model of `functions`, which have the names of the methods and are tried once.

    Args:
        functions: `start`, `observe`, `next`, `reward`, `act` and, with `settings.ends`, `ended`.
        spec: The task in observations.
        settings: What the user says of the model beside them.

    Raises:
        BadArgument, BadAnswer: as `recurrent` raises them.
    """
    require_spec(spec)
    argument_slots(settings.reward_of, spec)  # which refuses what names none
    rows, observation = _TRIAL_ROWS, functions.zeros(_TRIAL_ROWS, spec.state_size)
    action = functions.zeros(rows, spec.action.size)
    if isinstance(spec.action, Discrete):
        action = action[:, 0].long() + spec.action.start
    memory = functions.call_once("model's start", lambda calls: calls["start"](observation))
    form = MemoryForm(memory, rows, _method_name("start"))
    normals = [functions.zeros(rows, settings.noise)] if settings.noise else []
    for name, rest in (("observe", [observation]), ("next", normals)):
        after = functions.call_once(
            f"model's {name}",
            lambda calls, name=name, rest=rest: calls[name](memory, action, *rest),
        )
        form.flat(after, _method_name(name))
    return Recurrent(functions=functions, spec=spec, form=form, settings=settings)


def _count_arguments(function: Any) -> int:
    """How many arguments a function needs; 2 where it does not say."""
    try:
        parameters = inspect.signature(getattr(function, "forward", function)).parameters.values()
    except (TypeError, ValueError):
        return 2
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in places and p.default is p.empty for p in parameters)


def _pick_action(answer: Any, spec: Spec) -> Any:
    """The actions that a policy answers with; where it gives a number for each action of a finite
    set, the action with the largest.
    """
    space = spec.action
    if isinstance(space, Discrete) and answer.ndim == 2 and answer.shape[1] == space.n > 1:
        return answer.argmax(dim=1) + space.start
    return answer


def _method_name(name: str) -> str:
    return f"the model's {name}"


def _note(form: MemoryForm) -> str:
    return (
        f"In the model's memory of {form.size} numbers: states, their errors and their scale are"
        " those of memories; what the memory forgets shows as dynamics or reward error."
    )
