"""Models on disk: the arrays in Equinox's format beside a JSON header that says how to rebuild
them; never pickle.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp

from paracosm.core import checks
from paracosm.core.files import read_json, shown, whole
from paracosm.core.learned import Learned
from paracosm.core.learner import Learner, LearnerPrediction, Problem
from paracosm.core.mdp import MDP, Box, Discrete, Domain, Spec, never
from paracosm.core.networks import MLP
from paracosm.core.policy import Categorical, Gaussian, Policy, StochasticPolicy
from paracosm.core.records import PartFit, Record, Training, typed
from paracosm.imagination.imagine import Imagined, pessimistic
from paracosm.imagination.value import Value
from paracosm.learning.parts import (
    Constant,
    LearnedDynamics,
    LearnedReward,
    LearnedTermination,
    Starts,
)

FORMAT = 2
_PARTS = ("dynamics", "reward", "termination")


@dataclasses.dataclass(frozen=True)
class NetworkHeader(Record):
    """The sizes of a network, or of an ensemble of `members` of them."""

    members: int | None
    inputs: int
    outputs: int
    width: int
    depth: int

    def bytes(self) -> int:
        """What its weights and biases take, in 32 bits."""
        ends, hidden = self.inputs + self.outputs, max(self.depth - 1, 0) * self.width
        weights = (
            self.width * (ends + hidden + self.depth) if self.depth else self.inputs * self.outputs
        )
        return 4 * (weights + self.outputs) * (1 if self.members is None else self.members)


@dataclasses.dataclass(frozen=True)
class SpaceHeader(Record):
    """The kind of an action space and its number of components, or of actions."""

    kind: Literal["box", "discrete"]
    size: int


@dataclasses.dataclass(frozen=True)
class PartHeader(Record):
    """How a part of a world is stored: its network if it was learned; one that was given is the
    run's to name.
    """

    kind: Literal["learned", "constant", "given"]
    network: NetworkHeader | None = None


@dataclasses.dataclass(frozen=True)
class WorldHeader(Record):
    """What rebuilds a learned world, and how it was learned."""

    state_size: int
    horizon: int
    action: SpaceHeader
    discount: float
    starts: int
    parts: dict[str, PartHeader]
    fits: dict[str, PartFit]


@dataclasses.dataclass(frozen=True)
class PolicyHeader(Record):
    """What rebuilds a policy."""

    kind: Literal["gaussian", "categorical"]
    squash: bool
    network: NetworkHeader


@dataclasses.dataclass(frozen=True)
class ImaginedHeader(Record):
    """What rebuilds a trained policy with its value, and how training went; without a value it was
    a learner of one's own, whose state is stored.
    """

    policy: PolicyHeader
    value: NetworkHeader | None
    training: Training
    worst_reward: float


H = TypeVar("H", bound=Record)


def save(path: Path, model: Any, header: Record) -> None:
    """Write `path`.eqx and, last, `path`.json, which holds the header and a checksum of the
    arrays.
    """
    with whole(path.with_suffix(".eqx")) as part:
        eqx.tree_serialise_leaves(part, model)
        arrays = part.read_bytes()
    tree = header.to_dict()
    text = json.dumps(
        {"format": FORMAT, "checksum": _checksum(tree, arrays), "model": tree},
        indent=1,
        allow_nan=False,
    )
    with whole(path.with_suffix(".json")) as part:
        part.write_text(text, encoding="utf-8")


def header(kind: type[H], path: Path) -> H:
    """The header of the model `path`, whose arrays are those that were written with it.

    Raises:
        Missing: there is no such model.
        BadData: it is damaged, or another version wrote it.
    """
    file = path.with_suffix(".json")
    if not file.is_file():
        raise checks.Missing(f"There is no model {shown(file)}; the run has not got that far.")
    tree = read_json(file)
    if tree.get("format") != FORMAT:
        found = ascii(tree.get("format"))[:20]
        raise checks.BadData(
            f"{shown(file)} has format {found}; this version of Paracosm reads format {FORMAT}."
        )
    _require_checksum(path.with_suffix(".eqx"), tree)
    try:
        return typed(tree.get("model"), kind, "model")
    except checks.BadData as error:
        raise checks.BadData(f"{shown(file)} is damaged: {error}") from None


def _checksum(tree: Any, arrays: bytes) -> int:
    """Of header and arrays together: a damaged weight is a number like any other, and so is a
    damaged size.
    """
    return zlib.crc32(json.dumps(tree, sort_keys=True).encode(), zlib.crc32(arrays))


def _require_checksum(arrays: Path, tree: dict[str, Any]) -> None:
    try:
        same = _checksum(tree.get("model"), arrays.read_bytes()) == tree.get("checksum")
    except OSError as error:
        raise checks.BadData(f"{shown(arrays)} cannot be read: {error.strerror}.") from None
    if not same:
        raise checks.BadData(
            f"{shown(arrays)} or its header is damaged: their checksum is not the one written."
        )


def _fill(path: Path, build: Callable[[], Any], *networks: NetworkHeader) -> Any:
    """The model that `build` makes of these networks, with its arrays from `path`.eqx."""
    file = path.with_suffix(".eqx")
    damaged = checks.BadData(f"{shown(file)} is damaged or does not fit its header.")
    if any(min(_sizes(sizes)) < 1 or sizes.bytes() > file.stat().st_size for sizes in networks):
        raise damaged
    try:
        return eqx.tree_deserialise_leaves(file, eqx.filter_eval_shape(build))
    except (
        OSError,
        ValueError,
        RuntimeError,
        EOFError,
        TypeError,
        LookupError,
        ArithmeticError,
    ) as error:
        raise damaged from error


def _sizes(network: NetworkHeader) -> tuple[int, ...]:
    members = 1 if network.members is None else network.members
    return members, network.inputs, network.outputs, network.width, network.depth + 1


def _describe_network(network: MLP) -> NetworkHeader:
    stacked = network.weights[0].ndim == 3
    return NetworkHeader(
        members=network.weights[0].shape[0] if stacked else None,
        inputs=network.weights[0].shape[-2],
        outputs=network.weights[-1].shape[-1],
        width=network.weights[0].shape[-1],
        depth=len(network.weights) - 1,
    )


def _network(sizes: NetworkHeader | None) -> MLP:
    if sizes is None:
        raise ValueError("a learned part needs the sizes of its network")

    def member(key: Any) -> MLP:
        return MLP(sizes.inputs, sizes.outputs, sizes.width, sizes.depth, key)

    if sizes.members is None:
        return member(jax.random.key(0))
    return eqx.filter_vmap(member)(jax.random.split(jax.random.key(0), sizes.members))


def _describe_space(space: Box | Discrete) -> SpaceHeader:
    return SpaceHeader("discrete" if isinstance(space, Discrete) else "box", space.size)


def _space(about: SpaceHeader) -> Box | Discrete:
    return (
        Discrete(about.size)
        if about.kind == "discrete"
        else Box(jnp.zeros(about.size), jnp.zeros(about.size))
    )


def save_world(path: Path, learned: Learned) -> None:
    """Write a learned world and how it was learned.

    Parts that were given, not learned, are the run's to name.
    """
    world, spec = learned.world, learned.world.spec
    save(
        path,
        _learned_parts(world),
        WorldHeader(
            state_size=spec.state_size,
            horizon=spec.horizon,
            action=_describe_space(spec.action),
            discount=world.discount,
            starts=_starts(world),
            parts={name: _describe_part(getattr(world, name)) for name in _PARTS},
            fits=learned.fits,
        ),
    )


def _starts(world: MDP) -> int:
    if not isinstance(world.initial, Starts):
        raise checks.Unsupported(
            "only a learned world can be stored; this one's initial states are not from data."
        )
    return len(world.initial.states)


def _learned_parts(world: MDP) -> tuple[Any, ...]:
    parts = (world.dynamics, world.reward, world.termination)
    stored = tuple(part if _describe_part(part).kind != "given" else None for part in parts)
    return world.spec, world.initial, world.domain, *stored


def _describe_part(part: Any) -> PartHeader:
    if isinstance(part, LearnedDynamics | LearnedReward | LearnedTermination):
        return PartHeader("learned", _describe_network(part.networks))
    return PartHeader("constant" if part is never or isinstance(part, Constant) else "given")


def load_world(
    path: Path, *, reward: Callable | None = None, termination: Callable | None = None
) -> Learned:
    """Read a learned world; the parts that were given when it was learned must be given again."""
    about = header(WorldHeader, path)
    size, parts = about.state_size, about.parts

    def network(part: str) -> MLP:
        return _network(parts[part].network)

    def build() -> tuple[Any, ...]:
        space, state, number = _space(about.action), jnp.zeros(size), jnp.zeros(())
        domain = Domain(state, state)
        dynamics = LearnedDynamics(network("dynamics"), space, state, state, domain)
        of_kind = {
            "reward": {
                "learned": lambda: LearnedReward(network("reward"), space, number, number),
                "constant": lambda: Constant(number),
            },
            "termination": {
                "learned": lambda: LearnedTermination(network("termination"), space),
                "constant": lambda: never,
            },
        }
        rest = (of_kind[name].get(parts[name].kind, lambda: None)() for name in of_kind)
        return (
            Spec(size, space, state, about.horizon),
            Starts(jnp.zeros((about.starts, size))),
            domain,
            dynamics,
            *rest,
        )

    networks = [part.network for part in parts.values() if part.network is not None]
    spec, starts, domain, dynamics, learned_reward, learned_end = _fill(path, build, *networks)
    world = MDP(
        spec,
        dynamics,
        reward or learned_reward,
        termination or learned_end,
        starts,
        about.discount,
        domain,
    )
    return Learned(world, about.fits)


def save_policy(path: Path, policy: Policy) -> None:
    """Write a policy that is usable by itself."""
    save(path, policy, _describe_policy(policy))


def _describe_policy(policy: Policy) -> PolicyHeader:
    if isinstance(policy, Gaussian):
        return PolicyHeader("gaussian", policy.squash, _describe_network(policy.network))
    if isinstance(policy, Categorical):
        return PolicyHeader("categorical", False, _describe_network(policy.network))
    raise checks.Unsupported(
        f"a {type(policy).__name__} cannot be stored; a Gaussian or Categorical policy is needed."
    )


def _policy(about: PolicyHeader) -> StochasticPolicy:
    network = _network(about.network)
    if about.kind == "categorical":
        return Categorical(network)
    zeros = jnp.zeros(about.network.outputs)
    return Gaussian(network, zeros, Box(zeros, zeros), about.squash)


def load_policy(path: Path) -> StochasticPolicy:
    """Read a policy."""
    about = header(PolicyHeader, path)
    return _fill(path, lambda: _policy(about), about.network)


def save_imagined(path: Path, imagined: Imagined, worst_reward: float) -> None:
    """Write what imagination found: policy and value, or the state of a learner of one's own, and
    how training went.
    """
    value, own = imagined.value, imagined.own_prediction
    about = ImaginedHeader(
        _describe_policy(imagined.policy),
        None if value is None else _describe_network(value.network),
        imagined.training,
        worst_reward,
    )
    save(path, (imagined.policy, value) if own is None else own.state, about)


def load_imagined(
    path: Path,
    world: MDP,
    learner: Learner | None = None,
    problem: Callable[[], Problem] | None = None,
) -> Imagined:
    """Read what imagination found.

    Args:
        path: The model.
        world: The learned world that it was trained for.
        learner: The learner of one's own that was trained, if it was one.
        problem: Gives what that learner was trained for.
    """
    about = header(ImaginedHeader, path)
    trained_in, number = pessimistic(world, about.worst_reward), jnp.zeros(())
    if about.value is None:
        if learner is None or problem is None:
            file = shown(path.with_suffix(".json"))
            raise checks.BadData(f"{file} is of a learner of one's own, and the run names none.")
        subject = problem()
        state = _fill(path, lambda: learner.init(subject, jax.random.key(0)))
        prediction = LearnerPrediction(learner, state, subject)
        return Imagined(learner.policy(state), None, trained_in, about.training, prediction)
    networks = (about.policy.network, about.value)

    def build() -> tuple[StochasticPolicy, Value]:
        return _policy(about.policy), Value(_network(about.value), number, number)

    policy, value = _fill(path, build, *networks)
    return Imagined(policy, value, trained_in, about.training)
