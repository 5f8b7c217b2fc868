"""Damaged data sets: each file is loaded or refused in one sentence that names it, never with a
traceback.
"""

import dataclasses
import json
import re
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from paracosm.adapters import trajectory
from paracosm.core import checks
from paracosm.core.columns import COLUMNS
from paracosm.core.data import Dataset
from paracosm.real.datasets import load, save
from paracosm.real.verbs import collect, connect
from tests.real.misbehaving import world
from tests.real.test_datasets import d4rl

OWN = ("own.npz", "own.h5", "own.parquet", "own.arrow", "own.csv")
MINARI = "minari/tests/own-v0/data"
FILES = (
    *OWN,
    "packed.npz",
    "d4rl.hdf5",
    f"{MINARI}/main_data.hdf5",
    f"{MINARI}/metadata.json",
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MINARI_DATASETS_PATH", str(folder / "minari"))
        data = collect(world, 40, seed=0)
        for where in (*OWN, "minari:tests/own-v0"):
            save(data, where)
        np.savez_compressed("packed.npz", **{name: getattr(data, name) for name in COLUMNS})
        d4rl(data, "d4rl.hdf5")
    return folder, data


@pytest.fixture
def folder(sound, tmp_path, monkeypatch):
    copy = shutil.copytree(sound[0], tmp_path / "copy")
    monkeypatch.chdir(copy)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(copy / "minari"))
    return copy


def cut(raw, rng):
    return raw[: rng.integers(len(raw))]


def flipped(raw, rng):
    places = rng.integers(len(raw), size=rng.choice([1, 4, 64]))
    changed = np.frombuffer(raw, np.uint8).copy()
    changed[places] ^= rng.integers(1, 256, len(places), np.uint8)
    return changed.tobytes()


def head_flipped(raw, rng):
    return flipped(raw[:512], rng) + raw[512:]


def blanked(raw, rng):
    at, length = rng.integers(len(raw)), rng.integers(1, 600)
    return raw[:at] + bytes(len(raw[at : at + length])) + raw[at + length :]


def torn(raw, rng):
    at, length = rng.integers(len(raw)), rng.integers(1, 200)
    return raw[:at] + raw[at + length :]


def stuffed(raw, rng):
    at = rng.integers(len(raw))
    return raw[:at] + rng.bytes(rng.integers(1, 100)) + raw[at:]


def noise(raw, rng):
    return rng.bytes(rng.integers(0, 2000))


def headed_noise(raw, rng):
    return raw[:8] + rng.bytes(rng.integers(0, 2000))


DAMAGES = (cut, flipped, head_flipped, blanked, torn, stuffed, noise, headed_noise)


def require_one_sentence(where, name):
    """Loads, or is refused in one sentence that names the file; a damaged number may still be a
    number.
    """
    try:
        assert isinstance(load(where), Dataset)
    except checks.ParacosmError as error:
        text = str(error)
        assert name in text
        assert "\n" not in text
        assert len(text) < 700
        return 1
    return 0


# What is damaged may lead elsewhere, or lack a column, which is loaded with a warning.
@pytest.mark.filterwarnings("ignore:.* episodes are cut after")
@pytest.mark.filterwarnings("ignore:.* terminations are not read")
@pytest.mark.parametrize("rounds", [2, pytest.param(14, marks=pytest.mark.full)])
def test_damaged_files_are_loaded_or_refused_in_one_sentence(folder, rounds):
    files = refused = 0
    for index, name in enumerate(FILES):
        path, raw = Path(name), Path(name).read_bytes()
        for seed in range(rounds * len(DAMAGES)):
            damage, rng = DAMAGES[seed % len(DAMAGES)], np.random.default_rng([index, seed])
            path.write_bytes(damage(raw, rng))
            where = "minari:tests/own-v0" if "minari" in name else name
            refused += require_one_sentence(where, "tests/own-v0" if "minari" in name else name)
            files += 1
        path.write_bytes(raw)
    assert files >= (120 if rounds == 2 else 500)
    assert refused > files / 2


def rewritten(changes, drop=()):
    """Our columns with some changed and some left out, saved."""

    def write(data):
        columns = {name: getattr(data, name) for name in COLUMNS if name not in drop}
        np.savez("case.npz", **{**columns, **changes(data)})
        return "case.npz"

    return write


def at(column, row, value, kind=None):
    """One entry of one column changed."""

    def changes(data):
        values = getattr(data, column).astype(kind or getattr(data, column).dtype)
        values[row] = value
        return {column: values}

    return rewritten(changes)


def claiming(data):
    """A column of a size that nothing in the file stands for."""
    shutil.copy("own.h5", "case.h5")
    with h5py.File("case.h5", "a") as file:
        del file["reward"]
        file.create_dataset("reward", (10**11,), float)
    return "case.h5"


def as_d4rl(changes, drop=()):
    def write(data):
        d4rl(data, "case.hdf5", leave_out=[*drop, *changes])
        with h5py.File("case.hdf5", "a") as file:
            for name, values in changes.items():
                file[name] = values(data)
        return "case.hdf5"

    return write


def npy(data):
    np.save("case.npy", data.state)
    Path("case.npy").rename("case.npz")
    return "case.npz"


def encrypted(data):
    raw = bytearray(Path("own.npz").read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = raw.find(signature)
        while at >= 0:
            raw[at + offset] |= 1
            at = raw.find(signature, at + 4)
    Path("case.npz").write_bytes(raw)
    return "case.npz"


def deep_header(data):
    with zipfile.ZipFile("own.npz") as source, zipfile.ZipFile("case.npz", "w") as target:
        for name in source.namelist():
            head = b"\x93NUMPY\x01\x00" + (2000).to_bytes(2, "little") + b"(" * 1999 + b"\n"
            target.writestr(name, head if name == "reward.npy" else source.read(name))
    return "case.npz"


def shuffled(data):
    order = np.random.default_rng(0).permutation(data.real_steps)
    return {name: getattr(data, name)[order] for name in COLUMNS}


def flat(name):
    return lambda data: getattr(data, name)


REFUSED = {
    "complex reward": (at("reward", 0, 1j, complex), "reward holds complex numbers"),
    "complex state": (at("state", 0, 1j, complex), "state holds complex numbers"),
    "flag NaN": (at("terminated", 7, np.nan, float), "terminated is nan in row 7; 0 or 1"),
    "flag 2": (at("truncated", 5, 2, int), "truncated is 2 in row 5; 0 or 1"),
    "flag a probability": (at("terminated", 3, 0.5, float), r"terminated is 0\.5 in row 3"),
    "flag text": (rewritten(lambda d: {"terminated": np.full(40, "no")}), "terminated holds text"),
    "mark NaN": (at("has_label", 2, np.nan, float), "has_label is nan in row 2"),
    "episode NaN": (at("episode", 4, np.nan, float), "episode is nan in row 4; a whole number"),
    "episode a fraction": (
        at("episode", 4, 0.5, float),
        r"episode is 0\.5 in row 4; a whole number",
    ),
    "time NaN": (at("time", 6, np.nan, float), "time is nan in row 6; a whole number"),
    "time a fraction": (at("time", 1, 1.5, float), r"time is 1\.5 in row 1; a whole number"),
    "time negative": (at("time", 0, -1), "time is -1 in row 0"),
    "time infinite": (at("time", 9, np.inf, float), "time is inf in row 9"),
    "time text": (rewritten(lambda d: {"time": np.full(40, "now")}), "time holds text"),
    "repeated": (
        rewritten(lambda d: {"time": np.maximum(d.time - 1, 0)}),
        r"row 1 has episode 0, time 0, and row 0",
    ),
    "unordered": (
        rewritten(shuffled),
        r"row \d+ has episode .* rows in the order of \(episode, time\)",
    ),
    "next state elsewhere": (
        at("next_state", 1, 5.0),
        r"next_state of row 1 is \[5\. 5\.\] and state of row 2",
    ),
    "ends in between": (
        at("terminated", 0, True),
        "terminated is true in row 0; episode 0 goes on after it",
    ),
    "cut in between": (
        at("truncated", 1, True),
        "truncated is true in row 1; episode 0 goes on after it",
    ),
    "state NaN": (at("state", 8, np.nan), r"state is \[nan nan\] in row 8"),
    "state beyond 32 bits": (at("state", 8, 1e300, float), r"state is .* in row 8; .* 32 bits"),
    "label beyond 32 bits": (at("reward", 3, -1e39), r"reward is -1e\+39 in row 3; .* in 32 bits"),
    "label NaN": (at("reward", 3, np.nan), "reward is nan in row 3"),
    "action infinite": (at("action", 3, np.inf), r"action is \[inf\] in row 3"),
    "action negative": (
        rewritten(lambda d: {"action": np.arange(40) - 3}),
        "action is -3 in row 0; a whole number",
    ),
    "action text": (rewritten(lambda d: {"action": np.full((40, 1), "left")}), "action holds text"),
    "state of one dimension": (
        rewritten(lambda d: {"state": d.state[:, 0]}),
        r"state has the shape \(40,\)",
    ),
    "state without components": (
        rewritten(lambda d: {"state": d.state[:, :0]}),
        r"state has the shape \(40, 0\)",
    ),
    "reward of two": (
        rewritten(lambda d: {"reward": d.state}),
        r"reward has the shape \(40, 2\); one number a row",
    ),
    "a single value": (
        rewritten(lambda d: {"reward": np.float64(1)}),
        r"reward has the shape \(\)",
    ),
    "other widths": (
        rewritten(lambda d: {"next_state": d.state[:, :1]}),
        "state has 2 components and next_state 1",
    ),
    "uneven": (rewritten(lambda d: {"time": d.time[1:]}), "time has 39 rows and state 40"),
    "no rows": (
        rewritten(lambda d: {name: getattr(d, name)[:0] for name in COLUMNS}),
        "holds no rows",
    ),
    "columns lacking": (
        rewritten(lambda d: {}, drop=["next_state", "time"]),
        "lacks the columns next_state, time",
    ),
    "a size that is not there": (
        claiming,
        "reward claims 800000000000 bytes, more than compression explains",
    ),
    "npy renamed": (npy, "is not an npz file of plain arrays"),
    "encrypted": (encrypted, "is not an npz file of plain arrays.*encrypted"),
    "a header nested deep": (deep_header, "is not an npz file of plain arrays"),
    "d4rl glued": (
        as_d4rl({"terminals": lambda d: np.zeros(40)}, drop=["timeouts", "next_observations"]),
        r"has neither timeouts nor next_observations, .* \(the widest jump, .* from row \d+ to row"
        r" \d+\); add a column",
    ),
    "d4rl terminals alone": (
        as_d4rl({}, drop=["timeouts", "next_observations"]),
        "has neither timeouts nor next_obs",
    ),
    "d4rl terminals text": (
        as_d4rl({"terminals": lambda d: np.full(40, b"no")}),
        "terminals holds text",
    ),
    "d4rl terminals NaN": (
        as_d4rl({"terminals": lambda d: np.full(40, np.nan)}),
        "terminals is nan in row 0",
    ),
    "d4rl timeouts of two": (
        as_d4rl({"timeouts": flat("state")}),
        r"timeouts has the shape \(40, 2\)",
    ),
    "d4rl a single value": (as_d4rl({"rewards": lambda d: 1.0}), "rewards is a single value"),
    "d4rl uneven": (
        as_d4rl({"actions": lambda d: d.action[1:]}),
        "actions has 39 rows and observations 40",
    ),
    "d4rl complex": (as_d4rl({"rewards": lambda d: d.reward + 1j}), "reward holds complex numbers"),
    "d4rl without rows": (
        as_d4rl(
            {name: lambda d: np.zeros((0, 2)) for name in ("observations", "next_observations")}
        ),
        "actions has 40 rows and observations 0",
    ),
}


@pytest.mark.parametrize(("write", "sentence"), REFUSED.values(), ids=REFUSED)
def test_columns_that_cannot_be_used_are_refused_by_column_and_row(folder, sound, write, sentence):
    where = write(sound[1])
    with pytest.raises(checks.BadData, match=sentence) as caught:
        load(where)
    assert where in str(caught.value)
    assert "\n" not in str(caught.value)


def test_episodes_joined_without_their_cuts_are_refused_and_a_long_one_is_not(folder):
    data = collect("Pendulum-v1", 4000, seed=0)
    none = {name: lambda d: np.zeros(len(d.state)) for name in ("terminals", "timeouts")}
    with pytest.raises(
        checks.BadData, match=r"the widest jump, .* from row (\d+) to row \d+\), .* times as far"
    ) as caught:
        load(as_d4rl(none, drop=["next_observations"])(data))
    row = int(re.search(r"from row (\d+)", str(caught.value)).group(1))
    assert data.episode[row] != data.episode[row + 1]
    for number in (0, 8):
        Path("case.hdf5").unlink()
        rows = dataclasses.replace(
            data, **{name: getattr(data, name)[data.episode == number] for name in COLUMNS}
        )
        assert load(as_d4rl(none, drop=["next_observations"])(rows)).real_steps == 199
    long = collect(connect("HalfCheetah-v5"), 8000, seed=0)
    rows = dataclasses.replace(
        long, **{name: getattr(long, name)[long.episode == 0] for name in COLUMNS}
    )
    Path("case.hdf5").unlink()
    assert load(as_d4rl(none, drop=["next_observations"])(rows)).real_steps == 999


def without_cut(data, number):
    """Pendulum's episodes as D4RL's columns without next observations, the `number`-th cut not
    marked.
    """
    cuts = np.flatnonzero(data.truncated)
    return lambda d: (
        data.truncated
        & (np.arange(len(data.state)) != (cuts[number] if number is not None else -1))
    )


@pytest.mark.parametrize("steps", [3200, 4000])
def test_an_episode_without_its_time_limit_is_refused_and_complete_ones_are_not(folder, steps):
    data = collect("Pendulum-v1", steps, seed=1)  # 16 episodes of 200 steps, or these and 8 of 100
    cuts = len(np.flatnonzero(data.truncated))
    for number in (None, *range(0, 15, 3)):
        Path("case.hdf5").unlink(missing_ok=True)
        where = as_d4rl({"timeouts": without_cut(data, number)}, drop=["next_observations"])(data)
        if number is None:
            assert load(where).real_steps == steps - cuts
            continue
        with pytest.raises(
            checks.BadData,
            match=r"goes on past step 200, at which timeouts cut \d+ others; mark in",
        ):
            load(where)


def test_cuts_that_no_flag_marks_are_a_warning(folder, sound):
    data = sound[1]
    torn = dataclasses.replace(data, next_state=data.next_state.copy())
    row = int(np.flatnonzero(~(data.terminated | data.truncated))[0])
    torn.next_state[row] += 1
    with pytest.warns(
        UserWarning, match=f"cut after 1 rows that neither .* the first of them row {row}, because"
    ):
        assert load(as_d4rl({})(torn)).truncated[row]


def column(*names, kind=None):
    return rewritten(
        lambda d: {
            name: getattr(d, name)[:, None].astype(kind or getattr(d, name).dtype) for name in names
        }
    )


def wide(data):
    """States in 64 bits with next ones in 32, as some recorders write them."""
    state = data.state + np.float64(1e-9)
    return {"observations": state, "next_observations": data.next_state.astype(np.float32)}


MENDED = {
    "flags and rewards of shape (N, 1)": column("reward", "terminated", "truncated", "has_label"),
    "places of shape (N, 1)": column("episode", "time"),
    "flags as floats": column("terminated", "truncated", kind=float),
    "places as floats": column("episode", "time", kind=float),
    "state in 64 bits beside next ones in 32": rewritten(
        lambda d: {"state": d.state.astype(np.float64)}
    ),
    "d4rl of shape (N, 1)": as_d4rl(
        {
            n: lambda d, c=c: getattr(d, c)[:, None]
            for n, c in (
                ("terminals", "terminated"),
                ("timeouts", "truncated"),
                ("rewards", "reward"),
            )
        }
    ),
    "d4rl in 64 bits beside 32": as_d4rl(
        {"observations": lambda d: wide(d)["observations"]}, drop=["timeouts"]
    ),
}


@pytest.mark.filterwarnings("ignore:.* episodes are cut after")
@pytest.mark.parametrize("write", MENDED.values(), ids=MENDED)
def test_other_forms_of_the_same_columns_are_the_same_data(folder, sound, write):
    data, loaded = sound[1], load(write(sound[1]))
    renumbered = np.unique(data.episode, return_inverse=True)[1]
    np.testing.assert_array_equal(np.unique(loaded.episode, return_inverse=True)[1], renumbered)
    for name in set(COLUMNS) - {"episode"}:
        np.testing.assert_allclose(
            getattr(loaded, name), getattr(data, name), rtol=1e-5, atol=1e-8, err_msg=name
        )
        assert getattr(loaded, name).dtype == getattr(data, name).dtype


def of_episode(file, number):
    return file[f"episode_{number}"]


def resized(group, name, rows):
    values = group[name][()]
    del group[name]
    group[name] = np.resize(values, (rows, *values.shape[1:]))


@pytest.mark.parametrize(
    "name", ["observations", "actions", "rewards", "terminations", "truncations"]
)
@pytest.mark.parametrize("more", [-1, 1])
def test_a_minari_episode_of_uneven_lengths_is_refused_by_its_number(folder, name, more):
    with h5py.File(f"{MINARI}/main_data.hdf5", "a") as file:
        group = of_episode(file, 1)
        resized(group, name, len(group[name]) + more)
    with pytest.raises(
        checks.BadData,
        match=r"minari:tests/own-v0, episode 1, has \d+ \w+ and \d+ rewards; \d+ are",
    ):
        load("minari:tests/own-v0")


def spaced(text):
    """The data set's metadata with its action space, or its environment, replaced."""
    path = Path(f"{MINARI}/metadata.json")
    metadata = json.loads(path.read_text())
    path.write_text(json.dumps({**metadata, **text}))


def test_minari_actions_outside_their_space_are_refused_by_row(folder):
    box = {"type": "Box", "dtype": "float32", "shape": [1], "low": [-0.5], "high": [0.5]}
    spaced({"action_space": json.dumps(box)})
    with pytest.raises(
        checks.BadData,
        match=r"episode \d+,: actions is .* in row \d+; at least \[-0\.5\] and at most",
    ):
        load("minari:tests/own-v0")


def test_minari_episodes_longer_than_their_environments_limit_are_refused(folder):
    import gymnasium

    spec = dataclasses.replace(gymnasium.spec("Pendulum-v1"), max_episode_steps=3)
    spaced({"env_spec": spec.to_json()})
    with h5py.File(f"{MINARI}/main_data.hdf5", "r") as file:
        lengths = [len(group["rewards"]) for group in file.values()]
    assert max(lengths) > 3
    with pytest.raises(
        checks.BadData, match=r"has \d steps, and its environment ends episodes at 3; several were"
    ):
        load("minari:tests/own-v0")


def test_recorded_episodes_are_joined_up_to_rounding_and_not_past_an_end(sound):
    data = sound[1]
    rounded = dataclasses.replace(data, next_state=data.next_state * np.float32(1 + 1e-7))
    assert trajectory(rounded).alive.sum() == data.real_steps
    ends = data.terminated.copy()
    ends[0] = True
    with pytest.raises(
        checks.BadData, match="step 0 of episode 0 of mine is terminated and a step follows it"
    ):
        trajectory(dataclasses.replace(data, terminated=ends), "mine")
    torn = dataclasses.replace(data, next_state=data.next_state + np.float32(0.01))
    with pytest.raises(
        checks.BadData, match="step 0 of episode 0 of mine does not end where the next one starts"
    ):
        trajectory(torn, "mine")
