"""The page in a real browser, at a laptop's and at a phone's size."""

import re
import shutil
import subprocess

import pytest

from paracosm.reporting import render
from tests.reporting import decision_records as decisions
from tests.reporting import experiment_records as experiments
from tests.reporting import report_records as records
from tests.reporting.browsing import FLAGS, opened
from tests.reporting.test_film import scene
from tests.reporting.test_report import full_run

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
    "run of three rounds": full_run(),
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


def unfolded(page):
    return re.sub("<details(?! open)", "<details open", page)


def framed(page, folder, width, height, *flags):
    (folder / "page.html").write_text(page, encoding="utf-8")
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(width=width, height=height), encoding="utf-8")
    return opened(frame, *flags)


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
@pytest.mark.parametrize("name", WIDE)
def test_page_opens_without_errors_or_sideways_scrolling(tmp_path, name, width, height):
    page = unfolded(render(WIDE[name])).replace("</body>", MEASURE + "</body>")
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


LOOK = """<script>addEventListener("load", () => {
  const seen = query => getComputedStyle(document.querySelector(query)).display != "none";
  const said = [getComputedStyle(document.body).backgroundColor.replaceAll(" ", "")];
  said.push(seen(".moving"), seen(".strip"), document.querySelector(".moving").naturalWidth > 0);
  document.querySelector(".film input").click();
  said.push(seen(".moving"), seen(".strip"));
  location.hash = "training";
  setTimeout(() => {
    said.push(document.getElementById("training").closest("details").open);
    parent.postMessage(said.join(" "), "*");
  }, 100);
})</script>"""
SCHEMES = {
    "light": ("--blink-settings=preferredColorScheme=1", "rgb(255,255,255)"),
    "dark": ("--blink-settings=preferredColorScheme=0", "rgb(20,23,27)"),
}


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_film_plays_and_can_be_held_in_either_scheme(tmp_path, scheme, width, height):
    """The film is seen and its strip is not, until somebody holds it; a link opens its fold."""
    flag, paper = SCHEMES[scheme]
    page = render(full_run(), scene()).replace("</body>", LOOK + "</body>")
    dom, console = framed(page, tmp_path, width, height, flag)
    title = re.search(r"<title>(rgb.*?)</title>", dom)
    assert title, "the page did not load"
    assert title[1] == f"{paper} true false true false true true"
    assert console == []


def test_print_opens_the_folds(tmp_path):
    """What is printed is longer than what is seen folded, by all that is in the folds."""
    page, browser = render(full_run()), shutil.which("chromium")
    assert browser
    sizes = []
    for name, text in {
        "folds": page,
        "none": re.sub(r"<details.*</details>", "", page, flags=re.S),
    }.items():
        (tmp_path / f"{name}.html").write_text(text, encoding="utf-8")
        sheet = tmp_path / f"{name}.pdf"
        flags = [*FLAGS, f"--user-data-dir={tmp_path / name}", f"--print-to-pdf={sheet}"]
        subprocess.run(
            [browser, *flags, (tmp_path / f"{name}.html").as_uri()],
            capture_output=True,
            timeout=120,
            check=True,
        )
        sizes.append(len(re.findall(rb"/Type /Page\b", sheet.read_bytes())))
    assert sizes[0] >= sizes[1] + 5
