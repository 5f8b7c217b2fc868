"""A run in an environment that shows pictures, through an encoder of one's own."""

import numpy as np
import pytest

from paracosm.real import datasets
from tests.loop.small import small_run

OPTIONS = {"env": "tests.real.pictured:Pictured", "encoder": "tests.real.pictured:Summary"}


@pytest.mark.full
def test_a_run_on_pictures_lives_on_beliefs_and_resumes(tmp_path):
    result = small_run(tmp_path / "run", horizon=9, learner="reinforce", **OPTIONS)
    data = datasets.load(tmp_path / "run/data/round-0.npz")
    assert (data.state.dtype, data.state.shape) == (np.float32, (200, 3))
    assert result.diagnosis.closure < 1e-6
    assert (
        small_run(
            tmp_path / "run", horizon=9, learner="reinforce", resume=True, **OPTIONS
        ).to_json()
        == result.to_json()
    )
