"""Environments whose answers have another form: each works as the faultless one does, or is refused
in one sentence before anything is collected.
"""

from fractions import Fraction

import gymnasium
import numpy as np
import pytest

from paracosm.core import checks
from paracosm.real.verbs import collect, connect
from tests.real.misbehaving import (
    STEPS,
    Closing,
    Exiting,
    Mutating,
    Specless,
    Unprintable,
    World,
    bare,
    entry,
    exit_while_building,
    fail_while_building,
    flagged,
    itself,
    old_seedless,
    own_buffer,
    own_start,
    raising,
    starting,
    stepping,
    without_space,
    world,
)
from tests.real.test_collecting import assert_equal

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
    "info with the last observation": stepping(
        lambda env, answer: (*answer[:4], {"final_obs": answer[0], "terminal_observation": None})
    ),
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
        r"raised KeyError: 'road' \(misbehaving\.py.*\) on its first res",
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
    "started anew within a step": (
        stepping(lambda env, a: (*a[:2], True, False, {"final_obs": a[0] + 1})),
        r"started anew within a step \(.* info\['final_obs'\]\) on its first step; an environment",
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


def test_sixty_environments_misbehave():
    assert len(WORKS) + len(REFUSED) >= 60
