"""The REINFORCE gradient of imagined rollouts (Williams 1992): its kernels, and the whole of it.

With `w_t = ∇ log π(a_t|s_t)` and `G_t = Σ_{t'≥t} γ^{t'-t} r_{t'}`, the gradient of K rollouts is
`(1/K) Σ_i Σ_t c_t w_t (G_t - b_t)`. Two time weightings are in use and both are offered by name:
`"discounted"`, `c_t = γ^t`, the gradient of the discounted return `J_H`; and `"plain"`, `c_t = 1`,
the common one, which for γ < 1 is the gradient of no function.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float, Key

from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.devices import AXIS, map_over_devices
from paracosm.core.mdp import MDP
from paracosm.core.policy import StochasticPolicy
from paracosm.core.rollout import returns_to_go, unroll
from paracosm.core.types import Array, Scalar
from paracosm.imagination.value import Value, values_at_states

Weighting = Literal["discounted", "plain"]
Baseline = Literal["leave-one-out", "value", "none"]
WEIGHTINGS: tuple[str, ...] = get_args(Weighting)
BASELINES: tuple[str, ...] = get_args(Baseline)


def leave_one_out(
    to_go: Float[Array, "episode time"], total: Array, count: Array
) -> Float[Array, "episode time"]:
    """Mean return-to-go of the other rollouts at the same step: `(total - own)/(count - 1)`, an
    unbiased baseline.

    `total` `[time]` and `count` are over all rollouts, on whichever device.
    """
    return (total - to_go) / (count - 1)


def surrogate(
    policy: StochasticPolicy,
    episodes: Trajectory,
    advantage: Float[Array, "episode time"],
    weight: Float[Array, " time"],
) -> Scalar:
    """`Σ_i Σ_t c_t A_t log π(a_t|s_t)` over the steps taken: its gradient, over K, is
    REINFORCE's.

    Args:
        policy: π.
        episodes: Rollouts, arrays `[episode, time, …]`.
        advantage: `A_t`, `[episode, time]`, in units of reward.
        weight: `c_t`, `[time]`.
    """
    log_prob = jax.vmap(jax.vmap(policy.log_prob))(episodes.state, episodes.action)
    return jnp.sum(jnp.where(episodes.alive, weight * advantage * log_prob, 0))


def time_weights(weighting: Weighting, discount: float, horizon: int) -> Float[Array, " time"]:
    """The time weights `c_t` of the policy gradient, `[time]`."""
    base = discount if weighting == "discounted" else 1.0
    return base ** jnp.arange(horizon, dtype=float)


def advantages(
    to_go: Float[Array, "episode time"],
    baseline: Baseline,
    value: Float[Array, "episode time"] | None,
    count: int,
) -> Float[Array, "episode time"]:
    """Advantages `A_t = G_t - b_t`.

    Sums over devices with `psum`; call it inside `step_on_all` or `map_over_devices`.

    Args:
        to_go: Returns-to-go `G_t` of this device's rollouts, `[episode, time]`.
        baseline: Which `b_t` is subtracted.
        value: A learned value of each state, `[episode, time]`, for the baseline of that name.
        count: Rollouts on all devices; there may be more rows, of zeros.
    """
    if baseline == "leave-one-out":
        total = jax.lax.psum(jnp.sum(to_go, axis=0), AXIS)
        return to_go - leave_one_out(to_go, total, jnp.asarray(count))
    return to_go if baseline == "none" or value is None else to_go - value


@eqx.filter_jit
def policy_gradient(
    world: MDP,
    policy: StochasticPolicy,
    states: Float[Array, "episode state"],
    keys: Key[jax.Array, " episode"],
    *,
    horizon: int,
    weighting: Weighting = "discounted",
    baseline: Baseline = "leave-one-out",
    value: Value | None = None,
) -> Any:
    """REINFORCE's gradient of the return of `horizon` steps in `world`, a pytree like `policy`'s
    floating arrays.

    Rollouts are spread over the host's devices.

    Args:
        world: The world of the rollouts.
        policy: Who acts, and whose gradient it is.
        states: Where rollouts start, `[episode, state]`, in the environment's units.
        keys: Randomness of each rollout, `[episode]`.
        horizon: Steps of a rollout.
        weighting: Which time weights `c_t`.
        baseline: Which baseline `b_t`.
        value: A learned value, for the baseline of that name. As in training it knows the time
            if rollouts are whole episodes.

    Raises:
        BadArgument: leave-one-out with a single rollout, the value baseline without a value, or an
            unknown weighting or baseline.
    """
    checks.one_of("weighting", weighting, WEIGHTINGS)
    checks.one_of("baseline", baseline, BASELINES)
    if baseline == "leave-one-out":
        checks.at_least("the number of rollouts for the leave-one-out baseline", len(states), 2)
    if baseline == "value" and value is None:
        raise checks.BadArgument("baseline is 'value' but no value was given; pass value=.")
    weight, count = time_weights(weighting, world.discount, horizon), len(states)

    def local(shared: tuple[MDP, StochasticPolicy, Value | None], rows: tuple[Array, Any]) -> Any:
        (world, policy, value), (states, keys) = shared, rows
        episodes = unroll(world, policy, states, keys, horizon)
        values = None
        if value is not None:
            whole_episodes = horizon >= world.spec.horizon
            values = values_at_states(value, episodes, whole_episodes).current
        to_go = returns_to_go(episodes.reward, world.discount)
        advantage = advantages(to_go, baseline, values, count)
        return jax.lax.psum(eqx.filter_grad(surrogate)(policy, episodes, advantage, weight), AXIS)

    summed = map_over_devices(local, count, shared=1, total=True)(
        (world, policy, value), (states, keys)
    )
    return jax.tree.map(lambda leaf: leaf / count, summed)
