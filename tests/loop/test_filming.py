"""The film of a run: both episodes from the same start, and a sentence where there is none."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest

from paracosm.loop import filming
from paracosm.loop.filming import film
from paracosm.loop.load import load
from paracosm.reporting import render

pytest.importorskip("pygame")


def test_both_episodes_start_alike_and_end_with_their_states(finished):
    out, result = finished
    overlay = result.diagnosis.overlays[0]
    drawn = film(load(out), result.diagnosis)
    assert np.array_equal(drawn.real[0], drawn.imagined[0])
    assert not np.array_equal(drawn.real, drawn.imagined)
    assert (drawn.steps[0], drawn.steps[-1]) == (0, 200)
    assert drawn.ends == (len(overlay.real) - 1, len(overlay.imagined) - 1)
    assert len(drawn.real) == len(drawn.steps) <= 40


def test_page_of_a_run_holds_the_film(finished, tmp_path, monkeypatch):
    """The run's own page, written again: other tests write theirs into its directory."""
    out = shutil.copytree(finished[0], tmp_path / "run")
    monkeypatch.setattr(filming, "film", film)
    filming.write_report(finished[1], out)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert not re.findall("Without pictures[^<]*", page)
    assert page.count("data:image/webp;base64,") == 2


def changed(finished, tmp_path, **settings):
    """A copy of a run whose configuration says something else."""
    shutil.copytree(finished[0], tmp_path / "run")
    file = tmp_path / "run" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"env": "tests.loop.small:faulty"}, r"names code to import, tests\.loop\.small:faulty"),
        ({"env": "Nowhere-v0"}, "There is no Gymnasium environment 'Nowhere-v0'"),
    ],
)
def test_states_are_shown_as_columns_where_nothing_draws_them(finished, tmp_path, settings, why):
    drawn = film(load(changed(finished, tmp_path, **settings)), finished[1].diagnosis)
    assert re.search(why, drawn.why)
    assert drawn.components == ("0", "1", "2")
    assert len(drawn.real) == len(drawn.steps)
    page = render(finished[1], drawn)
    assert "Instead, a column for each component of the state that moves (0, 1, 2)" in page


def test_a_run_whose_models_are_lost_still_has_its_columns(finished, tmp_path):
    out = changed(finished, tmp_path, env="Nowhere-v0")
    shutil.rmtree(out / "models")
    assert film(load(out), finished[1].diagnosis).components == ("0", "1", "2")


def test_states_that_never_move_are_not_shown(finished):
    run = load(finished[0])
    overlay = run.result.diagnosis.overlays[0]
    still = dataclasses.replace(overlay, real=overlay.real[:1] * 3, imagined=overlay.real[:1] * 3)
    diagnosis = dataclasses.replace(run.result.diagnosis, overlays=(still,))
    run.__dict__["config"] = dataclasses.replace(run.config, env="Nowhere-v0")
    assert film(run, diagnosis).startswith("Without pictures: There is no Gymnasium environment")


def test_window_shows_its_newest_observation(finished, tmp_path):
    """A belief begins with what is observed now; what comes behind it is not drawn."""
    run = load(changed(finished, tmp_path, encoder="window:2"))
    wide = dataclasses.replace(
        run.result.diagnosis.overlays[0],
        real=tuple((*state, 7.0, 7.0) for state in run.result.diagnosis.overlays[0].real),
    )
    diagnosis = dataclasses.replace(run.result.diagnosis, overlays=(wide,))
    plain = film(load(finished[0]), run.result.diagnosis)
    assert np.array_equal(film(run, diagnosis).real, plain.real)
