"""The audit: real and imagined return of one policy from the same states, and the gap explained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from paracosm.auditing.attribution import (
    MOST_IMAGINED_STEPS,
    AuditRollouts,
    imagine_rest,
    terms_of,
)
from paracosm.auditing.bounds import UNBOUNDED, bound_gap
from paracosm.auditing.carry_pairs import CarryPairs, StatePart, carry_pairs
from paracosm.auditing.diagnosis import AuditMeasurements, diagnosis_of
from paracosm.auditing.dimensions import MOST_GRADIENT_STEPS, by_dimension, unsplit
from paracosm.auditing.draws import AveragedDraws, average_draws
from paracosm.auditing.imagined_returns import SAMPLES, ImaginedReturns, imagined_returns
from paracosm.auditing.importance import importance
from paracosm.auditing.linter import lint
from paracosm.auditing.one_step import predict_steps
from paracosm.auditing.plausibility import plausibility
from paracosm.auditing.sensitivities import error_weights
from paracosm.auditing.shapley import shapley_values
from paracosm.auditing.subject import AuditSubject
from paracosm.core import callbacks, checks
from paracosm.core.data import Trajectory
from paracosm.core.forms import require_form, require_shape
from paracosm.core.keys import stage_key
from paracosm.core.mdp import MDP
from paracosm.core.policy import MarkovPolicy, Mode, Policy, StochasticPolicy
from paracosm.core.precision import in_double
from paracosm.core.predicted import PredictedReturn
from paracosm.core.records import Diagnosis, Imagination, Reference
from paracosm.core.types import Action, PRNGKey, Scalar, State

# Rollouts of searches that run together on a CPU: as long as the longest, each of whose steps costs
# thousands.
_SEARCHES_TOGETHER = 4


def diagnose(
    world: MDP,
    policy: Policy,
    episodes: Trajectory,
    predicted: PredictedReturn | None = None,
    *,
    discount: float = 1.0,
    reference: Reference | None = None,
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
        predicted: The return that training predicted, as `Imagined.prediction` gives it; None as
            for `paracosm.audit`.
        discount, seed: As for `paracosm.audit`.
        reference: What the bought data say, before any episode of the policy: `known` of
            `paracosm.audit`.
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
    plays_mode, searches = not sampled and recorded_by is None, policy.searches
    # Where the policy is not Markov in the state, `subject` is of pairs of state and carry;
    # `world` and `episodes` stay those of states, which the record is about.
    markov_form = _as_markov(world, policy, episodes, predicted, reward, sampled=not plays_mode)
    pairs = markov_form.pairs
    world, episodes = in_double((world, episodes))
    with jax.enable_x64(True), callbacks.as_raised():
        subject = _subject(
            markov_form,
            discount=discount,
            key=stage_key(seed, "audit"),
            plays_mode=plays_mode,
            recorded_by=recorded_by,
        )
        # Imagined from every audited step, for the terms, and from every start, for the returns.
        rollouts = imagine_rest(
            subject,
            most_imagined_steps=most_imagined_steps,
            block=_SEARCHES_TOGETHER if searches and jax.default_backend() == "cpu" else None,
        )
        samples = _sampled_rollouts(pairs, searches=searches, plays_mode=plays_mode)
        noisy = not plays_mode or bool(subject.predictions.noisy.any())
        averaged = _average_draws(
            subject,
            rollouts,
            imagined_returns(subject, samples=samples),
            noisy=noisy,
            most_imagined_steps=most_imagined_steps,
        )
        returns, (terms, terms_training) = averaged.imagined, averaged.terms
        # What the terms are made of, what errors cost, and what bounds the gap.
        shapley = None
        if markov_form.reward is not None:
            shapley = shapley_values(subject, terms, returns, markov_form.reward)
        by_component, weights, bounds = unsplit(terms), (), UNBOUNDED
        if dimensions:
            most = MOST_GRADIENT_STEPS * most_imagined_steps / MOST_IMAGINED_STEPS
            by_component = by_dimension(subject, terms, most=most)
            weights = error_weights(subject) if subject.importance is None else ()
        if certify and plays_mode and pairs is None:
            bounds = bound_gap(subject, np.asarray(returns.full))
        predictions = subject.predictions
        if pairs is not None:  # the record is of states: a carry has no error of its own
            predictions = pairs.predictions_of_states(predictions)
            returns = returns._replace(episodes=pairs.episodes_of_states(returns.episodes))
            by_component = pairs.dimensions_of_states(by_component)
        measured = AuditMeasurements(
            world=world,
            episodes=episodes,
            discount=discount,
            training_horizon=None if predicted is None else predicted.horizon,
            imagined=returns,
            predictions=predictions,
            terms=terms,
            terms_training=terms_training,
            plausibility=plausibility(world, episodes, returns.episodes, reference),
            reference=reference,
            dimensions=by_component,
            weights=weights,
            bounds=bounds,
            shapley=shapley,
            findings=lint(world, episodes, predictions, subject.key),
            importance=subject.importance,
            noisy=noisy,
            imagination=Imagination(averaged.draws, averaged.imagined_share, averaged.capped)
            if noisy
            else None,
            finite_differences=_finite_differences(
                dynamics=world.dynamics, reward=world.reward, policy=subject.policy
            ),
        )
    return diagnosis_of(measured)


class _MarkovForm(NamedTuple):
    """What is audited, with a Markov policy: as given where the policy is one, else of pairs.

    Attributes:
        world, policy, episodes: In the precision in which they were played.
        predicted: The return that training predicted, if it is known.
        reward: The real reward, if it is given.
        pairs: Where `world` and `episodes` are of pairs, how states follow from them.
    """

    world: MDP
    policy: MarkovPolicy
    episodes: Trajectory
    predicted: PredictedReturn | None
    reward: Callable[[State, Action, State], Scalar] | None
    pairs: CarryPairs | None


def _as_markov(
    world: MDP,
    policy: Policy,
    episodes: Trajectory,
    predicted: PredictedReturn | None,
    reward: Callable[[State, Action, State], Scalar] | None,
    *,
    sampled: bool,
) -> _MarkovForm:
    """What is audited, of pairs of state and carry where the policy is not Markov in the state.

    Args:
        world, policy, episodes, predicted, reward: As for `diagnose`.
        sampled: As for `carry_pairs`.

    Raises:
        BadArgument: as `carry_pairs` raises it.
        BadData: as `carry_pairs` raises it.
    """
    if isinstance(policy, MarkovPolicy):
        return _MarkovForm(world, policy, episodes, predicted, reward, None)
    pairs = carry_pairs(world, policy, episodes, sampled=sampled)
    return _MarkovForm(
        pairs.world,
        pairs.policy,
        pairs.episodes,
        None if predicted is None else pairs.predicted_at_pairs(predicted),
        None if reward is None else StatePart(reward, pairs.state_size),
        pairs,
    )


def _subject(
    markov_form: _MarkovForm,
    *,
    discount: float,
    key: PRNGKey,
    plays_mode: bool,
    recorded_by: StochasticPolicy | None,
) -> AuditSubject:
    """What is audited, in 64 bits, with its one-step predictions.

    Args:
        markov_form: World, policy and episodes, in the precision in which they were played.
        discount: The reporting discount.
        key, plays_mode: As in `AuditSubject`.
        recorded_by: What recorded the episodes, if it is another policy.

    Raises:
        BadArgument: episodes of another policy, and a policy without a density.
        BadData: as `predict_steps` and `importance` raise it.
    """
    world, policy, episodes, predicted, recorded_by = in_double(
        (
            markov_form.world,
            markov_form.policy,
            markov_form.episodes,
            markov_form.predicted,
            recorded_by,
        )
    )
    _check_parts(world, policy, episodes)
    weighted = None
    if recorded_by is not None:
        weighted = importance(_dense(policy), recorded_by, episodes, discount)
    played = Mode(policy) if plays_mode else policy
    return AuditSubject(
        world=world,
        policy=policy,
        episodes=episodes,
        predictions=predict_steps(
            world, played, episodes, key, mode=plays_mode, as_played=markov_form.policy
        ),
        key=key,
        discounts=(discount, world.discount),
        plays_mode=plays_mode,
        training_prediction=predicted,
        importance=weighted,
    )


def _average_draws(
    subject: AuditSubject,
    rollouts: AuditRollouts,
    returns: ImaginedReturns,
    *,
    noisy: bool,
    most_imagined_steps: float,
) -> AveragedDraws:
    """Terms and imagined returns, of several draws of the noise where there is any.

    Args:
        subject: What is audited.
        rollouts, returns: The first draw.
        noisy: Whether there is noise.
        most_imagined_steps: How many steps further draws may imagine.
    """
    if not noisy or subject.importance is not None:
        terms = terms_of(subject, rollouts)
        return AveragedDraws(terms, returns, draws=1, imagined_share={}, capped=False)
    return average_draws(subject, rollouts, returns, most_imagined_steps=most_imagined_steps)


def _sampled_rollouts(pairs: CarryPairs | None, *, searches: bool, plays_mode: bool) -> int:
    """Rollouts of the policy's samples from each start: none where its mode plays and is a search,
    or where it carries something (what it carries after a sampled action is not recorded); one of
    any other policy that is not Markov; else `SAMPLES`.
    """
    if (searches and plays_mode) or (pairs is not None and pairs.carries):
        return 0
    return SAMPLES if pairs is None else 1


def _finite_differences(**parts: Any) -> tuple[str, ...]:
    """The names of the parts whose derivatives are finite differences; an end rule needs none."""
    return tuple(
        name
        for name, part in parts.items()
        if getattr(part, "derivatives", "") == "finite differences"
    )


def _dense(policy: Policy) -> StochasticPolicy:
    """The policy, if it has a density.

    Raises:
        BadArgument: it has none.
    """
    if not isinstance(policy, StochasticPolicy):
        raise checks.BadArgument(
            f"the policy is a {type(policy).__name__}, which has no density; episodes of another"
            " policy can only be"
            " reweighted for a stochastic one."
        )
    return policy


def _check_parts(world: MDP, policy: MarkovPolicy, episodes: Trajectory) -> None:
    """Require every part to answer one step in the right shape, and ends to be flags."""
    state, action = (jnp.asarray(column[0, 0]) for column in (episodes.state, episodes.action))
    answers = {
        "the world's dynamics": (
            lambda: world.dynamics(state, action, jax.random.key(0)),
            state.shape,
        ),
        "the world's reward": (lambda: world.reward(state, action, state), ()),
        "the policy's action": (lambda: policy.mode(state), action.shape),
    }
    for name, (answer, needed) in answers.items():
        require_shape(name, answer, needed)
    flag = jnp.zeros((), bool)
    require_form("the world's termination", lambda: world.termination(state, action, state), flag)


def check_episodes(world: MDP, episodes: Trajectory) -> None:
    """Refuse episodes that no audit can use.

    Raises:
        BadData: an episode of no steps, or one that goes on after its end; states of another size
            than the world's, a recorded number that is not finite, or a reward after an end.
    """
    if not (episodes.alive.size and episodes.alive.any(axis=1).all()):
        raise checks.BadData(
            "an episode has no steps; the audit needs at least one episode and one step of each."
        )
    alive, reward = np.asarray(episodes.alive), np.asarray(episodes.reward)
    risen = np.argwhere(alive[:, 1:] & ~alive[:, :-1])
    if len(risen):
        episode, before = risen[0]
        raise checks.BadData(
            f"real episode {episode} is alive again at step {before + 1}, after its end; the steps"
            " of an episode must come before all others in its row."
        )
    paid = np.argwhere(~alive & (reward != 0))
    if len(paid):
        episode, step = paid[0]
        raise checks.BadData(
            f"the recorded reward is {reward[episode, step]} at step {step} of real episode"
            f" {episode}, after its end; 0 is needed there."
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
