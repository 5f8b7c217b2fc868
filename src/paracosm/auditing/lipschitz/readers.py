"""Learned parts, policies and networks from elsewhere, read as `Layered` networks.

`read(part, spec)` gives a part's map from its arguments in a row, `(s)`, `(s, a)` or `(s, a, s')`
in the environment's units, actions of a finite set one-hot. What it gives computes the same numbers
as the part.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from paracosm.adapters.parts import ForeignPolicy
from paracosm.auditing.lipschitz import layers
from paracosm.auditing.lipschitz.layers import (
    Activation,
    Layered,
    activated,
    affine,
    beside,
    compose,
)
from paracosm.core import checks
from paracosm.core.mdp import MDP, Box, Discrete, Domain, Spec
from paracosm.core.networks import MLP
from paracosm.core.policy import Deterministic, Gaussian, Mode, Noisy, Policy, Uniform
from paracosm.core.types import Array
from paracosm.learning.parts import Constant, LearnedDynamics, LearnedReward
from paracosm.real import systems

_JAX: dict[Any, Activation] = {
    jnp.tanh: layers.TANH,
    jax.nn.relu: layers.RELU,
    jax.nn.softplus: layers.SOFTPLUS,
    jax.nn.sigmoid: layers.SIGMOID,
    jax.nn.silu: layers.SILU,
    jax.nn.gelu: layers.GELU_TANH,
    jax.nn.leaky_relu: layers.leaky_relu(0.01),
    jax.nn.identity: layers.IDENTITY,
    jnp.sin: layers.SIN,
}
_TORCH: dict[str, Callable[[Any], Activation]] = {
    "Tanh": lambda layer: layers.TANH,
    "ReLU": lambda layer: layers.RELU,
    "Sigmoid": lambda layer: layers.SIGMOID,
    "SiLU": lambda layer: layers.SILU,
    "Identity": lambda layer: layers.IDENTITY,
    "GELU": lambda layer: layers.GELU if layer.approximate == "none" else layers.GELU_TANH,
    "LeakyReLU": lambda layer: layers.leaky_relu(float(layer.negative_slope)),
}


class Unreadable(checks.Unsupported):
    """A part is not made of layers whose slopes are known; the message is the clause that says what
    it is.
    """


def read(part: Any, spec: Spec) -> Layered:
    """The part as a `Layered` network.

    Raises:
        Unreadable: a layer or activation is of a type that is not known here. A subclass of a known
            type is not known: it may compute something else.
    """
    if (
        _read.dispatch(type(part)) is not _read.dispatch(object)
        and type(part) not in _read.registry
    ):
        raise Unreadable(f"{type(part).__name__} is of a type whose slopes are not known")
    return _read(part, spec)


@functools.singledispatch
def _read(part: Any, spec: Spec) -> Layered:
    if type(part).__module__.startswith("torch.nn"):
        return _torch(part, spec)
    name = getattr(part, "__name__", type(part).__name__)
    raise Unreadable(f"{name} is of a type whose slopes are not known")


def scaled_dynamics(world: MDP) -> Layered:
    """`(s, a) ↦ s'`, states in scaled units, actions in the environment's."""
    scale = np.asarray(world.spec.state_scale, np.float64)
    into = np.concatenate([scale, np.ones(world.spec.action.size)])
    return layers.rescaled(read(world.dynamics, world.spec), into, scale)


def scaled_reward(world: MDP) -> Layered:
    """`(s, a, s') ↦ r`, states in scaled units, actions and reward in the environment's."""
    scale = np.asarray(world.spec.state_scale, np.float64)
    into = np.concatenate([scale, np.ones(world.spec.action.size), scale])
    return layers.rescaled(read(world.reward, world.spec), into, 1.0)


def scaled_policy(policy: Policy, spec: Spec) -> Layered:
    """`s ↦ a`, the mode, states in scaled units, actions in the environment's."""
    return layers.rescaled(read(policy, spec), np.asarray(spec.state_scale, np.float64), 1.0)


def closed_loop(dynamics: Layered, policy: Layered) -> Layered:
    """`s ↦ f(s, π(s))`, the state carried past the policy."""
    return compose(dynamics, beside(layers.identity(policy.inputs), policy))


def closed_loop_reward(reward: Layered, dynamics: Layered, policy: Layered) -> Layered:
    """`s ↦ r(s, π(s), f(s, π(s)))`."""
    choosing = beside(layers.identity(policy.inputs), policy)
    return compose(reward, beside(layers.identity(dynamics.inputs), dynamics), choosing)


def _encoding(space: Box | Discrete, states: int, after: int) -> Layered:
    """What a network sees of a row `(s, a, …)`: the action by `Box.encode`, one-hot actions as they
    are.
    """
    scale, shift = np.ones(space.size), np.zeros(space.size)
    if isinstance(space, Box):
        low, high = np.asarray(space.low, np.float64), np.asarray(space.high, np.float64)
        scale, shift = 2 / (high - low), -(high + low) / (high - low)
    diagonal = np.concatenate([np.ones(states), scale, np.ones(after)])
    return affine(np.diag(diagonal), np.concatenate([np.zeros(states), shift, np.zeros(after)]))


def _clip(low: Array, high: Array) -> Layered:
    """The nearest point of a box; a component whose bounds meet is constant."""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise Unreadable("a bound of the box of states is not finite")
    middle, half = (low + high) / 2, (high - low) / 2
    into = np.divide(1, half, out=np.zeros_like(half), where=half > 0)
    unit = affine(np.diag(into), -middle * into)
    return compose(affine(np.diag(half), middle), activated(layers.CLIP, len(low)), unit)


def _ensemble(networks: MLP) -> Layered:
    """The mean of a stack of networks: one network of all their hidden layers side by side."""
    members = len(networks.biases[0])
    read_one = [_mlp(jax.tree.map(lambda leaf, i=i: leaf[i], networks)) for i in range(members)]
    mean = np.concatenate([np.eye(read_one[0].outputs) / members] * members, axis=1)
    return compose(affine(mean), beside(*read_one))


def _mlp(network: MLP) -> Layered:
    scale = np.asarray(network.scale, np.float64)
    found = affine(np.diag(1 / scale), -np.asarray(network.center, np.float64) / scale)
    for i, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        if i:
            found = compose(activated(layers.TANH, found.outputs), found)
        found = compose(affine(np.asarray(weight).T, bias), found)
    return found


@_read.register
def _(part: MLP, spec: Spec) -> Layered:
    return _mlp(part)


@_read.register
def _(part: LearnedDynamics, spec: Spec) -> Layered:
    size = spec.state_size
    network = compose(_ensemble(part.networks), _encoding(part.space, size, 0))
    carried = affine(np.eye(size, size + part.space.size))
    change = np.concatenate([np.eye(size), np.diag(np.asarray(part.scale, np.float64))], axis=1)
    domain: Domain = part.domain
    return compose(
        _clip(domain.low, domain.high), affine(change, part.center), beside(carried, network)
    )


@_read.register
def _(part: LearnedReward, spec: Spec) -> Layered:
    network = compose(
        _ensemble(part.networks), _encoding(part.space, spec.state_size, spec.state_size)
    )
    return compose(affine(np.asarray(part.scale).reshape(1, 1), float(part.center)), network)


@_read.register
def _(part: Constant, spec: Spec) -> Layered:
    return affine(np.zeros((1, 2 * spec.state_size + spec.action.size)), float(part.value))


@_read.register
def _(part: Gaussian, spec: Spec) -> Layered:
    reach = 4.0 if part.squash else 1.25
    low, high = np.asarray(part.space.low, np.float64), np.asarray(part.space.high, np.float64)
    size = len(low)
    squash = activated(layers.TANH if part.squash else layers.CLIP, size)
    held = compose(
        affine(reach * np.eye(size)), activated(layers.TANH, size), affine(np.eye(size) / reach)
    )
    return compose(
        affine(np.diag((high - low) / 2), (high + low) / 2), squash, held, _mlp(part.network)
    )


@_read.register(Mode)
@_read.register(Noisy)
def _(part: Mode | Noisy, spec: Spec) -> Layered:
    return read(part.policy, spec)


@_read.register
def _(part: Deterministic, spec: Spec) -> Layered:
    return read(part.function, spec)


@_read.register
def _(part: ForeignPolicy, spec: Spec) -> Layered:
    if part.discrete:
        raise Unreadable("actions are discrete")
    module = getattr(part.host, "module", None)
    if module is None:
        raise Unreadable(f"the {part.host.name} is a function, of which only answers are known")
    return read(module, spec)


@_read.register
def _(part: Uniform, spec: Spec) -> Layered:
    if isinstance(part.space, Discrete):
        raise Unreadable("actions are discrete")
    centre = (np.asarray(part.space.low, np.float64) + np.asarray(part.space.high, np.float64)) / 2
    return affine(np.zeros((len(centre), spec.state_size)), centre)


@_read.register
def _(part: systems.Linear, spec: Spec) -> Layered:
    return affine(np.concatenate([part.A, part.B], axis=1), part.b)


@_read.register
def _(part: systems.Gain, spec: Spec) -> Layered:
    return affine(-np.asarray(part.K))


def _smooth(part: systems.Smooth, weight: Array) -> Layered:
    activation = {"tanh": layers.TANH, "sin": layers.SIN}[part.activation]
    last = affine(part.lipschitz * np.asarray(part.U, np.float64))
    return compose(last, activated(activation, len(part.b)), affine(weight, part.b))


@_read.register
def _(part: systems.SmoothDynamics, spec: Spec) -> Layered:
    return _smooth(part.map, np.concatenate([part.map.W, part.map.V], axis=1))


@_read.register
def _(part: systems.SmoothReward, spec: Spec) -> Layered:
    unused = np.zeros((len(part.map.b), spec.state_size))
    return _smooth(part.map, np.concatenate([part.map.W, part.map.V, unused], axis=1))


@_read.register
def _(part: systems.SmoothPolicy, spec: Spec) -> Layered:
    return _smooth(part.map, part.map.W)


@_read.register
def _(part: eqx.nn.Linear, spec: Spec) -> Layered:
    return affine(part.weight, 0.0 if part.bias is None else part.bias)


@_read.register
def _(part: eqx.nn.MLP, spec: Spec) -> Layered:
    found = read(part.layers[0], spec)
    for layer in part.layers[1:]:
        found = compose(
            read(layer, spec), activated(_of_jax(part.activation), found.outputs), found
        )
    return compose(activated(_of_jax(part.final_activation), found.outputs), found)


@_read.register
def _(part: eqx.nn.Sequential, spec: Spec) -> Layered:
    return _in_a_row(
        part.layers,
        lambda layer: _of_jax(layer.fn) if isinstance(layer, eqx.nn.Lambda) else None,
        spec,
    )


def _torch(part: Any, spec: Spec) -> Layered:
    """A `torch.nn` module, known by its name so that torch need not be there."""
    name = _torch_name(part)
    if name == "Sequential":
        return _in_a_row(
            part, lambda layer: _TORCH.get(_torch_name(layer), lambda layer: None)(layer), spec
        )
    if name != "Linear":
        raise Unreadable(f"torch.nn.{name} is of a type whose slopes are not known")
    weight = part.weight.detach().cpu().double().numpy()
    return affine(weight, 0.0 if part.bias is None else part.bias.detach().cpu().double().numpy())


def _torch_name(part: Any) -> str:
    """The class of a module that is torch's own and does nothing besides."""
    name = type(part).__name__
    if not type(part).__module__.startswith("torch.nn.modules."):
        raise Unreadable(f"{name} is of a type whose slopes are not known")
    if part._forward_hooks or part._forward_pre_hooks:
        raise Unreadable(f"torch.nn.{name} has hooks, which may compute something else")
    return name


def _in_a_row(
    row: Iterable[Any], activation: Callable[[Any], Activation | None], spec: Spec
) -> Layered:
    found: Layered | None = None
    for layer in row:
        acting = activation(layer)
        if acting is None:
            following = read(layer, spec)
        elif found is None:
            raise Unreadable(
                "its first layer is an activation, so the number of inputs is not known"
            )
        else:
            following = activated(acting, found.outputs)
        found = following if found is None else compose(following, found)
    if found is None:
        raise Unreadable("it has no layers")
    return found


def _of_jax(function: Any) -> Activation:
    if isinstance(function, functools.partial) and function.func is jax.nn.gelu:
        return layers.GELU_TANH if function.keywords.get("approximate", True) else layers.GELU
    if (
        getattr(function, "__module__", "") == "equinox.nn._mlp"
    ):  # the default last activation: none
        return layers.IDENTITY
    try:
        return _JAX[function]
    except (KeyError, TypeError):  # a module's hash is that of its arrays, which have none
        name = getattr(function, "__name__", type(function).__name__)
        raise Unreadable(f"the activation {name} has slopes that are not known") from None
