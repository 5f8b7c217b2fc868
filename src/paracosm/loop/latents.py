"""Beliefs of an encoder that a run learns itself, from what it has observed so far.

The run collects observations. The encoder is learned from those of the first purchase, and goes on
when half as much again has been bought since, except in the last round. Beliefs are made of
everything bought whenever the encoder is another, and of the new rows otherwise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from paracosm.core.data import Dataset
from paracosm.core.encoder import encode_rows
from paracosm.core.keys import stage_key
from paracosm.core.mdp import Spec
from paracosm.core.observing import Observing
from paracosm.core.policy import Policy
from paracosm.core.records import Record
from paracosm.learning.latent.joint import LatentNetworks, LatentSettings, fit_latent
from paracosm.learning.latent.recurrent import (
    RecurrentNetworks,
    RecurrentSettings,
    fit_recurrent,
)
from paracosm.loop import store
from paracosm.loop.directory import RunDirectory
from paracosm.real.source import Source

_GROWN = 1.5  # times as many transitions as the encoder has seen: then it is learned on

Networks = LatentNetworks | RecurrentNetworks


class EncoderKind(NamedTuple):
    """A kind of encoder that a run can learn.

    Attributes:
        fit: Learns it.
        first_settings: Of its first fit.
        later_settings: Of fits that go on from an earlier one.
    """

    fit: Callable[..., Any]
    first_settings: Any
    later_settings: Any


# By the name that `--encoder` has for it.
ENCODER_KINDS = {
    "latent": EncoderKind(fit_latent, LatentSettings(), LatentSettings(most_steps=1000)),
    "recurrent": EncoderKind(
        fit_recurrent, RecurrentSettings(), RecurrentSettings(most_steps=1000)
    ),
}


@dataclasses.dataclass(frozen=True)
class EncoderHeader(Record):
    """How an encoder was learned: transitions, and mean losses by name on held-out windows."""

    transitions: int
    losses: dict[str, float]


class LearnedEncoder(NamedTuple):
    """How an encoder was learned, and the encoder with what was learned beside it."""

    header: EncoderHeader
    networks: Networks


class View(NamedTuple):
    """How a run sees its environment: as it shows itself, or through an encoder learned here.

    Attributes:
        source: The environment, whose states are beliefs if there is an encoder.
        observed: All rows bought so far, as they were observed.
        data: The same rows, of states or beliefs.
        networks: The encoder and what was learned beside it, None if observations are states.
        transitions: How many the encoder was learned from.
        losses: Means by name of its fit, on windows that were held out.
    """

    source: Source
    observed: Dataset
    data: Dataset
    networks: Networks | None = None
    transitions: int = 0
    losses: Mapping[str, float] = MappingProxyType({})

    def encode(self, observed: Dataset) -> Dataset:
        """Observed rows as rows of states or beliefs."""
        return observed if self.networks is None else encode_rows(self.networks.encoder, observed)

    def encoder_changed(self, before: View | None) -> bool:
        """Whether states mean something else than in the round before; False in the first round."""
        return before is not None and self.networks is not before.networks

    def observing(self, policy: Policy) -> Policy:
        """The policy as one of observations."""
        if self.networks is None:
            return policy
        encoder, observed = self.networks.encoder, self.observed.state
        size, kind = observed.shape[1], observed.dtype.name
        return Observing(policy, encoder, self.source.action, size, kind)

    def spec(self) -> Spec:
        """The task, with the scales of all that was bought so far."""
        return self.source.spec(self.data)


@dataclasses.dataclass(frozen=True)
class EncoderLearning:
    """Learns the encoder of a run, if it has one to be learned.

    Attributes:
        source: Shows observations.
        directory: Of the run.
        seed: Of the run.
        transitions: To compile for: those that the run buys in all, unless a budget decides that.
        kind: Of the encoder, a name in `ENCODER_KINDS`, None if none is learned.
        is_last: Whether no round follows the one of this number, after which these rows are owned.
    """

    source: Source
    directory: RunDirectory
    seed: int
    transitions: int
    kind: str | None
    is_last: Callable[[int, Dataset], bool]

    def view(self, round: int, bought: Dataset, before: View | None) -> View:
        """How a round sees its environment.

        Args:
            round: The round.
            bought: Its purchase, as observed.
            before: How the round before saw it, None in the first round.
        """
        observed = bought if before is None else before.observed.join(bought)
        if self.kind is None:
            return View(self.source, observed, observed)
        count = int(observed.has_transition.sum())
        # The last round keeps its encoder: no purchase would show what came of another.
        if before is not None and (
            self.is_last(round, observed) or count < _GROWN * before.transitions
        ):
            return before._replace(observed=observed, data=before.data.join(before.encode(bought)))
        header, networks = self._learn(round, self.kind, observed, before and before.networks)
        source = self.source.through(networks.encoder)
        data = encode_rows(networks.encoder, observed)
        return View(source, observed, data, networks, count, header.losses)

    def _learn(
        self, round: int, name: str, observed: Dataset, before: Networks | None
    ) -> LearnedEncoder:
        """The encoder of a round, learned on from that of an earlier one, and how that went.

        Args:
            round: The round.
            name: Of the kind of encoder.
            observed: What it is learned from.
            before: The earlier one, None if this is the first.
        """
        file = self.directory.file(f"models/encoder-{round}")
        kind = ENCODER_KINDS[name]

        def fit() -> LearnedEncoder:
            fitted = kind.fit(
                observed,
                self.source.action,
                stage_key(self.seed, "encoder", round),
                image=self.source.image,
                settings=kind.first_settings if before is None else kind.later_settings,
                before=before,
                capacity=self.transitions,
            )
            count = int(observed.has_transition.sum())
            return LearnedEncoder(EncoderHeader(count, fitted.losses), fitted.networks)

        return self.directory.stage(
            f"encode-{round}",
            fit,
            lambda learned: store.save(file, learned.networks, learned.header),
            lambda: load_encoder(file),
        )


def load_encoder(path: Path) -> LearnedEncoder:
    """The encoder in a file of a run."""
    return LearnedEncoder(*store.load(EncoderHeader, path))
