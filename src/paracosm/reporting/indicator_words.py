"""Leading indicators in words: which numbers of the audits precede the gap."""

from __future__ import annotations

from paracosm.core.records.indicators import Indicator, Indicators, LeadVerdict
from paracosm.reporting import words
from paracosm.reporting.decision_tables import Texts

HEADS = ("Indicator", "correlation", "p", "p corrected", "")

_NAMES = {
    "reward": "reward term",
    "termination": "termination term",
    "dynamics": "dynamics term",
    "spread": "spread of returns",
    "calibration": "overconfidence",
    "edge_share": "edge share",
}
_VERDICTS = {
    LeadVerdict.LEADS: "leads",
    LeadVerdict.NOT_SHOWN: "not shown",
    LeadVerdict.TOO_FEW: "too few",
    LeadVerdict.CONSTANT: "never changes",
}


def name(indicator: str) -> str:
    """What people call an indicator."""
    return _NAMES.get(indicator, indicator)


def rows(record: Indicators) -> list[Texts]:
    """Indicator, partial rank correlation, p-value, corrected p-value, verdict."""
    return [
        (
            name(indicator.name),
            _number(indicator.statistic, 2),
            _probability(indicator.p, 4),
            _probability(indicator.corrected, 3),
            _VERDICTS[indicator.verdict],
        )
        for indicator in record.indicators
    ]


def _number(value: float | None, decimals: int) -> str:
    return "–" if value is None else words.number(value, decimals)


def _probability(value: float | None, decimals: int) -> str:
    """A p-value, which is never 0: the least that so many decimals can say."""
    if value is not None and not round(value, decimals):
        return f"<{words.number(10.0**-decimals, decimals)}"
    return _number(value, decimals)


def _corrected(indicator: Indicator) -> str:
    return f"corrected p {_probability(indicator.corrected, 3)}"


def verdict(record: Indicators) -> str:
    """What leads, or that nothing was shown to, or that checkpoints are too few to tell."""
    if min(record.checkpoints) < record.needed:
        return _too_few(record)
    if record.leading:
        return " ".join(_leads(record, indicator) for indicator in record.leading)
    if all(indicator.verdict is LeadVerdict.CONSTANT for indicator in record.indicators):
        return "No indicator ever changes, so that none can precede the gap."
    return (
        "No indicator is shown to precede the gap beyond what the gap itself says; that does not"
        f" prove that none does.{_weak(record)}"
    )


def _too_few(record: Indicators) -> str:
    least = min(record.checkpoints)
    where = "" if len(record.trainings) == 1 else " in a training"
    return (
        f"Too few checkpoints to say which indicator precedes the gap: {words.count(least)}{where},"
        f" and {words.count(record.needed)} are needed."
    )


def _leads(record: Indicators, indicator: Indicator) -> str:
    larger = "larger" if (indicator.statistic or 0.0) > 0 else "smaller"
    if record.method == "trainings":
        return (
            f"Where {name(indicator.name)} is high, the gap {later(record)} is {larger} than what"
            f" other trainings had then ({_corrected(indicator)})."
        )
    return (
        f"A larger {name(indicator.name)} precedes a {larger} gap {later(record)}, beyond what"
        f" the gap itself says ({_corrected(indicator)})."
    )


def later(record: Indicators) -> str:
    """How many checkpoints after an indicator the gap is looked at."""
    if record.lag == 1:
        return "one checkpoint later"
    return f"{words.count(record.lag)} checkpoints later"


# Of one training with so many checkpoints a strong lead (0.8 of the next gap's spread) is seen in
# nine of ten; a correction for several indicators costs more.
_FEW = 20


def _weak(record: Indicators) -> str:
    if record.method == "trainings" or min(record.checkpoints) >= _FEW:
        return ""
    return f" With fewer than {_FEW} checkpoints only strong leads are seen."


def basis(record: Indicators) -> str:
    """What the test rests on."""
    counts = record.checkpoints
    least, most = min(counts), max(counts)
    number = words.count(least) if least == most else f"{words.count(least)} to {words.count(most)}"
    trainings = "one training" if len(counts) == 1 else f"each of {len(counts)} trainings"
    return f"{number} checkpoints of {trainings}; {_permuted(record)}.{_left_out(record)}"


def _permuted(record: Indicators) -> str:
    if record.method == "trainings":
        return "permuted: which training an indicator belongs to"
    return "permuted: what the gap does beyond its past and its trend"


def _left_out(record: Indicators) -> str:
    if not record.left_out:
        return ""
    names = ", ".join(map(name, record.left_out))
    return f" Left out, not known at every checkpoint: {names}."
