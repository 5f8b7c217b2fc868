"""Models and policies of other libraries: Stable-Baselines3, TensorDict, latent worlds as TD-MPC2's."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from paracosm.core import checks
from paracosm.core.mdp import Box, Discrete, Spec
from paracosm.core.policy import modes
from paracosm.core.rollout import rollout
from paracosm.real import foreign

SPEC = Spec(3, Box(-2 * jnp.ones(2), jnp.ones(2)), jnp.ones(3), 5)
STATES = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)


def asked(policy, states=STATES):
    with foreign.plainly():
        return np.asarray(modes(policy, states))


class Agent:
    """The calling convention of Stable-Baselines3."""

    def __init__(self, obeys=True):
        self.obeys = obeys

    def predict(self, observation, deterministic=False):
        assert observation.dtype == np.float32
        noise = 0 if deterministic and self.obeys else np.random.default_rng().normal()
        return np.tanh(observation[:, :2]) + noise, None


def test_predict_is_asked_for_its_deterministic_answer():
    policy = foreign.policy(Agent(), SPEC)
    np.testing.assert_allclose(asked(policy), np.tanh(STATES[:, :2]), rtol=1e-6)
    slopes = jax.jacfwd(policy.mode)(STATES[0])
    np.testing.assert_allclose(slopes[:, :2], np.diag(1 - np.tanh(STATES[0, :2]) ** 2), atol=1e-3)
    assert policy.derivatives == "finite differences"


def test_an_agent_that_draws_all_the_same_is_refused():
    with pytest.raises(checks.BadArgument, match="policy answers the same question twice"):
        asked(foreign.policy(Agent(obeys=False), SPEC))


@pytest.mark.parametrize(("algorithm", "env"), [("PPO", "CartPole-v1"), ("DQN", "CartPole-v1"), ("SAC", "Pendulum-v1")])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_agents_of_stable_baselines3(algorithm, env):
    library = importlib.import_module("stable_baselines3")
    agent = getattr(library, algorithm)("MlpPolicy", env, seed=0, device="cpu")
    size = agent.observation_space.shape[0]
    space = Discrete(2) if env == "CartPole-v1" else Box(jnp.array([-2.0]), jnp.array([2.0]))
    states = np.random.default_rng(1).normal(size=(6, size)).astype(np.float32)
    policy = foreign.policy(agent, Spec(size, space, jnp.ones(size), 5))
    np.testing.assert_array_equal(asked(policy, states), agent.predict(states, deterministic=True)[0])


def test_tensordict_modules_by_their_keys():
    nn = importlib.import_module("tensordict.nn")
    net = torch.nn.Linear(5, 4)

    def both(observation, action):
        out = net(torch.cat([observation, action], 1))
        return out[:, :3], out[:, 3:], out[:, 3:] > 0

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, observation, action):
            out = self.net(torch.cat([observation, action], 1))
            return out[:, :3], out[:, 3:], out[:, 3:] > 0

    writes = [("next", "observation"), ("next", "reward"), ("next", "terminated")]
    module = nn.TensorDictModule(Model(), in_keys=["observation", "action"], out_keys=writes)
    step = foreign.by_keys(module, reads=["observation", "action"], writes=writes)
    world = foreign.world(SPEC, step=step, step_gives="s',r,ended")
    actions = np.random.default_rng(1).normal(size=(7, 2)).astype(np.float32)
    with torch.no_grad():
        expected = [each.numpy() for each in both(torch.tensor(STATES), torch.tensor(actions))]
    key = jax.random.key(0)
    found = jax.vmap(lambda s, a: world.dynamics(s, a, key))(STATES, actions)
    np.testing.assert_allclose(found, expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jax.vmap(world.reward)(STATES, actions, STATES), expected[1][:, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(jax.vmap(world.termination)(STATES, actions, STATES), expected[2][:, 0])
    slopes = jax.jacrev(lambda s: world.dynamics(s, actions[0], key))(STATES[0])
    np.testing.assert_allclose(slopes, net.weight.detach()[:3, :3], rtol=1e-5)
    wrong = foreign.by_keys(module, reads=["observation", "action"], writes=["state"])
    with pytest.raises(checks.BadData, match=r"writes no 'state'; it writes .*observation"), foreign.plainly():
        jax.block_until_ready(
            jax.jit(foreign.world(SPEC, dynamics=wrong, reward=wrong).dynamics)(STATES[0], actions[0], key)
        )


def test_probabilistic_actors_play_their_mode():
    nn = importlib.import_module("tensordict.nn")
    spread = nn.TensorDictModule(lambda s: (s[:, :2], torch.ones_like(s[:, :2])), ["observation"], ["loc", "scale"])
    actor = nn.ProbabilisticTensorDictSequential(
        spread,
        nn.ProbabilisticTensorDictModule(
            in_keys=["loc", "scale"], out_keys=["action"], distribution_class=torch.distributions.Normal,
            default_interaction_type=nn.InteractionType.RANDOM,
        ),
    )  # fmt: skip
    policy = foreign.policy(foreign.by_keys(actor, reads=["observation"], writes=["action"]), SPEC)
    np.testing.assert_allclose(asked(policy), STATES[:, :2], rtol=1e-6)


class WorldModel(torch.nn.Module):
    """TD-MPC2's methods on a latent space of 4, with its reward over bins."""

    def __init__(self, answer):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.enc, self.dyn = (torch.nn.Parameter(torch.randn(n, 4, generator=generator) / 2) for n in (3, 6))
        self.register_buffer("bins", torch.linspace(-2, 2, 5))
        self.answer = answer

    def encode(self, obs, task):
        assert task == "walk"
        return torch.tanh(obs @ self.enc)

    def next(self, z, a, task):
        return torch.tanh(torch.cat([z, a], 1) @ self.dyn)

    def reward(self, z, a, task):
        return self.next(z, a, task)[:, :1] * self.bins

    def expected(self, logits):
        return torch.softmax(logits, 1) @ torch.linspace(-2, 2, 5).to(logits)

    def pi(self, z, task):
        mean = torch.tanh(z[:, :2])
        drawn = mean + torch.randn_like(mean)
        return {"info": (drawn, {"mean": mean}), "four": (mean, drawn, drawn, drawn), "alone": mean}[self.answer]


def latent(answer="info", **options):
    model = WorldModel(answer)
    return model, foreign.latent(model, SPEC, task="walk", reward_from=model.expected, discount=0.9, **options)


def episodes_of(policy, horizon=5):
    real = foreign.world(SPEC, dynamics=lambda s, a: 0.8 * s + a[:, :1], reward=lambda s, a, n: n[:, 0])
    return rollout(real, policy, jnp.asarray(STATES), jax.random.split(jax.random.key(0), 7), horizon)


@pytest.mark.parametrize("answer", ["info", "four", "alone"])
def test_a_latent_model_is_a_world_of_encoded_states(answer):
    model, made = latent(answer)
    episodes = episodes_of(made.policy)
    inside = made.on(episodes)
    assert "latent space of 4 numbers" in inside.note
    encode = model.double().encode
    with torch.no_grad():
        first = encode(torch.tensor(np.asarray(episodes.state, np.float64)).reshape(-1, 3), "walk")
        second = encode(torch.tensor(np.asarray(episodes.next_state, np.float64)).reshape(-1, 3), "walk")
        action = torch.tensor(np.asarray(episodes.action, np.float64)).reshape(-1, 2)
        after, reward = model.next(first, action, "walk"), model.expected(model.reward(first, action, "walk"))
    np.testing.assert_allclose(inside.episodes.state.reshape(-1, 4), first, rtol=1e-12)
    np.testing.assert_allclose(inside.episodes.next_state.reshape(-1, 4), second, rtol=1e-12)
    np.testing.assert_allclose(inside.world.spec.state_scale, first.std(0, correction=0), rtol=1e-5)
    key, flat = jax.random.key(0), (np.asarray(first), np.asarray(action))
    with jax.enable_x64(True):
        np.testing.assert_allclose(jax.vmap(lambda s, a: inside.world.dynamics(s, a, key))(*flat), after, rtol=1e-12)
        np.testing.assert_allclose(jax.vmap(inside.world.reward)(*flat, flat[0]), reward, rtol=1e-12)
        np.testing.assert_allclose(modes(inside.policy, flat[0]), action, rtol=1e-5, atol=1e-6)


def test_a_latent_end():
    made = latent(ended=lambda z: z[:, :1] > 0)[1]
    inside = made.on(episodes_of(made.policy))
    states = np.asarray(inside.episodes.state[:, 0])
    action = np.zeros((7, 2))
    np.testing.assert_array_equal(jax.vmap(inside.world.termination)(states, action, states), states[:, 0] > 0)


def test_a_model_without_the_methods_is_refused():
    with pytest.raises(checks.BadArgument, match="the latent model Linear has no encode, next, reward, pi; "):
        foreign.latent(torch.nn.Linear(2, 2), SPEC)
