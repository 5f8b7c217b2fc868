"""The whole audit: closure, the horizon term, what it reports beside the gap, and what it
refuses.
"""

import dataclasses
import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import paracosm
from paracosm import adapters as foreign
from paracosm.auditing.attribution import attribute
from paracosm.auditing.imagined_returns import EpisodeStarts, play_in
from paracosm.auditing.one_step import differ, predict_steps
from paracosm.auditing.subject import AuditSubject
from paracosm.core import checks, estimators
from paracosm.core.mdp import MDP, Box, Domain, Spec, never
from paracosm.core.networks import MLP
from paracosm.core.policy import Deterministic, Noisy, initial_policy
from paracosm.core.precision import in_double
from paracosm.core.records import Diagnosis, Reference, Training
from paracosm.core.rollout import returns
from paracosm.imagination.imagine import Imagined
from paracosm.imagination.planners import CEM
from paracosm.imagination.value import Value
from paracosm.loop.auditing import audit, planner_audit_length
from paracosm.real.systems import pendulum
from paracosm.real.verbs import evaluate
from paracosm.reporting.words import reading
from tests.auditing.worlds import Case, Shifted, SwingUp, cut
from tests.statistical import FALSE_ALARM

FULL = 250  # examples of the profile of `make test-full`; fewer here, since each is a whole audit


def audited(case, **options):
    return audit(case.world, case.policy, case.episodes, certify=False, **options)


def case_of(kind, seed, **sizes):
    with jax.enable_x64(True):
        return Case(kind, seed, **sizes)


def total_of(gap):
    return gap.reward.mean + gap.termination.mean + gap.dynamics.mean + gap.horizon.mean


def returned(case, mdp, discount):
    """Return of the policy in `mdp` at any discount, `[episode]`."""
    with jax.enable_x64(True):
        return np.asarray(returns(case.play(mdp).reward, discount))


@pytest.mark.parametrize("kind", ["linear", "ending", "discrete"])
@settings(max_examples=4 if settings().max_examples < FULL else FULL)
@given(seed=st.integers(0, 2**31 - 1), discount=st.sampled_from([1.0, 0.97, 0.0]))
def test_the_terms_sum_to_both_gaps(kind, seed, discount):
    case = case_of(kind, seed)
    diagnosis = audited(case, discount=discount)
    assert (diagnosis.discount, diagnosis.training_discount) == (discount, case.world.discount)
    assert diagnosis.closure < 1e-9
    for gap, at in ((diagnosis.gap, discount), (diagnosis.gap_training, case.world.discount)):
        predicted, real = returned(case, case.world, at), returned(case, case.real, at)
        np.testing.assert_allclose(gap.predicted.mean, predicted.mean(), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(gap.real.mean, real.mean(), rtol=1e-9, atol=1e-12)
        terms = [gap.reward, gap.termination, gap.dynamics]
        size = max(abs(real).max(), abs(predicted).max()) + sum(abs(term.mean) for term in terms)
        absolute = sum(sum(cause.absolute) for cause in diagnosis.causes.values())
        assert abs(total_of(gap) - (real - predicted).mean()) <= 1e-9 * (size + absolute)
        assert gap.horizon.mean == 0
    for name, cause in diagnosis.causes.items():
        assert sum(cause.signed) == pytest.approx(
            getattr(diagnosis.gap, name).mean, rel=1e-9, abs=1e-12
        )


def swing_up():
    return Deterministic(SwingUp(jnp.array(0.3)))


def biased():
    system = pendulum(0.97)
    return system.replace(
        dynamics=Shifted(system.dynamics, jnp.array([0.0, 0.02, 0.05])),
        reward=Shifted(system.reward, jnp.array([0.01, 0.0, 0.1])),
    )


def test_on_gymnasium_closure_is_what_32_bit_actions_allow():
    episodes = evaluate("Pendulum-v1", swing_up(), episodes=5)
    diagnosis = audit(biased(), swing_up(), episodes, certify=False)
    assert diagnosis.closure < 1e-5
    assert diagnosis.audited_steps == diagnosis.real_steps == 1000
    assert diagnosis.imagined_steps == 5 * 200 * 199 // 2
    assert Diagnosis.from_json(diagnosis.to_json()) == diagnosis


def bootstrapped(case, horizon):
    """A policy as if trained on `horizon` steps completed by some value."""
    size = case.world.spec.state_size
    network = MLP(size + 1, 1, 8, 1, jax.random.key(1))
    training = Training((), (), (), 0, 0.0, horizon, "plain", "value", "made up")
    return Imagined(
        case.policy, Value(network, jnp.array(0.3), jnp.array(2.0)), case.world, training
    )


@pytest.mark.parametrize("horizon", [1, 5])
def test_the_horizon_term_is_the_rest_of_the_episode_less_the_bootstrap(horizon):
    case = case_of("ending", 1)
    world = dataclasses.replace(case.world.spec, horizon=case.horizon)
    case.world = case.world.replace(spec=world)
    imagined = bootstrapped(case, horizon)
    diagnosis = audited(case, imagined=imagined)
    with jax.enable_x64(True):
        episodes = case.play(case.world)
        value = jax.vmap(in_double(imagined.value), (0, None))(
            episodes.next_state[:, horizon - 1], jnp.zeros(())
        )
        lives = episodes.alive[:, horizon]
        rest = returns(
            np.where(np.arange(case.horizon) < horizon, 0, episodes.reward), case.world.discount
        )
        expected = np.asarray(rest) - case.world.discount**horizon * np.where(lives, value, 0)
    gap = diagnosis.gap_training
    assert diagnosis.training_horizon == horizon
    assert gap.horizon.mean == pytest.approx(expected.mean(), rel=1e-9)
    assert diagnosis.closure < 1e-9
    assert total_of(gap) == pytest.approx(gap.real.mean - gap.predicted.mean, rel=1e-9)


def test_a_policy_trained_on_the_whole_episode_has_no_horizon_term():
    case = case_of("linear", 1)
    case.world = case.world.replace(spec=dataclasses.replace(case.world.spec, horizon=case.horizon))
    assert (
        abs(audited(case, imagined=bootstrapped(case, case.horizon)).gap_training.horizon.mean)
        < 1e-12
    )


def test_a_record_that_stops_is_compared_with_as_many_imagined_steps():
    case = case_of("linear", 3)
    short = audit(case.world, case.policy, cut(case.episodes, 5), certify=False)
    with jax.enable_x64(True):
        expected = float(returns(case.play(case.world).reward[:, :5], 1.0).mean())
    assert short.gap.predicted.mean == pytest.approx(expected, rel=1e-9)
    assert short.closure < 1e-9
    assert len(short.overlays[0].imagined) == 6


def test_an_imagined_end_behind_the_record_of_an_episode_is_none():
    case = case_of("linear", 3, episodes=2)
    late = case.world.replace(
        dynamics=lambda s, a, key: s + 1, termination=lambda s, a, after: after[0] >= 2.5
    )
    rows = EpisodeStarts(jnp.zeros((2, 4)), jnp.array([2, 4]), jax.random.split(case.key, 2))
    played = play_in(late, case.policy, rows, 4)
    assert played.alive.sum(axis=1).tolist() == [2, 3]
    assert played.terminated.any(axis=1).tolist() == [False, True]
    assert not played.truncated.any()


def test_parts_of_a_wrong_shape_are_named():
    case = case_of("smooth", 1)
    vector = case.world.replace(reward=lambda s, a, t: t[:1])
    with pytest.raises(
        checks.BadData,
        match=r"the world's reward has the shape \(1,\) for one step; \(\) is needed",
    ):
        audit(vector, case.policy, case.episodes, certify=False)
    chance = case.world.replace(termination=lambda s, a, t: 0.001 * t[0])
    with pytest.raises(checks.BadData, match="the world's termination is of the type float"):
        audit(chance, case.policy, case.episodes, certify=False)


def test_a_prediction_of_another_number_of_episodes_is_refused():
    case = case_of("linear", 1)
    prediction = bootstrapped(case, 5).prediction
    first = dataclasses.replace(prediction, function=lambda policy, start, key: jnp.zeros(1))
    with pytest.raises(checks.BadData, match=r"the predicted return of training has shape \(1,\)"):
        audited(case, imagined=first)


def test_the_real_system_as_its_own_model_has_no_gap_and_no_culprit():
    case = case_of("smooth", 2)
    diagnosis = audit(case.real, case.policy, case.episodes, certify=False)
    assert abs(diagnosis.gap.total.mean) < 1e-12
    assert "no more than rounding" in diagnosis.verdict
    assert diagnosis.explanation.startswith(
        "A world can be wrong and cost nothing: its one-step errors are"
    )
    assert diagnosis.baselines.dynamics < 1e-12 < diagnosis.baselines.mean_next_state
    assert diagnosis.baselines.reward < 1e-12 < diagnosis.baselines.zero_reward
    assert diagnosis.informative_horizon == case.horizon
    assert diagnosis.overlays[0].real == diagnosis.overlays[0].imagined
    assert abs(diagnosis.mode_versus_sampled.mean) < 1e-12


@pytest.mark.parametrize(
    "episodes", [2, *(pytest.param(count, marks=pytest.mark.full) for count in (3, 20))]
)
def test_the_verdict_on_ends_that_no_episode_had_has_the_number_of_their_row(episodes):
    """It said at most 5e-7, the gap's, beside an end rule in [-21, 21]."""
    case = case_of("smooth", 2, episodes=episodes)
    world = case.real.replace(termination=lambda state, action, after: after[0] > 1e9)
    diagnosis = audit(world, case.policy, case.episodes, certify=False)
    gap = diagnosis.gap
    assert abs(gap.total.mean) <= gap.rounding
    assert diagnosis.decision.kind == "unseen"
    assert diagnosis.decision.reach == pytest.approx(gap.termination.high)
    assert f"up to {reading(gap.termination.high)} on average" in diagnosis.verdict
    assert f"none of these {episodes} episodes ended" in diagnosis.explanation
    ends_never = audit(case.real, case.policy, case.episodes, certify=False)
    assert not ends_never.remarks.unseen_ends


def test_a_model_that_goes_the_wrong_way_informs_of_nothing():
    case = case_of("linear", 2)
    backwards = case.real.replace(dynamics=lambda s, a, key: -10 * s)
    assert audit(backwards, case.policy, case.episodes, certify=False).informative_horizon == 0


def test_the_share_of_imagined_steps_at_the_edge():
    case = case_of("smooth", 2)
    everywhere = Domain(np.full(4, -np.inf), np.full(4, np.inf))
    assert (
        audit(
            case.world.replace(domain=everywhere), case.policy, case.episodes, certify=False
        ).data_edge_share
        == 0
    )
    nowhere = Domain(np.full(4, np.inf), np.full(4, np.inf))
    assert (
        audit(
            case.world.replace(domain=nowhere), case.policy, case.episodes, certify=False
        ).data_edge_share
        == 1
    )
    assert audited(case).data_edge_share is None


def test_mode_against_sampled():
    case = case_of("linear", 5, episodes=32)
    noisy = Noisy(case.policy, case.world.spec.action, 0.5)
    with jax.enable_x64(True):
        drawn = returns(case.play(case.world, noisy).reward, 1.0)
        expected = np.mean(returned(case, case.world, 1.0) - np.asarray(drawn))
    difference = audit(case.world, noisy, case.episodes, certify=False).mode_versus_sampled
    assert difference.low > 0 or difference.high > 0
    assert difference.mean == pytest.approx(
        expected, abs=4 * (difference.high - difference.low) + 0.5 * abs(expected)
    )


def test_the_same_seed_finds_the_same():
    case = case_of("ending", 1)
    first, again, reseeded = (
        audited(case, seed=seed, most_imagined_steps=60) for seed in (1, 1, 2)
    )
    assert first == again != reseeded
    assert first.audited_steps < first.real_steps
    assert "random subset" in first.precision


def test_the_interval_of_a_random_subset_covers():
    """200 audits of 8 episodes, a tenth of a whole audit's cost each; for skewed terms the nominal
    95% may be 92%.
    """
    with jax.enable_x64(True):
        case = Case("smooth", 4, horizon=40, episodes=1600)
        key = jax.random.key(3)
        predictions = predict_steps(case.world, case.policy, case.episodes, key)
        subject = AuditSubject(
            case.world, case.policy, case.episodes, predictions, key, (case.world.discount,)
        )
        exact, drawn = (
            attribute(subject, most_imagined_steps=most).dynamics for most in (10**9, 1600 * 78)
        )
    truth, samples = exact.sum(axis=1).mean(), drawn.sum(axis=1).reshape(200, 8)
    estimates = [estimators.mean(sample) for sample in samples]
    hits = sum(estimate.low <= truth <= estimate.high for estimate in estimates)
    assert np.std(samples) > 2 * np.std(exact.sum(axis=1))
    assert hits >= stats.binom.ppf(FALSE_ALARM, 200, 0.92)


def poisoned(case, **columns):
    return dataclasses.replace(
        case.episodes,
        **{name: fill(getattr(case.episodes, name)) for name, fill in columns.items()},
    )


def nan_at(*where):
    def fill(column):
        column = column.copy()
        column[where] = np.nan
        return column

    return fill


def false_at(*where):
    def fill(column):
        column = column.copy()
        column[where] = False
        return column

    return fill


def test_refusals_name_what_was_found():
    case = case_of("linear", 1)

    def refused(message, episodes=case.episodes, world=case.world, policy=case.policy):
        with pytest.raises(checks.BadData, match=message) as raised:
            audit(world, policy, episodes, certify=False)
        assert "\n" not in str(raised.value)

    refused(
        "the recorded reward is nan at step 3 of real episode 1",
        poisoned(case, reward=nan_at(1, 3)),
    )
    refused(
        "the recorded next state is nan at step 0 of real episode 2",
        poisoned(case, next_state=nan_at(2, 0, 1)),
    )
    refused("an episode has no steps", poisoned(case, alive=np.zeros_like))
    refused(
        "real episode 1 is alive again at step 4, after its end",
        poisoned(case, alive=false_at(1, 3)),
    )
    refused(
        r"reward is -?[0-9.]+ at step \d+ of real episode 2, after its end; 0 is needed",
        poisoned(case, alive=false_at(2, -1)),
    )
    refused(
        "are not those of the policy to be audited",
        poisoned(case, action=lambda action: action + 0.1),
    )
    wide = dataclasses.replace(case.world.spec, state_size=5, state_scale=np.ones(5))
    refused("states have 4 components; the world's have 5", world=case.world.replace(spec=wide))
    nan = case.world.replace(reward=lambda s, a, n: jnp.log(-jnp.abs(s[0]) - 1))
    refused("the world's reward is nan at step 0 of real episode 0; it must be finite", world=nan)


def test_a_world_or_policy_of_another_kind_is_refused_with_the_way_to_make_one():
    case, module = case_of("linear", 1), torch.nn.Linear(4, 4)
    latent = foreign.latent(WithoutParts(), case.world.spec)
    for world, policy, message in (
        (
            module,
            case.policy,
            r"the world is a Linear; an MDP is needed: paracosm\.foreign\.world\(…\) makes one of"
            r" PyT",
        ),
        (
            latent,
            case.policy,
            r"the world is a latent model, .*: inside = world\.on\(episodes\) gives",
        ),
        (
            case.world,
            module,
            r"the policy is a Linear; a paracosm Policy is needed: paracosm\.foreign\.policy\(…\)",
        ),
    ):
        with pytest.raises(checks.BadArgument, match=message):
            inspect.unwrap(audit)(
                world, policy, case.episodes
            )  # as users have it: unchecked by the test run
    assert all(hasattr(paracosm.foreign, name) for name in ("world", "latent", "policy"))


class WithoutParts(torch.nn.Module):
    encode = next = reward = pi = torch.nn.Module.forward


def test_a_policy_that_is_not_a_number_at_a_recorded_step_is_not_taken_for_the_recorded_action():
    case = case_of("linear", 1)
    lost = case.episodes.state[2, 3]

    def policy(state):
        return jnp.where(jnp.all(state == lost), jnp.nan, case.policy.mode(state))

    with pytest.raises(
        checks.BadData, match="the policy's action is nan at step 3 of real episode 2"
    ):
        audit(case.world, Deterministic(policy), case.episodes, certify=False)
    assert differ(
        case.world.spec.action,
        case.episodes.action[2, 3],
        jnp.full_like(case.episodes.action[2, 3], jnp.nan),
    )


def test_a_world_that_loses_the_finite_numbers_in_imagination_says_where():
    """It moves away from the recorded states, on which it is finite, one unit a step; past 3 it
    knows no next state.
    """
    case = case_of("linear", 1)
    start = case.episodes.state[:, 0, 0]
    far = float(np.abs(case.episodes.state).max()) + 100

    def dynamics(state, action, key):
        moved = jnp.where(jnp.abs(state) < far, state + far, state + 1)
        return jnp.where(moved < far + 3 + jnp.max(start), moved, jnp.nan)

    with pytest.raises(
        checks.BadData,
        match=r"next state is nan at step \d of the imagined episode from the start of",
    ):
        audit(case.world.replace(dynamics=dynamics), case.policy, case.episodes, certify=False)


def test_a_policy_of_32_bits_is_audited_in_64():
    system = pendulum(0.97)
    policy = initial_policy(system.spec, jax.random.key(0))
    diagnosis = audit(
        biased(), policy, evaluate(system, policy, episodes=3, horizon=40), certify=False
    )
    assert diagnosis.closure < 1e-5
    assert diagnosis.gap.reward.n == 3


@pytest.mark.parametrize(("least", "named"), [(-1e6, -1e6), (0.0, None)])
def test_a_reward_that_no_episode_held_is_named_where_it_widens_the_gap(least, named):
    known = Reference("random actions", None, (least, 0.0), (-9.0,) * 4, (9.0,) * 4)
    diagnosis = audited(case_of("linear", 0), known=known)
    assert diagnosis.remarks.unseen_reward == named
    assert ("was recorded that none of these" in diagnosis.explanation) == (named is not None)


def test_a_subset_of_the_steps_that_makes_terms_unsure_is_too_small_and_all_steps_are_not():
    case = case_of("smooth", 4, horizon=40, episodes=20)
    partial, complete = (audited(case, most_imagined_steps=most) for most in (400, math.inf))
    assert 0 < partial.decision.few_steps == partial.audited_steps < partial.real_steps
    assert complete.decision.few_steps == 0


def test_the_terms_of_a_planner_sum_to_its_gap_where_errors_grow():
    """Imagined returns and terms search in programs of their own; in 32 bits their plans part, and
    the terms miss the gap by 6%.
    """

    def steep(gain):
        mix = jnp.array([[-0.7, 1.0], [0.5, 0.9]])
        return MDP(
            spec=Spec(2, Box(-jnp.ones(1), jnp.ones(1)), jnp.ones(2), 30),
            dynamics=lambda s, a, key: jnp.tanh(gain * (mix @ s + jnp.array([0.0, a[0]]))),
            reward=lambda s, a, after: -jnp.sum((after - 0.3) ** 2),
            termination=never,
            initial=lambda key: jax.random.uniform(key, (2,), minval=-1.0),
            discount=0.95,
        )

    world = steep(2.9)
    planner = CEM(world, steps=5)
    episodes = evaluate(steep(3.0), planner, episodes=2)
    diagnosis = audit(world, planner, episodes, certify=False, dimensions=False)
    assert diagnosis.closure < 1e-6
    assert not diagnosis.decision.unfit


def test_how_long_an_audit_of_a_planner_is_beside_its_evaluation():
    episodes = case_of("linear", 0, horizon=100, episodes=4).episodes
    assert planner_audit_length(episodes, {}, 30.0) == "about 16 evaluations long, or 8 min"
    length = planner_audit_length(episodes, {"most_imagined_steps": 400}, 1.0)
    assert length == "about 4 evaluations long, or 1 min"
