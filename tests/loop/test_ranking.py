"""The verbs that rank: policies of known order in an exact world and in wrong ones, checkpoints of
a run, and refusals.
"""

import dataclasses
import shutil

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import paracosm
from paracosm.core.checks import BadArgument
from paracosm.core.mdp import Discrete, Spec
from paracosm.core.records.ranking import Ordering, Ranking
from paracosm.loop.load import load
from paracosm.loop.ranking import _contenders
from paracosm.loop.results import RANKING, ranked_diagnosis
from paracosm.real.systems import Cube, Gain, Linear, Quadratic
from tests.loop.small import small_run

GAINS = {"strong": 0.6, "middling": 0.3, "weak": 0.1}


class Opposite(eqx.Module):
    """A reward with the other sign."""

    reward: eqx.Module

    def __call__(self, state, action, next_state):
        return -self.reward(state, action, next_state)


class Survival(eqx.Module):
    """1 a step."""

    def __call__(self, state, action, next_state):
        return jnp.ones(())


def _system():
    """A number that grows by itself and is to be pulled back to zero, from starts around 1."""
    unit = jnp.ones((1, 1))
    spec = Spec(1, paracosm.Box(-jnp.ones(1), jnp.ones(1)), jnp.ones(1), 20)
    parts = (
        Linear(1.02 * unit, 0.5 * unit, jnp.zeros(1)),
        Quadratic(unit, 0.001 * unit, jnp.zeros(1)),
        paracosm.never,
        Cube(jnp.full(1, 0.5), jnp.full(1, 1.5)),
    )
    return paracosm.MDP(spec, *parts, 0.95)


def _policies(gains=GAINS):
    return {
        name: paracosm.Deterministic(Gain(jnp.full((1, 1), gain))) for name, gain in gains.items()
    }


@pytest.fixture(scope="module")
def exact():
    system = _system()
    return paracosm.rank(_policies(), system, system, episodes=10)


def test_in_an_exact_world_the_order_is_that_of_the_truth(exact):
    assert [policy.name for policy in exact.policies] == list(GAINS)
    assert exact.bought.sure
    assert all(pair.ordering is Ordering.AGREES for pair in exact.pairs)
    assert (exact.tau.mean, exact.regret.high, exact.safe_horizon) == (1, 0, 20)
    assert exact.chosen == "strong"


def test_real_episodes_and_steps_are_counted(exact):
    assert exact.bought.total == sum(policy.real.n for policy in exact.policies)
    assert exact.real_steps == 20 * exact.bought.total


def test_a_world_with_the_opposite_reward_flips_every_pair():
    system = _system()
    wrong = system.replace(reward=Opposite(system.reward))
    record = paracosm.rank(_policies(), dict.fromkeys(GAINS, wrong), system)
    assert all(pair.ordering is Ordering.FLIPS for pair in record.pairs)
    assert (record.tau.high, record.chosen, record.safe_horizon) == (-1, "weak", 0)
    assert record.regret.low > 0


def test_options_are_those_of_the_purchase():
    system = _system()
    near = _policies({"a": 0.3, "b": 0.3001})
    record = paracosm.rank(
        near, system, system, best=True, within=5.0, episodes=4, most_episodes=40, first_seed=3
    )
    bought = record.bought
    assert (bought.best, bought.within, bought.least, bought.most) == (True, 5.0, 4, 40)
    assert bought.sure


def test_a_design_of_equal_numbers_is_counted_by_the_intervals_that_decide_pairs(monkeypatch):
    """Bets in the range of returns take more episodes than Student's intervals would."""
    monkeypatch.setattr("paracosm.loop.ranking.rare_bounds", lambda *_, **__: (-1e4, 0.0))
    system = _system()
    record = paracosm.rank(_policies(), system, system, episodes=4, most_episodes=16)
    assert record.bought.equal is None
    assert not record.bought.sure


class Fenced(gymnasium.Env):
    """A number that goes where it is told, pays what it is, and is cut beyond 8."""

    observation_space = gymnasium.spaces.Box(-99, 99, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = self.np_random.uniform(0, 2, 1).astype(np.float32)
        return self.at, {}

    def step(self, action):
        self.at = self.at + np.float32(action)
        return self.at, float(self.at[0]), False, bool(self.at[0] > 8), {}


def fenced():
    return gymnasium.wrappers.TimeLimit(Fenced(), 20)


class Always(eqx.Module):
    """One action in every state."""

    action: jax.Array

    def __call__(self, state):
        return self.action


def test_imagination_is_cut_where_real_episodes_were():
    """The faster policy is paid less, since it is cut sooner; an exact world knows it."""
    unit = jnp.ones((1, 1))
    box = paracosm.Box(-jnp.ones(1), jnp.ones(1))
    world = paracosm.MDP(
        Spec(1, box, jnp.ones(1), 20),
        Linear(unit, unit, jnp.zeros(1)),
        lambda state, action, after: after[0],
        paracosm.never,
        Cube(jnp.zeros(1), jnp.full(1, 2.0)),
        1.0,
    )
    policies = {
        name: paracosm.Deterministic(Always(jnp.full(1, speed)))
        for name, speed in {"slow": 0.3, "fast": 1.0}.items()
    }
    record = paracosm.rank(policies, world, fenced, episodes=10)
    assert [policy.name for policy in record.policies] == ["slow", "fast"]
    assert (record.flips.mean, record.safe_horizon) == (0, None), "no pair is decided"
    slow, fast = record.policies
    assert slow.imagined.n == fast.imagined.n == fast.real.n, "means of the same starts"
    assert (record.chosen, record.regret.mean) == ("slow", 0)
    assert fast.imagined.mean == pytest.approx(fast.real.mean, rel=1e-5)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"state_size": 2, "state_scale": jnp.ones(2)}, "2 state components"),
        ({"action": Discrete(3)}, "3 actions to choose from"),
        ({"horizon": 21}, "21 steps"),
    ],
)
def test_a_world_of_another_task_is_refused(change, sentence):
    system = _system()
    world = system.replace(spec=dataclasses.replace(system.spec, **change))
    with pytest.raises(BadArgument, match=sentence):
        paracosm.rank(_policies(), {**dict.fromkeys(GAINS, system), "weak": world}, system)


@pytest.mark.parametrize(
    ("gains", "options", "sentence"),
    [
        ({"alone": 0.1}, {}, "1 policy is given"),
        ({"a": 0.1, "b": 0.2, "c": 0.1}, {}, "a and c are one and the same"),
        ({"a": 0.1, "b": 0.2}, {"most_episodes": 10}, "at least 20"),
        ({"a": 0.1, "b": 0.2}, {"episodes": 1}, "episodes is 1"),
        ({"a": 0.1, "b": 0.2}, {"within": -1.0}, "within is -1"),
    ],
)
def test_what_cannot_be_ranked_is_refused_before_anything_is_played(gains, options, sentence):
    system = _system()
    source = paracosm.connect(system)
    with pytest.raises(BadArgument, match=sentence):
        paracosm.rank(_policies(gains), system, source, **options)
    assert source.steps == 0


def test_policies_without_a_world_are_refused():
    system = _system()
    with pytest.raises(BadArgument, match="no world for weak"):
        paracosm.rank(_policies(), {"strong": system, "middling": system}, system)


@pytest.fixture(scope="module")
def rounds(tmp_path_factory):
    """A run of two rounds."""
    out = tmp_path_factory.mktemp("rank") / "rounds"
    small_run(out, rounds=2)
    return out


def test_checkpoints_of_a_run_are_the_policies_of_its_rounds(rounds):
    first, last = load(rounds).checkpoints()
    assert eqx.tree_equal(last.policy, load(rounds).policy)
    assert eqx.tree_equal(last.world, load(rounds).world)
    assert not eqx.tree_equal(first.policy, last.policy)
    assert len(first.data.reward) < len(last.data.reward)
    record = paracosm.rank_runs(rounds, episodes=3, most_episodes=6)
    assert {policy.name for policy in record.policies} == {"round 1", "round 2"}
    assert record.env == "Pendulum-v1"
    assert Ranking.from_json(record.to_json()) == record


def test_the_ranking_of_a_runs_checkpoints_is_kept_for_audits_and_gates(rounds, finished):
    record = paracosm.rank_runs(rounds, episodes=3, most_episodes=6)
    assert load(rounds).ranking == record
    compared = paracosm.compare(rounds, finished[0]).runs
    assert compared[str(rounds)].diagnosis.ranking == record
    assert compared[str(finished[0])].diagnosis.ranking is None


def test_a_ranking_from_before_further_rounds_is_passed_over(rounds, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(rounds, copy)
    (copy / RANKING).write_text(paracosm.rank_runs(rounds, episodes=3, most_episodes=6).to_json())
    assert load(copy).ranking is not None
    shutil.copy(copy / "models/policy-1.json", copy / "models/policy-2.json")
    run = load(copy)
    assert run.ranking is None
    assert ranked_diagnosis(run.path, run.result.diagnosis) == run.result.diagnosis


def test_a_ranking_that_cannot_be_read_is_passed_over_with_a_warning(rounds, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(rounds, copy)
    (copy / RANKING).write_text("{")
    run = load(copy)
    with pytest.warns(UserWarning, match=r"ranking\.json was not read, .* paracosm rank .* again"):
        assert ranked_diagnosis(run.path, run.result.diagnosis) == run.result.diagnosis


def test_several_runs_are_ranked_in_one_world(rounds, finished):
    record = paracosm.rank_runs(rounds, finished[0], world=finished[0], episodes=3, most_episodes=6)
    assert {policy.name for policy in record.policies} == {str(rounds), str(finished[0])}
    assert {policy.imagined.n for policy in record.policies} == {100}


@pytest.mark.parametrize("scaled_first", [True, False])
def test_a_declared_scale_of_one_run_refuses_no_encoder_of_another(rounds, scaled_first):
    scaled, encoded = load(rounds), load(rounds)
    scaled.__dict__["config"] = dataclasses.replace(scaled.config, state_scale='{"2": 8}')
    encoded.__dict__["config"] = dataclasses.replace(encoded.config, encoder="window:2")
    runs = [scaled, encoded] if scaled_first else [encoded, scaled]
    sources = [contender.source for contender in _contenders("ab", runs, None)]
    assert {source.encoder is None for source in sources} == {True, False}


def test_checkpoints_that_are_the_same_are_left_out(rounds, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(rounds, copy)
    for ending in ("eqx", "json"):
        shutil.copy(copy / f"models/policy-0.{ending}", copy / f"models/policy-1.{ending}")
    with pytest.raises(BadArgument, match="has one policy"):
        paracosm.rank_runs(copy)


def test_runs_that_cannot_be_ranked_are_refused(rounds, finished, cart, tmp_path):
    with pytest.raises(BadArgument, match="no run is given"):
        paracosm.rank_runs()
    with pytest.raises(BadArgument, match="has one policy; two runs"):
        paracosm.rank_runs(finished[0])
    with pytest.raises(BadArgument, match=r"has env Pendulum-v1, .* has CartPole-v1"):
        paracosm.rank_runs(finished[0], cart[0])
    with pytest.raises(BadArgument, match=r"has env Pendulum-v1, .* has CartPole-v1"):
        paracosm.rank_runs(rounds, world=cart[0])
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    with pytest.raises(BadArgument, match="one and the same"):
        paracosm.rank_runs(finished[0], copy)


def test_equal_returns_get_the_range_of_what_may_happen():
    """Every episode paid as much; an end that none of them had would pay less."""
    system = _system().replace(reward=Survival())
    record = paracosm.rank(_policies(), system, system, episodes=3, most_episodes=9)
    assert not record.bought.sure
    for pair in record.pairs:
        assert "betting" in pair.real.method
        assert -20 <= pair.real.low < -1 < 1 < pair.real.high <= 20
