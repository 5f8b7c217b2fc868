"""Learners of Stable-Baselines3, with their defaults."""

from __future__ import annotations

import importlib.util
from typing import Any

import gymnasium
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete

from paracosm.real import registry

# By name: the class, and the spaces of actions that it takes.
PEERS = {
    "sb3-sac": ("SAC", (Box,)),
    "sb3-dqn": ("DQN", (Discrete,)),
    "sb3-ppo": ("PPO", (Box, Discrete, MultiDiscrete, MultiBinary)),
}
DEFAULTS = ("sb3-sac", "sb3-dqn")


def installed() -> bool:
    """Whether Stable-Baselines3 can be imported."""
    return importlib.util.find_spec("stable_baselines3") is not None


def takes_actions_of(learner: str, env: str) -> bool:
    """Whether the peer can act in the task; a task that cannot be made is found out by its cell."""
    try:
        space = registry.make(env)().action_space
    except Exception:
        return True
    return isinstance(space, PEERS[learner][1])


def trained(learner: str, task: gymnasium.Env, transitions: int, seed: int) -> Any:
    """A trained model.

    Args:
        learner: A name of `PEERS`.
        task: Where it learns.
        transitions: Real steps.
        seed: Of everything.
    """
    import stable_baselines3
    import torch
    from stable_baselines3.common.logger import Logger

    torch.set_num_threads(1)  # its small networks are faster so, and cells run side by side
    model = getattr(stable_baselines3, PEERS[learner][0])(
        "MlpPolicy", task, seed=seed, device="cpu"
    )
    model.set_logger(Logger(folder=None, output_formats=[]))  # its own leaves a folder behind
    return model.learn(transitions)
