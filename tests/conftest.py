"""What the whole test run shares: one platform, no display, the same examples every time, and the
tests that need no compiled program.
"""

import functools
import gc
import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")

import jax
import jax.monitoring
import pytest
from hypothesis import HealthCheck, settings

import tests.typechecking  # noqa: F401 - the import hook looks it up as an attribute of `tests`
from tests.tiers import is_quick

# What JAX holds is much, and little of it is ever garbage.
gc.set_threshold(200_000, 50, 1000)

_ALWAYS = {"deadline": None, "derandomize": True, "database": None}
settings.register_profile(
    "small", max_examples=25, suppress_health_check=[HealthCheck.too_slow], **_ALWAYS
)
settings.register_profile(
    "full", max_examples=250, suppress_health_check=[HealthCheck.too_slow], **_ALWAYS
)
settings.load_profile("small")

_HERE = Path(__file__).parent
_COMPILED = "/jax/core/compile/backend_compile_duration"  # one event for each program
# Programs hold memory, some of them a hundred maps of it, and Linux gives a process 65,530.
_MOST_PROGRAMS, _MOST_MAPS = 500, 20_000
_LOOKED_AFTER = 20  # programs: to count maps takes milliseconds
_MAPS = Path("/proc/self/maps")
_BEFORE = pytest.StashKey[int]()
_HALVINGS = pytest.StashKey[int]()
_LISTED = 30


class Programs:
    """How many programs this process has compiled, or read from the cache of compiled ones."""

    def __init__(self) -> None:
        self.total = self.forgotten = self.looked = self.kept = 0
        jax.monitoring.register_event_duration_secs_listener(self._hear)

    def _hear(self, event: str, duration_secs: float, **_: str | int) -> None:
        self.total += event == _COMPILED

    def forget_many(self) -> None:
        """Let JAX forget its programs once they or their maps of memory are many."""
        if self.total - self.looked < _LOOKED_AFTER:
            return
        self.looked = self.total
        if self.total - self.forgotten > _MOST_PROGRAMS or _maps() - self.kept > _MOST_MAPS:
            jax.clear_caches()
            self.forgotten, self.kept = self.total, _maps()


def _maps() -> int:
    return _MAPS.read_bytes().count(b"\n") if _MAPS.exists() else 0


PROGRAMS = Programs()


def pytest_addoption(parser):
    parser.addoption("--quick", action="store_true", help="only what needs no compiled program")
    parser.addoption("--compiles", action="store_true", help="list what compiles most programs")


def pytest_ignore_collect(collection_path, config):
    """With `--quick` the modules of the other tiers are not even imported."""
    if config.getoption("--quick") and collection_path.name.startswith("test_"):
        return None if is_quick(collection_path) else True
    return None


def pytest_collection_modifyitems(items):
    """Between two examples of a property programs are forgotten too: some compile a thousand."""
    tests = [item.obj.hypothesis for item in items if hasattr(item.obj, "hypothesis")]
    for test in {id(test): test for test in tests}.values():
        test.inner_test = _forgetful(test.inner_test)


def _forgetful(example):
    @functools.wraps(example)
    def run(*arguments, **named):
        PROGRAMS.forget_many()
        return example(*arguments, **named)

    return run


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    PROGRAMS.forget_many()
    item.stash[_BEFORE] = PROGRAMS.total
    if not is_quick(item.path):
        _split_roughly_outside_of_the_audits_own_tests(item)


def _split_roughly_outside_of_the_audits_own_tests(item):
    """The split of the dynamics term by state component takes most of the time of a small run, in
    halving the ways that it integrates over; here it halves none and leaves a larger remainder.
    """
    from paracosm.auditing import dimensions

    full = item.config.getoption("--hypothesis-profile") == "full"
    fine = full or "auditing" in item.path.parts
    item.config.stash.setdefault(_HALVINGS, dimensions._HALVINGS)
    dimensions._HALVINGS = item.config.stash[_HALVINGS] if fine else 0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    result = yield
    compiled = PROGRAMS.total - item.stash[_BEFORE]
    if compiled and is_quick(item.path) and item.get_closest_marker("full") is None:
        pytest.fail(f"{compiled} programs were compiled; tests/tiers.py says that none is")
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "teardown":
        report.programs = PROGRAMS.total - item.stash[_BEFORE]
    return report


def pytest_terminal_summary(terminalreporter, config):
    if config.getoption("--compiles"):
        reports = [
            report for report in terminalreporter.getreports("") if hasattr(report, "programs")
        ]
        reports.sort(key=lambda report: -report.programs)
        terminalreporter.section(f"{sum(report.programs for report in reports)} programs")
        for report in reports[:_LISTED]:
            terminalreporter.write_line(f"{report.programs:6d} {report.nodeid}")


@pytest.fixture
def loose_bounds(request, monkeypatch):
    """Lipschitz bounds after few steps of gradient, not tight and as certain: their tightness is
    tested where they are computed. The tests at full size take all steps.
    """
    from paracosm.auditing.lipschitz import constants

    if request.config.getoption("--hypothesis-profile") != "full":
        monkeypatch.setattr(constants, "_steps", lambda layered, **_: 3)
