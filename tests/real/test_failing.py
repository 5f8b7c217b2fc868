"""Environments that fail while they are played: the steps before the failure are kept."""

import contextlib
import os
import time

import jax.numpy as jnp
import numpy as np
import pytest

from paracosm import foreign
from paracosm.core import checks
from paracosm.core.mdp import Box
from paracosm.core.policy import Deterministic
from paracosm.real import workers
from paracosm.real.source import BadStep
from paracosm.real.stepping import StepSource
from paracosm.real.verbs import collect, connect, evaluate
from tests.real.misbehaving import STEPS, entry, raising, starting, stepping, world
from tests.real.test_collecting import assert_equal
from tests.real.worlds import walk

STOPS = {  # from the fifth step of each copy on
    "raises": (
        raising(ValueError("wheel lost")),
        r"raised ValueError: wheel lost \(misbehaving\.py:\d+\)",
    ),
    "exits": (raising(SystemExit(1)), r"called sys\.exit\(1\)"),
    "gives NaN": (entry(1, lambda reward: np.nan), "gave the reward nan"),
    "gives an infinite observation": (
        entry(0, lambda o: o + np.inf),
        r"gave the observation \[inf inf\]",
    ),
    "gives None": (lambda env, answer: None, "raised TypeError: cannot unpack"),
    "gives another shape": (
        entry(0, lambda o: o[:1]),
        r"gave the observation a ndarray of shape \(1,\)",
    ),
    "gives text as a flag": (entry(2, str), "gave terminated as '"),
}


@pytest.mark.parametrize(("step", "sentence"), STOPS.values(), ids=STOPS)
def test_a_failure_while_collecting_keeps_the_steps_before_it(sound, step, sentence):
    with pytest.raises(
        BadStep, match=rf"^the environment {sentence}.* at step \d+ of episode \d+[.;]"
    ) as caught:
        collect(stepping(step, at=5), STEPS, seed=0)
    assert "\n" not in str(caught.value)
    partial = caught.value.partial
    assert partial.real_steps == 8 * 4
    rows = dict(
        zip(zip(sound.episode, sound.time, strict=True), sound.next_state.tolist(), strict=True)
    )
    for place in zip(partial.episode, partial.time, partial.next_state.tolist(), strict=True):
        assert rows[place[:2]] == place[2]
    with pytest.raises(
        checks.BadData, match=rf"{sentence}.* at step 4 of evaluation episode \d+[.;]"
    ):
        evaluate(stepping(step, at=5), Deterministic(lambda s: s[:1] * 0), episodes=20)


def test_collecting_goes_on_from_the_steps_before_a_failure_and_takes_none_of_them_again(sound):
    with pytest.raises(BadStep) as caught:
        collect(stepping(raising(ValueError("now")), at=5), STEPS, seed=0)
    partial, source = caught.value.partial, connect(world)
    rest = source.collect(STEPS, seed=0, before=partial)
    assert source.steps == STEPS - partial.real_steps
    assert rest.real_steps == STEPS
    rows = set(
        zip(rest.episode.tolist(), rest.time.tolist(), rest.state[:, 0].tolist(), strict=True)
    )
    assert rows.issuperset(
        zip(
            partial.episode.tolist(),
            partial.time.tolist(),
            partial.state[:, 0].tolist(),
            strict=True,
        )
    )
    places = np.stack([rest.episode, rest.time])
    assert (np.lexsort(places[::-1]) == np.arange(STEPS)).all()
    assert len(np.unique(places, axis=1).T) == STEPS
    last = np.append(np.diff(rest.episode) != 0, True)
    np.testing.assert_array_equal(rest.terminated | rest.truncated, last)
    assert_equal(rest, connect(world).collect(STEPS, seed=0, before=partial))
    again = dict(
        zip(zip(sound.episode, sound.time, strict=True), sound.next_state.tolist(), strict=True)
    )
    shared = [place for place in zip(rest.episode, rest.time, strict=True) if place in again]
    assert len(shared) > partial.real_steps
    with pytest.raises(
        checks.BadArgument,
        match=f"before holds {partial.real_steps} steps; it must hold fewer than",
    ):
        source.collect(partial.real_steps, seed=0, before=partial)
    with pytest.raises(checks.BadArgument, match="before is not what this collection took"):
        source.collect(STEPS, seed=0, before=partial, first_episode=9)


def test_a_failure_in_a_worker_is_the_same_as_one_here():
    in_process, in_worker = failure(1), failure(2)
    assert str(in_process) == str(in_worker)
    assert_equal(in_process.partial, in_worker.partial)


def failure(processes):
    with pytest.raises(BadStep, match="raised ValueError: here") as caught:
        collect(stepping(raising(ValueError("here")), at=5), STEPS, seed=0, workers=processes)
    return caught.value


def test_a_worker_that_dies_keeps_the_steps_before_it():
    died = r"ended its worker process \(exit code 7\) at step \d+ of episode \d+\."
    with pytest.raises(
        BadStep, match=died
    ) as caught:  # beyond the first look, which is taken in this process
        collect(stepping(lambda env, answer: os._exit(7), at=20), 200, seed=0, workers=2)
    assert 8 * 19 <= caught.value.partial.real_steps < 200


def test_who_asks_for_workers_gets_one_even_for_a_single_lane(monkeypatch):
    started = []

    class Started(workers.LocalLanes):
        def __init__(self, factory, count, form, processes):
            super().__init__(factory, count, form)
            started.append((count, processes))

    alone = connect(world).collect(STEPS, seed=0, lanes=1)
    monkeypatch.setattr(workers, "ProcessLanes", Started)
    assert_equal(connect(world).collect(STEPS, seed=0, lanes=1, workers=2), alone)
    assert started == [(1, 1)]


@pytest.mark.full
def test_a_worker_that_hangs_keeps_the_steps_before_it(monkeypatch):
    monkeypatch.setattr(workers, "_PATIENCE", 2.0)
    with pytest.raises(
        BadStep, match=r"gave no answer for 2 seconds in its worker process at step \d+ of episode"
    ):
        collect(stepping(lambda env, answer: time.sleep(300), at=20), 200, seed=0, workers=2)


def test_an_environment_that_cannot_be_sent_to_workers_is_one_sentence():
    sentence = r"cannot be sent to worker processes .* workers=1"
    with open(os.devnull, "rb") as handle, pytest.raises(checks.BadArgument, match=sentence):
        collect(lambda: world(handle=handle), STEPS, seed=0, workers=2)


def started_at(data):
    """The first component of each episode's start."""
    first = data.time == 0
    return dict(zip(data.episode[first].tolist(), data.state[first, 0].tolist(), strict=True))


@pytest.mark.parametrize(("lanes", "bad"), [(1, (0, 1)), (8, (8, 16))])
def test_collecting_goes_on_past_episodes_that_fail_at_their_start(lanes, bad):
    steps = 4 * STEPS
    starts = started_at(connect(world).collect(steps, seed=0, lanes=lanes))
    wrong = {starts[episode] for episode in bad}

    def broken(env, answer):
        if float(np.float32(env.x)) in wrong:
            raise ValueError("stuck")
        return answer

    source, partial, failed = connect(starting(broken)), None, ()
    for episode in bad:
        with pytest.raises(BadStep, match=f"stuck .* at the start of episode {episode}") as caught:
            source.collect(steps, seed=0, lanes=lanes, before=partial, failed=failed)
        partial, failed = caught.value.partial, caught.value.failed
    assert failed == bad
    assert (partial is None) == (lanes == 1)
    rest = source.collect(steps, seed=0, lanes=lanes, before=partial, failed=failed)
    assert rest.real_steps == steps
    assert not set(bad) & set(rest.episode.tolist())
    with pytest.raises(checks.BadArgument, match="an episode of failed is 3; it must be at least"):
        source.collect(steps, seed=0, failed=(3,), first_episode=9)


def gone_on(source, **before):
    """What a collection comes to that is gone on with whenever it stops, and what failed."""
    try:
        return source.collect(STEPS, seed=0, lanes=1, **before), before["failed"]
    except BadStep as error:
        return gone_on(source, before=error.partial, failed=error.failed)


def test_collecting_goes_on_past_episodes_of_a_system_that_fail_at_their_first_step():
    data, failed = gone_on(connect(walk(poison=1.0)))
    assert data.real_steps == STEPS
    assert set(failed) - set(data.episode.tolist())


WRONG_POLICIES = {
    "NaN": (
        lambda s: [np.nan] if s[1] >= 2 else [0.0],
        r"^the policy's action is \[nan\] at step 2 of episode 0; it must be finite",
    ),
    "raises": (lambda s: [1 / (2 - s[1])], "^the policy raised ZeroDivisionError"),
}


@pytest.mark.parametrize(("policy", "sentence"), WRONG_POLICIES.values(), ids=WRONG_POLICIES)
def test_a_policy_that_fails_keeps_the_steps_before_it(policy, sentence):
    with np.errstate(divide="raise"), pytest.raises(BadStep, match=sentence) as caught:
        collect(world, STEPS, seed=0, policy=lambda s: policy(s.tolist()))
    partial = caught.value.partial
    assert partial.real_steps == 8 * 2
    assert caught.value.failed == ()
    rest = collect(world, STEPS, seed=0, before=partial)
    assert rest.real_steps == STEPS


def test_a_policy_that_fails_makes_no_episode_a_failed_one():
    """It is the policy that is to be mended, and its starts are to be played then."""
    with pytest.raises(BadStep, match=r"nan\] at step 0 of episode 0") as caught:
        collect(world, STEPS, seed=0, policy=lambda s: [np.nan])
    assert caught.value.partial is None
    assert caught.value.failed == ()


@pytest.mark.parametrize("env", [world, walk()], ids=["host", "system"])
def test_a_foreign_policys_complaint_is_its_own_and_keeps_the_steps_before_it(env):
    source, told = connect(env), []
    spec = source.spec(source.collect(16, seed=0))

    def late(states):
        if told:
            raise ValueError("no plan")
        return np.zeros((len(states), spec.action.size), np.float32)

    def progress(done, total):
        if done > 40:
            told.append(done)

    options = {"policy": foreign.policy(late, spec), "progress": progress}
    with pytest.raises(BadStep, match=r"^the NumPy policy .* ValueError: no plan") as caught:
        collect(env, 400, seed=0, **options)
    assert "\n" not in str(caught.value)
    assert caught.value.partial.real_steps == told[0]
    rest = collect(env, 400, seed=0, before=caught.value.partial, failed=caught.value.failed)
    assert rest.real_steps == 400


class Lines(StepSource):
    """Lanes of one's own, which answer with what `change` makes of right columns."""

    def __init__(self, change):
        self.name, self.steps, self._change = "the lines", 0, change
        self.state_size, self.action = 2, Box(-jnp.ones(1), jnp.ones(1))
        self.horizon, self.limit = 5, None

    @contextlib.contextmanager
    def open(self, count, workers):
        yield LineLanes(count, self._change)


class LineLanes(workers.Lanes):
    def __init__(self, count, change):
        self._state, self._change = np.zeros((count, 2), np.float32), change

    def reset(self, which, seeds):
        self._state[which] = [np.random.default_rng(seed).normal(size=2) for seed in seeds]
        return workers.Answers((self._observations(which),), {})

    def step(self, which, actions):
        self._state[which] += actions
        never = np.zeros(len(which), bool)
        columns = (self._observations(which), self._state[which, 0].astype(float), never, never)
        return workers.Answers(self._change(columns), {})

    def close(self):
        pass

    def _observations(self, which):
        """Their own buffer, where all are asked."""
        return self._state if len(which) == len(self._state) else self._state[which]


def replaced(index, change):
    return lambda columns: tuple(
        change(column) if i == index else column for i, column in enumerate(columns)
    )


def test_lanes_may_answer_their_own_buffer_and_flags_of_another_type():
    """Flags that are whole numbers would index lanes, which were then stepped for ever."""
    change = replaced(2, lambda flags: flags.astype(int))
    source = connect(Lines(change))
    data = source.collect(12, seed=0)
    assert source.steps == 12
    assert data.terminated.dtype == bool
    episodes = source.evaluate(Deterministic(lambda s: 0 * s[:1] + 0.25), episodes=3)
    np.testing.assert_allclose(episodes.next_state - episodes.state, 0.25, rtol=1e-5)
    np.testing.assert_array_equal(episodes.state[:, 1:], episodes.next_state[:, :-1])


def test_numbers_of_bytes_that_lanes_answer_are_states_as_others():
    source = connect(Lines(replaced(0, lambda states: np.full(states.shape, 200, np.uint8))))
    episodes = source.evaluate(Deterministic(lambda s: 0 * s[:1]), episodes=3)
    assert episodes.next_state.dtype == np.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            replaced(0, lambda states: states[:, :1]),
            r"observations of the shape \(3, 1\).*\(3, 2\)",
        ),
        (replaced(1, lambda rewards: rewards[:, None]), r"rewards of the shape \(3, 1\).*\(3,\)"),
        (replaced(1, lambda rewards: -1.0), r"rewards of the shape \(\) and type float64"),
        (replaced(1, lambda rewards: ["low"] * 3), r"rewards of the shape \(3,\) and type <U3"),
        (lambda columns: columns[:3], r"the lines answers step with 3 columns; Answers of"),
        (
            replaced(0, lambda states: states / 0),
            r"the lines gave the observation \[.* at step 0 of",
        ),
        (replaced(1, lambda rewards: rewards + np.nan), r"the lines gave the reward nan at step 0"),
        (replaced(3, lambda flags: flags + 2), r"the lines gave truncated as 2 at step 0"),
    ],
)
def test_what_lanes_answer_is_checked_with_the_name_of_their_source(change, message):
    policy = Deterministic(lambda s: 0 * s[:1])
    with np.errstate(all="ignore"), pytest.raises(checks.BadData, match=message):
        connect(Lines(change)).evaluate(policy, episodes=3)
    with np.errstate(all="ignore"), pytest.raises(checks.ParacosmError, match="the lines"):
        connect(Lines(change)).collect(12, seed=0)
