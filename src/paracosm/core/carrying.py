"""The form of what a policy carries: asked by tracing one step, before anything is played."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from paracosm.core import checks
from paracosm.core.policy import MarkovPolicy, Policy

_NEEDED = (
    "a carry keeps its structure, shapes and types from step to step, so initial() must give what"
    " act hands on"
)
_UNTRACEABLE = (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError)


def require_carry(policy: Policy, shape: tuple[int, ...], kind: Any) -> None:
    """Require a policy's `act` to hand on a carry of the form of its `initial()`.

    Args:
        policy: What is asked.
        shape, kind: Of a state, and the type of its numbers.

    Raises:
        BadArgument: it does not, or either of the two fails.
    """
    if isinstance(policy, MarkovPolicy):
        return
    name = f"the policy {type(policy).__name__}"
    first = first_carry(policy)
    state = jax.ShapeDtypeStruct(shape, jax.dtypes.canonicalize_dtype(kind))
    try:
        answer = jax.eval_shape(lambda carry, state: _act(policy, carry, state, name), first, state)
    except checks.ParacosmError:
        raise
    except _UNTRACEABLE as error:
        raise checks.BadArgument(
            f"the act of {name} asks for numbers while JAX compiles it, as NumPy, PyTorch, float()"
            " or an if does; it must be written in jax.numpy."
        ) from error
    except Exception as error:  # code of the user's own may fail with anything
        raise checks.BadArgument(f"the act of {name} fails with {_reason(error)}.") from error
    _require_same_form(name, first, answer[1])


def first_carry(policy: Policy) -> Any:
    """The forms of a policy's first carry.

    Raises:
        BadArgument: it has none, or of what is no array.
    """
    name = f"the policy {type(policy).__name__}"
    try:
        carry = policy.initial()
    except checks.ParacosmError:
        raise
    except Exception as error:  # as above
        raise checks.BadArgument(f"the initial() of {name} fails with {_reason(error)}.") from error
    for leaf in jax.tree.leaves(carry):
        try:
            jax.eval_shape(lambda leaf=leaf: jnp.asarray(leaf))
            jax.eval_shape(lambda _: None, leaf)
        except Exception as error:  # as JAX refuses it
            raise checks.BadArgument(
                f"the initial() of {name} gives a carry that holds {checks.described(leaf)};"
                " arrays of JAX or NumPy, or None where nothing is carried, are needed."
            ) from error
    return jax.eval_shape(lambda: carry)


def _act(policy: Policy, carry: Any, state: Any, name: str) -> tuple[Any, Any]:
    """What `act` gives at one step.

    Args:
        policy, carry, state: What is asked, with what and where.
        name: What messages call the policy.

    Raises:
        BadArgument: it gives no pair.
    """
    answer = policy.act(carry, state, jax.random.key(0))
    if not isinstance(answer, tuple) or len(answer) != 2:
        found = f"a tuple of {len(answer)}" if isinstance(answer, tuple) else "no tuple"
        raise checks.BadArgument(
            f"the act of {name} gives {found}; a pair, the action and the next carry, is needed."
        )
    return answer


def _require_same_form(name: str, first: Any, after: Any) -> None:
    """Require two carries of one form.

    Raises:
        BadArgument: they differ in structure, or in the shape or type of an array.
    """
    if jax.tree.structure(first) != jax.tree.structure(after):
        raise checks.BadArgument(
            f"the initial() of {name} gives the carry {_shown(first)} and its act hands on"
            f" {_shown(after)}; {_NEEDED}."
        )
    for (path, old), new in zip(
        jax.tree.leaves_with_path(first), jax.tree.leaves(after), strict=True
    ):
        where = f" at {jax.tree_util.keystr(path)}" if path else ""
        for aspect, before, behind in (
            ("shape", old.shape, new.shape),
            ("type", old.dtype, new.dtype),
        ):
            if before != behind and not _both_float(before, behind):
                raise checks.BadArgument(
                    f"the carry of {name} changes its {aspect}{where} from {before} to {behind} in"
                    f" one step; {_NEEDED}."
                )


def _both_float(first: Any, second: Any) -> bool:
    """Whether two types are floating where JAX has 64 bits beside 32, which numbers then mix: a
    rollout casts them back (`in_kinds_of`).
    """
    if jax.dtypes.canonicalize_dtype(float) != jnp.float64 or isinstance(first, tuple):
        return False
    return jnp.issubdtype(first, jnp.floating) and jnp.issubdtype(second, jnp.floating)


def _shown(carry: Any) -> str:
    """The structure of a carry in words: `(float32[3], bool[])`."""
    return repr(jax.tree.map(_CarryLeaf, carry))


class _CarryLeaf:
    """What is shown of an array: its type and shape."""

    def __init__(self, leaf: Any) -> None:
        self._shown = f"{leaf.dtype}{list(leaf.shape)}"

    def __repr__(self) -> str:
        return self._shown


def _reason(error: Exception) -> str:
    """An error's type and its first sentence."""
    message = " ".join(str(error).split()).split(". ")[0].rstrip(".")
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
