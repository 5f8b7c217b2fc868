"""An experiment's numbers in words."""

from __future__ import annotations

from collections import Counter

from paracosm.core.records import Estimate
from paracosm.core.records.benchmarks import Benchmark
from paracosm.core.records.experiments import Claim, Experiment
from paracosm.reporting import words


def ours(claim: Claim) -> str:
    """Our number and its interval, if it has more than one point."""
    estimate = Estimate(claim.ours, claim.low, claim.high, 0, claim.method)
    return words.number(claim.ours) if claim.low == claim.high else words.estimate(estimate)


def paper(claim: Claim) -> str:
    """The paper's number in its words."""
    return claim.paper_says or ("no number" if claim.paper is None else words.number(claim.paper))


def verdicts(record: Experiment) -> str:
    """How many claims agree, differ, must hold whatever is measured, and cannot be compared."""
    counts = Counter(claim.verdict for claim in record.findings.claims)
    phrases = {
        "agrees": "{} of {} claims agree with the paper",
        "differs": "{} differ" if counts["differs"] != 1 else "{} differs",
        "must hold": "{} must hold by proof or construction and "
        + ("was" if counts["must hold"] == 1 else "were")
        + " only checked",
        "cannot be compared": "{} cannot be compared",
    }
    total = len(record.findings.claims)
    return (
        ", ".join(
            phrases[name].format(counts[name], total)
            for name in phrases
            if counts[name] or name == "agrees"
        )
        + "."
    )


def cost(record: Experiment) -> str:
    """Cells and the time they took."""
    return f"{record.cells:,} cells, {words.seconds(record.seconds)} of work"


def versions(record: Experiment | Benchmark) -> str:
    """What the numbers depend on."""
    return ", ".join(f"{name} {version}" for name, version in record.versions.items())


def markdown(text: str) -> str:
    """A table's cell in Markdown."""
    return text.replace("|", "\\|").replace("\n", " ")
