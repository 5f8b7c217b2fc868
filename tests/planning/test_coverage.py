"""Forecast intervals cover the truth as often as they say, under laws that the fit does not know."""

import numpy as np
import pytest
from scipy import stats

from paracosm.core.checks import BadData
from paracosm.planning.curves import posterior
from tests.planning.simulator import CELLS, EXTRAPOLATION, LARGEST, Cell, pilots
from tests.statistical import FALSE_ALARM

TARGET = np.array([EXTRAPOLATION * LARGEST])
LEAST, MOST, LEAST_IN_A_CELL = 0.86, 0.97, 0.75


def covered(cell: Cell, number: int) -> np.ndarray:
    """Whether each pilot's nominal 90% interval at 16 times its largest size holds the true error; none if refused."""
    hits = []
    for curve, law in pilots(cell, number):
        try:
            low, _, high = posterior(curve).forecast(TARGET)[0]
        except BadData:
            continue
        hits.append(low <= law.error(TARGET)[0] <= high)
    return np.array(hits)


def test_pooled_forecasts_cover_as_often_as_they_say():
    """With a coverage inside the bounds at either end, this fails with probability at most the declared false alarm."""
    hits = np.concatenate([covered(cell, 8) for cell in CELLS])
    assert len(hits) > 0.9 * 8 * len(CELLS), "the gate refuses too many"
    few, many = stats.binom.ppf(FALSE_ALARM, len(hits), LEAST), stats.binom.isf(FALSE_ALARM, len(hits), MOST)
    assert few <= hits.sum() <= many


@pytest.mark.full
def test_a_thousand_pilots_a_cell():
    hits = [covered(cell, 1000) for cell in CELLS]
    shares = np.array([np.mean(each) for each in hits])
    assert all(len(each) > 900 for each in hits), "the gate refuses too many"
    assert LEAST <= shares.mean() <= MOST
    assert shares.min() >= LEAST_IN_A_CELL, CELLS[int(shares.argmin())]
