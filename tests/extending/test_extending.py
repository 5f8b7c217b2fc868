"""The examples of docs/extending.md: each one file of one's own, and nothing of the library."""

import csv
import dataclasses
from pathlib import Path

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.cli.main import main
from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.encoder import Window, encode
from paracosm.core.learner import RecordedRewards
from paracosm.core.policy import Deterministic, Noisy, Policy
from paracosm.core.rollout import rollout
from paracosm.core.tracking import Several, Tracker
from paracosm.imagination.caution import least_price
from paracosm.imagination.imagine import ImagineSettings, imagine
from paracosm.imagination.training_world import make_training_world
from paracosm.learning.learn import LearnSettings, learn
from paracosm.learning.problem import FitSettings
from paracosm.loop.auditing import audit
from paracosm.loop.directory import RunDirectory
from paracosm.loop.run import run
from paracosm.real.systems import linear_quadratic
from paracosm.real.verbs import connect
from tests.extending.carts import Carts
from tests.extending.filter import Filter
from tests.extending.near_data import NearData
from tests.extending.random_plans import RandomPlans
from tests.extending.rows import Rows
from tests.extending.shooting import Shooting
from tests.imagination.imagining import data_of
from tests.imagination.test_imagine import integrator
from tests.loop.small import small_run

HERE = Path(__file__).parent
HORIZON = 12
QUICK = LearnSettings(fit=FitSettings(members=2, width=16, most_epochs=3))
SHORT = ImagineSettings(rollouts=8, horizon=5, most_steps=4, check=2, width=8)


class Wrong:
    """Dynamics that are off by a little everywhere."""

    def __init__(self, dynamics):
        self.dynamics = dynamics

    def __call__(self, state, action, key):
        return 0.9 * self.dynamics(state, action, key) + 0.1


@pytest.fixture(scope="module")
def system():
    mdp = linear_quadratic(jax.random.key(0))[0]
    return mdp.replace(spec=dataclasses.replace(mdp.spec, horizon=HORIZON))


def shooting(world):
    """24 plans of 4 steps, the last plan among them."""
    spread = 0.1 * jax.random.normal(jax.random.key(1), (24, 4, world.spec.action.size))
    return Shooting(world, spread.at[0].set(0))


def test_a_policy_with_a_carry_plays_alike_in_the_real_system_and_in_imagination(system):
    """Its plan starts anew with every episode, and what it carries changes what it does."""
    policy = shooting(system)
    real = connect(system).evaluate(policy, episodes=3)
    starts = jnp.asarray(real.state[:, 0])
    dreamt = rollout(system, policy, starts, jax.random.split(jax.random.key(0), 3), HORIZON)
    np.testing.assert_allclose(real.action, dreamt.action, rtol=1e-5, atol=1e-5)
    forgetful = Deterministic(lambda s: policy.act(policy.initial(), s, jax.random.key(0))[0])
    memoryless = rollout(system, forgetful, starts, jax.random.split(jax.random.key(0), 3), HORIZON)
    np.testing.assert_allclose(real.action[:, 0], memoryless.action[:, 0], rtol=1e-5, atol=1e-5)
    assert np.abs(real.action[:, 1:] - np.asarray(memoryless.action[:, 1:])).max() > 0.01


def test_in_lanes_of_a_source_every_episode_starts_with_the_first_carry():
    class Counting(Shooting):
        """Its action is the number of its step in the episode, in tenths."""

        def initial(self):
            return jnp.zeros(())

        def act(self, carry, state, key):
            return carry[None] / 10, carry + 1

    source = Carts(horizon=7)
    policy = Counting(None, jnp.zeros((1, 1, 1)))
    played = source.evaluate(policy, episodes=2)
    np.testing.assert_allclose(played.action[0, :, 0], np.arange(7) / 10, rtol=1e-6)
    data = source.collect(60, seed=0, policy=policy)
    np.testing.assert_allclose(data.action[:, 0], data.time / 10, rtol=1e-6)
    noisy = source.collect(60, seed=0, policy=Noisy(policy, source.action, 0.01))
    assert 0 < np.abs(noisy.action - data.action).max() < 0.1


def test_the_attributions_identity_holds_on_state_and_carry(system):
    policy = shooting(system)
    episodes = connect(system).evaluate(policy, episodes=4)
    world = system.replace(dynamics=Wrong(system.dynamics))
    diagnosis = audit(world, policy, episodes, certify=False)
    assert diagnosis.closure < 1e-9
    assert abs(diagnosis.gap.total.mean) > 0.01
    assert diagnosis.gap.dynamics.mean == pytest.approx(diagnosis.gap.total.mean, rel=1e-6)
    assert len(diagnosis.dynamics_by_dimension.dimensions) == system.spec.state_size
    assert diagnosis.other_actions == 0
    exact = audit(system, policy, episodes, certify=False)
    assert abs(exact.gap.total.mean) < 1e-5


class Hidden(gymnasium.ObservationWrapper):
    """A pendulum whose speed is not shown."""

    def __init__(self):
        super().__init__(gymnasium.make("Pendulum-v1", max_episode_steps=HORIZON))
        self.observation_space = gymnasium.spaces.Box(-1, 1, (2,))

    def observation(self, observation):
        return observation[:2]


@pytest.mark.full
def test_learning_imagination_and_audit_run_on_beliefs():
    source = connect(Hidden, encoder=Filter(0.3))
    data = source.collect(300, seed=0)
    assert source.state_size == data.state.shape[1] == 4
    first = data.time == 0
    assert (data.state[first, 2:] == 0).all()
    before, after = data.state[~first & (data.time < HORIZON - 1)], data.next_state
    after = after[~first & (data.time < HORIZON - 1)]
    speed = 0.3 * before[:, 2:] + 0.7 * (after[:, :2] - before[:, :2])
    np.testing.assert_allclose(after[:, 2:], speed, atol=1e-6)
    learned = learn(data, source.spec(data), discount=0.95, settings=QUICK)
    imagined = imagine(learned, data, settings=SHORT)
    episodes = source.evaluate(imagined.policy, episodes=3)
    diagnosis = audit(learned.world, imagined.policy, episodes, imagined, certify=False)
    assert diagnosis.closure < 1e-9
    assert diagnosis.gap.total.n == 3


def test_a_caution_of_ones_own_prices_what_is_far_from_the_data():
    state = np.array([[-1.0], [0.5], [1.0]])
    data = data_of(integrator(), state, state)
    rewards = RecordedRewards(jnp.asarray(-2.0), jnp.asarray(0.0), jnp.asarray(0.5))
    world = integrator(reward=lambda s, a, t: 0.1 * t[0])
    careful = make_training_world(NearData(4.0), world, data, rewards)
    price = lambda at: float(careful.reward(at, at, at) - 0.1 * at[0])  # noqa: E731
    assert [price(jnp.full(1, at)) for at in (-0.5, 0.0, 1.0)] == pytest.approx([0, 0, 0])
    assert price(jnp.full(1, 9.0)) == pytest.approx(-2)
    assert float(least_price(careful.reward)) == -2


def test_a_planner_of_ones_own_finds_a_better_plan_than_the_last(system):
    planner, state = RandomPlans(system, steps=4, plans=16), jnp.ones(system.spec.state_size)
    assert planner.imagined_steps == 17 * 4
    last = 0.9 * jnp.ones_like(planner.initial())
    search = planner.search(last, state, jax.random.key(0))
    assert search.values.shape == (1, 16)
    np.testing.assert_allclose(search.values[0, 0], planner.worth(last, state), rtol=1e-5)
    np.testing.assert_allclose(search.value, search.values.max(), rtol=1e-5)
    assert search.value > search.values[0, 0]
    action, carry = planner.act(last, state, jax.random.key(0))
    np.testing.assert_allclose(action, planner.action(search.plan[0]), rtol=1e-5)
    np.testing.assert_allclose(carry[:-1], search.plan[1:], rtol=1e-5)


def test_a_recording_becomes_beliefs_as_playing_does(system):
    plain, believed = (connect(system, encoder=encoder) for encoder in (None, Window(3)))
    policy = Deterministic(lambda s: jnp.tanh(s[: system.spec.action.size]))
    raw = plain.evaluate(policy, episodes=2)
    size = system.spec.state_size
    newest = Deterministic(lambda z: policy.mode(z[:size]))
    beliefs = believed.evaluate(newest, episodes=2)
    encoded = encode(Window(3), raw)
    np.testing.assert_allclose(beliefs.state, encoded.state, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(beliefs.next_state, encoded.next_state, rtol=1e-5, atol=1e-6)
    oldest = np.asarray(encoded.state)[:, 2].reshape(2, 3, size)
    oldest = oldest[:, 0] - oldest[:, 1] - oldest[:, 2]
    np.testing.assert_allclose(oldest, np.asarray(raw.state)[:, 0], rtol=1e-5, atol=1e-5)
    assert believed.spec(Dataset.from_trajectory(beliefs)).state_size == 3 * size


def test_a_source_of_ones_own_is_collected_from_and_evaluated_on():
    source = connect("tests.extending.carts:Carts")
    assert isinstance(source, Carts)
    data = source.collect(100, seed=1)
    assert source.steps == 100
    np.testing.assert_allclose(data.reward, -(data.next_state[:, 0].astype(float) ** 2), rtol=1e-6)
    push = Deterministic(lambda s: jnp.clip(-s[:1] - s[1:], -1, 1))
    idle = Deterministic(lambda s: jnp.zeros(1))
    pushed, left = (source.evaluate(policy, episodes=5).reward.sum() for policy in (push, idle))
    assert pushed > left


@pytest.mark.full
def test_a_tracker_of_ones_own_takes_the_numbers_of_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = small_run(tmp_path / "run", tracker=Rows())
    with open("numbers.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["stage"] for row in rows if row["name"] == "imagined_return"][-1] == "audit"
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    assert stages == ["collect", "learn", "imagine", "evaluate", "audit"]
    training = result.trainings[0]
    imagined = [row for row in rows if row["stage"] == "imagine"]
    assert {row["name"] for row in imagined} >= {"imagined_return", "edge_share"}
    imagined = [row for row in imagined if row["name"] == "imagined_return"]
    assert [int(row["step"]) for row in imagined] == list(training.step)
    numbers = [float(row["number"]) for row in imagined]
    np.testing.assert_allclose(numbers, training.imagined_return, rtol=1e-6)
    (gap,) = (float(row["number"]) for row in rows if row["name"] == "gap")
    assert gap == result.diagnosis.gap.total.mean


@pytest.mark.parametrize("path", sorted(HERE.glob("[!t_]*.py")), ids=lambda path: path.stem)
def test_the_page_shows_each_example_whole_and_none_is_long(path):
    text = path.read_text(encoding="utf-8")
    assert text.strip() in (HERE.parents[1] / "docs/extending.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60


class Carrying(Policy):
    """A linear policy that carries whatever is given, and a counter that shifts its action."""

    first: object

    def initial(self):
        return self.first

    def act(self, carry, state, key):
        leaves = jax.tree.leaves(carry)
        last = jnp.sum(leaves[-1] % 4) * 0.01 if leaves else 0.0
        action = jnp.tanh(state[:2]) * 0.1 + last
        return action, jax.tree.map(lambda leaf: leaf + jnp.ones_like(leaf), carry)

    def greedy(self):
        return self


@pytest.mark.parametrize(
    "first",
    [None, jnp.zeros(3), jnp.zeros((), int), (jnp.zeros(2), jnp.uint32(2**31 + 1))],
    ids=["nothing", "floats", "a counter", "floats and whole numbers past 24 bits"],
)
def test_carries_of_any_numbers_are_audited_and_never_enter_a_reward(system, first):
    policy = Carrying(first)
    episodes = connect(system).evaluate(policy, episodes=3)
    world = system.replace(dynamics=Wrong(system.dynamics))
    diagnosis = audit(world, policy, episodes, certify=False, reward=system.reward)
    assert diagnosis.closure < 1e-9
    assert diagnosis.other_actions == 0
    assert abs(diagnosis.orders.reward_at_imagined.mean) < 1e-6  # of states alone it has 4
    # What is carried after a sampled action is not known.
    assert (diagnosis.mode_versus_sampled is None) == (first is not None)


def test_a_carried_random_key_is_refused_in_one_sentence(system):
    policy = Carrying(jax.random.key(0))
    episodes = connect(system).evaluate(Carrying(None), episodes=2)
    with pytest.raises(checks.Unsupported, match="carries a random key"):
        audit(system, policy, episodes, certify=False)


def test_trackers_are_closed_whatever_happens():
    class Closing(Tracker):
        closed = False

        def log(self, stage, step, numbers):
            pass

        def close(self):
            self.closed = True
            raise RuntimeError("it cannot")

    first, second = Closing(), Closing()
    with pytest.raises(RuntimeError):
        Several(first, second).close()
    assert first.closed
    assert second.closed
    tracker = Rows("/dev/null")
    with pytest.raises(checks.ParacosmError):
        run("NoSuchEnv-v0", tracker=tracker)
    assert tracker._file.closed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"env": "NoSuchEnv-v0"}, "no Gymnasium environment"),
        ({"resume": True}, "--resume needs the same settings"),
        ({"reward": "tests.loop.small:nothing"}, "no function 'nothing'"),
    ],
)
def test_what_makes_a_tracker_is_called_when_all_has_been_checked(tmp_path, options, message):
    out = tmp_path / "run"
    RunDirectory.create(out, {"rounds": 1}, resume=False, force=False).close()
    with pytest.raises(checks.ParacosmError, match=message):
        small_run(out, **{"force": "resume" not in options, **options}, tracker=pytest.fail)


def test_what_makes_no_tracker_is_refused_and_removes_no_run(tmp_path):
    out = tmp_path / "run"
    RunDirectory.create(out, {"rounds": 1}, resume=False, force=False).close()
    (out / "policy.json").write_text("mine")
    arguments = ["run", "Pendulum-v1", "--out", str(out), "--force", "--track"]
    assert main([*arguments, "tests.extending.rows:csv"]) == 2
    with pytest.raises(checks.BadArgument, match=r"what tracker makes is 5; a Tracker is needed"):
        small_run(out, tracker=lambda: 5, force=True)
    assert (out / "policy.json").exists()


def test_what_belongs_to_a_source_is_refused_beside_it():
    with pytest.raises(checks.BadArgument, match="where the source is made"):
        connect(Carts(), horizon=10)
    encoded = connect(Carts(), encoder=Window(2))
    with pytest.raises(checks.BadArgument, match="seen through an encoder already"):
        connect(encoded, encoder=Window(2))
