"""Values described by their fields, and rebuilt only of what a program has marked."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core import storage
from paracosm.core.checks import BadArgument, BadData, Missing, Unsupported
from paracosm.core.mdp import Box, never
from paracosm.core.policy import Deterministic, Gaussian, Noisy, initial_policy
from paracosm.core.storage import blank, bytes_of, describe, storable
from tests.core.test_layers import SPEC


@storable
class Held(eqx.Module):
    """Every kind of field that can be stored."""

    array: jax.Array
    precise: np.ndarray
    parts: tuple
    rate: float
    name: str = eqx.field(static=True)
    number: int = eqx.field(static=True, default=3)

    def __check_init__(self):
        assert isinstance(self.array, jax.Array), "no placeholder comes through the constructor"


def held():
    box = Box(jnp.zeros(2), jnp.ones(2))
    return Held(jnp.arange(3), np.array([np.pi]), (box, None, never, (True,)), 0.1, "a", 2**40)


def test_what_is_described_comes_back_through_json_and_a_file(tmp_path):
    value, file = held(), tmp_path / "value.eqx"
    tree = json.loads(json.dumps(describe(value), allow_nan=False))
    eqx.tree_serialise_leaves(file, value)
    again = eqx.tree_deserialise_leaves(file, blank(tree))
    assert eqx.tree_equal(again, value)
    assert again.precise.dtype == np.float64
    assert bytes_of(tree) == 3 * 4 + 8 + 2 * 2 * 4


def test_names_of_users_have_their_module_and_those_of_paracosm_none():
    tree = describe((held(), initial_policy(SPEC, jax.random.key(0))))
    assert tree[0]["class"] == f"{Held.__module__}:Held"
    assert tree[1]["class"] == "Gaussian"
    assert isinstance(blank(tree)[1], Gaussian)


def test_a_function_of_stored_parts_and_its_noise_are_stored():
    box = Box(-jnp.ones(2), jnp.ones(2))
    policy = Noisy(Deterministic(initial_policy(SPEC, jax.random.key(0)).network), box, 0.1)
    again = blank(json.loads(json.dumps(describe(policy))))
    assert jax.tree.structure(again) == jax.tree.structure(policy)
    assert again.noise == 0.1
    with pytest.raises(Unsupported, match="kind function cannot be stored"):
        describe(Noisy(Deterministic(lambda state: state), box, 0.1))


def test_what_an_older_version_stored_has_the_defaults_of_fields_that_came_later():
    tree = describe(held())
    del tree["fields"]["number"]
    assert blank(tree).number == 3
    for name in ("name", "rate"):  # without a default, or no constant
        lacking = describe(held())
        del lacking["fields"][name]
        with pytest.raises(BadData, match=r"the fields of .* are not those that were stored"):
            blank(lacking)


class Unmarked(Held):
    """A subclass is another class; it may hold other fields."""


@pytest.mark.parametrize(
    "value",
    [
        Unmarked(**vars(held())),
        [1],
        float("nan"),
        jax.random.key(0),
        np.array([None]),
        lambda state: state,
        jnp.zeros(1, jnp.bfloat16),
    ],
)
def test_what_cannot_be_stored_is_named(value):
    with pytest.raises(Unsupported, match=r"cannot be stored; .* marked with storable"):
        describe((0, value))
    assert not storage.is_storable(value)


def test_a_file_rebuilds_only_what_was_marked():
    with pytest.raises(Missing, match=r"holds Popen of subprocess, .* import subprocess, which"):
        blank({"class": "subprocess:Popen", "fields": {"args": "true"}})
    with pytest.raises(Missing, match="import no_module"):
        blank({"function": "no_module:run"})
    with pytest.raises(BadData, match="this version of Paracosm has no Oracle"):
        blank({"class": "Oracle", "fields": {}})


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"class": "Box"},
        {"class": "Box", "fields": []},
        {"class": "Box", "fields": {"low": 1}},
        {"class": ["Box"], "fields": {}},
        {"array": [-1], "dtype": "float32"},
        {"array": [True], "dtype": "float32"},
        {"array": 3, "dtype": "float32"},
        {"array": [3], "dtype": "object"},
        {"array": [3], "dtype": ["float32"]},
    ],
)
def test_a_damaged_description_is_refused(tree):
    with pytest.raises(BadData):
        blank(tree)


def test_only_dataclasses_and_functions_are_marked_and_one_of_a_name():
    class Plain:
        pass

    for wrong in (Plain, 3):
        with pytest.raises(BadArgument, match="a dataclass or a function is needed"):
            storable(wrong)
    namesake = type(
        "Box", (eqx.Module,), {"__module__": "paracosm.elsewhere", "__doc__": "Another."}
    )
    with pytest.raises(BadArgument, match=r"Box is a storable of paracosm\.core\.mdp already"):
        storable(namesake)
    assert storable(Held) is Held
