"""Environments that misbehave: each works as the faultless one does, or is refused in one sentence;
steps are kept.
"""

import copy
import inspect
import os
import random
import sys
import time
from fractions import Fraction

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from paracosm.core import checks
from paracosm.core.policy import Deterministic
from paracosm.real import workers
from paracosm.real.source import BadStep
from paracosm.real.verbs import collect, connect, evaluate
from tests.real.test_collecting import assert_equal

STEPS = 60
NEVER = 10**9


def unchanged(env, answer):
    return answer


class World(gymnasium.Env):
    """A point on a line, sound but for what `reset_answer` and `step_answer` make of its answers
    from `at` on.
    """

    def __init__(self, step=unchanged, reset=unchanged, at=1, action_space=None, **attributes):
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space = action_space or spaces.Box(-1, 1, (1,), np.float32)
        self.step_answer, self.reset_answer, self.at, self.taken = step, reset, at, 0
        self.buffer = np.zeros(2)
        for name, value in attributes.items():
            setattr(self, name, value)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time, self.length, self.x = (
            0,
            int(self.np_random.integers(3, 9)),
            self.np_random.random(),
        )
        return self.reset_answer(self, (np.array([self.x, 0.0]), {}))

    def step(self, action):
        self.time, self.taken = self.time + 1, self.taken + 1
        self.x = self.x + 0.1 * float(np.sum(action))
        answer = (
            np.array([self.x, self.time]),
            float(np.float32(self.x)),
            self.time >= self.length,
            False,
            {},
        )
        return self.step_answer(self, answer) if self.taken >= self.at else answer


def world(limit=6, **kwargs):
    return gymnasium.wrappers.TimeLimit(World(**kwargs), limit)


def entry(place, change):
    """A step whose entry at `place` is changed."""
    return lambda env, answer: (*answer[:place], change(answer[place]), *answer[place + 1 :])


def flagged(change):
    """A step both of whose flags are changed."""
    return lambda env, answer: (*answer[:2], change(answer[2]), change(answer[3]), answer[4])


def raising(error):
    def fail(env, answer):
        raise error

    return fail


def own_buffer(env, answer):
    env.buffer[:] = answer[0]
    return (env.buffer, *answer[1:])


def own_start(env, answer):
    env.buffer[:] = answer[0]
    return env.buffer, {}


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no text")


class Closing(World):
    def close(self):
        raise OSError("the port is gone")


class Mutating(World):
    def step(self, action):
        answer = super().step(action)
        action *= 0
        return answer


class Exiting(World):
    def close(self):
        sys.exit(3)


class Specless(World):
    @property
    def spec(self):
        raise RuntimeError("no spec")


def itself(env):
    env.unwrapped.env = env
    return env


def old_seedless():
    class Old(World):
        def reset(self):
            return super().reset()[0]

    return gymnasium.wrappers.TimeLimit(Old(), 6)


def exit_while_building():
    sys.exit("no licence")


def fail_while_building():
    raise OSError("no display")


def without_space():
    env = World()
    del env.observation_space
    return gymnasium.wrappers.TimeLimit(env, 6)


def stepping(step, at=1):
    return lambda: world(step=step, at=at)


def bare(step):
    """A world without a wrapper, which would trip over an answer of another form first."""
    return lambda: World(step=step, _max_episode_steps=6)


def starting(reset):
    return lambda: world(reset=reset)


WORKS = {
    "flags int": stepping(flagged(int)),
    "flags np.int64": stepping(flagged(np.int64)),
    "flags np.uint8": stepping(flagged(np.uint8)),
    "flags float": stepping(flagged(float)),
    "flags np.bool": stepping(flagged(np.bool_)),
    "flags of shape (1,)": stepping(flagged(lambda flag: np.array([flag]))),
    "flags int of shape (1,)": stepping(flagged(lambda flag: np.array([int(flag)]))),
    "flags of shape ()": stepping(flagged(np.array)),
    "flags lists": stepping(flagged(lambda flag: [flag])),
    "reward of shape (1,)": stepping(entry(1, lambda reward: np.array([reward]))),
    "reward of shape (1, 1)": stepping(entry(1, lambda reward: np.array([[reward]]))),
    "reward of shape ()": stepping(entry(1, np.array)),
    "reward a list of one": stepping(entry(1, lambda reward: [reward])),
    "reward np.float32": stepping(entry(1, np.float32)),
    "reward a fraction": stepping(entry(1, Fraction)),
    "observation a list": stepping(entry(0, list)),
    "observation a tuple": stepping(entry(0, tuple)),
    "observation float32": stepping(entry(0, np.float32)),
    "observation the same buffer": lambda: world(step=own_buffer, reset=own_start),
    "answer a list": stepping(lambda env, answer: list(answer)),
    "reset a list": starting(lambda env, answer: list(answer)),
    "info None": stepping(entry(4, lambda info: None)),
    "reset info None": starting(lambda env, answer: (answer[0], None)),
    "terminated and truncated": stepping(lambda env, answer: (*answer[:3], answer[2], answer[4])),
    "close raises": lambda: gymnasium.wrappers.TimeLimit(Closing(), 6),
    "close exits": lambda: gymnasium.wrappers.TimeLimit(Exiting(), 6),
    "changes its action": lambda: gymnasium.wrappers.TimeLimit(Mutating(), 6),
    "an attribute env that is itself": lambda: itself(world()),
    "a spec that fails": lambda: gymnasium.wrappers.TimeLimit(Specless(), 6),
    "nested limits, the inner shorter": lambda: gymnasium.wrappers.TimeLimit(world(), 200),
    "nested limits, the outer shorter": lambda: gymnasium.wrappers.TimeLimit(world(limit=300), 6),
}

FORM = (
    r"Gymnasium's step\(action\) -> \(observation, reward, terminated, truncated, info\) is"
    r" needed\.$"
)
START = r"Gymnasium's reset\(seed=\.\.\.\) -> \(observation, info\) is needed\.$"
SHAPE = "an array of 2 finite numbers is needed"

REFUSED = {
    "old reset without a seed": (
        old_seedless,
        f"has a reset that takes no seed.* on its first reset; {START}",
    ),
    "old reset": (
        starting(lambda env, answer: answer[0]),
        rf"reset with a ndarray of shape \(2,\).*; {START}",
    ),
    "reset None": (
        starting(lambda env, answer: None),
        f"answered reset with None on its first reset; {START}",
    ),
    "reset 3 values": (
        starting(lambda env, answer: (*answer, 0)),
        f"answered reset with 3 values .*{START}",
    ),
    "reset of another shape": (
        starting(lambda env, answer: (np.zeros(3), {})),
        rf"shape \(3,\).* {SHAPE}",
    ),
    "reset NaN": (
        starting(lambda env, answer: (answer[0] * np.nan, {})),
        r"\[nan nan\] on its first reset; every",
    ),
    "reset raises": (
        starting(raising(KeyError("road"))),
        r"raised KeyError: 'road' \(test_misb.*\) on its first res",
    ),
    "reset exits": (starting(raising(SystemExit(4))), r"called sys\.exit\(4\)"),
    "old step": (
        bare(lambda env, a: (*a[:3], {})),
        f"step with 4 values, as the old API does, .*; {FORM}",
    ),
    "step 6 values": (
        bare(lambda env, answer: (*answer, 0)),
        f"answered step with 6 values .*; {FORM}",
    ),
    "step None": (
        bare(lambda env, answer: None),
        f"answered step with None on its first step; {FORM}",
    ),
    "step a dict": (
        bare(lambda env, answer: dict(enumerate(answer))),
        f"answered step with a dict .*; {FORM}",
    ),
    "old step in a wrapper": (
        stepping(lambda env, a: (*a[:3], {})),
        f"expected 5, got 4.* on its first step; {FORM}",
    ),
    "step None in a wrapper": (
        stepping(lambda env, answer: None),
        f"raised TypeError: cannot unpack.*; {FORM}",
    ),
    "step not implemented": (
        stepping(raising(NotImplementedError())),
        "raised NotImplementedError",
    ),
    "observation a dict": (
        stepping(entry(0, lambda o: {"x": o})),
        f"gave the observation a dict .*{SHAPE}",
    ),
    "observation None": (
        stepping(entry(0, lambda o: None)),
        f"gave the observation None .*{SHAPE}",
    ),
    "observation text": (stepping(entry(0, str)), f"gave the observation '.*{SHAPE}"),
    "observation complex": (stepping(entry(0, lambda o: o + 0j)), f"type complex128.*{SHAPE}"),
    "observation of shape (1, 2)": (
        stepping(entry(0, lambda o: o[None])),
        rf"shape \(1, 2\).*{SHAPE}",
    ),
    "observation ragged": (
        stepping(entry(0, lambda o: [[1], [1, 2]])),
        f"gave the observation a list .*{SHAPE}",
    ),
    "observation too large": (stepping(entry(0, lambda o: o * 1e300)), "must be finite"),
    "reward beyond 32 bits": (
        stepping(entry(1, lambda r: -1e39)),
        r"gave the reward -1e\+39 .*; at most 3e\+38 in size",
    ),
    "reward of shape (2,)": (
        stepping(entry(1, lambda r: np.ones(2))),
        r"reward a ndarray of shape \(2,\).*one number",
    ),
    "reward None": (
        stepping(entry(1, lambda r: None)),
        "gave the reward None on its first step; one number is",
    ),
    "reward text": (stepping(entry(1, str)), "gave the reward '.*; one number is needed"),
    "reward complex": (
        stepping(entry(1, complex)),
        r"gave the reward \(.*j\) .*; one number is needed",
    ),
    "reward a dict": (
        stepping(entry(1, lambda r: {"goal": r})),
        "gave the reward a dict .*; one number is needed",
    ),
    "reward empty": (stepping(entry(1, lambda r: [])), r"shape \(0,\).*; one number is needed"),
    "reward an integer of 400 digits": (
        stepping(entry(1, lambda r: 10**400)),
        "gave the reward 1000.*; one number",
    ),
    "terminated None": (
        stepping(entry(2, lambda f: None)),
        "gave terminated as None .*; True or False is needed",
    ),
    "terminated text": (
        stepping(entry(2, str)),
        "gave terminated as 'False'.*; True or False is needed",
    ),
    "terminated a probability": (
        stepping(entry(2, lambda f: 0.3)),
        r"gave terminated as 0\.3.*; True or False is",
    ),
    "terminated NaN": (
        stepping(entry(2, lambda f: np.nan)),
        "gave terminated as nan.*; True or False is needed",
    ),
    "truncated 2": (
        stepping(entry(3, lambda f: 2)),
        "gave truncated as 2 .*; True or False is needed",
    ),
    "truncated of shape (2,)": (
        stepping(entry(3, lambda f: [f, f])),
        "gave truncated as a list of shape",
    ),
    "building raises": (
        fail_while_building,
        r"fail_while_building cannot be built: it raised OSError: no display",
    ),
    "building exits": (
        exit_while_building,
        r"exit_while_building cannot be built: it called sys\.exit\('no licence'\)",
    ),
    "no observation space": (without_space, "has no observation_space"),
    "no time limit": (World, r"World has no time limit; give --horizon N \(in Python horizon=N\)"),
    "time limit 0": (
        lambda: World(_max_episode_steps=0),
        "has a time limit of 0, and 1 to .* give --horizon N",
    ),
    "time limit 1e12": (
        lambda: World(_max_episode_steps=10**12),
        "has a time limit of 1000000000000, and 1 to",
    ),
    "time limit text": (
        lambda: World(_max_episode_steps="200"),
        "has a time limit of '200', and 1 to",
    ),
    "time limit NaN": (
        lambda: World(_max_episode_steps=np.nan),
        "has a time limit of nan, and 1 to",
    ),
    "an exception without text": (stepping(raising(Unprintable())), "raised Unprintable"),
    "a message of many lines": (
        stepping(raising(RuntimeError("one\ntwo\n" * 999))),
        "raised RuntimeError: one two",
    ),
}

STOPS = {  # from the fifth step of each copy on
    "raises": (
        raising(ValueError("wheel lost")),
        r"raised ValueError: wheel lost \(test_misbehaving\.py:\d+\)",
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


@pytest.fixture(scope="module")
def sound():
    return collect(world, STEPS, seed=0)


@pytest.mark.filterwarnings("ignore:.* states the time limits")
@pytest.mark.parametrize("factory", WORKS.values(), ids=WORKS)
def test_other_forms_of_a_right_answer_give_the_same_data(sound, factory):
    assert connect(factory).horizon == 6
    assert_equal(collect(factory, STEPS, seed=0), sound)


@pytest.mark.parametrize(("factory", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_used_is_one_sentence_before_anything_is_collected(factory, sentence):
    with pytest.raises(checks.ParacosmError, match=sentence) as caught:
        connect(factory)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


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


def test_sixty_environments_misbehave():
    assert len(WORKS) + len(REFUSED) + len(STOPS) >= 60


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
    here, there = failure(1), failure(2)
    assert str(here) == str(there)
    assert_equal(here.partial, there.partial)


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


def ignoring(env, answer):
    env.x = env.time = 0
    env.count = getattr(env, "count", 0) + 1
    return np.array([env.count, 0.0]), {}


def drawn(mass):
    return stepping(entry(1, lambda reward: reward + mass))()


def late(step):
    """A long episode whose reward is drawn from the global generator from a step on."""

    def noisy(env, answer):
        reward = answer[1] + np.random.random() * (env.time >= step)
        return answer[0], reward, False, False, {}

    return world(limit=200, step=noisy)


UNSEEDED = {
    "its own generator": starting(
        lambda env, answer: (answer[0] + np.random.default_rng().random(2), {})
    ),
    "NumPy's generator at the start": starting(
        lambda env, answer: (answer[0] + np.random.random(2), {})
    ),
    "NumPy's generator in a step": stepping(entry(1, lambda reward: reward + np.random.random())),
    "Python's generator": stepping(entry(0, lambda o: o + random.random())),
    "a counter": starting(ignoring),
    "a constructor that draws": lambda: drawn(np.random.default_rng().random()),
    "NumPy's generator from the eleventh step on": lambda: late(11),
    "NumPy's generator from the hundredth step on": lambda: late(100),
}


@pytest.mark.parametrize("factory", UNSEEDED.values(), ids=UNSEEDED)
def test_an_environment_that_ignores_its_seed_is_noticed(factory):
    (remark,) = connect(factory).remarks
    assert remark.startswith(
        "the environment does not repeat an episode from the same seed and actions;"
    )
    with pytest.warns(UserWarning, match="does not repeat an episode"):
        collect(factory, 8, seed=0)


@pytest.mark.parametrize(
    "env", [world, "Pendulum-v1", "CartPole-v1", "Acrobot-v1", "MountainCarContinuous-v0"]
)
def test_nothing_is_remarked_on_environments_that_keep_to_their_seed(env):
    assert connect(env).remarks == ()


def test_nested_time_limits_that_differ_are_remarked_on_and_equal_ones_are_not():
    def nested(inner, outer):
        return lambda: gymnasium.wrappers.TimeLimit(world(inner), outer)

    for limits in ((180, 45), (45, 180)):
        source = connect(nested(*limits))
        assert source.limit == 45
        (remark,) = source.remarks
        assert (
            "the time limits 45, 180, one within another; the shortest, 45 steps, counts" in remark
        )
    assert connect(nested(45, 45)).remarks == ()
    assert connect(lambda: gymnasium.make("Pendulum-v1", max_episode_steps=45)).remarks == ()


def test_an_environment_itself_is_played_in_copies(sound):
    env = world()
    env.reset(seed=3)
    before = copy.deepcopy(env.unwrapped.__dict__)
    assert_equal(collect(env, STEPS, seed=0), sound)
    assert env.unwrapped.taken == before["taken"]
    assert connect(gymnasium.make("Pendulum-v1")).name == "Pendulum-v1"
    sentence = r"World cannot be copied: .* give a function that builds it instead"
    with open(os.devnull, "rb") as handle, pytest.raises(checks.BadArgument, match=sentence):
        connect(world(handle=handle))


@pytest.mark.parametrize("env", [3, None, [world], 2.5, {"env": "Pendulum-v1"}])
def test_what_is_no_environment_is_one_sentence(env):
    with pytest.raises(
        checks.BadArgument, match=r"^env is .*; a Gymnasium id, module:function, an environment or"
    ):
        inspect.unwrap(connect)(env)  # without the types that tests check


FUNCTIONS = {
    "an array": lambda s: np.array([-0.5]),
    "a list": lambda s: [-0.5],
    "a number": lambda s: -0.5,
    "a number of NumPy": lambda s: np.float64(-0.5),
    "changes its observation": lambda s: s.fill(0) or [-0.5],
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_plain_function_of_an_observation_is_a_policy(function):
    seen = evaluate(world, function, episodes=3)
    expected = evaluate(world, Deterministic(lambda s: s[:1] * 0 - 0.5), episodes=3)
    np.testing.assert_array_equal(seen.next_state, expected.next_state)
    np.testing.assert_array_equal(seen.action, expected.action)
    assert (collect(world, 16, seed=0, policy=function).action == -0.5).all()


def test_what_is_no_policy_or_gives_no_action_is_one_sentence():
    discrete = spaces.Discrete(3, start=5)
    cases = [
        (world, 5, r"^policy is 5; a Policy or a function of one observation is needed\.$"),
        (world, World, "^policy is "),
        (world, lambda s: None, "the policy's actions is .*; real numbers are needed"),
        (world, lambda s: "left", "the policy's actions is .*; real numbers are needed"),
        (world, lambda s: [np.nan], "holds nan"),
        (world, lambda s: [1, 2], r"has shape \(3, 2\); \(3, 1\) is needed"),
        (world, lambda s: 1 / 0, "the policy raised ZeroDivisionError"),
        (
            lambda: world(action_space=discrete),
            lambda s: 3,
            "hold 3; .* 0 to 2, counted from 0 although .* at 5",
        ),
        (lambda: world(action_space=discrete), lambda s: -1, "hold -1; "),
        (
            lambda: world(action_space=discrete),
            lambda s: 0.5,
            r"hold 0\.5; .* takes the whole numbers 0 to 2",
        ),
    ]
    for env, policy, sentence in cases:
        source = connect(env)
        with pytest.raises(checks.ParacosmError, match=sentence):
            inspect.unwrap(type(source).evaluate)(source, policy, episodes=3)
    with pytest.raises(checks.BadArgument, match="only a Policy can be sampled"):
        evaluate(world, lambda s: [0.0], episodes=3, sampled=True)


@pytest.mark.parametrize("wanted", [0, -3, 10**7])
def test_a_horizon_that_cannot_be_played_is_refused(wanted):
    with pytest.raises(checks.BadArgument, match=r"^horizon is "):
        connect(World, horizon=wanted)
    assert connect(World, horizon=9).horizon == 9


def test_a_function_of_a_system_is_traced(tmp_path):
    from tests.real.worlds import walk

    seen = evaluate(walk(), lambda s: s * 0 + 0.5, episodes=2)
    assert (np.asarray(seen.action) == 0.5).all()
    with pytest.raises(
        checks.BadArgument,
        match=r"the policy of the system answers with the shape \(3,\); \(2,\) is",
    ):
        evaluate(walk(), lambda s: np.zeros(3, np.float32), episodes=2)


PARTS = {
    "reward": (
        lambda s, a, n: n,
        r"the reward of the system answers with the shape \(2,\); \(\) is needed",
    ),
    "dynamics": (
        lambda s, a, key: s[0],
        r"the dynamics of the system answers with the shape \(\); \(2,\)",
    ),
    "termination": (
        lambda s, a, n: bool(n[0] > 1),
        "the termination of the system cannot be traced by JAX: it raised",
    ),
    "initial": (lambda key: [0.0, 0.0], "the initial of the system answers with the shape None"),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_a_system_that_cannot_be_traced_is_one_sentence(part):
    from tests.real.worlds import walk

    function, sentence = PARTS[part]
    with pytest.raises(checks.BadArgument, match=sentence) as caught:
        connect(walk().replace(**{part: function}))
    assert "\n" not in str(caught.value)
