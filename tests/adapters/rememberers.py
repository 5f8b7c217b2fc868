"""A cart whose speed is not observed, and recurrent models that remember it.

`x' = x + 0.2 v`, `v' = 0.9 v + 0.3 a`; only x is shown, episodes start at rest, and they end where
|x| passes 1. The reward `cos 3x' - v'` is of the state after the step.
"""

import gymnasium
import jax.numpy as jnp
import numpy as np
import torch

from paracosm.core.mdp import Box, Spec

HORIZON = 25
SPEC = Spec(1, Box(-jnp.ones(1), jnp.ones(1)), jnp.ones(1), HORIZON)


class Cart(gymnasium.Env):
    """The cart; `ends` says whether it ends."""

    observation_space = gymnasium.spaces.Box(-9, 9, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, ends=False):
        self.ends = ends

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = np.array([self.np_random.uniform(-0.4, 0.4), 0])
        return self._shown(), {}

    def step(self, action):
        x, v = self.state
        self.state = np.array([x + 0.2 * v, 0.9 * v + 0.3 * action[0]])
        reward = np.cos(3 * self.state[0]) - self.state[1]
        return self._shown(), float(reward), self.ends and abs(self.state[0]) > 1, False, {}

    def _shown(self):
        return self.state[:1].astype(np.float32)


class Rememberer(torch.nn.Module):
    """The cart exactly, but for `decay`; its memory is a dict of x, v and the time, or a tensor."""

    def __init__(self, decay=0.9, bonus=0.0):
        super().__init__()
        self.decay = torch.nn.Parameter(torch.tensor(decay))
        self.bonus = bonus

    def start(self, observation):
        rest = torch.zeros_like(observation[:, 0])
        return {"x": observation, "more": (rest, torch.zeros(len(observation), dtype=torch.long))}

    def observe(self, memory, action, observation):
        return {**self.next(memory, action), "x": observation}

    def next(self, memory, action):
        speed, time = memory["more"]
        after = self.decay * speed + 0.3 * action[:, 0]
        return {"x": memory["x"] + 0.2 * speed[:, None], "more": (after, time + 1)}

    def reward(self, memory):
        return torch.cos(3 * memory["x"][:, 0]) - memory["more"][0] + self.bonus

    def act(self, memory):
        push = 0.9 * torch.tanh(4 * memory["x"] + memory["more"][0][:, None])
        return push * (0.6 + 0.4 * torch.cos(1.5 * memory["more"][1].to(push)))[:, None]


class Late(Rememberer):
    """It pays at each step what was due at the one before."""

    def start(self, observation):
        return {**super().start(observation), "due": torch.ones(len(observation))}

    def next(self, memory, action):
        return {**super().next(memory, action), "due": super().reward(memory)}

    def reward(self, memory):
        return memory["due"]


class Ending(Rememberer):
    """It knows the end."""

    def ended(self, memory):
        return memory["x"].abs() > 1
