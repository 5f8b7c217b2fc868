"""What is often wrong with how a world was made, found by asking it at real steps: one sentence
each, with evidence.
"""

from __future__ import annotations

from paracosm.auditing.linter.dynamics import dynamics_findings
from paracosm.auditing.linter.ends import end_findings
from paracosm.auditing.linter.rewards import reward_findings
from paracosm.auditing.linter.steps import sampled
from paracosm.auditing.one_step import OneStep
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP
from paracosm.core.records import Finding
from paracosm.core.types import PRNGKey


def lint(world: MDP, episodes: Trajectory, asked: OneStep, key: PRNGKey) -> tuple[Finding, ...]:
    """Findings about `world` from its answers at the steps of real `episodes`."""
    steps = sampled(world, episodes, asked)
    return (
        *reward_findings(world, episodes, asked, steps),
        *end_findings(world, episodes, asked),
        *dynamics_findings(world, steps, key),
    )
