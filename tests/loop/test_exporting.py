"""A finished run's policy in a file: used without Paracosm, and by Stable-Baselines3."""

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import paracosm
from paracosm.adapters.predicting import Predictor
from paracosm.cli.main import main
from paracosm.core import checks
from paracosm.core.encoder import Window
from paracosm.core.mdp import Box, Discrete, Spec
from paracosm.core.observing import Observing
from paracosm.core.policy import Deterministic, Noisy, acts, initial_carries
from paracosm.core.records.exported import Exported
from paracosm.imagination.planners import MPPI
from paracosm.loop import exporting, load
from paracosm.reporting import export_words
from tests.loop.small import small_run

COUNT = 1_000


def observations(size):
    return (2 * np.random.default_rng(1).normal(size=(COUNT, size))).astype(np.float32)


def module_at(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_onnx_acts_as_the_policy_at_a_thousand_observations(finished, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    run, inputs = paracosm.load(finished[0]), observations(3)
    record = paracosm.export(run, "onnx", tmp_path / "policy.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "policy.onnx")
    (action,) = session.run(None, {"observation": inputs})
    np.testing.assert_allclose(action, run.policy(inputs), rtol=0, atol=1e-5)
    assert (record.carry, record.actions, record.first_action) == (0, 1, None)
    assert record.difference <= 1e-5


def test_torch_acts_as_the_policy_at_a_thousand_observations(finished, tmp_path):
    torch = pytest.importorskip("torch")
    run, inputs = paracosm.load(finished[0]), observations(3)
    paracosm.export(run, "torch", tmp_path / "policy.pt2")
    action = torch.export.load(tmp_path / "policy.pt2").module()(torch.from_numpy(inputs))
    np.testing.assert_allclose(action.detach().numpy(), run.policy(inputs), rtol=0, atol=1e-5)


def test_the_module_of_numpy_needs_numpy_alone(finished, tmp_path):
    run, inputs = paracosm.load(finished[0]), observations(3)
    paracosm.export(run, "numpy", tmp_path / "pendulum.py")
    np.save(tmp_path / "inputs.npy", inputs)
    code = (
        "import sys, numpy as np, pendulum\n"
        "assert not {'jax', 'equinox', 'paracosm', 'scipy'} & set(sys.modules)\n"
        "np.save('actions.npy', pendulum.predict(np.load('inputs.npy'))[0])"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env={})
    action = np.load(tmp_path / "actions.npy")
    np.testing.assert_allclose(action, run.policy(inputs), rtol=0, atol=1e-5)


def test_discrete_actions_are_the_environments_own(cart, tmp_path):
    run, inputs = paracosm.load(cart[0]), observations(4)
    own = run.policy(inputs)
    record = paracosm.export(run, "numpy", tmp_path / "cart.py")
    np.testing.assert_array_equal(module_at(tmp_path / "cart.py").predict(inputs)[0], own)
    assert (record.first_action, record.difference) == (0, 0.0)
    shifted = paracosm.Spec(4, Discrete(2, 5), jnp.ones(4), 10)
    paracosm.export(run.policy, "numpy", tmp_path / "shifted.py", spec=shifted)
    np.testing.assert_array_equal(module_at(tmp_path / "shifted.py").predict(inputs)[0], own + 5)


@pytest.fixture(scope="module")
def windowed(tmp_path_factory):
    out = tmp_path_factory.mktemp("windowed") / "cart"
    small_run(out, "CartPole-v1", encoder="window:2")
    return out


def test_the_encoder_of_a_run_is_inside(windowed, tmp_path):
    run = paracosm.load(windowed)
    record = paracosm.export(run, "numpy", tmp_path / "windowed.py")
    assert (record.encoder, record.observation) == ("Window", (4,))
    predict = module_at(tmp_path / "windowed.py").predict
    lanes, steps = 50, observations(4).reshape(20, 50, 4)
    policy, state = run.observing.greedy(), None
    carries, keys = initial_carries(policy, lanes), jax.random.split(jax.random.key(0), lanes)
    for row in steps:
        action, state = predict(row, state)
        expected, carries = acts(policy, carries, row, keys)
        np.testing.assert_array_equal(action, expected)
    again, _ = predict(steps[0], state, episode_start=np.ones(lanes, bool))
    np.testing.assert_array_equal(again, predict(steps[0])[0])
    assert "behind its Window" in export_words.sentences(record)


def test_the_environment_of_an_encoder_is_opened_once(windowed, monkeypatch):
    opened, open_source = [], load.observed_source
    monkeypatch.setattr(load, "observed_source", lambda c: opened.append(c) or open_source(c))
    run = paracosm.load(windowed)
    assert run.encoder is run.encoder
    assert isinstance(run.encoder, Window)
    assert len(opened) == 1


class Remembering(gymnasium.Env):
    """It starts every episode at the same observation, and records what is done."""

    observation_space = gymnasium.spaces.Box(-10, 10, (4,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seen = np.full(4, 0.1, np.float32)
        return self.seen, {}

    def step(self, action):
        self.seen = np.clip(self.seen + np.array([0.1, -0.2, 0.3, 0.2 * action]), -10, 10)
        self.seen = self.seen.astype(np.float32)
        return self.seen, float(action), False, False, {}


def test_stable_baselines3_evaluates_predictors_and_exported_modules_alike(windowed, tmp_path):
    evaluation = pytest.importorskip("stable_baselines3.common.evaluation")
    monitor = pytest.importorskip("stable_baselines3.common.monitor")
    run = paracosm.load(windowed)
    paracosm.export(run, "numpy", tmp_path / "evaluated.py")
    models = run.predictor, module_at(tmp_path / "evaluated.py")
    returns = []
    for model in models:
        env = monitor.Monitor(gymnasium.wrappers.TimeLimit(Remembering(), 30))
        returns.append(evaluation.evaluate_policy(model, env, 2, return_episode_rewards=True)[0])
    assert returns[0] == returns[1]
    assert returns[0][0] == returns[0][1]  # the second episode begins without the first one's state


def test_predictors_sample_and_give_the_environments_numbers(cart):
    run, inputs = paracosm.load(cart[0]), observations(4)
    action, state = run.predictor.predict(inputs)
    assert state is None
    np.testing.assert_array_equal(action, run.policy(inputs))
    single, _ = run.predictor.predict(inputs[0])
    assert single.shape == ()
    sampled, _ = run.predictor.predict(inputs, deterministic=False)
    again, _ = run.predictor.predict(inputs, deterministic=False)
    assert (sampled != again).any()


@pytest.mark.parametrize("to", ["numpy", "onnx", "torch"])
def test_joint_actions_are_given_choice_by_choice(to, tmp_path):
    """The action is the largest component of what is observed."""
    space = Discrete(24, counts=(3, 2, 4), starts=(0, 5, -1))
    spec = Spec(24, space, np.ones(24), 10)
    policy = Deterministic(jnp.argmax)
    record = paracosm.export(policy, to, tmp_path / f"policy{exporting.ENDINGS[to]}", spec=spec)
    assert (record.choices, record.difference) == ((3, 2, 4), 0)
    assert "3 choices at once, of 3 x 2 x 4 values" in export_words.sentences(record)
    numbers = np.argmax(observations(24), axis=1)
    writer = importlib.import_module(f"paracosm.exporting.{to}_file")
    step = writer.decode(Path(record.path).read_bytes())
    np.testing.assert_array_equal(
        step(observations(24), np.zeros((COUNT, 0), np.float32))[0], space.values(numbers)
    )
    assert len(set(numbers.tolist())) == 24


def test_a_policy_of_bytes_is_compared_at_bytes():
    policy = Deterministic(lambda state: jnp.clip(state[:1].astype(jnp.float32) / 255, 0, 1))
    space = Box(np.zeros(1), np.ones(1))
    spec = Spec(12, space, np.ones(12), 10)
    assert exporting._of_policy(policy, spec).observations.dtype == np.float32
    pictured = Observing(policy, Window(1), space, 12, "uint8")
    inputs = exporting._of_policy(pictured, spec).observations
    assert (inputs.dtype, inputs.shape, int(inputs.max())) == (np.uint8, (COUNT, 12), 255)


def test_a_predictor_knows_one_image_from_a_batch():
    picked = Deterministic(lambda state: jnp.clip(state[:1].astype(jnp.float32) / 255, 0, 1))
    predictor = Predictor(picked, Box(np.zeros(1), np.ones(1)), shape=(2, 2, 3))
    image = np.full((2, 2, 3), 51, np.uint8)
    np.testing.assert_allclose(predictor.predict(image)[0], [0.2])
    assert predictor.predict(np.stack([image] * 5))[0].shape == (5, 1)
    assert predictor.predict(image.reshape(-1))[0].shape == (1,)
    grey = Predictor(picked, Box(np.zeros(1), np.ones(1)), shape=(2, 3, 1))
    for form in ((2, 3), (2, 3, 1), (6,)):
        assert grey.predict(np.zeros(form, np.uint8))[0].shape == (1,)
        assert grey.predict(np.zeros((5, *form), np.uint8))[0].shape == (5, 1)


def test_each_component_of_an_action_is_compared_in_its_own_range():
    box = Box(np.array([-1000.0, -0.1]), np.array([1000.0, 0.1]))
    exporting._require_equal(np.array([[1e-3, 1e-7]]), box)
    with pytest.raises(checks.BadData, match=r"0\.001 is how far its actions are"):
        exporting._require_equal(np.array([[0.0, 1e-3]]), box)


def test_what_cannot_be_exported_is_refused(finished, tmp_path, monkeypatch):
    run, out = paracosm.load(finished[0]), tmp_path / "policy.onnx"
    planner = MPPI(run.world)
    refused = {
        "MPPI cannot be exported: it is a planner": (planner, "onnx", out, run.spec),
        "spec is None; a Spec": (run.policy, "onnx", out, None),
        "a path is needed": (run.policy, "numpy", None, run.spec),
        "the file is my-policy.py; a name that Python imports": (
            run,
            "numpy",
            tmp_path / "my-policy.py",
            None,
        ),
        "the file is class.py; a name that Python imports": (
            run,
            "numpy",
            tmp_path / "class.py",
            None,
        ),
        "--to is 'tf'": (run, "tf", out, None),
        "is no run directory": (tmp_path, "onnx", out, None),
    }
    for sentence, (subject, to, path, spec) in refused.items():
        with pytest.raises(checks.ParacosmError, match=sentence):
            paracosm.export(subject, to, path, spec=spec)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(checks.Missing, match=r"pip install 'paracosm\[onnx\]'"):
        paracosm.export(run, "onnx", out)
    assert not list(tmp_path.iterdir())


def test_a_file_that_would_act_otherwise_is_not_written(finished, tmp_path, monkeypatch):
    run = paracosm.load(finished[0])
    constant = Noisy(Deterministic(lambda state: jnp.ones(1)), run.spec.action, 0.0)
    program = exporting.program_of(constant, run.spec.action, (3,))
    monkeypatch.setattr(exporting, "program_of", lambda *_: program)
    with pytest.raises(checks.BadData, match="would not act as the policy"):
        paracosm.export(run, "numpy", tmp_path / "policy.py")
    assert not list(tmp_path.iterdir())


def test_the_command_says_what_it_wrote_and_how_to_load_it(finished, tmp_path, capsys):
    out = tmp_path / "policy.onnx"
    assert main(["export", str(finished[0]), "--to", "onnx", "--out", str(out), "--json"]) == 0
    record = Exported.from_json(capsys.readouterr().out)
    assert out.is_file()
    words = export_words.sentences(record)
    assert "from observations of 3 numbers to actions of 1 number" in words
    assert f"onnxruntime.InferenceSession('{out}')" in words
