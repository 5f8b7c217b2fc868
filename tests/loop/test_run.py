"""The whole job: same numbers twice, resumable anywhere, refusals, files that come back equal."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import paracosm
from paracosm.auditing.plausibility import RECORDED
from paracosm.cli.main import main
from paracosm.core import checks
from paracosm.core.files import Unwritten
from paracosm.core.records import Diagnosis
from paracosm.core.records.results import RunResult
from paracosm.learning.settings import FitSettings
from paracosm.loop import filming, store, versions
from paracosm.loop.config import RunConfig
from paracosm.loop.directory import RunDirectory, files_of_run
from paracosm.loop.filming import film
from paracosm.loop.load import audit_run
from paracosm.real import datasets
from tests.loop import small
from tests.loop.small import numbers, small_run

SMALL = "tests.loop.small"


def test_same_seed_gives_the_same_numbers_twice(finished, tmp_path):
    assert numbers(small_run(tmp_path / "again")) == numbers(finished[1])


def test_another_seed_gives_other_numbers(finished, tmp_path):
    assert (
        small_run(tmp_path / "other", seed=1).diagnosis.gap.real != finished[1].diagnosis.gap.real
    )


class Killed(BaseException):
    """The end of the process, as far as a run can tell; Ctrl-C keeps steps of the collection."""


STAGES = ("collect", "learn", "imagine", "evaluate", "audit")
ALONE = [pytest.param((stage,), marks=pytest.mark.full) for stage in STAGES]


@pytest.mark.parametrize("stages", [STAGES, *ALONE], ids="-".join)
def test_a_run_stopped_in_any_stage_resumes_to_the_same_result(finished, tmp_path, stages):
    for stage in stages:

        def stop(name, done, total, word="", stage=stage):
            if name == stage:
                raise Killed

        with pytest.raises(Killed):
            small_run(tmp_path / "run", progress=stop, resume=stage != stages[0])
        assert not (tmp_path / "run/result.json").exists()
    assert numbers(small_run(tmp_path / "run", resume=True)) == numbers(finished[1])


def test_resuming_a_finished_run_computes_nothing_again(finished):
    out, result = finished
    before = (out / "events.jsonl").read_text()
    assert small_run(out, resume=True) == result
    assert (out / "events.jsonl").read_text() == before


def test_an_existing_run_is_refused_and_force_starts_again(finished, tmp_path):
    out, result = shutil.copytree(finished[0], tmp_path / "run"), finished[1]
    with pytest.raises(checks.BadArgument, match="already holds a run"):
        small_run(out)
    (out / "notes.txt").write_text("mine")
    assert numbers(small_run(out, force=True)) == numbers(result)
    assert (out / "notes.txt").read_text() == "mine"


def test_resume_names_the_setting_that_differs(finished):
    with pytest.raises(checks.BadArgument, match=r"had transitions = 200, not 100"):
        small_run(finished[0], resume=True, transitions=100)


def test_a_folder_that_is_no_run_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(checks.BadArgument, match="holds no run"):
        small_run(tmp_path, force=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_the_files_of_a_run(finished):
    out, result = finished
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert {str(path.relative_to(out)) for path in files_of_run(out)} == names
    assert names == {
        "config.json",
        "events.jsonl",
        "run.lock",
        "data/round-0.npz",
        "data/evaluation.npz",
        "models/world-0.eqx",
        "models/world-0.json",
        "models/policy-0.eqx",
        "models/policy-0.json",
        "policy.eqx",
        "policy.json",
        "audit.json",
        "result.json",
        "report.html",
    }
    assert RunResult.from_json((out / "result.json").read_text()) == result
    assert Diagnosis.from_json((out / "audit.json").read_text()) == result.diagnosis
    assert result.diagnosis.verdict.split(":")[0] in (out / "report.html").read_text()
    config = json.loads((out / "config.json").read_text())
    assert config["seed"] == 0
    assert config["machine"]["devices"].endswith("cpu")


def test_the_summary_sums_and_counts(finished, cart):
    for _, result in (finished, cart):
        summary = result.summary()
        gap = {name: value["mean"] for name, value in summary["gap"].items()}
        scale = max(abs(gap["real"]), abs(gap["imagined"]))
        assert gap["total"] == pytest.approx(gap["real"] - gap["imagined"], abs=1e-9 * scale)
        causes = gap["reward"] + gap["termination"] + gap["dynamics"] + gap["horizon"]
        assert causes == pytest.approx(gap["total"], abs=1e-5 * scale)
        assert summary["real_steps_during_imagination"] == 0
        assert set(summary["seconds"]) >= {"collect", "learn", "imagine", "audit"}
    assert cart[1].summary()["data"] == {
        "transitions": 200,
        "reward_labels": 100,
        "real_steps": 200,
        "spent": 300.0,
    }


def test_a_loaded_run_is_the_run(finished):
    out, result = finished
    run = paracosm.load(out)
    assert run.result == result
    observation = np.array([1.0, 0.0, 0.1])
    action = run.policy(observation)
    assert isinstance(action, np.ndarray)
    assert action.shape == (1,)
    assert np.allclose(run.policy(np.stack([observation] * 5)), action, rtol=1e-5)


@pytest.mark.full
def test_a_loaded_run_is_audited_again_with_bounds_besides(finished):
    out, result = finished
    again = audit_run(paracosm.load(out))
    assert again.certificates
    assert (
        dataclasses.replace(again, lipschitz={}, contraction=None, certificates=())
        == result.diagnosis
    )


def test_a_discrete_policy_answers_with_an_action_of_the_environment(cart):
    action = paracosm.load(cart[0]).policy(np.zeros(4, np.float32))
    assert action.shape == ()
    assert int(action) in (0, 1)


def test_stored_models_come_back_bit_for_bit(finished, cart, tmp_path):
    for out, _ in (finished, cart):
        learned = store.load_world(out / "models/world-0")
        imagined = paracosm.load(out).imagined
        store.save_world(tmp_path / "world-0", learned)
        store.save_imagined(
            tmp_path / "policy-0",
            imagined,
            store.header(store.ImaginedHeader, out / "models/policy-0").worst_reward,
        )
        for name in ("world-0.eqx", "world-0.json", "policy-0.eqx", "policy-0.json"):
            assert (tmp_path / name).read_bytes() == (out / "models" / name).read_bytes()


def test_a_model_of_another_format_is_refused(finished, tmp_path):
    (tmp_path / "policy.json").write_text('{"format": 0}')
    with pytest.raises(checks.BadData, match="format 0"):
        store.load_policy(tmp_path / "policy")
    with pytest.raises(checks.Missing, match="no model"):
        store.load_policy(tmp_path / "nothing")


def test_rounds_collect_with_the_policy_and_go_on_counting_episodes(tmp_path):
    stages = []

    def follow(stage, done, total, word=""):
        stages.append(stage)

    result = small_run(tmp_path / "run", rounds=2, transitions=301, progress=follow)
    assert {stage for stage in stages if "round" not in stage} == {"evaluate", "audit"}
    assert "learn (round 2 of 2)" in stages
    data = paracosm.load(tmp_path / "run").data
    assert result.purchases.transitions == data.real_steps == 301
    first, second = (datasets.load(tmp_path / f"run/data/round-{i}.npz") for i in range(2))
    assert (first.real_steps, second.real_steps) == (151, 150)
    assert second.episode.min() > first.episode.max()
    assert len(result.trainings) == 2


@pytest.mark.full
def test_rounds_resume_too(tmp_path):
    complete = small_run(tmp_path / "whole", rounds=2)

    def stop(name, done, total, word=""):
        if name.startswith("learn (round 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small_run(tmp_path / "run", rounds=2, progress=stop)
    assert numbers(small_run(tmp_path / "run", rounds=2, resume=True)) == numbers(complete)


def test_owned_data_take_no_real_steps_but_the_evaluation(finished, tmp_path):
    datasets.save(paracosm.load(finished[0]).data, tmp_path / "owned.npz")
    result = small_run(tmp_path / "run", transitions=None, data=str(tmp_path / "owned.npz"))
    without_reference = {
        "reference": None,
        "verdict": "",
    }  # of owned data it is the recorded policy's return that is known
    ours, bought = (
        dataclasses.replace(outcome.diagnosis, **without_reference)
        for outcome in (numbers(result), finished[1])
    )
    assert ours == bought
    assert result.diagnosis.reference.policy == RECORDED


def test_owned_data_can_be_used_in_part(finished, tmp_path):
    datasets.save(paracosm.load(finished[0]).data, tmp_path / "owned.h5")
    result = small_run(
        tmp_path / "run", transitions=None, reward_labels=50, data=str(tmp_path / "owned.h5")
    )
    assert (result.purchases.transitions, result.purchases.reward_labels) == (200, 50)


def test_a_known_reward_is_used_and_costs_no_label(tmp_path):
    result = small_run(tmp_path / "run", reward=f"{SMALL}:known_reward", reward_labels=1)
    assert result.fits["reward"].origin == "known"
    assert abs(result.diagnosis.gap.reward.mean) < 1e-4
    assert paracosm.load(tmp_path / "run", trust=True).world.reward is small.known_reward
    with pytest.raises(checks.BadArgument, match="names code to import"):
        paracosm.load(tmp_path / "run").world  # noqa: B018 - reading it imports


def test_a_nan_reward_names_the_step_and_keeps_what_was_collected(tmp_path):
    with pytest.raises(checks.BadData, match=r"step.*kept in") as error:
        small_run(tmp_path / "run", f"{SMALL}:faulty", transitions=800)
    assert "\n" not in str(error.value)
    assert datasets.load(tmp_path / "run/data/partial-0.npz").real_steps > 0


def interrupted(tmp_path, monkeypatch):
    """A run whose environment failed, and can be used again."""
    plug, out, env = tmp_path / "unplugged", tmp_path / "run", f"{SMALL}:Interrupted"
    monkeypatch.setenv("FAILING_WHILE", str(plug))
    with pytest.raises(
        checks.BadArgument, match=r"Interrupted has no time limit; give --horizon N"
    ):
        small_run(out, env)
    assert not out.exists()
    plug.touch()
    failure = r"raised OSError: the arm is unplugged \(small\.py:\d+\) at step \d+ of episode \d+"
    remedy = (
        r"the 112 steps before it are kept in .*partial-0\.npz, and the same command with --resume"
        r" goes on"
    )
    with pytest.raises(checks.BadData, match=f"{failure}; {remedy}") as error:
        small_run(out, env, horizon=20)
    assert "\n" not in str(error.value)
    plug.unlink()
    return out, env, datasets.load(out / "data/partial-0.npz")


def test_a_run_goes_on_from_the_steps_before_its_environment_failed(tmp_path, monkeypatch):
    out, env, partial = interrupted(tmp_path, monkeypatch)

    def stop(name, done, total, word=""):
        if name == "learn":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small_run(out, env, horizon=20, resume=True, progress=stop)
    bought = datasets.load(out / "data/round-0.npz")
    places = zip(partial.episode, partial.time, partial.state[:, 0], strict=True)
    assert set(zip(bought.episode, bought.time, bought.state[:, 0], strict=True)).issuperset(places)
    assert bought.real_steps == 200
    assert not (out / "data/partial-0.npz").exists()
    assert paracosm.load(out, trust=True).source().horizon == 20


def test_a_run_goes_on_from_the_steps_before_ctrl_c(tmp_path, monkeypatch, capsys):
    plug, out, env = tmp_path / "unplugged", tmp_path / "run", f"{SMALL}:Stopped"
    monkeypatch.setenv("FAILING_WHILE", str(plug))
    plug.touch()
    monkeypatch.setattr(small.Stopped, "total", -1)  # the step of the first look
    arguments = ["run", env, "--out", str(out), "--horizon=20", "--transitions=200", "--episodes=2"]
    assert main(arguments) == 130
    assert "what was finished is kept" in capsys.readouterr().err
    partial = datasets.load(out / "data/partial-0.npz")
    assert partial.real_steps == 149
    plug.unlink()

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("paracosm.loop.runner.learn", stop)
    assert main([*arguments, "--resume"]) == 130
    bought = datasets.load(out / "data/round-0.npz")
    assert bought.real_steps == 200
    places = set(zip(bought.episode, bought.time, bought.state[:, 0], strict=True))
    assert places.issuperset(zip(partial.episode, partial.time, partial.state[:, 0], strict=True))


@pytest.mark.parametrize("name", ["data/partial-0.npz", "data/partial.npz"])  # of today, and before
def test_steps_that_were_all_taken_when_ctrl_c_came_are_not_taken_again(finished, tmp_path, name):
    def stop_at(stage):
        def stop(name, done, total, word=""):
            if name == stage:
                raise KeyboardInterrupt

        return stop

    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        small_run(out, progress=stop_at("collect"))
    bought = paracosm.load(finished[0]).data
    datasets.save(bought, out / name)
    before = (out / name).read_bytes()
    with pytest.raises(KeyboardInterrupt):
        small_run(out, progress=stop_at("learn"), resume=True)
    assert (out / "data/round-0.npz").read_bytes() == before
    assert not list(out.glob("data/partial*"))


def test_a_package_that_is_not_installed_has_no_version(monkeypatch):
    monkeypatch.setattr(versions, "_PACKAGES", ("jax", "no-such-package"))
    assert set(versions.facts()) == {"python", "jax", "platform", "devices"}


@pytest.mark.full
def test_a_run_warns_of_an_environment_that_ignores_its_seed(tmp_path, monkeypatch):
    out, env, _ = interrupted(tmp_path, monkeypatch)
    result = small_run(out, env, horizon=20, resume=True)
    assert result.purchases.real_steps == 200
    assert "does not repeat an episode from the same seed" in result.warnings[0]


def test_owned_data_that_the_environment_could_not_have_given_are_refused(finished, tmp_path):
    data, file = paracosm.load(finished[0]).data, tmp_path / "owned.npz"
    action, time = data.action.copy(), np.arange(data.real_steps)
    action[7] = 3
    never = np.zeros(data.real_steps, bool)
    glued = {"time": time, "episode": 0 * time, "truncated": never, "terminated": never}
    glued["next_state"] = np.append(data.state[1:], data.next_state[-1:], axis=0)
    cases = {
        r"owned\.npz: action is \[3\.\] in row 7; at least \[-2\.\] and at most \[2\.\]": {
            "action": action
        },
        "action holds whole numbers; Pendulum-v1 takes vectors": {
            "action": np.zeros(data.real_steps, np.int32)
        },
        r"episode 0 has 400 steps and goes on at row 200, and Pendulum-v1 ends its episodes at"
        r" 200; several": glued,
    }
    for sentence, changes in cases.items():
        rows = dataclasses.replace(data, **changes)
        if "400" in sentence:
            ends = {"time": np.arange(400), "episode": np.zeros(400, int)}
            rows = dataclasses.replace(rows.join(rows), **ends)
            rows.next_state[:-1] = rows.state[1:]
        datasets.save(rows, file)
        with pytest.raises(checks.BadData, match=sentence):
            small_run(tmp_path / "run", transitions=None, data=str(file))
        assert not (tmp_path / "run").exists()


def test_compare_puts_runs_side_by_side(finished, cart, tmp_path):
    comparison = paracosm.compare(finished[0], cart[0])
    assert list(comparison.runs.values()) == [paracosm.load(finished[0]).result, cart[1]]
    paracosm.report(comparison, tmp_path / "page.html")
    with pytest.raises(checks.BadArgument, match="at least two"):
        paracosm.compare(finished[0])
    odd = tmp_path / "caf\udce9"
    odd.symlink_to(finished[0])
    assert r"caf\udce9" in next(iter(paracosm.compare(odd, cart[0]).runs))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"transitions": 0}, "--transitions is 0"),
        ({"reward_labels": -5}, "--reward-labels is -5"),
        ({"discount": 1.5}, "--discount is 1.5"),
        ({"env_kwargs": "{x"}, "--env-kwargs is '{x'; it must be a JSON object"),
        ({"env_kwargs": "[1]"}, "must be a JSON object"),
        ({"rounds": 2, "data": "x.npz"}, "--rounds"),
        ({"episodes": 1}, "--episodes is 1"),
        ({"cost_reward": -1.0}, "--cost-reward is -1"),
    ],
)
def test_bad_settings_are_one_sentence(options, message):
    with pytest.raises(checks.ParacosmError, match=message) as error:
        RunConfig("Pendulum-v1", **options).arguments  # noqa: B018 - reading it checks it
    assert str(error.value).count("\n") == 0


def test_shares_add_up_over_rounds():
    shares = RunConfig("x", transitions=100, reward_labels=40, rounds=3).shares()
    assert shares == [(34, 14), (33, 13), (33, 13)]


def test_a_log_line_cut_off_by_a_kill_is_left_out(tmp_path):
    with RunDirectory.create(tmp_path / "run", {}, resume=False, force=False) as directory:
        directory.log("finished", stage="collect-0", seconds=1.0)
        with (tmp_path / "run/events.jsonl").open("a") as log:
            log.write('{"event": "fini')
        assert [event["stage"] for event in directory.events()] == ["collect-0"]
        directory.log("finished", stage="learn-0", seconds=2.0)
        assert directory.seconds() == {"collect": 1.0, "learn": 2.0}


def test_a_missing_data_file_removes_nothing(finished, tmp_path):
    out = shutil.copytree(finished[0], tmp_path / "run")
    with pytest.raises(checks.Missing, match=r"nothing\.npz"):
        small_run(out, data=str(tmp_path / "nothing.npz"), force=True)
    assert paracosm.load(out).result == paracosm.load(finished[0]).result


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"env": "CartPole-v1"}, "state has 3 components; those of CartPole-v1 have 4"),
        ({"transitions": 5}, "hold 5 transitions; at least 10 are needed"),
        ({"reward_labels": 201}, "labels is 201; it must be at least 0 and at most 200"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_owned_data_that_do_not_fit_are_refused_before_anything_is_made_or_removed(
    finished, tmp_path, options, why, force
):
    datasets.save(paracosm.load(finished[0]).data, tmp_path / "owned.npz")
    out = shutil.copytree(finished[0], tmp_path / "run") if force else tmp_path / "run"
    owned = {"transitions": None, "data": str(tmp_path / "owned.npz"), **options}
    with pytest.raises(checks.ParacosmError, match=why):
        small_run(out, force=force, **owned)
    assert paracosm.load(out).result == finished[1] if force else not out.exists()


def test_other_rows_are_refused_before_a_tracker_is_made(finished, tmp_path):
    data, owned, made = paracosm.load(finished[0]).data, tmp_path / "owned.npz", []

    def stop(name, done, total, word=""):
        if name == "learn":
            raise KeyboardInterrupt

    options = {"transitions": None, "data": str(owned), "progress": stop}
    datasets.save(data.first(100), owned)
    with pytest.raises(KeyboardInterrupt):
        small_run(tmp_path / "run", **options)
    datasets.save(data.first(101), owned)
    with pytest.raises(checks.BadArgument, match="other rows"):
        small_run(tmp_path / "run", **options, resume=True, tracker=lambda: made.append(1))
    assert not made


def test_a_copy_of_data_is_no_round(finished, tmp_path):
    out = shutil.copytree(finished[0], tmp_path / "run")
    shutil.copy(out / "data/round-0.npz", out / "data/round-0 (copy).npz")
    assert paracosm.load(out)._last == 0


def test_data_inside_the_run_directory_are_refused_and_stay(finished, tmp_path):
    out = shutil.copytree(finished[0], tmp_path / "run")
    mine = shutil.copy(out / "data/round-0.npz", out / "data/mine.npz")
    for data in (mine, out / "data/round-0.npz"):
        with pytest.raises(checks.BadArgument, match="lies inside --out"):
            small_run(out, transitions=None, data=str(data), force=True)
    assert paracosm.load(out).result == finished[1]
    assert (out / "data/mine.npz").exists()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("reward_of_two", "cannot be called with arrays"),
        ("reward_of_host", "cannot be called with arrays"),
        ("reward_vector", r"answers with .* one number"),
        ("nothing", "no function 'nothing'"),
    ],
)
@pytest.mark.parametrize("part", ["reward", "termination"])
def test_a_known_part_that_cannot_be_used_is_refused_before_anything_is_made(
    tmp_path, part, name, why
):
    with pytest.raises(checks.ParacosmError, match=why) as refusal:
        small_run(tmp_path / "run", **{part: f"{SMALL}:{name}"})
    assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"env": "CartPole-v1", "rounds": 2, "noise": 1.5}, r"--noise, .* is 1.5; it must lie in"),
        ({"caution": "stop"}, "--learn.fit.members is 1 beside --caution stop"),
        ({"planner": "cem", "caution": "penalty"}, "members is 1 beside --caution penalty"),
    ],
)
def test_what_would_fail_once_steps_are_paid_for_is_refused_before(tmp_path, options, why):
    learn = dataclasses.replace(small.LEARN, fit=FitSettings(members=1))
    options = {"env": "Pendulum-v1", "transitions": 40, **options}
    with pytest.raises(checks.BadArgument, match=why):
        paracosm.run(out=tmp_path / "run", learn_settings=learn, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["reset", "constructor"])
def test_an_environment_that_fails_before_its_first_step_blocks_nothing(tmp_path, where):
    with pytest.raises(Exception, match="broken"):
        small_run(tmp_path / "new/run", f"{SMALL}:fails_in_{where}")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_written_is_refused_to_a_second_one(finished, tmp_path):
    out = shutil.copytree(finished[0], tmp_path / "run")
    config = json.loads((out / "config.json").read_text())
    with RunDirectory.create(out, config, resume=True, force=False):
        for options in ({}, {"force": True, "seed": 1}, {"resume": True}):
            with pytest.raises(checks.BadArgument, match=rf"another run \(process {os.getpid()}\)"):
                small_run(out, **options)
    assert small_run(out, resume=True) == finished[1]


@pytest.mark.parametrize(
    "fails",
    [
        "result.json",
        *(
            pytest.param(name, marks=pytest.mark.full)
            for name in ("report.html", "policy.json", "audit.json")
        ),
    ],
)
def test_a_full_disk_costs_no_result(finished, tmp_path, monkeypatch, fails):
    """The stages are loaded, what is `fails` cannot be written: the result comes with the
    refusal.
    """
    out = shutil.copytree(finished[0], tmp_path / "run")
    (out / fails).unlink()
    if fails == "audit.json":
        log = (out / "events.jsonl").read_text().splitlines(keepends=True)
        (out / "events.jsonl").write_text("".join(line for line in log if '"audit"' not in line))
    replaced = Path.replace

    def full(path: Path, target: Path) -> Path:
        if target.name == fails:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replaced(path, target)

    monkeypatch.setattr(Path, "replace", full)
    monkeypatch.setattr(filming, "film", film)
    with pytest.raises(
        Unwritten, match=rf"{fails} cannot be written: No space left on device\."
    ) as refusal:
        small_run(out, resume=True)
    assert re.search(r" but (1 such failure|[2-9] such failures) left ", str(refusal.value))
    assert numbers(refusal.value.result) == numbers(finished[1])
    monkeypatch.undo()
    assert numbers(small_run(out, resume=True)) == numbers(finished[1])
    assert (out / fails).exists()


def test_a_damaged_result_is_one_sentence(finished, tmp_path):
    out = shutil.copytree(finished[0], tmp_path / "run")
    (out / "result.json").write_text("{")
    with pytest.raises(checks.BadData, match="is damaged"):
        paracosm.load(out).result  # noqa: B018 - reading it is the test


def test_damaged_episodes_are_one_sentence(finished, tmp_path):
    copy = shutil.copytree(finished[0], tmp_path / "run")
    (copy / "data/evaluation.npz").write_bytes(b"PK not a zip")
    with pytest.raises(checks.BadData, match="recorded episodes are needed"):
        _ = paracosm.load(copy).episodes


def test_a_log_that_cannot_be_written_is_one_sentence(tmp_path):
    directory = RunDirectory(tmp_path)
    (tmp_path / "events.jsonl").mkdir()
    with pytest.raises(checks.BadArgument, match=r"events\.jsonl cannot be written"):
        directory.log("started")
