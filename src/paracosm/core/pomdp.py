"""Partially observed systems: an MDP, and what it shows of its states.

A source plays one on its observations, or on the beliefs that an encoder makes of them:

    source = connect(POMDP(mdp, show))
    source = connect(POMDP(mdp, show), encoder=Window(4))
"""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx

from paracosm.core import checks
from paracosm.core.encoder import Encoder, Observation
from paracosm.core.mdp import MDP
from paracosm.core.types import Action, State


class POMDP(eqx.Module):
    """A system whose states are hidden: `show(s) -> o` is all that policies see of a state s."""

    mdp: MDP
    show: Callable[[State], Observation]

    def __check_init__(self) -> None:
        checks.of_kind("mdp", self.mdp, MDP, "an MDP")
        checks.function("show", self.show, "of one state")

    def through(self, encoder: Encoder | None) -> Encoder:
        """The encoder from a state to what policies see of it: the observation, or the belief that
        `encoder` makes of it.
        """
        return ShownStates(self.show, encoder)


class ShownStates(Encoder):
    """What is shown of states, or the beliefs that an encoder makes of that."""

    show: Callable[[State], Observation]
    encoder: Encoder | None

    def initial(self, observation: Observation) -> State:
        shown = self.show(observation)
        return shown if self.encoder is None else self.encoder.initial(shown)

    def update(self, state: State, action: Action, observation: Observation) -> State:
        shown = self.show(observation)
        return shown if self.encoder is None else self.encoder.update(state, action, shown)

    def called(self, stage: str) -> str:
        """See `Encoder`: it is the encoder of what is shown that sentences are about."""
        return super().called(stage) if self.encoder is None else self.encoder.called(stage)
