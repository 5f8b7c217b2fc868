"""What a round goes on from: the learner's state, the best policy so far, and when it may be given
back.
"""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from paracosm.core.data import Dataset
from paracosm.core.learned import Learned
from paracosm.core.records.stop_reason import StopReason
from paracosm.imagination.earlier import BestPolicy
from paracosm.imagination.imagine import Imagined
from paracosm.imagination.pathwise import Pathwise
from paracosm.loop.rounds import Round, TrainingStart, training_start
from paracosm.loop.short_rounds import ShortRounds
from paracosm.real.systems import pendulum
from tests.core.test_term_growth import QUIET
from tests.reporting.report_records import training

SHORT = ShortRounds(transitions=1000, labels=1000, horizon=200)


class State(NamedTuple):
    """Of a learner: a name, and where its branches go on."""

    name: str
    frontier_alive: np.ndarray = np.ones(3)


def rows(number: int) -> Dataset:
    """So many rows that were bought."""
    state, action = np.zeros((number, 1), np.float32), np.zeros((number, 1), np.float32)
    no, yes = np.zeros(number, bool), np.ones(number, bool)
    reward, episode, time = np.zeros(number), np.zeros(number, int), np.arange(number)
    return Dataset(state, action, state, reward, no, no, episode, time, yes, yes.copy())


def before(
    *returns: float,
    state: State,
    best: BestPolicy | None = None,
    explores: bool = False,
    rounds_of_this_policy: int = 1,
    reason: StopReason = StopReason.ROUND,
    gaps: tuple[float, ...] = (),
) -> Round:
    """A round whose training came to `state`."""
    record = dataclasses.replace(training(), stop_reason=reason)
    unread: Any = None
    learner: Any = SimpleNamespace(state=state)
    imagined = Imagined(unread, None, unread, record, learner)
    blank = Round(*[unread] * len(Round._fields))
    start = TrainingStart(returns, explores, rounds_of_this_policy, gaps=gaps, best=best)
    return blank._replace(start=start, imagined=imagined)


@pytest.fixture
def go_on(monkeypatch):
    def start(
        round: Round | None,
        mean_return_of_purchase: float | None,
        *,
        owned: int = 500,
        explores: bool = False,
        encoder_changed: bool = False,
        gap: float | None = None,
    ) -> TrainingStart:
        monkeypatch.setattr(ShortRounds, "explores", lambda *_: explores)
        learned = Learned(pendulum(), {})
        return training_start(
            SHORT,
            round,
            rows(owned),
            learned,
            mean_return_of_purchase=mean_return_of_purchase,
            audit_before=None if gap is None else dataclasses.replace(QUIET, gap=gap),
            encoder_changed=encoder_changed,
        )

    return start


def test_the_first_round_starts_anew(go_on):
    assert go_on(None, -1200.0) == TrainingStart((-1200.0,))
    assert go_on(None, -1200.0, explores=True).explores


def test_a_learner_goes_on_and_its_policy_is_the_best_by_what_it_collected(go_on):
    last = State("b")
    start = go_on(before(-1200.0, -300.0, state=last, best=BestPolicy(-300, 1, "a")), -130.0)
    assert start.returns == (-1200.0, -300.0, -130.0)
    assert start.state is last
    assert start.best == BestPolicy(-130.0, 1, last)
    assert start.earlier == (start.best, -1200.0, np.inf, False, False)


def test_the_last_round_trains_as_if_it_had_bought_all_transitions():
    """Of 20,000 steps at the most, of which a round of 500 transitions takes 4,000."""

    def steps(short: ShortRounds, owned: int) -> int:
        box = pendulum().spec.action
        return short.imagine_settings(500, rows(owned), Pathwise(), box).most_steps

    long, short = ShortRounds(7500, 7500, 50), ShortRounds(1500, 1500, 50)
    assert [steps(long, owned) for owned in (500, 7000, 7499, 7500)] == [4000, 4000, 4000, 20000]
    assert [steps(short, owned) for owned in (1000, 1500)] == [4000, 6000]


def test_the_usual_gap_is_the_median_of_the_last_third_and_of_three_at_the_least(go_on):
    two = before(-1200.0, state=State("a"), gaps=(-900.0, -40.0))
    assert go_on(two, -130.0).earlier.usual_gap == np.inf, "one is unknown"
    start = go_on(two, -130.0, gap=-50.0)
    assert start.gaps == (-900.0, -40.0, -50.0)
    assert start.earlier.usual_gap == -50.0, "one policy that fell does not say what is usual"
    four = before(-1200.0, state=State("a"), gaps=start.gaps)
    assert go_on(four, -130.0, gap=-45.0).earlier.usual_gap == -45.0
    many = before(-1200.0, state=State("a"), gaps=(-900.0,) * 8 + (-40.0, -50.0, -60.0))
    assert go_on(many, -130.0, gap=-10.0).earlier.usual_gap == -45.0, "four of twelve"
    assert go_on(many, -130.0).earlier.usual_gap == -50.0, "three of eleven"


def test_a_gap_counts_of_a_policy_that_its_round_trained_for_the_return(go_on):
    gaps = (-900.0, -40.0)
    for left_out in ({"explores": True}, {"reason": StopReason.EARLIER}):
        round = before(-1200.0, state=State("a"), gaps=gaps, **left_out)
        assert go_on(round, -130.0, gap=-50.0).gaps == gaps
    changed = go_on(
        before(-1.0, state=State("a"), gaps=gaps), -130.0, gap=-5.0, encoder_changed=True
    )
    assert changed.gaps == (), "its states were others"


def test_a_policy_that_was_led_astray_is_left_for_the_best_one(go_on):
    best = BestPolicy(-130.0, 1, State("a"))
    start = go_on(before(-1200.0, -130.0, state=State("b"), best=best), -900.0)
    assert start.best is best
    assert start.earlier is not None
    assert start.earlier.last_policy_failed
    assert start.state is best.state


def test_no_purchase_follows_the_last_round(go_on):
    round = before(-1200.0, state=State("a"))
    for owned, last in [(999, False), (1000, True)]:
        earlier = go_on(round, -130.0, owned=owned).earlier
        assert earlier is not None
        assert earlier.final_round is last


def test_a_policy_that_explored_is_neither_the_best_nor_astray(go_on):
    best = BestPolicy(-130.0, 1, State("a"))
    explored = before(-1200.0, -130.0, state=State("b"), best=best, explores=True)
    start = go_on(explored, -900.0)
    assert start.state is None, "it trains for something else now"
    assert start.best is best
    assert start.earlier is not None
    assert not start.earlier.last_policy_failed
    still = go_on(explored, -900.0, explores=True)
    assert still.state.name == "b"
    assert still.best is best
    assert still.earlier is None


def test_a_policy_that_brings_no_more_than_random_actions_is_begun_anew(go_on):
    failed = BestPolicy(-1250.0, 1, State("a"))
    lost = before(-1200.0, -1300.0, -1250.0, state=State("b"), best=failed, rounds_of_this_policy=3)
    start = go_on(lost, -1290.0)
    assert not start.explores, "it trains for the return"
    assert (start.state, start.best, start.earlier, start.rounds_of_this_policy) == (
        None,
        None,
        None,
        1,
    )
    young = go_on(lost._replace(start=lost.start._replace(rounds_of_this_policy=2)), -1290.0)
    assert (young.state.name, young.rounds_of_this_policy) == ("b", 3)


def test_a_lost_policy_is_left_for_a_better_one_where_there_is_one(go_on):
    best = BestPolicy(-130.0, 1, State("a"))
    lost = before(
        -1200.0, -130.0, -1300.0, -1250.0, state=State("b"), best=best, rounds_of_this_policy=4
    )
    start = go_on(lost, -1290.0)
    assert start.state is best.state
    assert start.best is best


def test_episodes_whose_return_is_not_known_make_no_policy_the_best(go_on):
    assert go_on(before(-1200.0, state=State("a")), None).best is None


def test_under_another_encoder_no_earlier_policy_means_what_it_did(go_on):
    best = BestPolicy(-130.0, 1, State("a"))
    start = go_on(before(-1200.0, state=State("b"), best=best), -100.0, encoder_changed=True)
    assert start.best is start.earlier is None
    assert start.state.name == "b"
    np.testing.assert_array_equal(start.state.frontier_alive, np.zeros(3))


def test_a_policy_that_was_given_back_is_the_mean_of_all_it_collected(go_on):
    best = BestPolicy(-130.0, 1, State("a"))
    round = before(-1200.0, state=State("a"), best=best, reason=StopReason.EARLIER)
    assert go_on(round, -150.0).best == BestPolicy(-140.0, 2, best.state)
