"""How a command refuses."""

from typing import Any


def refusal(capsys: Any) -> str:
    """The one sentence on stderr, where stdout is empty."""
    captured = capsys.readouterr()
    assert captured.out == ""
    (sentence,) = captured.err.splitlines()
    assert sentence.startswith("paracosm: ")
    return sentence
