"""How far apart two returns can be: the ladder of certificates as functions of numbers.

All rungs are one recursion along the states of one system, with the closed-loop constants ℓ, m, n
of the *other*:

    e_0 = 0,  e_{t+1} = ℓ_t e_t + δ_t,
    |J_H(π, M) - J_H(π, M̂)| ≤ Σ_{t<H} γ^t (ρ_t + m_t e_t + n_t δ_t).

δ_t and ρ_t are that other system's one-step errors at the visited states, ℓ is the Lipschitz
constant of `s ↦ f(s, π(s))`, m that of `s ↦ r(s, π(s), f(s, π(s)))` and n that of the reward in the
next state. Where only the constant m' at a fixed next state is known, `m = m' + nℓ`, which gives
`m' e_t + n e_{t+1}`. Norms are of scaled states. One episode or system a call: batches by
`jax.vmap`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from paracosm.core.types import Array, Scalar

Number = Scalar | float
UniformRung = Literal["global", "split", "closed_loop"]


class Constants(NamedTuple):
    """Lipschitz constants of one system on a convex set that holds the states and actions of both.

    The last two are of the closed loops `s ↦ f(s, π(s))` and `s ↦ r(s, π(s), f(s, π(s)))`. In
    stochastic systems constants and dynamics errors are in W₁, and only the rungs `global`, `split`
    and `closed_loop` hold.
    """

    dynamics_state: Number
    dynamics_action: Number
    reward_state: Number
    reward_action: Number
    reward_next: Number
    policy: Number
    closed_loop: Number
    closed_loop_reward: Number


class Loop(NamedTuple):
    """Constants of the closed loop, ℓ, m and n of this file's head; one each, or one a step."""

    dynamics: Number | Float[Array, "*time"]
    reward: Number | Float[Array, "*time"]
    reward_next: Number | Float[Array, "*time"]


class Residuals(NamedTuple):
    """One-step errors at the visited states: δ `‖f - f̂‖` and ρ `|r - r̂|`, `[time]`; 0 once the
    episode has ended.
    """

    dynamics: Float[Array, " time"]
    reward: Float[Array, " time"]


class Clip(NamedTuple):
    """What no difference can exceed: the diameter of the set of states, the range of the constants'
    owner's reward.
    """

    diameter: Number = float("inf")
    reward_range: Number = float("inf")


UNCUT = Clip()


class RungSteps(NamedTuple):
    """A rung before it is summed: `ρ_t + m_t e_t + n_t δ_t` `[time]`, radii e_t `[time+1]` and the
    constants used.
    """

    cost: Float[Array, " time"]
    radius: Float[Array, " after"]
    loop: Loop


def contraction(constants: Constants) -> Number:
    """`c = L_f (1 + L_π)`: a state error grows at most by this factor a step; from 1/γ on rung 1
    has no limit in H.
    """
    return closed(constants, "global").dynamics


def closed(constants: Constants, rung: UniformRung) -> Loop:
    """The closed-loop constants as a rung knows them.

    `global` (the paper's Lemma 1) multiplies the larger partial constant by `1 + L_π`, `split` adds
    `L_s + L_a L_π`, `closed_loop` takes the loops' own.
    """
    f, g = constants[:2], constants[2:4]
    n, L = constants.reward_next, constants.policy
    if rung == "closed_loop":
        return Loop(constants.closed_loop, constants.closed_loop_reward, n)
    if rung == "split":
        c, m = f[0] + _times(f[1], L), g[0] + _times(g[1], L)
    else:
        c, m = _times(jnp.maximum(*f), 1 + L), _times(jnp.maximum(*g), 1 + L)
    return Loop(c, m + _times(n, c), n)


def trajectory(
    residuals: Residuals, places: Any, local: Callable[[Any, Scalar], Loop], clip: Clip = UNCUT
) -> RungSteps:
    """Rung `trajectory`: local constants over the ball that the recursion itself says is enough.

    Args:
        residuals: Of the system that owns the constants, at the other's states.
        places: A tree of arrays `[time, …]`: whatever `local` must know of a step, such as the
            visited state.
        local: `(place, radius e_t) ↦ Loop` over the ball of that radius; evaluated inside the scan.
        clip: Cuts the radii at the diameter and each step's dynamics part at the range.
    """

    def step(
        radius: Scalar, now: tuple[Residuals, Any]
    ) -> tuple[Scalar, tuple[Scalar, Scalar, Loop]]:
        (off, missed), place = now
        loop = Loop(*(jnp.asarray(constant, radius.dtype) for constant in local(place, radius)))
        moved = _times(loop.reward, radius) + _times(
            loop.reward_next, jnp.minimum(off, clip.diameter)
        )
        after = jnp.minimum(_times(loop.dynamics, radius) + off, clip.diameter)
        return after, (missed + jnp.minimum(moved, clip.reward_range), after, loop)

    start = jnp.zeros((), jnp.result_type(*residuals, float))
    cost, after, loop = jax.lax.scan(step, start, (residuals, places))[1]
    return RungSteps(cost, jnp.concatenate([start[None], after]), loop)


def uniform(residuals: Residuals, loop: Loop, clip: Clip = UNCUT) -> RungSteps:
    """The recursion with the same constants everywhere; with the largest errors at every step,
    rungs 1 to 3.
    """
    places = jnp.zeros_like(residuals.reward)
    return trajectory(residuals, places, lambda place, radius: loop, clip)


def worst(dynamics: Number, reward: Number, horizon: int) -> Residuals:
    """ε_dyn and ε_rew, errors that are never exceeded, as the errors of each of `horizon` steps."""
    return Residuals(jnp.full(horizon, dynamics, float), jnp.full(horizon, reward, float))


def infinite(loop: Loop, dynamics: Number, reward: Number, discount: Number) -> Scalar:
    """Rungs 1 to 3 without a horizon, infinite from γℓ = 1 on.

    `ε_rew/(1-γ) + (γ m / (1-γℓ) + n) ε_dyn / (1-γ)`.

    Args:
        loop: ℓ, m and n, which hold everywhere.
        dynamics, reward: ε_dyn and ε_rew, errors that are never exceeded.
        discount: γ.
    """
    left = 1 - discount * jnp.asarray(loop.dynamics, float)
    growing = discount * loop.reward / jnp.where(left > 0, left, 1.0) + loop.reward_next
    grown = (reward + _times(growing, dynamics)) / (1 - discount)
    return jnp.where((left > 0) | (dynamics == 0) | (discount * loop.reward == 0), grown, jnp.inf)


def total(steps: RungSteps, discount: Number) -> Scalar:
    """`Σ_t γ^t cost_t`: the bound, where no episode ends before the horizon in either system."""
    return jnp.sum(_discounted(steps.cost, discount))


class Stopped(NamedTuple):
    """A bound that may stop early: its value, how many steps of the rung it sums, and what it adds
    for the rest.
    """

    bound: Scalar
    steps: Int[Array, ""]
    tail: Scalar


def stop(
    steps: RungSteps,
    doubtful: Bool[Array, " time"],
    horizon: Number | Int[Array, ""],
    discount: Number,
    span: Number,
) -> Stopped:
    """The bound where episodes end: `min_{s ≤ τ} Σ_{t<s} γ^t cost_t + γ^s (r_max - r_min) Σ_{k<H-s}
    γ^k`.

    Up to τ both systems are known to go on or end together; afterwards nothing but the range of the
    rewards is known. Any earlier s is as valid, so that a rung with smaller radii stays the smaller
    one.

    Args:
        steps: The rung; its costs are 0 once the episode has ended.
        doubtful: Whether the end flags after step t could differ, given the radii; its own reward
            counts still.
        horizon: H of this episode.
        discount: γ.
        span: `r_max - r_min` of both rewards, the range taken to include 0.
    """
    time = jnp.arange(len(steps.cost) + 1)
    summed = _before(_discounted(steps.cost, discount))
    weights = jnp.where(time < horizon, jnp.asarray(discount, float) ** time, 0.0)
    tail = _times(jnp.asarray(span, float), jnp.cumsum(weights[::-1])[::-1])
    doubts = jnp.concatenate([jnp.zeros(2, int), jnp.cumsum(doubtful)[:-1]])
    bounds = jnp.where(doubts == 0, summed + tail, jnp.inf)
    # Of equals the last: a bound through the value can only gain by more steps.
    best = len(time) - 1 - jnp.argmin(bounds[::-1])
    return Stopped(bounds[best], best, tail[best])


def slopes(loop: Loop, discount: Number, steps: Number | Int[Array, ""]) -> Float[Array, " after"]:
    """Lipschitz constants of what is still to come, `W_t = m_t + γ ℓ_t W_{t+1}` and 0 from t =
    `steps` on, `[time+1]`.

    Of the owner's return of `steps - t` steps, over the balls that `loop` (one a step) holds on.
    """

    def back(later: Scalar, now: tuple[Array, Loop]) -> tuple[Scalar, Scalar]:
        time, here = now
        slope = jnp.where(time < steps, here.reward + _times(discount * here.dynamics, later), 0.0)
        return slope, slope

    time = jnp.arange(jnp.size(loop.reward))
    end = jnp.zeros((), jnp.result_type(*loop))
    return jnp.concatenate([jax.lax.scan(back, end, (time, loop), reverse=True)[1], end[None]])


def through_value(
    residuals: Residuals,
    slope: Float[Array, " time"],
    reward_next: Number | Float[Array, " time"],
    discount: Number,
    clip: Clip = UNCUT,
) -> Scalar:
    """Rung `value`: `Σ γ^t {ρ_t + n_t δ_t + γ Lip(V̂_{H-t-1}) δ_t}`.

    Args:
        residuals: δ and ρ.
        slope: `Lip(V̂_{H-t-1})`, needed only on the segment from `f̂(s_t, a_t)` to `s_{t+1}`.
        reward_next: n, on the same segment.
        discount: γ.
        clip: What no difference can exceed.

    Cut per step: n δ at the reward's range, the value's difference at
    that of as many rewards as are left. Unlike the others a cut rung can exceed the one above it,
    since every step's error is cut by itself.
    """
    off = jnp.minimum(residuals.dynamics, clip.diameter)
    left = _before(jnp.asarray(discount, float) ** jnp.arange(len(off)))[-2::-1]
    now = jnp.minimum(_times(reward_next, off), clip.reward_range)
    later = jnp.minimum(_times(slope, off), _times(jnp.asarray(clip.reward_range, float), left))
    return jnp.sum(_discounted(residuals.reward + now + discount * later, discount))


def mean_error(residuals: Residuals, loop: Loop, discount: Number) -> Scalar:
    """`Σ_t γ^t {E ρ_t + (n + γ m Σ_{k<H-t-1} (γℓ)^k) E δ_t}`: no supremum, so validation errors can
    be used.

    `residuals` holds the mean errors at step t, on the states that the policy visits; `loop`
    constants that hold everywhere. m is of the composed reward: with `L_r (1 + L_π)` alone it fails
    for `r(s')`.
    """
    horizon = len(residuals.reward)
    everywhere = Loop(*(jnp.full(horizon, constant, float) for constant in loop))
    return through_value(
        residuals, slopes(everywhere, discount, horizon)[1:], loop.reward_next, discount
    )


def _before(column: Array) -> Float[Array, " after"]:
    """Sums of what comes before each time, and of all, `[time+1]`."""
    return jnp.concatenate([jnp.zeros(1, column.dtype), jnp.cumsum(column)])


def _discounted(column: Array, discount: Number) -> Array:
    """`γ^t x_t`; where both left the floating numbers, infinite rather than nothing."""
    products = column * jnp.asarray(discount, column.dtype) ** jnp.arange(len(column))
    return jnp.where(jnp.isnan(products), jnp.inf, products)


def _times(left: Any, right: Any) -> Array:
    """The product, with `0 · ∞ = 0`: a constant that is 0 needs no radius, a radius that is 0 no
    constant.
    """
    nothing = (jnp.asarray(left) == 0) | (jnp.asarray(right) == 0)
    return jnp.where(nothing, 0.0, left * right)
