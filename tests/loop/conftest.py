"""Two finished runs that several modules look at, and pages without their figures."""

import matplotlib.figure
import pytest

from paracosm.loop import filming
from tests.loop.small import small_run


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A run directory, to be copied before it is changed, and what the run gave."""
    out = tmp_path_factory.mktemp("runs") / "pendulum"
    return out, small_run(out)


@pytest.fixture(scope="session")
def cart(tmp_path_factory):
    """The same of discrete actions, with fewer labels than transitions."""
    out = tmp_path_factory.mktemp("runs") / "cart"
    return out, small_run(out, "CartPole-v1", reward_labels=100)


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch):
    """Drawing is half of a small run's time, and what it draws is tested where reporting is, a film
    in test_filming.py; the runs of the fixtures above are drawn.
    """

    def write_empty(figure, file, **_):
        file.write('<svg viewBox="0 0 1 1"></svg>')

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", write_empty)
    monkeypatch.setattr(filming, "film", lambda *_: "Without pictures: nobody looks.")
