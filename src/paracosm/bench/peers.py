"""Learners of Stable-Baselines3, with their defaults."""

from __future__ import annotations

import contextlib
import importlib.util
from typing import Any, NamedTuple

import gymnasium
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space

from paracosm.real import registry


class Peer(NamedTuple):
    """A learner of Stable-Baselines3: the name of its class, and the kinds of spaces of actions
    that it takes.
    """

    algorithm: str
    action_spaces: tuple[type[Space], ...]


PEERS = {
    "sb3-sac": Peer("SAC", (Box,)),
    "sb3-dqn": Peer("DQN", (Discrete,)),
    "sb3-ppo": Peer("PPO", (Box, Discrete, MultiDiscrete, MultiBinary)),
}
DEFAULTS = ("sb3-sac", "sb3-dqn")


def are_installed() -> bool:
    """Whether Stable-Baselines3 can be imported."""
    return importlib.util.find_spec("stable_baselines3") is not None


def takes_actions_of(learner: str, env: str) -> bool:
    """Whether the peer can act in the task; a task that cannot be made is found out by its cell."""
    try:
        with contextlib.closing(registry.factory_of(env)()) as task:
            space = task.action_space
    except Exception:
        return True
    return isinstance(space, PEERS[learner].action_spaces)


def train(learner: str, task: gymnasium.Env, transitions: int, seed: int) -> Any:
    """Train a peer; returns its model.

    Args:
        learner: A name of `PEERS`.
        task: The environment in which it learns.
        transitions: How many real steps; `sb3-ppo` takes whole batches of 2,048, also where that
            is more.
        seed: The seed of its networks and of the environment.
    """
    import stable_baselines3
    import torch
    from stable_baselines3.common.logger import Logger

    torch.set_num_threads(1)  # its small networks are faster so, and cells run side by side
    model = getattr(stable_baselines3, PEERS[learner].algorithm)(
        "MlpPolicy", task, seed=seed, device="cpu"
    )
    model.set_logger(Logger(folder=None, output_formats=[]))  # its own leaves a folder behind
    return model.learn(transitions)
