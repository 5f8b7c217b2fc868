"""A policy of beliefs that plays on observations."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from paracosm.core.encoder import Encoder
from paracosm.core.mdp import Box, Discrete
from paracosm.core.policy import Policy
from paracosm.core.types import Action, PRNGKey, State


class Observing(Policy):
    """A policy of beliefs as one of observations: it carries the belief and its last action.

    Attributes:
        policy: What acts on beliefs.
        encoder: What makes them.
        space: Of the actions.
        size: Number of components of an observation.
        kind: Type of an observation's numbers.
    """

    policy: Policy
    encoder: Encoder
    space: Box | Discrete
    size: int = eqx.field(static=True)
    kind: str = eqx.field(static=True, default="float32")

    def initial(self) -> Any:
        observation = jax.ShapeDtypeStruct((self.size,), jnp.dtype(self.kind))
        form = jax.eval_shape(self.encoder.initial, observation)
        discrete = isinstance(self.space, Discrete)
        action = jnp.zeros((), jnp.int32) if discrete else jnp.zeros(self.space.size)
        belief = jnp.zeros(form.shape, form.dtype)
        return belief, action, jnp.zeros((), bool), self.policy.initial()

    def act(self, carry: Any, state: State, key: PRNGKey) -> tuple[Action, Any]:
        belief, action, begun, inner = carry
        belief = jax.lax.cond(
            begun,
            lambda: self.encoder.update(belief, action, state),
            lambda: self.encoder.initial(state),
        )
        chosen, inner = self.policy.act(inner, belief, key)
        return chosen, (belief, jnp.asarray(chosen, action.dtype), jnp.ones((), bool), inner)

    def greedy(self) -> Policy:
        return dataclasses.replace(self, policy=self.policy.greedy())
