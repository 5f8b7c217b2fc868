"""A round's steps when its environment fails: what is kept, and that a resumed one gets past."""

import dataclasses

import numpy as np
import pytest

from paracosm.core.columns import COLUMNS
from paracosm.loop.collecting import collect_or_resume
from paracosm.real import datasets
from paracosm.real.source import BadStep, Interrupted
from paracosm.real.verbs import connect
from tests.real.misbehaving import STEPS, starting, world
from tests.real.test_collecting import assert_equal
from tests.real.test_failing import started_at


def round_of(source, partial, progress=lambda *done: None, **options):
    options = {"lanes": 1, **options}
    return collect_or_resume(
        source, STEPS, partial, policy=None, progress=progress, seed=0, **options
    )


def failing_at(episodes):
    starts = started_at(connect(world).collect(STEPS, seed=0, lanes=1))

    def broken(env, answer):
        if float(np.float32(env.x)) in [starts[episode] for episode in episodes]:
            raise ValueError("stuck")
        return answer

    return connect(starting(broken))


def test_a_resumed_collection_gets_past_every_episode_that_fails_at_its_reset(tmp_path):
    source, partial = failing_at((2, 3)), tmp_path / "partial.npz"
    for episode in (2, 3):
        sentence = rf"start of episode {episode}; the \d+ steps before it are kept in .*--resume"
        with pytest.raises(BadStep, match=sentence):
            round_of(source, partial)
    rows = round_of(source, partial)
    assert rows.real_steps == source.steps == STEPS
    assert set(rows.episode.tolist()).isdisjoint({2, 3})


def test_an_environment_that_cannot_begin_leaves_nothing(tmp_path):
    partial = tmp_path / "partial.npz"
    with pytest.raises(BadStep, match=r"start of episode 0\b(?!.*--resume)"):
        round_of(failing_at((0,)), partial)
    assert not partial.exists()


def test_failed_episodes_are_remembered_when_ctrl_c_comes_after(tmp_path):
    source, partial = failing_at((2,)), tmp_path / "partial.npz"

    def stop(done, total):
        if done > STEPS / 2:
            raise KeyboardInterrupt

    with pytest.raises(BadStep):
        round_of(source, partial)
    with pytest.raises(Interrupted):
        round_of(source, partial, stop)
    assert 2 not in round_of(source, partial).episode


def test_steps_that_an_older_version_kept_are_gone_on_from(tmp_path):
    partial = tmp_path / "partial.npz"
    datasets.save(connect(world).collect(10, seed=0, lanes=1), partial)
    source = connect(world)
    assert round_of(source, partial).real_steps == STEPS
    assert source.steps == STEPS - 10


def test_a_collection_that_holds_all_its_steps_is_as_it_is(tmp_path):
    """Ctrl-C came after the last step, with spare ones and without."""
    source, partial = connect(world), tmp_path / "partial.npz"
    for spare in (0, 10_000):
        complete = source.collect(STEPS, seed=0, lanes=2, spare=spare)
        datasets.save(complete, partial)
        taken = source.steps
        assert_equal(round_of(source, partial, lanes=2, spare=spare), complete)
        assert source.steps == taken


def test_spare_steps_of_one_lane_are_not_another_lanes_share(tmp_path):
    source, partial = connect("Pendulum-v1", horizon=20), tmp_path / "partial.npz"
    collection = {"policy": None, "seed": 0, "lanes": 2, "spare": 10_000}
    complete = source.collect(5, **collection)
    first = {name: getattr(complete, name)[complete.episode == 0] for name in COLUMNS}
    before = dataclasses.replace(complete, **first)
    assert before.real_steps == 20
    datasets.save(before, partial)
    resumed = collect_or_resume(source, 5, partial, progress=lambda *done: None, **collection)
    assert_equal(resumed, complete)
