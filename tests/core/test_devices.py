"""A batch spread over host devices gives what one device gives."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np

from paracosm.core import devices

TWO_DEVICES = """
import jax, jax.numpy as jnp, numpy as np
from paracosm.core import devices

assert jax.local_device_count() == 2
x = jnp.arange(24.0).reshape(8, 3)
apply = jax.jit(devices.map_over_devices(lambda w, x: jnp.tanh(x @ w), 8, shared=1))
w = jnp.ones((3, 2)) / 10
np.testing.assert_allclose(apply(w, x), jnp.tanh(x @ w), rtol=1e-6)
assert len(apply(w, x).sharding.device_set) == 2
summed = lambda w, x: jax.lax.psum((x @ w).sum(), devices.AXIS)
total = jax.jit(devices.map_over_devices(summed, 8, shared=1, total=True))
np.testing.assert_allclose(total(w, x), (x @ w).sum(), rtol=1e-6)
assert devices.mesh(7).size == 1 and devices.mesh(8).size == 2
"""


def test_on_one_device_spreading_changes_nothing():
    x, w = jnp.arange(24.0).reshape(8, 3), jnp.ones((3, 2)) / 10
    mapped = jax.jit(devices.map_over_devices(lambda w, x: jnp.tanh(x @ w), 8, shared=1))
    np.testing.assert_allclose(mapped(w, x), jnp.tanh(x @ w), rtol=1e-6)


def test_two_devices_share_a_batch_and_add_up_what_each_found():
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    subprocess.run([sys.executable, "-c", TWO_DEVICES], check=True, env=environment)
