"""In which states the gap arises: the audit's terms by region of the policy's visited states.

The steps of real episodes are split by the state in which they start, by k-means (Lloyd 1982;
starts as Arthur & Vassilvitskii 2007) on states divided by the task's scale. A step belongs to one
region, so the regions' terms sum to those of `attribution`, of which each is its steps' share:

    term_k = E_real Σ_t γ^t 1{s_t ∈ region k} term_t.

Signed contributions cancel; what a region costs is the sum of their sizes, `E_k = E_real Σ_t γ^t
1{s_t ∈ k} |dynamics_t + termination_t|`. To first order a step's size is `|λ_{t+1} · (f − f̂)|`
with λ the gradient of the imagined return to go: the one-step error in the unit of return.

With N_k the discounted visits, a region errs more than its share of them by `E S_k - R E N_k`, with
S_k the episode's sizes there, S and N those of all regions, and R = E S / E N estimated from the
same episodes. To first order in its error that is the mean over episodes of

    S_k - R N_k - (E N_k / E N) (S - R N),

which sums to 0 over the regions of an episode.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float
from scipy.cluster import vq

from paracosm.auditing.attribution import Terms, attribute
from paracosm.auditing.audit import check_episodes
from paracosm.auditing.averages import mean_without_range
from paracosm.auditing.one_step import predict_steps
from paracosm.auditing.subject import AuditSubject
from paracosm.core import checks
from paracosm.core.data import Trajectory, Transitions
from paracosm.core.mdp import MDP
from paracosm.core.policy import MarkovPolicy
from paracosm.core.precision import in_double
from paracosm.core.recordings import constant
from paracosm.core.records.regions import StateRegion, StateRegions
from paracosm.core.types import PRNGKey

MOST_REGIONS = 8  # rows that a table of advice can have and still be read
LEAST_STEPS = 30  # of a region: a mean of fewer says little of it
_ITERATIONS = 100  # of k-means, which has then settled
_EDGE = 1 + 1e-4  # of a radius: the same state may have been recorded in 32 bits and in 64
_ROUNDING = 1e-9  # of an error: beyond what a sum of 64-bit numbers is off by
_LEVEL = 0.95  # of the intervals of the excess, for all regions together


class Partition(NamedTuple):
    """Regions of states, the most visited first.

    `centers` `[region, state]` and `radii` `[region]`, the distance of the farthest visited state,
    are in states divided by `scale`; `visited` is the region of every visited state, `[row]`.
    """

    centers: Float[np.ndarray, "region state"]
    radii: Float[np.ndarray, " region"]
    scale: Float[np.ndarray, " state"]
    visited: np.ndarray

    def holding(self, states: Float[np.ndarray, "row state"]) -> np.ndarray:
        """The region of each state, `[row]`; -1 where it is farther from the nearest centre than
        any visited state of that region.
        """
        nearest, distance = vq.vq(np.asarray(states, np.float64) / self.scale, self.centers)
        inside = distance <= self.radii[nearest] * _EDGE
        return np.where(inside, nearest, -1)


def regions_of(
    world: MDP,
    policy: MarkovPolicy,
    episodes: Trajectory,
    bought: Transitions,
    key: PRNGKey,
    *,
    most_imagined_steps: float,
) -> StateRegions:
    """The audit's terms by region of the visited states, at the world's discount, in 64 bits.

    Args:
        world: The learned world.
        policy: What recorded the episodes by its mode.
        episodes: Real ones, `[episode, time, …]`.
        bought: The transitions that the world was learned from.
        key: Of the random subset of steps, and of the noise of stochastic worlds.
        most_imagined_steps: That the attribution may take, as for `attribute`.

    Raises:
        BadData: states of another size, episodes of another policy, too few steps for two regions.
    """
    check_episodes(world, episodes)
    with jax.enable_x64(True):
        played = in_double((world, policy.greedy(), jax.tree.map(np.asarray, episodes)))
        predictions = predict_steps(*played, key, as_played=policy.greedy())
        subject = AuditSubject(*played, predictions, key, (world.discount,))
        terms = attribute(subject, most_imagined_steps=most_imagined_steps)
    states = np.asarray(episodes.state)[np.asarray(episodes.alive)]
    parts = partition(states, np.asarray(world.spec.state_scale))
    regions = by_region(terms, episodes, parts, bought, discount=world.discount)
    return dataclasses.replace(regions, components=world.spec.components)


def partition(
    states: Float[np.ndarray, "row state"], scale: Float[np.ndarray, " state"]
) -> Partition:
    """At most 8 regions of the visited states, of 30 states each at least.

    k-means makes as many as there can be. Then the smallest joins its neighbours while it has fewer
    than 30 states. The same states give the same regions.

    Raises:
        BadData: fewer than two regions are left.
    """
    scale = np.asarray(scale, np.float64)
    scaled = np.asarray(states, np.float64) / scale
    distinct = len(np.unique(scaled, axis=0))
    for number in range(min(MOST_REGIONS, len(scaled) // LEAST_STEPS, distinct), 1, -1):
        with contextlib.suppress(vq.ClusterError):  # a region without a state
            start = _starts(scaled, number)
            centers, _ = vq.kmeans2(
                scaled, start, iter=_ITERATIONS, minit="matrix", missing="raise"
            )
            if len(centers := _large(scaled, centers)) > 1:
                return _measured(scaled, centers, scale)
    raise checks.BadData(
        f"the policy's {len(scaled)} recorded steps start in {distinct} different states, which do"
        f" not make two regions of {LEAST_STEPS} steps each; more or longer episodes are needed."
    )


def _large(states: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """The centres without those of small regions, by the number of their states."""
    while True:
        counts = np.bincount(vq.vq(states, centers)[0], minlength=len(centers))
        if counts.min() >= LEAST_STEPS:
            return centers[np.argsort(-counts, kind="stable")]
        centers = np.delete(centers, np.argmin(counts), axis=0)


def _starts(states: np.ndarray, number: int) -> np.ndarray:
    """Some of the states as first centres, each drawn by its squared distance from those before."""
    draws = np.random.default_rng(0)
    chosen = states[draws.integers(len(states), size=1)]
    squares = np.full(len(states), np.inf)
    while len(chosen) < number:
        squares = np.minimum(squares, np.sum((states - chosen[-1]) ** 2, axis=1))
        row = draws.choice(len(states), p=squares / squares.sum())
        chosen = np.concatenate([chosen, states[row, None]])
    return chosen


def _measured(states: np.ndarray, centers: np.ndarray, scale: np.ndarray) -> Partition:
    """The regions of these centres; states and centres are divided by `scale` already."""
    visited, distance = vq.vq(states, centers)
    radii = np.zeros(len(centers))
    np.maximum.at(radii, visited, distance)
    return Partition(centers, radii, scale, visited)


class _Visited(NamedTuple):
    """Sizes of errors, and discounted visits, `[episode]` each."""

    size: np.ndarray
    visits: np.ndarray

    def beyond_share(self, all_regions: _Visited) -> np.ndarray:
        """What a region's sizes have beyond its share of the visits, linearised, `[episode]`; zero
        where it is rounding.
        """
        ratio = all_regions.size.sum() / all_regions.visits.sum()
        share = self.visits.sum() / all_regions.visits.sum()
        expected = ratio * self.visits
        left = self.size - expected
        left = left - share * (all_regions.size - ratio * all_regions.visits)
        return np.where(np.abs(left) <= _ROUNDING * np.max(np.abs(expected)), 0.0, left)


def by_region(
    terms: Terms,
    episodes: Trajectory,
    parts: Partition,
    bought: Transitions,
    *,
    discount: float,
) -> StateRegions:
    """Terms, steps and transitions of each region.

    Args:
        terms: Of every step of the episodes, discounted.
        episodes: Real ones, `[episode, time, …]`.
        parts: Of the states in which their steps start, in their order.
        bought: The transitions that the world was learned from.
        discount: Of the terms.

    Raises:
        BadData: transitions of another size.
    """
    alive = np.asarray(episodes.alive)
    states = np.asarray(episodes.state, np.float64)[alive]
    starts = np.asarray(bought.state)
    checks.shape("the bought states", starts, (len(starts), states.shape[1]))
    region_of_bought = parts.holding(starts)
    region_of_step = np.full(alive.shape, -1)
    region_of_step[alive] = parts.visited
    size = np.abs(terms.dynamics + terms.termination)
    weights = alive * discount ** np.arange(alive.shape[1])
    all_regions = _Visited(size.sum(axis=1), weights.sum(axis=1))
    level = 1 - (1 - _LEVEL) / len(parts.centers)
    spread = states.std(axis=0)
    still = constant(states.mean(axis=0), spread)

    def state_region(number: int) -> StateRegion:
        """The row of the region of this number."""
        inside = region_of_step == number
        of_state = parts.visited == number
        center, rest = states[of_state].mean(axis=0), states[~of_state].mean(axis=0)
        # A component that never varies tells no region from another.
        contrast = np.where(still, 0.0, (center - rest) / np.where(still, 1.0, spread))

        def by_episode(column: np.ndarray) -> np.ndarray:
            return (column * inside).sum(axis=1)

        in_region = _Visited(by_episode(size), by_episode(weights))
        return StateRegion(
            center=tuple(center.tolist()),
            rest=tuple(rest.tolist()),
            contrast=tuple(contrast.tolist()),
            steps=int(inside.sum()),
            owned=int((region_of_bought == number).sum()),
            dynamics=mean_without_range(by_episode(terms.dynamics)),
            termination=mean_without_range(by_episode(terms.termination)),
            reward=mean_without_range(by_episode(terms.reward)),
            error=mean_without_range(in_region.size, bounds=(0.0, np.inf)),
            excess=mean_without_range(in_region.beyond_share(all_regions), level),
        )

    return StateRegions(
        regions=tuple(map(state_region, range(len(parts.centers)))),
        elsewhere=int((region_of_bought < 0).sum()),
        episodes=len(alive),
        discount=discount,
    )
