"""What must hold before a cause is named: each condition is seen to fail, and to stay silent where
nothing is wrong.
"""

import dataclasses
import math
import re

import numpy as np
import pytest

from paracosm.auditing import conditions
from paracosm.auditing.conditions import Check
from paracosm.auditing.plausibility import RANDOM, plausibility, reference
from paracosm.auditing.verdict import CAUSES
from paracosm.core.data import Dataset, Trajectory
from paracosm.core.mdp import MDP, Discrete, Spec, never
from paracosm.core.records import Estimate, Gap, Imagination, Plausibility, Reference, Remarks
from paracosm.reporting import diagnosis_words as words
from paracosm.reporting.diagnosis_words import implausible
from tests.reporting import report_records as records

SOUND = Check(exact=True, missed=1e-5, size=100.0, other_actions=0, steps=4000)
PLAUSIBLE = Plausibility(20, (-3200.0, 0.0), 0, 0, None, 1.1, 3)


def estimate(mean: float, half: float) -> Estimate:
    return Estimate(mean, mean - half, mean + half, 20, "made up")


def gap(predicted: float = -150.0) -> Gap:
    terms = {cause: estimate(0.0, 1.0) for cause in CAUSES}
    return Gap(estimate(-140, 9), estimate(predicted, 9), estimate(-140 - predicted, 9), **terms)


def unfit(check: Check, plausibility: Plausibility, gap: Gap) -> str:
    """The sentence in place of a verdict; empty where there may be one."""
    decision = conditions.unfit(check, plausibility, gap)
    if decision is None:
        return ""
    return words.verdict(
        records.diagnosis(
            gap=gap,
            plausibility=plausibility,
            decision=decision,
            missed=check.missed,
            other_actions=check.other_actions,
            real_steps=check.steps,
        )
    )


def remarks(policy=None, noisiest=None) -> Remarks:
    return Remarks(policy, noisiest, "actions", None, ())


def standing_of_policy(
    returns: Estimate, reference: Reference | None, discount: float = 1.0
) -> str:
    standing = conditions.policy_standing(returns, reference)
    return words.standing_of_policy(
        records.diagnosis(
            real_return=returns,
            reference=reference,
            discount=discount,
            remarks=remarks(policy=standing),
        )
    )


def noise_left(imagination: Imagination | None) -> str:
    noisiest = conditions.noisiest(imagination)
    return words.noise_left(
        records.diagnosis(imagination=imagination, remarks=remarks(noisiest=noisiest))
    )


@pytest.mark.parametrize(
    "check", [SOUND, SOUND._replace(other_actions=4), SOUND._replace(missed=0.9)]
)
def test_rounding_stops_no_verdict(check):
    assert unfit(check, PLAUSIBLE, gap()) == ""


@pytest.mark.parametrize("missed", [11.0, 47.0, 59.0])
def test_terms_that_miss_the_gap_are_the_first_sentence(missed):
    sentence = unfit(SOUND._replace(missed=missed), PLAUSIBLE, gap())
    assert sentence.startswith("No verdict: the terms should sum to the gap")
    assert f"{missed:.0f}% of their size" in sentence
    inexact = SOUND._replace(
        missed=missed, exact=False
    )  # a stochastic world's terms sum on average only
    assert unfit(inexact, PLAUSIBLE, gap()) == ""


def test_actions_of_another_policy_are_counted_first():
    sentence = unfit(SOUND._replace(other_actions=160, missed=47.0), PLAUSIBLE, gap())
    assert sentence.startswith("No verdict: 160 of the 4,000 recorded actions are not the policy's")
    assert "47% of their size" in sentence


FAR = dataclasses.replace(PLAUSIBLE, first_step=9, farthest=2e30, farthest_step=100)


@pytest.mark.parametrize(
    ("plausible", "words"),
    [
        (FAR, "leave the recorded range at step 9 and are 1e30 times it at step 100"),
        (PLAUSIBLE, "-2.3e+115 is beyond anything that the recorded rewards allow (-3,200 to 0)"),
    ],
)
def test_absurd_numbers_are_broken_and_no_estimates(plausible, words):
    sentence = unfit(SOUND, plausible, gap(-2.3e115))
    assert words in sentence
    assert sentence.endswith("No term is an estimate of anything.")


def random_actions(mean: float, half: float) -> Reference:
    return Reference(RANDOM, estimate(mean, half), (-1.0, 0.0), (-1.0,), (1.0,))


@pytest.mark.parametrize(
    ("returned", "random", "words"),
    [
        ((-500, 0), (-500, 0), "is no better than random actions: its real return is -500"),
        ((-510, 5), (-500, 5), "is no better than random actions"),
        ((20, 15), (10, 8), "is not clearly better than random actions"),
        ((-140, 40), (-1200, 150), ""),
        ((5, math.inf), (1, 0.5), ""),  # one episode says nothing of its spread
    ],
)
def test_a_policy_that_learned_nothing_is_said_to_have(returned, random, words):
    sentence = standing_of_policy(estimate(*returned), random_actions(*random))
    assert words in sentence if words else not sentence


def test_without_data_nothing_is_said_of_them():
    assert standing_of_policy(estimate(1, 1), None) == ""
    silent = dataclasses.replace(random_actions(0, 0), returns=None)
    assert standing_of_policy(estimate(-1, 1), silent) == ""


def trajectory(states: np.ndarray, rewards: np.ndarray, ended: bool = False) -> Trajectory:
    """Episodes of one-dimensional states `[episode, time + 1]`, all alive."""
    shape = rewards.shape
    terminated = np.zeros(shape, bool)
    terminated[:, -1] = ended
    columns = states[:, :-1, None], np.zeros(shape, np.int32), states[:, 1:, None], rewards
    return Trajectory(
        *columns,
        terminated,
        ~terminated & (np.arange(shape[1]) == shape[1] - 1),
        np.ones(shape, bool),
    )


SPEC = Spec(1, Discrete(2), np.ones(1), 50)
WORLD = MDP(SPEC, lambda s, a, key: s, lambda s, a, t: 0.0, never, lambda key: np.zeros(1), 1.0)


def wander(seed: int, episodes: int = 8, steps: int = 50) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    states = np.clip(np.cumsum(rng.normal(0, 0.3, (episodes, steps + 1)), axis=1), -3, 3)
    return states, -np.abs(states[:, 1:])


def test_imagination_inside_what_was_recorded_is_plausible():
    for seed in range(20):
        real, imagined = trajectory(*wander(seed)), trajectory(*wander(seed + 1000))
        judged = plausibility(WORLD, real, imagined, None)
        assert judged.impossible == 0
        assert implausible(judged) == ""


def test_impossible_returns_and_the_step_that_leaves_the_data_are_said():
    states, rewards = wander(0)
    real = trajectory(states, rewards)
    doubling = np.minimum(np.abs(states[:, :1]) + 0.1, 3) * 2.0 ** np.arange(51)
    judged = plausibility(WORLD, real, trajectory(doubling, rewards + 4.0), None)
    assert judged.allowed == (50 * rewards.min(), 50 * rewards.max())
    assert judged.impossible == judged.episodes == 8
    low, high = states.min(), states.max()
    outside = np.abs(doubling[:, 1:] - (low + high) / 2) > 1.5 * (high - low) / 2
    assert judged.first_step == int(np.argmax(outside.any(axis=0))) + 1
    assert judged.farthest == pytest.approx(
        (doubling.max() - (low + high) / 2) / ((high - low) / 2)
    )
    assert judged.farthest_step == 50
    sentence = implausible(judged)
    assert sentence.startswith("8 of 8 imagined returns are impossible: the recorded rewards allow")
    assert f"from step {judged.first_step} on" in sentence


def test_rewards_that_data_hold_allow_more():
    states, rewards = wander(0)
    real, hopeful = trajectory(states, rewards), trajectory(states, np.full(rewards.shape, 5.0))
    known = Reference(RANDOM, None, (-3.0, 5.0), (-3.0,), (3.0,))
    assert plausibility(WORLD, real, hopeful, None).impossible == 8
    assert plausibility(WORLD, real, hopeful, known).impossible == 0


def test_episodes_that_end_may_be_paid_once():
    states, rewards = wander(0)
    judged = plausibility(
        WORLD, trajectory(states, rewards, ended=True), trajectory(states, rewards), None
    )
    assert judged.allowed == (50 * rewards.min(), rewards.max())


def test_the_return_of_random_actions_is_the_mean_over_their_whole_episodes():
    states, rewards = wander(3, episodes=6)
    data = Dataset.from_trajectory(trajectory(states, rewards))
    known = reference(data, 50)
    assert known.policy == RANDOM
    assert known.returns is not None
    assert known.returns.mean == pytest.approx(rewards.sum(axis=1).mean())
    assert known.reward == (rewards.min(), rewards.max())
    assert reference(data.buy(300, 0, 0), 50).reward == (), "no label, no known reward"
    means = [reference(data.buy(300, 150, seed), 50).returns.mean for seed in range(200)]
    # Labels bought at random estimate it without bias: 5 standard errors, 1e-6.
    error = np.std(means) / np.sqrt(200)
    assert abs(np.mean(means) - rewards.sum(axis=1).mean()) < 5 * error


def test_episodes_that_a_purchase_cut_are_carried_on_where_nothing_ends():
    states, rewards = wander(3, episodes=4)
    data = Dataset.from_trajectory(trajectory(states, rewards))
    assert reference(data, 100).returns.mean == pytest.approx(2 * rewards.sum(axis=1).mean())


def test_an_end_that_was_not_bought_is_no_cut():
    """Episodes of 20 steps were carried on to 200, since none of the bought steps ended."""
    episodes = trajectory(np.zeros((40, 21)), np.ones((40, 20)), ended=True)
    data = Dataset.from_trajectory(episodes)
    assert reference(data, 200).returns.mean == 20
    assert reference(data.buy(10, 800, seed=0), 200).returns is None


def test_most_episodes_cut_and_some_ended_say_nothing_of_a_return():
    states, rewards = wander(3, episodes=4)
    episodes = trajectory(states, rewards)
    episodes.terminated[0, -1] = True
    assert reference(Dataset.from_trajectory(episodes), 100).returns is None
    episodes.terminated[:3, -1] = True
    assert reference(Dataset.from_trajectory(episodes), 100).returns.n == 3


@pytest.mark.parametrize(("last", "known"), [(80, True), (150, False)])
def test_a_return_is_not_known_where_cut_episodes_hold_many_of_the_steps(last, known):
    """Two of three episodes are whole, because they ended early."""
    lengths = np.array([100, 100, last])
    alive = np.arange(150) < lengths[:, None]
    episodes = trajectory(np.zeros((3, 151)), np.ones((3, 150)))
    episodes.terminated[[0, 1], 99] = True
    episodes = dataclasses.replace(episodes, alive=alive, truncated=np.zeros_like(alive))
    returns = reference(Dataset.from_trajectory(episodes), 500).returns
    assert (returns is not None) is known


def test_random_returns_that_are_all_equal_are_sure_only_as_far_as_so_many_show():
    """Acrobot: 20 episodes of 500 steps at −1 each say that no more than some of others are
    shorter.
    """
    data = Dataset.from_trajectory(trajectory(np.zeros((20, 51)), np.full((20, 50), -1.0)))
    returns = reference(data, 50).returns
    assert (returns.mean, returns.low) == (-50, -50)
    assert -50 + 0.168 * 50 <= returns.high <= -50 + 0.22 * 50


def test_data_that_go_on_behind_an_end_and_beyond_the_horizon_have_a_return():
    rewards = np.full((4, 50), -0.1)
    rewards[0, [10, -1]] = -20.0
    episodes = trajectory(np.zeros((4, 51)), rewards)
    episodes.terminated[0, [10, -1]] = True
    returns = reference(Dataset.from_trajectory(episodes), 40).returns
    assert returns.mean == pytest.approx(rewards.sum(axis=1).mean())


@pytest.mark.parametrize(("labels", "least"), [(None, -20 - 0.1 * 49), (600, -20 * 50)])
def test_what_is_paid_at_an_end_is_paid_once(labels, least):
    """19 of 20 episodes go on at -0.1 a step, one ends at its last step with -20; where some labels
    stand for all, that one may stand for 50.
    """
    rewards = np.full((20, 50), -0.1)
    rewards[0, -1] = -20.0
    episodes = trajectory(np.zeros((20, 51)), rewards)
    episodes.terminated[0, -1] = True
    data = Dataset.from_trajectory(episodes)
    if labels is not None:
        data = dataclasses.replace(data, has_label=np.arange(len(data.reward)) % 10 > 3)
    returns = reference(data, 50).returns
    assert f"betting in [{least:.4g}, 0]" in returns.method
    assert returns.low >= least


@pytest.mark.parametrize(
    ("imagination", "sentence"),
    [
        (None, ""),
        (Imagination(9, {"dynamics": 0.05, "total": 0.09}, capped=False), ""),
        (
            Imagination(65, {"dynamics": 0.4, "horizon": 0.1}, capped=True),
            "With 65 imagined draws.* 40% .* dynamics term",
        ),
        (
            Imagination(65, {"dynamics": 0.2, "total": 0.5}, capped=True),
            "still makes 50% of the variance of the gap",
        ),
        (
            Imagination(1, {"dynamics": np.nan}, capped=True),
            "With 1 imagined draw, where .* in every interval",
        ),
    ],
)
def test_noise_that_was_not_drawn_away_is_told(imagination, sentence):
    remark = noise_left(imagination)
    assert bool(remark) == bool(sentence)
    assert re.search(sentence, remark)
    assert not remark or "real episodes narrow only the rest" in remark


def test_actions_a_little_off_are_the_reason_that_is_said():
    sentence = unfit(SOUND._replace(missed=47.0, action_difference=9e-4), PLAUSIBLE, gap())
    assert "Recorded actions differ from the policy's by up to 0.09% of their range" in sentence
    assert "same answer twice" in unfit(
        SOUND._replace(missed=47.0, action_difference=1e-7), PLAUSIBLE, gap()
    )


def test_undiscounted_returns_beside_discounted_ones_are_said_to_be_so():
    policy = standing_of_policy(estimate(-500, 0), random_actions(-500, 0), discount=0.99)
    assert "its real return is -500 [-500, -500], not discounted, that of" in policy
    impossible = dataclasses.replace(PLAUSIBLE, impossible=3)
    assert "3 of 20 imagined returns, not discounted, are impossible" in implausible(
        impossible, ", not discounted"
    )
