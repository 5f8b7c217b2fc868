"""A learner of one's own, in `imagine` and in `paracosm run`, and its own prediction audited."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import paracosm
from paracosm.core import checks
from paracosm.core.policy import Deterministic, Mode
from paracosm.core.rollout import rollout
from paracosm.loop.measuring import gradient_noise_of_run
from tests.extending.cross_entropy import CrossEntropy
from tests.imagination.imagining import imagine_in
from tests.imagination.test_imagine import (
    HORIZON,
    INITIAL,
    KEYS,
    SMALL,
    VISITED,
    integrator,
    mean_return,
)
from tests.loop.small import numbers, small_run

WHERE = "tests.extending.cross_entropy:make_learner"
SETTINGS = dataclasses.replace(SMALL, horizon=HORIZON - 2, most_steps=20)
SEARCH = CrossEntropy(candidates=16, best=4)


@pytest.fixture(scope="module")
def imagined():
    return imagine_in(integrator(), INITIAL, VISITED, learner=SEARCH, settings=SETTINGS)


def test_it_trains_in_the_loop_that_all_learners_share(imagined):
    idle = mean_return(integrator(), Deterministic(lambda s: 0 * s))
    assert mean_return(integrator(), Mode(imagined.policy)) > 0.6 * idle
    training = imagined.training
    assert training.step == (5, 10, 15, 20)
    assert training.stop == "20 gradient steps, the most allowed"
    assert training.imagined_steps == 20 * 16 * 8 * (HORIZON - 2) + 4 * 64 * HORIZON
    assert (training.weighting, training.baseline, imagined.value) == ("none", "none", None)


@pytest.mark.parametrize("cautious", [True, False])
def test_the_last_state_is_kept_of_a_learner_that_does_not_climb_the_score(cautious):
    """The score falls from step to step: the best state is that of the first evaluation."""

    class Worse(CrossEntropy):
        def init(self, problem, key):
            return {**super().init(problem, key), "steps": jnp.zeros(())}

        def step(self, state, problem, key):
            steps = state["steps"] + 1
            return state | {"mean": state["mean"] + 0.002 * steps, "steps": steps}, {}

    Worse.cautious_by_default = cautious
    Worse.keep = "best" if cautious else "last"
    learner = Worse(candidates=4, best=2)
    imagined = imagine_in(integrator(), INITIAL, VISITED, learner=learner, settings=SETTINGS)
    assert imagined.own_prediction is not None
    assert float(imagined.own_prediction.state["steps"]) == (5 if cautious else 20)


def test_the_metrics_of_its_steps_are_told_as_means_over_each_chunk():
    class Counting(CrossEntropy):
        """Counts its steps, and reports what is no number a step too."""

        def init(self, problem, key):
            return {**super().init(problem, key), "steps": jnp.zeros(())}

        def step(self, state, problem, key):
            after, metrics = super().step(state, problem, key)
            return after | {"steps": state["steps"] + 1}, {
                **metrics,
                "steps": state["steps"],
                "mean": after["mean"],
                "losses": {"first": state["steps"]},
                "none": None,
                "key": key,
            }

    rows = []
    learner, settings = Counting(candidates=4, best=2), dataclasses.replace(SETTINGS, most_steps=10)
    imagined = imagine_in(
        integrator(),
        INITIAL,
        VISITED,
        learner=learner,
        settings=settings,
        progress=lambda *row: rows.append(row),
    )
    assert [(done, most) for done, most, _ in rows] == [(5, 10), (10, 10)]
    assert [numbers["steps"] for _, _, numbers in rows] == [2, 7]
    returns = [numbers["imagined_return"] for _, _, numbers in rows]
    assert returns == list(imagined.training.imagined_return)
    names = {"imagined_return", "best_score", "steps", "imagined_steps"}
    assert all(set(numbers) == names for _, _, numbers in rows)


def test_its_own_prediction_is_audited(imagined):
    """In another world than it was trained in, which is the real one here."""
    real = integrator(dynamics=lambda s, a, key: s + 0.4 * a)
    episodes = rollout(real, Mode(imagined.policy), INITIAL, KEYS, HORIZON)
    episodes = jax.tree.map(np.asarray, episodes)
    diagnosis = paracosm.audit(integrator(), imagined.policy, episodes, imagined)
    prediction = imagined.own_prediction
    predicted = prediction(imagined.policy, jnp.asarray(INITIAL), jax.random.key(0))
    gap = diagnosis.gap_training
    np.testing.assert_allclose(gap.predicted.mean, np.mean(predicted), rtol=1e-4)
    assert gap.horizon.mean < 0, "what it leaves out is a term of its own"
    causes = gap.reward.mean + gap.termination.mean + gap.dynamics.mean + gap.horizon.mean
    np.testing.assert_allclose(causes, gap.total.mean, atol=1e-9)


@pytest.mark.full
def test_a_run_has_it_and_resumes_to_the_same_result(tmp_path):
    def stop(name, done, total, word=""):
        if name == "evaluate":
            raise KeyboardInterrupt

    complete = small_run(tmp_path / "whole", learner=WHERE)
    assert json.loads((tmp_path / "whole/config.json").read_text())["learner"] == WHERE
    assert complete.trainings[0].baseline == "none"
    with pytest.raises(KeyboardInterrupt):
        small_run(tmp_path / "run", learner=WHERE, progress=stop)
    assert numbers(small_run(tmp_path / "run", learner=WHERE, resume=True)) == numbers(complete)
    with pytest.raises(checks.BadArgument, match="learner"):
        small_run(tmp_path / "run", resume=True)
    with pytest.raises(checks.BadArgument, match=r"names code to import.*--trust"):
        _ = paracosm.load(tmp_path / "run").imagined
    run = paracosm.load(tmp_path / "run", trust=True)
    with pytest.raises(checks.BadArgument, match=r"trained by .*; the gradient noise that"):
        gradient_noise_of_run(tmp_path / "run", trust=True)
    start = run.episodes.state[:, 0]
    assert np.isfinite(run.imagined.own_prediction(run.policy, start, jax.random.key(0))).all()


def test_what_is_of_reinforce_is_refused_beside_it():
    with pytest.raises(checks.BadArgument, match=r"both learner and label_source are given"):
        imagine_in(integrator(), INITIAL, VISITED, learner=SEARCH, label_source=lambda s, a, t: 0.0)


def broken(settings):
    raise RuntimeError("no such thing")


def settings_only(settings):
    return settings


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "building what --learner names by .* failed with RuntimeError: no such thing"),
        ("settings_only", "what --learner .* makes is an ImagineSettings; a Learner is needed"),
    ],
)
def test_what_makes_no_learner_is_refused_before_anything_is_bought(name, message, tmp_path):
    with pytest.raises(checks.BadArgument, match=message):
        small_run(tmp_path / "run", learner=f"tests.extending.test_learner:{name}")
    assert not (tmp_path / "run").exists()
