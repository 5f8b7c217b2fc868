"""`paracosm audit --world`: the pages of docs/foreign as they are, and one sentence for all that
does not fit.
"""

import dataclasses
import importlib
import json
import re
import shlex
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from paracosm import adapters as foreign
from paracosm import testing
from paracosm.cli import main as command_line
from paracosm.core import checks
from paracosm.core.data import Dataset, Trajectory
from paracosm.core.records import Diagnosis
from paracosm.core.rollout import rollout
from paracosm.loop import foreign as loop
from paracosm.loop.foreign import audit_foreign
from paracosm.real import datasets
from paracosm.real.source import Source
from paracosm.real.verbs import connect, evaluate
from tests.reporting import report_records

DOCS = Path(__file__).parents[2] / "docs/foreign"
PAGES = {page.stem: page.read_text() for page in sorted(DOCS.glob("*.md"))}


@pytest.fixture(autouse=True)
def _no_environment_change(monkeypatch):
    monkeypatch.setattr(command_line, "_prepare_jax", lambda: None)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes the user's file `my_model.py` into the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def write(text):
        (tmp_path / "my_model.py").write_text(text)
        importlib.invalidate_caches()
        sys.modules.pop("my_model", None)

    yield write
    sys.modules.pop("my_model", None)


def code_of(page):
    return re.search(r"```python\n(.*?)```", PAGES[page], re.DOTALL)[1]


def command_of(page):
    return shlex.split(re.search(r"```\n(paracosm audit .*?)\n```", PAGES[page], re.DOTALL)[1])[1:]


def audited(capsys, *arguments):
    assert command_line.main([*arguments, "--json"]) == 0
    return Diagnosis.from_json(capsys.readouterr().out)


def spoken(capsys, *arguments):
    """The one sentence on stderr."""
    assert command_line.main(["audit", *arguments]) == 2
    captured = capsys.readouterr()
    sentence = captured.err.splitlines()[-1]
    assert captured.out == ""
    assert sentence.startswith("paracosm: ")
    assert "Traceback" not in captured.err
    return sentence


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_each_pages_world_and_policy_run(page, write):
    write(code_of(page))
    import my_model

    env = command_of(page)[command_of(page).index("--env") + 1]
    source = connect(env)
    blank = foreign.spec(_some(source), action=source.action, horizon=20)
    takes_spec = my_model.make_policy.__code__.co_argcount
    policy = foreign.policy(my_model.make_policy(*[blank][:takes_spec]), blank)
    episodes = evaluate(env, policy, episodes=3, horizon=20)
    world = my_model.make_world(blank)
    if isinstance(world, (foreign.LatentModel, foreign.Recurrent)):
        world, policy, episodes, note = world.on(episodes)
        assert f"{episodes.state.shape[-1]} numbers" in note
    keys = jax.random.split(jax.random.key(0), 3)
    imagined = rollout(world, policy, episodes.state[:, 0], keys, 20)
    near = np.abs(imagined.next_state[:, 0] - episodes.next_state[:, 0])
    assert (near < 0.2 * np.abs(episodes.state).max()).all()
    assert np.isfinite(imagined.reward).all()
    same = [
        np.allclose(getattr(imagined, name), getattr(episodes, name), atol=1e-4)
        for name in ("next_state", "reward")
    ]
    assert not all(same)


def _some(source):
    return source.collect(100, seed=0)


MEMORY, REMEMBERING = "In the model's memory", ("recurrent", "window", "dreamer")
LATENT, LATENTS = "In the model's latent space", ("latent", "tdmpc2", "goal")
GLUED = ("tdmpc2", "mbrl", "goal", "gymnax", *REMEMBERING)


@pytest.mark.parametrize("page", GLUED)
def test_the_glue_of_a_page_is_as_long_as_it_says(page):
    start, stop = ("make_env", "def dynamics") if page == "gymnax" else ("make_world", "\n```")
    match = re.search(rf"Its glue, from `{start}` on[^.]*?is\s(\d+) lines", PAGES[page])
    code = (code_of(page) + "\n```").partition(f"def {start}")[2].partition(stop)[0]
    assert len([line for line in code.splitlines() if line.strip()]) == int(match[1]) <= 15


BLAMED = {"numpy": "reward", "joint": "reward"}


@pytest.mark.full
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_each_pages_command_blames_the_part_that_is_wrong(page, write, capsys):
    write(code_of(page))
    diagnosis = audited(capsys, *command_of(page))
    assert diagnosis.closure < 1e-4
    blamed = BLAMED.get(page, "dynamics")
    sizes = {
        name: abs(getattr(diagnosis.gap, name).mean)
        for name in ("reward", "termination", "dynamics")
    }
    assert max(sizes, key=sizes.get) == blamed
    begins = {**dict.fromkeys(LATENTS, LATENT), **dict.fromkeys(REMEMBERING, MEMORY)}
    assert diagnosis.verdict.startswith(begins.get(page, "The imagined return"))


SMALL = """
import jax
import jax.numpy as jnp
import numpy as np
from paracosm import MDP, Box, Spec
from paracosm import adapters as foreign

def env():
    return MDP(
        Spec(2, Box(jnp.array([-1.0]), jnp.array([1.0])), jnp.ones(2), {horizon}),
        lambda s, a, key: 0.9 * s + a,
        lambda s, a, n: n[0],
        lambda s, a, n: {ends},
        lambda key: jax.random.uniform(key, (2,)),
        0.9,
    )

def dynamics(s, a):
    {dynamics}
    return 0.8 * s + a

def reward(n):
    return n[:, 0]

def make_world(spec):
    return foreign.world(spec, dynamics=dynamics, reward=reward, reward_of="s'", discount=0.9)

def make_policy():
    return policy

def policy(s):
    {policy}
"""


def small(dynamics="pass", policy="return -0.5 * s[:, :1]", ends="jnp.zeros((), bool)", horizon=8):
    return SMALL.format(dynamics=dynamics, policy=policy, ends=ends, horizon=horizon)


HERE = ["--world", "my_model:make_world", "--policy", "my_model:make_policy"]
ENV = [*HERE, "--env", "my_model:env", "--episodes", "4"]


def recorded(path):
    """The small policy's episodes as a file."""
    import my_model

    source = connect("my_model:env")
    spec = foreign.spec(source.collect(20, seed=0), action=source.action)
    episodes = source.evaluate(foreign.policy(my_model.policy, spec), episodes=4)
    data = Dataset.from_trajectory(episodes)
    datasets.save(data, path)
    return data


def test_an_environment_and_its_record_get_the_same_causes(write, tmp_path, capsys):
    write(small())
    played = audited(capsys, "audit", *ENV, "--out", str(tmp_path / "audit.html"))
    assert "verdict" in (tmp_path / "audit.html").read_text()
    assert abs(played.gap.dynamics.mean) > 10 * abs(played.gap.reward.mean)
    assert played.closure < 1e-9
    recorded(tmp_path / "own.npz")
    read = audited(capsys, "audit", *HERE, "--data", "own.npz")
    for cause in ("real", "reward", "dynamics", "termination"):
        assert getattr(read.gap, cause).mean == pytest.approx(
            getattr(played.gap, cause).mean, rel=1e-5, abs=1e-12
        )


def test_data_of_another_policy_are_refused_with_what_they_are_good_for(write, tmp_path, capsys):
    write(small())
    data = recorded(tmp_path / "own.npz")
    write(small(policy="return 0.5 * s[:, :1]"))
    sentence = spoken(capsys, *HERE, "--data", "own.npz")
    assert re.search(r"3\d of the 32 recorded actions are not those of the policy", sentence)
    assert (
        "attribution needs on-policy episodes, or a stochastic policy of known density" in sentence
    )
    error = np.sqrt(np.mean(np.sum((0.1 * data.state / data.state.std(axis=0)) ** 2, axis=1)))
    assert f"one-step errors: dynamics {error:.3g} scaled states" in sentence
    reward = re.search(r"reward (\S+) \(the mean reward", sentence)
    assert reward is not None
    assert float(reward[1]) < 1e-7


def stored(columns, path):
    """A data set of 3 episodes of 4 steps, with some columns replaced."""
    state = np.zeros((12, 2), np.float32)
    bought = np.ones(12, bool)
    data = Dataset(
        state=state,
        action=np.zeros((12, 1), np.float32),
        next_state=state.copy(),
        reward=np.zeros(12),
        terminated=np.zeros(12, bool),
        truncated=np.zeros(12, bool),
        episode=np.repeat(np.arange(3), 4),
        time=np.tile(np.arange(4), 3),
        has_transition=bought,
        has_label=bought.copy(),
    )
    datasets.save(dataclasses.replace(data, **columns), path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"time": np.zeros(12, int), "episode": np.arange(12)},
            "none of the 12 real episodes has more than 1 step",
        ),
        (
            {"time": np.tile([0, 1, 3, 4], 3)},
            "episode 0 of own.npz has step 3 where its step 2 should be",
        ),
        (
            {"has_label": np.arange(12) != 5},
            "holds 11 whole steps of 12; an audit needs all of them",
        ),
        (
            {"state": np.linspace(0, 1, 24, dtype=np.float32).reshape(12, 2)},
            "the next step of episode 0, is",
        ),
    ],
)  # fmt: skip
def test_records_that_are_not_whole_episodes_are_refused(columns, message, write, tmp_path, capsys):
    write(small())
    stored(columns, tmp_path / "own.npz")
    assert message in spoken(capsys, *HERE, "--data", "own.npz")


def test_an_environment_whose_episodes_have_one_step_is_refused(write, capsys):
    write(small(ends="jnp.ones((), bool)"))
    sentence = spoken(capsys, *ENV)
    assert (
        "none of the 4 real episodes has more than 1 step; one of at least 2 is needed, since"
        " nothing would be" in sentence
    )


FURTHER = """
    assert (s < 6).all(), 'far'
    return s % 1 + np.where(s < 2, 2, np.floor(s) + 1)
"""


def test_a_model_that_fails_only_in_imagination_says_at_which_step(write, capsys):
    """Recorded states lie in [0, 1]; imagined ones are 2 to 3 after the first step and one more
    after each other.
    """
    write(small(dynamics=FURTHER, horizon=8))
    sentence = spoken(capsys, *ENV)
    assert (
        sentence
        == "paracosm: at imagined step 5 the NumPy dynamics failed with AssertionError: far"
    )


def test_no_step_is_named_where_it_has_nothing_to_do_with_the_message(write, tmp_path, capsys):
    """The episodes are off policy; played in imagination, the model would fail too."""
    write(small())
    recorded(tmp_path / "own.npz")
    write(
        small(
            policy="return 0.5 * s[:, :1]",
            dynamics="assert (s < 1.5).all(), 'far'; return s + 1 + 0 * a",
        )
    )
    assert re.match(
        r"paracosm: 3\d of the 32 recorded actions", spoken(capsys, *HERE, "--data", "own.npz")
    )


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"dynamics": "return s[:, :1]"},
            r"NumPy dynamics gives the shape \(\d+, 1\) for the next state",
        ),
        (
            {"dynamics": "raise RuntimeError('no\\n oil')"},
            "at step 0 of real episode 0 the NumPy dynamics failed with RuntimeError: no oil",
        ),
        (
            {"dynamics": "assert (s[:, 0] > 0.2).all(), 'cold'"},
            r"at step [1-7] of real episode 0 the .* AssertionError: cold",
        ),
        (
            {"dynamics": "s = np.where(s > 0.2, s, np.nan)"},
            r"at step [0-7] of real episode 0 the .* gives nan at s =",
        ),
        (
            {"policy": "return np.random.default_rng().normal(size=(len(s), 1))"},
            "NumPy policy answers .* twice",
        ),
        ({"policy": "return s"}, r"NumPy policy gives the shape \(4, 2\) for the action"),
        ({"policy": "return missing"}, "NumPy policy failed with NameError: name 'missing'"),
    ],
)  # fmt: skip
def test_a_model_that_fails_says_which_part_and_when(parts, message, write, capsys):
    write(small(**parts))
    assert re.search(message, spoken(capsys, *ENV))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "what to audit is not named"),
        (["--world", "my_model:make_world"], "--policy is not named"),
        (["--policy", "my_model:make_policy"], "--world is not named"),
        (["runs/one", *HERE], "both a run directory and --world are given"),
        (HERE, "of --env and --data neither is given"),
        ([*ENV, "--data", "own.npz"], "of --env and --data both is given"),
        ([*ENV[:2], "--policy", "my_model:nothing", *ENV[4:]], "has no function 'nothing'"),
        (
            ["--world", "my_model:policy", *ENV[2:]],
            "building the world by my_model:policy failed with ",
        ),
        (["--world", "my_model:env_name", *ENV[2:]], "--world gave a str; an MDP"),
        ([*HERE, "--data", "missing.npz"], "missing.npz"),
        ([*ENV, "--env-kwargs", "nonsense"], "--env-kwargs is 'nonsense'"),
        (["runs/one", "--seed", "1"], "--seed is of --world"),
        (["runs/one", "--first-seed", "1"], "--first-seed is of new episodes"),
        (["runs/one", "--horizon", "9"], "--horizon is of --env"),
        ([*ENV, "--trust"], "--trust is for a run directory"),
        ([*HERE, "--data", "own.npz", "--first-seed", "1"], "all episodes of --data are used"),
    ],
)
def test_flags_that_do_not_fit(arguments, message, write, capsys):
    write(small() + "\ndef env_name():\n    return 'Pendulum-v1'\n")
    assert message in spoken(capsys, *arguments)


def test_a_world_that_is_not_there_costs_no_real_step(write, capsys, monkeypatch):
    write(small())
    monkeypatch.setattr(Source, "evaluate", lambda *_, **__: pytest.fail("episodes were played"))
    sentence = spoken(capsys, "--world", "my_model:nothing", *ENV[2:])
    assert "has no function 'nothing'" in sentence


@pytest.mark.parametrize(
    ("question", "where"),
    [
        ({"s": [2.0, 2.0], "a": [2.0]}, "at step 2 of real episode 0"),
        ({"s": [4.0, 4.0]}, "at step 1 of real episode 1"),
        ({"s": [4.0, 4.0], "normals": [0.3]}, "at step 1 of real episode 1"),
        ({"s": [4.0, 4.0], "a": [4.0], "s'": [99.0, 0.0]}, "at step 1 of real episode 1"),
        ({"s'": [4.0, 4.0]}, "at step 0 of real episode 1"),
        ({"s'": [99.0, 0.0]}, None),
        ({"s": [2.0, 2.0], "a": [0.0]}, None),
        ({"s": [5.0, 5.0], "a": [5.0]}, None),  # after the end of its episode
    ],
)
def test_a_recorded_step_is_named_where_its_question_was_put(question, where):
    number = np.arange(6.0).reshape(2, 3)
    states, alive = np.stack([number] * 2, axis=-1), np.array([[True] * 3, [True, True, False]])
    none = np.zeros((2, 3))
    episodes = Trajectory(states, number[..., None], states + 1, none, none > 0, none > 0, alive)
    question = {name: np.array(row) for name, row in question.items()}
    assert loop._recorded_step(episodes, question) == where


def test_what_a_policy_may_lack_stands_at_the_end_of_the_verdict(write, monkeypatch):
    class Agent:
        def predict(self, observation, deterministic=False):
            return -0.5 * observation[:, :1], None

        def get_vec_normalize_env(self):
            return None

        def get_env(self):
            return None

    write(small())
    import my_model

    monkeypatch.setattr(
        loop,
        "_audit_and_locate_failure",
        lambda *arguments: report_records.diagnosis(verdict="All is well."),
    )
    diagnosis = audit_foreign(my_model.make_world, Agent, env="my_model:env", episodes=2)
    assert diagnosis.verdict.startswith("All is well. The policy was loaded without an environment")
    assert "fewer bits" not in diagnosis.precision


def test_parts_that_answer_in_32_bits_are_named(write, monkeypatch):
    write(small(dynamics="s, a = s.astype(np.float32), a.astype(np.float32)"))
    import my_model

    def asked_once(case, *arguments):
        case.world.dynamics.host.value(np.random.default_rng(0).normal(size=(9, 3)))
        return report_records.diagnosis(precision="Summed.")

    monkeypatch.setattr(loop, "_audit_and_locate_failure", asked_once)
    diagnosis = audit_foreign(
        my_model.make_world, my_model.make_policy, env="my_model:env", episodes=2
    )
    assert diagnosis.precision == "Summed.; answers are of fewer bits: dynamics in 32 bits"


@pytest.mark.parametrize("statement", ["exit(3)", "[].pop()"])
def test_a_world_that_cannot_be_built_says_why(statement, write, capsys):
    write(small() + f"\ndef broken(spec):\n    {statement}\n")
    sentence = spoken(capsys, "--world", "my_model:broken", *ENV[2:])
    assert re.search(
        "building the world by my_model:broken failed with (SystemExit: 3|IndexError: pop from)",
        sentence,
    )


@pytest.mark.parametrize(
    "answer", ['s["desired_goal"]', "(s[:, :3] > 0) * 1", "(s[:, 0] * 0, s[:, 1] * 0)"]
)
def test_a_policy_that_takes_parts_is_told_the_vector_and_the_numbers_of_actions(answer):
    with pytest.raises(checks.BadData, match="policy") as refused:
        audit_foreign(
            lambda spec: None,
            lambda: lambda s: eval(answer, {"s": s}),
            env="tests.real.composed:reach",
            horizon=8,
            episodes=2,
        )
    assert "as a vector of 6 numbers, achieved_goal[0], " in str(refused.value)
    assert str(refused.value).endswith("an action is a whole number from 0 to 8: docs/spaces.md.")


def test_help_says_that_the_users_file_is_imported(capsys):
    with pytest.raises(SystemExit):
        command_line.main(["audit", "--help"])
    page = "".join(capsys.readouterr().out.replace("│", "").split())
    assert "importyourownfile" in page
    assert "my_model:make_world" in page


def test_the_verb_takes_functions_and_episodes_of_one_step_beside_longer_ones(write):
    write(small(ends="n[0] < 0.2"))
    import my_model

    diagnosis = audit_foreign(
        my_model.make_world, my_model.make_policy, env="my_model:env", episodes=4
    )
    steps = [len(overlay.real) - 1 for overlay in diagnosis.overlays]
    assert min(steps) == 1 < max(steps)
    assert diagnosis.gap.total.n == 4
    assert diagnosis.closure < 1e-9
    assert "no derivatives are available of dynamics, reward, policy: finite" in diagnosis.precision
    assert json.loads(diagnosis.to_json())["horizon"] == 8


def test_recorded_actions_outside_their_bounds_are_said(write, capsys):
    write(small(policy="return 5.0 + 0 * s[:, :1]"))
    assert "32 of the 32 recorded actions lie outside [" in audited(capsys, "audit", *ENV).verdict


@pytest.mark.parametrize("answer", ["-0.5 * s[:, :1]", "np.float32(1 + 2e-7) + 0 * s[:, :1]"])
def test_recorded_actions_inside_or_at_their_bounds_are_not_remarked_on(write, capsys, answer):
    write(small(policy=f"return {answer}"))
    assert "lie outside" not in audited(capsys, "audit", *ENV).verdict


def test_discrete_actions_are_not_remarked_on():
    toy = testing.chain()
    played = evaluate(toy.world, toy.policy, episodes=2)
    case = loop._RecordedCase(played, toy.policy, toy.world.spec)
    assert loop._actions_outside(case) == ""


def test_a_policy_that_draws_is_told_so_where_it_has_just_played(write, capsys):
    draws = """
import jax
from paracosm import Policy


class Draws(Policy):
    def initial(self):
        return jax.numpy.zeros(1)

    def act(self, carry, state, key):
        return jax.random.uniform(key, (1,)), carry

    def greedy(self):
        return self


make_policy = Draws
"""
    write(small() + draws)
    assert re.search(
        r"\d+ of the 32 actions that the policy has just played are not those that it gives when"
        r" it is asked again: it draws",
        spoken(capsys, *ENV),
    )
