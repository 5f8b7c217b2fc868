"""Was it the model, or the search? What other searches reach in the world that a policy was trained
in.

For any comparison policy π*, the regret of the audited policy π has three shares:

    J(π*) − J(π) = [J(π*) − Ĵ(π*)] + [Ĵ(π*) − Ĵ(π)] + [Ĵ(π) − J(π)]

what the model costs at π*, what the *search* left in imagination, and the gap of π with its sign
turned (imagined minus real here), which is all that an audit of π alone explains: a policy that
learned nothing in a perfect world has no gap. The middle
one is at most `max_π' Ĵ(π') − Ĵ(π)`, so that every other search in the same world bounds the
search's share from below: a planner, training that goes on, training from another seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.estimators import mean, most_equal
from paracosm.core.forms import require_shape
from paracosm.core.mdp import MDP, Discrete, not_drawn
from paracosm.core.policy import Policy
from paracosm.core.records import Estimate
from paracosm.core.records.search import Regret, SearchShare, SearchTrial
from paracosm.core.rollout import returns, rollout
from paracosm.core.types import PRNGKey

LEVEL = 0.95
# Of the larger imagined return: a search that is better by less is no reason to train again.
_WORTH = 0.05


class Candidate(NamedTuple):
    """A policy that another search came to.

    Attributes:
        policy: Its greedy play counts.
        steps: Of the world that one of its actions takes, that of the rollout included; more than
            1 of a planner.
        spent: Steps of the world that were taken before, to train it.
    """

    policy: Policy
    steps: int = 1
    spent: int = 0


def search_share(
    world: MDP,
    policy: Policy,
    candidates: Mapping[str, Candidate],
    starts: Float[np.ndarray, "start state"],
    *,
    horizon: int,
    discount: float,
    key: PRNGKey,
    gap: Estimate | None = None,
    real: MDP | None = None,
) -> SearchShare:
    """How much more than `policy` the best of other searches is worth in `world`, at least.

    All play the same starts by the same noise; the lower ends of all trials hold at once (95%,
    Bonferroni), so that the best may be chosen among them. A difference that is the same from all
    starts says nothing of others by its spread; its lower end then holds if no return is beyond
    those seen on both sides. Returns of several starts that are all one state are exact where
    neither the world nor the policy draws.

    Args:
        world: The learned world that the policy was trained in.
        policy: The audited policy; its greedy play counts.
        candidates: What other searches came to, by name.
        starts: First states, drawn as real episodes start.
        horizon: Steps of an episode.
        discount: Of the returns, in [0, 1].
        key: Of the noise of a stochastic world.
        gap: The audited gap of the policy, in the same returns, which the share is held against;
            0 if None.
        real: The real system, if it can be asked: gives the regret in its three shares.

    Raises:
        BadArgument: there is no candidate.
        BadData: a search cannot act in the world, or a return there is not finite.
    """
    if not candidates:
        raise checks.BadArgument("no other search is given; at least one is needed.")
    for name, candidate in candidates.items():
        _require_acts(world, candidate.policy, name)
    starting = _SearchStarts(np.asarray(starts, np.float32), horizon, discount, key)
    own = starting.returns(world, policy, "the policy")
    returns_of = {
        name: starting.returns(world, candidate.policy, name)
        for name, candidate in candidates.items()
    }
    level = 1 - (1 - LEVEL) / len(candidates)
    trials = tuple(
        SearchTrial(
            search=name,
            imagined=played.mean(),
            better_by=played.better_by(own, level),
            imagined_steps=candidates[name].spent + candidates[name].steps * len(starts) * horizon,
            alike=played.alike(own),
        )
        for name, played in returns_of.items()
    )
    best = max(trials, key=lambda trial: trial.better_by.low)
    least = max(best.better_by.low, 0.0)
    regret = None
    if real is not None:
        # By the mean: the comparison is with the best policy that is known. `best` goes by the
        # lower end, because it is the one that is claimed to be better.
        likely_best = max(trials, key=lambda trial: trial.better_by.mean).search
        regret = _regret(
            likely_best,
            real_own=starting.returns(real, policy, "the policy"),
            real_other=starting.returns(real, candidates[likely_best].policy, likely_best),
            imagined_own=own,
            imagined_other=returns_of[likely_best],
            level=level,
        )
    return SearchShare(
        discount=discount,
        horizon=horizon,
        starts=len(starts),
        level=LEVEL,
        imagined=own.mean(),
        trials=trials,
        least=least,
        best=best.search if least > 0 else None,
        leads=_leads(least, own.mean(), best.imagined, gap),
        regret=regret,
    )


class _SearchStarts(NamedTuple):
    """What all rollouts have in common."""

    starts: np.ndarray
    horizon: int
    discount: float
    key: PRNGKey

    def returns(self, world: MDP, policy: Policy, name: str) -> _Returns:
        """Returns of the greedy play from each start.

        Args:
            world, policy: What is played.
            name: Of the policy, for an error.

        Raises:
            BadData: one is not finite.
        """
        keys = jax.random.split(self.key, len(self.starts))
        world, policy = world.replace(initial=not_drawn), policy.greedy()
        played = rollout(world, policy, jnp.asarray(self.starts), keys, self.horizon)
        values = np.asarray(returns(played.reward, self.discount), np.float64)
        if not np.isfinite(values).all():
            raise checks.BadData(
                f"a return of {name} in the learned world is {values[~np.isfinite(values)][0]}; a"
                " search needs a world that stays finite wherever it goes."
            )
        one_start = len(self.starts) > 1 and bool((self.starts == self.starts[0]).all())
        return _Returns(values, exact=one_start and not _draws(world, policy, self.starts[0]))


class _Returns(NamedTuple):
    """Returns of one policy.

    Attributes:
        values: `[start]`.
        exact: Whether all starts are one, as an environment may have it, and nothing is drawn.
    """

    values: Float[np.ndarray, " start"]
    exact: bool

    def mean(self, level: float = LEVEL, bounds: tuple[float, float] | None = None) -> Estimate:
        """The mean over starts.

        Args:
            level: Of the interval.
            bounds: Of the returns, if there are any.
        """
        if self.exact and len(set(self.values)) == 1:
            bounds = float(self.values[0]), float(self.values[0])
        return mean(self.values, level, bounds)

    def better_by(self, other: _Returns, level: float) -> Estimate:
        """The mean of the differences to the returns of another policy. Where it is the same from
        all starts it is taken to be able to be what returns between the least and the largest seen
        allow.
        """
        span = float(np.ptp([self.values, other.values]))
        bounds = (-span, span) if self.alike(other) else None
        difference = _Returns(self.values - other.values, self.exact and other.exact)
        return difference.mean(level, bounds)

    def alike(self, other: _Returns) -> bool:
        """Whether the difference is the same from all starts, while the returns are not all one
        number.
        """
        differences, span = self.values - other.values, np.ptp([self.values, other.values])
        return most_equal(differences) == len(differences) and bool(span > 0)


def _draws(world: MDP, policy: Policy, state: np.ndarray) -> bool:
    """Whether a step of the policy, or of the world, makes use of its key.

    One that draws a rare event cannot be told by its returns.
    """
    start, key = jnp.asarray(state), jax.random.key(0)
    carry = policy.initial()
    action, _ = policy.act(carry, start, key)
    return _uses_its_input(lambda key: policy.act(carry, start, key), key) or _uses_its_input(
        lambda key: world.dynamics(start, action, key), key
    )


def _uses_its_input(function: Callable[[PRNGKey], Any], key: PRNGKey) -> bool:
    """Whether a traced function hands its only input to any operation."""
    traced = jax.make_jaxpr(function)(key).jaxpr
    return any(traced.invars[0] is operand for step in traced.eqns for operand in step.invars)


def _regret(
    name: str,
    *,
    real_own: _Returns,
    real_other: _Returns,
    imagined_own: _Returns,
    imagined_other: _Returns,
    level: float,
) -> Regret:
    """The three shares, start by start.

    Args:
        name: Of the comparison.
        real_own, real_other: Real returns of the audited policy and of the comparison.
        imagined_own, imagined_other: Their imagined returns.
        level: Of the intervals: the comparison was chosen among all candidates.
    """
    return Regret(
        comparison=name,
        model=real_other.better_by(imagined_other, level),
        search=imagined_other.better_by(imagined_own, level),
        gap=imagined_own.better_by(real_own, level),
        total=real_other.better_by(real_own, level),
    )


def _leads(least: float, own: Estimate, best: Estimate, gap: Estimate | None) -> bool:
    """Whether the search's share is larger than the gap can be, and worth a word.

    Args:
        least: Its lower bound.
        own, best: Imagined returns of the policy and of the best search.
        gap: Of the policy.
    """
    of_gap = 0.0 if gap is None else max(abs(gap.low), abs(gap.high))
    return least > of_gap and least > _WORTH * max(abs(own.mean), abs(best.mean))


def _require_acts(world: MDP, policy: Policy, name: str) -> None:
    """Refuse a policy that gives the world no action of its kind.

    Raises:
        BadData: it gives none; the sentence says the `name` of the policy.
    """
    space, state = world.spec.action, jnp.zeros(world.spec.state_size)
    needed = () if isinstance(space, Discrete) else (space.size,)
    greedy = policy.greedy()
    require_shape(
        f"the action of {name}",
        lambda: greedy.act(greedy.initial(), state, jax.random.key(0))[0],
        needed,
    )
