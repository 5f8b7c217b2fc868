"""Settings have one form: flags, records and config.json hold the same, by the same names."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import paracosm
from paracosm.cli.main import main
from paracosm.core import checks
from paracosm.imagination.settings import ImagineSettings
from paracosm.learning.settings import LearnSettings
from paracosm.loop.config import RunConfig, RunOptions
from paracosm.loop.directory import MARK, RunDirectory
from paracosm.loop.names import by_name, nested

COUNTS, SHARES, AMOUNTS = st.integers(1, 10**6), st.floats(0, 1), st.floats(0, 1e6)
RATES = st.lists(st.floats(1e-6, 1), min_size=1, max_size=4)
TEXTS = st.text(max_size=20)
LEARN = {
    **{f"fit.{name}": COUNTS for name in ("members", "width", "batch", "most_epochs")},
    "fit.rates": RATES,
    "validation": st.floats(0, 0.4),
    "held_out": st.floats(0, 0.5),
    "margin": AMOUNTS,
}
IMAGINE = {
    "rollouts": st.integers(2, 10**6),
    "visited": SHARES,
    "weighting": st.sampled_from(["discounted", "plain"]),
    "baseline": st.sampled_from(["value", "leave-one-out", "none"]),
    "rates": RATES,
    "entropy": AMOUNTS,
    "depth": st.integers(0, 9),
    "squash": st.booleans(),
}
RUN = {
    "env": TEXTS,
    "env_kwargs": TEXTS,
    "horizon": st.none() | COUNTS,
    "noise": AMOUNTS,
    "discount": SHARES,
    "termination": st.none() | TEXTS,
    "learner": st.none() | TEXTS,
    "seed": st.integers(0, 2**32 - 1),
    **{f"learn.{name}": leaf for name, leaf in LEARN.items()},
    **{f"imagine.{name}": leaf for name, leaf in IMAGINE.items()},
}
BY_COUNTS = {"transitions": st.none() | st.integers(100, 10**6), "rounds": st.integers(1, 10)}
OWNED = {"data": TEXTS, "reward_labels": st.none() | COUNTS}
BY_BUDGET = {"budget": st.floats(1e4, 1e6), "rounds": st.integers(2, 20)}


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        (LearnSettings(), LEARN),
        (ImagineSettings(), IMAGINE),
        (RunConfig("x"), RUN | BY_COUNTS),
        (RunConfig("x"), RUN | OWNED),
        (RunConfig("x"), RUN | BY_BUDGET),
    ],
    ids=["learn", "imagine", "run by counts", "run on owned data", "run by budget"],
)
@given(data=st.data())
def test_settings_come_back_from_json_and_from_their_names(settings, changes, data):
    kind = type(settings)
    leaves = by_name(settings.to_dict()) | data.draw(st.fixed_dictionaries(changes))
    settings = kind.from_dict(nested(kind, leaves))
    assert by_name(settings.to_dict()) == leaves
    assert kind.from_json(settings.to_json()) == settings


def test_every_setting_of_a_run_is_a_flag_of_its_name(capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    page = capsys.readouterr().out
    names = by_name(RunConfig("x").to_dict()).keys() - {"env"}
    assert {name for name in names if f"--{name.replace('_', '-')} " not in page} == set()


def run_of(tmp_path, tree):
    """A run directory whose config.json holds a tree."""
    (tmp_path / "config.json").write_text(json.dumps({"format": MARK, **tree}))
    return tmp_path


def test_settings_that_an_older_version_wrote_by_name_are_read(tmp_path):
    config = RunConfig("x", seed=3, learn=LearnSettings(margin=0.2))
    leaves = by_name({**config.to_dict(), "machine": {"jax": "0"}})
    assert leaves["learn.margin"] == 0.2
    out = run_of(tmp_path, {name: leaf for name, leaf in leaves.items() if name != "learner"})
    assert paracosm.load(out).config == config
    same = {**config.to_dict(), "machine": {"jax": "0"}}
    RunDirectory.create(out, same, resume=True, force=False).close()
    with pytest.raises(
        checks.BadArgument, match=r"had machine\.jax = '0', not '1'; --resume needs"
    ):
        RunDirectory.create(out, {**same, "machine": {"jax": "1"}}, resume=True, force=False)


@pytest.mark.parametrize("name", ["columns", "action_range", "state_scale"])
def test_settings_that_an_older_version_did_not_have_are_the_defaults(tmp_path, name):
    tree = RunConfig("Pendulum-v1").to_dict()
    default = tree.pop(name)
    again = paracosm.load(run_of(tmp_path, tree)).config.to_dict()
    assert again == {**tree, name: default}


def test_every_setting_of_a_run_is_an_option_of_its_type():
    """Those that `run` names itself apart."""
    settings = {field.name: field.type for field in dataclasses.fields(RunConfig)}
    for name in ("env", "learn", "imagine"):
        del settings[name]
    options = {name: hint.__forward_arg__ for name, hint in RunOptions.__annotations__.items()}
    assert options == settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learn": {"margin": 0.1}}, r"it lacks learn\.fit\.members, .*learn\.held_out\.$"),
        ({"env": {"id": "x"}}, r"it lacks env\.$"),
        ({"seed": "3"}, "seed is '3'; a whole number is needed"),
        ({"seed": -3}, "--seed is -3; it must"),
        ({"imagine": {**ImagineSettings().to_dict(), "rates": [1, "a"]}}, r"imagine\.rates\[1\]"),
    ],
)
def test_what_config_json_cannot_hold_is_named(tmp_path, changes, message):
    out = run_of(tmp_path, RunConfig("x").to_dict() | changes)
    with pytest.raises(checks.BadData, match=rf"config\.json is damaged: .*{message}"):
        _ = paracosm.load(out).config
