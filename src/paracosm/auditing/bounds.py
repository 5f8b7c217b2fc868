"""How bad the gap can get: Lipschitz brackets of the parts, and the certificates that they give."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from paracosm.auditing.certificates import Local, certificates
from paracosm.auditing.ends import learned_margin
from paracosm.auditing.ladder import UNCUT, Clip
from paracosm.auditing.lipschitz import constants
from paracosm.auditing.one_step import OneStep
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP, never
from paracosm.core.policy import Policy
from paracosm.core.records import Bracket, Certificate
from paracosm.core.types import PRNGKey, Scalar, State
from paracosm.learning.parts import LearnedDynamics, LearnedReward

_OF_SPAN = "where an end can differ, rewards are taken to stay within the range that was recorded"
_LOOKED_AT = 512  # states in which the lower ends are looked for


class Bounds(NamedTuple):
    """Brackets by name, the contraction factor `γ c` of the closed loop, and the ladder."""

    lipschitz: dict[str, Bracket]
    contraction: Bracket | None
    certificates: tuple[Certificate, ...]


UNBOUNDED = Bounds({}, None, ())


def bounds(
    world: MDP,
    policy: Policy,
    episodes: Trajectory,
    asked: OneStep,
    full: np.ndarray,
    *,
    key: PRNGKey,
) -> Bounds:
    """Of a learned `world` on real `episodes` of the policy's mode, whose imagined returns are
    `full`, `[episode]`.
    """
    seen = episodes.state[episodes.alive]
    states = seen[:: max(1, len(seen) // _LOOKED_AT)][:_LOOKED_AT]
    brackets = constants.brackets(world, policy, states, key)
    gap = np.asarray(episodes.reward) @ world.discount ** np.arange(episodes.alive.shape[1]) - full
    ends = world.termination is not never or bool(episodes.terminated.any())
    ladder = certificates(
        world,
        policy,
        episodes,
        gap,
        brackets,
        local=_local(world, policy, brackets),
        end=learned_margin(world, brackets["policy"].upper) if ends else None,
        reward_span=_span(episodes, asked) if ends else float("inf"),
        clip=_clip(world, episodes),
    )
    if ends:
        ladder = tuple(map(_unproven, ladder))
    return Bounds(brackets, _contraction(world.discount, brackets["closed_loop"]), ladder)


def _unproven(rung: Certificate) -> Certificate:
    """The same bound as an estimate; what made it a certificate is said no more."""
    proven = rung.kind == "certificate" and rung.rung != "minimum"
    return dataclasses.replace(
        rung, kind="estimate", why=_OF_SPAN if proven else f"{_OF_SPAN}; {rung.why}"
    )


def _clip(world: MDP, episodes: Trajectory) -> Clip:
    """What no difference can exceed: imagined states stay in the domain, the real ones are
    recorded.

    Members of a learned reward end in a linear map of numbers in [-1, 1].
    """
    if not isinstance(world.dynamics, LearnedDynamics):
        return UNCUT
    domain = world.dynamics.domain
    alive = np.asarray(episodes.alive)
    seen = np.concatenate(
        [np.asarray(column)[alive] for column in (episodes.state, episodes.next_state)]
    )
    low, high = np.minimum(seen.min(axis=0), domain.low), np.maximum(seen.max(axis=0), domain.high)
    diameter = float(np.linalg.norm((high - low) / np.asarray(world.spec.state_scale)))
    if not isinstance(world.reward, LearnedReward) or len(world.reward.networks.weights) == 1:
        return Clip(diameter)
    last = np.abs(np.asarray(world.reward.networks.weights[-1]))
    return Clip(diameter, float(2 * np.abs(world.reward.scale) * last.sum(axis=1).mean()))


def _span(episodes: Trajectory, asked: OneStep) -> float:
    """Largest minus smallest reward seen, real or learned, 0 among them."""
    alive = np.asarray(episodes.alive)
    seen = np.concatenate(
        [[0.0], *(np.asarray(column)[alive] for column in (episodes.reward, asked.real.reward))]
    )
    return float(np.ptp(seen))


class _AtMost(eqx.Module):
    """The closed loop's constants over a ball, never above those of the whole space."""

    loops: constants.Loops
    most: tuple[float, float]

    def __call__(self, state: State, radius: Scalar) -> tuple[Scalar, Scalar]:
        dynamics, reward = self.loops.at(state, radius)
        return jnp.fmin(dynamics, self.most[0]), jnp.fmin(reward, self.most[1])


def _local(world: MDP, policy: Policy, brackets: dict[str, Bracket]) -> Local | None:
    """Constants over balls, where every layer is known."""
    whole = brackets["closed_loop"], brackets["closed_loop_reward"]
    if any(each.kind == "estimate" for each in whole):
        return None
    bounded = _AtMost(constants.loops(world, policy), (whole[0].upper, whole[1].upper))
    return Local(bounded, "certificate", "bounds from the layers' slopes over each ball")


def _contraction(discount: float, closed_loop: Bracket) -> Bracket:
    low, high = (
        float(discount * np.float64(end)) for end in (closed_loop.lower, closed_loop.upper)
    )
    return Bracket(low, high, closed_loop.kind, closed_loop.why)
