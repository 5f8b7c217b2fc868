"""Roots side by side: against those in closed form, to the last places."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paracosm.planning.roots import find_roots


@settings(max_examples=200)
@given(seed=st.integers(0, 2**31 - 1))
def test_the_roots_of_monotone_functions_are_theirs(seed):
    rng = np.random.default_rng(seed)
    steep, shift = np.exp(rng.normal(0, 3, 50)), rng.normal(0, 40, 50)
    level = np.exp(rng.normal(0, 2, 50))
    roots = shift + np.log(level) / steep

    def function(x):
        return np.exp(np.clip(steep * (x - shift), -500, 500)) - level

    low, high = roots - np.exp(rng.normal(0, 3, 50)), roots + np.exp(rng.normal(0, 3, 50))
    bound = 1e-14 * (1 + np.abs(roots) + np.abs(low) + np.abs(high) + 1 / steep)
    assert np.all(np.abs(find_roots(function, low, high) - roots) <= bound)


def test_a_function_of_one_sign_has_no_root_and_holds_no_other_up():
    level = np.array([2.0, 0.25, -2.0, np.nan])
    roots = find_roots(lambda x: x - level, np.zeros(4), np.ones(4))
    np.testing.assert_array_equal(roots, [np.nan, 0.25, np.nan, np.nan])


@pytest.mark.parametrize("root", [0.0, 0.5, 1.0])
def test_a_root_that_is_met_exactly_is_kept(root):
    beside = np.array([root, 1 / 3])
    roots = find_roots(lambda x: (x - beside) ** 3, np.zeros(2), np.ones(2))
    assert roots[0] == root
    assert roots[1] == pytest.approx(1 / 3, abs=1e-5)  # a cube underflows near its root
