"""Why a training ended."""

from __future__ import annotations

import enum


class StopReason(enum.Enum):
    """Why a training ended; each has a template of its sentence, with a number of steps."""

    MOST_STEPS = "most steps"
    PLATEAU = "plateau"
    ROUND = "round"
    EARLIER = "earlier"
    PLANNED = "planned"

    def sentence(self, steps: int) -> str:
        """In words, with the steps taken, or those without a gain (`PLATEAU`)."""
        return _TEMPLATES[self].format(steps=steps)


_TEMPLATES = {
    StopReason.MOST_STEPS: "{steps} gradient steps, the most allowed",
    StopReason.PLATEAU: "no better imagined return in {steps} gradient steps at the lowest rate",
    StopReason.ROUND: "{steps} gradient steps, as many as its round has",
    StopReason.EARLIER: (
        "{steps} gradient steps, after which the policy of an earlier round was kept, which is"
        " better in this world, was much better in the real one, brought there what this world"
        " denies, or is likely better than the last one, of which imagination promises too much"
    ),
    StopReason.PLANNED: "none: the policy is a planner, which searches anew at every step",
}
