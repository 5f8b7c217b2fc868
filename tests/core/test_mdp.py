"""The MDP's parts: spaces, norms, domains, swapping."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from paracosm import testing
from paracosm.core.checks import BadArgument
from paracosm.core.mdp import MDP, Box, Discrete, Domain, Spec, never

numbers = st.floats(-1e3, 1e3, width=32, allow_subnormal=False)
vectors = hnp.arrays(np.float32, 3, elements=numbers)
scales = hnp.arrays(np.float32, 3, elements=st.floats(0.0625, 64, width=32, allow_subnormal=False))


def toy(discount: float = 0.9) -> MDP:
    return testing.walk(discount).world


@given(vectors, scales, st.floats(-1, 1, width=32, allow_subnormal=False))
def test_encoding_maps_the_box_to_the_unit_cube(low, width, unit):
    high = low + width
    box = Box(low, high)
    tolerance = 4e-7 * (np.abs(low) + np.abs(high)).max() / width.min() + 1e-6
    action = (low + high) / 2 + np.float32(unit) * width / 2
    np.testing.assert_allclose(box.encode(low), -1, atol=tolerance)
    np.testing.assert_allclose(box.encode(high), 1, atol=tolerance)
    np.testing.assert_allclose(box.encode(action), unit, atol=tolerance)
    assert box.size == 3


@pytest.mark.parametrize(("low", "high"), [(0.5, 0.5), (-3e38, 3e38), (0.5, 0.5 + 1e-9)])
def test_a_box_needs_a_width_that_can_be_divided_by(low, high):
    with pytest.raises(BadArgument, match=r"^component 1 of a Box .* finite in 32 bits is needed"):
        Box(np.array([-1, low]), np.array([3, high]))


def test_actions_are_outside_by_more_than_rounding():
    box = Box(np.array([-1.0, 1000.0], np.float32), np.array([0.3, 1001.0], np.float32))
    rounded = np.nextafter(np.float32(0.3), np.float32(1))
    actions = np.array([[0.3, 1000.5], [rounded, 1001.0001], [0.31, 1000.5], [0.0, 999.0]])
    assert box.outside(actions).tolist() == [False, False, True, True]
    assert box.outside(actions[None, 2]).tolist() == [True]
    assert not box.outside(box.high)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_discrete_encoding_is_one_hot(n):
    space = Discrete(n)
    encoded = np.stack([space.encode(jnp.asarray(a)) for a in range(n)])
    np.testing.assert_array_equal(encoded, np.eye(n))
    assert space.size == n


@given(vectors, vectors, scales, st.floats(0, 8, width=32, allow_subnormal=False))
def test_the_scaled_norm_is_a_norm_without_units(x, y, scale, factor):
    spec = Spec(3, Discrete(2), scale, 10)
    size = float(spec.norm(x) + spec.norm(y))
    assert spec.norm(x + y) <= size * (1 + 1e-5) + 1e-15
    np.testing.assert_allclose(
        spec.norm(np.float32(factor) * x), factor * spec.norm(x), rtol=1e-5, atol=1e-15
    )
    np.testing.assert_allclose(
        Spec(3, Discrete(2), scale * 4, 10).norm(x * 4), spec.norm(x), rtol=1e-6, atol=1e-15
    )
    np.testing.assert_allclose(
        spec.norm(np.stack([x, y])), [spec.norm(x), spec.norm(y)], rtol=1e-6, atol=1e-15
    )


def test_the_norm_in_scaled_units_by_hand():
    assert Spec(2, Discrete(2), jnp.array([3.0, 0.5]), 1).norm(jnp.array([9.0, 2.0])) == 5


@given(vectors, scales, vectors, vectors)
def test_clipping_to_a_domain_is_idempotent_and_1_lipschitz(low, width, x, y):
    domain = Domain(low, low + width)
    clipped_x, clipped_y = np.asarray(domain.clip(x)), np.asarray(domain.clip(y))
    assert (clipped_x >= domain.low).all()
    assert (clipped_x <= domain.high).all()
    np.testing.assert_array_equal(domain.clip(clipped_x), clipped_x)
    assert np.linalg.norm(clipped_x - clipped_y) <= np.linalg.norm(x - y) * (1 + 1e-6)


@given(vectors, scales, vectors)
def test_a_state_is_at_the_edge_unless_strictly_inside(low, width, x):
    domain = Domain(low, low + width)
    inside = bool(((x > domain.low) & (x < domain.high)).all())
    assert bool(domain.at_edge(x)) is not inside
    assert (
        bool(domain.at_edge(domain.clip(x))) is not inside
    )  # clipping never hides that a state was outside
    np.testing.assert_array_equal(domain.at_edge(np.stack([x, low])), [not inside, True])


@pytest.mark.parametrize("discount", [-0.1, 1.5, float("nan")])
def test_a_discount_outside_the_unit_interval_is_refused(discount):
    with pytest.raises(BadArgument, match=r"discount is .*\[0, 1\]"):
        toy(discount)


@pytest.mark.parametrize("discount", [0.0, 0.99, 1.0])
def test_a_discount_in_range_is_kept(discount):
    assert toy(discount).discount == discount


@given(numbers, numbers)
def test_a_swapped_part_is_swapped_and_no_other(s, a):
    assume(abs(s + a) < 1e6)
    world = toy()
    swapped = world.replace(reward=lambda s, a, t: -t[0])
    state, action, key = jnp.array([s]), jnp.array([a]), jax.random.key(0)
    after = swapped.dynamics(state, action, key)
    assert swapped.reward(state, action, after) == -world.reward(state, action, after)
    for part in ("spec", "dynamics", "termination", "initial", "discount", "domain"):
        assert getattr(swapped, part) is getattr(world, part)
    with pytest.raises(BadArgument, match="'rewards'"):
        world.replace(rewards=None)


def test_a_replaced_discount_is_checked_too():
    with pytest.raises(BadArgument):
        toy().replace(discount=2.0)


def test_never_never_ends():
    ended = never(jnp.zeros(2), jnp.zeros(1), jnp.full(2, jnp.inf))
    assert ended.dtype == bool
    assert not ended
