"""First states without a step: those of evaluations, seed by seed, of every kind of source."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core import checks
from paracosm.core.encoder import Window
from paracosm.core.policy import Deterministic
from paracosm.core.pomdp import POMDP
from paracosm.real.verbs import connect
from tests.real.worlds import counter, walk


def still(state):
    return jnp.zeros(2)


def shown(state):
    return state[:1]


KINDS = {
    "hosted": (counter, None, lambda state: np.zeros(1)),
    "hosted, through an encoder": (counter, lambda source: Window(2, source.action), None),
    "native": (walk, None, still),
    "native, through an encoder": (walk, lambda source: Window(2, source.action), None),
}


@pytest.mark.parametrize(("env", "encoder", "policy"), KINDS.values(), ids=KINDS)
def test_starts_are_those_of_evaluations_and_take_no_step(env, encoder, policy):
    source = connect(env() if env is walk else env)
    if encoder is not None:
        source = source.through(encoder(source))
    size = getattr(source.action, "size", 1)
    acting = Deterministic(lambda state: jnp.zeros(size)) if policy is None else policy
    starts = source.starts(11, first_seed=70)  # more than one block of lanes, the last one short
    assert source.steps == 0
    episodes = source.evaluate(acting, episodes=11, first_seed=70)
    np.testing.assert_array_equal(starts, episodes.state[:, 0])
    assert starts.dtype == episodes.state.dtype
    assert len(np.unique(starts, axis=0)) == 11
    np.testing.assert_array_equal(source.starts(3, first_seed=72), starts[2:5])


def test_starts_of_a_hidden_system_are_what_it_shows():
    source = connect(POMDP(walk(), shown))
    assert source.starts(4, first_seed=0).shape == (4, 1)


@pytest.mark.parametrize(("count", "first_seed"), [(0, 0), (3, -1), (3, 2**32), (2, 2**32 - 1)])
def test_counts_and_seeds_out_of_range_are_refused(count, first_seed):
    with pytest.raises(checks.BadArgument):
        connect(walk()).starts(count, first_seed=first_seed)


def test_seeds_of_an_evaluation_end_where_those_of_starts_do():
    sentence = "^the last seed is 4294967296; it must be at least 0 and below 4294967296"
    with pytest.raises(checks.BadArgument, match=sentence):
        connect(walk()).evaluate(still, episodes=2, first_seed=2**32 - 1)


def test_a_start_that_is_no_number_is_refused():
    system = walk().replace(initial=lambda key: jnp.full(2, jnp.nan) + jax.random.uniform(key))
    with pytest.raises(checks.BadData, match=r"starts at the state.*seed 5"):
        connect(system).starts(2, first_seed=5)
