"""World models without a reward, planned in towards a goal: JEPA-like models, DINO-WM, LeWM.

The task is to come close to a goal in latent space. The model's own encoder measures how close, in
imagined and in real episodes alike, so that what is left to explain is the dynamics.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.adapters.call import ask
from paracosm.adapters.fitting import fitting
from paracosm.adapters.host import Host, Slot
from paracosm.adapters.latents import (
    InLatentSpace,
    LatentModel,
    encode_episodes,
    latent_note,
    latent_spec,
)
from paracosm.adapters.parts import ForeignDynamics, argument_slots, host_of, require_spec
from paracosm.adapters.torch import AdaptedModule, as_adapted_module
from paracosm.adapters.worlds import raise_no_start
from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP, Discrete, Spec, never
from paracosm.core.policy import Policy
from paracosm.core.types import Action, Array, Flag, PRNGKey, Scalar, State


class MinusDistance(eqx.Module):
    """Minus the distance of the next latent state to the goal."""

    goal: Float[Array, " latent"]

    def __call__(self, state: State, action: Action, next_state: State) -> Scalar:
        return -distance(next_state, self.goal)


class WithinRadius(eqx.Module):
    """Whether the next latent state is within a radius of the goal."""

    goal: Float[Array, " latent"]
    radius: float = eqx.field(static=True)

    def __call__(self, state: State, action: Action, next_state: State) -> Flag:
        return distance(next_state, self.goal) <= self.radius


def distance(state: State, goal: State) -> Scalar:
    """Euclidean distance, whose derivative at the goal itself is 0."""
    square = jnp.sum((state - goal) ** 2)
    apart = square > 0
    return jnp.where(apart, jnp.sqrt(jnp.where(apart, square, 1)), 0)


class EncodedPolicy(Policy):
    """A policy of latent states, played on the observations that `host` encodes."""

    policy: Policy
    host: Host = eqx.field(static=True)

    def initial(self) -> Any:
        return self.policy.initial()

    def act(self, carry: Any, state: State, key: PRNGKey) -> tuple[Action, Any]:
        return self.policy.act(carry, ask(self.host, jnp.asarray(state)), key)

    def greedy(self) -> Policy:
        return EncodedPolicy(self.policy.greedy(), self.host)


@dataclasses.dataclass(frozen=True)
class Goal(LatentModel):
    """A model without a reward, and a goal: see `goal`.

    Attributes:
        spec: The task in observations.
        encoder: Encodes observations, `[rows, state]`, as flat latent states.
        predict: Predicts flat latent states from flat latent states and actions.
        target: The encoded goal, `[latent]`.
        make_policy: Makes of the latent world what acts in it.
        radius, functions, discount: As for `goal`.
    """

    spec: Spec
    encoder: Host
    predict: Callable[..., Any]
    target: np.ndarray
    make_policy: Callable[[MDP], Policy]
    radius: float | None
    functions: str
    discount: float

    @property
    def blank_spec(self) -> Spec:
        """The task in latent space before anything was recorded: the state scale is 1."""
        return latent_spec(self.spec, self.encoder.outputs)

    @property
    def policy(self) -> Policy:
        """What acts in the environment, on encoded observations."""
        return EncodedPolicy(self.make_policy(self._world(self.blank_spec)), self.encoder)

    def on(self, episodes: Trajectory) -> InLatentSpace:
        """See `LatentModel`. Rewards are those of the goal, at the real next states; an episode
        ends where it first comes within the radius.
        """
        encoded, spec = encode_episodes(self.encoder, episodes, self.spec)
        world = self._world(spec)
        return InLatentSpace(
            world=world,
            policy=self.make_policy(world),
            episodes=self._with_goal_rewards(encoded),
            note=f"{latent_note(spec)} Rewards are minus the latent distance to the goal.",
        )

    def _world(self, spec: Spec) -> MDP:
        goal = jnp.asarray(self.target)
        termination = never if self.radius is None else WithinRadius(goal, self.radius)
        return MDP(
            spec,
            dynamics=self._dynamics(spec),
            reward=MinusDistance(goal),
            termination=termination,
            initial=raise_no_start,
            discount=self.discount,
        )

    def _dynamics(self, spec: Spec) -> ForeignDynamics:
        gives = [Slot("next latent state", spec.state_size)]
        takes = argument_slots("s,a", spec)
        host = host_of(self.predict, "prediction", takes, gives, functions=self.functions)
        return ForeignDynamics(host)

    def _with_goal_rewards(self, episodes: Trajectory) -> Trajectory:
        """The episodes with the goal's rewards, each up to its first step that reaches the goal."""
        after = np.asarray(episodes.next_state)
        distances = np.linalg.norm(after - np.asarray(self.target, np.float64), axis=-1)
        alive = np.asarray(episodes.alive)
        at_goal = alive & (distances <= (-1.0 if self.radius is None else self.radius))
        alive = alive & (np.cumsum(at_goal, axis=1) - at_goal == 0)
        terminated = alive & (np.asarray(episodes.terminated) | at_goal)
        last = after[np.arange(len(alive)), np.maximum(alive.sum(axis=1) - 1, 0)][:, None]
        return dataclasses.replace(
            episodes,
            state=np.where(alive[..., None], episodes.state, last),
            next_state=np.where(alive[..., None], after, last),
            reward=np.where(alive, -distances, 0.0),
            terminated=terminated,
            truncated=alive & np.asarray(episodes.truncated) & ~terminated,
            alive=alive,
        )


def goal(
    encode: Any,
    predict: Any,
    goal: Any,
    spec: Spec,
    *,
    policy: Callable[[MDP], Policy],
    radius: float | None = None,
    functions: str = "torch",
    discount: float = 0.99,
) -> Goal:
    """A world model without a reward, whose task is to come close to a goal in its latent space.

    The reward is minus the Euclidean distance of the next latent state to the encoded goal.

    Args:
        encode: `[batch, state] -> [batch, …]`: a torch module, a method of one, or a function of
            observations. Latent states of several axes, such as patches, are flattened.
        predict: `(z, a) -> z'` of batches of latent states in the encoder's shape.
        goal: The observation to be reached, `[state]`.
        spec: The task in observations.
        policy: Makes of the latent world what acts in it: a planner such as
            `paracosm.imagination.planners.CEM`, or a function that gives a `Policy`.
        radius: In latent distance: within it an episode ends in success; None means never.
        functions: What functions that are neither torch modules nor their methods take: `torch` or
            `numpy`.
        discount: γ.

    Raises:
        BadArgument: one of the functions cannot be called, or `goal` is no observation.
        BadData: the encoder does not take the goal, or `predict` gives another shape.
    """
    require_spec(spec)
    for name, function in (("encode", encode), ("predict", predict)):
        if not callable(function) or isinstance(function, type):
            raise checks.BadArgument(
                f"{name} is {checks.described(function)}; a module or a function is"
                f" needed{fitting(function)}."
            )
    if isinstance(policy, Policy) or not callable(policy):
        raise checks.BadArgument(
            f"policy is {checks.described(policy)}; a function that makes a Policy of the latent"
            " world is needed."
        )
    if radius is not None:
        checks.POSITIVE_32.check("radius", radius)
    checks.in_unit_interval("discount", discount)
    target = _as_array(goal)
    if target is None or target.shape != (spec.state_size,):
        raise checks.BadArgument(
            f"goal is {checks.described(goal)}; an observation of shape ({spec.state_size},) is"
            " needed."
        )
    shape = _latent_shape(encode, target, spec, functions)
    gives = [Slot("latent state", math.prod(shape))]
    flat_encode = _wrap_function(encode, _flatten_latents)
    shaped_predict = _wrap_function(predict, functools.partial(_reshape_latents, shape))
    takes = argument_slots("s", spec)
    encoder = host_of(flat_encode, "encoder", takes, gives, functions=functions)
    latent = encoder.value(target[None])[0].astype(np.float32)
    model = Goal(
        spec=spec,
        encoder=encoder,
        predict=shaped_predict,
        target=latent,
        make_policy=policy,
        radius=radius,
        functions=functions,
        discount=discount,
    )
    still = np.zeros(1 if isinstance(spec.action, Discrete) else spec.action.size, np.float32)
    model._dynamics(model.blank_spec).host.value(np.concatenate([latent, still])[None])
    return model


def _as_array(values: Any) -> np.ndarray | None:
    """The values as an array of 32 bits; None if they are no array of numbers."""
    try:
        return np.asarray(values, np.float32)
    except (TypeError, ValueError, RuntimeError):  # torch refuses a part of its graph
        return None


def _latent_shape(
    encode: Callable[..., Any], goal: np.ndarray, spec: Spec, functions: str
) -> tuple[int, ...]:
    """The shape of one latent state, told from that of the goal.

    Args:
        encode, functions: As for `goal`.
        goal: An observation, `[state]`.
        spec: The task in observations.
    """
    shapes: list[tuple[int, ...]] = []

    def first(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(observations: Any) -> Any:
            latents = function(observations)
            shapes.append(tuple(latents.shape[1:]))
            return latents.reshape(len(latents), -1)[:, 0]

        return call

    gives = [Slot("latent state", size=None)]
    takes = argument_slots("s", spec)
    host_of(_wrap_function(encode, first), "encoder", takes, gives, functions=functions).value(
        goal[None]
    )
    return shapes[0]


def _wrap_function(
    function: Callable[..., Any], change: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Callable[..., Any]:
    """`change(function)`; of a torch module, or a method of one, as an `AdaptedModule`."""
    adapted = as_adapted_module(function)
    if adapted is None:
        return change(function)
    return AdaptedModule(adapted.module, lambda module: change(adapted.use(module)), adapted.copies)


def _flatten_latents(encode: Callable[..., Any]) -> Callable[..., Any]:
    """An encoder whose latent states are vectors."""

    def call(observations: Any) -> Any:
        latents = encode(observations)
        return latents.reshape(len(latents), -1)

    return call


def _reshape_latents(shape: tuple[int, ...], predict: Callable[..., Any]) -> Callable[..., Any]:
    """A prediction of vectors, asked with latent states of the encoder's shape."""

    def call(latents: Any, actions: Any) -> Any:
        after = predict(latents.reshape(len(latents), *shape), actions)
        return after.reshape(len(after), -1)

    return call
