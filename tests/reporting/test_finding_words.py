"""Every kind of finding and of misreading has one sentence, and goes to JSON and back."""

import typing

import pytest

from paracosm.core.records import ComponentChange, Finding, Misreading, MisreadingForm
from paracosm.reporting.finding_words import sentence, with_sentence

ERRORS = {"left": 0.0125, "own": 0.5}

PHRASES = {
    "other step": (
        Misreading("other step", {"shift": -2.0, "offset": -1.5}),
        "it is compared with the reward paid 2 steps earlier (rewards are recorded 2 steps off)"
        " - 1.5",
    ),
    "offset": (
        Misreading("offset", {"offset": 0.25}, only=True),
        "it is read + 0.25 (it was trained on rewards - 0.25)",
    ),
    "scale": (
        Misreading("scale", {"scale": 3.0}, only=True),
        "it is read times 3 (it was trained on rewards divided by that)",
    ),
    "scale and offset": (
        Misreading("scale and offset", {"scale": 3.0, "offset": -1.0}),
        "it is read times 3 - 1",
    ),
    "symlog": (Misreading("symlog"), "it is read as symlog of the reward, sign(r) log(1 + |r|)"),
    "rising curve": (
        Misreading("rising curve"),
        "it is read as a rising curve of the reward (a logarithm, a root, a squashing)",
    ),
    "clipped reward": (
        Misreading("clipped reward", {"low": -1.0, "high": 1.0}),
        "it is compared with the real one clipped to -1 to 1 (what is beyond was never learned)",
    ),
    "curve of the reward": (
        Misreading("curve of the reward"),
        "it is compared with a rising curve of the real one (a squashing, a sign)",
    ),
    "other arguments": (
        Misreading("other arguments", arguments="(s', a, s')"),
        "it is asked at (s', a, s') in place of (s, a, s') (it reads another state than it is"
        " given)",
    ),
    "other actions": (
        Misreading(
            "other actions",
            components=(
                ComponentChange(0, 2.0, -0.5),
                ComponentChange(1, None, 0.25),
                ComponentChange(2, 0.01, None, left_out=True),
            ),
        ),
        "it is given other actions: 2 a[0] - 0.5 in place of a[0], a[1] + 0.25 in place of a[1],"
        " a[2] is left out",
    ),
    "clipped actions": (
        Misreading("clipped actions"),
        "its actions are clipped to their bounds, as the environment does (clip them in the world)",
    ),
    "other observations": (
        Misreading("other observations", components=(ComponentChange(None, 57.3, None),) * 7),
        f"it is given other observations: {', '.join(['57.3 s in place of s'] * 6)} and so on",
    ),
    "standardised observations": (
        Misreading("standardised observations"),
        "it is given standardised observations",
    ),
    "other action numbers": (
        Misreading("other action numbers", numbering=(2, 1, 0)),
        "its actions are numbered otherwise: 2 in place of 0, 0 in place of 2",
    ),
    "state changes": (
        Misreading("state changes"),
        "its answer is added to the state: it gives changes",
    ),
}


def test_every_form_of_misreading_has_a_phrase_here():
    assert set(PHRASES) == set(typing.get_args(MisreadingForm))


@pytest.mark.parametrize("form", PHRASES)
def test_a_misreading_is_said_with_the_errors_that_it_leaves(form):
    misreading, phrase = PHRASES[form]
    reward = Finding("made up", "reward", ERRORS, misreadings=(misreading,) * 2)
    assert sentence(reward) == (
        f"The learned reward fits the real one better when {phrase}, or when {phrase}, which these"
        " steps cannot tell apart: root mean square error 0.0125 so, 0.5 as it is."
    )
    dynamics = Finding("made up", "dynamics", ERRORS, misreadings=(misreading,) * 2)
    assert sentence(dynamics) == (
        f"The world predicts next states better when {phrase}, or when {phrase} (these steps cannot"
        " tell which) (root mean square error 0.0125 so, 0.5 as it is, in scaled states)."
    )
    assert Finding.from_json(with_sentence(reward).to_json()) == with_sentence(reward)


@pytest.mark.parametrize(
    ("limits", "words"),
    [({"low": -1.0}, "clipped below -1 (what"), ({"high": 0.5}, "clipped above 0.5 (what")],
)
def test_only_the_limit_that_cuts_something_off_is_named(limits, words):
    clipped = Misreading("clipped reward", limits)
    finding = Finding("reward clipping", "reward", ERRORS, misreadings=(clipped,))
    assert words in sentence(finding)


@pytest.mark.parametrize(
    ("finding", "words"),
    [
        (
            Finding("unexplained reward", "reward", {"floor": 0.5, "own": 0.51}),
            "gets below an error of about 0.5; the learned reward's is 0.51",
        ),
        (
            Finding("constant reward", "reward", {"learned": 0.01, "real": 2.5}),
            "varies by 0.01 (standard deviation) where the real reward varies by 2.5",
        ),
        (Finding("action blindness", "dynamics", {"times": 1.0}, "the same"), "are the same when"),
        (
            Finding("action blindness", "dynamics", {"times": 1.01}),
            "are no worse (1.01 times the error) when",
        ),
        (
            Finding("persistence", "dynamics", {"own": 0.5, "still": 0.25}),
            "error 0.5 against 0.25 in scaled states",
        ),
        (
            Finding("auto-reset observations", "dynamics", {"count": 9, "last": 10, "times": 40}),
            "At 9 of the 10 last steps the recorded next state lies among the episodes' first"
            " states, 40 times as far",
        ),
        (
            Finding(
                "time limits as terminations",
                "termination",
                {"count": 9.0, "missed": 9.0, "step": 200.0},
            ),
            "All 9 recorded terminations that the world does not share fall on step 200, the last",
        ),
        (
            Finding(
                "time limits as terminations",
                "termination",
                {"count": 9.0, "missed": 12.0, "step": 200.0},
            ),
            "9 of the 12 recorded terminations",
        ),
        (
            Finding("termination timing", "termination", {"count": 9.0, "recorded": 10.0}),
            "ends one step before 9 of the 10 real steps that terminated",
        ),
        (
            Finding(
                "missed terminations",
                "termination",
                {"count": 9.0, "recorded": 10.0, "first": 3.0, "last": 47.0},
                "never ends",
            ),
            "never ends where 9 of the 10 real episodes terminated, at steps 3 to 47: its end rule",
        ),
        (
            Finding("truncations as terminations", "termination", {"count": 9, "cut": 10}),
            "ends at 9 of the 10 real steps that were only truncated: a cut was learned",
        ),
        (
            Finding(
                "truncations as terminations", "termination", {"count": 9, "cut": 10}, "time limit"
            ),
            "truncated: a time limit was learned",
        ),
        (
            Finding("false terminations", "termination", {"count": 40, "elsewhere": 100}),
            "ends at 40 of the 100 real steps after which the episode went on.",
        ),
        (
            Finding(
                "false terminations", "termination", {"count": 99, "elsewhere": 100}, "reversed"
            ),
            "and goes on where it terminated: its answers look reversed",
        ),
        (
            Finding(
                "false terminations", "termination", {"count": 99, "elsewhere": 100}, "probability"
            ),
            "went on: answers between 0 and 1",
        ),
    ],
)
def test_every_other_finding_says_its_numbers(finding, words):
    assert words in sentence(finding)
    assert sentence(finding).endswith(".")
    assert Finding.from_json(with_sentence(finding).to_json()) == with_sentence(finding)
