"""What training believed: the return that a learner predicts for its policy, from chosen states.

Two compositions. A learner whose rollouts are whole episodes believes their return:

    PredictedReturn(policy, world, world.spec.horizon, Bootstrapped(world, world.spec.horizon))

A learner that ends its rollouts after h steps with a value believes `Σ_{t<h} γ^t r_t + γ^h v(s_h)`:

    PredictedReturn(policy, world, h, Bootstrapped(world, h, value))
"""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.mdp import MDP
from paracosm.core.policy import Policy
from paracosm.core.rollout import returns, unroll
from paracosm.core.types import Array, PRNGKey, Scalar, State


class PredictedReturn(eqx.Module):
    """How a policy was trained, as far as an audit asks: all arrays are leaves, so it can be cast.

    `policy` is the policy as trained and `trained_in` the world that it was trained in, whose
    discount is that of training; `horizon` counts the steps of a rollout in training.
    `function(policy, start, key)` gives the predicted discounted return of each start, `[episode,
    state]` to `[episode]`, where `policy` is the trained one or its mode. Episode i must take its
    noise from `jax.random.split(key, episodes)[i]`: an audit imagines its own episodes by the same
    noise, so that it cancels.
    """

    policy: Policy
    trained_in: MDP
    horizon: int = eqx.field(static=True)
    function: Callable[[Policy, Float[Array, "episode state"], PRNGKey], Float[Array, " episode"]]

    def __check_init__(self) -> None:
        checks.of_kind("policy", self.policy, Policy, "a Policy")
        checks.of_kind("trained_in", self.trained_in, MDP, "an MDP")
        checks.count("horizon", self.horizon)


class Bootstrapped(eqx.Module):
    """`Σ_{t<h} γ^t r_t + γ^h v(s_h)`: imagined steps, then a value of the state where they stopped.

    `value(state, elapsed)` is asked at an elapsed share of 0, as the first state of another
    rollout. An episode that ended has no value left, nor has one that reached the horizon of the
    world.
    """

    world: MDP
    horizon: int = eqx.field(static=True)
    value: Callable[[State, Scalar], Scalar] | None = None

    def __call__(
        self, policy: Policy, start: Float[Array, "episode state"], key: PRNGKey
    ) -> Float[Array, " episode"]:
        """The predicted return of `policy` from each start, `[episode]`."""
        keys = jax.random.split(key, len(start))
        episodes = unroll(self.world, policy, start, keys, self.horizon)
        imagined = returns(episodes.reward, self.world.discount)
        if self.value is None or self.horizon >= self.world.spec.horizon:
            return imagined
        lives = episodes.alive[:, -1] & ~episodes.terminated[:, -1]
        value = jax.vmap(self.value, (0, None))(episodes.next_state[:, -1], jnp.zeros(()))
        return imagined + self.world.discount**self.horizon * jnp.where(lives, value, 0.0)
