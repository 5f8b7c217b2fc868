"""`paracosm plan` from a table: what it prints, its JSON, and one sentence for bad input."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from paracosm.cli import main as command_line
from paracosm.cli.main import main
from paracosm.core.records import Weights
from paracosm.core.records.decisions import Measurements
from paracosm.loop import measuring
from paracosm.planning.reading import read_curves
from tests.cli.refusals import refusal

SIZES = (250, 500, 1000, 2000, 4000)


@pytest.fixture(autouse=True)
def _environment_as_it_was(monkeypatch):
    monkeypatch.setattr(command_line, "_prepare_jax", lambda: None)


def write(path, *, parts=("dynamics", "reward"), sizes=SIZES, change=None):
    """A table of learning curves `4 N^-0.3` and `20 N^-0.45` with noise; `change(part, size,
    error)` alters errors.
    """
    rng, lines = np.random.default_rng(3), ["part,samples,error,seed"]
    for part in parts:
        scale, exponent = (20, 0.45) if part == "reward" else (4, 0.3)
        for size in sizes:
            for seed in range(3):
                error = scale * size**-exponent * np.exp(0.05 * rng.normal())
                lines.append(
                    f"{part},{size},{change(part, size, error) if change else error:.6g},{seed}"
                )
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write(tmp_path_factory.mktemp("curves") / "curves.csv")


def command(table, **flags) -> list[str]:
    settings = {
        "error": "rms",
        "budget": 40000,
        "cost-dynamics": 1,
        "cost-reward": 10,
        "weight-dynamics": 3.2,
        "weight-reward": 6,
        **flags,
    }
    return [
        "plan",
        str(table),
        *(f"--{name}={value}" for name, value in settings.items() if value is not None),
    ]


def document(capsys, arguments) -> dict:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_document_holds_the_plan(table, capsys):
    plan = document(capsys, command(table))
    counts, numbers = (
        {"dynamics", "reward", "owned"},
        {"spend", "ratio", "interval", "expected_regret", "marginal"},
    )
    assert counts | numbers | {"predicted_error", "curves", "warnings"} <= set(plan)
    for part in ("dynamics", "reward"):
        assert {"prefactor", "exponent", "low", "high", "floor", "r2", "extrapolation"} <= set(
            plan["curves"][part]
        )
    assert plan["owned"] == {"dynamics": 4000, "reward": 4000}
    assert plan["spend"] == plan["dynamics"] + 10 * plan["reward"] <= 40000
    assert plan["ratio"] == pytest.approx((4000 + plan["dynamics"]) / (4000 + plan["reward"]))
    assert plan["predicted_error"]["after"]["mean"] < plan["predicted_error"]["before"]["mean"]


def test_the_same_seed_prints_the_same_numbers(table, capsys):
    assert document(capsys, command(table)) == document(capsys, command(table))
    assert document(capsys, command(table)) != document(capsys, command(table, seed=1))


def test_the_summary_says_what_to_buy_and_a_page_is_written(table, capsys, tmp_path):
    page = tmp_path / "plan.html"
    assert main(command(table, out=page)) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "Buy " in output
    assert "equal spending" in output
    assert page.read_text().startswith("<!")


def test_owned_counts_may_be_given_and_paid_from_the_budget(table, capsys):
    more = document(capsys, command(table, **{"owned-dynamics": 20000, "owned-reward": 2000}))
    assert more["owned"] == {"dynamics": 20000, "reward": 2000}
    assert main([*command(table, budget=84000), "--include-owned"]) == 0
    assert "Budget 84,000, 44,000 of it for what is owned" in capsys.readouterr().out
    plan = document(capsys, [*command(table, budget=84000), "--include-owned"])
    assert (plan["budget"], plan["spent"]) == (40000, 44000)
    assert plan["spend"] <= 40000
    assert (plan["dynamics"], plan["reward"]) == tuple(
        document(capsys, command(table))[k] for k in ("dynamics", "reward")
    )


def test_with_nothing_owned_both_parts_are_bought(table, capsys):
    arguments = command(table, **{"owned-dynamics": 0, "owned-reward": 0})
    plan = document(capsys, arguments)
    assert min(plan["dynamics"], plan["reward"]) > 0
    assert plan["predicted_error"]["before"]["mean"] == "inf"
    assert main(arguments) == 0


def test_mean_squares_are_converted_and_said(table, tmp_path, capsys):
    squared = write(tmp_path / "squared.csv", change=lambda part, size, error: error**2)
    converted, plain = (
        document(capsys, command(squared, error="mse")),
        document(capsys, command(table)),
    )
    assert any("mean squares" in warning for warning in converted["warnings"])
    assert converted["curves"]["reward"]["exponent"] == pytest.approx(
        plain["curves"]["reward"]["exponent"], abs=1e-3
    )
    assert converted["dynamics"] == pytest.approx(plain["dynamics"], rel=0.01)


def test_joint_samples_sources_and_lots(table, capsys):
    flags = {
        "cost-joint": 10.2,
        "lot-dynamics": 300,
        "lot-reward": 50,
        "label-source": "crowd:0.5:0.5",
    }
    plan = document(capsys, command(table, **flags))
    assert set(plan["best"]["units"]) == {"dynamics", "reward", "joint", "crowd"}
    assert plan["best"]["units"]["dynamics"] % 300 == 0
    assert plan["best"]["units"]["crowd"] > 0 == plan["best"]["units"]["reward"], (
        "half a label for a twentieth"
    )
    assert plan["spend"] <= 40000


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"error": None}, "--error is not given"),
        ({"error": None, "cost-reward": None}, "--error and --cost-reward are not given"),
        ({"weight-reward": None}, "--weight-reward is not given"),
        ({"cost-reward": None}, "--cost-reward is not given"),
        ({"cost-dynamics": 0}, "the cost of dynamics is 0"),
        ({"cost-reward": -1}, "the cost of reward is -1"),
        ({"cost-joint": 0}, "the cost of joint is 0"),
        ({"budget": 0}, "the budget is 0"),
        ({"budget": 0.5}, "the cheapest lot costs 1"),
        ({"budget": 30, "lot-dynamics": 100, "lot-reward": 10}, "the cheapest lot costs 100"),
        ({"lot-reward": 0}, "the lot of reward is 0"),
        ({"weight-dynamics": -1}, "the weight of the dynamics error (the command line) is -1"),
        ({"weight-dynamics": 0, "weight-reward": 0}, "the sum of the weights is 0"),
        ({"owned-dynamics": -5}, "the count of dynamics samples owned is -5"),
        ({"seed": -1}, "the seed is -1"),
        ({"owned-reward": 0, "lot-reward": 10000}, "does not buy a lot of both parts"),
        ({"label-source": "crowd:2"}, "NAME:PRICE:WORTH"),
        ({"label-source": "crowd:1:2:3"}, "NAME:PRICE:WORTH"),
        ({"label-source": "crowd:2:0"}, "the worth of a label from crowd is 0"),
        ({"label-source": "reward:2:1"}, "a source of labels has the name 'reward'"),
        ({"label-source": "joint:2:1"}, "'joint'; one of its own is needed"),
        ({"label-source": "episode:2:1"}, "other than dynamics, reward, joint, episode"),
        ({"label-source": ":2:1"}, "a source of labels has the name ''"),
    ],
)
def test_bad_flags_get_one_sentence(table, capsys, flags, words):
    assert main(command(table, **flags)) == 2
    assert words in refusal(capsys)


def test_a_budget_below_what_is_owned_is_refused(table, capsys):
    assert main([*command(table, budget=20000), "--include-owned"]) == 2
    assert "the budget is 20000; what is owned already cost 44000" in refusal(capsys)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"sizes": (250, 500)}, "3"),
        ({"parts": ("dynamics",)}, "no learning curve of reward"),
        ({"parts": ("dynamics", "value")}, "'value'"),
        ({"change": lambda part, size, error: -error}, "error"),
        ({"sizes": (0, *SIZES), "change": lambda part, size, error: 1.0}, "samples"),
        ({"change": lambda part, size, error: error * size}, "rises"),
    ],
)
def test_curves_that_support_no_plan_get_one_sentence(tmp_path, capsys, how, words):
    sizes = how.get("sizes", SIZES)
    if 0 in sizes:
        path = write(tmp_path / "curves.csv")
        path.write_text(path.read_text() + "dynamics,0,1.0,0\n")
    else:
        path = write(tmp_path / "curves.csv", **how)
    assert main(command(path)) == 2
    assert words in refusal(capsys)


def test_what_is_not_there_is_named(tmp_path, capsys):
    assert main(command(tmp_path / "nothing.csv")) == 2
    assert "does not exist" in refusal(capsys)


def test_a_run_is_measured(table, tmp_path, capsys, monkeypatch):
    """The run's own prices, counts and warnings; flags come before them."""
    curves = read_curves(table, "rms")
    routes = tuple(
        Weights(3.2, 6.0, "scaled", 0.99, 200, origin) for origin in ("the audit", "its terms")
    )
    known = Measurements(
        curves, curves, routes, {"dynamics": 4000, "reward": 4000}, 1.0, 5.0, ("few episodes.",)
    )
    asked_for = {}
    monkeypatch.setattr(
        measuring, "measure", lambda path, **about: asked_for.update(about) or known
    )
    plan = document(
        capsys, ["plan", str(tmp_path), "--budget=40000", "--cost-reward=10", "--weights=fitted"]
    )
    same = document(capsys, command(table))
    assert (plan["dynamics"], plan["reward"]) == (same["dynamics"], same["reward"])
    assert plan["warnings"][0] == "few episodes."
    assert "Weights from its terms" in plan["disagreement"]
    assert asked_for["weights"] == "fitted"
    assert document(capsys, ["plan", str(tmp_path), "--budget=40000"])["prices"] == {
        "dynamics": 1.0,
        "reward": 5.0,
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--budget=0"], "the budget is 0"),
        (["--budget=9", "--episodes=-1"], "the cost of an episode is -1"),
        (["--budget=9", "--lot-reward=0"], "the lot of reward is 0"),
        (["--budget=9", "--owned-reward=-1"], "the count of reward samples owned is -1"),
        (["--budget=9", "--cost-joint=-1"], "the cost of joint is -1"),
        (["--budget=0.5", "--cost-reward=1", "--cost-dynamics=1"], "the cheapest lot costs 1"),
    ],
)
def test_what_is_no_purchase_is_refused_before_a_run_is_measured(
    tmp_path, capsys, monkeypatch, arguments, words
):
    monkeypatch.setattr(measuring, "measure", lambda *_, **__: pytest.fail("it was measured"))
    assert main(["plan", str(tmp_path), *arguments]) == 2
    assert words in refusal(capsys)


def test_flags_of_a_table_are_refused_for_a_run(tmp_path, capsys):
    assert main(command(tmp_path)) == 2
    assert "--error is for a CSV file" in refusal(capsys)


def test_flags_of_a_run_are_refused_for_a_table(table, capsys):
    assert main(command(table, weights="global")) == 2
    assert "--weights is for a run directory" in refusal(capsys)


def test_a_table_needs_no_jax_nor_all_of_scipy(table):
    code = (
        "import sys, paracosm.cli.main as m; m.main(sys.argv[1:]); slow = {'jax', 'matplotlib',"
        " 'jinja2', 'gymnasium', 'scipy.stats'} & set(sys.modules); assert not slow, slow"
    )
    subprocess.run(
        [sys.executable, "-c", code, *command(table), "--json"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
