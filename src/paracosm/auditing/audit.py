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
from paracosm.auditing.diagnosis import AuditMeasurements, diagnosis_of
from paracosm.auditing.dimensions import MOST_GRADIENT_STEPS, by_dimension, unsplit
from paracosm.auditing.draws import Audited, Drawn, draw
from paracosm.auditing.imagined_returns import SAMPLES, imagined_returns
from paracosm.auditing.importance import importance
from paracosm.auditing.linter import lint
from paracosm.auditing.one_step import predict_steps
from paracosm.auditing.pairing import OfState, Paired, paired
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
from paracosm.core.records import Diagnosis, Imagination, Reference, ShapleyValues
from paracosm.core.types import Action, PRNGKey, Scalar, State

# Rollouts of searches that run together on a CPU: as long as the longest, each of whose steps costs
# thousands.
_SEARCHES_TOGETHER = 4


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
    dimensions: bool = True,
) -> Diagnosis:
    """The diagnosis of `policy` in `world`, its texts still empty: `paracosm.audit` without words.

    Args:
        world, policy, episodes: As for `paracosm.audit`.
        imagined: The return that training predicted, as `Imagined.prediction` gives it; None as
            for `paracosm.audit`.
        discount, known, seed: As for `paracosm.audit`.
        most_imagined_steps, sampled, recorded_by, reward: As for `paracosm.audit`.
        certify, dimensions: As for `paracosm.audit`.

    Raises:
        BadArgument: `discount` or `seed` is out of range; off-policy episodes for a policy without
            a density.
        BadData: as `paracosm.audit` raises it.
    """
    checks.seed("seed", seed)
    checks.in_unit_interval("discount", discount)
    episodes = jax.tree.map(np.asarray, episodes)
    check_episodes(world, episodes)
    pairs, searches, of_states = None, policy.searches, in_double((world, episodes))
    if not isinstance(policy, MarkovPolicy):
        pairs = paired(world, policy, episodes, sampled=sampled or recorded_by is not None)
        world, policy, episodes = pairs.world, pairs.policy, pairs.episodes
        imagined = None if imagined is None else pairs.prediction(imagined)
        reward = None if reward is None else OfState(reward, pairs.size)
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
        predictions = predict_steps(world, played, episodes, key, mode=mode, as_played=as_played)
        returns = imagined_returns(
            world,
            policy,
            imagined,
            episodes,
            discount=discount,
            key=key,
            mode=mode,
            samples=_samples(pairs, sampled=not (searches and mode)),
        )
        rollouts = roll(
            world,
            played,
            episodes,
            predictions,
            discounts=(discount, world.discount),
            key=key,
            most_imagined_steps=most_imagined_steps,
            importance=weighted,
            block=_SEARCHES_TOGETHER if searches and jax.default_backend() == "cpu" else None,
        )
        audited = Audited(
            world, played, imagined, episodes, predictions, (discount, world.discount), mode
        )
        noisy = not mode or bool(predictions.noisy.any())
        drawn = Drawn(terms_of(episodes, predictions, rollouts), returns, 1, {}, capped=False)
        if noisy and worth is None:
            drawn = draw(
                audited, rollouts, returns, most_imagined_steps=most_imagined_steps, key=key
            )
        returns, (terms, terms_training) = drawn.imagined, drawn.terms
        reweighted, orders = worth is not None, None
        if reward is not None:
            orders = _in_both_orders(audited, drawn, reward, reweighted=reweighted, key=key)
        split, sensitivities = unsplit(episodes, terms), ()
        if dimensions:
            most = MOST_GRADIENT_STEPS * most_imagined_steps / MOST_IMAGINED_STEPS
            options = {"key": key, "most": most, "importance": weighted}
            reported = world.replace(discount=discount)
            split = by_dimension(reported, played, episodes, predictions, terms, **options)
            if not reweighted:
                sensitivities = weights(world, played, episodes, predictions, key)
        bounded = UNBOUNDED
        if certify and mode and pairs is None:
            bounded = bounds(
                world.replace(discount=discount),
                policy,
                episodes,
                predictions,
                np.asarray(returns.full),
                key=key,
            )
        if pairs is not None:
            world, episodes = of_states
            predictions = pairs.predictions(predictions)
            returns = returns._replace(episodes=pairs.states(returns.episodes))
            split = pairs.dimensions(split)
        measured = AuditMeasurements(
            discount=discount,
            imagined=returns,
            predictions=predictions,
            terms=terms,
            terms_training=terms_training,
            plausibility=plausibility(world, episodes, returns.episodes, known),
            known=known,
            dimensions=split,
            weights=sensitivities,
            bounds=bounded,
            orders=orders,
            findings=lint(world, episodes, predictions, key),
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


def _in_both_orders(
    audited: Audited,
    drawn: Drawn,
    reward: Callable[[State, Action, State], Scalar],
    *,
    reweighted: bool,
    key: PRNGKey,
) -> ShapleyValues:
    """The reward's and the model's share of the gap in both orders, at the reporting discount.

    Args:
        audited, drawn: What is audited, and its terms and imagined returns.
        reward: The real reward function.
        reweighted: Whether the episodes stand for another policy's.
        key: Of the noise of a stochastic world.
    """
    world, discount = audited.world, audited.discounts[0]
    average = averages(
        world,
        audited.episodes,
        audited.predictions,
        drawn.imagined.episodes,
        discount=discount,
        reweighted=reweighted,
    )
    return shapley_values(
        world.replace(discount=discount),
        audited.policy,
        audited.episodes,
        drawn.terms[0],
        drawn.imagined,
        reward=reward,
        average=average,
        key=key,
    )


def _samples(pairs: Paired | None, *, sampled: bool) -> int:
    """How many rollouts of the policy's samples there are from each start.

    Args:
        pairs: Of a policy that is not Markov; none is played of one that carries something: what it
            carries after a sampled action is not known.
        sampled: Whether any are wanted.
    """
    if not sampled or (pairs is not None and pairs.world.spec.state_size > pairs.size):
        return 0
    return SAMPLES if pairs is None else 1


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


def check_episodes(world: MDP, episodes: Trajectory) -> None:
    """Refuse episodes that no audit can use.

    Raises:
        BadData: an episode of no steps, states of another size than the world's, a recorded number
            that is not finite.
    """
    if not (episodes.alive.size and episodes.alive.any(axis=1).all()):
        raise checks.BadData(
            "an episode has no steps; the audit needs at least one episode and one step of each."
        )
    components, needed = episodes.state.shape[-1], world.spec.state_size
    if components != needed:
        raise checks.BadData(
            f"the episodes' states have {components} components; the world's have {needed}."
        )
    recorded = ("state", "next_state", "action", "reward")
    columns = {
        f"the recorded {name.replace('_', ' ')}": getattr(episodes, name) for name in recorded
    }
    checks.finite_steps("real episode", columns, episodes.alive)
