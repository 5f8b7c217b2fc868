"""Environments that show images: what is recorded, stored, refused, and seen through encoders."""

import dataclasses
import functools
import subprocess
import sys
import tracemalloc

import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.encoder import Encoder, encode
from paracosm.core.policy import Deterministic
from paracosm.core.recordings import state_scale
from paracosm.loop.run import run
from paracosm.real import datasets
from paracosm.real.matching import require_match
from paracosm.real.source import BadStep
from paracosm.real.verbs import collect, connect, evaluate
from tests.real.pictured import SHAPE, Pictured, Summary, image
from tests.real.test_collecting import assert_equal
from tests.real.worlds import counter, walk

STEPS = 60
connected = functools.partial(connect, horizon=9)
LEFT = Deterministic(lambda row: row[:1] / 255.0 - 0.5)


@pytest.fixture(scope="module")
def source():
    return connected(Pictured)


@pytest.fixture(scope="module")
def data(source):
    return source.collect(STEPS, seed=3)


def test_rows_are_the_images_in_row_major_order(source, data):
    assert source.image == SHAPE
    assert source.state_size == np.prod(SHAPE)
    assert data.state.dtype == data.next_state.dtype == np.uint8
    for row in range(STEPS):
        number, time = data.state[row, 0], data.time[row]
        np.testing.assert_array_equal(data.state[row], image(SHAPE, number, time).ravel())
        np.testing.assert_array_equal(data.next_state[row], image(SHAPE, number, time + 1).ravel())
    assert len({*data.state[data.time == 0, 0].tolist()}) > 3


def test_a_policy_is_handed_the_bytes(source):
    rows = []
    source.evaluate(lambda row: rows.append(row) or np.zeros(1), episodes=2)
    assert {(row.dtype, row.shape) for row in rows} == {(np.dtype(np.uint8), (40,))}
    episodes = source.evaluate(LEFT, episodes=2)
    assert episodes.state.dtype == np.uint8
    np.testing.assert_allclose(episodes.action, episodes.state[..., :1] / 255.0 - 0.5, atol=1e-6)


def test_workers_change_nothing(source, data):
    assert_equal(source.collect(STEPS, seed=3, workers=2), data)


def test_a_picture_without_an_axis_of_channels_has_one():
    source = connected(functools.partial(Pictured, (5, 4)))
    assert source.image == (5, 4, 1)
    assert source.collect(9, seed=0).state.shape == (9, 20)


@pytest.mark.parametrize(
    ("shape", "kind", "description"),
    [
        ((65, 8, 3), np.uint8, r"images of shape \(65, 8, 3\) and type uint8"),
        ((8, 65), np.uint8, r"a uint8 Box of shape \(8, 65\)"),
        ((3, 32, 32), np.uint8, r"images of shape \(3, 32, 32\)"),
        ((4, 8, 8, 3), np.uint8, r"a uint8 Box of shape \(4, 8, 8, 3\)"),
        ((8, 8, 3), np.float32, r"images of shape \(8, 8, 3\) and type float32"),
    ],
)
def test_other_images_are_refused_with_those_that_are_supported(shape, kind, description):
    space = spaces.Box(0, 1, shape, kind)
    needed = r"images: uint8 Box .* \(height, width\) or .* up to 64 .* up to 12 channels\.$"
    with pytest.raises(checks.Unsupported, match=rf"observes {description}.*; .*{needed}"):
        connected(lambda: Pictured(space=space))


@pytest.mark.parametrize(
    "answer", [lambda image: image.astype(int), lambda image: image[1:], lambda image: None]
)
def test_an_answer_that_is_no_such_image_stops_a_collection_with_what_came_before(answer):
    odd = functools.partial(Pictured, answer=lambda i, time: answer(i) if time == 4 else i)
    with pytest.raises(BadStep, match=r"gave the observation .* at step 3 of .*; a uint8 array of"):
        collect(odd, STEPS, seed=3, horizon=9)


def test_a_resumed_collection_is_the_one_that_was_not_interrupted(source, data):
    complete = source.collect(8 * 18, seed=3)
    calls = []

    def failing(image, time):
        calls.append(time)
        # All lanes are at the first step then; the copies that are compared are shown 42
        return image if len(calls) < 2 + 42 + 8 * 10 else None

    with pytest.raises(BadStep) as caught:
        collect(functools.partial(Pictured, answer=failing), 8 * 18, seed=3, horizon=9)
    partial = caught.value.partial
    assert partial.state.dtype == np.uint8
    assert 0 < partial.real_steps < 8 * 18
    resumed = source.collect(8 * 18, seed=3, before=partial)
    assert resumed.real_steps == 8 * 18
    at = {pair: row for row, pair in enumerate(zip(complete.episode, complete.time, strict=True))}
    for row, pair in enumerate(zip(resumed.episode, resumed.time, strict=True)):
        if pair in at:
            np.testing.assert_array_equal(resumed.next_state[row], complete.next_state[at[pair]])
    assert sum(pair in at for pair in zip(resumed.episode, resumed.time, strict=True)) > 8 * 15


# Through encoders.


def test_through_an_encoder_it_is_the_same_environment_and_the_same_count():
    source = connected(Pictured)
    built, before = Pictured.built, source.collect(20, seed=0)
    encoded = source.through(Summary())
    # The lanes of the collection and two copies that are compared: none for a second look
    assert Pictured.built - built == 8 + 2
    assert (encoded.state_size, encoded.image, source.image) == (3, None, SHAPE)
    beliefs = encoded.collect(30, seed=0)
    assert beliefs.state.dtype == np.float32
    assert source.steps == encoded.steps == before.real_steps + 30
    direct = connected(Pictured, encoder=Summary())
    assert_equal(direct.collect(30, seed=0), beliefs)
    assert direct.steps == 30
    policy = Deterministic(lambda belief: belief[:1] - 1)
    assert_equal(encoded.evaluate(policy, episodes=3), direct.evaluate(policy, episodes=3))
    with pytest.raises(checks.BadArgument, match="Pictured is seen through an encoder already"):
        encoded.through(Summary())


def test_a_system_is_seen_through_an_encoder_too():
    class Half(Encoder):
        def initial(self, observation):
            return observation[:1]

        def update(self, state, action, observation):
            return 0.5 * state + observation[:1]

    source = connect(walk())
    encoded = source.through(Half())
    assert_equal(encoded.collect(40, seed=1), connect(walk(), encoder=Half()).collect(40, seed=1))
    assert source.steps == encoded.steps == 40


class Bytes(Encoder):
    """No encoder of images: what it gives stays whole numbers."""

    def initial(self, observation):
        return observation

    def update(self, state, action, observation):
        return observation


def test_an_encoder_is_traced_with_bytes(source):
    with pytest.raises(
        checks.BadArgument, match=r"initial .* Bytes gives .* and type uint8; a flat"
    ):
        source.through(Bytes())


@pytest.mark.parametrize("count", [3, 40])
def test_recorded_images_are_encoded_as_they_are_played(source, count):
    """40 episodes are more than are encoded at a time."""
    policy = Deterministic(lambda belief: belief[:1] - 0.5)
    played = source.through(Summary()).evaluate(policy, episodes=count)
    recorded = source.evaluate(LEFT, episodes=count)  # the images are the same whatever is done
    encoded = encode(Summary(), dataclasses.replace(recorded, action=played.action))
    assert encoded.state.dtype == jnp.float32
    np.testing.assert_allclose(encoded.state, played.state, atol=1e-6)
    np.testing.assert_allclose(encoded.next_state, played.next_state, atol=1e-6)


# What is kept of them.


def test_images_stay_bytes_in_every_table(source, data):
    bought = data.buy(40, 20, seed=0)
    joined = bought.join(data)
    episodes = source.evaluate(LEFT, episodes=2)
    tables = (bought, joined, Dataset.from_trajectory(episodes), bought.transitions, bought.labels)
    assert {table.state.dtype for table in tables} == {np.dtype(np.uint8)}
    assert {table.next_state.dtype for table in tables} == {np.dtype(np.uint8)}
    np.testing.assert_array_equal(joined.state[STEPS:], data.state)
    assert np.shares_memory(data.transitions.state, data.state)
    vectors = dataclasses.replace(
        data, state=data.state.astype(np.float32), next_state=data.next_state.astype(np.float32)
    )
    with pytest.raises(checks.BadData, match="data to join are float vectors; images"):
        data.join(vectors)
    with pytest.raises(checks.BadData, match="the data are float vectors; images"):
        source.spec(vectors)


@pytest.mark.parametrize("name", ["images.npz", "images.h5", "minari:paracosm/images-v0"])
def test_files_give_images_back(data, name, tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    where = name if name.startswith("minari") else str(tmp_path / name)
    datasets.save(data, where)
    assert_equal(datasets.load(where), data)


def test_npz_files_of_images_are_compressed(tmp_path):
    shown = collect(functools.partial(Pictured, (32, 32)), 90, seed=0, horizon=9)
    datasets.save(shown, tmp_path / "images.npz")
    assert (tmp_path / "images.npz").stat().st_size < 0.5 * 2 * shown.state.nbytes


def test_data_of_another_kind_are_refused(source, data, tmp_path):
    vectors = dataclasses.replace(
        data, state=data.state.astype(np.float32), next_state=data.next_state.astype(np.float32)
    )
    require_match(data, source, "images.npz")
    with pytest.raises(checks.BadData, match=r"states of images.npz are float vectors; images \(u"):
        require_match(vectors, source, "images.npz")
    flat = connect(counter)
    three = dataclasses.replace(data, state=data.state[:, :3], next_state=data.next_state[:, :3])
    with pytest.raises(checks.BadData, match=r"are images \(uint8\); float vectors are needed"):
        require_match(three, flat, "images.npz")
    columns = {name: getattr(data, name) for name in datasets.COLUMNS}
    np.savez(tmp_path / "mixed.npz", **columns | {"next_state": vectors.next_state})
    with pytest.raises(checks.BadData, match="next_state, are float vectors; images"):
        datasets.load(tmp_path / "mixed.npz")
    torn = columns | {"state": data.state + (np.arange(STEPS) == 4)[:, None].astype(np.uint8)}
    np.savez(tmp_path / "torn.npz", **torn)
    with pytest.raises(checks.BadData, match="next_state of row 3"):
        datasets.load(tmp_path / "torn.npz")


def test_the_scale_of_many_components_is_their_spread():
    states = np.random.default_rng(0).integers(0, 256, (50, 700), np.uint8)
    states[:, 3] = 9
    expected = np.where(np.arange(700) == 3, 1, states.astype(float).std(axis=0))
    np.testing.assert_allclose(state_scale(states), expected, rtol=1e-6)


def test_a_run_on_images_without_an_encoder_takes_no_step(tmp_path):
    out = tmp_path / "run"
    with pytest.raises(
        checks.Unsupported, match=r"32 x 32 x 1, .*; --encoder latent or recurrent is what .*\."
    ):
        run("paracosm.envs:two_rooms", out=out)
    assert not out.exists()


def test_evaluating_takes_an_encoder_as_the_verb_does(source):
    policy = Deterministic(lambda belief: belief[:1])
    assert_equal(
        evaluate(Pictured, policy, episodes=2, horizon=9, encoder=Summary()),
        source.through(Summary()).evaluate(policy, episodes=2),
    )


def test_collecting_copies_one_column_at_a_time():
    """The memory beside the two columns of images is that of one, and little else."""
    source = connected(functools.partial(Pictured, (64, 64, 3)))
    tracemalloc.start()
    try:
        data = source.collect(200, seed=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.7 * (data.state.nbytes + data.next_state.nbytes)


LARGE = """
import functools, re, sys
from pathlib import Path
from paracosm import envs
from paracosm.real import datasets
from paracosm.real.verbs import connect
env = functools.partial(envs.two_rooms, size=64, colour=True, anywhere=True)
source = connect(env)
data = source.collect(20_000, seed=0)
datasets.save(data, sys.argv[1])
del data
data = datasets.load(sys.argv[1])
source.spec(data)
assert data.transitions.state.shape == (20_000, 64 * 64 * 3)
# Not getrusage's, which counts what the process that started this one held.
print(int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024)
"""


@pytest.mark.full
def test_20_000_transitions_of_64_x_64_x_3_leave_room_in_two_gigabytes(tmp_path):
    """Collected, saved, loaded and scaled, libraries included."""
    command = (sys.executable, "-c", LARGE, tmp_path / "large.npz")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1.2e9
