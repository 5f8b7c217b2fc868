"""The scripts of the page about data print what their comments say."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/data.md"
SCRIPTS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda text: text.split("\n")[-2][:40])
def test_a_script_prints_what_its_comments_say(script, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(script, str(PAGE), "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    promised = re.findall(r"^print\(.*#\s(.*)$", script, re.M)
    assert printed == [words.split(": ")[0] for words in promised]
    assert printed
