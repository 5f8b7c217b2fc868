"""A gate file, and the runs that it is held against."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, cast

from paracosm.auditing import gate as gating
from paracosm.core import checks
from paracosm.core.files import as_path, shown
from paracosm.core.records.gate import GATED, Gate, GateRule, GateRules, GateSection
from paracosm.core.records.results import Comparison

LEVEL = 0.95


def gate(comparison: Comparison, rules: GateRules) -> Gate:
    """Hold the last run of a comparison against the ones before it.

    Raises:
        BadData: as `auditing.gate.gate` raises it.
    """
    *names, candidate = comparison.runs
    baselines = {name: comparison.runs[name] for name in names}
    return gating.gate(baselines, (candidate, comparison.runs[candidate]), rules)


def rules(path: str | os.PathLike[str]) -> GateRules:
    """What the TOML file `path` says that a gate checks.

    `level` is that of the whole gate, 0.95 unless it is there. A section names quantities and by
    how much each may be worse beyond its interval: in units of return in `[return]` and `[terms]`,
    as a share of the baseline in `[sizes]`, `[errors]` and `[policy_errors]`, and in `[ranks]` as a
    share of the pairs (`flips`) or in units of return (`regret`). A file without a section checks
    every quantity of `GATED` but the ranks, which not every run has.

    Raises:
        BadArgument: it is no path.
        BadData: it is no TOML, names a section or a quantity that there is not, or holds a value
            that is no number of the range.
        Missing: it is not there.
    """
    file = as_path("the gate file", path)
    if not file.is_file():
        raise checks.Missing(f"there is no gate file {shown(file)}.")
    tree = _toml(file)
    try:
        return _rules(tree)
    except checks.ParacosmError as error:
        raise checks.BadData(f"{shown(file)}: {error}") from None


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise checks.BadData(f"{shown(file)} is no text in UTF-8 ({error.reason}).") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise checks.BadData(f"{shown(file)} is no TOML ({error}).") from None


def _rules(tree: dict[str, Any]) -> GateRules:
    level = checks.LEVEL.check("level", tree.pop("level", LEVEL))
    for section in tree:
        if section not in GATED:
            raise checks.BadData(
                f"there is no section or setting {section!r}; there are level,"
                f" {', '.join(f'[{name}]' for name in GATED)}."
            )
    sections: dict[GateSection, Any] = {cast(GateSection, name): tree[name] for name in tree}
    if not sections:
        every = [
            GateRule(section, name, None)
            for section in GATED
            for name in GATED[section]
            if section != "ranks"
        ]
        return GateRules(level, tuple(every))
    named = tuple(rule for section, table in sections.items() for rule in _section(section, table))
    if not named:
        raise checks.BadData(
            "its sections are empty; quantities such as dynamics = 0 are needed, or no section."
        )
    return GateRules(level, named)


def _section(section: GateSection, table: Any) -> list[GateRule]:
    if not isinstance(table, dict):
        raise checks.BadData(f"{section} is {checks.described(table)}; a section is needed.")
    for name in table:
        if name not in GATED[section]:
            raise checks.BadData(
                f"[{section}] has no {name!r}; it has {', '.join(GATED[section])}."
            )
    return [
        GateRule(section, name, checks.NON_NEGATIVE.check(f"{section}.{name}", value))
        for name, value in table.items()
    ]
