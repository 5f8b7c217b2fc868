"""Learning curves from a table: what is read, and the sentence for everything that cannot be."""

import pytest

from paracosm.core.checks import BadData, Missing
from paracosm.core.records.decisions import Anchor
from paracosm.planning.reading import read_curves


def table(folder, text):
    path = folder / "curves.csv"
    path.write_text(text)
    return path


def test_a_table_gives_a_curve_for_each_part(tmp_path):
    text = "part,samples,error,seed\ndynamics,100,0.5,3\nreward,200,0.25,0\ndynamics,100,0.4,4\n"
    curves = read_curves(table(tmp_path, text), "mse")
    assert curves["dynamics"].anchors == (Anchor(100, 0.5, 3), Anchor(100, 0.4, 4))
    assert curves["reward"].anchors == (Anchor(200, 0.25, 0),)
    assert {curve.unit for curve in curves.values()} == {"mse"}
    assert {part: curve.part for part, curve in curves.items()} == {
        "dynamics": "dynamics",
        "reward": "reward",
    }


def test_without_seeds_rows_of_a_size_are_numbered(tmp_path):
    text = "error, samples, part\n0.5, 1e2, dynamics\n0.4, 100, dynamics\n0.3, 200, dynamics\n"
    curve = read_curves(table(tmp_path, text), "rms")["dynamics"]
    assert curve.anchors == (Anchor(100, 0.5, 0), Anchor(100, 0.4, 1), Anchor(200, 0.3, 0))


def test_a_byte_order_mark_and_more_columns_are_no_matter(tmp_path):
    text = "\ufeffpart,samples,error,note\nreward,100,0.5,first\n"
    assert read_curves(table(tmp_path, text), "rms")["reward"].anchors == (Anchor(100, 0.5, 0),)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("part,samples\n", "has columns part, samples; part, samples and error are needed"),
        ("", "has columns none"),
        ("part,samples,error\n", "holds no rows"),
        ("part,samples,error\ndynamic,100,1\n", "line 2: part is 'dynamic'"),
        ("part,samples,error\n,100,1\n", "line 2: part is ''"),
        ("part,samples,error\ndynamics,many,1\n", "line 2: samples is 'many'; a number is needed"),
        ("part,samples,error\ndynamics,100\n", "line 2: 2 cells where there are 3 columns"),
        (
            "part,samples,error\ndynamics,100,0,5\n",
            "line 2: 4 cells where there are 3 columns; .* no commas",
        ),
        (
            "part,samples,error\nreward,10,1\nreward,100,1,,\n",
            "line 3: 5 cells where there are 3 columns",
        ),
        (
            'part,samples,error\ndynamics,100,"0,5"\n',
            "line 2: error is '0,5'; a number with a decimal point is needed",
        ),
        (
            "part,samples,error,error\ndynamics,100,1,2\n",
            "line 1: the column 'error' is given twice",
        ),
        (
            "part,samples,part,error\ndynamics,100,reward,2\n",
            "line 1: the column 'part' is given twice",
        ),
        (
            "part,samples,error\ndynamics,1_000,1\n",
            "line 2: samples is '1_000'; a number is needed",
        ),
        ("part,samples,error\ndynamics,100,\n", "line 2: error is ''; a number is needed"),
        (
            "part,samples,error\ndynamics,1e16,1\n",
            "line 2: samples is 1e.16; it must be at most 1e.15",
        ),
        ('part,samples,error\n"dynamics,100,1\n', "cannot be read as a CSV file"),
        (
            "part,samples,error\ndynamics,100,nan\n",
            "line 2: error is nan; a finite number is needed",
        ),
        (
            "part,samples,error\ndynamics,10.5,1\n",
            "line 2: samples is 10.5; a whole number is needed",
        ),
        ("part,samples,error,seed\ndynamics,10,1,a\n", "line 2: seed is 'a'"),
        (
            "part,samples,error,seed\ndynamics,10,1,0\ndynamics,10,2,0\n",
            "dynamics at 10 samples with seed 0 twice",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path, text, sentence):
    with pytest.raises(BadData, match=sentence):
        read_curves(table(tmp_path, text), "rms")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(Missing, match=r"curves\.csv does not exist"):
        read_curves(tmp_path / "curves.csv", "rms")
