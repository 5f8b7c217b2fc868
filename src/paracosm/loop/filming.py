"""The film of a run: the first audited episode, real and imagined, as pictures.

Both are drawn from states that the audit has recorded, by the environment itself or by the world's
decoder, so that they differ by nothing but the states.
"""

from __future__ import annotations

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from paracosm import reporting
from paracosm.core import checks
from paracosm.core.film import Film, shown_steps
from paracosm.core.records import Overlay
from paracosm.core.records.results import RunResult
from paracosm.learning.latent.recurrent import RecurrentNetworks
from paracosm.loop.given import WINDOW
from paracosm.loop.load import Run, load
from paracosm.real import registry
from paracosm.real.rendering import as_pictures, draw_states
from paracosm.real.source import Source


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
    overlay = overlays[0]
    steps = shown_steps(max(len(overlay.real), len(overlay.imagined)))
    source = run.shown()
    sequences = [_observed(run, source, rows) for rows in _shown(overlay, steps)]
    real, imagined, hidden = _pictures(run, source, sequences)
    ends = len(overlay.real) - 1, len(overlay.imagined) - 1
    decoded = run.latent_networks is not None
    return Film(real, imagined, steps, ends, decoded=decoded, hidden=hidden)


def _shown(overlay: Overlay, steps: tuple[int, ...]) -> list[np.ndarray]:
    """The states of both episodes at these steps, as long as each was alive."""
    episodes = (np.asarray(rows, np.float64) for rows in (overlay.real, overlay.imagined))
    return [rows[[step for step in steps if step < len(rows)]] for rows in episodes]


def _observed(run: Run, source: Source, states: np.ndarray) -> np.ndarray:
    """What the environment shows at these states of the world, `[time, observation]`.

    Raises:
        Unsupported: a state of the world is a belief that no observation can be read from.
    """
    encoder = run.config.encoder
    if encoder is None:
        return states
    if WINDOW.fullmatch(encoder):
        return states[:, : source.state_size]
    if isinstance(run.latent_networks, RecurrentNetworks):
        return np.asarray(run.latent_networks.decoded(jnp.asarray(states)), np.float64)
    raise checks.Unsupported(
        f"the run's world imagines beliefs of the encoder {encoder}, which are no pictures."
    )


def _pictures(
    run: Run, source: Source, sequences: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, int]:
    """Pictures of the real and of the imagined episode, and how many coordinates these hide.

    Raises:
        ParacosmError: the environment cannot draw what it shows.
    """
    if source.image is not None:
        real, imagined = (as_pictures(rows, source.image) for rows in sequences)
        return real, imagined, 0
    factory = registry.make(run.config.env, json.loads(run.config.env_kwargs))
    drawn = draw_states(factory, sequences)
    real, imagined = drawn.pictures
    return real, imagined, drawn.hidden
