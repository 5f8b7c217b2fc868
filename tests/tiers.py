"""The three tiers of the tests, and which modules need no compiled program.

`make quick` runs the modules listed here, of those that compile nothing the ones that are done in
half a minute together on two idle cores, so that they are done in one on busy ones: simulations of
coverage wait for `make test`. A test of theirs that compiles fails in every tier, unless it is
marked `full`.
`make test` runs every module without the tests marked `full`, `make test-full` all tests.
"""

from pathlib import Path

_HERE = Path(__file__).parent

QUICK = frozenset(
    """
    cli/test_labels
    core/test_checks core/test_control_variates core/test_data core/test_files
    core/test_records
    loop/test_directory
    paper/test_pages paper/test_power_laws
    planning/test_budget planning/test_fidelity
    planning/test_labels planning/test_mixture planning/test_pilots planning/test_plan
    planning/test_placement planning/test_reading planning/test_roots
    reporting/test_decision_figures reporting/test_decision_terminal
    reporting/test_decision_words reporting/test_experiment reporting/test_figures
    reporting/test_terminal reporting/test_words
    sweep/test_cells sweep/test_store
    test_readme test_repository test_settings test_tiers
    """.split()  # noqa: SIM905
)


def is_quick(path: Path) -> bool:
    """Whether this module of tests needs no compiled program."""
    return path.is_relative_to(_HERE) and _name(path) in QUICK


def _name(path: Path) -> str:
    return path.relative_to(_HERE).with_suffix("").as_posix()
