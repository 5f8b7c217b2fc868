"""`paracosm data`: what it prints and converts, and its kinds of files where data are taken."""

import json
import os

import numpy as np
import pandas as pd
import pytest

import paracosm
from paracosm.cli import main as command_line
from paracosm.cli.main import main
from paracosm.core.records.data import DataSummary
from tests.auditing.test_data_findings import as_terminations, pendulum
from tests.real.test_collecting import assert_equal

COLUMNS = ["state=angle,speed", "next_state=angle2,speed2", "action=force", "reward=r"]
ENDS = ["episode=ep", "truncated=stop"]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch, tmp_path):
    monkeypatch.setattr(command_line, "_prepare_jax", lambda: None)
    monkeypatch.chdir(tmp_path)


def log(data, name="log.csv"):
    columns = {
        "angle": data.state[:, 0],
        "speed": data.state[:, 1],
        "angle2": data.next_state[:, 0],
        "speed2": data.next_state[:, 1],
        "force": data.action[:, 0],
        "r": data.reward,
        "ep": data.episode,
        "stop": data.truncated,
    }
    pd.DataFrame(columns).to_csv(name, index=False)
    return name


def test_a_csv_file_is_described_and_converted(capfd):
    data = pendulum([30, 60, 45])
    assert main(["data", log(data), "--columns", *COLUMNS, *ENDS, "--to", "new/log.parquet"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert "3 of 30 to 60 steps, median 45.0; 0 terminated, 3 were cut" in out
    assert out.rstrip().endswith("Nothing odd was noticed.")
    assert max(map(len, out.splitlines())) <= 80
    assert_equal(paracosm.load_data("new/log.parquet"), data)


def test_what_is_odd_is_said_and_stands_in_the_json(capfd):
    paracosm.save_data(as_terminations(pendulum([60] * 8)), "odd.arrow")
    assert main(["data", "odd.arrow"]) == 0
    out = " ".join(capfd.readouterr().out.split())
    assert "8 of the 8 terminations fall on step 60" in out
    assert out.endswith("One thing is odd.")
    assert main(["data", "odd.arrow", "--json"]) == 0
    summary = DataSummary.from_dict(json.loads(capfd.readouterr().out))
    assert summary == paracosm.describe_data("odd.arrow")
    assert summary.findings[0].sentence.startswith("8 of the 8 terminations")


def test_what_reading_warns_of_is_said_and_is_no_warning(capfd):
    data = pendulum([30, 60, 45], limited=False)
    log(data)
    frame = pd.read_csv("log.csv").assign(stop=data.terminated)
    frame.to_csv("log.csv", index=False)
    words = [COLUMNS[0], *COLUMNS[2:], "episode=ep", "terminated=stop"]
    assert main(["data", "log.csv", "--columns", *words]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    text = " ".join(out.split())
    assert "steps 132 (3 more rows are no steps: no next state is recorded)" in text
    assert "3 terminations are not read, because no next state is recorded" in text


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_read(capfd):
    name = log(pendulum([30]))
    for where, sentence in (
        (name, "which is read; another file is needed"),
        ("a.doc", "a.doc is not a data set"),
        (".", ". is a folder; a file to write"),
        (f"{name}/x.npz", "cannot be written"),
    ):
        assert main(["data", name, "--columns", "state=nothing", "--to", where]) == 2
        assert sentence in capfd.readouterr().err
    assert os.listdir() == [name]


def test_a_run_and_an_audit_take_columns_only_with_data(capfd):
    for command in (["run", "Pendulum-v1"], ["audit", "--world", "a:b", "--policy", "a:b"]):
        assert main([*command, "--columns", "state=a"]) == 2
        assert "--columns is given without --data" in capfd.readouterr().err


def test_owned_data_of_a_table_are_what_a_run_learns_from():
    from paracosm.loop.config import RunConfig
    from paracosm.loop.named_parts import owned_data

    data = paracosm.collect("Pendulum-v1", 400, seed=0)
    frame = pd.DataFrame(np.hstack([data.state, data.action]), columns=["c", "s", "w", "u"])
    frame.assign(r=data.reward, ep=data.episode).to_csv("p.csv", index=False)
    columns = ("state=c,s,w", "action=u", "reward=r", "episode=ep")
    config = RunConfig("Pendulum-v1", data="p.csv", columns=columns)
    owned = owned_data(config, paracosm.connect("Pendulum-v1"))
    last = data.terminated | data.truncated
    np.testing.assert_array_equal(owned.state, data.state[~last])
    np.testing.assert_array_equal(owned.next_state, data.next_state[~last])
    assert RunConfig.from_json(config.to_json()) == config
