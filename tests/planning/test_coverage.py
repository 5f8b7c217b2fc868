"""Forecast intervals cover the truth as often as they say, under laws that the fit does not
know.
"""

import numpy as np
import pytest
from scipy import stats

from paracosm.core.checks import BadData
from paracosm.planning.curve_posterior import posterior
from tests.planning.simulator import (
    CELLS,
    EXTRAPOLATION,
    LARGEST,
    OFF_PRIOR,
    Cell,
    off_prior,
    pilots,
)
from tests.statistical import FALSE_ALARM

TARGET = np.array([EXTRAPOLATION * LARGEST])
LEAST, MOST, LEAST_IN_A_CELL = 0.86, 0.97, 0.75
LEAST_OFF_PRIOR = 0.85


def covered(cell: Cell | str, number: int) -> np.ndarray:
    """Whether each pilot's nominal 90% interval at 16 times its largest size holds the true error;
    none if refused.
    """
    hits = []
    for curve, law in off_prior(cell, number) if isinstance(cell, str) else pilots(cell, number):
        try:
            low, _, high = posterior(curve).forecast(TARGET)[0]
        except BadData:
            continue
        hits.append(low <= law.error(TARGET)[0] <= high)
    return np.array(hits)


def test_pooled_forecasts_cover_as_often_as_they_say():
    """With a coverage inside the bounds at either end, this fails with probability at most the
    declared false alarm.
    """
    hits = np.concatenate([covered(cell, 8) for cell in CELLS])
    assert len(hits) > 0.9 * 8 * len(CELLS), "the gate refuses too many"
    fewest, most = (
        stats.binom.ppf(FALSE_ALARM, len(hits), LEAST),
        stats.binom.isf(FALSE_ALARM, len(hits), MOST),
    )
    assert fewest <= hits.sum() <= most


@pytest.mark.parametrize("kind", OFF_PRIOR)
def test_laws_off_the_prior_are_covered_too(kind):
    """Fails with the declared false alarm where 85% are covered; before the band widened they were
    41% to 96%.
    """
    hits = covered(kind, 60)
    assert len(hits) > 50
    assert hits.sum() >= stats.binom.ppf(FALSE_ALARM, len(hits), LEAST_OFF_PRIOR)


@pytest.mark.full
@pytest.mark.parametrize("kind", OFF_PRIOR)
def test_five_hundred_pilots_off_the_prior(kind):
    assert np.mean(covered(kind, 500)) >= LEAST_OFF_PRIOR


@pytest.mark.full
def test_a_thousand_pilots_a_cell():
    hits = [covered(cell, 1000) for cell in CELLS]
    shares = np.array([np.mean(cell_hits) for cell_hits in hits])
    assert all(len(cell_hits) > 900 for cell_hits in hits), "the gate refuses too many"
    assert LEAST <= shares.mean() <= MOST
    assert shares.min() >= LEAST_IN_A_CELL, CELLS[int(shares.argmin())]
