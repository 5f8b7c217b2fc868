"""Worlds as Gymnasium environments: the world's own steps, seeds, ends and starts."""

import re
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import paracosm
from paracosm import foreign
from paracosm.core.mdp import MDP, Box, Discrete, Spec, never
from paracosm.core.policy import Deterministic

PAGE = Path(__file__).parents[2] / "docs/as-env.md"
STARTS = np.asarray([[0.5, 0.0], [-0.5, 1.0], [0.0, -1.0]], np.float32)


class Sliding(eqx.Module):
    """A mass that a force pushes, with noise of its speed."""

    noise: float

    def __call__(self, state, action, key):
        push = jnp.where(action > 0, 0.1, -0.1) if jnp.ndim(action) == 0 else 0.1 * action[0]
        speed = state[1] + push + self.noise * jax.random.normal(key)
        return jnp.stack([state[0] + 0.1 * speed, speed])


class Distance(eqx.Module):
    """The closer the mass is to 0 after the step, the better."""

    def __call__(self, state, action, next_state):
        return -jnp.abs(next_state[0])


class Outside(eqx.Module):
    """The episode ends beyond 0.6."""

    def __call__(self, state, action, next_state):
        return jnp.abs(next_state[0]) > 0.6


class Started(eqx.Module):
    """One of a few states."""

    def __call__(self, key):
        return jax.random.choice(key, jnp.asarray(STARTS))


BOX = Box(-jnp.ones(1), jnp.ones(1))
CHOICE = Discrete(2, 1)


def world(action=BOX, noise=0.3, horizon=12):
    spec = Spec(2, action, jnp.ones(2), horizon)
    return MDP(spec, Sliding(noise), Distance(), Outside(), Started(), 0.9)


def played(env, actions, **reset):
    """Everything that an environment answers, episode after episode."""
    answers = [env.reset(**reset)[0]]
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        answers.append((observation, reward, terminated, truncated))
        if terminated or truncated:
            answers.append(env.reset()[0])
    return answers


def same(first, second):
    return all(
        np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    )


@pytest.mark.parametrize("action", [BOX, CHOICE], ids=["box", "discrete from 1"])
def test_gymnasiums_checker_has_no_remark(action):
    check_env(paracosm.as_env(world(action)))  # a warning is an error in these tests


def test_steps_are_those_of_the_world_and_end_as_it_says():
    env = paracosm.as_env(world(noise=0.0))
    state, _ = env.reset(seed=0)
    assert state.tolist() in STARTS.tolist()
    ends = []
    for time in range(60):
        force = 1.0 if time % 7 else -1.0
        expected = Sliding(0.0)(jnp.asarray(state), jnp.asarray([force]), jax.random.key(0))
        after, reward, terminated, truncated, _ = env.step(np.asarray([force]))
        # Alone and inside the environment's program, the sum of a product is rounded differently.
        np.testing.assert_allclose(after, expected, rtol=1e-6, atol=1e-7)
        assert reward == pytest.approx(-abs(after[0]))
        assert terminated == (abs(after[0]) > 0.6)
        ends.append((terminated, truncated))
        state = env.reset()[0] if terminated or truncated else after
    assert not any(terminated and truncated for terminated, truncated in ends)
    assert any(terminated for terminated, _ in ends)
    assert any(truncated for _, truncated in ends)


def test_an_episode_is_truncated_at_the_horizon():
    env = paracosm.as_env(world(noise=0.0).replace(termination=never), horizon=5)
    env.reset(seed=0)
    ends = [env.step(np.zeros(1))[2:4] for _ in range(5)]
    assert ends == [(False, False)] * 4 + [(False, True)]


def test_a_seed_settles_a_stochastic_world_and_the_episodes_after_it():
    env, actions = paracosm.as_env(world()), [np.ones(1)] * 30
    first, again = played(env, actions, seed=3), played(env, actions, seed=3)
    assert same(first, again)
    assert not same(first, played(env, actions, seed=4))
    starts = [answer for answer in first if isinstance(answer, np.ndarray)]
    assert len({tuple(start) for start in starts}) > 1


def test_copies_that_are_stepped_together_play_the_episodes_that_each_would_alone():
    count, steps = 3, 40
    together = paracosm.as_vector_env(world(), count)
    assert together.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    forces = np.random.default_rng(0).uniform(-1, 1, (steps, count, 1)).astype(np.float32)
    rows = [together.reset(seed=5)[0]]
    rows += [together.step(force) for force in forces]
    for copy in range(count):
        alone = paracosm.as_env(world())
        observation, over = alone.reset(seed=5 + copy)[0], False
        np.testing.assert_array_equal(rows[0][copy], observation)
        for row, force in zip(rows[1:], forces, strict=True):
            begun = (0.0, False, False)
            answer = (alone.reset()[0], *begun) if over else alone.step(force[copy])[:4]
            for mine, theirs in zip(row[:4], answer, strict=True):
                np.testing.assert_allclose(mine[copy], theirs, rtol=1e-5, atol=1e-6)
            over = answer[2] or answer[3]


def test_copies_are_batched_by_gymnasiums_spaces():
    envs = paracosm.as_vector_env(world(CHOICE), 4)
    observations, _ = envs.reset(seed=0)
    assert observations in envs.observation_space
    observations, rewards, terminated, truncated, _ = envs.step(envs.action_space.sample())
    assert observations in envs.observation_space
    assert rewards.shape == terminated.shape == truncated.shape == (4,)
    listed, _ = envs.reset(seed=[7, 7, 7, 8])
    assert (listed[:3] == listed[0]).all()
    drawn, _ = envs.reset(seed=[7, None, 7, None])
    assert (drawn[::2] == listed[0]).all()
    assert not (drawn[1] == drawn[3]).all()


def test_starts_are_those_of_recorded_data():
    data = paracosm.collect(paracosm.as_env(world()), 60, seed=0)
    elsewhere = world().replace(initial=Deterministic(lambda key: jnp.zeros(2)).function)
    for starts in (data, data.initial):
        env = paracosm.as_env(elsewhere, starts=starts)
        first_states = {tuple(env.reset(seed=seed)[0].tolist()) for seed in range(8)}
        assert first_states <= {tuple(state) for state in data.initial.tolist()}
        assert len(first_states) > 1


def test_the_world_as_an_environment_is_collected_from_and_evaluated_on():
    env = paracosm.as_env(world(noise=0.0))
    push = Deterministic(lambda state: -state[:1])
    episodes = paracosm.evaluate(env, push, episodes=3)
    reward = jnp.asarray(episodes.next_state)[..., 0]
    np.testing.assert_allclose(
        np.asarray(episodes.reward)[episodes.alive], -np.abs(reward)[episodes.alive], rtol=1e-6
    )
    assert paracosm.connect(env).horizon == 12


def test_foreign_worlds_need_starts_and_play():
    spec = Spec(2, CHOICE, jnp.ones(2), 12)
    theirs = foreign.world(
        spec,
        dynamics=lambda state, action: state + 0.1 * (2 * action[:, None] - 3),
        reward=lambda state, action, next_state: next_state[:, 0],
    )
    with pytest.raises(paracosm.ParacosmError, match="no starts of its own; give starts="):
        paracosm.as_env(theirs)
    env = paracosm.as_env(theirs, starts=STARTS)
    before, _ = env.reset(seed=0)
    after, reward, *_ = env.step(2)  # actions from 1: 2 is up
    np.testing.assert_allclose(after, before + 0.1, rtol=1e-5)
    assert reward == pytest.approx(float(after[0]))


BAD = {
    "no copies": (lambda: paracosm.as_vector_env(world(), 0), "num_envs is 0"),
    "no horizon": (lambda: paracosm.as_env(world(), horizon=0), "horizon is 0"),
    "starts of another size": (
        lambda: paracosm.as_env(world(), starts=np.zeros((3, 5))),
        r"of shape \(3, 5\); at least one state of 2 numbers",
    ),
    "starts that are not finite": (
        lambda: paracosm.as_env(world(), starts=np.full((1, 2), np.nan)),
        "the starts",
    ),
    "an end that is a chance": (
        lambda: paracosm.as_env(world().replace(termination=lambda s, a, n: 0.001 * s[0])),
        "the world's termination is of the type float32 .*; bool is needed",
    ),
    "a reward of one axis": (
        lambda: paracosm.as_vector_env(world().replace(reward=lambda s, a, n: n[:1]), 2),
        r"the world's reward has the shape \(1,\) for one step; \(\) is needed",
    ),
    "no reset": (lambda: paracosm.as_env(world()).step(np.zeros(1)), "before reset"),
    "another shape": (lambda: _begun(BOX).step(np.zeros(2)), r"numbers of shape \(1,\)"),
    "nan": (lambda: _begun(BOX).step(np.asarray([np.nan])), "finite numbers"),
    "words": (lambda: _begun(BOX).step("left"), "numbers are needed"),
    "no such choice": (lambda: _begun(CHOICE).step(0), "from 1 to 2"),
    "a fraction": (lambda: _begun(CHOICE).step(1.5), "from 1 to 2"),
}


def _begun(action):
    env = paracosm.as_env(world(action))
    env.reset(seed=0)
    return env


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_played_is_refused(what):
    call, sentence = BAD[what]
    with pytest.raises(paracosm.ParacosmError, match=sentence):
        call()


def test_actions_are_brought_to_their_bounds_as_real_environments_do():
    far, near = _begun(BOX), _begun(BOX)
    assert same(far.step(np.asarray([9.0]))[:4], near.step(np.ones(1))[:4])


class Broken(eqx.Module):
    """A reward that is not finite."""

    def __call__(self, state, action, next_state):
        return jnp.log(-jnp.ones(()))


def test_numbers_that_are_not_finite_go_no_further():
    env = paracosm.as_env(world().replace(reward=Broken()))
    env.reset(seed=0)
    with pytest.raises(paracosm.ParacosmError, match="the world gives the reward nan"):
        env.step(np.zeros(1))
    envs = paracosm.as_vector_env(world().replace(reward=Broken()), 2)
    envs.reset(seed=0)
    with pytest.raises(paracosm.ParacosmError, match="the world gives the reward"):
        envs.step(np.zeros((2, 1)))


def script(tmp_path, monkeypatch, capsys, *arguments):
    """What the page's script prints."""
    code = re.search(r"```python\n(import sys.*?)```", PAGE.read_text(), re.DOTALL)[1]
    assert len(code.splitlines()) <= 25
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["ppo.py", *arguments])
    exec(compile(code, "ppo.py", "exec"), {})
    return capsys.readouterr().out


@pytest.mark.full
@pytest.mark.parametrize(("env", "least"), [("Pendulum-v1", -1000.0), ("CartPole-v1", 50.0)])
def test_ppo_trained_in_a_learned_world_is_better_than_chance_in_the_real_one(
    env, least, tmp_path, monkeypatch, capsys
):
    pytest.importorskip("stable_baselines3")
    printed = script(tmp_path, monkeypatch, capsys, env, "3000", "100000", "20")
    assert re.search(r"^real [-−\d.]+ \[.*\], imagined ", printed)
    assert (tmp_path / "audit.html").is_file()
    assert float(printed.split()[1]) > least
