"""Short rounds: bought to the last transition, carried on, resumed to the same numbers."""

import dataclasses
import json
import math
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

import paracosm
from paracosm.core import checks
from paracosm.core.records.results import RunResult
from paracosm.core.records.stop_reason import StopReason
from paracosm.core.tracking import Tracker
from paracosm.imagination.earlier import BestPolicy
from paracosm.imagination.imagine import Imagined
from paracosm.imagination.pathwise import Pathwise, PathwiseSettings
from paracosm.imagination.settings import ImagineSettings
from paracosm.learning.learn import learn
from paracosm.learning.settings import FitSettings
from paracosm.loop import named_parts, partial_training, runner, short_rounds
from paracosm.loop.config import RunConfig
from paracosm.loop.load import audit_run
from paracosm.loop.short_rounds import (
    ShortRounds,
    best_of,
    learner_note,
    mean_episode_return,
    with_learner,
)
from paracosm.real import datasets
from paracosm.real.verbs import connect
from tests.loop.small import known_reward, numbers
from tests.reporting.report_records import training

SMALL = FitSettings(
    members=2, width=8, least_steps=5, most_steps=5, most_epochs=4, keep="last", balanced=True
)


@pytest.fixture
def small(monkeypatch):
    """Rounds of a second: networks and counts are small, everything else is as in use."""
    monkeypatch.setattr(short_rounds, "TRANSITIONS", 60)
    monkeypatch.setattr(short_rounds, "CHUNK", 5)
    monkeypatch.setattr(short_rounds, "STEPS_PER_TRANSITION", 0.1)
    monkeypatch.setattr(short_rounds, "_FIT", SMALL)
    learner = Pathwise(PathwiseSettings(branches=8, width=8))
    monkeypatch.setitem(named_parts.LEARNERS, "pathwise", lambda: learner)


def small_run(out, **options):
    options = {"transitions": 300, "episodes": 2, "horizon": 40, **options}
    return paracosm.run("Pendulum-v1", out=out, learner="pathwise", **options)


def stop_at(stage, round):
    """A progress that presses Ctrl-C in a stage of a round."""

    def stop(name, done, total, word=""):
        if name == f"{stage} (round {round})":
            raise KeyboardInterrupt

    return stop


@pytest.mark.full
@pytest.mark.usefixtures("small")
def test_a_run_in_short_rounds_resumes_to_the_same_result(tmp_path, monkeypatch):
    monkeypatch.setattr(partial_training, "SECONDS", 0)
    complete = small_run(tmp_path / "whole")
    assert complete.purchases.transitions == 300
    assert len(complete.trainings) == 4, "60 transitions and on to the end of an episode of 40"
    for number, stage in enumerate(["imagine 2", "audit 3", "imagine 4"]):
        with pytest.raises(KeyboardInterrupt):
            small_run(tmp_path / "run", progress=stop_at(*stage.split()), resume=number > 0)
        partial = list(tmp_path.glob("run/models/partial-*.eqx"))
        assert len(partial) == ("imagine" in stage), "the first chunk of that training is kept"
    tracker = Listing("imagine")
    resumed = small_run(tmp_path / "run", resume=True, tracker=tracker)
    assert len(tracker.rows) == len(resumed.trainings[-1].step) - 1
    assert not list(tmp_path.glob("run/models/partial-*"))
    assert numbers(resumed) == numbers(complete)
    assert [audit.transitions for audit in resumed.rounds] == [80, 160, 240]
    events = map(json.loads, (tmp_path / "run/events.jsonl").read_text().splitlines())
    finished = Counter(event["stage"] for event in events if event["event"] == "finished")
    assert [finished[f"audit-{round}"] for round in range(4)] == [1, 1, 1, 0]
    loaded = paracosm.load(tmp_path / "whole")
    assert loaded.data.real_steps == 300
    assert audit_run(loaded).gap.total == complete.diagnosis.gap.total
    assert complete.configuration["discount"] == "0.99"
    assert complete.configuration["learner.branches"] == "8"
    assert {"imagine.rates", "imagine.check"} < set(complete.configuration)
    assert "imagine.entropy" not in complete.configuration
    assert complete.trainings[-1].horizon == 5
    assert [training.step[-1] for training in complete.trainings] == [10, 10, 10, 30]
    for number in range(3):
        bought = datasets.load(tmp_path / f"whole/data/round-{number + 1}.npz")
        mode = dataclasses.replace(loaded, round=number).policy(bought.state)
        assert not np.allclose(bought.action, mode, atol=1e-5)
    np.testing.assert_array_equal(
        loaded.policy(np.zeros((1, 3), np.float32)),
        paracosm.load(tmp_path / "run").policy(np.zeros((1, 3), np.float32)),
    )


class Listing(Tracker):
    """The numbers of one stage, by step."""

    def __init__(self, stage):
        self.stage, self.rows = stage, []

    def log(self, stage, step, numbers):
        if stage == self.stage:
            self.rows.append((step, dict(numbers)))


@pytest.mark.usefixtures("small")
def test_a_round_is_audited_by_what_the_next_one_buys(tmp_path, monkeypatch):
    kept, train = [], runner.imagine

    def imagine(*arguments, keep, **named):
        kept.append(keep)
        return train(*arguments, keep=keep, **named)

    monkeypatch.setattr(runner, "imagine", imagine)
    listing = Listing("round")
    result = small_run(tmp_path / "run", transitions=150, reward_labels=75, tracker=listing)
    assert [training.step[-1] for training in result.trainings] == [10, 15], "as if all were bought"
    assert kept == [None, "best"], "nothing goes on from the last round"
    (audit,) = result.rounds
    assert (audit.round, audit.transitions, audit.steps, audit.episodes) == (0, 80, 70, 1)
    assert (audit.real_return, audit.gap, audit.reward) == (None, None, None)
    assert audit.edge_share == result.trainings[0].edge_share
    assert listing.rows == [(80, numbers_of(audit))]
    assert result.summary()["rounds"] == [audit.to_dict()]
    older = result.to_dict()
    del older["rounds"]
    assert RunResult.from_dict(older) == dataclasses.replace(result, rounds=())


def numbers_of(audit):
    """What a tracker gets of an audit whose rewards were not all bought."""
    names = "episodes steps predicted_return termination dynamics spread calibration edge_share"
    return {name: getattr(audit, name) for name in names.split()}


@pytest.mark.parametrize(
    ("transitions", "horizon"), [(1000, 200), (1200, 999), (30, 5), (60_000, 200)]
)
def test_rounds_buy_what_was_asked_for(transitions, horizon):
    rounds, owned, counts = ShortRounds(transitions, transitions // 2 + 1, horizon), 0, []
    labels = 0
    while (decision := rounds.decision(len(counts), owned)) is not None:
        spare = rounds.spare(decision, owned)
        assert 0 <= spare <= horizon
        counts.append(decision.transitions + spare)
        labels += rounds._labels(owned, counts[-1])
        assert labels >= 10
        owned += counts[-1]
    assert (owned, labels) == (transitions, transitions // 2 + 1)
    assert min(counts) > 0


@pytest.mark.parametrize(
    ("owned", "horizon", "bought"),
    [
        (0, 200, 500),
        (9_999, 200, 500),
        (20_000, 200, 900),
        (20_000, 1000, 500),
        (40_000, 1000, 1500),
        (40_000, 10_000, 1000),
    ],
)
def test_rounds_grow_with_what_is_owned(owned, horizon, bought):
    """To a twentieth, of which the way to the end of an episode is a part."""
    assert ShortRounds(50_000, 50_000, horizon).decision(3, owned).transitions == bought


def test_of_owned_rows_those_that_are_used_count():
    source = connect("Pendulum-v1")
    owned = source.collect(200, seed=0).buy(20, 20, 0)
    used, plain = ShortRounds(20, 20, 200), ShortRounds(30, 20, 200)
    assert used.is_last(owned)
    assert not plain.is_last(owned)
    assert not plain._too_late_to_restart(owned)
    learner = Pathwise(PathwiseSettings())
    many = source.collect(2000, seed=0)
    steps = [
        ShortRounds(len(data.transitions), 20, 200)
        .imagine_settings(len(data.transitions), data, learner, source.action)
        .most_steps
        for data in (many, many.buy(20, 20, 0))
    ]
    assert steps == [8000, 4000]


def test_a_run_on_owned_data_is_prepared_for_the_rows_that_it_uses(tmp_path, monkeypatch):
    def stop(short, round, bought_before):
        raise KeyboardInterrupt(short.transitions)

    data = connect("Pendulum-v1").collect(200, seed=0)
    datasets.save(data, tmp_path / "owned.npz")
    monkeypatch.setattr(ShortRounds, "decision", stop)
    options = {"data": str(tmp_path / "owned.npz"), "transitions": 30, "learner": "pathwise"}
    with pytest.raises(KeyboardInterrupt, match=r"^30$"):
        paracosm.run("Pendulum-v1", out=tmp_path / "run", **options)


def test_uninformative_rewards_are_explored_but_not_at_the_end():
    source = connect("MountainCarContinuous-v0")
    data = source.collect(100, seed=0)
    fit = FitSettings(members=1, width=4, most_epochs=1)
    learned = learn(data, source.spec(data), settings=paracosm.LearnSettings(fit=fit))
    assert ShortRounds(1000, 1000, 999).explores(data, learned)
    assert not ShortRounds(101, 101, 999).explores(data, learned)


@pytest.mark.parametrize(
    ("returns", "tried", "lost"),
    [
        ([-500, -500, -500], 2, False),
        ([-500, -500, -500, -500], 3, True),
        ([-500, -500, -500, -500, -500], 1, False),
        ([-500, -109, -500, -500, -500], 4, True),
        ([-500, -500, -500, -109], 3, False),
        ([21, 15, 18, None, 9], 4, False),
    ],
)
def test_a_policy_whose_rounds_bring_no_more_than_random_actions_is_lost(returns, tried, lost):
    data = connect("Pendulum-v1").collect(100, seed=0)
    assert ShortRounds(1000, 1000, 200).is_lost(data, returns, tried) is lost
    assert not ShortRounds(110, 110, 200).is_lost(data, returns, tried), "too late to begin anew"


def test_the_best_policy_is_revised_by_what_it_collects_again():
    def imagined(state, reason=StopReason.ROUND):
        record = dataclasses.replace(training(), stop_reason=reason)
        return Imagined(None, None, None, record, SimpleNamespace(state=state))

    first = best_of(None, 100.0, imagined("a"), 0.0)
    assert best_of(first, 50.0, imagined("b"), 0.0) == first
    assert best_of(first, 98.9, imagined("b"), 0.0) == first
    assert best_of(first, 150.0, imagined("b"), 0.0) == BestPolicy(150.0, 1, "b")
    again = best_of(first, 50.0, imagined("a", StopReason.EARLIER), 0.0)
    assert again == BestPolicy(75.0, 2, "a")
    again = best_of(again, 0.0, imagined("a", StopReason.EARLIER), 0.0)
    assert again == BestPolicy(50.0, 3, "a")


def test_of_policies_that_are_as_good_the_last_one_counts_as_the_best():
    """Their purchases are few episodes, and the world of the last one knew most."""
    first, last = BestPolicy(100.0, 1, "a"), BestPolicy(99.1, 1, "b")
    record = dataclasses.replace(training(), stop_reason=StopReason.ROUND)
    now = Imagined(None, None, None, record, SimpleNamespace(state="b"))
    assert best_of(first, 99.1, now, random_return=0.0) == last
    assert best_of(first, 99.1, now, random_return=math.inf) == first
    assert best_of(first, 99.1, now, random_return=50.0) == first


@pytest.mark.parametrize(
    ("returns", "best", "astray"),
    [
        ([47, 9356, 1898], 9356, True),
        ([47, 9356, 9000], 9356, False),
        ([-1200, -130, -250], -130, False),
        ([-1200, -130, -900], -130, True),
        ([-500, -500, -500], -500, False),
        ([20, 10, 4], 10, False),
        ([None, 10, 1], 10, False),
        ([2, 10, None], 10, False),
    ],
)
def test_a_policy_is_led_astray_that_brings_less_than_half_of_the_best(returns, best, astray):
    assert ShortRounds(1000, 1000, 200).is_astray(returns, best) is astray


def test_the_return_of_a_purchase_is_of_whole_episodes():
    data = connect("CartPole-v1").collect(200, seed=0, lanes=1)
    lengths = np.unique(data.episode, return_counts=True)[1]
    assert not data.terminated[-1]
    assert mean_episode_return(data, 500) == pytest.approx(lengths[:-1].mean())
    purchase = data.buy(transitions=200, labels=50, seed=0)
    assert mean_episode_return(purchase, 500) == pytest.approx(lengths[:-1].mean())
    assert mean_episode_return(data.buy(transitions=200, labels=0, seed=0), 500) is None
    cut = connect("Pendulum-v1").collect(60, seed=0, lanes=1)
    assert mean_episode_return(cut, 200) is None
    survives = dataclasses.replace(data, terminated=data.terminated & (data.episode == 0))
    assert mean_episode_return(survives, 500) is None, "one fell at once, the others are cut"


def test_few_labels_say_nothing_of_a_purchase_and_a_known_reward_all():
    data = connect("paracosm.real.systems:pendulum").collect(400, seed=0, lanes=1)
    every = mean_episode_return(data, 200)
    assert mean_episode_return(data, 200, known_reward) == every
    for labels, known in ((39, False), (40, True)):
        purchase = data.buy(transitions=400, labels=labels, seed=0)
        assert (mean_episode_return(purchase, 200) is not None) is known
        mean = mean_episode_return(purchase, 200, known_reward)
        assert mean == pytest.approx(every, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"budget": 1e5, "rounds": 2}, "--budget"),
        ({"rounds": 3}, "--rounds"),
        ({"noise": 0.3}, "--noise"),
        ({"imagine_settings": ImagineSettings(horizon=5)}, "--imagine"),
        ({"transitions": 100, "reward_labels": 200}, "--reward-labels is 200"),
    ],
)
def test_what_short_rounds_would_ignore_is_refused(tmp_path, options, name):
    with pytest.raises(checks.BadArgument, match=name):
        paracosm.run("Pendulum-v1", out=tmp_path / "run", learner="pathwise", **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "learner"),
    [
        ({}, "pathwise"),
        ({"transitions": 900, "seed": 3, "discount": 0.9, "episodes": 100}, "pathwise"),
        ({"budget": 1e5, "rounds": 2}, "reinforce"),
        ({"rounds": 3}, "reinforce"),
        ({"noise": 0.3}, "reinforce"),
        ({"imagine": ImagineSettings(horizon=5)}, "reinforce"),
        ({"transitions": 100, "reward_labels": 200}, "reinforce"),
        ({"rounds": 3, "learner": "pathwise"}, "pathwise"),
        ({"learner": "reinforce"}, "reinforce"),
    ],
)
def test_a_run_is_of_pathwise_unless_only_reinforce_has_what_is_given(options, learner):
    config = RunConfig("Pendulum-v1", **options)
    assert with_learner(config).learner == learner
    has_reason = learner == "reinforce" and "learner" not in options
    assert learner_note(config).startswith("The learner is reinforce, since --") == has_reason


def test_a_known_reward_without_a_derivative_is_refused_before_anything_is_bought(tmp_path):
    options = {"reward": "tests.loop.small:reward_without_derivative"}
    with pytest.raises(checks.BadArgument, match=r"no derivative .*--learner reinforce does not"):
        paracosm.run("Pendulum-v1", out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_an_unknown_learner_is_refused(tmp_path):
    with pytest.raises(checks.ParacosmError, match="--learner"):
        paracosm.run("Pendulum-v1", out=tmp_path / "run", learner="sac")
