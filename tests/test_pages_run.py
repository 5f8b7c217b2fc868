"""The Python of the documentation runs: each page's blocks in order, in one namespace.

docs/foreign is audited by `tests/cli/test_audit_foreign.py`; the files of docs/extending.md are
those of `tests/extending`; as-env, data and spaces have tests of their own.
"""

import functools
import importlib
import re
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import paracosm
from tests.loop.small import IMAGINE, LEARN, small_run

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
TITLED = re.compile(r"^```python(?: title=\"([^\"]+)\")?\n(.*?)^```", re.S | re.M)
# What a page leaves to its reader's own sizes and modules is small here.
SIZES = {
    "10_000": "300",
    "collect(600,": "collect(200,",
    "most_steps=100)": "most_steps=20)",
    "check=500, most_steps=5000": "check=10, most_steps=20",
    "most_epochs=20": "most_epochs=1",
    "(2_000, 300)": "(2, 3)",
    "range(100)": "range(1)",
    "my_package.study:train": "tests.test_pages_run:study",
}
RUN_ELSEWHERE = {
    f"{name}.md" for name in ("as-env", "data", "extending", "spaces", "trackers", "tutorial")
}
PAGES = sorted(
    page
    for page in DOCS.glob("*.md")
    if "```python" in page.read_text(encoding="utf-8") and page.name not in RUN_ELSEWHERE
)


def study(samples: int, seed: int) -> dict[str, float]:
    """A cell of the page on sweeps."""
    return {"error": seed + 1 / samples}


def blocks(page: Path) -> list[tuple[str, str]]:
    """Title, if any, and code of each block of a page."""
    return TITLED.findall(page.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def namespace() -> dict[str, object]:
    """What pages that go on from the six verbs have in their hands."""
    env = paracosm.connect("Pendulum-v1", horizon=20)
    data = paracosm.collect(env, 300, seed=0)
    learned = paracosm.learn(data, env.spec(data), settings=LEARN)
    policy = paracosm.imagine(learned, data, settings=IMAGINE).policy
    episodes = paracosm.evaluate(env, policy, episodes=3)
    returns = np.sum(np.where(episodes.alive, episodes.reward, 0.0), axis=1) + 250
    return {
        **{"paracosm": paracosm, "env": env, "data": data, "learned": learned, "policy": policy},
        **{"episodes": episodes, "returns": returns, "state": jnp.asarray(data.state[0])},
        "key": jax.random.key(0),
    }


@pytest.mark.full
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page, namespace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{part},{n},{1 / n}" for part in ("dynamics", "reward") for n in (100, 200, 400, 800)]
    Path("curves.csv").write_text("\n".join(["part,samples,error", *rows]), encoding="utf-8")
    names = dict(namespace)
    for _, block in blocks(page):
        code = functools.reduce(lambda text, size: text.replace(*size), SIZES.items(), block)
        exec(compile(code, page.name, "exec"), names)


@pytest.mark.full
@pytest.mark.parametrize("page", ["export.md", "plan.md"])
def test_the_python_of_a_command_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    small_run("runs/house")
    paracosm.export("runs/house", "numpy", "policy.py")
    names = {}
    for _, block in blocks(DOCS / "commands" / page):
        exec(compile(block.replace("2000", "40"), page, "exec"), names)
    assert names["over"] if page == "export.md" else len(names["data"].state) == 240


@pytest.mark.full
def test_the_python_of_the_page_on_trackers_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    sizes = {"learn_settings": LEARN, "imagine_settings": IMAGINE, "transitions": 200}
    monkeypatch.setattr(paracosm, "run", functools.partial(paracosm.run, episodes=2, **sizes))
    for _, block in blocks(DOCS / "trackers.md"):
        exec(compile(block, "trackers.md", "exec"), {})
    assert list(tmp_path.glob("logs/first/events*"))
    assert list(tmp_path.rglob("run-*.wandb"))


@pytest.mark.full
@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_an_example_runs(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    runpy.run_path(str(script))
    assert {path.suffix for path in tmp_path.iterdir()} <= {".html", ".png"}
    assert list(tmp_path.iterdir())


@pytest.mark.full
def test_the_tutorials_files_are_an_environment_and_use_a_runs_policy(
    tmp_path, monkeypatch, capsys
):
    """The files as the page shows them, with a run of a few seconds in place of its minutes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    texts = {}
    for title, code in blocks(DOCS / "tutorial.md"):
        name = title.removesuffix(", continued")
        texts[name] = texts.get(name, "") + code
    for name, text in texts.items():
        Path(name).write_text(text, encoding="utf-8")
    house = importlib.import_module("house")
    check_env(house.House(), skip_render_check=True)
    small_run("runs/house", "house:make_env", reward="house:reward", reward_labels=20)
    exec(compile(texts["use.py"], "use.py", "exec"), {})
    assert -5_000 < float(capsys.readouterr().out.split()[-1]) < 0
