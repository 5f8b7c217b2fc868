"""Part learners: those of one's own take the place of the ensembles, and nothing else changes."""

import textwrap

import jax
import numpy as np
import pytest

from paracosm.core import checks
from paracosm.core.records import PartFit
from paracosm.learning import part_learner
from paracosm.learning.learn import LearnSettings, learn
from paracosm.learning.part_learner import (
    EnsembleDynamics,
    EnsembleReward,
    EnsembleTermination,
    Known,
    PartLearner,
)
from paracosm.learning.problem import FitSettings
from paracosm.real.verbs import connect
from tests.extending.carts import Carts

SETTINGS = LearnSettings(fit=FitSettings(members=2, width=8, most_epochs=2))


@pytest.fixture(scope="module")
def bought():
    source = connect(Carts())
    data = source.collect(120, seed=0)
    return data, source.spec(data)


class Still(PartLearner):
    """Nothing moves."""

    def fit(self, data, spec, key):
        rows = len(data.transitions)
        fit = PartFit(
            part="dynamics",
            origin="learned",
            rows=rows,
            held_out=0,
            error=None,
            members=(),
            baseline=None,
            unit="none",
            epochs=(),
            curve=(),
        )
        return lambda state, action, key: state, fit


def test_the_ensembles_are_what_learn_takes_by_itself(bought):
    plain = learn(*bought, settings=SETTINGS)
    parts = {
        "dynamics": EnsembleDynamics(SETTINGS),
        "reward": EnsembleReward(SETTINGS),
        "termination": EnsembleTermination(SETTINGS),
    }
    named = learn(*bought, parts=parts)
    assert plain.fits == named.fits
    for plain_leaf, named_leaf in zip(
        *map(jax.tree.leaves, (plain.world, named.world)), strict=True
    ):
        np.testing.assert_array_equal(plain_leaf, named_leaf)


def test_a_part_learner_of_ones_own_makes_its_part_and_no_other(bought):
    plain = learn(*bought, settings=SETTINGS)
    still = learn(*bought, settings=SETTINGS, parts={"dynamics": Still()})
    state, action = np.ones(2, np.float32), np.ones(1, np.float32)
    moved = still.world.dynamics(state, action, jax.random.key(0))
    np.testing.assert_array_equal(moved, state)
    assert still.world.domain is None
    assert still.fits["dynamics"].unit == "none"
    assert still.fits["reward"] == plain.fits["reward"]
    np.testing.assert_array_equal(
        still.world.reward(state, action, state), plain.world.reward(state, action, state)
    )


class Answering(PartLearner):
    """Fits nothing, and gives what it is told to."""

    answer: object

    def fit(self, data, spec, key):
        return self.answer


def test_what_a_part_learner_of_ones_own_gives_is_checked(bought):
    """The end rule is the first part that is fitted."""
    part, fit = Still().fit(*bought, jax.random.key(0))
    for answer, message in {
        part: "part learner Answering gives a function; a pair of a function and a PartFit",
        (part, None): r"Answering gives \(a function, None\); a pair of",
        (part, fit): "Answering gives a PartFit of the dynamics; it is given as the termination",
    }.items():
        with pytest.raises(checks.BadArgument, match=message):
            learn(*bought, settings=SETTINGS, parts={"termination": Answering(answer)})


def test_a_known_reward_is_one_number(bought):
    with pytest.raises(checks.BadData, match=r"the known reward has the shape \(2,\) for one step"):
        learn(*bought, settings=SETTINGS, reward=lambda s, a, t: t)


def test_a_part_given_twice_is_refused(bought):
    reward = lambda s, a, t: 0.0  # noqa: E731
    with pytest.raises(checks.BadArgument, match="the reward is given twice"):
        learn(*bought, reward=reward, parts={"reward": Known("reward", reward)})


def test_the_compositions_of_its_docstring_can_be_made(bought):
    lines = part_learner.__doc__.splitlines()
    code = textwrap.dedent("\n".join(line for line in lines if line.startswith("    ")))
    data, spec = bought
    made, reward = [], lambda state, action, next_state: 0.0
    names = {**vars(part_learner), "FitSettings": FitSettings, "reward": reward}
    exec(code, names | {"data": data, "spec": spec, "learn": lambda *_, parts: made.append(parts)})
    (composed, still), key = made, jax.random.key(0)
    assert composed["reward"].fit(data, spec, key)[0] is reward
    assert still["dynamics"].fit(data, spec, key)[0](1.0, 0.0, key) == 1.0
