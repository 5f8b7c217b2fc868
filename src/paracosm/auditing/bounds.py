"""How bad the gap can get: Lipschitz brackets of the parts, and the certificates that they give."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from paracosm.auditing.certificates import LocalConstants, certificates
from paracosm.auditing.ladder import UNCUT, Clip
from paracosm.auditing.lipschitz import constants
from paracosm.auditing.one_step import OneStep
from paracosm.auditing.subject import AuditSubject
from paracosm.auditing.termination_margin import margin_of
from paracosm.core import layers
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP, never
from paracosm.core.policy import MarkovPolicy
from paracosm.core.records import Bracket, Certificate
from paracosm.core.types import Scalar, State

_OF_SPAN = "where an end can differ, rewards are taken to stay within the range that was recorded"
_STATES = 512  # where lower ends are looked for: as many as `steepest.lower` uses


class Bounds(NamedTuple):
    """Brackets by name, the contraction factor `γ c` of the closed loop, and the ladder."""

    lipschitz: dict[str, Bracket]
    contraction: Bracket | None
    certificates: tuple[Certificate, ...]


UNBOUNDED = Bounds({}, None, ())


def bound_gap(subject: AuditSubject, full: np.ndarray) -> Bounds:
    """Brackets, contraction factor and certificates of a learned world at the reporting discount.

    Args:
        subject: What is audited, of a policy's mode.
        full: Imagined returns from the real starts over the whole horizon, `[episode]`.
    """
    world, policy, episodes = subject.reported_world, subject.policy, subject.episodes
    states = some_of(np.asarray(episodes.state)[episodes.alive])
    brackets = constants.brackets(world, policy, states, subject.key)
    gap = episodes.returns(world.discount) - full
    ends = world.termination is not never or bool(episodes.terminated.any())
    ladder = certificates(
        world,
        policy,
        episodes,
        gap,
        brackets,
        local=_local(world, policy, brackets),
        end=margin_of(world, brackets["policy"].upper) if ends else None,
        reward_span=_span(episodes, subject.predictions) if ends else float("inf"),
        clip=_clip(world, episodes),
    )
    if ends:
        ladder = tuple(map(_unproven, ladder))
    return Bounds(brackets, discounted_contraction(world.discount, brackets["closed_loop"]), ladder)


def some_of(visited: np.ndarray) -> np.ndarray:
    """At most 512 of the visited states `[row, state]`, from the first to the last."""
    chosen = np.linspace(0, len(visited) - 1, min(len(visited), _STATES)).astype(int)
    return visited[chosen]


def _unproven(rung: Certificate) -> Certificate:
    """The same bound as an estimate; what made it a certificate is said no more."""
    proven = rung.kind == "certificate" and rung.rung != "minimum"
    return dataclasses.replace(
        rung, kind="estimate", why=_OF_SPAN if proven else f"{_OF_SPAN}; {rung.why}"
    )


def _clip(world: MDP, episodes: Trajectory) -> Clip:
    """What no difference can exceed: imagined states stay in the dynamics' image, real ones are
    recorded.
    """
    image = layers.own(world.dynamics, "image")
    if image is None:
        return UNCUT
    domain = image()
    alive = np.asarray(episodes.alive)
    visited = np.concatenate(
        [np.asarray(column)[alive] for column in (episodes.state, episodes.next_state)]
    )
    low = np.minimum(visited.min(axis=0), domain.low)
    high = np.maximum(visited.max(axis=0), domain.high)
    diameter = float(np.linalg.norm((high - low) / np.asarray(world.spec.state_scale)))
    reward_range = layers.own(world.reward, "reward_range")
    return Clip(diameter) if reward_range is None else Clip(diameter, reward_range())


def _span(episodes: Trajectory, predictions: OneStep) -> float:
    """Largest minus smallest reward seen, real or learned, 0 among them."""
    alive = np.asarray(episodes.alive)
    columns = (episodes.reward, predictions.at_real.reward)
    rewards = np.concatenate([[0.0], *(np.asarray(column)[alive] for column in columns)])
    return float(np.ptp(rewards))


class _AtMost(eqx.Module):
    """The closed loop's constants over a ball, never above `most`, those that hold everywhere."""

    loops: constants.Loops
    most: tuple[float, float]

    def __call__(self, state: State, radius: Scalar) -> tuple[Scalar, Scalar]:
        dynamics, reward = self.loops.at(state, radius)
        return jnp.fmin(dynamics, self.most[0]), jnp.fmin(reward, self.most[1])


def _local(world: MDP, policy: MarkovPolicy, brackets: dict[str, Bracket]) -> LocalConstants | None:
    """Constants over balls, where every layer is known."""
    dynamics, reward = brackets["closed_loop"], brackets["closed_loop_reward"]
    if "estimate" in (dynamics.kind, reward.kind):
        return None
    bounded = _AtMost(constants.loops(world, policy), (dynamics.upper, reward.upper))
    return LocalConstants(bounded, "certificate", "bounds from the layers' slopes over each ball")


def discounted_contraction(discount: float, closed_loop: Bracket) -> Bracket:
    """The bracket of `γ c`, which is 0 at a discount of 0 even where c has no upper end."""
    low, high = (
        float(discount * np.float64(end)) if discount else 0.0
        for end in (closed_loop.lower, closed_loop.upper)
    )
    return Bracket(low, high, closed_loop.kind, closed_loop.why)
