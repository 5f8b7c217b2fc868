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
from paracosm.core.film import Film, drawn_columns, shown_steps, varying_components
from paracosm.core.records import Diagnosis, Overlay
from paracosm.core.records.results import RunResult
from paracosm.learning.latent.recurrent import RecurrentNetworks
from paracosm.loop.load import Run, load
from paracosm.loop.named_parts import WINDOW
from paracosm.real import registry
from paracosm.real.rendering import as_pictures, draw_states
from paracosm.real.source import Source
from paracosm.reporting import words


def film(run: Run, diagnosis: Diagnosis) -> Film | str:
    """The film of a run, or a sentence that says why there is none.

    Where nothing can draw the states, they are shown as columns of their components.

    Args:
        run: The run whose environment, or world, draws.
        diagnosis: Of the run, with the recorded episodes that are shown; the directory of a run
            that has just ended need not hold it yet.
    """
    if not diagnosis.overlays:
        return "Without pictures: the audit has recorded no rollout."
    try:
        return _film_of_pictures(run, diagnosis.overlays[0])
    except checks.ParacosmError as error:
        return _film_of_columns(diagnosis, str(error))


def write_report(result: RunResult, directory: Path) -> None:
    """Write the page of a run of one's own that has just ended, with its film.

    Raises:
        BadArgument: the page cannot be written.
    """
    drawn = film(load(directory, trust=True), result.diagnosis)
    reporting.write(result, directory / "report.html", film=drawn)


def _film_of_pictures(run: Run, overlay: Overlay) -> Film:
    """The film of both episodes as the environment draws them.

    Raises:
        ParacosmError: nothing can be drawn; the sentence says why.
    """
    run.trusted(run.config.env)
    steps, ends = _steps_and_ends(overlay)
    source = run.observed_source()
    sequences = [_observed(run, source, rows) for rows in _states_at(overlay, steps)]
    real, imagined, hidden = _pictures(run, source, sequences)
    decoded = run.latent_networks is not None
    return Film(real, imagined, steps, ends, decoded=decoded, hidden=hidden)


def _film_of_columns(diagnosis: Diagnosis, why: str) -> Film | str:
    """The film of states that nothing draws, or a sentence where none of their components moves.

    It needs nothing but the audit's record, whatever else of the run is lost.

    Args:
        diagnosis: Of the run.
        why: Why nothing draws them, a sentence.
    """
    overlay = diagnosis.overlays[0]
    steps, ends = _steps_and_ends(overlay)
    episodes = _states_at(overlay, steps)
    together = np.concatenate(episodes)
    chosen = varying_components(together)
    if not chosen or not np.isfinite(together).all():
        return f"Without pictures: {why}"
    low, high = (limit(together[:, chosen], axis=0) for limit in (np.min, np.max))
    real, imagined = (drawn_columns(rows[:, chosen], low, high) for rows in episodes)
    names = tuple(words.component(i, diagnosis.dynamics_by_dimension.components) for i in chosen)
    return Film(real, imagined, steps, ends, components=names, why=why)


def _steps_and_ends(overlay: Overlay) -> tuple[tuple[int, ...], tuple[int, int]]:
    """The steps that are shown, and where both episodes end."""
    ends = len(overlay.real) - 1, len(overlay.imagined) - 1
    return shown_steps(max(ends) + 1), ends


def _states_at(overlay: Overlay, steps: tuple[int, ...]) -> list[np.ndarray]:
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
        return np.asarray(run.latent_networks.decode(jnp.asarray(states)), np.float64)
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
    factory = registry.factory_of(run.config.env, json.loads(run.config.env_kwargs))
    drawn = draw_states(factory, sequences)
    real, imagined = drawn.pictures
    return real, imagined, drawn.hidden
