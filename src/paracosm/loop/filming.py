"""The film of a run: the first audited episode, real and imagined, as pictures.

Both are drawn from states that the audit has recorded, by the environment itself, so that they
differ by nothing but the states.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from paracosm import reporting
from paracosm.core import checks
from paracosm.core.film import Film, shown_steps
from paracosm.core.records import Overlay
from paracosm.core.records.results import RunResult
from paracosm.loop.given import WINDOW
from paracosm.loop.load import Run, load
from paracosm.real import registry
from paracosm.real.rendering import draw_states


def film(run: Run) -> Film | str:
    """The film of a finished run, or a sentence that says why there is none."""
    try:
        return _filmed(run)
    except checks.ParacosmError as error:
        return f"Without pictures: {error}"


def write_report(result: RunResult, directory: Path) -> None:
    """Write the page of a run of one's own that has just ended, with its film.

    Raises:
        BadArgument: the page cannot be written.
    """
    reporting.write(result, directory / "report.html", film=film(load(directory, trust=True)))


def _filmed(run: Run) -> Film:
    """The film.

    Raises:
        ParacosmError: nothing can be drawn; the sentence says why.
    """
    overlays = run.result.diagnosis.overlays
    if not overlays:
        raise checks.Unsupported("the audit has recorded no rollout.")
    overlay, config = overlays[0], run.config
    run.trusted(config.env)
    steps = shown_steps(max(len(overlay.real), len(overlay.imagined)))
    sequences = [_observed(run, rows) for rows in _shown(overlay, steps)]
    factory = registry.make(config.env, json.loads(config.env_kwargs))
    drawn = draw_states(factory, sequences)
    real, imagined = drawn.pictures
    ends = len(overlay.real) - 1, len(overlay.imagined) - 1
    return Film(real, imagined, steps, ends, hidden=drawn.hidden)


def _shown(overlay: Overlay, steps: tuple[int, ...]) -> list[np.ndarray]:
    """The states of both episodes at these steps, as long as each was alive."""
    episodes = (np.asarray(rows, np.float64) for rows in (overlay.real, overlay.imagined))
    return [rows[[step for step in steps if step < len(rows)]] for rows in episodes]


def _observed(run: Run, states: np.ndarray) -> np.ndarray:
    """What the environment shows at these states of the world, `[time, observation]`.

    Raises:
        Unsupported: a state of the world is a belief that no observation can be read from.
    """
    encoder = run.config.encoder
    if encoder is None:
        return states
    if WINDOW.fullmatch(encoder):
        return states[:, : run.shown().state_size]
    raise checks.Unsupported(
        f"the run's world imagines beliefs of the encoder {encoder}, which are no pictures."
    )
