"""Files are whole or not there."""

import pytest

from paracosm.core.checks import BadArgument, BadData
from paracosm.core.files import read_json, whole


def test_a_file_appears_with_its_folders_and_is_replaced_whole(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    for text in ("one", "other"):
        with whole(path) as part:
            part.write_text(text)
        assert [each.name for each in path.parent.iterdir()] == ["a.txt"]
        assert path.read_text() == text


def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), whole(path) as part:
        part.write_text("half \udcff", encoding="utf-8")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_an_unwritable_path_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BadArgument, match=r"file/a\.txt cannot be written: "), whole(tmp_path / "file" / "a.txt"):
        pass


@pytest.mark.parametrize("text", ["{", "3", '["a"]'])
def test_damaged_json_is_one_sentence(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BadData, match=r"a\.json is damaged .* a JSON object is needed"):
        read_json(tmp_path / "a.json")
