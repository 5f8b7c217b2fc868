"""Models on disk: the arrays in Equinox's format beside a JSON header that says how to rebuild
them; never pickle.

`NAME.json` holds a record of what is known of the model (`about`) and the description of its
structure (`model`, see `core/storage.py`); `NAME.eqx` holds its arrays.
"""

from __future__ import annotations

import dataclasses
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp

from paracosm.core import checks, storage
from paracosm.core.files import atomic_write, read_json, shown
from paracosm.core.learned import Learned
from paracosm.core.learner import Learner, LearnerPrediction, Problem
from paracosm.core.mdp import MDP, Spec
from paracosm.core.policy import Policy
from paracosm.core.records import PartFit, Record, Training, typed
from paracosm.imagination.imagine import Imagined
from paracosm.loop import format2

FORMAT = 3


@dataclasses.dataclass(frozen=True)
class WorldHeader(Record):
    """What is known of a learned world beside its parts."""

    discount: float
    fits: dict[str, PartFit]


class StoredWorld(NamedTuple):
    """A learned world as its file holds it, in this order: without discount, which its header has.
    A reward or an end rule that was given, not learned, is None.
    """

    spec: Spec
    initial: Any
    domain: Any
    dynamics: Any
    reward: Any
    termination: Any


@dataclasses.dataclass(frozen=True)
class PolicyHeader(Record):
    """Nothing is known of a policy beside itself."""


@dataclasses.dataclass(frozen=True)
class ImaginedHeader(Record):
    """How training of a policy and its value went, and whether it looked for what is unknown."""

    training: Training
    worst_reward: float
    explores: bool = False


H = TypeVar("H", bound=Record)


def save(path: Path, model: Any, header: Record, *, described: bool = True) -> None:
    """Write `path`.eqx and, last, `path`.json, which holds the header, the model's description and
    a checksum of both and of the arrays.

    Args:
        path: Of the model, without an ending.
        model: Any pytree.
        header: What is known beside it.
        described: Whether the file says how to rebuild the model; else whoever reads it must know.

    Raises:
        Unsupported: the model holds something that cannot be stored.
        Unwritable: a file cannot be written.
    """
    tree = {"about": header.to_dict(), "model": storage.describe(model) if described else None}
    arrays = _arrays_of(model)
    with atomic_write(path.with_suffix(".eqx")) as part:
        part.write_bytes(arrays)
    text = json.dumps(
        {"format": FORMAT, "checksum": _checksum(tree, arrays), **tree}, indent=1, allow_nan=False
    )
    with atomic_write(path.with_suffix(".json")) as part:
        part.write_text(text, encoding="utf-8")


def _arrays_of(model: Any) -> bytes:
    """The arrays in Equinox's format."""
    buffer = io.BytesIO()
    try:
        eqx.tree_serialise_leaves(buffer, model)
    except (RuntimeError, TypeError, ValueError) as error:
        first = _first_cause(error)
        if isinstance(first, MemoryError):
            raise first from None
        reason = " ".join(str(first).split()).rstrip(".")
        raise checks.Unsupported(
            f"the model holds an array that cannot be stored ({reason[:200]})."
        ) from error
    return buffer.getvalue()


def _first_cause(error: BaseException) -> BaseException:
    """What was raised of an array: Equinox raises it anew with the array's place, once a level."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def header(kind: type[H], path: Path) -> H:
    """The header of the model `path`, whose arrays are those that were written with it.

    Raises:
        Missing: there is no such model.
        BadData: it is damaged, or another version wrote it.
    """
    return _load_header(kind, path)[0]


def _load_header(kind: type[H], path: Path) -> tuple[H, Any]:
    """Header and description of the model `path`; see `header`."""
    file = path.with_suffix(".json")
    if not file.is_file():
        raise checks.Missing(f"There is no model {shown(file)}; the run has not got that far.")
    tree = read_json(file)
    if tree.get("format") not in (format2.FORMAT, FORMAT):
        written = ascii(tree.get("format"))[:20]
        raise checks.BadData(
            f"{shown(file)} has format {written}; this version of Paracosm reads formats"
            f" {format2.FORMAT} and {FORMAT}."
        )
    old = tree["format"] == format2.FORMAT
    checked: Any = tree.get("model") if old else {k: tree.get(k) for k in ("about", "model")}
    _require_checksum(path.with_suffix(".eqx"), checked, tree.get("checksum"))
    try:
        about, model = format2.upgraded(checked) if old else (checked["about"], checked["model"])
        return typed(about, kind, "about"), model
    except checks.BadData as error:
        raise checks.BadData(f"{shown(file)} is damaged: {error}") from None


def _checksum(tree: Any, arrays: bytes) -> int:
    """The checksum of header and arrays together: a damaged weight is a number like any other, and
    so is a damaged size.
    """
    return zlib.crc32(json.dumps(tree, sort_keys=True).encode(), zlib.crc32(arrays))


def _require_checksum(arrays: Path, tree: Any, checksum: Any) -> None:
    try:
        same = _checksum(tree, arrays.read_bytes()) == checksum
    except OSError as error:
        raise checks.BadData(f"{shown(arrays)} cannot be read: {error.strerror}.") from None
    if not same:
        raise checks.BadData(
            f"{shown(arrays)} or its header is damaged: their checksum is not the one written."
        )


def load(kind: type[H], path: Path) -> tuple[H, Any]:
    """The header of the model `path`, and the model with its arrays.

    Raises:
        Missing: there is no such model, or a class of it was not imported.
        BadData: it is damaged, or another version wrote it.
    """
    about, tree = _load_header(kind, path)
    return about, _load_described(path, tree)


def _load_described(path: Path, tree: Any) -> Any:
    """The model that `tree` describes, with its arrays from `path`.eqx."""
    file, header_file = path.with_suffix(".eqx"), shown(path.with_suffix(".json"))
    try:
        is_whole = storage.bytes_of(tree) <= file.stat().st_size
        model = storage.blank(tree)
    except storage.NotImported as error:
        raise storage.NotImported(f"{header_file} cannot be read: {error}") from None
    except (checks.BadData, OSError, RecursionError, TypeError) as error:
        raise checks.BadData(f"{header_file} is damaged: {error}") from None
    if not is_whole:
        raise checks.BadData(f"{shown(file)} is damaged or does not fit its header.")
    return _load_arrays(file, model)


def _load_arrays(file: Path, model: Any) -> Any:
    """The model with the arrays of a file."""
    try:
        return eqx.tree_deserialise_leaves(file, model)
    except (
        OSError,
        ValueError,
        RuntimeError,
        EOFError,
        TypeError,
        LookupError,
        ArithmeticError,
    ) as error:
        raise checks.BadData(f"{shown(file)} is damaged or does not fit its header.") from error


def load_states(kind: type[H], path: Path, like: Any) -> tuple[H, Any]:
    """The header and the arrays of what `save` wrote without a description.

    Args:
        kind: Of the header.
        path: As `save` has it.
        like: A pytree of the same structure.

    Raises:
        Missing, BadData: as for `header`.
    """
    about = header(kind, path)
    return about, _load_arrays(path.with_suffix(".eqx"), like)


def save_world(path: Path, learned: Learned) -> None:
    """Write a learned world and how it was learned.

    Parts that cannot be stored were given, not learned: they are the run's to name.
    """
    world = learned.world
    if not storage.is_storable(world.initial):
        raise checks.Unsupported(
            "only a learned world can be stored; this one's initial states are not from data."
        )
    stored = StoredWorld(
        spec=world.spec,
        initial=world.initial,
        domain=world.domain,
        dynamics=_if_storable(world.dynamics),
        reward=_if_storable(world.reward),
        termination=_if_storable(world.termination),
    )
    save(path, tuple(stored), WorldHeader(world.discount, learned.fits))


def _if_storable(part: Any) -> Any:
    return part if storage.is_storable(part) else None


def load_world(
    path: Path, *, reward: Callable | None = None, termination: Callable | None = None
) -> Learned:
    """Read a learned world; the parts that were given when it was learned must be given again."""
    about, stored = _load_stored_world(path)
    world = MDP(
        spec=stored.spec,
        dynamics=stored.dynamics,
        reward=reward or stored.reward,
        termination=termination or stored.termination,
        initial=stored.initial,
        discount=about.discount,
        domain=stored.domain,
    )
    return Learned(world, about.fits)


def load_spec(path: Path) -> Spec:
    """What is fixed about the task of a learned world.

    Parts that were given when it was learned need not be given again.

    Raises:
        NotImported: the world holds something of a class, or a function, that its user marked
            storable, and whose module was not imported.
    """
    return _load_stored_world(path)[1].spec


def _load_stored_world(path: Path) -> tuple[WorldHeader, StoredWorld]:
    about, model = load(WorldHeader, path)
    return about, StoredWorld(*model)


def save_policy(path: Path, policy: Policy) -> None:
    """Write a policy that is usable by itself."""
    save(path, policy, PolicyHeader())


def load_policy(path: Path) -> Policy:
    """Read a policy."""
    return load(PolicyHeader, path)[1]


def save_imagined(path: Path, imagined: Imagined, worst_reward: float) -> None:
    """Write what imagination found and how training went: policy and value of REINFORCE, of any
    other learner (pathwise, or yours) its state.
    """
    own = imagined.own_prediction  # None of REINFORCE
    explores = own is not None and bool(own.problem.explore > 0)
    about = ImaginedHeader(imagined.training, worst_reward, explores)
    if own is None:
        save(path, (imagined.policy, imagined.value), about)
    else:
        save(path, own.state, about, described=False)


def load_imagined(
    path: Path, world: MDP, problem: Callable[[], Problem], learner: Learner | None = None
) -> Imagined:
    """Read what imagination found.

    Args:
        path: The model.
        world: The learned world that it was trained for.
        problem: Makes the problem that it was trained for, except `explore`, which is in the
            header.
        learner: The learner that was trained, None if it was REINFORCE.

    Raises:
        BadData: the model is damaged, or holds the state of a learner and none is given.
    """
    about, tree = _load_header(ImaginedHeader, path)
    if tree is None and learner is None:
        file = shown(path.with_suffix(".json"))
        raise checks.BadData(
            f"{file} is of a learner with a state of its own (pathwise, or yours), and the run"
            " names none."
        )
    trained_for = dataclasses.replace(problem(), explore=jnp.asarray(float(about.explores)))
    trained_in = trained_for.training_world.replace(initial=world.initial)
    if tree is not None or learner is None:
        policy, value = _load_described(path, tree)
        return Imagined(policy, value, trained_in, about.training)
    blank = eqx.filter_eval_shape(lambda: learner.init(trained_for, jax.random.key(0)))
    state = _load_arrays(path.with_suffix(".eqx"), blank)
    prediction = LearnerPrediction(learner, state, trained_for)
    return Imagined(learner.policy(state), None, trained_in, about.training, prediction)
