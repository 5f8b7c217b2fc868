"""Experiments as a page, as Markdown, in the terminal and as JSON: every number, every verdict,
nothing but text.
"""

import dataclasses
import html
import io
import re
import xml.etree.ElementTree as ET

import rich.console

from paracosm.core.records.experiments import Experiment
from paracosm.reporting import experiment_words, publish, render, summary
from tests.reporting.experiment_records import experiment
from tests.reporting.test_page import Balanced

SAID = [
    "The bound is kept.",
    "0 of 525",
    "norms, not squares.",
    "not in the paper.",
    "no number",
    "−0.110 [−0.130, −0.090]",
]


def test_an_experiment_survives_json():
    record = experiment()
    assert Experiment.from_json(record.to_json()) == record


def test_the_page_says_every_claim_table_and_choice_and_escapes_what_it_says():
    shown = render(experiment())
    text = html.unescape(" ".join(" ".join(Balanced(shown).text).split()))
    for phrase in [
        *SAID,
        "All rungs",
        "3.4",
        "nothing moves",
        "Two systems.",
        "paracosm paper E1 --scale quick",
        "12 cells",
    ]:
        assert phrase in text
    assert "law <b>" not in shown


def test_markdown_says_the_same_with_whole_tables_and_pictures_that_are_there(tmp_path):
    record = experiment()
    files = publish(record, tmp_path)
    text = (tmp_path / "e1.md").read_text()
    for phrase in [*SAID, "nothing moves", "Two systems."]:
        assert phrase in text
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.M):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block
    for picture in re.findall(r"!\[.*\]\((.*)\)", text):
        assert ET.parse(tmp_path / picture).getroot().tag.endswith("svg")
    assert {path.name for path in files} == {"e1.json", "e1.md", "e1.html", "e1-curves.svg"}
    assert Experiment.from_json((tmp_path / "e1.json").read_text()) == record


def test_what_is_written_is_the_same_every_time(tmp_path):
    first, second = publish(experiment(), tmp_path / "a"), publish(experiment(), tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_the_terminal_fits_80_columns_and_ends_with_the_verdicts():
    console = rich.console.Console(width=80, file=io.StringIO())
    console.print(summary(experiment()))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "1 of 3 claims agree with the paper, 1 differs, 1 cannot be compared."
    assert "why: norms" in " ".join(" ".join(lines).split())


def test_the_document_has_the_claims_and_files():
    document = experiment().summary(("a/e1.json",))
    assert list(document) == ["experiment", "scale", "claims", "files"]
    assert list(document["claims"][0]) == [
        "id",
        "claim",
        "ours",
        "low",
        "high",
        "paper",
        "verdict",
        "why",
    ]
    assert document["claims"][2]["paper"] is None


def test_no_claims_that_agree_are_said_so():
    alone = experiment()
    findings = alone.findings
    disagreeing = Experiment(
        **{
            **vars(alone),
            "findings": type(findings)(**{**vars(findings), "claims": findings.claims[1:]}),
        }
    )
    assert (
        experiment_words.verdicts(disagreeing)
        == "0 of 2 claims agree with the paper, 1 differs, 1 cannot be compared."
    )


def test_what_must_hold_is_counted_apart_and_says_what_was_checked():
    alone = experiment()
    claims = [dataclasses.replace(claim, verdict="must hold") for claim in alone.findings.claims]
    record = dataclasses.replace(
        alone, findings=dataclasses.replace(alone.findings, claims=tuple(claims))
    )
    assert experiment_words.verdicts(record) == (
        "0 of 3 claims agree with the paper, 3 must hold by proof or construction and were only"
        " checked."
    )
    console = rich.console.Console(width=80, file=io.StringIO())
    console.print(summary(record))
    text = " ".join(console.file.getvalue().split())
    assert "why: no one breaks it." in text
    assert "paper 0 of 525" in text
    assert "paper no number" not in text
