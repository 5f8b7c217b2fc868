"""Files are whole or not there."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from paracosm.core import files
from paracosm.core.checks import BadArgument, BadData
from paracosm.core.files import (
    Unwritten,
    atomic_write,
    read_json,
    read_record,
    try_file,
    try_folder,
)
from paracosm.core.records import Estimate


def test_a_file_appears_with_its_folders_and_is_replaced_whole(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    for text in ("one", "other"):
        with atomic_write(path) as part:
            part.write_text(text)
        assert [file.name for file in path.parent.iterdir()] == ["a.txt"]
        assert path.read_text() == text


def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), atomic_write(path) as part:
        part.write_text("half \udcff", encoding="utf-8")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_an_unwritable_path_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(BadArgument, match=r"file/a\.txt cannot be written: "),
        atomic_write(tmp_path / "file" / "a.txt"),
    ):
        pass


@pytest.mark.parametrize("text", ["{", "3", '["a"]'])
def test_damaged_json_is_one_sentence(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BadData, match=r"a\.json is damaged .* a JSON object is needed"):
        read_json(tmp_path / "a.json")


REFUSED_FILES = {
    "": "a path is needed",
    ".": "which is a folder; a file",
    "/": "which is a folder; a file",
    "there": "which is a folder; a file",
    "/dev/null": "a device or a pipe; a file",
    "n" * 300: "File name too long",
    "new/" + "n" * 300: "File name too long",
    "file/a": "Not a directory",
    "file/a/b": "Not a directory",
    "loop": "cannot be written",
    "/proc/a": "cannot be written",
    "a\0b": "a path is needed",
    "\udcff\ud800": "a path is needed",
}
REFUSED_FOLDERS = {path: why for path, why in REFUSED_FILES.items() if "folder; a file" not in why}
REFUSED_FOLDERS |= dict.fromkeys((".", "/", "..", "there/.."), "is or holds the current folder")
REFUSED_FOLDERS |= dict.fromkeys(("file", "/dev/null"), "which is a file; a folder")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder: a file, a folder and a link that leads to itself."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "there").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    return tmp_path


@pytest.mark.parametrize(
    ("attempt", "path", "why"),
    [(try_file, *refusal) for refusal in REFUSED_FILES.items()]
    + [(try_folder, *refusal) for refusal in REFUSED_FOLDERS.items()],
)
def test_a_path_that_cannot_be_written_is_refused_before_work_and_nothing_is_made(
    here, attempt, path, why
):
    before = sorted(here.rglob("*"))
    with pytest.raises(BadArgument, match=why) as refusal:
        attempt("--out", path)
    assert len(str(refusal.value)) < 400
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    "path", ["a.html", "new/deep/a.html", "file", "there/a", "n" * 255, "link"]
)
def test_a_path_that_can_be_written_is_tried_without_a_trace(here, path):
    (here / "link").symlink_to("file")
    before = sorted(here.rglob("*"))
    try_file("--out", path)
    assert sorted(here.rglob("*")) == before
    assert (here / "file").read_text() == "mine"
    with atomic_write(path) as part:
        part.write_text("new")
    assert Path(path).read_text() == "new"


@pytest.mark.parametrize("path", ["new", "new/deep", "there", "there/.", "n" * 255])
def test_a_folder_that_can_be_written_is_tried_without_a_trace(here, path):
    before = sorted(here.rglob("*"))
    try_folder("--out", path)
    assert sorted(here.rglob("*")) == before


def test_a_link_stays_a_link_and_its_target_is_replaced(here):
    (here / "link").symlink_to("there/target")
    with atomic_write(here / "link") as part:
        part.write_text("new")
    assert (here / "link").is_symlink()
    assert (here / "there/target").read_text() == "new"


def test_a_device_is_not_replaced_by_a_file():
    with pytest.raises(BadArgument, match="a device or a pipe"), atomic_write("/dev/null") as part:
        part.write_text("x")
    assert Path("/dev/null").is_char_device()


def test_a_refusal_to_write_after_the_work_keeps_the_result():
    error = Unwritten("x cannot be written.", 3)
    assert isinstance(error, BadArgument)
    assert error.result == 3


@pytest.mark.parametrize(("gibibytes", "refused"), [(15, False), (17, True)])
def test_an_archive_may_take_a_part_of_a_large_memory(tmp_path, monkeypatch, gibibytes, refused):
    (tmp_path / "a.npz").touch()
    archive = SimpleNamespace(infolist=lambda: [SimpleNamespace(file_size=gibibytes << 30)])
    monkeypatch.setattr(files, "_memory", lambda: 1 << 40)
    with pytest.raises(ValueError, match="inflate") if refused else nullcontext():
        files._require_modest(archive, tmp_path / "a.npz")


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a": ' * 200_000, '{"a": NaN}', '[["a", 1]]'])
def test_json_that_is_deep_or_not_strict_is_one_sentence(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BadData, match=r"a\.json is damaged \(.*\); a JSON object is needed"):
        read_json(tmp_path / "a.json")


def test_a_record_of_a_file_names_file_and_field(tmp_path):
    (tmp_path / "a.json").write_text('{"mean": [1], "low": 0, "high": 0, "n": 1, "method": ""}')
    with pytest.raises(
        BadData, match=r"a\.json is damaged or of another version: mean is a list of 1; a number"
    ):
        read_record(Estimate, tmp_path / "a.json")
