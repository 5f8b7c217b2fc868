"""The audit along the way as a stage of a run: what a purchase says of the round before."""

from __future__ import annotations

from paracosm.auditing.round_audit import audit_round, fair_episodes
from paracosm.core.data import Dataset
from paracosm.core.keys import stage_key
from paracosm.core.learned import Learned
from paracosm.core.policy import MarkovPolicy, Policy
from paracosm.core.records.rounds import RoundAudit
from paracosm.imagination.imagine import Imagined
from paracosm.loop.directory import RunDirectory


def can_audit_round(bought: Dataset, horizon: int, policy: Policy) -> bool:
    """Whether a purchase holds episodes that can be audited along the way, and so can the
    policy.
    """
    return isinstance(policy, MarkovPolicy) and bool(fair_episodes(bought, horizon))


def round_audit_stage(
    directory: RunDirectory,
    learned: Learned,
    imagined: Imagined,
    collector: Policy,
    bought: Dataset,
    *,
    seed: int,
    round: int,
    transitions: int,
) -> RoundAudit:
    """The audit of a round, made or read back from the run's directory.

    Args:
        directory: Of the run.
        learned, imagined: The round's world, and the training of its policy.
        collector: That policy as it collected `bought`.
        bought: The next round's purchase, which `can_audit_round`.
        seed: Of the run.
        round, transitions: The round, and what world and policy were learned from.
    """

    def make() -> RoundAudit:
        audit = audit_round(
            learned,
            collector,
            bought,
            stage_key(seed, "round", round),
            round=round,
            transitions=transitions,
            edge_share=imagined.training.edge_share,
        )
        assert audit is not None, "can_audit_round was asked before"
        return audit

    return directory.record_stage(f"audit-{round}", RoundAudit, make, f"audit-{round}.json")
