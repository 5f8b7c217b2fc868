"""References: exactly those of the rungs, estimators and learners in a report."""

import dataclasses
import html
import re
from pathlib import Path

import pytest

from paracosm.core.records import ShapleyValues
from paracosm.reporting import references, render
from tests.reporting import decision_records as decisions
from tests.reporting import report_records as records
from tests.reporting import test_calibration, test_indicators, test_ranking

ROOT = Path(__file__).parents[2]
BOUNDS = {"fazlyab2019lipsdp", "xu2024eclipse", "combettes2020averaged", "asadi2018lipschitz"}
PLAIN = records.diagnosis(certificates=(), lipschitz={}, audited_steps=4_000)


def keys(diagnosis, run=None):
    return {work.key for work in references.references(diagnosis, run)}


def test_report_without_lipschitz_bounds_cites_none():
    assert keys(PLAIN) == {"timor2026imagination", "sundararajan2017axiomatic"}
    assert "ECLipsE" not in render(PLAIN)


def test_report_with_proven_bounds_cites_what_proves_them():
    assert keys(records.diagnosis(audited_steps=4_000)) - keys(PLAIN) == BOUNDS
    assert "ECLipsE" in render(records.diagnosis())


def test_sampled_constants_are_no_bound_of_anybody():
    sampled = {
        name: dataclasses.replace(bracket, kind="estimate")
        for name, bracket in records.diagnosis().lipschitz.items()
    }
    diagnosis = records.diagnosis(lipschitz=sampled, certificates=(), audited_steps=4_000)
    assert keys(diagnosis) == keys(PLAIN)


ORDERS = ShapleyValues(*(records.diagnosis().gap.reward,) * 6)


@pytest.mark.parametrize(
    ("changes", "added"),
    [
        ({"orders": ORDERS}, {"shapley1953value"}),
        ({"effective_episodes": 7.0}, {"kish1965survey"}),
        ({"audited_steps": 400}, {"horvitz1952sampling"}),
        (
            {"ranking": test_ranking.record()},
            {"bhamidipaty2026exploitable", "kendall1938measure"},
        ),
        (
            {"calibration": test_calibration.calibration()},
            {"lakshminarayanan2017ensembles", "kuleshov2018calibrated"},
        ),
    ],
)
def test_each_estimator_brings_its_own(changes, added):
    diagnosis = dataclasses.replace(PLAIN, **changes)
    assert keys(diagnosis) - keys(PLAIN) == added
    assert keys(PLAIN) <= keys(diagnosis)


def test_terms_that_explain_nothing_rest_on_nothing():
    unfit = records.diagnosis(valid=False, audited_steps=400, orders=ORDERS)
    assert keys(unfit) == {"timor2026imagination"}


def test_intervals_are_cited_by_what_made_them():
    gap = PLAIN.gap
    method = "mean, 95% betting in [0, 1]"
    bet = dataclasses.replace(gap, reward=dataclasses.replace(gap.reward, method=method))
    diagnosis = dataclasses.replace(PLAIN, gap=bet)
    assert keys(diagnosis) - keys(PLAIN) == {"waudbysmith2024betting"}


RUNS = {
    "pathwise": {"heess2015stochastic", "clavera2020maac", "fujimoto2018td3", "janner2019mbpo"},
    "reinforce": {"williams1992simple", "kidambi2020morel"},
    "mine:learner": set(),
}


@pytest.mark.parametrize("learner", RUNS)
def test_run_cites_its_own_learner_and_no_other(learner):
    cited = keys(PLAIN, records.run(configuration={"learner": learner}))
    assert cited >= RUNS[learner]
    other_keys = set().union(*RUNS.values()) - RUNS[learner]
    assert not cited & other_keys
    assert ("sutton1988learning" in cited) == bool(RUNS[learner])


@pytest.mark.parametrize(
    ("settings", "added"),
    [
        ({"encoder": "recurrent"}, {"hafner2019planet", "hafner2021dreamerv2"}),
        ({"encoder": "latent"}, {"bardes2022vicreg"}),
        ({"caution": "penalty"}, {"yu2020mopo"}),
        ({"learn.probabilistic": "True"}, {"seitzer2022pitfalls"}),
    ],
)
def test_settings_bring_their_own(settings, added):
    plain = {"learner": "pathwise"}
    before = keys(PLAIN, records.run(configuration=plain))
    after = keys(PLAIN, records.run(configuration={**plain, **settings}))
    assert after - before == added


def test_planner_in_place_of_a_policy():
    cited = keys(PLAIN, records.run(configuration={"planner": "cem", "learner": "None"}))
    assert {"rubinstein1999cross", "chua2018pets"} <= cited
    assert "williams1992simple" not in cited


def test_plans_and_indicators_are_cited_where_they_decide():
    paper, *_ = references.references(PLAIN, decisions.run_with_a_budget())
    assert "how the budget was split" in paper.what
    tested = test_indicators.record(test_indicators.LEADS)
    untested = test_indicators.record(test_indicators.FEW)
    assert "granger1969causal" in keys(PLAIN, records.run(indicators=tested))
    assert "granger1969causal" not in keys(PLAIN, records.run(indicators=untested))


def test_page_has_the_bibtex_of_what_it_cites_and_no_more():
    diagnosis = records.diagnosis()
    page = html.unescape(render(diagnosis))
    block = page[page.index('<pre class="bibtex">') : page.index("</pre>")]
    assert set(re.findall(r"^@\w+\{(\S+),", block.replace('">@', '">\n@'), re.M)) == keys(diagnosis)
    for key in keys(diagnosis):
        assert references.entries()[key] in block


def test_every_entry_can_be_read():
    """As many as there are `@`, with what a reader needs; and every key of the code is one."""
    text = (ROOT / "docs/references.bib").read_text(encoding="utf-8")
    assert text == references._BIB.read_text(encoding="utf-8")
    entries = references.entries()
    assert len(entries) == len(re.findall("^@", text, re.M)) >= 40
    for key in entries:
        work = references._citation(key, ())
        assert work.authors
        assert work.title
        assert re.fullmatch(r"\d{4}", work.year)
        assert not set("{}\\") & set(work.authors + work.title), key
    code = Path(references.__file__).read_text(encoding="utf-8")
    named = set(re.findall(r'"([a-z]+\d{4}[a-z0-9]+)"', code))
    assert len(named) > 30
    assert named <= set(entries)


def test_authors_are_named_as_in_a_sentence():
    name = references._names
    assert name("Kish, Leslie") == "Kish"
    assert name("Xu, Yuezhu and Sivaranjani, S.") == "Xu & Sivaranjani"
    assert name("A, B and C, D and E, F") == "A et al."
