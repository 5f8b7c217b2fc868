"""Three causes of terminations that a world does not share, told apart, and answers that are no yes
or no.

The records are made by hand: walks that end where a component passes a threshold, or at a time
limit.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.auditing.linter.terminations import end_findings
from paracosm.auditing.one_step import OneStep, StepOutcome
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP, Box, Spec, never
from paracosm.reporting.finding_words import with_sentence

EPISODES, HORIZON = 24, 60
SPEC = Spec(2, Box(-jnp.ones(1), jnp.ones(1)), jnp.ones(2), HORIZON)
WORLD = MDP(SPEC, lambda s, a, k: s, lambda s, a, t: s[0], never, lambda k: jnp.zeros(2), 0.99)


class Record:
    """Walks in two dimensions and a world that predicts them up to noise; `ends` says where one has
    an end.
    """

    def __init__(self, ends, seed=0, noise=0.02, start=0.3):
        draws = np.random.default_rng(seed)
        steps = 0.15 * draws.normal(size=(EPISODES, HORIZON, 2)) + np.array([0.02, 0.0])
        path = np.cumsum(
            np.concatenate([start * draws.normal(size=(EPISODES, 1, 2)), steps], axis=1), axis=1
        )
        state, after = path[:, :-1], path[:, 1:]
        over = ends(after)
        over[:, -1] |= ends is time_limit
        before = np.concatenate([np.zeros((EPISODES, 1), bool), over[:, :-1]], axis=1)
        alive = np.cumsum(before, axis=1) == 0
        last = alive & np.concatenate([~alive[:, 1:], np.ones((EPISODES, 1), bool)], axis=1)
        action = np.zeros((EPISODES, HORIZON, 1))
        self.episodes = Trajectory(
            state, action, after, np.ones(alive.shape), over & alive, last & ~over, alive
        )
        self.imagined = after + noise * draws.normal(size=after.shape)
        self.last = last

    def kinds(self, says, world=WORLD, **columns):
        """Findings where the world ends at the steps `says`; `columns` of the record replaced."""
        episodes = dataclasses.replace(self.episodes, **columns)
        zeros = np.zeros(says.shape)
        real = StepOutcome(zeros, says & episodes.alive)
        predictions = OneStep(self.imagined, real, real, zeros[..., None], zeros > 1, zeros > 1)
        self.findings = [*map(with_sentence, end_findings(world, episodes, predictions))]
        return [finding.kind for finding in self.findings]


def crossing(states):
    return states[..., 0] > 1.0


def time_limit(states):
    return np.zeros(states.shape[:2], bool)


NONE = np.zeros((EPISODES, HORIZON), bool)


def test_a_rule_that_is_right_or_a_little_wrong_has_no_finding():
    record = Record(crossing)
    assert record.episodes.terminated.sum() >= 5
    assert record.kinds(record.episodes.terminated) == []
    assert record.kinds(record.episodes.next_state[..., 0] > 1.05) == []
    assert Record(time_limit).kinds(NONE, terminated=NONE) == []


def test_a_missing_end_rule():
    record = Record(crossing)
    assert record.kinds(NONE) == ["missed terminations"]
    assert "never ends" in record.findings[0].sentence


def test_time_limits_recorded_as_terminations():
    """All ends on one step, whatever the state: not a missing rule, and not the reverse."""
    record = Record(time_limit)
    assert record.episodes.terminated.sum() == EPISODES
    assert record.kinds(NONE) == ["time limits as terminations"]
    assert f"fall on step {HORIZON}" in record.findings[0].sentence
    assert "look like time limits" in record.findings[0].sentence


def test_time_limits_beside_real_ends_that_the_world_knows():
    record = Record(crossing)
    flags = record.episodes.terminated | record.episodes.truncated
    assert record.episodes.truncated.sum() >= 3
    assert record.kinds(record.episodes.terminated, terminated=flags, truncated=NONE) == [
        "time limits as terminations"
    ]


@pytest.mark.parametrize("horizon", [HORIZON, 10 * HORIZON])
@pytest.mark.parametrize("falls", [1, 2, 4, 12])
def test_time_limits_beside_falls_for_which_there_is_no_rule(falls, horizon):
    """Some episodes fall on the way, the others reach the limit: two causes, the second from three
    falls on.
    """
    record = Record(time_limit)
    over, alive = record.episodes.terminated.copy(), record.episodes.alive.copy()
    for episode in range(falls):
        alive[episode, 30 + episode :] = over[episode] = False
        over[episode, 29 + episode] = True
    world = dataclasses.replace(WORLD, spec=dataclasses.replace(SPEC, horizon=horizon))
    kinds = record.kinds(NONE, world, terminated=over, truncated=NONE, alive=alive)
    assert kinds == ["time limits as terminations"] + (
        ["missed terminations"] if falls >= 3 else []
    )
    assert record.findings[0].sentence.startswith(f"{EPISODES - falls} of the {EPISODES} recorded")
    if falls >= 3:
        assert f"where {falls} of the {falls} real" in record.findings[1].sentence
        assert f"at steps 30 to {29 + falls}:" in record.findings[1].sentence


def test_falls_that_pile_up_at_the_latest_step_are_no_time_limit():
    """All fall within a few steps, on both sides, and a third at the last of these."""
    record = Record(time_limit)
    last = 17 + np.arange(EPISODES) % 3
    over = np.arange(HORIZON) == last[:, None]
    alive = np.arange(HORIZON) <= last[:, None]
    assert record.kinds(NONE, terminated=over, truncated=NONE, alive=alive) == [
        "missed terminations"
    ]


def test_real_ends_at_the_horizon_beside_cuts_are_no_time_limit():
    record = Record(time_limit)
    over = record.episodes.terminated.copy()
    over[4:] = False
    over[12:, 20] = True
    alive = record.episodes.alive.copy()
    alive[12:, 21:] = False
    cut = np.zeros_like(over)
    cut[4:12, -1] = True
    assert record.kinds(NONE, terminated=over, truncated=cut, alive=alive) == [
        "missed terminations"
    ]


def test_an_end_after_a_number_of_steps_that_the_world_knows_has_no_finding():
    record = Record(time_limit)
    assert record.kinds(record.episodes.terminated) == []


def test_real_ends_on_one_step_are_no_time_limit():
    """Every episode the same: it falls at step 20 of 60, in one place."""
    record = Record(time_limit)
    at = np.zeros_like(NONE)
    at[:, 19] = True
    alive = np.broadcast_to(np.arange(HORIZON) < 20, at.shape)
    state, after = (
        np.broadcast_to(x[:1], x.shape) for x in (record.episodes.state, record.episodes.next_state)
    )
    kinds = record.kinds(
        NONE, terminated=at, truncated=NONE, alive=alive, state=state, next_state=after
    )
    assert kinds == ["missed terminations"]


@pytest.mark.parametrize("exactly", [True, False])
def test_observations_after_an_automatic_reset(exactly):
    """The rule is asked at the next episode's first state and says no: the rule is right, the
    record is not.
    """
    record = Record(crossing, start=0.05)
    after = record.episodes.next_state.copy()
    first = np.roll(record.episodes.state[:, 0], -1, axis=0)
    first = first if exactly else 0.9 * first
    after[record.last] = first
    kinds = record.kinds(crossing(after), next_state=after)
    assert kinds == ["auto-reset observations"]
    assert "first states" in record.findings[0].sentence


def test_ends_at_the_goal_beside_the_start_are_no_reset():
    """Next states among the starts, but as near to the world's as any other."""
    record = Record(lambda states: np.linalg.norm(states, axis=-1) < 0.3, start=0.6)
    assert record.episodes.terminated.sum() >= 3
    assert "auto-reset observations" not in record.kinds(record.episodes.terminated)


def test_ends_one_step_early():
    record = Record(crossing)
    early = np.zeros_like(NONE)
    early[:, :-1] = record.episodes.terminated[:, 1:]
    assert record.kinds(early) == ["termination timing"]


def test_truncations_learned_as_terminations():
    record = Record(crossing)
    assert record.episodes.truncated.sum() >= 3
    says = record.episodes.terminated | record.episodes.truncated
    assert record.kinds(says) == ["truncations as terminations"]


def test_answers_that_are_probabilities():
    """P(end) is above 0 everywhere, and so yes everywhere; P(continue) is yes but at the ends."""
    record = Record(crossing)
    assert record.kinds(~NONE) == ["false terminations"]
    assert "termination_gives=" in record.findings[0].sentence
    assert record.kinds(~record.episodes.terminated) == ["false terminations"]
    assert "reversed" in record.findings[0].sentence


def test_false_ends():
    record = Record(crossing)
    assert record.kinds(record.episodes.next_state[..., 1] > 0) == ["false terminations"]
    assert "termination_gives" not in record.findings[0].sentence
