"""Whether a new policy is better than an old one in the real world, and how sure that is."""

from __future__ import annotations

import dataclasses
import enum

from paracosm.core.records.assisted import AssistedMean
from paracosm.core.records.base import Estimate, Record
from paracosm.core.records.diagnosis import Kind


class DeploymentVerdict(enum.StrEnum):
    """What may be said of `J(new) − J(old)`, of all starts of the task."""

    CERTIFIED = "certified"
    ESTIMATED = "estimated"
    NOT_YET = "not yet"
    WORSE = "worse"


@dataclasses.dataclass(frozen=True)
class BoundedDifference(Record):
    """`J(new) − J(old)` between `Ĵ(new) − Ĵ(old) ∓ (gap(new) + gap(old))`.

    Each policy is imagined in its own world, and `old_gap` and `new_gap` bound how far the
    imagined returns are off, by the rungs `old_rung` and `new_rung` of the two ladders. `low` and
    `high` are of the mean over the recorded starts, for sure where `kind` is `certificate`.
    `over_starts` are the ends for the mean over all starts of the task, `(low, high)`: the sampling
    error of the recorded starts at the level of the deployment is added. It is empty where the
    bounds of single episodes are not known or not finite.
    """

    kind: Kind
    old_rung: str
    new_rung: str
    imagined: float
    old_gap: float
    new_gap: float
    low: float
    high: float
    over_starts: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class NextEpisode(Record):
    """What the difference in the next paired episode is at least, whatever its distribution.

    Of `pairs` differences that are exchangeable with the next one, that is at least the
    `rank`-th smallest, `low`, with probability `probability = 1 − rank / (pairs + 1)` or more.
    `least` is the fewest pairs of which one can be named at the level of the deployment.
    """

    low: float
    probability: float
    rank: int
    pairs: int
    least: int


@dataclasses.dataclass(frozen=True)
class Deployment(Record):
    """`J(new) − J(old)` in four forms, and what they come to.

    `old` and `new` name the runs, `old_return` and `new_return` are their real returns over the
    same `pairs` episodes, not discounted; `paired` says whether these began in the same states; of
    a run with an encoder that is taken for granted, since beliefs of one state may differ.
    `certified` is the difference by the lowest proven rung of either ladder, none where one has no
    proven rung; `bounds` holds the difference by every rung that both have. `episodes` is the mean
    difference of the paired real episodes, with imagination's help where it helps; `next_episode`
    needs no mean. Intervals are at `level`, two-sided.

    `verdict` is of the mean over all starts of the task and rests on the form named in `basis`: a
    rung, `certificate` or `episodes`, empty if on none. `further` is how many more paired real
    episodes would settle the sign with a chance of four in five, were the difference and the
    spread those seen; none where no number of up to a million would, 0 where it is settled.
    `bounded` says whether bounds on the gaps were wanted.
    """

    env: str
    old: str
    new: str
    level: float
    pairs: int
    paired: bool
    old_return: Estimate
    new_return: Estimate
    certified: BoundedDifference | None
    bounds: tuple[BoundedDifference, ...]
    episodes: AssistedMean
    next_episode: NextEpisode
    verdict: DeploymentVerdict
    basis: str
    further: int | None
    bounded: bool = True
