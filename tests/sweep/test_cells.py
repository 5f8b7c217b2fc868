"""A cell's name is its content, and whatever it does becomes an outcome."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paracosm.core.checks import BadArgument
from paracosm.sweep.cells import Cell, Outcome, perform

HERE = "tests.sweep.examples"
SQUARE = f"{HERE}:square"
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def run(function, **arguments):
    cell = Cell(f"{HERE}:{function}", arguments)
    return perform(cell.name, cell.function, cell.text)


def test_the_name_is_the_hash_of_the_canonical_content():
    content = b'["tests.sweep.examples:square",{"index":3,"seconds":0.5},2]'
    cell = Cell(SQUARE, {"seconds": 0.5, "index": 3}, version=2)
    assert cell.name == f"{SQUARE}:{hashlib.sha256(content).hexdigest()}"


@given(st.dictionaries(st.text(), JSON, max_size=4), st.dictionaries(st.text(), JSON, max_size=4))
def test_names_agree_where_the_content_does_and_nowhere_else(left, right):
    first, second = Cell(SQUARE, left), Cell(SQUARE, right)
    same = json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)
    assert (first.name == second.name) == same
    assert Cell(SQUARE, dict(reversed(left.items()))).name == first.name
    assert Cell(SQUARE, json.loads(first.text)).name == first.name


def test_function_and_version_are_part_of_the_name():
    cells = [Cell(SQUARE, {}), Cell(SQUARE, {}, version=2), Cell(f"{HERE}:answer", {})]
    assert len({cell.name for cell in cells}) == 3


@pytest.mark.parametrize(
    "function", ["square", "tests.sweep:", ":square", "a b:c", "a:b.c", "a:b:c", "1a:b", "a..b:c"]
)
def test_a_function_is_named_by_module_and_name(function):
    with pytest.raises(BadArgument, match="'module:function' is needed"):
        Cell(function, {})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"bytes", object()])
def test_arguments_that_json_does_not_hold_are_refused(value):
    with pytest.raises(BadArgument, match="do not fit into JSON"):
        Cell(SQUARE, {"index": [value]})


def test_a_result_comes_back_to_the_last_bit():
    outcome = run("square", index=7)
    assert outcome.error is None
    assert outcome.result is not None
    assert json.loads(outcome.result) == {"square": 49, "third": [7 / 3]}
    assert Outcome.from_json(outcome.to_json()) == outcome


@pytest.mark.parametrize(
    ("function", "arguments", "error"),
    [
        ("broken", {"index": 3}, "ValueError: cell 3 cannot be"),
        ("leaves", {}, "SystemExit: 3"),
        ("missing", {}, "AttributeError: module 'tests.sweep.examples' has no attribute 'missing'"),
        ("square", {"other": 1}, "TypeError: square() got an unexpected keyword argument 'other'"),
        ("answer", {"value": "nan"}, "BadData: the cell's answer does not fit into JSON"),
        ("answer", {"value": "object"}, "BadData: the cell's answer does not fit into JSON"),
        ("answer", {"value": "list"}, "BadData: the cell answered with a list"),
    ],
)
def test_whatever_goes_wrong_is_one_line_and_a_traceback(function, arguments, error):
    outcome = run(function, **arguments)
    assert outcome.result is None
    assert outcome.error is not None
    assert outcome.error.startswith(error)
    assert "\n" not in outcome.error
    assert outcome.traceback is not None
    assert outcome.traceback.startswith("Traceback")


def test_an_error_with_half_a_character_is_recorded_like_any_other():
    outcome = run("broken", index="caf\udce9")
    assert outcome.error == r"ValueError: cell caf\udce9 cannot be"
    assert Outcome.from_json(outcome.to_json()) == outcome


def test_a_module_that_is_not_there_fails_the_cell():
    cell = Cell("no_such_module:f", {})
    assert (
        perform(cell.name, cell.function, cell.text).error
        == "ModuleNotFoundError: No module named 'no_such_module'"
    )
