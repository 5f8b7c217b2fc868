"""Rankings on the page and in the terminal: every number, 80 columns, what is open said so."""

import dataclasses
import html

import pytest

from paracosm.core.records import Estimate
from paracosm.core.records.ranking import (
    BoughtEpisodes,
    HorizonFlips,
    Ordering,
    PolicyPair,
    RankedPolicy,
    Ranking,
)
from paracosm.reporting import ranking_words, render
from paracosm.reporting.figures import plot_ranking_returns
from tests.reporting import report_records
from tests.reporting.test_page import HOSTILE, Balanced
from tests.reporting.test_terminal import shown

NAMES = ("runs/a-rather-long-name-of-a-run", "runs/b", "runs/c")


def _estimate(mean, half):
    return Estimate(mean, mean - half, mean + half, 20, "mean")


def record(names=NAMES, **changes):
    """The best policy looks worse than the second in imagination; the last pair is open."""
    first, second, third = names
    policies = tuple(
        RankedPolicy(name, _estimate(-100.0 - 10 * n, 30.0), _estimate(-90.0 - n, 3.0))
        for n, name in enumerate(names)
    )
    pairs = (
        PolicyPair(first, second, _estimate(10.0, 4.0), _estimate(-8.0, 2.0), Ordering.FLIPS),
        PolicyPair(first, third, _estimate(20.0, 5.0), _estimate(7.0, 2.0), Ordering.AGREES),
        PolicyPair(second, third, _estimate(10.0, 14.0), _estimate(1, 2), Ordering.UNDECIDED),
    )
    bought = BoughtEpisodes(
        dict(zip(names, (30, 40, 20), strict=True)), False, 0.0, 0.95, 10, 90, False, 70
    )
    plain = Ranking(
        policies=policies,
        pairs=pairs,
        flips=Estimate(1 / 3, 1 / 3, 2 / 3, 3, "share"),
        tau=Estimate(1 / 3, -1 / 3, 1 / 3, 3, "τ"),
        regret=_estimate(10.0, 4.0),
        chosen=second,
        horizons=(HorizonFlips(100, 0, ()), HorizonFlips(200, 1, (first, second))),
        safe_horizon=100,
        level=0.95,
        discount=1.0,
        bought=bought,
        env="Pendulum-v1",
        real_steps=18_300,
    )
    return dataclasses.replace(plain, **changes)


def _flat(text):
    return " ".join(text.split())


def _numbers(ranking):
    rows = [
        *ranking_words.policy_rows(ranking),
        *ranking_words.pair_rows(ranking),
        *ranking_words.measure_rows(ranking),
    ]
    return [cell for row in rows for cell in row]


def test_the_terminal_says_every_number_in_80_columns_and_the_verdict_last():
    ranking = record()
    text = shown(ranking)
    assert max(map(len, text.splitlines())) <= 80
    assert all(cell in text for cell in _numbers(ranking) if "/" not in cell)
    assert _flat(text).endswith(ranking_words.verdict(ranking))
    for note in ranking_words.notes(ranking):
        assert note in _flat(text)


def test_the_page_says_every_number():
    ranking = record()
    text = html.unescape(_flat(" ".join(Balanced(render(ranking)).text)))
    rows = [*ranking_words.horizon_rows(ranking), *ranking_words.episode_rows(ranking.bought)]
    for cell in [*_numbers(ranking), *(cell for row in rows for cell in row)]:
        assert cell in text
    assert ranking_words.verdict(ranking) in text
    assert ranking_words.purchase(ranking) in text


def test_a_page_says_that_its_returns_are_discounted():
    text = _flat(" ".join(Balanced(render(record(discount=0.95))).text))
    assert "Returns are discounted by 0.95 a step." in text
    axes = plot_ranking_returns(record(discount=0.95)).axes[0]
    assert axes.get_xlabel() == "return of a whole episode, discounted by 0.95 a step"


def test_names_are_text():
    names = (f"1{HOSTILE}", f"2{HOSTILE}", "[bold]x[/bold]")
    page = render(record(names))
    assert HOSTILE not in page
    assert "[bold]x[/bold]" in shown(record(names))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "2 of 3 pairs are sure"),
        ({}, "Imagination takes runs/b for the best, which costs 10.0 [6.0, 14.0]"),
        ({}, "1 of 3 pairs certainly flips"),
        ({"chosen": NAMES[0]}, "Imagination takes it for the best, too"),
        (
            {"chosen": NAMES[0], "tied": NAMES[1:]},
            f"In imagination {NAMES[0]}, runs/b and runs/c are equally good, and none is better;"
            " taking any of them costs 10.0 [6.0, 14.0].",
        ),
    ],
)
def test_the_verdict_says_what_is_sure_and_what_imagination_chose(changes, sentence):
    assert sentence in ranking_words.verdict(record(**changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sure": True}, "the order of all is sure with 95% confidence."),
        ({"sure": True, "best": True}, "is the best with 95% confidence."),
        ({"sure": True, "within": 5.0}, "up to differences of 5."),
    ],
)
def test_the_verdict_says_what_was_to_be_sure(changes, sentence):
    bought = dataclasses.replace(record().bought, **changes)
    assert sentence in ranking_words.verdict(record(bought=bought))


def test_the_purchase_is_put_beside_a_design_of_equal_numbers():
    text = ranking_words.purchase(record())
    assert "90 real episodes were played, all that were allowed (90)" in text
    assert "18,300 real steps" in text
    assert "about 70 of each, 210 in all" in text
    unknown = dataclasses.replace(record().bought, equal=None)
    assert "cannot be told" in ranking_words.purchase(record(bought=unknown))
    assert ranking_words.purchase(record(bought=None)) == ""


def test_the_safe_horizon_names_what_flips_after_it():
    assert "100 of 200 steps; in 200 steps" in ranking_words.safe_horizon(record())
    assert "at no horizon up to all 200" in ranking_words.safe_horizon(record(safe_horizon=200))


def _open(pairs):
    return tuple(dataclasses.replace(p, ordering=Ordering.UNDECIDED) for p in pairs)


def test_no_safe_horizon_is_known_where_no_pair_is_decided():
    """Stored rankings hold the longest horizon then, newer ones None."""
    plain = record()
    none = tuple(dataclasses.replace(at, flips=0, example=()) for at in plain.horizons)
    for safe in (None, 200):
        changed = record(pairs=_open(plain.pairs), horizons=none, safe_horizon=safe)
        assert "not known, since imagination's order of every pair" in ranking_words.safe_horizon(
            changed
        )
        assert "not known, since imagination's order of every pair" in ranking_words.of_checkpoints(
            changed
        )
        assert Ranking.from_json(changed.to_json()) == changed


def test_flips_at_a_short_horizon_and_over_whole_episodes_are_kept_apart():
    first, second, _ = NAMES
    flips = (HorizonFlips(1, 1, (first, second)), HorizonFlips(30, 0, ()))
    changed = record(pairs=_open(record().pairs)[:1], horizons=flips, safe_horizon=0)
    assert "0 of 30 steps; in 1 step runs" in ranking_words.safe_horizon(changed)
    assert (
        "Over whole episodes no pair certainly flips; whether imagination orders the one pair as"
        " the real returns do is open."
    ) in ranking_words.verdict(changed)


def test_an_order_that_is_sure_is_not_called_open_where_imagination_is():
    """The real order is sure, and imagination's is not: pairs were said to be open and sure."""
    first, second, third = record().pairs
    sure = tuple(
        dataclasses.replace(pair, real=first.real, ordering=Ordering.UNDECIDED)
        for pair in (first, second, third)
    )
    changed = record(pairs=sure, bought=None, safe_horizon=None, horizons=record().horizons[:1])
    assert "the order of all is sure" in ranking_words.verdict(changed)
    assert "whether imagination orders 3 of 3 pairs" in ranking_words.verdict(changed)
    assert "more real episodes" not in ranking_words.of_checkpoints(changed)
    alone = record(names=NAMES, pairs=(third,), bought=None)
    assert "whether it is better is open" in ranking_words.verdict(alone)


def test_the_best_alone_is_counted_against_the_others():
    bought = dataclasses.replace(record().bought, best=True)
    assert "surely above 2 of the 2 others" in ranking_words.verdict(record(bought=bought))


def test_a_table_that_leaves_pairs_out_says_so():
    many = record(pairs=record().pairs[2:] * 40)
    assert "The table shows 28 of 40 pairs" in _flat(shown(many))
    assert "The table shows" not in shown(record())


def test_many_policies_have_letters_of_their_own():
    names = [f"round {n}" for n in range(60)]
    policies = tuple(RankedPolicy(name, _estimate(0, 1), _estimate(0, 1)) for name in names)
    letters = ranking_words.letters(record(policies=policies))
    assert len(set(letters.values())) == 60
    assert letters["round 0"] == "A"


def test_an_audit_repeats_what_ranking_says_of_its_run():
    diagnosis = dataclasses.replace(report_records.diagnosis(), ranking=record())
    sentence = ranking_words.of_checkpoints(record())
    assert sentence in html.unescape(render(diagnosis))
    assert sentence in " ".join(shown(diagnosis).split())
    page = render(dataclasses.replace(diagnosis, ranking=record(names=(HOSTILE, "b", "c"))))
    assert HOSTILE not in page
