"""What imagination did for the mean of real returns, in words."""

from __future__ import annotations

from paracosm.core.records import AssistedMean, Help
from paracosm.reporting import words

_WITHOUT = {
    Help.NO_STARTS: "no fresh starts are imagined, of planners or beside episodes cut short",
    Help.FEW: "too few real episodes to tell whether imagination follows them",
    Help.RARE: "rare episodes may decide, which no correlation tells of",
    Help.UNRELATED: "imagination does not clearly follow the real episodes",
    Help.NO_GAIN: "imagination follows the real episodes too loosely to narrow it",
}


def note(assisted: AssistedMean) -> str:
    """What the mean gained, or why nothing."""
    if assisted.help is not Help.HELPED:
        return f"as real: {_WITHOUT[assisted.help]}"
    apart = assisted.plain.mean - assisted.value.mean
    how = "easier" if apart > 0 else "harder"
    luck = f"than which the recorded starts are {how} by {words.reading(abs(apart))}"
    return f"by {assisted.fresh} imagined starts, {luck}: {gain(assisted)}"


def gain(assisted: AssistedMean) -> str:
    """By what imagination narrowed a mean."""
    factor, more = words.number(assisted.factor, 2), words.episodes(round(assisted.saved))
    return f"variance × {factor}, {more} saved"
