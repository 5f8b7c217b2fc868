"""The film of a run in words."""

from __future__ import annotations

from paracosm.core.film import Film
from paracosm.reporting import words
from paracosm.reporting.film import FilmPictures


def caption(film: Film, pictures: FilmPictures) -> str:
    """What is seen: which episode and steps, how the shorter one ends, and what is not shown."""
    sentences = (
        _columns(film),
        _moments(film, pictures),
        _ends(film),
        _decoded(film.decoded),
        _hidden(film.hidden),
    )
    return " ".join(filter(None, sentences))


def _moments(film: Film, pictures: FilmPictures) -> str:
    apart = film.steps[1] - film.steps[0] if len(film.steps) > 1 else 1
    which = "every step" if apart == 1 else f"every {words.count(apart)} steps"
    moments = ", ".join(words.count(step) for step in pictures.moments)
    return (
        f"Audited episode {film.episode}, a picture {which}. Held still: steps {moments}, real"
        " above imagined."
    )


def _columns(film: Film) -> str:
    if not film.components:
        return ""
    shown = ", ".join(film.components)
    return (
        f"No picture of the environment: {film.why} Instead, a column for each component of the"
        f" state that moves ({shown}), from its least value below to its largest above."
    )


def _ends(film: Film) -> str:
    real, imagined = film.ends
    if real == imagined:
        return ""
    shorter = "real" if real < imagined else "imagined"
    end = words.count(min(film.ends))
    return f"The {shorter} episode ends at step {end} and stays there, faded."


def _decoded(decoded: bool) -> str:
    if not decoded:
        return ""
    return (
        "Both are what the world's decoder reads from its beliefs; those of the real episode are"
        " made of what was observed."
    )


def _hidden(count: int) -> str:
    if not count:
        return ""
    what = "One coordinate is" if count == 1 else f"{count} coordinates are"
    return (
        f"{what} in no observation, such as the place along a track: there everything is drawn"
        " where the episode began."
    )
