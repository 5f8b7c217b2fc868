"""The pages in the documentation are what the stored results say."""

from pathlib import Path

import pytest

from paracosm.core.experiments import Experiment
from paracosm.paper.contents import CONTENTS
from paracosm.reporting import publish

PAGES = Path(__file__).parents[2] / "docs" / "experiments"


@pytest.mark.parametrize("name", list(CONTENTS))
def test_page_and_results_have_not_drifted_apart(name, tmp_path):
    stored = PAGES / f"{name.lower()}.json"
    record = Experiment.from_json(stored.read_text())
    assert (record.name, record.title) == (name, CONTENTS[name].title)
    written = {path.name for path in publish(record, tmp_path) if path.suffix != ".html"}
    assert written == {path.name for path in PAGES.glob(f"{stored.stem}[.-]*")}
    assert (tmp_path / f"{stored.stem}.md").read_text() == stored.with_suffix(".md").read_text()
