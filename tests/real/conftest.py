"""What several modules of this room compare with."""

import pytest

from paracosm.real.verbs import collect
from tests.real.misbehaving import STEPS, world


@pytest.fixture(scope="session")
def sound():
    """What the faultless world gives."""
    return collect(world, STEPS, seed=0)
