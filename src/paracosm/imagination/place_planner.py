"""A planner in place of training: the policy searches in the learned world at every step."""

from __future__ import annotations

from collections.abc import Callable

from paracosm.core.data import Dataset
from paracosm.core.learned import Learned
from paracosm.core.mdp import MDP, not_drawn
from paracosm.core.records import Training
from paracosm.core.records.stop_reason import StopReason
from paracosm.imagination.caution import Caution
from paracosm.imagination.imagine import Imagined, recorded_rewards
from paracosm.imagination.planners import Planner
from paracosm.imagination.training_world import make_training_world


def place_planner(
    planner: Callable[[MDP], Planner], learned: Learned, data: Dataset, caution: Caution
) -> Imagined:
    """The planner in the world that caution makes of the learned one; nothing is trained.

    Args:
        planner: Makes the planner for a world.
        learned: The learned world, whose dynamics the planner asks for their mean.
        data: What the world was learned from.
        caution: What is made of what the world does not know.
    """
    # Initial states of another number would have each round compile anew.
    without_starts = learned.world.replace(initial=not_drawn)
    rewards = recorded_rewards(learned.rewards(data))
    world = make_training_world(caution, without_starts, data, rewards)
    training = Training(
        step=(),
        imagined_return=(),
        entropy=(),
        imagined_steps=0,
        edge_share=0.0,
        horizon=world.spec.horizon,
        weighting="none",
        baseline="none",
        stop=StopReason.PLANNED.sentence(0),
        labels_during_imagination=0,
        stop_reason=StopReason.PLANNED,
        stop_steps=0,
    )
    trained_in = world.replace(initial=learned.world.initial)
    return Imagined(planner(world), None, trained_in, training)
