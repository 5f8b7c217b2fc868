"""What the README and the documents show exists, and its Python runs."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.loop.small import small_run

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_refers_to_exist(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert all((page.parent / link).is_file() for link in links), links
    named = re.findall(r"`(docs/[\w./-]+)`", text)
    assert all((ROOT / name).is_file() for name in named), named


@pytest.mark.full
def test_the_readmes_python_runs(tmp_path, monkeypatch):
    """The three blocks in their order, with what they take for granted."""
    monkeypatch.chdir(tmp_path)
    small_run("runs/cart", "CartPole-v1")
    names = {"observation": np.zeros((3, 4)), "true_reward": lambda s, a, after: -(s[2] ** 2)}
    for code in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S):
        exec(compile(code, "README.md", "exec"), names)
    assert names["action"].shape == (3,)
    assert (tmp_path / "report.html").is_file()
    assert names["counterfactual"].reward is names["true_reward"]
