"""A benchmark: cells that fail, sweeps that go on, and what the pages say."""

import contextlib
import dataclasses
import types

import numpy as np
import pytest
from gymnasium import spaces

from paracosm import reporting
from paracosm.bench import cells, peers
from paracosm.bench.bench import bench, normalised
from paracosm.cli.main import main
from paracosm.core import checks
from paracosm.core.records.base import Estimate
from paracosm.core.records.benchmarks import Benchmark, Point, Reported, Shortfall, Task, TaskScore
from paracosm.loop.directory import RunDirectory
from paracosm.reporting import benchmark_words
from paracosm.sweep.cells import Outcome
from paracosm.sweep.options import SweepOptions
from paracosm.sweep.store import writer
from tests.loop import small

SUITE = """
[[task]]
env = "CartPole-v1"
transitions = 60
needed = 9
anchors = [{ value = 500, method = "DQN", steps = 50000, source = "somebody" }]

[[task]]
env = "NoSuch-v1"
transitions = 60
anchors = [{ value = 1, method = "DQN", steps = 50000, source = "somebody" }]
"""


@pytest.fixture
def suite(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(SUITE)
    return str(file)


def test_a_task_that_fails_is_recorded_and_the_rest_goes_on(suite, tmp_path):
    options = {"learners": ["sb3-dqn"], "seeds": [0, 1], "episodes": 3}
    record, files = bench(suite, tmp_path / "out", **options)
    assert [score.env for score in record.failures] == ["NoSuch-v1"] * 3
    assert "NoSuch" in record.failures[0].error
    played = record.of("CartPole-v1", "sb3-dqn")
    assert [len(score.returns) for score in played] == [3, 3]
    median = record.median("CartPole-v1", "sb3-dqn")
    assert record.reached(record.tasks[0], "sb3-dqn") is (median >= 9)
    assert record.random.keys() == {"CartPole-v1"}
    assert all(file.is_file() for file in files)
    assert Benchmark.from_json((tmp_path / "out/mine.json").read_text()) == record

    counts = []
    resumed, _ = bench(
        suite,
        tmp_path / "out",
        **options,
        sweep_options=SweepOptions(resume=True),
        progress=lambda stage, done, total, word="": counts.append((done, total)),
    )
    assert resumed == record
    assert not counts, "nothing is run again"
    with pytest.raises(checks.BadArgument, match="--resume"):
        bench(suite, tmp_path / "out", **options)


def test_a_run_of_ours_is_a_cell_and_goes_on_where_it_was(tmp_path, monkeypatch):
    def small_run(env, **options):
        return small.small_run(env=env, **options)

    monkeypatch.setattr(cells, "run", small_run)
    options = {"learner": "reinforce", "transitions": 200, "seed": 0, "episodes": 3}
    answer = cells.of_run("CartPole-v1", **options, out=str(tmp_path / "run"))
    assert len(answer["returns"]) == 3
    total = np.mean(answer["returns"]) - answer["predicted"]
    assert sum(answer["causes"].values()) == pytest.approx(total, abs=1e-6)
    assert answer["real_steps"] == 200
    assert 0 < answer["curve"][-1]["steps"] <= 200
    again = cells.of_run("CartPole-v1", **options, out=str(tmp_path / "run"))
    assert again == answer


@pytest.mark.parametrize("hindrance", ["store", "cluster", "run"])
def test_a_bench_that_may_not_begin_anew_removes_nothing(suite, tmp_path, monkeypatch, hindrance):
    out = tmp_path / "out"
    run = out / "runs/mine/CartPole-v1-reinforce-seed0"
    run.mkdir(parents=True)
    RunDirectory.create(run, {}, resume=False, force=False).close()
    (run / "events.jsonl").touch()
    mine = {"mine.txt", "round-8.npz"}
    for name in ("result.json", "mine.txt", "data/round-8.npz"):
        (run / name).write_text("{}")
    files = sorted(run.rglob("*"))

    def anew(**options):
        return bench(
            suite,
            out,
            learners=["reinforce"],
            seeds=[0],
            sweep_options=SweepOptions(force=True, **options),
        )

    def fail(waiting, workers):
        return (Outcome(cell.name, None, "ValueError: no", "Traceback …", 0.1) for cell in waiting)

    monkeypatch.setattr("paracosm.sweep.run.local.outcomes", fail)
    writing = {
        "store": lambda: writer(out / "mine.sqlite", {}, resume=False),
        "cluster": contextlib.nullcontext,
        "run": lambda: RunDirectory.create(run, {}, resume=True, force=False),
    }
    options = {"backend": "127.0.0.1:9"} if hindrance == "cluster" else {}
    with writing[hindrance](), pytest.raises(checks.ParacosmError):
        anew(**options)
    assert sorted(run.rglob("*")) == files
    anew()
    RunDirectory.create(run, {}, resume=False, force=True).close()
    assert {file.name for file in run.rglob("*.*")} == {*mine, "config.json", "run.lock"}


@pytest.mark.parametrize(
    ("names", "resume", "force"),
    [
        ((), False, False),
        (("config.json",), False, True),
        (("config.json", "events.jsonl"), True, False),
    ],
)
def test_a_run_that_was_thrown_away_begins_anew(tmp_path, monkeypatch, names, resume, force):
    class Asked(Exception):
        pass

    def asked(env, **options):
        raise Asked(options["resume"], options["force"])

    for name in names:
        (tmp_path / name).touch()
    monkeypatch.setattr(cells, "run", asked)
    options = {"learner": "reinforce", "transitions": 200, "seed": 0, "episodes": 3}
    with pytest.raises(Asked) as answer:
        cells.of_run("CartPole-v1", **options, out=str(tmp_path))
    assert answer.value.args == (resume, force)


def test_a_curve_has_the_same_steps_for_every_seed():
    ends, returns = np.array([10, 20, 95, 100]), np.array([1.0, 3.0, 5.0, 7.0])
    points = cells.curve(ends, returns, 100)
    assert [(point["steps"], point["value"]) for point in points] == [
        (10, 1.0),
        (20, 3.0),
        (95, 5.0),
        (100, 7.0),
    ]
    dense = cells.curve(np.arange(1, 1001), np.repeat([0.0, 1.0], 500), 1000)
    assert [point["steps"] for point in dense] == list(range(50, 1001, 50))
    assert [point["value"] for point in dense] == [0.0] * 10 + [1.0] * 10
    assert cells.curve(np.array([]), np.array([]), 100) == []


def test_a_curve_ends_with_the_real_steps_that_a_task_allows():
    """A peer that takes whole batches plays on: 6,144 steps where 5,000 are allowed."""
    ends, returns = np.arange(500, 6_001, 500), np.arange(12.0)
    points = cells.curve(ends, returns, 5_000)
    assert max(point["steps"] for point in points) == 5_000
    assert points[-1]["value"] == 9.0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"seeds": [1, 2, 1]}, "seed 1 is given more than once"),
        ({"seeds": []}, "number of seeds is 0"),
        ({"seeds": [-1]}, "a seed is -1"),
        ({"learners": ["sac"]}, "no learner 'sac'; pathwise, reinforce, sb3-sac"),
        ({"learners": ["pathwise", "pathwise"]}, "pathwise is given more than once"),
        ({"learners": []}, "number of learners is 0"),
        ({"learners": ["no.such:thing"]}, "no.such"),
        ({"episodes": 1}, "episodes is 1"),
        (
            {"sweep_options": SweepOptions(resume=True, force=True)},
            "--force is given with --resume",
        ),
        ({"sweep_options": SweepOptions(retry_failed=True)}, "no sweep"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_runs(suite, tmp_path, options, sentence):
    with pytest.raises(checks.ParacosmError, match=sentence):
        bench(suite, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_nodes_of_a_cluster_need_one_folder(suite, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(checks.BadArgument, match="give the absolute path of a folder that all"):
        bench(suite, "out", sweep_options=SweepOptions(backend="auto"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("seeds", ["three", "", "0", "1,1", "1,x"])
def test_wrong_seeds_are_one_sentence(seeds, suite, tmp_path, capsys):
    assert main(["bench", suite, "--seeds", seeds, "--out", str(tmp_path / "out")]) == 2
    assert "seed" in capsys.readouterr().err


def test_the_list_of_suites(capsys):
    assert main(["bench"]) == 0
    assert "Walker2d-v5" in capsys.readouterr().out


def score(learner, seed, value, predicted=None, error=""):
    causes = {} if predicted is None else {"reward": 0.0, "dynamics": value - predicted}
    curve = (Point(50.0, value - 5), Point(100.0, value))
    return TaskScore(
        "CartPole-v1", learner, seed, (value,), curve, 100, 60.0, predicted, causes, error
    )


@pytest.fixture
def record():
    task = Task("CartPole-v1", 100, 90.0, (Reported(110.0, "DQN", 50_000, "somebody"),))
    scores = (
        *(score("pathwise", seed, 60.0 + 10 * seed, predicted=100.0) for seed in range(3)),
        *(score("sb3-dqn", seed, 30.0 + 30 * seed) for seed in range(3)),
    )
    return Benchmark(
        suite="mine",
        command="paracosm bench mine.toml --seeds 3",
        learners=("pathwise", "sb3-dqn"),
        seeds=(0, 1, 2),
        episodes=1,
        tasks=(task,),
        scores=scores,
        random={"CartPole-v1": 10.0},
        aggregate={"pathwise": Estimate(0.6, 0.5, 0.7, 3, "by hand")},
        missing=(),
        seconds=60.0,
        versions={"jax": "1"},
    )


def test_normalised_returns_are_0_of_random_actions_and_1_of_the_anchor(record):
    np.testing.assert_allclose(normalised(record, "pathwise"), [[0.5, 0.6, 0.7]])
    failed = dataclasses.replace(record, scores=record.scores[:2])
    assert normalised(failed, "pathwise").shape == (0, 3), "a seed is missing"


@pytest.mark.parametrize("random", [110.0, 120.0])
def test_an_anchor_that_random_actions_reach_normalises_nothing(record, random):
    level = dataclasses.replace(record, random={"CartPole-v1": random})
    assert normalised(level, "pathwise").shape == (0, 3)
    said = "CartPole-v1 has no normalised return, since that first return is not above"
    assert said in reporting.render(level)
    assert "no normalised return" not in reporting.render(record)


@pytest.mark.parametrize(
    ("space", "takers"),
    [
        (spaces.Box(-1, 1, (2,)), {"sb3-sac", "sb3-ppo"}),
        (spaces.Discrete(3), {"sb3-dqn", "sb3-ppo"}),
        (spaces.MultiDiscrete([2, 3]), {"sb3-ppo"}),
        (spaces.MultiBinary(2), {"sb3-ppo"}),
        (spaces.Dict({"a": spaces.Discrete(2)}), set()),
    ],
)
def test_a_peer_takes_the_actions_that_its_library_does(space, takers, monkeypatch):
    closed = []
    task = types.SimpleNamespace(action_space=space, close=lambda: closed.append(True))
    monkeypatch.setattr(peers.registry, "factory_of", lambda env: lambda: task)
    assert {name for name in peers.PEERS if peers.takes_actions_of(name, "some")} == takers
    assert len(closed) == len(peers.PEERS), "no environment is left open"


@pytest.mark.parametrize(
    ("predicted", "needed", "why"),
    [
        (100.0, 90.0, Shortfall.MODEL),  # it promised what is needed
        (80.0, 90.0, Shortfall.SEARCH),  # nor did imagination reach it
        (20.0, 90.0, Shortfall.MODEL),  # it denies the policy what it has
        (100.0, 60.0, None),
        (100.0, None, None),
        (None, 90.0, None),
    ],
)
def test_a_seed_misses_by_the_model_or_by_the_search(predicted, needed, why):
    assert score("pathwise", 0, 60.0, predicted).shortfall(needed) is why


def test_how_often_a_learner_has_more_than_another(record):
    assert record.beaten("pathwise", "sb3-dqn") == (1, 1)


def test_a_return_that_just_misses_is_told_from_what_is_needed():
    assert benchmark_words.number(-4.03, -4.0) == "−4.03"
    assert benchmark_words.number(-4.0, -4.0) == "−4.0"
    assert benchmark_words.number(-3.98, -4.0) == "−4.0"
    assert benchmark_words.number(9299.6, 9300.0) == "9,299.6"
    assert benchmark_words.number(9299.6) == "9,300"


def test_the_ends_of_seeds_show_what_the_median_does(record):
    env, learner = record.tasks[0].env, record.learners[0]
    of_seeds = [dataclasses.replace(record.of(env, learner)[0], seed=0) for _ in range(3)]
    scores = tuple(
        dataclasses.replace(score, seed=seed, returns=(mean, mean))
        for seed, (score, mean) in enumerate(zip(of_seeds, (-4.035, -4.031, -4.003), strict=True))
    )
    task = dataclasses.replace(record.tasks[0], needed=-4.0)
    just = dataclasses.replace(record, tasks=(task,), scores=scores, seeds=(0, 1, 2))
    row = benchmark_words.tables(just)[0].rows[0]
    assert "−4.03 [−4.04, −4.003]" in row[4]


def test_the_pages_say_what_was_missed_and_by_what(record, tmp_path):
    page = reporting.render(record)
    rows = {table.title: table.rows for table in benchmark_words.tables(record)}
    assert rows["Returns"] == (
        ("CartPole-v1", "100", "10.0", "90.0", "70.0 [60.0, 80.0]", "60.0 [30.0, 90.0]"),
    )
    assert rows["What the audits say"][0][-1] == "the model"
    assert "0 of 1 task." in page
    assert "more than sb3-dqn on 1 of 1 task." in page
    files = reporting.publish(record, tmp_path)
    assert {file.suffix for file in files} == {".json", ".md", ".html", ".svg"}
    reached = dataclasses.replace(
        record, tasks=(dataclasses.replace(record.tasks[0], needed=70.0),)
    )
    assert "70.0 ✓ [60.0, 80.0]" in reporting.render(reached)
    missing = dataclasses.replace(record, missing=("sb3-sac", "sb3-dqn"))
    assert "not installed" in reporting.render(missing)
    assert "not installed" not in page
