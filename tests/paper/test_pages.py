"""The pages in the documentation are what the stored results say."""

from pathlib import Path

import pytest

from paracosm.core.records.experiments import Experiment
from paracosm.paper.contents import CONTENTS, study
from paracosm.reporting import publish

PAGES = Path(__file__).parents[2] / "docs" / "experiments"


def stored(name):
    return Experiment.from_json((PAGES / f"{name.lower()}.json").read_text())


@pytest.mark.parametrize("name", list(CONTENTS))
def test_page_and_results_have_not_drifted_apart(name, tmp_path):
    record, page = stored(name), PAGES / f"{name.lower()}.md"
    assert (record.name, record.title, record.question) == (
        name,
        CONTENTS[name].title,
        study(name).question,
    )
    written = {path.name for path in publish(record, tmp_path) if path.suffix != ".html"}
    assert written == {path.name for path in PAGES.glob(f"{page.stem}[.-]*")}
    assert (tmp_path / page.name).read_text() == page.read_text()


@pytest.mark.parametrize("name", list(CONTENTS))
def test_only_what_was_measured_agrees_or_differs(name):
    """A verdict beside the paper needs an interval; what a proof or a construction fixes has none
    to speak of.
    """
    for claim in stored(name).findings.claims:
        if claim.verdict in ("agrees", "differs"):
            assert claim.low < claim.high, claim
            assert claim.paper_says or claim.paper is not None, claim
        assert "by construction" not in claim.why or claim.verdict == "must hold", claim


PROVED = {
    "E1": {"violations", "violations_every_rung", "finite_share_when_not_contracting"},
    "E2": set(),
    "E3": {
        "median_log_error_linear",
        "global_overshoot_count_lqg",
        "median_log_error_global_tight",
    },
    "E4": {"within_bound"},
    "E5": {"bounded_clean"},
    "E6": set(),
    "E7": {
        "violations",
        "sharp_violations",
        "rotation_off_sharp",
        "loosest_ratio",
        "curvature_of_growth",
        "curvature_reversed",
        "violations_eta",
    },
    "E8": {"held", "violations"},
    "E9": {"violations", "sharp_violations"},
    "E10": {"without_error", "first_step", "violations", "wrong_certificates"},
}


@pytest.mark.parametrize("name", list(CONTENTS))
def test_what_is_proved_is_no_agreement(name):
    assert {
        claim.id for claim in stored(name).findings.claims if claim.verdict == "must hold"
    } == PROVED[name]
