"""Frozen records of learning, imagination and audit. They go to JSON and come back equal."""

from __future__ import annotations

import dataclasses
from typing import Literal

from paracosm.core.records.assisted import AssistedMean
from paracosm.core.records.base import Estimate, Record
from paracosm.core.records.calibration import Calibration
from paracosm.core.records.finding import Finding
from paracosm.core.records.ranking import Ranking
from paracosm.core.records.reasons import Route
from paracosm.core.records.search import SearchShare
from paracosm.core.records.stop_reason import StopReason
from paracosm.core.records.verdict import (
    CAUSES,
    Advice,
    NextStep,
    Part,
    Remarks,
    TrainingVerdict,
    Verdict,
)

_ROUNDING = 1e-6  # of the returns: what observations in 32 bits cannot tell from zero
_SMALL = 0.02  # of the larger return: a gap within it needs no cause


@dataclasses.dataclass(frozen=True)
class PartFit(Record):
    """How one part of the world was learned.

    `error` is held out: for dynamics the root mean square norm of the error in scaled states, for
    the reward its root mean square error, for the end rule the share of rows called wrongly.
    `members` holds each ensemble member's own, `baseline` that of a constant predictor on the same
    rows. `curve` holds the validation loss by epoch, the mean over members.
    """

    part: Part
    origin: Literal["learned", "known", "constant"]
    rows: int
    held_out: int
    error: Estimate | None
    members: tuple[float, ...]
    baseline: float | None
    unit: str
    epochs: tuple[int, ...]
    curve: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Training(Record):
    """How a policy was trained in imagination.

    `step` counts gradient steps; `imagined_return` (undiscounted, of the mode, full episode, fixed
    initial states) and `entropy` were measured there. `edge_share` is the share of imagined steps
    that left the domain of the data. `stop` says why training ended: `stop_reason` with
    `stop_steps`, in words. `labels_during_imagination` counts true rewards bought at imagined
    steps. The state after `kept_step` steps is what training gave; None if that was another one, or
    in a run of before it was recorded.
    """

    step: tuple[int, ...]
    imagined_return: tuple[float, ...]
    entropy: tuple[float, ...]
    imagined_steps: int
    edge_share: float
    horizon: int
    weighting: str
    baseline: str
    stop: str
    labels_during_imagination: int = 0
    stop_reason: StopReason | None = None
    stop_steps: int = 0
    kept_step: int | None = None

    @property
    def kept_return(self) -> float | None:
        """The imagined return of what training gave, None where none was measured."""
        if not self.imagined_return:
            return None
        number = -1 if self.kept_step is None else self.step.index(self.kept_step)
        return self.imagined_return[number]


@dataclasses.dataclass(frozen=True)
class Gap(Record):
    """Real return minus predicted return at one discount, and the causes, which sum to it.

    `real - predicted = total = reward + termination + dynamics + horizon`, every term as
    `auditing.attribution` writes it out. Two predictions are audited. The imagined return of the
    whole episode, at the reporting discount: its horizon term is 0. What training believed, at the
    training discount: the return of `training_horizon` imagined steps plus the bootstrapped value.
    """

    real: Estimate
    predicted: Estimate
    total: Estimate
    reward: Estimate
    termination: Estimate
    dynamics: Estimate
    horizon: Estimate

    @property
    def reach(self) -> float:
        """The largest size that its 95% interval allows."""
        return max(abs(self.total.low), abs(self.total.high))

    @property
    def rounding(self) -> float:
        """A term up to this size, in units of return, may be rounding of 32-bit observations."""
        return _ROUNDING * max(abs(self.real.mean), abs(self.predicted.mean))

    @property
    def small(self) -> bool:
        """Whether its whole interval is within 2% of the larger return, so that it needs no
        cause.
        """
        return self.reach <= self.largest_small

    @property
    def largest_small(self) -> float:
        """The largest size of a gap that needs no cause."""
        return _SMALL * max(abs(self.real.mean), abs(self.predicted.mean))


@dataclasses.dataclass(frozen=True)
class CauseByStep(Record):
    """A cause's mean discounted contribution at each time step, signed and absolute, `[time]`."""

    signed: tuple[float, ...]
    absolute: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Baselines(Record):
    """One-step errors on the audited real steps beside those of the simplest predictors.

    Dynamics in scaled states (root mean square norm) against the mean next state and against no
    change (persistence); reward (root mean square) against zero and against the mean reward.
    """

    dynamics: float
    mean_next_state: float
    persistence: float
    reward: float
    zero_reward: float
    mean_reward: float


Kind = Literal["certificate", "estimate"]


@dataclasses.dataclass(frozen=True)
class Bracket(Record):
    """A Lipschitz constant between two numbers.

    `lower` was seen. `upper` is proven if `kind` is `certificate`; else it is the best guess, and
    `why` says what is missing.
    """

    lower: float
    upper: float
    kind: Kind
    why: str


@dataclasses.dataclass(frozen=True)
class Certificate(Record):
    """A rung of the ladder: `|J_H(π, M) - J_H(π, M̂)| ≤ value`.

    `value` is the mean over the recorded episodes, `slack` that over the measured gap. `why` says
    what makes it a certificate, or what it lacks. `episodes` holds the bound on each episode's own
    gap, where that is known.
    """

    rung: str
    kind: Kind
    value: float
    slack: float
    why: str
    episodes: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class Weights(Record):
    """What one unit of each part's error ε costs in return: `|gap| ≈ κ_dyn ε_dyn + κ_rew ε_rew`.

    `norm` names the unit of the errors, that of the learning curves they are multiplied with;
    `origin` says how the weights were found, and `route` is that as a kind, if it is ours.
    `unsure` holds their standard errors by part; a part that is not there is taken as exact.
    """

    dynamics: float
    reward: float
    norm: str
    discount: float
    horizon: int
    origin: str
    unsure: dict[str, float] = dataclasses.field(default_factory=dict)
    route: Route | None = None


@dataclasses.dataclass(frozen=True)
class ShapleyValues(Record):
    """The gap with its errors put right in either order, undone of the training horizon.

    `reward` is the learned reward's share, at real states or at imagined ones; `model` that
    of dynamics and end rule together, paid by the real reward (`at_real`) or by the learned one
    (`at_imagined`); and the means of both (Shapley). Reward at real and model at imagined sum to
    the gap, as do the other two and the two means.
    """

    reward_at_real: Estimate
    reward_at_imagined: Estimate
    reward_shapley: Estimate
    model_at_real: Estimate
    model_at_imagined: Estimate
    model_shapley: Estimate


@dataclasses.dataclass(frozen=True)
class DynamicsByDimension(Record):
    """The dynamics term by state dimension, discounted; `dimensions` and `remainder` sum to it in
    every episode. The intervals of `dimensions` hold for all of them together, at 95%.

    The remainder is what integrated gradients leave: jumps that no gradient sees and, where only
    `steps` of the real steps were integrated, the sampling. `components` names the dimensions, and
    is empty where they have no names.
    """

    dimensions: tuple[Estimate, ...]
    by_step: tuple[CauseByStep, ...]
    remainder: Estimate
    steps: int
    components: tuple[str, ...] = ()

    @property
    def clear(self) -> tuple[int, ...]:
        """The dimensions that are clearly wrong, of all of them together, and by no less than the
        split leaves over; the largest first.
        """
        least = abs(self.remainder.mean)
        sizes = {
            i: abs(term.mean)
            for i, term in enumerate(self.dimensions)
            if term.excludes_zero and abs(term.mean) >= least
        }
        return tuple(sorted(sizes, key=lambda i: -sizes[i]))


@dataclasses.dataclass(frozen=True)
class HorizonParts(Record):
    """The horizon term's two parts: the value that ended short rollouts, and in `edge` the price of
    caution: the return in the learned world minus that in the world that caution made of it.
    """

    bootstrap: Estimate
    edge: Estimate


@dataclasses.dataclass(frozen=True)
class Reference(Record):
    """What the bought data say, before any episode of the audited policy: the return of what acted
    in them, and the ranges of rewards and states.

    `policy` names what acted in them, such as "random actions", and `returns` is its undiscounted
    return (none where no whole episode holds a label, or the whole ones are the short ones).
    Rewards lie in `reward`, `(low, high)`, which is empty where none was bought, components of the
    state in `state_low` to `state_high`, `[state]`. `given` names the parts of the world that are
    said to be the real ones.
    """

    policy: str
    returns: Estimate | None
    reward: tuple[float, ...]
    state_low: tuple[float, ...]
    state_high: tuple[float, ...]
    given: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Plausibility(Record):
    """Whether imagination stays among the returns and states that real data know.

    An undiscounted return outside `allowed`, `(low, high)`, is more than the recorded rewards allow
    in as many steps; `impossible` of `episodes` imagined episodes have one. `left` of them leave
    the range of the recorded states by more than a quarter of its width, the first at `first_step`;
    `farthest` is how many times that range's half width an imagined state lies from its middle, at
    `farthest_step`. Steps are counted from 1.
    """

    episodes: int
    allowed: tuple[float, float]
    impossible: int
    left: int
    first_step: int | None
    farthest: float
    farthest_step: int


@dataclasses.dataclass(frozen=True)
class Imagination(Record):
    """How often a stochastic world or policy was drawn, and what is left of that noise.

    Terms are means over `draws`. `share` is the part of the variance of their means over episodes
    that more draws would remove, by cause and of the `total`, at the reporting and at the training
    discount; unknown (NaN) after one draw. It is above a tenth of the rest only where draws are
    `capped`, by their number or by what they may cost.
    """

    draws: int
    share: dict[str, float]
    capped: bool


@dataclasses.dataclass(frozen=True)
class Overlay(Record):
    """One real episode and the imagined one from the same first state, `[time][state]` in the
    environment's units.

    Both have `steps + 1` states of their own, as long as each was alive.
    """

    real: tuple[tuple[float, ...], ...]
    imagined: tuple[tuple[float, ...], ...]


@dataclasses.dataclass(frozen=True)
class Diagnosis(Record):
    """What an audit found.

    The gap of whole episodes is at the reporting discount. What training believed is audited at the
    training discount. Texts are empty until `paracosm.audit` makes them.

    Attributes:
        gap: Of whole episodes, at `discount`.
        gap_training: Of what training believed, at `training_discount`; None where nothing was
            trained and the world has the reporting discount.
        discount, training_discount: γ of both gaps.
        horizon, training_horizon: Steps of an episode, and of a rollout in training.
        causes: The terms of `gap` by time step.
        real_return, imagined_return: Of whole episodes, never discounted.
        reference: What the bought data say, before any episode of the policy, if there are any.
        plausibility: Whether imagination stays among the returns and states of real data.
        mode_versus_sampled: The imagined return of the mode minus that of samples, at `discount`;
            None where no samples were imagined.
        baselines: One-step errors beside those of the simplest predictors.
        informative_horizon: The largest h such that at every k ≤ h the rolled-out state beats the
            mean state; None where noise parts real and imagined episodes.
        data_edge_share: Of imagined steps at the edge of the world's domain, if it has one.
        closure: The largest over episodes of |sum of the terms - gap|, relative to the largest of
            the returns and the sum of absolute terms; the imagined return is computed apart.
        missed: The mean over episodes of |sum of the terms - gap|, in units of return.
        precision: What bounds `closure`, in words.
        other_actions: How many recorded actions are not the policy's beyond rounding.
        real_steps, audited_steps: Steps that were recorded, and those of them that were attributed.
        imagined_steps: What the attribution cost.
        imagination: How a stochastic world or policy was drawn; None without noise.
        overlays: Real and imagined episodes from the same starts.
        dynamics_by_dimension: The dynamics term of `gap` by state component.
        horizon_parts: The horizon term of `gap_training` in two parts; None without a training
            horizon.
        orders: Shapley values of reward and model in `gap`; None without the real reward.
        effective_episodes: How many episodes of the policy the record is worth, if another policy
            recorded it.
        weights: What errors of the parts cost, at the training discount: derivatives of
            undiscounted returns grow without limit where imagination is chaotic.
        lipschitz: Brackets of Lipschitz constants by name.
        contraction: The discount times the closed loop's Lipschitz constant: below 1 errors die
            out, from 1 on they may grow with the horizon.
        certificates: Bounds on `gap`.
        findings: Of the linter.
        valid: Whether the conditions of a verdict hold; where they do not, terms explain nothing.
        decision, decision_training: What was decided of `gap` and of `gap_training`.
        advice: What to do about `gap`; None where no cause may be named or none is needed.
        remarks: What is said beside the verdict.
        verdict, verdict_training: The decisions in words; the second says how and why it differs.
        explanation, explanation_training: Where and how sure, in words.
        search: What other searches reach in the world that the policy was trained in, if any was
            tried.
        search_needs: What the usual one would have taken, in imagined steps, where the budget did
            not allow it.
        search_failed: Why the usual one failed; empty where it did not.
        calibration: Of the world's spread, where `paracosm audit` of a run judged it.
        assisted: The mean real return of `gap` with imagined returns as control variate; None where
            no fresh starts were at hand.
        ranking: Of the policies of the run's rounds, where `paracosm rank` has ranked them.
        next_step, next: The step that goes before all others, and that in words.
    """

    gap: Gap
    gap_training: Gap | None
    discount: float
    training_discount: float
    horizon: int
    training_horizon: int
    causes: dict[str, CauseByStep]
    real_return: Estimate
    imagined_return: Estimate
    reference: Reference | None
    plausibility: Plausibility
    mode_versus_sampled: Estimate | None
    baselines: Baselines
    informative_horizon: int | None
    data_edge_share: float | None
    closure: float
    missed: float
    precision: str
    other_actions: int
    real_steps: int
    audited_steps: int
    imagined_steps: int
    imagination: Imagination | None
    overlays: tuple[Overlay, ...]
    dynamics_by_dimension: DynamicsByDimension
    horizon_parts: HorizonParts | None
    orders: ShapleyValues | None
    effective_episodes: float | None
    weights: tuple[Weights, ...]
    lipschitz: dict[str, Bracket]
    contraction: Bracket | None
    certificates: tuple[Certificate, ...]
    findings: tuple[Finding, ...]
    valid: bool
    decision: Verdict
    decision_training: TrainingVerdict | None
    advice: Advice | None
    remarks: Remarks
    verdict: str
    verdict_training: str
    explanation: str
    explanation_training: str
    search: SearchShare | None = None
    calibration: Calibration | None = None
    assisted: AssistedMean | None = None
    ranking: Ranking | None = None
    next_step: NextStep | None = None
    next: str = ""
    search_needs: int | None = None
    search_failed: str = ""

    def __str__(self) -> str:
        gaps = {f"whole episodes, {discounted(self.discount)}": self.gap}
        if self.gap_training is not None:
            gaps[f"training, {discounted(self.training_discount)}"] = self.gap_training
        lines = [line for head, gap in gaps.items() for line in _lines(head, gap)]
        parts = self.dynamics_by_dimension
        rows = {f"  component {i}": term for i, term in enumerate(parts.dimensions)}
        if rows:
            rows["  remainder"] = parts.remainder
        lines += [_line(name, value) for name, value in rows.items()]
        bounds = [f"{rung.rung:37} {rung.value:>10.4g}  {rung.kind}" for rung in self.certificates]
        findings = [f"Finding: {finding.sentence}" for finding in self.findings]
        words = [self.verdict, self.explanation, self.verdict_training, self.explanation_training]
        words.append(self.next and f"Next: {self.next}")
        return "\n".join([*lines, *bounds, *findings, *filter(None, words)])


def discounted(discount: float) -> str:
    """How returns are added up, in words."""
    return "not discounted" if discount == 1 else f"discounted by {discount:g} a step"


def _lines(head: str, gap: Gap) -> list[str]:
    rows = {"real": gap.real, "predicted": gap.predicted, "gap": gap.total}
    rows |= {f"  {cause}": getattr(gap, cause) for cause in CAUSES}
    return [f"{head:37} {'mean':>10}  95% interval", *(_line(*row) for row in rows.items())]


def _line(name: str, value: Estimate) -> str:
    return f"{name:37} {value.mean:>10.4g}  [{value.low:.4g}, {value.high:.4g}]"
