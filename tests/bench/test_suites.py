"""Suites: those of the package are whole, and a wrong file is refused in one sentence."""

import pytest

from paracosm.bench.suites import NAMES, suite
from paracosm.core import checks

TASK = """
[[task]]
env = "CartPole-v1"
transitions = 60
needed = 9
anchors = [{ value = 500, method = "DQN", steps = 50000, source = "somebody" }]
"""


def test_the_packages_suites_have_the_twelve_tasks():
    tasks = [task for name in NAMES for task in suite(name)]
    assert len({task.env for task in tasks}) == len(tasks) == 12
    for task in tasks:
        assert task.needed is None or abs(task.needed) <= abs(task.anchors[0].value) * 2


def test_a_suite_of_ones_own(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(TASK.replace("needed = 9\n", ""))
    (task,) = suite(str(file))
    assert (task.env, task.transitions, task.needed) == ("CartPole-v1", 60, None)
    assert task.anchors[0].method == "DQN"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "there is no file"),
        ("[[task", "is no TOML"),
        ("", "holds nothing; .*are needed"),
        ("seeds = 3\n" + TASK, "holds 'seeds', 'task'"),
        ("task = 5", "tables"),
        (TASK + TASK, "CartPole-v1 more than once"),
        (TASK + "lr = 3\n", "task 1: .*fields of a Task"),
        (TASK.replace("transitions = 60\n", ""), "task 1: .*fields of a Task"),
        (TASK.replace("60", '"many"'), "task 1: transitions is 'many'"),
        (TASK.replace("60", "0"), "task 1: transitions is 0"),
        (TASK.replace("needed = 9", "needed = nan"), "task 1: .*finite|nan"),
        (TASK.replace(', source = "somebody"', ""), "anchors.*fields of a Reported"),
        (TASK[: TASK.index("anchors")] + "anchors = []", "no anchors"),
    ],
)
def test_a_wrong_suite_is_refused_in_a_sentence(tmp_path, text, sentence):
    file = tmp_path / "mine.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(checks.ParacosmError, match=sentence) as refusal:
        suite(str(file))
    assert "\n" not in str(refusal.value)


def test_an_unknown_suite_is_refused():
    with pytest.raises(checks.BadArgument, match="no suite 'atari'; classic, mujoco"):
        suite("atari")
