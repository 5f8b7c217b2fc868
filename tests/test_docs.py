"""The documentation site builds without a warning or a network, and leaves nothing public out."""

import ast
import dataclasses
import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

import paracosm
import paracosm.core
from paracosm.cli.main import COMMANDS
from paracosm.core.records import Diagnosis, LabelPlan, Plan
from paracosm.core.records.data import DataSummary
from paracosm.core.records.indicators import Indicators
from paracosm.core.records.ranking import Ranking

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
REFERENCE = "\n".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
RENDERED = set(re.findall(r"^::: paracosm\.(\S+)$", REFERENCE, re.M))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built as `make docs` does: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    build = ("mkdocs", "build", "--strict", "--quiet", "--site-dir", folder)
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    result = subprocess.run(
        [sys.executable, "-m", *build],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return folder


def test_every_page_is_built(site):
    for page in DOCS.rglob("*.md"):
        assert (site / page.relative_to(DOCS)).with_suffix(".html").is_file(), page


def test_every_example_is_a_page_and_a_notebook_whose_code_is_the_scripts(site):
    for script in EXAMPLES:
        place = site / "examples" / script.stem
        assert f'href="{script.stem}.ipynb"' in place.with_suffix(".html").read_text()
        notebook = nbformat.read(place.with_suffix(".ipynb"), as_version=4)
        nbformat.validate(notebook)
        cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        code = ast.unparse(ast.parse(script.read_text()))
        assert ast.unparse(ast.parse("\n".join(cells))) == code


def test_pages_load_nothing_from_elsewhere(site):
    resource = re.compile(
        r'<(?:script|img|iframe)[^>]+src="https?:|<link[^>]+href="https?:[^>]+css'
    )
    for page in site.rglob("*.html"):
        assert not resource.search(page.read_text()), page
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import) *[\"']?https?:", style.read_text()), style


def test_the_reference_shows_signatures_and_every_argument(site):
    """What `docs/docstrings.py` adds: fields that Equinox makes arguments, entries of two names."""
    text = re.sub("<[^>]+>", "", (site / "reference/types.html").read_text())
    assert re.search(r"MDP\(\s*spec: Spec,\s*dynamics: Callable", text)
    assert "eqx.field" not in text
    assert re.search(r"imagined_return\s+\(Estimate\)\s+–\s+Of whole episodes, never", text)


def test_every_public_name_has_its_place_in_the_reference():
    modules = {name for name in paracosm.__all__ if inspect.ismodule(getattr(paracosm, name))}
    assert set(paracosm.__all__) - modules - RENDERED == set()


def test_every_abstract_type_of_core_has_its_place_in_the_reference():
    modules = [
        importlib.import_module(module.name)
        for module in pkgutil.walk_packages(paracosm.core.__path__, "paracosm.core.")
    ]
    abstract = {
        kind.__name__
        for module in modules
        for kind in vars(module).values()
        if inspect.isabstract(kind) and kind.__module__ == module.__name__
    }
    public = {name for name in abstract if not name.startswith("_")}
    assert public - {name.rsplit(".", 1)[-1] for name in RENDERED} == set()


def test_the_code_that_the_theory_names_for_its_statements_exists():
    table = (DOCS / "theory.md").read_text(encoding="utf-8").split("\n## 10. ")[1]
    names = re.findall(r"`([a-z_.0-9]+\.\w+)`", table)
    assert len(names) > 20
    for module, name in (name.rsplit(".", 1) for name in names):
        assert hasattr(importlib.import_module(f"paracosm.{module}"), name), name


def test_every_command_has_a_page():
    pages = {page.stem for page in (DOCS / "commands").glob("*.md")} - {"index"}
    assert pages == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_options_that_a_page_names_exist(command, capsys):
    text = (DOCS / "commands" / f"{command}.md").read_text()
    with pytest.raises(SystemExit):
        importlib.import_module(f"paracosm.cli.{command}").main(["--help"])
    options = set(re.findall(r"--[a-z][a-z.-]*[a-z]", capsys.readouterr().out))
    lines = re.findall(rf"paracosm {command} .*", text)
    on_page = {option for line in lines for option in re.findall(r"--[a-z][a-z.-]*[a-z]", line)}
    assert on_page - options == set()


@pytest.mark.parametrize(
    ("command", "record"),
    [
        ("audit", Diagnosis),
        ("plan", Plan),
        ("labels", LabelPlan),
        ("rank", Ranking),
        ("indicators", Indicators),
        ("data", DataSummary),
    ],
)
def test_keys_of_json_that_a_page_names_exist(command, record):
    text = (DOCS / "commands" / f"{command}.md").read_text()
    table = re.search(r"## What its JSON holds.*?((?:^\|[^\n]*\n)+)", text, re.M | re.S)
    assert table
    keys = {
        key for row in table[1].splitlines() for key in re.findall(r"`(\w+)`", row.split(" | ")[0])
    }
    assert keys
    assert keys <= {field.name for field in dataclasses.fields(record)}


def test_hooks_before_a_commit_are_the_linters_of_make_check():
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)
    assert recipe
    linters = {line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()}
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = {hook["entry"] for repository in config["repos"] for hook in repository["hooks"]}
    assert hooks == linters


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{citation["version"]}"' in project
    assert f'license = "{citation["license"]}"' in project
