"""The world of training that a caution makes of the learned one, checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.learner import RecordedRewards
from paracosm.core.mdp import MDP
from paracosm.imagination.arguments import check_world_forms
from paracosm.imagination.caution import Caution, with_own_reward_marked

# What a caution must leave as it is: rollouts, evaluations and audits share them.
_FIXED: dict[str, Callable[[MDP], Any]] = {
    "discount": lambda world: world.discount,
    "horizon": lambda world: world.spec.horizon,
    "state_size": lambda world: world.spec.state_size,
}


def make_training_world(
    caution: Caution, world: MDP, data: Dataset, rewards: RecordedRewards
) -> MDP:
    """The world of training, whose reward is marked where the caution changed it (`OwnReward`).

    Args:
        caution: What is made of what the world does not know.
        world, data, rewards: What the caution is called with.

    Raises:
        BadArgument: the caution gives no MDP, or one of another task or discount.
        BadData: a part of what it gives answers in another form.
    """
    made, name = caution(world, data, rewards), f"the caution {type(caution).__name__}"
    if made is world:
        return world
    checks.of_kind(f"what {name} gives", made, MDP, "an MDP")
    for what, of in _FIXED.items():
        if not np.array_equal(of(made), of(world)):
            raise checks.BadArgument(
                f"{name} gives a world whose {what} is {checks.described(of(made))}; that of the"
                f" learned world, {checks.described(of(world))}, is needed."
            )
    try:
        jax.eval_shape(lambda: check_world_forms(made, f"the world of {name}"))
    except checks.BadData:
        jax.eval_shape(lambda: check_world_forms(world))  # whose fault it may be
        raise
    return with_own_reward_marked(made, world.reward, jnp.asarray(rewards.least))
