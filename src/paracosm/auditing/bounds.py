"""How bad the gap can get: Lipschitz brackets of the parts, and the certificates that they give."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from paracosm.auditing import lipschitz
from paracosm.auditing.attribution import Terms
from paracosm.auditing.certificates import Local, certificates
from paracosm.auditing.readers import Unreadable
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP
from paracosm.core.policy import Policy
from paracosm.core.records import Bracket, Certificate
from paracosm.core.types import PRNGKey, Scalar, State

_LOOKED_AT = 512  # states in which the lower ends are looked for


class Bounds(NamedTuple):
    """Brackets by name, the contraction factor `γ c` of the closed loop, and the ladder."""

    lipschitz: dict[str, Bracket]
    contraction: Bracket | None
    certificates: tuple[Certificate, ...]


UNBOUNDED = Bounds({}, None, ())


def bounds(world: MDP, policy: Policy, episodes: Trajectory, terms: Terms, key: PRNGKey) -> Bounds:
    """Of a learned `world` on real `episodes` of the policy's mode, whose attribution is `terms`."""
    seen = episodes.state[episodes.alive]
    states = seen[:: max(1, len(seen) // _LOOKED_AT)][:_LOOKED_AT]
    brackets = lipschitz.brackets(world, policy, states, key)
    gap = (terms.reward + terms.termination + terms.dynamics).sum(axis=1)
    ladder = certificates(world, policy, episodes, gap, brackets, local=_local(world, policy, brackets))
    return Bounds(brackets, _contraction(world.discount, brackets["closed_loop"]), ladder)


class _AtMost(eqx.Module):
    """The closed loop's constants over a ball, never above those of the whole space."""

    loops: lipschitz.Loops
    most: tuple[float, float]

    def __call__(self, state: State, radius: Scalar) -> tuple[Scalar, Scalar]:
        dynamics, reward = self.loops.at(state, radius)
        return jnp.fmin(dynamics, self.most[0]), jnp.fmin(reward, self.most[1])


def _local(world: MDP, policy: Policy, brackets: dict[str, Bracket]) -> Local | None:
    """Constants over balls, where every layer is known."""
    try:
        loops = lipschitz.loops(world, policy)
    except Unreadable:
        return None
    most = brackets["closed_loop"].upper, brackets["closed_loop_reward"].upper
    return Local(_AtMost(loops, most), "certificate", "bounds from the layers' slopes over each ball")


def _contraction(discount: float, closed_loop: Bracket) -> Bracket:
    low, high = (float(discount * np.float64(end)) for end in (closed_loop.lower, closed_loop.upper))
    return Bracket(low, high, closed_loop.kind, closed_loop.why)
