"""Learning curves from a table."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path
from typing import cast, get_args

from paracosm.core import checks
from paracosm.core.decisions import Anchor, Bought, Curve, Unit

NEEDED = ("part", "samples", "error")


def read_curves(path: Path, unit: Unit) -> dict[Bought, Curve]:
    """The curves in a CSV file with columns `part, samples, error` and optionally `seed`, by part.

    `part` is `dynamics` or `reward`. Without seeds, rows of the same part and samples are numbered as they come.

    Raises:
        Missing: if there is no such file.
        BadData: naming the first line that cannot be used.
    """
    if not path.is_file():
        raise checks.Missing(f"{path} does not exist; a CSV file with columns part,samples,error[,seed] is needed.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise checks.BadData(f"{path} cannot be read as text ({type(error).__name__}); a CSV file is needed.") from None
    with io.StringIO(text, newline="") as file:
        table = csv.DictReader(file, skipinitialspace=True)
        missing = [name for name in NEEDED if name not in (table.fieldnames or ())]
        if missing:
            found = ", ".join(table.fieldnames or ()) or "none"
            raise checks.BadData(f"{path} has columns {found}; part, samples and error are needed.")
        rows = [_row(path, table.line_num, row) for row in table]
    return _by_part(path, rows, seeded="seed" in (table.fieldnames or ()), unit=unit)


def _row(path: Path, line: int, row: dict[str, str | None]) -> tuple[Bought, Anchor]:
    part = (row["part"] or "").strip()
    if part not in get_args(Bought):
        raise checks.BadData(f"{path}, line {line}: part is {part!r}; it must be 'dynamics' or 'reward'.")
    samples, error = (_number(path, line, name, row[name]) for name in ("samples", "error"))
    seed = _number(path, line, "seed", row["seed"]) if "seed" in row else 0
    for name, value in (("samples", samples), ("seed", seed)):
        if value != int(value):
            raise checks.BadData(f"{path}, line {line}: {name} is {value:g}; a whole number is needed.")
    return cast(Bought, part), Anchor(int(samples), error, int(seed))


def _number(path: Path, line: int, name: str, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        raise checks.BadData(f"{path}, line {line}: {name} is {text!r}; a number is needed.") from None
    if not abs(value) < float("inf"):
        raise checks.BadData(f"{path}, line {line}: {name} is {value:g}; a finite number is needed.")
    return value


def _by_part(path: Path, rows: list[tuple[Bought, Anchor]], *, seeded: bool, unit: Unit) -> dict[Bought, Curve]:
    if not rows:
        raise checks.BadData(f"{path} holds no rows; at least 3 sizes of one part are needed.")
    seen: Counter[tuple[Bought, int, int]] = Counter()
    parts: dict[Bought, list[Anchor]] = {}
    for part, anchor in rows:
        key = (part, anchor.samples, anchor.seed)
        if seeded and seen[key]:
            raise checks.BadData(f"{path} holds {part} at {anchor.samples} samples with seed {anchor.seed} twice.")
        number = anchor.seed if seeded else seen[key]
        parts.setdefault(part, []).append(Anchor(anchor.samples, anchor.error, number))
        seen[key] += 1
    return {part: Curve(part, tuple(anchors), unit, "as given") for part, anchors in parts.items()}
