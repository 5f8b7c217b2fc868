"""TD-MPC2 in one call: bins, discounts, tasks, its planner by a second route, refusals."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from paracosm import adapters as foreign
from paracosm.adapters.tdmpc2 import decode_bins
from paracosm.adapters.tdmpc2_config import Tdmpc2Settings
from paracosm.core import checks
from paracosm.core.mdp import Box, Discrete, Spec
from paracosm.core.policy import modes
from paracosm.loop.auditing import audit
from paracosm.real.verbs import evaluate
from tests.adapters import standins
from tests.adapters.standins import CFG, LAST, SPEC, SlideModel, configured

SETTINGS = Tdmpc2Settings.from_config(CFG, None)
STATES = np.random.default_rng(0).uniform(-0.6, 0.6, (5, 2))


def real():
    return foreign.gymnax(standins.Slide())


@pytest.mark.parametrize("value", [-400.0, -1.0, -0.03, 0.0, 0.5, 7.0, 900.0])
def test_two_hot_bins_stand_for_their_number(value):
    logits = SlideModel()._logits(torch.tensor([value], dtype=torch.float64))
    np.testing.assert_allclose(decode_bins(logits, SETTINGS), [value], rtol=1e-5, atol=1e-6)


def test_the_mean_over_bins_is_taken_in_symlog():
    logits = np.random.default_rng(0).normal(size=(4, 101))
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    symlog = chances @ np.linspace(-10, 10, 101)
    values = np.sign(symlog) * (np.exp(np.abs(symlog)) - 1)
    np.testing.assert_allclose(decode_bins(torch.tensor(logits), SETTINGS), values, rtol=1e-12)


@pytest.mark.parametrize(("bins", "number"), [(0, 2.0), (1, np.expm1(2.0))])
def test_a_model_without_bins_gives_the_number_or_its_symlog(bins, number):
    settings = dataclasses.replace(SETTINGS, num_bins=bins)
    np.testing.assert_allclose(decode_bins(torch.tensor([[2.0]]), settings), [number], rtol=1e-6)


@pytest.mark.parametrize(
    ("length", "discount"), [(1000, 0.995), (100, 0.95), (200, 0.975), (5, 0.95)]
)
def test_the_discount_is_that_of_the_episodes_length(length, discount):
    cfg = configured(episode_length=length, discount_denom=5, discount_min=0.95, discount_max=0.995)
    del cfg.discount
    assert Tdmpc2Settings.from_config(cfg, None).discount == pytest.approx(discount)


def test_actions_are_stretched_to_the_environments_box():
    agent = foreign.tdmpc2(SlideModel(), CFG, SPEC)
    mean = 0.6 * np.sin(4 * STATES[:, 1:]) + 0.3 * STATES[:, :1]
    np.testing.assert_allclose(modes(agent.policy, STATES), mean, atol=1e-6)
    alone = foreign.tdmpc2(SlideModel(), CFG)
    assert (alone.latent.spec.state_size, alone.latent.spec.horizon) == (2, LAST)
    np.testing.assert_allclose(modes(alone.policy, STATES), mean / 2, atol=1e-6)


def test_the_value_is_the_mean_of_all_q_at_the_mean_of_pi():
    model = SlideModel()
    agent = foreign.tdmpc2(model, CFG, SPEC)
    spec = Spec(4, SPEC.action, jnp.ones(4), LAST)
    with torch.no_grad():
        z = model.double().encode(torch.tensor(STATES), None)
        logits = model.Q(z, model.pi(z, None)[1]["mean"], None, return_type="all")
        by_hand = torch.stack([decode_bins(q_logits, SETTINGS) for q_logits in logits]).mean(0)
    with jax.enable_x64(True):
        values = jax.vmap(agent.value(spec))(jnp.asarray(z.numpy()))
    np.testing.assert_allclose(values, by_hand, rtol=1e-9)


class Several(torch.nn.Module):
    """A model of two tasks, whose observations and actions are padded to the longest."""

    def __init__(self):
        super().__init__()
        self.inner = SlideModel(configured(action_dim=1, episodic=False))

    def _known(self, task):
        assert task == 1

    def encode(self, obs, task):
        self._known(task)
        assert obs.shape[1] == 5
        assert not obs[:, 2:].any()
        return self.inner.encode(obs[:, :2], None)

    def next(self, z, a, task):
        self._known(task)
        assert a.shape[1] == 3
        assert not a[:, 1:].any()
        return self.inner.next(z, a[:, :1], None)

    def reward(self, z, a, task):
        assert a.shape[1] == 3
        return self.inner.reward(z, a[:, :1], None)

    def pi(self, z, task):
        mean, std = (torch.nn.functional.pad(x, (0, 2)) for x in self._moments(z))
        return mean, mean, mean, std.log()  # as older versions give it

    def _moments(self, z):
        info = self.inner.pi(z, None)[1]
        return info["mean"], info["log_std"].exp()

    def Q(self, z, a, task, return_type="min"):  # noqa: N802
        return self.inner.Q(z, a[:, :1], None, return_type)


SEVERAL = configured(
    multitask=True, tasks=["stand", "slide"], action_dim=3, action_dims=[3, 1], episodic=False,
    obs_shape={"state": (5,)}, episode_lengths=[100, LAST],
)  # fmt: skip


def test_a_task_of_several_is_padded_to_the_longest():
    agent = foreign.tdmpc2(Several(), SEVERAL, SPEC, task=1)
    alone = foreign.tdmpc2(SlideModel(), CFG, SPEC)
    np.testing.assert_allclose(modes(agent.policy, STATES), modes(alone.policy, STATES), atol=1e-6)
    np.testing.assert_allclose(
        _planned(agent, STATES[:1], np.zeros((1, 3))),
        _planned(foreign.tdmpc2(Several().inner, configured(episodic=False), SPEC), STATES[:1],
                 np.zeros((1, 3))), rtol=1e-6,
    )  # fmt: skip


def _planned(agent, states, plans):
    """Actions and next plans of the planner, in 64 bits."""
    planner = foreign.tdmpc2(
        agent.latent.model, _cfg(agent), SPEC, task=_task(agent), mpc=True
    ).policy
    return planner.host.value(np.concatenate([states, plans], axis=1))


def _cfg(agent):
    return SEVERAL if isinstance(agent.latent.model, Several) else agent.latent.model.cfg


def _task(agent):
    return 1 if isinstance(agent.latent.model, Several) else None


def by_hand(cfg, state, plan, noise):
    """TD-MPC2's search written once more, with NumPy about the exact model: plan by plan."""
    half = 2.0

    def step(state, unit):
        after = np.array(standins.slide(*state, half * unit))
        return after, standins.paid(*after)

    def prior(state):
        return 0.3 * np.sin(4 * state[1]) + 0.15 * state[0], 0.3

    def worth(plan):
        place, total, weight = state, 0.0, 1.0
        for unit in plan:
            place, reward = step(place, unit)
            total += weight * reward
            weight *= cfg.discount * (abs(place[0]) <= 1)
        after = step(place, prior(place)[0])[0]
        q = [10 * standins.paid(*after) + shift for shift in (-1, 0, 1)]
        return total + weight * np.mean(q)

    proposals = []
    for draws in noise[0, : cfg.num_pi_trajs, :, 0]:
        place, units = state, []
        for draw in draws:
            mean, std = prior(place)
            units.append(np.tanh(np.arctanh(mean) + std * draw))
            place = step(place, units[-1])[0]
        proposals.append(units)
    mean, spread = plan, np.full(cfg.horizon, float(cfg.max_std))
    for draws in noise[:, cfg.num_pi_trajs :, :, 0]:
        drawn = np.clip(mean + spread * draws, -1, 1)
        tried = np.concatenate([proposals, drawn])
        values = np.array([worth(plan) for plan in tried])
        best = np.argsort(-values)[: cfg.num_elites]
        weights = np.exp(cfg.temperature * (values[best] - values[best].max()))
        weights /= weights.sum()
        mean = weights @ tried[best]
        deviation = np.sqrt(weights @ (tried[best] - mean) ** 2)
        spread = np.clip(deviation, cfg.min_std, cfg.max_std)
    return half * mean[0], np.append(mean[1:], 0)


def test_the_planner_is_tdmpc2s():
    cfg = configured(max_std=0.4)  # no action is clipped: else plans that end at once tie
    agent = foreign.tdmpc2(SlideModel(), cfg, SPEC, mpc=True)
    plans = np.random.default_rng(1).uniform(-0.3, 0.3, (5, 3))
    states = STATES.copy()
    states[0] = [0.94, 0.1]  # near the edge, where plans end
    answer = agent.policy.host.value(np.concatenate([states, plans], axis=1))
    for row, state, plan in zip(answer, states, plans, strict=True):
        action, later = by_hand(cfg, state, plan, agent.search.noise)
        np.testing.assert_allclose(row, [action, *later], atol=1e-4)  # bins in 32 bits


def test_no_proposals_are_no_plans_of_pi():
    model = SlideModel()
    agent = foreign.tdmpc2(model, configured(num_pi_trajs=0), SPEC, mpc=True)
    answer = agent.policy.host.value(np.concatenate([STATES, np.zeros((5, 3))], axis=1))
    assert np.isfinite(answer).all()
    assert np.abs(answer[:, 0]).max() <= 2


def test_the_planner_plays_better_than_pi():
    agents = [foreign.tdmpc2(SlideModel(), CFG, SPEC, mpc=plans) for plans in (True, False)]
    paid = [evaluate(real(), agent.policy, episodes=3, horizon=6).reward.sum() for agent in agents]
    assert paid[0] > paid[1]


@pytest.mark.full
def test_the_planner_is_audited_on_its_own_plans():
    agent = foreign.tdmpc2(SlideModel(), CFG, SPEC, mpc=True)
    episodes = evaluate(real(), agent.policy, episodes=3, horizon=6)
    world, policy, inside, note = agent.on(episodes)
    assert "latent space of 4 numbers" in note
    diagnosis = audit(
        world, policy, inside, certify=False, dimensions=False, most_imagined_steps=40
    )
    assert diagnosis.closure < 1e-6  # plans were carried in 32 bits
    assert abs(diagnosis.gap.total.mean) < 1e-3


BAD = [
    (
        "no module",
        {"model": types.SimpleNamespace()},
        "foreign.tdmpc2 is given a SimpleNamespace, which has no encode, next, reward, pi, Q;",
    ),
    (
        "a layer",
        {"model": torch.nn.Linear(2, 2)},
        "paracosm.foreign.world.dynamics=….* is for a function",
    ),
    ("a class", {"model": SlideModel}, "is given the class SlideModel; an instance"),
    (
        "an ensemble",
        {"model": standins.SlideTransitions(standins.SlideEnsemble())},
        "paracosm.foreign.mbrl is for models with set_elite, update_normalizer",
    ),
    (
        "goals",
        {"model": standins.SlideJepa()},
        "foreign.goal is for models with encode, predict",
    ),
    (
        "no bins",
        {"cfg": types.SimpleNamespace(obs="state")},
        "the cfg is a SimpleNamespace without episode_length",
    ),
    ("a mapping", {"cfg": {"obs": "state", "episode_length": 3}}, "without action_dim"),
    ("pixels", {"cfg": configured(obs="rgb")}, "the cfg's obs is 'rgb'"),
    ("bins", {"cfg": configured(num_bins=51)}, r"reward gives the shape \(2, 101\) .* \(2, 51\)"),
    ("latents", {"cfg": configured(latent_dim=8)}, r"encode gives the shape \(2, 4\) .* \(2, 8\)"),
    (
        "actions",
        {"spec": Spec(2, Box(-jnp.ones(2), jnp.ones(2)), jnp.ones(2), 5)},
        "the spec has 2 continuous actions",
    ),
    ("discrete", {"spec": Spec(2, Discrete(1), jnp.ones(2), 5)}, "the spec has 1 discrete actions"),
    (
        "observations",
        {"spec": Spec(3, SPEC.action, jnp.ones(3), 5)},
        "observations of 3 numbers; .* takes 2",
    ),
    ("a task", {"task": 1}, "task is 1; .* of a single task"),
    ("no task", {"cfg": SEVERAL}, "task is None; .* one of 2 tasks, .* from 0 to 1"),
    (
        "elites",
        {"cfg": configured(num_elites=17), "mpc": True},
        "cfg.num_elites is 17; it must be at least 1 and at most 16",
    ),
    ("a discount", {"cfg": configured(discount=1.5)}, "cfg.discount is 1.5"),
]


@pytest.mark.parametrize(("changes", "message"), [bad[1:] for bad in BAD], ids=[b[0] for b in BAD])
def test_what_does_not_fit_is_named(changes, message):
    arguments = {"model": SlideModel(), "cfg": CFG, "spec": SPEC, **changes}
    with pytest.raises(checks.BadArgument, match=message):
        foreign.tdmpc2(arguments.pop("model"), **arguments)


def test_a_model_that_fails_is_told_in_its_own_words():
    cfg = configured(obs_shape={"state": (3,)})
    with pytest.raises(checks.BadData, match="the TD-MPC2 model's encode failed with RuntimeError"):
        foreign.tdmpc2(SlideModel(), cfg, Spec(3, SPEC.action, jnp.ones(3), 5))
