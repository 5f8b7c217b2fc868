"""Label noise by price: each closed form of the best price against a grid, tables, bad text in a
sentence.
"""

import numpy as np
import pytest

from paracosm.core.checks import BadArgument, BadData
from paracosm.planning.fidelity import (
    Bounded,
    FidelityTable,
    Floor,
    Power,
    UnlabelledRollout,
    parse,
    read_table,
)
from paracosm.reporting import caveat_words

FORMS = {
    "power:2.0,0.7": Power(2.0, 0.7),
    "bounded:3,10": Bounded(3.0, 10.0),
    "floor:0.5,4": Floor(0.5, 4.0),
}


@pytest.mark.parametrize("text", FORMS)
def test_text_names_a_law_whose_first_number_is_a_variance(text):
    law = parse(text)
    assert law == FORMS[text]
    at_two = {"power:2.0,0.7": 2 / 2**0.7, "bounded:3,10": 3 * 0.8, "floor:0.5,4": 0.5 + 2.0}
    assert law.variance(2.0) == pytest.approx(at_two[text], rel=1e-14)


def random_problems(number):
    """Laws of each kind with rollout prices and intrinsic variances over decades, zeros
    among them.
    """
    rng = np.random.default_rng(0)
    for i in range(number):
        scale, most = 10 ** rng.uniform(-2, 2, 2)
        kind = [
            Power(scale, rng.uniform(0.05, 3)),
            Bounded(scale, most),
            Floor(scale * rng.integers(2), most),
        ][i % 3]
        c0, v0 = 10 ** rng.uniform(-2, 2, 2) * (rng.random(2) < 0.8)
        least = 10 ** rng.uniform(-3, 0) * min(kind.dearest, 1)
        limits = least, min(kind.dearest, least * 10 ** rng.uniform(0.1, 4))
        yield kind, UnlabelledRollout(c0, v0, 10 ** rng.uniform(-2, 2)), limits


@pytest.mark.parametrize("number", [300, pytest.param(6000, marks=pytest.mark.full)])
def test_best_cost_is_never_above_a_fine_grid(number):
    inside = 0
    for law, rollout, (least, most) in random_problems(number):
        grid = np.geomspace(least, most, 2001)
        best = law.best_cost(rollout, least, most)
        value, brute = law.total(best, rollout), law.total(grid, rollout).min()
        assert brute * (1 - 1e-3) - 1e-12 <= value <= brute * (1 + 1e-12) + 1e-300
        assert least <= best <= most
        inside += least < best < most
    assert inside > number / 10


def test_power_law_has_the_root_of_theory_whatever_its_exponent():
    c0, v0, q = 1.3, 40.0, 6.0
    for p in (0.3, 1.0, 2.5):
        c = Power(2.0, p).best_cost(UnlabelledRollout(c0, v0, q), 1e-6, 1e6)
        terms = v0 * c ** (p + 1), (1 - p) * q * 2 * c, -p * c0 * q * 2
        assert abs(sum(terms)) < 1e-12 * max(map(abs, terms))


def test_floor_has_the_cost_and_value_of_theory():
    c0, v0, q, law = 1.3, 40.0, 6.0, Floor(0.5, 4.0)
    best = law.best_cost(UnlabelledRollout(c0, v0, q), 1e-6, 1e6)
    assert best == pytest.approx(np.sqrt(c0 * q * 4 / (v0 + q * 0.5)), rel=1e-14)
    value = (np.sqrt(c0 * (v0 + q * 0.5)) + np.sqrt(q * 4)) ** 2
    assert law.total(best, UnlabelledRollout(c0, v0, q)) == pytest.approx(value, rel=1e-14)


def test_bounded_is_worst_in_the_middle_and_the_end_follows_the_rule_of_theory():
    law = Bounded(3.0, 10.0)
    costs = np.linspace(0, 10, 101)
    assert costs[law.total(costs, UnlabelledRollout(0, 0, 1)).argmax()] == 5.0
    rng = np.random.default_rng(1)
    for c0, v0, q in 10 ** rng.uniform(-2, 2, (1000, 3)):
        dearest = law.best_cost(UnlabelledRollout(c0, v0, q), 1e-9, 10.0) == 10.0
        margin = c0 * q * 3.0 / (10.0 * v0)
        assert dearest == (margin > 1) or abs(margin - 1) < 1e-6


def test_table_is_read_sorted_and_sells_only_its_own_costs(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("cost,variance,who\n20,0,expert\n1,3,crowd\n5,1.5,student\n")
    table = read_table(path)
    assert table == parse(str(path)) == FidelityTable((1.0, 5.0, 20.0), (3.0, 1.5, 0.0))
    assert table.variance(np.array([5.0, 20.0])).tolist() == [1.5, 0.0]
    assert table.caveats == ()


def test_table_that_is_not_monotone_is_allowed_and_said():
    (caveat,) = FidelityTable((1.0, 5.0), (1.0, 1.5)).caveats
    assert caveat_words.sentence(caveat) == (
        "In the fidelity table a label of 5 is noisier than one of 1 (variance 1.5 against 1); the"
        " table is used as it is."
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("pwer:2,1", "there is no such file; power:A,p or"),
        ("power:2", "--fidelity is 'power:2'; power:A,p or"),
        ("power:2,x", "--fidelity is 'power:2,x'; power:A,p or"),
        ("power:-2,1", "A in --fidelity power:A,p is -2; it must be a positive number"),
        ("power:2,0", "p in --fidelity power:A,p is 0; it must be a positive number"),
        ("power:2,11", "p in --fidelity power:A,p is 11; it must be a positive number of at most"),
        ("bounded:1,inf", "most in --fidelity bounded:V,most is inf; it must be a positive number"),
        ("floor:-1,1", "V in --fidelity floor:V,A is -1; it must be at least 0"),
        ("floor:nan,1", "V in --fidelity floor:V,A is nan; it must be finite and at least 0"),
        ("floor:inf,1", "V in --fidelity floor:V,A is inf; it must be finite and at least 0"),
    ],
)
def test_bad_text_is_a_sentence(text, sentence):
    with pytest.raises(BadArgument) as refusal:
        parse(text)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    ("law", "numbers", "sentence"),
    [
        (Power, (-1.0, 1.0), "the scale of Power is -1; it must be a positive number."),
        (Power, (1.0, np.nan), "the exponent of Power is nan; it must be a positive number."),
        (Bounded, (0.0, 1.0), "the noisiest of Bounded is 0; it must be a positive number."),
        (Floor, (1.0, -2.0), "the scale of Floor is -2; it must be a positive number."),
    ],
)
def test_a_law_made_in_python_names_its_own_field(law, numbers, sentence):
    with pytest.raises(BadArgument) as refusal:
        law(*numbers)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("cost,variance\n1,2\n", "has 1 row(s); at least 2 are needed"),
        ("cost,variance\n", "has 0 row(s); at least 2 are needed"),
        ("price,variance\n1,2\n", "has columns price, variance; cost and variance are needed"),
        ("cost,variance\n1,2\n3\n", "line 3: 1 cells where there are 2 columns"),
        ("cost,variance\n1,2,3\n3,4\n", "line 2: 3 cells where there are 2 columns"),
        ("cost,variance,cost\n1,2,3\n3,4,5\n", "line 1: the column 'cost' is given twice"),
        ("cost,variance\n1,2\nx,3\n", "line 3: cost is 'x'; a number is needed"),
        ("cost,variance\n0,2\n1,3\n", "holds a cost of 0; a positive number is needed"),
        ("cost,variance\n1,-2\n2,3\n", "holds a variance of -2; a number of at least 0 is needed"),
        ("cost,variance\n1,nan\n2,3\n", "line 2: variance is nan; a finite number is needed"),
        ("cost,variance\n1,2\n1,3\n", "holds cost 1 twice"),
    ],
)
def test_bad_table_is_a_sentence(rows, sentence, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text(rows)
    with pytest.raises(BadData) as refusal:
        read_table(path)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize("variances", [(3.0, 2.0), ((3.0, 2.0, 1.0),) * 3])
def test_columns_of_other_lengths_or_of_rows_are_no_table(variances):
    with pytest.raises(BadData, match="as long as the other"):
        FidelityTable((1.0, 2.0, 3.0), variances)
