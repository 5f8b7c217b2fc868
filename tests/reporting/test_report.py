"""The report stays readable: what matters first, the rest folded, numbers behind every chart."""

import dataclasses
import itertools
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from paracosm.auditing.advice import advise
from paracosm.auditing.verdict import verdict_on
from paracosm.core.records.rounds import RoundAudit
from paracosm.core.records.stop_reason import StopReason
from paracosm.reporting import chart_tables, fold_words, render, round_words
from tests.auditing import gaps
from tests.auditing.gaps import estimate
from tests.reporting import report_records as records
from tests.reporting import test_calibration, test_ranking
from tests.reporting.test_page import VOID

STYLE = Path(chart_tables.__file__).with_name("templates") / "style.css"


def audits(count=2):
    first = RoundAudit(
        0, 1_000, 4, 800, -900.0, -700.0, -200.0, -20.0, 0.0, -180.0, 90.0, 3.1, 0.01
    )
    return tuple(
        dataclasses.replace(first, round=n, transitions=1_000 * (n + 1)) for n in range(count)
    )


def full_run(**changes):
    """A run of three rounds, with everything that a report can show."""
    diagnosis = records.diagnosis(
        calibration=test_calibration.calibration(), ranking=test_ranking.record()
    )
    parts = {"diagnosis": diagnosis, "rounds": audits(), "trainings": (records.training(),) * 3}
    return records.run(**{**parts, **changes})


class Outline(HTMLParser):
    """Which tags stand in which: of every figure its details, of every id the cells below it, of
    every element the closed folds around it.
    """

    def __init__(self, page):
        super().__init__()
        self.stack, self.figures, self.cells, self.folded, self.summaries = [], [], {}, {}, []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag in VOID:
            return
        self.stack.append((tag, attributes))
        if tag == "figure":
            self.figures.append(attributes)
        if tag == "summary":
            self.summaries.append("")
        for _, around in self.stack:
            if tag == "td" and "id" in around:
                self.cells[around["id"]] = self.cells.get(around["id"], 0) + 1
        if "id" in attributes:
            folds = [name == "details" and "open" not in a for name, a in self.stack]
            self.folded[attributes["id"]] = any(folds)

    def handle_endtag(self, tag):
        self.stack.pop()

    def handle_data(self, data):
        if any(name == "summary" for name, _ in self.stack):
            self.summaries[-1] += data


@pytest.fixture(scope="module")
def outline():
    return Outline(render(full_run()))


def test_every_chart_has_its_numbers(outline):
    """`aria-details` names the table that says what the figure shows."""
    assert len(outline.figures) > 10
    for figure in outline.figures:
        assert outline.cells[figure["aria-details"]] >= 2, figure


def test_no_chart_stands_outside_a_figure(outline):
    page = render(full_run())
    figures = "".join(re.findall(r"<figure.*?</figure>", page, flags=re.S))
    assert figures.count("<svg") == page.count("<svg") == len(outline.figures)


def test_what_matters_is_open_and_the_rest_is_folded(outline):
    for name in ("verdict", "gap", "gap-numbers", "rollouts"):
        assert not outline.folded[name], name
    rest = ("believed", "bounds", "spread", "checkpoints", "along", "training", "learning")
    for name in (*rest, "data", "configuration", "reading", "references"):
        assert outline.folded[name], name


def test_every_fold_says_what_is_in_it(outline):
    """A title and its most telling number; only tables of a chart are named alike."""
    sections = [text for text in outline.summaries if "Its numbers" not in text]
    assert len(sections) >= 12
    assert all(len(text.split()) >= 4 for text in sections), sections
    assert len(set(sections)) == len(sections)


def test_navigation_names_what_is_there():
    page = render(full_run())
    nav = page[page.index("<nav") : page.index("</nav>")]
    linked = re.findall('href="#([^"]+)"', nav)
    assert {"gap", "rollouts", "checkpoints", "references"} <= set(linked)
    assert all(f'id="{name}"' in page for name in linked)


def test_checkpoints_of_all_rounds():
    rows = round_words.checkpoint_rows(full_run())
    assert [row[:2] for row in rows] == [("1", "1,000"), ("2", "2,000"), ("3", "5,000")]
    assert rows[0][2:] == ("−900", "−700", "−200", "4")
    assert rows[-1][2] == "−134"
    assert rows[-1][-1] == "20"


def test_round_that_was_not_audited_keeps_its_row():
    rows = round_words.checkpoint_rows(full_run(rounds=audits()[1:]))
    assert rows[0] == ("1", "–", "–", "–", "–", "–")
    assert rows[1][0] == "2"


def test_run_of_one_round_has_no_checkpoints():
    page = render(records.run())
    assert 'id="checkpoints"' not in page
    assert "paracosm rank" not in page
    unranked = full_run(diagnosis=records.diagnosis())
    assert "run paracosm rank on this run" in " ".join(render(unranked).split())


def test_thinned_numbers_hold_both_ends():
    diagnosis = records.diagnosis()
    signed, sizes = chart_tables.running_sums(diagnosis)
    assert len(signed.rows) == 21
    assert (signed.rows[0][0], signed.rows[-1][0]) == ("1", "200")
    reward = diagnosis.causes["reward"]
    last = float(sizes.rows[-1][1].replace(",", ""))
    assert math.isclose(last, sum(reward.absolute), rel_tol=6e-3)


def test_numbers_of_an_episode_that_ends_early():
    overlay = records.overlay(0, stop=50)
    (table,) = chart_tables.rollouts(overlay, [0, 2])
    after = [row for row in table.rows if int(row[0]) > 50]
    assert after
    assert all(row[3] == "–" and row[2] != "–" for row in after)


def test_folds_say_when_and_which():
    diagnosis = records.diagnosis()
    sizes = {name: sum(cause.absolute) for name, cause in diagnosis.causes.items()}
    assert f"half of the {max(sizes, key=sizes.get)} term’s size by step" in fold_words.steps(
        diagnosis
    )
    still = {
        name: dataclasses.replace(cause, absolute=(0.0,) * len(cause.absolute))
        for name, cause in diagnosis.causes.items()
    }
    assert fold_words.steps(records.diagnosis(causes=still)) == "no cause is more than rounding"


@pytest.mark.parametrize(
    ("term", "remainder", "sentence"),
    [
        ((-2.0, 0.5), (-0.1, 0.1), "most in component 5"),
        ((0.0007, 0.003), (0.0, 0.001), "in no component clearly"),
        ((-0.5, 0.1), (-2.0, 0.1), "in no component clearly: the split leaves −2"),
        ((0.0, 1.0), (385.0, 100.0), "in no component clearly: the split leaves 385"),
        ((0.0, 0.0), (0.0, 0.0), "no component is more than rounding"),
    ],
)
def test_no_component_is_named_that_is_unsure_or_less_than_what_is_left_over(
    term, remainder, sentence
):
    split = dataclasses.replace(
        records.diagnosis().dynamics_by_dimension,
        dimensions=(estimate(0.0, 0.0),) * 5 + (estimate(*term),),
        remainder=estimate(*remainder),
        components=(),
    )
    assert fold_words.components(records.diagnosis(dynamics_by_dimension=split)).startswith(
        sentence
    )


@pytest.mark.parametrize(
    ("terms", "remainder", "fold", "advised"),
    [
        (((5.0, 6.0), (4.0, 1.0)), 0.0, "clearly in component 1, ", (1,)),
        (((5.0, 1.0), (0.0, 0.0)), -6.0, "in no component clearly: the split leaves −6", ()),
        (((5.0, 1.0), (4.0, 1.0), (1.0, 0.1)), 3.0, "most in component 0, ", (0, 1)),
        (((9.0, 12.0), (4.0, 1.0)), -6.0, "in no component clearly", ()),
    ],
)
def test_the_fold_and_the_advice_name_the_same_component(terms, remainder, fold, advised):
    dynamics = gaps.gap({"dynamics": (9.0, 2.0)})
    fields, decision = gaps.evidence(), verdict_on(dynamics)
    split = dataclasses.replace(
        records.diagnosis().dynamics_by_dimension,
        dimensions=tuple(estimate(*term) for term in terms),
        remainder=estimate(remainder, 1.0),
        components=(),
    )
    assert fold_words.components(records.diagnosis(dynamics_by_dimension=split)).startswith(fold)
    assert advise(dynamics, decision, fields["causes"], split, ()).components == advised


def test_the_fold_of_costs_has_their_errors_and_no_price_that_no_gradient_sees():
    first, steepest = records.diagnosis().weights
    measured = dataclasses.replace(first, unsure={"dynamics": 0.4})
    assert fold_words.costs(records.diagnosis(weights=(measured, steepest))) == (
        "of the dynamics 3.20 ± 0.400 a unit, of the reward 0.900 a unit, ± one standard error"
    )
    flat = [dataclasses.replace(weights, dynamics=0.0) for weights in (first, steepest)]
    assert fold_words.costs(records.diagnosis(weights=tuple(flat))) == (
        "of the dynamics nothing that a gradient sees, of the reward 0.900 a unit"
    )


def test_a_single_informative_step_is_one():
    assert fold_words.rollouts(records.diagnosis(informative_horizon=1)).endswith("for 1 step")


def test_checkpoints_of_a_planner_are_not_to_be_ranked():
    planned = records.training(stop_reason=StopReason.PLANNED)
    result = full_run(trainings=(planned, planned), diagnosis=records.diagnosis())
    assert fold_words.checkpoints(result.diagnosis, result) == "2 checkpoints"
    assert "paracosm rank" not in round_words.checkpoint_note(result, None)


# Linear sRGB as it is seen without one kind of cone: Machado, Oliveira & Fernandes 2009,
# severity 1.
BLIND = {
    "none": np.eye(3),
    "red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "blue": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
LAB = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
OKLAB = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]


def schemes():
    """The colours of the light and of the dark page, linear, by name."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE.read_text(encoding="utf-8"), flags=re.S)
    for block in blocks:
        colors = dict(re.findall(r"--([a-z-]+): #([0-9a-f]{6})", block))
        yield {name: linear(color) for name, color in colors.items()}


def linear(color):
    values = np.array([int(color[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def distance(first, second, blindness):
    """In OKLab, where 0.02 is a difference that can just be seen."""
    colors = (np.clip(np.array(BLIND[blindness]) @ color, 0, 1) for color in (first, second))
    places = [np.array(OKLAB) @ np.cbrt(np.array(LAB) @ color) for color in colors]
    return float(np.linalg.norm(places[0] - places[1]))


def contrast(first, second):
    """WCAG 2's ratio."""
    bright, dim = sorted((c @ [0.2126, 0.7152, 0.0722] for c in (first, second)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("blindness", BLIND)
def test_causes_are_told_apart_by_whoever_looks(blindness):
    causes = ("reward", "termination", "dynamics", "horizon")
    pairs = [*itertools.combinations(causes, 2), ("ink", "imagined")]
    assert len(list(schemes())) == 2
    for number, colors in enumerate(schemes()):
        for first, second in pairs:
            apart = distance(colors[first], colors[second], blindness)
            assert apart > 0.1, (number, first, second, apart)


def test_lines_and_texts_stand_out_from_the_paper():
    for colors in schemes():
        for name in ("reward", "termination", "dynamics", "horizon", "imagined"):
            assert contrast(colors[name], colors["paper"]) > 3, name
        for text, paper in itertools.product(("ink", "muted"), ("paper", "card", "warning")):
            assert contrast(colors[text], colors[paper]) > 4.5, (text, paper)
