"""Runs in environments whose observations and actions have several parts."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

import paracosm
from paracosm.cli.main import main
from paracosm.core import checks
from paracosm.loop.config import RunConfig
from paracosm.loop.foreign import audit_foreign
from paracosm.loop.named_parts import source_of
from paracosm.real import datasets
from paracosm.reporting.diagnosis_words import with_sentences
from tests.loop.small import IMAGINE, LEARN, small_run

WORLDS = "tests.real.composed"
GOAL = tuple(
    f"{key}[{i}]" for key in ("achieved_goal", "desired_goal", "observation") for i in (0, 1)
)


PAGE = Path(__file__).parents[2] / "docs/spaces.md"
SCRIPTS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture(scope="module")
def reached(tmp_path_factory):
    """A run in the environment of the page, a Dict of goals with two choices at once, and what it
    found.
    """
    folder = tmp_path_factory.mktemp("reach")
    (folder / "my_reach.py").write_text(SCRIPTS[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        result = small_run("runs/reach", env="my_reach:make_env", learner="reinforce", horizon=12)
        yield folder / "runs/reach", result


def test_a_run_on_goals_and_joint_actions_is_whole(reached):
    out, result = reached
    data = datasets.load(out / "data/round-0.npz")
    assert (data.state.shape, data.action.dtype) == ((200, 6), np.int32)
    assert result.diagnosis.closure < 1e-6
    run = paracosm.load(out, trust=True)
    assert run.world.spec.components == GOAL
    assert (run.world.spec.action.n, run.world.spec.action.counts) == (9, (3, 3))
    assert run.policy(np.zeros((4, 6), np.float32)).shape == (4,)


def test_the_page_s_loop_plays_the_policy_in_the_environment_itself(reached, capsys):
    run = paracosm.load(reached[0], trust=True)
    again = paracosm.evaluate("my_reach:make_env", run.policy, episodes=1, first_seed=0)
    exec(compile(SCRIPTS[1], str(PAGE), "exec"), {})
    assert float(capsys.readouterr().out) == pytest.approx(float(again.reward.sum()), rel=1e-5)


def test_its_report_names_the_components(reached):
    out, result = reached
    assert result.diagnosis.dynamics_by_dimension.components == GOAL
    again = paracosm.load(out).result
    assert again == result
    page = (out / "report.html").read_text()
    assert "component 2 desired_goal[0]" in page
    advised = dataclasses.replace(result.diagnosis.advice, blamed="dynamics", components=(3,))
    words = with_sentences(dataclasses.replace(result.diagnosis, advice=advised)).explanation
    assert "State component to look at: 3 desired_goal[1] (" in words


def test_it_is_audited_again_in_new_episodes(reached, capsys):
    main(
        [
            "audit",
            str(reached[0]),
            "--episodes",
            "2",
            "--trust",
            "--no-bounds",
            "--search",
            "none",
            "--json",
        ]
    )
    assert json.loads(capsys.readouterr().out)["real_steps"] == 24


@pytest.mark.full
@pytest.mark.parametrize(
    ("env", "options"),
    [
        (f"{WORLDS}:lever", {}),
        (f"{WORLDS}:push", {"action_range": (-1.0, 1.0)}),
        (f"{WORLDS}:reach", {"planner": "cem"}),
    ],
)
def test_starts_stated_ranges_and_planners_run_and_resume(tmp_path, env, options):
    base = {"transitions": 200, "episodes": 2, "learn_settings": LEARN}
    trained = {} if "planner" in options else {"imagine_settings": IMAGINE}
    options = {**base, **trained, **options}
    result = paracosm.run(env, out=tmp_path / "run", **options)
    assert result.diagnosis.valid
    again = paracosm.run(env, out=tmp_path / "run", resume=True, **options)
    assert again.to_json() == result.to_json()
    run = paracosm.load(tmp_path / "run", trust=True)
    assert run.config.action_range == options.get("action_range")
    assert run.source().evaluate(run.policy, episodes=2).horizons.sum() == 24


def test_an_unbounded_box_needs_a_range_before_anything_is_made(tmp_path):
    with pytest.raises(checks.Unsupported, match=r"give --action-range LOW HIGH"):
        small_run(tmp_path / "run", env=f"{WORLDS}:push")
    assert not (tmp_path / "run").exists()
    with pytest.raises(checks.BadArgument, match=r"^--action-range is \(2\.0, 1\.0\); two finite"):
        small_run(tmp_path / "run", env=f"{WORLDS}:push", action_range=(2.0, 1.0))


def test_declared_scales_are_checked_before_anything_is_made_and_kept(tmp_path):
    out = tmp_path / "run"
    for scales, sentence in (
        ("[1]", r"^--state-scale is '\[1\]'; it must be a JSON object"),
        ('{"gaol": 1}', "state_scale names 'gaol'"),
    ):
        with pytest.raises(checks.BadArgument, match=sentence):
            small_run(out, env=f"{WORLDS}:reach", state_scale=scales)
    with pytest.raises(checks.BadArgument, match="both --state-scale and --encoder are given"):
        RunConfig("x", state_scale="{}", encoder="window:2")
    assert not out.exists()
    config = RunConfig(f"{WORLDS}:reach", state_scale='{"desired_goal": 0.5}')
    source = source_of(config)
    assert float(source.spec(source.collect(20, seed=0)).state_scale[3]) == 0.5
    assert RunConfig.from_json(config.to_json()) == config


def still():
    """A policy that does not move."""
    return lambda states: np.zeros((len(states), 2))


def sliding(spec):
    """The world as it is."""
    assert spec.components == GOAL
    return paracosm.foreign.world(
        spec,
        dynamics=lambda s, a: s + np.concatenate([0.3 * a, np.zeros((len(s), 4))], axis=1),
        reward=lambda s, a, n: -np.abs(n[:, :2] - n[:, 2:4]).sum(axis=1),
    )


def test_a_model_of_ones_own_is_audited_on_goals_with_a_stated_range():
    diagnosis = audit_foreign(
        sliding,
        still,
        env=f"{WORLDS}:push",
        action_range=(-1, 1),
        episodes=2,
        certify=False,
        dimensions=False,
    )
    assert abs(diagnosis.gap.total.mean) < 1e-4
