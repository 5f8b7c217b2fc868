"""A training step of gradients through the world: Paracosm against a plain PyTorch loop.

State 12, action 4, 128 branches of 5 steps, of which half go on where the last ones ended, dynamics
and reward 2×200 each, policy and the two values 2×128; a step is the policy's gradient through the
world, the values' gradients, Adam on all, and their moving averages. The loop is written as one
would who wants it fast: parameters that no gradient is needed of are frozen, both values are one
batched network, and optimisers and averages run over all tensors at once.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import torch
from torch.nn import functional

from paracosm.core.learner import Problem, RecordedRewards, StartStates
from paracosm.core.mdp import MDP
from paracosm.imagination.pathwise import Pathwise, PathwiseSettings

SETTINGS = PathwiseSettings()
RATE = 5e-4
STEPS = 20  # training steps of a call, in one program as in a run


def in_paracosm(world: MDP, states: jax.Array) -> Callable[[], object]:
    """A call of the library's own training steps.

    Args:
        world: What is imagined.
        states: Visited ones, `[rows, state]`.
    """
    starts = StartStates(states, states)
    rewards = RecordedRewards(jnp.asarray(-1.0), jnp.asarray(1.0), jnp.asarray(1.0))
    problem = Problem(world, world, starts, SETTINGS.steps, jnp.asarray(RATE), rewards)
    learner = Pathwise(SETTINGS)
    state = eqx.filter_jit(learner.init)(problem, jax.random.key(0))

    @eqx.filter_jit
    def steps(state, problem, key):
        def step(i, state):
            return learner.step(state, problem, jax.random.fold_in(key, i))[0]

        return jax.lax.fori_loop(0, STEPS, step, state)

    def call() -> object:
        nonlocal state
        state = steps(state, problem, jax.random.key(1))
        return jax.block_until_ready(state.log_alpha)

    call()
    return call


class _Values(torch.nn.Module):
    """Two networks of normalised layers as one batch of products."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        shapes = [(size, width), (width, width), (width, 1)]
        self.weights = torch.nn.ParameterList(
            torch.randn(2, *shape) / math.sqrt(shape[0]) for shape in shapes
        )
        self.biases = torch.nn.ParameterList(torch.zeros(2, 1, shape[1]) for shape in shapes)

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        x = state.expand(2, *state.shape)
        for layer in (0, 1):
            x = torch.baddbmm(self.biases[layer], x, self.weights[layer])
            x = functional.silu(functional.layer_norm(x, x.shape[-1:]))
        return torch.baddbmm(self.biases[2], x, self.weights[2])[..., 0]


def in_torch(
    dynamics: torch.nn.Module, reward: torch.nn.Module, states: torch.Tensor, action: int
) -> Callable[[], object]:
    """The same training steps by hand.

    Args:
        dynamics, reward: The world's networks.
        states: Visited ones, `[rows, state]`.
        action: Components of an action.
    """
    width, size = SETTINGS.width, states.shape[1]
    policy = torch.nn.Sequential(
        torch.nn.Linear(size, width),
        torch.nn.SiLU(),
        torch.nn.Linear(width, width),
        torch.nn.SiLU(),
        torch.nn.Linear(width, 2 * action),
    )
    values = _Values(size, width)
    slow_policy, slow_values = copy.deepcopy(policy), copy.deepcopy(values)
    for frozen in (dynamics, reward, slow_policy, slow_values):
        frozen.requires_grad_(requires_grad=False)
    for_policy = torch.optim.Adam(policy.parameters(), RATE, foreach=True)
    for_values = torch.optim.Adam(values.parameters(), 2 * RATE, foreach=True)
    discount, mix = 0.97, SETTINGS.lambda_
    reached = torch.zeros(SETTINGS.branches, size)
    going = torch.zeros(SETTINGS.branches, 1, dtype=torch.bool)

    def step() -> None:
        state = states[torch.randint(len(states), (SETTINGS.branches,))]
        state[1::2] = torch.where(going[1::2], reached[1::2], state[1::2])
        visited, rewards, entropies, later = [], [], [], []
        for _ in range(SETTINGS.steps):
            visited.append(state)
            mean, raw = policy(state).chunk(2, 1)
            log_std = -5 + 7 * torch.sigmoid(raw)
            noise = torch.randn_like(mean)
            latent = torch.addcmul(mean, log_std.exp(), noise)
            slope = 2 * (math.log(2) - latent - functional.softplus(-2 * latent))
            entropies.append((0.5 * noise**2 + log_std + slope).sum(1))
            inputs = torch.cat([state, torch.tanh(latent)], 1)
            after = torch.add(state, dynamics(inputs), alpha=0.1)
            rewards.append(reward(torch.cat([inputs, after], 1))[:, 0])
            later.append(slow_values(after).amin(0))
            state = after
        reached.copy_(state.detach())
        going.bernoulli_(discount**SETTINGS.steps)
        returns, target, climbed = [], later[-1], later[-1]
        for r, h, v in zip(reversed(rewards), reversed(entropies), reversed(later), strict=True):
            target = r + discount * ((1 - mix) * v + mix * target)
            climbed = r + SETTINGS.alpha * h + discount * ((1 - mix) * v + mix * climbed)
            returns.insert(0, target)
        for_policy.zero_grad()
        (-climbed.mean()).backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), SETTINGS.clip, foreach=True)
        for_policy.step()
        for_values.zero_grad()
        off = values(torch.cat(visited).detach()) - torch.cat(returns).detach()
        (off**2).mean(1).sum().backward()
        torch.nn.utils.clip_grad_norm_(values.parameters(), SETTINGS.clip, foreach=True)
        for_values.step()
        with torch.no_grad():
            pairs = ((slow_policy, policy, 0.005), (slow_values, values, 0.01))
            for slow, new, weight in pairs:
                torch._foreach_lerp_([*slow.parameters()], [*new.parameters()], weight)

    def call() -> object:
        for _ in range(STEPS):
            step()
        return policy

    call()
    return call
