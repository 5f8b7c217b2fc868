"""The verb `assisted_return`: few real episodes, many imagined ones, one mean."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Num

from paracosm.auditing.averages import return_limits
from paracosm.auditing.control_variate import assisted_mean, imagined_from
from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.keys import stage_key
from paracosm.core.mdp import MDP
from paracosm.core.policy import Policy
from paracosm.core.records import AssistedMean, Diagnosis, Estimate
from paracosm.loop.load import Run
from paracosm.real.source import Source
from paracosm.real.verbs import Environment, connect

# Far from the seeds of evaluations, which begin at 10,000; purchases draw theirs from all 2³²
FRESH_SEED = 2_000_000
STARTS = 500  # with 20 real episodes all but 4% of what endless ones would bring


def assisted_return(
    world: MDP,
    policy: Policy,
    env: Environment,
    episodes: Trajectory,
    *,
    starts: int = STARTS,
    first_seed: int = FRESH_SEED,
    discount: float = 1.0,
    level: float = 0.95,
    seed: int = 0,
    plain: Estimate | None = None,
    extra_rewards: Sequence[float] = (),
) -> AssistedMean:
    """The real return of a policy from few real episodes, with imagined ones as control variate.

    `mean_n(R − λ R̂) + λ mean_N(R̂)`: the n real episodes are imagined again from their own starts,
    and N fresh starts beside them. However wrong the world is, the mean is that of the real
    returns; where imagination follows them from start to start the interval is narrower. Fresh
    starts come from the environment's `reset`, which takes no real step. They are not those that
    were bought: the world was fitted to these, and imagines them better than others.

    Args:
        world: The learned world.
        policy: The policy; its greedy play recorded `episodes`.
        env: The real environment, as `connect` takes it, through the encoder that made the
            episodes' states if there is one.
        episodes: Real episodes of the policy, from `evaluate`.
        starts: N, how many fresh starts are imagined.
        first_seed: The first fresh start's seed; apart from those of `episodes` and of the
            purchase.
        discount: Of the returns, in [0, 1] a step.
        level: Of the intervals, two-sided.
        seed: Of the noise of a stochastic world.
        plain: The mean of the real returns with an interval that is known to hold, such as an
            audit's; that of their own spread if None, cut at what the rewards allow.
        extra_rewards: Rewards that were recorded beside those of the episodes, `[reward]`: returns
            may lie wherever all of these allow.

    Raises:
        BadArgument: `discount` or `level` is out of range, or the environment is none.
        BadData: the episodes' states are not of the environment's size, an extra reward is not
            finite, or the world leaves the finite numbers.
    """
    checks.in_unit_interval("discount", discount)
    checks.LEVEL.check("level", level)
    checks.finite("extra_rewards", extra_rewards)
    source = connect(env)
    _require_states_of(source, episodes)
    fresh = source.starts(starts, first_seed=first_seed)
    imagined, imagined_fresh = imagined_twice(
        world, policy, episodes, fresh, discount=discount, seed=seed
    )
    return assisted_mean(
        episodes.returns(discount),
        imagined,
        imagined_fresh,
        level=level,
        plain=plain,
        bounds=return_limits(episodes, extra_rewards, discount=discount),
    )


def imagined_twice(
    world: MDP,
    policy: Policy,
    episodes: Trajectory,
    fresh: Num[np.ndarray, "fresh state"],
    *,
    discount: float = 1.0,
    seed: int = 0,
) -> tuple[Float[np.ndarray, " episode"], Float[np.ndarray, " starts"]]:
    """Imagined returns from the starts of real episodes, and from fresh starts over as many steps
    as the real episodes were recorded for. Where these were cut at different steps, no fresh start
    is imagined: the two kinds of returns would not be alike.

    Args:
        world, policy, episodes, discount, seed: As for `assisted_return`.
        fresh: The fresh starts.
    """
    if np.ptp(episodes.horizons):
        fresh = fresh[:0]
    first = np.concatenate([np.asarray(episodes.state[:, 0], fresh.dtype), fresh])
    steps = np.concatenate([episodes.horizons, np.full(len(fresh), episodes.horizons[0])])
    key = stage_key(seed, "assist")
    returns = imagined_from(world, policy, first, steps, discount=discount, key=key)
    return returns[: len(episodes.alive)], returns[len(episodes.alive) :]


def _require_states_of(source: Source, episodes: Trajectory) -> None:
    """Require episodes whose states are of the environment's size."""
    checks.of_kind("episodes", episodes, Trajectory, "a Trajectory, which evaluate gives,")
    size = np.shape(episodes.state)[-1]
    if size != source.state_size:
        raise checks.BadData(
            f"the episodes' states have {size} components; those of {source.name} have"
            f" {source.state_size}."
        )


def assisted_diagnosis(
    run: Run, diagnosis: Diagnosis, episodes: Trajectory | None = None, first_seed: int = FRESH_SEED
) -> Diagnosis:
    """The diagnosis of a run with the assisted mean of its real return, where the run has one: the
    audit itself needs none.

    Args:
        run: The run.
        diagnosis: Of `episodes`.
        episodes: Real ones of the run's policy; the run's own if None.
        first_seed: Of the fresh starts.
    """
    assisted = assisted_return_of_run(
        run,
        episodes,
        first_seed=first_seed,
        discount=diagnosis.discount,
        plain=diagnosis.gap.real,
        extra_rewards=diagnosis.reference.reward if diagnosis.reference else (),
    )
    return diagnosis if assisted is None else dataclasses.replace(diagnosis, assisted=assisted)


def assisted_return_of_run(
    run: Run,
    episodes: Trajectory | None = None,
    *,
    discount: float,
    first_seed: int = FRESH_SEED,
    plain: Estimate | None = None,
    extra_rewards: Sequence[float] = (),
) -> AssistedMean | None:
    """The real return of a run's policy; None of a planner, each of whose imagined episodes is a
    search at every step, and where the environment cannot be had again.

    Args:
        run: The run.
        episodes: Real ones of the run's policy; the run's own if None.
        discount, first_seed, plain, extra_rewards: As for `assisted_return`.
    """
    if run.config.planner is not None:
        return None
    try:
        return assisted_return(
            run.world,
            run.policy,
            run.source(),
            run.episodes if episodes is None else episodes,
            first_seed=first_seed,
            discount=discount,
            seed=run.config.seed,
            plain=plain,
            extra_rewards=extra_rewards,
        )
    except checks.ParacosmError:  # not installed, not trusted, or imagination left the numbers
        return None
