"""The source tree keeps to its own rules: import contracts that bite, no machine's names, files,
lines, names and docstrings that one can read.
"""

import ast
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import hand_ons

ROOT = Path(__file__).parents[1]
MACHINE = re.compile(r"(?<![\w.])/(?:work|root|home|opt|Users|mnt)/")
REGISTRY = re.compile(
    r"pypi[.]|pythonhosted|npmjs[.]|anaconda[.]org|download[.]pytorch|--(?:extra-)?index-url"
)


def tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize(
    "forbidden", [MACHINE, REGISTRY], ids=["paths of a machine", "package registries"]
)
def test_no_tracked_file_names(forbidden):
    hits = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8", "ignore")
        hits += [f"{path.relative_to(ROOT)}: {match.group()}" for match in forbidden.finditer(text)]
    assert not [hit for hit in hits if not hit.startswith("tests/test_repository.py")]


def test_no_lock_file_is_tracked():
    """It would record where packages were fetched from."""
    assert not [path for path in tracked() if path.suffix == ".lock"]


def test_constraints_are_versions_and_nothing_else():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-z0-9-]+==[0-9][0-9.a-z]*", line), line


def sources(*folders: str) -> dict[str, str]:
    """The text of every Python file below these folders, by its path from the root."""
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths}


def test_no_source_file_is_too_long_to_read():
    lengths = {
        name: len(text.splitlines()) for name, text in sources("src", "tests", "benchmarks").items()
    }
    assert not {name: length for name, length in lengths.items() if length > 600}


def test_no_line_is_longer_than_100_columns():
    """The linter holds this too, but for lines that it is told to pass over."""
    long = [
        f"{name}:{number}"
        for name, text in sources("src", "tests", "benchmarks").items()
        for number, line in enumerate(text.splitlines(), start=1)
        if len(line) > 100
    ]
    assert not long


def bound_names(tree: ast.AST) -> Iterator[str]:
    """Every name that a module gives to something: variables, arguments, functions, classes,
    attributes.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name


VAGUE = """
all any asked both each everything few found given it kept made many one other others said seen
several some something taken that them there these this those told whole
"""
MOST_VAGUE = 0.004


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks"])
def test_names_name_things(folder):
    """Pronouns and participles are at most this share of the names that a folder binds."""
    names = [name for text in sources(folder).values() for name in bound_names(ast.parse(text))]
    vague = Counter(name for name in names if name in VAGUE.split())
    assert vague.total() <= MOST_VAGUE * len(names), vague.most_common()


def type_names(tree: ast.Module) -> Iterator[str]:
    """Names that a module gives to types, by classes and by aliases; a leading underscore makes no
    other name.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name.lstrip("_")
    for node in tree.body:
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(target, ast.Name) and re.fullmatch("_?([A-Z]+[a-z]+[0-9]*)+", target.id):
                yield target.id.lstrip("_")


def test_one_class_name_means_one_thing():
    homes = defaultdict(list)
    for path, text in sources("src").items():
        for name in type_names(ast.parse(text)):
            homes[name].append(path)
    assert not {name: paths for name, paths in homes.items() if len(paths) > 1}


def undocumented(tree: ast.AST) -> Iterator[str]:
    """Functions of four or more parameters whose docstring does not say what they are."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            parameters = [
                argument.arg for argument in arguments if argument.arg not in ("self", "cls")
            ]
            if len(parameters) >= 4 and "Args:" not in (ast.get_docstring(node) or ""):
                yield node.name


def test_functions_of_many_parameters_say_what_they_are():
    missing = [
        f"{name}: {function}"
        for name, text in sources("src").items()
        for function in undocumented(ast.parse(text))
    ]
    assert not missing, "\n".join(missing)


MOST_HAND_ONS = 4


def test_no_function_hands_on_a_parameter_again_and_again():
    texts = {
        name.removeprefix("src/")
        .removesuffix(".py")
        .removesuffix("/__init__")
        .replace("/", "."): text
        for name, text in sources("src").items()
    }
    chains = [*hand_ons.chains(texts)]
    assert max(map(len, chains)) > 1
    assert not [" > ".join(chain) for chain in chains if len(chain) - 1 > MOST_HAND_ONS]


def test_hand_ons_are_followed_through_modules_methods_and_keywords():
    texts = {
        "p.a": "from p.b import g\nfrom p import b\ndef f(x, y): return g(y, q=x) + b.h(1)",
        "p.b": "def g(r, *, q): return A().m(q) * r\ndef h(n): return n + 1\n"
        "class A:\n    def m(self, t): return h(n=t)",
    }
    lengths = {chain[0]: len(chain) - 1 for chain in hand_ons.chains(texts)}
    assert lengths["x of p.a.f"] == 3
    assert lengths["y of p.a.f"] == 1
    assert lengths["n of p.b.h"] == 0


VIOLATIONS = {
    "Rooms import core only": ("core/rollout.py", "import paracosm.learning"),
    "Imagination imports core only, and no Gymnasium": (
        "imagination/__init__.py",
        "import gymnasium",
    ),
    "Reporting imports core only, and no JAX": ("reporting/__init__.py", "import paracosm.real"),
    "Testing imports core only": ("testing.py", "import paracosm.learning"),
    "Records and checks import no JAX": ("core/records/__init__.py", "import jax"),
    "The verbs do not import the command line": ("__init__.py", "import paracosm.cli"),
}


def lint(folder: Path) -> str:
    """What the import linter says of the package below `folder`, which is laid out as this
    repository is.
    """
    command = (
        "import sys; sys.path.insert(0, 'src'); from importlinter.cli import lint_imports_command"
        " as c; c()"
    )
    arguments = (sys.executable, "-c", command, "--no-cache", "--config", folder / "pyproject.toml")
    return subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False).stdout


def test_import_contracts_are_broken_by_what_they_forbid(tmp_path):
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for path, statement in VIOLATIONS.values():
        with (tmp_path / "src" / "paracosm" / path).open("a") as file:
            file.write(f"\n{statement}\n")
    output = lint(tmp_path)
    for contract in VIOLATIONS:
        assert f"{contract} BROKEN" in output, output


def test_a_room_that_no_contract_knows_is_noticed(tmp_path):
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "src" / "paracosm" / "attic").mkdir()
    (tmp_path / "src" / "paracosm" / "attic" / "__init__.py").touch()
    assert "paracosm.attic" in lint(tmp_path)
