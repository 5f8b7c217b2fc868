"""Other searches in the world of a run: planners, training that goes on, training from another
seed.

Budget, in imagined steps: searches that train share at most half of it (`training_budget`); the
rest is for playing every search from the same starts (`affordable_starts`), at least `_FEWEST` of
them.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Iterable, Mapping

import numpy as np

from paracosm.auditing.search import Candidate, search_share
from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.keys import later_seed, stage_key
from paracosm.core.learned import Learned
from paracosm.core.learner import Learner
from paracosm.core.mdp import MDP
from paracosm.core.policy import Policy, StochasticPolicy
from paracosm.core.records import Diagnosis, Training
from paracosm.core.records.search import SearchShare
from paracosm.imagination.caution import Caution
from paracosm.imagination.imagine import Imagined, imagine
from paracosm.imagination.planners import Planner
from paracosm.imagination.reinforce import REINFORCE
from paracosm.imagination.settings import ImagineSettings
from paracosm.loop.short_rounds import learner_state

# Imagined steps: some seconds of a trained policy, four starts of a planner over a thousand steps
MOST_STEPS = 12_000_000
_FEWEST = 4  # starts: of fewer a difference has no interval
_OVER = 1.1  # of the budget: trainings that took more were not given by it


class SearchFailed(checks.BadData):
    """The world cannot be searched; what the audit itself found stands.

    Attributes:
        diagnosis: That, with its texts, where an audit was done.
    """

    diagnosis: Diagnosis | None = None


def share_of(
    world: MDP,
    policy: Policy,
    searches: Mapping[str, Policy | Candidate],
    starts: np.ndarray,
    diagnosis: Diagnosis,
    *,
    seed: int,
    most_steps: float = MOST_STEPS,
) -> SearchShare:
    """What other searches reach in `world`, held against the gap of a diagnosis.

    Args:
        world: The world that the policy was trained in.
        policy: The audited policy.
        searches: Policies of other searches by name, or candidates that say what they cost.
        starts: First states of real episodes, `[start, state]`; as many are used as the budget
            allows.
        diagnosis: Of the policy, which says discount, horizon and gap.
        seed: Of the noise of a stochastic world.
        most_steps: What the searches may cost together, in imagined steps.

    Raises:
        BadArgument: too few starts would be within the budget, or as `search_share` raises it.
        SearchFailed: where `search_share` raises BadData.
    """
    number = starts_within(policy, searches, diagnosis.horizon, most_steps)
    try:
        share = search_share(
            world,
            policy,
            {name: as_candidate(search) for name, search in searches.items()},
            starts[:number],
            horizon=diagnosis.horizon,
            discount=diagnosis.discount,
            key=stage_key(seed, "search"),
            gap=diagnosis.gap.total,
        )
    except checks.BadData as error:
        raise SearchFailed(str(error)) from error
    return share if diagnosis.valid else dataclasses.replace(share, leads=False)


def starts_within(
    policy: Policy, searches: Mapping[str, Policy | Candidate], horizon: int, most_steps: float
) -> int:
    """The number of starts from which the policy and the searches can be played.

    Args:
        policy, searches, most_steps: As for `share_of`.
        horizon: Steps of an episode.

    Raises:
        BadArgument: the number would be too small.
    """
    candidates = map(as_candidate, (policy, *searches.values()))
    number = affordable_starts(candidates, horizon, most_steps)
    if not number:
        raise checks.BadArgument(
            f"the searches {', '.join(searches)} cost more imagined steps than the"
            f" {most_steps:,.0f} that are allowed, of {_FEWEST} starts and {horizon:,}"
            " steps each; a larger budget, or fewer searches, are needed."
        )
    return number


def training_budget(
    policy: Policy, searches: Mapping[str, Candidate | None], horizon: int, most_steps: float
) -> float:
    """What each search that has yet to be trained may cost, in imagined steps: half of the budget
    for all of them, or less where playing from the fewest starts takes more than the other half.

    Args:
        policy, horizon, most_steps: As for `starts_within`.
        searches: By name; None where it has yet to be trained, at least one.

    Raises:
        BadArgument: all could be played from too few starts, even if training cost nothing.
    """
    # One that is trained later costs one step an action, as any policy that is no planner; `policy`
    # holds its place.
    played = {name: search or Candidate(policy) for name, search in searches.items()}
    starts_within(policy, played, horizon, most_steps)
    fewest = fewest_steps([as_candidate(policy), *played.values()], horizon)
    trained = sum(search is None for search in searches.values())
    return min(most_steps / 2, most_steps - fewest) / trained


def affordable_starts(candidates: Iterable[Candidate], horizon: int, most_steps: float) -> int:
    """The number of starts from which all candidates, the audited policy one of them, can be
    played; 0 where it would be too few.

    What training has spent leaves fewer of them, but the fewest all the same where it is over the
    budget by little: its rollouts may have been longer than was foreseen.
    """
    candidates = tuple(candidates)
    spent = sum(candidate.spent for candidate in candidates)
    each_start = max(1, horizon) * sum(candidate.steps for candidate in candidates)
    if math.isinf(most_steps):
        return sys.maxsize
    if most_steps < fewest_steps(candidates, horizon) or spent > _OVER * most_steps:
        return 0
    return max(_FEWEST, int((most_steps - spent) // each_start))


def fewest_steps(candidates: Iterable[Candidate], horizon: int) -> int:
    """Imagined steps that playing all candidates from the fewest starts takes."""
    return _FEWEST * max(1, horizon) * sum(candidate.steps for candidate in candidates)


def as_candidate(search: Policy | Candidate) -> Candidate:
    """A policy with what each of its actions costs."""
    if isinstance(search, Candidate):
        return search
    return Candidate(search, search.imagined_steps + 1 if isinstance(search, Planner) else 1)


def trained_again(
    learned: Learned,
    data: Dataset,
    before: Imagined | None,
    trained: Training,
    *,
    learner: Learner | None,
    caution: Caution,
    settings: ImagineSettings,
    seed: int,
    most_steps: float = math.inf,
) -> Candidate:
    """The policy that training comes to from where it stopped, or anew from another seed.

    Args:
        learned, data: The world, and what it was learned from.
        before: The training that goes on; one anew if None.
        trained: How the training of the policy went.
        learner: What trains, REINFORCE if None.
        caution: What the world of training is made with.
        settings: Those of the training before; this one stops earlier where its budget is spent.
        seed: Of the training before; this one draws other numbers.
        most_steps: What training may cost, in imagined steps, by what a step of `trained` cost.

    Raises:
        BadArgument: `most_steps` is less than the training between two evaluations costs.
    """
    steps = settings.most_steps
    step_cost = trained.imagined_steps / max(trained.step[-1], 1)
    if math.isfinite(most_steps):
        steps = min(steps, int(most_steps // step_cost))
    if steps < settings.check:
        raise checks.BadArgument(
            f"a step of training costs {step_cost:,.0f} imagined steps;"
            f" {settings.check * step_cost:,.0f} at least are needed, and {most_steps:,.0f} are"
            " allowed."
        )
    settings = dataclasses.replace(settings, most_steps=steps)
    state = None if before is None else learner_state(before)
    policy = None if before is None or state is not None else before.policy
    policy = policy if isinstance(policy, StochasticPolicy) else None
    if policy is not None and isinstance(learner, REINFORCE):
        learner, policy = dataclasses.replace(learner, first_policy=policy), None
    result = imagine(
        learned,
        data,
        learner=learner,
        seed=later_seed(seed, 1),
        state=state,
        keep="best",
        policy=policy,
        caution=caution,
        settings=settings,
    )
    return Candidate(result.policy, 1, result.training.imagined_steps)
