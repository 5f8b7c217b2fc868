"""Stand-ins of the interfaces of TD-MPC2, mbrl-lib, JEPA-like models and gymnax, each of one task:
a weight that slides on a slope, and falls off beyond 1.
"""

import dataclasses
import types

import jax
import jax.numpy as jnp
import torch

from paracosm.core.mdp import MDP, Box, Spec

LAST = 24  # steps of an episode
BOX = Box(-2 * jnp.ones(1), 2 * jnp.ones(1))
SPEC = Spec(2, BOX, jnp.ones(2), LAST)


def slide(x, v, a):
    """The next place and speed; of any arrays."""
    v = v + 0.1 * a + 0.04 * x
    return x + 0.2 * v, v


def paid(x, v):
    """What it pays to arrive there."""
    return -(x**2) - 0.1 * v**2 + 0.3 * x


def push(observation):
    """A policy that loses its weight now and then."""
    return 0.6 * jnp.sin(4 * observation[1:]) + 0.3 * observation[:1]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class SlideState:
    """Place, speed, steps so far, and a random key of the environment's own."""

    x: jax.Array
    v: jax.Array
    time: int
    key: jax.Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class SlideParams:
    edge: float = 1.0
    max_steps_in_episode: int = LAST


class SlideSpace:
    """gymnax's Box."""

    low, high, shape = -2.0, 2.0, (1,)


class Slide:
    """The task with gymnax's interface; `old` ones mix the time limit into `done`."""

    def __init__(self, old=False):
        if not old:
            self.is_truncated = lambda state, params: state.time >= params.max_steps_in_episode
        self.old = old

    default_params = SlideParams()

    def action_space(self, params):
        return SlideSpace

    def reset_env(self, key, params):
        x, v = jax.random.uniform(key, (2,), minval=-0.5, maxval=0.5)
        state = SlideState(x, v, 2**31 - 1 - LAST, jax.random.split(jax.random.key(2**32 - 1))[0])
        return self.observe(state), state

    def observe(self, state):
        return jnp.stack([state.x, state.v])

    def step_env(self, key, state, action, params):
        x, v = slide(state.x, state.v, action[0])
        after = SlideState(x, v, state.time + 1, jax.random.split(state.key)[0])
        done = jnp.abs(x) > params.edge
        if self.old:
            done |= after.time - (2**31 - 1 - LAST) >= params.max_steps_in_episode
        return self.observe(after), after, paid(x, v), done, {}

    def reset(self, key, params):
        return self.reset_env(key, params)

    def step(self, key, state, action, params):
        """It starts anew where an episode is over, as gymnax's own does."""
        first, second = jax.random.split(key)
        observation, after, reward, done, info = self.step_env(first, state, action, params)
        fresh, start = self.reset_env(second, params)
        state = jax.tree.map(lambda new, old: jnp.where(done, new, old), start, after)
        return jnp.where(done, fresh, observation), state, reward, done, info


def exact(**parts):
    """The task's own world on observations."""
    world = MDP(
        SPEC,
        lambda s, a, key: jnp.stack(slide(s[0], s[1], a[0])),
        lambda s, a, after: paid(after[0], after[1]),
        lambda s, a, after: jnp.abs(after[0]) > 1,
        lambda key: jax.random.uniform(key, (2,), minval=-0.5, maxval=0.5),
        0.97,
    )
    return world.replace(**parts)


CFG = types.SimpleNamespace(
    obs="state", obs_shape={"state": (2,)}, action_dim=1, episode_length=LAST, multitask=False,
    tasks=["slide"], task_dim=0, latent_dim=4, num_bins=101, vmin=-10, vmax=10, num_q=3,
    episodic=True, mpc=False, horizon=3, num_samples=16, num_elites=4, num_pi_trajs=3,
    iterations=2, temperature=0.5, min_std=0.05, max_std=2, discount=0.97,
)  # fmt: skip


def configured(**entries):
    """A configuration as TD-MPC2's, with other entries."""
    return types.SimpleNamespace(**{**vars(CFG), **entries})


class SlideModel(torch.nn.Module):
    """TD-MPC2's world model of the task, exact: its latent states turn and stretch observations.

    `wrong` is a fault of its reward: `late` or `plus one`.
    """

    def __init__(self, cfg=CFG, wrong=""):
        super().__init__()
        self.cfg, self.wrong = cfg, wrong
        generator = torch.Generator().manual_seed(0)
        turn = torch.linalg.qr(torch.randn(cfg.latent_dim, cfg.latent_dim, generator=generator))[0]
        self.turn = torch.nn.Parameter(turn[:2] * torch.tensor([[1.0], [3.0]]))
        self.register_buffer("bins", torch.linspace(cfg.vmin, cfg.vmax, cfg.num_bins))

    def encode(self, obs, task):
        assert task is None
        return obs @ self.turn

    def _decoded(self, z):
        return (z @ torch.linalg.pinv(self.turn)).T

    def next(self, z, a, task):
        assert a.shape[1] == self.cfg.action_dim
        return torch.stack(slide(*self._decoded(z), 2 * a[:, 0]), dim=1) @ self.turn

    def reward(self, z, a, task):
        where = self._decoded(z if self.wrong == "late" else self.next(z, a, task))
        return self._logits(paid(*where) + (self.wrong == "plus one"))

    def termination(self, z, task, unnormalized=False):
        logit = 1e3 * (self._decoded(z)[:1].T.abs() - 1)
        return logit if unnormalized else torch.sigmoid(logit)

    def pi(self, z, task):
        x, v = self._decoded(z)
        mean = (0.3 * torch.sin(4 * v) + 0.15 * x)[:, None]
        std = torch.full_like(mean, 0.3)
        return mean + std * torch.randn_like(mean), {"mean": mean, "log_std": std.log()}

    def Q(self, z, a, task, return_type="min"):  # noqa: N802
        assert return_type == "all"
        worth = 10 * paid(*self._decoded(self.next(z, a, task)))
        return torch.stack([self._logits(worth + shift) for shift in (-1, 0, 1)])

    def _logits(self, values):
        """Two-hot: the two bins beside the symlog of a value, each as near as it is."""
        symlog = values.sign() * values.abs().log1p()
        width = (self.cfg.vmax - self.cfg.vmin) / (self.cfg.num_bins - 1)
        share = (1 - (symlog[:, None] - self.bins).abs() / width).clamp(min=0)
        return share.clamp(min=1e-30).log()


class SlideEnsemble(torch.nn.Module):
    """mbrl-lib's `GaussianMLP` of the task: members are off by what cancels in the elites' mean.

    With `multiple` it has no `use_propagation`, and answers only multiples of its members.
    """

    def __init__(self, wrong="", multiple=False):
        super().__init__()
        self.num_members, self.in_size, self.out_size = 3, 3, 3
        self.off = torch.nn.Parameter(torch.tensor([0.1, -0.1, 50.0])[:, None, None])
        self.elite_models, self.propagation_method, self.wrong = None, "random_model", wrong
        if multiple:
            self.forward = self._multiples

    def forward(self, x, rng=None, use_propagation=True):
        assert not use_propagation
        return self._members(x)

    def _multiples(self, x):
        assert len(x) % self.num_members == 0
        return self._members(x)

    def _members(self, x):
        x, v, a = x.T
        after = slide(x, v, a)
        reward = paid(*((x, v) if self.wrong == "late" else after)) + (self.wrong == "plus one")
        mean = torch.stack([after[0] - x, after[1] - v, reward], dim=1)
        return mean + self.off, torch.zeros_like(mean) + self.off


class SlideTransitions(torch.nn.Module):
    """mbrl-lib's `OneDTransitionRewardModel`."""

    def __init__(self, model, learned_rewards=True):
        super().__init__()
        self.model, self.learned_rewards = model, learned_rewards
        self.target_is_delta, self.no_delta_list = True, []
        self.input_normalizer = self.obs_process_fn = None
        self.set_elite([0, 1])

    def set_elite(self, elite_indices):
        self.elite_models = self.model.elite_models = list(elite_indices)

    def update_normalizer(self, batch):
        raise NotImplementedError


class SlideJepa(torch.nn.Module):
    """A model without a reward, whose latent states are of two patches."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        turn = torch.linalg.qr(torch.randn(4, 4, generator=generator))[0][:2]
        self.turn = torch.nn.Parameter(turn)

    def encode(self, obs):
        return (obs @ self.turn).reshape(-1, 2, 2)

    def predict(self, z, a):
        assert z.shape[1:] == (2, 2)
        x, v = (z.reshape(-1, 4) @ torch.linalg.pinv(self.turn)).T
        return self.encode(torch.stack(slide(x, v, a[:, 0]), dim=1))
