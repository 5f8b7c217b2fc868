"""What an audit decided: kinds, causes and the numbers that sentences need, before any is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Literal

from paracosm.core.records.base import Record

Cause = Literal["reward", "termination", "dynamics", "horizon"]
Part = Literal["dynamics", "reward", "termination"]
PARTS: tuple[Part, ...] = ("dynamics", "reward", "termination")
LEARNED_CAUSES: tuple[Part, ...] = ("reward", "termination", "dynamics")
CAUSES: tuple[Cause, ...] = (*LEARNED_CAUSES, "horizon")
VerdictKind = Literal[
    "rounding",
    "unseen",
    "undetermined",
    "cancels",
    "unexplained",
    "explained",
    "unfit-by-other-actions",
    "unfit-by-rounded-actions",
    "unfit-by-sum",
    "unfit-by-states",
    "unfit-by-return",
]
LeadShare = Literal["in part", "together", "most", "several"]
FirstStep = Literal["purchase", "finding", "observation"]
HorizonPart = Literal["bootstrap", "edge"]
PolicyStanding = Literal["no better", "not clearly better"]
NextKind = Literal[
    "own episodes",
    "same answers",
    "finding",
    "nothing learned",
    "broken world",
    "given",
    "observation",
    "search",
    "policy",
    "purchase",
    "episodes",
    "steps",
    "nothing",
]
SumCheck = Literal["reweighted", "stochastic", "subset", "actions"]


@dataclasses.dataclass(frozen=True)
class Verdict(Record):
    """What the intervals of one gap allow to be said of its causes.

    `kind` is `"rounding"` where gap and causes are no more than that, `"unseen"` where rarer
    episodes may still make a gap of up to `reach`, `"undetermined"` where no interval excludes
    zero, `"cancels"` where less than half of the larger side is left, `"unexplained"` where what is
    clear works the other way, else `"explained"`. Kinds that begin with "unfit" say why no cause
    may be named; then only `missed_share` and `action_difference` are of use.

    `share` is the gap over the larger of the two returns (none where both are 0); it is
    `doubtful` where the gap is not clearly different from zero though its causes are named.
    `lead` is the cause that is named first and `sign` the gap's where it explains it;
    `lead_share` says how much of the gap that is. `together` are clear causes that may be as
    large, `unsure` those that are named though their intervals hold zero. `opposing` is clear
    and works against the gap, or against the lead where errors cancel; `taken_back` works
    against a lead that is larger than the gap. `worst_part` is the learned part most clearly
    wrong where the lead is none. `unpaid` says that no reward was seen in either world. `few_steps`
    counts the audited steps where they, and not the episodes, are too few: a random subset that
    makes the terms' intervals much wider than the gap's, or whose terms miss the gap by far.

    `missed_share` is what the terms miss of the gap, over the size of the terms (none where they
    miss no more than they may), `action_difference` the largest difference of recorded actions from
    the policy's, in ranges of the action box. `missed_by_subset` is the sum of the terms minus the
    gap where that is far off because `few_steps` were audited, so that no cause is determined.
    """

    kind: VerdictKind
    share: float | None = None
    doubtful: bool = False
    lead: Cause | None = None
    sign: int = 0
    lead_share: LeadShare | None = None
    together: tuple[Cause, ...] = ()
    unsure: tuple[Cause, ...] = ()
    opposing: Cause | None = None
    taken_back: Cause | None = None
    worst_part: Cause | None = None
    unpaid: bool = False
    few_steps: int = 0
    reach: float | None = None
    missed_share: float | None = None
    action_difference: float = 0.0
    missed_by_subset: float | None = None

    @property
    def unfit(self) -> bool:
        """Whether no cause may be named, since the audit's own conditions do not hold."""
        return self.kind in UNFIT

    def lacks_steps(self, unsure: Iterable[Cause]) -> bool:
        """Whether more audited steps would settle these terms: few were, and they depend on it."""
        return self.few_steps > 0 and set(unsure) <= {"termination", "dynamics"}


UNFIT: tuple[VerdictKind, ...] = (
    "unfit-by-other-actions",
    "unfit-by-rounded-actions",
    "unfit-by-sum",
    "unfit-by-states",
    "unfit-by-return",
)


@dataclasses.dataclass(frozen=True)
class TrainingVerdict(Record):
    """The verdict on what training believed.

    It `differs` where kind, lead or sign are not those of whole episodes. `weighty_steps` counts
    the first steps that hold 95% of the discount weights. `horizon_part` is the larger part of the
    horizon term where that leads.
    """

    verdict: Verdict
    differs: bool
    weighty_steps: int
    horizon_part: HorizonPart | None


@dataclasses.dataclass(frozen=True)
class Advice(Record):
    """Where the blamed part errs, what to do first, and how sure that is.

    `blamed` is the learned part that the advice is about, if one is clear; `alone` says that other
    errors work against it. Half of its absolute term comes in the first `half_by` steps, nine
    tenths in `most_by`. `components` are the state components clearly wrong, and by no less than
    the split by component leaves over, the largest first, at most three, where dynamics are blamed.
    `first` is the part to mend first, by a `purchase`, by what a `finding` of kind `finding` says,
    or by an `observation` of what the state does not show; where it is not the blamed one, its
    unsure term is `times` as large. `half_widths` is the blamed term over the half of its interval
    that lies towards zero, from its mean to that end.
    """

    blamed: Cause | None
    alone: bool = False
    half_by: int = 0
    most_by: int = 0
    components: tuple[int, ...] = ()
    first: Cause | None = None
    by: FirstStep = "purchase"
    finding: str | None = None
    times: float | None = None
    half_widths: float = 0.0


@dataclasses.dataclass(frozen=True)
class NextStep(Record):
    """The one thing to do first, after all that an audit and its run came to.

    In the order in which they are held against each other: `"own episodes"` of the policy are
    needed, or the `"same answers"` of world and policy each time, where no verdict can be; a
    `"finding"` of kind `finding` says what to mend; `part` has `"nothing learned"`, its error being
    `share` of a constant's; a `"broken world"` leaves what was recorded; `"search"` left more in
    imagination than the gap can be; the `"policy"` is no better than what acted in the data, in
    imagination neither; a `part` that was `"given"` is wrong; a `"purchase"` for `part`, whose
    unsure term is `times` as large as the clear one if that is not its own; more `"episodes"`, or
    more audited `"steps"` of these, would tell; `"nothing"` of the world costs this policy anything
    that matters. The `"observation"` that lacks what the reward depends on is a finding that has a
    sentence of its own. `planned` says that `paracosm plan` can tell how much to buy, `of_run` that
    commands can take a run directory.
    """

    kind: NextKind
    part: Cause | None = None
    finding: str | None = None
    share: float | None = None
    times: float | None = None
    planned: bool = False
    of_run: bool = False


@dataclasses.dataclass(frozen=True)
class Remarks(Record):
    """What is said beside the verdict.

    `policy` says how the policy stands against what acted in the data, where that is not better.
    `noisiest` is the term of whose variance the most is imagination's, where the draws were
    capped: its name among the shares of `Imagination`; none where nothing of it is known. `sums`
    says what bounds how well the terms sum to the gap: `"actions"` is the rounding of recorded
    actions. `noise_share` is the largest share of imagination in any term's variance, if known.
    `finite_differences` are the parts without derivatives. `unseen_reward` was recorded elsewhere
    and is beyond all rewards of these episodes: where it sets how wide the intervals are.
    `unseen_ends` says that the interval of the end rule is that of ends which none of these
    episodes had.
    """

    policy: PolicyStanding | None
    noisiest: str | None
    sums: SumCheck
    noise_share: float | None
    finite_differences: tuple[str, ...]
    unseen_reward: float | None = None
    unseen_ends: bool = False
