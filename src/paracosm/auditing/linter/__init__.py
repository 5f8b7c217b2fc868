"""What is often wrong with how a world was made, found by its predictions at real steps: findings
with evidence.
"""

from __future__ import annotations

from paracosm.auditing.linter.dynamics import dynamics_findings
from paracosm.auditing.linter.rewards import reward_findings
from paracosm.auditing.linter.steps import sampled
from paracosm.auditing.linter.terminations import end_findings
from paracosm.auditing.one_step import OneStep
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP
from paracosm.core.records import Finding
from paracosm.core.types import PRNGKey


def lint(
    world: MDP, episodes: Trajectory, predictions: OneStep, key: PRNGKey
) -> tuple[Finding, ...]:
    """Findings about a world from its predictions at real steps; their sentences are still empty.

    Args:
        world: The learned world.
        episodes: Real episodes, NumPy arrays `[episode, time, …]`.
        predictions: The world's at each of their steps.
        key: Of the noise of a stochastic world.
    """
    steps = sampled(world, episodes, predictions)
    return (
        *reward_findings(world, episodes, predictions, steps),
        *end_findings(world, episodes, predictions),
        *dynamics_findings(world, steps, key),
    )
