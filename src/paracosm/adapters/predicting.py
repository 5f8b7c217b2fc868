"""A policy of ours with the `predict` of a Stable-Baselines3 model.

evaluate_policy(paracosm.load("runs/pendulum").predictor, gymnasium.make("Pendulum-v1"))
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from paracosm.core import callbacks, checks
from paracosm.core.mdp import Box, Discrete
from paracosm.core.policy import Policy, acts, initial_carries
from paracosm.core.types import Array


class Predictor:
    """A policy that is asked by `predict`, as the models of Stable-Baselines3 are.

    Attributes:
        policy: What acts on observations.
        space: The actions that there are, as the environment numbers them.
        shape: The shape of an observed image; None if vectors are observed.
    """

    def __init__(
        self,
        policy: Policy,
        space: Box | Discrete,
        seed: int = 0,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        """Take a policy; only the randomness of its samples is remembered from call to call.

        Args:
            policy: What acts on observations; planners and policies with a memory too.
            space: The actions that there are; `spec.action`.
            seed: The seed of the samples.
            shape: The shape of an observed image, such as `(height, width, channels)`.
        """
        checks.of_kind("policy", policy, Policy, "a Policy")
        checks.of_kind("space", space, (Box, Discrete), "a Box or a Discrete")
        self.policy, self.space, self.shape = policy, space, shape
        # Grey pictures may be shown without their one channel
        self._single = (shape, shape[:-1]) if shape and shape[-1] == 1 else (shape,)
        self._key, self._calls = jax.random.key(checks.seed("seed", seed)), 0

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, Any]:
        """Actions as the environment takes them, and the state to hand in at the next step.

        Args:
            observation: One observation or several, `[observation]` or `[rows, observation]`;
                images as the environment shows them, or flat.
            state: The state that the last step gave; None at the first step.
            episode_start: Where an episode begins, `[rows]` or one flag; there the state is not
                looked at.
            deterministic: Whether to play as the policy is evaluated, rather than a sample.
        """
        single = np.ndim(observation) == 1 or np.shape(observation) in self._single
        rows = np.asarray(observation)[None] if single else np.asarray(observation)
        rows = rows.reshape(len(rows), -1)
        rows = rows if rows.dtype == np.uint8 else rows.astype(np.float32)
        checks.finite("the observation", rows, "row")
        policy = self.policy.greedy() if deterministic else self.policy
        carries = initial_carries(policy, len(rows))
        if state is not None:
            starts = np.broadcast_to(False if episode_start is None else episode_start, len(rows))
            carries = _restart_carries(carries, state, starts)
        self._calls += 1
        keys = jax.random.split(jax.random.fold_in(self._key, self._calls), len(rows))
        with callbacks.as_raised():
            action, carries = jax.block_until_ready(acts(policy, carries, rows, keys))
        action = np.array(action)
        if isinstance(self.space, Discrete):
            action = self.space.values(action.astype(np.int64))
        action = np.asarray(action[0] if single else action)
        return action, (carries if jax.tree.leaves(carries) else None)


@eqx.filter_jit
def _restart_carries(first: Any, carries: Any, starts: Array) -> Any:
    """The carries, and the first ones where an episode began, `[row, …]` in every leaf."""

    def choose(initial: Array, present: Array) -> Array:
        return jnp.where(jnp.reshape(starts, (-1, *[1] * (initial.ndim - 1))), initial, present)

    return jax.tree.map(choose, first, carries)
