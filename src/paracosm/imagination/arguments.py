"""What `imagine` is given, checked before anything is trained."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.forms import require_form
from paracosm.core.learned import Learned
from paracosm.core.learner import Learner
from paracosm.core.mdp import MDP, Discrete
from paracosm.core.noise import LabelNoise
from paracosm.core.policy import Policy, StochasticPolicy
from paracosm.core.records import PARTS
from paracosm.core.types import PRNGKey
from paracosm.imagination.caution import Caution
from paracosm.imagination.settings import ImagineSettings

_LEARNED = "what learn gives, or Learned(world, {}) of an MDP whose parts are known,"
_FORM = "of (state, action, next_state)"


def check_kinds(
    learned: Any,
    data: Any,
    *,
    learner: Any,
    caution: Any,
    policy: Any,
    settings: Any,
    label_noise: Any,
    label_source: Any,
    progress: Any,
) -> None:
    """Every argument is of its kind, and states have the size that the world's have.

    Args:
        learned, data, learner, caution, policy, settings, label_noise, label_source, progress: The
            arguments of `imagine`.

    Raises:
        BadArgument: an argument of another kind, or one that the given learner would not have.
        BadData: states of another size; a part of the world, or the policy, that holds NaN.
    """
    checks.of_kind("learned", learned, Learned, _LEARNED)
    checks.of_kind("learned.world", learned.world, MDP, "an MDP")
    checks.of_kind("data", data, Dataset, "the Dataset that the world was learned from")
    checks.of_kind("settings", settings, ImagineSettings, "an ImagineSettings")
    if learner is not None:
        checks.of_kind("learner", learner, Learner, "a Learner, or None,")
        of_reinforce = {"policy": policy, "label_noise": label_noise, "label_source": label_source}
        for name, value in of_reinforce.items():
            if value is not None:
                raise checks.BadArgument(
                    f"both learner and {name} are given; {name} is of the learner that imagine"
                    " makes itself."
                )
    if caution is not None:
        checks.of_kind("caution", caution, Caution, "a Caution, or None,")
    if policy is not None:
        checks.of_kind("policy", policy, StochasticPolicy, "a policy with a density, or None,")
    if label_noise is not None:
        checks.of_kind(
            "label_noise", label_noise, LabelNoise, "a LabelNoise of paracosm.noise, or None,"
        )
    if label_source is not None:
        checks.function("label_source", label_source, _FORM)
    if progress is not None:
        checks.function("progress", progress, "of (steps done, most steps, numbers by name)")
    size, needed = data.state.shape[1], learned.world.spec.state_size
    if size != needed:
        raise checks.BadData(
            f"the data's states have {size} components; the world's have {needed}."
        )
    parts = {f"the world's {name}": getattr(learned.world, name) for name in PARTS}
    for name, part in {**parts, "the policy": policy}.items():
        if any(
            np.isnan(leaf).any() for leaf in jax.tree.leaves(eqx.filter(part, eqx.is_inexact_array))
        ):
            raise checks.BadData(
                f"{name} holds NaN among its parameters; every one must be a number."
            )


def check_world_forms(world: MDP, name: str = "the world") -> None:
    """Every part of the world, called `name` in messages, answers one step in the right form; to be
    called while tracing.

    Raises:
        BadData: a part that fails, or answers in another shape or kind.
    """
    state, action, key = _example_step(world)
    require_form(f"{name}'s dynamics", lambda: world.dynamics(state, action, key), state)
    check_reward_form(f"{name}'s reward", world)
    flag = jnp.zeros((), bool)
    require_form(f"{name}'s termination", lambda: world.termination(state, action, state), flag)


def check_reward_form(name: str, world: MDP) -> None:
    """The reward, called `name` in messages, answers one step with one number; to be called while
    tracing.

    Raises:
        BadData: it fails, or answers in another shape or kind.
    """
    state, action, _ = _example_step(world)
    require_form(name, lambda: world.reward(state, action, state), jnp.zeros(()))


def check_action_form(world: MDP, policy: Policy) -> None:
    """The policy acts in the world; to be called while tracing.

    Raises:
        BadData: it fails, or answers in another shape or kind.
    """
    state, action, key = _example_step(world)
    require_form("the policy's action", lambda: policy.act(policy.initial(), state, key)[0], action)


def check_derivatives(world: MDP) -> None:
    """Dynamics and reward can be differentiated; to be called while tracing.

    Raises:
        BadArgument: one of them cannot: the sentence names it.
    """
    state, action, key = _example_step(world)
    parts = {
        "dynamics": lambda action: jnp.sum(world.dynamics(state, action, key)),
        "reward": lambda action: world.reward(state, action, state),
    }
    for name, function in parts.items():
        try:
            jax.eval_shape(jax.grad(function), action)
        except Exception as error:
            reason = checks.reason_of(error)
            raise checks.BadArgument(
                f"the world's {name} has no derivative ({reason}); gradients through the world need"
                " one, REINFORCE does not."
            ) from error


def check_density_form(world: MDP, policy: StochasticPolicy) -> None:
    """The policy has a density at an action of the world; to be called while tracing.

    Raises:
        BadData: it fails, or answers in another shape or kind.
    """
    state, action, _ = _example_step(world)
    density = jnp.zeros(())
    require_form("the policy's log-probability", lambda: policy.log_prob(state, action), density)


def _example_step(world: MDP) -> tuple[jax.Array, jax.Array, PRNGKey]:
    """A state, an action and a key of the world's kinds."""
    space = world.spec.action
    action = jnp.zeros((), jnp.int32) if isinstance(space, Discrete) else jnp.zeros(space.size)
    return jnp.zeros(world.spec.state_size), action, jax.random.key(0)
