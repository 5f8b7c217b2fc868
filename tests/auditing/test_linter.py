"""Every rule finds what it is for, and says nothing of a world that is as good as a learned one gets."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.auditing.linter import lint
from paracosm.auditing.onestep import ask
from paracosm.core.mdp import never
from tests.auditing.worlds import KINDS, Case


@pytest.fixture(autouse=True)
def sixty_four_bits():
    with jax.enable_x64(True):
        yield


def kinds_of(case, world=None, episodes=None):
    world, episodes = world or case.world, episodes or case.episodes
    asked = ask(world, case.policy, episodes, case.key, mode=False)
    findings = lint(world, episodes, asked, case.key)
    assert all(found.sentence.endswith(".") and "\n" not in found.sentence for found in findings)
    return [found.kind for found in findings]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "discrete"])  # whose end rule is another one
@pytest.mark.parametrize("seed", range(5))
def test_an_imperfect_but_honest_world_has_no_finding(kind, seed):
    case = Case(kind, seed, horizon=30, episodes=8)
    assert kinds_of(case) == []
    assert kinds_of(case, case.real) == []


def test_a_model_that_fails_at_other_inputs_is_only_asked_at_real_ones():
    case = Case("smooth", 2, horizon=20, episodes=8)
    farthest = 1.01 * np.abs(case.episodes.state).max()

    def careful(s, a, key):
        after = case.real.dynamics(s, a, key)
        return jnp.where(jnp.max(jnp.abs(s)) > farthest, jnp.nan, after + 0.01)

    assert kinds_of(case, case.real.replace(dynamics=careful)) == []


@pytest.mark.parametrize("shift", [-2, -1, 1])
def test_rewards_recorded_some_steps_off(shift):
    """What a reward model learns from a log whose rewards are moved against its states."""
    case = Case("biased_pendulum", 0, horizon=40, episodes=8)
    moved = np.roll(case.episodes.reward, shift, axis=1)
    asked = ask(case.real, case.policy, case.episodes, case.key)
    findings = lint(case.real, dataclasses.replace(case.episodes, reward=moved), asked, case.key)
    assert [found.kind for found in findings] == ["reward timing"]
    steps = "1 step" if abs(shift) == 1 else "2 steps"
    assert f"rewards are recorded {steps} off" in findings[0].sentence


def test_a_reward_model_that_predicts_the_mean():
    case = Case("smooth", 1, horizon=20, episodes=8)
    mean = float(case.episodes.reward.mean())
    assert kinds_of(case, case.real.replace(reward=lambda s, a, t: jnp.full((), mean))) == ["constant reward"]


def test_terminations_taken_for_truncations_and_the_reverse():
    case = Case("ending", 3, horizon=20, episodes=32)
    assert case.episodes.terminated.any()
    assert kinds_of(case, case.real.replace(termination=never)) == ["missed terminations"]
    relabelled = dataclasses.replace(
        case.episodes,
        terminated=np.zeros_like(case.episodes.terminated),
        truncated=case.episodes.truncated | case.episodes.terminated,
    )
    short = jax.tree.map(lambda column: column[case.episodes.terminated.any(axis=1)], relabelled)
    assert kinds_of(case, case.real, short) == ["truncations as terminations"]
    nervous = case.real.replace(termination=lambda s, a, t: t[1] > 0)
    assert "false terminations" in kinds_of(case, nervous)


def test_a_world_in_standardised_observations():
    case = Case("linear", 1, horizon=20, episodes=16)
    states = 5 + 3 * case.episodes.state, 5 + 3 * case.episodes.next_state
    moved = dataclasses.replace(case.episodes, state=states[0], next_state=states[1])
    center, spread = states[0].reshape(-1, 4).mean(axis=0), states[0].reshape(-1, 4).std(axis=0)

    def standardised(s, a, key):
        plain = (center + spread * s - 5) / 3
        return (5 + 3 * case.real.dynamics(plain, a, key) - center) / spread

    world = case.real.replace(dynamics=standardised, reward=lambda s, a, t: case.real.reward((s - 5) / 3, a, t))
    assert "observation scale" in kinds_of(case, world, moved)


@pytest.mark.parametrize("factor", [-1.0, 0.5])
def test_a_world_in_other_actions(factor):
    case = Case("smooth", 2, horizon=20, episodes=16)
    world = case.real.replace(dynamics=lambda s, a, key: case.real.dynamics(s, a / factor, key))
    asked = ask(world, case.policy, case.episodes, case.key)
    found = [each for each in lint(world, case.episodes, asked, case.key) if each.kind == "action scale"]
    assert len(found) == 1
    assert f"multiplied by {factor:.3g} " in found[0].sentence
