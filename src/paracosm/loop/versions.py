"""What rounding and speed depend on, to be recorded with a run."""

from __future__ import annotations

import importlib.metadata
import platform

import jax

_PACKAGES = (
    "paracosm",
    "jax",
    "jaxlib",
    "equinox",
    "optax",
    "numpy",
    "scipy",
    "gymnasium",
    "mujoco",
)


def facts() -> dict[str, str]:
    """Versions, platform and the device count, as printable text."""
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES if _installed(name)}
    return {
        "python": platform.python_version(),
        **versions,
        "platform": f"{platform.system()} {platform.machine()}",
        "devices": f"{jax.local_device_count()} x {jax.default_backend()}",
    }


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
