"""Records go to strict JSON and come back equal."""

import dataclasses
import enum
import functools
import json
import math
import subprocess
import sys
import types
import typing
from typing import Any, Literal, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paracosm.core import records
from paracosm.core.checks import BadData
from paracosm.core.records import Estimate, PartFit, Record
from paracosm.core.records.reasons import Route
from paracosm.core.records.results import Purchases, RunResult

# Checking annotations looks at a random item of each tuple; Hypothesis minds where records are
# drawn.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

KINDS = [
    kind
    for kind in vars(records).values()
    if isinstance(kind, type)
    and issubclass(kind, Record)
    and "experiments" not in kind.__module__  # a claim without a reason is refused
]
KINDS.remove(Record)
floats = st.floats(allow_nan=False, allow_infinity=True)
plain = {
    float: floats,
    int: st.integers(),
    str: st.text(max_size=8),
    bool: st.booleans(),
    type(None): st.none(),
}


def values(kind: Any) -> st.SearchStrategy:
    """Values of an annotated type, built from its annotation."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in plain:
        return plain[kind]
    members = kind if isinstance(kind, type) and issubclass(kind, enum.Enum) else None
    if origin is Literal or members:
        return st.sampled_from(members or arguments)
    if origin in (Union, types.UnionType):
        return st.one_of(*map(values, arguments))
    if origin is tuple:
        any_length = st.lists(values(arguments[0]), max_size=2).map(tuple)
        return any_length if Ellipsis in arguments else st.tuples(*map(values, arguments))
    if origin is dict:
        return st.dictionaries(st.text(max_size=8), values(arguments[1]), max_size=2)
    return instances(kind)


@functools.cache  # a record within others is looked through once
def instances(kind: type[Record]) -> st.SearchStrategy:
    return st.builds(
        kind, **{name: values(hint) for name, hint in typing.get_type_hints(kind).items()}
    )


@dataclasses.dataclass(frozen=True)
class Everything(Record):
    """All the shapes that a field may have."""

    text: str
    flag: bool
    count: int
    number: float
    absent: float | None
    nested: tuple[tuple[float, ...], ...]
    pair: tuple[float, int]
    inner: Estimate
    inners: tuple[Estimate, ...]
    table: dict[str, tuple[int, ...]]
    named: dict[str, Estimate]
    choice: Literal["a", "inf"]
    member: Route


@pytest.mark.parametrize("kind", [Everything, *KINDS], ids=lambda kind: kind.__name__)
@given(st.data())
def test_a_record_comes_back_equal_from_strict_json(kind, data):
    record = data.draw(instances(kind))
    text = record.to_json()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not strict JSON")

    json.loads(text, parse_constant=refuse)
    back = kind.from_json(text)
    assert back == record
    assert back.to_json() == text


@given(st.floats())
def test_any_float_survives_bit_for_bit(number):
    back = Estimate.from_json(Estimate(number, -math.inf, math.inf, 3, "inf").to_json())
    assert back.mean == number or (math.isnan(back.mean) and math.isnan(number))
    assert math.copysign(1, back.mean) == math.copysign(1, number) or math.isnan(number)
    assert (back.low, back.high, back.method) == (-math.inf, math.inf, "inf")


@dataclasses.dataclass(frozen=True)
class Ends(Record):
    """A pair, and a field that no file can hold."""

    ends: tuple[float, float]
    either: int | str = 0


def test_a_tuple_of_a_fixed_length_is_read_as_that_and_unions_are_refused():
    assert Ends.from_dict({"ends": [1, "inf"]}).ends == (1.0, math.inf)
    with pytest.raises(BadData, match=r"ends is a list of 1; a list of 2 is needed"):
        Ends.from_dict({"ends": [1]})
    with pytest.raises(TypeError, match="either is a union of more than one type and None"):
        Ends.from_dict({"ends": [1, 2], "either": 1})


def test_lists_come_back_as_tuples_and_whole_numbers_as_floats():
    fit = PartFit.from_dict(
        {
            "part": "reward",
            "origin": "learned",
            "rows": 10,
            "held_out": 2,
            "error": None,
            "members": [1, 2],
            "baseline": None,
            "unit": "",
            "epochs": [3],
            "curve": ["inf", 0],
        }
    )
    assert fit.members == (1.0, 2.0)
    assert all(type(member) is float for member in fit.members)
    assert fit.epochs == (3,)
    assert fit.curve == (math.inf, 0.0)


@pytest.mark.parametrize(
    "tree", [{}, {"mean": 1.0}, {"mean": 0, "low": 0, "high": 0, "n": 1, "method": "", "x": 0}, [1]]
)
def test_a_record_read_from_something_else_is_refused_by_name(tree):
    with pytest.raises(BadData, match=r"Estimate .*high, low, mean, method, n\.$"):
        Estimate.from_json(json.dumps(tree))


GOOD = Everything(
    "x",
    True,
    1,
    1.0,
    None,
    ((1.0,),),
    (1.0, 2),
    Estimate(0.0, 0.0, 0.0, 1, ""),
    (),
    {"k": (1,)},
    {},
    "a",
    Route.GLOBAL,
).to_dict()
ODD = {
    "text": (3, None, [], "\ud800"),
    "flag": (1, 0, "true", None),
    "count": (True, 1.0, "1", None, [1]),
    "number": ("1", "NaN", None, True, [1.0], {}, 10**400),
    "absent": ("x", [], True),
    "nested": (1.0, [1.0], [["x"]], {}, "ab", [[None]]),
    "pair": ([1.0], [1.0, 2, 3], [1.0, 2.5], 1.0, None),
    "inner": ({}, [], None, "x", {"mean": 1.0}, 3),
    "inners": ({}, [1], [None], "x"),
    "table": ([], {"k": 1}, {"k": [1.5]}, {"k": [True]}, None),
    "named": ([], {"k": None}, {"k": []}),
    "choice": ("b", None, 1, []),
    "member": ("b", None, 1, []),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in ODD.items() for value in values]
)
def test_a_value_of_another_type_is_refused_with_its_place(name, value):
    with pytest.raises(BadData, match=rf"^{name}(\[\d+\]|\.k)* is .*\.$") as refusal:
        Everything.from_dict({**GOOD, name: value})
    sentence = str(refusal.value)
    assert "\n" not in sentence
    assert len(sentence) < 300
    sentence.encode()


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 200_000, "nonsense", "3", '"x"', "null", "[[]]", "1" * 5000]
)
def test_what_is_no_json_of_a_record_is_refused(text):
    with pytest.raises(BadData, match="Estimate"):
        Estimate.from_json(text)


def test_records_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Estimate(0.0, 0.0, 0.0, 1, "").mean = 1.0  # type: ignore[misc]


@given(floats, floats, floats)
def test_an_interval_excludes_zero_if_it_lies_on_one_side(x, y, center):
    low, high = sorted((x, y))
    assert Estimate(center, low, high, 2, "").excludes_zero is not (low <= 0 <= high)


def test_estimates_print_with_their_interval():
    assert f"{Estimate(1.25, -0.5, math.inf, 2, ''):.1f}" == "1.2 [-0.5, inf]"


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0, 100), st.floats(0, 100))
def test_transitions_and_labels_are_priced_apart(transitions, labels, price, label_price):
    bought = Purchases(transitions, labels, transitions + labels, price, label_price)
    assert bought.spent == transitions * price + labels * label_price


@given(instances(RunResult))
def test_the_summary_says_what_the_command_prints(result):
    """The fields that `paracosm run --json` promises; `report` and nothing else is added by the
    command.
    """
    summary = result.summary()
    terms = {"real", "predicted", "total", "reward", "termination", "dynamics", "horizon"}
    assert set(summary["gap"]) == terms | {"imagined"}
    assert summary["gap"]["imagined"] == summary["gap"]["predicted"]
    assert summary["gap_training"] is None or set(summary["gap_training"]) == set(summary["gap"])
    for estimate in (*summary["gap"].values(), summary["imagined_return"]):
        assert set(estimate) == {"mean", "low", "high"}
    assert set(summary["mode_versus_sampled"] or estimate) == {"mean", "low", "high"}
    assert set(summary["real_return"]) == {"mean", "low", "high", "episodes"}
    assert {"transitions", "reward_labels", "real_steps"} <= set(summary["data"])
    promised = (
        "env seed real_steps_during_imagination data_edge_share seconds verdict discount horizon"
    )
    promised += " verdict_training training_discount reference plausibility"
    assert set(promised.split()) <= set(summary)
    json.dumps(summary, allow_nan=False)


def test_records_and_checks_need_no_jax():
    code = (
        "import sys, paracosm.core.records, paracosm.core.checks; assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
