"""One self-contained HTML page, or a terminal summary, from records; renders, computes nothing."""

from paracosm.reporting.page import publish, render, write
from paracosm.reporting.terminal import summary

__all__ = ["publish", "render", "summary", "write"]
