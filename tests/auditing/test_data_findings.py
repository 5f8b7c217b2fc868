"""What is odd about recorded steps: each corruption is noticed, and sound data are not."""

import dataclasses

import numpy as np
import pytest

from paracosm.auditing.describing import described
from paracosm.auditing.linter.data import data_findings
from paracosm.core import checks
from paracosm.core.columns import COLUMNS
from paracosm.core.data import Dataset
from paracosm.core.records.data import DataSummary
from paracosm.loop.describing import describe_data
from paracosm.reporting import data_words


def pendulum(lengths, seed=0, limited=True):
    """Noisy swings of a pendulum in episodes that are cut, or that end at an angle of 0.1."""
    rng = np.random.default_rng(seed)
    rows = []
    for number, length in enumerate(lengths):
        state = rng.normal(size=2)
        for time in range(length):
            action = rng.uniform(-1, 1, 1)
            after = state + 0.1 * np.array([state[1], action[0] - np.sin(state[0])])
            last = time == length - 1
            rows.append((state, action, after, -(state[0] ** 2), number, time, last))
            state = after
    state, action, after, reward, episode, time, last = map(np.array, zip(*rows, strict=True))
    owned = np.ones(len(rows), bool)
    return Dataset(
        state=state.astype(np.float32),
        action=action.astype(np.float32),
        next_state=after.astype(np.float32),
        reward=reward,
        terminated=last & ~limited,
        truncated=last & limited,
        episode=episode,
        time=time,
        has_transition=owned,
        has_label=owned,
    )


def chosen(data, rows):
    return dataclasses.replace(data, **{name: getattr(data, name)[rows] for name in COLUMNS})


def kinds(data):
    return [finding.kind for finding in data_findings(data)]


SOUND = {
    "cut at a limit": lambda seed: pendulum([60] * 8, seed),
    "cut at several lengths": lambda seed: pendulum([30, 60, 45, 60, 12, 1], seed),
    "ended by a rule": lambda seed: pendulum(
        np.random.default_rng(seed).geometric(0.03, 20) + 1, seed, limited=False
    ),
    "one episode": lambda seed: pendulum([200], seed),
    "short ones": lambda seed: pendulum([2] * 30, seed),
}


@pytest.mark.parametrize("make", SOUND.values(), ids=SOUND)
@pytest.mark.parametrize("seed", [0, 1, pytest.param(2, marks=pytest.mark.full)])
def test_nothing_is_odd_about_sound_data(make, seed):
    assert kinds(make(seed)) == []


def as_terminations(data):
    return dataclasses.replace(data, terminated=data.truncated, truncated=data.terminated)


def reset_by_itself(data):
    after = data.next_state.copy()
    first = np.flatnonzero(data.time == 0)[1:]
    after[first - 1] = data.state[first]
    return dataclasses.replace(data, next_state=after)


def still(name, column):
    def change(data):
        values = getattr(data, name).copy()
        values[..., column] = 3.0
        return dataclasses.replace(data, **{name: values})

    return change


def leap(data):
    after = data.next_state.copy()
    after[100] += 20
    state = data.state.copy()
    state[101] += 20
    return dataclasses.replace(data, next_state=after, state=state)


def repeated_rows(data):
    rows = np.sort(np.append(np.arange(len(data.state)), np.arange(70, 100)))
    copy = chosen(data, rows)
    return dataclasses.replace(copy, time=copy.time + np.arange(len(rows)))


def constant_state(data):
    return still("next_state", 1)(still("state", 1)(data))


ODD = {
    "time limits as terminations": as_terminations,
    "auto-reset observations": reset_by_itself,
    "repeated episodes": lambda data: data.join(chosen(data, data.episode == 3)),
    "repeated rows": repeated_rows,
    "jumps": leap,
    "missing steps": lambda data: chosen(data, ~np.isin(np.arange(len(data.state)), [20, 21, 90])),
    "unknown starts": lambda data: chosen(data, (data.time > 0) | (data.episode != 2)),
    "constant states": constant_state,
    "constant actions": still("action", 0),
    "constant reward": lambda data: dataclasses.replace(data, reward=np.ones(len(data.reward))),
}


@pytest.mark.parametrize("kind", ODD)
def test_each_corruption_is_noticed_and_said(kind):
    data = ODD[kind](pendulum([60] * 8))
    findings = {finding.kind: finding for finding in data_findings(data)}
    # What starts late, or jumps, is what resets and repeated rows are, too.
    assert set(findings) - {"jumps", "unknown starts", "missing steps", kind} == set()
    sentence = data_words.with_sentence(findings[kind]).sentence
    assert sentence.endswith(".")
    assert "nan" not in sentence


def test_the_evidence_is_that_of_the_corruption():
    base = pendulum([60] * 8)

    def numbers(kind):
        return next(f for f in data_findings(ODD[kind](base)) if f.kind == kind).numbers

    assert numbers("time limits as terminations") == {"count": 8, "step": 60, "ends": 8}
    assert numbers("auto-reset observations") == {"count": 7, "ends": 7}
    assert numbers("repeated episodes") == {"count": 1, "first": 8}
    assert numbers("repeated rows") == {"count": 30, "rows": 510}
    assert numbers("missing steps") == {"count": 3, "places": 2}
    assert numbers("unknown starts") == {"count": 1, "episodes": 8}
    jump = numbers("jumps")
    assert (jump["count"], jump["episode"]) == (2, 1)  # there and back
    assert jump["time"] in (40, 41)
    constant = data_findings(constant_state(base))
    assert constant[0].components == (1,)
    assert data_words.with_sentence(constant[0]).sentence == (
        "s[1] of 2 components of the state never changes."
    )


def test_equal_steps_of_a_small_world_are_no_wonder():
    rng = np.random.default_rng(0)
    data = pendulum([60] * 8)
    place = rng.integers(0, 4, 480)[:, None] * np.ones((1, 2), np.float32)
    small = dataclasses.replace(
        data, state=place, next_state=place, action=rng.integers(0, 2, 480).astype(np.int32)
    )
    assert "repeated rows" not in kinds(small)


def test_a_summary_counts_and_measures_and_comes_back_from_json():
    data = pendulum([30, 60, 45], limited=False).buy(100, 60, seed=0)
    summary = described(data, "here", left_out=3, remarks=("A remark.",))
    assert (summary.rows, summary.episodes, summary.shortest, summary.longest) == (135, 3, 30, 60)
    assert summary.median_length == 45
    assert summary.terminated == data.terminated.sum()
    unowned = int((~data.has_transition)[data.episode_starts - 1].sum())
    assert (summary.cut, summary.end_unknown) == (0, unowned)
    assert summary.terminated + unowned == 3
    assert (summary.transitions_missing, summary.labels_missing) == (35, 75)
    assert summary.returns is None
    for i in (0, 1):
        assert summary.states[i].low == data.state[:, i].min()
        assert summary.states[i].mean == pytest.approx(data.state[:, i].mean(), rel=1e-5)
    assert summary.reward.high == np.nanmax(data.reward)
    assert DataSummary.from_json(summary.to_json()) == summary
    complete = described(pendulum([30, 60, 45]), "here")
    returns = [
        pendulum([30, 60, 45]).reward[rows].sum() for rows in np.split(np.arange(135), [30, 90])
    ]
    assert complete.returns.low == pytest.approx(min(returns))
    assert complete.returns.mean == pytest.approx(np.mean(returns))


def test_a_recorded_cut_is_known_whatever_was_bought():
    summary = described(pendulum([30, 60, 45]).buy(10, 135, seed=0), "here")
    assert (summary.terminated, summary.cut, summary.end_unknown) == (0, 3, 0)


def test_an_end_that_was_not_bought_is_unknown_and_no_cut():
    ended = pendulum([1] * 10, limited=False)
    summary = described(ended.buy(4, 10, seed=0), "here")
    assert (summary.terminated, summary.cut, summary.end_unknown) == (4, 0, 6)
    said = dict(data_words.facts(summary))["episodes"]
    assert said.endswith("0 were cut, 6 without the transition that says how they end")


def test_a_data_set_without_steps_is_refused_in_one_sentence():
    with pytest.raises(checks.BadData, match=r"the data set has no steps; at least one is needed"):
        describe_data(pendulum([5]).first(0))
