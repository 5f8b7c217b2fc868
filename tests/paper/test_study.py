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
    found = study.beside("x", "x is so.", OURS, paper, differs="another set-up.", interval=interval)
    assert found.verdict == verdict
    assert (found.why == "another set-up.") == (verdict == "differs")
    assert (found.ours, found.low, found.high, found.paper) == (2, 1, 3, paper)


def test_a_bound_that_holds_agrees_and_what_the_paper_lacks_is_not_compared():
    assert study.judged("x", "x.", OURS, 9.0, holds=True, why="it is below.").verdict == "agrees"
    assert study.judged("x", "x.", OURS, 9.0, holds=False, why="it is above.").verdict == "differs"
    found = study.beyond("x", "x.", OURS, why="the paper has no such number.")
    assert (found.verdict, found.paper) == ("cannot be compared", None)


def test_no_interval_is_no_verdict():
    alone = Estimate(2.0, -math.inf, math.inf, 1, "one sample")
    assert study.beside("x", "x.", alone, 2.0, differs="another.").verdict == "cannot be compared"


def test_a_verdict_without_a_reason_is_refused():
    with pytest.raises(BadArgument, match="reason"):
        study.beyond("x", "x.", OURS, why="")


def test_an_unknown_experiment_is_named_with_those_there_are():
    with pytest.raises(BadArgument, match=r"'E9'.*E1.*E7"):
        study_of("E9")
    assert list(CONTENTS) == [f"E{n}" for n in range(1, 8)]
