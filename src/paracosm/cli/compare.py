"""`paracosm compare RUN RUN …`: results side by side, and a gate for continuous integration."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from paracosm.cli import output
from paracosm.core.records.results import Comparison
from paracosm.loop.results import compare

if TYPE_CHECKING:
    from paracosm.core.records.gate import GateRules

WORSE = 1  # the exit status of a gate that is not passed; 2 is bad input


@dataclasses.dataclass(frozen=True)
class CompareFlags:
    """Put the results of finished runs side by side: returns, the gap and its causes, data, prices,
    time.

    Attributes:
        runs: Two or more run directories; with a gate the last one is the candidate, the ones
            before it are its baselines.
        gate: Exit with status 1 where the last run is worse than those before it, beyond what
            chance explains, in a quantity that this TOML file names, or lacks one of these that
            they have. An empty file checks all but [ranks], and misses
            none of them.
        out: Write the comparison, or what the gate found, as a page here.
        json: Print one JSON document on stdout instead of the table.
    """

    runs: tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN [RUN ...]")]]
    gate: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    json: bool = False


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    flags = output.parse(CompareFlags, arguments, "compare")
    rules = None if flags.gate is None else _read_rules(flags.gate)
    comparison = compare(*flags.runs)
    document = {"runs": {name: result.summary() for name, result in comparison.runs.items()}}
    with output.blame_files(*flags.runs):
        if rules is not None:
            return _show_gate(comparison, rules, document, flags)
        output.deliver(comparison, document, flags.out, as_json=flags.json)
    return 0


def _read_rules(path: Path) -> GateRules:
    """What a gate file checks."""
    from paracosm.loop import gates  # imports SciPy, which a table needs not

    return gates.rules(path)


def _show_gate(
    comparison: Comparison, rules: GateRules, document: dict[str, Any], flags: CompareFlags
) -> int:
    """Show what the gate found; returns its exit status, whether or not somebody reads on.

    Args:
        comparison: The runs, the candidate last.
        rules: What is checked.
        document: What `--json` prints of a comparison.
        flags: As given.
    """
    from paracosm.loop import gates

    verdict = gates.gate(comparison, rules)
    document = {"passed": verdict.passed, "gate": verdict.to_dict(), **document}
    with contextlib.suppress(BrokenPipeError):
        output.deliver(verdict, document, flags.out, as_json=flags.json)
    return 0 if verdict.passed else WORSE
