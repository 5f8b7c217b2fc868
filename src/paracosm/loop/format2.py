"""Headers of format 2, which gave the sizes of networks, as headers of today's format."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any, Literal

from paracosm.core import checks
from paracosm.core.records import PartFit, Record, Training, typed

FORMAT = 2
# Layers of a network: no run had a hundredth of it, and a damaged header must not fill the memory.
_DEEPEST = 1000


@dataclasses.dataclass(frozen=True)
class _Format2Network(Record):
    """The sizes of a network, or of an ensemble of `members` of them."""

    members: int | None
    inputs: int
    outputs: int
    width: int
    depth: int


@dataclasses.dataclass(frozen=True)
class _Format2Space(Record):
    kind: Literal["box", "discrete"]
    size: int


@dataclasses.dataclass(frozen=True)
class _Format2Part(Record):
    """A part of a world; one that was given is the run's to name."""

    kind: Literal["learned", "constant", "given"]
    network: _Format2Network | None


@dataclasses.dataclass(frozen=True)
class _Format2World(Record):
    state_size: int
    horizon: int
    action: _Format2Space
    discount: float
    starts: int
    parts: dict[str, _Format2Part]
    fits: dict[str, PartFit]


@dataclasses.dataclass(frozen=True)
class _Format2Policy(Record):
    kind: Literal["gaussian", "categorical"]
    squash: bool
    network: _Format2Network


@dataclasses.dataclass(frozen=True)
class _Format2Imagined(Record):
    policy: _Format2Policy
    value: _Format2Network
    training: Training
    worst_reward: float


def upgraded(tree: Any) -> tuple[dict[str, Any], Any]:
    """The `about` and the `model` of today's format, from a header of format 2.

    Raises:
        BadData: it is no header of format 2.
    """
    keys = tree.keys() if isinstance(tree, dict) else ()
    if "parts" in keys:
        world = typed(tree, _Format2World, "model")
        return {"discount": world.discount, "fits": tree["fits"]}, _world(world)
    if "value" in keys:
        trained = typed(tree, _Format2Imagined, "model")
        about = {"training": tree["training"], "worst_reward": tree["worst_reward"]}
        return about, [_policy(trained.policy), _value(trained.value)]
    return {}, _policy(typed(tree, _Format2Policy, "model"))


def _array(*shape: int) -> dict[str, Any]:
    return {"array": list(shape), "dtype": "float32"}


def _object(kind: str, **fields: Any) -> dict[str, Any]:
    return {"class": kind, "fields": fields}


def _network(sizes: _Format2Network | None) -> dict[str, Any]:
    if sizes is None or not 0 <= sizes.depth <= _DEEPEST:
        raise checks.BadData("a learned part needs the sizes of its network.")
    stack = () if sizes.members is None else (sizes.members,)
    layers = (sizes.inputs, *(sizes.width,) * sizes.depth, sizes.outputs)
    return _object(
        "MLP",
        weights=[_array(*stack, *pair) for pair in itertools.pairwise(layers)],
        biases=[_array(*stack, size) for size in layers[1:]],
        center=_array(*stack, sizes.inputs),
        scale=_array(*stack, sizes.inputs),
    )


def _space(space: _Format2Space) -> dict[str, Any]:
    if space.kind == "discrete":
        return _object("Discrete", n=space.size, start=0)
    return _object("Box", low=_array(space.size), high=_array(space.size))


def _policy(policy: _Format2Policy) -> dict[str, Any]:
    network = _network(policy.network)
    if policy.kind == "categorical":
        return _object("Categorical", network=network)
    size = policy.network.outputs
    space = _space(_Format2Space("box", size))
    return _object(
        "Gaussian", network=network, log_std=_array(size), space=space, squash=policy.squash
    )


def _value(network: _Format2Network) -> dict[str, Any]:
    return _object("Value", network=_network(network), center=_array(), scale=_array())


def _world(world: _Format2World) -> list[Any]:
    state, space = _array(world.state_size), _space(world.action)
    domain = _object("Domain", low=state, high=state)
    spec = _object(
        "Spec",
        state_size=world.state_size,
        action=space,
        state_scale=state,
        horizon=world.horizon,
    )
    dynamics = _object(
        "LearnedDynamics",
        networks=_network(world.parts["dynamics"].network),
        space=space,
        center=state,
        scale=state,
        domain=domain,
    )
    starts = _object("Starts", states=_array(world.starts, world.state_size))
    return [spec, starts, domain, dynamics, _reward(world, space), _termination(world, space)]


def _reward(world: _Format2World, space: dict[str, Any]) -> dict[str, Any] | None:
    part = world.parts["reward"]
    if part.kind == "learned":
        return _object(
            "LearnedReward",
            networks=_network(part.network),
            space=space,
            center=_array(),
            scale=_array(),
        )
    return _object("Constant", value=_array()) if part.kind == "constant" else None


def _termination(world: _Format2World, space: dict[str, Any]) -> dict[str, Any] | None:
    part = world.parts["termination"]
    if part.kind == "learned":
        return _object("LearnedTermination", networks=_network(part.network), space=space)
    return {"function": "never"} if part.kind == "constant" else None
