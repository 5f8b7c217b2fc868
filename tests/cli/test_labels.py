"""`paracosm labels`: the three ways to ask, one JSON document, pages, and a sentence for all that
does not fit.
"""

import json
import shlex
import subprocess
import sys

import pytest

from paracosm.cli import main as command_line
from paracosm.core.records import Estimate
from paracosm.core.records.decisions import GradientNoise, LabelPlan, MixturePlan
from tests.cli.refusals import refusal

LAW = (
    "--budget 5000 --cost-rollout 1 --gradient-variance 40 --noise-coefficient 6 --fidelity"
    " power:2.0,0.7"
)
MIXTURE = (
    "--budget 5000 --cost-rollout 1 --cheap-cost 1 --gold-cost 20 --cheap-variance 50"
    " --gold-variance 40"
    " --correlation 0.8 --bias 0.3"
)


@pytest.fixture(autouse=True)
def _no_environment_change(monkeypatch):
    monkeypatch.setattr(command_line, "_prepare_jax", lambda: None)


def run(*arguments):
    """The exit status; each argument may hold several flags."""
    return command_line.main(
        ["labels", *(word for text in arguments for word in shlex.split(str(text)))]
    )


def document(capsys, *arguments):
    """The JSON document."""
    assert run(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *arguments):
    """The sentence with which these arguments are refused."""
    assert run(*arguments) == 2
    return refusal(capsys)


def test_one_price_from_a_law(capsys):
    plan = document(capsys, LAW)
    assert {"cost", "rollouts", "repeats", "variance", "regime", "attained", "alternatives"} <= set(
        plan
    )
    assert LabelPlan.from_dict(plan).to_dict() == plan
    assert plan["cost"] == pytest.approx(0.3617, abs=1e-4)
    assert (plan["rollouts"], plan["repeats"], plan["attained"]) == (3672, 1, True)
    assert plan["variance"] < min(rule["variance"] for rule in plan["alternatives"])
    assert document(capsys, LAW) == plan


def test_cheap_gold_or_mixture(capsys):
    plan = document(capsys, MIXTURE)
    assert MixturePlan.from_dict(plan).to_dict() == plan
    assert plan["winner"] == "cheap"
    assert document(capsys, MIXTURE.replace("5000", "6000"))["winner"] == "mixture"


@pytest.mark.parametrize("arguments", [LAW, MIXTURE])
def test_summary_and_page_say_the_verdict(capsys, arguments, tmp_path):
    verdict = document(capsys, arguments)["verdict"]
    assert run(arguments, "--out", tmp_path / "page.html") == 0
    assert verdict in " ".join(capsys.readouterr().out.split())
    page = (tmp_path / "page.html").read_text()
    assert page.startswith("<!DOCTYPE html>") or page.startswith("<!doctype html>")
    assert verdict.split(":")[0] in page


def test_a_measured_run_with_a_table(capsys, tmp_path, monkeypatch):
    from paracosm.loop import measuring

    noise = GradientNoise(
        Estimate(40.0, 38.0, 42.0, 64, "test"), Estimate(6.0, 5.5, 6.5, 64, "test"),
        Estimate(30.0, 25.0, 35.0, 64, "test"), 900.0, "plain", 50,
    )  # fmt: skip
    paths = []
    monkeypatch.setattr(
        measuring,
        "gradient_noise_of_run",
        lambda path, *, weighting, trust, progress: paths.append(path) or noise,
    )
    (tmp_path / "measured.csv").write_text("cost,variance\n0.5,8\n2,3\n20,0.1\n")
    of_run = document(
        capsys, tmp_path, "--budget 5000 --cost-rollout 1 --fidelity", tmp_path / "measured.csv"
    )
    assert paths == [tmp_path]
    assert GradientNoise.from_dict(of_run["noise"]) == noise
    of_flags = document(capsys, LAW.replace("power:2.0,0.7", str(tmp_path / "measured.csv")))
    assert {**of_flags, "noise": None} == {**of_run, "noise": None}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--fidelity power:2,1", "--budget is not given; a plan needs what may be spent."),
        (
            "--budget 5",
            "--fidelity is not given; a plan needs power:A,p or bounded:V,most or floor:V,A or a"
            " CSV file",
        ),
        (LAW.replace("5000", "0.5"), "the budget of 0.5 buys not one rollout"),
        (LAW.replace("5000", "-1"), "the budget is -1; it must be a positive number."),
        (
            LAW.replace("rollout 1", "rollout -1"),
            "the cost of a rollout is -1; it must be at least 0.",
        ),
        (LAW.replace("power:2.0,0.7", "power:2.0"), "--fidelity is 'power:2.0'; power:A,p or"),
        (
            LAW.replace("power:2.0,0.7", "none.csv"),
            "--fidelity is 'none.csv', and there is no such file",
        ),
        (
            f"{LAW} --bias 0.3",
            "both --bias and --fidelity are given; either cheap labels are compared with gold",
        ),
        (f"runs/pendulum {MIXTURE}", "both --cheap-cost and a run directory are given"),
        (
            f"runs/pendulum {LAW}",
            "both a run directory and --gradient-variance are given; it is measured from the run",
        ),
        ("runs/nowhere --budget 5000 --fidelity power:2,1", "runs/nowhere"),
        (
            MIXTURE.replace("--bias 0.3", ""),
            "--bias is not given; cheap and gold labels are compared by --cheap-cost",
        ),
        (
            MIXTURE.replace("--budget 5000", ""),
            "--budget is not given; cheap and gold labels are compared by",
        ),
        (
            MIXTURE.replace("0.8", "-1.8"),
            "the correlation is -1.8; it must be at least -1 and at most 1.",
        ),
        (
            MIXTURE.replace("gold-cost 20", "gold-cost 0"),
            "the cost of gold labels is 0; it must be a positive number.",
        ),
        (
            MIXTURE.replace("5000", "1"),
            "the budget of 1 buys not one rollout: a labelled one costs 2.",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(arguments, sentence, capsys):
    assert sentence in refused(capsys, arguments)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("cost,variance\n1,2\n", "a fidelity table has 1 row(s); at least 2 are needed."),
        (
            "cost,variance\n-1,2\n2,3\n",
            "a fidelity table holds a cost of -1; a positive number is needed.",
        ),
        ("a,b\n1,2\n", "has columns a, b; cost and variance are needed in a fidelity table."),
        ("cost,variance\n1,2\0\n", "line 2: variance is '2\\x00'; a number is needed."),
        ("cost,variance\n1,2\n2,1,5\n", "line 3: 3 cells where there are 2 columns"),
    ],
)
def test_bad_tables_are_one_sentence(rows, sentence, capsys, tmp_path):
    (tmp_path / "bad.csv").write_text(rows)
    assert sentence in refused(capsys, LAW.replace("power:2.0,0.7", str(tmp_path / "bad.csv")))


def test_a_folder_is_not_said_to_be_missing(capsys, tmp_path):
    sentence = refused(capsys, LAW.replace("power:2.0,0.7", str(tmp_path)))
    assert "which is a folder; power:A,p or" in sentence


def test_one_label_for_sale_has_none_to_compare_with(capsys, tmp_path):
    (tmp_path / "m.csv").write_text("cost,variance\n0.5,8\n4,3\n20,0.1\n")
    law = LAW.replace("power:2.0,0.7", f"{tmp_path / 'm.csv'} --least-cost 3 --most-cost 6")
    assert "there is none to compare with" in document(capsys, law)["verdict"]


def test_a_dear_label_bought_with_what_is_left_is_not_called_the_cheapest(capsys):
    dear = LAW.replace("5000", "5e6").replace("rollout 1", "rollout 1e6")
    plan = document(capsys, dear)
    assert plan["cost"] > 10 * min(rule["cost"] for rule in plan["alternatives"])
    assert plan["regime"].startswith("as many rollouts as the cheapest labels allow")


def test_needs_no_jax():
    code = (
        "import sys; from paracosm.cli.main import main; main(sys.argv[1:]); assert 'jax' not in"
        " sys.modules"
    )
    command = [sys.executable, "-c", code, "labels", *LAW.split()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
