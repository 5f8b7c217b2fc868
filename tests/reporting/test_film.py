"""A film on a page: small, whole, still on demand, and absent with a sentence."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from paracosm.core.film import MOST_FRAMES, Film, drawn_columns, shown_steps, varying_components
from paracosm.reporting import film as films
from paracosm.reporting import film_words, render
from tests.reporting import report_records as records


def scene(real=40, imagined=40, size=(60, 80), **changes):
    """A bright square that moves, on black."""
    steps = tuple(range(0, 5 * max(real, imagined), 5))

    def pictures(count, shift):
        frames = np.zeros((count, *size, 3), np.uint8)
        for time, frame in enumerate(frames):
            frame[10:20, (time + shift) % 60 : (time + shift) % 60 + 10] = 255
        return frames

    ends = (5 * (real - 1), 5 * (imagined - 1))
    return Film(pictures(real, 0), pictures(imagined, 3), steps, ends, **changes)


def opened(uri):
    head, body = uri.split(",", 1)
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(body)))


def test_film_moves_and_its_strip_does_not():
    pictures = films.film_pictures(scene())
    moving, strip = opened(pictures.moving), opened(pictures.strip)
    assert moving.n_frames == 40
    assert moving.size == (pictures.width, pictures.height)
    assert getattr(strip, "n_frames", 1) == 1
    assert pictures.moments[0] == 0
    assert pictures.moments[-1] == 195
    assert len(pictures.moments) == 6


def test_columns_are_marked_as_high_as_the_values():
    states = np.array([[0.0, 5.0], [1.0, 3.0], [0.5, 4.0]])
    pictures = drawn_columns(states, np.array([0.0, 3.0]), np.array([1.0, 5.0]))
    assert pictures.shape == (3, 160, 80, 3)
    marks = [[np.flatnonzero(p[:, x, 0] == 60) for x in (5, 45)] for p in pictures]
    assert [[mark.mean() for mark in pair] for pair in marks] == [
        [156.5, 2.5],
        [2.5, 156.5],
        [79.5, 79.5],
    ]
    assert {len(mark) for pair in marks for mark in pair} == {6}


def test_components_that_never_move_have_no_column():
    rows = np.random.default_rng(0).normal(size=(5, 60))
    rows[:, [0, 7]] = 1.0
    assert varying_components(rows) == (*range(1, 7), *range(8, 26))


def test_noise_is_made_small_enough():
    """No compression helps against noise but a worse picture."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (2, 12, 250, 250, 3), dtype=np.uint8)
    pictures = films.film_pictures(Film(noise[0], noise[1], tuple(range(12)), (11, 11)))
    assert len(pictures.moving) + len(pictures.strip) <= films.MOST_BYTES


def test_what_cannot_be_small_enough_is_left_out(monkeypatch):
    monkeypatch.setattr(films, "MOST_BYTES", 100)
    page = films.on_page(scene())
    assert page.pictures is None
    assert page.why == "Without pictures: the pictures take more than 100 bytes."


def test_an_episode_that_is_over_stays_and_fades():
    film = scene(real=10, imagined=40)
    before, after = (
        films._frame(film.real, film.imagined, 9, 40),
        films._frame(film.real, film.imagined, 20, 40),
    )
    assert before[:60, :80].min() == 0
    assert after[:60, :80].min() > 150
    assert after[:60, 88:].min() == 0
    words = film_words.caption(film, films.film_pictures(film))
    assert "The real episode ends at step 45 and stays there, faded." in words


@pytest.mark.parametrize("length", [1, 2, 39, 40, 41, 201, 1001])
def test_steps_shown_are_few_even_and_include_both_ends(length):
    steps = shown_steps(length)
    assert (steps[0], steps[-1]) == (0, length - 1)
    assert len(steps) <= MOST_FRAMES
    assert len(set(np.diff(steps)[:-1].tolist())) <= 1
    assert list(steps) == sorted(set(steps))


def test_page_shows_the_film_and_says_what_is_hidden():
    page = render(records.diagnosis(), scene(hidden=1))
    assert page.count("data:image/webp") == 2
    assert "One coordinate is in no observation" in page
    assert "A picture every 5 steps" in page or "a picture every 5 steps" in page
    assert len(page.encode()) < films.MOST_BYTES + 400_000


def test_page_without_a_film_says_why_and_opens_the_states():
    page = render(records.diagnosis(), "Without pictures: <b> draws none.")
    assert "Without pictures: &lt;b&gt; draws none." in page
    assert "data:image" not in page
    section = page[page.index('id="rollouts"') :]
    assert section.index("<details open>") < section.index("Their states over time")
