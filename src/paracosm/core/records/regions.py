"""Frozen records of where a policy's gap comes from in the space of states, and where to buy."""

from __future__ import annotations

import dataclasses

from paracosm.core.records.base import Estimate, Record


@dataclasses.dataclass(frozen=True)
class StateRegion(Record):
    """The visited states that are nearer to one centre than to the other regions' centres.

    `center` is their mean and `rest` the mean of the visited states outside, `[state]` both, in the
    environment's units; `contrast` is their difference in standard deviations of all visited
    states. `steps` of the policy's recorded steps start in the region, `owned` of the transitions
    that the world was learned from: those no farther from the centre than a visited state is.

    By episode, discounted: `dynamics`, `termination` and `reward` are the region's share of the
    audit's terms, in return. `error` is the sum of the sizes of its steps' contributions to
    dynamics and termination together, which transitions can lower, and `excess` how much of it lies
    above the region's share of the steps, discounted as it is. The intervals of the excess hold for
    all regions together.
    """

    center: tuple[float, ...]
    rest: tuple[float, ...]
    contrast: tuple[float, ...]
    steps: int
    owned: int
    dynamics: Estimate
    termination: Estimate
    reward: Estimate
    error: Estimate
    excess: Estimate


@dataclasses.dataclass(frozen=True)
class StateRegions(Record):
    """The states that a policy visits in `episodes` real episodes, in two or more regions, the most
    visited first.

    `components` names the components of a state, and is empty where they have no names.
    `elsewhere` of the transitions that the world was learned from start in none. Terms are at
    `discount` and sum over the regions to the audit's.
    """

    regions: tuple[StateRegion, ...]
    elsewhere: int
    episodes: int
    discount: float
    components: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Placement(Record):
    """How many of the next `transitions` to buy from each region of states: the `shares`.

    With errors that fall as `n^-exponent` in each region above the floor of the dynamics' curve,
    `predicted` is the sum of the regions' errors `now`, and after buying by these shares
    (`regions`) or by those of the policy's visits (`visits`), in return.
    """

    regions: StateRegions
    transitions: int
    exponent: float
    shares: tuple[float, ...]
    predicted: dict[str, float]
