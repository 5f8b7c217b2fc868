"""Data sets on disk: what is saved comes back equal, what others wrote is read, what cannot be is
said.
"""

import dataclasses
import importlib
import os
import warnings

import h5py
import minari
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from paracosm.core import checks
from paracosm.core.columns import COLUMNS
from paracosm.real.datasets import load, save
from paracosm.real.verbs import collect
from tests.real.test_collecting import assert_equal
from tests.real.worlds import counter, walk

FILES = ["a.npz", "a.h5", "a.hdf5", "a.parquet", "a.arrow", "a.feather", "a.csv"]
KINDS = [*FILES, "minari:tests/bought-v0"]


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))


@pytest.fixture(params=["box", "discrete"])
def dataset(request):
    if request.param == "box":
        return collect(walk(), 60, seed=0).buy(25, 40, seed=1)
    return collect(lambda: counter(action_space=spaces.Discrete(3)), 60, seed=0).buy(60, 10, seed=1)


@pytest.mark.parametrize("where", KINDS)
def test_what_is_saved_comes_back_equal(dataset, where):
    save(dataset, where)
    assert_equal(load(where), dataset)
    assert not [name for name in os.listdir() if name.endswith(".part")]


@pytest.mark.parametrize("where", KINDS)
def test_rows_with_gaps_come_back_equal(dataset, where):
    gaps = dataclasses.replace(dataset, **{name: getattr(dataset, name)[::3] for name in COLUMNS})
    save(gaps, where)
    assert_equal(load(where), gaps)


def test_saving_again_replaces_a_file_but_not_a_minari_data_set(dataset):
    doubled = dataset.join(dataset)
    for where in FILES:
        save(dataset, where)
        save(doubled, where)
        assert_equal(load(where), doubled)
    save(dataset, "minari:tests/bought-v0")
    with pytest.raises(checks.BadArgument, match="minari:tests/bought-v0 exists already"):
        save(dataset, "minari:tests/bought-v0")


def test_a_failed_write_leaves_the_old_file(dataset, monkeypatch):
    save(dataset, "a.npz")

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(checks.BadArgument, match=r"a.npz cannot be written: disk full\."):
        save(dataset.join(dataset), "a.npz")
    assert os.listdir() == ["a.npz"]
    assert_equal(load("a.npz"), dataset)


def d4rl(data, name, *, leave_out=()):
    flat = {
        "observations": data.state,
        "actions": data.action,
        "rewards": data.reward.astype(np.float32),
        "terminals": data.terminated,
        "timeouts": data.truncated,
        "next_observations": data.next_state,
    }
    with h5py.File(name, "w") as file:
        for key in flat.keys() - set(leave_out):
            file[key] = flat[key]
        file["metadata/algorithm"] = "none"


@pytest.mark.filterwarnings("ignore:.* episodes are cut after")  # without timeouts it says where
@given(seed=st.integers(0, 30))
def test_d4rl_files_are_read_as_they_were_lived(seed):
    data = collect(walk(), 50, seed=seed)
    d4rl(data, "d4rl.hdf5")
    loaded = load("d4rl.hdf5")
    renumbered = np.unique(data.episode, return_inverse=True)[1]
    expected = dataclasses.replace(
        data, episode=renumbered, reward=data.reward.astype(np.float32).astype(np.float64)
    )
    assert_equal(loaded, expected)
    d4rl(data, "no_timeouts.hdf5", leave_out=["timeouts"])
    assert_equal(load("no_timeouts.hdf5"), expected)


@pytest.mark.filterwarnings("ignore:.* terminations are not read")
def test_d4rl_files_without_next_observations_lose_the_last_step_of_each_episode():
    data = collect(walk(), 50, seed=0)
    d4rl(data, "d4rl.hdf5", leave_out=["next_observations"])
    loaded, inside = load("d4rl.hdf5"), ~(data.terminated | data.truncated)
    np.testing.assert_array_equal(loaded.next_state, data.next_state[inside])
    np.testing.assert_array_equal(loaded.time, data.time[inside])
    assert not loaded.terminated.any()
    assert loaded.truncated.sum() == len(np.unique(data.episode[inside]))


def test_a_minari_data_set_of_others_is_read_as_bought_whole():
    lengths, rng = (4, 6), np.random.default_rng(0)
    buffers = [
        minari.data_collector.EpisodeBuffer(
            observations=list(rng.normal(size=(length + 1, 3))),
            actions=list(rng.integers(5, 8, length)),
            rewards=list(rng.normal(size=length)),
            terminations=[False] * (length - 1) + [length == 4],
            truncations=[False] * length,
        )
        for length in lengths
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Minari recommends to name authors and environments
        minari.create_dataset_from_buffers(
            "tests/others-v0",
            buffers,
            observation_space=spaces.Box(-9, 9, (3,), np.float64),
            action_space=spaces.Discrete(3, start=5),
        )
    data = load("minari:tests/others-v0")
    np.testing.assert_array_equal(data.episode, [0] * 4 + [1] * 6)
    np.testing.assert_array_equal(data.time, [*range(4), *range(6)])
    np.testing.assert_array_equal(data.action, np.concatenate([b.actions for b in buffers]) - 5)
    np.testing.assert_array_equal(data.next_state[4:], np.float32(buffers[1].observations[1:]))
    np.testing.assert_array_equal(data.reward, np.concatenate([b.rewards for b in buffers]))
    np.testing.assert_array_equal(np.flatnonzero(data.terminated), [3])
    np.testing.assert_array_equal(np.flatnonzero(data.truncated), [9])
    assert data.has_label.all()
    assert data.has_transition.all()


def test_files_that_cannot_be_used_are_refused_with_a_reason(dataset):
    columns = {name: getattr(dataset, name) for name in COLUMNS}
    np.savez("lacking.npz", state=dataset.state, action=dataset.action)
    np.savez("objects.npz", **{**columns, "episode": np.array([{}] * 60, object)})
    np.savez("words.npz", **{**columns, "time": np.array(["now"] * 60)})
    for name in ("text.npz", "text.h5"):
        with open(name, "w") as file:
            file.write("not a data set")
    with h5py.File("half.h5", "w") as file:
        file["observations"] = dataset.state
        file["actions"] = dataset.action
    d4rl(dataset, "short.h5", leave_out=["rewards"])
    with h5py.File("short.h5", "a") as file:
        file["rewards"] = np.zeros(3)
    reasons = {
        "lacking.npz": (checks.BadData, "lacking.npz lacks the columns next_state, reward"),
        "objects.npz": (checks.BadData, "objects.npz is not an npz file of plain arrays"),
        "words.npz": (
            checks.BadData,
            "words.npz: time holds text; columns that are not numbers cannot be used",
        ),
        "text.npz": (checks.BadData, "text.npz is not an npz file of plain arrays"),
        "text.h5": (checks.BadData, "text.h5 is not an HDF5 file"),
        "half.h5": (checks.BadData, "lacks rewards, terminals"),
        "short.h5": (checks.BadData, "short.h5: rewards has 3 rows and observations 60"),
        "none.npz": (checks.Missing, r"There is no file none\.npz"),
        "none.csv": (checks.Missing, r"There is no file none\.csv"),
        "none.xls": (
            checks.Unsupported,
            r"none\.xls is not a data set: \.npz, \.h5, \.hdf5, \.parquet, .* and minari:NAME are",
        ),
        "minari:none-v0": (checks.Missing, "Minari has no data set 'none-v0' on this machine"),
    }
    for where, (kind, sentence) in reasons.items():
        with pytest.raises(kind, match=sentence):
            load(where)
    with pytest.raises(checks.BadArgument, match=r"text\.npz/a\.npz cannot be written: "):
        save(dataset, "text.npz/a.npz")
    with pytest.raises(checks.BadArgument, match="minari:a b is not a name"):
        save(dataset, "minari:a b")
    with pytest.raises(checks.BadArgument, match="has no steps"):
        save(
            dataclasses.replace(dataset, **{name: column[:0] for name, column in columns.items()}),
            "minari:a-v0",
        )


@pytest.mark.parametrize(
    ("where", "module"),
    [
        ("a.h5", "h5py"),
        ("a.parquet", "pyarrow"),
        ("a.arrow", "pyarrow"),
        ("minari:a/b-v0", "minari"),
    ],
)
def test_a_missing_extra_is_named(dataset, monkeypatch, where, module):
    import_module = importlib.import_module

    def refuse(name):
        if name == module:
            raise ImportError(f"No module named {name!r}")
        return import_module(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(
        checks.Missing,
        match=rf"{where} needs {module}: pip install 'paracosm\[(hdf5|parquet|minari)\]'",
    ):
        save(dataset, where)
