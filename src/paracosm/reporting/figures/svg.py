"""Figures as inline SVG that can stand beside others in one page."""

from __future__ import annotations

import html
import io
import re

import matplotlib
from matplotlib.figure import Figure

from paracosm.reporting.figures.theme import ROLES, house_style

_NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}


def alone(figure: Figure, name: str) -> str:
    """A whole SVG file on white, the same every time, for a page that cannot hold it inline."""
    buffer = io.StringIO()
    with house_style(), matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=_NO_METADATA, facecolor="white")
    return re.sub(r"[ \t]+$", "", buffer.getvalue(), flags=re.M)


def inline(figure: Figure, name: str, description: str) -> str:
    """An `<svg>` element: ids made unique by `name`, colours left to the page, text as text, the
    same every time.
    """
    buffer = io.StringIO()
    with house_style(), matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=_NO_METADATA, facecolor="none")
    text = buffer.getvalue()
    body = re.sub(
        r"<defs>\s*<style.*?</style>\s*</defs>",
        "",
        text[text.index(">", text.index("<svg")) + 1 :],
        flags=re.S,
    )
    box = re.search(r'viewBox="[^"]+"', text)
    assert box, "Matplotlib writes a viewBox"
    return (
        f'<svg role="img" aria-label="{html.escape(description)}"'
        f" {box[0]}>{_slim(_own(body, name))}"
    )


def _own(body: str, name: str) -> str:
    body = body.replace("xlink:href", "href")
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", body)
    return re.sub(r'(href="|url\()#', rf"\1#{name}-", body)


def _slim(body: str) -> str:
    for role, color in ROLES.items():
        body = body.replace(color, f"var(--{role})")
    body = re.sub(r"<!--.*?-->", "", body, flags=re.S)
    body = re.sub(r"font-family: [^;]+; ", "", body)
    body = re.sub(r' transform="rotate\(-0 [^"]*"', "", body)
    body = re.sub(r' (?:x|y|width|height|transform)="[^"]*"', _slim_numbers, body)
    body = re.sub(r' d="[^"]*"', _slim_path, body)
    return re.sub(r"\s*\n\s*", "\n", body).strip()


def _slim_path(path: re.Match[str]) -> str:
    return re.sub(r"\s+", " ", _slim_numbers(path, 2 if "C" in path[0] else 1))


def _slim_numbers(text: re.Match[str], decimals: int = 2) -> str:
    return re.sub(
        r"-?\d+\.\d+", lambda m: f"{float(m[0]):.{decimals}f}".rstrip("0").rstrip("."), text[0]
    )
