"""Imagination in any world from any states: what `imagine` takes, made of them."""

import numpy as np

from paracosm.core.data import Dataset
from paracosm.core.learned import Learned
from paracosm.core.mdp import MDP, Discrete
from paracosm.core.records import PartFit
from paracosm.imagination.imagine import Imagined, imagine

LABELLED = PartFit("reward", "learned", 0, 0, None, (), None, "", (), ())


def data_of(world: MDP, initial, visited, worst_reward: float = 0.0) -> Dataset:
    """Labels of `worst_reward` at episodes' starts `initial`, and transitions at `visited`, second
    steps.
    """
    n, m = len(initial), len(visited)
    state = np.concatenate([initial, np.repeat(visited, 2, axis=0)]).astype(np.float32)
    rows, time = n + 2 * m, np.concatenate([np.zeros(n, int), np.tile([0, 1], m)])
    space = world.spec.action
    action = (
        np.zeros(rows, np.int32)
        if isinstance(space, Discrete)
        else np.zeros((rows, space.size), np.float32)
    )
    first, last = np.arange(rows) < n, time == 1
    return Dataset(
        state=state,
        action=action,
        next_state=state,
        reward=np.where(first, worst_reward, np.nan),
        terminated=np.zeros(rows, bool),
        truncated=first | last,
        episode=np.concatenate([np.arange(n), n + np.repeat(np.arange(m), 2)]),
        time=time,
        has_transition=last,
        has_label=first,
    )


def imagine_in(world: MDP, initial, visited, *, worst_reward: float = 0.0, **options) -> Imagined:
    """`imagine` in `world` from such data, its reward taken as learned from those labels."""
    data = data_of(world, initial, visited, worst_reward)
    return imagine(Learned(world, {"reward": LABELLED}), data, **options)
