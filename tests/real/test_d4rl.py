"""What D4RL's real files have: groups of infos, runs of terminals, and no timeouts in kitchen and
in the first versions.
"""

import h5py
import numpy as np
import pytest

from paracosm.core import checks
from paracosm.real.datasets import load, read


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def walks(lengths, reach, seed=0, size=3):
    """Smooth walks of steps of 0.1 from starts within `reach` of a place, and where each ends."""
    rng = np.random.default_rng(seed)
    place = np.arange(size) * 4.0
    parts = []
    for length in lengths:
        start = place + reach * rng.uniform(-1, 1, size)
        heading = rng.normal(size=size)
        heading /= np.linalg.norm(heading)
        parts.append(start + 0.1 * np.arange(length)[:, None] * heading)
    last = np.cumsum(lengths) - 1
    return np.concatenate(parts).astype(np.float32), last


def write(state, **columns):
    with h5py.File("d4rl.hdf5", "w") as file:
        file["observations"] = state
        file["actions"] = np.zeros((len(state), 2), np.float32)
        file["rewards"] = np.zeros(len(state), np.float32)
        for name, values in columns.items():
            file[name.replace("__", "/")] = values
    return "d4rl.hdf5"


def marked(rows, where):
    flags = np.zeros(rows, bool)
    flags[where] = True
    return flags


def lengths_of(data):
    return np.unique(data.episode, return_counts=True)[1]


@pytest.mark.filterwarnings("ignore:.* terminations are not read")
def test_kitchens_files_end_episodes_by_terminals_that_show_and_have_no_timeouts():
    state, last = walks([60, 80, 70, 90, 60], reach=0.1)
    data = load(write(state, terminals=marked(len(state), last)))
    np.testing.assert_array_equal(
        np.unique(data.episode, return_counts=True)[1], [59, 79, 69, 89, 59]
    )
    unmarked = marked(len(state), last[[0, 1, 3, 4]])
    with pytest.warns(UserWarning, match="episodes are cut after 1 rows that neither terminals"):
        assert len(np.unique(load(write(state, terminals=unmarked)).episode)) == 5


def test_first_versions_without_timeouts_are_cut_at_the_limit_where_they_jump():
    state, _ = walks([150] * 6 + [60], reach=0.1)
    none = np.zeros(len(state), bool)
    with pytest.warns(UserWarning, match="episodes are cut after 6 rows that neither terminals"):
        data = load(write(state, terminals=none))
    np.testing.assert_array_equal(lengths_of(data), [149] * 6 + [59])


@pytest.mark.parametrize("lengths", [[150, 150, 90, 150, 150], [150, 150, 150, 240]])
def test_jumps_at_no_common_limit_tell_nothing_of_limits(lengths):
    state, _ = walks(lengths, reach=0.1)
    with pytest.raises(checks.BadData, match="has neither timeouts nor next_observations"):
        load(write(state, terminals=np.zeros(len(state), bool)))


def test_terminals_after_which_resets_do_not_show_tell_nothing_of_time_limits():
    state, last = walks([5] * 20, reach=0.1)  # of episodes so short that a reset is like a step
    with pytest.raises(checks.BadData, match="has neither timeouts nor next_observations"):
        load(write(state, terminals=marked(len(state), last)))


def antmaze(trajectories=8, limit=200, goal=150):
    """Trajectories that are cut at a limit; half of them reach a goal, stay there, and every row
    there is terminal.
    """
    state, last = walks([limit] * trajectories, reach=0.5, size=4)
    terminals = np.zeros((trajectories, limit), bool)
    terminals[::2, goal:] = True
    infos = {
        "infos__goal": np.zeros((len(state), 2)),
        "infos__qpos": np.zeros((len(state), 15)),
        "metadata__algorithm": "none",
    }
    return state, marked(len(state), last), terminals.reshape(-1), infos


@pytest.mark.filterwarnings("ignore:.* terminations are not read")
def test_antmazes_files_go_on_after_a_goal_and_are_read():
    state, timeouts, terminals, infos = antmaze()
    read_data = read(write(state, terminals=terminals, timeouts=timeouts, **infos))
    # A row at the goal is an episode of its own, whose next state is not known.
    np.testing.assert_array_equal(lengths_of(read_data.dataset), [150, 199] * 4)
    assert read_data.left_out == 4 * 50 + 4


@pytest.mark.filterwarnings("error")
def test_locomotions_second_versions_are_read_with_their_infos_and_without_a_warning():
    state, last = walks([60, 100, 40, 100], reach=0.1)
    after = np.roll(state, -1, axis=0)
    after[last] = state[last] + 0.1
    fallen = marked(len(state), last[[0, 2]])
    columns = {
        "terminals": fallen,
        "timeouts": marked(len(state), last[[1, 3]]),
        "next_observations": after,
        "infos__qpos": np.zeros((len(state), 6)),
        "infos__action_log_probs": np.zeros(len(state)),
        "metadata__policy__fc0__weight": np.zeros((4, 4)),
    }
    data = load(write(state, **columns))
    np.testing.assert_array_equal(np.flatnonzero(data.terminated), last[[0, 2]])
    np.testing.assert_array_equal(np.flatnonzero(data.truncated), last[[1, 3]])
