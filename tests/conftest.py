"""What the whole test run shares: one platform, no display, the same examples every time."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")

import jax
import pytest
from hypothesis import HealthCheck, settings

import tests.typechecking  # noqa: F401 - the import hook looks it up as an attribute of `tests`

_ALWAYS = {"deadline": None, "derandomize": True, "database": None}
settings.register_profile(
    "small", max_examples=25, suppress_health_check=[HealthCheck.too_slow], **_ALWAYS
)
settings.register_profile(
    "full", max_examples=250, suppress_health_check=[HealthCheck.too_slow], **_ALWAYS
)
settings.load_profile("small")


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled_programs():
    """A process can hold only so many: past some thousands the system gives no more memory maps."""
    yield
    jax.clear_caches()
