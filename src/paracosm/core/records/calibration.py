"""Whether the spread of an ensemble says how wrong its world is: frozen results, no JAX in here."""

from __future__ import annotations

import dataclasses
from typing import Literal

from paracosm.core.records.base import Estimate, Record

Spread = Literal["none", "members", "total", "drawn"]
Confidence = Literal["overconfident", "underconfident", "calibrated", "undetermined"]


@dataclasses.dataclass(frozen=True)
class Coverage(Record):
    """How much of the real next states lies in the predictive intervals, mean over episodes.

    `observed` holds a share for each of the `nominal` levels. `error` is the expected calibration
    error: the mean over levels of |observed - nominal|, between 0 and 0.5.
    """

    nominal: tuple[float, ...]
    observed: tuple[Estimate, ...]
    error: Estimate


@dataclasses.dataclass(frozen=True)
class ComponentCalibration(Record):
    """One component of the state: the share of its real next values in their 90% intervals, and its
    expected calibration error.
    """

    component: int
    coverage: Estimate
    error: Estimate


@dataclasses.dataclass(frozen=True)
class HorizonCalibration(Record):
    """Imagination of so many `steps` with the recorded actions, from recorded states.

    `coverage` (of 90% intervals) and `error` (expected calibration error) are None of a world
    without a spread. `model`, `no_change` (persistence) and `mean_state` are root mean square
    errors in scaled states; `lead` is the mean squared error of the better of the two simple
    guesses minus the model's, in squared scaled states: above 0 the model knows more.
    """

    steps: int
    coverage: Estimate | None
    error: Estimate | None
    model: Estimate
    no_change: Estimate
    mean_state: Estimate
    lead: Estimate


@dataclasses.dataclass(frozen=True)
class ReturnSpread(Record):
    """The spread of the imagined return over members, beside the gap.

    `members` holds the imagined return in each member's own world, from the same starts, of the
    same policy; `spread` is their standard deviation. `gap` is the real return minus that imagined
    in the audited world, at `discount`, and `ratio` the gap's size in spreads, of these members.
    `inside` says whether that is at most 2, None where its interval holds 2.
    """

    discount: float
    members: tuple[float, ...]
    spread: float
    gap: Estimate
    ratio: Estimate
    inside: bool | None


@dataclasses.dataclass(frozen=True)
class ActionUse(Record):
    """What the model's one-step error owes to the actions.

    `recorded` and `shuffled` are its root mean square errors in scaled states with the recorded
    actions and with actions from other steps, on the `steps` where these differ. `rise` is by which
    share the mean squared error of an episode rises, the geometric mean over episodes. `blind` says
    that it does not, or by less than a twentieth; None where its interval does not tell.
    """

    steps: int
    recorded: Estimate
    shuffled: Estimate
    rise: Estimate
    blind: bool | None


@dataclasses.dataclass(frozen=True)
class Calibration(Record):
    """Whether a world's predicted spread says how wrong its predictions are.

    `spread` says which was judged: `members` is that of their means alone (epistemic), `total` has
    the noise that the networks predict in it too, `drawn` is that of draws of a stochastic world,
    and of `none` there are only `horizons` and `actions`. `count` is the number of members, of
    draws for `drawn`. All intervals are over `episodes`.

    `coverage` is of one step, over the components that change; those that never do, or that are
    predicted without error and spread, are `left_out`. `factor` is how many times as wide the 90%
    intervals would have to be to hold 90%: above 1 the spread is overconfident. All `horizons` are
    from the same recorded states, `starts` of them (0: not recorded), of the episodes that are long
    enough for the longest. `returns` is None
    where members have no imagined returns of their own, `actions` where actions do not vary.
    `verdict` says it in words and is empty until they are made.
    """

    spread: Spread
    count: int
    episodes: int
    steps: int
    confidence: Confidence | None
    coverage: Coverage | None
    factor: Estimate | None
    components: tuple[ComponentCalibration, ...]
    left_out: tuple[int, ...]
    horizons: tuple[HorizonCalibration, ...]
    returns: ReturnSpread | None
    actions: ActionUse | None
    verdict: str = ""
    starts: int = 0

    @property
    def informed_steps(self) -> int:
        """The longest listed horizon up to which the model is clearly better than the simple
        guesses, 0 if there is none.
        """
        longest = 0
        for horizon in self.horizons:
            if horizon.lead.low <= 0:
                break
            longest = horizon.steps
        return longest
