"""E2: what the students are taught, and verdicts that follow the curves."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core.checks import BadArgument
from paracosm.core.policy import Uniform
from paracosm.core.records import Estimate
from paracosm.paper import e2, e2_worlds
from paracosm.paper.e2_curves import ABLATION, MAIN, VARIANTS, experiment_curves
from paracosm.paper.e2_worlds import Explorer, Variation
from paracosm.paper.study import Answer

SLOW, FAST = 0.11, 0.96


@functools.cache
def _gather(rows):
    def gather(variation):
        mdp = e2_worlds.teacher(jax.random.key(0), variation)
        policy = Explorer(Uniform(mdp.spec.action), variation.normal_actions)
        rows_played = e2_worlds.transitions(mdp, policy, jax.random.key(1), rows)
        tasks = {
            name: e2_worlds.targets(name, mdp, rows_played).targets for name in e2_worlds.TASKS
        }
        return (
            [mdp.dynamics.first, mdp.dynamics.second, mdp.reward.first, mdp.reward.second],
            rows_played,
            tasks,
        )

    return jax.jit(gather)


def gathered(scaled=False, starts=1.0, normal=False, rows=900):
    """Weights, rows and what students are taught, as NumPy arrays."""
    return jax.tree.map(
        np.asarray,
        _gather(rows)(Variation(jnp.asarray(scaled), jnp.asarray(starts), jnp.asarray(normal))),
    )


@pytest.mark.parametrize("scaled", [False, True])
def test_students_are_taught_what_the_teacher_does(scaled):
    weights, rows, targets = gathered(scaled)
    plain = gathered()[0]
    first, second = (plain[0] / 4, plain[1] / 8) if scaled else plain[:2]
    assert rows.inputs.shape == (900, 16)
    inside = np.maximum(rows.inputs @ first, 0) @ second
    np.testing.assert_allclose(rows.after, np.tanh(inside), atol=1e-4)
    np.testing.assert_allclose(targets["before tanh"], inside / 8, rtol=1e-3, atol=1e-4)
    reward = np.maximum(rows.inputs @ weights[2], 0) @ weights[3] / 8
    np.testing.assert_allclose(targets["reward"][:, 0], reward, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(targets["one component"], rows.after[:, :1])
    np.testing.assert_array_equal(targets["tanh student"], targets["dynamics"])
    assert (np.abs(rows.after) > 0.99).mean() == pytest.approx(0 if scaled else 0.89, abs=0.03)


def test_episodes_follow_on_and_begin_where_they_are_told():
    _, rows, _ = gathered(starts=0.0, normal=True)
    states, actions = rows.inputs[:, :12], rows.inputs[:, 12:]
    np.testing.assert_array_equal(states[1:500], rows.after[:499])
    assert not states[0].any()
    assert not states[500].any()
    assert np.abs(actions).max() > 2
    _, rows, _ = gathered()
    assert np.abs(rows.inputs[500, :12]).max() <= 1
    assert 0.9 < np.abs(rows.inputs[:, 12:]).max() <= 1


def test_a_cell_is_a_function_of_its_arguments():
    def ask(seed):
        return e2.trained(samples=300, seed=seed, tasks=["dynamics", "reward"])

    result = ask(0)
    assert result == ask(0) != ask(1)
    assert set(result["error"]) == set(MAIN)
    assert 0 < result["error on its data"]["reward"] < result["variance"]["reward"]
    with pytest.raises(BadArgument, match="'gaussian'"):
        e2.trained(samples=300, seed=0, tasks=["reward"], actions="gaussian")


def test_the_longest_cells_come_first_and_all_sizes_are_there():
    full, quick = e2.cells("full"), e2.cells("quick")
    assert len({cell.name for cell in full}) == len(full)
    assert full[0].arguments["samples"] == 200_000
    plain = [cell.arguments for cell in full if set(cell.arguments) == {"samples", "seed", "tasks"}]
    assert sum(2 for arguments in plain if arguments["tasks"] == list(MAIN)) == 1400
    assert max(cell.arguments["samples"] for cell in quick) == 20_000


def answers_by_powers(**powers):
    """Answers as if errors were powers of the samples; `powers` by task, with `_` for a blank."""
    powers = {
        "dynamics": SLOW,
        "reward": FAST,
        **{name.replace("_", " "): p for name, p in powers.items()},
    }
    answers = []
    for cell in e2.cells("quick"):
        arguments = cell.arguments
        rng = np.random.default_rng(arguments["seed"])
        level = np.exp(
            0.1 * rng.normal()
            + 0.01 * rng.normal(size=len(arguments["tasks"])) * arguments["samples"] / 1e4
        )
        scaled = arguments.get("weights") == "scaled"
        power = [
            powers.get("scaled", FAST) if scaled else powers[task] for task in arguments["tasks"]
        ]
        error = {
            task: 90 * e * arguments["samples"] ** -p
            for task, p, e in zip(arguments["tasks"], power, level, strict=True)
        }
        result = {"error": error, "error on its data": error, "variance": dict.fromkeys(error, 1.0)}
        answers.append(
            Answer(
                cell.function,
                arguments,
                {**result, "saturated": {"share": 0.89 + 0.001 * arguments["seed"]}},
            )
        )
    return answers


SATURATED = {"one component": 0.2, "before tanh": 0.9, "tanh student": 0.3}
SCALAR = {"one component": 0.9, "before tanh": 0.15, "tanh student": 0.1}


@pytest.mark.parametrize(
    ("powers", "sentence"),
    [
        (SATURATED, "the tanh around the outputs, not scalar against vector"),
        (SCALAR, "scalar against vector, as the paper says"),
    ],
)
def test_the_ablation_says_what_the_curves_say(powers, sentence):
    findings = e2.read(
        answers_by_powers(**{name.replace(" ", "_"): power for name, power in powers.items()})
    )
    by = {claim.id: claim for claim in findings.claims}
    assert sentence in by["cause_of_slow_dynamics"].why
    assert sentence in findings.found
    expected = (powers["before tanh"] - SLOW) / (FAST - SLOW)
    assert by["cause_of_slow_dynamics"].ours == pytest.approx(expected, abs=0.03)
    assert by["exponent_dynamics"].verdict == by["exponent_reward"].verdict == "agrees"
    scalar = powers["one component"] > 0.5
    assert by["removed_by_one_output"].verdict == ("agrees" if scalar else "differs")
    assert by["exponent_reward_norm"].ours == pytest.approx(0.48, abs=0.02)
    assert by["saturated_share"].ours == pytest.approx(0.8925)


def test_scaled_weights_are_said_to_be_the_dynamics_alone():
    """As they are: see `test_students_are_taught_what_the_teacher_does`."""
    findings = e2.read(
        answers_by_powers(**{name.replace(" ", "_"): p for name, p in SATURATED.items()})
    )
    claim = next(c for c in findings.claims if c.id == "removed_by_scaled_weights")
    assert "the weights of the teacher's dynamics" in claim.claim
    assert "the dynamics' weights divided by sqrt(fan in)" in findings.found
    assert "the reward's not" in findings.setup[-1]
    assert "Scaled weights are those of the teacher's dynamics" in findings.tables[0].note


def estimate(low, high):
    return Estimate((low + high) / 2, low, high, 10, "bootstrap")


@pytest.mark.parametrize(
    ("unsaturated", "one_output", "sentence"),
    [
        ((0.8, 1.1), (0.1, 0.4), "the tanh around the outputs, not scalar"),
        ((0.1, 0.4), (0.8, 1.1), "scalar against vector, as the paper says"),
        ((0.5, 0.7), (0.1, 0.4), "the tanh more than"),
        ((0.1, 0.4), (0.45, 0.7), "scalar against vector more than"),
        ((0.1, 0.6), (0.4, 0.9), "undecided"),
    ],
)
def test_the_answer_follows_the_intervals(unsaturated, one_output, sentence):
    weak = estimate(0.1, 0.3)
    answer = e2.cause(
        estimate(*unsaturated), estimate(0.55, 0.7), estimate(*one_output), weak, tanh_error=0.3
    )
    assert sentence in answer
    assert "saturation, not" not in answer


@pytest.mark.parametrize(
    ("remaining_error", "much"),
    [(0.26, "has 26% of the error"), (0.8, "the smaller part of that error")],
)
def test_what_of_the_tanh_is_said_is_what_a_tanh_student_showed(remaining_error, much):
    """Saturation alone is in no row of the ablation."""
    strong, weak = estimate(0.8, 1.1), estimate(0.1, 0.3)
    answer = e2.cause(strong, strong, weak, weak, tanh_error=remaining_error)
    assert much in answer
    assert "difference that is 20%" in answer
    assert "Saturation alone was not taken away" in answer


def test_verdicts_flip_with_the_curves():
    findings = e2.read(
        answers_by_powers(
            dynamics=0.5, reward=0.6, **{name.replace(" ", "_"): p for name, p in SATURATED.items()}
        )
    )
    by = {claim.id: claim for claim in findings.claims}
    assert by["ratio_of_exponents"].verdict == "cannot be compared"
    for name in ("exponent_dynamics", "exponent_reward"):
        assert by[name].verdict == "differs"
        assert by[name].low <= by[name].ours <= by[name].high
    assert by["ratio_of_exponents"].ours == pytest.approx(1.2, abs=0.05)
    assert by["misfit_reward"].ours == pytest.approx(1)
    assert {
        "r2_dynamics",
        "r2_reward",
        "reward_curve_at_2000",
        "exponent_dynamics_norm_posterior",
    } <= set(by)
    assert len(findings.choices) == 7
    assert len(findings.charts) == 2
    assert len(findings.tables[0].rows) == 2 + len(ABLATION) + 2
    assert len(findings.tables[2].rows) == 2


def test_a_curve_that_the_library_refuses_is_told():
    answers = answers_by_powers(
        **{name.replace(" ", "_"): power for name, power in SATURATED.items()}
    )
    for answer in answers:
        steeper = np.exp(-1.5 * np.log(answer.arguments["samples"] / 2000) ** 2)
        answer.result["error"] = {
            task: error * steeper for task, error in answer.result["error"].items()
        }
    findings = e2.read(answers)
    assert "bends against the law" in findings.tables[2].rows[0][1]
    assert "exponent_dynamics_norm_posterior" not in {claim.id for claim in findings.claims}


@pytest.mark.full
def test_un_saturating_makes_dynamics_as_fast_as_rewards():
    """At 2,000 and 10,000 samples of 2 teachers."""
    seeds_used = [
        cell for cell in e2.cells("quick") if cell.arguments["samples"] in (2_000, 10_000)
    ]
    seeds_used = [
        cell
        for cell in seeds_used
        if cell.arguments["seed"] < 2 and not set(VARIANTS) & set(cell.arguments)
    ]
    curves = experiment_curves(
        [Answer(cell.function, cell.arguments, e2.trained(**cell.arguments)) for cell in seeds_used]
    ).ablation
    powers = {name: e2.exponent(curve).mean for name, curve in curves.items()}
    assert max(powers["dynamics"], powers["one component"]) < 0.5
    assert min(powers["reward"], powers["before tanh"], powers["scaled weights: dynamics"]) > 0.65
