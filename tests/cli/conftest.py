"""What tests of commands share."""

import os

import pytest

from paracosm.cli import main as command_line


@pytest.fixture
def _environment_as_it_was(monkeypatch):
    """Commands that run in this process leave JAX's settings alone."""
    for name in (
        "XLA_FLAGS",
        "JAX_COMPILATION_CACHE_DIR",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
    ):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr(command_line, "_prepare_jax", lambda: None)
