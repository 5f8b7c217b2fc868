"""Shapes cover what they should, and moving one by a part of a pixel shows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paracosm.core.checks import BadArgument
from paracosm.real.rendered import drawing

SIZE = 32
PIXELS = drawing.grid(SIZE)
AREA = (2 / SIZE) ** 2
PART = 0.05 * 2 / SIZE  # of a pixel's width
places = st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))


def centroid(share):
    """Area, and the mean place, of what is covered."""
    total = share.sum()
    return total * AREA, np.array([(share * axis).sum() for axis in PIXELS]) / total


@given(place=places, radius=st.floats(0.1, 0.4))
def test_a_disc_has_its_area_and_its_place(place, radius):
    """The smoothed edge of a disc of a few pixels may be off by a part of one."""
    area, middle = centroid(drawing.coverage(drawing.disc(PIXELS, np.float32(place), radius)))
    true = np.pi * radius**2
    assert abs(area - true) <= 0.05 * true + AREA / 4
    np.testing.assert_allclose(middle, place, atol=PART)


@given(place=places, angle=st.floats(0, 6.3))
def test_a_rod_has_its_area_and_its_middle(place, angle):
    start, way = np.array(place), 0.4 * np.array([np.cos(angle), np.sin(angle)])
    share = drawing.coverage(drawing.rod(PIXELS, tuple(start), tuple(start + way), 0.1))
    area, middle = centroid(share)
    assert area == pytest.approx(0.4 * 0.2 + np.pi * 0.1**2, rel=0.06)
    np.testing.assert_allclose(middle, start + way / 2, atol=PART)


@given(place=places)
def test_a_block_has_its_area_and_its_middle(place):
    box = (place[0] - 0.2, place[1] - 0.3, place[0] + 0.2, place[1] + 0.3)
    area, middle = centroid(drawing.coverage(drawing.block(PIXELS, box)))
    assert area == pytest.approx(0.4 * 0.6, rel=0.02)
    np.testing.assert_allclose(middle, place, atol=PART)


def test_the_top_row_is_the_highest():
    share = drawing.coverage(drawing.disc(PIXELS, (-0.8, 0.8), 0.2))
    assert share[: SIZE // 2, : SIZE // 2].sum() == share.sum() > 0


def test_a_picture_goes_from_0_to_255():
    values = drawing.as_bytes(np.array([0.0, 0.5, 1.0]))
    assert values.tolist() == [0, 128, 255]
    assert values.dtype == np.uint8


@pytest.mark.parametrize("size", [7, 65, 32.0, "32"])
def test_a_size_that_is_not_supported_is_refused(size):
    with pytest.raises(BadArgument, match="size is"):
        drawing.SIZES.check("size", size)
