"""What `imagine` is given, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.forms import demand_shape
from paracosm.core.mdp import MDP, Discrete
from paracosm.core.noise import LabelNoise
from paracosm.core.policy import StochasticPolicy
from paracosm.imagination.settings import ImagineSettings
from paracosm.learning.learn import Learned

_LEARNED = "what learn gives, or Learned(world, {}) of an MDP whose parts are known,"
_KINDS = (jnp.bool_, jnp.integer, jnp.floating)
_FORM = "of (state, action, next_state)"


def check_kinds(
    learned: Any,
    data: Any,
    *,
    policy: Any,
    settings: Any,
    label_noise: Any,
    label_source: Any,
    progress: Any,
) -> None:
    """Every argument is of its kind, and states have the size that the world's have.

    Raises:
        BadArgument: an argument of another kind.
        BadData: states of another size; a part of the world, or the policy, that holds NaN.
    """
    checks.of_kind("learned", learned, Learned, _LEARNED)
    checks.of_kind("learned.world", learned.world, MDP, "an MDP")
    checks.of_kind("data", data, Dataset, "the Dataset that the world was learned from")
    checks.of_kind("settings", settings, ImagineSettings, "an ImagineSettings")
    if policy is not None:
        checks.of_kind("policy", policy, StochasticPolicy, "a policy with a density, or None,")
    if label_noise is not None:
        checks.of_kind(
            "label_noise", label_noise, LabelNoise, "a LabelNoise of paracosm.noise, or None,"
        )
    if label_source is not None:
        checks.function("label_source", label_source, _FORM)
    if progress is not None:
        checks.function(
            "progress", progress, "of (gradient steps done, at the most, imagined return)"
        )
    size, needed = data.state.shape[1], learned.world.spec.state_size
    if size != needed:
        raise checks.BadData(
            f"the data's states have {size} components; the world's have {needed}."
        )
    parts = {
        f"the world's {name}": getattr(learned.world, name)
        for name in ("dynamics", "reward", "termination")
    }
    for name, part in {**parts, "the policy": policy}.items():
        if any(
            np.isnan(leaf).any() for leaf in jax.tree.leaves(eqx.filter(part, eqx.is_inexact_array))
        ):
            raise checks.BadData(
                f"{name} holds NaN among its parameters; every one must be a number."
            )


def check_forms(world: MDP, policy: StochasticPolicy, label_source: Callable | None) -> None:
    """Every part of the world and the policy answer one step in the right form; to be called while
    tracing.

    Raises:
        BadData: a part that fails, or answers in another shape or kind.
    """
    state = jnp.zeros(world.spec.state_size)
    space, key = world.spec.action, jax.random.key(0)
    action = jnp.zeros((), jnp.int32) if isinstance(space, Discrete) else jnp.zeros(space.size)
    number, flag = (jnp.zeros((), kind) for kind in (float, bool))
    _demand("the world's dynamics", lambda: world.dynamics(state, action, key), state)
    _demand("the world's reward", lambda: world.reward(state, action, state), number)
    _demand("the world's termination", lambda: world.termination(state, action, state), flag)
    _demand("the policy's action", lambda: policy.sample(state, key), action)
    _demand("the policy's log-probability", lambda: policy.log_prob(state, action), number)
    if label_source is not None:
        _demand("the label source", lambda: label_source(state, action, state), number)


def _demand(name: str, answer: Callable[[], Any], like: jax.Array) -> None:
    """Require an answer of the shape and the kind of `like`: a number, an integer or a flag, of any
    precision.
    """
    found = demand_shape(name, answer, like.shape)
    if not any(
        jnp.issubdtype(found.dtype, kind) and jnp.issubdtype(like.dtype, kind) for kind in _KINDS
    ):
        raise checks.BadData(
            f"{name} is of the type {found.dtype} for one step; {like.dtype} is needed."
        )
