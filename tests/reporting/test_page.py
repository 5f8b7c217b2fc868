"""The page: whole, safe, self-contained, the same every time."""

import dataclasses
import html
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from paracosm.core.checks import BadArgument
from paracosm.core.records import Estimate
from paracosm.core.records.results import Comparison
from paracosm.reporting import render, tables, words, write
from tests.reporting import decision_records as decisions
from tests.reporting import report_records as records

VOID = {"meta", "link", "br", "img", "hr", "input"}
HOSTILE = "<script>alert(1)</script>"
UNKNOWN = Estimate(-134.0, -float("inf"), float("inf"), 1, "one sample: no interval")


class Balanced(HTMLParser):
    """Fails on a tag that is not closed where it must be; collects ids, tags, attributes
    and text.
    """

    def __init__(self, page: str):
        super().__init__()
        self.open, self.ids, self.tags, self.attributes, self.text = [], [], set(), [], []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


RECORDS = {
    "run": records.run,
    "diagnosis": records.diagnosis,
    "comparison": records.comparison,
    "run with a budget": decisions.run_with_a_budget,
    "plan": decisions.plan,
    "label plan": decisions.label_plan,
    "mixture plan": decisions.mixture_plan,
}


@pytest.fixture(scope="module")
def pages():
    return {name: render(make()) for name, make in RECORDS.items()}


@pytest.mark.parametrize("name", RECORDS)
def test_page_parses_has_unique_ids_and_holds_its_references(pages, name):
    page = Balanced(pages[name])
    assert len(page.ids) == len(set(page.ids))
    assert page.ids.count("verdict") == 1
    references = re.findall(r'(?:href="|url\()#([^")]+)', pages[name])
    assert references
    assert set(references) <= set(page.ids)
    for svg in re.findall(r"<svg.*?</svg>", pages[name], flags=re.S):
        ET.fromstring(svg)


@pytest.mark.parametrize("name", RECORDS)
def test_page_loads_nothing_and_runs_nothing(pages, name):
    page = Balanced(pages[name])
    assert "http" not in pages[name]
    assert "script" not in page.tags
    assert {"img", "iframe", "object", "embed"}.isdisjoint(page.tags)
    assert not [key for key, _ in page.attributes if key == "src" or key.startswith("on")]
    assert "@import" not in pages[name]
    assert re.findall(r"url\((?!#)", pages[name]) == []


@pytest.mark.parametrize("name", RECORDS)
def test_page_is_small_and_the_same_every_time(pages, name):
    assert len(pages[name].encode()) < 400_000
    assert render(RECORDS[name]()) == pages[name]


@pytest.mark.full
def test_page_size_does_not_grow_with_the_episode():
    overlays = tuple(records.overlay(seed, 17, steps=10_000) for seed in range(3))
    page = render(records.diagnosis(overlays=overlays))
    assert len(page.encode()) < 1_000_000
    assert "the 6 of 17 state dimensions" in page


def test_run_page_says_every_number(pages):
    result = records.run()
    text = html.unescape(" ".join(Balanced(pages["run"]).text))
    diagnosis = result.diagnosis
    rows = (
        tables.gap_rows(diagnosis)
        + tables.training_rows_of_gap(diagnosis)
        + tables.beside_rows(diagnosis)
    )
    expected = [value for row in rows for value in (row.name, row.value, row.interval)]
    expected += [
        text for fit in result.fits.values() for pair in tables.fit_rows(fit) for text in pair
    ]
    expected += [text for pair in tables.training_rows(result.trainings[0]) for text in pair]
    expected += [
        *result.configuration.values(),
        *result.machine.values(),
        *result.warnings,
        diagnosis.verdict,
        diagnosis.verdict_training,
    ]
    expected += [
        words.closure(diagnosis),
        words.steps_audited(diagnosis),
        words.data_edge(diagnosis),
    ]
    expected += [
        words.informative_horizon(diagnosis),
        words.seconds(14.2),
        "5,250",
        "no real steps",
        "20 episodes",
    ]
    expected += [
        "0.0121",
        "1.04 for always the mean next state",
        "0.131",
        "1.92 for always zero",
        "0.98",
    ]
    for phrase in expected:
        assert phrase in text


def test_verdict_comes_before_every_number(pages):
    page = pages["run"]
    assert page.index(records.VERDICT) < page.index("Real return") < page.index('id="gap"')


def test_subset_of_audited_steps_is_said():
    page = render(records.diagnosis(audited_steps=400, overlays=()))
    assert "A random subset was audited: 400 of the 4,000 real steps" in page
    assert "Every one of" not in page


def test_strings_are_escaped():
    diagnosis = records.diagnosis(verdict=HOSTILE, precision=HOSTILE, overlays=())
    fits = {HOSTILE: records.part("dynamics", unit=HOSTILE + " $\\bad$")}
    strings = {HOSTILE: HOSTILE, "$x_{": "\\frac"}
    result = records.run(
        env=HOSTILE,
        diagnosis=diagnosis,
        fits=fits,
        configuration=strings,
        machine=strings,
        warnings=(HOSTILE,),
        trainings=(records.training(stop=HOSTILE, weighting=HOSTILE, baseline=HOSTILE),),
        seconds={HOSTILE: 1.0},
    )
    reconfigured = dataclasses.replace(result, configuration={HOSTILE: "else"})
    for record in (
        result,
        diagnosis,
        Comparison({HOSTILE: result, '"><b onclick="x()">': reconfigured, "$\\bad$": result}),
    ):
        page = render(record)
        assert HOSTILE not in page
        assert "&lt;script&gt;" in page
        assert "script" not in Balanced(page).tags
        assert not [key for key, _ in Balanced(page).attributes if key.startswith("on")]


def bare(**changes):
    return records.run(**{"fits": {}, "diagnosis": records.diagnosis(overlays=()), **changes})


NO_GAP = dict.fromkeys(
    ("real", "predicted", "total", "reward", "termination", "dynamics", "horizon"), UNKNOWN
)
SPARSE = {
    "nothing learned": bare(),
    "all known": bare(
        fits={name: records.known(name) for name in ("dynamics", "reward", "termination")}
    ),
    "constant end": bare(
        fits={"termination": dataclasses.replace(records.known("termination"), origin="constant")}
    ),
    "one epoch without error": bare(
        fits={
            "reward": records.part(
                "reward", epochs=(1,), error=None, members=(), baseline=None, curve=(0.1,)
            )
        }
    ),
    "perfect fit": bare(
        fits={
            "reward": records.part(
                "reward", error=Estimate(0.0, 0.0, 0.0, 5, ""), members=(0.0,), curve=(0.0, 0.0)
            )
        }
    ),
    "no training": bare(trainings=()),
    "empty training": bare(trainings=(records.training(step=(), imagined_return=(), entropy=()),)),
    "empty last round": bare(
        trainings=(records.training(), records.training(step=(), imagined_return=(), entropy=()))
    ),
    "one measurement": bare(trainings=(records.training(points=1),) * 2),
    "no causes or warnings": bare(diagnosis=records.diagnosis(overlays=(), causes={}), warnings=()),
    "imagined episode ends at once": bare(
        diagnosis=records.diagnosis(
            overlays=(records.overlay(0, stop=1), records.overlay(1, steps=1))
        )
    ),
    "one episode": bare(
        diagnosis=records.diagnosis(
            overlays=(),
            gap=dataclasses.replace(records.diagnosis().gap, **NO_GAP),
            real_return=UNKNOWN,
            imagined_return=UNKNOWN,
        )
    ),
    "no time, no price": bare(
        seconds={}, purchases=dataclasses.replace(records.run().purchases, transitions=0)
    ),
    "useless model": records.diagnosis(informative_horizon=0, overlays=()),
}


@pytest.mark.parametrize("name", SPARSE)
def test_records_without_some_parts_render(name):
    page = render(SPARSE[name])
    Balanced(page)
    assert records.VERDICT in html.unescape(page)


def test_comparison_says_who_is_best_and_what_differs(pages):
    text = html.unescape(" ".join(Balanced(pages["comparison"]).text))
    assert "runs/labels has the highest real return" in text
    assert "its interval overlaps that of runs/pendulum." in text
    assert "The dynamics are to blame." in text
    assert 'class="apart">−612' in pages["comparison"]
    assert "reward_labels" in text


def test_equal_runs_and_many_runs_compare():
    assert "Nothing: all recorded settings are equal." in render(
        Comparison({"a": records.run(), "b": records.run()})
    )
    assert 'class="compared long"' in render(
        Comparison({f"run {n}": records.run(seed=n) for n in range(6)})
    )


def test_write_is_whole_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "report.html"
    assert write(records.diagnosis(overlays=()), path) == path
    first = path.read_text(encoding="utf-8")
    assert first == render(records.diagnosis(overlays=()))
    monkeypatch.setattr(
        "pathlib.Path.replace",
        lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")),
    )
    with pytest.raises(BadArgument, match="No space left on device"):
        write(records.diagnosis(verdict="other", overlays=()), path)
    assert path.read_text(encoding="utf-8") == first
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_write_names_an_unusable_path(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BadArgument, match=r"file/report\.html cannot be written: "):
        write(records.diagnosis(overlays=()), tmp_path / "file" / "report.html")


def test_a_page_without_a_verdict_shows_no_term_and_no_bound():
    page = render(records.diagnosis(valid=False, verdict="No verdict: the world is broken."))
    text = html.unescape(" ".join(Balanced(page).text))
    for absent in (
        "Where the gap comes from",
        "Imagination was too",
        "How bad it can get",
        "What training believed",
    ):
        assert absent not in text
    for present in (
        "No verdict: the world is broken.",
        "−134",
        "1.04 for always the mean next state",
    ):
        assert present in text
