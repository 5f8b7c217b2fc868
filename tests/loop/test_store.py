"""Policies and parts of one's own in a run directory, and models that an older version wrote."""

import json
import os
import resource
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import paracosm
from paracosm.core.checks import BadData, Missing, Unsupported
from paracosm.core.files import Unwritable
from paracosm.core.policy import Deterministic
from paracosm.learning.learn import Learned
from paracosm.learning.parts import Constant
from paracosm.loop import store
from tests.extending.stored import Friction, Switching
from tests.loop.small import small_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    small_run(out)
    return out


@pytest.fixture
def run(finished, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.mark.full
def test_a_policy_and_a_part_of_ones_own_are_loaded_again(run):
    policy, part = Switching(jnp.array(0.5), 2.0), Friction(jnp.array(0.25))
    learned = store.load_world(run / "models/world-0")
    store.save_policy(run / "policy", policy)
    store.save_world(
        run / "models/world-0", Learned(learned.world.replace(dynamics=part), learned.fits)
    )
    again = paracosm.load(run)
    assert eqx.tree_equal(again.policy, policy)
    assert eqx.tree_equal(again.world.dynamics, part)
    np.testing.assert_array_equal(again.policy(np.array([1.0, 0.0, -3.0])), [2.0])
    assert again.world.termination is paracosm.never


def test_a_program_that_did_not_import_the_class_is_told_which_module(run):
    store.save_policy(run / "policy", Switching(jnp.array(0.5), 2.0))
    program = f"import paracosm; print(paracosm.load({str(run)!r}).policy)"
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    ).stderr.splitlines()[-1]
    assert shown.startswith("paracosm.core.storage.NotImported: ")
    assert f"policy.json cannot be read: it holds Switching of {Switching.__module__}" in shown
    assert f"import {Switching.__module__}, which must mark it storable, first." in shown


def in_another_process(program, run, tmp_path):
    """What a program does with a run that names a learner of `mine.py`, whose module holds the
    classes of its parts.
    """
    (tmp_path / "mine.py").write_text(
        "from tests.extending.stored import Friction, Switching\nmake_learner = Switching\n"
    )
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "learner": "mine:make_learner"}))
    return subprocess.run(
        [sys.executable, "-c", f"import paracosm; run = {str(run)!r}; {program}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*sys.path, Path.cwd()]))},
    )


UNTRUSTED = (
    "which must mark it storable, first, or trust the run (--trust), which names mine:make_learner,"
    " if it is yours."
)


def test_the_code_that_a_run_names_is_imported_before_its_policy_is_read(run, tmp_path):
    """A learner's module holds the class of its policy: --trust is what lets it be imported."""
    store.save_policy(run / "policy", Switching(jnp.array(0.5), 2.0))
    program = "print(paracosm.load(run, trust={}).policy)"
    assert "Switching(" in in_another_process(program.format(True), run, tmp_path).stdout
    untrusted = in_another_process(program.format(False), run, tmp_path)
    assert UNTRUSTED in untrusted.stderr.splitlines()[-1]


def test_a_trusted_run_whose_world_holds_a_part_of_ones_own_is_exported(run, tmp_path):
    learned = store.load_world(run / "models/world-0")
    world = learned.world.replace(dynamics=Friction(jnp.array(0.25)))
    store.save_world(run / "models/world-0", Learned(world, learned.fits))
    program = "print(paracosm.export(run, 'numpy', trust={}).path)"
    trusted = in_another_process(program.format(True), run, tmp_path)
    assert trusted.stdout.strip() == str(run / "policy.py"), trusted.stderr
    untrusted = in_another_process(program.format(False), run, tmp_path)
    assert UNTRUSTED in untrusted.stderr.splitlines()[-1]


def test_what_cannot_be_stored_is_named_and_nothing_is_written(tmp_path):
    with pytest.raises(Unsupported, match="cannot be stored"):
        store.save_policy(tmp_path / "policy", Deterministic(jnp.sin))
    assert not list(tmp_path.iterdir())


def test_an_array_that_cannot_be_stored_is_one_sentence(tmp_path):
    state = {"a": [jax.random.key(0)]}
    with pytest.raises(Unsupported, match=r"an array that cannot be stored \(.*PRNGKey"):
        store.save(tmp_path / "state", state, store.PolicyHeader(), described=False)
    assert not list(tmp_path.iterdir())


def test_memory_that_is_full_is_no_model_that_cannot_be_stored(tmp_path, monkeypatch):
    def full(*_: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(MemoryError):
        store.save(tmp_path / "state", [np.ones(3)], store.PolicyHeader(), described=False)


def test_a_full_disk_while_arrays_are_written_is_one_sentence(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(Unwritable, match="cannot be written"):
            store.save(tmp_path / "state", np.ones(10_000), store.PolicyHeader(), described=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_a_world_whose_initial_states_are_no_data_is_not_stored(run):
    learned = store.load_world(run / "models/world-0")
    world = learned.world.replace(initial=lambda key: jnp.zeros(3))
    with pytest.raises(Unsupported, match="only a learned world can be stored"):
        store.save_world(run / "models/world-0", Learned(world, learned.fits))


def test_a_learners_state_is_not_read_where_the_run_names_no_learner(run):
    path = run / "models/policy-0"
    about = store.header(store.ImaginedHeader, path)
    store.save(path, jnp.zeros(3), about, described=False)
    with pytest.raises(BadData, match=r"policy-0\.json is of a learner with a state of its own"):
        _ = paracosm.load(run).imagined


def save_as_format_2(path, model, header):
    """As the version that wrote it did."""
    eqx.tree_serialise_leaves(path.with_suffix(".eqx"), model)
    arrays = path.with_suffix(".eqx").read_bytes()
    checksum = zlib.crc32(json.dumps(header, sort_keys=True).encode(), zlib.crc32(arrays))
    tree = {"format": 2, "checksum": checksum, "model": header}
    path.with_suffix(".json").write_text(json.dumps(tree))


def sizes(network, members=None):
    shapes = [np.shape(weight)[-2:] for weight in network.weights]
    depth = len(shapes) - 1
    names = ("members", "inputs", "outputs", "width", "depth")
    return dict(
        zip(names, (members, shapes[0][0], shapes[-1][1], shapes[0][1], depth), strict=True)
    )


@pytest.mark.parametrize("labels", ["learned", "constant", "given"])
def test_a_run_of_format_2_is_read(run, labels):
    before = paracosm.load(run)
    world, imagined = before.world, before.imagined
    if labels == "constant":
        world = world.replace(reward=Constant(jnp.array(1.5)))
    stored = None if labels == "given" else world.reward
    learned = store.header(store.WorldHeader, run / "models/world-0").to_dict()
    trained = store.header(store.ImaginedHeader, run / "models/policy-0").to_dict()
    del trained["explores"]  # is younger than the format
    policy = {"kind": "gaussian", "squash": imagined.policy.squash}
    policy["network"] = sizes(imagined.policy.network)
    network = sizes(world.reward.networks, 2) if labels == "learned" else None
    parts = {
        "dynamics": {"kind": "learned", "network": sizes(world.dynamics.networks, 2)},
        "reward": {"kind": labels, "network": network},
        "termination": {"kind": "constant", "network": None},
    }
    about = {
        "state_size": 3,
        "horizon": world.spec.horizon,
        "action": {"kind": "box", "size": 1},
        "starts": len(world.initial.states),
        "parts": parts,
        **learned,
    }
    model = (world.spec, world.initial, world.domain, world.dynamics, stored, world.termination)
    save_as_format_2(run / "models/world-0", model, about)
    save_as_format_2(run / "policy", imagined.policy, policy)
    value = {"policy": policy, "value": sizes(imagined.value.network), **trained}
    save_as_format_2(run / "models/policy-0", (imagined.policy, imagined.value), value)

    arguments = {"reward": world.reward} if labels == "given" else {}
    again = store.load_world(run / "models/world-0", **arguments)
    assert eqx.tree_equal(again.world, world)
    assert again.fits == store.WorldHeader.from_dict(learned).fits
    assert eqx.tree_equal(store.load_policy(run / "policy"), imagined.policy)
    trained_again = store.load_imagined(run / "models/policy-0", world, before._problem)
    assert eqx.tree_equal(trained_again[:2], imagined[:2])
    assert trained_again.training == imagined.training


@pytest.mark.full
def test_a_run_of_format_2_with_discrete_actions_and_a_learned_end_rule_is_read(cart, tmp_path):
    run = paracosm.load(cart[0])
    world, policy, networks = run.world, run.policy, {}
    for part in ("dynamics", "reward", "termination"):
        learned = getattr(world, part)
        if isinstance(learned, Constant):
            networks[part] = {"kind": "constant", "network": None}
        else:
            networks[part] = {"kind": "learned", "network": sizes(learned.networks, 2)}
    about = {
        "state_size": 4,
        "horizon": world.spec.horizon,
        "action": {"kind": "discrete", "size": 2},
        "starts": len(world.initial.states),
        "parts": networks,
        **store.header(store.WorldHeader, cart[0] / "models/world-0").to_dict(),
    }
    parts = (world.dynamics, world.reward, world.termination)
    model = (world.spec, world.initial, world.domain, *parts)
    save_as_format_2(tmp_path / "world-0", model, about)
    header = {"kind": "categorical", "squash": False, "network": sizes(policy.network)}
    save_as_format_2(tmp_path / "policy", policy, header)
    assert eqx.tree_equal(store.load_world(tmp_path / "world-0").world, world)
    assert eqx.tree_equal(store.load_policy(tmp_path / "policy"), policy)


def test_a_header_of_format_2_that_is_none_is_refused(run):
    for header in ({}, [], {"parts": {}}, {"kind": "gaussian", "squash": True, "network": None}):
        save_as_format_2(run / "policy", jnp.zeros(1), header)
        with pytest.raises(BadData, match=r"policy\.json is damaged"):
            store.load_policy(run / "policy")
    deep = {"members": None, "inputs": 3, "outputs": 1, "width": 1, "depth": 10**9}
    header = {"kind": "gaussian", "squash": True, "network": deep}
    save_as_format_2(run / "policy", jnp.zeros(1), header)
    with pytest.raises(BadData, match="needs the sizes"):
        store.load_policy(run / "policy")
    wide = {**header, "network": {**deep, "depth": 1, "width": 10**12}}
    save_as_format_2(run / "policy", jnp.zeros(1), wide)
    with pytest.raises(BadData, match="does not fit its header"):
        store.load_policy(run / "policy")
    small = {**header, "network": {**deep, "depth": 1}}
    save_as_format_2(run / "policy", jnp.zeros(1000, int), small)
    with pytest.raises(BadData, match=r"policy\.eqx is damaged or does not fit its header"):
        store.load_policy(run / "policy")
    with pytest.raises(Missing, match="no model"):
        store.load_policy(run / "nothing")
