"""A fuzz of damaged files over the loaders of a run folder: one sentence that names the file, never
another error.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import paracosm
from paracosm.cli.main import main
from paracosm.core import files
from paracosm.core.checks import BadData, Missing, ParacosmError
from paracosm.core.files import read_arrays, read_record
from paracosm.core.records import Diagnosis
from paracosm.core.records.decisions import Decision
from paracosm.loop.directory import RunDirectory

LOADERS: dict[str, Callable[[Path], Any]] = {
    "config.json": lambda out: paracosm.load(out).config,
    "result.json": lambda out: paracosm.load(out).result,
    "audit.json": lambda out: read_record(Diagnosis, out / "audit.json"),
    "plan-0.json": lambda out: read_record(Decision, out / "plan-0.json"),
    "policy.json": lambda out: paracosm.load(out).policy,
    "policy.eqx": lambda out: paracosm.load(out).policy,
    "models/world-0.json": lambda out: paracosm.load(out).world,
    "models/world-0.eqx": lambda out: paracosm.load(out).world,
    "models/policy-0.json": lambda out: paracosm.load(out).imagined,
    "models/policy-0.eqx": lambda out: paracosm.load(out).imagined,
    "data/round-0.npz": lambda out: paracosm.load(out).data,
    "data/evaluation.npz": lambda out: paracosm.load(out).episodes,
    "events.jsonl": lambda out: RunDirectory(out).seconds(),
}
CHECKED = (
    ".npz",
    ".eqx",
)  # these and what stands beside .eqx have checksums: no change may go unnoticed


@pytest.fixture(scope="module")
def run(finished, tmp_path_factory) -> Path:
    out = shutil.copytree(finished[0], tmp_path_factory.mktemp("runs") / "run")
    (out / "plan-0.json").write_text(Decision(0, 3, 4, None, "a pilot").to_json())
    return out


def truncated(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


def flipped(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.randint(1, 8)):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def junk(content: bytes, draw: random.Random) -> bytes:
    return draw.randbytes(draw.choice([1, 10, 1000]))


def zeroed(content: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content))
    return content[:start] + bytes(len(content) - start)


def doubled(content: bytes, draw: random.Random) -> bytes:
    return content + content[draw.randrange(len(content)) :]


def array_file(content: bytes, draw: random.Random) -> bytes:
    """A single array as NumPy saves it, whatever the file is called."""
    stream = io.BytesIO()
    np.save(stream, np.arange(draw.randint(1, 9)))
    return stream.getvalue()


def pickled(content: bytes, draw: random.Random) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=True, state=np.array([{}, None], dtype=object))
    return stream.getvalue()


def other_entries(content: bytes, draw: random.Random) -> bytes:
    """A zip file with something that is no array in it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(
            draw.choice(["state.npy", "state", "alive.npy", "../x.npy"]), draw.randbytes(50)
        )
    return stream.getvalue()


def encrypted(content: bytes, draw: random.Random) -> bytes:
    """The flag that says so, in every header of the archive."""
    return content.replace(b"PK\3\4\x2d\0\0\0", b"PK\3\4\x2d\0\1\0").replace(
        b"PK\1\2\x2d\3\x2d\0\0\0", b"PK\1\2\x2d\3\x2d\0\1\0"
    )


def arrays(content: bytes, draw: random.Random) -> bytes:
    """Arrays of the right names and of a wrong shape, kind or content, or one that is missing."""
    with np.load(io.BytesIO(content)) as file:
        columns = dict(file)
    name = draw.choice(sorted(columns))
    change = draw.choice(
        [_transposed, _short, _as_text, _complex, _flat, _not_a_number, _missing, _empty]
    )
    columns[name] = change(columns[name])
    stream = io.BytesIO()
    np.savez(stream, **{key: value for key, value in columns.items() if value is not None})
    return stream.getvalue()


def _transposed(values: np.ndarray) -> np.ndarray:
    return np.stack([values] * 2)


def _short(values: np.ndarray) -> np.ndarray:
    return values[:-1]


def _as_text(values: np.ndarray) -> np.ndarray:
    return np.full(values.shape, "x")


def _complex(values: np.ndarray) -> np.ndarray:
    return values * 1j


def _flat(values: np.ndarray) -> np.ndarray:
    return np.array(3.0)


def _not_a_number(values: np.ndarray) -> np.ndarray:
    return np.full(values.shape, np.nan)


def _missing(values: np.ndarray) -> None:
    return None


def _empty(values: np.ndarray) -> np.ndarray:
    return values[:0]


ODD_VALUES = (
    None,
    [],
    [1],
    {},
    {"a": 1},
    "text",
    "",
    True,
    -1,
    3.5,
    10**400,
    1e308,
    "nan",
    "\ud800",
    [[[[]]]],
)


def odd_value(content: bytes, draw: random.Random) -> bytes:
    """One value of a JSON tree replaced by one of another kind."""
    tree = json.loads(content)
    holder, key = draw.choice(list(_places(tree)))
    holder[key] = draw.choice(ODD_VALUES)
    return json.dumps(tree).encode()


def lost_key(content: bytes, draw: random.Random) -> bytes:
    tree = json.loads(content)
    holder, key = draw.choice([place for place in _places(tree) if isinstance(place[0], dict)])
    del holder[key]
    return json.dumps(tree).encode()


def constant(content: bytes, draw: random.Random) -> bytes:
    tree = json.loads(content)
    holder, key = draw.choice(list(_places(tree)))
    holder[key] = draw.choice([float("nan"), float("inf")])
    return json.dumps(tree).encode()


def deep(content: bytes, draw: random.Random) -> bytes:
    head = draw.choice([b"[", b'{"event": ', b'{"format": '])
    return head * 200_000


def no_object(content: bytes, draw: random.Random) -> bytes:
    return draw.choice([b"[]", b"3", b"null", b'"x"', b'[["format", 1]]', b"\xff\xfe", b"", b"{}"])


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every holder and key of a JSON tree, at most 30 entries of a list."""
    keys = (
        list(tree)
        if isinstance(tree, dict)
        else range(min(len(tree), 30))
        if isinstance(tree, list)
        else ()
    )
    return [place for key in keys for place in ((tree, key), *_places(tree[key]))]


BYTES = (truncated, flipped, junk, zeroed, doubled)
KINDS = {
    ".json": (
        *BYTES,
        odd_value,
        odd_value,
        odd_value,
        lost_key,
        lost_key,
        constant,
        deep,
        no_object,
    ),
    ".npz": (*BYTES, array_file, pickled, other_entries, encrypted, arrays, arrays, arrays),
    ".eqx": (*BYTES, array_file),
    ".jsonl": (truncated, flipped, junk, zeroed, deep, no_object),
}


def same(before: Any, after: Any) -> bool:
    """Whether two loaded things hold the same arrays."""
    pairs = zip(*(jax.tree.leaves(vars(thing)) for thing in (before, after)), strict=True)
    return all(
        np.array_equal(a, b, equal_nan=True) if isinstance(a, np.ndarray | jax.Array) else True
        for a, b in pairs
    )


def damage(run: Path, case: int) -> None:
    draw = random.Random(case)
    name = list(LOADERS)[case % len(LOADERS)]
    file, loader = run / name, LOADERS[name]
    content = file.read_bytes()
    change = draw.choice(KINDS[file.suffix])
    before = (
        loader(run) if file.suffix in CHECKED or name.startswith(("models", "policy")) else None
    )
    file.write_bytes(change(content, draw))
    try:
        after = loader(run)
    except ParacosmError as error:
        sentence = str(error)
        assert "\n" not in sentence, (case, change, sentence)
        assert len(sentence) < 1500, (case, change, sentence)
        assert file.name.split(".")[0] in sentence, (case, change, sentence)
    else:
        assert before is None or same(before, after), (case, change)
    finally:
        file.write_bytes(content)


@pytest.mark.parametrize("part", range(5))
def test_a_damaged_file_is_one_sentence_or_what_it_was(run, part):
    for case in range(13 * part, 13 * part + 13):
        damage(run, case)


@pytest.mark.full
@pytest.mark.parametrize("part", range(5, 50))
def test_a_damaged_file_is_one_sentence_or_what_it_was_at_full_size(run, part):
    test_a_damaged_file_is_one_sentence_or_what_it_was(run, part)


SURE = {
    "data/evaluation.npz": [array_file, pickled, other_entries, encrypted, truncated, junk],
    "data/round-0.npz": [array_file, pickled, other_entries, encrypted, truncated, junk],
    "policy.eqx": [truncated, flipped, junk, array_file],
    "models/world-0.eqx": [truncated, flipped, junk, zeroed],
    "models/policy-0.json": [truncated, odd_value, lost_key, deep],
    "result.json": [truncated, lost_key, deep, constant, no_object],
    "config.json": [truncated, lost_key, deep, constant, no_object],
}


@pytest.mark.parametrize(
    ("name", "change"), [(name, change) for name, changes in SURE.items() for change in changes]
)
def test_what_is_surely_damaged_is_refused(run, name, change):
    content, file = (run / name).read_bytes(), run / name
    file.write_bytes(change(content, random.Random(1)))
    try:
        with pytest.raises((BadData, Missing), match=file.stem):
            LOADERS[name](run)
    finally:
        file.write_bytes(content)


@pytest.mark.parametrize("name", sorted(LOADERS))
def test_a_file_that_is_missing_or_a_folder_is_one_sentence(run, name):
    content, file = (run / name).read_bytes(), run / name
    file.unlink()
    try:
        for make in (lambda: None, file.mkdir):
            make()
            if name != "events.jsonl" or file.exists():
                with pytest.raises(ParacosmError):
                    LOADERS[name](run)
    finally:
        file.rmdir()
        file.write_bytes(content)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    bomb = tmp_path / "bomb.npz"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("state.npy", bytes(20_000_000))
    monkeypatch.setattr(files, "_MOST_INFLATED", 1_000_000)
    monkeypatch.setattr(files, "_memory", lambda: 1_000_000)
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("it was unpacked"))
    with pytest.raises(BadData, match=r"bomb\.npz is not .* would inflate to 2e\+07 bytes"):
        read_arrays(bomb, "arrays are needed")
    monkeypatch.undo()
    monkeypatch.setattr(files, "_MOST_INFLATED", 1_000_000)
    padded = read_arrays(padded_pictures(tmp_path), "arrays are needed")
    assert padded["state"].nbytes == 20_000_000, "half of this machine's memory may be taken"


def padded_pictures(folder):
    np.savez_compressed(folder / "padded.npz", state=np.zeros(20_000_000, np.uint8))
    return folder / "padded.npz"


def test_an_array_that_claims_to_be_huge_is_refused(tmp_path):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f8", "fortran_order": False, "shape": (10**13,)}
    )
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.writestr("state.npy", stream.getvalue())
    with pytest.raises(BadData, match=r"huge\.npz is not an npz file"):
        read_arrays(tmp_path / "huge.npz", "arrays are needed")


def test_results_whose_parts_do_not_fit_together_are_one_sentence(run, tmp_path, capfd):
    content = (run / "result.json").read_bytes()
    tree = json.loads(content)
    tree["diagnosis"]["overlays"] = [{"real": [], "imagined": []}]
    (run / "result.json").write_text(json.dumps(tree))
    try:
        assert main(["report", str(run), "--out", str(tmp_path / "page.html")]) == 2
    finally:
        (run / "result.json").write_bytes(content)
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "result.json is damaged: its parts do not fit together" in err
    assert list(tmp_path.iterdir()) == []


WRONG_CALLS = r"""
import paracosm
for wrong in (5, None, b"x", ["x"], "", "a\0b", 2.5, {}, "x" * 300, "\ud800"):
    calls = [lambda: paracosm.load(wrong), lambda: paracosm.compare(wrong, "x")]
    calls += [lambda: paracosm.report(wrong), lambda: paracosm.report(wrong, "page.html")]
    calls += [lambda: paracosm.run("Pendulum-v1", out=wrong)] * (wrong is not None)
    for number, call in enumerate(calls):
        try:
            call()
        except paracosm.ParacosmError as error:
            print(ascii(str(error)))
"""


def test_wrong_arguments_of_files_are_one_sentence(tmp_path):
    """In a process of its own: the checks of annotations in this one would answer first."""
    done = subprocess.run(
        [sys.executable, "-c", WRONG_CALLS],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    sentences = done.stdout.splitlines()
    assert len(sentences) == 10 * 5 - 1
    assert not any("\\n" in sentence for sentence in sentences)
    assert list(tmp_path.iterdir()) == []
