"""TD-MPC2's planner in its own world model (Hansen et al. 2024, arXiv 2310.16828, appendix C).

Model predictive path integral control with elites: plans are drawn about a mean, some are `pi`'s
own, the best are weighted by what they are worth, and a value completes each plan.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from paracosm.adapters.call import as_floats, ask
from paracosm.adapters.host import Host
from paracosm.core import checks
from paracosm.core.policy import Policy
from paracosm.core.types import Action, Array, PRNGKey, State

_SEED = 0  # of the noise, the same in every search
_MOST_PLANS = 4096  # side by side: more of them take memory, and no less time each
_INSIDE = 1 - 1e-6  # of a mean that is brought back from behind its tanh


class LatentAgent(abc.ABC):
    """What a search asks a model for, in batches `[batch, …]` and with actions in [-1, 1]."""

    @abc.abstractmethod
    def next(self, z: Any, unit: Any) -> Any:
        """The next latent states, `[batch, latent]`."""

    @abc.abstractmethod
    def reward(self, z: Any, unit: Any) -> Any:
        """Rewards, `[batch]`."""

    @abc.abstractmethod
    def proposal(self, z: Any) -> tuple[Any, Any]:
        """Mean and standard deviation of `pi`, the mean after its `tanh`, `[batch, action]`."""

    @abc.abstractmethod
    def value(self, z: Any) -> Any:
        """What the states are worth, `[batch]`."""

    @abc.abstractmethod
    def end_probability(self, z: Any) -> Any:
        """The chance of an end at next states, `[batch]`; None if there are no ends."""

    @abc.abstractmethod
    def actions(self, unit: Any) -> Any:
        """Actions in the environment's units, of those in [-1, 1]."""


@dataclasses.dataclass(frozen=True)
class LatentSearch:
    """A search for the next action from a latent state.

    Attributes:
        action_size: Components of an action.
        discount: γ.
        steps: Steps of a plan.
        plans: How many plans are tried in an iteration.
        elites: How many of them count for the next mean.
        proposals: How many are `pi`'s own.
        iterations: How often plans are drawn.
        temperature: Elites weigh `exp(temperature · worth)`.
        least_spread, most_spread: Standard deviation of the drawn actions, which lie in [-1, 1]; it
            starts at the most.
    """

    action_size: int
    discount: float
    steps: int
    plans: int
    elites: int
    proposals: int
    iterations: int
    temperature: float
    least_spread: float
    most_spread: float

    def __post_init__(self) -> None:
        counts = {"horizon": self.steps, "num_samples": self.plans, "iterations": self.iterations}
        for name, value in counts.items():
            checks.count(f"cfg.{name}", value)
        checks.Range(1, self.plans, integer=True).check("cfg.num_elites", self.elites)
        checks.Range(0, self.plans, integer=True).check("cfg.num_pi_trajs", self.proposals)
        checks.positive("cfg.temperature", self.temperature)
        checks.between("cfg.min_std", self.least_spread, 0, self.most_spread)

    @property
    def size(self) -> int:
        """Numbers of a flat plan, `[steps · action_size]`."""
        return self.steps * self.action_size

    @functools.cached_property
    def noise(self) -> np.ndarray:
        """The standard normals that plans are drawn with, `[iteration, plan, step, action]`; the
        plans of `pi` come first and use those of the first iteration. They have 32 bits, so that an
        audit in 64 bits tries the same plans.
        """
        shape = (self.iterations, self.plans, self.steps, self.action_size)
        return np.random.default_rng(_SEED).standard_normal(shape, np.float32)

    def __call__(self, agent: LatentAgent, z: Any, plan: Any) -> tuple[Any, Any]:
        """First actions `[batch, action]` in the environment's units, and the plans after them.

        Args:
            agent: The model.
            z: Latent states, `[batch, latent]`.
            plan: What was planned before, `[batch, steps · action_size]`.
        """
        import torch

        block = max(_MOST_PLANS // self.plans, 1)
        blocks = zip(z.split(block), plan.split(block), strict=True)
        means = torch.cat([self._search(agent, *rows) for rows in blocks])
        later = torch.cat([means[:, 1:], torch.zeros_like(means[:, :1])], dim=1)
        return agent.actions(means[:, 0].clamp(-1, 1)), later.flatten(1)

    def _search(self, agent: LatentAgent, z: Any, plan: Any) -> Any:
        """The mean plans `[batch, step, action]`."""
        import torch

        noise = torch.as_tensor(self.noise, dtype=z.dtype)
        proposals = self._propose(agent, z, noise[0, : self.proposals])
        mean = plan.reshape(-1, self.steps, self.action_size)
        spread = torch.full_like(mean, self.most_spread)
        for normals in noise[:, self.proposals :]:
            drawn = (mean[:, None] + spread[:, None] * normals).clamp(-1, 1)
            plans = torch.cat([proposals, drawn], dim=1)
            worth = self._worth(agent, z, plans).nan_to_num(0)
            best = torch.topk(worth, self.elites, dim=1)
            weights = torch.softmax(self.temperature * best.values, dim=1)[..., None, None]
            elites = torch.take_along_dim(plans, best.indices[..., None, None], dim=1)
            mean = (weights * elites).sum(dim=1)
            variance = (weights * (elites - mean[:, None]) ** 2).sum(dim=1)
            spread = variance.sqrt().clamp(self.least_spread, self.most_spread)
        return mean

    def _propose(self, agent: LatentAgent, z: Any, noise: Any) -> Any:
        """Plans that `pi` plays in the model, `[batch, plan, step, action]`."""
        import torch

        plans = z.new_zeros(len(z), self.proposals, self.steps, self.action_size)
        if not self.proposals:
            return plans
        state = z.repeat_interleave(self.proposals, dim=0)
        for step in range(self.steps):
            mean, spread = agent.proposal(state)
            normals = noise[:, step].repeat(len(z), 1)
            action = torch.tanh(torch.atanh(mean.clamp(-_INSIDE, _INSIDE)) + spread * normals)
            plans[:, :, step] = action.reshape(len(z), self.proposals, -1)
            state = agent.next(state, action)
        return plans

    def _worth(self, agent: LatentAgent, z: Any, plans: Any) -> Any:
        """What plans `[batch, plan, step, action]` are worth, `[batch, plan]`: `Σ γ^t r_t + γ^h
        V(z_h)`, nothing after an end.
        """
        state = z.repeat_interleave(plans.shape[1], dim=0)
        total, weight = state.new_zeros(len(state)), state.new_ones(len(state))
        for action in plans.flatten(0, 1).unbind(dim=1):
            total = total + weight * agent.reward(state, action)
            state = agent.next(state, action)
            end = agent.end_probability(state)
            weight = self.discount * (weight if end is None else weight * (end <= 0.5))
        return (total + weight * agent.value(state)).reshape(plans.shape[:2])


class ForeignPlanner(Policy):
    """A planner that is a foreign function of state and plan; it carries its plan, `[size]`.

    It draws the same numbers in every search, and has no samples.
    """

    searches: ClassVar[bool] = True

    host: Host = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def initial(self) -> Array:
        return jnp.zeros(self.size)

    def act(self, carry: Array, state: State, key: PRNGKey) -> tuple[Action, Array]:
        state = as_floats(state)
        answer = ask(self.host, jnp.concatenate([state, carry.astype(state.dtype)]))
        return answer[: -self.size], answer[-self.size :].astype(carry.dtype)

    def greedy(self) -> Policy:
        return self
