"""What an exported policy is, and how near to the policy itself, in plain words."""

from __future__ import annotations

from paracosm.core.records.exported import Exported
from paracosm.reporting import words

_LOADED = {
    "onnx": "onnxruntime.InferenceSession({path!r})",
    "numpy": "import {stem}, where {path} is on Python's path",
    "torch": "torch.export.load({path!r}).module()",
}


def sentences(record: Exported) -> str:
    """What was written, what it takes and gives, how it was compared, and how it is loaded."""
    carried = (
        f", and carries {words.count_of(record.carry, 'number')} from step to step"
        if record.carry
        else ""
    )
    inside = "" if record.encoder is None else f" behind its {record.encoder}"
    stem = record.path.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0]
    loaded = _LOADED[record.to].format(path=record.path, stem=stem)
    return (
        f"The policy is {record.path}: a {record.policy}{inside}, from {_observed(record)} to"
        f" {_acted(record)}{carried}.\n{_compared(record)}\nLoad it with {loaded}."
    )


def _observed(record: Exported) -> str:
    shape = " x ".join(map(str, record.observation))
    images = len(record.observation) > 1
    if images:
        return f"flat images of {shape}"
    return f"observations of {words.count_of(record.observation[0], 'number')}"


def _acted(record: Exported) -> str:
    if record.first_action is None:
        return f"actions of {words.count_of(record.actions, 'number')}"
    if record.choices:
        counts = " x ".join(map(str, record.choices))
        return f"{len(record.choices)} choices at once, of {counts} values"
    if record.actions == 1:
        return f"action {record.first_action} always"
    return f"actions {record.first_action} to {record.first_action + record.actions - 1}"


def _compared(record: Exported) -> str:
    at = f"At {record.compared:,} observations"
    if record.first_action is not None:
        if not record.difference:
            return f"{at} all its actions are the policy's own."
        return f"{at} {words.percent(record.difference)} of its actions are not the policy's own."
    return (
        f"{at} its actions are within {words.number(record.difference)} of the policy's, in the"
        " environment's units."
    )
