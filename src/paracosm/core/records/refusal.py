"""Why a learning curve supports no plan."""

from __future__ import annotations

import enum

from paracosm.core.checks import BadData


class Refusal(enum.StrEnum):
    """Why a learning curve supports no plan; each has a template of its sentence."""

    NO_CURVE = "no curve"
    NOT_POSITIVE = "not positive"
    FEW_SIZES = "few sizes"
    RISES = "rises"
    RISES_AT_END = "rises at its end"
    BENDS = "bends against the law"

    def error(self, **numbers: object) -> CurveRefused:
        """The error to raise, with the part and the numbers that the sentence names."""
        return CurveRefused(self, _TEMPLATES[self].format(**numbers))


class CurveRefused(BadData):
    """A learning curve supports no plan; the message says why.

    Attributes:
        refusal: The reason by name, such as "bends against the law", to go by in a program.
    """

    def __init__(self, refusal: Refusal, sentence: str) -> None:
        super().__init__(sentence)
        self.refusal = refusal

    def __reduce__(self) -> tuple[type[CurveRefused], tuple[Refusal, str]]:
        return CurveRefused, (self.refusal, str(self))


_TEMPLATES = {
    Refusal.NO_CURVE: (
        "there is no learning curve of {part}; one of dynamics and one of reward are needed."
    ),
    Refusal.NOT_POSITIVE: (
        "the {part} curve has an error of {error:g} at {samples:,} samples; both must be positive."
    ),
    Refusal.FEW_SIZES: (
        "the {part} curve was measured at {sizes}; at least {least} different numbers of samples"
        " are needed."
    ),
    Refusal.RISES: (
        "the {part} error rises with more samples, from {before:.3g} at {first:,.0f} to {after:.3g}"
        " at {last:,.0f}; a curve that falls is needed to plan from it."
    ),
    Refusal.RISES_AT_END: (
        "the {part} error rises from {size} on, from {before:.3g} at {first:,.0f}"
        " samples to {after:.3g} at {last:,.0f}; a curve that falls to its end is needed to plan"
        " from it."
    ),
    Refusal.BENDS: (
        "the {part} curve bends against the law: its error falls as the power {before:.2g} of the"
        " samples at first and as {after:.2g} at last; a power law only flattens, so measure larger"
        " sizes, where it has settled. Until there are more samples nothing says which split is"
        " best: equal spending on both parts is the usual one."
    ),
}
