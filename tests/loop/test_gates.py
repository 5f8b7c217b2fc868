"""Gate files: what they may say, and one sentence for what they may not."""

import inspect
from typing import Any, cast

import pytest

from paracosm.core.checks import BadData, Missing, ParacosmError
from paracosm.core.records.gate import GATED, GateRule
from paracosm.core.records.results import Comparison
from paracosm.loop import gates
from tests.reporting import report_records as records


def read(tmp_path, text):
    file = tmp_path / "gate.toml"
    file.write_text(text)
    return gates.rules(file)


def test_an_empty_file_checks_everything_at_95_per_cent(tmp_path):
    rules = read(tmp_path, "")
    assert rules.level == 0.95
    assert [(rule.section, rule.name) for rule in rules.rules] == [
        (section, name) for section in GATED if section != "ranks" for name in GATED[section]
    ]
    assert {rule.allowance for rule in rules.rules} == {None}
    assert read(tmp_path, "level = 0.9").level == 0.9


def test_a_section_names_what_is_checked(tmp_path):
    rules = read(tmp_path, "[terms]\ndynamics = 0\n[errors]\nreward = 0.1\n")
    assert rules.rules == (GateRule("terms", "dynamics", 0.0), GateRule("errors", "reward", 0.1))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("level = 1", r"level is 1; it must lie in \(0, 1\)"),
        ("level = 'high'", "level is 'high'"),
        ("[terms", "is no TOML"),
        (
            "[bounds]\nglobal = 1",
            r"no section or setting 'bounds'; there are level, \[return\], \[",
        ),
        ("[terms]\npolicy = 0", "no 'policy'; it has reward, termination, dynamics, horizon"),
        ("[errors]\nhorizon = 0", "no 'horizon'; it has reward, termination, dynamics"),
        ("[terms]\nreward = 'none'", "terms.reward is 'none'"),
        ("[terms]\nreward = true", "terms.reward is True"),
        ("[terms]\nreward = -1", "terms.reward is -1; it must be at least 0"),
        ("[terms]\nreward = nan", "terms.reward is nan"),
        ("terms = 3", "terms is 3; a section is needed"),
        ("[terms]", "its sections are empty"),
    ],
)
def test_what_a_file_may_not_say(tmp_path, text, sentence):
    with pytest.raises(BadData, match=sentence) as refused:
        read(tmp_path, text)
    assert "gate.toml" in str(refused.value)
    assert "\n" not in str(refused.value).strip()


def test_a_file_must_be_there_and_be_text(tmp_path):
    with pytest.raises(Missing, match="no gate file"):
        gates.rules(tmp_path / "none.toml")
    (tmp_path / "gate.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadData, match="UTF-8"):
        gates.rules(tmp_path / "gate.toml")
    with pytest.raises(ParacosmError):
        inspect.unwrap(gates.rules)(cast(Any, 3))


def test_the_last_run_is_the_candidate(tmp_path):
    gate = gates.gate(records.comparison(), read(tmp_path, ""))
    assert gate.candidate == "runs/few"
    assert gate.baselines == ("runs/pendulum", "runs/labels")
    turned = Comparison(dict(reversed(records.comparison().runs.items())))
    assert gates.gate(turned, read(tmp_path, "")).candidate == "runs/pendulum"
