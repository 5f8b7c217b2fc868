"""What E9 varies, and what was chosen once for both mazes and all weights, on worlds that were
fitted without straightening.
"""

from __future__ import annotations

from typing import Any

MAZES = ("two rooms", "U-maze")
WEIGHTS = (0.0, 0.1, 1.0)  # λ
PLANNERS = ("gradient", "CEM", "MPPI")
COSTS = ("straight line", "shortest way")
"""Of a step in the maze itself, by its end."""
SIDE = 24  # pixels
FEATURES = 8  # the library's default
WIDTH = 64  # half the default, which takes twice as long and predicts no better
STEPS = 30  # of an episode of random actions, in which a held action crosses a room
HOLD = 0.75  # the chance that a random action is held: four steps on average
LONG, SHORT = 25, 12
"""Steps of a plan. The goal of the two rooms is within 25 of every start; no plan of 12 gets from
one end of the U to the other.
"""
AHEAD = (1, 5, 10, 20)  # steps of prediction that are reported
HELD_OUT = 128  # episodes, of a key of their own
VARIED = "U-maze"  # where choices are varied, at the least and the most straightening
VARIATIONS: dict[str, dict[str, Any]] = {
    "stop-gradient": {"stop_gradient": True},
    "actions drawn anew": {"hold": 0.0},
}
