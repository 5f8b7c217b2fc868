"""Anybody's model and policy as the parts of an MDP.

They may come from PyTorch, NumPy, Stable-Baselines3, TorchRL, TD-MPC2 or mbrl-lib, live in a latent
space or have a memory; gymnax's and Brax's environments become real ones.
"""

from paracosm.adapters.answers import BadAnswer
from paracosm.adapters.buffers import dataset
from paracosm.adapters.dreamer import dreamer
from paracosm.adapters.functional import gymnax
from paracosm.adapters.goals import Goal, goal
from paracosm.adapters.keys import by_keys
from paracosm.adapters.latents import InLatentSpace, Latent, LatentModel, latent
from paracosm.adapters.mbrl import mbrl
from paracosm.adapters.parts import low_precision_note
from paracosm.adapters.policies import policy
from paracosm.adapters.recorded import trajectory
from paracosm.adapters.recurrent import Recurrent, recurrent
from paracosm.adapters.tdmpc2 import TdMpc2, tdmpc2
from paracosm.adapters.window import window
from paracosm.adapters.worlds import spec, world

__all__ = [
    "BadAnswer",
    "Goal",
    "InLatentSpace",
    "Latent",
    "LatentModel",
    "Recurrent",
    "TdMpc2",
    "by_keys",
    "dataset",
    "dreamer",
    "goal",
    "gymnax",
    "latent",
    "low_precision_note",
    "mbrl",
    "policy",
    "recurrent",
    "spec",
    "tdmpc2",
    "trajectory",
    "window",
    "world",
]
