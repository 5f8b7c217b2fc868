"""The part of a plan's page that moves: what it holds, and that it is safe and small."""

import base64
import dataclasses
import json
import re

import numpy as np
import pytest

from paracosm.core.records.questions import LawSample, OfferTerms, SplitQuestion
from paracosm.planning.fidelity import Bounded, FidelityTable
from paracosm.planning.labels import plan_labels
from paracosm.planning.mixture import plan_mixture
from paracosm.reporting import render
from paracosm.reporting.planner import planner
from tests.reporting import decision_records as records
from tests.reporting.test_page import Balanced

DRAWS = LawSample(
    (0.5, 1 / 3), (0.2, 0.1), (0.0, 1e-17), (-0.3, 2.0), (0.0, 1e-17), (0.1, 0.0), 8000.0, 2.8
)
MIXTURE = plan_mixture(
    budget=5000,
    cost_rollout=1,
    cheap_cost=1,
    gold_cost=20,
    cheap_variance=50,
    gold_variance=40,
    correlation=0.8,
    bias=0.3,
)
LABELS = plan_labels(Bounded(9.0, 5.0), budget=5000, cost_rollout=1, gradient_variance=4)
HOSTILE = "</script><b id='planted'>"
# Of script in a page, whose data is apart: the promise is kilobytes.
MOST_SCRIPT = 50_000


def split(name="crowd"):
    """A plan with three offers, of which one's name is somebody's own."""
    offers = (
        OfferTerms("dynamics", 1.0, 1.0, 0.0, 1),
        OfferTerms("reward", 10.0, 0.0, 1.0, 1),
        OfferTerms(name, 3.0, 0.0, 0.5, 1),
    )
    question = SplitQuestion(20_000.0, offers, dict.fromkeys(("dynamics", "reward"), DRAWS))
    return records.plan(question=question)


PLANS = {"split": split(), "labels": LABELS, "mixture": MIXTURE}


@pytest.mark.parametrize("kind", PLANS)
def test_every_field_is_a_setting_with_a_label(kind):
    page, moving = render(PLANS[kind]), planner(PLANS[kind])
    assert moving.kind == kind
    for field in moving.fields:
        value = moving.settings
        for key in field.name.split("."):
            value = value[int(key) if isinstance(value, list | tuple) else key]
        assert value == field.value
        assert f'<label for="planner-{field.name}">{field.label}</label>' in page.replace(
            "&#39;", "'"
        )
        assert field.value is None or float(field.text) == field.value


@pytest.mark.parametrize("kind", PLANS)
def test_the_script_is_small_and_asks_nothing_of_the_network(kind):
    page = render(PLANS[kind])
    script = re.findall(r"<script>(.*?)</script>", page, flags=re.S)
    assert len(script) == 1
    assert len(script[0]) < MOST_SCRIPT
    assert not re.search(r"fetch\(|XMLHttp|import\(|https?://(?!www\.w3\.org)|src=", script[0])
    assert "console." not in script[0]


@pytest.mark.parametrize("kind", PLANS)
def test_without_a_script_nothing_of_it_shows(kind):
    """The section and the hints to it are hidden until the script shows them."""
    page = render(PLANS[kind])
    assert '<section id="planner" hidden' in page
    assert all(" hidden" in tag for tag in re.findall(r"<p [^>]*with-planner[^>]*>", page))
    plain = render(dataclasses.replace(PLANS[kind], question=None))
    assert "<script" not in plain
    assert "planner-form" not in plain


def test_the_draws_in_the_page_are_the_records_to_the_last_bit():
    text = re.search(r'id="planner-data">(.*?)</script>', render(split()), flags=re.S)
    laws = json.loads(text[1])["laws"]
    assert len(laws) == 2
    for name, column in dataclasses.asdict(DRAWS).items():
        assert np.frombuffer(base64.b64decode(laws[1][name]), "<f8").tolist() == list(
            np.ravel(column)
        )


def test_a_name_of_ones_own_cannot_leave_the_data():
    page = render(split(HOSTILE))
    assert HOSTILE not in page
    assert "planted" not in Balanced(page).ids
    text = re.search(r'id="planner-data">(.*?)</script>', page, flags=re.S)
    assert json.loads(text[1])["settings"]["offers"][2]["name"] == HOSTILE


def test_a_table_of_few_labels_moves_row_by_row_and_a_long_one_does_not():
    def fields(rows):
        costs = tuple(float(k + 1) for k in range(rows))
        table = FidelityTable(costs, tuple(10 / cost for cost in costs))
        plan = plan_labels(table, budget=5000, cost_rollout=1)
        return {field.name for field in planner(plan).fields}

    assert {"numbers.2", "variances.2"} <= fields(3)
    assert not {name for name in fields(40) if "numbers" in name}
