"""What recorded columns tell of themselves."""

import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core.recordings import constant


@pytest.mark.parametrize("library", [np, jnp])
def test_a_column_is_constant_whose_spread_is_rounding_of_its_size(library):
    center = library.array([0.0, 5e-7, 1.0, 1.0, 9.81, 0.0, -1e5])
    spread = library.array([1e-13, 5e-7, 2e-6, 5e-7, 5e-6, 1e-9, 0.05])
    expected = [True, False, False, True, True, False, True]
    assert constant(center, spread).tolist() == expected
