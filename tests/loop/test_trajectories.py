"""Episodes on disk: they come back, and what are none is one sentence that names the file."""

import numpy as np
import pytest

from paracosm.core.checks import BadData
from paracosm.core.data import Trajectory
from paracosm.loop import trajectories

FLAGS = np.ones((2, 3), bool)
NUMBERS = np.arange(12.0).reshape(2, 3, 2)
COLUMNS = {
    "state": NUMBERS,
    "action": NUMBERS[..., :1],
    "next_state": NUMBERS + 1,
    "reward": NUMBERS[..., 0],
    "terminated": ~FLAGS,
    "truncated": ~FLAGS,
    "alive": FLAGS,
}


def test_episodes_come_back(tmp_path):
    trajectories.save(tmp_path / "new/episodes.npz", Trajectory(**COLUMNS))
    again = trajectories.load(tmp_path / "new/episodes.npz")
    for name, column in COLUMNS.items():
        np.testing.assert_array_equal(getattr(again, name), column)


def test_episodes_of_images_come_back_as_bytes(tmp_path):
    images = {name: COLUMNS[name].astype(np.uint8) for name in ("state", "next_state")}
    trajectories.save(tmp_path / "episodes.npz", Trajectory(**COLUMNS | images))
    again = trajectories.load(tmp_path / "episodes.npz")
    for name, column in images.items():
        np.testing.assert_array_equal(getattr(again, name), column)
        assert getattr(again, name).dtype == np.uint8
    np.savez(tmp_path / "mixed.npz", **COLUMNS | {"state": images["state"]})
    with pytest.raises(BadData, match="next_state, are float vectors; images"):
        trajectories.load(tmp_path / "mixed.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alive": None}, "lacks alive"),
        ({"alive": 1.0 * FLAGS}, "alive has entries of type float64"),
        ({"reward": FLAGS}, "reward has entries of type bool"),
        ({"reward": NUMBERS[:1, :, 0]}, r"reward has shape \(1, 3\); episodes of \(2, 3\)"),
        ({"reward": NUMBERS}, r"reward has shape \(2, 3, 2\)"),
        ({"next_state": NUMBERS[..., :1]}, r"the shapes \(2, 3, 2\) and \(2, 3, 1\)"),
        ({"alive": FLAGS & [[True], [False]]}, "an episode has no step"),
        ({"state": NUMBERS * np.nan}, "episode"),
    ],
)
def test_what_are_no_episodes_is_one_sentence(tmp_path, changes, message):
    file = tmp_path / "episodes.npz"
    columns = {name: column for name, column in (COLUMNS | changes).items() if column is not None}
    np.savez(file, **columns)
    with pytest.raises(BadData, match=rf"episodes\.npz.*{message}") as refusal:
        trajectories.load(file)
    assert "\n" not in str(refusal.value)
