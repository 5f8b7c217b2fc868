"""Pages and notebooks of `examples/`, scripts whose cells are marked by `# %%`.

`mkdocs.yml` names this file as a hook; it is no page of the site.
"""

from __future__ import annotations

from pathlib import Path

import jupytext
import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

EXAMPLES = Path(__file__).parents[1] / "examples"


def notebook_of(script: Path) -> nbformat.NotebookNode:
    """The script as a notebook, which is valid.

    Raises:
        ValidationError: it is none.
    """
    notebook = jupytext.read(script, fmt="py:percent")
    nbformat.validate(notebook)
    return notebook


def page_of(script: Path) -> str:
    """The script as a page of the site, which offers its notebook."""
    text = jupytext.writes(notebook_of(script), fmt="md")
    body = text.split("---\n", 2)[-1].lstrip() if text.startswith("---\n") else text
    title, rest = body.split("\n", 1)
    offer = f"[As a notebook]({script.stem}.ipynb){{ download }}"
    return f"{title}\n\n{offer}\n{rest}"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page and a notebook for every example."""
    for script in sorted(EXAMPLES.glob("*.py")):
        place = f"examples/{script.stem}"
        written = nbformat.writes(notebook_of(script))
        files.append(File.generated(config, f"{place}.md", content=page_of(script)))
        files.append(File.generated(config, f"{place}.ipynb", content=written))
    return files
