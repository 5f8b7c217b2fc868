"""What the whole test run shares: one platform, no display, the same examples every time."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")

from hypothesis import HealthCheck, settings

import tests.typechecking  # noqa: F401 - the import hook looks it up as an attribute of `tests`

_ALWAYS = {"deadline": None, "derandomize": True, "database": None}
settings.register_profile("small", max_examples=25, suppress_health_check=[HealthCheck.too_slow], **_ALWAYS)
settings.register_profile("full", max_examples=250, suppress_health_check=[HealthCheck.too_slow], **_ALWAYS)
settings.load_profile("small")
