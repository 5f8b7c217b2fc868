"""Learning curves from a table."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

from paracosm.core import checks
from paracosm.core.records.decisions import Anchor, Bought, Curve, Unit

NEEDED = ("part", "samples", "error")
MOST_SAMPLES = 1e15  # counts beyond it are not exact in floating point once they are multiplied


def read_curves(path: Path, unit: Unit) -> dict[Bought, Curve]:
    """The curves in a CSV file with columns `part, samples, error` and optionally `seed`, by part.

    `part` is `dynamics` or `reward`. Without seeds, rows of the same part and samples are numbered
    as they come.

    Raises:
        Missing: if there is no such file.
        BadData: naming the first line that cannot be used.
    """
    if not path.is_file():
        raise checks.Missing(
            f"{path} does not exist; a CSV file with columns part,samples,error[,seed] is needed."
        )
    rows = read_rows(path, NEEDED, "part, samples and error are needed")
    anchors = [_row(path, line, row) for line, row in rows]
    return _by_part(path, anchors, seeded=any("seed" in row for _, row in rows), unit=unit)


def read_rows(path: Path, needed: Sequence[str], what: str) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV file by column, each with its number of a line; empty lines are left out.

    Args:
        path: The file.
        needed: Columns that it must have.
        what: The end of the error's sentence for a file that lacks one.

    Raises:
        BadData: if the file is no text, lacks a column, gives a column twice, or has a row with
            more or fewer cells than columns.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        table = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
        lines = [(table.line_num, cells) for cells in table if cells]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise checks.BadData(
            f"{path} cannot be read as a CSV file ({type(error).__name__}: {error})."
        ) from None
    heads = [name.strip() for name in lines[0][1]] if lines else []
    missing = [name for name in needed if name not in heads]
    if missing:
        raise checks.BadData(f"{path} has columns {', '.join(heads) or 'none'}; {what}.")
    twice = [name for name in dict.fromkeys(heads) if heads.count(name) > 1]
    if twice:
        raise checks.BadData(
            f"{path}, line {lines[0][0]}: the column {twice[0]!r} is given twice; one of each is"
            " needed."
        )
    for line, cells in lines[1:]:
        if len(cells) != len(heads):
            raise checks.BadData(
                f"{path}, line {line}: {len(cells)} cells where there are {len(heads)} columns; as"
                " many are needed, "
                "and numbers have decimal points, no commas."
            )
    return [(line, dict(zip(heads, cells, strict=True))) for line, cells in lines[1:]]


def _row(path: Path, line: int, row: dict[str, str]) -> tuple[Bought, Anchor]:
    part = row["part"].strip()
    if part not in get_args(Bought):
        raise checks.BadData(
            f"{path}, line {line}: part is {part!r}; it must be 'dynamics' or 'reward'."
        )
    samples, error = (read_number(path, line, name, row[name]) for name in ("samples", "error"))
    seed = read_number(path, line, "seed", row["seed"]) if "seed" in row else 0
    for name, value in (("samples", samples), ("seed", seed)):
        if value != int(value):
            raise checks.BadData(
                f"{path}, line {line}: {name} is {value:g}; a whole number is needed."
            )
    for name, value, most in (("samples", samples, MOST_SAMPLES), ("seed", seed, MOST_SAMPLES)):
        if abs(value) > most:
            raise checks.BadData(
                f"{path}, line {line}: {name} is {value:g}; it must be at most {most:g}."
            )
    return cast(Bought, part), Anchor(int(samples), error, int(seed))


def read_number(path: Path, line: int, name: str, text: str) -> float:
    """The finite number in a cell.

    Args:
        path, line: File and line of the cell, for the sentence of an error.
        name: The column of the cell.
        text: The text in the cell.

    Raises:
        BadData: naming the line.
    """
    try:
        value = float(text)
        if "_" in text:
            raise ValueError
    except ValueError:
        hint = " with a decimal point" if "," in text else ""
        raise checks.BadData(
            f"{path}, line {line}: {name} is {text!r}; a number{hint} is needed."
        ) from None
    if not abs(value) < float("inf"):
        raise checks.BadData(
            f"{path}, line {line}: {name} is {value:g}; a finite number is needed."
        )
    return value


def _by_part(
    path: Path, rows: list[tuple[Bought, Anchor]], *, seeded: bool, unit: Unit
) -> dict[Bought, Curve]:
    """The curves of the rows.

    Args:
        path: The file, for the sentence.
        rows: The part and the anchor of each.
        seeded: Whether the file gives seeds; else rows of one size are numbered as they come.
        unit: The unit of the errors.

    Raises:
        BadData: there are no rows, or a row is there twice.
    """
    if not rows:
        raise checks.BadData(f"{path} holds no rows; at least 3 sizes of one part are needed.")
    counts: Counter[tuple[Bought, int, int]] = Counter()
    parts: dict[Bought, list[Anchor]] = {}
    for part, anchor in rows:
        key = (part, anchor.samples, anchor.seed)
        if seeded and counts[key]:
            raise checks.BadData(
                f"{path} holds {part} at {anchor.samples} samples with seed {anchor.seed} twice."
            )
        number = anchor.seed if seeded else counts[key]
        parts.setdefault(part, []).append(Anchor(anchor.samples, anchor.error, number))
        counts[key] += 1
    return {part: Curve(part, tuple(anchors), unit, "as given") for part, anchors in parts.items()}
