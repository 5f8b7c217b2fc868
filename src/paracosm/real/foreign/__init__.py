"""Anybody's model and policy as the parts of an MDP: PyTorch, NumPy, Stable-Baselines3, TorchRL,
latent models.
"""

from paracosm.real.foreign.answers import BadAnswer
from paracosm.real.foreign.call import complained, plainly
from paracosm.real.foreign.keys import by_keys
from paracosm.real.foreign.latents import InLatentSpace, Latent, latent
from paracosm.real.foreign.parts import rounded
from paracosm.real.foreign.policies import policy
from paracosm.real.foreign.recorded import trajectory
from paracosm.real.foreign.worlds import spec, world

__all__ = [
    "BadAnswer",
    "InLatentSpace",
    "Latent",
    "by_keys",
    "complained",
    "latent",
    "plainly",
    "policy",
    "rounded",
    "spec",
    "trajectory",
    "world",
]
