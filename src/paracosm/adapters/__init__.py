"""Anybody's model and policy as the parts of an MDP.

They may come from PyTorch, NumPy, Stable-Baselines3 or TorchRL, or live in a latent space.
"""

from paracosm.adapters.answers import BadAnswer
from paracosm.adapters.functional import gymnax
from paracosm.adapters.keys import by_keys
from paracosm.adapters.latents import InLatentSpace, Latent, LatentModel, latent
from paracosm.adapters.parts import rounded
from paracosm.adapters.policies import policy
from paracosm.adapters.recorded import trajectory
from paracosm.adapters.tdmpc2 import tdmpc2
from paracosm.adapters.worlds import spec, world

__all__ = [
    "BadAnswer",
    "InLatentSpace",
    "Latent",
    "LatentModel",
    "by_keys",
    "gymnax",
    "latent",
    "policy",
    "rounded",
    "spec",
    "tdmpc2",
    "trajectory",
    "world",
]
