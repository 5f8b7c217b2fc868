"""What has 32 bits has them where JAX's 64 are enabled."""

import jax
import jax.numpy as jnp
import numpy as np

from paracosm.core.precision import in_32_bits


@in_32_bits
def doubled(column, *, offset):
    return jax.jit(lambda a, b: 2 * a + b)(column, jnp.asarray(offset)), offset


def test_a_function_of_32_bits_takes_what_was_made_in_64():
    with jax.enable_x64(True):
        column, count = jnp.asarray([0.1]), jnp.asarray(3)
        wide, cast = doubled(column, offset=count)
        host = np.asarray([0.1])
        assert doubled(column, offset=host)[1] is host, "what is NumPy's stays in its precision"
    assert (column.dtype, count.dtype) == (np.float64, np.int64)
    assert (wide.dtype, cast.dtype) == (np.float32, np.int32)
    narrow, _ = doubled(jnp.asarray([0.1]), offset=jnp.asarray(3))
    np.testing.assert_array_equal(wide, narrow)
    assert doubled.__name__ == "doubled"
