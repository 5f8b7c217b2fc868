"""The page in a real browser, at a laptop's and at a phone's size."""

import re

import pytest

from paracosm.reporting import render
from tests.reporting import decision_records as decisions
from tests.reporting import experiment_records as experiments
from tests.reporting import report_records as records
from tests.reporting.browsing import opened

pytestmark = pytest.mark.full

MEASURE = """<script>addEventListener("load", () => {
  const page = document.documentElement;
  const box = document.getElementById("verdict").getBoundingClientRect();
  const all = [...document.querySelectorAll("main *, header *")];
  const out = all.filter(e => e.getBoundingClientRect().right > innerWidth + 1);
  const edges = [Math.round(box.top), Math.round(box.bottom)];
  const found = [innerWidth, page.scrollWidth, ...edges, out.length];
  parent.postMessage(found.join(" "), "*");
})</script>"""
FRAME = """<!doctype html><title>nothing yet</title><link rel="icon" href="data:,">
<script>addEventListener("message", message => document.title = message.data)</script>
<iframe src="page.html" style="border: 0; width: {width}px; height: {height}px"></iframe>"""
LONG = "a_rather_long_setting_without_any_space_in_its_name_" * 3
WIDE = {
    "run": records.run(),
    "long strings": records.run(configuration={LONG: LONG}, warnings=(LONG,), env=LONG),
    "diagnosis": records.diagnosis(),
    "comparison": records.comparison(),
    "run with a budget": decisions.run_with_a_budget(),
    "plan": decisions.plan(),
    "experiment": experiments.experiment(),
    "long strings in an experiment": experiments.experiment(
        title=LONG, question=LONG, versions={LONG: LONG}
    ),
    "plan with several sources": decisions.plan_with_sources(),
    "label plan": decisions.label_plan(),
    "mixture plan": decisions.mixture_plan(),
    "long strings in a plan": decisions.plan(warnings=(LONG,), disagreement=LONG),
    "long strings in labels": decisions.label_plan(regime=LONG, warnings=(LONG,)),
}


def framed(page, folder, width, height):
    (folder / "page.html").write_text(page, encoding="utf-8")
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(width=width, height=height), encoding="utf-8")
    return opened(frame)


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
@pytest.mark.parametrize("name", WIDE)
def test_page_opens_without_errors_or_sideways_scrolling(tmp_path, name, width, height):
    page = (
        render(WIDE[name])
        .replace("</body>", MEASURE + "</body>")
        .replace("<details>", "<details open>")
    )
    dom, console = framed(page, tmp_path, width, height)
    title = re.search(r"<title>([\d ]+)</title>", dom)
    assert title, "the page did not load"
    inner, scrolled, top, bottom, sticking_out = map(int, title[1].split())
    assert (inner, scrolled, sticking_out) == (width, width, 0)
    assert 0 < top < bottom < height
    assert console == []


def test_console_errors_would_be_seen(tmp_path):
    _, console = framed("<!doctype html><script>nothing()</script>", tmp_path, 390, 844)
    assert any("nothing is not defined" in line for line in console)
