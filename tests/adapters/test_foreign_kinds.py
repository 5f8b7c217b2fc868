"""Models and policies of other libraries: Stable-Baselines3, TensorDict, latent worlds as
TD-MPC2's.
"""

import importlib
import inspect

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from gymnasium.wrappers import FlattenObservation

from paracosm import adapters as foreign
from paracosm.core import callbacks, checks
from paracosm.core.mdp import Box, Discrete, Spec
from paracosm.core.policy import Deterministic, modes
from paracosm.core.rollout import rollout
from paracosm.real.verbs import connect
from tests.real.composed import reach

SPEC = Spec(3, Box(-2 * jnp.ones(2), jnp.ones(2)), jnp.ones(3), 5)
STATES = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)


def actions_of(policy, states=STATES):
    with callbacks.as_raised():
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
    np.testing.assert_allclose(actions_of(policy), np.tanh(STATES[:, :2]), rtol=1e-6)
    slopes = jax.jacfwd(policy.mode)(STATES[0])
    np.testing.assert_allclose(slopes[:, :2], np.diag(1 - np.tanh(STATES[0, :2]) ** 2), atol=1e-3)
    assert policy.derivatives == "finite differences"


def test_an_agent_that_draws_all_the_same_is_refused():
    with pytest.raises(checks.BadArgument, match="policy answers the same question twice"):
        actions_of(foreign.policy(Agent(obeys=False), SPEC))


@pytest.mark.parametrize(
    ("algorithm", "env"), [("PPO", "CartPole-v1"), ("DQN", "CartPole-v1"), ("SAC", "Pendulum-v1")]
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_agents_of_stable_baselines3(algorithm, env):
    library = importlib.import_module("stable_baselines3")
    agent = getattr(library, algorithm)("MlpPolicy", env, seed=0, device="cpu")
    size = agent.observation_space.shape[0]
    space = Discrete(2) if env == "CartPole-v1" else Box(jnp.array([-2.0]), jnp.array([2.0]))
    states = np.random.default_rng(1).normal(size=(6, size)).astype(np.float32)
    policy = foreign.policy(agent, Spec(size, space, jnp.ones(size), 5))
    np.testing.assert_array_equal(
        actions_of(policy, states), agent.predict(states, deterministic=True)[0]
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_normalised_agent_of_stable_baselines3_and_the_same_loaded_without_its_environment(
    tmp_path,
):
    library = importlib.import_module("stable_baselines3")
    environments = importlib.import_module("stable_baselines3.common.vec_env")
    venv = environments.VecNormalize(
        environments.DummyVecEnv([lambda: gymnasium.make("Pendulum-v1")])
    )
    venv.obs_rms.mean, venv.obs_rms.var = np.array([0.1, 0.2, 1.0]), np.array([0.5, 0.4, 16.0])
    agent = library.PPO("MlpPolicy", venv, seed=0, device="cpu")
    spec = Spec(3, Box(jnp.array([-2.0]), jnp.array([2.0])), jnp.ones(3), 5)
    policy = foreign.policy(agent, spec)
    expected = agent.predict(venv.normalize_obs(STATES), deterministic=True)[0]
    np.testing.assert_allclose(policy.host.value(STATES), expected, rtol=1e-6)
    assert policy.note == ""
    agent.save(tmp_path / "agent.zip")
    venv.save(tmp_path / "normalise.pkl")
    assert "VecNormalize" in foreign.policy(library.PPO.load(tmp_path / "agent.zip"), spec).note
    again = environments.VecNormalize.load(str(tmp_path / "normalise.pkl"), venv.venv)
    restored = foreign.policy(library.PPO.load(tmp_path / "agent.zip", env=again), spec)
    np.testing.assert_allclose(restored.host.value(STATES), expected, rtol=1e-6)


def test_tensordict_modules_by_their_keys():
    nn = importlib.import_module("tensordict.nn")
    net = torch.nn.Linear(5, 4)

    def outputs(observation, action):
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
        expected = [
            output.numpy() for output in outputs(torch.tensor(STATES), torch.tensor(actions))
        ]
    key = jax.random.key(0)
    next_states = jax.vmap(lambda s, a: world.dynamics(s, a, key))(STATES, actions)
    np.testing.assert_allclose(next_states, expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        jax.vmap(world.reward)(STATES, actions, STATES), expected[1][:, 0], rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(
        jax.vmap(world.termination)(STATES, actions, STATES), expected[2][:, 0]
    )
    slopes = jax.jacrev(lambda s: world.dynamics(s, actions[0], key))(STATES[0])
    np.testing.assert_allclose(slopes, net.weight.detach()[:3, :3], rtol=1e-5)
    wrong = foreign.by_keys(module, reads=["observation", "action"], writes=["state"])
    with (
        pytest.raises(checks.BadData, match=r"writes no 'state'; it writes .*observation"),
        callbacks.as_raised(),
    ):
        jax.block_until_ready(
            jax.jit(foreign.world(SPEC, dynamics=wrong, reward=wrong).dynamics)(
                STATES[0], actions[0], key
            )
        )


def test_probabilistic_actors_play_their_mode():
    nn = importlib.import_module("tensordict.nn")
    spread = nn.TensorDictModule(
        lambda s: (s[:, :2], torch.ones_like(s[:, :2])), ["observation"], ["loc", "scale"]
    )
    actor = nn.ProbabilisticTensorDictSequential(
        spread,
        nn.ProbabilisticTensorDictModule(
            in_keys=["loc", "scale"], out_keys=["action"],
            distribution_class=torch.distributions.Normal,
            default_interaction_type=nn.InteractionType.RANDOM,
        ),
    )  # fmt: skip
    policy = foreign.policy(foreign.by_keys(actor, reads=["observation"], writes=["action"]), SPEC)
    np.testing.assert_allclose(actions_of(policy), STATES[:, :2], rtol=1e-6)


class WorldModel(torch.nn.Module):
    """TD-MPC2's methods on a latent space of 4, with its reward over bins."""

    def __init__(self, answer):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.enc, self.dyn = (
            torch.nn.Parameter(torch.randn(n, 4, generator=generator) / 2) for n in (3, 6)
        )
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
        return {
            "info": (drawn, {"mean": mean}),
            "four": (mean, drawn, drawn, drawn),
            "alone": mean,
        }[self.answer]


def latent(answer="info", **options):
    model = WorldModel(answer)
    return model, foreign.latent(
        model, SPEC, task="walk", reward_from=model.expected, discount=0.9, **options
    )


def episodes_of(policy, horizon=5):
    real = foreign.world(
        SPEC, dynamics=lambda s, a: 0.8 * s + a[:, :1], reward=lambda s, a, n: n[:, 0]
    )
    return rollout(
        real, policy, jnp.asarray(STATES), jax.random.split(jax.random.key(0), 7), horizon
    )


@pytest.mark.parametrize("answer", ["info", "four", "alone"])
def test_a_latent_model_is_a_world_of_encoded_states(answer):
    model, latent_model = latent(answer)
    episodes = episodes_of(latent_model.policy)
    inside = latent_model.on(episodes)
    assert "latent space of 4 numbers" in inside.note
    encode = model.double().encode
    with torch.no_grad():
        first = encode(torch.tensor(np.asarray(episodes.state, np.float64)).reshape(-1, 3), "walk")
        second = encode(
            torch.tensor(np.asarray(episodes.next_state, np.float64)).reshape(-1, 3), "walk"
        )
        action = torch.tensor(np.asarray(episodes.action, np.float64)).reshape(-1, 2)
        after, reward = (
            model.next(first, action, "walk"),
            model.expected(model.reward(first, action, "walk")),
        )
    np.testing.assert_allclose(inside.episodes.state.reshape(-1, 4), first, rtol=1e-12)
    np.testing.assert_allclose(inside.episodes.next_state.reshape(-1, 4), second, rtol=1e-12)
    np.testing.assert_allclose(inside.world.spec.state_scale, first.std(0, correction=0), rtol=1e-5)
    key, flat = jax.random.key(0), (np.asarray(first), np.asarray(action))
    with jax.enable_x64(True):
        np.testing.assert_allclose(
            jax.vmap(lambda s, a: inside.world.dynamics(s, a, key))(*flat), after, rtol=1e-12
        )
        np.testing.assert_allclose(
            jax.vmap(inside.world.reward)(*flat, flat[0]), reward, rtol=1e-12
        )
        np.testing.assert_allclose(modes(inside.policy, flat[0]), action, rtol=1e-5, atol=1e-6)


class Normalising(WorldModel):
    """Its encoder answers no single row in training mode."""

    def __init__(self):
        super().__init__("alone")
        self.norm = torch.nn.BatchNorm1d(3)

    def encode(self, obs, task):
        return super().encode(self.norm(obs), task)


def test_a_model_in_training_mode_is_asked_in_evaluation_mode():
    model = Normalising()
    latent_model = foreign.latent(model, SPEC, task="walk", reward_from=model.expected)
    inside = latent_model.on(episodes_of(latent_model.policy))
    assert inside.world.spec.state_size == 4
    assert model.norm.training
    assert int(model.norm.num_batches_tracked) == 0


def test_a_latent_end():
    latent_model = latent(ended=lambda z: z[:, :1] > 0)[1]
    inside = latent_model.on(episodes_of(latent_model.policy))
    states = np.asarray(inside.episodes.state[:, 0])
    action = np.zeros((7, 2))
    np.testing.assert_array_equal(
        jax.vmap(inside.world.termination)(states, action, states), states[:, 0] > 0
    )


def test_a_model_without_the_methods_is_refused():
    with pytest.raises(
        checks.BadArgument,
        match=r"foreign\.latent is given a Linear, which has no encode, next, reward, pi; ",
    ):
        foreign.latent(torch.nn.Linear(2, 2), SPEC)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"termination_gives": "x"}, "termination_gives is 'x'; it must be one of"),
        ({"discount": 2.0}, "discount is 2; it must lie in"),
        ({"ended": 5}, "ended is 5; a function of a batch, or None, is needed"),
        ({"reward_from": "x"}, "reward_from is 'x'; a function of a batch"),
    ],
)
def test_what_is_wrong_about_a_latent_model_is_said_before_anything_is_played(options, message):
    with pytest.raises(checks.BadArgument, match=message):
        inspect.unwrap(foreign.latent)(WorldModel("alone"), SPEC, **options)


@pytest.mark.parametrize(
    ("gives", "rule"), [("continue", torch.sigmoid), ("probability", lambda x: torch.sigmoid(-x))]
)
def test_a_latent_end_that_is_a_probability(gives, rule):
    latent_model = latent(ended=lambda z: rule(z[:, 0]), termination_gives=gives)[1]
    inside = latent_model.on(episodes_of(latent_model.policy))
    states = np.asarray(inside.episodes.state[:, 0])
    np.testing.assert_array_equal(
        jax.vmap(inside.world.termination)(states, np.zeros((7, 2)), states), states[:, 0] < 0
    )


@pytest.mark.parametrize(
    ("encode", "message"),
    [
        (
            lambda obs, task: (obs, obs),
            "PyTorch encoder gives a tuple; latent states .batch, latent. are needed",
        ),
        (lambda obs, task: obs @ torch.ones(7, 2), "PyTorch encoder failed with RuntimeError: "),
    ],
)
def test_an_encoder_that_does_not_fit_is_named(encode, message):
    model = WorldModel("alone")
    model.encode = encode
    latent_model = foreign.latent(model, SPEC, task="walk")
    with pytest.raises(checks.BadData, match=message):
        latent_model.on(episodes_of(Deterministic(lambda s: s[:2] / 9)))


def test_a_latent_model_that_is_no_module_is_refused():
    with pytest.raises(
        checks.BadArgument, match=r"the latent model is a Agent; a torch\.nn.Module is needed"
    ):
        foreign.latent(Agent(), SPEC)


class Recurrent(torch.nn.Module):
    """A policy after Dreamer's habit: its encoding is normalised in place, and its mode is kept for
    the next call.
    """

    def __init__(self):
        super().__init__()
        self.enc = torch.nn.Linear(3, 2)

    def forward(self, s):
        z = self.enc(s)
        torch.tanh_(z)
        norm = torch.exp(z)
        norm += 1
        self.last = z / norm
        return self.last


def test_a_policy_with_operations_in_place_has_its_slopes_in_compiled_programs():
    torch.manual_seed(0)
    model = Recurrent()
    policy = foreign.policy(model, SPEC)
    with torch.no_grad():
        expected = model(torch.tensor(STATES)).numpy()
    np.testing.assert_allclose(actions_of(policy), expected, rtol=1e-5, atol=1e-6)
    slopes = jax.jit(jax.jacrev(policy.mode))(STATES[0])
    moved = np.concatenate([STATES[0] + 1e-3 * np.eye(3), STATES[0] - 1e-3 * np.eye(3)]).astype(
        np.float32
    )
    with torch.no_grad():
        above, below = np.split(model(torch.tensor(moved)).numpy(), 2)
    np.testing.assert_allclose(slopes, ((above - below) / 2e-3).T, atol=1e-3)
    assert policy.derivatives == "finite differences"


class Numbered(gymnasium.Env):
    """The actions 1 and 2 push left and right."""

    observation_space = gymnasium.spaces.Box(-9, 9, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2, start=1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.state, {}

    def step(self, action):
        assert action in (1, 2)
        self.state = (0.9 * self.state + [0.1, 2 * action - 3]).astype(np.float32)
        return self.state, float(action), False, False, {}


def test_a_space_that_starts_at_1_is_exact_in_policy_and_world():
    source = connect(Numbered, horizon=9)
    spec = Spec(2, source.action, jnp.ones(2), 9)
    policy = foreign.policy(lambda s: np.where(s[:, 1] > 0, 1, 2), spec)
    episodes = source.evaluate(policy, episodes=3)
    assert set(np.unique(episodes.action)) == {0, 1}
    world = foreign.world(
        foreign.spec(episodes, action=source.action),
        dynamics=lambda s, a: 0.9 * s + np.stack([0.1 + 0 * a, 2 * a - 3], axis=1),
        reward=lambda a: a.astype(float),
        reward_of="a",
    )
    imagined = rollout(
        world, policy, episodes.state[:, 0], jax.random.split(jax.random.key(0), 3), 9
    )
    np.testing.assert_allclose(imagined.next_state, episodes.next_state, atol=1e-5)
    np.testing.assert_array_equal(imagined.reward, episodes.reward)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_policies_of_several_choices_at_once_act_by_their_numbers():
    library = importlib.import_module("stable_baselines3")
    source = connect(reach)
    spec = source.spec(source.collect(20, seed=0))
    agent = library.PPO("MlpPolicy", FlattenObservation(reach()), seed=0, device="cpu")
    states = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    choices = agent.predict(states, deterministic=True)[0]
    assert len(np.unique(choices, axis=0)) > 1
    acting = foreign.policy(agent, spec)
    np.testing.assert_array_equal(actions_of(acting, states), 3 * choices[:, 0] + choices[:, 1])
    played = source.evaluate(acting, episodes=2)
    np.testing.assert_array_equal(played.action[0], actions_of(acting, played.state[0]))
    plain = foreign.policy(lambda s: np.tile([2, 1], (len(s), 1)), spec)
    assert (actions_of(plain, states) == 7).all()
    odd = foreign.policy(lambda s: np.tile([3, 1], (len(s), 1)), spec)
    with pytest.raises(checks.BadData, match=r"the action \[3 1\]; whole numbers from \[0, 0\] on"):
        actions_of(odd, states)


@pytest.mark.parametrize("answer", [np.full(7, 3), np.full((7, 1), 3)])
def test_one_choice_is_counted_from_its_start_with_and_without_an_axis_of_its_own(answer):
    spec = Spec(3, Discrete(5, 0, (5,), (2,)), jnp.ones(3), 5)
    acting = foreign.policy(lambda s: np.resize(answer, (len(s), *answer.shape[1:])), spec)
    np.testing.assert_array_equal(actions_of(acting), 1)
