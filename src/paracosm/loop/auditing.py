"""The verb `audit`: the diagnosis of one policy in one world, with its texts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypedDict

import numpy as np

from paracosm.adapters import LatentModel, Recurrent
from paracosm.adapters.parts import ForeignPolicy, HostPart
from paracosm.auditing.attribution import MOST_IMAGINED_STEPS
from paracosm.auditing.audit import diagnose
from paracosm.auditing.calibration import calibration_of
from paracosm.auditing.next_step import next_step
from paracosm.auditing.search import Candidate
from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.layers import Unreadable, layers_of
from paracosm.core.learned import Learned
from paracosm.core.mdp import MDP, Spec
from paracosm.core.policy import MarkovPolicy, Policy, StochasticPolicy
from paracosm.core.predicted import PredictedReturn
from paracosm.core.records import Calibration, Diagnosis, PartFit, Reference
from paracosm.core.types import Action, Scalar, State
from paracosm.imagination.imagine import Imagined
from paracosm.loop.searching import MOST_STEPS, SearchFailed, share_of, starts_within
from paracosm.reporting import calibration_words, diagnosis_words, next_words


class AuditOptions(TypedDict, total=False):
    """The options that an audit of anything takes, as `audit` has them."""

    discount: float
    most_imagined_steps: float
    certify: bool | None
    dimensions: bool
    most_search_steps: float


# Each step of a planner is a search of some thousand steps of the world: these are minutes.
# Derivatives of a search are not worth their time.
PLANNER_AUDIT_DEFAULTS: AuditOptions = {"most_imagined_steps": 5_000, "dimensions": False}


def planner_audit_length(episodes: Trajectory, options: AuditOptions, seconds: float) -> str:
    """How long an audit of a planner takes beside the evaluation that recorded `episodes`: it plans
    at every real step and at the imagined step after it, at every step of an imagined episode from
    each start, and at every imagined step of the terms.

    Args:
        episodes: Real ones of the planner.
        options: Of the audit.
        seconds: How long the evaluation took.
    """
    real, steps = int(np.sum(episodes.alive)), episodes.alive.shape[1]
    terms = min({**PLANNER_AUDIT_DEFAULTS, **options}["most_imagined_steps"], real * steps / 2)
    times = 3 + terms / real
    return f"about {times:.0f} evaluations long, or {max(1, round(times * seconds / 60))} min"


def audit(
    world: MDP,
    policy: Policy,
    episodes: Trajectory,
    imagined: Imagined | PredictedReturn | None = None,
    *,
    discount: float = 1.0,
    known: Reference | None = None,
    seed: int = 0,
    most_imagined_steps: float = MOST_IMAGINED_STEPS,
    sampled: bool = False,
    recorded_by: StochasticPolicy | None = None,
    reward: Callable[[State, Action, State], Scalar] | None = None,
    certify: bool | None = None,
    dimensions: bool = True,
    searches: Mapping[str, Policy | Candidate] | None = None,
    most_search_steps: float = MOST_STEPS,
) -> Diagnosis:
    """Explain the gap between the real and the imagined return of `policy`, and what training
    believed beside it.

    The gap is that of whole episodes, not discounted unless `discount` says so; the gap at the
    training discount, that of `world`, stands beside it. Everything but the searches, which are
    played in 32 bits, is computed in 64 bits on a copy of the world, from the recorded states and
    actions.

    Args:
        world: The learned world, deterministic or stochastic; somebody's modules and functions
            become one by `paracosm.foreign.world`.
        policy: The policy; its greedy play (the mode of a Markov policy) recorded `episodes`. One
            that carries something is audited on pairs of state and carry, without bounds.
            Somebody's becomes one by `paracosm.foreign.policy`.
        episodes: Real episodes of the policy, from `evaluate`.
        imagined: How the policy was trained, as `imagine` gives it, or the return that training
            predicted. Without it training is taken to have believed the imagined return of the full
            episode.
        discount: The reporting discount, in [0, 1] a step: of the gap that is explained.
        known: What the bought data say, before any evaluated episode, from `reference`: the
            policy's return is held against that of random actions, imagined returns against the
            recorded rewards.
        seed: For sampled actions, the noise of a stochastic world and the random subset of steps.
        most_imagined_steps: Every step is audited up to this cost, in imagined steps; beyond, a
            random subset, reweighted. The split by state dimension may cost in proportion;
            `math.inf` audits and splits every step.
        sampled: Samples of the policy recorded the episodes, and are audited, instead of its mode.
        recorded_by: Samples of this policy recorded the episodes; they are reweighted to stand for
            samples of `policy`.
        reward: The real reward function `(s, a, s') -> r`, if it is known at imagined states: gives
            the terms in both orders.
        certify: Whether to bound the gap too, which takes the longest. None bounds it unless a part
            is a foreign function whose layers are not known: nothing could be proven of it.
        dimensions: Whether to ask the parts for derivatives: which state components make the
            dynamics term, and what a unit of error costs.
        searches: What other searches came to in the world that the policy was trained in, by name:
            planners in it, policies that were trained longer or from another seed. They bound from
            below what the policy's own search left there, which no gap shows.
        most_search_steps: What playing them there may cost, in imagined steps; fewer starts are
            taken where it would be more.

    Raises:
        BadArgument: a world that is no `MDP`, a policy that is no `Policy`; off-policy episodes for
            a policy without a density; searches that cannot be played within their budget.
        BadData: episodes of no steps, of another state size than the world's, of rewards that are
            not finite or of other actions than the policy's mode; a world that gives states or
            rewards that are not finite; off-policy episodes that are worth too few of the policy's
            own.
        SearchFailed: a search fails; its `diagnosis` is what was found without it.
    """
    _check_kinds(world, policy, episodes, imagined)
    check_budgets(most_imagined_steps=most_imagined_steps, most_search_steps=most_search_steps)
    if searches:
        _check_searches(searches, sampled=sampled or recorded_by is not None)
        starts_within(policy, searches, episodes.alive.shape[1], most_search_steps)
    unknown = () if certify is not None else _parts_of_unknown_layers(world, policy)
    prediction = imagined.prediction if isinstance(imagined, Imagined) else imagined
    diagnosis = diagnose(
        world,
        policy,
        episodes,
        prediction,
        discount=discount,
        reference=known,
        seed=seed,
        most_imagined_steps=most_imagined_steps,
        sampled=sampled,
        recorded_by=recorded_by,
        reward=reward,
        certify=not unknown if certify is None else certify,
        dimensions=dimensions,
    )
    if searches:
        try:
            share = share_of(
                world if prediction is None else prediction.trained_in,
                policy,
                searches,
                np.asarray(episodes.state)[:, 0],
                diagnosis,
                seed=seed,
                most_steps=most_search_steps,
            )
        except SearchFailed as error:
            error.diagnosis = _with_texts(diagnosis, unknown)
            raise
        diagnosis = dataclasses.replace(diagnosis, search=share)
    return _with_texts(diagnosis, unknown)


def _with_texts(diagnosis: Diagnosis, unknown: tuple[str, ...]) -> Diagnosis:
    """The diagnosis with its texts; the layers of the `unknown` parts are not known."""
    worded = with_next_step(diagnosis_words.with_sentences(diagnosis))
    if not unknown:
        return worded
    return diagnosis_words.with_remarks(worded, remarks=(diagnosis_words.why_unbounded(unknown),))


def with_next_step(
    diagnosis: Diagnosis,
    fits: Mapping[str, PartFit] = MappingProxyType({}),
    policy: Policy | None = None,
) -> Diagnosis:
    """The diagnosis with what to do first, in place of what it said before, by itself and by how
    the parts were learned, as far as that is known.

    Args:
        diagnosis: The diagnosis.
        fits: How the parts of a run's world were learned; none of other worlds.
        policy: The run's; there is a plan for one of the state alone.
    """
    step = next_step(diagnosis, fits)
    if not isinstance(policy, MarkovPolicy):
        step = dataclasses.replace(step, planned=False)
    return next_words.with_sentence(diagnosis, step)


def check_budgets(**budgets: float) -> None:
    """Refuse budgets of imagined steps, by name, that are neither positive nor infinite."""
    for name, steps in budgets.items():
        if steps != math.inf:
            checks.positive(name, steps)


def _check_searches(searches: Mapping[str, Any], *, sampled: bool) -> None:
    if sampled:
        raise checks.BadArgument(
            "searches are given beside episodes of samples; they are held against the policy's"
            " mode, whose episodes are needed."
        )
    for name, search in searches.items():
        needed = "a Policy, such as a planner, or a Candidate,"
        checks.of_kind(f"searches[{name!r}]", search, (Policy, Candidate), needed)


def calibrate(
    world: MDP | Learned,
    policy: Policy,
    episodes: Trajectory,
    *,
    discount: float = 1.0,
    seed: int = 0,
) -> Calibration:
    """Judge whether the spread that `world` predicts says how wrong it is, on real `episodes`.

    Of dynamics that have `members` or `moments`, or that draw their next state: how much of the
    real next states lies in their predictive intervals, one step ahead and, with the recorded
    actions, many; and the spread of the imagined return over members beside the gap. Of all: how
    far ahead the world is better than simple guesses, and whether it heeds actions. Intervals are
    over episodes.

    Args:
        world: The learned world, or what `learn` gives.
        policy: The policy that recorded `episodes`; only one of the state alone has a spread of its
            imagined return, which its mode plays.
        episodes: Real episodes, from `evaluate`.
        discount: Of the returns, in [0, 1] a step.
        seed: Of the noise of members, of draws and of the shuffled actions.

    Raises:
        BadArgument: a world that is no `MDP`, a policy that is no `Policy`.
        BadData: episodes of no steps, of another state size than the world's or of numbers that are
            not finite; a world that gives such numbers.
    """
    world = world.world if isinstance(world, Learned) else world
    _check_kinds(world, policy, episodes, None)
    record = calibration_of(world, policy, episodes, discount=discount, seed=seed)
    return calibration_words.with_sentences(record)


def _parts_of_unknown_layers(world: MDP, policy: Policy) -> tuple[str, ...]:
    """Names of the foreign parts that say nothing of their layers."""
    parts = {"dynamics": world.dynamics, "reward": world.reward, "policy": policy}
    return tuple(
        name
        for name, part in parts.items()
        if isinstance(part, (HostPart, ForeignPolicy)) and not _readable(part, world.spec)
    )


def _readable(part: Any, spec: Spec) -> bool:
    try:
        layers_of(part, spec)
    except Unreadable:
        return False
    return True


def _check_kinds(world: Any, policy: Any, episodes: Any, imagined: Any) -> None:
    """Require arguments of the kinds that an audit takes.

    Args:
        world, policy, episodes, imagined: As for `audit`.

    Raises:
        BadArgument: an argument is of another kind.
    """
    if isinstance(world, (LatentModel, Recurrent)):
        recurrent = isinstance(world, Recurrent)
        kind, place = ("recurrent", "memory") if recurrent else ("latent", "latent space")
        raise checks.BadArgument(
            f"the world is a {kind} model, which is audited in its {place}: inside ="
            " world.on(episodes) gives the inside.world, inside.policy and inside.episodes to"
            " audit."
        )
    if not isinstance(world, MDP):
        raise checks.BadArgument(
            f"the world is a {type(world).__name__}; an MDP is needed: paracosm.foreign.world(…)"
            " makes one of PyTorch modules and plain functions, paracosm.foreign.latent(…) is for a"
            " latent model."
        )
    if not isinstance(policy, Policy):
        raise checks.BadArgument(
            f"the policy is a {type(policy).__name__}; a paracosm Policy is needed:"
            " paracosm.foreign.policy(…) makes one of a PyTorch module, a plain function or a"
            " Stable-Baselines3 model."
        )
    checks.of_kind(
        "episodes", episodes, Trajectory, "a Trajectory of real episodes, which evaluate gives,"
    )
    if imagined is not None:
        needed = "an Imagined, which imagine gives, a PredictedReturn, or None,"
        checks.of_kind("imagined", imagined, (Imagined, PredictedReturn), needed)
