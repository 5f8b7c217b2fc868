"""Models on disk: the arrays in Equinox's format beside a JSON header that says how to rebuild them; never pickle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from paracosm.core import checks
from paracosm.core.files import read_json, whole
from paracosm.core.mdp import MDP, Box, Discrete, Domain, Spec, never
from paracosm.core.networks import MLP
from paracosm.core.policy import Categorical, Gaussian, StochasticPolicy
from paracosm.core.records import PartFit, Training
from paracosm.imagination.imagine import Imagined, guarded
from paracosm.imagination.reinforce import Value
from paracosm.learning.learn import Learned
from paracosm.learning.parts import Constant, LearnedDynamics, LearnedReward, LearnedTermination, Starts

FORMAT = 1


def save(path: Path, model: Any, header: dict[str, Any]) -> None:
    """Write `path`.eqx and, last, `path`.json."""
    with whole(path.with_suffix(".eqx")) as part:
        eqx.tree_serialise_leaves(part, model)
    with whole(path.with_suffix(".json")) as part:
        part.write_text(json.dumps({"format": FORMAT, **header}, indent=1, allow_nan=False), encoding="utf-8")


def header(path: Path) -> dict[str, Any]:
    """The header of the model `path`.

    Raises:
        Missing: there is no such model.
        BadData: another version wrote it.
    """
    file = path.with_suffix(".json")
    if not file.is_file():
        raise checks.Missing(f"There is no model {file}; the run has not got that far.")
    found = read_json(file)
    if found.get("format") != FORMAT:
        raise checks.BadData(
            f"{file} has format {found.get('format')}; this version of Paracosm reads format {FORMAT}."
        )
    return found


def _fill(path: Path, build: Callable[[], Any]) -> Any:
    """The model that `build` makes, with its arrays from `path`.eqx."""
    file = path.with_suffix(".eqx")
    try:
        return eqx.tree_deserialise_leaves(file, eqx.filter_eval_shape(build))
    except (OSError, ValueError, RuntimeError, EOFError) as error:
        raise checks.BadData(f"{file} is damaged or does not fit its header ({type(error).__name__}).") from error


def _describe_network(network: MLP) -> dict[str, Any]:
    stacked = network.weights[0].ndim == 3
    return {
        "members": network.weights[0].shape[0] if stacked else None,
        "inputs": network.weights[0].shape[-2],
        "outputs": network.weights[-1].shape[-1],
        "width": network.weights[0].shape[-1],
        "depth": len(network.weights) - 1,
    }


def _network(inputs: int, outputs: int, width: int, depth: int, members: int | None) -> MLP:
    def one(key: Any) -> MLP:
        return MLP(inputs, outputs, width, depth, key)

    return (
        one(jax.random.key(0))
        if members is None
        else eqx.filter_vmap(one)(jax.random.split(jax.random.key(0), members))
    )


def _describe_space(space: Box | Discrete) -> dict[str, Any]:
    return {"kind": "discrete" if isinstance(space, Discrete) else "box", "size": space.size}


def _space(kind: str, size: int) -> Box | Discrete:
    return Discrete(size) if kind == "discrete" else Box(jnp.zeros(size), jnp.zeros(size))


def save_world(path: Path, learned: Learned) -> None:
    """Write a learned world and how it was learned. Parts that were given, not learned, are the run's to name."""
    world, spec = learned.world, learned.world.spec
    save(
        path,
        _learned_parts(world),
        {
            "state_size": spec.state_size,
            "horizon": spec.horizon,
            "action": _describe_space(spec.action),
            "discount": world.discount,
            "starts": _starts(world),
            "parts": {name: _describe_part(getattr(world, name)) for name in ("dynamics", "reward", "termination")},
            "fits": {name: fit.to_dict() for name, fit in learned.fits.items()},
        },
    )


def _starts(world: MDP) -> int:
    if not isinstance(world.initial, Starts):
        raise checks.Unsupported("only a learned world can be stored; this one's initial states are not from data.")
    return len(world.initial.states)


def _learned_parts(world: MDP) -> tuple[Any, ...]:
    parts = (world.dynamics, world.reward, world.termination)
    stored = tuple(part if _describe_part(part)["kind"] != "given" else None for part in parts)
    return world.spec, world.initial, world.domain, *stored


def _describe_part(part: Any) -> dict[str, Any]:
    if isinstance(part, LearnedDynamics | LearnedReward | LearnedTermination):
        return {"kind": "learned", **_describe_network(part.networks)}
    if part is never or isinstance(part, Constant):
        return {"kind": "constant"}
    return {"kind": "given"}


def load_world(path: Path, *, reward: Callable | None = None, termination: Callable | None = None) -> Learned:
    """Read a learned world; the parts that were given when it was learned must be given again."""
    about = header(path)
    size, parts = about["state_size"], about["parts"]

    def network(part: str) -> MLP:
        return _network(**{key: value for key, value in parts[part].items() if key != "kind"})

    def build() -> tuple[Any, ...]:
        space, state, number = _space(**about["action"]), jnp.zeros(size), jnp.zeros(())
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
        rest = (of_kind[name].get(parts[name]["kind"], lambda: None)() for name in of_kind)
        return (
            Spec(size, space, state, about["horizon"]),
            Starts(jnp.zeros((about["starts"], size))),
            domain,
            dynamics,
            *rest,
        )

    spec, starts, domain, dynamics, learned_reward, learned_end = _fill(path, build)
    world = MDP(spec, dynamics, reward or learned_reward, termination or learned_end, starts, about["discount"], domain)
    return Learned(world, {name: PartFit.from_dict(fit) for name, fit in about["fits"].items()})


def save_policy(path: Path, policy: StochasticPolicy) -> None:
    """Write a policy that is usable by itself."""
    save(path, policy, _describe_policy(policy))


def _describe_policy(policy: StochasticPolicy) -> dict[str, Any]:
    if isinstance(policy, Gaussian):
        return {"kind": "gaussian", "squash": policy.squash, "network": _describe_network(policy.network)}
    if isinstance(policy, Categorical):
        return {"kind": "categorical", "network": _describe_network(policy.network)}
    raise checks.Unsupported(f"a {type(policy).__name__} cannot be stored; a Gaussian or Categorical policy is needed.")


def _policy(about: dict[str, Any]) -> StochasticPolicy:
    network = _network(**about["network"])
    if about["kind"] == "categorical":
        return Categorical(network)
    zeros = jnp.zeros(about["network"]["outputs"])
    return Gaussian(network, zeros, Box(zeros, zeros), about["squash"])


def load_policy(path: Path) -> StochasticPolicy:
    """Read a policy."""
    about = header(path)
    return _fill(path, lambda: _policy(about))


def save_imagined(path: Path, imagined: Imagined, worst_reward: float) -> None:
    """Write what imagination found: policy, value and how training went."""
    about = {
        "policy": _describe_policy(imagined.policy),
        "value": _describe_network(imagined.value.network),
        "training": imagined.training.to_dict(),
        "worst_reward": worst_reward,
    }
    save(path, (imagined.policy, imagined.value), about)


def load_imagined(path: Path, world: MDP) -> Imagined:
    """Read what imagination found in `world`."""
    about = header(path)
    number = jnp.zeros(())
    policy, value = _fill(path, lambda: (_policy(about["policy"]), Value(_network(**about["value"]), number, number)))
    return Imagined(policy, value, guarded(world, about["worst_reward"]), Training.from_dict(about["training"]))
