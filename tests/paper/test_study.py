"""Verdicts: whether our interval meets the paper's number decides, and every one has a reason."""

import math

import pytest

from paracosm.core.checks import BadArgument
from paracosm.core.records import Estimate
from paracosm.paper import study
from paracosm.paper.contents import CONTENTS
from paracosm.paper.contents import study as study_of

OURS = Estimate(2.0, 1.0, 3.0, 10, "mean")


@pytest.mark.parametrize(
    ("paper", "interval", "verdict"),
    [
        (2.5, None, "agrees"),
        (3.0, None, "agrees"),
        (3.5, None, "differs"),
        (3.5, (2.9, 4.0), "agrees"),
        (0.5, (0.1, 0.9), "differs"),
    ],
)
def test_a_claim_agrees_if_the_intervals_meet(paper, interval, verdict):
    claim = study.beside("x", "x is so.", OURS, paper, differs="another set-up.", interval=interval)
    assert claim.verdict == verdict
    assert (claim.why == "another set-up.") == (verdict == "differs")
    assert (claim.ours, claim.low, claim.high, claim.paper) == (2, 1, 3, paper)


@pytest.mark.parametrize(
    ("limit", "side", "verdict", "reason"),
    [
        (3.0, "below", "agrees", "lies below 3"),
        (2.5, "below", "cannot be compared", "holds 2.5"),
        (0.5, "below", "differs", "lies above 0.5"),
        (0.5, "above", "agrees", "lies above 0.5"),
        (1.5, "above", "cannot be compared", "holds 1.5"),
        (3.5, "above", "differs", "lies below 3.5"),
    ],
)
def test_a_limit_is_decided_by_the_interval(limit, side, verdict, reason):
    claim = study.bounded("x", "x.", OURS, limit, side=side, why="measured", says="less")
    assert (claim.verdict, claim.paper) == (verdict, None)
    assert claim.why.startswith("measured; the interval ")
    assert reason in claim.why


def test_what_must_hold_never_agrees_and_differs_where_the_check_fails():
    sound, broken = (
        study.must_hold("x", "x.", OURS, holds=holds, why="proved.", paper=0.0)
        for holds in (True, False)
    )
    assert (sound.verdict, broken.verdict, sound.paper_says) == ("must hold", "differs", "0")


def test_what_the_paper_lacks_is_not_compared():
    claim = study.beyond("x", "x.", OURS, why="the paper has no such number.")
    assert (claim.verdict, claim.paper) == ("cannot be compared", None)


def test_no_interval_is_no_verdict():
    alone = Estimate(2.0, -math.inf, math.inf, 1, "one sample")
    assert study.beside("x", "x.", alone, 2.0, differs="another.").verdict == "cannot be compared"


def test_a_verdict_without_a_reason_is_refused():
    with pytest.raises(BadArgument, match="reason"):
        study.beyond("x", "x.", OURS, why="")


def test_an_unknown_experiment_is_named_with_those_there_are():
    with pytest.raises(BadArgument, match=r"'E11'.*E1.*E10"):
        study_of("E11")
    assert list(CONTENTS) == [f"E{n}" for n in range(1, 11)]
