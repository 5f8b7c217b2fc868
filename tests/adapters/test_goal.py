"""Models without a reward: the goal's rewards and ends, in imagination and in real episodes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from paracosm import adapters as foreign
from paracosm.adapters.goals import distance
from paracosm.core import checks
from paracosm.core.policy import Deterministic
from paracosm.imagination.planners import CEM
from paracosm.loop.auditing import audit
from paracosm.real.verbs import evaluate
from tests.adapters import standins
from tests.adapters.standins import SPEC, SlideJepa

GOAL = np.array([0.1, 0.0], np.float32)
STATES = np.random.default_rng(0).uniform(-0.7, 0.7, (7, 2))


def still(world):
    return Deterministic(lambda z: 0 * z[:1])


def goal_model(policy=still, **options):
    model = SlideJepa()
    return foreign.goal(model.encode, model.predict, GOAL, SPEC, policy=policy, **options)


def encoded(states):
    with torch.no_grad():
        return (
            SlideJepa()
            .double()
            .encode(torch.tensor(states, dtype=torch.float64))
            .reshape(len(states), -1)
            .numpy()
        )


def lived(edge=1e9, episodes=6):
    env = foreign.gymnax(standins.Slide(), standins.SlideParams(edge))
    return evaluate(env, Deterministic(standins.push), episodes=episodes)


def test_rewards_of_real_episodes_are_the_goals():
    episodes = lived()
    world, _, inside, _ = goal_model().on(episodes)
    after = np.asarray(episodes.next_state, np.float64)
    away = np.linalg.norm(encoded(after.reshape(-1, 2)) - encoded(GOAL[None]), axis=1)
    np.testing.assert_allclose(inside.reward, -away.reshape(inside.reward.shape), atol=1e-6)
    assert inside.state.shape[-1] == 4  # two patches of two, flat
    with jax.enable_x64(True):
        reward = jax.vmap(world.reward)(
            inside.state[:, 0], np.asarray(inside.action[:, 0]), inside.next_state[:, 0]
        )
    np.testing.assert_allclose(reward, inside.reward[:, 0], rtol=1e-12)


def test_an_episode_ends_where_it_first_reaches_the_goal():
    radius, episodes = 0.2, lived()
    inside = goal_model(radius=radius).on(episodes).episodes
    away = np.linalg.norm(
        encoded(np.asarray(episodes.next_state, np.float64).reshape(-1, 2)) - encoded(GOAL[None]),
        axis=1,
    ).reshape(6, -1)  # fmt: skip
    reached = away <= radius
    assert reached.any()
    assert not reached.any(axis=1).all()
    for row, where in enumerate(reached):
        length = int(np.argmax(where)) + 1 if where.any() else len(where)
        np.testing.assert_array_equal(inside.alive[row], np.arange(len(where)) < length)
        assert inside.terminated[row].sum() == where.any()
        assert inside.terminated[row, length - 1] == where.any()
        assert inside.truncated[row, length - 1] == ~where.any()
        last = inside.next_state[row, length - 1]
        np.testing.assert_array_equal(
            inside.state[row, length:], np.tile(last, (len(where) - length, 1))
        )
        assert not inside.reward[row, length:].any()  # fmt: skip


def test_the_environments_own_ends_stay():
    episodes = lived(edge=0.6)
    assert episodes.terminated.any()
    inside = goal_model().on(episodes).episodes
    np.testing.assert_array_equal(inside.terminated, episodes.terminated)
    np.testing.assert_array_equal(inside.alive, episodes.alive)


def test_the_distance_has_a_derivative_everywhere():
    goal = jnp.array([0.3, -0.2])
    np.testing.assert_array_equal(jax.grad(distance)(goal, goal), [0, 0])
    np.testing.assert_allclose(jax.grad(distance)(goal + jnp.array([3.0, 4.0]), goal), [0.6, 0.8])


def test_functions_of_arrays_and_partial_methods_fit_too():
    model = SlideJepa().double()

    def encode(obs):
        with torch.no_grad():
            return model.encode(torch.tensor(obs)).numpy()

    def predict(z, a):
        with torch.no_grad():
            return model.predict(torch.tensor(z), torch.tensor(a)).numpy()

    arrays = foreign.goal(encode, predict, GOAL, SPEC, policy=still, functions="numpy")
    tensors = goal_model()
    np.testing.assert_allclose(arrays.target, tensors.target, atol=1e-6)
    expected = np.stack(standins.slide(STATES[:, 0], STATES[:, 1], 1.0), axis=1)
    for latent_model in (arrays, tensors):
        dynamics = functools.partial(
            latent_model._world(latent_model.blank_spec).dynamics, key=jax.random.key(0)
        )
        latents, actions = encoded(STATES).astype(np.float32), np.ones((7, 1), np.float32)
        after = jax.vmap(dynamics)(latents, actions)
        np.testing.assert_allclose(after, encoded(expected), atol=1e-5)


class Jumping(torch.nn.Module):
    """A whole module that encodes, here by its own call."""

    def forward(self, obs):
        return torch.cat([obs, obs[:, :1] ** 2], dim=1)


def test_a_whole_module_encodes_into_vectors():
    latent_model = foreign.goal(
        Jumping(), lambda z, a: z, GOAL, SPEC, policy=lambda world: Deterministic(lambda z: z[:1])
    )
    np.testing.assert_allclose(latent_model.target, [0.1, 0, 0.01], atol=1e-6)
    episodes = evaluate(
        foreign.gymnax(standins.Slide()), latent_model.policy, episodes=2, horizon=3
    )
    np.testing.assert_allclose(episodes.action, episodes.state[..., :1], atol=1e-6)


def planned():
    """A goal that a planner pursues, its real episodes, and those of doing nothing."""
    towards = goal_model(policy=lambda world: CEM(world, steps=4, plans=16, iterations=2))
    env = foreign.gymnax(standins.Slide(), standins.SlideParams(1e9))
    idle = evaluate(env, Deterministic(lambda s: 0 * s[:1]), episodes=3, horizon=8)
    return towards, evaluate(env, towards.policy, episodes=3, horizon=8), idle


def test_a_planner_plays_towards_the_goal():
    towards, episodes, idle = planned()
    reward, without = (towards.on(lived).episodes.reward[:, -1] for lived in (episodes, idle))
    assert (reward > without).all()


@pytest.mark.full
def test_a_planner_is_audited_on_its_way_to_the_goal():
    towards, episodes, _ = planned()
    inside = towards.on(episodes)
    options = {"certify": False, "dimensions": False, "most_imagined_steps": 40}
    diagnosis = audit(inside.world, inside.policy, inside.episodes, **options)
    assert abs(diagnosis.gap.reward.mean) < 1e-5
    assert abs(diagnosis.gap.total.mean) < 1e-2


BAD = [
    ("no encoder", {"encode": 3}, checks.BadArgument, "encode is 3; a module or a function"),
    ("a class", {"predict": SlideJepa}, checks.BadArgument, "predict is the class SlideJepa"),
    (
        "a model",
        {"encode": standins.SlideTransitions(standins.SlideEnsemble())},
        checks.BadData,
        "PyTorch encoder failed with",
    ),
    (
        "a goal",
        {"goal": np.zeros(3)},
        checks.BadArgument,
        r"goal is an array of shape \(3,\); .* shape \(2,\)",
    ),
    (
        "a radius",
        {"radius": -1.0},
        checks.BadArgument,
        "radius is -1; it must be a positive number",
    ),
    (
        "a prediction",
        {"predict": lambda z, a: z[:, :1]},
        checks.BadData,
        r"prediction gives the shape \(1, 2\) for the next latent state",
    ),
    (
        "a policy",
        {"policy": Deterministic(lambda z: z[:1])},
        checks.BadArgument,
        "policy is a Deterministic; a function that makes a Policy",
    ),
    ("no goal", {"goal": "abc"}, checks.BadArgument, "goal is 'abc'; an observation of shape"),
    ("a discount", {"discount": 2.0}, checks.BadArgument, "discount is 2; it must lie in"),
    ("functions", {"functions": "jax"}, checks.BadArgument, "functions is 'jax'"),
]


@pytest.mark.parametrize(
    ("changes", "error", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD]
)
def test_what_does_not_fit_is_named(changes, error, message):
    model = SlideJepa()
    arguments = {
        "encode": model.encode, "predict": model.predict, "goal": GOAL, "spec": SPEC,
        "policy": still, **changes,
    }  # fmt: skip
    with pytest.raises(error, match=message):
        foreign.goal(**arguments)
