"""Which state training keeps."""

import pytest

from paracosm.imagination.settings import ImagineSettings
from paracosm.imagination.stop_rule import Checkpoint, Spent, StopRule


@pytest.mark.parametrize(
    ("scores", "by_score", "kept"),
    [
        ([1.0, 3.0, 2.0], True, 1),
        ([500.0, 484.8, 500.0], True, 2),
        ([500.0, 500.0, 484.8], True, 1),
        ([1.0, 3.0, 2.0], False, 2),
    ],
)
def test_the_best_state_is_kept_and_of_equal_ones_the_later(scores, by_score, kept):
    rule = StopRule(ImagineSettings(check=10), "begun", by_score=by_score)
    for number, score in enumerate(scores):
        rule.add(number, Checkpoint(10 * (number + 1), score, score, 0.0, 0.0), Spent())
    assert rule.best == kept
    assert rule.kept_step == 10 * (kept + 1)
