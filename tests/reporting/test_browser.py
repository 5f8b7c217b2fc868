"""The page in a real browser, at a laptop's and at a phone's size."""

import re
import shutil
import subprocess

import pytest

from paracosm.reporting import render
from tests.reporting import decision_records as decisions
from tests.reporting import experiment_records as experiments
from tests.reporting import report_records as records

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
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--hide-scrollbars",
    "--virtual-time-budget=5000",
]
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


def opened(page, folder, width, height):
    browser = shutil.which("chromium")
    assert browser, (
        "This test opens the page in a browser: install Debian's package `chromium` (apt-get"
        " install chromium)."
    )
    (folder / "page.html").write_text(page, encoding="utf-8")
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(width=width, height=height), encoding="utf-8")
    flags = [*FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    done = subprocess.run(
        [browser, *flags, frame.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
@pytest.mark.parametrize("name", WIDE)
def test_page_opens_without_errors_or_sideways_scrolling(tmp_path, name, width, height):
    page = (
        render(WIDE[name])
        .replace("</body>", MEASURE + "</body>")
        .replace("<details>", "<details open>")
    )
    dom, console = opened(page, tmp_path, width, height)
    title = re.search(r"<title>([\d ]+)</title>", dom)
    assert title, "the page did not load"
    inner, scrolled, top, bottom, sticking_out = map(int, title[1].split())
    assert (inner, scrolled, sticking_out) == (width, width, 0)
    assert 0 < top < bottom < height
    assert console == []


def test_console_errors_would_be_seen(tmp_path):
    _, console = opened("<!doctype html><script>nothing()</script>", tmp_path, 390, 844)
    assert any("nothing is not defined" in line for line in console)
