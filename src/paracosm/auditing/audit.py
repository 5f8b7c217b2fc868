"""The audit: real and imagined return of one policy from the same states, and the gap explained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from paracosm.auditing.attribution import MOST_IMAGINED_STEPS, roll, terms_of
from paracosm.auditing.averages import averages
from paracosm.auditing.bounds import UNBOUNDED, bounds
from paracosm.auditing.diagnosis import Measured, diagnosis_of
from paracosm.auditing.dimensions import MOST_GRADIENT_STEPS, by_dimension
from paracosm.auditing.draws import Audited, Drawn, draw
from paracosm.auditing.imagined_returns import imagined_returns
from paracosm.auditing.importance import importance
from paracosm.auditing.linter import lint
from paracosm.auditing.one_step import predict_steps
from paracosm.auditing.pairing import paired
from paracosm.auditing.plausibility import plausibility
from paracosm.auditing.sensitivities import weights
from paracosm.auditing.shapley import shapley_values
from paracosm.core import callbacks, checks
from paracosm.core.data import Trajectory
from paracosm.core.forms import demand_shape
from paracosm.core.keys import stage_key
from paracosm.core.mdp import MDP
from paracosm.core.policy import MarkovPolicy, Mode, Policy, StochasticPolicy
from paracosm.core.precision import in_double
from paracosm.core.predicted import PredictedReturn
from paracosm.core.records import Diagnosis, Imagination, Reference
from paracosm.core.types import Action, Scalar, State


def diagnose(
    world: MDP,
    policy: Policy,
    episodes: Trajectory,
    imagined: PredictedReturn | None = None,
    *,
    discount: float = 1.0,
    known: Reference | None = None,
    seed: int = 0,
    most_imagined_steps: float = MOST_IMAGINED_STEPS,
    sampled: bool = False,
    recorded_by: StochasticPolicy | None = None,
    reward: Callable[[State, Action, State], Scalar] | None = None,
    certify: bool = True,
) -> Diagnosis:
    """Explain the gap between the real and the imagined return of `policy`, and what training
    believed beside it.

    The gap is that of whole episodes, not discounted unless `discount` says so; the gap at the
    training discount, that of `world`, stands beside it. Everything is computed in 64 bits on a
    copy of the world, from the recorded states and actions.

    Args:
        world: The learned world, deterministic or stochastic; somebody's modules and functions
            become one by `paracosm.foreign.world`.
        policy: The policy; its greedy play (the mode of a Markov policy) recorded `episodes`. One
            that carries something is audited on pairs of state and carry, without bounds.
            Somebody's becomes one by `paracosm.foreign.policy`.
        episodes: Real episodes of the policy, from `evaluate`.
        imagined: What training believed, as `Imagined.prediction` gives it. Without it training is
            taken to have believed the imagined return of the full episode.
        discount: The reporting discount, in [0, 1]: of the gap that is explained.
        known: What the purchased data say without the policy, from `reference`: its return is held
            against that of random actions, imagined returns against the recorded rewards.
        seed: For sampled actions, the noise of a stochastic world and the random subset of steps.
        most_imagined_steps: Every step is audited up to this cost; beyond, a random subset,
            reweighted. The split by state dimension may cost in proportion; `math.inf` audits and
            splits every step.
        sampled: Samples of the policy recorded the episodes, and are audited, instead of its mode.
        recorded_by: Samples of this policy recorded the episodes; they are reweighted to stand for
            samples of `policy`.
        reward: The real reward function, if it can be asked at imagined states: gives the terms in
            both orders.
        certify: Whether to bound the gap too, which takes the longest.

    Raises:
        BadArgument: a world that is no `MDP`, a policy that is no `Policy`; off-policy episodes for
            a policy without a density.
        BadData: episodes of no steps, of another state size than the world's, of rewards that are
            not finite or of other actions than the policy's mode; a world that gives states or
            rewards that are not finite; off-policy episodes that are worth too few of the policy's
            own.
    """
    checks.seed("seed", seed)
    checks.in_unit_interval("discount", discount)
    episodes = jax.tree.map(np.asarray, episodes)
    _check(world, episodes)
    pairs, of_states = None, in_double((world, episodes))
    if not isinstance(policy, MarkovPolicy):
        pairs = paired(world, policy, episodes, sampled=sampled or recorded_by is not None)
        world, policy, episodes = pairs.world, pairs.policy, pairs.episodes
        imagined = None if imagined is None else pairs.prediction(imagined)
    as_played, episodes = policy, in_double(episodes)
    key = stage_key(seed, "audit")
    with jax.enable_x64(True), callbacks.as_raised():
        world, policy, imagined, recorded_by = in_double((world, policy, imagined, recorded_by))
        _check_parts(world, policy, episodes)
        worth = (
            None
            if recorded_by is None
            else importance(_dense(policy), recorded_by, episodes, discount)
        )
        weighted = None if worth is None else worth.weights
        mode = not (sampled or worth)
        played = Mode(policy) if mode else policy
        asked = predict_steps(world, played, episodes, key, mode=mode, as_played=as_played)
        dreams = imagined_returns(
            world, policy, imagined, episodes, discount=discount, key=key, mode=mode
        )
        rollouts = roll(
            world,
            played,
            episodes,
            asked,
            discounts=(discount, world.discount),
            key=key,
            most_imagined_steps=most_imagined_steps,
            importance=weighted,
        )
        noisy = not mode or bool(asked.noisy.any())
        drawn = Drawn(terms_of(episodes, asked, rollouts), dreams, 1, {}, capped=False)
        if noisy and worth is None:
            audited = Audited(world, played, imagined, episodes, asked, rollouts.discounts, mode)
            drawn = draw(
                audited, rollouts, dreams, most_imagined_steps=most_imagined_steps, key=key
            )
        dreams, (terms, terms_training) = drawn.imagined, drawn.terms
        reported = world.replace(discount=discount)
        orders = None
        if reward is not None:
            average = averages(
                world,
                episodes,
                asked,
                dreams.episodes,
                discount=discount,
                reweighted=worth is not None,
            )
            orders = shapley_values(
                reported, played, episodes, terms, dreams, reward=reward, average=average, key=key
            )
        most = MOST_GRADIENT_STEPS * most_imagined_steps / MOST_IMAGINED_STEPS
        dimensions = by_dimension(
            reported, played, episodes, asked, terms, key=key, most=most, importance=weighted
        )
        sensitivities = weights(world, played, episodes, asked, key) if worth is None else ()
        bounded = UNBOUNDED
        if certify and mode and pairs is None:
            bounded = bounds(reported, policy, episodes, asked, np.asarray(dreams.full), key=key)
        if pairs is not None:
            world, episodes = of_states
            asked = pairs.predictions(asked)
            dreams = dreams._replace(episodes=pairs.states(dreams.episodes))
            dimensions = pairs.dimensions(dimensions)
        measured = Measured(
            discount=discount,
            imagined=dreams,
            predictions=asked,
            terms=terms,
            terms_training=terms_training,
            plausibility=plausibility(world, episodes, dreams.episodes, known),
            known=known,
            dimensions=dimensions,
            weights=sensitivities,
            bounds=bounded,
            orders=orders,
            findings=lint(world, episodes, asked, key),
            worth=worth,
            noisy=noisy,
            imagination=Imagination(drawn.draws, drawn.imagined_share, drawn.capped)
            if noisy
            else None,
            differences=_by_differences(
                dynamics=world.dynamics, reward=world.reward, policy=policy
            ),
        )
    return diagnosis_of(world, episodes, measured, None if imagined is None else imagined.horizon)


def _by_differences(**parts: Any) -> tuple[str, ...]:
    """The parts that have no derivatives but those by finite differences; nothing asks for those of
    an end rule.
    """
    return tuple(
        name
        for name, part in parts.items()
        if getattr(part, "derivatives", "") == "finite differences"
    )


def _dense(policy: Policy) -> StochasticPolicy:
    if not isinstance(policy, StochasticPolicy):
        raise checks.BadArgument(
            f"the policy is a {type(policy).__name__}, which has no density; episodes of another"
            " policy can only be"
            " reweighted for a stochastic one."
        )
    return policy


def _check_parts(world: MDP, policy: MarkovPolicy, episodes: Trajectory) -> None:
    """Every part answers one step in the right shape."""
    state, action = (jnp.asarray(column[0, 0]) for column in (episodes.state, episodes.action))
    answers = {
        "the world's dynamics": (
            lambda: world.dynamics(state, action, jax.random.key(0)),
            state.shape,
        ),
        "the world's reward": (lambda: world.reward(state, action, state), ()),
        "the world's termination": (lambda: world.termination(state, action, state), ()),
        "the policy's action": (lambda: policy.mode(state), action.shape),
    }
    for name, (answer, needed) in answers.items():
        demand_shape(name, answer, needed)


def _check(world: MDP, episodes: Trajectory) -> None:
    if not (episodes.alive.size and episodes.alive.any(axis=1).all()):
        raise checks.BadData(
            "an episode has no steps; the audit needs at least one episode and one step of each."
        )
    found, needed = episodes.state.shape[-1], world.spec.state_size
    if found != needed:
        raise checks.BadData(
            f"the episodes' states have {found} components; the world's have {needed}."
        )
    recorded = ("state", "next_state", "action", "reward")
    columns = {
        f"the recorded {name.replace('_', ' ')}": getattr(episodes, name) for name in recorded
    }
    checks.finite_steps("real episode", columns, episodes.alive)
