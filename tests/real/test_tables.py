"""Tables of others: column maps, LeRobot's folders, CSV files and data frames."""

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paracosm.core import checks
from paracosm.core.columns import COLUMNS
from paracosm.core.data import Dataset
from paracosm.real.column_map import parse_column_map
from paracosm.real.datasets import load, read, save
from tests.real.test_collecting import assert_equal

KINDS = ["a.npz", "a.h5", "a.parquet", "a.arrow", "a.feather", "a.csv"]


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def lived(lengths, size=2, seed=0, discrete=False, kind=np.float32):
    """Episodes of random states, the odd ones terminated, all owned."""
    rng = np.random.default_rng(seed)
    rows = sum(lengths)
    episode = np.repeat(np.arange(len(lengths)), lengths)
    last = np.append(np.diff(episode) != 0, True)
    path = [rng.normal(size=(length + 1, size)).astype(kind) for length in lengths]
    owned = np.ones(rows, bool)
    return Dataset(
        state=np.concatenate([states[:-1] for states in path]),
        action=rng.integers(0, 3, rows).astype(np.int32)
        if discrete
        else rng.normal(size=(rows, 1)).astype(np.float32),
        next_state=np.concatenate([states[1:] for states in path]),
        reward=rng.normal(size=rows),
        terminated=last & (episode % 2 == 1),
        truncated=last & (episode % 2 == 0),
        episode=episode,
        time=np.concatenate([np.arange(length) for length in lengths]),
        has_transition=owned,
        has_label=owned,
    )


def frame(data, **more):
    """A data frame of odd names, with other columns beside."""
    columns = {f"x{i}": column for i, column in enumerate(data.state.T)}
    columns |= {f"y{i}": column for i, column in enumerate(data.next_state.T)}
    columns |= {
        "u": data.action if data.action.ndim == 1 else data.action[:, 0],
        "pay": data.reward,
        "over": data.terminated,
        "run": [f"run-{20 - number}" for number in data.episode],
        "comment": ["hello"] * data.real_steps,
    }
    return pd.DataFrame({**columns, **more})


MAP = {
    "state": ["x0", "x1"],
    "next_state": ["y0", "y1"],
    "action": "u",
    "reward": "pay",
    "terminated": "over",
    "episode": "run",
}
WITHOUT_NEXT = {role: names for role, names in MAP.items() if role != "next_state"}

lengths_of_episodes = st.lists(st.integers(1, 6), min_size=1, max_size=5)


@settings(max_examples=15)
@given(lengths_of_episodes, st.integers(1, 3), st.integers(0, 99), st.booleans(), st.booleans())
def test_any_data_set_comes_back_equal_from_any_kind_of_file(lengths, size, seed, discrete, bought):
    data = lived(lengths, size, seed, discrete)
    if bought:
        half = data.real_steps // 2
        data = data.buy(data.real_steps - half, half, seed)
    for where in KINDS:
        save(data, where)
        assert_equal(load(where), data)


@pytest.mark.parametrize("where", ["a.npz", "a.h5", "a.parquet", "a.arrow"])
def test_images_come_back_equal_and_a_csv_file_refuses_them(where):
    data = lived([3, 4])
    pixels = np.random.default_rng(0).integers(0, 255, (9, 12)).astype(np.uint8)
    keep = ~(data.terminated | data.truncated)
    rows = {name: getattr(data, name)[keep] for name in COLUMNS}
    images = dataclasses.replace(
        data,
        **{
            **rows,
            "state": pixels[[0, 1, 3, 4, 5]],
            "next_state": pixels[[1, 2, 4, 5, 6]],
        },
    )
    save(images, where)
    assert_equal(load(where), images)
    with pytest.raises(checks.Unsupported, match="images cannot be kept in a CSV file"):
        save(images, "a.csv")


def tables(table):
    """The same table as a frame, as arrays by name, and in files."""
    table.to_csv("t.csv", index=False)
    table.to_parquet("t.parquet", index=False)
    table.to_feather("t.feather")
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    with pa.OSFile("t.arrow", "wb") as file, pa.ipc.new_stream(file, arrow.schema) as stream:
        stream.write_table(arrow, max_chunksize=3)
    return [table, dict(table), "t.csv", "t.parquet", "t.feather", "t.arrow"]


@pytest.mark.parametrize("discrete", [False, True])
def test_a_table_of_other_names_is_the_same_data_in_every_form(discrete):
    data = lived([4, 1, 6, 3], discrete=discrete)
    for table in tables(frame(data)):
        assert_equal(load(table, MAP), data)


def test_without_next_states_the_last_step_of_each_episode_is_left_out_and_said():
    data = lived([4, 1, 6, 3])
    inside = ~(data.terminated | data.truncated)
    for table in tables(frame(data)):
        with pytest.warns(UserWarning, match=": 2 terminations are not read, because no next"):
            read_data = read(table, WITHOUT_NEXT)
        assert read_data.left_out == 4
        np.testing.assert_array_equal(read_data.dataset.next_state, data.next_state[inside])
        np.testing.assert_array_equal(read_data.dataset.time, data.time[inside])
        assert not read_data.dataset.terminated.any()
        assert read_data.dataset.truncated.sum() == 3


def test_rows_in_any_order_are_ordered_by_episode_and_time():
    data = lived([4, 2, 6])
    table = frame(data, t=data.time, run=data.episode).sample(frac=1, random_state=0)
    assert_equal(load(table, {**MAP, "time": "t"}), data)


def test_rewards_that_are_not_there_are_labels_that_are_missing():
    data = lived([4, 5])
    table = frame(data)
    table.loc[[1, 7], "pay"] = None
    for form in tables(table):
        loaded = load(form, MAP)
        np.testing.assert_array_equal(np.flatnonzero(~loaded.has_label), [1, 7])
        np.testing.assert_array_equal(
            loaded.reward[loaded.has_label], data.reward[loaded.has_label]
        )
    silent = {role: names for role, names in MAP.items() if role != "reward"}
    assert not load(frame(data), silent).has_label.any()


def test_flags_divide_rows_without_an_episode():
    data = lived([4, 1, 6, 3])
    table = frame(data, stop=data.terminated | data.truncated)
    columns = {role: names for role, names in MAP.items() if role != "episode"}
    assert_equal(load(table, {**columns, "done": "stop"}), data)
    unknown = {role: names for role, names in columns.items() if role != "terminated"}
    with pytest.warns(UserWarning, match=r"done does not say whether .* is read as a cut"):
        loaded = load(table, {**unknown, "done": "stop"})
    assert not loaded.terminated.any()
    np.testing.assert_array_equal(loaded.episode, data.episode)


def lerobot(data, folder, names="chunk-{chunk:03d}/episode_{number:06d}.parquet"):
    """The files of LeRobot's data sets, one for each episode; videos are elsewhere."""
    for number in np.unique(data.episode):
        rows = data.episode == number
        last = data.terminated | data.truncated
        table = pa.table(
            {
                "observation.state": pa.array(list(data.state[rows])),
                "action": pa.array(list(data.action[rows])),
                "next.reward": data.reward[rows].astype(np.float32),
                "next.done": last[rows],
                "episode_index": data.episode[rows],
                "frame_index": data.time[rows],
                "timestamp": data.time[rows] / 30,
                "index": np.flatnonzero(rows),
                "task_index": np.zeros(rows.sum(), int),
                "observation.images.top": pa.array([{"path": "x.mp4"}] * rows.sum()),
            }
        )
        path = Path(folder) / "data" / names.format(chunk=number // 5, number=number)
        path.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(table, path)


@pytest.mark.parametrize(
    "names", ["chunk-{chunk:03d}/episode_{number:06d}.parquet", "chunk-000/file-{number}.parquet"]
)
def test_a_folder_of_lerobot_is_read_in_the_order_of_its_numbers(names):
    data = lived([4, 2, 6, 3, 5, 4, 3, 2, 5, 4, 6, 3])
    lerobot(data, "robot", names)
    with pytest.warns(UserWarning, match="no end rule can be learned, since no next state"):
        read_data = read("robot")
    inside = ~(data.terminated | data.truncated)
    assert read_data.left_out == 12
    for name in ("state", "action", "next_state", "episode", "time"):
        np.testing.assert_array_equal(getattr(read_data.dataset, name), getattr(data, name)[inside])
    np.testing.assert_allclose(read_data.dataset.reward, data.reward[inside], rtol=1e-6)
    single = Path("robot/data") / names.format(chunk=0, number=0)
    with pytest.warns(UserWarning, match="no end rule can be learned"):
        assert_equal(load(single), read_data.dataset.first(3))


WRONG_MAPS = [
    ({"state": ["x0", "x9"]}, "has no column 'x9', which the column map gives for state; its"),
    ({"velocity": "x0"}, "names 'velocity'; it may name state, action, next_state, reward"),
    ({"state": []}, r"gives \[\] for state; names of columns, at least one"),
    ({"reward": ["pay", "x0"]}, "gives 2 columns for reward, which is one number a row"),
]


@pytest.mark.parametrize(("columns", "sentence"), WRONG_MAPS)
def test_a_column_map_that_does_not_fit_is_refused(columns, sentence):
    for table in tables(frame(lived([4, 3]))):
        with pytest.raises(checks.BadArgument, match=sentence) as caught:
            load(table, columns)
        assert "'x0', 'x1', 'y0'" in str(caught.value) or "no column" not in sentence


def test_words_of_a_column_map():
    assert parse_column_map(["state=a,b", "action=c=d"]) == {
        "state": ("a", "b"),
        "action": ("c=d",),
    }
    assert parse_column_map([]) is None
    for words in (["state"], ["state="], ["state=a,"]):
        with pytest.raises(checks.BadArgument, match="ROLE=COLUMN,COLUMN is needed"):
            parse_column_map(words)
    with pytest.raises(checks.BadArgument, match="gives state twice"):
        parse_column_map(["state=a", "state=b"])


def test_what_a_table_lacks_is_said():
    table = frame(lived([4, 3]))
    with pytest.raises(checks.BadData, match="known to be the state or the action; name it with"):
        load(table)
    alone = {"state": "x0", "action": "u"}
    with pytest.raises(checks.BadData, match="no column that says where episodes start or end"):
        load(table, alone)
    with pytest.raises(checks.BadData, match="no row in it is followed by the next step"):
        load(frame(lived([1, 1])), {**alone, "episode": "run"})
    cut = {**MAP, "truncated": "cut"}
    flags = [False, True, False, True, False, False, True]
    with pytest.raises(checks.BadData, match="is cut at row 1 by truncated or done, and goes on"):
        load(frame(lived([4, 3]), cut=flags, over=[False] * 7), cut)


def test_a_bad_number_is_named_by_its_row_and_in_a_csv_file_by_its_line():
    table = frame(lived([4, 3])).astype({"x1": object})
    table.loc[5, "x1"] = np.nan
    with pytest.raises(checks.BadData, match=r"state is \[.* nan\] in row 5; every entry"):
        load(table, MAP)
    table.to_csv("t.csv", index=False)
    with pytest.raises(checks.BadData, match=r"t\.csv: state is \[.* nan\] in line 7; every"):
        load("t.csv", MAP)
    table.loc[5, "x1"] = "fast"
    with pytest.raises(checks.BadData, match=r"x1 is 'fast' in row 5; a number is needed"):
        load(table, MAP)
    table.to_csv("t.csv", index=False)
    with pytest.raises(checks.BadData, match=r"t\.csv: x1 is 'fast' in line 7; a number is"):
        load("t.csv", MAP)


@pytest.mark.parametrize("columns", [MAP, WITHOUT_NEXT], ids=["next states", "none"])
@pytest.mark.parametrize("role", ["episode", "time"])
def test_an_episode_or_time_that_is_missing_is_refused_and_no_row_is_lost(role, columns):
    data = lived([4, 4])
    whole = frame(data, run=data.episode, t=data.time)
    names = {**columns, "time": "t"}
    table = whole.astype({names[role]: float})
    table.loc[5, names[role]] = np.nan
    needed = "a whole number of at least 0 is needed"
    with pytest.raises(checks.BadData, match=f"{role} is nan in row 5; {needed}"):
        load(table, names)
    table.to_csv("t.csv", index=False)
    with pytest.raises(checks.BadData, match=rf"t\.csv: {role} is (nan|empty) in line 7; "):
        load("t.csv", names)
    with pytest.raises(checks.BadData, match="time holds text; columns that are not numbers"):
        load({**whole, "t": np.array(["now"] * 8)}, names)


BAD_CSV = {
    "state,action,episode\n1,0,a\n2,0,a\n3,0,\n4,0,b\n": "episode is empty in line 4; a text is",
    "": "is empty; a first line that names each column is needed",
    "a,b,a\n1,2,3\n": "names 'a' twice",
    "state,action,episode\n1,2,0\n\n3,4\n": "line 4 has 2 cells and the header 3",
    'state,action,episode\n1,2,0\n3,"4,0\n': "is not a CSV file that can be read: after line 3",
    "state,action,episode\n": "holds no rows",
    "state;action;episode\n1;2;0\n": "Its columns are 'state;action;episode'",
}


@pytest.mark.parametrize("text", BAD_CSV)
def test_a_csv_file_that_cannot_be_read_names_the_line(text):
    Path("t.csv").write_text(text)
    with pytest.raises(checks.BadData, match=r"^t\.csv") as caught:
        load("t.csv")
    assert BAD_CSV[text] in str(caught.value)


def test_a_csv_file_of_another_encoding_and_one_with_a_byte_order_mark():
    text = "state,action,episode\n1.5,2.5,é\n3.5,4.5,é\n5.5,4.5,ü\n5.5,4.5,ü\n"
    Path("t.csv").write_text(text, encoding="utf-8-sig")
    np.testing.assert_array_equal(load("t.csv").state, [[1.5], [5.5]])
    Path("t.csv").write_text(text, encoding="latin-1")
    with pytest.raises(checks.BadData, match=r"^t\.csv is not a CSV file that can be read"):
        load("t.csv")


BAD_ARROW = {
    "ragged": ({"state": [[1.0], [1.0, 2.0]]}, "state has 2 numbers in row 1 and 1 in row 0"),
    "empty": ({"state": [[1.0], None]}, "state is empty in row 1; a list of numbers"),
    "texts": ({"state": ["a", "b"]}, "state holds text"),
    "no text": ({"episode": ["a", None]}, "episode is empty in row 1; a text is needed"),
    "records": ({"state": [{"a": 1}, {"a": 2}]}, r"state holds struct<a: int64>; numbers, or"),
    "times": ({"reward": np.array([0, 1], "M8[s]")}, r"reward holds timestamp"),
}


@pytest.mark.parametrize(("columns", "sentence"), BAD_ARROW.values(), ids=BAD_ARROW)
def test_columns_of_arrow_that_are_no_numbers_are_refused(columns, sentence):
    sound = {"state": [[1.0], [2.0]], "action": [[1.0], [2.0]], "episode": [0, 0]}
    pyarrow.parquet.write_table(pa.table({**sound, **columns}), "t.parquet")
    with pytest.raises(checks.BadData, match=f"^t.parquet: {sentence}"):
        load("t.parquet")


def test_folders_that_cannot_be_read_are_refused():
    Path("nothing").mkdir()
    with pytest.raises(checks.Unsupported, match="nothing is a folder without data/"):
        load("nothing")
    Path("nothing/round-0.npz").touch()
    with pytest.raises(checks.Unsupported, match="a file, such as nothing/round-0"):
        load("nothing")
    with pytest.raises(checks.Unsupported, match="nothing is a folder; a file to write"):
        save(lived([3]), "nothing")
    lerobot(lived([3, 4]), "robot")
    path = Path("robot/data/chunk-000/episode_000001.parquet")
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(path).drop(["action"]), path)
    with pytest.raises(checks.BadData, match=r"has no column 'action', which .*000000.parquet"):
        load("robot")
    with pytest.raises(checks.Unsupported, match="a path, a DataFrame or arrays by name"):
        load(3)
    with pytest.raises(checks.BadArgument, match="a column map is given for minari:a/b-v0"):
        load("minari:a/b-v0", MAP)


def test_arrays_of_npz_and_hdf5_may_have_a_column_map():
    data = lived([4, 1, 6, 3])
    np.savez(
        "odd.npz",
        obs=data.state,
        obs2=data.next_state,
        act=data.action,
        rew=data.reward,
        term=data.terminated,
        ep=data.episode,
    )
    columns = {
        "state": "obs",
        "next_state": "obs2",
        "action": "act",
        "reward": "rew",
        "terminated": "term",
        "episode": "ep",
    }
    assert_equal(load("odd.npz", columns), data)
    with pytest.raises(checks.BadData, match=r"lacks the columns state.* with --columns ROLE="):
        load("odd.npz")


@pytest.mark.parametrize("large", [2_000, pytest.param(200_000, marks=pytest.mark.full)])
def test_a_csv_file_longer_than_a_block_is_read_whole(large, monkeypatch):
    monkeypatch.setattr("paracosm.real.delimited._BLOCK", large // 3)
    data = lived([large // 4] * 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(data, "a.csv")
        assert_equal(load("a.csv"), data)


def test_every_column_of_a_data_set_is_read_as_one_and_fewer_are_put_in_order():
    data = lived([3, 4])
    shuffled = {name: getattr(data, name)[[4, 0, 2, 1, 3, 6, 5]] for name in COLUMNS}
    with pytest.raises(checks.BadData, match=r"rows in the order of \(episode, time\)"):
        load(shuffled)
    del shuffled["has_transition"]
    assert_equal(load(shuffled), data)


@pytest.mark.parametrize("more", [{}, {"truncated": np.zeros(12)}])
def test_times_that_start_anew_divide_rows_without_an_episode(more):
    state = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
    table = {"state": state, "action": np.zeros((12, 1)), "reward": np.ones(12), **more}
    loaded = load({**table, "time": np.tile(np.arange(4), 3)})
    np.testing.assert_array_equal(loaded.time, np.tile(np.arange(3), 3))
    np.testing.assert_array_equal(loaded.next_state[2::3], state[3::4])


def test_times_that_are_equal_or_no_numbers_divide_nothing():
    state = np.arange(12.0)[:, None]
    table = {"state": state, "action": np.zeros((12, 1)), "next_state": state + 1}
    table["truncated"] = np.arange(12) % 6 == 5
    clock = np.datetime64("2024-01-01T00:00:00") + np.arange(12)
    for time in (np.arange(12) // 2, clock, clock.astype(str)):
        np.testing.assert_array_equal(load({**table, "time": time}).time, np.tile(np.arange(6), 2))


def test_done_and_truncated_say_together_where_an_episode_terminated():
    state = np.arange(21.0)[:, None]
    table = {"state": state[:-1], "action": np.zeros((20, 1)), "next_state": state[1:]}
    step = np.arange(20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load({**table, "reward": np.ones(20), "done": step % 5 == 4,
                       "truncated": step % 10 == 9})  # fmt: skip
    np.testing.assert_array_equal(np.flatnonzero(loaded.terminated), [4, 14])


def test_a_column_of_a_vector_stays_in_it_where_the_map_also_gives_it_to_another_role():
    columns = {"state_0": np.zeros(20), "state_1": np.arange(20.0), "action": np.ones(20)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = load({**columns, "episode": np.zeros(20, int)}, {"reward": "state_1"})
    np.testing.assert_array_equal(loaded.state[:, 1], loaded.reward)


@pytest.mark.parametrize("role", ["done", "truncated"])
def test_a_flag_that_the_map_gives_another_meaning_has_its_usual_one_no_more(role):
    data = lived([4, 3])
    table = frame(data, terminated=data.terminated | data.truncated)
    columns = {name: names for name, names in MAP.items() if name != "terminated"}
    assert load(table, columns).terminated.sum() == 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = load(table, {**columns, role: "terminated"})
    assert not loaded.terminated.any()
    assert loaded.truncated.sum() == 2


def test_a_vector_leaves_its_columns_to_the_roles_of_their_names():
    data = lived([4, 3])
    table = frame(data, time=data.time, after=data.time + 1).iloc[::-1]
    loaded = load(table, {**MAP, "state": ["x0", "time"], "next_state": ["y0", "after"]})
    np.testing.assert_array_equal(loaded.time, [0, 1, 2, 0, 1, 2, 3])


def of_lines(**changes):
    """Episodes of 4 and 3 steps in a CSV file, the last line first, with values changed by column
    and row of the file.
    """
    data = lived([4, 3], discrete=True)
    table = frame(data, t=data.time).iloc[::-1].reset_index(drop=True)
    table["run"] = [1, 1, 1, 0, 0, 0, 0]
    table["over"] = table["over"].astype(int)
    for column, (row, value) in changes.items():
        table.loc[row, column] = value
    table.to_csv("t.csv", index=False)
    return {**MAP, "time": "t"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"x0": (4, 9.0)}, r"next_state of line 7 is .* and state of line 6, the next step of"),
        ({"t": (0, 1)}, "line 3 has episode 1, time 1, and line 2 has episode 1, time 1;"),
        ({"over": (2, 2)}, "terminated is 2 in line 4; 0 or 1"),
        ({"over": (2, 1)}, "terminated is true in line 4; episode 1 goes on after it"),
        ({"u": (0, -1)}, "action is -1 in line 2; a whole number from 0 on"),
        ({"pay": (1, np.inf)}, "reward is inf in line 3; every entry"),
    ],
)
def test_rows_that_were_put_in_order_are_named_by_their_lines(changes, sentence):
    columns = of_lines(**changes)
    with pytest.raises(checks.BadData, match=sentence):
        load("t.csv", columns)
