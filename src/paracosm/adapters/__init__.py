"""Anybody's model and policy as the parts of an MDP.

They may come from PyTorch, NumPy, Stable-Baselines3 or TorchRL, live in a latent space or have a
memory.
"""

from paracosm.adapters.answers import BadAnswer
from paracosm.adapters.dreamer import dreamer
from paracosm.adapters.keys import by_keys
from paracosm.adapters.latents import InLatentSpace, Latent, latent
from paracosm.adapters.parts import rounded
from paracosm.adapters.policies import policy
from paracosm.adapters.recorded import trajectory
from paracosm.adapters.recurrent import Recurrent, recurrent
from paracosm.adapters.window import window
from paracosm.adapters.worlds import spec, world

__all__ = [
    "BadAnswer",
    "InLatentSpace",
    "Latent",
    "Recurrent",
    "by_keys",
    "dreamer",
    "latent",
    "policy",
    "recurrent",
    "rounded",
    "spec",
    "trajectory",
    "window",
    "world",
]
