"""The table of observations, and the windows that are drawn from it."""

import dataclasses

import numpy as np
import pytest

from paracosm.core import checks
from paracosm.learning.latent.frames import frames_of, windows_at
from paracosm.learning.latent.training import require_observations
from tests.learning.latent.examples import SPACE, episodes


def test_every_observation_is_there_once_and_steps_lead_from_one_to_the_next():
    data = episodes(3)
    frames = frames_of(data, 1)
    rows = data.real_steps
    np.testing.assert_array_equal(frames.observation[frames.frame], data.state)
    np.testing.assert_array_equal(frames.observation[frames.frame + 1], data.next_state)
    assert len(np.unique(np.append(frames.frame, frames.frame + 1))) == rows + 3


def test_more_rows_up_to_the_capacity_make_a_table_of_the_same_shape():
    shapes = {tuple(np.shape(column) for column in frames_of(episodes(n), 100)) for n in (1, 3, 8)}
    assert len(shapes) == 1
    assert len(frames_of(episodes(9), 100).frame) > 100


def test_a_gap_within_an_episode_is_refused():
    data = episodes(2)
    require_observations(data, SPACE, None)
    gap = dataclasses.replace(data, time=data.time + 7 * (np.arange(data.real_steps) > 14))
    with pytest.raises(
        checks.BadData, match=r"^step 2 of episode 1 is followed by step 10; an enc"
    ):
        require_observations(gap, SPACE, None)


def test_a_window_in_the_middle_holds_its_history_and_what_follows():
    data = episodes(2)
    windows = windows_at(frames_of(data, 1), np.array([17]), 2, 3)
    np.testing.assert_array_equal(windows.observation[0, :-1], data.state[15:20])
    np.testing.assert_array_equal(windows.observation[0, -1], data.next_state[19])
    np.testing.assert_array_equal(windows.action[0], data.action[15:20])
    np.testing.assert_allclose(windows.reward[0], data.reward[17:20], rtol=1e-6)
    assert windows.remembered.all()
    assert windows.alive.all()
    assert windows.labelled.all()


def test_nothing_of_another_episode_is_in_a_window():
    data = episodes(2)
    start, end = windows_at(frames_of(data, 1), np.array([12, 11]), 2, 3), 11
    first = np.asarray(start.observation)
    np.testing.assert_array_equal(first[0, :3], np.repeat(data.state[12:13], 3, axis=0))
    assert not start.remembered[0].any()
    np.testing.assert_array_equal(
        first[1, 3:], np.repeat(data.next_state[end : end + 1], 3, axis=0)
    )
    assert start.alive[1].tolist() == [True, False, False]
    assert start.ended[1].tolist() == [True, False, False]


def test_a_window_stops_at_a_step_that_was_not_bought_and_reads_no_label_that_was_not():
    data = episodes(2)
    bought, labelled = data.has_transition.copy(), data.has_label.copy()
    bought[5], labelled[3] = False, False
    data = dataclasses.replace(
        data,
        has_transition=bought,
        has_label=labelled,
        reward=np.where(labelled, data.reward, np.nan),
    )
    windows = windows_at(frames_of(data, 1), np.array([3]), 1, 4)
    assert windows.alive[0].tolist() == [True, True, False, False]
    assert windows.labelled[0].tolist() == [False, True, False, False]
    assert np.isfinite(windows.reward).all()
